package sequence

import (
	"encoding/binary"
	"math"

	"github.com/pinova-group/tidemark/market"
)

// enc writes the snapshot format: uvarints, zigzag varints, counted bytes. Feeds and
// instruments are places in the tables at its start, where they stand by name.
type enc struct {
	b     []byte
	feeds []int32 // place by feed number
	insts []int32 // place by handle
}

func (e *enc) u(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *enc) n(v int)    { e.u(uint64(v)) }
func (e *enc) i(v int64)  { e.b = binary.AppendVarint(e.b, v) }
func (e *enc) bytes(v []byte) {
	e.n(len(v))
	e.b = append(e.b, v...)
}

func (e *enc) bools(v ...bool) {
	var x byte
	for i, b := range v {
		if b {
			x |= 1 << i
		}
	}
	e.b = append(e.b, x)
}

// dec reads it. After the first error every read gives zero; bad is checked once in a
// while and at the end. No count is believed beyond the bytes that are left.
type dec struct {
	b     []byte
	bad   bool
	feeds []market.FeedID
	insts []market.Inst
}

func (d *dec) fail() { d.b, d.bad = nil, true }

func (d *dec) u() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *dec) i() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// n reads a count of things of at least size bytes each.
func (d *dec) n(size int) int {
	v := d.u()
	if v > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(v)
}

// upTo reads a number that is at most limit.
func (d *dec) upTo(limit uint64) uint64 {
	v := d.u()
	if v > limit {
		d.fail()
		return 0
	}
	return v
}

func (d *dec) raw(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return make([]byte, min(n, 16))
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *dec) byte() byte { return d.raw(1)[0] }

func (d *dec) bools(v ...*bool) {
	x := d.byte()
	for i := range v {
		*v[i] = x>>i&1 == 1
	}
	if x>>len(v) != 0 {
		d.fail()
	}
}

func (d *dec) feed() market.FeedID {
	i := d.u()
	if i >= uint64(len(d.feeds)) {
		d.fail()
		return 0
	}
	return d.feeds[i]
}

func (d *dec) inst() market.Inst {
	i := d.u()
	if i >= uint64(len(d.insts)) {
		d.fail()
		return 0
	}
	return d.insts[i]
}

// batch writes all rows of a batch.
func (e *enc) batch(b *market.Batch) {
	e.n(b.N)
	for i := range b.N {
		e.n(int(e.feeds[b.Feed[i]]))
		e.u(uint64(b.Shard[i]))
		e.n(int(e.insts[b.Inst[i]]))
		e.i(b.EventTS[i])
		e.i(b.IngestTS[i])
		e.u(b.Seq[i])
		e.bools(b.HasSeq[i])
		e.b = append(e.b, b.ID[i][:]...)
		e.u(uint64(b.RawBytes[i]))
		e.i(b.TS[i])
		e.u(uint64(b.Epoch[i]))
		e.b = append(e.b, b.Flags[i])
	}
	for k, f := range b.Fields {
		c := &b.Cols[k]
		for i := range b.N {
			e.bools(c.IsNull(i))
			switch f.Type {
			case market.TypeDec:
				e.i(c.I64[i])
				e.b = append(e.b, byte(c.Scale[i]))
			case market.TypeText:
				e.bytes(c.Text(i))
			case market.TypeDecs:
				list := c.Decs(i)
				e.b = append(e.b, byte(c.Scale[i]))
				e.n(len(list))
				for _, v := range list {
					e.i(v)
				}
			case market.TypeFloat:
				e.u(math.Float64bits(c.F64[i]))
			default:
				e.i(c.I64[i])
			}
		}
	}
}

func (d *dec) batch(b *market.Batch) {
	n := d.n(30)
	for range n {
		env := market.Envelope{
			Feed: d.feed(), Shard: uint16(d.upTo(math.MaxUint16)), Inst: d.inst(),
			EventTS: d.i(), IngestTS: d.i(), Seq: d.u(),
		}
		d.bools(&env.HasSeq)
		copy(env.ID[:], d.raw(len(env.ID)))
		env.RawBytes = uint32(d.upTo(math.MaxUint32))
		b.AppendEnvelope(&env)
		b.TS[b.N-1] = d.i()
		b.Epoch[b.N-1] = uint32(d.upTo(math.MaxUint32))
		b.Flags[b.N-1] = d.byte()
		if d.bad {
			return
		}
	}
	for k, f := range b.Fields {
		for i := range n {
			d.value(&b.Cols[k], f.Type, i)
			if d.bad {
				return
			}
		}
	}
}

func (d *dec) value(c *market.Col, t market.Type, i int) {
	var null bool
	if d.bools(&null); null {
		c.SetNull(i)
	}
	switch t {
	case market.TypeDec:
		m := d.i()
		c.AppendDec(m, d.scale())
	case market.TypeText:
		c.AppendText(d.raw(d.n(1)))
	case market.TypeDecs:
		s := d.scale()
		list := make([]int64, d.n(1))
		for j := range list {
			list[j] = d.i()
		}
		c.AppendDecs(list, s)
	case market.TypeFloat:
		f := math.Float64frombits(d.u())
		if f-f != 0 {
			d.fail() // not a number
		}
		c.AppendFloat(f)
	default:
		c.AppendInt(d.i())
	}
}

func (d *dec) scale() int8 {
	s := d.byte()
	if s > 18 {
		d.fail()
	}
	return int8(s)
}

func (e *enc) link(x *link) {
	e.u(x.key)
	e.u(x.tie)
	e.u(x.first)
	e.u(x.seq)
	e.i(x.ts)
	e.u(uint64(x.row))
	e.u(uint64(x.rule))
}

func (d *dec) link(rows int) link {
	x := link{key: d.u(), tie: d.u(), first: d.u(), seq: d.u(), ts: d.i()}
	x.row = uint32(d.upTo(noRow))
	x.rule = linkRule(d.upTo(uint64(breakMark)))
	if (x.rule == breakMark) != (x.row == noRow) || x.row != noRow && int(x.row) >= rows {
		d.fail()
	}
	return x
}

func (e *enc) linkList(l []link) {
	e.n(len(l))
	for i := range l {
		e.link(&l[i])
	}
}

func (d *dec) linkList(rows int, marks bool) []link {
	n := d.n(7)
	if n == 0 {
		return nil
	}
	l := make([]link, 0, n)
	for range n {
		x := d.link(rows)
		if d.bad || !marks && x.rule == breakMark {
			d.fail()
			return nil
		}
		l = append(l, x)
	}
	return l
}
