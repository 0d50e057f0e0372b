package stream

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal ends a snapshot that began at an offset of dst with its magic: CRC-32C of all of it.
func seal(dst []byte, at int) []byte {
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// appendSized appends what fill appends, after its length.
func appendSized(dst []byte, fill func(dst []byte) []byte) []byte {
	var room [binary.MaxVarintLen64]byte
	at := len(dst)
	dst = fill(append(dst, room[:]...))
	state := dst[at+len(room):]
	n := binary.PutUvarint(dst[at:], uint64(len(state)))
	return dst[:at+n+copy(dst[at+n:], state)]
}

// unseal checks magic and checksum, and reads what is between.
func unseal(src []byte, magic string) (reader, error) {
	if len(src) < len(magic)+4 || string(src[:len(magic)]) != magic {
		return reader{}, ErrCorrupt
	}
	body, sum := src[:len(src)-4], binary.BigEndian.Uint32(src[len(src)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return reader{}, ErrCorrupt
	}
	return reader{body[len(magic):]}, nil
}

// appendText appends a text after its length.
func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// reader reads a snapshot; src is nil after the first error.
type reader struct{ src []byte }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		r.src = nil
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.src)
	if n <= 0 {
		r.src = nil
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.src) {
		r.src = nil
		return nil
	}
	b := r.src[:n]
	r.src = r.src[n:]
	return b
}

// sized reads bytes after their length; they are those of the snapshot.
func (r *reader) sized() []byte { return r.bytes(int(min(r.uvarint(), math.MaxInt32))) }

func (r *reader) text() string { return string(r.sized()) }
