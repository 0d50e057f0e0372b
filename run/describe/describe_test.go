package describe

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

func TestList_EveryShippedViewHasAPage(t *testing.T) {
	items, err := List()
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != len(specs.Names()) {
		t.Fatalf("%d items of %d specs", len(items), len(specs.Names()))
	}
	for _, i := range items {
		m := manual(t, i.View)
		text := m.Text(term.Style{})
		for _, c := range m.Columns {
			if !strings.Contains(text, c.Name) {
				t.Errorf("page of %s lacks column %s", i.View, c.Name)
			}
		}
		if m.Doc == "" || len(m.Fingerprint) != 64 || i.Features == 0 || i.Window == "" {
			t.Errorf("page of %s lacks something: %+v", i.View, i)
		}
	}
}

// TestSVG_BoxesDoNotOverlap: the picture of all shipped views at once.
func TestSVG_BoxesDoNotOverlap(t *testing.T) {
	c, err := Compile(specs.Names(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ns := c.graph()
	w, h := place(ns)
	for i := range ns {
		a := &ns[i]
		if a.x < 0 || a.y < 0 || a.x+a.w > w || a.y+a.h > h {
			t.Errorf("%s lies outside", a.id)
		}
		for _, f := range a.from {
			if ns[f].x+ns[f].w >= a.x {
				t.Errorf("%s does not lie right of %s", a.id, ns[f].id)
			}
		}
		for j := range ns[:i] {
			b := &ns[j]
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("%s and %s overlap", a.id, b.id)
			}
		}
		for _, l := range a.lines {
			if len([]rune(l))*charWidth10/10+boxPad > a.w {
				t.Errorf("%q sticks out of its box", l)
			}
		}
	}
}

func TestSVG_IsWellFormedAndStable(t *testing.T) {
	c, err := Compile([]string{"trade_bars_1d", "momentum_15m"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	svg := c.SVG()
	dec := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []string{"trade_bars_1m", "trade_bars_1h", "trade_bars_1d", "momentum_15m"} {
		if !strings.Contains(svg, ">"+v+"<") {
			t.Errorf("view %s is not drawn", v)
		}
	}
	for range 5 {
		again, err := Compile([]string{"trade_bars_1d", "momentum_15m"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if again.SVG() != svg || again.DOT() != c.DOT() {
			t.Fatal("the same plan gives other bytes")
		}
	}
	if strings.Count(svg, "<path d=\"M") != 1+4 { // arrow head and four edges
		t.Errorf("%d paths", strings.Count(svg, "<path d=\"M"))
	}
}

// manual is the page of a view.
func manual(t *testing.T, view string, set ...string) *Manual {
	t.Helper()
	p, err := Show([]string{view}, set)
	if err != nil {
		t.Fatalf("%s: %v", view, err)
	}
	m, ok := p.(*Manual)
	if !ok {
		t.Fatalf("%s is %T", view, p)
	}
	return m
}

func TestShow_ParamsAndProblems(t *testing.T) {
	m := manual(t, "momentum_15m", "w=30m")
	if m.Params["w"] != "30m" || !strings.Contains(m.Window, "30m") {
		t.Errorf("parameter has no effect: %+v", m)
	}
	if def := manual(t, "momentum_15m"); def.Fingerprint == m.Fingerprint {
		t.Error("other parameters, same fingerprint")
	}
	_, err := Show([]string{"momentum_15m"}, []string{"q=30m"})
	if f := fault.From(err); f.Code != "spec_invalid" || len(f.Parts) != 1 {
		t.Errorf("unknown parameter: %+v", f)
	}
}

func TestFmt_ShippedSpecsAreLaidOut(t *testing.T) {
	dir := t.TempDir()
	for _, n := range specs.Names() {
		text, _ := specs.Find(n)
		p := filepath.Join(dir, n+".yaml")
		if err := os.WriteFile(p, text, 0o644); err != nil {
			t.Fatal(err)
		}
		old, formatted, err := Fmt(p)
		if err != nil {
			t.Fatal(err)
		}
		if string(old) != string(formatted) {
			t.Errorf("%s is laid out otherwise:\n%s", n, formatted)
		}
	}
}

func TestMakePlan_Sample(t *testing.T) {
	p := filepath.Join(t.TempDir(), "x.csv")
	tape := "kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n" +
		"trade,kraken-spot,kraken,spot,BTC-USDT,1762795440000000,,,1,buy,100.5,1\n" +
		"trade,kraken-spot,kraken,spot,BTC-USDT,1762795540000000,,,2,buy,100.5,1\n"
	if err := os.WriteFile(p, []byte(tape), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs = []string{"trade_bars_1h"}, []string{p}
	now := 0.0
	clock := func() float64 { now++; return now }
	got, err := MakePlan(context.Background(), cfg, run.Env{Warn: func(string) {}}, clock)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Stages) != 2 || got.Stages[0].View != "trade_bars_1m" || got.Stages[0].Rows != 2 || got.Stages[1].Rows != 1 {
		t.Errorf("stages %+v", got.Stages)
	}
	if got.Events != 2 || got.Seconds != 100 || got.Speed != 2 || got.Stages[0].RowsSec != 0.02 || got.Stages[0].BytesDay <= 0 {
		t.Errorf("plan %+v", got)
	}
	if !strings.Contains(got.Text(term.Style{}), "measured over 2 events, 100 s of event time") {
		t.Error(got.Text(term.Style{}))
	}
}
