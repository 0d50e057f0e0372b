package explain

import (
	"context"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/run"
)

// Rows of bars and sessions are worked out again from their events, windows and all, and
// agree to the last bit; each is made of as many events as it says.
func TestExplain_BarsAndSessions(t *testing.T) {
	t.Parallel()
	c := gen.DefaultConfig()
	c.Events, c.Rate, c.Symbols, c.Venues, c.Late = 3000, 30, c.Symbols[:2], c.Venues[:1], 5_000
	in := gen.Output{Path: filepath.Join(t.TempDir(), "events.jsonl"), Format: gen.CanonicalJSONL}
	if _, err := gen.Write(t.Context(), c, in); err != nil {
		t.Fatal(err)
	}
	for name, window := range map[string]string{
		"volume":    "{bar: sum(price * quantity), size: 20000, reset: 20s}",
		"tick":      "{bar: count(where side == buy), size: 7, reset: 1h}",
		"range":     "{bar: max(price) - min(price), size: 12, reset: 30s}",
		"session":   "{session: 300ms, max: 10s}",
		"truncated": "{session: 3s, max: 5s}",
	} {
		spec := write(t, name+".yaml", "view: v\nversion: 1\nfrom: trade\nwhere: side != unknown\nby: [market, symbol]\nwindow: "+window+
			"\nfeatures:\n  n: count()\n  close: last(price)\n  vwap: sum(price * quantity) / sum(quantity)\n  length: window_end - window_start\n")
		cfg := run.DefaultConfig()
		cfg.Specs, cfg.Inputs, cfg.Output = []string{spec}, []string{in.Path}, filepath.Join(t.TempDir(), "rows.csv")
		if _, err := run.Run(t.Context(), cfg, run.Env{Stdout: io.Discard, Warn: func(string) {}}); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(cfg.Output)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil || len(lines) < 10 {
			t.Fatalf("%s: %d rows, %v", name, len(lines), err)
		}
		for i := 1; i < len(lines); i += 1 + len(lines)/8 {
			row := lines[i]
			x, err := Explain(context.Background(), Config{View: "v", Specs: []string{spec}, Inputs: cfg.Inputs, Entity: row[0] + "/" + row[1],
				Time: (number(t, row[2]) + number(t, row[4])) / 2, Limit: 3})
			if err != nil {
				t.Errorf("%s row %d %v: %v", name, i, row, err)
				continue
			}
			if x.Features[0].Value != row[7] || int64(x.Count) != number(t, row[7]) {
				t.Errorf("%s row %d %v: made of %d events, %+v", name, i, row, x.Count, x.Features[0])
			}
			for k, y := range x.Features {
				if y.Recomputed != "equal" || y.Value != row[7+k] {
					t.Errorf("%s row %d %v: %s is %s, recomputed %s", name, i, row, y.Name, y.Value, y.Recomputed)
				}
			}
		}
	}
}
