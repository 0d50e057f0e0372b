package backfill

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// smallBars are sizes that a short market fills.
var smallBars = map[string]string{
	"tick_bars.size": "7", "volume_bars.size": "1.5", "dollar_bars.size": "300", "volume_imbalance_bars.size": "0.8", "vpin_buckets.size": "4",
	"btc_clock.n": "0.004", "alts_per_btc.n": "0.002",
}

// lab is a simulated market as a file and as a lake.
type lab struct {
	file string
	dir  string
	lake *lake.Lake
	cfg  gen.Config
}

// market25 is a market of about 25 minutes over an hour's end, with disorder, duplicates,
// late events, holes and an outage.
func market25(events int64) gen.Config {
	c := gen.DefaultConfig()
	c.Seed, c.Events, c.Rate = 11, events, max(1, events/1500)
	c.Start += 3*market.Hour - 12*market.Minute
	c.Symbols, c.Venues = gen.Symbols(3), c.Venues[:2]
	c.Disorder, c.Duplicates, c.Late, c.Gaps = 100*market.Millisecond, 5000, 50_000, 2000
	c.Depth, c.SnapshotEvery = 5, market.Minute
	c.Outages = []gen.Outage{{Venue: c.Venues[0], At: 6 * market.Minute, For: 20 * market.Second}}
	return c
}

func newLab(t testing.TB, cfg gen.Config) *lab {
	t.Helper()
	b := &lab{file: filepath.Join(t.TempDir(), "market.jsonl.zst"), dir: t.TempDir(), cfg: cfg}
	out := gen.Output{Path: b.file}
	out.Format, _ = gen.FormatOf(b.file)
	if err := out.Prepare(&cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := gen.Write(context.Background(), cfg, out); err != nil {
		t.Fatal(err)
	}
	b.lake = openLake(t, b.dir)
	if _, err := run.Import(context.Background(), run.ImportConfig{Inputs: []string{b.file}}, b.lake, run.Env{Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func openLake(t testing.TB, dir string) *lake.Lake {
	t.Helper()
	l, err := lake.Open(context.Background(), lake.Config{Dir: dir, Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// shipped compiles all shipped views.
var shipped = sync.OnceValues(func() (*Views, error) { return Load(specs.Names(), smallBars) })

func allViews(t testing.TB) *Views {
	t.Helper()
	v, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// printed are rows as text by view, in the order in which they came.
type printed struct {
	views *Views
	rows  map[string][]printedRow
}

type printedRow struct {
	ts   int64
	text string
}

func newPrinted(v *Views) *printed { return &printed{v, map[string][]printedRow{}} }

func (p *printed) emit(rows *features.Rows, names func(int, uint32) []string) error {
	for v := range rows.Views {
		vr, o := &rows.Views[v], &p.views.Plan.Outputs()[v]
		for i := range vr.Len() {
			var sb strings.Builder
			fmt.Fprintf(&sb, "%s %d %d %d %d %02x", strings.Join(names(v, vr.Entity[i]), "/"), vr.RowTS[i], vr.Start[i], vr.End[i], vr.Avail[i], vr.Flags[i])
			for f := range vr.Features {
				c := &vr.Features[f]
				fmt.Fprintf(&sb, " %s=", o.Fields[f].Name)
				switch {
				case c.IsNull(i):
					sb.WriteString("null")
				case o.Fields[f].Type == features.FieldF64:
					fmt.Fprintf(&sb, "%x", math.Float64bits(c.F64[i]))
				case o.Fields[f].Type == features.FieldText:
					sb.Write(c.Bytes[c.Off[i]:c.Off[i+1]])
				case o.Fields[f].Type == features.FieldDecimal:
					fmt.Fprintf(&sb, "%x:%x", c.Hi[i], c.Lo[i])
				default:
					fmt.Fprintf(&sb, "%d", c.I64[i])
				}
			}
			p.rows[o.Name] = append(p.rows[o.Name], printedRow{vr.RowTS[i], sb.String()})
		}
	}
	return nil
}

// within are the rows of a view in a range.
func (p *printed) within(view string, r Range) (out []string) {
	for _, row := range p.rows[view] {
		if row.ts >= r.From && row.ts < r.To {
			out = append(out, row.text)
		}
	}
	return out
}

// raw runs the views over the file.
func (b *lab) raw(t testing.TB, v *Views, as As) *printed {
	t.Helper()
	p := newPrinted(v)
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs, cfg.Corrected = []string{"all"}, []string{b.file}, as == Corrected
	_, err := run.Drive(context.Background(), cfg, run.Env{Stdout: io.Discard, Warn: func(string) {}}, v.set, func(task *features.Task, rows *features.Rows) error {
		return p.emit(rows, task.EntityNames)
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pinned(t testing.TB, l *lake.Lake, v *Views) *Inputs {
	t.Helper()
	in, err := Pin(context.Background(), l, v)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// same compares the rows of all views in a range.
func same(t *testing.T, what string, got, want *printed, r Range) (rows int) {
	t.Helper()
	for _, o := range want.views.Plan.Outputs() {
		w := want.within(o.Name, r)
		rows += len(w)
		compare(t, what+": "+o.Name, got.within(o.Name, r), w)
	}
	return rows
}

// compare tells the first rows that differ.
func compare(t *testing.T, what string, g, w []string) {
	t.Helper()
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Errorf("%s: %d rows, want %d; missing\n%s", what, len(g), len(w), w[i])
		case i >= len(w):
			t.Errorf("%s: %d rows, want %d; beyond\n%s", what, len(g), len(w), g[i])
		case g[i] != w[i]:
			t.Errorf("%s: row %d\n%s\nwant\n%s", what, i, g[i], w[i])
		default:
			continue
		}
		return
	}
}

// Files of tests are small: some of them are taken over by publications, some are merged.
func init() { mergeBelow = 12 << 10 }
