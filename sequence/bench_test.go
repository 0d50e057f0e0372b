package sequence

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// benchLog makes n trades of some symbols, ten a millisecond, in chunks of 4096, with
// arrival shuffled by up to jitter µs.
func benchLog(w *world, n, symbols int, jitter int64, ids bool) []*market.Chunk {
	insts := make([]market.Inst, symbols)
	for i := range insts {
		insts[i] = w.insts.Intern("x", market.Spot, fmt.Sprintf("S%d-USD", i))
	}
	type row struct {
		ts, at int64
		seq    uint64
		inst   market.Inst
	}
	rows := make([]row, n)
	rnd := uint64(1)
	next := func() uint64 { rnd = rnd*6364136223846793005 + 1442695040888963407; return rnd >> 33 }
	seqs := make([]uint64, symbols)
	for i := range rows {
		s := int(next()) % symbols
		seqs[s]++
		rows[i] = row{ts: t0 + int64(i)*100, seq: seqs[s], inst: insts[s]}
		rows[i].at = rows[i].ts
		if jitter > 0 {
			rows[i].at += int64(next()) % jitter
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.at, b.at) })
	var out []*market.Chunk
	for i, r := range rows {
		if i%4096 == 0 {
			out = append(out, new(market.Chunk))
		}
		b := out[len(out)-1].Batch(market.KindTrade)
		e := market.Envelope{Feed: w.id["a"], Inst: r.inst, EventTS: r.ts, IngestTS: r.at, Seq: r.seq, HasSeq: true, RawBytes: 100}
		if ids {
			var k [12]byte
			binary.BigEndian.PutUint64(k[:], r.seq)
			binary.BigEndian.PutUint32(k[8:], uint32(r.inst))
			e.ID, _ = market.EventID(nil, nil, k[:])
		}
		b.AppendEnvelope(&e)
		b.Cols[0].AppendText(fmt.Append(nil, 1_000_000+r.seq))
		b.Cols[1].AppendInt(1)
		b.Cols[2].AppendDec(int64(6_000_000+next()%1000), 2)
		b.Cols[3].AppendDec(int64(next()%100_000), 5)
		b.Cols[4].AppendInt(1)
	}
	return out
}

// One op is one trade, from Push to the ordered output.
func BenchmarkTrades(b *testing.B) {
	const n = 1 << 18
	for _, c := range []struct {
		name    string
		symbols int
		jitter  int64
		ids     bool
	}{
		{"sorted/1", 1, 0, false}, {"sorted/1/ids", 1, 0, true}, {"sorted/500/ids", 500, 0, true},
		{"shuffled5ms/500/ids", 500, 5 * ms, true}, {"shuffled250ms/500", 500, 249 * ms, false}, {"shuffled250ms/500/ids", 500, 249 * ms, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld()
			log := benchLog(w, n, c.symbols, c.jitter, c.ids)
			s, out := w.new(b, nil), new(Out)
			shift := int64(0)
			b.ReportAllocs()
			var cpu int64
			done := 0
			for i := 0; done < b.N; i++ {
				if i == len(log) {
					// The same again, later and with other ids.
					b.StopTimer()
					i, shift = 0, int64(n)*100
					for _, x := range log {
						t := x.Batches[market.KindTrade]
						for j := range t.N {
							t.EventTS[j] += shift
							t.IngestTS[j] += shift
							t.Seq[j] += n
							if c.ids {
								binary.BigEndian.PutUint64(t.ID[j][:], binary.BigEndian.Uint64(t.ID[j][:])*0x9e3779b97f4a7c15+1)
							}
						}
					}
					b.StartTimer()
				}
				at := cpuTime(b)
				must(b, s.Push(log[i]))
				out.Reset()
				s.Advance(out)
				cpu += cpuTime(b) - at
				done += log[i].Batches[market.KindTrade].N
			}
			b.ReportMetric(float64(cpu)/float64(done), "cpu-ns/op")
			if c := s.Counts(); c.Applied+c.Pending != c.In {
				b.Fatalf("%+v", c)
			}
		})
	}
}

// One op is one delta of two levels in a book of 1,000 levels a side.
func BenchmarkBookDeltas(b *testing.B) {
	for _, chains := range []int{1, 100} {
		b.Run(fmt.Sprint(chains), func(b *testing.B) {
			w := newWorld()
			insts := make([]market.Inst, chains)
			for i := range insts {
				insts[i] = w.insts.Intern("x", market.Perp, fmt.Sprintf("S%d-USD", i))
			}
			s, out := w.new(b, nil), new(Out)
			seq := uint64(100)
			ts := t0
			var bids, asks []int64
			for i := range int64(1000) {
				bids, asks = append(bids, 100_000-i, 5), append(asks, 100_001+i, 5)
			}
			c := new(market.Chunk)
			for i := range insts {
				w.append(c, &ev{kind: market.KindBook, feed: "book", ts: ts, seq: seq, origin: market.OriginVenue, bids: bids, asks: asks})
				c.Batches[market.KindBook].Inst[i] = insts[i]
			}
			must(b, s.Push(c))
			b.ReportAllocs()
			b.ResetTimer()
			var cpu int64
			done := 0
			for done < b.N {
				b.StopTimer()
				c.Reset()
				for range 4096 / chains {
					seq++
					for i := range insts {
						ts += 100
						w.append(c, &ev{kind: market.KindBook, feed: "book", ts: ts, seq: seq, bids: []int64{99_990 + int64(seq%9), int64(seq%3) * 7}, asks: []int64{100_002 + int64(seq%7), int64(seq%2) * 3}})
						c.Batches[market.KindBook].Inst[c.Batches[market.KindBook].N-1] = insts[i]
					}
				}
				b.StartTimer()
				at := cpuTime(b)
				must(b, s.Push(c))
				out.Reset()
				s.Advance(out)
				cpu += cpuTime(b) - at
				done += c.Len()
			}
			b.ReportMetric(float64(cpu)/float64(done), "cpu-ns/op")
			if c := s.Counts(); c.Applied+c.Pending != c.In {
				b.Fatalf("%+v", c)
			}
		})
	}
}
