// Package exdata finds the real exchange data that tests read in place. The data is
// not part of the repository: it lies in shared/data beside the checkout, or where
// TIDEMARK_DATA points.
package exdata

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Path returns the path of a data file. Without the data the test is skipped, unless
// CI is set: there it fails.
func Path(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("TIDEMARK_DATA")
	if root == "" {
		root = find()
	}
	if root == "" {
		missing(t, "exchange data not found: put it into shared/data beside the checkout or set TIDEMARK_DATA")
	}
	p := filepath.Join(root, filepath.FromSlash(name))
	if _, err := os.Stat(p); err != nil {
		missing(t, "exchange data file missing: "+p)
	}
	return p
}

// Head copies the first lines of a recording into a folder, unpacked, and returns the path; all of them when the
// recording has no more.
func Head(t testing.TB, name, dir string, lines int) string {
	t.Helper()
	f, err := os.Open(Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var in io.Reader
	if strings.HasSuffix(name, ".gz") {
		in, err = gzip.NewReader(f)
	} else {
		in, err = zstd.NewReader(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(in)
	var text []byte
	for range lines {
		line, err := r.ReadBytes('\n')
		text = append(text, line...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".gz"), ".zst"))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func missing(t testing.TB, msg string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(msg)
	}
	t.Skip(msg)
}

func find() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			p := filepath.Join(filepath.Dir(dir), "shared", "data")
			if _, err := os.Stat(p); err == nil {
				return p
			}
			return ""
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// Tapes are the recorded files that adapters read, without those that are spoiled on purpose.
func Tapes(t testing.TB) []string {
	t.Helper()
	root := filepath.Dir(Path(t, "README.md"))
	var files []string
	for _, pattern := range []string{
		"rawstream/binance_*.gz", "tapes/*.gz", "orderbook/*.gz", "candles/kraken_xbtusdt_rest_trades*.gz",
		"captures/bybit_v5*", "captures/okx_v5*", "captures/coinbase_advanced*", "captures/binance_*",
	} {
		got, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got {
			if filepath.Ext(f) != ".md" && !strings.Contains(filepath.Base(f), "negative") {
				files = append(files, f)
			}
		}
	}
	if len(files) < 20 {
		t.Fatalf("found %d tapes", len(files))
	}
	return files
}
