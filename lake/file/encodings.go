package file

import "github.com/pinova-group/tidemark/market"

// The encodings of event columns that are not their type's.
const (
	encodingID   = EncodingRandom
	encodingText = EncodingLengths
)

// mantissa is the encoding of a decimal's digits: prices move little from row to row.
func mantissa(f *market.Field) Encoding {
	if f.Unit == "quote" {
		return EncodingDelta
	}
	return EncodingDelta
}
