package fetch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/stream/fetch"
)

// handing writes transactions, and hands some on.
type handing struct {
	t    *testing.T
	rng  *rand.Rand
	want map[place][]string // committed, by offset
	mine *kgo.Client        // whose transactions are handed on
	// others write one record each: one in a transaction that is aborted, one in one that is committed, one in none.
	others [3]*kgo.Client
}

func newHanding(t *testing.T, addr string, rng *rand.Rand) *handing {
	h := &handing{t: t, rng: rng, want: map[place][]string{}}
	opts := func(id string) (opts []kgo.Opt) {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if id != "" {
			opts = append(opts, kgo.TransactionalID(id))
		}
		return opts
	}
	h.mine = client(t, addr, opts("mine")...)
	for i, id := range []string{"aborts", "commits", ""} {
		h.others[i] = client(t, addr, opts(id)...)
	}
	return h
}

// write writes records in one transaction, and tells what of it is in each partition.
func (h *handing) write(cl *kgo.Client, n int, transaction, commit bool) map[place]*fetch.Handed {
	h.t.Helper()
	if transaction {
		if err := cl.BeginTransaction(); err != nil {
			h.t.Fatal(err)
		}
	}
	var recs []*kgo.Record
	for range n {
		recs = append(recs, random(h.rng))
	}
	if err := cl.ProduceSync(h.t.Context(), recs...).FirstErr(); err != nil {
		h.t.Fatal(err)
	}
	if transaction {
		if err := cl.EndTransaction(h.t.Context(), kgo.TransactionEndTry(commit)); err != nil {
			h.t.Fatal(err)
		}
	}
	out := map[place]*fetch.Handed{}
	for _, r := range recs {
		at, rec := place{r.Topic, r.Partition}, fetch.Of(r)
		if !commit {
			continue
		}
		h.want[at] = append(h.want[at], text(&rec))
		if out[at] == nil {
			out[at] = &fetch.Handed{From: r.Offset, What: []string{}}
		}
		x := out[at]
		x.To, x.Records, x.What = r.Offset+1, x.Records+1, append(x.What.([]string), text(&rec))
	}
	return out
}

// slowly connects so that answers come late, by up to some milliseconds.
func slowly(rng *rand.Rand) func(context.Context, string, string) (net.Conn, error) {
	var mu sync.Mutex
	wait := func() {
		mu.Lock()
		d := time.Duration(rng.IntN(20_000)) * time.Microsecond
		mu.Unlock()
		time.Sleep(d)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return slowConn{c, wait}, err
	}
}

type slowConn struct {
	net.Conn
	wait func()
}

func (c slowConn) Read(b []byte) (int, error) {
	c.wait()
	return c.Conn.Read(b)
}

// What is taken is what was committed, each record once and in order, whatever of it was handed on, when it was, and who else
// wrote between.
func TestReader_HandedAndFetchedAreOneLog(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 2))
			_, addr := cluster(t)
			h := newHanding(t, addr, rng)
			var inputs []fetch.Input
			index := map[place]int{}
			for i := range 6 {
				at := place{[]string{"a", "b"}[i%2], int32(i / 2)}
				index[at] = i
				inputs = append(inputs, fetch.Input{Topic: at.topic, Partition: at.partition})
			}
			most := []int{0, 3, 1000}[rng.IntN(3)]
			far := client(t, addr, kgo.Dialer(slowly(rand.New(rand.NewPCG(seed, 4)))))
			r := fetch.New(far, fetch.Config{MaxWait: 50 * time.Millisecond, MaxBytes: 1 << uint(4+rng.IntN(12)), MaxHanded: most}, inputs)
			defer r.Close()
			ours := []float64{.5, .9, 1}[rng.IntN(3)] // share of transactions that are handed on, or may be
			handed := 0
			var wrote sync.WaitGroup
			wrote.Go(func() {
				for range 120 {
					if h.rng.Float64() < ours {
						for at, x := range h.write(h.mine, 1+h.rng.IntN(12), true, true) {
							if h.rng.Float64() < ours && r.Hand(index[at], x) {
								handed++
							}
							if h.rng.IntN(20) == 0 { // twice: whoever reads has it
								if r.Hand(index[at], x) && x.From > 0 {
									handed++
								}
							}
						}
						continue
					}
					switch who := h.rng.IntN(4); who {
					case 3:
						h.write(h.mine, 1+h.rng.IntN(3), true, false)
					default:
						h.write(h.others[who], 1, who < 2, who > 0)
					}
				}
			})
			got := map[place][]string{}
			written := make(chan struct{})
			go func() { wrote.Wait(); close(written) }()
			var ends kadm.ListedOffsets
			reads := rand.New(rand.NewPCG(seed, 3))
			for over := false; !over || !done(r, inputs, ends); {
				if !over {
					select {
					case <-written:
						var err error
						if ends, err = kadm.NewClient(h.mine).ListEndOffsets(t.Context(), "a", "b"); err != nil {
							t.Fatal(err)
						}
						over = true
					default:
					}
				}
				time.Sleep(time.Duration(reads.IntN(3)) * time.Millisecond)
				for i, in := range inputs {
					at := place{in.Topic, in.Partition}
					if x := r.TakeHanded(i); x != nil {
						if reads.IntN(10) == 0 { // whoever takes it cannot use it
							r.Again(i, x.From)
							continue
						}
						got[at] = append(got[at], x.What.([]string)...)
						continue
					}
					recs, err := r.Take(i, nil, 1+reads.IntN(7))
					if err != nil {
						t.Fatal(err)
					}
					for _, rec := range recs {
						got[at] = append(got[at], text(&rec))
					}
					r.Hold(i, reads.IntN(8) == 0)
					r.Spend(i)
					r.Release(i)
				}
			}
			if diff := cmp.Diff(h.want, got); diff != "" {
				t.Errorf("(-committed +reader)\n%s", diff)
			}
			if ours == 1 && most == 1000 && handed < 20 {
				t.Errorf("%d were handed on, where nothing else was written", handed)
			}
		})
	}
}

// A reader fetches, although what it cannot use goes on being handed on: what comes later, or lies before what it read, as of a
// topic that was made again.
func TestReader_FetchesWhatWasNotHandedOn(t *testing.T) {
	for name, from := range map[string]int64{"beyond": 100, "before": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, addr := cluster(t)
			cl := client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			for i := range 5 {
				write(t, cl, fmt.Sprint(i))
			}
			r := fetch.New(cl, fetch.Config{MaxWait: 20 * time.Millisecond, MaxBytes: 1 << 20, MaxHanded: 10}, []fetch.Input{{Topic: "a", Offset: 5}})
			defer r.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			go func() {
				for ctx.Err() == nil {
					r.Hand(0, &fetch.Handed{From: from, To: from + 1, Records: 1})
					time.Sleep(5 * time.Millisecond)
				}
			}()
			write(t, cl, "5")
			if got, err := next(ctx, r); err != nil || got != "5" {
				t.Errorf("got %q, %v; want 5", got, err)
			}
		})
	}
}
