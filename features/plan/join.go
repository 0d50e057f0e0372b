package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market"
)

// Words of a joined row before its cells.
const (
	JoinTS = iota
	JoinAvail
	JoinHold
	JoinFlags
	JoinCells
)

// Join is the rows of another input, kept by key for a view that matches its own with
// them: the newest at or before a time (Strict: before), at most MaxAge old; Exact: at it.
type Join struct {
	Alias         string
	Source        int         // index of the joined view, -1 when it is a kind
	Kind          market.Kind // of a kind
	Exact, Strict bool
	MaxAge        int64
	Left, Right   []Ref // the key among the columns of the view's input, and of the joined side
	Own           []Ref // the key among the entity columns of the view itself, for AtFeatures
	Prog          *op.Prog
	Where         int     // register of the filter, -1 for none
	Inputs        []Input // columns of the joined side that are read
	Kept          []int   // which of them are kept, and
	Cells         []int   // their cells in a joined row
	Words         int     // of a joined row
	AtRows        bool    // matched at the time of each row
	AtFeatures    bool    // matched at the row_ts of a window's row
	KeyWord       int     // word of a held row with its key, where AtRows
	columns       map[string]int
}

// join plans the joined sides; those that are views must have been built.
func (l *lowering) joins(at map[*lang.View]int) error {
	for _, lj := range l.v.Lang.Joins {
		j := Join{Alias: lj.Alias, Source: -1, Kind: lj.Kind, Exact: lj.Exact, Strict: lj.Strict, MaxAge: lj.MaxAge, Where: -1,
			Words: JoinCells, columns: map[string]int{}}
		// The joined side is read as the input of a view of its own would be.
		side := &lowering{v: &View{Lang: &lang.View{Columns: lj.Columns, Kinds: l.v.Lang.Kinds}, Parent: -1, Kind: lj.Kind, Hold: true}, row: newCoder(),
			views: l.views, inputs: map[int]value{}}
		if lj.View != nil {
			i, ok := at[lj.View]
			if !ok {
				return fmt.Errorf("its join %s has problems", lj.Alias)
			}
			j.Source, side.v.Parent = i, i
			l.v.Kinds |= l.views[i].Kinds
		} else {
			l.v.Kinds |= kindSet(lj.Kind)
		}
		if err := l.joinKey(&j, side, lj); err != nil {
			return err
		}
		if err := side.joined(&j, lj); err != nil {
			return fmt.Errorf("join %s: %w", lj.Alias, err)
		}
		l.v.Joins = append(l.v.Joins, j)
	}
	return nil
}

func (l *lowering) joinKey(j *Join, side *lowering, lj *lang.TypedJoin) error {
	text := lang.Type{Kind: lang.TText}
	own := l.v.EntityColumns()
	for _, name := range lj.On {
		left, err := l.ref(name, text)
		if err != nil {
			return err
		}
		right, err := side.ref(name, text)
		if err != nil {
			return err
		}
		j.Left, j.Right = append(j.Left, left.Ref), append(j.Right, right.Ref)
		j.Own = append(j.Own, Ref{Source: OfEntity, Index: slices.Index(own, name), Name: name})
	}
	return nil
}

// joined writes the filter of the joined side and finds the columns that are kept.
func (l *lowering) joined(j *Join, lj *lang.TypedJoin) error {
	l.row.resolve = l.column
	keep := []int{}
	if lj.Where != nil {
		w, err := l.row.expr(lj.Where)
		if err == nil {
			w, err = l.row.convert(w, op.KBool)
		}
		if err != nil {
			return err
		}
		j.Where = w.reg
		keep = append(keep, w.reg)
	}
	for _, c := range lj.Kept {
		at := slices.IndexFunc(l.v.Inputs, func(in Input) bool { return in.Ref.Name == c.Name })
		if at < 0 {
			in, err := l.ref(c.Name, c.Type)
			if err != nil {
				return err
			}
			in.Ref.Name, in.Reg = c.Name, l.row.reg()
			at = len(l.v.Inputs)
			l.v.Inputs = append(l.v.Inputs, in)
		}
		j.columns[c.Name] = len(j.Kept)
		j.Kept, j.Cells = append(j.Kept, at), append(j.Cells, j.Words)
		j.Words += op.CellWords(l.v.Inputs[at].Kind)
		keep = append(keep, l.v.Inputs[at].Reg)
	}
	j.Prog, j.Inputs = l.row.done(keep), l.v.Inputs
	for i := range j.Inputs {
		j.Inputs[i].Reg = l.row.at(j.Inputs[i].Reg)
	}
	if j.Where >= 0 {
		j.Where = l.row.at(j.Where)
	}
	return nil
}

// joinRef finds alias.column.
func (l *lowering) joinRef(col lang.Column) (Input, error) {
	j := &l.v.Joins[col.Join-1]
	_, name, _ := strings.Cut(col.Name, ".")
	k, ok := j.columns[name]
	if !ok {
		return Input{}, fmt.Errorf("no column %q in join %s", name, j.Alias)
	}
	return Input{Ref: Ref{Source: Joined, Index: k, Name: col.Name}, Join: col.Join - 1, Kind: j.Inputs[j.Kept[k]].Kind}, nil
}

// joinAt notes where a column is matched.
func (l *lowering) joinAt(n *lang.Node, features bool) {
	col := l.v.Lang.Columns[n.Index]
	switch {
	case col.Join == 0:
	case features:
		l.v.Joins[col.Join-1].AtFeatures = true
	default:
		l.v.Joins[col.Join-1].AtRows = true
	}
}

// union finds the inputs of a union; those that are views must have been built.
func (v *View) union(done []*View, at map[*lang.View]int) error {
	if v.Lang.Union == nil {
		return nil
	}
	v.Kinds, v.Keyed = 0, true
	for _, u := range v.Lang.Union {
		of := -1
		if u.View != nil {
			i, ok := at[u.View]
			if !ok {
				return fmt.Errorf("its input %s has problems", u.View.Name)
			}
			of = i
			v.Kinds |= done[i].Kinds
			v.Listing = max(v.Listing, done[i].Listing)
		} else {
			v.Kinds |= kindSet(u.Kind)
		}
		v.Union, v.Of = append(v.Union, u.Kind), append(v.Of, of)
	}
	return nil
}

// unionBare finds for each input that is a view the columns that have no alias.
func (l *lowering) unionBare() error {
	for k, of := range l.v.Of {
		var refs []Ref
		for _, in := range l.v.Inputs {
			ref := in.Ref
			if of >= 0 && in.Union == 0 && ref.Source != Joined {
				side := l.unionSide(k)
				x, err := side.ref(ref.Name, lang.Type{Kind: lang.TText})
				if err != nil {
					return err
				}
				x.Ref.Words = ref.Words
				ref = x.Ref
			}
			refs = append(refs, ref)
		}
		if of < 0 {
			refs = nil
		}
		l.v.Bare = append(l.v.Bare, refs)
	}
	return nil
}

// unionSide reads the columns of one input of a union as those of a view of its own.
func (l *lowering) unionSide(k int) *lowering {
	return &lowering{v: &View{Lang: l.v.Lang, Parent: l.v.Of[k], Kind: l.v.Union[k], Hold: true}, views: l.views}
}

// unionRef finds alias.column of an input of a union.
func (l *lowering) unionRef(col lang.Column) (Input, error) {
	_, name, _ := strings.Cut(col.Name, ".")
	in, err := l.unionSide(col.Input-1).ref(name, col.Type)
	in.Union = col.Input
	return in, err
}

// lookBack finds how far back a view that joins reads each kind: a slow one, joined with
// a great age, does not make it read the others as far.
func (l *lowering) lookBack() {
	v := l.v
	if len(v.Joins) == 0 || v.Lang.Window.Kind == lang.Clock || v.Union != nil {
		return
	}
	inputs := int64(0)
	if v.Parent >= 0 {
		inputs = l.views[v.Parent].Lookback
	}
	for i := range v.Joins {
		age := v.Joins[i].MaxAge
		if src := v.Joins[i].Source; src >= 0 {
			age += l.views[src].Lookback
		}
		inputs = max(inputs, age)
	}
	own := v.Lookback - inputs // of windows, scans and frames
	v.Back = make([]int64, market.NumKinds)
	add := func(src int, kind market.Kind, age int64) {
		if src < 0 {
			v.Back[kind] = max(v.Back[kind], own+age)
			return
		}
		for k := range market.Kind(market.NumKinds) {
			if l.views[src].Kinds.Has(k) {
				v.Back[k] = max(v.Back[k], own+age+l.views[src].LookbackOf(k))
			}
		}
	}
	add(v.Parent, v.Kind, 0)
	for i := range v.Joins {
		add(v.Joins[i].Source, v.Joins[i].Kind, v.Joins[i].MaxAge)
	}
}
