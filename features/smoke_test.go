package features_test

import (
	"fmt"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

func TestCompile_ShippedViews(t *testing.T) {
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		p, err := features.Compile([]features.Source{{Name: name + ".yaml", Text: text}}, features.Options{Find: specs.Find})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, o := range p.Outputs() {
			t.Logf("%s: lookback %d reach %d state %d", o.Name, o.Lookback, o.Reach, o.StateBytesPerKey)
		}
	}
}

func TestSmoke(t *testing.T) {
	text, _ := specs.Find("trade_bars_1m")
	p, err := features.Compile([]features.Source{{Name: "x", Text: text}}, features.Options{Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	insts := market.NewInstruments()
	task := p.NewTask(insts, 0)
	b := market.NewBatch(market.KindTrade)
	in := insts.Intern("kraken", market.Spot, "BTC-USD")
	base := int64(1700000000) * market.Second
	for i := range 100 {
		b.AppendEnvelope(&market.Envelope{Feed: 7, Inst: in, EventTS: base + int64(i)*market.Second, IngestTS: base + int64(i)*market.Second + 1000})
		b.Cols[market.TradeVenueID].AppendText([]byte("x"))
		b.Cols[market.TradeSide].AppendInt(int64(1 + i%2))
		b.Cols[market.TradePrice].AppendDec(int64(3000000+i), 2)
		b.Cols[market.TradeQuantity].AppendDec(int64(1000+i), 5)
		b.Cols[market.TradePrints].AppendInt(1)
	}
	if err := task.Push(b); err != nil {
		t.Fatal(err)
	}
	var out features.Rows
	if err := task.Close(base+99*market.Second, &out); err != nil {
		t.Fatal(err)
	}
	v := out.Views[0]
	for i := range v.Len() {
		fmt.Print(task.EntityNames(0, v.Entity[i]), v.Start[i], " ", v.End[i], " ", v.Avail[i], " ", v.Flags[i])
		for k, f := range p.Outputs()[0].Fields {
			c := v.Features[k]
			if c.IsNull(i) {
				fmt.Print(" ", f.Name, "=null")
			} else if f.Type == features.FieldF64 {
				fmt.Print(" ", f.Name, "=", c.F64[i])
			} else {
				fmt.Print(" ", f.Name, "=", c.I64[i])
			}
		}
		fmt.Println()
	}
}
