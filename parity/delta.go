package parity

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Hour is the length of a cell, µs.
const Hour = int64(3600e6)

// HourOf is the start of the hour that an instant lies in.
func HourOf(ts int64) int64 {
	r := ts % Hour
	if r < 0 {
		r += Hour
	}
	return ts - r
}

// Cell is the sum of the rows of an hour.
type Cell struct {
	Hour int64 // its start, µs; of row_ts
	Sum  Sum
}

// Cells adds rows of one view up by hour. The zero Cells has none.
type Cells struct {
	List  []Cell // in the order of the first touch
	index map[int64]int
	last  int
}

// At is the sum of the hour that an instant lies in, good until the next call.
func (c *Cells) At(ts int64) *Sum {
	if len(c.List) > 0 { // rows mostly are of the hour of the row before
		if d := ts - c.List[c.last].Hour; d >= 0 && d < Hour {
			return &c.List[c.last].Sum
		}
	}
	hour := HourOf(ts)
	i, ok := c.index[hour]
	if !ok {
		if c.index == nil {
			c.index = map[int64]int{}
		}
		i = len(c.List)
		c.index[hour] = i
		c.List = append(c.List, Cell{Hour: hour})
	}
	c.last = i
	return &c.List[i].Sum
}

// Reset empties the cells and keeps the memory.
func (c *Cells) Reset() {
	clear(c.index)
	c.List, c.last = c.List[:0], 0
}

// View names the rows that a sum is of.
type View struct {
	Name        string
	Version     int
	Fingerprint [32]byte
}

// Input says that a partition of a topic was read up to Next, exclusive.
type Input struct {
	Topic     string
	Partition int32
	Next      int64
}

// Delta is what one transaction of a task adds to the ledger.
type Delta struct {
	Job    string
	Task   int32
	Build  string  // version of the program
	Inputs []Input // how far those were read that went on since the last delta; of one topic one behind the other
	Views  []ViewCells

	Tasks    int32 // how many tasks the job has
	Complete int64 // rows of this task with row_ts below it are all written, µs; 0: not known
}

// ViewCells are the cells of one view.
type ViewCells struct {
	View  View
	Cells []Cell
}

// ErrDelta says that bytes are no delta.
var ErrDelta = errors.New("not a ledger record")

// DeltaProto is the .proto file of a delta, as it is registered.
const DeltaProto = `// What one transaction of a task adds to the parity ledger: for each view and hour of row_ts
// that it wrote rows of, how many and the sum of their hashes. Readers add.
syntax = "proto3";

package tidemark.v1;

message Ledger {
  // Rows of one hour.
  message Cell {
    sfixed64 hour = 1;   // start, microseconds since the Unix epoch, UTC
    sint64 rows = 2;
    fixed64 sum_hi = 3;  // sum of the rows' 128-bit XXH3 modulo 2^128
    fixed64 sum_lo = 4;
  }
  // Rows of one view.
  message View {
    string name = 1;
    uint32 version = 2;
    bytes fingerprint = 3;  // 32 bytes
    repeated Cell cells = 4;
  }
  // Partitions of one topic that were read on.
  message Input {
    string topic = 1;
    repeated uint32 partitions = 2;
    repeated int64 next = 3;  // offset up to which each was read, exclusive
  }
  string job = 1;
  uint32 task = 2;
  string build = 3;
  repeated Input inputs = 4;
  repeated View views = 5;
  uint32 tasks = 6;        // how many tasks the job has
  sfixed64 complete = 7;   // rows of this task with row_ts below it are all written, microseconds
}
`

// Append appends the delta as a message of DeltaProto.
func (d *Delta) Append(dst []byte) []byte {
	dst = appendText(dst, 1, d.Job)
	dst = appendUint(dst, 2, uint64(d.Task))
	dst = appendText(dst, 3, d.Build)
	var sub, parts, nexts []byte
	for i := 0; i < len(d.Inputs); {
		topic := d.Inputs[i].Topic
		sub, parts, nexts = appendText(sub[:0], 1, topic), parts[:0], nexts[:0]
		for ; i < len(d.Inputs) && d.Inputs[i].Topic == topic; i++ {
			parts = protowire.AppendVarint(parts, uint64(d.Inputs[i].Partition))
			nexts = protowire.AppendVarint(nexts, uint64(d.Inputs[i].Next))
		}
		sub = protowire.AppendBytes(protowire.AppendTag(sub, 2, protowire.BytesType), parts)
		sub = protowire.AppendBytes(protowire.AppendTag(sub, 3, protowire.BytesType), nexts)
		dst = protowire.AppendBytes(protowire.AppendTag(dst, 4, protowire.BytesType), sub)
	}
	var cell []byte
	for i := range d.Views {
		v := &d.Views[i]
		sub = appendText(sub[:0], 1, v.View.Name)
		sub = appendUint(sub, 2, uint64(v.View.Version))
		sub = protowire.AppendBytes(protowire.AppendTag(sub, 3, protowire.BytesType), v.View.Fingerprint[:])
		for _, c := range v.Cells {
			cell = appendFixed(cell[:0], 1, uint64(c.Hour))
			cell = appendUint(cell, 2, protowire.EncodeZigZag(c.Sum.Rows))
			cell = appendFixed(cell, 3, c.Sum.Hi)
			cell = appendFixed(cell, 4, c.Sum.Lo)
			sub = protowire.AppendBytes(protowire.AppendTag(sub, 4, protowire.BytesType), cell)
		}
		dst = protowire.AppendBytes(protowire.AppendTag(dst, 5, protowire.BytesType), sub)
	}
	return appendFixed(appendUint(dst, 6, uint64(d.Tasks)), 7, uint64(d.Complete))
}

func appendText(dst []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, n, protowire.BytesType), s)
}

func appendUint(dst []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
}

func appendFixed(dst []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendFixed64(protowire.AppendTag(dst, n, protowire.Fixed64Type), v)
}

// ParseDelta reads what Append wrote; fields that it does not know are passed over.
func ParseDelta(message []byte) (Delta, error) {
	var d Delta
	err := fields(message, func(n protowire.Number, u uint64, p []byte) error {
		switch n {
		case 1:
			d.Job = string(p)
		case 2:
			d.Task = int32(u)
		case 3:
			d.Build = string(p)
		case 4:
			return d.input(p)
		case 5:
			return d.view(p)
		case 6:
			d.Tasks = int32(u)
		case 7:
			d.Complete = int64(u)
		}
		return nil
	})
	return d, err
}

func (d *Delta) input(b []byte) error {
	var topic string
	var parts, nexts []uint64
	err := fields(b, func(n protowire.Number, _ uint64, p []byte) error {
		var err error
		switch n {
		case 1:
			topic = string(p)
		case 2:
			parts, err = varints(p)
		case 3:
			nexts, err = varints(p)
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(parts) != len(nexts) {
		return fmt.Errorf("%w: %d partitions with %d offsets", ErrDelta, len(parts), len(nexts))
	}
	for i, p := range parts {
		d.Inputs = append(d.Inputs, Input{topic, int32(p), int64(nexts[i])})
	}
	return nil
}

func (d *Delta) view(b []byte) error {
	var v ViewCells
	err := fields(b, func(n protowire.Number, u uint64, p []byte) error {
		switch n {
		case 1:
			v.View.Name = string(p)
		case 2:
			v.View.Version = int(u)
		case 3:
			if len(p) != len(v.View.Fingerprint) {
				return fmt.Errorf("%w: fingerprint of %d bytes", ErrDelta, len(p))
			}
			copy(v.View.Fingerprint[:], p)
		case 4:
			var c Cell
			err := fields(p, func(n protowire.Number, u uint64, _ []byte) error {
				switch n {
				case 1:
					c.Hour = int64(u)
				case 2:
					c.Sum.Rows = protowire.DecodeZigZag(u)
				case 3:
					c.Sum.Hi = u
				case 4:
					c.Sum.Lo = u
				}
				return nil
			})
			v.Cells = append(v.Cells, c)
			return err
		}
		return nil
	})
	d.Views = append(d.Views, v)
	return err
}

// fields hands over the fields of a message: numbers in u, texts and messages in p.
func fields(b []byte, each func(n protowire.Number, u uint64, p []byte) error) error {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return fmt.Errorf("%w: %w", ErrDelta, protowire.ParseError(size))
		}
		b = b[size:]
		var u uint64
		var p []byte
		switch typ {
		case protowire.VarintType:
			u, size = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			u, size = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			p, size = protowire.ConsumeBytes(b)
		default:
			size = protowire.ConsumeFieldValue(n, typ, b)
		}
		if size < 0 {
			return fmt.Errorf("%w: %w", ErrDelta, protowire.ParseError(size))
		}
		b = b[size:]
		if err := each(n, u, p); err != nil {
			return err
		}
	}
	return nil
}

func varints(b []byte) (all []uint64, err error) {
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", ErrDelta, protowire.ParseError(n))
		}
		all, b = append(all, v), b[n:]
	}
	return all, nil
}
