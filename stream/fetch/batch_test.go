package fetch

import (
	"bytes"
	"encoding/binary"
	"errors"
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
		got, err := parse(&kmsg.FetchResponseTopicPartition{RecordBatches: all[:n]}, 0)
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
		got, err := parse(&kmsg.FetchResponseTopicPartition{RecordBatches: bad}, 0)
		if err == nil && len(got.batches) > 0 {
			t.Errorf("byte %d: taken for a batch", i)
		}
	}
}

// What says that it is compressed and is not, or has not as many records as it says, is refused where it is taken.
func TestBatch_OpenRefusesDamaged(t *testing.T) {
	d := kgo.DefaultDecompressor()
	for name, b := range map[string]batch{
		"snappy":         {records: []byte("not snappy"), codec: kgo.CodecSnappy, n: 1},
		"zstd":           {records: []byte("not zstd"), codec: kgo.CodecZstd, n: 1},
		"no such codec":  {records: []byte("?"), codec: 7, n: 1},
		"too many":       {records: []byte{0, 0}, n: 3},
		"less than none": {records: []byte{0, 0}, n: -1},
	} {
		if err := b.open(d); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
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
	got, err := parse(&rp, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, b := range got.batches {
		r := make([]Record, 1)
		if _, err := b.take(r); err != nil {
			t.Fatal(err)
		}
		values = append(values, string(r[0].Value))
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
		got, err := parse(&kmsg.FetchResponseTopicPartition{RecordBatches: raw}, from)
		if err == nil && got.next < from {
			t.Errorf("back from %d to %d", from, got.next)
		}
		for i := range got.batches {
			b := &got.batches[i]
			if b.open(d) != nil {
				continue
			}
			for b.n > 0 {
				rs := make([]Record, 3)
				n, err := b.take(rs)
				for _, r := range rs[:n] {
					for h := r.Headers; ; {
						if _, _, ok := h.Next(); !ok {
							break
						}
					}
				}
				if err != nil {
					break
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
	quick, damaged := 0, 0
	for range 10_000 {
		var raw []byte
		n := 1 + r.IntN(4)
		for range n {
			in := kmsg.Record{
				TimestampDelta64: r.Int64N(1<<r.IntN(40)+1) - 3, OffsetDelta: int32(r.IntN(1 << r.IntN(25))), Key: bytesOf(r.IntN(1<<r.IntN(8)+1) - 1),
				Value: bytesOf(r.IntN(1<<r.IntN(15)+1) - 1),
			}
			for range r.IntN(4) {
				in.Headers = append(in.Headers, kmsg.Header{Key: "id", Value: bytesOf(r.IntN(20))})
			}
			in.Length = int32(len(in.AppendTo(nil)) - 1)
			raw = in.AppendTo(raw)
		}
		if r.IntN(4) == 0 {
			raw[r.IntN(len(raw))] = byte(r.Uint32())
		}
		raw = append(raw, bytesOf(r.IntN(40))...)
		one := batch{records: raw, n: n, first: 7, time: 1000, stamped: r.IntN(4) == 0}
		two, three := one, one
		var a, b, c []Record
		for one.n > 0 { // the first ones that are quick, one that is not
			rs := make([]Record, 1+r.IntN(3))
			k := one.quick(rs[:min(len(rs), one.n)])
			a, quick = append(a, rs[:k]...), quick+k
			if one.n > 0 && k < len(rs) {
				if one.slow(&rs[0]) != nil {
					break
				}
				a = append(a, rs[0])
			}
		}
		var err error
		for two.n > 0 {
			var rec Record
			if err = two.slow(&rec); err != nil {
				damaged++
				break
			}
			b = append(b, rec)
		}
		c = make([]Record, n+1)
		k, wrong := three.take(c)
		if !reflect.DeepEqual(a, b) || !bytes.Equal(one.records, two.records) || one.n != two.n {
			t.Fatalf("%x: %+v, slowly %+v", raw, a, b)
		}
		if k != len(b) || k > 0 && !reflect.DeepEqual(c[:k], b) || (wrong == nil) != (err == nil) || !bytes.Equal(three.records, two.records) || three.n != two.n {
			t.Fatalf("%x: took %+v, %v, one by one %+v, %v", raw, c[:k], wrong, b, err)
		}
	}
	if quick < 5000 || damaged < 50 {
		t.Errorf("%d records were read quickly, %d batches were damaged", quick, damaged)
	}
}
