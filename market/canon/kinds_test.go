package canon

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// readings is a kind with a column of every type.
func readings(t fataler) *market.Kinds {
	k, err := market.NewKinds([]market.Definition{{Name: "reading", ID: 0, Fields: []market.Field{
		{Name: "reading_id", Type: market.TypeText, Nullable: true}, {Name: "price", Type: market.TypeDec}, {Name: "steps", Type: market.TypeInt, Nullable: true},
		{Name: "level", Type: market.TypeFloat, Nullable: true}, {Name: "fine", Type: market.TypeBool, Nullable: true},
		{Name: "state", Type: market.TypeEnum, Words: []string{"ok", "broken"}, Nullable: true},
		{Name: "next", Type: market.TypeTime, Nullable: true}, {Name: "lasted", Type: market.TypeDur, Nullable: true},
	}}, {Name: "other", ID: -1, Fields: []market.Field{{Name: "x", Type: market.TypeFloat}}}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return k
}

func genReadings(t *rapid.T, w *world, kinds *market.Kinds) *market.Batch {
	k, _ := kinds.Parse("reading")
	b := kinds.NewBatch(k)
	for i := range rapid.IntRange(1, 6).Draw(t, "rows") {
		ts := market.MinEventTime + int64(i)
		b.AppendEnvelope(&market.Envelope{Feed: w.feeds.Intern("met"), Inst: w.insts.Intern("met", market.Index, "KDFW"), EventTS: ts, IngestTS: ts + 5, Seq: uint64(i & 1 * i), HasSeq: i&1 == 1})
		null := func() bool { return rapid.Bool().Draw(t, "null") }
		if null() {
			b.Cols[0].AppendNullText()
		} else {
			b.Cols[0].AppendText([]byte(rapid.SampledFrom([]string{"", "a", `"b",c`, "ü", "1.5"}).Draw(t, "text")))
		}
		b.Cols[1].AppendDec(rapid.Int64Range(-math.MaxInt64, math.MaxInt64).Draw(t, "m"), int8(rapid.IntRange(0, 18).Draw(t, "s")))
		ints := func(col int, lo, hi int64) {
			if null() {
				b.Cols[col].AppendNull(false)
			} else {
				b.Cols[col].AppendInt(rapid.Int64Range(lo, hi).Draw(t, "v"))
			}
		}
		ints(2, -math.MaxInt64, math.MaxInt64)
		f := rapid.Float64().Draw(t, "f") + 0
		if null() || f-f != 0 {
			b.Cols[3].AppendNullFloat()
		} else {
			b.Cols[3].AppendFloat(f)
		}
		ints(4, 0, 1)
		ints(5, 0, 1)
		ints(6, market.MinEventTime, market.MaxEventTime-1)
		ints(7, -1000, math.MaxInt64)
	}
	return b
}

func (w *world) readKinds(t fataler, kinds *market.Kinds, text []byte) *market.Chunk {
	d := Adapter.New(adapters.Env{Feeds: w.feeds, Insts: w.insts, Kinds: kinds})
	var out market.Chunk
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if err := d.Decode(&adapters.Record{Data: []byte(line), Ingest: market.NoTime, Offset: int64(n)}, &out); err != nil {
			t.Fatalf("line %d, %s: %v", n, line, err)
		}
	}
	return &out
}

// What is written of a user-defined kind reads back as it was, in both formats.
func TestKinds_RoundTrip(t *testing.T) {
	kinds := readings(t)
	k, _ := kinds.Parse("reading")
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		b := genReadings(t, w, kinds)
		for _, o := range []Options{{Format: CSV, Kind: k, Kinds: kinds}, {Format: JSONL, Kinds: kinds}} {
			got := w.readKinds(t, kinds, w.write(t, o, b)).Batches[k]
			opts := cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(market.Batch{}, "ID", "RawBytes")}
			if d := cmp.Diff(b, got, opts); d != "" {
				t.Fatalf("not what was written (-want +got):\n%s", d)
			}
		}
	})
}

// Identity is the column that the definition names; without a value seq, else the row.
func TestKinds_Identity(t *testing.T) {
	kinds, w := readings(t), newWorld()
	const head = "kind,feed,exchange,market,symbol,event_ts,seq,reading_id,price,x\n"
	row := func(kind string, ts int, seq, id, price, x string) string {
		return fmt.Sprintf("%s,met,met,index,KDFW,%d,%s,%s,%s,%s\n", kind, market.MinEventTime+int64(ts), seq, id, price, x)
	}
	out := w.readKinds(t, kinds, []byte(head+
		row("reading", 1, "", "a", "1", "")+row("reading", 2, "7", "a", "2", "")+ // one id, at another time
		row("reading", 3, "7", "b", "1", "")+ // another id, same seq
		row("reading", 4, "7", "", "1", "")+row("reading", 5, "7", "", "2", "")+ // by seq
		row("other", 1, "", "", "", "0.5")+row("other", 1, "", "", "", "5e-1")+row("other", 1, "", "", "", "0.25"))) // by the row, with its ordinal
	r, _ := kinds.Parse("reading")
	o, _ := kinds.Parse("other")
	id := out.Batches[r].ID
	if id[0] != id[1] || id[0] == id[2] || id[3] != id[4] || id[3] == id[0] {
		t.Errorf("ids of readings %x", id)
	}
	id = out.Batches[o].ID
	again := w.readKinds(t, kinds, []byte(head+row("other", 1, "", "", "", "5e-1"))).Batches[o].ID
	if id[0] == id[1] || id[0] == id[2] || id[0] != again[0] {
		t.Errorf("ids of rows %x, again %x", id, again)
	}
}

func TestKinds_BadRows(t *testing.T) {
	kinds := readings(t)
	const head = "kind,feed,exchange,market,symbol,event_ts,price,level,state,steps\n"
	for _, c := range []struct{ head, row, want string }{
		{head, "reading,met,met,index,KDFW,%d,1,nan,,", "level is not a number"},
		{head, "reading,met,met,index,KDFW,%d,1,1e400,,", "level is not a number"},
		{head, "reading,met,met,index,KDFW,%d,1,0x1p4,,", "level is not a number"},
		{head, "reading,met,met,index,KDFW,%d,1,,bad,", "state is not one of its words"},
		{head, "reading,met,met,index,KDFW,%d,,1,,", "value is missing"},
		{head, "reading,met,met,index,KDFW,%d,1:5,1,,", "number is not an exact decimal"},
		{head, "reading,met,met,index,KDFW,%d,1,1,,1.5", "steps is not a whole number"},
		{head, "readings,met,met,index,KDFW,%d,1,1,,", "kind is not known"},
		{head, "other,met,met,index,KDFW,%d,1,1,,", "kind does not agree with the header"},
		{strings.Replace(head, "level", "level1", 1), "", "did you mean level?"},
		{"", `{"kind":"reading","feed":"met","exchange":"met","market":"index","symbol":"KDFW","event_ts":%d,"price":"1","stat":"ok"}`, "did you mean state?"},
	} {
		w := newWorld()
		d := Adapter.New(adapters.Env{Feeds: w.feeds, Insts: w.insts, Kinds: kinds})
		var out market.Chunk
		var errs []string
		row := c.row
		if strings.Contains(row, "%d") {
			row = fmt.Sprintf(row, market.MinEventTime)
		}
		for i, line := range []string{c.head, row} {
			if err := d.Decode(&adapters.Record{Data: []byte(line), Ingest: market.NoTime, Offset: int64(i + 1)}, &out); err != nil {
				errs = append(errs, err.Error())
			}
		}
		if len(errs) == 0 || !strings.Contains(errs[0], c.want) {
			t.Errorf("%s: %v, want %s", row, errs, c.want)
		}
	}
}
