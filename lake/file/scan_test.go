package file

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// scanned reads all that a query wants, as text, run after run.
func scanned(t *testing.T, r *Reader, q Query) []string {
	t.Helper()
	s, err := r.Scan(q)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, run := range s.Runs() {
		c, err := s.Open(i)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for {
			b, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			n += int64(b.N)
			out = append(out, rowText(s.Columns(), b)...)
		}
		if n != run.Rows {
			t.Fatalf("run %v has %d rows, not %d", run.Key, n, run.Rows)
		}
	}
	return out
}

// sortedBatch is the rows of a batch in the order of a file, by a sort of its own.
func sortedBatch(b *market.Batch, insts *market.Instruments) *market.Batch {
	numbers := insts.Numbers()
	rows := make([]int, b.N)
	for i := range rows {
		rows[i] = i
	}
	slices.SortStableFunc(rows, func(x, y int) int {
		if c := strings.Compare(insts.Get(b.Inst[x]).Symbol, insts.Get(b.Inst[y]).Symbol); c != 0 {
			return c
		}
		return b.Key(x, numbers).Compare(b.Key(y, numbers))
	})
	out := market.NewBatch(b.Kind)
	for _, i := range rows {
		out.AppendRows(b, i, i+1)
	}
	return out
}

// opened is a file of events, ready to be read.
func opened(t *testing.T, p *Packer, all *market.Batch) *Reader {
	t.Helper()
	w, err := NewWriter(p.Columns(), EventKeys())
	if err != nil {
		t.Fatal(err)
	}
	data, _ := packed(t, w, p, all)
	file, err := Open(bytes.NewReader(data), int64(len(data)), "x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestScan_FindsWhatAFilterFinds compares scans by symbols and time with a filter over
// all rows, sorted by market.Key; numbers beyond 2⁶³ are among them.
func TestScan_FindsWhatAFilterFinds(t *testing.T) {
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	r := rand.New(rand.NewPCG(3, 1))
	all := randomEvents(r, market.KindTrade, 120_000, insts, feeds)
	p := NewPacker(nil, market.KindTrade, false, insts, feeds)
	file := opened(t, p, all)
	sorted := sortedBatch(all, insts)
	b, err := p.Pack(sorted)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"ts", "seq", "price_mantissa", "price_scale", "id", "symbol"}
	var cols []Column
	part := &Batch{N: b.N}
	for _, n := range names {
		i := slices.IndexFunc(p.Columns(), func(c Column) bool { return c.Name == n })
		cols = append(cols, p.Columns()[i])
		part.Cols = append(part.Cols, b.Cols[i])
	}
	text := rowText(cols, part)
	first, last := sorted.TS[0], sorted.TS[0]
	for _, ts := range sorted.TS {
		first, last = min(first, ts), max(last, ts)
	}
	for range 40 {
		q := Query{Table: p.Columns(), Columns: names, Keys: EventKeys()}
		if r.IntN(3) > 0 {
			q.From = first - 5 + r.Int64N(last-first+10)
			q.To = q.From + r.Int64N(last-first)
		}
		if r.IntN(3) > 0 {
			q.Where = map[string][]string{"symbol": []string{"ETH-USDT", "nothing", "A"}[:1+r.IntN(3)]}
		}
		var want []string
		for i := range sorted.N {
			symbol := insts.Get(sorted.Inst[i]).Symbol
			if (q.To == 0 || sorted.TS[i] >= q.From && sorted.TS[i] < q.To) && (q.Where == nil || slices.Contains(q.Where["symbol"], symbol)) {
				want = append(want, text[i])
			}
		}
		if got := scanned(t, file, q); !slices.Equal(got, want) {
			t.Fatalf("%d..%d of %v: %d rows, want %d", q.From, q.To, q.Where, len(got), len(want))
		}
	}
}

// Parts of a scan are its rows, in order, none larger than is asked for; none begins in a page that another began in.
func TestScan_CutIsAllOfIt(t *testing.T) {
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	r := rand.New(rand.NewPCG(4, 1))
	all := randomEvents(r, market.KindTrade, 70_000, insts, feeds)
	p := NewPacker(nil, market.KindTrade, false, insts, feeds)
	file := opened(t, p, all)
	first, last := all.TS[0], all.TS[all.N-1]
	for i := range 6 {
		q := Query{Table: p.Columns(), Columns: []string{"ts", "symbol", "price_mantissa"}, Keys: EventKeys()}
		if i%3 > 0 {
			q.From = first + r.Int64N(last-first)
			q.To = q.From + r.Int64N(last-q.From)
		}
		if i%2 > 0 {
			q.Where = map[string][]string{"symbol": {"ETH-USDT", "ZRX-EUR"}}
		}
		s, err := file.Scan(q)
		if err != nil {
			t.Fatal(err)
		}
		want := scanned(t, file, q)
		for _, n := range []int64{1, 20_000, 50_000, 1 << 20} {
			var got []string
			pages := map[int64]bool{}
			for _, part := range s.Cut(n) {
				rows := int64(0)
				for k, run := range part.Runs() {
					c, err := part.OpenRuns(k, k+1)
					if err != nil {
						t.Fatal(err)
					}
					for {
						b, err := c.Next()
						if err != nil {
							t.Fatal(err)
						}
						if b == nil {
							break
						}
						got = append(got, rowText(part.Columns(), b)...)
					}
					rows += run.Rows
				}
				if rows == 0 || rows > max(n, pageRows) {
					t.Fatalf("a part of %d rows, at most %d are asked for", rows, n)
				}
				at := part.Runs()[0].First / pageRows
				if pages[at] {
					t.Errorf("page %d is in two parts", at)
				}
				pages[at] = true
			}
			if !slices.Equal(got, want) {
				t.Fatalf("cut by %d: %d rows, want %d", n, len(got), len(want))
			}
		}
	}
}

// Parts of a scan that is cut at times are what scans of these times find, whole runs and repeated times among them.
func TestScan_CutAtTimesIsScansOfThem(t *testing.T) {
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	r := rand.New(rand.NewPCG(5, 1))
	all := randomEvents(r, market.KindTrade, 70_000, insts, feeds)
	p := NewPacker(nil, market.KindTrade, false, insts, feeds)
	file := opened(t, p, all)
	first, last := slices.Min(all.TS), slices.Max(all.TS)
	for range 50 {
		q := Query{Table: p.Columns(), Columns: []string{"symbol", "price_mantissa"}, Keys: EventKeys()}
		if r.IntN(2) > 0 {
			q.From = first + r.Int64N(last-first)
			q.To = q.From + 1 + r.Int64N(last-q.From)
		}
		if r.IntN(2) > 0 {
			q.Where = map[string][]string{"symbol": {"ETH-USDT", "ZRX-EUR"}}
		}
		s, err := file.Scan(q)
		if err != nil {
			t.Fatal(err)
		}
		at := make([]int64, r.IntN(8))
		for i := range at {
			at[i] = first - 5 + r.Int64N(last-first+10)
			if i > 0 && r.IntN(4) == 0 {
				at[i] = at[i-1]
			}
		}
		slices.Sort(at)
		parts, err := s.CutAt(at)
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
		if q.To != 0 {
			lo, hi = q.From, q.To
		}
		for i, part := range parts {
			from, to := lo, hi
			if i > 0 {
				from = max(lo, at[i-1])
			}
			if i < len(at) {
				to = min(hi, at[i])
			}
			var want []Run
			if from < to {
				bounded := q
				bounded.From, bounded.To = from, to
				one, err := file.Scan(bounded)
				if err != nil {
					t.Fatal(err)
				}
				want = one.Runs()
			}
			if got := part.Runs(); !slices.EqualFunc(got, want, func(a, b Run) bool { return a.First == b.First && a.Rows == b.Rows && slices.Equal(a.Key, b.Key) }) {
				t.Fatalf("part %d of %v cut at %v: %v, want %v", i, q, at, got, want)
			}
		}
	}
}

// counted counts the bytes that are read.
type counted struct {
	io.ReaderAt
	n int
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	c.n += len(b)
	return c.ReaderAt.ReadAt(b, off)
}

// TestScan_ReadsLittle: one symbol of many, a short time and three columns take a small
// part of the file's bytes.
func TestScan_ReadsLittle(t *testing.T) {
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	data := trades(t, insts, feeds, 600_000, 16)
	src := &counted{ReaderAt: bytes.NewReader(data)}
	r, err := Open(src, int64(len(data)), "x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	got := scanned(t, r, Query{
		Table: Events(nil, market.KindTrade, false), Columns: []string{"ts", "price_mantissa", "price_scale", "quantity_mantissa", "quantity_scale"},
		Keys: EventKeys(), Where: map[string][]string{"symbol": {"C07-USDT"}}, From: tradeStart, To: tradeStart + market.Minute,
	})
	if len(got) == 0 || src.n*20 > len(data) {
		t.Fatalf("%d rows took %d bytes of %d", len(got), src.n, len(data))
	}
}
