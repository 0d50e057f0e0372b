// Package fmacheck proves on the compiler's output that the packages whose results must
// be the same bits on every CPU (I1) hold no fused multiply-add, and call nothing of
// package math that has assembly or fused code on some CPU.
//
// The language lets a compiler fuse x*y + z unless the product is converted, and arm64
// and amd64 from GOAMD64=v3 on do. go tool objdump cannot decode the AVX forms, so the
// compiler prints its code (-gcflags=-S), which the build cache keeps: a run without
// changes takes a second or two.
package fmacheck

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// core are the packages that compute.
var core = []string{"market", "sequence", "features"}

// forecast are files of the core that estimate memory for people, and that no row depends on.
var forecast = []string{"features/predict.go", "features/traffic.go"}

func forecasts(place string) bool {
	return slices.ContainsFunc(forecast, func(f string) bool { return strings.Contains(place, "/"+f) })
}

var targets = []struct {
	name string
	env  []string
}{
	{"arm64", []string{"GOARCH=arm64"}},
	{"amd64-v3", []string{"GOARCH=amd64", "GOAMD64=v3"}},
}

// fused matches the mnemonics of the Go assembler: FMADDD, FNMSUBS, VFMADD231SD, …
var fused = regexp.MustCompile(`^V?FN?M(ADD|SUB)`)

type finding struct {
	symbol, place, op string
}

// scan reads the output of the compiler's -S: a line "symbol STEXT …" begins a function,
// lines "\t0x0010 00016 (file:line)\tOP\targs" are its instructions.
func scan(out []byte) (found []finding, functions int) {
	symbol := ""
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		line := sc.Text()
		if !strings.HasPrefix(line, "\t") {
			if name, _, ok := strings.Cut(line, " STEXT "); ok {
				symbol = name
				functions++
			}
			continue
		}
		part := strings.SplitN(line, "\t", 4)
		if len(part) < 3 || !fused.MatchString(part[2]) {
			continue
		}
		place := part[1]
		if _, p, ok := strings.Cut(place, "("); ok {
			place = strings.TrimSuffix(p, ")")
		}
		found = append(found, finding{symbol, place, part[2]})
	}
	return found, functions
}

// compile cross-builds packages and returns the compiler's listing of them alone.
func compile(t *testing.T, dir string, env []string, packages ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build", "-gcflags=-S"}, packages...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{"GOOS=linux", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"}, env...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		tail := out.Bytes()
		t.Fatalf("build %v: %v\n%s", packages, err, tail[max(0, len(tail)-2000):])
	}
	return out.Bytes()
}

func TestCore_HasNoFusedMultiplyAdd(t *testing.T) {
	root := filepath.Join("..", "..")
	var packages []string
	for _, p := range core {
		packages = append(packages, "./"+p+"/...")
	}
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			found, functions := scan(compile(t, root, target.env, packages...))
			for _, f := range found {
				if forecasts(f.place) {
					continue
				}
				t.Errorf("%s: %s in %s: write float64(x*y) + z", f.place, f.op, f.symbol)
			}
			if functions < 500 {
				t.Errorf("the listing has %d functions: not all of the core", functions)
			}
		})
	}
}

// The check itself: it must find what is there.
func TestScan_FindsFusedCode(t *testing.T) {
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			found, functions := scan(compile(t, ".", target.env, "./testdata/fused"))
			if functions != 2 || len(found) != 2 {
				t.Fatalf("%d functions, findings %v; want 2, 2", functions, found)
			}
			for _, f := range found {
				if !strings.HasSuffix(f.symbol, "fused.Horner") || !strings.HasSuffix(f.place, "fused.go:5") {
					t.Errorf("finding %v", f)
				}
			}
		})
	}
}

// exactMath is what the core may take from package math: constants, bits, and functions
// that are exact or rounded once on every CPU.
var exactMath = regexp.MustCompile(`^(Max|Min|Smallest)(Int|Uint|Float)\w*$|^(Float64bits|Float64frombits|Sqrt|Abs|Floor|Ceil|Trunc|Copysign|Signbit|IsNaN|IsInf|Inf|Round|RoundToEven|Frexp|Ldexp)$`)

func TestCore_CallsNoInexactMath(t *testing.T) {
	files := 0
	for _, p := range core {
		err := filepath.WalkDir(filepath.Join("..", "..", p), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || forecasts(path) {
				return err
			}
			files++
			bad, err := inexact(path, nil)
			for _, b := range bad {
				t.Error(b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 20 {
		t.Errorf("looked at %d files only", files)
	}
	bad, err := inexact("x.go", `package x; import m "math"; var a, b = m.Log(2), m.Sqrt(m.MaxFloat64)`)
	if err != nil || len(bad) != 1 {
		t.Errorf("the check finds %v, %v", bad, err)
	}
}

// inexact lists the uses of package math that exactMath does not have.
func inexact(path string, src any) (bad []string, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, 0)
	if err != nil {
		return nil, err
	}
	name := ""
	for _, imp := range file.Imports {
		if imp.Path.Value == `"math"` {
			name = "math"
			if imp.Name != nil {
				name = imp.Name.Name
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || name == "" {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == name && !exactMath.MatchString(sel.Sel.Name) {
			bad = append(bad, fmt.Sprintf("%s: math.%s is not the same bits on every CPU", set.Position(sel.Pos()), sel.Sel.Name))
		}
		return true
	})
	return bad, nil
}
