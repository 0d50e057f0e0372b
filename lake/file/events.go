package file

import (
	"fmt"
	"unsafe"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// Field ids of the columns that every event table has.
const (
	idTS = 1 + iota
	idExchange
	idMarket
	idSymbol
	idFeed
	idSrc
	idInst
	idEpoch
	idSeq
	idEventTS
	idIngestTS
	idEventID
	idRawBytes
	idLate
	idFlags

	idPayload = 101  // of payload column i: 101+2i, its scale 102+2i
	idPlain   = 201  // of the double beside decimal i: 201+i
	idElement = 1001 // of the elements of list i: 1001+i
)

// EventKeys is the sort order of event tables: runs of one symbol, each in the total
// order of its events (market.Key).
func EventKeys() []Key {
	return []Key{
		{Column: "symbol"}, {Column: "ts"}, {Column: "src"}, {Column: "inst"},
		{Column: "epoch", Unsigned: true}, {Column: "seq", Unsigned: true},
	}
}

// Events is the columns of processed.<kind>; kinds is the table of the kind, nil for those of
// the release. With plain, each decimal has its value beside it as a double, rounded once, for people.
func Events(kinds *market.Kinds, kind market.Kind, plain bool) []Column {
	cols := []Column{
		{ID: idTS, Name: "ts", Type: Timestamptz, Doc: "effective time, never falling within one source and instrument"},
		{ID: idExchange, Name: "exchange", Type: String},
		{ID: idMarket, Name: "market", Type: String, Doc: "spot, perp, future, option or index"},
		{ID: idSymbol, Name: "symbol", Type: String, Doc: "canonical: BASE-QUOTE, dated futures BASE-QUOTE-YYMMDD"},
		{ID: idFeed, Name: "feed", Type: String, Doc: "provider and line"},
		{ID: idSrc, Name: "src", Type: Int, Doc: "number of feed and kind: feed·256 + kind, 0 for a kind of one's own"},
		{ID: idInst, Name: "inst", Type: Long, Doc: "permanent number of the instrument"},
		{ID: idEpoch, Name: "epoch", Type: Int, Doc: "counts the venue's resets of its numbers"},
		{ID: idSeq, Name: "seq", Type: Long, Doc: "the venue's number, or a running one; unsigned 64 bits in two's complement"},
		{ID: idEventTS, Name: "event_ts", Type: Timestamptz, Doc: "event time as the venue sent it"},
		{ID: idIngestTS, Name: "ingest_ts", Type: Timestamptz, Nullable: true, Doc: "when the record was received; null for bulk history"},
		{ID: idEventID, Name: "event_id", Type: Binary, Doc: "identity, 16 bytes", Encoding: encodingID},
		{ID: idRawBytes, Name: "raw_bytes", Type: Int, Unit: "bytes", Doc: "size of the payload; one that holds many events counts at its first"},
		{ID: idLate, Name: "late", Type: Boolean, Doc: "arrived behind the watermark: not among the rows that were served"},
		{ID: idFlags, Name: "flags", Type: Int, Doc: "bits: 1 late, 2 clamped, 4 assumed, 8 gap"},
	}
	for i, f := range kinds.Fields(kind) {
		cols = append(cols, payload(i, &f, plain)...)
	}
	return cols
}

// storedKind is the number of a kind in the column src. The number of a user-defined kind is one
// of its table of kinds alone and is not stored: the name of the table tells the kind.
func storedKind(kinds *market.Kinds, kind market.Kind) market.Kind {
	if kinds.Definition(kind) != nil {
		return market.KindNone
	}
	return kind
}

// payload is the columns of payload column i.
func payload(i int, f *market.Field, plain bool) []Column {
	c := Column{ID: idPayload + 2*i, Name: f.Name, Nullable: f.Nullable, Unit: f.Unit, Doc: f.Doc}
	scale := Column{ID: c.ID + 1, Name: f.Name + "_scale", Type: Int, Nullable: f.Nullable, Doc: "digits after the point", Encoding: encodingScale}
	switch f.Type {
	case market.TypeDec:
		c.Name, c.Type, c.Encoding = f.Name+"_mantissa", Long, mantissa(f)
		cols := []Column{c, scale}
		if plain {
			cols = append(cols, Column{ID: idPlain + i, Name: f.Name, Type: Double, Nullable: f.Nullable, Unit: f.Unit,
				Doc: "mantissa · 10^-scale, rounded once"})
		}
		return cols
	case market.TypeDecs:
		c.Name, c.Type, c.Encoding, c.Element = f.Name+"_mantissa", LongList, mantissa(f), idElement+i
		return []Column{c, scale}
	case market.TypeEnum:
		c.Type = String
	case market.TypeText:
		c.Type, c.Encoding = String, encodingText
	case market.TypeBool:
		c.Type = Boolean
	case market.TypeTime:
		c.Type = Timestamptz
	case market.TypeDur:
		c.Type, c.Unit = Long, "µs"
	case market.TypeFloat:
		c.Type = Double
	default:
		c.Type = Long
	}
	return []Column{c}
}

// Packer makes columns of processed.<kind> from event batches. Not for concurrent use.
type Packer struct {
	kind  market.Kind
	src   market.Kind // as it stands in the table
	names []market.Field
	insts *market.Instruments
	feeds *market.Feeds
	cols  []Column
	plain bool
	batch Batch
	own   []Col // memory behind the columns that are not the event batch's own

	exchange, venue, symbol, feed *Dict
	enums                         []*Dict
	byInst                        []instCodes
	byFeed                        []int32 // by FeedID, -1 unknown
}

type instCodes struct {
	exchange, venue, symbol int32
	number                  int64
}

// NewPacker makes a packer; its columns are those of Events.
func NewPacker(kinds *market.Kinds, kind market.Kind, plain bool, insts *market.Instruments, feeds *market.Feeds) *Packer {
	p := &Packer{
		kind: kind, src: storedKind(kinds, kind), names: kinds.Fields(kind), insts: insts, feeds: feeds, cols: Events(kinds, kind, plain), plain: plain,
		exchange: NewDict(), venue: NewDict(), symbol: NewDict(), feed: NewDict(), byFeed: make([]int32, market.MaxFeeds),
	}
	for i := range p.byFeed {
		p.byFeed[i] = -1
	}
	for _, f := range p.names {
		p.enums = append(p.enums, NewDict(f.Words...))
	}
	p.batch.Cols, p.own = make([]Col, len(p.cols)), make([]Col, len(p.cols))
	return p
}

// Columns of the batches that Pack makes. The caller must not change them.
func (p *Packer) Columns() []Column { return p.cols }

// Pack turns an event batch into columns. The result shares memory with b and is valid
// until b changes or Pack is called again.
func (p *Packer) Pack(b *market.Batch) (*Batch, error) {
	if b.Kind != p.kind {
		return nil, fmt.Errorf("a batch of %s for the columns of %s", b.Kind, p.kind)
	}
	p.batch.N = b.N
	if err := p.envelope(b); err != nil {
		return nil, err
	}
	at := idFlags
	for i, f := range p.names {
		n, err := p.payload(at, i, &f, &b.Cols[i], b.N)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		at += n
	}
	return &p.batch, nil
}

// col gives the column at a place with memory of its own, n words of I32 long.
func (p *Packer) ints(at, n int) *Col {
	p.own[at].I32 = grown(p.own[at].I32, n)
	p.batch.Cols[at] = Col{I32: p.own[at].I32}
	return &p.batch.Cols[at]
}

func (p *Packer) longs(at, n int) *Col {
	p.own[at].I64 = grown(p.own[at].I64, n)
	p.batch.Cols[at] = Col{I64: p.own[at].I64}
	return &p.batch.Cols[at]
}

func (p *Packer) envelope(b *market.Batch) error {
	c, n := p.batch.Cols, b.N
	p.learn(b)
	exchange, venue, symbol, feed := p.ints(idExchange-1, n), p.ints(idMarket-1, n), p.ints(idSymbol-1, n), p.ints(idFeed-1, n)
	exchange.Dict, venue.Dict, symbol.Dict, feed.Dict = p.exchange, p.venue, p.symbol, p.feed
	src, inst := p.ints(idSrc-1, n), p.longs(idInst-1, n)
	for i, h := range b.Inst {
		k := &p.byInst[h]
		exchange.I32[i], venue.I32[i], symbol.I32[i], inst.I64[i] = k.exchange, k.venue, k.symbol, k.number
	}
	for i, f := range b.Feed {
		code := p.byFeed[f]
		if code < 0 {
			known := p.feeds.Get(f)
			if known == nil {
				return fmt.Errorf("row %d is of feed %d, which has no name", i, f)
			}
			code = p.feed.Code([]byte(known.Name))
			p.byFeed[f] = code
		}
		feed.I32[i], src.I32[i] = code, int32(market.MakeSrc(f, p.src))
	}
	epoch, seq, raw := p.ints(idEpoch-1, n), p.longs(idSeq-1, n), p.ints(idRawBytes-1, n)
	late, flags := p.ints(idLate-1, n), p.ints(idFlags-1, n)
	for i, f := range b.Flags {
		epoch.I32[i], seq.I64[i], raw.I32[i] = int32(b.Epoch[i]), int64(b.Seq[i]), int32(b.RawBytes[i])
		late.I32[i], flags.I32[i] = int32(f&market.FlagLate), int32(f)
	}
	c[idTS-1] = Col{I64: b.TS}
	c[idEventTS-1] = Col{I64: b.EventTS}
	null := p.own[idIngestTS-1].Null[:0]
	p.own[idIngestTS-1].Null = null
	for i, t := range b.IngestTS {
		if t == market.NoTime {
			p.own[idIngestTS-1].SetNull(i)
		}
	}
	c[idIngestTS-1] = Col{I64: b.IngestTS, Null: p.own[idIngestTS-1].Null}
	ids := &p.own[idEventID-1]
	for len(ids.Off) <= n {
		ids.Off = append(ids.Off, int32(16*len(ids.Off)))
	}
	c[idEventID-1] = Col{Off: ids.Off[:n+1], Bytes: unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(b.ID))), 16*n)}
	return nil
}

// learn makes the codes of instruments that the packer has not met.
func (p *Packer) learn(b *market.Batch) {
	for _, h := range b.Inst {
		if int(h) < len(p.byInst) {
			continue
		}
		numbers := p.insts.Numbers()
		for k := len(p.byInst); k < len(numbers); k++ {
			inst := p.insts.Get(market.Inst(k))
			p.byInst = append(p.byInst, instCodes{
				exchange: p.exchange.Code([]byte(inst.Exchange)), venue: p.venue.Code([]byte(inst.Venue.String())),
				symbol: p.symbol.Code([]byte(inst.Symbol)), number: int64(numbers[k]),
			})
		}
	}
}

// payload packs payload column i to the columns from at on and returns their number.
func (p *Packer) payload(at, i int, f *market.Field, src *market.Col, n int) (int, error) {
	dst := &p.batch.Cols[at]
	switch f.Type {
	case market.TypeDec, market.TypeDecs:
		*dst = Col{I64: src.I64, Off: src.Off, Null: src.Null}
		scale := p.ints(at+1, n)
		scale.Null = src.Null
		for r, s := range src.Scale[:n] {
			scale.I32[r] = int32(s)
		}
		if f.Type == market.TypeDecs || !p.plain {
			return 2, nil
		}
		p.own[at+2].F64 = grown(p.own[at+2].F64, n)
		for r, m := range src.I64[:n] {
			p.own[at+2].F64[r] = num.Dec{M: m, S: src.Scale[r]}.Float64()
		}
		p.batch.Cols[at+2] = Col{F64: p.own[at+2].F64, Null: src.Null}
		return 3, nil
	case market.TypeEnum:
		dst = p.ints(at, n)
		dst.Dict, dst.Null = p.enums[i], src.Null
		for r, v := range src.I64[:n] {
			if uint64(v) >= uint64(len(f.Words)) {
				return 0, fmt.Errorf("row %d has code %d of %d words", r, v, len(f.Words))
			}
			dst.I32[r] = int32(v)
		}
	case market.TypeBool:
		dst = p.ints(at, n)
		dst.Null = src.Null
		for r, v := range src.I64[:n] {
			dst.I32[r] = int32(v)
		}
	case market.TypeText:
		*dst = Col{Bytes: src.Bytes, Off: src.Off, Null: src.Null}
	case market.TypeFloat:
		*dst = Col{F64: src.F64, Null: src.Null}
	default:
		*dst = Col{I64: src.I64, Null: src.Null}
	}
	return 1, nil
}
