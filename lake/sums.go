package lake

import (
	"encoding/json"
	"fmt"

	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/parity"
)

// sumsKey is where the footer of a staged file has the sums of its rows by hour, so that who publishes it need not read them.
const sumsKey = "tidemark.sums"

// footerSums is the text of that entry. Version 1.
type footerSums struct {
	Version int      `json:"version"`
	Hours   []int64  `json:"hours"` // µs
	Rows    []int64  `json:"rows"`
	Sums    []string `json:"sums"`
}

// Sum has the files say what the ledger gets when a publication takes them over. It comes before the first row, of a
// table of features.
func (r *Rows) Sum() (err error) {
	r.enc, err = r.t.NewRowEncoder(r.cols)
	return err
}

// sum adds a row to those of its file.
func (r *Rows) sum(p *openFile, b *file.Batch, row int) {
	r.message = r.enc.AppendMessage(r.message[:0], b, row)
	p.sums.At(r.enc.RowTS(b, row)).Add(parity.HashOf(r.message))
}

func encodeSums(c *parity.Cells) (string, error) {
	f := footerSums{Version: 1}
	for _, x := range c.List {
		f.Hours, f.Rows, f.Sums = append(f.Hours, x.Hour), append(f.Rows, x.Sum.Rows), append(f.Sums, x.Sum.Checksum())
	}
	b, err := json.Marshal(f)
	return string(b), err
}

// sumsOf are the sums in the footer of a file; ok is false where it has none that are of all of its rows.
func sumsOf(r *file.Reader) (c parity.Cells, ok bool, err error) {
	text := r.Meta().KeyValueMetadata().FindValue(sumsKey)
	if text == nil {
		return c, false, nil
	}
	var f footerSums
	if err := json.Unmarshal([]byte(*text), &f); err != nil {
		return c, false, fmt.Errorf("footer %s: %w", sumsKey, err)
	}
	if f.Version != 1 || len(f.Rows) != len(f.Hours) || len(f.Sums) != len(f.Hours) {
		return c, false, nil
	}
	rows := int64(0)
	for i, hour := range f.Hours {
		s, err := parity.ParseSum(f.Rows[i], f.Sums[i])
		if err != nil {
			return c, false, fmt.Errorf("footer %s: %w", sumsKey, err)
		}
		sum := c.At(hour)
		*sum = sum.Plus(s)
		rows += f.Rows[i]
	}
	return c, rows == r.Rows(), nil
}
