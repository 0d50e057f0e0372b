package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/stream/record"
)

// pools is the memory of what was read, as a consumer that cares has it.
type pools struct{ bytes, records sync.Pool }

func (p *pools) GetDecompressBytes(src []byte, _ kgo.CompressionCodecType) []byte {
	if b, ok := p.bytes.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, 4*len(src))
}
func (p *pools) PutDecompressBytes(b []byte) { p.bytes.Put(&b) }

func (p *pools) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok {
		return *r
	}
	return make([]kgo.Record, 0, n)
}
func (p *pools) PutRecords(r []kgo.Record) { p.records.Put(&r) }

// What bench/streams.py holds the jobs to: a consumer that reads a topic of events to its end, decodes them
// into columns and does nothing with them. TIDEMARK_BENCH_TOPIC names it, of the brokers at TIDEMARK_BENCH_BROKERS.
func TestConsume_PlainAndDecode(t *testing.T) {
	topic, brokers := os.Getenv("TIDEMARK_BENCH_TOPIC"), os.Getenv("TIDEMARK_BENCH_BROKERS")
	if topic == "" {
		t.Skip("TIDEMARK_BENCH_TOPIC is not set: bench/streams.py runs it")
	}
	ctx := t.Context()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.WithPools(&pools{}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	dec := record.NewEventDecoder(record.NewSchemasOf(nil, nil), market.NewFeeds(), market.NewInstruments())
	var chunk market.Chunk
	var values [][]byte
	var alone []int // in a block, that are not decoded with the others
	events := 0
	began := time.Time{}
	for len(left) > 0 {
		fetches := cl.PollRecords(ctx, 20_000)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		if began.IsZero() {
			began = time.Now()
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			chunk.Reset()
			values = values[:0]
			for _, r := range p.Records {
				if r.Offset+1 >= left[p.Partition] {
					delete(left, p.Partition)
				}
				if !r.Attrs.IsControl() {
					values = append(values, r.Value)
				}
			}
			events += len(values)
			for block := range slices.Chunk(values, wire.BlockRows) {
				_, alone = dec.DecodeBlock(block, &chunk, alone[:0])
				for _, i := range alone {
					if _, err := dec.Decode(ctx, block[i], &chunk); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, r := range p.Records {
				r.Recycle()
			}
		})
	}
	line, err := json.Marshal(map[string]any{"trades": events, "wall": time.Since(began).Seconds()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}
