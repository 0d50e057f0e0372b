package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/sequence"
)

// commitRows is how many new rows an import commits at once: what a crash costs to read
// again, and a bound on the ids that are kept until then.
const commitRows = 4 << 20

// ImportConfig is one import of event files into a lake.
type ImportConfig struct {
	Specs  []string   // files that define kinds in the input
	Inputs []string   // files, folders, patterns, or "-"
	Format string     // input format, "" or auto: by content
	Feed   string     // feed to book events to, "" for the adapter's own choice
	Map    *canon.Map // what the columns of the input are, nil for a known format
	Strict bool       // end at the first bad record
	DLQ    string     // file for rejected records, "" for none
	Plain  bool       // new tables get doubles beside the exact numbers
	Memory int64      // bytes of rows on their way into files, 0 for the default
	// BySymbol is how new tables are partitioned by symbol, too: lake.BySymbol
	BySymbol []lake.Partition
}

// ImportReport is what an import did.
type ImportReport struct {
	Stats   *Stats                     `json:"stats"`
	Tables  map[string]lakesink.Counts `json:"tables"`
	Sources []*input.Source            `json:"-"`
}

// Check finds what an import would be refused for before it reads anything: inputs that are not there, formats and kinds
// that nobody knows.
func (c *ImportConfig) Check(env Env) error {
	_, err := c.input(env)
	return err
}

func (c *ImportConfig) input(env Env) (input.Config, error) {
	if len(c.Inputs) == 0 {
		return input.Config{}, fault.Usage("input_missing", "no input given", "name files, folders or - for the standard input: --input trades.csv.gz")
	}
	return inputOf(EventsConfig{Inputs: c.Inputs, Format: c.Format, Feed: c.Feed}, c.Specs, c.Map, env)
}

// Import reads event files, sequences their events and adds each one that the lake does
// not have yet to its table, late ones marked. It may be repeated at will, after a crash,
// too: what is there is left out.
func Import(ctx context.Context, cfg ImportConfig, l *lake.Lake, env Env) (_ *ImportReport, err error) {
	defer func() {
		err = DiskFull(err, "tables of the lake", "make room and run the command again: events that are there by then are left out")
	}()
	in, err := cfg.input(env)
	if err != nil {
		return nil, err
	}
	if env.Meter == nil {
		env.Meter = &Meter{}
	}
	var dlq *deadLetters
	var dlqFile *rowfile.File
	if cfg.DLQ != "" {
		if dlqFile, err = rowfile.CreateFile(cfg.DLQ); err != nil {
			return nil, &fault.Error{Code: "output_unwritable", Message: "cannot write the dead letters", Where: cfg.DLQ, Why: rootCause(err), Exit: fault.ExitUsage, Cause: err}
		}
		defer dlqFile.Abort()
		dlq = &deadLetters{f: dlqFile}
	}
	p, err := newPass(in, cfg.Strict, dlq, env.Meter)
	if err != nil {
		return nil, err
	}
	s := lakesink.NewEvents(l, in.Insts, in.Feeds, lakesink.Config{Plain: cfg.Plain, Memory: cfg.Memory, Kinds: in.Kinds, BySymbol: cfg.BySymbol})
	var from, to int64
	commit := func() error {
		note := fmt.Sprintf(`{"files":%d,"from":%d,"to":%d}`, len(in.Paths), from, to)
		err := s.Commit(ctx, func(market.Kind) lake.Change { return lake.Change{Inputs: note} })
		if errors.Is(err, lakesink.ErrRaced) {
			return &fault.Error{Code: "import_raced", Message: "another import has added some of the same events meanwhile", Exit: fault.ExitFailed,
				Remedy: "run the command again: what is there by then is left out", Cause: err}
		}
		return err
	}
	err = p.run(ctx, func(out *sequence.Out, closed bool) error {
		for _, ch := range []*market.Chunk{&out.Rows, &out.Late} {
			for k, b := range ch.Batches {
				if b == nil || b.N == 0 || market.Kind(k) == market.KindWatermark {
					continue
				}
				if err := s.Add(ctx, b); err != nil {
					return err
				}
				if from == 0 {
					from = b.TS[0]
				}
				from, to = min(from, b.TS[0]), max(to, b.TS[b.N-1])
			}
		}
		env.Meter.Rows.Store(s.Waiting())
		if closed || s.Waiting() >= commitRows {
			return commit()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	st, err := settle(p.seq.CountsByFeed(), p.files.Sources(), &selection{}, in.Feeds, cfg.Feed)
	if err != nil {
		return nil, err
	}
	if dlqFile != nil {
		if err := dlqFile.Commit(); err != nil {
			return nil, err
		}
	}
	rep := &ImportReport{Stats: st, Tables: map[string]lakesink.Counts{}, Sources: p.files.Sources()}
	for k, c := range s.Counts() {
		rep.Tables[lakesink.TableName(in.Kinds, k)] = c
	}
	warnInput(p, in.Feeds, env.Warn)
	return rep, nil
}

// Exit is the exit code that the account asks for.
func (r *ImportReport) Exit() int { return r.Stats.Exit() }

// Preview is the first rows of an input as they would be imported.
type Preview struct {
	Rows    []json.RawMessage `json:"rows"` // canonical, in the order of the input
	Read    int64             `json:"records_read"`
	Bad     []PreviewBad      `json:"bad"`
	BadRows int64             `json:"bad_records"`
}

// PreviewBad is a record that would be rejected.
type PreviewBad struct {
	Input  string `json:"input"`
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// previewRecords is how many records of an input a preview reads at the most.
const previewRecords = 10_000

// PreviewImport reads the first records and gives n rows of them and n of the bad ones. It
// changes nothing.
func PreviewImport(ctx context.Context, cfg ImportConfig, n int, env Env) (*Preview, error) {
	in, err := inputOf(EventsConfig{Inputs: cfg.Inputs, Format: cfg.Format, Feed: cfg.Feed}, cfg.Specs, cfg.Map, env)
	if err != nil {
		return nil, err
	}
	in.Places = true
	r, err := input.Open(in)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := &Preview{Rows: []json.RawMessage{}, Bad: []PreviewBad{}}
	var text bytes.Buffer
	w := canon.NewWriter(&text, canon.Options{Format: canon.JSONL, Kinds: in.Kinds}, in.Feeds, in.Insts)
	var ch input.Chunk
	for p.Read < previewRecords {
		err := r.Next(ctx, &ch)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		for _, b := range ch.Batches {
			if b == nil {
				continue
			}
			for i := 0; i < b.N && len(p.Rows) < n; i++ {
				if err := w.WriteRow(b, i); err != nil {
					return nil, err
				}
				if err := w.Flush(); err != nil {
					return nil, err
				}
				p.Rows = append(p.Rows, bytes.Clone(bytes.TrimSpace(text.Bytes())))
				text.Reset()
			}
		}
		for _, b := range ch.Bad {
			p.BadRows += int64(b.Count)
			if len(p.Bad) < n {
				p.Bad = append(p.Bad, PreviewBad{b.Input, b.Line, b.Reason, b.Detail})
			}
		}
		p.Read = 0
		for _, s := range r.Sources() {
			p.Read += s.Records
		}
	}
	return p, nil
}

// Exit is the exit code that the preview asks for.
func (p *Preview) Exit() int {
	if p.BadRows > 0 {
		return fault.ExitRejected
	}
	return fault.ExitDone
}
