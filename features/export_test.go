package features

import (
	"reflect"

	"github.com/pinova-group/tidemark/market"
)

// Plain returns the plan with every kernel off: all folds go row by row through the row
// program, the definition that kernels are tested against.
func (p *Plan) Plain() *Plan {
	q := *p
	q.plain = true
	return &q
}

// Decode reads the body of a snapshot as Restore does after its checksum.
func (p *Plan) Decode(body []byte) (*Task, error) { return p.decode(nil, body) }

// DecodeWith is Decode with a registry of instruments.
func (p *Plan) DecodeWith(insts *market.Instruments, body []byte) (*Task, error) {
	return p.decode(insts, body)
}

// SnapshotBody is the part of a snapshot that Decode reads.
func SnapshotBody(snap []byte) []byte { return snap[len(snapshotMagic) : len(snap)-16] }

// Alone compiles as Compile does, but lets views share no panes.
func Alone(src []Source, opt Options) (*Plan, error) {
	opt.alone = true
	return Compile(src, opt)
}

// Hidden is the number of views that only make panes for others.
func (p *Plan) Hidden() int { return len(p.views) - len(p.outputs) }

// JoinWords is how many words the joins of a task keep.
func (t *Task) JoinWords() int {
	n := 0
	for _, v := range t.views {
		for _, j := range v.joins {
			for i := range j.keys {
				n += cap(j.keys[i].words)
			}
		}
	}
	return n
}

// FastFrames is how many entities of all views have frames that go without programs, and
// how many have to go with them for now.
func (t *Task) FastFrames() (fast, slow int) {
	for _, v := range t.views {
		if v.frames == nil {
			continue
		}
		for _, e := range v.frames.state {
			switch {
			case e == nil:
			case e.fast != nil && e.fast.on:
				fast++
			default:
				slow++
			}
		}
	}
	return fast, slow
}

// PlaceTimes is where rows go whose times have a number of bits.
func PlaceTimes(times []uint64, width int, begin uint32) []uint32 {
	f := &frames{times: times, to: make([]uint32, len(times))}
	f.place(width, begin)
	return f.to
}

// Quotient is how frames divide.
func Quotient(n, den int64, scale int8) float64 { return quotient(n, den, scale) }

// Families is the number of views in each family of bars.
func (p *Plan) Families() []int {
	var n []int
	for _, f := range p.families {
		n = append(n, len(f))
	}
	return n
}

// LiveBytes is the memory of the state of each view, in the order of Costs, with the most
// entities that it had at once, and the memory of the multisets of all: every slice with its
// room, by reflection over the fields that have something for each entity.
func (t *Task) LiveBytes() (views []StateSize, sets int) {
	for _, v := range t.views {
		n, ents := 0, len(v.slots)
		for _, name := range []string{"slotOf", "slots", "idle", "open", "tail", "scans", "panes", "held", "texts"} {
			n += reach(reflect.ValueOf(v).Elem().FieldByName(name))
		}
		if v.frames != nil {
			n += reach(reflect.ValueOf(v.frames.state))
		}
		if l := v.latest; l != nil {
			n += reach(reflect.ValueOf(l.members)) + reach(reflect.ValueOf(l.rows))
			ents = len(l.members)
		}
		if c := v.clock; c != nil {
			n += reach(reflect.ValueOf(c.ticks)) + reach(reflect.ValueOf(c.members))
		}
		for _, j := range v.joins {
			n += reach(reflect.ValueOf(j.keys))
		}
		n += reach(reflect.ValueOf(v.alerts.of))
		views = append(views, StateSize{Entities: ents, Bytes: n})
	}
	sc := reflect.ValueOf(&t.sc).Elem()
	for _, name := range []string{"Sets", "bags", "queues"} {
		sets += reach(sc.FieldByName(name).FieldByName("words"))
	}
	return views, sets
}

// reach is the memory behind a value, without itself.
func reach(x reflect.Value) (n int) {
	switch x.Kind() {
	case reflect.Pointer:
		if !x.IsNil() {
			n = int(x.Elem().Type().Size()) + reach(x.Elem())
		}
	case reflect.Slice:
		n = x.Cap() * int(x.Type().Elem().Size())
		switch x.Type().Elem().Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Struct:
			for i := range x.Len() {
				n += reach(x.Index(i))
			}
		}
	case reflect.Struct:
		for _, f := range x.Fields() {
			n += reach(f)
		}
	}
	return n
}
