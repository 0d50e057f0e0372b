package input_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// sequenced reads files in chunks of so many rows and returns what left the sequencer: the
// rows of each kind, the late ones, and the greatest stretch of time that funding's mark
// lay behind the trades'.
func sequenced(t *testing.T, rows int, paths ...string) (out, late []string, behind int64) {
	t.Helper()
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	r, err := input.Open(input.Config{Paths: paths, Adapters: []*adapters.Adapter{canon.Adapter}, Feeds: feeds, Insts: insts, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := sequence.New(sequence.DefaultConfig(feeds, insts))
	if err != nil {
		t.Fatal(err)
	}
	var ch input.Chunk
	var o sequence.Out
	take := func() {
		for _, x := range []struct {
			of *market.Chunk
			to *[]string
		}{{&o.Rows, &out}, {&o.Late, &late}} {
			for k, b := range x.of.Batches {
				for i := 0; b != nil && i < b.N; i++ {
					*x.to = append(*x.to, fmt.Sprint(k, " ", b.TS[i], " ", b.Seq[i], " ", b.Flags[i]))
				}
			}
		}
		if m := o.Marks[market.KindFunding]; m != market.NoTime && len(out) > 0 {
			behind = max(behind, o.Marks[market.KindTrade]-m)
		}
		o.Reset()
	}
	for {
		if err := r.Next(context.Background(), &ch); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(ch.Bad) > 0 {
			t.Fatalf("%+v", ch.Bad[0])
		}
		if err := s.Push(&ch.Chunk); err != nil {
			t.Fatal(err)
		}
		ch.Tell(s)
		s.Advance(&o)
		take()
	}
	s.Close(&o)
	behind = min(behind, market.Hour)
	take()
	slices.Sort(out)
	return out, late, behind
}

// Verdicts do not depend on where chunks are cut, also where rare rows come minutes late
// and a time is wild; the mark of a kind that stands still follows its line.
func TestLift_ChunksMoveNoVerdict(t *testing.T) {
	r, found := rand.New(rand.NewPCG(5, 6)), 0
	for round := range 20 {
		dir := t.TempDir()
		file := func(feed string, rare int) string {
			var b strings.Builder
			b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,id,side,price,quantity,rate\n")
			ts := 1_767_571_200_000_000 + int64(rare)
			fmt.Fprintf(&b, "funding,%s,x,perp,A-B,%d,%d,,,,,0.1\n", feed, ts, ts)
			for i := range 3_000 {
				ts += r.Int64N(500_000)
				if r.IntN(300) == 0 {
					ts += r.Int64N(100_000_000)
				}
				switch {
				case r.IntN(rare) == 0:
					at := ts - r.Int64N(2)*r.Int64N(180_000_000)
					fmt.Fprintf(&b, "funding,%s,x,perp,A-B,%d,%d,,,,,0.%d\n", feed, at, ts, i+1)
				case round%2 == 0 && r.IntN(700) == 0: // a dead letter
					fmt.Fprintf(&b, "trade,%s,x,perp,A-B,%d,%d,%d,buy,1,1,\n", feed, ts+86_400_000_000, ts, i)
				default:
					fmt.Fprintf(&b, "trade,%s,x,perp,A-B,%d,%d,%d,buy,1,1,\n", feed, ts-min(r.Int64N(240_000), int64(i)*50), ts, i)
				}
			}
			path := filepath.Join(dir, feed+".csv")
			if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		paths := []string{file("one", 500), file("two", 90)}[:1+round%2]
		want, wantLate, behind := sequenced(t, 1, paths...)
		if behind > 71*market.Second+200*market.Second { // a silence of trades counts, too
			t.Errorf("round %d: the mark of funding was %d s behind", round, behind/market.Second)
		}
		for _, rows := range []int{2, 7, 100, 4096} {
			got, late, _ := sequenced(t, rows, paths...)
			if !slices.Equal(got, want) || len(late) != len(wantLate) {
				t.Fatalf("round %d, chunks of %d rows: %d rows and %d late, want %d and %d", round, rows, len(got), len(late), len(want), len(wantLate))
			}
		}
		found += len(wantLate)
	}
	if found < 50 {
		t.Errorf("only %d events are late", found)
	}
}

// A kind whose file has ended, and after a million rows one that never came, follow the
// files that go on.
func TestLift_KindsWithoutALine(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a million rows")
	}
	dir := t.TempDir()
	const head = "kind,feed,exchange,market,symbol,event_ts,ingest_ts,id,side,price,quantity,rate,form\n"
	ts := int64(1_767_571_200_000_000)
	short, long := filepath.Join(dir, "short.csv"), filepath.Join(dir, "long.csv")
	if err := os.WriteFile(short, fmt.Appendf(nil, "%sfunding,f,x,perp,A-B,%d,%d,,,,,0.1,\n", head, ts, ts), 0o600); err != nil {
		t.Fatal(err)
	}
	b := []byte(head)
	for i := range 1<<20 + 9000 {
		b = fmt.Appendf(b, "trade,f,x,perp,A-B,%d,,%d,buy,1,1,,\n", ts+int64(i)*10_000, i)
	}
	if err := os.WriteFile(long, b, 0o600); err != nil {
		t.Fatal(err)
	}
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	r, err := input.Open(input.Config{Paths: []string{short, long}, Adapters: []*adapters.Adapter{canon.Adapter}, Feeds: feeds, Insts: insts})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := sequence.New(sequence.DefaultConfig(feeds, insts))
	if err != nil {
		t.Fatal(err)
	}
	var ch input.Chunk
	var o sequence.Out
	for n := 0; ; {
		if err := r.Next(t.Context(), &ch); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n += ch.Len()
		if err := s.Push(&ch.Chunk); err != nil {
			t.Fatal(err)
		}
		ch.Tell(s)
		o.Reset()
		s.Advance(&o)
		trades, funding, quotes := o.Marks[market.KindTrade], o.Marks[market.KindFunding], o.Marks[market.KindQuote]
		if n > 100_000 && trades-funding > 80*market.Second {
			t.Fatalf("after %d rows funding is %d s behind", n, (trades-funding)/market.Second)
		}
		if known := quotes != market.NoTime; known != (n > 1<<20) || known && trades-quotes > 80*market.Second {
			t.Fatalf("after %d rows the mark of quotes is %s", n, market.FormatTime(quotes))
		}
	}
}
