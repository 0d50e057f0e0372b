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

	// The rows at hand, and memory of what does not lie in columns as it is.
	batch        *market.Batch
	shard        Repeated[uint16]
	numbered     Repeated[bool]
	absent, void Repeated[int64]
	noScale      Repeated[int8]
	noIDs        Repeated[market.ID]
	seq          lane[uint64]
	epoch, raw   lane[uint32]
	oneInst      Repeated[market.Inst]
	oneFeed      Repeated[market.FeedID]
	instsOf      []market.Inst
	feedsOf      []market.FeedID
	times        []int64
	ids          []market.ID
	own          []market.Col // of payload columns
	scales       []lane[int8]
}

// NewUnpacker makes an unpacker of rows that have the columns cols. It asks for ts,
// exchange, market, symbol and src; other columns may be missing: event_ts is ts then,
// ingest_ts absent, a payload column null in every row, anything else 0.
func NewUnpacker(kinds *market.Kinds, kind market.Kind, cols []Column, insts *market.Instruments, feeds *market.Feeds) (*Unpacker, error) {
	u := &Unpacker{kind: kind, src: storedKind(kinds, kind), fields: kinds.Fields(kind), insts: insts, feeds: feeds, feed: map[string]market.FeedID{}, batch: kinds.NewBatch(kind)}
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
	u.own, u.scales = make([]market.Col, n), make([]lane[int8], n)
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

// Unpack gives the rows of b as a batch, which is good until the next call and as long as b is: it shows columns of b as
// they are. Of all of it but Flags, the caller changes nothing. HasSeq is true in every row: what the venue did
// not number, the sequencer did. Shard is 0.
func (u *Unpacker) Unpack(b *Batch) (*market.Batch, error) {
	if u.batch.N = b.N; b.N == 0 {
		u.batch.Reset()
		return u.batch, nil
	}
	if err := u.envelope(b); err != nil {
		return nil, err
	}
	for i, f := range u.fields {
		if err := u.payload(i, &f, b); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return u.batch, nil
}

func (u *Unpacker) envelope(b *Batch) error {
	n, dst := b.N, u.batch
	dst.TS = b.Cols[u.at[idTS]].I64[:n]
	if err := u.instruments(b); err != nil {
		return err
	}
	if err := u.sources(b); err != nil {
		return err
	}
	if dst.EventTS = dst.TS; u.at[idEventTS] >= 0 {
		dst.EventTS = b.Cols[u.at[idEventTS]].I64[:n]
	}
	dst.IngestTS = u.ingest(b)
	dst.Shard, dst.HasSeq = u.shard.Of(0, n), u.numbered.Of(true, n)
	number := func(c *Col, i int) uint32 { return uint32(c.I32[i]) }
	dst.Seq = u.seq.of(u.column(b, idSeq), n, func(c *Col, i int) uint64 { return uint64(c.I64[i]) })
	dst.Epoch, dst.RawBytes = u.epoch.of(u.column(b, idEpoch), n, number), u.raw.of(u.column(b, idRawBytes), n, number)
	dst.Flags = zeros(dst.Flags, n)
	for _, id := range [2]int{idFlags, idLate} {
		c, mask := u.column(b, id), ^uint8(0)
		if id == idLate {
			mask = market.FlagLate
		}
		if c == nil || c.Same && uint8(c.I32[0])&mask == 0 {
			continue
		}
		for i, v := range c.I32[:n] {
			dst.Flags[i] |= uint8(v) & mask
		}
	}
	if dst.ID = u.noIDs.Of(market.ID{}, n); u.at[idEventID] >= 0 {
		c := u.column(b, idEventID)
		u.ids = grown(u.ids, n)
		dst.ID = u.ids
		for i := range n {
			id := c.Text(i)
			if len(id) != len(market.ID{}) {
				return fmt.Errorf("event_id: row %d has %d bytes, not 16", i, len(id))
			}
			dst.ID[i] = market.ID(id)
		}
	}
	return nil
}

// column is that of an envelope column, nil where there is none.
func (u *Unpacker) column(b *Batch, id int) *Col {
	if u.at[id] < 0 {
		return nil
	}
	return &b.Cols[u.at[id]]
}

// ingest is the ingest times, NoTime for those that are missing.
func (u *Unpacker) ingest(b *Batch) []int64 {
	c := u.column(b, idIngestTS)
	if c == nil {
		return u.absent.Of(market.NoTime, b.N)
	}
	if len(c.Null) == 0 {
		return c.I64[:b.N]
	}
	u.times = append(u.times[:0], c.I64[:b.N]...)
	for i := range u.times {
		if c.IsNull(i) {
			u.times[i] = market.NoTime
		}
	}
	return u.times
}

// lane is the values of an envelope or payload column in a form of its own.
type lane[T comparable] struct {
	one  Repeated[T]
	many []T
}

// of is n values of those of a column; zeros where there is none.
func (l *lane[T]) of(c *Col, n int, value func(c *Col, i int) T) []T {
	var v T
	if c == nil || c.Same {
		if c != nil {
			v = value(c, 0)
		}
		return l.one.Of(v, n)
	}
	l.many = grown(l.many, n)
	for i := range l.many {
		l.many[i] = value(c, i)
	}
	return l.many
}

func zeros[T any](s []T, n int) []T {
	s = grown(s, n)
	clear(s)
	return s
}

// instruments interns the instruments of the rows.
func (u *Unpacker) instruments(b *Batch) error {
	var c [3]*Col
	same := true
	for i, id := range [3]int{idExchange, idMarket, idSymbol} {
		c[i] = &b.Cols[u.at[id]]
		if c[i].Dict == nil {
			return fmt.Errorf("%s has no dictionary", []string{"exchange", "market", "symbol"}[i])
		}
		if c[i].Dict != u.names[i] {
			u.names[i], u.cache = c[i].Dict, map[[3]int32]market.Inst{}
		}
		same = same && c[i].Same
	}
	if same {
		h, err := u.instrument(b, &c, 0)
		u.batch.Inst = u.oneInst.Of(h, b.N)
		return err
	}
	u.instsOf = grown(u.instsOf, b.N)
	u.batch.Inst = u.instsOf
	for lo := 0; lo < b.N; {
		hi := b.N
		for _, col := range c {
			if !col.Same {
				hi = runEnd(col.I32, lo, hi)
			}
		}
		h, err := u.instrument(b, &c, lo)
		if err != nil {
			return err
		}
		for i := range u.instsOf[lo:hi] {
			u.instsOf[lo+i] = h
		}
		lo = hi
	}
	return nil
}

// runEnd is the end of the run of equal values that begins at lo, hi at most.
func runEnd(v []int32, lo, hi int) int {
	v = v[:hi]
	x := v[lo]
	for lo++; lo < len(v) && v[lo] == x; lo++ {
	}
	return lo
}

// instrument is that of row i.
func (u *Unpacker) instrument(b *Batch, c *[3]*Col, i int) (market.Inst, error) {
	k := [3]int32{c[0].I32[i], c[1].I32[i], c[2].I32[i]}
	if h, ok := u.cache[k]; ok {
		return h, nil
	}
	venue, symbol := string(c[1].Text(i)), string(c[2].Text(i))
	v, known := market.ParseVenue(venue)
	if !known {
		return 0, fmt.Errorf("row %d: no such market: %q", i, venue)
	}
	if !market.ValidSymbol(symbol) || !market.ValidSymbol(string(c[0].Text(i))) {
		return 0, fmt.Errorf("row %d: exchange %q or symbol %q is not a name", i, c[0].Text(i), symbol)
	}
	h := u.insts.Intern(string(c[0].Text(i)), v, symbol)
	if at := u.at[idInst]; at >= 0 && b.Cols[at].I64[i] != int64(u.insts.Number(h)) {
		return 0, fmt.Errorf("row %d: %s has number %d in the file and %d here", i, symbol, b.Cols[at].I64[i], u.insts.Number(h))
	}
	u.cache[k] = h
	return h, nil
}

// sources tells the feeds of the rows by src, and checks the name beside it.
func (u *Unpacker) sources(b *Batch) error {
	src, names := &b.Cols[u.at[idSrc]], u.column(b, idFeed)
	if src.Same && (names == nil || names.Same) {
		id, err := u.source(src, names, 0)
		u.batch.Feed = u.oneFeed.Of(id, b.N)
		return err
	}
	u.feedsOf = grown(u.feedsOf, b.N)
	u.batch.Feed = u.feedsOf
	for lo := 0; lo < b.N; {
		hi := runEnd(src.I32, lo, b.N)
		switch {
		case names == nil || names.Same:
		case names.Dict == nil:
			hi = lo + 1
		default:
			hi = runEnd(names.I32, lo, hi)
		}
		id, err := u.source(src, names, lo)
		if err != nil {
			return err
		}
		for i := range u.feedsOf[lo:hi] {
			u.feedsOf[lo+i] = id
		}
		lo = hi
	}
	return nil
}

// source is the feed of row i.
func (u *Unpacker) source(src, names *Col, i int) (market.FeedID, error) {
	s := market.Src(src.I32[i])
	if src.I32[i] < 0 || s.Feed() >= market.MaxFeeds || s.Kind() != u.src {
		return 0, fmt.Errorf("row %d: src %d is not one of %s", i, src.I32[i], u.kind)
	}
	if names == nil {
		return s.Feed(), nil
	}
	id, err := u.feedOf(names.Text(i))
	if err != nil {
		return 0, fmt.Errorf("row %d: %w", i, err)
	}
	if id != s.Feed() {
		return 0, fmt.Errorf("row %d: feed %s has number %d in the file and %d here", i, names.Text(i), s.Feed(), id)
	}
	return id, nil
}

// maxNewFeeds bounds the feeds that files may bring in.
const maxNewFeeds = 1024

func (u *Unpacker) feedOf(text []byte) (market.FeedID, error) {
	if id, ok := u.feed[string(text)]; ok {
		return id, nil
	}
	name := string(text)
	if _, ok := u.feeds.Lookup(name); !ok && len(u.feeds.Unknown()) >= maxNewFeeds {
		return 0, fmt.Errorf("feed %q: more than %d feeds that this release does not know", name, maxNewFeeds)
	}
	id := u.feeds.Intern(name)
	u.feed[name] = id
	return id, nil
}

// payload shows payload column i.
func (u *Unpacker) payload(i int, f *market.Field, b *Batch) error {
	n, dst, own := b.N, &u.batch.Cols[i], &u.own[i]
	if u.pay[i] < 0 {
		u.missing(dst, own, f, n)
		return nil
	}
	src := &b.Cols[u.pay[i]]
	*dst = market.Col{Null: src.Null}
	switch f.Type {
	case market.TypeDec:
		dst.I64 = unless(src, &own.I64, src.I64[:n])
		return u.scaled(i, b)
	case market.TypeDecs:
		dst.I64, dst.Off = src.I64[src.Off[0]:src.Off[n]], src.Off[:n+1]
		if first := src.Off[0]; first != 0 {
			own.Off = own.Off[:0]
			for _, off := range dst.Off {
				own.Off = append(own.Off, off-first)
			}
			dst.Off = own.Off
		}
		return u.scaled(i, b)
	case market.TypeText:
		own.Bytes, own.Off = own.Bytes[:0], append(own.Off[:0], 0)
		for k := range n {
			if !src.IsNull(k) {
				own.Bytes = append(own.Bytes, src.Text(k)...)
			}
			own.Off = append(own.Off, int32(len(own.Bytes)))
		}
		dst.Bytes, dst.Off = own.Bytes, own.Off
	case market.TypeFloat:
		dst.F64 = src.F64[:n]
	case market.TypeEnum:
		own.I64 = grown(own.I64, n)
		dst.I64 = own.I64
		return u.enum(dst.I64, i, f, src)
	case market.TypeBool:
		own.I64 = grown(own.I64, n)
		for k, v := range src.I32[:n] {
			own.I64[k] = int64(v)
		}
		dst.I64 = own.I64
	default:
		dst.I64 = unless(src, &own.I64, src.I64[:n])
	}
	return nil
}

// unless gives values as they are unless there are nulls, under which it puts zeros, as adapters do.
func unless[T any](src *Col, own *[]T, values []T) []T {
	if len(src.Null) == 0 {
		return values
	}
	var zero T
	*own = append((*own)[:0], values...)
	for i := range *own {
		if src.IsNull(i) {
			(*own)[i] = zero
		}
	}
	return *own
}

// scaled shows the scales of payload column i.
func (u *Unpacker) scaled(i int, b *Batch) error {
	src, l := &b.Cols[u.scale[i]], &u.scales[i]
	values := &b.Cols[u.pay[i]]
	for k, s := range src.I32[:b.N] {
		if uint32(s) > 18 && !values.IsNull(k) {
			return fmt.Errorf("row %d has scale %d, not 0..18", k, s)
		}
		if src.Same && uint32(s) <= 18 {
			break
		}
	}
	dst := &u.batch.Cols[i]
	if dst.Scale = l.of(src, b.N, func(c *Col, k int) int8 { return int8(c.I32[k]) }); len(values.Null) > 0 {
		dst.Scale = unless(values, &l.many, dst.Scale)
	}
	return nil
}

// missing shows n nulls of a column that the rows do not have.
func (u *Unpacker) missing(dst, own *market.Col, f *market.Field, n int) {
	own.Null = grown(own.Null, (n+63)/64)
	for w := range own.Null {
		own.Null[w] = ^uint64(0)
	}
	if n&63 != 0 {
		own.Null[n>>6] = 1<<(n&63) - 1
	}
	*dst = market.Col{Null: own.Null}
	switch f.Type {
	case market.TypeDec:
		dst.I64, dst.Scale = u.void.Of(0, n), u.noScale.Of(0, n)
	case market.TypeDecs:
		own.Off = zeros(own.Off, n+1)
		dst.Off, dst.Scale = own.Off, u.noScale.Of(0, n)
	case market.TypeText:
		own.Off = zeros(own.Off, n+1)
		dst.Off = own.Off
	case market.TypeFloat:
		own.F64 = zeros(own.F64, n)
		dst.F64 = own.F64
	default:
		dst.I64 = u.void.Of(0, n)
	}
}

// enum turns words back into codes, in dst.
func (u *Unpacker) enum(dst []int64, i int, f *market.Field, src *Col) error {
	if src.Dict == nil {
		return fmt.Errorf("no dictionary")
	}
	if u.dicts[i] != src.Dict {
		u.dicts[i], u.words[i] = src.Dict, u.words[i][:0]
	}
	for _, w := range src.Dict.words[len(u.words[i]):] {
		u.words[i] = append(u.words[i], int64(slices.Index(f.Words, string(w))))
	}
	words, bad := u.words[i], int64(0)
	if len(src.Null) == 0 {
		for k, code := range src.I32[:len(dst)] {
			v := words[code]
			dst[k] = v
			bad |= v
		}
	} else {
		for k := range dst {
			if dst[k] = 0; !src.IsNull(k) {
				dst[k] = words[src.I32[k]]
			}
			bad |= dst[k]
		}
	}
	if bad < 0 {
		k := slices.IndexFunc(dst, func(v int64) bool { return v < 0 })
		return fmt.Errorf("row %d: %q is none of its words", k, src.Text(k))
	}
	return nil
}
