package sink

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
)

// CheckKind refuses a table whose rows are of another definition of the kind than the one at
// hand. A definition may have got columns and words at its end since the table was made.
func CheckKind(t *lake.Table, kinds *market.Kinds, k market.Kind) error {
	d := kinds.Definition(k)
	if d == nil {
		return nil
	}
	was := t.Property(propKind)
	why := differs(was, d.String())
	if why == "" {
		return nil
	}
	return &fault.Error{Code: "kind_changed", Message: "the table holds rows of another definition of " + d.Name, Where: t.Name(), Why: why, Exit: fault.ExitFailed,
		Remedy: "columns and words are only added at the end; anything else is another kind: give it another name"}
}

// differs says how a definition differs from an earlier one beyond what it may, "" when it does not.
func differs(was, now string) string {
	old, list := strings.Split(strings.TrimSuffix(was, ";"), "; "), strings.Split(strings.TrimSuffix(now, ";"), "; ")
	if len(old) > len(list) {
		return fmt.Sprintf("it has %d columns there and %d here", len(old), len(list))
	}
	for i, o := range old {
		n := list[i]
		oldHead, oldWords := cutWords(o)
		head, words := cutWords(n)
		if head != oldHead || len(words) < len(oldWords) || !slices.Equal(words[:len(oldWords)], oldWords) {
			return fmt.Sprintf("%q there and %q here", o, n)
		}
	}
	for _, n := range list[len(old):] {
		if !strings.HasSuffix(n, " or null") {
			return fmt.Sprintf("new column %q is not nullable, and old rows have no value of it", n)
		}
	}
	return ""
}

// cutWords takes the words out of a column of a definition.
func cutWords(column string) (rest string, words []string) {
	head, tail, ok := strings.Cut(column, " of (")
	if !ok {
		return column, nil
	}
	list, tail, _ := strings.Cut(tail, ")")
	return head + " of" + tail, strings.Fields(list)
}

// grow adds the columns that the definition of a user-defined kind has got since the table was made.
func grow(ctx context.Context, t *lake.Table, cols []file.Column, kinds *market.Kinds, k market.Kind, plain bool) (*lake.Table, []file.Column, error) {
	if kinds.Definition(k) == nil {
		return t, cols, nil
	}
	all := slices.Clone(cols)
	for _, c := range file.Events(kinds, k, plain) {
		if !slices.ContainsFunc(cols, func(h file.Column) bool { return h.Name == c.Name }) {
			all = append(all, c)
		}
	}
	if len(all) == len(cols) {
		return t, cols, nil
	}
	t, err := t.Evolve(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	cols, err = t.Columns()
	return t, cols, err
}
