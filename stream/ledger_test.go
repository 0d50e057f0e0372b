package stream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
)

// ledgerDiff compares what the ledger's topic adds up to with the rows that are in the topics
// of views, by view and hour. "" is no difference.
func (tl *topicLog) ledgerDiff(ctx context.Context, t *testing.T) string {
	t.Helper()
	type cell struct {
		topic string
		hour  int64
	}
	features := map[string]string{} // fingerprints
	for _, o := range tl.plan.Outputs() {
		if !strings.Contains(o.Name, "(") {
			features[fmt.Sprintf("feature.%s.v%d", o.Name, o.Version)] = fmt.Sprintf("%x", o.Fingerprint)
		}
	}
	want, got := map[cell]parity.Sum{}, map[cell]parity.Sum{}
	for _, r := range readCommitted(ctx, t, tl.addr, features) {
		_, message, err := wire.CutFrame(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		at := cell{r.Topic, parity.HourOf(r.Timestamp.UnixMicro())}
		s := want[at]
		s.Add(parity.HashOf(message))
		want[at] = s
	}
	wrong, read := "", map[string]int64{}
	for _, r := range readCommitted(ctx, t, tl.addr, map[string]bool{"ledger." + testLedger: true}) {
		d, err := record.ReadLedger(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if d.Job != testLedger || d.Build != "test" || d.Task != r.Partition {
			wrong += fmt.Sprintf("ledger record of job %q, build %q, task %d in partition %d\n", d.Job, d.Build, d.Task, r.Partition)
		}
		for _, in := range d.Inputs {
			at := fmt.Sprint(in.Topic, "/", in.Partition)
			if in.Next < read[at] {
				wrong += fmt.Sprintf("%s was read to %d, then to %d\n", at, read[at], in.Next)
			}
			read[at] = in.Next
		}
		for _, v := range d.Views {
			topic := fmt.Sprintf("feature.%s.v%d", v.View.Name, v.View.Version)
			if fp := fmt.Sprintf("%x", v.View.Fingerprint); fp != features[topic] {
				wrong += fmt.Sprintf("%s has fingerprint %s in the ledger, not %s\n", topic, fp, features[topic])
			}
			for _, c := range v.Cells {
				at := cell{topic, c.Hour}
				got[at] = got[at].Plus(c.Sum)
			}
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cell{})); diff != "" {
		wrong += "ledger (-rows +ledger)\n" + diff
	}
	return wrong
}
