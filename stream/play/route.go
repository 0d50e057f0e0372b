package play

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// met is a feed; the first event of it names it.
func (p *player) met(id market.FeedID, inst market.Inst) *source {
	s := p.feedOf[id]
	if s == nil {
		name := p.feeds.Get(id).Name
		s = &source{inst: inst, name: []byte(name), main: []byte(adapters.MainFeed(name))}
		if p.cfg.Input.Feed != "" {
			s.main = []byte(p.cfg.Input.Feed)
		}
		p.feedOf[id] = s
	}
	return s
}

// skip is the route of what is not played.
var skip = &route{}

// route says where a row goes; nil: nowhere.
func (p *player) route(ctx context.Context, b *market.Batch, i int) (*route, error) {
	k, inst := b.Kind, b.Inst[i]
	for int(inst) >= len(p.routes[k]) {
		p.routes[k] = append(p.routes[k], nil)
	}
	if rt := p.routes[k][inst]; rt == skip {
		return nil, nil
	} else if rt != nil {
		return rt, nil
	}
	in := p.insts.Get(inst)
	if p.wanted != nil && !p.wanted[in.Symbol] {
		p.routes[k][inst] = skip
		return nil, nil
	}
	word, err := topic.KindWord(p.cfg.Kinds, k)
	if err != nil {
		return nil, p.noTopic(err)
	}
	name, err := topic.Name{Class: topic.Raw, Market: in.Venue, Kind: word, Exchange: in.Exchange}.Topic()
	if err != nil {
		return nil, p.noTopic(err)
	}
	to := p.byName[name]
	if to == nil {
		out := name
		if p.cfg.Processed {
			out = processedOf(name)
		}
		if err := p.env.Topic(ctx, out, p.time(b, i)); err != nil {
			return nil, err
		}
		if p.cfg.Processed && p.env.Client != nil && p.cfg.Skip == 0 {
			if err := refuseFilled(ctx, p.env.Client, out, p.time(b, i)); err != nil {
				return nil, err
			}
		}
		to = &target{name: name, out: out, count: Count{Topic: out}}
		p.topics, p.byName[name] = append(p.topics, to), to
	}
	rt := &route{to: to, partition: topic.Partition(in.Base, p.cfg.Partitions), key: []byte(in.Symbol)}
	p.routes[k][inst] = rt
	return rt, nil
}

func (p *player) noTopic(err error) error {
	return &fault.Error{Code: "topic_name", Message: "some events cannot have a topic", Why: err.Error(), Exit: fault.ExitFailed, Cause: err,
		Remedy: "see what is in the input: tidemark data inspect FILE"}
}

// record makes the record of a row; rt is nil for one that goes to several places.
func (p *player) record(ctx context.Context, b *market.Batch, i int, src *source, rt *route) (*item, error) {
	it := &item{kind: b.Kind}
	if rt != nil {
		it.to, it.partition, it.key = rt.to, rt.partition, rt.key
	}
	if p.env.Client == nil && p.refill == nil {
		return it, nil
	}
	buf := p.alloc.room()
	out, err := p.enc.AppendEvent(ctx, buf, b, i)
	for try := 0; p.encoded && errors.Is(err, record.ErrRegistry) && try < registryRetries && wait(ctx, registryPause) == nil; try++ {
		out, err = p.enc.AppendEvent(ctx, buf, b, i) // it did answer before
	}
	p.encoded = p.encoded || err == nil
	if err != nil {
		return nil, fmt.Errorf("encode an event of %s: %w", src.name, err)
	}
	it.value = p.alloc.keep(out)
	raw := record.Raw{Format: formatEvent, Feed: src.name}
	if t := b.IngestTS[i]; market.ValidTime(t) {
		raw.Ingest = p.alloc.keep(strconv.AppendInt(p.alloc.room(), t, 10))
	}
	it.headers = record.AppendRaw(nil, &raw)
	return it, nil
}

var formatEvent = []byte("event")

// payload makes the record of a payload.
func (p *player) payload(from *input.Payload, k market.Kind, src *source, rt *route) *item {
	it := &item{kind: k, to: rt.to, partition: rt.partition, key: rt.key, payload: true}
	if p.env.Client == nil && p.refill == nil {
		return it
	}
	raw := record.Raw{Format: []byte(from.Format), Feed: src.main}
	if market.ValidTime(from.Ingest) {
		raw.Ingest = p.alloc.keep(strconv.AppendInt(p.alloc.room(), from.Ingest, 10))
	}
	if from.URL != "" {
		raw.URL = []byte(from.URL)
	}
	if from.Conn != "" {
		raw.Conn = []byte(from.Conn)
	}
	it.value, it.headers = from.Data, record.AppendRaw(nil, &raw)
	return it
}
