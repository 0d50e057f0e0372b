package file

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// Unpacker makes event batches of columns of processed.<kind>: the columns that a
// reader was asked for, by name. Not for concurrent use.
type Unpacker struct {
	kind   market.Kind
	src    market.Kind // as it stands in the table
	fields []market.Field
	insts  *market.Instruments
	feeds  *market.Feeds
	at     [idFlags + 1]int // place of an envelope column, -1 when it is not there
	pay    []int            // place of payload column i, -1
	scale  []int
	words  [][]int64 // of an enum column, by code of the last dictionary
	dicts  []*Dict

	names [3]*Dict // dictionaries that the cache below is of
	cache map[[3]int32]market.Inst
	feed  map[string]market.FeedID
}

// NewUnpacker makes an unpacker of rows that have the columns cols. It asks for ts,
// exchange, market, symbol and src; other columns may be missing: event_ts is ts then,
// ingest_ts absent, a payload column null in every row, anything else 0.
func NewUnpacker(kinds *market.Kinds, kind market.Kind, cols []Column, insts *market.Instruments, feeds *market.Feeds) (*Unpacker, error) {
	u := &Unpacker{kind: kind, src: storedKind(kinds, kind), fields: kinds.Fields(kind), insts: insts, feeds: feeds, feed: map[string]market.FeedID{}}
	place := func(want *Column) (int, error) {
		// By name: a REST catalog gives its own ids.
		i := slices.IndexFunc(cols, func(c Column) bool { return c.Name == want.Name })
		if i >= 0 && cols[i].Type != want.Type {
			return 0, fmt.Errorf("column %s is %s, not %s", want.Name, cols[i].Type, want.Type)
		}
		return i, nil
	}
	all := Events(kinds, kind, false)
	for i := range all[:idFlags] {
		at, err := place(&all[i])
		if err != nil {
			return nil, err
		}
		switch all[i].ID {
		case idTS, idExchange, idMarket, idSymbol, idSrc:
			if at < 0 {
				return nil, fmt.Errorf("column %s is missing", all[i].Name)
			}
		}
		u.at[all[i].ID] = at
	}
	n := len(u.fields)
	u.pay, u.scale = make([]int, n), make([]int, n)
	u.words, u.dicts = make([][]int64, n), make([]*Dict, n)
	for i := range n {
		u.pay[i], u.scale[i] = -1, -1
	}
	for i := idFlags; i < len(all); i++ {
		at, err := place(&all[i])
		if err != nil {
			return nil, err
		}
		k := all[i].ID - idPayload
		if k&1 == 0 {
			u.pay[k/2] = at
		} else {
			u.scale[k/2] = at
		}
	}
	for i, f := range u.fields {
		if (f.Type == market.TypeDec || f.Type == market.TypeDecs) && (u.pay[i] < 0) != (u.scale[i] < 0) {
			return nil, fmt.Errorf("columns %s_mantissa and %s_scale belong together", f.Name, f.Name)
		}
	}
	return u, nil
}

// Unpack fills dst with the rows of b. HasSeq is true in every row: what the venue did
// not number, the sequencer did. Shard is 0.
func (u *Unpacker) Unpack(dst *market.Batch, b *Batch) error {
	if dst.Kind != u.kind {
		return fmt.Errorf("a batch of %s for rows of %s", dst.Kind, u.kind)
	}
	dst.Reset()
	if err := u.envelope(dst, b); err != nil {
		return err
	}
	for i, f := range u.fields {
		if err := u.payload(&dst.Cols[i], i, &f, b); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	dst.N = b.N
	return nil
}

func (u *Unpacker) envelope(dst *market.Batch, b *Batch) error {
	n := b.N
	dst.TS = append(dst.TS, b.Cols[u.at[idTS]].I64[:n]...)
	dst.Shard = zeros(dst.Shard, n)
	dst.HasSeq = grown(dst.HasSeq, n)
	for i := range dst.HasSeq {
		dst.HasSeq[i] = true
	}
	if err := u.instruments(dst, b); err != nil {
		return err
	}
	if err := u.sources(dst, b); err != nil {
		return err
	}
	longs := func(out []int64, id int, missing func(i int) int64) []int64 {
		at := u.at[id]
		if at >= 0 && len(b.Cols[at].Null) == 0 {
			return append(out, b.Cols[at].I64[:n]...)
		}
		for i := range n {
			if at < 0 || b.Cols[at].IsNull(i) {
				out = append(out, missing(i))
			} else {
				out = append(out, b.Cols[at].I64[i])
			}
		}
		return out
	}
	dst.EventTS = longs(dst.EventTS, idEventTS, func(i int) int64 { return dst.TS[i] })
	dst.IngestTS = longs(dst.IngestTS, idIngestTS, func(int) int64 { return market.NoTime })
	dst.Seq, dst.Epoch, dst.RawBytes, dst.Flags = zeros(dst.Seq, n), zeros(dst.Epoch, n), zeros(dst.RawBytes, n), zeros(dst.Flags, n)
	if at := u.at[idSeq]; at >= 0 {
		for i, v := range b.Cols[at].I64[:n] {
			dst.Seq[i] = uint64(v)
		}
	}
	if at := u.at[idEpoch]; at >= 0 {
		for i, v := range b.Cols[at].I32[:n] {
			dst.Epoch[i] = uint32(v)
		}
	}
	if at := u.at[idRawBytes]; at >= 0 {
		for i, v := range b.Cols[at].I32[:n] {
			dst.RawBytes[i] = uint32(v)
		}
	}
	if at := u.at[idFlags]; at >= 0 {
		for i, v := range b.Cols[at].I32[:n] {
			dst.Flags[i] = uint8(v)
		}
	}
	if at := u.at[idLate]; at >= 0 {
		for i, v := range b.Cols[at].I32[:n] {
			dst.Flags[i] |= uint8(v) & market.FlagLate
		}
	}
	dst.ID = zeros(dst.ID, n)
	if at := u.at[idEventID]; at >= 0 {
		for i := range n {
			id := b.Cols[at].Text(i)
			if len(id) != len(market.ID{}) {
				return fmt.Errorf("event_id: row %d has %d bytes, not 16", i, len(id))
			}
			dst.ID[i] = market.ID(id)
		}
	}
	return nil
}

func zeros[T any](s []T, n int) []T {
	s = grown(s, n)
	clear(s)
	return s
}

// instruments interns the instruments of the rows.
func (u *Unpacker) instruments(dst *market.Batch, b *Batch) error {
	var c [3]*Col
	for i, id := range [3]int{idExchange, idMarket, idSymbol} {
		c[i] = &b.Cols[u.at[id]]
		if b.N > 0 && c[i].Dict == nil {
			return fmt.Errorf("%s has no dictionary", []string{"exchange", "market", "symbol"}[i])
		}
		if c[i].Dict != u.names[i] {
			u.names[i], u.cache = c[i].Dict, map[[3]int32]market.Inst{}
		}
	}
	dst.Inst = grown(dst.Inst, b.N)
	var last [3]int32
	for i := range dst.Inst {
		k := [3]int32{c[0].I32[i], c[1].I32[i], c[2].I32[i]}
		if i > 0 && k == last {
			dst.Inst[i] = dst.Inst[i-1]
			continue
		}
		h, ok := u.cache[k]
		if !ok {
			market_, symbol := string(c[1].Text(i)), string(c[2].Text(i))
			v, known := market.ParseVenue(market_)
			if !known {
				return fmt.Errorf("row %d: no such market: %q", i, market_)
			}
			if !market.ValidSymbol(symbol) || !market.ValidSymbol(string(c[0].Text(i))) {
				return fmt.Errorf("row %d: exchange %q or symbol %q is not a name", i, c[0].Text(i), symbol)
			}
			h = u.insts.Intern(string(c[0].Text(i)), v, symbol)
			if at := u.at[idInst]; at >= 0 && b.Cols[at].I64[i] != int64(u.insts.Number(h)) {
				return fmt.Errorf("row %d: %s has number %d in the file and %d here", i, symbol, b.Cols[at].I64[i], u.insts.Number(h))
			}
			u.cache[k] = h
		}
		dst.Inst[i], last = h, k
	}
	return nil
}

// sources tells the feeds of the rows by src, and checks the name beside it.
func (u *Unpacker) sources(dst *market.Batch, b *Batch) error {
	src := b.Cols[u.at[idSrc]].I32
	dst.Feed = grown(dst.Feed, b.N)
	last, lastName := int32(-1), int32(-1)
	var names *Col
	if at := u.at[idFeed]; at >= 0 {
		names = &b.Cols[at]
	}
	for i := range dst.Feed {
		name := int32(-1)
		if names != nil && names.Dict != nil {
			name = names.I32[i]
		}
		if i > 0 && src[i] == last && name == lastName {
			dst.Feed[i] = dst.Feed[i-1]
			continue
		}
		s := market.Src(src[i])
		if src[i] < 0 || s.Feed() >= market.MaxFeeds || s.Kind() != u.src {
			return fmt.Errorf("row %d: src %d is not one of %s", i, src[i], u.kind)
		}
		if names != nil {
			id, err := u.feedOf(string(names.Text(i)))
			if err != nil {
				return fmt.Errorf("row %d: %w", i, err)
			}
			if id != s.Feed() {
				return fmt.Errorf("row %d: feed %s has number %d in the file and %d here", i, names.Text(i), s.Feed(), id)
			}
		}
		dst.Feed[i], last, lastName = s.Feed(), src[i], name
	}
	return nil
}

// maxNewFeeds bounds the feeds that files may bring in.
const maxNewFeeds = 1024

func (u *Unpacker) feedOf(name string) (market.FeedID, error) {
	if id, ok := u.feed[name]; ok {
		return id, nil
	}
	if _, ok := u.feeds.Lookup(name); !ok && len(u.feeds.Unknown()) >= maxNewFeeds {
		return 0, fmt.Errorf("feed %q: more than %d feeds that this release does not know", name, maxNewFeeds)
	}
	id := u.feeds.Intern(name)
	u.feed[name] = id
	return id, nil
}

func (u *Unpacker) payload(dst *market.Col, i int, f *market.Field, b *Batch) error {
	n := b.N
	if u.pay[i] < 0 {
		u.missing(dst, f, n)
		return nil
	}
	src := &b.Cols[u.pay[i]]
	dst.Null = append(dst.Null, src.Null...)
	switch f.Type {
	case market.TypeDec, market.TypeDecs:
		if f.Type == market.TypeDecs {
			dst.Off = append(dst.Off, 0)
			for k := range n {
				dst.Off = append(dst.Off, src.Off[k+1]-src.Off[0])
			}
			if n > 0 {
				dst.I64 = append(dst.I64, src.I64[src.Off[0]:src.Off[n]]...)
			}
		} else {
			dst.I64 = append(dst.I64, src.I64[:n]...)
		}
		dst.Scale = grown(dst.Scale, n)
		for k, s := range b.Cols[u.scale[i]].I32[:n] {
			if uint32(s) > 18 && !src.IsNull(k) {
				return fmt.Errorf("row %d has scale %d, not 0..18", k, s)
			}
			dst.Scale[k] = int8(s)
		}
		zeroNulls(dst, n, f.Type == market.TypeDec)
	case market.TypeText:
		dst.Off = append(dst.Off, 0)
		for k := range n {
			if !src.IsNull(k) {
				dst.Bytes = append(dst.Bytes, src.Text(k)...)
			}
			dst.Off = append(dst.Off, int32(len(dst.Bytes)))
		}
	case market.TypeFloat:
		dst.F64 = append(dst.F64, src.F64[:n]...)
	case market.TypeEnum:
		return u.enum(dst, i, f, src, n)
	case market.TypeBool:
		dst.I64 = grown(dst.I64, n)
		for k, v := range src.I32[:n] {
			dst.I64[k] = int64(v)
		}
	default:
		dst.I64 = append(dst.I64, src.I64[:n]...)
		zeroNulls(dst, n, true)
	}
	return nil
}

// zeroNulls puts zeros under the nulls, as adapters do.
func zeroNulls(c *market.Col, n int, values bool) {
	if len(c.Null) == 0 {
		return
	}
	for i := range n {
		if !c.IsNull(i) {
			continue
		}
		if values {
			c.I64[i] = 0
		}
		if len(c.Scale) > 0 {
			c.Scale[i] = 0
		}
	}
}

// missing makes n nulls of a column that the rows do not have.
func (u *Unpacker) missing(dst *market.Col, f *market.Field, n int) {
	dst.Null = grown(dst.Null, (n+63)/64)
	for w := range dst.Null {
		dst.Null[w] = ^uint64(0)
	}
	if n&63 != 0 {
		dst.Null[n>>6] = 1<<(n&63) - 1
	}
	switch f.Type {
	case market.TypeDec:
		dst.I64, dst.Scale = zeros(dst.I64, n), zeros(dst.Scale, n)
	case market.TypeDecs:
		dst.Off, dst.Scale = zeros(dst.Off, n+1), zeros(dst.Scale, n)
	case market.TypeText:
		dst.Off = zeros(dst.Off, n+1)
	case market.TypeFloat:
		dst.F64 = zeros(dst.F64, n)
	default:
		dst.I64 = zeros(dst.I64, n)
	}
}

// enum turns words back into codes.
func (u *Unpacker) enum(dst *market.Col, i int, f *market.Field, src *Col, n int) error {
	if n > 0 && src.Dict == nil {
		return fmt.Errorf("no dictionary")
	}
	if u.dicts[i] != src.Dict {
		u.dicts[i], u.words[i] = src.Dict, u.words[i][:0]
	}
	if src.Dict != nil {
		for _, w := range src.Dict.words[len(u.words[i]):] {
			u.words[i] = append(u.words[i], int64(slices.Index(f.Words, string(w))))
		}
	}
	dst.I64 = grown(dst.I64, n)
	for k := range n {
		if src.IsNull(k) {
			dst.I64[k] = 0
			continue
		}
		code := u.words[i][src.I32[k]]
		if code < 0 {
			return fmt.Errorf("row %d: %q is none of its words", k, src.Text(k))
		}
		dst.I64[k] = code
	}
	return nil
}
