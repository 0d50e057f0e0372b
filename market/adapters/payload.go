package adapters

import (
	"strings"
)

// Suffixes of feeds beside an instrument's main one.
const (
	aggSuffix = "-agg" // aggregate trades
	topSuffix = "-top" // partial books
)

// MainFeed is the feed to give a decoder in Env.Feed so that it books events to the feed named:
// decoders put the suffixes of side feeds behind it themselves.
func MainFeed(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, aggSuffix), topSuffix)
}

// Unwrapper takes off what collectors put around that which a venue sent.
type Unwrapper struct{ capture capture }

// Unwrap returns what the venue sent, of a record of an input: without the envelope of a capture
// and without the receive time before a line. Ingest, URL and Conn are what they said. ok is false
// when the record has nothing of the venue. Data is valid as long as that of rec, and until
// the next call.
func (u *Unwrapper) Unwrap(rec *Record) (payload Record, ok bool) {
	r, err := u.capture.unwrap(rec)
	if err != nil {
		return r, false
	}
	if r.Data = trimSpace(r.Data); len(r.Data) == 0 || cutPrefix(&r) != nil {
		return r, false
	}
	return r, len(r.Data) > 0
}

// Holder is a Decoder that keeps records back until later ones tell what they are about.
type Holder interface {
	Held() int // how many it keeps
}
