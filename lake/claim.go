package lake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/lake/catalog"
)

// A commit that loses each time, because others commit faster than it can write its manifests, asks them to wait: it
// claims the table for a short while. That is a courtesy between committers of this program and decides nothing; which
// commit wins is the catalog's word.

// propClaim is who asks, and until when: the id of the commit and µs.
const propClaim = "tidemark.claim"

const (
	claimAfter = 4               // tries
	claimTime  = 5 * time.Second // below what a commit waits in all of its tries
	claimTries = 8               // a claim is one small file, so it needs no pauses
)

var errClaimed = fmt.Errorf("%w: another commit has claimed the table", catalog.ErrRefused)

// claimed reports whether another commit asks for the table now.
func (c *committer) claimed(cur *Table) bool {
	var id string
	var until int64
	if _, err := fmt.Sscanf(cur.Property(propClaim), "%s %d", &id, &until); err != nil || id == string(c.id) {
		return false
	}
	left := until - c.t.lake.now().UnixMicro()
	return left > 0 && left <= 2*claimTime.Microseconds() // one that lasts longer has another clock
}

// claim asks the others to wait. When that fails, the commit competes as before.
func (c *committer) claim(ctx context.Context) {
	value := fmt.Sprintf("%s %d", c.id, c.t.lake.now().Add(claimTime).UnixMicro())
	for range claimTries {
		cur, err := c.t.Reload(ctx)
		if err != nil || c.claimed(cur) {
			return
		}
		_, _, err = c.t.lake.cat.CommitTable(ctx, c.t.id, []table.Requirement{table.AssertTableUUID(cur.inner.Metadata().TableUUID())},
			[]table.Update{table.NewSetPropertiesUpdate(map[string]string{propClaim: value})})
		c.claims = c.claims || err == nil
		if err == nil || !errors.Is(err, catalog.ErrRefused) {
			return
		}
	}
}
