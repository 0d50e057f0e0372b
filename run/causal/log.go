package causal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// read sequences the input and keeps the rows of the kinds that the views read.
func (c *checker) read(ctx context.Context, cfg *run.Config, env run.Env) error {
	if len(cfg.Inputs) == 0 {
		return fault.Usage("input_missing", "no input given", "name event files to check with: --input trades.csv.gz")
	}
	paths, err := input.Expand(cfg.Inputs)
	if err != nil {
		return err
	}
	r, err := input.Open(input.Config{Paths: paths, Adapters: run.Formats(), Format: cfg.Format, Feed: cfg.Feed,
		Feeds: c.feeds, Insts: c.insts, Kinds: c.plan.Kinds(), Stdin: env.Stdin})
	if err != nil {
		return err
	}
	defer r.Close()
	scfg := sequence.DefaultConfig(c.feeds, c.insts)
	scfg.Kinds = c.plan.Kinds()
	seq, err := sequence.New(scfg)
	if err != nil {
		return fmt.Errorf("start the sequencer: %w", err)
	}
	for _, in := range c.plan.Inputs() {
		c.log[in.Kind] = c.plan.Kinds().NewBatch(in.Kind)
	}
	var ch input.Chunk
	var out sequence.Out
	for {
		err := r.Next(ctx, &ch)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if err := seq.Push(&ch.Chunk); err != nil {
			return fmt.Errorf("BUG: sequencer refused a chunk: %w", err)
		}
		ch.Tell(seq)
		out.Reset()
		seq.Advance(&out)
		if err := c.keep(&out, cfg); err != nil {
			return err
		}
	}
	out.Reset()
	seq.Close(&out)
	return c.keep(&out, cfg)
}

// keep appends what the sequencer released, within the range and the symbols asked for.
func (c *checker) keep(out *sequence.Out, cfg *run.Config) error {
	for k, b := range out.Rows.Batches {
		if b == nil || c.log[k] == nil {
			continue
		}
		for i := range b.N {
			if !c.wanted(b, i, cfg) {
				continue
			}
			c.log[k].AppendRows(b, i, i+1)
			c.last = max(c.last, b.TS[i])
			if c.res.Events++; c.res.Events > maxEvents {
				return &fault.Error{Code: "sample_large", Message: fmt.Sprintf("the input has more than %d events", maxEvents), Exit: fault.ExitUsage,
					Remedy: "check a part of it: --from, --to, --symbols"}
			}
		}
	}
	return nil
}

func (c *checker) wanted(b *market.Batch, i int, cfg *run.Config) bool {
	t := b.TS[i]
	if cfg.From != market.NoTime && t < cfg.From || cfg.To != market.NoTime && t >= cfg.To {
		return false
	}
	if len(cfg.Symbols) == 0 {
		return true
	}
	name := c.insts.Get(b.Inst[i]).Symbol
	return slices.ContainsFunc(cfg.Symbols, func(w string) bool {
		return strings.EqualFold(name, w) || name == market.CleanSymbol(strings.ToUpper(w))
	})
}

// place is one event of the log.
type place struct {
	kind market.Kind
	i    int
}

// after lists the events that came after a cut or belong to a later time, by their time.
func (c *checker) after(cut int64) []place {
	var out []place
	for k, b := range c.log {
		if b == nil {
			continue
		}
		for i := range b.N {
			if b.TS[i] > cut || c.known(b, i) > cut {
				out = append(out, place{market.Kind(k), i})
			}
		}
	}
	slices.SortStableFunc(out, func(x, y place) int {
		a, b := c.log[x.kind].TS[x.i], c.log[y.kind].TS[y.i]
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	})
	return out
}

// change is the log with some events changed; the others are the same.
func (c *checker) change(how string, events []place) [market.NumKinds]*market.Batch {
	log := c.log
	var marked [market.NumKinds][]bool
	for _, p := range events {
		if marked[p.kind] == nil {
			marked[p.kind] = make([]bool, c.log[p.kind].N)
		}
		marked[p.kind][p.i] = true
	}
	for k, m := range marked {
		if m == nil {
			continue
		}
		from, to := c.log[k], c.plan.Kinds().NewBatch(market.Kind(k))
		for lo := 0; lo < from.N; {
			hi := lo + 1
			for hi < from.N && m[hi] == m[lo] {
				hi++
			}
			at := to.N
			if !m[lo] || how != "dropped" {
				to.AppendRows(from, lo, hi)
			}
			for i := at; m[lo] && i < to.N; i++ {
				if how == "delayed" {
					to.IngestTS[i] = c.known(from, lo+i-at) + market.Hour
				} else {
					perturb(to, i)
				}
			}
			lo = hi
		}
		log[k] = to
	}
	return log
}

// perturb changes the values of an event: numbers become three times what they were,
// words the next one. Both sides of a quote or a book grow alike, so they stay in order.
func perturb(b *market.Batch, i int) {
	for k, f := range b.Fields {
		col := &b.Cols[k]
		if f.Type != market.TypeDecs && col.IsNull(i) {
			continue
		}
		switch f.Type {
		case market.TypeDec:
			col.I64[i] = triple(col.I64[i])
		case market.TypeDecs:
			list := col.Decs(i)
			for j := range list {
				list[j] = triple(list[j])
			}
		case market.TypeBool:
			col.I64[i] ^= 1
		case market.TypeEnum:
			if n := int64(len(f.Words)); n > 0 && b.Kind != market.KindBook { // a book row of another origin is another chain
				col.I64[i] = (col.I64[i] + 1) % n
			}
		case market.TypeFloat:
			if f := col.F64[i] * 3; f-f == 0 {
				col.F64[i] = f
			}
		}
	}
}

func triple(m int64) int64 {
	if m > math.MaxInt64/3 || m < math.MinInt64/3 {
		return m / 3
	}
	return m * 3
}

// describe names an event for people.
func (c *checker) describe(p place) string {
	b := c.log[p.kind]
	in := c.insts.Get(b.Inst[p.i])
	feed := ""
	if f := c.feeds.Get(b.Feed[p.i]); f != nil {
		feed = f.Name
	}
	received := "with no time of receipt"
	if t := b.IngestTS[p.i]; t != market.NoTime {
		received = "received " + market.FormatTime(t)
	}
	return fmt.Sprintf("%s of %s %s %s %s at %s, %s, seq %d", c.plan.Kinds().Name(p.kind), feed, in.Exchange, in.Venue, in.Symbol,
		market.FormatTime(b.TS[p.i]), received, b.Seq[p.i])
}
