package stream

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

// ViewSet is a set of views as texts: what a stream computes. Views that they refer to are
// among them or shipped.
type ViewSet struct {
	Specs  []SpecText        `json:"specs"`
	Params map[string]string `json:"params,omitempty"` // by view.name
}

// SpecText is a spec file, of a view or of a kind.
type SpecText struct {
	Name string `json:"name"` // as problems name it
	Text string `json:"text"`
}

// Check reads the views. Its error is a lang.Problems with everything that is wrong.
func (v *ViewSet) Check() (*lang.Set, error) {
	var parsed []*lang.Spec
	var problems lang.Problems
	for _, s := range v.Specs {
		sp, ps := lang.Parse(s.Name, []byte(s.Text))
		parsed, problems = append(parsed, sp), append(problems, ps...)
	}
	known := func(name string, version int) (*lang.Spec, bool) {
		text, ok := specs.Find(name)
		if !ok {
			return nil, false
		}
		s, _ := lang.Parse(name+".yaml", text) // shipped specs are tested
		return s, s != nil && (version == 0 || s.Version == version)
	}
	set, ps := lang.Check(parsed, lang.CheckOptions{Set: v.Params, Known: known, Names: specs.Names()})
	if problems = append(problems, ps...); len(problems) > 0 {
		problems.Sort()
		return nil, problems
	}
	return set, nil
}

// ViewID says which view rows are of.
type ViewID struct {
	View        string `json:"view"`
	Version     int    `json:"version"`
	Fingerprint string `json:"fingerprint"` // hexadecimal
}

func (v ViewID) String() string { return fmt.Sprintf("%s.v%d", v.View, v.Version) }

// IDs are the views of a set that have topics: those made for a parent with parameters of
// their own have none.
func IDs(set *lang.Set) []ViewID {
	var ids []ViewID
	for _, v := range set.Views {
		if !strings.Contains(v.Name, "(") {
			ids = append(ids, ViewID{v.Name, v.Version, fmt.Sprintf("%x", v.Fingerprint)})
		}
	}
	return ids
}

// Share is which views of a stream are a job's.
type Share uint8

// The shares.
const (
	AllViews Share = iota
	KeyedViews
	GlobalViews
)

// of is the job's part of a set.
func (s Share) of(set *lang.Set) Part {
	keyed, global := Split(set)
	switch s {
	case KeyedViews:
		return keyed
	case GlobalViews:
		return global
	case AllViews:
	}
	all := Part{Set: set}
	for _, id := range IDs(set) {
		all.Writes = append(all.Writes, id.View)
	}
	return all
}

// only is the part of a set that some of its views are made of.
func only(set *lang.Set, writes []string) *lang.Set {
	needs := map[*lang.View]bool{}
	for _, v := range set.Views {
		if slices.Contains(writes, v.Name) {
			need(needs, v)
		}
	}
	out := &lang.Set{Kinds: set.Kinds}
	for _, v := range set.Views {
		if needs[v] {
			out.Views = append(out.Views, v)
		}
	}
	return out
}

// sameKinds reports whether events have the same kinds and columns in both tables.
func sameKinds(a, b *market.Kinds) bool {
	x, y := a.Defined(), b.Defined()
	if !slices.Equal(x, y) {
		return false
	}
	for _, k := range x {
		if a.Name(k) != b.Name(k) || !reflect.DeepEqual(a.Fields(k), b.Fields(k)) {
			return false
		}
	}
	return true
}

// engineDef says what an engine of a task computes.
type engineDef struct {
	Activation string           `json:"activation,omitempty"` // that brought it; "" for the job's first
	Views      *ViewSet         `json:"views,omitempty"`      // nil: those of the config
	Writes     []string         `json:"writes"`               // views with topics
	From       int64            `json:"from"`                 // rows before are not written, µs
	Since      int64            `json:"since,omitempty"`      // events before are of the past and not of the topics, µs; 0: all are of the topics
	Until      map[string]int64 `json:"until,omitempty"`      // rows of a view from here on are not written, µs
}

// compile plans what an engine computes.
func (d *engineDef) compile(feeds *market.Feeds) (*features.Plan, error) {
	set, err := d.Views.Check()
	if err != nil {
		return nil, err
	}
	return features.CompileSet(only(set, d.Writes), features.Options{Feeds: feeds, Find: specs.Find})
}
