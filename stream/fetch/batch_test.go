package fetch

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stored is a batch of records as a broker stores it.
func stored(first int64, attributes int16, producer int64, records ...kmsg.Record) []byte {
	b := kmsg.RecordBatch{FirstOffset: first, Magic: 2, Attributes: attributes, LastOffsetDelta: int32(len(records) - 1), FirstTimestamp: 1000, MaxTimestamp: 2000, ProducerID: producer, NumRecords: int32(len(records))}
	for i := range records {
		r := &records[i]
		r.OffsetDelta = int32(i)
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		b.Records = r.AppendTo(b.Records)
	}
	b.Length = int32(recordsAt - lengthAt - 4 + len(b.Records))
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[crcAt:], crc32.Checksum(raw[bodyAt:], castagnoli))
	return raw
}

func record(value string) kmsg.Record { return kmsg.Record{Value: []byte(value)} }

// A broker cuts an answer where it is full: what is whole is read, and how much room the rest needs
// is known when nothing was.
func TestParse_CutAnswers(t *testing.T) {
	one, two := stored(0, 0, -1, record("first"), record("second")), stored(2, 0, -1, record("third"))
	all := append(bytes.Clone(one), two...)
	for n := range len(all) + 1 {
		got, err := parse(&kmsg.FetchResponseTopicPartition{RecordBatches: all[:n]}, 0, nil)
		if err != nil {
			t.Fatalf("%d of %d bytes: %v", n, len(all), err)
		}
		next, need := int64(0), 0
		switch {
		case n == len(all):
			next = 3
		case n >= len(one):
			next = 2
		case n > magicAt:
			need = len(one)
		}
		if got.next != next || got.need != need {
			t.Errorf("%d of %d bytes: next %d, need %d; want %d, %d", n, len(all), got.next, got.need, next, need)
		}
	}
}

// No byte of a batch that is changed passes for another batch.
func TestParse_DamagedBatches(t *testing.T) {
	raw := stored(0, 0, -1, record("first"), record("second"))
	for i := range raw {
		if i < lengthAt || i >= lengthAt+4 && i < magicAt {
			continue // where it is, and the leader's epoch, which brokers write
		}
		bad := bytes.Clone(raw)
		bad[i] ^= 0x55
		got, err := parse(&kmsg.FetchResponseTopicPartition{RecordBatches: bad}, 0, nil)
		if err == nil && len(got.batches) > 0 {
			t.Errorf("byte %d: taken for a batch", i)
		}
	}
}

// The kind of the client decides alike about aborted transactions, which brokers may tell of in any
// order and which producers may go on after.
func TestParse_AbortedTransactions(t *testing.T) {
	const data, control = transactionBit, transactionBit | controlBit
	abort, commit := kmsg.Record{Key: []byte{0, 0, 0, 0}}, kmsg.Record{Key: []byte{0, 0, 0, 1}}
	var raw []byte
	for _, b := range [][]byte{
		stored(0, data, 1, record("1 aborted")), stored(1, data, 2, record("2 committed")), stored(2, 0, -1, record("none")),
		stored(3, control, 1, abort), stored(4, data, 1, record("1 committed")), stored(5, control, 2, commit), stored(6, control, 1, commit),
		stored(7, data, 1, record("1 aborted again")), stored(8, data, 2, record("2 aborted")), stored(9, control, 1, abort),
		stored(10, control, 2, abort), stored(11, data, 1, record("1 last")), stored(12, control, 1, commit),
	} {
		raw = append(raw, b...)
	}
	rp := kmsg.FetchResponseTopicPartition{RecordBatches: raw, AbortedTransactions: []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 2, FirstOffset: 8}, {ProducerID: 1, FirstOffset: 7}, {ProducerID: 1, FirstOffset: 0}}}
	got, err := parse(&rp, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, b := range got.batches {
		var r Record
		if err := b.next(&r); err != nil {
			t.Fatal(err)
		}
		values = append(values, string(r.Value))
	}
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{IsolationLevel: kgo.ReadCommitted()}, &rp, kgo.DefaultDecompressor(), nil)
	var want []string
	for _, r := range fp.Records {
		want = append(want, string(r.Value))
	}
	if len(want) != 4 || !equal(values, want) || got.next != next {
		t.Errorf("got %q up to %d, the client %q up to %d", values, got.next, want, next)
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// FuzzParse: whatever a broker answers is read or refused, within bounds.
func FuzzParse(f *testing.F) {
	f.Add(stored(0, 0, -1, record("first"), record("second")), int64(0))
	f.Add(stored(7, transactionBit|controlBit, 3, kmsg.Record{Key: []byte{0, 0, 0, 0}}), int64(3))
	d := kgo.DefaultDecompressor()
	f.Fuzz(func(t *testing.T, raw []byte, from int64) {
		if len(raw) > recordsAt { // a sum that fits lets more of it be looked at
			binary.BigEndian.PutUint32(raw[crcAt:], crc32.Checksum(raw[bodyAt:], castagnoli))
		}
		got, err := parse(&kmsg.FetchResponseTopicPartition{RecordBatches: raw}, from, d.Decompress)
		if err == nil && got.next < from {
			t.Errorf("back from %d to %d", from, got.next)
		}
		for i := range got.batches {
			for b := &got.batches[i]; b.n > 0; {
				var r Record
				if b.next(&r) != nil {
					break
				}
				for h := r.Headers; ; {
					if _, _, ok := h.Next(); !ok {
						break
					}
				}
			}
		}
	})
}

// Records are read in one way whatever their sizes; damaged ones are refused, or are other records to both.
func TestBatch_QuickIsSlow(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 1))
	bytesOf := func(n int) []byte {
		if n < 0 {
			return nil
		}
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	quick := 0
	for range 20_000 {
		in := kmsg.Record{
			TimestampDelta64: r.Int64N(1<<r.IntN(40)+1) - 3, OffsetDelta: int32(r.IntN(1 << r.IntN(25))), Key: bytesOf(r.IntN(1<<r.IntN(8)+1) - 1),
			Value: bytesOf(r.IntN(1<<r.IntN(15)+1) - 1),
		}
		for range r.IntN(4) {
			in.Headers = append(in.Headers, kmsg.Header{Key: "id", Value: bytesOf(r.IntN(20))})
		}
		in.Length = int32(len(in.AppendTo(nil)) - 1)
		raw := in.AppendTo(nil)
		if r.IntN(4) == 0 {
			raw[r.IntN(len(raw))] = byte(r.Uint32())
		}
		whole := len(raw)
		raw = append(raw, bytesOf(r.IntN(40))...)
		one, two := batch{records: raw, n: 1, first: 7, time: 1000}, batch{records: raw, n: 1, first: 7, time: 1000}
		var a, b Record
		if !one.quick(&a) {
			if len(one.records) != len(raw) || one.n != 1 {
				t.Fatalf("%x: what was not read is gone", raw)
			}
			continue
		}
		quick++
		if err := two.slow(&b); err != nil {
			t.Fatalf("%x: read, but %v", raw[:whole], err)
		}
		if !reflect.DeepEqual(a, b) || !bytes.Equal(one.records, two.records) || one.n != two.n {
			t.Fatalf("%x: %+v, slowly %+v", raw[:whole], a, b)
		}
	}
	if quick < 5000 {
		t.Errorf("%d records were read quickly", quick)
	}
}
