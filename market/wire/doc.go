// Package wire writes and reads events as the Protobuf messages of proto/tidemark/v1, one
// row of a batch at a time, straight from and to its columns. The schema of a kind drives
// both ways, so a column that is added to market.Schema (and to the .proto file) needs no
// code here, and a user-defined kind has messages too, numbered by the same rule. Package pb has the same messages as generated Go.
//
// The bytes of a row are canonical: fields in the order of their numbers, values that are
// zero left out unless the column can be null, lists packed, varints as short as can be.
// The reader takes any valid encoding and skips fields that it does not know. It refuses
// what it cannot represent: nothing is cut, rounded or guessed (I10).
package wire

import (
	"errors"

	"github.com/pinova-group/tidemark/market"
)

// MaxPayload is the size of the longest message that is read: 8 MiB, some ten times a
// full order book of 50,000 levels. What a message makes of memory is at most 8 times that.
const MaxPayload = 8 << 20

// MaxText is the longest text of a column, in bytes.
const MaxText = 4096

// maxName is the longest feed, exchange and symbol (market.ValidSymbol).
const maxName = 64

// What is wrong with a message.
var (
	errCut      = errors.New("message ends inside a field")
	errVarint   = errors.New("varint of more than 64 bits")
	errTag      = errors.New("field number or wire type is not valid")
	errType     = errors.New("wire type does not fit the field")
	errScale    = errors.New("scale is not in 0..18")
	errMantissa = errors.New("mantissa is not in ±(2^63-1)")
	errEnum     = errors.New("code is not known")
	errBool     = errors.New("truth value is not 0 or 1")
	errFloat    = errors.New("float is infinite, not a number, or -0")
	errText     = errors.New("text is too long or not UTF-8")
	errNumber   = errors.New("number is too large")
	errID       = errors.New("event id is not of 16 bytes")
	errName     = errors.New("feed, exchange or symbol is not a valid name")
	errMarket   = errors.New("market is not known")
	errNames    = errors.New("names are given twice")
	errFull     = errors.New("too many feeds or instruments")
	errLong     = errors.New("columns of the batch are full")
	errNull     = errors.New("null in a column that cannot be null")
)

// Numbers of the fields: the envelope, then value and scale of each column.
const (
	numEnvelope = 1
	numFirst    = 2
)

// FieldNumber is the number of a column in the message of its kind; the scale of a decimal has the next one.
func FieldNumber(col int) int { return numFirst + 2*col }

// Wire types.
const (
	typeVarint  = 0
	typeFixed64 = 1
	typeBytes   = 2
	typeFixed32 = 5
)

// wireType is the wire type of a column's value.
func wireType(t market.Type) int {
	switch t {
	case market.TypeTime, market.TypeFloat:
		return typeFixed64
	case market.TypeText, market.TypeDecs:
		return typeBytes
	}
	return typeVarint
}

// Numbers of the fields of the envelope.
const (
	envFeed = iota + 1
	envExchange
	envMarket
	envSymbol
	envEventTS
	envIngestTS
	envTS
	envEventID
	envSeq
	envHasSeq
	envEpoch
	envShard
	envFlags
	envRawBytes
)
