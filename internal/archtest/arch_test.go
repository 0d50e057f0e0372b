// Package archtest holds the house rules that a compiler cannot: layers, what the pure
// packages may import, sizes of files, and calls that belong to the edge.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pinova-group/tidemark"

// layers lists every package by its folder, lowest first. A package may import packages
// of lower layers only, and of its own layer only those of its own family (the first
// path element, such as market/...). A package without a layer fails the test.
var layers = [][]string{
	{"market/num"},
	{"market"},
	{"market/book", "market/zone", "market/wire/pb", "parity", "internal/exdata", "internal/exenv", "internal/fault", "internal/objstore", "internal/term"},
	{"market/adapters", "market/wire", "internal/exkafka"},
	{"market/canon", "lake/file"},
	{"lake/catalog", "specs", "features/lang"},
	{"lake", "sequence", "features/op", "features/sql"},
	{"features/plan", "features/stale", "lake/sink", "lake/interop", "schedule"},
	{"features", "run/rowfile", "stream/fetch"},
	{"ingest/gen", "run/input", "stream/broker", "stream/record", "stream/topic"},
	{"stream/conn"},
	{"stream"},
	{"run/picture"},
	{"run"},
	{"run/explain", "backfill"},
	{"run/describe", "backfill/verify", "stream/play", "stream/sink", "stream/correct", "stream/tail", "run/lakes", "run/causal", "run/specdiff", "run/spectest", "run/sweep"},
	{"stream/follow"},
	{"cmd/tidemark"},
	{"internal/archtest", "internal/fmacheck", "docs", "bench"},
}

// pure packages are functions of their input: no files, network, logs, clocks, random
// numbers or goroutine tools (I0, I1).
var pure = []string{"market", "market/num", "market/book", "market/zone", "market/wire", "parity", "sequence", "features", "features/lang", "features/plan", "features/op", "features/stale"}

var impure = []string{"os", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "os/exec", "context", "syscall"}

type pkg struct {
	ImportPath  string
	Dir         string
	Imports     []string
	GoFiles     []string
	TestGoFiles []string
}

func TestLayers_ImportsGoDown(t *testing.T) {
	level := map[string]int{}
	for i, ps := range layers {
		for _, p := range ps {
			level[p] = i
		}
	}
	for _, p := range list(t) {
		name := short(p.ImportPath)
		at, ok := level[name]
		if !ok {
			t.Errorf("package %s has no layer: add it to internal/archtest", name)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module+"/") {
				continue
			}
			dep := short(imp)
			to, ok := level[dep]
			if !ok {
				continue // reported at the package itself
			}
			if to >= at {
				t.Errorf("%s imports %s, which is not below it", name, dep)
			}
		}
	}
}

func TestPure_ImportsNoOutsideWorld(t *testing.T) {
	core := map[string]bool{}
	for _, p := range pure {
		core[p] = true
	}
	for _, p := range list(t) {
		if !core[short(p.ImportPath)] {
			continue
		}
		for _, imp := range p.Imports {
			for _, bad := range impure {
				if imp == bad {
					t.Errorf("%s imports %s: the core is a function of its input", short(p.ImportPath), imp)
				}
			}
		}
	}
}

// What explain works out proves something only as far as the engine has no part in it: the
// evaluator's files know the language and numbers alone.
func TestExplain_IsASecondEvaluator(t *testing.T) {
	allowed := []string{"features/lang", "market", "market/num"}
	files := []string{"aggregate", "begins", "book", "clock", "frame", "join", "latest", "rows", "scan", "statistics", "value"}
	for _, name := range files {
		path := filepath.Join("..", "..", "run", "explain", name+".go")
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			if dep := short(strings.Trim(imp.Path.Value, `"`)); dep != strings.Trim(imp.Path.Value, `"`) && !slices.Contains(allowed, dep) {
				t.Errorf("%s imports %s: the second evaluator may not lean on it", path, dep)
			}
		}
	}
}

func TestVendors_StayInTheirAdapters(t *testing.T) {
	owners := map[string][]string{
		"github.com/apache/arrow-go":     {"run/rowfile", "lake"},
		"github.com/apache/iceberg-go":   {"lake"},
		"github.com/twmb/franz-go":       {"stream"},
		"github.com/aws/aws-sdk-go-v2":   {"lake", "internal/objstore", "stream/conn"},
		"github.com/jackc/pgx":           {"lake/catalog"},
		"modernc.org/sqlite":             {"lake/catalog"},
		"github.com/spf13/cobra":         {"cmd/tidemark"},
		"github.com/vbauerster/mpb":      {"cmd/tidemark"},
		"github.com/jedib0t/go-pretty":   {"cmd/tidemark", "internal/term"},
		"google.golang.org/protobuf":     {"market/wire", "stream/record", "parity"},
		"go.yaml.in/yaml":                {"features/lang", "cmd/tidemark"},
		"github.com/robfig/cron":         {"schedule"},
		"github.com/klauspost/compress":  {"run", "ingest/gen", "cmd/tidemark", "lake/file", "internal/exdata"},
		"github.com/go-json-experiment/": {"market/adapters", "market/canon"},
	}
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			for vendor, at := range owners {
				if !strings.HasPrefix(imp, vendor) {
					continue
				}
				ok := false
				for _, o := range at {
					ok = ok || short(p.ImportPath) == o || strings.HasPrefix(short(p.ImportPath), o+"/")
				}
				if !ok {
					t.Errorf("%s imports %s; it belongs to %s", short(p.ImportPath), imp, strings.Join(at, ", "))
				}
			}
		}
	}
}

func TestFiles_StayReadable(t *testing.T) {
	for _, f := range goFiles(t) {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(src, []byte("// Code generated")) {
			continue
		}
		limit := 600
		if strings.HasSuffix(f, "_test.go") {
			limit = 1000
		}
		if n := bytes.Count(src, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines, more than %d: look for the second idea inside", f, n, limit)
		}
	}
}

// TestCalls_ClockAndRandomnessStayAtTheEdge finds uses of the wall clock and of shared
// randomness outside cmd and tests.
func TestCalls_ClockAndRandomnessStayAtTheEdge(t *testing.T) {
	root := root(t)
	for _, f := range goFiles(t) {
		rel, err := filepath.Rel(root, f)
		if err != nil {
			t.Fatal(err)
		}
		rel = filepath.ToSlash(rel)
		if strings.HasSuffix(rel, "_test.go") || strings.HasSuffix(rel, ".pb.go") || strings.HasPrefix(rel, "cmd/") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, f, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if fn, ok := n.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: init function; list things in one explicit table", fset.Position(n.Pos()))
			}
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch x.Name + "." + sel.Sel.Name {
			case "time.Now", "time.Since", "time.After", "time.Tick", "time.Sleep", "time.NewTicker":
				t.Errorf("%s: %s.%s outside cmd: take the time as an argument", fset.Position(n.Pos()), x.Name, sel.Sel.Name)
			case "fmt.Print", "fmt.Println", "fmt.Printf":
				t.Errorf("%s: only cmd prints", fset.Position(n.Pos()))
			}
			return true
		})
	}
}

func short(path string) string { return strings.TrimPrefix(path, module+"/") }

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []pkg
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return ps
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var fs_ []string
	err := filepath.WalkDir(root(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root(t) || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			fs_ = append(fs_, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fs_
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(filepath.Dir(dir))
}
