package backfill

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

// Rows from the lake are those of a run over the raw input, for every shipped view, as
// served and corrected, whole and in any pieces (I1, I2).
func TestCompute_EqualsTheRunOverTheRawInput(t *testing.T) {
	t.Parallel()
	v := allViews(t)
	b := newLab(t, market25(6_000))
	in := pinned(t, b.lake, v)
	all := Range{market.MinEventTime, market.MaxEventTime}
	for _, as := range []As{Served, Corrected} {
		want := b.raw(t, v, as)
		got := newPrinted(v)
		if err := in.Compute(t.Context(), all, Options{As: as}, got.emit); err != nil {
			t.Fatal(err)
		}
		if n := same(t, as.String(), got, want, all); n < 40_000 {
			t.Errorf("%s: only %d rows", as, n)
		}
		r := rand.New(rand.NewPCG(uint64(as), 1))
		for i := range 4 {
			from := b.cfg.Start + r.Int64N(20*market.Minute)
			if i%2 == 0 {
				from -= from % market.Minute
			}
			part := Range{from, from + 1 + r.Int64N(5*market.Minute)}
			if i == 3 {
				part.To += market.Hour // past the end
			}
			got := newPrinted(v)
			o := Options{As: as, Memory: 1 << (18 + r.IntN(6)), Workers: 1 + r.IntN(3)}
			if err := in.Compute(t.Context(), part, o, got.emit); err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("%s, part %d [%d, %d)", as, i, part.From, part.To), got, want, part)
			for name, rows := range got.rows {
				if n := len(got.within(name, part)); n != len(rows) {
					t.Errorf("%s: %d of %d rows are of other times", name, len(rows)-n, len(rows))
				}
			}
		}
	}
}

// Each shipped view by itself reads no further back than its own lookback, and of symbols no
// others than it must.
func TestCompute_EachViewAlone(t *testing.T) {
	t.Parallel()
	all := allViews(t)
	b := newLab(t, market25(6_000))
	want := b.raw(t, all, Corrected)
	r := rand.New(rand.NewPCG(7, 1))
	narrow, early := 0, 0
	for _, name := range specs.Names() {
		params := map[string]string{}
		for k, set := range smallBars {
			if view, param, _ := strings.Cut(k, "."); view == name {
				params[param] = set
			}
		}
		v, err := Load([]string{name}, params)
		if err != nil {
			t.Fatal(err)
		}
		at, err := v.Output(name)
		if err != nil {
			t.Fatal(err)
		}
		if o := v.Plan.Outputs()[at]; o.Fingerprint != all.fingerprint(t, name) {
			continue // its input has other parameters here
		}
		in, err := Pin(t.Context(), b.lake, v)
		if err != nil {
			if len(want.rows[name]) > 0 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		from := b.cfg.Start + 8*market.Minute + r.Int64N(12*market.Minute)
		part := Range{from, from + 1 + r.Int64N(4*market.Minute)}
		got := newPrinted(v)
		if err := in.Compute(t.Context(), part, Options{As: Corrected}, got.emit); err != nil {
			t.Fatal(err)
		}
		compare(t, fmt.Sprintf("%s in [%d, %d)", name, part.From, part.To), got.within(name, part), want.within(name, part))
		loose := newPrinted(v)
		if err := in.Compute(t.Context(), part, Options{As: Corrected, Apart: true}, loose.emit); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(loose.within(name, part), got.within(name, part)) {
			early++
		}
		compare(t, name+" apart", loose.ordered(t, name), got.ordered(t, name))
		col := slices.Index(v.Plan.Outputs()[at].Entity, "symbol")
		if col < 0 {
			continue
		}
		if v.bySymbol() {
			narrow++
		}
		got = newPrinted(v)
		if err := in.Compute(t.Context(), part, Options{As: Corrected, Symbols: []string{"ETH-USDT"}}, got.emit); err != nil {
			t.Fatal(err)
		}
		var some []string
		for _, row := range want.within(name, part) {
			entity, _, _ := strings.Cut(row, " ")
			if strings.Split(entity, "/")[col] == "ETH-USDT" {
				some = append(some, row)
			}
		}
		compare(t, name+" of one symbol", got.within(name, part), some)
	}
	t.Logf("%d views give rows before those of other entities have come", early)
	if early < 3 {
		t.Errorf("only %d views give rows before those of other entities have come", early)
	}
	if narrow < 20 {
		t.Errorf("only %d views are computed symbol by symbol", narrow)
	}
}

// ordered are the rows of a view by text; of each entity they must have come by time.
func (p *printed) ordered(t *testing.T, view string) (out []string) {
	t.Helper()
	last := map[string]int64{}
	for _, row := range p.rows[view] {
		entity, _, _ := strings.Cut(row.text, " ")
		if before, ok := last[entity]; ok && row.ts < before {
			t.Errorf("%s: rows of %s go back in time", view, entity)
		}
		last[entity] = row.ts
		out = append(out, row.text)
	}
	slices.Sort(out)
	return out
}

func (v *Views) fingerprint(t *testing.T, name string) [32]byte {
	t.Helper()
	at, err := v.Output(name)
	if err != nil {
		t.Fatal(err)
	}
	return v.Plan.Outputs()[at].Fingerprint
}
