package main

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/conn"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// configFile is read from the working folder; --config or TIDEMARK_CONFIG name another.
const configFile = "tidemark.yaml"

// fileConfig is the config file. docs/config.md is made of these structs: the comment of a field is the meaning of its
// key, `unit` its unit, `must` says that it has to be given.
type fileConfig struct {
	Lakes  map[string]lakeConfig `yaml:"lakes"`
	Kafka  conn.Config           `yaml:"kafka"`
	Stream topic.Config          `yaml:"stream"`
	Limits limitsConfig          `yaml:"limits"`

	Schedule []scheduleEntry `yaml:"schedule"`

	file   string
	absent bool // there is no such file, and nobody asked for it
	root   *yaml.Node
}

// where is the file, if there is one.
func (c *fileConfig) where() string {
	if c.absent {
		return ""
	}
	return c.file
}

// why says what is behind something that the config does not have.
func (c *fileConfig) why() string {
	if c.absent {
		return "there is no " + c.file + " in the working folder, and --config names none"
	}
	return ""
}

// readConfig reads the config file; without one everything is as by default.
func (a *app) readConfig() (*fileConfig, string, error) {
	path, asked := a.config, a.config != ""
	if !asked {
		path, asked = os.LookupEnv("TIDEMARK_CONFIG")
	}
	if !asked {
		path = configFile
	}
	c := &fileConfig{file: path, root: &yaml.Node{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		c.absent = true
		return c, path, nil
	}
	bad := func(err error) error {
		return &fault.Error{Code: "config_invalid", Message: "cannot read the config", Where: path, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	if err != nil {
		return nil, path, bad(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, path, bad(err)
	}
	if len(doc.Content) == 0 {
		return c, path, nil // nothing but comments
	}
	c.root = doc.Content[0]
	w := configWalk{file: path}
	w.node(c.root, reflect.TypeFor[fileConfig](), "")
	if err := configFault(w.parts); err != nil {
		return nil, path, err
	}
	if err := c.root.Decode(c); err != nil {
		return nil, path, bad(err)
	}
	return c, path, nil
}

// configFault is an error of all that is wrong with a config, or nil.
func configFault(parts []fault.Part) error {
	if len(parts) == 0 {
		return nil
	}
	f := &fault.Error{Code: "config_invalid", Message: "the config has a mistake", Where: parts[0].Where, Exit: fault.ExitUsage, Parts: parts}
	if len(parts) > 1 {
		f.Message = fmt.Sprintf("the config has %d mistakes", len(parts))
	}
	return f
}

// configWalk looks at what YAML says against the type that it will be read into, so that all
// mistakes are told with their places.
type configWalk struct {
	file  string
	parts []fault.Part
}

func (w *configWalk) wrong(n *yaml.Node, key, message, remedy string) {
	w.parts = append(w.parts, fault.Part{Where: fmt.Sprintf("%s:%d:%d", w.file, n.Line, n.Column), Message: key + ": " + message, Remedy: remedy})
}

func (w *configWalk) node(n *yaml.Node, t reflect.Type, key string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Tag == "!!null" {
		return
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](reflect.New(t)); ok {
		if err := u.UnmarshalText([]byte(n.Value)); err != nil || n.Kind != yaml.ScalarNode {
			w.wrong(n, key, fmt.Sprint(err), "")
		}
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		w.object(n, t, key)
	case reflect.Map:
		if w.is(n, yaml.MappingNode, key, "keys, each with a value") {
			for i := 0; i+1 < len(n.Content); i += 2 {
				w.node(n.Content[i+1], t.Elem(), join(key, n.Content[i].Value))
			}
		}
	case reflect.Slice:
		if w.is(n, yaml.SequenceNode, key, "a list, such as [a, b]") {
			for i, c := range n.Content {
				w.node(c, t.Elem(), key+"["+strconv.Itoa(i)+"]")
			}
		}
	case reflect.Int:
		if _, err := strconv.Atoi(n.Value); err != nil || n.Kind != yaml.ScalarNode {
			w.wrong(n, key, fmt.Sprintf("%q is no number", n.Value), "write a whole number")
		}
	case reflect.Bool:
		if n.Tag != "!!bool" {
			w.wrong(n, key, fmt.Sprintf("%q is neither true nor false", n.Value), "")
		}
	default:
		if w.is(n, yaml.ScalarNode, key, "one value") {
			w.expand(n, key)
		}
	}
}

func join(key, name string) string { return strings.TrimPrefix(key+"."+name, ".") }

func (w *configWalk) is(n *yaml.Node, k yaml.Kind, key, what string) bool {
	if n.Kind != k {
		if key == "" {
			key = "the file"
		}
		w.wrong(n, key, "not "+what, "")
	}
	return n.Kind == k
}

func (w *configWalk) object(n *yaml.Node, t reflect.Type, key string) {
	if !w.is(n, yaml.MappingNode, key, "keys, each with a value") {
		return
	}
	types, names := map[string]reflect.Type{}, []string{}
	for f := range t.Fields() {
		if name := f.Tag.Get("yaml"); name != "" {
			types[name], names = f.Type, append(names, name)
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if ft, ok := types[k.Value]; ok {
			w.node(v, ft, join(key, k.Value))
			continue
		}
		w.wrong(k, join(key, k.Value), "there is no such key", fault.DidYouMean(k.Value, names))
	}
}

var variable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// expand puts in what ${VAR} stands for. Lakes do it themselves, for some of their keys.
func (w *configWalk) expand(n *yaml.Node, key string) {
	if strings.HasPrefix(key, "lakes.") {
		return
	}
	n.Value = variable.ReplaceAllStringFunc(n.Value, func(v string) string {
		name := v[2 : len(v)-1]
		text, ok := os.LookupEnv(name)
		if !ok {
			w.wrong(n, key, "the environment has no "+name, "set "+name+", or write the value")
		}
		return text
	})
}

// at gives parts whose places are keys of a section their places in the file.
func (c *fileConfig) at(section string, parts []fault.Part) []fault.Part {
	for i := range parts {
		p := &parts[i]
		n := c.root
		key := join(section, p.Where)
		for _, word := range strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
			next := child(n, word)
			if next == nil {
				break
			}
			n = next
		}
		p.Message = key + ": " + p.Message
		if c.absent { // it was a flag
			p.Where = "flags"
			continue
		}
		p.Where = fmt.Sprintf("%s:%d:%d", c.file, max(n.Line, 1), max(n.Column, 1))
	}
	return parts
}

func child(n *yaml.Node, word string) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == word {
				return n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(word); err == nil && i < len(n.Content) {
			return n.Content[i]
		}
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode:
	}
	return nil
}

// streamFlags say where Kafka is, in place of the config.
type streamFlags struct {
	brokers  []string
	registry string
}

func (s *streamFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&s.brokers, "brokers", nil, "some brokers, `HOST:PORT` of each, comma between (default: kafka.brokers of the config)")
	f.StringVar(&s.registry, "registry", "", "`URL` of the schema registry (default: kafka.registry of the config)")
}

// stream is what the streaming commands work with.
type stream struct {
	*fileConfig
	kinds   *market.Kinds
	feeds   *market.Feeds
	outputs []features.Output // of the views of the config and those added
}

// openStream reads the config, with the views that it names and more. With kafka it must say
// where that is.
func (a *app) openStream(flags *streamFlags, kafka bool, more ...string) (*stream, error) {
	c, _, err := a.readConfig()
	if err != nil {
		return nil, err
	}
	if flags.brokers != nil {
		c.Kafka.Brokers = flags.brokers
	}
	if flags.registry != "" {
		c.Kafka.Registry = &conn.Registry{URL: flags.registry}
	}
	if kafka && c.absent && len(c.Kafka.Brokers) == 0 {
		return nil, &fault.Error{Code: "config_missing", Message: "nothing says where Kafka is", Why: c.why(), Exit: fault.ExitUsage,
			Remedy: "write one (docs/topics.md has an example), name another with --config FILE, or give --brokers HOST:PORT"}
	}
	s := &stream{fileConfig: c, feeds: market.NewFeeds()}
	if names := slices.Concat(c.Stream.Views, more); len(names) > 0 {
		plan, _, err := run.Compile(names, nil, s.feeds)
		if err != nil {
			return nil, err
		}
		s.kinds, s.outputs = plan.Kinds(), plan.Outputs()
	}
	parts := append(c.at("stream", c.Stream.Check(s.kinds)), c.at("limits", c.Limits.check())...)
	if kafka {
		parts = append(c.at("kafka", c.Kafka.Check()), parts...)
	}
	return s, configFault(parts)
}

// schemas are the schemas of records.
func (s *stream) schemas() (*record.Schemas, error) {
	client, err := s.Kafka.RegistryClient()
	if err != nil {
		return nil, err
	}
	return record.NewSchemasOf(client, s.kinds), nil
}

// wanted are the topics of the config.
func (s *stream) wanted() ([]topic.Topic, error) {
	var views []topic.View
	for i := range s.outputs {
		if o := &s.outputs[i]; !strings.Contains(o.Name, "(") { // only another view's parent, with parameters of its own
			views = append(views, topic.View{Name: o.Name, Version: o.Version, Alerts: len(o.Alerts) > 0})
		}
	}
	var jobs []string
	if len(views) > 0 {
		jobs = []string{jobFeatures, jobGlobal} // each has a ledger
	}
	return s.Stream.Wanted(s.kinds, views, jobs)
}

// topics are those that the config asks for, and those that the brokers have.
func (s *stream) topics(ctx context.Context) (want, have []topic.Topic, err error) {
	if want, err = s.wanted(); err != nil {
		return nil, nil, err
	}
	adm, err := s.admin()
	if err != nil {
		return nil, nil, err
	}
	defer adm.Close()
	have, err = adm.List(ctx)
	return want, have, err
}

// admin looks at the topics of the cluster.
func (s *stream) admin() (*topic.Admin, error) {
	opts, err := s.Kafka.Options()
	if err != nil {
		return nil, err
	}
	return topic.Open(opts...)
}
