package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/market/num"
)

// MaxVariants bounds a family: each variant has its own state and rows.
const MaxVariants = 5000

// Dim is one swept parameter and the values that it takes, as canonical text.
type Dim struct {
	Name   string
	Type   string
	Values []string
}

// Variant is a view with one value for each dimension: the view that the spec is with
// these values as its defaults, of the same fingerprint.
type Variant struct {
	Values []string // in the order of the dimensions
	View   *View
}

// Family is a view over all combinations of its swept parameters for which require holds.
type Family struct {
	Set      *Set // parents first; the variants share them
	Dims     []Dim
	Variants []Variant
	Refused  int // combinations for which require is false
}

// CheckFamily checks specs as Check does, and every variant of the view of one of them.
// Values, by parameter, replace what sweep says: a list with commas, or from..to:step.
func CheckFamily(specs []*Spec, of *Spec, values map[string]string, opt CheckOptions) (*Family, Problems) {
	c := newChecker(specs, opt)
	if !c.checkAll() {
		return nil, c.problems
	}
	f := &Family{}
	exprs := c.dims(of, values, f)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	c.variants(of, f, exprs)
	c.problems.Sort()
	if c.problems = slices.Compact(c.problems); len(c.problems) > 0 {
		return nil, c.problems
	}
	f.Set = &Set{Views: c.order, Kinds: c.kinds}
	return f, nil
}

// dims finds the swept parameters of a spec and their values.
func (c *checker) dims(of *Spec, values map[string]string, f *Family) (exprs [][]*Expr) {
	v := newViewChecker(c, of)
	var names []string
	for _, p := range of.Params {
		names = append(names, p.Name)
		var list []*Expr
		text, given := values[p.Name]
		_, fixed := c.opt.Set[p.Name]
		if _, byView := c.opt.Set[of.View.Text+"."+p.Name]; fixed || byView {
			if given {
				v.problem(paramPos(p.Name, text), "want one of --set and --param", "parameter %q is both set and swept", p.Name)
			}
			continue
		}
		switch {
		case given:
			list = v.givenValues(p, text)
		case p.Range != nil:
			list = v.rangeValues(p, p.Range["from"], p.Range["to"], p.Range["step"])
		default:
			list = p.Sweep
		}
		if len(list) == 0 {
			continue
		}
		d := Dim{Name: p.Name, Type: p.Type}
		for _, e := range list {
			d.Values = append(d.Values, paramText(e))
		}
		f.Dims, exprs = append(f.Dims, d), append(exprs, list)
	}
	for _, name := range sortedKeys(values) {
		if !contains(names, name) {
			v.problem(paramPos(name, values[name]), wantName(name, names), "view %s has no parameter %q", of.View.Text, name)
		}
	}
	if len(f.Dims) == 0 && len(c.problems) == 0 {
		v.problem(of.View.Pos, "want sweep: [a, b] in a parameter, or --param name=a,b", "no parameter of %s is swept", of.View.Text)
	}
	n := 1
	for _, d := range f.Dims {
		if n *= len(d.Values); n > MaxVariants {
			v.problem(of.View.Pos, fmt.Sprintf("want at most %d: fewer values, or --param name=a,b", MaxVariants), "family of %s is too large", of.View.Text)
			break
		}
	}
	return exprs
}

func paramPos(name, text string) Pos { return Pos{File: "--param " + name + "=" + text} }

// givenValues reads values from outside the file: a,b,c or from..to:step.
func (v *viewChecker) givenValues(p Param, text string) (list []*Expr) {
	pos := paramPos(p.Name, text)
	read := func(word string) *Expr {
		e, want := setValue(strings.TrimSpace(word), p.Type, pos)
		if p.Type == "list" {
			want = "want a parameter of one value"
		}
		if want != "" {
			v.problem(pos, want, "%q is no %s", word, p.Type)
			return nil
		}
		return e
	}
	if from, rest, ok := strings.Cut(text, ".."); ok && p.Type != "string" {
		to, step, ok := strings.Cut(rest, ":")
		if !ok {
			v.problem(pos, "want from..to:step, as in 50..500:50", "%q has no step", text)
			return nil
		}
		a, b, s := read(from), read(to), read(step)
		if a == nil || b == nil || s == nil {
			return nil
		}
		return v.rangeValues(p, a, b, s)
	}
	for word := range strings.SplitSeq(text, ",") {
		if e := read(word); e != nil {
			list = append(list, e)
		}
	}
	return list
}

// rangeValues are from, from + step, … up to and with to.
func (v *viewChecker) rangeValues(p Param, from, to, step *Expr) (list []*Expr) {
	var d [3]num.Dec
	for i, e := range []*Expr{from, to, step} {
		n := v.expr(e, scope{consts: true, what: "sweep"})
		if n.Op != NConst || n.Const.Null || isBadType(n) {
			return nil
		}
		d[i] = n.Const.Dec
	}
	s := max(d[0].S, d[1].S, d[2].S)
	var m [3]int64
	for i := range d {
		x, ok := rescaled(d[i], s)
		if !ok {
			v.problem(p.Pos, "want fewer digits", "sweep of %q has too many digits", p.Name)
			return nil
		}
		m[i] = x
	}
	if m[2] <= 0 || m[0] > m[1] {
		v.problem(from.Pos, "want from ≤ to and a step above 0", "sweep of %q does not end", p.Name)
		return nil
	}
	if (m[1]-m[0])/m[2] >= MaxVariants {
		v.problem(from.Pos, fmt.Sprintf("want at most %d values: a greater step", MaxVariants), "sweep of %q is too long", p.Name)
		return nil
	}
	for x := m[0]; x <= m[1]; x += m[2] {
		e := &Expr{Pos: from.Pos, Op: OpNumber, Text: num.Dec{M: x, S: s}.Normalize().String()}
		if p.Type == "duration" {
			e.Op, e.Text = OpDuration, shortDuration(x)
		} else if x < 0 {
			e = &Expr{Pos: from.Pos, Op: OpUnary, Text: "-", Args: []*Expr{{Pos: from.Pos, Op: OpNumber, Text: e.Text[1:]}}}
		}
		list = append(list, e)
	}
	return list
}

// rescaled is the mantissa of d with s digits after the point.
func rescaled(d num.Dec, s int8) (int64, bool) {
	m := d.M
	for k := d.S; k < s; k++ {
		if m > 1<<59 || m < -(1<<59) {
			return 0, false
		}
		m *= 10
	}
	return m, true
}

// variants checks the view for each combination, the last dimension running fastest.
func (c *checker) variants(of *Spec, f *Family, exprs [][]*Expr) {
	at := make([]int, len(f.Dims))
	for {
		s := of.with(f.Dims, exprs, at)
		if c.holds(s) {
			vr := Variant{View: c.variant(of, s)}
			for i, d := range f.Dims {
				vr.Values = append(vr.Values, d.Values[at[i]])
			}
			f.Variants = append(f.Variants, vr)
		} else {
			f.Refused++
		}
		i := len(at) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < len(exprs[i]) {
				break
			}
			at[i] = 0
		}
		if i < 0 || len(c.problems) > 0 {
			break
		}
	}
	if len(f.Variants) == 0 && len(c.problems) == 0 {
		c.problem(of.Require.Pos, "want other values", "require %s is false for every combination", of.Require)
	}
}

// with is the spec with other defaults. What is not looked at again is shared.
func (s *Spec) with(dims []Dim, exprs [][]*Expr, at []int) *Spec {
	o := *s
	o.Params = slices.Clone(s.Params)
	for i := range o.Params {
		for k, d := range dims {
			if d.Name == o.Params[i].Name {
				o.Params[i].Default = exprs[k][at[k]]
			}
		}
	}
	return &o
}

// holds evaluates require; problems other than that it is false have been reported by the
// check of the spec itself.
func (c *checker) holds(s *Spec) bool {
	if s.Require == nil {
		return true
	}
	quiet := newChecker(nil, c.opt)
	quiet.kinds = c.kinds
	v := newViewChecker(quiet, s)
	v.checkParams()
	return len(quiet.problems) == 0
}

// variant checks a variant; one with the spec's own values is the view that is there.
func (c *checker) variant(of, s *Spec) *View {
	same := true
	for i := range s.Params {
		same = same && paramText(s.Params[i].Default) == paramText(of.Params[i].Default)
	}
	if same {
		s = of
	}
	if st := c.view(s); st != nil {
		return st.view
	}
	return nil
}
