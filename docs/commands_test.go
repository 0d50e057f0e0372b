package docs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var exitNote = regexp.MustCompile(`\s+# exit (\d+)$`)

// Every command of a page runs, in order, in a folder that holds the files shown before it.
// "# exit 3" after a command is the exit code that it must have, else 0. A text block right
// after the commands is what they print; … stands for anything within a line, a line of …
// for any lines. Commands of python3 need packages: they run with TIDEMARK_ORACLE_PYTHON.
func TestPages_CommandsRun(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	for _, page := range pages(t) {
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			all := pageBlocks(t, page)
			ran := 0
			for i, b := range all {
				switch {
				case b.lang == "yaml" && b.role == "error":
				case b.lang == "yaml":
					write(t, filepath.Join(dir, nameOf(b)+".yaml"), b.text)
				case strings.Contains(b.role, "."):
					write(t, filepath.Join(dir, b.role), b.text)
				case b.lang == "sh":
					out, skipped := commands(t, page, b, dir, bin)
					ran++
					if i+1 < len(all) && all[i+1].lang == "text" && !skipped {
						printed(t, page, all[i+1], out)
					}
				}
			}
			if ran == 0 {
				t.Errorf("%s has no commands", page)
			}
		})
	}
}

// commands runs the lines of a block and returns what they print.
func commands(t *testing.T, page string, b block, dir, bin string) (out string, skipped bool) {
	t.Helper()
	python := os.Getenv("TIDEMARK_ORACLE_PYTHON")
	for line := range strings.Lines(b.text) {
		line = strings.TrimSpace(line)
		want := 0
		if m := exitNote.FindStringSubmatch(line); m != nil {
			want = int(m[1][0] - '0')
			line = strings.TrimSuffix(line, m[0])
		}
		if rest, ok := strings.CutPrefix(line, "python3 "); ok {
			if python == "" {
				if os.Getenv("CI") == "true" {
					t.Errorf("%s: %q needs TIDEMARK_ORACLE_PYTHON: run make test", page, line)
				}
				t.Logf("%s: %q needs TIDEMARK_ORACLE_PYTHON", page, line)
				skipped = true
				continue
			}
			line = python + " " + rest
		}
		if line == "" {
			continue
		}
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_COLOR=1", "LC_ALL=C.UTF-8")
		text, err := cmd.CombinedOutput()
		got := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			got = exit.ExitCode()
		} else if err != nil {
			t.Fatalf("%s:%d: %v", page, b.line, err)
		}
		if got != want {
			t.Fatalf("%s:%d: %s: exit %d, want %d\n%s", page, b.line, line, got, want, text)
		}
		out += string(text)
	}
	return out, skipped
}

// printed compares what commands printed with the block that shows it.
func printed(t *testing.T, page string, want block, got string) {
	t.Helper()
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for line := range strings.Lines(want.text) {
		line = strings.TrimRight(line, " \n")
		if line == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(line, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern.WriteString(strings.Join(parts, `.*`) + ` *\n`)
	}
	pattern.WriteString(`\z`)
	if !regexp.MustCompile(pattern.String()).MatchString(got) {
		t.Errorf("%s:%d:\n--- the program prints\n%s--- the page shows\n%s", page, want.line, got, want.text)
	}
}
