// Package bench holds recorded benchmark results and the pages that quote them.
package bench

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDoc_QuotesTheRecordedResults holds every row of docs/benchmarks.md that names a
// benchmark to the recorded run.
func TestDoc_QuotesTheRecordedResults(t *testing.T) {
	page, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]string{}
	raw, err := os.ReadFile("results/2026-11-21.txt")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^Benchmark(\S+?)-\d+\s`)
	for line := range strings.Lines(string(raw)) {
		if m := name.FindStringSubmatch(line); m != nil {
			recorded[m[1]] = " " + strings.Join(strings.Fields(line), " ") + " "
		}
	}
	older, newer, ok := strings.Cut(string(page), "## Books in the sequencer")
	if !ok {
		t.Fatal("the page has no section on books")
	}
	books, rest, _ := strings.Cut(newer, "\n## ")
	checkMedians(t, books)
	rows := 0
	row := regexp.MustCompile("(?m)^\\|[^|]*\\| `([^`]+)` \\| ([0-9.]+) \\| ([0-9.]+) \\|")
	for _, m := range row.FindAllStringSubmatch(older+rest, -1) {
		rows++
		values := m[2:3]
		line := recorded[m[1]]
		if base, ok := strings.CutPrefix(m[1], "Binance/"); ok {
			line += recorded["BinanceEncodingJSON/"+base]
			values = m[2:4]
		}
		for _, v := range values {
			if !strings.Contains(line, " "+v+" ") {
				t.Errorf("%s: %s is not in the recorded result %q", m[1], v, line)
			}
		}
	}
	if rows != 11 {
		t.Errorf("%d rows with benchmarks, want 11", rows)
	}
}

// checkMedians holds the section on books to the medians of processor time, before and
// after, of a run of several.
func checkMedians(t *testing.T, section string) {
	t.Helper()
	raw, err := os.ReadFile("results/2026-11-28.txt")
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(raw), "# after")
	median := func(text, name string) float64 {
		var v []float64
		line := regexp.MustCompile("(?m)^Benchmark" + regexp.QuoteMeta(name) + `-\d+\s.*?([0-9.]+) cpu-ns/op`)
		for _, m := range line.FindAllStringSubmatch(text, -1) {
			x, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			v = append(v, x)
		}
		if len(v) < 5 {
			t.Fatalf("%s: %d runs recorded", name, len(v))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	rows := regexp.MustCompile("(?m)^\\|[^|]*\\| `([^`]+)` \\| ([0-9.]+) \\| ([0-9.]+) \\|").FindAllStringSubmatch(section, -1)
	if len(rows) != 8 {
		t.Errorf("%d rows on books, want 8", len(rows))
	}
	for _, m := range rows {
		for i, text := range []string{before, after} {
			if want := median(text, m[1]); m[2+i] != strconv.FormatFloat(want, 'f', -1, 64) && m[2+i] != strconv.FormatFloat(want, 'f', 1, 64) {
				t.Errorf("%s: %s, recorded median %v", m[1], m[2+i], want)
			}
		}
	}
}
