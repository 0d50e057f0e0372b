package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/explain"
)

// demoBar is a row of demoFollow.
type demoBar struct {
	Exchange, Market, Symbol       string
	Start                          int64 `json:"window_start"`
	Open, High, Low, Close, Volume *float64
}

func (b *demoBar) entity() string { return b.Exchange + "/" + b.Market + "/" + b.Symbol }

// barsOf are the rows of demoFollow of the first instrument that is there.
func barsOf(rows string) (out []demoBar, err error) {
	for line := range strings.Lines(rows) {
		var b demoBar
		if err := json.Unmarshal([]byte(line), &b); err != nil {
			return nil, err
		}
		if len(out) == 0 || b.entity() == out[0].entity() {
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("BUG: no rows of %s", demoFollow)
	}
	return out, nil
}

// explain takes one value apart and draws the rows around it.
func (d *demo) explain(ctx context.Context) error {
	d.title("Where a number comes from")
	rows, err := d.command(ctx, "read", demoFollow, "--lake", d.lake, "--symbols", "BTC-USDT", "--json")
	if err != nil {
		return err
	}
	all, err := barsOf(rows)
	if err != nil {
		return err
	}
	d.picture(all)
	one := all[len(all)/2]
	args := []string{"explain", demoFollow, market.FormatTime(one.Start), one.entity(), "--lake", d.lake, "--input", "lake:", "--feature", "vwap"}
	out, err := d.command(ctx, append(args, "--json")...)
	if err != nil {
		return err
	}
	var x explain.Explanation
	if err := json.Unmarshal([]byte(out), &x); err != nil {
		return err
	}
	if len(x.Features) != 1 || x.Features[0].Recomputed != "equal" {
		return &fault.Error{Code: "demo_failed", Message: "the value that was explained is another one when it is computed by other means", Where: strings.Join(args, " "), Exit: fault.ExitFailed}
	}
	f := x.Features[0]
	d.fact("explained", "vwap of %s at %s = %s, from %d events in the lake; worked out by other means: %s", one.entity(), market.FormatTime(one.Start), f.Value, x.Count, f.Recomputed)
	return nil
}

// picture draws bars.
func (d *demo) picture(all []demoBar) {
	st := d.a.style(d.a.outTTY)
	width := st.Width
	if width == 0 {
		width = 100
	}
	all = all[max(0, len(all)-(width-14)):]
	num := func(p *float64) float64 {
		if p == nil {
			return math.NaN()
		}
		return *p
	}
	var candles []term.Candle
	var volume []float64
	for i := range all {
		b := &all[i]
		candles = append(candles, term.Candle{Open: num(b.Open), High: num(b.High), Low: num(b.Low), Close: num(b.Close)})
		volume = append(volume, num(b.Volume))
	}
	d.say("%s\n", st.Bold(fmt.Sprintf("%s, the last %d minutes", all[0].entity(), len(all))))
	for _, l := range st.Candles(candles, 10) {
		d.say("%s\n", l)
	}
	d.say("%s %s\n", st.Sparkline(volume, 0), st.Faint("volume"))
}

// summary says what was proven, and what to try next.
func (d *demo) summary() error {
	took := d.a.now().Sub(d.began).Seconds()
	next := []string{}
	if d.keep {
		at := "tidemark --config " + d.file("tidemark.yaml")
		next = []string{
			at + " lake tables --lake " + d.lake,
			at + " verify " + demoFollow + " --lake " + d.lake,
			at + " dirty vwap_5m --lake " + d.lake,
			at + " lake publications --lake " + d.lake,
			at + " lake sql feature.book_1s_v1 --lake " + d.lake,
			at + " run --spec vwap_5m --lake " + d.lake + " --input lake: -o vwap.parquet",
		}
	}
	if d.a.json {
		return d.a.printJSON(map[string]any{"facts": d.facts, "seconds": math.Round(took*10) / 10, "dir": d.dir, "next": next})
	}
	st := d.a.style(d.a.outTTY)
	d.say("\n%s\n", st.Bold(fmt.Sprintf("What was proven, in %.0f s", took)))
	for _, f := range d.facts {
		d.say("  %-10s %s\n", f.What, f.Is)
	}
	if !d.keep {
		d.say("\nTo work on with it: tidemark demo --keep data/demo\n")
		return nil
	}
	d.say("\n%s\n", st.Bold("Next, on the same folder"))
	for _, n := range next {
		d.say("  %s\n", n)
	}
	return nil
}
