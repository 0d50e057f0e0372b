// Package bench holds recorded benchmark results and the pages that quote them.
package bench

import (
	"os"
	"regexp"
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
	rows := 0
	row := regexp.MustCompile("(?m)^\\|[^|]*\\| `([^`]+)` \\| ([0-9.]+) \\| ([0-9.]+) \\|")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
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
	if rows != 13 {
		t.Errorf("%d rows with benchmarks, want 13", rows)
	}
}
