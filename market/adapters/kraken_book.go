package adapters

import (
	"math"

	"github.com/pinova-group/tidemark/market"
)

// bookMessage decodes the one or two payloads of a book message: a snapshot {as, bs}, or an
// update {a} and {b}, one of them with the checksum c.
func (d *kraken) bookMessage(l *lane, payloads [][]byte, depth int64) bool {
	r := &d.book
	r.reset()
	r.depth = depth
	newest := market.NoTime
	snapshot, why := false, ""
	for _, p := range payloads {
		ok := members(p, func(name, v []byte) bool {
			var side *bookSide
			switch string(name) {
			case "as", "a":
				side = &r.asks
			case "bs", "b":
				side = &r.bids
			case "c":
				sum, ok := jsonInt(v)
				r.checksum = sum
				return ok && sum <= math.MaxUint32
			default:
				return true
			}
			snapshot = snapshot || len(name) == 2
			ts, problem := krakenLevels(v, side)
			if problem != "" && why == "" {
				why = problem
			}
			newest = max(newest, ts)
			return true
		})
		if !ok {
			return false
		}
	}
	if why == "" {
		why = r.check()
	}
	if why != "" {
		return d.fail(why, d.rec.Data)
	}
	if snapshot {
		return d.snapshot(l, newest)
	}
	if newest == market.NoTime {
		return d.drop("book update without levels")
	}
	return d.appendBook(l, newest, 0)
}

// snapshot appends a snapshot. Its levels tell when each of them last changed, not
// when the snapshot was made. So that the snapshot of a quiet pair does not look late,
// it is placed no further behind the newest book event of the line than half of the
// feed's disorder; nor closer, because updates of the pair that follow it must not come
// to lie before it.
func (d *kraken) snapshot(l *lane, newest int64) bool {
	d.book.origin = market.OriginVenue
	ts := newest
	if line, ok := d.books[d.rec.Conn]; ok {
		ts = max(ts, line-d.lanes.env.Feeds.Get(l.feed).Disorder/2)
	}
	if ts == market.NoTime {
		var ok bool
		if ts, ok = d.assumed(l); !ok {
			return d.fail(badNoTime, d.rec.Data)
		}
	}
	return d.appendBook(l, ts, market.FlagAssumed)
}

func (d *kraken) appendBook(l *lane, ts int64, flags uint8) bool {
	line, ok := d.books[d.rec.Conn]
	if ok || len(d.books) < maxConns && len(d.rec.Conn) <= maxConnName {
		d.books[d.rec.Conn] = max(line, ts)
	}
	d.latest = max(d.latest, ts)
	e := d.event(l, ts)
	e.Flags |= flags
	e.ID = d.payloadID(l, market.KindBook, d.rec.Data)
	d.book.append(d.out.Batch(market.KindBook), e)
	return true
}

// krakenLevels reads [[price, volume, time(, "r")],…] into side and returns the newest
// time, market.NoTime for no levels, or what is wrong.
func krakenLevels(b []byte, side *bookSide) (newest int64, why string) {
	newest = market.NoTime
	n := 0
	ok := elements(b, func(row []byte) bool {
		var f [3][]byte
		if tuple(row, f[:]) < 3 {
			why = badField
			return false
		}
		if n++; n > maxLevels {
			why = badManyLevel
			return false
		}
		p, ok1 := jsonDec(f[0])
		q, ok2 := jsonDec(f[1])
		if !ok1 || !ok2 {
			why = badNumber
			return false
		}
		ts, ok := secondsText(unquoted(f[2]))
		if !ok {
			why = badTime
			return false
		}
		newest = max(newest, ts)
		side.add(p, q)
		return true
	})
	if !ok && why == "" {
		why = badField
	}
	return newest, why
}
