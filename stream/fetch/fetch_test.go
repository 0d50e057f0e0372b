package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/stream/fetch"
)

func cluster(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2), kfake.SeedTopics(3, "a", "b")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()[0]
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// fill writes batches of all codecs by two producers whose transactions overlap, some aborted,
// and one that has none. It returns what counts.
func fill(t *testing.T, addr string, rng *rand.Rand) map[place]map[int64]string {
	t.Helper()
	committed := map[place]map[int64]string{}
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.GzipCompression()}
	for round := range 6 {
		var open []*kgo.Client
		var wrote [3][]*kgo.Record
		for p := range 3 {
			opts := []kgo.Opt{kgo.ProducerBatchCompression(codecs[(round+p)%len(codecs)]), kgo.RecordPartitioner(kgo.ManualPartitioner())}
			if p > 0 {
				opts = append(opts, kgo.TransactionalID(fmt.Sprint("p", p)))
			}
			cl := client(t, addr, opts...)
			if p > 0 {
				if err := cl.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
			}
			open = append(open, cl)
		}
		for range 12 {
			p := rng.IntN(len(open))
			cl := open[p]
			for range rng.IntN(5) {
				r := random(rng)
				wrote[p] = append(wrote[p], r)
				cl.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			if err := cl.Flush(t.Context()); err != nil { // so that batches of producers take turns
				t.Fatal(err)
			}
		}
		for _, p := range rng.Perm(3) {
			commit := p == 0 || rng.IntN(2) == 0
			if p > 0 {
				if err := open[p].EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range wrote[p] {
				at := place{r.Topic, r.Partition}
				if committed[at] == nil {
					committed[at] = map[int64]string{}
				}
				if rec := fetch.Of(r); commit {
					committed[at][r.Offset] = text(&rec)
				}
			}
		}
	}
	return committed
}

func random(rng *rand.Rand) *kgo.Record {
	r := &kgo.Record{Topic: []string{"a", "b"}[rng.IntN(2)], Partition: rng.Int32N(3), Timestamp: time.UnixMilli(rng.Int64N(2e12))}
	bytes := func() []byte {
		if rng.IntN(4) == 0 {
			return nil
		}
		return []byte(strconv.FormatUint(rng.Uint64()>>rng.IntN(64), 36))
	}
	r.Key, r.Value = bytes(), bytes()
	for range rng.IntN(4) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: []string{"", "id", "of"}[rng.IntN(3)], Value: bytes()})
	}
	return r
}

type place struct {
	topic     string
	partition int32
}

// text is all of a record.
func text(r *fetch.Record) string {
	s := fmt.Sprintf("%d %d %q %t %q %t", r.Offset, r.Time, r.Key, r.Key == nil, r.Value, r.Value == nil)
	for h := r.Headers; ; {
		k, v, ok := h.Next()
		if !ok {
			return s
		}
		s += fmt.Sprintf(" %q=%q %t", k, v, v == nil)
	}
}

// What is taken, in whatever portions and however often inputs are held, is what was committed,
// each record once and in order.
func TestReader_GivesWhatWasCommitted(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			_, addr := cluster(t)
			want := fill(t, addr, rng)
			cl := client(t, addr)
			ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), "a", "b")
			if err != nil {
				t.Fatal(err)
			}
			var inputs []fetch.Input
			ends.Each(func(o kadm.ListedOffset) {
				in := fetch.Input{Topic: o.Topic, Partition: o.Partition, Offset: rng.Int64N(o.Offset / 2)}
				inputs = append(inputs, in)
				maps.DeleteFunc(want[place{o.Topic, o.Partition}], func(offset int64, _ string) bool { return offset < in.Offset })
			})
			r := fetch.New(cl, fetch.Config{MaxWait: 50 * time.Millisecond, MaxBytes: 1 << uint(4+rng.IntN(12))}, inputs)
			defer r.Close()
			got := map[place]map[int64]string{}
			last := map[place]int64{}
			for !done(r, inputs, ends) {
				if err := r.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i, in := range inputs {
					r.Hold(i, rng.IntN(4) == 0)
					recs, err := r.Take(i, nil, 1+rng.IntN(7))
					if err != nil {
						t.Fatal(err)
					}
					at := place{in.Topic, in.Partition}
					if got[at] == nil {
						got[at] = map[int64]string{}
					}
					for _, rec := range recs {
						if at := last[at]; rec.Offset <= at && at > 0 {
							t.Errorf("%v: %d after %d", in, rec.Offset, at)
						}
						last[at] = rec.Offset
						got[at][rec.Offset] = text(&rec)
					}
					if rng.IntN(2) == 0 {
						r.Spend(i)
						r.Release(i)
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-committed +reader)\n%s", diff)
			}
			for i := range inputs {
				if r.Behind(i) != 0 {
					t.Errorf("input %d is %d behind at its end", i, r.Behind(i))
				}
			}
		})
	}
}

func done(r *fetch.Reader, inputs []fetch.Input, ends kadm.ListedOffsets) bool {
	for i, in := range inputs {
		if end, _ := ends.Lookup(in.Topic, in.Partition); r.Next(i) < end.Offset {
			r.Hold(i, false)
			return false
		}
	}
	return true
}

// next is the value of the next record of the only input.
func next(ctx context.Context, r *fetch.Reader) (string, error) {
	for {
		if err := r.Wait(ctx); err != nil || ctx.Err() != nil {
			return "", errors.Join(err, ctx.Err())
		}
		if recs, err := r.Take(0, nil, 1); err != nil || len(recs) > 0 {
			r.Spend(0)
			r.Release(0)
			if err != nil {
				return "", err
			}
			return string(recs[0].Value), nil
		}
	}
}

func write(t *testing.T, cl *kgo.Client, value string) {
	t.Helper()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Partition: 0, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// A partition that another broker leads is read there.
func TestReader_FollowsTheLeader(t *testing.T) {
	c, addr := cluster(t)
	cl := client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r := fetch.New(cl, fetch.Config{MaxWait: 20 * time.Millisecond, MaxBytes: 1 << 20}, []fetch.Input{{Topic: "a"}})
	defer r.Close()
	for i := range 4 {
		if err := c.MoveTopicPartition("a", 0, int32(i%2)); err != nil {
			t.Fatal(err)
		}
		write(t, cl, fmt.Sprint(i))
		if got, err := next(t.Context(), r); err != nil || got != fmt.Sprint(i) {
			t.Fatalf("got %q, %v; want %d", got, err, i)
		}
	}
}

// What is not there any more is told, and so is a topic that is another one.
func TestReader_TellsWhatIsGone(t *testing.T) {
	_, addr := cluster(t)
	cl := client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	write(t, cl, "x")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := fetch.New(cl, fetch.Config{MaxWait: 20 * time.Millisecond, MaxBytes: 1 << 20}, []fetch.Input{{Topic: "a", Offset: 5}})
	defer r.Close()
	if got, err := next(ctx, r); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("got %q, %v beyond the end", got, err)
	}
	r = fetch.New(cl, fetch.Config{MaxWait: 20 * time.Millisecond, MaxBytes: 1 << 20}, []fetch.Input{{Topic: "a"}})
	defer r.Close()
	if _, err := next(ctx, r); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(client(t, addr))
	if _, err := adm.DeleteTopics(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopics(ctx, 3, 1, nil, "a"); err != nil {
		t.Fatal(err)
	}
	if got, err := next(ctx, r); !errors.Is(err, kerr.UnknownTopicID) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("got %q, %v of a topic made again", got, err)
	}
}

// Close ends a reader whose broker does not answer.
func TestReader_ClosesWithoutABroker(t *testing.T) {
	c, addr := cluster(t)
	cl := client(t, addr)
	r := fetch.New(cl, fetch.Config{MaxWait: time.Second, MaxBytes: 1 << 20}, []fetch.Input{{Topic: "a"}, {Topic: "b", Partition: 2}})
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Wait(ctx); err != nil {
		t.Error(err)
	}
	r.Close()
	if err := r.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is taken after Spend is good beyond the next Release.
func TestReader_KeepsWhatIsNotSpent(t *testing.T) {
	_, addr := cluster(t)
	cl := client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	for i := range 3 {
		write(t, cl, strings.Repeat(fmt.Sprint(i), 1000))
	}
	r := fetch.New(cl, fetch.Config{MaxWait: 20 * time.Millisecond, MaxBytes: 1 << 20}, []fetch.Input{{Topic: "a"}})
	defer r.Close()
	take := func() string {
		for t.Context().Err() == nil {
			recs, err := r.Take(0, nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(recs) > 0 {
				return unsafe.String(unsafe.SliceData(recs[0].Value), len(recs[0].Value)) // as long as it is good
			}
			time.Sleep(time.Millisecond)
		}
		return ""
	}
	first := take()
	r.Spend(0)
	second := take()
	r.Release(0)
	third := take()
	if second[0] != '1' || third[0] != '2' {
		t.Errorf("%.1s and %.1s, want 1 and 2", second, third)
	}
	if first[0] != '2' {
		t.Errorf("the first one is %.1s: its memory was not used again, so nothing was tested", first)
	}
}
