package stream

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// activeViews are the views whose rows are written, with no end in sight.
func (m *featuresMachine) activeViews() []ViewID {
	var ids []ViewID
	for _, e := range m.engines {
		for i := range e.plan.Outputs() {
			o := &e.plan.Outputs()[i]
			if _, ends := e.def.Until[o.Name]; !ends && e.views[i].topic != "" {
				ids = append(ids, ViewID{o.Name, o.Version, fmt.Sprintf("%x", o.Fingerprint)})
			}
		}
	}
	return ids
}

// change is what an activation does to a task.
type change struct {
	brings engineDef // writes nothing when no view is new
	plan   *features.Plan
	ends   []ViewID
}

// check says why the task refuses an activation that changes this, nil for nothing.
func (m *featuresMachine) check(a *Activation, c *change, me TaskID) error {
	if n, ok := a.Tasks[me.Job]; !ok || me.Task >= int64(n) {
		return fmt.Errorf("the activation does not know this task, of %d in all: was it made for other partitions?", n)
	}
	for _, id := range m.activeViews() {
		for _, n := range a.Views {
			if n.View == id.View && n.Version == id.Version && n != id {
				return fmt.Errorf("%s is live with another fingerprint: give the new one another version", id)
			}
		}
	}
	for _, e := range m.engines {
		last := e.def.From
		for _, until := range e.def.Until {
			last = max(last, until)
		}
		if last >= a.From {
			return fmt.Errorf("it has to be after the activation before it, of %s", market.FormatTime(last))
		}
	}
	if err := m.inTime(a.From); err != nil || c.plan == nil {
		return err
	}
	// Whether every kind has a partition is said by an engine that is thrown away.
	return newFeaturesMachine(m.config, m.inputs).addEngine(c.brings, c.plan, nil)
}

// prepare works out what an activation changes.
func (m *featuresMachine) prepare(a *Activation) (*change, error) {
	set, err := a.Set.Check()
	if err != nil {
		return nil, fmt.Errorf("views are wrong: %w", err)
	}
	if !sameKinds(set.Kinds, m.config.Plan.Kinds()) {
		return nil, errors.New("kinds of one's own cannot be added to, or taken from, a stream that runs: start it under another name")
	}
	if built := IDs(set); !sameViews(built, a.Views) {
		return nil, fmt.Errorf("this build makes other fingerprints of the views (%s): run one version of tidemark everywhere", differing(built, a.Views))
	}
	part := m.config.Share.of(set)
	c := &change{brings: engineDef{Activation: a.ID, Views: &a.Set, From: a.From}}
	var wanted []ViewID
	for _, id := range IDs(set) {
		if slices.Contains(part.Writes, id.View) {
			wanted = append(wanted, id)
		}
	}
	active := m.activeViews()
	for _, id := range active {
		if !slices.Contains(wanted, id) {
			c.ends = append(c.ends, id)
		}
	}
	for _, id := range wanted {
		if !slices.Contains(active, id) {
			c.brings.Writes = append(c.brings.Writes, id.View)
		}
	}
	if c.brings.Writes == nil {
		return c, nil
	}
	if c.plan, err = c.brings.compile(m.config.Feeds); err != nil {
		return nil, fmt.Errorf("views cannot be compiled: %w", err)
	}
	return c, nil
}

// inTime reports whether no row with row_ts t or later may have come out.
func (m *featuresMachine) inTime(t int64) error {
	if at := m.complete(); at > t {
		return fmt.Errorf("rows up to %s are written already: choose a later time", market.FormatTime(at))
	}
	return nil
}

func (m *featuresMachine) complete() int64 {
	at := market.NoTime
	for _, e := range m.engines {
		at = max(at, e.task.Complete())
	}
	return at
}

func (m *featuresMachine) hold(t int64) {
	for _, e := range m.engines {
		e.task.Hold(t)
	}
}

// held reports whether input waits that would be handed on but for the hold at t.
func (m *featuresMachine) held(t int64) bool {
	for _, e := range m.engines {
		if e.task.Beyond(t) {
			return true
		}
	}
	return false
}

func (m *featuresMachine) has(activation string) bool {
	return slices.ContainsFunc(m.engines, func(e *engine) bool { return e.def.Activation == activation })
}

// settle acts by what was decided.
func (m *featuresMachine) settle(a *Activation, c *change, accepted bool) {
	if accepted {
		for _, id := range c.ends {
			for _, e := range m.engines {
				if e.def.Activation != a.ID && slices.Contains(e.def.Writes, id.View) {
					if e.def.Until == nil {
						e.def.Until = map[string]int64{}
					}
					if _, ended := e.def.Until[id.View]; !ended {
						e.def.Until[id.View] = a.From
					}
				}
			}
		}
	} else {
		m.engines = slices.DeleteFunc(m.engines, func(e *engine) bool { return e.def.Activation == a.ID })
	}
	m.settled = a.ID
	m.hold(math.MaxInt64)
}

// forget drops the engines whose views have all ended, once no row of theirs can be open.
func (m *featuresMachine) forget() {
	m.engines = slices.DeleteFunc(m.engines, func(e *engine) bool {
		last := int64(math.MinInt64)
		for _, w := range e.def.Writes {
			until, ends := e.def.Until[w]
			if !ends {
				return false
			}
			last = max(last, until)
		}
		reach := int64(0)
		for i := range e.plan.Outputs() {
			o := &e.plan.Outputs()[i]
			reach = max(reach, min(max(o.Reach, o.Lookback), market.Day))
		}
		return len(e.def.Writes) > 0 && e.task.Whole() > last+reach
	})
}

func sameViews(a, b []ViewID) bool { return differing(a, b) == "" }

// differing are the views that are in one list only.
func differing(a, b []ViewID) string {
	var names []string
	for _, l := range [2][2][]ViewID{{a, b}, {b, a}} {
		for _, id := range l[0] {
			if !slices.Contains(l[1], id) && !slices.Contains(names, id.String()) {
				names = append(names, id.String())
			}
		}
	}
	return strings.Join(names, ", ")
}

// take takes over the engine of another machine.
func (m *featuresMachine) take(from *featuresMachine, c *change) error {
	for _, e := range from.engines {
		if err := m.addEngine(c.brings, c.plan, e.task.AppendSnapshot(nil)); err != nil {
			return err
		}
	}
	m.hold(c.brings.From)
	return nil
}

// configured are the views of the config.
func (m *featuresMachine) configured() []ViewID {
	var ids []ViewID
	for i := range m.config.Plan.Outputs() {
		if o := &m.config.Plan.Outputs()[i]; slices.Contains(m.config.Write, o.Name) {
			ids = append(ids, ViewID{o.Name, o.Version, fmt.Sprintf("%x", o.Fingerprint)})
		}
	}
	return ids
}
