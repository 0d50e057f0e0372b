// Package run is the local driver: it reads files, decodes and sequences their events,
// drives the engine over them and writes the rows of one view. It holds no more than a
// few chunks of input in memory, whatever the length of the input, and accounts for
// every record: in = applied + late + duplicate + dlq + filtered + pending (I3).
package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/run/picture"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/sequence"
)

// Report is what a run did.
type Report struct {
	Stats     *Stats
	View      features.Output
	Written   int64 // rows of the view
	Output    string
	DLQ       string // file of the rejected records, "" for none
	Sources   []*input.Source
	Raised    int64            // times that the bound on held-back events cut a line short
	Tables    []string         // of the lake that were read, instead of files
	Published []lake.Published // what -o lake: did
	Piped     bool             // the reader of the rows went away
	Alerts    []AlertCount
}

// Formats lists every input format.
func Formats() []*adapters.Adapter {
	return append([]*adapters.Adapter{canon.Adapter}, adapters.Venues...)
}

// job is a run under way.
type job struct {
	cfg       Config
	env       Env
	feeds     *market.Feeds
	insts     *market.Instruments
	input     input.Config
	set       *lang.Set // views that are checked already; nil: those that cfg names
	plan      *features.Plan
	view      int
	sel       *selection
	late      *lateRows
	task      *features.Task
	rows      features.Rows
	counts    []int64
	tables    []string         // of the lake, instead of files
	published []lake.Published // what -o lake: did
	sink      *sink
	alerts    *alertSink
	each      func(*features.Rows) error // sees all rows; nil for none
	files     files
}

// Run does one run. Whatever its end, no file is left half-written.
func Run(ctx context.Context, cfg Config, env Env) (*Report, error) {
	return (&job{cfg: cfg, env: env}).run(ctx)
}

// Drive runs views that have been checked over the input of cfg and hands the rows of all
// of them to each, which must not keep them; the task names their entities. It writes no
// rows itself.
func Drive(ctx context.Context, cfg Config, env Env, set *lang.Set, each func(t *features.Task, rows *features.Rows) error) (*Report, error) {
	cfg.Output, cfg.View = "-", ""
	env.Table = func(*rowfile.Schema) rowfile.Writer { return discard{} }
	j := &job{cfg: cfg, env: env, set: set}
	j.each = func(rows *features.Rows) error { return each(j.task, rows) }
	return j.run(ctx)
}

func (j *job) run(ctx context.Context) (*Report, error) {
	cfg := j.cfg
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if j.env.Meter == nil {
		j.env.Meter = &Meter{}
	}
	j.feeds, j.insts = market.NewFeeds(), market.NewInstruments()
	if err := j.prepare(ctx); err != nil {
		return nil, err
	}
	defer j.files.abort()
	if j.tables != nil {
		return j.runLake(ctx)
	}
	if cfg.Corrected {
		if err := j.collectLate(ctx); err != nil {
			return nil, err
		}
	}
	p, err := newPass(j.input, cfg.Strict, j.files.dlq, j.env.Meter)
	if err != nil {
		return nil, err
	}
	if err := p.run(ctx, j.step); err != nil {
		return j.ended(err)
	}
	if err := j.finish(p.last); err != nil {
		return j.ended(err)
	}
	return j.report(p)
}

// prepare finds the specs and the input and opens what will be written.
func (j *job) prepare(ctx context.Context) error {
	if err := j.compile(); err != nil {
		return err
	}
	var paths []string
	tables, err := j.lakeInputs()
	if err != nil {
		return err
	}
	if j.tables = tables; tables == nil {
		if paths, err = input.Expand(j.cfg.Inputs); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(paths, input.OneReading); i >= 0 && j.cfg.Corrected {
		return fault.Usage("corrected_stream", fmt.Sprintf("corrected rows need two readings of the input, and %q can be read once", paths[i]),
			"save it to a file first")
	}
	if err := j.cfg.clashes(paths); err != nil {
		return err
	}
	formats, err := adapterList(j.cfg.Map, j.cfg.Format, j.plan.Kinds())
	if err != nil {
		return err
	}
	j.input = input.Config{
		Paths: paths, Adapters: formats, Format: j.cfg.Format, Feed: j.cfg.Feed,
		Feeds: j.feeds, Insts: j.insts, Kinds: j.plan.Kinds(), Stdin: j.env.Stdin,
	}
	j.sel = newSelection(&j.cfg, j.plan, j.insts)
	j.task = j.plan.NewTask(j.insts, j.cfg.From)
	j.counts = make([]int64, len(j.plan.Outputs()))
	return j.open(ctx)
}

// compile makes the plan, of the specs that the configuration names or of a set that has
// been checked.
func (j *job) compile() error {
	params, err := j.cfg.Params()
	if err != nil {
		return err
	}
	if j.set != nil {
		if j.plan, err = features.CompileSet(j.set, features.Options{Params: params, Feeds: j.feeds}); err != nil {
			return SpecFault(err)
		}
		j.view = len(j.plan.Outputs()) - 1
		return nil
	}
	plan, src, err := Compile(j.cfg.Specs, params, j.feeds)
	if err != nil {
		return err
	}
	j.plan = plan
	j.view, err = written(plan, src, j.cfg.View)
	return err
}

// collectLate reads the input once for its late rows.
func (j *job) collectLate(ctx context.Context) error {
	j.env.Meter.Passes.Store(2)
	j.env.Meter.Pass.Store(1)
	p, err := newPass(j.input, false, nil, &Meter{})
	if err != nil {
		return err
	}
	progress := p.files.Progress
	j.env.Meter.bytes.Store(&progress)
	late := &lateRows{wanted: j.sel.has}
	err = p.run(ctx, func(out *sequence.Out, _ bool) error { return late.add(&out.Late) })
	if err != nil {
		return err
	}
	late.sort(j.insts)
	j.late = late
	j.env.Meter.Pass.Store(2)
	return nil
}

// step drives the engine over what the sequencer released.
func (j *job) step(out *sequence.Out, closed bool) error {
	for k := range out.Rows.Batches {
		kind := market.Kind(k)
		b := out.Rows.Batches[k]
		mark := j.sel.mark(out.Marks[k])
		out.Marks[k] = mark
		if closed {
			mark = never
		}
		if b != nil && b.N > 0 {
			b = j.sel.apply(b)
		}
		if late := out.Late.Batches[k]; late != nil && late.N > 0 {
			j.sel.countLate(late)
		}
		if j.late != nil {
			b = j.late.merge(kind, b, mark)
		}
		if b == nil || b.N == 0 {
			continue
		}
		if err := j.task.Push(b); err != nil {
			return fmt.Errorf("push %s events: %w", j.plan.Kinds().Name(kind), err)
		}
	}
	if closed {
		return nil // the end of the input is no mark: Close flags what it cuts
	}
	j.rows.Reset()
	if err := j.task.Advance(&out.Marks, &j.rows); err != nil {
		return fmt.Errorf("advance: %w", err)
	}
	return j.write(&j.rows)
}

func (j *job) write(rows *features.Rows) error {
	if j.each != nil {
		if err := j.each(rows); err != nil {
			return err
		}
	}
	for i := range rows.Views {
		j.counts[i] += int64(rows.Views[i].Len())
		if i != j.view {
			continue
		}
		if err := j.sink.write(&rows.Views[i], j.task.EntityNames); err != nil {
			return fmt.Errorf("write rows: %w", err)
		}
		if err := j.alerts.write(rows.Views[i].Alerts, j.task.EntityNames); err != nil {
			return fmt.Errorf("write alerts: %w", err)
		}
		j.env.Meter.Rows.Store(j.sink.written)
	}
	return nil
}

// finish closes the windows at the end of the input and the rows' stream.
func (j *job) finish(last int64) error {
	if j.cfg.To != market.NoTime {
		last = min(last, j.cfg.To-1)
	}
	var open *openRows
	if j.cfg.Open {
		open = j.peek()
	}
	if err := j.finishTask(last, open); err != nil {
		return err
	}
	if open != nil {
		n, err := open.write(j.sink)
		j.counts[j.view] += n
		if err != nil {
			return fmt.Errorf("write open rows: %w", err)
		}
	}
	if j.alerts.w != nil {
		if err := j.alerts.w.Close(); err != nil {
			return err
		}
	}
	return j.sink.w.Close()
}

func (j *job) finishTask(last int64, open *openRows) error {
	j.rows.Reset()
	if err := j.task.Close(last, &j.rows); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if open != nil {
		open.drop(&j.rows, j.view, j.task.EntityNames)
	}
	return j.write(&j.rows)
}

// ended sorts out why a run ended early.
func (j *job) ended(err error) (*Report, error) {
	if errors.Is(err, syscall.EPIPE) {
		return &Report{Piped: true}, nil
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = DiskFull(err, pe.Path, "make room and run the command again")
	}
	return nil, err
}

// DiskFull tells a full disk as such; other errors stay as they are.
func DiskFull(err error, where, remedy string) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return &fault.Error{Code: "disk_full", Message: "the disk is full", Where: where, Why: err.Error(), Exit: fault.ExitFailed, Cause: err, Remedy: remedy}
}

func (j *job) report(p *pass) (*Report, error) {
	st, err := settle(p.seq.CountsByFeed(), p.files.Sources(), j.sel, j.feeds, j.cfg.Feed)
	if err != nil {
		return nil, err
	}
	for i, o := range j.plan.Outputs() {
		st.Rows[o.Name] += j.counts[i]
	}
	j.warn(p)
	if err := j.files.commit(st); err != nil {
		return nil, err
	}
	return &Report{
		Stats: st, View: j.plan.Outputs()[j.view], Written: j.sink.written, Output: j.cfg.Output, DLQ: j.cfg.DLQ,
		Sources: p.files.Sources(), Raised: p.seq.Raised(), Alerts: j.alerts.counts, Published: j.published,
	}, nil
}

// warn tells what a user should know though nothing failed.
func (j *job) warn(p *pass) {
	warnInput(p, j.feeds, j.env.Warn)
	for _, m := range j.sel.missed() {
		j.env.Warn(m)
	}
}

func warnInput(p *pass, feeds *market.Feeds, warn func(string)) {
	var empty, unknown []string
	for _, s := range p.files.Sources() {
		if s.Empty {
			empty = append(empty, s.Path)
		}
		if s.Format == "" && s.Bad > 0 {
			unknown = append(unknown, s.Path)
		}
	}
	warnFiles(warn, empty, "empty")
	warnFiles(warn, unknown, "of no known format; name it with --input-format if you know it")
	if names := feeds.Unknown(); len(names) > 0 {
		warn(fmt.Sprintf("not in the registry, so taken with defaults (dedup by id, disorder 250 ms): %s", strings.Join(names, ", ")))
	}
	if n := p.seq.Raised(); n > 0 {
		warn(fmt.Sprintf("one line of the input lay so far behind the others that events held back for it were let go %d times; later ones of it are late", n))
	}
}

// warnFiles tells what is with some files of the input, each by name if they are few.
func warnFiles(warn func(string), files []string, what string) {
	if len(files) > 3 {
		warn(fmt.Sprintf("%d files of the input, such as %s, are %s", len(files), files[0], what))
		return
	}
	for _, f := range files {
		warn(fmt.Sprintf("%s is %s", f, what))
	}
}

// files are what a run writes, all of it or nothing.
type files struct {
	rows    *rowfile.Rows // nil for the standard output
	lake    *lakeRows
	alerts  *rowfile.Rows
	svg     *rowfile.File
	picture *picture.Picture
	title   string
	stats   *rowfile.File
	dlqFile *rowfile.File
	dlq     *deadLetters
	stdout  func(*Stats) error // writes the accounting to the standard output, if asked
}

// open starts everything that will be written, so that a path that cannot be is known
// before the work.
func (j *job) open(ctx context.Context) error {
	o := &j.plan.Outputs()[j.view]
	schema := Schema(o, j.env.Build)
	fail := func(path string, err error) error {
		j.files.abort()
		return &fault.Error{Code: "output_unwritable", Message: "cannot write the output", Where: path, Why: rootCause(err), Exit: fault.ExitUsage, Cause: err}
	}
	var w rowfile.Writer
	var err error
	switch {
	case j.cfg.Output == "":
		w = discard{}
	case strings.HasPrefix(j.cfg.Output, LakePrefix):
		if j.files.lake, err = j.newLakeRows(ctx, o, schema); err != nil {
			return err
		}
		w = j.files.lake
	case j.cfg.Output != "-":
		j.files.rows, err = rowfile.Create(j.cfg.Output, schema)
		w = j.files.rows
	case j.env.Table != nil:
		w = j.env.Table(schema)
	default:
		w, err = rowfile.New(j.env.Stdout, j.env.Rows, schema)
	}
	if err != nil {
		j.files.rows = nil
		return fail(j.cfg.Output, err)
	}
	if w, err = j.openPicture(held{w}, schema); err != nil {
		if _, known := errors.AsType[*fault.Error](err); known {
			j.files.abort()
			return err
		}
		return fail(j.cfg.Picture, err)
	}
	j.sink = newSink(w, j.view, o)
	if err := j.openAlerts(o); err != nil {
		if _, known := errors.AsType[*fault.Error](err); known {
			j.files.abort()
			return err
		}
		return fail(j.cfg.Alerts, err)
	}
	if j.cfg.DLQ != "" {
		if j.files.dlqFile, err = rowfile.CreateFile(j.cfg.DLQ); err != nil {
			return fail(j.cfg.DLQ, err)
		}
		j.files.dlq = &deadLetters{f: j.files.dlqFile}
	}
	switch j.cfg.Stats {
	case "":
	case "-":
		j.files.stdout = func(s *Stats) error { return s.WriteJSON(j.env.Stdout) }
	default:
		if j.files.stats, err = rowfile.CreateFile(j.cfg.Stats); err != nil {
			return fail(j.cfg.Stats, err)
		}
	}
	return nil
}

func rootCause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		if errors.Is(pe.Err, os.ErrNotExist) {
			return "no such folder"
		}
		return pe.Err.Error()
	}
	return err.Error()
}

// held is a Writer whose file is committed later, together with the others.
type held struct{ rowfile.Writer }

func (h held) Close() error {
	if _, file := h.Writer.(*rowfile.Rows); file {
		return nil
	}
	return h.Writer.Close()
}

func (f *files) commit(st *Stats) error {
	var errs []error
	if f.rows != nil {
		errs = append(errs, f.rows.Close())
	}
	if f.alerts != nil {
		errs = append(errs, f.alerts.Close())
	}
	if f.svg != nil {
		_, err := f.svg.Write([]byte(f.picture.SVG(f.title)))
		errs = append(errs, err, f.svg.Commit())
	}
	if f.dlqFile != nil {
		errs = append(errs, f.dlqFile.Commit())
	}
	if f.stats != nil {
		errs = append(errs, st.WriteJSON(f.stats), f.stats.Commit())
	}
	if f.stdout != nil {
		errs = append(errs, f.stdout(st))
	}
	return errors.Join(errs...)
}

func (f *files) abort() {
	if f.svg != nil {
		f.svg.Abort()
	}
	if f.rows != nil {
		f.rows.Abort()
	}
	if f.lake != nil {
		f.lake.abort()
	}
	if f.alerts != nil {
		f.alerts.Abort()
	}
	if f.dlqFile != nil {
		f.dlqFile.Abort()
	}
	if f.stats != nil {
		f.stats.Abort()
	}
}
