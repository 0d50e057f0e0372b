package lake

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"
)

// A process that commits for long keeps the newest state of a table, not those before it.
func TestCommit_LetsGoOfEarlierStates(t *testing.T) {
	s := newSettled(t)
	var gone atomic.Int64
	const commits = 12
	for n := range int64(commits) {
		if _, err := s.append(t.Context(), t, n); err != nil {
			t.Fatal(err)
		}
		tab, err := s.tab.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		runtime.SetFinalizer(tab.inner.Metadata(), func(table.Metadata) { gone.Add(1) })
		s.tab = tab
	}
	for end := time.Now().Add(5 * time.Second); gone.Load() < commits-2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		runtime.GC()
	}
	if n := gone.Load(); n < commits-2 {
		t.Errorf("%d of %d states are let go of", n, commits)
	}
	runtime.KeepAlive(s)
}
