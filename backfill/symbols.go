package backfill

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
)

// symbols makes the wanted symbols canonical and refuses one that no event has.
func (in *Inputs) symbols(ctx context.Context, wanted []string) ([]string, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	var words []string
	for _, w := range wanted {
		words = append(words, strings.ToUpper(w), market.CleanSymbol(strings.ToUpper(w)))
	}
	there := map[string]bool{}
	for i := range in.Tables {
		if err := in.seen(ctx, &in.Tables[i], lake.Query{Where: map[string][]string{"symbol": words}}, there); err != nil {
			return nil, err
		}
	}
	var out []string
	for i, w := range wanted {
		found := ""
		for _, word := range words[2*i : 2*i+2] {
			if there[word] {
				found = word
			}
		}
		if found == "" {
			return nil, in.unknown(ctx, w)
		}
		if !slices.Contains(out, found) {
			out = append(out, found)
		}
	}
	slices.Sort(out)
	return out, nil
}

// unknown words that no event is of a symbol, with the nearest ones of a file.
func (in *Inputs) unknown(ctx context.Context, word string) error {
	known := map[string]bool{}
	for i := range in.Tables {
		t := &in.Tables[i]
		if len(t.Files) == 0 {
			continue
		}
		f := slices.MinFunc(t.Files, func(a, b File) int { return int(min(1, max(-1, a.Rows-b.Rows))) })
		if err := in.seen(ctx, t, lake.Query{From: f.First, To: f.Last + 1}, known); err != nil {
			return err
		}
	}
	var names []string
	for n := range known {
		names = append(names, n)
	}
	slices.Sort(names)
	return fault.Usage("symbol_unknown", fmt.Sprintf("the input has no symbol %s", word), fault.DidYouMean(strings.ToUpper(word), names))
}

// seen enters the symbols of rows.
func (in *Inputs) seen(ctx context.Context, t *Table, q lake.Query, into map[string]bool) error {
	if t.Snapshot == 0 {
		return nil
	}
	q.Columns = []string{"symbol"}
	sc, err := t.table.Scan(ctx, q)
	if err != nil {
		return err
	}
	defer sc.Close()
	for {
		b, err := sc.Next()
		if err != nil || b == nil {
			return err
		}
		for i := range b.N {
			into[string(b.Cols[0].Text(i))] = true
		}
	}
}
