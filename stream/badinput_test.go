package stream_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// tradeSource is the topics of spot trades of alpha.
var tradeSource = []topic.Source{{Market: "spot", Exchange: "alpha", Kinds: []string{"trade"}}}

const (
	tradeTopic = "raw.spot.trade.alpha"
	tradeStart = 1_700_000_000 // seconds
)

// rawTrades writes trades of BTC-USDT into a partition of the raw topic.
type rawTrades struct {
	t     *testing.T
	p     *pipeline
	cl    *kgo.Client
	enc   *record.EventEncoder
	insts *market.Instruments
}

func (p *pipeline) rawTrades(t *testing.T) *rawTrades {
	t.Helper()
	insts := market.NewInstruments()
	return &rawTrades{t, p, newClient(t, p.addr, kgo.ProducerBatchMaxBytes(topic.MaxRecord)), record.NewEventEncoder(p.schemas, p.feeds, insts), insts}
}

// event is a trade of some second as a record of format event.
func (w *rawTrades) event(second float64, id string) *kgo.Record {
	w.t.Helper()
	return w.eventAt(int64((tradeStart+second)*float64(market.Second)), id)
}

func (w *rawTrades) eventAt(ts int64, id string) *kgo.Record {
	w.t.Helper()
	b := market.NewBatch(market.KindTrade)
	b.AppendEnvelope(&market.Envelope{Feed: w.p.feeds.Intern("sim-alpha"), Inst: w.insts.Intern("alpha", market.Spot, "BTC-USDT"), EventTS: ts, IngestTS: market.NoTime})
	b.Cols[market.TradeVenueID].AppendText([]byte(id))
	b.ID[0], _ = market.EventID(nil, []byte("trade"), []byte(id))
	b.Cols[market.TradeSide].AppendInt(market.SideBuy)
	b.Cols[market.TradePrice].AppendDec(100, 0)
	b.Cols[market.TradeQuantity].AppendDec(1, 0)
	b.Cols[market.TradePrints].AppendInt(1)
	value, err := w.enc.AppendEvent(w.t.Context(), nil, b, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.record(stream.FormatEvent, value)
	if market.ValidTime(ts) {
		r.Timestamp = time.UnixMicro(ts)
	}
	return r
}

// line is a trade as a canonical line, with some of its text changed.
func (w *rawTrades) line(second float64, id string, change ...string) *kgo.Record {
	text := fmt.Sprintf(`{"kind":"trade","feed":"sim-alpha","exchange":"alpha","market":"spot","symbol":"BTC-USDT","event_ts":%d,"price":"100","quantity":"1","side":"buy","id":%q}`,
		int64((tradeStart+second)*float64(market.Second)), id)
	return w.record("canonical", []byte(strings.NewReplacer(change...).Replace(text)))
}

func (w *rawTrades) record(format string, value []byte) *kgo.Record {
	r := &kgo.Record{Topic: tradeTopic, Key: []byte("BTC-USDT"), Value: value, Timestamp: time.Unix(tradeStart, 0)}
	record.AddRaw(r, &record.Raw{Format: []byte(format)})
	return r
}

// send writes records and returns the offset of the last one.
func (w *rawTrades) send(recs ...*kgo.Record) int64 {
	w.t.Helper()
	if err := w.cl.ProduceSync(w.t.Context(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return recs[len(recs)-1].Offset
}

// applied are the ids of the trades in the processed topic, in order, of a partition.
func (p *pipeline) applied(t *testing.T, partition int32) (ids []string) {
	t.Helper()
	dec := record.NewEventDecoder(p.schemas, market.NewFeeds(), market.NewInstruments())
	for _, r := range readCommitted(t.Context(), t, p.addr, map[string]bool{"processed.spot.trade.alpha": true}) {
		var c market.Chunk
		k, err := dec.Decode(t.Context(), r.Value, &c)
		if err != nil {
			t.Fatal(err)
		}
		if k == market.KindTrade && r.Partition == partition {
			ids = append(ids, string(c.Batches[k].Cols[market.TradeVenueID].Text(0)))
		}
	}
	return ids
}

// waitApplied waits until a trade is in the processed topic.
func (p *pipeline) waitApplied(t *testing.T, partition int32, id string) []string {
	t.Helper()
	var ids []string
	for range 300 {
		if ids = p.applied(t, partition); strings.Contains(" "+strings.Join(ids, " ")+" ", " "+id+" ") {
			return ids
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("trade %s does not come; there are %v", id, ids)
	return nil
}

// Whatever lies between good records in a raw topic: each bad one is in the dead letters once,
// with its bytes, place and reason; the good ones go on, and the account is whole.
func TestBadInput_EndsInTheDeadLettersAndTheRestGoesOn(t *testing.T) {
	eachBroker(t, func(t *testing.T, b servers) {
		p := newPipeline(t, b, tradeSource, "trade_bars_1s")
		p.idle = 300 * time.Millisecond // partition 1 has no data
		w := p.rawTrades(t)
		quote, err := p.schemas.Event(t.Context(), market.KindQuote)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().UnixMicro()
		framed := func(id uint32) []byte { return []byte{0, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id), 0} }
		cases := []struct {
			name   string
			rec    *kgo.Record
			reason string
		}{
			{"bytes that are no event", w.record("event", []byte("\x00garbage\xff")), stream.ReasonEvent},
			{"no frame", w.record("event", []byte("text")), stream.ReasonEvent},
			{"cut off", w.record("event", w.event(1, "cut").Value[:30]), stream.ReasonEvent},
			{"schema that nobody registered", w.record("event", append(framed(987_654), 8, 1)), stream.ReasonSchema},
			{"schema of another kind", w.record("event", append(framed(quote), w.event(1, "quote").Value[6:]...)), stream.ReasonEvent},
			{"unknown kind", w.line(2, "kind", `"kind":"trade"`, `"kind":"rumour"`), "kind is not known"},
			{"other kind", w.record("canonical", []byte(`{"kind":"open_interest","feed":"sim-alpha","exchange":"alpha","market":"spot","symbol":"BTC-USDT","event_ts":1700000002000000,"quantity":"1"}`)), stream.ReasonKind},
			{"negative price", w.line(3, "negative", `"price":"100"`, `"price":"-100"`), "price is not positive"},
			{"price of zero", w.line(3, "zero", `"price":"100"`, `"price":"0"`), "price is not positive"},
			{"no price", w.line(3, "none", `"price":"100",`, ``), "value is missing"},
			{"no JSON", w.record("canonical", []byte(`{"kind":`)), "not valid JSON"},
			{"time in milliseconds", w.eventAt(tradeStart*1000, "ms"), sequence.ReasonTime},
			{"time in nanoseconds", w.eventAt(tradeStart*1_000_000_000, "ns"), sequence.ReasonTime},
			{"time of 1970", w.eventAt(1, "1970"), sequence.ReasonTime},
			{"received before it was", w.line(0, "before", `"price"`, fmt.Sprintf(`"ingest_ts":%d,"price"`, (tradeStart-61)*market.Second)), sequence.ReasonAhead},
			{"time of the day after tomorrow", w.line(0, "future", fmt.Sprint(int64(tradeStart)*market.Second), fmt.Sprint(now+48*market.Hour), `"price"`, fmt.Sprintf(`"ingest_ts":%d,"price"`, now)), stream.ReasonFuture},
			{"time of the day after tomorrow that nobody received", func() *kgo.Record { r := w.eventAt(now+48*market.Hour, "far"); r.Timestamp = time.Now(); return r }(), stream.ReasonFuture},
			{"both times of the day after tomorrow", func() *kgo.Record {
				r := w.line(0, "far too", fmt.Sprint(int64(tradeStart)*market.Second), fmt.Sprint(now+48*market.Hour), `"price"`, fmt.Sprintf(`"ingest_ts":%d,"price"`, now+48*market.Hour))
				r.Timestamp = time.Now()
				return r
			}(), stream.ReasonFuture},
			{"a watermark of next year", w.record("canonical", fmt.Appendf(nil, `{"kind":"watermark","feed":"sim-alpha","exchange":"alpha","market":"spot","symbol":"BTC-USDT","event_ts":%d}`, now+366*market.Day)), stream.ReasonFuture},
			{"key of another symbol", func() *kgo.Record { r := w.event(4, "key"); r.Key = []byte("ETH-USDT"); return r }(), stream.ReasonKey},
			{"no key", func() *kgo.Record { r := w.event(4, "nokey"); r.Key = nil; return r }(), stream.ReasonKey},
			{"other exchange", w.line(4, "place", `"exchange":"alpha"`, `"exchange":"beta"`), stream.ReasonPlace},
			{"5 MB", w.record("canonical", bytes.Repeat([]byte("x"), 5<<20)), "column is not known"},
			{"tombstone", w.record("event", nil), stream.ReasonTombstone},
			{"no format", func() *kgo.Record { r := w.event(4, "noformat"); r.Headers = nil; return r }(), stream.ReasonFormat},
			{"format of nobody", w.record("csv", []byte("1,2")), stream.ReasonFormat},
		}
		stop := work(t, p.sequence(t, p.name), p.features(t))
		type sent struct {
			name, reason string
			rec          *kgo.Record
		}
		bad := map[int64]sent{}
		var good []string
		for i, c := range cases {
			id := fmt.Sprintf("good%d", i)
			good = append(good, id)
			w.send(w.event(float64(10+i), id))
			bad[w.send(c.rec)] = sent{c.name, c.reason, c.rec}
		}
		// Copies and records out of order are no bad input.
		w.send(w.event(10+float64(len(cases))-1, good[len(good)-1]))
		end := float64(10 + len(cases))
		w.send(w.event(end+0.2, "second"), w.event(end+0.1, "first"), w.event(end+5, "next"), w.event(end+60, "last"))
		good = append(good, "first", "second", "next")
		got := p.waitApplied(t, 0, "next")
		if strings.Join(got, " ") != strings.Join(good, " ") {
			t.Errorf("applied %v, want %v", got, good)
		}
		seen := map[int64]bool{}
		for _, r := range readCommitted(t.Context(), t, p.addr, map[string]bool{"dlq.spot.trade.alpha": true}) {
			d, err := record.ReadDeadLetter(r)
			if err != nil {
				t.Fatal(err)
			}
			s, ok := bad[d.Offset]
			if !ok || seen[d.Offset] {
				t.Errorf("dead letter %+v of %.80q", d, r.Value)
				continue
			}
			seen[d.Offset] = true
			if d.Topic != tradeTopic || d.Partition != 0 || d.Count != 1 || d.Reason != s.reason {
				t.Errorf("%s: %+v, want %q", s.name, d, s.reason)
			}
			if want := s.rec.Value[:min(len(s.rec.Value), stream.MaxLetter)]; !bytes.Equal(r.Value, want) || !bytes.Equal(r.Key, s.rec.Key) {
				t.Errorf("%s: has key %q and %d bytes, want %q and %d", s.name, r.Key, len(r.Value), s.rec.Key, len(want))
			}
		}
		for at, s := range bad {
			if !seen[at] {
				t.Errorf("%s is in no dead letter", s.name)
			}
		}
		// Each second with a good trade has its bar, and no other.
		o := &p.plan.Outputs()[0]
		want := len(cases) + 2
		var rows []string
		for range 100 {
			if rows = p.rowsInTopic(t, o); len(rows) >= want {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if len(rows) != want {
			t.Errorf("%d rows, want %d: %v", len(rows), want, rows)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		sum := p.account(t)
		if sum.DLQ != int64(len(bad)) || sum.Late != 0 {
			t.Errorf("account %+v", sum)
		}
		t.Logf("account %+v", sum)
	})
}
