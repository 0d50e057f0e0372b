package gen

import (
	"fmt"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
)

// The sequencer's accounting, late rows and gap notices are the truth.
func TestSequencer_AgreesWithTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := faulty(t)
		if c.Untimed { // an outage may cut a snapshot over REST off from its deltas
			c.Outages, c.Skews = nil, nil
		}
		m := start(t, c)
		s, err := sequence.New(sequence.DefaultConfig(m.feeds, m.insts))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range m.venues { // as a driver does that knows its inputs
			for l := range c.Lines {
				s.OpenLine(v.feed, uint16(l), c.Kinds...)
			}
		}
		var chunk market.Chunk
		var out sequence.Out
		want := map[string]int{}
		var got, notices []string
		collect := func() {
			if b := out.Rows.Batches[market.KindStatus]; b != nil {
				for i := range b.N {
					c := b.Cols
					if c[market.StatusState].I64[i] == market.StatusGap && string(c[market.StatusReason].Text(i)) == "trade ids missing" {
						got = append(got, fmt.Sprint(b.Feed[i], b.Inst[i], c[market.StatusFromSeq].I64[i], c[market.StatusToSeq].I64[i]))
					}
				}
			}
			if b := out.Late.Batches[market.KindTrade]; b != nil {
				for i := range b.N {
					want[fmt.Sprint("late", b.Feed[i], b.Inst[i], b.Seq[i])]--
				}
			}
			out.Reset()
		}
		for m.Next(&chunk) {
			if err := s.Push(&chunk); err != nil {
				t.Fatal(err)
			}
			s.Advance(&out)
			collect()
			for _, x := range m.Truth() {
				if x.Kind == market.KindTrade && x.Verdict == Late {
					want[fmt.Sprint("late", x.Feed, x.Inst, x.Seq)]++
				}
			}
			for _, n := range m.Notices() {
				if n.Kind == market.KindTrade {
					notices = append(notices, fmt.Sprint(n.Feed, n.Inst, n.From, n.To))
				}
			}
		}
		s.Close(&out)
		collect()
		for k, n := range want {
			if n != 0 {
				t.Errorf("%s: truth minus sequencer = %d", k, n)
			}
		}
		x, st := s.Counts(), m.Stats()
		if x.In != st.Records || x.Late != st.ByVerdict[Late] || x.Duplicate != st.ByVerdict[Duplicate] ||
			x.DLQ != st.ByVerdict[DeadLetter] || x.Applied != st.ByVerdict[Applied] || x.Pending != 0 || s.Raised() != 0 {
			t.Fatalf("sequencer %+v\ntruth %+v", x, st)
		}
		sort.Strings(got)
		sort.Strings(notices)
		if fmt.Sprint(got) != fmt.Sprint(notices) {
			t.Fatalf("gaps\n%v\ntruth\n%v", got, notices)
		}
	})
}
