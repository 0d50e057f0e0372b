package run

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// DemoConfig says how long the tour is.
type DemoConfig struct {
	Seed    uint64
	Minutes int
	Rate    int64 // events per second of event time
}

// DefaultDemo is two hours of three venues, some 1.4 million events.
func DefaultDemo() DemoConfig { return DemoConfig{Seed: 1, Minutes: 120, Rate: 200} }

const demoView = "trade_bars_1m"

// Demo simulates a market with faults, sequences it, computes one-minute bars and shows
// them. seconds gives the time since any fixed instant.
func Demo(ctx context.Context, cfg DemoConfig, w io.Writer, st term.Style, seconds func() float64) error {
	g := gen.DefaultConfig()
	g.Seed, g.Rate, g.Events = cfg.Seed, cfg.Rate, 0
	g.Duration = int64(cfg.Minutes) * market.Minute
	g.Symbols = gen.Symbols(4)
	g.Disorder, g.Duplicates, g.Late, g.Gaps = 30*market.Millisecond, 2000, 500, 200
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	m, err := gen.New(g, feeds, insts)
	if err != nil {
		return err
	}
	plan, _, err := Compile([]string{demoView}, nil, feeds)
	if err != nil {
		return err
	}
	seq, err := sequence.New(sequence.DefaultConfig(feeds, insts))
	if err != nil {
		return err
	}
	out := plan.Outputs()[len(plan.Outputs())-1]
	bars := &demoBars{view: len(plan.Outputs()) - 1, fields: fieldIndex(&out)}
	j := &job{plan: plan, task: plan.NewTask(insts, market.NoTime), sel: &selection{}, each: nil, counts: make([]int64, len(plan.Outputs())), view: -1, env: Env{Meter: &Meter{}}}
	j.each = func(rows *features.Rows) error { bars.take(rows, j.task.EntityNames); return nil }
	src := &simulated{m: m, truth: map[gen.Verdict]int64{}}
	p := &pass{reader: src, seq: seq, meter: j.env.Meter, last: market.NoTime}
	began := seconds()
	if err := p.run(ctx, j.step); err != nil {
		return err
	}
	if err := j.finishTask(p.last, nil); err != nil {
		return err
	}
	took := seconds() - began
	return bars.show(w, st, seq.Counts(), src, took)
}

// simulated is a source of chunks that a generator makes.
type simulated struct {
	m     *gen.Market
	truth map[gen.Verdict]int64
}

func (s *simulated) Next(_ context.Context, ch *input.Chunk) error {
	ch.Reset()
	if !s.m.Next(&ch.Chunk) {
		return io.EOF
	}
	for _, t := range s.m.Truth() {
		s.truth[t.Verdict]++
	}
	return nil
}

func (s *simulated) Close() {}

func (s *simulated) Progress() (read, total int64) { return 0, -1 }

// demoBars keeps the bars of every instrument.
type demoBars struct {
	view   int
	fields map[string]int
	names  []string
	bars   map[string][]demoBar
}

type demoBar struct {
	term.Candle
	start          int64
	volume, trades float64
}

func fieldIndex(o *features.Output) map[string]int {
	m := map[string]int{}
	for i, f := range o.Fields {
		m[f.Name] = i
	}
	return m
}

func (d *demoBars) take(rows *features.Rows, names func(int, uint32) []string) {
	if d.bars == nil {
		d.bars = map[string][]demoBar{}
	}
	v := &rows.Views[d.view]
	get := func(name string, i int) float64 {
		c := &v.Features[d.fields[name]]
		switch {
		case c.IsNull(i):
			return math.NaN()
		case len(c.F64) > 0:
			return c.F64[i]
		}
		return float64(c.I64[i])
	}
	for i := range v.Len() {
		n := strings.Join(names(d.view, v.Entity[i]), " ")
		if _, known := d.bars[n]; !known {
			d.names = append(d.names, n)
		}
		d.bars[n] = append(d.bars[n], demoBar{
			Candle: term.Candle{Open: get("open", i), High: get("high", i), Low: get("low", i), Close: get("close", i)},
			start:  v.Start[i], volume: get("volume", i), trades: get("trades", i),
		})
	}
}

func (d *demoBars) show(w io.Writer, st term.Style, c sequence.Counts, src *simulated, took float64) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", st.Bold("A simulated market: three venues, four assets, spot and perpetual, with faults"))
	fmt.Fprintf(&b, "  %s events sequenced and computed in %.2f s (%s)\n\n", term.Int(c.In), took, term.Rate(c.In, took))
	rows := [][]string{
		{"applied", term.Int(c.Applied), term.Int(src.truth[gen.Applied]), "in time, in order"},
		{"late", term.Int(c.Late), term.Int(src.truth[gen.Late]), "behind the feed's disorder"},
		{"duplicate", term.Int(c.Duplicate), term.Int(src.truth[gen.Duplicate]), "id known already"},
		{"dlq", term.Int(c.DLQ), term.Int(src.truth[gen.DeadLetter]), "breaks a rule"},
	}
	b.WriteString(st.Table([]term.Column{{Head: "verdict"}, {Head: "sequencer", Right: true}, {Head: "truth", Right: true}, {Head: "meaning"}}, rows))
	d.table(&b, st)
	d.picture(&b, st)
	fmt.Fprintf(&b, "\nNext: tidemark spec show %s; tidemark run --spec %s --input YOUR_TRADES.csv.gz\n", demoView, demoView)
	_, err := io.WriteString(w, b.String())
	return err
}

// table shows the last bars of the busiest instruments.
func (d *demoBars) table(b *strings.Builder, st term.Style) {
	fmt.Fprintf(b, "\n%s\n", st.Bold("One-minute bars ("+demoView+"), the last ones of each instrument"))
	cols := []term.Column{{Head: "instrument"}, {Head: "minute (UTC)"}}
	for _, h := range []string{"open", "high", "low", "close", "volume", "trades"} {
		cols = append(cols, term.Column{Head: h, Right: true})
	}
	num := func(x float64) string { return fmt.Sprintf("%.8g", x) }
	var rows [][]string
	for _, n := range d.names[:min(6, len(d.names))] {
		bars := d.bars[n]
		for _, x := range bars[max(0, len(bars)-2):] {
			rows = append(rows, []string{n, market.FormatTime(x.start), num(x.Open), num(x.High), num(x.Low), num(x.Close), num(x.volume), num(x.trades)})
		}
	}
	b.WriteString(st.Table(cols, rows))
}

// picture draws the busiest instrument.
func (d *demoBars) picture(b *strings.Builder, st term.Style) {
	best := ""
	for _, n := range d.names {
		if best == "" || len(d.bars[n]) > len(d.bars[best]) {
			best = n
		}
	}
	bars := d.bars[best]
	if st.Width == 0 {
		st.Width = 100
	}
	bars = bars[max(0, len(bars)-(st.Width-14)):]
	var candles []term.Candle
	var volume []float64
	for _, x := range bars {
		candles = append(candles, x.Candle)
		volume = append(volume, x.volume)
	}
	fmt.Fprintf(b, "\n%s\n", st.Bold(best+", last "+fmt.Sprint(len(bars))+" minutes"))
	for _, l := range st.Candles(candles, 12) {
		b.WriteString(l + "\n")
	}
	fmt.Fprintf(b, "%s %s\n", st.Sparkline(volume, 0), st.Faint("volume"))
}
