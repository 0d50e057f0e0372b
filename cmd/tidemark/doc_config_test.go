package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/term"
	tasks "github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/conn"
	"github.com/pinova-group/tidemark/stream/sink"
	"github.com/pinova-group/tidemark/stream/topic"
)

const configIntro = `# The config

Written by ` + "`make gen`" + ` from the structs that ` + "`tidemark.yaml`" + ` is read into. The file is looked for in the working folder; ` + "`--config FILE`" + ` or
` + "`TIDEMARK_CONFIG`" + ` name another one. Without it there are no lakes but folders, and no Kafka but that of ` + "`--brokers`" + `. Every mistake is told with its
line, all at once. ` + "`${VAR}`" + ` in a value is taken from the environment (of lakes in the keys that say so). Examples: [lakes](lake.md), [Kafka and topics](topics.md),
[streaming jobs](stream.md), [schedule](schedule.md).

"must" in the column of defaults: the key has to be given where its section is. An empty one: there is none, or nothing.
`

// configSections are the sections in the order of the page, with what they are for.
var configSections = []struct{ key, title string }{
	{"kafka", "Where Kafka and the schema registry are, and how they let us in"},
	{"stream", "Topics, and what streams compute"},
	{"limits", "What streaming jobs and sinks hold in memory, and for how long"},
	{"lakes", "Lakes that are not folders, by name: `--lake NAME`"},
	{"schedule", "What `tidemark schedule` runs"},
}

// configPage is docs/config.md.
func configPage(t *testing.T) []byte {
	t.Helper()
	p := &configDoc{t: t, defaults: configDefaults(t), comments: map[string]map[string]string{}}
	p.WriteString(configIntro)
	sections := map[string]reflect.Type{}
	for f := range reflect.TypeFor[fileConfig]().Fields() {
		if key := f.Tag.Get("yaml"); key != "" {
			sections[key] = f.Type
		}
	}
	for _, s := range configSections {
		typ, key := sections[s.key], s.key
		switch typ.Kind() {
		case reflect.Map:
			typ, key = typ.Elem(), key+".NAME"
		case reflect.Slice:
			typ, key = typ.Elem(), key+"[]"
		default:
		}
		fmt.Fprintf(p, "\n## %s\n\n%s.\n\n| key | type | unit | default | meaning |\n| --- | --- | --- | --- | --- |\n", s.key, s.title)
		p.keys(key, typ)
		delete(sections, s.key)
	}
	if len(sections) > 0 {
		t.Errorf("sections %v are not on the page", sections)
	}
	for key := range p.defaults {
		t.Errorf("there is a default of %s, and no such key", key)
	}
	return []byte(p.String())
}

// configDefaults are the defaults that the program applies, by key, from the code that does.
func configDefaults(t *testing.T) map[string]string {
	t.Helper()
	var c topic.Config
	keeps := sink.New(sink.Config{})
	d := map[string]string{
		"stream.partitions":    strconv.Itoa(c.Count()),
		"limits.cycle_records": term.Int(tasks.DefaultMaxPoll),
		"limits.waiting_rows":  term.Int(tasks.DefaultMaxWaiting),
		"limits.fetch_bytes":   term.Bytes(tasks.DefaultFetchBytes),
		"limits.sink_memory":   term.Bytes(keeps.Memory),

		"limits.snapshot_every": tasks.DefaultSnapshotEvery.String(),
		"limits.idle_after":     defaultIdleAfter.String(),
		"limits.commit_every":   keeps.CommitEvery.String(),
		"limits.commit_rows":    term.Int(keeps.CommitRows),
	}
	for key, name := range map[string]string{
		"raw": "raw.spot.trade.x", "processed": "processed.spot.trade.x", "late": "late.spot.trade.x", "dlq": "dlq.spot.trade.x",
		"feature": "feature.x.v1", "alert": "alert.x.v1", "ledger": "ledger.features", "correction": "correction.x.v1",
	} {
		topic, err := c.Topic(name)
		if err != nil {
			t.Fatal(err)
		}
		keep, _ := topic.Keeps()
		d["stream.retention."+key] = keep.String()
	}
	opts, err := (&conn.Config{Brokers: []string{"127.0.0.1:9092"}}).Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	d["kafka.client_id"] = fmt.Sprint(cl.OptValue(kgo.ClientID))
	return d
}

type configDoc struct {
	strings.Builder
	t        *testing.T
	defaults map[string]string            // that are not on the page yet
	comments map[string]map[string]string // of the fields of a package, by type.field
}

// keys writes the lines of what a type holds.
func (p *configDoc) keys(key string, typ reflect.Type) {
	for f := range typ.Fields() {
		name := f.Tag.Get("yaml")
		if name == "" {
			continue
		}
		p.key(join(key, name), f, typ)
	}
}

func (p *configDoc) key(key string, f reflect.StructField, in reflect.Type) {
	typ := f.Type
	section := typ.Kind() == reflect.Pointer // it may be there without a key
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	word, inner, path := typeWord(typ), typ, key
	if typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct {
		inner, path = typ.Elem(), key+"[]"
	}
	if word == "" && !section {
		p.keys(path, inner)
		return
	}
	def, ok := p.defaults[key]
	delete(p.defaults, key)
	switch must := f.Tag.Get("must"); {
	case must == "yes":
		def = "must"
	case must != "":
		def = "must, " + must
	case !ok:
		def = f.Tag.Get("default")
	}
	meaning := p.comment(in, f.Name)
	if meaning == "" {
		p.t.Errorf("%s: %s.%s has no comment that says what the key means", key, in, f.Name)
	}
	if word == "" {
		word = "section"
	}
	fmt.Fprintf(p, "| `%s` | %s | %s | %s | %s |\n", key, word, f.Tag.Get("unit"), def, meaning)
	if typ.Kind() == reflect.Struct {
		p.keys(key, typ)
	}
}

// typeWord is what a value looks like; empty for a section.
func typeWord(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[byteSize]():
		return "size, such as `65536`, `64KiB`, `2MB`"
	case reflect.TypeFor[duration]():
		return "time, such as `500ms`, `10s`, `5m`"
	case reflect.TypeFor[topic.Retention]():
		return "whole hours or days: `48h`, `5d`, or `forever`"
	case reflect.TypeFor[conn.Secret]():
		return "text, never printed"
	}
	switch t.Kind() {
	case reflect.Struct:
		return ""
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return ""
		}
		return "list of " + typeWord(t.Elem())
	case reflect.Map:
		return "texts by name"
	case reflect.Int:
		return "whole number"
	case reflect.Bool:
		return "`true` or `false`"
	case reflect.String:
		return "text"
	default:
		panic("no word for " + t.String())
	}
}

// comment is what stands at a field, in one line.
func (p *configDoc) comment(typ reflect.Type, field string) string {
	pkg := typ.PkgPath()
	if p.comments[pkg] == nil {
		p.comments[pkg] = fieldComments(p.t, pkg)
	}
	return p.comments[pkg][typ.Name()+"."+field]
}

// fieldComments reads the sources of a package.
func fieldComments(t *testing.T, pkg string) map[string]string {
	t.Helper()
	dir := filepath.Join("../..", strings.TrimPrefix(pkg, module))
	if pkg == "main" || strings.HasSuffix(pkg, "/cmd/tidemark") {
		dir = "."
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no sources of %s in %s: %v", pkg, dir, err)
	}
	out := map[string]string{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return false
			}
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					text := f.Doc.Text() + f.Comment.Text()
					out[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
				}
			}
			return false
		})
	}
	return out
}

// module is where packages of ours are.
const module = "github.com/pinova-group/tidemark/"
