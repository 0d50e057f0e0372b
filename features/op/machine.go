package op

import (
	"math/big"

	"github.com/pinova-group/tidemark/market/num"
)

// Code is an instruction of the machine.
type Code uint8

// The instructions. A, B, C and Dst are registers; the suffix is the kind of the operands.
const (
	Move Code = iota
	AddX
	SubX
	MulX
	ModX
	NegX
	AbsX
	SignX
	MinX
	MaxX
	RoundX // to N digits
	FloorX
	QuoX // exact / exact = ratio
	AddQ // logarithms: integers with 60 fraction bits
	SubQ
	AddR
	SubR
	MulR
	QuoR
	NegR
	AbsR
	SignR
	MinR
	MaxR
	RoundR
	FloorR
	AddF
	SubF
	MulF
	QuoF
	NegF
	AbsF
	SignF
	MinF
	MaxF
	RoundF // a float to the exact value of N digits nearest to it
	FloorF
	CmpX // N is the comparison
	CmpR
	CmpF
	CmpT
	CmpB
	And
	Or
	Not
	IsNull // N: 1 for is not null
	If     // A ? B : C
	Coalesce
	XToR
	XToF
	XToQ // more binary digits after the point: N of them
	QToR
	QToF
	RToF
	RToX  // a ratio rounded to at most 18 digits after the point, as an exact value
	SqrtR // ratio → float
	SqrtF
	LnX // ln(A/B), exact / exact → q60
	LnR
	Var  // A count, B sum, C sum of squares, N ddof → ratio
	Pair // A and B as one value; N: 1 when one of them is enough
	ExpF
	Advance // step N of the program: the scan of A
)

// Comparisons of the Cmp instructions.
const (
	Eq int32 = iota
	Ne
	Lt
	Le
	Gt
	Ge
)

// Instr is one instruction; K is the kind of the result of Move, If and Coalesce, and of
// the operand of the conversions.
type Instr struct {
	Op           Code
	K            Kind
	Dst, A, B, C uint16
	N            int32
}

// Prog is a straight-line program. Registers up to len(Consts) hold its constants, the
// caller loads its inputs, instructions write the rest.
type Prog struct {
	Consts []Val
	Regs   int
	Code   []Instr
	Steps  []Step // what Advance instructions do; such a program needs Machine.Rows
}

// Machine runs a program over one set of registers. It allocates nothing once its
// ratios have grown.
type Machine struct {
	Regs []Val
	Rows Rows // of a program with steps
	prog *Prog
	r    num.Rat
	s    num.Rat
	x, y big.Int
}

// NewMachine makes a machine for p with its constants loaded.
func NewMachine(p *Prog) *Machine {
	m := &Machine{prog: p, Regs: make([]Val, p.Regs)}
	m.Rows.Of = make([]Origin, len(p.Steps))
	for i := range p.Consts {
		c := &p.Consts[i]
		m.Regs[i].Null, m.Regs[i].I, m.Regs[i].W, m.Regs[i].S, m.Regs[i].T = c.Null, c.I, c.W, c.S, c.T
		m.Regs[i].F = c.F
		m.Regs[i].R.Set(&c.R)
	}
	return m
}

// Run evaluates the program on the registers.
func (m *Machine) Run() { m.RunCode(m.prog.Code) }

// RunCode evaluates other code over the same registers.
func (m *Machine) RunCode(code []Instr) {
	for i := range code {
		in := &code[i]
		d, a, b := &m.Regs[in.Dst], &m.Regs[in.A], &m.Regs[in.B]
		switch in.Op {
		case Move:
			d.Copy(a, in.K)
		case And, Or:
			kleene(d, a, b, in.Op == And)
		case Not:
			d.Null, d.Ovf, d.I = a.Null, a.Ovf, a.I^1
		case IsNull:
			d.SetBool(a.Null != (in.N == 1))
		case If:
			c := &m.Regs[in.C]
			if a.Null || a.I == 0 {
				b, c = c, b
			}
			d.Copy(b, in.K)
			if in.K == KExact && !b.Null && !c.Null {
				raise(&d.W, &d.S, c.S)
			}
		case Coalesce:
			if a.Null {
				a = b
			}
			d.Copy(a, in.K)
		case Pair:
			d.setPair(a, b, in.N == 1)
		case Advance:
			m.step(in, d, a)
		case Var:
			m.variance(in, d, a, b, &m.Regs[in.C])
		default:
			m.arith(in, d, a, b)
		}
	}
}

// kleene sets d to a and b, or a or b, of three-valued logic.
func kleene(d, a, b *Val, and bool) {
	ends := int64(1) // the value that decides
	if and {
		ends = 0
	}
	switch {
	case !a.Null && a.I == ends || !b.Null && b.I == ends:
		d.Null, d.Ovf, d.I = false, false, ends
	case a.Null || b.Null:
		d.setNull(a.Null && a.Ovf || b.Null && b.Ovf)
	default:
		d.Null, d.Ovf, d.I = false, false, ends^1
	}
}

// twoArgs tells which instructions have two operands.
var twoArgs = [...]bool{
	AddX: true, SubX: true, MulX: true, ModX: true, MinX: true, MaxX: true, QuoX: true, AddQ: true, SubQ: true,
	AddR: true, SubR: true, MulR: true, QuoR: true, MinR: true, MaxR: true, AddF: true, SubF: true, MulF: true,
	QuoF: true, MinF: true, MaxF: true, CmpX: true, CmpR: true, CmpF: true, CmpT: true, CmpB: true, LnX: true,
	Advance: false,
}

// arith runs an instruction that is null when one of its operands is.
func (m *Machine) arith(in *Instr, d, a, b *Val) {
	if a.Null || twoArgs[in.Op] && b.Null {
		d.setNull(a.Null && a.Ovf || twoArgs[in.Op] && b.Null && b.Ovf)
		return
	}
	switch {
	case in.Op <= SubQ:
		m.exact(in, d, a, b)
	case in.Op <= FloorR:
		m.ratio(in, d, a, b)
	case in.Op <= FloorF:
		m.float(in, d, a, b)
	case in.Op <= CmpB:
		d.SetBool(m.compare(in, a, b))
	default:
		m.convert(in, d, a, b)
	}
}
