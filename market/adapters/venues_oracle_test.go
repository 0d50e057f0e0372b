package adapters

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
	"github.com/pinova-group/tidemark/market/num"
)

// plainBook is a book read with encoding/json alone: exact prices to exact quantities.
type plainBook [2]map[string]*big.Rat

func (p *plainBook) set(t *testing.T, side book.Side, price, qty string) {
	t.Helper()
	a, ok1 := new(big.Rat).SetString(price)
	b, ok2 := new(big.Rat).SetString(qty)
	if !ok1 || !ok2 {
		t.Fatalf("level %q %q", price, qty)
	}
	if p[side] == nil {
		p[side] = map[string]*big.Rat{}
	}
	if b.Sign() == 0 {
		delete(p[side], a.RatString())
		return
	}
	p[side][a.RatString()] = b
}

func rat(d num.Dec) *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(d.M), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.S)), nil))
}

// coinbasePlain and bybitPlain read the same captures in the plainest way.
func coinbasePlain(t *testing.T, books map[string]*plainBook, conn string, data []byte) {
	var m struct {
		Channel string
		Events  []struct {
			Type      string
			ProductID string `json:"product_id"`
			Updates   []struct {
				Side       string
				PriceLevel string `json:"price_level"`
				NewQty     string `json:"new_quantity"`
			}
		}
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if m.Channel != "l2_data" {
		return
	}
	for _, e := range m.Events {
		name := "coinbase spot " + e.ProductID
		if e.Type == "snapshot" {
			books[name] = &plainBook{}
		}
		for _, u := range e.Updates {
			side := book.Bid
			if u.Side == "offer" {
				side = book.Ask
			}
			books[name].set(t, side, u.PriceLevel, u.NewQty)
		}
	}
}

func bybitPlain(t *testing.T, books map[string]*plainBook, conn string, data []byte) {
	var m struct {
		Topic, Type string
		Data        json.RawMessage
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(m.Topic, "orderbook.200.") {
		return
	}
	var d struct {
		S    string
		B, A [][2]string
	}
	if err := json.Unmarshal(m.Data, &d); err != nil {
		t.Fatal(err)
	}
	venue := map[string]string{"BYBIT.ws.2": "perp ", "BYBIT.ws.3": "spot "}[conn]
	name := "bybit " + venue + strings.TrimSuffix(d.S, "USDT") + "-USDT"
	if m.Type == "snapshot" {
		books[name] = &plainBook{}
	}
	for side, levels := range [2][][2]string{d.B, d.A} {
		for _, l := range levels {
			books[name].set(t, book.Side(side), l[0], l[1])
		}
	}
}

// Venues without checksums: the books that come of adapter and Book are, level for
// level, those of a plain second reading.
func TestVenues_BooksEqualPlainReading(t *testing.T) {
	for _, c := range []struct {
		a     *Adapter
		file  string
		plain func(*testing.T, map[string]*plainBook, string, []byte)
		n     int
	}{{Coinbase, coinbaseCapture, coinbasePlain, 2}, {Bybit, bybitCapture, bybitPlain, 4}} {
		want := map[string]*plainBook{}
		for _, line := range splitLines(readFile(t, c.file)) {
			var env struct{ T, Conn, Data string }
			if err := json.Unmarshal(line, &env); err != nil {
				t.Fatal(err)
			}
			if env.T == "recv" {
				c.plain(t, want, env.Conn, []byte(env.Data))
			}
		}
		r := newReplay(c.a)
		got := books{}
		r.each = func(ch *market.Chunk) {
			b := ch.Batches[market.KindBook]
			for i := 0; b != nil && i < b.N; i++ {
				got.apply(t, b, i)
			}
		}
		r.file(t, c.a, c.file)
		if len(got) != c.n || len(want) != c.n {
			t.Errorf("%s: %d books, plain reading %d", c.file, len(got), len(want))
		}
		for inst, k := range got {
			x := r.env.Insts.Get(inst)
			name := x.Exchange + " " + x.Venue.String() + " " + x.Symbol
			p := want[name]
			if p == nil {
				t.Fatalf("%s is not in the plain reading", name)
			}
			for _, side := range []book.Side{book.Bid, book.Ask} {
				if k.Len(side) != len(p[side]) {
					t.Errorf("%s %v: %d levels, plain reading %d", name, side, k.Len(side), len(p[side]))
				}
				m, q := make([]int64, k.Len(side)), make([]int64, k.Len(side))
				from := k.From(side)
				for i := range from.Next(m, q) {
					price, qty := num.Dec{M: m[i], S: k.PriceScale()}, num.Dec{M: q[i], S: k.QuantityScale()}
					if q := p[side][rat(price).RatString()]; q == nil || q.Cmp(rat(qty)) != 0 {
						t.Fatalf("%s %v level %d: %v at %v, plain reading %v", name, side, i, qty, price, q)
					}
				}
			}
		}
	}
}
