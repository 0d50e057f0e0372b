//go:build unix

package file

import (
	"bytes"
	"io"
	"syscall"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// processor is the user time of the process in nanoseconds: the clock says little on a
// machine that does other work.
func processor() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano())
}

// BenchmarkWrite_Trades sorts and writes a million trades of 64 symbols, handed in by
// time as a sequencer gives them: columns, copy, sort, Parquet.
func BenchmarkWrite_Trades(b *testing.B) {
	const n = 1 << 20
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	all := tradeBatch(insts, feeds, n, 64)
	parts := []*market.Batch{}
	for lo := 0; lo < n; lo += 1 << 14 {
		p := market.NewBatch(market.KindTrade)
		p.AppendRows(all, lo, lo+1<<14)
		parts = append(parts, p)
	}
	p := NewPacker(nil, market.KindTrade, false, insts, feeds)
	w, err := NewWriter(p.Columns(), EventKeys())
	if err != nil {
		b.Fatal(err)
	}
	var info *Info
	start := processor()
	for b.Loop() {
		for _, part := range parts {
			cols, err := p.Pack(part)
			if err != nil {
				b.Fatal(err)
			}
			if err := w.Append(cols, nil); err != nil {
				b.Fatal(err)
			}
		}
		if info, err = w.Finish(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(info.Size)/n, "B/row")
	b.ReportMetric((processor()-start)/float64(b.N)/n, "cpu-ns/row")
}

// BenchmarkRead_Trades reads time, price and quantity (five columns), and all columns,
// of such a file.
func BenchmarkRead_Trades(b *testing.B) {
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	data := trades(b, insts, feeds, 1<<20, 64)
	for _, c := range []struct {
		name string
		cols []string
	}{{"3", []string{"ts", "price_mantissa", "quantity_mantissa"}}, {"all", nil}} {
		b.Run(c.name, func(b *testing.B) {
			start := processor()
			for b.Loop() {
				r, err := Open(bytes.NewReader(data), int64(len(data)), "x.parquet")
				if err != nil {
					b.Fatal(err)
				}
				s, err := r.Scan(Query{Table: Events(nil, market.KindTrade, false), Columns: c.cols, Keys: EventKeys()})
				if err != nil {
					b.Fatal(err)
				}
				rows, err := r.Read(s.Columns(), 0, r.Rows())
				if err != nil {
					b.Fatal(err)
				}
				for {
					batch, err := rows.Next()
					if err != nil {
						b.Fatal(err)
					}
					if batch == nil {
						break
					}
				}
			}
			b.ReportMetric((processor()-start)/float64(b.N)/(1<<20), "cpu-ns/row")
		})
	}
}
