package file

import "errors"

// compact reads Thrift's compact protocol: page headers and page indexes. The first
// error stays; values read after it are zero. No read allocates more than its input has
// bytes.
type compact struct {
	b   []byte
	pos int
	err error
}

var errThrift = errors.New("damaged header")

// Field types of the protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12

	thriftDepth = 32 // of nested structs
)

func (c *compact) fail() {
	if c.err == nil {
		c.err = errThrift
	}
	c.pos = len(c.b)
}

func (c *compact) byte() byte {
	if c.pos >= len(c.b) {
		c.fail()
		return 0
	}
	c.pos++
	return c.b[c.pos-1]
}

func (c *compact) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := c.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	c.fail()
	return 0
}

func (c *compact) int() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (c *compact) binary() []byte {
	n := c.uvarint()
	if n > uint64(len(c.b)-c.pos) {
		c.fail()
		return nil
	}
	b := c.b[c.pos : c.pos+int(n)]
	c.pos += int(n)
	return b
}

// list reads the head of a list. Every element takes at least one byte.
func (c *compact) list() (n int, typ byte) {
	h := c.byte()
	n, typ = int(h>>4), h&15
	if n == 15 {
		u := c.uvarint()
		if u > uint64(len(c.b)) {
			c.fail()
			return 0, 0
		}
		n = int(u)
	}
	if n > len(c.b)-c.pos {
		c.fail()
		return 0, 0
	}
	return n, typ
}

// fields calls f for each field of a struct; f reads the value, whose type is typ, or skips it.
func (c *compact) fields(f func(id int, typ byte)) {
	id := 0
	for c.err == nil {
		h := c.byte()
		typ := h & 15
		if typ == 0 {
			return
		}
		if d := int(h >> 4); d != 0 {
			id += d
		} else {
			id = int(c.int())
		}
		f(id, typ)
	}
}

// skip reads over a value; inside a list a bool takes a byte.
func (c *compact) skip(typ byte, listed bool, depth int) {
	if depth > thriftDepth {
		c.fail()
		return
	}
	switch typ {
	case thriftTrue, thriftFalse:
		if listed {
			c.byte()
		}
	case thriftByte:
		c.byte()
	case thriftI16, thriftI32, thriftI64:
		c.uvarint()
	case thriftDouble:
		for range 8 {
			c.byte()
		}
	case thriftBinary:
		c.binary()
	case thriftList, thriftSet:
		n, el := c.list()
		for range n {
			if c.err != nil {
				return
			}
			c.skip(el, true, depth+1)
		}
	case thriftMap:
		n := c.uvarint()
		if n > uint64(len(c.b)-c.pos) {
			c.fail()
			return
		}
		if n == 0 {
			return
		}
		kv := c.byte()
		for range n {
			if c.err != nil {
				return
			}
			c.skip(kv>>4, true, depth+1)
			c.skip(kv&15, true, depth+1)
		}
	case thriftStruct:
		c.fields(func(_ int, t byte) { c.skip(t, false, depth+1) })
	default:
		c.fail()
	}
}

// number reads a field that must be an integer.
func (c *compact) number(typ byte) int64 {
	if typ < thriftByte || typ > thriftI64 {
		c.fail()
		return 0
	}
	if typ == thriftByte {
		return int64(int8(c.byte()))
	}
	return c.int()
}

// pageHeader is a page's header; sizes and counts are not negative.
type pageHeader struct {
	kind         int64 // 0 data, 2 dictionary, 3 data v2
	uncompressed int
	compressed   int
	crc          uint32
	hasCRC       bool
	values       int
	encoding     int64
	defLen       int // v2
	repLen       int
	rows         int // v2
	packed       bool
}

const (
	pageData   = 0
	pageDict   = 2
	pageDataV2 = 3
)

func (c *compact) pageHeader() pageHeader {
	h := pageHeader{kind: -1, packed: true}
	size := func(typ byte) int {
		v := c.number(typ)
		if v < 0 || v > 1<<31-1 {
			c.fail()
			return 0
		}
		return int(v)
	}
	body := func(v2 bool) {
		c.fields(func(id int, typ byte) {
			switch {
			case id == 1:
				h.values = size(typ)
			case id == 2 && !v2:
				h.encoding = c.number(typ)
			case id == 3 && v2:
				h.rows = size(typ)
			case id == 4 && v2:
				h.encoding = c.number(typ)
			case id == 5 && v2:
				h.defLen = size(typ)
			case id == 6 && v2:
				h.repLen = size(typ)
			case id == 7 && v2:
				h.packed = typ != thriftFalse
			default:
				c.skip(typ, false, 0)
			}
		})
	}
	c.fields(func(id int, typ byte) {
		switch {
		case id == 1:
			h.kind = c.number(typ)
		case id == 2:
			h.uncompressed = size(typ)
		case id == 3:
			h.compressed = size(typ)
		case id == 4:
			h.crc, h.hasCRC = uint32(c.number(typ)), true
		case (id == 5 || id == 7) && typ == thriftStruct:
			body(false)
		case id == 8 && typ == thriftStruct:
			body(true)
		default:
			c.skip(typ, false, 0)
		}
	})
	return h
}

// pageLoc is where a data page lies.
type pageLoc struct {
	off   int64 // in the file
	size  int64 // with its header
	first int64 // row of the group
}

func (c *compact) offsetIndex() []pageLoc {
	var out []pageLoc
	c.fields(func(id int, typ byte) {
		if id != 1 || typ != thriftList {
			c.skip(typ, false, 0)
			return
		}
		n, el := c.list()
		if el != thriftStruct {
			c.fail()
			return
		}
		out = make([]pageLoc, 0, n)
		for range n {
			var p pageLoc
			c.fields(func(id int, typ byte) {
				switch id {
				case 1:
					p.off = c.number(typ)
				case 2:
					p.size = c.number(typ)
				case 3:
					p.first = c.number(typ)
				default:
					c.skip(typ, false, 0)
				}
			})
			out = append(out, p)
		}
	})
	return out
}

// columnIndex reads the bounds of a column's pages, as encoded; a page of nulls has none.
func (c *compact) columnIndex() (least, greatest [][]byte) {
	words := func(typ byte) [][]byte {
		if typ != thriftList {
			c.fail()
			return nil
		}
		n, el := c.list()
		if el != thriftBinary {
			c.fail()
			return nil
		}
		out := make([][]byte, 0, n)
		for range n {
			out = append(out, c.binary())
		}
		return out
	}
	c.fields(func(id int, typ byte) {
		switch id {
		case 2:
			least = words(typ)
		case 3:
			greatest = words(typ)
		default:
			c.skip(typ, false, 0)
		}
	})
	return least, greatest
}
