// Package docs_test holds the pages under docs to what the program does: every view in them
// passes the checker, every message is the one that the example beside it gives, every table
// of rows is what the engine returns, every command runs.
package docs_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/specs"
)

// block is one fenced block of a page. The first word after the fence is its language, the
// rest its role: "yaml error" gives the problems in the text block after it, "csv rows" is
// the output of the view before it, "csv name.csv" or "python name.py" is a file.
type block struct {
	lang, role, text string
	line             int
}

func pageBlocks(t *testing.T, path string) []block {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	var cur *block
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && cur == nil:
			lang, role, _ := strings.Cut(strings.TrimSpace(fence), " ")
			cur = &block{lang: lang, role: role, line: n + 1}
		case isFence:
			out = append(out, *cur)
			cur = nil
		case cur != nil:
			cur.text += line
		}
	}
	if cur != nil {
		t.Fatalf("%s: the block at line %d has no end", path, cur.line)
	}
	return out
}

// pages are the language reference, the how-to pages and the runbooks.
func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("how-to/*.md")
	if err != nil || len(list) < 3 {
		t.Fatalf("found how-to pages %v: %v", list, err)
	}
	runbooks, err := filepath.Glob("runbooks/*.md")
	if err != nil || len(runbooks) == 0 {
		t.Fatalf("found runbooks %v: %v", runbooks, err)
	}
	return append(append([]string{"language.md", "lake.md"}, list...), runbooks...)
}

var viewName = regexp.MustCompile(`(?m)^(?:view|kind): (\S+)`)

func nameOf(b block) string {
	if m := viewName.FindStringSubmatch(b.text); m != nil {
		return m[1]
	}
	return ""
}

// finder answers with the views of the page before the shipped ones.
func finder(page map[string]string) func(string) ([]byte, bool) {
	return func(name string) ([]byte, bool) {
		if text, ok := page[name]; ok {
			return []byte(text), true
		}
		return specs.Find(name)
	}
}

// Every view of a page passes the checker and compiles; it may read those before it.
func TestPages_ViewsCheck(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		seen := map[string]string{}
		var kinds []features.Source
		for _, b := range pageBlocks(t, page) {
			if b.lang != "yaml" || b.role == "error" {
				continue
			}
			name := nameOf(b)
			if name == "" {
				t.Errorf("%s:%d: a view without a name", page, b.line)
				continue
			}
			if _, twice := seen[name]; twice {
				t.Errorf("%s:%d: view %s is on the page twice", page, b.line, name)
			}
			src := features.Source{Name: name + ".yaml", Text: []byte(b.text)}
			_, err := features.Compile(append(slices.Clone(kinds), src), features.Options{Find: finder(seen)})
			if err != nil {
				t.Errorf("%s:%d: %v", page, b.line, err)
			}
			if strings.HasPrefix(b.text, "kind:") {
				kinds = append(kinds, src)
				continue
			}
			seen[name] = b.text
		}
	}
}

// Every message is what the example before it gives, with its place and remedy.
func TestPages_Errors(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		seen := map[string]string{}
		all := pageBlocks(t, page)
		for i, b := range all {
			if b.lang != "yaml" {
				continue
			}
			if b.role != "error" {
				seen[nameOf(b)] = b.text
				continue
			}
			if i+1 == len(all) || all[i+1].lang != "text" {
				t.Errorf("%s:%d: no text block with the messages follows", page, b.line)
				continue
			}
			_, err := features.Compile([]features.Source{{Name: "bad.yaml", Text: []byte(b.text)}}, features.Options{Find: finder(seen)})
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), "bad.yaml:", "") + "\n"
			}
			if want := all[i+1].text; got != want {
				t.Errorf("%s:%d:\n--- the program says\n%s--- the page says\n%s", page, b.line, got, want)
			}
		}
	}
}

// Every table of rows is what run gives for the view before it, from the input of the page.
func TestPages_Rows(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	for _, page := range pages(t) {
		dir, name, input := t.TempDir(), "", ""
		for _, b := range pageBlocks(t, page) {
			switch {
			case b.lang == "yaml" && b.role != "error":
				name = nameOf(b)
				write(t, filepath.Join(dir, name+".yaml"), b.text)
			case b.lang == "csv" && strings.HasSuffix(b.role, ".csv"):
				input = b.role
				write(t, filepath.Join(dir, input), b.text)
			case b.lang == "csv" && b.role == "rows":
				cmd := exec.Command(bin, "run", "--spec", strings.Join(ancestors(dir, name), ","), "--view", name, "--input", input, "-o", "rows.csv")
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s:%d: %v\n%s", page, b.line, err, out)
					continue
				}
				got := table(t, filepath.Join(dir, "rows.csv"))
				want, err := csv.NewReader(strings.NewReader(b.text)).ReadAll()
				if err != nil {
					t.Fatalf("%s:%d: %v", page, b.line, err)
				}
				compareRows(t, fmt.Sprintf("%s:%d: %s", page, b.line, name), got, want)
			}
		}
	}
}

var from = regexp.MustCompile(`(?m)^from: (\S+)`)

var ticking = regexp.MustCompile(`(?m)^window: \{clock: (\w+)`)

// ancestors are the spec files of a view and of those views of the page that it reads.
func ancestors(dir, name string) []string {
	var out []string
	for {
		src, err := os.ReadFile(filepath.Join(dir, name+".yaml"))
		if err != nil {
			return out // a kind, or a shipped view
		}
		out = append(out, name+".yaml")
		if m := ticking.FindSubmatch(src); m != nil {
			out = append(out, ancestors(dir, string(m[1]))...)
		}
		m := from.FindSubmatch(src)
		if m == nil {
			return out
		}
		name = string(m[1])
	}
}

func table(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// compareRows compares the columns that want names. Times are shown as HH:MM:SS of the day
// of the example, with a fraction when they have one.
func compareRows(t *testing.T, where string, got, want [][]string) {
	t.Helper()
	at := map[string]int{}
	for i, name := range got[0] {
		at[name] = i
	}
	var lines []string
	for r, row := range got {
		var cells []string
		for _, name := range want[0] {
			i, ok := at[name]
			if !ok {
				t.Errorf("%s has no column %q", where, name)
				return
			}
			cell := row[i]
			if r > 0 {
				cell = clock(cell)
			}
			cells = append(cells, cell)
		}
		lines = append(lines, strings.Join(cells, ","))
	}
	var shown []string
	for _, row := range want {
		shown = append(shown, strings.Join(row, ","))
	}
	if g, w := strings.Join(lines, "\n"), strings.Join(shown, "\n"); g != w {
		t.Errorf("%s:\n--- the program gives\n%s\n--- the page shows\n%s", where, g, w)
	}
}

const exampleDay = 1767571200_000000 // 2026-01-05, on which the examples play

func clock(cell string) string {
	us, err := strconv.ParseInt(cell, 10, 64)
	if err != nil || len(cell) != 16 {
		return cell
	}
	us -= exampleDay
	sign := ""
	if us < 0 {
		sign, us = "-", -us
	}
	s := fmt.Sprintf("%s%02d:%02d:%02d", sign, us/3600_000000, us/60_000000%60, us/1_000000%60)
	if frac := us % 1_000000; frac != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%06d", frac), "0")
	}
	return s
}

var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tidemark-docs-*")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "tidemark")
	out, err := exec.Command("go", "build", "-o", bin, "../cmd/tidemark").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

// binary builds the program once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the binary")
	}
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestMain(m *testing.M) {
	code := m.Run()
	if !testing.Short() {
		if bin, err := buildOnce(); err == nil {
			_ = os.RemoveAll(filepath.Dir(bin))
		}
	}
	os.Exit(code)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
