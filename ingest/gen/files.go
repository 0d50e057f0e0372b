package gen

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/pinova-group/tidemark/market"
)

// Output says where the files of a simulation go.
type Output struct {
	// Path is a folder, a file whose extension names its format (.csv or .jsonl, then
	// perhaps .gz or .zst), or - for Stdout.
	Path     string
	Format   Format
	Compress string // of the files in a folder: "", gz or zst
	Truth    string // file for the truth, "" for none
	Stdout   io.Writer
	// Progress is called now and then with what was written so far.
	Progress func(s Stats)
}

// Summary is what was written.
type Summary struct {
	Seed    uint64     `json:"seed"`
	Records int64      `json:"records"`
	Applied int64      `json:"applied"`
	Late    int64      `json:"late"`
	Dup     int64      `json:"duplicate"`
	DLQ     int64      `json:"dlq"`
	Missing int64      `json:"missing"` // events that never arrive
	Gaps    int64      `json:"gaps"`    // holes that the sequencer must notice
	First   int64      `json:"first_event_ts"`
	Last    int64      `json:"last_event_ts"`
	Files   []FileInfo `json:"files"`
}

// FileInfo is one file that was written.
type FileInfo struct {
	Path  string `json:"path"`
	Lines int64  `json:"lines"`
	Bytes int64  `json:"bytes"` // before compression
}

// Prepare checks an output and makes the configuration one that it can hold: CSV files
// hold one kind each, so watermark rows, which belong between the events, are left out,
// and a single CSV file needs a single kind; Raw has what Binance has.
func (o *Output) Prepare(c *Config) error {
	single := !o.folder()
	switch o.Format {
	case Raw:
		c.ForRaw()
		if single && len(c.Venues) != 1 {
			return fmt.Errorf("raw lines do not name their venue: write %d venues to a folder, or one venue", len(c.Venues))
		}
	case CanonicalCSV:
		c.Kinds = without(c.Kinds, market.KindWatermark)
		if single && len(c.Kinds) != 1 {
			return errors.New("a CSV file holds one kind: name one with kinds, or write a folder or JSONL")
		}
	}
	if c.Events == 0 && c.Duration == 0 && o.Path != "-" {
		return errors.New("a file needs an end: set events or duration")
	}
	if o.Path == "" {
		return errors.New("no place to write to")
	}
	if o.Compress != "" && o.Compress != "gz" && o.Compress != "zst" {
		return fmt.Errorf("compression %q is not gz or zst", o.Compress)
	}
	return nil
}

func without(kinds []market.Kind, drop market.Kind) (out []market.Kind) {
	for _, k := range kinds {
		if k != drop {
			out = append(out, k)
		}
	}
	return out
}

// FormatOf is the format that a file name tells; ok is false for folders.
func FormatOf(path string) (f Format, ok bool) {
	path = strings.TrimSuffix(strings.TrimSuffix(path, ".gz"), ".zst")
	switch filepath.Ext(path) {
	case ".csv":
		return CanonicalCSV, true
	case ".jsonl":
		return CanonicalJSONL, true
	}
	return 0, false
}

func (o *Output) folder() bool {
	_, file := FormatOf(o.Path)
	return !file && o.Path != "-"
}

// ErrFolder says that a folder holds what no such simulation writes: all of a folder is read as one market.
var ErrFolder = errors.New("folder holds other files")

// Write runs a simulation into files. Files appear under their names when all of them
// are complete; on an error or when ctx ends nothing is left behind.
func Write(ctx context.Context, c Config, o Output) (*Summary, error) {
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	m, err := New(c, feeds, insts)
	if err != nil {
		return nil, err
	}
	text, err := NewText(m, o.Format)
	if err != nil {
		return nil, err
	}
	w := &files{o: o, text: text, byName: map[string]*file{}}
	if o.folder() {
		if err := w.makeDir(&c); err != nil {
			return nil, err
		}
	}
	if o.Truth != "" { // perhaps in that folder
		if w.truth, err = w.create(o.Truth); err != nil {
			return nil, errors.Join(err, w.discard())
		}
	}
	if err := w.run(ctx); err != nil {
		return nil, errors.Join(err, w.discard())
	}
	if err := w.commit(); err != nil {
		return nil, err
	}
	return w.summary(c.Seed), nil
}

// files is the set of files being written.
type files struct {
	o       Output
	text    *Text
	byName  map[string]*file
	all     []*file // in order of appearance
	truth   *file
	madeDir string // the folder, when it was not there before
}

// file is one of them, under a temporary name.
type file struct {
	path  string
	tmp   *os.File // nil for the standard output
	comp  io.WriteCloser
	buf   *bufio.Writer
	lines int64
	bytes int64
}

func (w *files) run(ctx context.Context) error {
	var l Line
	for n := 0; ; n++ {
		if n%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if w.o.Progress != nil && n > 0 {
				w.o.Progress(w.text.Stats())
			}
		}
		ok, err := w.text.Next(&l)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		f, err := w.file(&l)
		if err != nil {
			return err
		}
		if err := f.write(l.Text); err != nil {
			return err
		}
		if w.truth != nil {
			if err := w.tell(f, &l); err != nil {
				return err
			}
		}
	}
}

// file returns the file that a line belongs to.
func (w *files) file(l *Line) (*file, error) {
	name := w.o.Path
	if w.o.folder() {
		name = w.o.name(l.Truth.Kind, l.Venue)
	}
	if f := w.byName[name]; f != nil {
		return f, nil
	}
	path := name
	if w.o.folder() {
		path = w.o.in(name)
	}
	f, err := w.create(path)
	if err != nil {
		return nil, err
	}
	w.byName[name] = f
	if h := w.text.Header(l.Truth.Kind); h != nil {
		return f, f.write(h)
	}
	return f, nil
}

// name is the file of a folder that lines of a kind and a venue belong to.
func (o *Output) name(k market.Kind, venue string) string {
	switch o.Format {
	case CanonicalCSV:
		return k.String() + ".csv"
	case Raw:
		return venue + ".jsonl"
	default:
		return "events.jsonl"
	}
}

func (o *Output) in(name string) string {
	if o.Compress != "" {
		name += "." + o.Compress
	}
	return filepath.Join(o.Path, name)
}

// makeDir makes the folder, or sees that there is nothing in it but what is written over.
func (w *files) makeDir(c *Config) error {
	have, err := os.ReadDir(w.o.Path)
	if errors.Is(err, os.ErrNotExist) {
		w.madeDir = w.o.Path
		return os.MkdirAll(w.o.Path, 0o755)
	}
	ours := map[string]bool{filepath.Clean(w.o.Truth): true}
	for _, k := range c.Kinds {
		ours[w.o.in(w.o.name(k, ""))] = true
	}
	for _, v := range c.Venues {
		ours[w.o.in(w.o.name(market.KindTrade, v))] = true
	}
	for _, e := range have {
		if path := filepath.Join(w.o.Path, e.Name()); !ours[path] {
			return fmt.Errorf("%w: %s", ErrFolder, path)
		}
	}
	return err
}

const bufferSize = 256 << 10

func (w *files) create(path string) (*file, error) {
	f := &file{path: path}
	var out = w.o.Stdout
	if path != "-" {
		var err error
		if f.tmp, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp"); err != nil {
			return nil, fmt.Errorf("create file beside %q: %w", path, err)
		}
		out = f.tmp
	}
	w.all = append(w.all, f)
	switch filepath.Ext(path) {
	case ".gz":
		f.comp = gzip.NewWriter(out)
	case ".zst":
		z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		f.comp = z
	}
	if f.comp != nil {
		out = f.comp
	}
	f.buf = bufio.NewWriterSize(out, bufferSize)
	return f, nil
}

func (f *file) write(line []byte) error {
	f.lines++
	f.bytes += int64(len(line))
	_, err := f.buf.Write(line)
	return err
}

// close finishes the content; the file keeps its temporary name.
func (f *file) close() error {
	err := f.buf.Flush()
	if f.comp != nil {
		err = errors.Join(err, f.comp.Close())
	}
	if f.tmp != nil {
		err = errors.Join(err, f.tmp.Chmod(0o644), f.tmp.Sync(), f.tmp.Close())
	}
	return err
}

// commit gives all files their names, once all are complete.
func (w *files) commit() error {
	for _, f := range w.all {
		if err := f.close(); err != nil {
			return errors.Join(fmt.Errorf("write %q: %w", f.path, err), w.discard())
		}
	}
	for _, f := range w.all {
		if f.tmp == nil {
			continue
		}
		if err := os.Rename(f.tmp.Name(), f.path); err != nil {
			return errors.Join(fmt.Errorf("write %q: %w", f.path, err), w.discard())
		}
	}
	return nil
}

// discard removes what was written under temporary names.
func (w *files) discard() error {
	var errs []error
	for _, f := range w.all {
		if f.tmp == nil {
			continue
		}
		_ = f.tmp.Close() // it may be closed already, and its content no longer matters
		if err := os.Remove(f.tmp.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if w.madeDir != "" {
		_ = os.Remove(w.madeDir) // only if nobody put anything into it
	}
	return errors.Join(errs...)
}

// truthLine is one line of the truth: a record's verdict, or a hole.
type truthLine struct {
	Notice   string `json:"notice,omitempty"`
	File     string `json:"file,omitempty"`
	Line     int64  `json:"line,omitempty"`
	Kind     string `json:"kind"`
	Feed     string `json:"feed"`
	Exchange string `json:"exchange"`
	Market   string `json:"market"`
	Symbol   string `json:"symbol"`
	EventTS  int64  `json:"event_ts,omitempty"`
	ID       string `json:"id,omitempty"`
	Verdict  string `json:"verdict,omitempty"`
	Reason   string `json:"reason,omitempty"`
	FromSeq  uint64 `json:"from_seq,omitempty"`
	ToSeq    uint64 `json:"to_seq,omitempty"`
	Late     bool   `json:"late,omitempty"`
}

// tell writes the truth about a line, and the holes found on the way to it.
func (w *files) tell(f *file, l *Line) error {
	for _, n := range w.text.Notices() {
		t := w.name(n.Kind, n.Feed, n.Inst)
		t.Notice, t.FromSeq, t.ToSeq, t.Late = "gap", n.From, n.To, n.Late
		if err := w.truth.json(&t); err != nil {
			return err
		}
	}
	t := w.name(l.Truth.Kind, l.Truth.Feed, l.Truth.Inst)
	t.File, t.Line, t.EventTS, t.ID = filepath.Base(f.path), f.lines, l.Truth.EventTS, l.ID
	t.Verdict, t.Reason = l.Truth.Verdict.String(), l.Truth.Reason
	return w.truth.json(&t)
}

func (w *files) name(k market.Kind, feed market.FeedID, inst market.Inst) truthLine {
	in := w.text.m.insts.Get(inst)
	return truthLine{
		Kind: k.String(), Feed: w.text.m.feeds.Get(feed).Name,
		Exchange: in.Exchange, Market: in.Venue.String(), Symbol: in.Symbol,
	}
}

func (f *file) json(v *truthLine) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.write(append(b, '\n'))
}

func (w *files) summary(seed uint64) *Summary {
	s := w.text.Stats()
	out := &Summary{
		Seed: seed, Records: s.Records, Missing: s.Missing, Gaps: s.Gaps,
		Applied: s.ByVerdict[Applied], Late: s.ByVerdict[Late], Dup: s.ByVerdict[Duplicate], DLQ: s.ByVerdict[DeadLetter],
		First: s.FirstEvent, Last: s.LastEvent, Files: []FileInfo{},
	}
	for _, f := range w.all {
		out.Files = append(out.Files, FileInfo{f.path, f.lines, f.bytes})
	}
	return out
}
