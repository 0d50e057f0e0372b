package canon

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/num"
)

// readHeader takes the names of the columns. A header that cannot be used condemns the
// file: every later line is refused, none is guessed at.
func (d *decoder) readHeader(line []byte) *adapters.BadRecord {
	var cols []column
	seen := make([]bool, len(d.columns.names))
	for rest, more := line, true; more; {
		var name []byte
		name, rest, more = bytes.Cut(rest, []byte{','})
		name = bytes.TrimSpace(name)
		if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
			name = name[1 : len(name)-1]
		}
		c, ok := d.columns.byName[string(name)]
		if !ok {
			return d.columns.unknown(name)
		}
		if seen[c] {
			return adapters.Bad("column appears twice", name)
		}
		seen[c] = true
		cols = append(cols, c)
	}
	for c := colKind; c <= colEventTS; c++ {
		if !seen[c] && (c != colFeed || d.env.Feed == "") && c != colExchange {
			return adapters.Bad("column is missing in the header", []byte(d.columns.names[c]))
		}
	}
	for k := range d.carries {
		d.lacks[k] = lacks(d.columns.kinds[k], seen)
		d.carries[k] = d.columns.has(market.Kind(k)) && d.lacks[k] == ""
	}
	d.header, d.headLine = cols, append([]byte(nil), line...)
	clear(d.cells)
	return nil
}

// lacks names the columns that a kind needs and the header does not have, "" when it has
// all. Quotes require no single column, but one of theirs.
func lacks(fields []field, seen []bool) string {
	some := len(fields) == 0
	var names, all []string
	for i := range fields {
		has := seen[fields[i].col]
		some = some || has
		all = append(all, fields[i].Name)
		if fields[i].required() && !has {
			names = append(names, fields[i].Name)
		}
	}
	switch {
	case len(names) > 0:
		return "column is missing: " + strings.Join(names, ", ")
	case !some:
		return "one of these columns is wanted: " + strings.Join(all, ", ")
	}
	return ""
}

// otherWords are what other formats call columns, where that is not near to the name here.
var otherWords = map[string]string{
	"qty": "quantity", "size": "quantity", "amount": "quantity", "amt": "quantity", "vol": "quantity",
	"px":   "price",
	"time": "event_ts", "timestamp": "event_ts", "date": "event_ts", "datetime": "event_ts", "exchange_ts": "event_ts",
	"local_timestamp": "ingest_ts", "received": "ingest_ts", "receive_ts": "ingest_ts", "recv_ts": "ingest_ts",
	"trade_id": "id", "tradeid": "id", "sequence": "seq", "update_id": "seq",
	"pair": "symbol", "instrument": "symbol", "ticker": "symbol", "venue": "exchange", "type": "kind", "source": "feed",
	"taker_side": "side", "direction": "side", "aggressor": "side",
	"bid": "bid_price", "ask": "ask_price", "bid_px": "bid_price", "ask_px": "ask_price",
	"bid_size": "bid_quantity", "ask_size": "ask_quantity", "bid_qty": "bid_quantity", "ask_qty": "ask_quantity", "bid_amount": "bid_quantity", "ask_amount": "ask_quantity",
}

// maxName bounds the names that a nearest one is looked for.
const maxName = 64

func (t *table) unknown(name []byte) *adapters.BadRecord {
	bad := adapters.Bad("column is not known", name)
	if len(name) > maxName {
		return bad
	}
	n, ok := otherWords[strings.ToLower(string(name))]
	if !ok || len(t.known.Defined()) > 0 {
		n = fault.Nearest(string(name), t.names)
	}
	if n != "" {
		bad.Detail = fmt.Sprintf("%s (did you mean %s?)", bad.Detail, n)
	}
	return bad
}

const badFields = "number of fields differs from the header"

// splitCSV puts the fields of a line into their cells.
func (d *decoder) splitCSV(line []byte) *adapters.BadRecord {
	if bytes.IndexByte(line, '"') >= 0 {
		return d.splitQuoted(line)
	}
	last := len(d.header) - 1
	rest := line
	for _, c := range d.header[:last] {
		j := bytes.IndexByte(rest, ',')
		if j < 0 {
			return adapters.Bad(badFields, line)
		}
		d.cells[c] = cell{rest[:j], formRaw}
		rest = rest[j+1:]
	}
	if bytes.IndexByte(rest, ',') >= 0 {
		return adapters.Bad(badFields, line)
	}
	d.cells[d.header[last]] = cell{rest, formRaw}
	return nil
}

// splitQuoted is splitCSV for lines with quotes, by RFC 4180: a field in quotes holds
// commas and doubled quotes; quotes elsewhere are refused. A field does not span lines.
func (d *decoder) splitQuoted(line []byte) *adapters.BadRecord {
	rest, n := line, 0
	for more := true; more; n++ {
		if n == len(d.header) {
			return adapters.Bad(badFields, line)
		}
		var v cell
		var ok bool
		if v, rest, more, ok = quotedField(rest, ','); !ok {
			return adapters.Bad("quotes are not by RFC 4180", line)
		}
		d.cells[d.header[n]] = v
	}
	if n != len(d.header) {
		return adapters.Bad(badFields, line)
	}
	return nil
}

// quotedField takes the first field off a line; more reports that another one follows.
func quotedField(line []byte, sep byte) (v cell, rest []byte, more, ok bool) {
	if len(line) == 0 || line[0] != '"' {
		f := line
		if j := bytes.IndexByte(line, sep); j >= 0 {
			f, rest, more = line[:j], line[j+1:], true
		}
		return cell{f, formRaw}, rest, more, bytes.IndexByte(f, '"') < 0
	}
	body := line[1:]
	doubled := false
	for i := 0; ; i++ {
		j := bytes.IndexByte(body[i:], '"')
		if j < 0 {
			return v, nil, false, false
		}
		i += j
		if i+1 < len(body) && body[i+1] == '"' {
			doubled = true
			i++
			continue
		}
		rest = body[i+1:]
		if body = body[:i]; doubled {
			body = bytes.ReplaceAll(body, []byte(`""`), []byte{'"'})
		}
		if len(rest) == 0 {
			return cell{body, formString}, nil, false, true
		}
		return cell{body, formString}, rest[1:], true, rest[0] == sep
	}
}

// side of a book row on its way to one scale for its prices and one for its quantities.
type side struct {
	price, qty   []int64
	priceS, qtyS []int8

	priceScale, qtyScale int8 // set by checkBook
}

func (s *side) reset() {
	s.price, s.qty, s.priceS, s.qtyS = s.price[:0], s.qty[:0], s.priceS[:0], s.qtyS[:0]
}

// maxLevels bounds the levels of a side in one row.
const maxLevels = 20_000

const (
	badLevels = "levels are not price:quantity pairs"
	badScale  = "numbers of one list do not fit one scale"
	badMany   = "more than 20000 levels"
)

// add takes one level; the reason is "" when it is good.
func (s *side) add(p, q []byte) string {
	price, err1 := num.ParseDec(p)
	qty, err2 := num.ParseDec(q)
	switch {
	case err1 != nil || err2 != nil:
		return badNumber
	case price.M <= 0:
		return badPrice
	case qty.M < 0:
		return badNegative
	case len(s.price) == maxLevels:
		return badMany
	}
	s.price, s.priceS = append(s.price, price.M), append(s.priceS, price.S)
	s.qty, s.qtyS = append(s.qty, qty.M), append(s.qtyS, qty.S)
	return ""
}

// fit brings a list to its greatest scale.
func fit(m []int64, s []int8) (scale int8, ok bool) {
	for _, x := range s {
		scale = max(scale, x)
	}
	for i, x := range s {
		if x == scale {
			continue
		}
		n, ok := num.Dec{M: m[i], S: x}.Rescale(scale)
		if !ok {
			return 0, false
		}
		m[i] = n.M
	}
	return scale, true
}

// parseLevels reads "p:q|p:q".
func (s *side) parseLevels(b []byte) string {
	s.reset()
	for more := len(b) > 0; more; {
		var lv []byte
		lv, b, more = bytes.Cut(b, []byte{'|'})
		p, q, ok := bytes.Cut(lv, []byte{':'})
		if !ok {
			return badLevels
		}
		if why := s.add(p, q); why != "" {
			return why
		}
	}
	return ""
}
