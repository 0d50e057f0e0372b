package record

import (
	"fmt"

	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
)

// AppendLedger appends a delta, framed; schema is that of Schemas.Ledger.
func AppendLedger(dst []byte, schema uint32, d *parity.Delta) []byte {
	return d.Append(wire.AppendFrame(dst, schema))
}

// ReadLedger reads the record of a ledger topic.
func ReadLedger(value []byte) (parity.Delta, error) {
	_, message, err := wire.CutFrame(value)
	if err != nil {
		return parity.Delta{}, fmt.Errorf("decode a ledger record: %w", err)
	}
	return parity.ParseDelta(message)
}
