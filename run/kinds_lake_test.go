package run_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/run"
)

const reading = `kind: reading
id: ref
columns:
  ref: {type: text, nullable: true}
  level: {type: decimal, unit: quote, nullable: true}
  heat: {type: float, nullable: true}
  steps: int
  mode: {type: enum, words: [calm, storm]}
  fine: {type: bool, nullable: true}
  seen: {type: time, nullable: true}
  wait: duration
  note: text
`

// readings are rows of the kind, with nulls, some late and some twice; more are columns added later.
func readings(n int, seed uint64, more string) string {
	r := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,ref,level,heat,steps,mode,fine,seen,wait,note" + more + "\n")
	or := func(text string) string {
		if r.IntN(4) == 0 {
			return ""
		}
		return text
	}
	ts := int64(1762795440000000) + int64(seed)*3_600_000_000
	for i := range n {
		ts += r.Int64N(2_000_000)
		at := ts
		if i%97 == 5 {
			at -= 5_000_000
		}
		ref := or(fmt.Sprintf("r%d-%d", seed, i))
		line := fmt.Sprintf("reading,met,met-%d,index,%s,%d,%d,%s,%s,%s,%d,%s,%s,%s,%d,%s", r.IntN(2), []string{"KDFW", "KJFK"}[r.IntN(2)], at, ts+100,
			ref, or(fmt.Sprintf("%d.%02d", r.IntN(90), r.IntN(100))), or(fmt.Sprint(r.NormFloat64())), r.IntN(9)-4, []string{"calm", "storm"}[r.IntN(2)],
			or("true"), or(fmt.Sprint(at-1000)), r.IntN(1000), []string{`""`, `"a, b"`, "plain"}[r.IntN(3)])
		if more != "" {
			line += "," + or(fmt.Sprintf("%d.5", r.IntN(50)))
		}
		b.WriteString(line + "\n")
		if i%53 == 7 && ref != "" { // equal rows without an id are events of their own
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

const overReadings = `view: weather
version: 1
from: reading
by: [symbol]
window: {tumbling: 1m}
features:
  n: count(heat)
  level: sum(level)
  high: max(level)
  heat: last(heat)
  calm: count(steps where mode == calm and fine)
  steps: sum(steps)
  note: last(note)
`

// The rows of a view over a kind of one's own are the same bits from its files and from its table in
// a lake, though another run defines other kinds beside it; a second import adds nothing.
func TestKindsLake_RowsEqualThoseOfTheFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	l, err := lake.Open(t.Context(), lake.Config{Dir: filepath.Join(dir, "lake"), Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	env := func(out *bytes.Buffer) run.Env { return run.Env{Stdout: out, Warn: func(string) {}, Lake: l} }
	kind, view := put("reading.yaml", reading), put("over.yaml", overReadings)
	first := put("a.csv", readings(3000, 1, ""))
	imported := func(kind string, files ...string) (added, known int64) {
		t.Helper()
		rep, err := run.Import(t.Context(), run.ImportConfig{Specs: []string{kind}, Inputs: files, Plain: true}, l, env(nil))
		if err != nil {
			t.Fatal(err)
		}
		c := rep.Tables["processed.reading"]
		return c.Added, c.Known
	}
	if added, known := imported(kind, first); added != 3000 || known != 0 {
		t.Errorf("added %d, known %d of 3000", added, known)
	}
	if added, known := imported(kind, first); added != 0 || known != 3000 {
		t.Errorf("again: added %d, known %d of 3000", added, known)
	}
	rows := func(cfg run.Config) string {
		t.Helper()
		var out bytes.Buffer
		if _, err := run.Run(context.Background(), cfg, env(&out)); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	compare := func(kind string, files ...string) {
		t.Helper()
		for _, corrected := range []bool{false, true} {
			cfg := run.DefaultConfig()
			cfg.Specs, cfg.View, cfg.Inputs, cfg.Corrected = []string{kind, view}, "weather", files, corrected
			want := rows(cfg)
			// a kind before it by name moves its number
			cfg.Specs = []string{put("aaa.yaml", "kind: aaa\ncolumns:\n  x: int\n"), kind, view, put("other.yaml", strings.NewReplacer("reading", "aaa", "weather", "other").Replace(
				"view: over2\nversion: 1\nfrom: reading\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  n: sum(x)\n"))}
			for _, in := range []string{"lake:processed.reading", "lake:"} {
				cfg.Inputs = []string{in}
				if got := rows(cfg); got != want || strings.Count(want, "\n") < 50 {
					t.Errorf("corrected %v, %s: rows differ: %q", corrected, in, firstDifference(want, got))
				}
			}
		}
	}
	compare(kind, first)

	// columns and words come at the end; rows of the older definition have null there
	grown := put("grown.yaml", strings.Replace(reading, "[calm, storm]", "[calm, storm, flood]", 1)+"  depth: {type: decimal, unit: base, nullable: true}\n")
	compare(grown, first)
	second := put("b.csv", strings.ReplaceAll(readings(500, 2, ",depth"), ",storm,", ",flood,"))
	if added, known := imported(grown, second); added != 500 || known != 0 {
		t.Errorf("grown: added %d, known %d of 500", added, known)
	}
	compare(grown, first, second)
	if added, known := imported(grown, first, second); added != 0 || known != 3500 {
		t.Errorf("grown, again: added %d, known %d of 3500", added, known)
	}

	for name, text := range map[string]string{
		"unit": strings.Replace(reading, "unit: quote", "unit: base", 1), "words": strings.Replace(reading, "[calm, storm]", "[storm, calm]", 1),
		"id": strings.Replace(reading, "id: ref\n", "", 1), "type": strings.Replace(reading, "steps: int", "steps: float", 1),
		"fewer": strings.Replace(reading, "  note: text\n", "", 1), "required": reading + "  depth: int\n",
	} {
		other := put("changed.yaml", text)
		_, err := run.Import(t.Context(), run.ImportConfig{Specs: []string{other}, Inputs: []string{put("c.csv", readings(3, 3, ""))}}, l, env(nil))
		if name != "fewer" && name != "required" && (err == nil || fault.From(err).Code != "kind_changed") {
			t.Errorf("%s: import gave %v", name, err)
		}
		cfg := run.DefaultConfig()
		cfg.Specs, cfg.Inputs = []string{other, put("least.yaml", "view: least\nversion: 1\nfrom: reading\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  n: count()\n")}, []string{"lake:"}
		var out bytes.Buffer
		if _, err := run.Run(context.Background(), cfg, env(&out)); err == nil || fault.From(err).Code != "kind_changed" {
			t.Errorf("%s: run gave %v", name, err)
		}
	}
}
