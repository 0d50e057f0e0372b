package market

import "encoding/binary"

// Verdicts and marks of an event, set by the sequencer (and FlagAssumed by adapters).
const (
	FlagLate    uint8 = 1 << iota // arrived behind the watermark: not in served rows, in corrected ones
	FlagClamped                   // ts was raised to keep the chain's time from falling
	FlagAssumed                   // event time or ingest time was not sent and is assumed by the feed's rule
	FlagGap                       // events of this chain are missing right before this one
)

// ID is the identity of an event: 128 bits, see EventID.
type ID [16]byte

// Col is one payload column of a batch, N rows long. Which slices are in use follows
// from the field's Type; the others are nil.
type Col struct {
	I64   []int64 // mantissas, integers, times, enum codes; of a list all rows' elements in a row
	Scale []int8  // of a decimal: digits after the point, one for each row (0..18)
	F64   []float64
	Bytes []byte   // text of all rows
	Off   []int32  // text and lists: N+1 offsets into Bytes or I64
	Null  []uint64 // bit i set: row i is null; nil when no row is
}

// Batch is a run of events of one kind, column by column, in arrival order before the
// sequencer and in the total order after it.
//
// Ownership: the holder of a Batch owns its slices. Whoever is handed a Batch by
// Push, Append or a callback may read it until that call returns and keeps nothing of
// it; Reset keeps the memory for the next fill.
type Batch struct {
	Kind Kind
	N    int

	// Envelope, filled by adapters.
	Feed     []FeedID
	Shard    []uint16 // line of the feed that carried the record (connection, file); lateness is judged within it
	Inst     []Inst
	EventTS  []int64
	IngestTS []int64  // NoTime for bulk history
	Seq      []uint64 // venue's number; 0 with HasSeq false: the sequencer numbers
	HasSeq   []bool
	ID       []ID
	RawBytes []uint32 // size of the payload that the event came in; shared payloads count at their first event

	// Verdict, filled by the sequencer.
	TS    []int64 // effective time, never falling along (Src, Inst)
	Epoch []uint32
	Flags []uint8

	Fields []Field // of the payload: what the kind's table says
	Cols   []Col   // payload, by Fields
}

// NewBatch makes an empty batch of a kind of the release; Kinds.NewBatch makes one of any kind.
func NewBatch(k Kind) *Batch { return newBatch(k, Schema(k)) }

func newBatch(k Kind, fields []Field) *Batch {
	return &Batch{Kind: k, Fields: fields, Cols: make([]Col, len(fields))}
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.N = 0
	b.Feed, b.Shard, b.Inst = b.Feed[:0], b.Shard[:0], b.Inst[:0]
	b.EventTS, b.IngestTS = b.EventTS[:0], b.IngestTS[:0]
	b.Seq, b.HasSeq, b.ID, b.RawBytes = b.Seq[:0], b.HasSeq[:0], b.ID[:0], b.RawBytes[:0]
	b.TS, b.Epoch, b.Flags = b.TS[:0], b.Epoch[:0], b.Flags[:0]
	for i := range b.Cols {
		b.Cols[i].reset()
	}
}

func (c *Col) reset() {
	c.I64, c.Scale, c.F64, c.Bytes, c.Off = c.I64[:0], c.Scale[:0], c.F64[:0], c.Bytes[:0], c.Off[:0]
	c.Null = c.Null[:0]
}

// AnyFlags is the flags that rows have.
func (b *Batch) AnyFlags() uint8 {
	f, any := b.Flags, uint64(0)
	for ; len(f) >= 8; f = f[8:] {
		any |= binary.LittleEndian.Uint64(f)
	}
	for _, x := range f {
		any |= uint64(x)
	}
	any |= any >> 32
	any |= any >> 16
	return uint8(any | any>>8)
}

// OneFeed reports whether all rows are of the feed of the first.
func (b *Batch) OneFeed() bool {
	first, diff := b.Feed[0], FeedID(0)
	for f := b.Feed; len(f) >= 8; f = f[8:] {
		diff |= (f[0] ^ first) | (f[1] ^ first) | (f[2] ^ first) | (f[3] ^ first) | (f[4] ^ first) | (f[5] ^ first) | (f[6] ^ first) | (f[7] ^ first)
	}
	for _, f := range b.Feed[len(b.Feed)&^7:] {
		diff |= f ^ first
	}
	return diff == 0
}

// Envelope is the part that every event has, as one value; adapters fill it and append.
type Envelope struct {
	Feed     FeedID
	Shard    uint16
	Inst     Inst
	EventTS  int64
	IngestTS int64
	Seq      uint64
	HasSeq   bool
	ID       ID
	RawBytes uint32
	Flags    uint8
}

// AppendEnvelope starts a row. The caller then appends exactly one value to each
// column with the Append methods of Col, in any order of columns.
func (b *Batch) AppendEnvelope(e *Envelope) {
	b.N++
	b.Feed = append(b.Feed, e.Feed)
	b.Shard = append(b.Shard, e.Shard)
	b.Inst = append(b.Inst, e.Inst)
	b.EventTS = append(b.EventTS, e.EventTS)
	b.IngestTS = append(b.IngestTS, e.IngestTS)
	b.Seq = append(b.Seq, e.Seq)
	b.HasSeq = append(b.HasSeq, e.HasSeq)
	b.ID = append(b.ID, e.ID)
	b.RawBytes = append(b.RawBytes, e.RawBytes)
	b.TS = append(b.TS, e.EventTS)
	b.Epoch = append(b.Epoch, 0)
	b.Flags = append(b.Flags, e.Flags)
}

// Key of row i; numbers comes from Instruments.Numbers.
func (b *Batch) Key(i int, numbers []uint32) Key {
	return Key{TS: b.TS[i], Seq: b.Seq[i], Inst: numbers[b.Inst[i]], Epoch: b.Epoch[i], Src: MakeSrc(b.Feed[i], b.Kind)}
}

// AppendDec appends a decimal: mantissa m with s digits after the point.
func (c *Col) AppendDec(m int64, s int8) {
	c.I64 = append(c.I64, m)
	c.Scale = append(c.Scale, s)
}

// AppendInt appends an integer, time, duration, enum code or bool.
func (c *Col) AppendInt(v int64) { c.I64 = append(c.I64, v) }

// AppendNull appends a null to a column that has one word of I64 for each row; for
// decimals dec must be true.
func (c *Col) AppendNull(dec bool) {
	c.SetNull(len(c.I64))
	c.I64 = append(c.I64, 0)
	if dec {
		c.Scale = append(c.Scale, 0)
	}
}

// AppendFloat appends a float, not NaN and not -0.
func (c *Col) AppendFloat(v float64) { c.F64 = append(c.F64, v) }

// AppendNullFloat appends a null to a column of floats.
func (c *Col) AppendNullFloat() {
	c.SetNull(len(c.F64))
	c.F64 = append(c.F64, 0)
}

// AppendText appends a text; an empty one is not null.
func (c *Col) AppendText(s []byte) {
	if len(c.Off) == 0 {
		c.Off = append(c.Off, 0)
	}
	c.Bytes = append(c.Bytes, s...)
	c.Off = append(c.Off, int32(len(c.Bytes)))
}

// AppendNullText appends a null text.
func (c *Col) AppendNullText() {
	c.SetNull(max(0, len(c.Off)-1))
	c.AppendText(nil)
}

// AppendDecs appends a list of mantissas of one scale.
func (c *Col) AppendDecs(m []int64, s int8) {
	c.I64 = append(c.I64, m...)
	c.EndDecs(s)
}

// EndDecs ends a list whose mantissas the caller has appended to I64.
func (c *Col) EndDecs(s int8) {
	if len(c.Off) == 0 {
		c.Off = append(c.Off, 0)
	}
	c.Off = append(c.Off, int32(len(c.I64)))
	c.Scale = append(c.Scale, s)
}

// Text of row i; valid until the batch is reset.
func (c *Col) Text(i int) []byte { return c.Bytes[c.Off[i]:c.Off[i+1]] }

// Decs returns the mantissas of row i of a list; valid until the batch is reset.
func (c *Col) Decs(i int) []int64 { return c.I64[c.Off[i]:c.Off[i+1]] }

// IsNull reports whether row i is null.
func (c *Col) IsNull(i int) bool {
	w := i >> 6
	return w < len(c.Null) && c.Null[w]>>(i&63)&1 == 1
}

// SetNull marks row i null.
func (c *Col) SetNull(i int) {
	for len(c.Null) <= i>>6 {
		c.Null = append(c.Null, 0)
	}
	c.Null[i>>6] |= 1 << (i & 63)
}

// Chunk is what an adapter makes of a stretch of input: one batch for each kind, rows
// in arrival order within the kind. Control rows (status, watermark) end a chunk: what
// follows them goes into the next one, so arrival order among kinds never matters.
type Chunk struct {
	Batches [NumKinds]*Batch
}

// Batch returns the batch of a kind of the release, made when first asked for.
func (c *Chunk) Batch(k Kind) *Batch { return c.BatchOf(k, Schema(k)) }

// BatchOf returns the batch of a kind with these columns, made when first asked for.
func (c *Chunk) BatchOf(k Kind, fields []Field) *Batch {
	if c.Batches[k] == nil {
		c.Batches[k] = newBatch(k, fields)
	}
	return c.Batches[k]
}

// Reset empties all batches.
func (c *Chunk) Reset() {
	for _, b := range c.Batches {
		if b != nil {
			b.Reset()
		}
	}
}

// Len is the number of rows of all kinds.
func (c *Chunk) Len() int {
	n := 0
	for _, b := range c.Batches {
		if b != nil {
			n += b.N
		}
	}
	return n
}
