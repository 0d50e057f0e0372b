package input

import (
	"slices"
	"strings"
	"testing"
)

// The lines of a file end only when what comes next lies seconds behind it: the next file
// may hold two clocks, so that a later event comes before one of the file before.
func TestReader_LinesEndBehindTheSeam(t *testing.T) {
	dir := t.TempDir()
	res := readAll(t, Config{Rows: 1, Paths: []string{
		put(t, dir, "first", []byte("10\n20\n")), put(t, dir, "second", []byte("15\n24\n16\n25\n17\n29\n31\n40\n")),
	}})
	if !slices.Equal(res.times, []int64{10, 15, 20, 24, 16, 25, 17, 29, 31, 40}) {
		t.Fatalf("order is %v", res.times)
	}
	all := strings.Join(res.chunks, "")
	first, _, _ := strings.Cut(all, ".")
	if before := strings.Count(first, "t"); before < 8 {
		t.Errorf("a line ended after %d events, want it behind the one at 17: %s", before, all)
	}
}
