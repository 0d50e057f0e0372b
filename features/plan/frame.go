package plan

import (
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// Frames are the aggregates over rows of a row view. They stand in levels: what a frame
// of level n takes from the rows is worked out by frames and scans below n, so that rows
// of one instant go through the finish program level by level.
type Frames struct {
	Levels int // levels of the finish program: one more than levels of frames
	Rings  []Ring
	Frames []Frame
}

// Ring keeps one argument of the rows for all frames that fold it: of the rows that pass
// the filter and have a value.
type Ring struct {
	Reg, Where int // registers of the finish program, -1 for none
	Kind, With op.Kind
	Words      int // of a value: none when the rows are only counted
	Level      int // of the frames that read it
}

// Frame is one length of rows with the accumulators over it.
type Frame struct {
	Span   int64 // µs
	Rows   int   // 0 for a frame of time
	Level  int   // from 1 on
	Accs   []op.Acc
	Args   []Arg
	Of     []int // ring of each accumulator
	Loads  []Load
	Stride int
}

// frameOf finds the frame of an aggregate, or makes it.
func (l *lowering) frameOf(over lang.TypedFrame, level int) *frameSpace {
	for _, f := range l.frames {
		if f.Span == over.Span && f.Rows == over.Rows && f.Level == level {
			return f
		}
	}
	f := &frameSpace{Frame: Frame{Span: over.Span, Rows: over.Rows, Level: level, Stride: MetaWords},
		accs: map[string]int{}, loads: map[string]value{}}
	l.frames = append(l.frames, f)
	return f
}

// frameSpace is a frame while its accumulators are made.
type frameSpace struct {
	Frame
	accs  map[string]int
	loads map[string]value
}

// overRows lowers an aggregate of a row view. Its accumulators are those of the frame and
// its arguments are worked out in the finish program; make does the rest as for a window.
func (l *lowering) overRows(over lang.TypedFrame, make func() (arg, error), finish func(arg) (value, error)) (value, error) {
	if l.rows == nil { // not from inside the argument of another frame
		l.rows, l.row = l.row, l.fin
		defer func() { l.row, l.rows = l.rows, nil }()
	}
	a, err := make()
	if err != nil {
		return value{}, err
	}
	level := 1 + max(l.levelOf(a.val.reg), l.levelOf(a.where.reg))
	f, v := l.frameOf(over, level), l.v
	accs, args, stride, loads := v.Accs, v.Args, v.Stride, v.Loads
	accNames, loadNames := l.accs, l.loads
	v.Accs, v.Args, v.Stride, v.Loads, l.accs, l.loads = f.Accs, f.Args, f.Stride, f.Loads, f.accs, f.loads
	x, err := finish(a) // its argument is lowered: no other frame comes in between
	f.Accs, f.Args, f.Stride, f.Loads = v.Accs, v.Args, v.Stride, v.Loads
	v.Accs, v.Args, v.Stride, v.Loads, l.accs, l.loads = accs, args, stride, loads, accNames, loadNames
	return x, err
}

// levelOf is the level at which a register of the finish program is known.
func (l *lowering) levelOf(reg int) int {
	if reg < constBase {
		return 0
	}
	for _, f := range l.frames {
		for _, ld := range f.Loads {
			if ld.Reg == reg {
				return f.Level
			}
		}
	}
	level := 0
	for i := range l.fin.code {
		if in := &l.fin.code[i]; int(in.Dst) == reg {
			for _, r := range in.Operands() {
				level = max(level, l.levelOf(int(r)))
			}
		}
	}
	return level
}

// frameArgs are the registers that frames take from the finish program.
func (l *lowering) frameArgs() (keep []int) {
	for _, f := range l.frames {
		for _, a := range f.Args {
			keep = append(keep, a.Reg, a.Where)
		}
	}
	return slices.DeleteFunc(keep, func(r int) bool { return r < 0 })
}

// finishFrames gives registers their final numbers and lays the rings.
func (l *lowering) finishFrames() {
	if len(l.frames) == 0 {
		return
	}
	fs := &Frames{Levels: 1}
	for _, f := range l.frames {
		fs.Levels = max(fs.Levels, f.Level+1)
		for i := range f.Loads {
			f.Loads[i].Reg = l.fin.at(f.Loads[i].Reg)
		}
		for i := range f.Accs {
			a := f.Args[i]
			r := Ring{Reg: a.Reg, Where: a.Where, Kind: f.Accs[i].Kind, With: f.Accs[i].With, Level: f.Level}
			if r.Reg >= 0 {
				r.Reg = l.fin.at(r.Reg)
			}
			if r.Where >= 0 {
				r.Where = l.fin.at(r.Where)
			}
			if f.Accs[i].Fn == op.Count {
				r.Kind, r.With = op.KNull, op.KNull
			} else {
				r.Words = op.InputWords(r.Kind, r.With)
			}
			f.Of = append(f.Of, fs.ring(r))
		}
		fs.Frames = append(fs.Frames, f.Frame)
	}
	l.v.Frames = fs
}

// ring finds a ring that holds what r does, or adds it.
func (fs *Frames) ring(r Ring) int {
	for i := range fs.Rings {
		o := &fs.Rings[i]
		if o.Reg != r.Reg || o.Where != r.Where || o.Level != r.Level {
			continue
		}
		switch {
		case o.Kind == r.Kind && o.With == r.With, r.Words == 0:
			return i
		case o.Words == 0:
			*o = r
			return i
		}
	}
	fs.Rings = append(fs.Rings, r)
	return len(fs.Rings) - 1
}
