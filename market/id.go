package market

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// EventID is the identity of an event with a venue id: the 128-bit XXH3 of feed,
// exchange, market, symbol, kind and venue id. Time is left out on purpose: the same
// trade comes in milliseconds from a socket and in microseconds from a bulk file.
//
// prefix is IDPrefix of the event's instrument and feed; buf is scratch, returned grown.
func EventID(buf, prefix, venueID []byte) (ID, []byte) {
	buf = append(append(buf[:0], prefix...), venueID...)
	return hashID(buf), buf
}

// PayloadID is the identity of an event without a venue id: the hash of its canonical
// payload and of its ordinal among identical payloads before it in the same input.
func PayloadID(buf, prefix, payload []byte, ordinal uint32) (ID, []byte) {
	buf = append(append(buf[:0], prefix...), 0)
	buf = append(buf, payload...)
	buf = binary.BigEndian.AppendUint32(buf, ordinal)
	return hashID(buf), buf
}

// IDPrefix is the part of the hashed text that all events of a feed, instrument and kind share.
func IDPrefix(feed, exchange string, v Venue, symbol, kind string) []byte {
	var b []byte
	for _, s := range []string{feed, exchange, v.String(), symbol, kind} {
		b = append(append(b, s...), 0)
	}
	return b
}

func hashID(b []byte) ID {
	h := xxh3.Hash128(b)
	var id ID
	binary.BigEndian.PutUint64(id[:8], h.Hi)
	binary.BigEndian.PutUint64(id[8:], h.Lo)
	return id
}
