package input

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
)

// Stdin is the path that means the standard input.
const Stdin = "-"

// OneReading reports whether an input can be read once only: the standard input, a pipe.
func OneReading(path string) bool {
	if path == Stdin {
		return true
	}
	st, err := os.Stat(path)
	return err == nil && !st.Mode().IsRegular()
}

// MaxFiles is how many files one run reads: each is a line (shard) of its own.
const MaxFiles = 1 << 16

// Expand turns what a user names into files: a file stays, a folder gives the files
// below it, a pattern those that match. Hidden files are left out of folders. Files come
// in the order of the arguments, within one by name; none comes twice.
func Expand(args []string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	add := func(p string) {
		if c := filepath.Clean(p); !seen[c] {
			seen[c] = true
			out = append(out, p)
		}
	}
	for _, a := range args {
		files, err := expandOne(a)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			add(f)
		}
	}
	if len(out) > MaxFiles {
		return nil, fault.Usage("too_many_inputs", fmt.Sprintf("%d input files; one run reads at most %d", len(out), MaxFiles),
			"run them in parts, or join files (gzip and zstd files may simply be concatenated)")
	}
	return out, nil
}

func expandOne(arg string) ([]string, error) {
	if arg == Stdin {
		return []string{arg}, nil
	}
	st, err := os.Stat(arg)
	switch {
	case err == nil && st.IsDir():
		return walk(arg)
	case err == nil:
		return []string{arg}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, &fault.Error{Code: "input_unreadable", Message: "cannot read the input", Where: arg, Why: cause(err), Exit: fault.ExitUsage, Cause: err}
	}
	if strings.ContainsAny(arg, "*?[") {
		m, err := filepath.Glob(arg)
		if err != nil {
			return nil, &fault.Error{Code: "input_pattern", Message: "not a pattern of file names", Where: arg,
				Remedy: "* is any text, ? one character, [a-z] one of a range", Exit: fault.ExitUsage, Cause: err}
		}
		var files []string
		for _, p := range m {
			if st, err := os.Stat(p); err == nil && !st.IsDir() {
				files = append(files, p)
			}
		}
		if len(files) > 0 {
			return files, nil
		}
		return nil, &fault.Error{Code: "input_missing", Message: "no file matches", Where: arg, Exit: fault.ExitUsage,
			Remedy: "list the folder: ls " + filepath.Dir(arg)}
	}
	return nil, &fault.Error{Code: "input_missing", Message: "no such file or folder", Where: arg, Exit: fault.ExitUsage,
		Remedy: nearestPath(arg), Cause: err}
}

func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

func walk(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && p != dir {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if st, err := os.Stat(p); !d.IsDir() && err == nil && st.Mode().IsRegular() {
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		return nil, &fault.Error{Code: "input_unreadable", Message: "cannot read the folder", Where: dir, Why: cause(err), Exit: fault.ExitUsage, Cause: err}
	}
	if len(files) == 0 {
		return nil, &fault.Error{Code: "input_missing", Message: "no files in the folder", Where: dir, Exit: fault.ExitUsage}
	}
	sort.Strings(files)
	return files, nil
}

// nearestPath finds the first missing part of a path and the name nearest to it there.
func nearestPath(path string) string {
	dir := filepath.Dir(path)
	missing := filepath.Base(path)
	for {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		missing, dir = filepath.Base(dir), up
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	names := make([]string, 0, len(es))
	for _, e := range es {
		names = append(names, e.Name())
	}
	if n := fault.Nearest(missing, names); n != "" {
		return "did you mean " + filepath.Join(dir, n) + "?"
	}
	return "there is no " + missing + " in " + dir
}
