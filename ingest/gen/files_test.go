package gen

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pinova-group/tidemark/market"
)

// unpack reads a file, decompressed by its extension.
func unpack(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader = bytes.NewReader(b)
	switch filepath.Ext(path) {
	case ".gz":
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	case ".zst":
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	if b, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return b
}

func spoilt() Config {
	c := DefaultConfig()
	c.Events, c.Disorder, c.Duplicates, c.Late, c.Gaps, c.Corrupt = 20_000, 80_000, 10_000, 5000, 1000, 1000
	return c
}

// Every line of every file has its verdict in the truth, in the order of the files.
func TestWrite_TruthNamesEveryLine(t *testing.T) {
	for _, o := range []Output{
		{Path: "sim", Format: CanonicalCSV, Compress: "zst", Truth: "sim/truth.jsonl.gz"},
		{Path: "sim.jsonl.gz", Format: CanonicalJSONL, Truth: "truth.jsonl"},
		{Path: "raw", Format: Raw, Truth: "truth.jsonl.zst"},
	} {
		t.Run(o.Path, func(t *testing.T) {
			dir := t.TempDir()
			o.Path, o.Truth = filepath.Join(dir, o.Path), filepath.Join(dir, o.Truth)
			c := spoilt()
			if err := o.Prepare(&c); err != nil {
				t.Fatal(err)
			}
			s, err := Write(t.Context(), c, o)
			if err != nil {
				t.Fatal(err)
			}
			lines, verdicts, gaps := map[string]int64{}, map[string]int64{}, int64(0)
			sc := bufio.NewScanner(bytes.NewReader(unpack(t, o.Truth)))
			for sc.Scan() {
				var x truthLine
				if err := json.Unmarshal(sc.Bytes(), &x); err != nil {
					t.Fatal(err)
				}
				if x.Notice != "" {
					gaps++
					continue
				}
				if last := lines[x.File]; x.Line != last+1 && (last != 0 || x.Line != 2) {
					t.Fatalf("line %d of %s after %d", x.Line, x.File, last)
				}
				lines[x.File] = x.Line
				verdicts[x.Verdict]++
			}
			if verdicts["applied"] != s.Applied || verdicts["late"] != s.Late || verdicts["duplicate"] != s.Dup || verdicts["dlq"] != s.DLQ || gaps != s.Gaps {
				t.Errorf("%v, %d gaps; summary %+v", verdicts, gaps, s)
			}
			if s.Late == 0 || s.Dup == 0 || s.DLQ == 0 || s.Gaps == 0 || s.Missing == 0 {
				t.Errorf("no faults: %+v", s)
			}
			for _, f := range s.Files {
				text := unpack(t, f.Path)
				if int64(len(text)) != f.Bytes || int64(bytes.Count(text, []byte{'\n'})) != f.Lines {
					t.Errorf("%s: %d bytes, summary %+v", f.Path, len(text), f)
				}
				if f.Path != o.Truth && lines[filepath.Base(f.Path)] != f.Lines {
					t.Errorf("%s: %d lines, truth %d", f.Path, f.Lines, lines[filepath.Base(f.Path)])
				}
			}
		})
	}
}

// The same seed gives the same bytes, compressed, too, wherever they go.
func TestWrite_SameSeedSameBytes(t *testing.T) {
	dir := t.TempDir()
	c := spoilt()
	c.Events = 3000
	var all [][]byte
	for _, name := range []string{"a.jsonl.zst", "b.jsonl.zst"} {
		path := filepath.Join(dir, name)
		if _, err := Write(t.Context(), c, Output{Path: path, Format: CanonicalJSONL}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b, unpack(t, path))
	}
	var out bytes.Buffer
	if _, err := Write(t.Context(), c, Output{Path: "-", Format: CanonicalJSONL, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(all[0], all[2]) || !bytes.Equal(all[1], all[3]) || !bytes.Equal(out.Bytes(), all[1]) {
		t.Error("bytes differ")
	}
}

// Interrupted or failed work leaves nothing behind, and what was there stays.
func TestWrite_LeavesNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old.jsonl")
	if err := os.WriteFile(old, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := spoilt()
	c.Events = 1_000_000
	for _, path := range []string{old, filepath.Join(dir, "new")} {
		ctx, cancel := context.WithCancel(t.Context())
		o := Output{Path: path, Truth: filepath.Join(dir, "truth.jsonl"), Progress: func(Stats) { cancel() }}
		o.Format, _ = FormatOf(path)
		if _, err := Write(ctx, c, o); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
	}
	c.Skews = []Skew{{"alpha", 0, market.Hour}}
	if _, err := Write(t.Context(), c, Output{Path: old}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || string(unpack(t, old)) != "before" {
		t.Errorf("%v %v", entries, err)
	}
}

func TestPrepare_Refuses(t *testing.T) {
	for _, o := range []Output{
		{Path: "a.csv", Format: CanonicalCSV}, {Path: ""}, {Path: "x", Compress: "br"}, {Path: "a.jsonl", Format: Raw},
	} {
		c := DefaultConfig()
		if err := o.Prepare(&c); err == nil {
			t.Errorf("%+v", o)
		}
	}
	c := DefaultConfig()
	c.Events = 0
	if err := (&Output{Path: "x"}).Prepare(&c); err == nil {
		t.Error("a folder without an end")
	}
}

// All files of a folder are read as one market: nothing is added to what others put there, the same is written over.
func TestWrite_FolderOfItsOwn(t *testing.T) {
	t.Chdir(t.TempDir())
	c := DefaultConfig()
	c.Events = 1000
	o := Output{Path: "sim", Format: CanonicalCSV, Truth: "sim/truth.jsonl"}
	for range 2 {
		if err := o.Prepare(&c); err != nil {
			t.Fatal(err)
		}
		if _, err := Write(t.Context(), c, o); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []Output{
		{Path: "sim", Format: CanonicalCSV},                                           // the truth is left over
		{Path: "sim", Format: CanonicalCSV, Truth: "sim/truth.jsonl", Compress: "gz"}, // and each event twice
		{Path: "sim/", Format: Raw, Truth: "sim/truth.jsonl"},
	} {
		before, err := os.ReadDir("sim")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Write(t.Context(), c, other); !errors.Is(err, ErrFolder) {
			t.Errorf("%+v: %v", other, err)
		}
		if after, err := os.ReadDir("sim"); err != nil || len(after) != len(before) {
			t.Errorf("%d files, then %d: %v", len(before), len(after), err)
		}
	}
}
