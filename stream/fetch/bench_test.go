package fetch

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkTake walks over a batch of records like those of trades.
func BenchmarkTake(b *testing.B) {
	const n = 9000
	records := make([]kmsg.Record, n)
	for i := range records {
		records[i] = kmsg.Record{
			TimestampDelta64: int64(i / 2), Key: fmt.Appendf(nil, "C%03d-USDT", i%17), Value: make([]byte, 100+i%9),
			Headers: []kmsg.Header{{Key: "id", Value: make([]byte, 16)}},
		}
	}
	raw := stored(0, 0, -1, records...)[recordsAt:]
	rs := make([]Record, 512)
	for b.Loop() {
		x := batch{records: raw, n: n}
		for x.n > 0 {
			if _, err := x.take(rs); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
}
