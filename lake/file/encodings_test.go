package file

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// TestEncodings_Measure prints what every column of real events takes in every encoding
// that its type allows: the numbers in encodings.go. TIDEMARK_MEASURE=1 asks for it.
func TestEncodings_Measure(t *testing.T) {
	if os.Getenv("TIDEMARK_MEASURE") == "" {
		t.Skip("a measurement, no test: set TIDEMARK_MEASURE=1")
	}
	names := map[Encoding]string{EncodingPlain: "plain", EncodingDelta: "delta", EncodingSplit: "split", EncodingDictionary: "dictionary",
		EncodingLengths: "lengths", EncodingPrefix: "prefix"}
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	for k, b := range sequenced(t, insts, feeds, realFiles...) {
		if b.N < 10_000 {
			continue
		}
		p := NewPacker(nil, market.Kind(k), false, insts, feeds)
		size := map[string]map[Encoding]float64{}
		for e := EncodingPlain; e <= EncodingPrefix; e++ {
			cols := append([]Column(nil), p.Columns()...)
			for i := range cols {
				if e.allowed(cols[i].Type) && cols[i].Name != "symbol" {
					cols[i].Encoding = e
				}
			}
			w, err := NewWriter(cols, EventKeys())
			if err != nil {
				t.Fatal(err)
			}
			packedCols, err := p.Pack(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Append(packedCols, nil); err != nil {
				t.Fatal(err)
			}
			var buf bytes.Buffer
			info, err := w.Finish(&buf)
			if err != nil {
				t.Fatal(err)
			}
			for i := range cols {
				if cols[i].Encoding != e {
					continue
				}
				n := int64(0)
				for _, g := range info.Meta.RowGroups {
					n += g.Columns[i].MetaData.TotalCompressedSize
				}
				if size[cols[i].Name] == nil {
					size[cols[i].Name] = map[Encoding]float64{}
				}
				size[cols[i].Name][e] = float64(n) / float64(info.Rows)
			}
		}
		for i := range p.Columns() {
			c := &p.Columns()[i]
			line := fmt.Sprintf("%-9s %-22s", market.Kind(k), c.Name)
			for e := EncodingPlain; e <= EncodingPrefix; e++ {
				if v, ok := size[c.Name][e]; ok {
					mark := " "
					if e == c.encoding() {
						mark = "*"
					}
					line += fmt.Sprintf("  %s %.3f%s", names[e], v, mark)
				}
			}
			fmt.Println(line)
		}
	}
}
