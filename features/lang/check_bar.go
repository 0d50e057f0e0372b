package lang

// session windows end a gap after their last row, or at a multiple of max.
func (v *viewChecker) session() {
	w, t := v.spec.Window, &v.view.Window
	t.Width, _ = v.duration(w.Main, "session")
	v.need("max", "{session: 30s, max: 1d}", "may never close")
	t.Reset = v.option("max")
	if t.Width > 0 && t.Reset > 0 && t.Width > t.Reset {
		v.problem(w.Opts["max"].Pos, "want max: "+shortDuration(t.Width)+" or more", "max is shorter than the gap of %s", shortDuration(t.Width))
	}
	v.neverEmpty()
}

// neverEmpty refuses to fill windows that begin with a row.
func (v *viewChecker) neverEmpty() {
	if v.view.Empty == "omit" {
		return
	}
	v.problem(v.spec.Places["empty"], "want no empty, or empty: omit", "a %s begins with a row: none is empty", v.spec.Window.Kind)
	v.view.Empty = "omit"
}

// bar windows close with the first row that brings their expression to the size.
func (v *viewChecker) bar() {
	w, t := v.spec.Window, &v.view.Window
	v.need("size", "{bar: …, size: 1000, reset: 1d}", "has no end")
	v.need("reset", "reset: 1d", "depends on every bar before it")
	if e := w.Opts["reset"]; e != nil && e.Op == OpName {
		v.problem(e.Pos, "want reset: 1d, at most "+shortDuration(maxSpan), "bars that are never reset depend on every bar before them")
	} else {
		t.Reset = v.option("reset")
	}
	v.neverEmpty()
	before := len(v.view.Aggs)
	x := v.expr(w.Main, scope{what: "bar"})
	size := v.barSize(w.Opts["size"])
	if isBadType(x) || isBadType(size) {
		return
	}
	switch k := x.Type.Kind; {
	case !isNumber(k) && k != TDur:
		v.problem(w.Main.Pos, "want a number or a duration that grows, such as sum(quantity)", "bar is %s", typeName(x.Type))
		return
	case len(v.view.Aggs) == before:
		v.problem(w.Main.Pos, "want an aggregate over the rows of the bar, such as sum(quantity)", "bar does not change from row to row")
		return
	case !v.comparable(x, size):
		v.problem(w.Opts["size"].Pos, wantSize(x.Type), "bar is %s, size is %s", typeName(x.Type), typeName(size.Type))
		return
	}
	t.Cut = v.mk(&Node{Op: NGe, Pos: w.Main.Pos, Type: Type{Kind: TBool, Nullable: x.Type.Nullable}, Args: []*Node{x, size}})
	if cut := w.Opts["cut"]; cut != nil && cut.Text == "split" {
		v.split(x)
	}
}

// wantSize says what a size must be.
func wantSize(t Type) string {
	switch {
	case t.Kind == TDur:
		return "want a size such as 5m"
	case t.Unit == "":
		return "want a plain number"
	}
	return "want a size in " + t.Unit
}

// barSize is a number or duration above 0, known here.
func (v *viewChecker) barSize(e *Expr) *Node {
	if e == nil {
		return v.badNode(v.spec.Window.Pos)
	}
	n := v.expr(e, scope{consts: true, what: "size"})
	if isBadType(n) {
		return n
	}
	if k := n.Type.Kind; n.Op != NConst || k != TInt && k != TDec && k != TDur {
		v.problem(e.Pos, "want a number such as 1000, a duration or a parameter", "size is %s", typeName(n.Type))
		return v.badNode(e.Pos)
	}
	if n.Const.Dec.M <= 0 {
		v.problem(e.Pos, "want more than 0", "size is %s", e)
		return v.badNode(e.Pos)
	}
	return n
}

// split cuts rows, so it must know which column of a row makes up the size.
func (v *viewChecker) split(x *Node) {
	w := v.spec.Window
	if x.Op == NAgg {
		if a := v.view.Aggs[x.Index]; a.Fn == "sum" && a.Where == nil && a.Args[0].Op == NColumn && (a.Args[0].Type.Kind == TDec || a.Args[0].Type.Kind == TInt) {
			v.view.Window.Split = true
			return
		}
	}
	v.problem(w.Opts["cut"].Pos, "want bar: sum(quantity) or the sum of another column, or cut: whole", "cut: split divides one column of a row, and the bar is %s", w.Main)
}
