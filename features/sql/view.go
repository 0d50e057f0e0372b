package sql

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// view writes the common table expressions of v, those of its parent first.
func (w *writer) view(v *lang.View) *table {
	if t := w.done[v.Name]; t != nil {
		return t
	}
	src := base(v)
	if src.Empty != "omit" && src.Empty != "" {
		return w.bad(place(src, "empty"), "empty: "+src.Empty+" makes rows without events, which this query cannot carry forward", "want empty: omit")
	}
	if len(src.Joins) > 0 {
		return w.bad(place(src, "join"), "joins have no SQL in this version", "want a view of one input")
	}
	if len(src.Union) > 0 {
		return w.bad(place(src, "from"), "unions have no SQL in this version", "want a view of one input")
	}
	if src.Rollup { // its parent was not found, or itself: Check does not let that through
		return w.bad(place(src, "rollup"), "a rollup without a parent", "want from: a view")
	}
	var cols scope
	from := v.Name + ".rows"
	t := &table{name: v.Name + ".exact", by: v.By, cols: map[string]value{}, row: v.Window.Kind == lang.NoWindow}
	if src.Parent != nil {
		cols = w.fromParent(src, w.view(src.Parent), from)
	} else {
		cols = w.fromKind(src, from)
	}
	if len(w.problems) > 0 && cols.names == nil {
		return t
	}
	cols.by, t.events = v.By, cols.events
	switch v.Window.Kind {
	case lang.NoWindow:
		if len(src.Aggs) > 0 {
			return w.bad(place(v, "features"), "aggregates with over have no SQL in this version", "want a view with a window")
		}
		w.exact(t, src, cols, from)
	case lang.Tumbling, lang.Rolling:
		if v.Window.Zone != nil {
			return w.bad(place(v, "window"), "windows of a time zone have no SQL in this version", "want zone: UTC")
		}
		if v.Window.Event {
			return w.bad(place(v, "window"), "every: event has no SQL in this version", "want a grid such as every: 1s")
		}
		aggs := w.states(v, src, cols, from)
		aggs.by = v.By
		w.exact(t, src, aggs, v.Name+".states")
	default:
		w.refuse(place(v, "window"), v.Window.Kind.String()+" windows have no SQL in this version", "want tumbling or rolling")
	}
	w.done[v.Name] = t
	return t
}

func (w *writer) bad(p lang.Pos, what, remedy string) *table {
	w.refuse(p, what, remedy)
	return &table{}
}

// scope is what names mean where an expression stands.
type scope struct {
	names map[string]value // columns, while among rows
	aggs  []value          // by index, while among features
	feats map[string]value
	view  *lang.View
	tie   string // total order of rows within an entity; "" when SQL does not know it
	by    []string

	events string // where all events are, before where; their last one ends the grid of rolling windows
}

// fromKind writes the rows of events: text brought to whole numbers, filtered.
func (w *writer) fromKind(v *lang.View, name string) scope {
	sc := scope{names: map[string]value{}, view: v, tie: "(ts, seq)", events: name}
	if v.Kind == market.KindBook {
		w.refuse(place(v, "from"), "books have levels, which this query does not read", "want a kind with plain columns")
		return scope{}
	}
	for _, k := range []string{"exchange", "market", "symbol"} {
		if !slices.Contains(v.By, k) {
			sc.tie = ""
		}
	}
	var b strings.Builder
	b.WriteString("  SELECT " + w.by(v.By) + "CAST(event_ts AS BIGINT) AS ts,\n" +
		"    CASE WHEN seq IS NULL THEN error('an event has no seq') ELSE CAST(seq AS BIGINT) END AS seq")
	sc.names["ts"], sc.names["seq"] = wholeValue("ts"), wholeValue("seq")
	for _, c := range v.Columns {
		if _, done := sc.names[c.Name]; done {
			continue
		}
		sql, val := w.column(v, c)
		if val.kind == vBad {
			continue
		}
		if !slices.Contains(v.By, c.Name) {
			b.WriteString(",\n    " + sql + " AS " + ident(c.Name))
		}
		val.sql = ident(c.Name)
		sc.names[c.Name] = val
	}
	b.WriteString("\n  FROM " + w.source() + "\n  WHERE kind = " + text(v.Kinds.Name(v.Kind)) + "\n")
	if v.Where == nil {
		w.ctes = append(w.ctes, cte{name, b.String()})
	} else {
		sc.events = name[:len(name)-4] + "events"
		w.ctes = append(w.ctes, cte{sc.events, b.String()})
		w.filtered(v, sc, name, sc.events)
	}
	return sc
}

func (w *writer) filtered(v *lang.View, sc scope, name, from string) {
	cond := w.expr(v.Where, sc)
	w.ctes = append(w.ctes, cte{name, fmt.Sprintf("  SELECT * FROM %s WHERE %s\n", ident(from), cond.sql)})
}

// source is the table, or the reader of a file: every column as text, so that no digit is lost.
func (w *writer) source() string {
	in := w.opts.Input
	switch {
	case in == "":
		return "events"
	case strings.HasSuffix(in, ".parquet"):
		return "read_parquet(" + text(in) + ")"
	case strings.HasSuffix(in, ".csv"), strings.HasSuffix(in, ".csv.gz"), strings.HasSuffix(in, ".csv.zst"):
		return "read_csv(" + text(in) + ", header = true, delim = ',', all_varchar = true)"
	}
	return ident(in)
}

// by lists entity columns, with a comma after each.
func (w *writer) by(cols []string) string {
	var b strings.Builder
	for _, c := range cols {
		switch c {
		case "base":
			b.WriteString("split_part(symbol, '-', 1) AS base, ")
		case "quote":
			b.WriteString("split_part(symbol, '-', 2) AS quote, ")
		default:
			b.WriteString(ident(c) + ", ")
		}
	}
	return b.String()
}

// column reads one column of events.
func (w *writer) column(v *lang.View, c lang.Column) (string, value) {
	q := ident(c.Name)
	switch c.Type.Kind {
	case lang.TTime, lang.TDur, lang.TInt:
		if c.Name == "prints" { // absent means one
			return "coalesce(CAST(prints AS BIGINT), 1)", wholeValue(q)
		}
		return "CAST(" + q + " AS BIGINT)", wholeValue(q)
	case lang.TDec:
		d := w.opts.Digits
		sql := fmt.Sprintf("CASE WHEN CAST(%s AS DECIMAL(38,18)) = CAST(%s AS DECIMAL(38,%d)) OR %s IS NULL\n"+
			"      THEN CAST(CAST(%s AS DECIMAL(38,%d)) * %s AS HUGEINT) ELSE error(%s) END",
			q, q, d, q, q, d, power(d), text(fmt.Sprintf("%s has more than %d digits after the point", c.Name, d)))
		return sql, intValue(q, d)
	case lang.TEnum:
		if len(c.Type.Words) > 0 && v.Kinds.Definition(v.Kind) == nil && (c.Name == "side" || c.Name == "form") {
			return "coalesce(" + q + ", " + text(c.Type.Words[0]) + ")", value{kind: vText}
		}
		return q, value{kind: vText}
	case lang.TText, lang.TID:
		switch c.Name {
		case "base":
			return "split_part(symbol, '-', 1)", value{kind: vText}
		case "quote":
			return "split_part(symbol, '-', 2)", value{kind: vText}
		}
		return q, value{kind: vText}
	case lang.TBool:
		return "CAST(" + q + " AS BOOLEAN)", value{kind: vBool}
	}
	return "", w.refuse(place(v, "from"), "column "+c.Name+" has no SQL in this version", "want numbers, times, words and texts")
}

func wholeValue(sql string) value { return value{kind: vInt, sql: sql, whole: true} }

// fromParent writes the rows of a view: its exact values, with row_ts as the time.
func (w *writer) fromParent(v *lang.View, p *table, name string) scope {
	if p.name == "" || len(w.problems) > 0 {
		return scope{}
	}
	sc := scope{names: map[string]value{}, view: v, events: p.events}
	sc.names["ts"] = wholeValue("ts")
	for _, c := range []string{"window_start", "window_end", "row_ts"} {
		sc.names[c] = wholeValue("p_" + c)
	}
	maps.Copy(sc.names, p.cols)
	for _, c := range p.by {
		sc.names[c] = value{kind: vText, sql: ident(c)}
	}
	var derived strings.Builder
	for _, c := range []string{"base", "quote"} { // a symbol tells them
		if _, taken := sc.names[c]; !taken && slices.Contains(p.by, "symbol") {
			derived.WriteString(",\n    " + strings.TrimSuffix(w.by([]string{c}), ", "))
			sc.names[c] = value{kind: vText, sql: ident(c)}
		}
	}
	if p.row {
		w.refuse(place(v, "from"), "rows of a row view share their time: their order is not in the SQL of this version", "want a parent with windows")
		return scope{}
	}
	tie := []string{"ts"}
	for _, c := range p.by {
		tie = append(tie, ident(c))
	}
	sc.tie = "(" + strings.Join(tie, ", ") + ")"
	if len(tie) == 1 {
		sc.tie = "ts"
	}
	all := name[:len(name)-4] + "events"
	w.ctes = append(w.ctes, cte{all, fmt.Sprintf("  SELECT * EXCLUDE (window_start, window_end, row_ts), row_ts AS ts,\n"+
		"    window_start AS p_window_start, window_end AS p_window_end, row_ts AS p_row_ts%s\n  FROM %s\n", derived.String(), ident(p.name))})
	if v.Where == nil {
		w.ctes[len(w.ctes)-1].name = name
	} else {
		w.filtered(v, sc, name, all)
	}
	return sc
}

// states writes the windows and their aggregates, one row for each entity and window.
func (w *writer) states(v, src *lang.View, sc scope, from string) scope {
	win := v.Window
	windowed := v.Name + ".windows"
	var b strings.Builder
	start, end, last := "window_start", "window_start + "+itoa(win.Width), "window_start + "+itoa(win.Width-1)
	if win.Kind == lang.Tumbling {
		ws := fmt.Sprintf("ts - ts %% %d", win.Width)
		if o := win.Origin; o != 0 { // times before the origin have a negative remainder
			ws = fmt.Sprintf("ts - ((ts - (%d)) %% %d + %d) %% %d", o, win.Width, win.Width, win.Width)
		}
		fmt.Fprintf(&b, "  SELECT *, %s AS window_start FROM %s\n", ws, ident(from))
	} else {
		// A row is in the grid points t with t - width < ts <= t, up to the first one at or after the end of
		// the input: the last event, whether where takes it or not, also in a view over a view.
		start, end, last = "window_end - "+itoa(win.Width), "window_end", "window_end"
		e := win.Every
		fmt.Fprintf(&b, "  SELECT * FROM (\n    SELECT *, unnest(generate_series((ts + %d) // %d * %d, ts + %d, %d)) AS window_end FROM %s)\n", e-1, e, e, win.Width-1, e, ident(from))
		fmt.Fprintf(&b, "  WHERE window_end <= (SELECT (max(ts) + %d) // %d * %d FROM %s)\n", e-1, e, e, ident(sc.events))
	}
	w.ctes = append(w.ctes, cte{windowed, b.String()})

	b.Reset()
	b.WriteString("  SELECT " + names(v.By))
	fmt.Fprintf(&b, "%s AS window_start, %s AS window_end, %s AS row_ts", start, end, last)
	out := scope{view: src, feats: map[string]value{}}
	pos := aggPlaces(src)
	for i, a := range src.Aggs {
		out.aggs = append(out.aggs, w.agg(&b, a, i, pos[i], sc))
	}
	group := "window_start"
	if win.Kind == lang.Rolling {
		group = "window_end"
	}
	fmt.Fprintf(&b, "\n  FROM %s\n  GROUP BY %s%s.%s\n", ident(windowed), names(v.By), ident(windowed), group)
	w.ctes = append(w.ctes, cte{v.Name + ".states", b.String()})
	return out
}

func names(cols []string) string {
	var b strings.Builder
	for _, c := range cols {
		b.WriteString(ident(c) + ", ")
	}
	return b.String()
}

// aggPlaces finds where each aggregate is written first.
func aggPlaces(v *lang.View) map[int]lang.Pos {
	at := map[int]lang.Pos{}
	var walk func(n *lang.Node)
	walk = func(n *lang.Node) {
		if _, known := at[n.Index]; n.Op == lang.NAgg && !known {
			at[n.Index] = n.Pos
		}
		for _, a := range n.Args {
			walk(a)
		}
	}
	for _, f := range v.Features {
		walk(f.Node)
	}
	return at
}

// exact writes the features as whole numbers and pairs of them.
func (w *writer) exact(t *table, src *lang.View, sc scope, from string) {
	var b strings.Builder
	b.WriteString("  SELECT " + names(sc.by))
	if t.row {
		win := "ts AS window_start, ts AS window_end, ts AS row_ts, seq AS \"tie\""
		if src.Parent != nil {
			win = "p_window_start AS window_start, p_window_end AS window_end, p_row_ts AS row_ts, 0 AS \"tie\""
		}
		b.WriteString(win)
	} else {
		b.WriteString("window_start, window_end, row_ts")
	}
	sc.feats = map[string]value{}
	for _, f := range src.Features {
		v := w.expr(f.Node, sc)
		if f.Type.Fixed {
			v = w.refuse(f.Node.Pos, "decimal(…) rounds half to even, which DuckDB's casts do not", "want the value without decimal")
		}
		if v.kind == vInt {
			switch f.Type.Kind {
			case lang.TInt, lang.TTime, lang.TDur:
				v.whole = v.scale == 0
			}
		}
		if v.kind == vRatio {
			w.ratios = true
			fmt.Fprintf(&b, ",\n    %s AS %s, %s AS %s", v.sql, ident(f.Name+".n"), v.den, ident(f.Name+".d"))
			v.sql, v.den = ident(f.Name+".n"), ident(f.Name+".d")
		} else if v.kind != vBad {
			w.ratios = w.ratios || v.kind == vFloat
			fmt.Fprintf(&b, ",\n    %s AS %s", v.sql, ident(f.Name))
			v.sql = ident(f.Name)
		}
		sc.feats[f.Name], t.cols[f.Name] = v, v
	}
	fmt.Fprintf(&b, "\n  FROM %s\n", ident(from))
	w.ctes = append(w.ctes, cte{t.name, b.String()})
}
