package run

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// Config is one run: which views, over which input, written where.
type Config struct {
	Specs  []string   // names of shipped views, or files
	View   string     // the view that is written; "" for the last of Specs
	Set    []string   // values of parameters, name=value
	Inputs []string   // files, folders, patterns, or "-"
	Format string     // input format, "" or auto: by content
	Map    *canon.Map // what the columns of the input are, nil for a known format
	Feed   string     // feed to book events to, "" for the adapter's own choice

	From, To int64    // event times, half open; market.NoTime where open
	Symbols  []string // canonical or venue symbols; nil for all

	Corrected bool     // late rows in their place, instead of left out
	Open      bool     // write windows that are still open at the end of the input, too
	Strict    bool     // end at the first bad record
	Output    string   // file by extension, "-" for the standard output, "" for no rows
	Picture   string   // .svg file to draw the rows into, "" for none
	Draw      []string // features drawn, nil for the first numeric ones
	Alerts    string   // file for changes of alerts, "-" for the standard output, "" for none
	Stats     string   // file for the accounting, "-" for the standard output, "" for none
	DLQ       string   // file for rejected records, "" for none

	BySymbol []lake.Partition // of a new table of rows, beside row_ts: lake.BySymbol
}

// DefaultConfig has no bounds and writes to the standard output.
func DefaultConfig() Config {
	return Config{From: market.NoTime, To: market.NoTime, Output: "-"}
}

// Validate reports the first thing that cannot be.
func (c *Config) Validate() error {
	switch {
	case len(c.Specs) == 0:
		return fault.Usage("spec_missing", "no spec given", "name a shipped view (tidemark spec list) or a file: --spec trade_bars_1m")
	case len(c.Inputs) == 0:
		return fault.Usage("input_missing", "no input given", "name files, folders or - for the standard input: --input trades.csv.gz")
	case c.From != market.NoTime && c.To != market.NoTime && c.From >= c.To:
		return fault.Usage("range_empty", fmt.Sprintf("the range [%s, %s) is empty", market.FormatTime(c.From), market.FormatTime(c.To)),
			"--from is the first instant, --to the first one after the range")
	case c.Stats == "-" && c.Output == "-":
		return fault.Usage("output_conflict", "rows and accounting cannot both go to the standard output", "give one of --output and --stats a file")
	case c.Alerts == "-" && (c.Output == "-" || c.Stats == "-"):
		return fault.Usage("output_conflict", "alerts cannot share the standard output", "give all but one of --output, --alerts and --stats a file")
	}
	for _, path := range []string{c.Output, c.Alerts} {
		if path == "" || path == "-" || path == c.Output && strings.HasPrefix(path, LakePrefix) {
			continue
		}
		if _, _, err := rowfile.ByName(path); err != nil {
			return fault.Usage("output_format", fmt.Sprintf("unknown format of the output file %q", path),
				"end its name in .csv, .jsonl, .parquet or .arrow (.csv.gz and .jsonl.zst work too)")
		}
	}
	return nil
}

// clashes refuses to write over an input or two outputs into one file.
func (c *Config) clashes(inputs []string) error {
	outs := []struct{ flag, path string }{{"--output", c.Output}, {"--alerts", c.Alerts}, {"--picture", c.Picture}, {"--stats", c.Stats}, {"--dlq", c.DLQ}}
	same := func(a, b string) bool {
		if filepath.Clean(a) == filepath.Clean(b) {
			return true
		}
		x, err := os.Stat(a)
		y, err2 := os.Stat(b)
		return err == nil && err2 == nil && os.SameFile(x, y) && x.Mode().IsRegular()
	}
	for i, o := range outs {
		if o.path == "" || o.path == "-" {
			continue
		}
		for _, in := range inputs {
			if same(o.path, in) {
				return fault.Usage("output_is_input", fmt.Sprintf("%s would write over the input %s", o.flag, in), "choose another file")
			}
		}
		for _, p := range outs[:i] {
			if p.path != "" && p.path != "-" && same(o.path, p.path) && o.path != os.DevNull {
				return fault.Usage("output_conflict", fmt.Sprintf("%s and %s name the same file %s", p.flag, o.flag, o.path), "choose another file for one of them")
			}
		}
	}
	return nil
}

// Params reads Set.
func (c *Config) Params() (map[string]string, error) {
	out := map[string]string{}
	for _, s := range c.Set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, fault.Usage("param_syntax", fmt.Sprintf("%q is no parameter value", s), "write --set name=value")
		}
		if _, dup := out[name]; dup {
			return nil, fault.Usage("param_twice", fmt.Sprintf("parameter %q is set twice", name), "")
		}
		out[name] = value
	}
	return out, nil
}

// Env is what a run needs of its process.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Rows   rowfile.Format // format of rows on Stdout
	// Table, when not nil, takes the rows instead of Stdout: a terminal shows a table.
	Table func(s *rowfile.Schema) rowfile.Writer
	// Alerts, when not nil, takes the changes of alerts in place of Config.Alerts.
	Alerts func(s *rowfile.Schema) rowfile.Writer
	// Lake is the lake that inputs like lake:processed.trade are of; nil for none.
	Lake  *lake.Lake
	Now   func() time.Time     // when rows are published; needed with -o lake:
	Who   string               // who publishes
	Warn  func(message string) // something the user should know; never nil
	Build string               // version of the program, written into result files
	Meter *Meter               // may be nil
}

// Meter is what a run has done so far. Safe for concurrent use.
type Meter struct {
	Events  atomic.Int64 // rows, bad and filtered records taken in
	Rows    atomic.Int64 // result rows of the written view
	Bad     atomic.Int64
	Time    atomic.Int64 // greatest event time sequenced, 0 before the first
	bytes   atomic.Pointer[func() (int64, int64)]
	Passes  atomic.Int32 // 2 when the input is read twice
	Pass    atomic.Int32 // the present one, from 1
	Waiting atomic.Bool  // no input was opened yet
}

// SetBytes says how the bytes of input read and their total are found, -1 when unknown.
func (m *Meter) SetBytes(f func() (read, total int64)) { m.bytes.Store(&f) }

// Bytes are the bytes of input read and their total, -1 when unknown.
func (m *Meter) Bytes() (read, total int64) {
	f := m.bytes.Load()
	if f == nil {
		return 0, -1
	}
	return (*f)()
}
