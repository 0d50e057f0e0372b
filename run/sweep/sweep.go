// Package sweep runs a family of views, all combinations of its swept parameters, in one
// pass over the input, and says how each did. A variant has the bits and the fingerprint
// of the same spec run alone with its values.
package sweep

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run"
)

// Config is one sweep.
type Config struct {
	run.Config          // input; Specs with the swept view last
	Params     []string // name=a,b,c or name=from..to:step, in the place of what the spec sweeps
	Metrics    []string // mean(feature), corr(feature, other, ahead=5) …; nil for mean and std of each feature
	Best       string   // metric to order by, "" for the first
	Least      bool     // the least first
}

// Result is what a sweep found, the best variant first.
type Result struct {
	View     string    `json:"view"`
	Dims     []Dim     `json:"parameters"`
	Metrics  []string  `json:"metrics"`
	By       int       `json:"-"` // metric that variants are ordered by
	Variants []Variant `json:"variants"`
	Refused  int       `json:"refused,omitempty"` // combinations that require rules out
	Partial  int64     `json:"partial_rows"`      // rows at the end of the input, which no metric counts

	Report *run.Report `json:"-"`
	src    features.Source
}

// Dim is one swept parameter.
type Dim struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Variant is one combination and its metrics.
type Variant struct {
	Values      []string  `json:"values"`
	Fingerprint string    `json:"fingerprint"`
	Rows        int64     `json:"rows"`
	Metrics     []float64 `json:"-"` // NaN for none

	view *lang.View
}

// Sweep runs the family of the last spec.
func Sweep(ctx context.Context, cfg Config, env run.Env) (*Result, error) {
	fam, src, err := family(&cfg)
	if err != nil {
		return nil, err
	}
	res := &Result{View: fam.Variants[0].View.Name, Refused: fam.Refused, src: src}
	for _, d := range fam.Dims {
		res.Dims = append(res.Dims, Dim{d.Name, d.Values})
	}
	c := &collector{cfg: &cfg, fam: fam, at: map[*lang.View]int{}}
	for i, v := range fam.Set.Views {
		c.at[v] = i
	}
	if err := c.init(res); err != nil {
		return nil, err
	}
	if res.Report, err = run.Drive(ctx, cfg.Config, env, fam.Set, c.rows); err != nil {
		return nil, err
	}
	res.Partial = c.partial
	for i := range fam.Variants {
		v := &fam.Variants[i]
		out := Variant{Values: v.Values, Fingerprint: hex.EncodeToString(v.View.Fingerprint[:]), Rows: c.counts[i], view: v.View}
		for k := range c.states[i] {
			out.Metrics = append(out.Metrics, c.states[i][k].value())
		}
		res.Variants = append(res.Variants, out)
	}
	res.order(cfg.Least)
	return res, nil
}

// family reads the specs and lists the variants of the last one.
func family(cfg *Config) (*lang.Family, features.Source, error) {
	parsed, src, problems, err := run.Load(cfg.Specs)
	if err != nil {
		return nil, features.Source{}, err
	}
	if len(problems) > 0 {
		return nil, features.Source{}, run.SpecFault(problems)
	}
	values := map[string]string{}
	for _, p := range cfg.Params {
		name, text, ok := strings.Cut(p, "=")
		if !ok || name == "" || text == "" {
			return nil, features.Source{}, fault.Usage("param_syntax", fmt.Sprintf("%q is no range of a parameter", p), "write --param name=a,b,c or --param name=from..to:step")
		}
		if _, dup := values[name]; dup {
			return nil, features.Source{}, fault.Usage("param_twice", fmt.Sprintf("parameter %q is given twice", name), "")
		}
		values[name] = text
	}
	params, err := cfg.Config.Params()
	if err != nil {
		return nil, features.Source{}, err
	}
	_, last, ok := run.LastView(src)
	if !ok {
		return nil, features.Source{}, fault.Usage("view_missing", "these specs define kinds and no view", "name the view to sweep, too")
	}
	of := parsed[slices.IndexFunc(src, func(s features.Source) bool { return s.Name == last.Name })]
	fam, problems := lang.CheckFamily(parsed, of, values, run.CheckOptions(params))
	if len(problems) > 0 {
		return nil, features.Source{}, run.SpecFault(problems)
	}
	return fam, last, nil
}

// collector works the metrics out while rows come.
type collector struct {
	cfg     *Config
	fam     *lang.Family
	at      map[*lang.View]int // place among the plan's outputs
	fields  []features.Field
	metrics []metric
	states  [][]state
	counts  []int64
	partial int64
}

// init finds the metrics; the columns of all variants are the same.
func (c *collector) init(res *Result) error {
	plan, err := features.CompileSet(c.fam.Set, features.Options{})
	if err != nil {
		return run.SpecFault(err)
	}
	c.fields = plan.Outputs()[c.at[c.fam.Variants[0].View]].Fields
	texts := c.cfg.Metrics
	if len(texts) == 0 {
		for _, f := range c.fields {
			if f.Type != features.FieldText {
				texts = append(texts, "mean("+f.Name+")", "std("+f.Name+")")
			}
		}
	}
	if c.cfg.Best != "" && !slices.Contains(texts, c.cfg.Best) {
		texts = append(slices.Clone(texts), c.cfg.Best)
	}
	if len(texts) == 0 {
		return fault.Usage("metric_missing", "the view has no numeric feature", "name a metric: --metric 'count(feature)'")
	}
	for _, t := range texts {
		m, err := parseMetric(t, c.fields)
		if err != nil {
			return err
		}
		c.metrics = append(c.metrics, m)
	}
	res.Metrics = texts
	res.By = max(0, slices.Index(texts, c.cfg.Best))
	for range c.fam.Variants {
		states := make([]state, len(c.metrics))
		for k := range states {
			states[k] = state{m: &c.metrics[k], wait: map[uint32][]float64{}}
		}
		c.states = append(c.states, states)
	}
	c.counts = make([]int64, len(c.fam.Variants))
	return nil
}

// rows takes the rows of a step. Those that reach past the input say nothing of a variant.
func (c *collector) rows(_ *features.Task, rows *features.Rows) error {
	for i := range c.fam.Variants {
		v := &rows.Views[c.at[c.fam.Variants[i].View]]
		for r := range v.Len() {
			if v.Flags[r]&features.FlagPartial != 0 {
				c.partial++
				continue
			}
			c.counts[i]++
			for k := range c.states[i] {
				c.states[i][k].add(v.Entity[r], v, c.fields, r)
			}
		}
	}
	return nil
}

// order puts the best variant first, those without a value last.
func (r *Result) order(least bool) {
	slices.SortStableFunc(r.Variants, func(a, b Variant) int {
		x, y := a.Metrics[r.By], b.Metrics[r.By]
		switch {
		case math.IsNaN(x) || math.IsNaN(y):
			return boolOrder(math.IsNaN(x)) - boolOrder(math.IsNaN(y))
		case x == y:
			return 0
		case (x > y) != least:
			return -1
		}
		return 1
	})
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}
