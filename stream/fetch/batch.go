package fetch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrDamaged says that a batch is not what a producer wrote.
var ErrDamaged = errors.New("batch of records is damaged")

// batch is records of one batch that were not taken yet.
type batch struct {
	records []byte
	codec   kgo.CompressionCodecType // in which they are; none once the first was taken
	n       int                      // how many
	first   int64                    // offset that those of the records are relative to
	time    int64                    // likewise, ms; of all records when stamped
	stamped bool                     // by the broker
	end     int64                    // offset after the last one
	memory  []byte                   // that goes back to the pool; nil: it is the answer's
	size    int                      // as it is stored
	handed  *Handed                  // what it is in place of records; nil: it is records
}

// open makes the records ready to be taken: so late that they are in the nearest cache then.
func (b *batch) open(d kgo.Decompressor) error {
	if b.codec != kgo.CodecNone {
		raw, err := d.Decompress(b.records, b.codec)
		if err != nil {
			return fmt.Errorf("%w: before offset %d: %w", ErrDamaged, b.end, err)
		}
		b.records, b.memory, b.codec = raw, raw, kgo.CodecNone
	}
	if b.n < 0 || b.n > len(b.records) {
		return fmt.Errorf("%w: %d records before offset %d", ErrDamaged, b.n, b.end)
	}
	return nil
}

// take takes records off, as many as dst has room for, and says how many: fewer than there are only with an error.
func (b *batch) take(dst []Record) (int, error) {
	n := 0
	for dst = dst[:min(len(dst), b.n)]; n < len(dst); n++ {
		if n += b.quick(dst[n:]); n == len(dst) {
			break
		}
		if err := b.slow(&dst[n]); err != nil {
			return n, err
		}
	}
	return n, nil
}

// slow takes the first record off, whatever it is.
func (b *batch) slow(r *Record) error {
	size, i := number(b.records, 0)
	if i < 0 || size < 1 || size > int64(len(b.records)-i) {
		return b.damaged()
	}
	src, after := b.records[i:i+int(size)], b.records[i+int(size):]
	at, i := number(src, 1) // behind attributes
	if i < 0 {
		return b.damaged()
	}
	offset, i := number(src, i)
	if i < 0 {
		return b.damaged()
	}
	if r.Key, i = sized(src, i); i < 0 {
		return b.damaged()
	}
	if r.Value, i = sized(src, i); i < 0 {
		return b.damaged()
	}
	if _, i = number(src, i); i < 0 { // how many headers
		return b.damaged()
	}
	r.Headers = src[i:]
	r.Offset, r.Time = b.first+offset, b.time*1000
	if !b.stamped {
		r.Time += at * 1000
	}
	b.records = after
	b.n--
	return nil
}

// stopBits are those that the last byte of a varint has not.
const stopBits = 0x8080808080808080

// quick takes records off as most are, with a key, a value and headers, in varints of few bytes, until one is not, and says how many.
func (b *batch) quick(dst []Record) int {
	p, n, base := b.records, 0, b.time*1000
	for ; n < len(dst); n++ {
		if len(p) < 16 || p[1] >= 0x80 || p[0]&1 != 0 {
			break
		}
		size, i := int(p[0]>>1), 1
		if p[0] >= 0x80 {
			size, i = int(p[0]&0x7f)>>1|int(p[1])<<6, 2
		}
		if size > len(p)-i || size < 10 {
			break
		}
		src, after := p[i:i+size], p[i+size:]
		w := binary.LittleEndian.Uint64(src[1:]) // behind attributes: the time, the offset, the length of the key
		at, t := short(w)
		w >>= t
		offset, o := short(w)
		w >>= o
		if t > 24 || o > 24 || w&0x81 != 0 {
			break
		}
		i = 2 + int(t+o)>>3
		key := i + int(w&0x7f)>>1
		if key+3 > len(src) {
			break
		}
		value, j := int(src[key]), key+1
		if value >= 0x80 {
			value, j = value&0x7f|int(src[j])<<7, j+1
		}
		end := j + value>>1
		if value&1 != 0 || value >= 1<<14 || end >= len(src) || src[end] >= 0x80 {
			break
		}
		r := &dst[n]
		r.Key, r.Value, r.Headers = src[i:key:key], src[j:end], src[end+1:len(src):len(src)]
		r.Offset, r.Time = b.first+(offset>>1^-(offset&1)), base
		if !b.stamped {
			r.Time += (at>>1 ^ -(at & 1)) * 1000
		}
		p = after
	}
	b.records = p
	b.n -= n
	return n
}

// short is the varint of three bytes at most that w begins with, and the number of its bits, which are more when it is none.
func short(w uint64) (v int64, n uint) {
	n = uint(bits.TrailingZeros64(^w&stopBits)) + 1
	w &= 1<<n - 1
	return int64(w&0x7f | w>>1&0x3f80 | w>>2&0x1fc000), n
}

func (b *batch) damaged() error {
	return fmt.Errorf("%w: a record before offset %d", ErrDamaged, b.end)
}

// Of a batch as it is stored.
const (
	lengthAt, magicAt, crcAt, bodyAt = 8, 16, 17, 21
	attributesAt, deltaAt            = 21, 23
	firstTimeAt, maxTimeAt           = 27, 35
	producerAt, countAt, recordsAt   = 43, 57, 61

	codecBits, stampedBit, transactionBit, controlBit = 7, 1 << 3, 1 << 4, 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// aborts are the transactions that were aborted, of each producer where they begin, in order.
type aborts map[int64][]int64

func abortsOf(rp *kmsg.FetchResponseTopicPartition) aborts {
	if len(rp.AbortedTransactions) == 0 {
		return nil
	}
	a := aborts{}
	for _, t := range rp.AbortedTransactions {
		a[t.ProducerID] = append(a[t.ProducerID], t.FirstOffset)
	}
	for _, firsts := range a {
		slices.Sort(firsts)
	}
	return a
}

// has reports whether what a producer wrote at an offset was aborted.
func (a aborts) has(producer, offset int64) bool {
	firsts := a[producer]
	return len(firsts) > 0 && offset >= firsts[0]
}

// parsed is what was read of a partition's part of an answer.
type parsed struct {
	batches []batch
	next    int64 // offset to go on from
	need    int   // bytes of a batch that did not fit, when there was none before it; 0: all fit
}

// parse reads batches from offset from on: committed ones, without the marks of transactions.
func parse(rp *kmsg.FetchResponseTopicPartition, from int64) (parsed, error) {
	out := parsed{next: from}
	aborted := abortsOf(rp)
	for in := rp.RecordBatches; len(in) > magicAt; {
		size := int64(int32(binary.BigEndian.Uint32(in[lengthAt:]))) + lengthAt + 4
		if size < recordsAt && in[magicAt] >= 2 || size <= magicAt {
			return out, fmt.Errorf("%w: length %d at offset %d", ErrDamaged, size, out.next)
		}
		if size > int64(len(in)) { // brokers cut where the answer is full
			if len(out.batches) == 0 && out.next == from {
				out.need = int(size)
			}
			return out, nil
		}
		b := in[:size]
		in = in[size:]
		if b[magicAt] != 2 {
			return out, fmt.Errorf("offset %d: messages of format %d are too old: rewrite the topic", out.next, b[magicAt])
		}
		if sum := binary.BigEndian.Uint32(b[crcAt:]); sum != crc32.Checksum(b[bodyAt:], castagnoli) {
			return out, fmt.Errorf("%w: checksum at offset %d", ErrDamaged, out.next)
		}
		first := int64(binary.BigEndian.Uint64(b))
		end := first + int64(int32(binary.BigEndian.Uint32(b[deltaAt:]))) + 1
		if end <= from {
			continue
		}
		attributes := binary.BigEndian.Uint16(b[attributesAt:])
		producer := int64(binary.BigEndian.Uint64(b[producerAt:]))
		switch {
		case attributes&controlBit != 0:
			if attributes&transactionBit != 0 && isAbort(b[recordsAt:]) && aborted.has(producer, first) {
				aborted[producer] = aborted[producer][1:]
			}
			out.next = end
			continue
		case attributes&transactionBit != 0 && aborted.has(producer, first):
			out.next = end
			continue
		}
		x := batch{
			records: b[recordsAt:], n: int(int32(binary.BigEndian.Uint32(b[countAt:]))), first: first, end: end, size: len(b),
			time: int64(binary.BigEndian.Uint64(b[firstTimeAt:])), stamped: attributes&stampedBit != 0,
		}
		if x.stamped {
			x.time = int64(binary.BigEndian.Uint64(b[maxTimeAt:]))
		}
		x.codec = kgo.CompressionCodecType(attributes & codecBits)
		out.next = end
		if x.n != 0 { // compaction can take all
			out.batches = append(out.batches, x)
		}
	}
	return out, nil
}

// isAbort reports whether the record of a control batch says that a transaction was aborted.
func isAbort(records []byte) bool {
	b := batch{records: records}
	var r Record
	return b.slow(&r) == nil && len(r.Key) >= 4 && r.Key[2] == 0 && r.Key[3] == 0
}
