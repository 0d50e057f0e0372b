package stream_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/record"
)

// FuzzRestoreSequence mends the checksum, so that what is behind it is reached.
func FuzzRestoreSequence(f *testing.F) {
	const topic = "raw.spot.trade.kraken"
	task, err := stream.NewSequence(sequenceConfig(f, topic))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(task.AppendSnapshot(nil))
	var out stream.Sequenced
	for i, x := range []record.Raw{
		{Format: []byte("auto"), Key: []byte("BTC-USD"), Value: []byte(`[321,[["57126.70000","0.02063928","1616333924.737428","b","m",""]],"trade","XBT/USD"]`)},
		{Format: []byte("binance"), Value: []byte(`{"a":1}`)}, {Format: []byte("tardis-csv"), Feed: []byte("x"), Value: []byte("exchange,symbol,timestamp")},
	} {
		x.Offset = int64(i)
		if err := errors.Join(task.Add(context.Background(), x), task.Step(&out)); err != nil {
			f.Fatal(err)
		}
		f.Add(task.AppendSnapshot(nil))
	}
	f.Fuzz(func(t *testing.T, snap []byte) {
		if len(snap) >= 4 {
			snap = bytes.Clone(snap)
			binary.BigEndian.PutUint32(snap[len(snap)-4:], crc32.Checksum(snap[:len(snap)-4], crc32.MakeTable(crc32.Castagnoli)))
		}
		task, err := stream.RestoreSequence(sequenceConfig(t, topic), snap)
		if err != nil {
			return
		}
		x := record.Raw{Offset: max(task.Next(), 0), Format: []byte("auto"), Value: []byte(`[321,[["57126.70000","0.02063928","1616333924.737428","b","m",""]],"trade","XBT/USD"]`)}
		var out stream.Sequenced
		if err := errors.Join(task.Add(context.Background(), x), task.Step(&out)); err == nil {
			task.AppendSnapshot(nil)
		}
	})
}
