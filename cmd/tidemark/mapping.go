package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run"
)

// mapFile is a map of columns as it stands in a file.
type mapFile struct {
	Map     string               `yaml:"map"` // kind
	Header  []string             `yaml:"header"`
	Nulls   []string             `yaml:"nulls"`
	Columns map[string]mapSource `yaml:"columns"`
}

// mapSource is a canonical column: a constant, or a column of the file.
type mapSource struct{ canon.Source }

// UnmarshalYAML takes a plain value for a constant and a mapping for a column.
func (s *mapSource) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		s.Value = n.Value
		return nil
	}
	var c struct {
		Column string            `yaml:"column"`
		Unit   string            `yaml:"unit"`
		Add    string            `yaml:"add"`
		Scale  int               `yaml:"scale"`
		Words  map[string]string `yaml:"words"`
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a constant or {column: NAME} is wanted", n.Line)
	}
	for i := 0; i < len(n.Content); i += 2 {
		switch k := n.Content[i].Value; k {
		case "column", "unit", "add", "scale", "words":
		default:
			return fmt.Errorf("line %d: %q is not one of column, unit, add, scale, words", n.Content[i].Line, k)
		}
	}
	if err := n.Decode(&c); err != nil {
		return err
	}
	if c.Column == "" {
		return fmt.Errorf("line %d: column is missing; a constant is written as a plain value", n.Line)
	}
	s.Source = canon.Source{Column: c.Column, Unit: c.Unit, Scale: c.Scale, Words: c.Words}
	if c.Add == "" {
		return nil
	}
	text, sign := c.Add, int64(1)
	if text[0] == '-' {
		text, sign = text[1:], -1
	}
	us, err := run.ParseDuration(text)
	s.Add = sign * us
	return err
}

// mapFlag is --map: it reads the file that it names.
type mapFlag struct {
	path string
	m    **canon.Map
}

func (f *mapFlag) String() string { return f.path }
func (f *mapFlag) Type() string   { return "file" }

func (f *mapFlag) Set(path string) error {
	m, err := readMap(path)
	f.path, *f.m = path, m
	return err
}

// addMap adds --map.
func addMap(f *pflag.FlagSet, m **canon.Map) {
	f.Var(&mapFlag{m: m}, "map", "`FILE` that says what the columns of a CSV or Parquet file are (docs/how-to/add-your-data.md)")
}

func readMap(path string) (*canon.Map, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &fault.Error{Code: "map_unreadable", Message: "cannot read the map of columns", Where: path, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	var f mapFile
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return nil, &fault.Error{Code: "map_invalid", Message: "the map of columns has a mistake", Where: path, Why: err.Error(), Exit: fault.ExitUsage, Cause: err,
			Remedy: "docs/how-to/add-your-data.md has an example"}
	}
	m := &canon.Map{File: path, Kind: f.Map, Header: f.Header, Nulls: f.Nulls, Columns: map[string]canon.Source{}}
	for name, s := range f.Columns {
		m.Columns[name] = s.Source
	}
	return m, nil
}
