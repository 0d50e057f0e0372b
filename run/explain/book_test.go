package explain

import (
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
)

// Recorded books of four venues: what explain works out over maps and rationals is what
// the engine gives, bit for bit.
func TestExplain_BooksOfCaptures(t *testing.T) {
	for _, file := range []string{
		"captures/kraken_v1_20210417.jsonl.zst", "captures/okx_v5_20220513_btc.jsonl.zst",
		"captures/bybit_v5_20260809_btc_eth.jsonl.zst", "captures/binance_usdm_20210722.jsonl.zst",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			in := exdata.Path(t, file)
			all := rows(t, "book_1s", in)
			if len(all) < 20 {
				t.Fatalf("%d rows", len(all))
			}
			values := 0
			for k := range 4 {
				row := all[(2*k+1)*len(all)/8]
				entity := strings.Join([]string{row["exchange"], row["market"], row["symbol"]}, "/")
				x, err := Explain(t.Context(), Config{View: "book_1s", Time: number(t, row["row_ts"]), Entity: entity, Inputs: []string{in}, Limit: 1})
				if err != nil {
					t.Fatalf("%v: %v", row, err)
				}
				for _, f := range x.Features {
					if f.Value != row[f.Name] || f.Recomputed != Equal {
						t.Errorf("%s %s %s: run writes %q, shown %q, recomputed: %s (%s)", f.Name, x.Entity, x.RowTS, row[f.Name], f.Value, f.Recomputed, f.Numbers)
					}
					if f.Value != "" {
						values++
					}
				}
			}
			t.Logf("%d values", values)
		})
	}
}
