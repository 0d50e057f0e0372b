package fetch

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a record of a partition. What it refers to is the memory of its batch.
type Record struct {
	Offset     int64
	Time       int64   // µs; Kafka has milliseconds
	Key, Value []byte  // nil where there is none; up to their capacity other records may lie behind
	Headers    Headers // in their order
}

// Headers are the headers of a record as they are stored.
type Headers []byte

// Next takes the first header off; ok is false when there is none, or what is left is damaged.
func (h *Headers) Next() (key, value []byte, ok bool) {
	// Lengths of one byte, as nearly all are: even, and below 128.
	if b := *h; len(b) > 1 && b[0]&0x81 == 0 {
		if v := 1 + int(b[0]>>1); v < len(b) && b[v]&0x81 == 0 {
			if end := v + 1 + int(b[v]>>1); end <= len(b) {
				*h = b[end:]
				return b[1:v:v], b[v+1 : end : end], true
			}
		}
	}
	key, i := sized(*h, 0)
	if i < 0 || key == nil {
		return nil, nil, false
	}
	if value, i = sized(*h, i); i < 0 {
		return nil, nil, false
	}
	*h = (*h)[i:]
	return key, value, true
}

// Header is the value of the first header with a key; nil when there is none.
func (r *Record) Header(key string) []byte {
	for h := r.Headers; ; {
		k, v, ok := h.Next()
		if !ok {
			return nil
		}
		if string(k) == key {
			return v
		}
	}
}

// Of is a record of the client as the package has it.
func Of(r *kgo.Record) Record {
	out := Record{Offset: r.Offset, Time: r.Timestamp.UnixMicro(), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(binary.AppendVarint(out.Headers, int64(len(h.Key))), h.Key...)
		if h.Value == nil {
			out.Headers = binary.AppendVarint(out.Headers, -1)
			continue
		}
		out.Headers = append(binary.AppendVarint(out.Headers, int64(len(h.Value))), h.Value...)
	}
	return out
}

// number reads a zigzag varint at i and says where it ends, -1 when it is cut or too long.
func number(src []byte, i int) (v int64, next int) {
	u := uint64(0)
	switch {
	case i < len(src) && src[i] < 0x80: // most have one byte, or two
		u, i = uint64(src[i]), i+1
	case i+1 < len(src) && src[i+1] < 0x80:
		u, i = uint64(src[i]&0x7f)|uint64(src[i+1])<<7, i+2
	default:
		n := 0
		if u, n = binary.Uvarint(src[min(i, len(src)):]); n <= 0 {
			return 0, -1
		}
		i += n
	}
	return int64(u>>1) ^ -int64(u&1), i
}

// sized reads bytes after their length at i, and says where they end, -1 when they are cut; those of length -1 are nil.
func sized(src []byte, i int) (b []byte, next int) {
	n, i := number(src, i)
	switch {
	case i < 0 || n > int64(len(src)-i):
		return nil, -1
	case n < 0:
		return nil, i
	}
	return src[i : i+int(n) : i+int(n)], i + int(n)
}
