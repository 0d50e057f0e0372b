package spectest

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/input"
)

// MaxEvents bounds the events of a recorded test: people read them.
const MaxEvents = 1000

var testName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Record makes a test named name for the last of cfg.Specs from the first events of the
// input that are of a kind that it reads, and lie in the range and among the symbols of
// cfg. It returns the text of a tests: entry with the rows that the view gives today; that
// they are right is for the reader to see.
func Record(ctx context.Context, cfg run.Config, name string, events int, env run.Env) (string, error) {
	if err := cfg.Validate(); err != nil {
		return "", err
	}
	if !testName.MatchString(name) {
		return "", fault.Usage("test_name", fmt.Sprintf("%q is no name of a test", name), "want lower-case letters, digits and _, a letter first, at most 63")
	}
	if events < 1 || events > MaxEvents {
		return "", fault.Usage("test_events", fmt.Sprintf("a test of %d events", events), fmt.Sprintf("want 1 to %d", MaxEvents))
	}
	_, src, err := run.Check(cfg.Specs, nil)
	if err != nil {
		return "", err
	}
	spec, _, ok := run.LastView(src)
	if !ok {
		return "", fault.Usage("view_missing", "these specs define kinds and no view", "name the view to record a test of, too")
	}
	text, err := firstEvents(ctx, cfg, events, env)
	if err != nil {
		return "", err
	}
	test := lang.Test{Name: name, Input: text}
	rows, _, res, err := rowsOf(ctx, cfg.Specs, spec, &test)
	if err != nil {
		return "", err
	}
	if res.Problem != "" {
		return "", &fault.Error{Code: "test_unusable", Message: "the recorded events do not run", Why: res.Problem, Exit: fault.ExitFailed}
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	var cols []int
	var head []string
	for i, f := range rows.schema.Fields {
		if f.Name != "row_ts" { // told by window_end
			cols, head = append(cols, i), append(head, f.Name)
		}
	}
	if err := w.Write(head); err != nil {
		return "", err
	}
	for _, row := range rows.rows {
		cells := make([]string, len(cols))
		for k, c := range cols {
			cells[k] = row[c]
		}
		if err := w.Write(cells); err != nil {
			return "", err
		}
	}
	w.Flush()
	return fmt.Sprintf("tests:\n  %s:\n    input: |\n%s    rows: |\n%s", name, indent(text), indent(b.String())), w.Error()
}

func indent(text string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		b.WriteString("      " + l)
	}
	return b.String()
}

// firstEvents reads the input until it has enough events, and writes them as canonical
// CSV, or as JSON lines when they are of several kinds.
func firstEvents(ctx context.Context, cfg run.Config, most int, env run.Env) (string, error) {
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	plan, _, err := run.Compile(cfg.Specs, nil, feeds)
	if err != nil {
		return "", err
	}
	var read [market.NumKinds]bool
	kinds, o := 0, canon.Options{Format: canon.JSONL, Kinds: plan.Kinds()}
	for _, in := range plan.Inputs() {
		read[in.Kind] = true
		kinds++
		o.Kind = in.Kind
	}
	if kinds == 1 {
		o.Format, o.Prints = canon.CSV, o.Kind == market.KindTrade
	}
	paths, err := input.Expand(cfg.Inputs)
	if err != nil {
		return "", err
	}
	r, err := input.Open(input.Config{
		Paths: paths, Adapters: run.Formats(), Format: cfg.Format, Feed: cfg.Feed, Feeds: feeds, Insts: insts, Kinds: plan.Kinds(), Stdin: env.Stdin,
	})
	if err != nil {
		return "", err
	}
	defer r.Close()
	var text strings.Builder
	w := canon.NewWriter(&text, o, feeds, insts)
	var ch input.Chunk
	n, bad := 0, 0
	for n < most {
		if err := r.Next(ctx, &ch); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
		for i := range ch.Bad {
			bad += ch.Bad[i].Count
		}
		for _, b := range ch.Batches {
			if b == nil || !read[b.Kind] {
				continue
			}
			for i := 0; i < b.N && n < most; i++ {
				if !wanted(&cfg, b.EventTS[i], insts.Get(b.Inst[i]).Symbol) {
					continue
				}
				if err := w.WriteRow(b, i); err != nil {
					return "", fmt.Errorf("write event %d: %w", n+1, err)
				}
				n++
			}
		}
	}
	if bad > 0 {
		env.Warn(fmt.Sprintf("bad records left out: %d; tidemark data inspect shows them", bad))
	}
	if n == 0 {
		return "", fault.Usage("sample_empty", "the input holds no event that the view reads, in this range and of these symbols", "tidemark data inspect shows what is in it")
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	return text.String(), nil
}

func wanted(cfg *run.Config, t int64, symbol string) bool {
	if cfg.From != market.NoTime && t < cfg.From || cfg.To != market.NoTime && t >= cfg.To {
		return false
	}
	for _, w := range cfg.Symbols {
		if strings.EqualFold(symbol, w) || symbol == market.CleanSymbol(strings.ToUpper(w)) {
			return true
		}
	}
	return len(cfg.Symbols) == 0
}
