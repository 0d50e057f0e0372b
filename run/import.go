package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/sequence"
)

// commitRows is how many new rows an import commits at once: what a crash costs to read
// again, and a bound on the ids that are kept until then.
const commitRows = 4 << 20

// ImportConfig is one import of event files into a lake.
type ImportConfig struct {
	Inputs []string // files, folders, patterns, or "-"
	Format string   // input format, "" or auto: by content
	Feed   string   // feed to book events to, "" for the adapter's own choice
	Strict bool     // end at the first bad record
	DLQ    string   // file for rejected records, "" for none
	Plain  bool     // new tables get doubles beside the exact numbers
	Memory int64    // bytes of rows on their way into files, 0 for the default
}

// ImportReport is what an import did.
type ImportReport struct {
	Stats   *Stats                     `json:"stats"`
	Tables  map[string]lakesink.Counts `json:"tables"`
	Sources []*input.Source            `json:"-"`
}

// Import reads event files, sequences their events and adds each one that the lake does
// not have yet to its table, late ones marked. It may be repeated at will, after a crash,
// too: what is there is left out.
func Import(ctx context.Context, cfg ImportConfig, l *lake.Lake, env Env) (*ImportReport, error) {
	if len(cfg.Inputs) == 0 {
		return nil, fault.Usage("input_missing", "no input given", "name files, folders or - for the standard input: --input trades.csv.gz")
	}
	paths, err := input.Expand(cfg.Inputs)
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
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	p, err := newPass(input.Config{
		Paths: paths, Adapters: Formats(), Format: cfg.Format, Feed: cfg.Feed, Feeds: feeds, Insts: insts, Stdin: env.Stdin,
	}, cfg.Strict, dlq, env.Meter)
	if err != nil {
		return nil, err
	}
	s := lakesink.NewEvents(l, insts, feeds, lakesink.Config{Plain: cfg.Plain, Memory: cfg.Memory})
	var from, to int64
	commit := func() error {
		note := fmt.Sprintf(`{"files":%d,"from":%d,"to":%d}`, len(paths), from, to)
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
	st, err := settle(p.seq.CountsByFeed(), p.files.Sources(), &selection{}, feeds, cfg.Feed)
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
		rep.Tables[lakesink.TableName(k)] = c
	}
	warnInput(p, feeds, env.Warn)
	return rep, nil
}

// Exit is the exit code that the account asks for.
func (r *ImportReport) Exit() int { return r.Stats.Exit() }
