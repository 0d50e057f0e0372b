package file

import "github.com/pinova-group/tidemark/market"

// Encodings of event columns that are not their type's (Column.encoding: numbers and
// times delta, strings and doubles dictionary, the rest plain). Bytes a row after zstd 3, of the real
// trades (53,172), quotes (111,167) and books (38,480) of the tests, measured with
// TIDEMARK_MEASURE=1 go test ./lake/file -run Measure; * is what is used.
//
//	column               kind    plain    delta    split    dictionary  lengths  prefix
//	ts                   trade    1.479   *1.358    1.775     2.788
//	ts                   quote    1.703   *1.253    1.925     3.463
//	seq                  trade    1.231   *0.012    0.039     3.093
//	seq                  quote    1.520   *0.997    1.651     3.499
//	id                   trade    0.647                       2.393      0.661   *0.149
//	event_id             trade   16.295                      18.212    *16.043   16.054
//	raw_bytes            trade    0.383   *0.282    0.245     0.311
//	side                 trade    0.277                      *0.097      0.353    0.316
//	price_mantissa       trade    1.006   *1.309    1.087     1.631
//	bid_price_mantissa   quote    0.186   *0.300    0.214     0.277
//	bid_price_mantissa   book   *21.348   29.572   20.841
//	price_scale          trade    0.085    0.071    0.059    *0.051
//	quantity_mantissa    trade    2.099   *2.383    1.750     2.500
//	bid_quantity_mantissa quote   1.477   *1.662    1.576     2.398
//	bid_quantity_mantissa book  *21.919   27.874   18.233
//	quantity_scale       trade    0.126    0.108    0.080    *0.077
//
// Prices and quantities are delta-packed although plain ones compress better: it is 2 % of a
// row, and zstd, which took a tenth of the time of writing trades, gets a third of the bytes
// to work on. Split (BYTE_STREAM_SPLIT) would be best for quantities, but DuckDB 1.5.5
// refuses it for integers. Ids of events are hashes: zstd and bounds would be work for nothing.
const (
	encodingID    = EncodingRandom
	encodingText  = EncodingPrefix
	encodingScale = EncodingDictionary
)

// mantissa is the encoding of a decimal's digits, or of those of a list of them.
func mantissa(f *market.Field) Encoding {
	if f.Type == market.TypeDec {
		return EncodingDelta
	}
	return EncodingPlain
}
