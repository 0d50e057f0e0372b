package fetch

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// However much there is to read, no more waits than twice what the config says, what one more broker was asked for
// when it was less, and a batch of each partition; and all of it comes when it is taken.
func TestReader_BoundsWhatWaits(t *testing.T) {
	const partitions, batches, size = 6, 12, 100 << 10
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(partitions, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var inputs []Input
	for p := range int32(partitions) {
		inputs = append(inputs, Input{Topic: "a", Partition: p})
		for range batches {
			value := make([]byte, size)
			_, _ = rand.Read(value)
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "a", Partition: p, Value: value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	config := Config{MaxWait: 50 * time.Millisecond, MaxBytes: 256 << 10}
	r := New(cl, config, inputs)
	defer r.Close()
	waiting := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.bytes
	}
	const bound = 3*256<<10 + partitions*(size+1<<10)
	most, same, last := 0, 0, -1
	var recs []Record
	var taken int
	for taken < partitions*batches {
		for same < 5 { // nobody takes, until nothing more comes
			time.Sleep(10 * time.Millisecond)
			n := waiting()
			if same++; n != last {
				same = 0
			}
			last, most = n, max(most, n)
			if err := ctx.Err(); err != nil {
				t.Fatalf("%d records taken: %v", taken, err)
			}
		}
		same = 0
		for i := range inputs {
			if recs, err = r.Take(i, recs[:0], 1); err != nil {
				t.Fatal(err)
			}
			taken += len(recs)
			r.Spend(i)
			r.Release(i)
		}
	}
	if most > bound || most < int(config.MaxBytes) {
		t.Errorf("%d bytes waited, of %d in all; want %d at most", most, partitions*batches*size, bound)
	}
}
