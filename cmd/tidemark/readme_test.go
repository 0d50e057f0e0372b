package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReadme_CommandsRun runs every command of the README in order, with the spec that the README shows, in
// a folder with the folders of the repository: nothing may be mixed up with what is in those, and nothing is warned of.
func TestReadme_CommandsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range root {
		if e.IsDir() && !slices.Contains([]string{"bin", "data", ".git"}, e.Name()) {
			if err := os.MkdirAll(filepath.Join(dir, e.Name()), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, e.Name(), "code.go"), []byte("package code\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	bin := filepath.Join(dir, "bin", "tidemark")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ran := 0
	for _, b := range blocks(string(text)) {
		switch b.lang {
		case "yaml":
			if err := os.WriteFile(filepath.Join(dir, "momentum.yaml"), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case "sh":
			for line := range strings.Lines(b.text) {
				line = strings.TrimSpace(line)
				if line == "" || strings.HasPrefix(line, "make ") {
					continue // make is what runs this test
				}
				cmd := exec.Command("sh", "-c", line)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if err != nil || strings.Contains(string(out), "warning:") {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
				ran++
			}
		}
	}
	if ran < 6 {
		t.Errorf("only %d commands found in the README", ran)
	}
	for _, f := range []string{"bars.csv", "stats.json", "momentum.parquet"} {
		if st, err := os.Stat(filepath.Join(dir, f)); err != nil || st.Size() == 0 {
			t.Errorf("%s was not written: %v", f, err)
		}
	}
}

type block struct{ lang, text string }

func blocks(md string) []block {
	var out []block
	var cur *block
	for line := range strings.Lines(md) {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && cur == nil:
			cur = &block{lang: strings.TrimSpace(fence)}
		case isFence:
			out = append(out, *cur)
			cur = nil
		case cur != nil:
			cur.text += line
		}
	}
	return out
}
