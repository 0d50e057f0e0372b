package lang

import "maps"

// TypedAlert is a checked alert. When and Clear are conditions over features (NFeature),
// the bounds of the window and columns of the row (NColumn, by name in Fn: row_ts,
// available_at, entity columns).
type TypedAlert struct {
	Name, Severity, To string

	When  *Node // opens it once it has been true for For
	Clear *Node // ends it: not When unless written
	For   int64 // µs of row time, 0 for at once
	Text  string
}

// maxTopic is how long the name of a topic may be.
const maxTopic = 249

// alerts types the alert blocks. They read what the row shows, no input, so that they
// change neither the state of the view nor its fingerprint.
func (v *viewChecker) alerts() {
	used := maps.Clone(v.ops)
	defer func() { v.ops = used }()
	for _, a := range v.spec.Alerts {
		v.alert(a)
	}
}

func (v *viewChecker) alert(a Alert) {
	s := scope{features: true, alert: true, what: "alert"}
	t := &TypedAlert{Name: a.Name, Severity: a.Severity, To: a.To, Text: alertText(a)}
	t.When = v.alertCondition(a.When, s, "when", a.Name)
	if a.Clear != nil {
		t.Clear = v.alertCondition(a.Clear, s, "clear", a.Name)
	} else if !isBadType(t.When) {
		t.Clear = v.mk(&Node{Op: NNot, Pos: t.When.Pos, Type: t.When.Type, Args: []*Node{t.When}})
	}
	if a.For != nil {
		t.For, _ = v.duration(a.For, "for")
	}
	if !validTopic(a.To) {
		v.problem(a.Pos, "want at most 249 letters, digits, - _ and .", "alert %q goes to %q, which cannot be the name of a topic", a.Name, a.To)
	}
	v.view.Alerts = append(v.view.Alerts, t)
}

// alertCondition is a condition that some row can decide.
func (v *viewChecker) alertCondition(e *Expr, s scope, key, alert string) *Node {
	n := v.condition(e, s)
	if n.Op == NConst && !isBadType(n) {
		v.problem(e.Pos, "want a comparison with a feature", "%s of alert %q is the same for every row", key, alert)
		return v.badNode(e.Pos)
	}
	return n
}

func validTopic(name string) bool {
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return len(name) <= maxTopic && name != "." && name != ".."
}

// rowTimes are the times of a row that an alert may name besides the window's bounds.
var rowTimes = []string{"row_ts", "available_at"}

// alertName is what a word means in an alert, nil when it means nothing.
func (v *viewChecker) alertName(e *Expr) *Node {
	for i, f := range v.view.Features {
		if f.Name == e.Text {
			t := f.Type
			t.Fixed, t.Scale = false, 0
			return v.mk(&Node{Op: NFeature, Index: i, Type: t, Pos: e.Pos})
		}
	}
	switch c, ok := v.cols[e.Text]; {
	case e.Text == "window_start":
		return v.mk(&Node{Op: NWindowStart, Type: Type{Kind: TTime}, Pos: e.Pos})
	case e.Text == "window_end":
		return v.mk(&Node{Op: NWindowEnd, Type: Type{Kind: TTime}, Pos: e.Pos})
	case contains(rowTimes, e.Text):
		return v.mk(&Node{Op: NColumn, Fn: e.Text, Type: Type{Kind: TTime}, Pos: e.Pos})
	case ok && contains(v.view.By, e.Text):
		return v.mk(&Node{Op: NColumn, Fn: e.Text, Type: c.Type, Pos: e.Pos})
	}
	return nil
}

// alertNames lists what an alert may name.
func (v *viewChecker) alertNames() []string {
	var names []string
	for _, f := range v.view.Features {
		names = append(names, f.Name)
	}
	return append(append(append(names, v.view.By...), "window_start", "window_end"), rowTimes...)
}

// unknownInAlert says why a word means nothing in an alert.
func (v *viewChecker) unknownInAlert(e *Expr) {
	_, isColumn := v.cols[e.Text]
	switch {
	case isColumn:
		v.problem(e.Pos, "want a feature that has it", "column %q in an alert", e.Text)
	case v.lets[e.Text] != nil:
		v.problem(e.Pos, "want a feature that has it", "let %q in an alert", e.Text)
	default:
		v.problem(e.Pos, wantName(e.Text, v.alertNames()), "unknown name %q", e.Text)
	}
}

// notInAlert refuses functions that have a state of their own.
func (v *viewChecker) notInAlert(e *Expr) *Node {
	v.problem(e.Pos, "want it among the features, and its name here", "%s in an alert", e)
	return v.badNode(e.Pos)
}
