package specs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/specs"
)

// validator checks a value against the part of JSON Schema that our schema uses; a word
// that it does not know fails the test.
type validator struct {
	t    *testing.T
	root map[string]any
}

func (v validator) check(schema map[string]any, value any, path string) []string {
	var bad []string
	fail := func(format string, args ...any) { bad = append(bad, path+": "+fmt.Sprintf(format, args...)) }
	obj, isObj := value.(map[string]any)
	list, isList := value.([]any)
	text, isText := value.(string)
	for word, arg := range schema {
		switch word {
		case "$schema", "$id", "$defs", "title", "description":
		case "$ref":
			name := strings.TrimPrefix(arg.(string), "#/$defs/")
			bad = append(bad, v.check(v.root["$defs"].(map[string]any)[name].(map[string]any), value, path)...)
		case "type":
			if !hasType(arg, value) {
				fail("%T is not %v", value, arg)
			}
		case "enum":
			found := false
			for _, e := range arg.([]any) {
				found = found || reflect.DeepEqual(e, value)
			}
			if !found {
				fail("%v is not one of %v", value, arg)
			}
		case "const":
			if !reflect.DeepEqual(arg, value) {
				fail("%v is not %v", value, arg)
			}
		case "pattern":
			if isText && !regexp.MustCompile(arg.(string)).MatchString(text) {
				fail("%q does not match %s", text, arg)
			}
		case "minimum":
			if n, ok := value.(float64); ok && n < arg.(float64) {
				fail("%v < %v", n, arg)
			}
		case "maximum":
			if n, ok := value.(float64); ok && n > arg.(float64) {
				fail("%v > %v", n, arg)
			}
		case "minItems":
			if isList && len(list) < int(arg.(float64)) {
				fail("too few")
			}
		case "minProperties":
			if isObj && len(obj) < int(arg.(float64)) {
				fail("too few")
			}
		case "uniqueItems":
			for i := range list {
				for j := range i {
					if reflect.DeepEqual(list[i], list[j]) {
						fail("%v twice", list[i])
					}
				}
			}
		case "items":
			for i, e := range list {
				bad = append(bad, v.check(arg.(map[string]any), e, fmt.Sprintf("%s[%d]", path, i))...)
			}
		case "required":
			for _, k := range arg.([]any) {
				if _, has := obj[k.(string)]; isObj && !has {
					fail("no %v", k)
				}
			}
		case "propertyNames":
			for k := range obj {
				bad = append(bad, v.check(arg.(map[string]any), k, path+" key")...)
			}
		case "properties":
			for k, s := range arg.(map[string]any) {
				if e, has := obj[k]; has {
					bad = append(bad, v.check(s.(map[string]any), e, path+"."+k)...)
				}
			}
		case "additionalProperties":
			known, _ := schema["properties"].(map[string]any)
			for k, e := range obj {
				if _, listed := known[k]; listed {
					continue
				}
				if s, isSchema := arg.(map[string]any); isSchema {
					bad = append(bad, v.check(s, e, path+"."+k)...)
				} else {
					fail("key %q is not known", k)
				}
			}
		case "oneOf", "anyOf":
			good := 0
			for _, s := range arg.([]any) {
				if len(v.check(s.(map[string]any), value, path)) == 0 {
					good++
				}
			}
			if good == 0 || good > 1 && word == "oneOf" {
				fail("%d of %s fit", good, word)
			}
		default:
			v.t.Fatalf("the schema uses %q, which this test does not know", word)
		}
	}
	return bad
}

func hasType(want, value any) bool {
	if list, ok := want.([]any); ok {
		for _, w := range list {
			if hasType(w, value) {
				return true
			}
		}
		return false
	}
	switch x := value.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && x == float64(int64(x))
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	}
	return false
}

// load reads YAML as an editor does, by YAML's types.
func load(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(j, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func newValidator(t *testing.T) validator {
	t.Helper()
	v := validator{t: t}
	if err := json.Unmarshal(specs.Schema, &v.root); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchema_TakesEverySpec(t *testing.T) {
	v := newValidator(t)
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		for _, bad := range v.check(v.root, load(t, string(text)), name) {
			t.Error(bad)
		}
	}
	data := filepath.Dir(exdata.Path(t, "README.md"))
	files, _ := filepath.Glob(filepath.Join(data, "..", "reference", "specs", "*.yaml"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range v.check(v.root, load(t, string(text)), filepath.Base(file)) {
			t.Error(bad)
		}
	}
}

func TestSchema_RefusesMistakes(t *testing.T) {
	const good = "view: v\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures: {x: count()}\n"
	v := newValidator(t)
	if bad := v.check(v.root, load(t, good), "good"); len(bad) > 0 {
		t.Fatal(bad)
	}
	for _, change := range [][2]string{
		{"window:", "windw:"},
		{"view: v\n", ""},
		{"by: [symbol]\n", ""},
		{"by: [symbol]", "by: symbol"},
		{"by: [symbol]", "by: [symbol, symbol]"},
		{"version: 1", "version: 0"},
		{"version: 1", "version: one"},
		{"view: v", "view: V"},
		{"from: trade", "from: trade@x"},
		{"tumbling: 1m", "tumbling: 1q"},
		{"tumbling: 1m", "tumbling: 60"},
		{"tumbling: 1m", "rolling: 1m"},
		{"tumbling: 1m", "session: 1m"},
		{"tumbling: 1m", "bar: count(), size: 5"},
		{"tumbling: 1m", "latest: exchange, every: 1s"},
		{"tumbling: 1m", "tumbling: 1m, every: 1s"},
		{"features: {x: count()}", "features: {}"},
		{"features: {x: count()}", "features: {x: [count()]}"},
		{"features: {x: count()}", "features: {X: count()}"},
		{"features: {x: count()}", ""},
		{"features: {x: count()}", "features: {x: count()}\nrollup: all"},
		{"features: {x: count()}", "features: {x: count()}\nempty: null"},
		{"features: {x: count()}", "features: {x: count()}\nparams: {n: {type: integer, default: 1}}"},
		{"features: {x: count()}", "features: {x: count()}\nparams: {n: {type: int}}"},
		{"features: {x: count()}", "features: {x: count()}\njoin: {f: {view: x, on: [symbol], match: near}}"},
		{"features: {x: count()}", "features: {x: count()}\nalert: {a: {for: 5m}}"},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if bad := v.check(v.root, load(t, text), "bad"); len(bad) == 0 {
			t.Errorf("the schema takes\n%s", text)
		}
	}
}
