package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/specs"
)

// The page has a heading for each function that runs and names each one that does not, and
// nothing else.
func TestLanguage_ListsEveryFunction(t *testing.T) {
	t.Parallel()
	page := readPage(t, "language.md")
	built, refused := functionTable(t)
	methods := map[string]bool{}
	for _, name := range bookFunctions(t) {
		methods[name] = true
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^### `(book\\.[a-z_]+)").FindAllStringSubmatch(page, -1) {
		sections[m[1]] = true
	}
	sameNames(t, "headings of order-book functions", sections, methods)
	headed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^### `([a-z_]+)\\(").FindAllStringSubmatch(page, -1) {
		headed[m[1]] = true
	}
	sameNames(t, "headings of functions", headed, built)
	listed := map[string]bool{}
	_, rest, ok := strings.Cut(page, "\nFunctions that are known and not run:\n")
	if !ok {
		t.Fatal("the list of functions that are not run is gone")
	}
	rest, _, _ = strings.Cut(rest, "\nThere are ways around.")
	for _, m := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(rest, -1) {
		listed[m[1]] = true
	}
	sameNames(t, "functions that are not run", listed, refused)
}

// What the engine keeps and what semantics numbers know is on the page.
func TestLanguage_ListsEveryOperator(t *testing.T) {
	t.Parallel()
	page := readPage(t, "language.md")
	built, _ := functionTable(t)
	for _, name := range bookFunctions(t) {
		built[name] = true
	}
	for name := range lang.Semantics {
		kind, isWindow := strings.CutPrefix(name, "window.")
		match, isJoin := strings.CutPrefix(name, "join.")
		switch {
		case isJoin && !strings.Contains(page, "`"+match+"`"):
			t.Errorf("the page has no match %s", match)
		case isJoin:
		case name == "number" || name == "div" || name == "union":
		case isWindow && !strings.Contains(page, "`{"+kind+": "):
			t.Errorf("the page has no %s window", kind)
		case !isWindow && !built[name]:
			t.Errorf("%s has semantics and is no function that runs", name)
		}
	}
	// Accumulators of the engine, by the function that is made of them.
	made := map[string]string{"Count": "count", "Sum": "sum", "First": "first", "Last": "last", "Min": "min", "Max": "max",
		"Integral": "time_mean", "Distinct": "distinct", "Hist": "quantile",
		"LiveIntegral": "time_mean", "Order": "median", "Weighted": "wmedian", "Moments": "skew", "Comoments": "cov", "ArgMin": "argmin", "ArgMax": "argmax", "Paths": "hy"}
	consts := constsOf(t, "../features/op", "Func")
	for _, c := range consts {
		if !built[made[c]] {
			t.Errorf("accumulator %s of features/op belongs to no function of the page", c)
		}
	}
	if len(consts) != len(made) {
		t.Errorf("features/op has accumulators %v, the page knows %d", consts, len(made))
	}
}

// The keys of a view, the flags of a row and the stored types are on the page.
func TestLanguage_ListsKeysAndFlags(t *testing.T) {
	t.Parallel()
	page := readPage(t, "language.md")
	for _, key := range stringList(t, "../features/lang", "topKeys") {
		if !strings.Contains(page, "`"+key+"`") {
			t.Errorf("key %s is not on the page", key)
		}
	}
	for _, flag := range features.FlagNames(nil, 0xff) {
		if !strings.Contains(page, "| `"+flag+"` | ") {
			t.Errorf("flag %s is not on the page", flag)
		}
	}
}

// Every shipped view has a row in the table of oracles, and the tests that it names exist.
func TestOracles_EveryViewHasARow(t *testing.T) {
	t.Parallel()
	page := readPage(t, "oracles.md")
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$").FindAllStringSubmatch(page, -1) {
		rows[m[1]] = true
		tests := regexp.MustCompile("`run\\.(Test\\w+)`").FindAllStringSubmatch(m[5], -1)
		if len(tests) == 0 {
			t.Errorf("%s names no test", m[1])
		}
		for _, name := range tests {
			if !testOfRun(t, name[1]) {
				t.Errorf("%s: package run has no %s", m[1], name[1])
			}
		}
	}
	shipped := map[string]bool{}
	for _, name := range specs.Names() {
		shipped[name] = true
	}
	sameNames(t, "views with an oracle", rows, shipped)
	for _, m := range regexp.MustCompile("`(run|features|sequence|internal|market)/([\\w/*]+_test\\.go)`").FindAllStringSubmatch(page, -1) {
		if found, err := filepath.Glob("../" + m[1] + "/" + m[2]); err != nil || len(found) == 0 {
			t.Errorf("there is no test %s/%s", m[1], m[2])
		}
	}
}

// testOfRun reports whether package run has a test of that name.
func testOfRun(t *testing.T, name string) bool {
	t.Helper()
	paths, err := filepath.Glob("../run/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.Contains(readPage(t, path), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// A table whose column is called message shows no message that no example gives.
func TestPages_TablesOfMessages(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		shown := ""
		for _, b := range pageBlocks(t, page) {
			if b.lang == "text" {
				shown += b.text
			}
		}
		col := -1
		for line := range strings.Lines(readPage(t, page)) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			switch {
			case !strings.HasPrefix(line, "|"):
				col = -1
			case col < 0:
				for i, c := range cells {
					if strings.TrimSpace(c) == "message" {
						col = i
					}
				}
			case !strings.HasPrefix(line, "|---"):
				want := strings.TrimSpace(cells[col])
				var parts []string
				for p := range strings.SplitSeq(want, "…") {
					parts = append(parts, regexp.QuoteMeta(strings.TrimSpace(p)))
				}
				if !regexp.MustCompile(strings.Join(parts, ".*")).MatchString(shown) {
					t.Errorf("%s: no example gives %q", page, want)
				}
			}
		}
	}
}

// Every link within the pages has its heading or file.
func TestPages_LinksLead(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(readPage(t, page), -1) {
			target, anchor := m[1], m[2]
			if strings.Contains(target, "://") {
				continue
			}
			path := page
			if target != "" {
				path = page[:strings.LastIndex(page, "/")+1] + target
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: link to %s: %v", page, target, err)
				continue
			}
			if anchor != "" && !anchors(readPage(t, path))[anchor] {
				t.Errorf("%s: %s has no heading %s", page, path, anchor)
			}
		}
	}
}

// anchors are the places that headings make, by GitHub's rule.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	drop := regexp.MustCompile(`[^a-z0-9_\- ]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		found["#"+strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return found
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

func sameNames(t *testing.T, what string, page, code map[string]bool) {
	t.Helper()
	var all []string
	for name := range page {
		all = append(all, name)
	}
	for name := range code {
		if !page[name] {
			all = append(all, name)
		}
	}
	sort.Strings(all)
	for _, name := range all {
		switch {
		case !page[name]:
			t.Errorf("%s: the page lacks %s", what, name)
		case !code[name]:
			t.Errorf("%s: the page has %s, the checker does not", what, name)
		}
	}
}

// functionTable reads the checker's table of functions from its source: those that run and
// those that are known only.
func functionTable(t *testing.T) (built, refused map[string]bool) {
	t.Helper()
	built, refused = map[string]bool{}, map[string]bool{}
	for _, e := range literal(t, "../features/lang", "functions").Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			t.Fatal("functions is not a map of sig(class, built, …)")
		}
		call, ok := kv.Value.(*ast.CallExpr)
		if !ok || len(call.Args) < 3 {
			t.Fatal("functions is not a map of sig(class, built, …)")
		}
		runs, ok := call.Args[1].(*ast.Ident)
		if !ok {
			t.Fatal("the second argument of sig is not true or false")
		}
		name := text(t, kv.Key)
		switch runs.Name {
		case "true":
			built[name] = true
		case "false":
			refused[name] = true
		default:
			t.Fatalf("sig of %s says %s", name, runs.Name)
		}
	}
	return built, refused
}

// bookFunctions are the functions of an order book, as they are called.
func bookFunctions(t *testing.T) (names []string) {
	t.Helper()
	for _, e := range literal(t, "../features/lang", "bookFunctions").Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			t.Fatal("bookFunctions is not a map")
		}
		names = append(names, "book."+text(t, kv.Key))
	}
	return names
}

func stringList(t *testing.T, path, name string) []string {
	t.Helper()
	var out []string
	for _, e := range literal(t, path, name).Elts {
		out = append(out, text(t, e))
	}
	return out
}

func text(t *testing.T, e ast.Expr) string {
	t.Helper()
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		t.Fatalf("%T is no text", e)
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// literal is the composite literal that a package variable is set to.
func literal(t *testing.T, dir, name string) *ast.CompositeLit {
	t.Helper()
	var found *ast.CompositeLit
	for _, f := range sources(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if ok && len(v.Names) == 1 && v.Names[0].Name == name && len(v.Values) == 1 {
				found, _ = v.Values[0].(*ast.CompositeLit)
			}
			return true
		})
	}
	if found == nil {
		t.Fatalf("%s has no list %s", dir, name)
	}
	return found
}

// constsOf are the names of the block of constants whose first one has the type.
func constsOf(t *testing.T, dir, typ string) []string {
	t.Helper()
	var out []string
	for _, f := range sources(t, dir) {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST || len(g.Specs) == 0 {
				continue
			}
			first, _ := g.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident)
			if first == nil || first.Name != typ {
				continue
			}
			for _, s := range g.Specs {
				out = append(out, s.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	return out
}

// sources are the files of a package without its tests.
func sources(t *testing.T, dir string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no sources in %s: %v", dir, err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}
