package picture

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

func schema() *rowfile.Schema {
	return &rowfile.Schema{Fields: []rowfile.Field{
		{Name: "symbol", Type: market.TypeText}, {Name: "row_ts", Type: market.TypeTime}, {Name: "available_at", Type: market.TypeTime},
		{Name: "flags", Type: market.TypeInt}, {Name: "price", Type: market.TypeFloat, Unit: "quote/base"}, {Name: "n", Type: market.TypeInt}, {Name: "who", Type: market.TypeText},
	}}
}

// rows of one entity: price and count by time.
func rows(symbol string, t []int64, price []float64) *rowfile.Batch {
	b := &rowfile.Batch{N: len(t), Cols: make([]rowfile.Col, 7)}
	for _, k := range []int{0, 6} {
		b.Cols[k].Off = []int32{0}
		for range t {
			b.Cols[k].Bytes = append(b.Cols[k].Bytes, symbol...)
			b.Cols[k].Off = append(b.Cols[k].Off, int32(len(b.Cols[k].Bytes)))
		}
	}
	for i := range t {
		for k := 1; k < 4; k++ {
			b.Cols[k].I64 = append(b.Cols[k].I64, t[i])
		}
		if math.IsNaN(price[i]) {
			for len(b.Cols[4].Null) <= i>>6 {
				b.Cols[4].Null = append(b.Cols[4].Null, 0)
			}
			b.Cols[4].Null[i>>6] |= 1 << (i & 63)
		}
		b.Cols[4].F64 = append(b.Cols[4].F64, price[i])
		b.Cols[5].I64 = append(b.Cols[5].I64, int64(i))
	}
	return b
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
}

// A line for each entity in each panel, broken where a value is null.
func TestPicture_LinesAndGaps(t *testing.T) {
	p, err := New(schema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	second := market.Second
	p.Add(rows("A<B", []int64{second, 2 * second, 3 * second, 4 * second, 5 * second}, []float64{1, 2, math.NaN(), 4, 5}))
	p.Add(rows("C", []int64{second, 5 * second}, []float64{7, 7}))
	svg := p.SVG("a & b")
	wellFormed(t, svg)
	if n := strings.Count(svg, `stroke-linejoin`); n != 4 {
		t.Errorf("%d lines, want 2 entities in 2 panels", n)
	}
	broken := 0
	for _, part := range strings.Split(svg, `<path d="`)[1:] {
		if d, _, _ := strings.Cut(part, `"`); strings.Count(d, "M") == 2 {
			broken++
		}
	}
	if broken != 1 {
		t.Errorf("%d lines are lifted once, want 1", broken)
	}
	for _, want := range []string{"A&lt;B", "a &amp; b", "price (quote/base)", "00:00:03"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in the picture", want)
		}
	}
}

// Memory is bounded, and extremes survive.
func TestPicture_LongLinesKeepExtremes(t *testing.T) {
	p, err := New(schema(), []string{"price"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		n := 4000
		ts, v := make([]int64, n), make([]float64, n)
		for k := range ts {
			ts[k] = int64(i*n+k) * market.Millisecond
			v[k] = math.Sin(float64(i*n + k))
		}
		if i == 20 {
			v[77] = 1000
		}
		if i == 30 {
			v[78] = -1000
		}
		p.Add(rows("A", ts, v))
	}
	l := p.lines["A"]
	if len(l.t) > maxPoints {
		t.Errorf("line keeps %d points", len(l.t))
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range l.v[0] {
		lo, hi = min(lo, v), max(hi, v)
	}
	if lo != -1000 || hi != 1000 {
		t.Errorf("extremes are %v and %v", lo, hi)
	}
	svg := p.SVG("long")
	wellFormed(t, svg)
	if len(svg) > 200_000 {
		t.Errorf("picture has %d bytes", len(svg))
	}
}

func TestPicture_ManyEntitiesAreCounted(t *testing.T) {
	p, err := New(schema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		p.Add(rows(string(rune('A'+i)), []int64{1_000_000, 2_000_000}, []float64{1, 2}))
	}
	if svg := p.SVG("many"); !strings.Contains(svg, "4 more entities are not drawn") {
		t.Error("entities that are not drawn are not counted")
	}
	empty, _ := New(schema(), nil)
	if svg := empty.SVG("none"); !strings.Contains(svg, "no rows") {
		t.Error("a picture of nothing does not say so")
	}
}

func TestNew_Mistakes(t *testing.T) {
	if _, err := New(schema(), []string{"prize"}); err == nil || !strings.Contains(err.Error(), `"prize"`) {
		t.Errorf("got %v", err)
	}
	if _, err := New(schema(), []string{"who"}); err == nil {
		t.Error("a text is drawn")
	}
}

// The labels of an axis are round numbers within it, zero has no sign.
func TestAxis_RoundLabels(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		want   string
	}{
		{-171, 127, "-150 -100 -50 0 50 100"}, {-1, 0.98, "-1.0 -0.5 0 0.5"}, {61556, 61855, "61600 61650 61700 61750 61800 61850"}, {0, 1302, "0 500 1000"},
		{0.0016, 0.541, "0.2 0.4"}, {0.01, 0.0107, "0.0100 0.0102 0.0104 0.0106"}, {2.4, 65, "20 40 60"}, {3e12, 7e12, "3e+12 4e+12 5e+12 6e+12 7e+12"},
	} {
		step, got := round(c.hi-c.lo), []string(nil)
		for v := math.Ceil(c.lo/step) * step; v <= c.hi; v += step {
			got = append(got, digits(v, step))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("from %v to %v: %s, want %s", c.lo, c.hi, s, c.want)
		}
	}
}
