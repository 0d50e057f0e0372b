package fetch

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a record of a partition. What it refers to is the memory of its batch.
type Record struct {
	Offset     int64
	Time       int64   // µs; Kafka has milliseconds
	Key, Value []byte  // nil where there is none
	Headers    Headers // in their order
}

// Headers are the headers of a record as they are stored.
type Headers []byte

// Next takes the first header off; ok is false when there is none, or what is left is damaged.
func (h *Headers) Next() (key, value []byte, ok bool) {
	src := []byte(*h)
	if key, src, ok = sized(src); !ok || key == nil {
		return nil, nil, false
	}
	if value, src, ok = sized(src); !ok {
		return nil, nil, false
	}
	*h = src
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

// varint reads a zigzag number; ok is false when it is cut or too long.
func varint(src []byte) (v int64, rest []byte, ok bool) {
	if len(src) > 0 && src[0] < 0x80 { // most are short
		return int64(src[0]>>1) ^ -int64(src[0]&1), src[1:], true
	}
	v, n := binary.Varint(src)
	if n <= 0 {
		return 0, nil, false
	}
	return v, src[n:], true
}

// sized reads bytes after their length; those of length -1 are nil.
func sized(src []byte) (b, rest []byte, ok bool) {
	n, src, ok := varint(src)
	switch {
	case !ok || n > int64(len(src)):
		return nil, nil, false
	case n < 0:
		return nil, src, true
	}
	return src[:n:n], src[n:], true
}
