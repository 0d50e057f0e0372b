package book

import (
	"hash/crc32"
	"strconv"
)

// ChecksumKraken is the checksum of Kraken's WebSocket v1 and v2 book channels: CRC-32
// (IEEE) over the 10 best asks from low to high, then the 10 best bids from high to
// low, each price then quantity without point and leading zeros. The digits must be
// those of the pair, which Kraken sends in full, so the book's mantissas are the text.
func ChecksumKraken(b *Book) uint32 {
	t := b.text[:0]
	var p, q [10]int64
	for _, s := range [2]Side{Ask, Bid} {
		from := b.From(s)
		for k := range from.Next(p[:], q[:]) {
			t = strconv.AppendInt(t, p[k], 10)
			t = strconv.AppendInt(t, q[k], 10)
		}
	}
	b.text = t
	return crc32.ChecksumIEEE(t)
}

// ChecksumOKX is the checksum of OKX's books channels: CRC-32 (IEEE), read as a signed
// number, over the 25 best levels interleaved as bid:quantity:ask:quantity:…; where one
// side is short the rest of the other follows. OKX prints numbers without trailing
// zeros ("30228", "0.5"), so that form is rebuilt whatever the scale of the book.
func ChecksumOKX(b *Book) int32 {
	const depth = 25
	t := b.text[:0]
	var p, q [2][depth]int64
	var n [2]int
	for s := range n {
		from := b.From(Side(s))
		n[s] = from.Next(p[s][:], q[s][:])
	}
	for k := range depth {
		for s := range n {
			if k < n[s] {
				t = append(appendPlain(t, p[s][k], b.ps), ':')
				t = append(appendPlain(t, q[s][k], b.qs), ':')
			}
		}
	}
	b.text = t
	if len(t) > 0 {
		t = t[:len(t)-1]
	}
	return int32(crc32.ChecksumIEEE(t))
}

// appendPlain prints m × 10^-scale without trailing zeros; m is not negative.
func appendPlain(dst []byte, m int64, scale int8) []byte {
	for scale > 0 && m%10 == 0 {
		m, scale = m/10, scale-1
	}
	if scale == 0 {
		return strconv.AppendInt(dst, m, 10)
	}
	unit := pow10[scale]
	dst = append(strconv.AppendInt(dst, m/unit, 10), '.')
	at := len(dst)
	dst = strconv.AppendInt(dst, unit+m%unit, 10) // the leading 1 keeps the zeros
	dst[at] = dst[at+1]
	copy(dst[at:], dst[at+1:])
	return dst[:len(dst)-1]
}

// Checksum is the rule by which an exchange lets its books be verified. The zero
// Checksum verifies nothing.
type Checksum uint8

// The rules.
const (
	NoChecksum Checksum = iota
	KrakenChecksum
	OKXChecksum
)

// ChecksumOf is the rule of an exchange.
func ChecksumOf(exchange string) Checksum {
	switch exchange {
	case "kraken":
		return KrakenChecksum
	case "okx":
		return OKXChecksum
	}
	return NoChecksum
}

// Agrees reports whether the book has the checksum that came with a row. OKX sends 0
// since it stopped computing them.
func (b *Book) Agrees(rule Checksum, sum int64) bool {
	switch rule {
	case KrakenChecksum:
		return ChecksumKraken(b) == uint32(sum)
	case OKXChecksum:
		return sum == 0 || uint32(ChecksumOKX(b)) == uint32(sum)
	}
	return true
}
