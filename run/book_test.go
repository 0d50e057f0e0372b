package run_test

import (
	"bytes"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// TestRawstreams_BooksEqualPlainPython holds every feature of book_1s over recorded
// Binance streams to a Python program that follows the book straight from the JSON with
// integers and fractions: the same bits.
func TestRawstreams_BooksEqualPlainPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("python3 is not installed")
	}
	for _, c := range []struct{ name, field string }{{"spot_btcusdt", "E"}, {"usdm_ethusdt", "T"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := exdata.Path(t, fmt.Sprintf("rawstream/binance_%s_20240808.jsonl.gz", c.name))
			plain := exec.Command(python, "testdata/book.py", file, c.field, "2500")
			var out, bad bytes.Buffer
			plain.Stdout, plain.Stderr = &out, &bad
			if err := plain.Run(); err != nil {
				t.Fatalf("%v: %s", err, bad.String())
			}
			path := filepath.Join(t.TempDir(), "book.csv")
			runView(t, run.Config{Specs: []string{"book_1s"}, Inputs: []string{file}, Output: path})
			got := map[string]map[string]string{}
			for _, row := range readTable(t, path, "window_start") {
				got[row["window_start"]] = row
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) < 100 || len(got) < len(lines)-1 {
				t.Fatalf("%d rows, want %d", len(got), len(lines)-1)
			}
			names := strings.Split(lines[0], ",")
			values := 0
			for i, line := range lines[1 : len(lines)-1] { // the last second is cut
				cells := strings.Split(line, ",")
				g := got[cells[0]]
				if g == nil {
					t.Fatalf("no row of %s", cells[0])
				}
				if i == 0 {
					continue // the snapshot lies in this second: the engine has no flow before it
				}
				start, err := strconv.ParseInt(cells[0], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				for k, name := range names[1:] {
					want := cells[k+1]
					if name == "updates" && start%market.KeyframeEvery == 0 {
						want = plusOne(t, want) // a keyframe
					}
					if !sameNumber(t, g[name], want) {
						t.Errorf("%s of %s is %q, want %q", name, cells[0], g[name], want)
					}
					values++
				}
				if strings.Contains(g["flags"], "gap") {
					t.Errorf("row %s has the flag gap in a stream without one", cells[0])
				}
			}
			t.Logf("%d values are equal", values)
		})
	}
}

func plusOne(t *testing.T, s string) string {
	t.Helper()
	return new(big.Rat).Add(rat(t, s), big.NewRat(1, 1)).FloatString(0)
}

// sameNumber compares cells as float64.
func sameNumber(t *testing.T, a, b string) bool {
	t.Helper()
	if a == "" || b == "" {
		return a == b
	}
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	if errA != nil || errB != nil {
		t.Fatalf("no numbers: %q, %q", a, b)
	}
	return x == y
}
