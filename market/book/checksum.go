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
	for _, s := range [2]Side{Ask, Bid} {
		p, q := b.Levels(s)
		for k := range min(10, len(p)) {
			t = strconv.AppendInt(t, p[len(p)-1-k], 10)
			t = strconv.AppendInt(t, q[len(q)-1-k], 10)
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
	for k := range depth {
		for _, s := range [2]Side{Bid, Ask} {
			p, q := b.Levels(s)
			if k >= len(p) {
				continue
			}
			t = append(appendPlain(t, p[len(p)-1-k], b.ps), ':')
			t = append(appendPlain(t, q[len(q)-1-k], b.qs), ':')
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

// Agrees reports whether the book has the checksum that an exchange sent with a row;
// true where the exchange sends none that can be verified. OKX sends 0 since it stopped
// computing them.
func (b *Book) Agrees(exchange string, sum int64) bool {
	switch exchange {
	case "kraken":
		return ChecksumKraken(b) == uint32(sum)
	case "okx":
		return sum == 0 || uint32(ChecksumOKX(b)) == uint32(sum)
	}
	return true
}
