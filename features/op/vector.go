package op

import "math/bits"

// VectorRows is the largest number of rows in a vector: the lanes of a few registers
// stay in the first cache.
const VectorRows = 256

// Vector runs a program on many rows at once: exact values of 128 bits, one scale a
// register, and truth values, none of them null. It gives what Machine gives row by row
// or nothing at all: when a value could leave 126 bits, or would have another scale from
// row to row, Run says so and the rows go through the machine.
type Vector struct {
	regs []Lanes
	code []Instr
}

// Lanes are the values of one register.
type Lanes struct {
	Hi   []int64
	Lo   []uint64
	S    int8
	bits int // |value| < 2^bits
	Bool []uint8
}

// NewVector makes a vector machine for some code of a program; ok is false when the code
// has an instruction that can give null, or takes what lanes do not hold. kinds has the
// kind of each input register. Constants that no instruction reads have no lanes.
func NewVector(p *Prog, code []Instr, kinds map[int]Kind) (v *Vector, ok bool) {
	known := map[uint16]Kind{}
	for r, k := range kinds {
		known[uint16(r)] = k
	}
	v = &Vector{regs: make([]Lanes, p.Regs), code: code}
	for i := range p.Consts {
		if c := &p.Consts[i]; c.Null || !fits(&c.W) {
			known[uint16(i)] = KNull
		} else if k := constKind(code, uint16(i)); k != KNull {
			known[uint16(i)] = k
			v.constant(i, c, k)
		}
	}
	for _, in := range code {
		if !vectorized(&in, known) {
			return nil, false
		}
		known[in.Dst] = resultKind(&in)
		v.regs[in.Dst].alloc(known[in.Dst])
	}
	for r, k := range kinds {
		if k != KExact && k != KBool {
			return nil, false
		}
		v.regs[r].alloc(k)
	}
	return v, true
}

// Operands lists the registers that an instruction reads.
func (in *Instr) Operands() []uint16 {
	switch in.Op {
	case If, Var:
		return []uint16{in.A, in.B, in.C}
	case And, Or, Coalesce, Pair:
		return []uint16{in.A, in.B}
	}
	if twoArgs[in.Op] {
		return []uint16{in.A, in.B}
	}
	return []uint16{in.A}
}

// constKind is the kind as which the code reads a constant, KNull when it does not.
func constKind(code []Instr, r uint16) Kind {
	for i := range code {
		for n, o := range code[i].Operands() {
			if o == r {
				return operandKind(&code[i], n)
			}
		}
	}
	return KNull
}

func operandKind(in *Instr, n int) Kind {
	switch in.Op {
	case And, Or, Not, CmpB:
		return KBool
	case If:
		if n == 0 {
			return KBool
		}
		return in.K
	case Move:
		return in.K
	}
	return KExact
}

func resultKind(in *Instr) Kind {
	switch in.Op {
	case And, Or, Not, CmpX, CmpB:
		return KBool
	case If, Move:
		return in.K
	}
	return KExact
}

func vectorized(in *Instr, known map[uint16]Kind) bool {
	switch in.Op {
	case AddX, SubX, MulX, NegX, AbsX, MinX, MaxX, CmpX, And, Or, Not, If, Move:
	default:
		return false
	}
	for n, r := range in.Operands() {
		if k := operandKind(in, n); known[r] != k || k != KExact && k != KBool {
			return false
		}
	}
	return true
}

func (l *Lanes) alloc(k Kind) {
	if k == KBool && l.Bool == nil {
		l.Bool = make([]uint8, VectorRows)
	} else if k == KExact && l.Hi == nil {
		l.Hi, l.Lo = make([]int64, VectorRows), make([]uint64, VectorRows)
	}
}

func (v *Vector) constant(i int, c *Val, k Kind) {
	l := &v.regs[i]
	l.alloc(k)
	if k == KBool {
		for j := range l.Bool {
			l.Bool[j] = uint8(c.I)
		}
		return
	}
	for j := range l.Hi {
		l.Lo[j], l.Hi[j] = c.W[0], int64(c.W[1])
	}
	l.S, l.bits = c.S, c.W.BitLen()
}

// Load fills a register with mantissas of one scale.
func (v *Vector) Load(reg int, m []int64, s int8) {
	l := &v.regs[reg]
	hi, lo := l.Hi[:len(m)], l.Lo[:len(m)]
	or := uint64(0)
	for i, x := range m {
		hi[i], lo[i] = x>>63, uint64(x)
		or |= uint64(x ^ x>>63)
	}
	l.S, l.bits = s, bits.Len64(or)+1
}

// LoadBool fills a register with truth values.
func (v *Vector) LoadBool(reg int, m []int64) {
	b := v.regs[reg].Bool[:len(m)]
	for i, x := range m {
		b[i] = 0
		if x != 0 {
			b[i] = 1
		}
	}
}

// Lanes are the values of a register after Load or Run.
func (v *Vector) Lanes(reg int) *Lanes { return &v.regs[reg] }

// Bits bounds the values: |value| < 2^Bits.
func (l *Lanes) Bits() int { return l.bits }

// laneBits is how long values may become: one bit is the sign's, one to spare.
const laneBits = 126

// Run evaluates the code on n rows; false when some value may not fit.
func (v *Vector) Run(n int) bool {
	for i := range v.code {
		in := &v.code[i]
		d, a, b := &v.regs[in.Dst], &v.regs[in.A], &v.regs[in.B]
		ok := true
		switch in.Op {
		case And:
			for j := range d.Bool[:n] {
				d.Bool[j] = a.Bool[j] & b.Bool[j]
			}
		case Or:
			for j := range d.Bool[:n] {
				d.Bool[j] = a.Bool[j] | b.Bool[j]
			}
		case Not:
			for j := range d.Bool[:n] {
				d.Bool[j] = a.Bool[j] ^ 1
			}
		case Move:
			d.S, d.bits = a.S, a.bits
			copy(d.Bool, a.Bool)
			copy(d.Hi, a.Hi)
			copy(d.Lo, a.Lo)
		case If:
			ok = d.choose(n, a, b, &v.regs[in.C], in.K)
		case CmpX:
			ok = d.compare(n, a, b, in.N)
		default:
			ok = d.exact(n, in.Op, a, b)
		}
		if !ok {
			return false
		}
	}
	return true
}
