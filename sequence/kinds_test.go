package sequence

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

func ownKinds(t *testing.T, names ...string) *market.Kinds {
	t.Helper()
	var defs []market.Definition
	for _, n := range names {
		defs = append(defs, market.Definition{Name: n, ID: 0, Fields: []market.Field{{Name: "key", Type: market.TypeText}, {Name: "level", Type: market.TypeFloat, Nullable: true}}})
	}
	k, err := market.NewKinds(defs)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// reading is an event of a user-defined kind.
type reading struct {
	ts  int64
	key string
}

func (w *world) readings(kinds *market.Kinds, list []reading) *market.Chunk {
	k := kinds.Defined()[0]
	c := new(market.Chunk)
	b := c.BatchOf(k, kinds.Fields(k))
	for _, r := range list {
		id, _ := market.EventID(nil, []byte("a"), []byte(r.key))
		b.AppendEnvelope(&market.Envelope{Feed: w.id["a"], Inst: w.inst[0], EventTS: r.ts, IngestTS: market.NoTime, ID: id})
		b.Cols[0].AppendText([]byte(r.key))
		if r.ts%3 == 0 {
			b.Cols[1].AppendNullFloat()
		} else {
			b.Cols[1].AppendFloat(float64(r.ts%1000) / 8)
		}
	}
	return c
}

func show(b *market.Batch) (out []string) {
	if b == nil {
		return nil
	}
	for i := range b.N {
		level := "null"
		if !b.Cols[1].IsNull(i) {
			level = fmt.Sprint(b.Cols[1].F64[i])
		}
		out = append(out, fmt.Sprintf("%d %s %s %d", b.TS[i], b.Cols[0].Text(i), level, b.Flags[i]))
	}
	return out
}

// Rows of a user-defined kind leave in the order of time, once each, the late ones apart, like
// any other; however the log is cut, and across a restart.
func TestKinds_OrderLatenessAndIdentity(t *testing.T) {
	kinds := ownKinds(t, "reading")
	r := rand.New(rand.NewPCG(3, 4))
	var log []reading
	for i := range 400 {
		ts := t0 + int64(i)*40*ms
		log = append(log, reading{ts - r.Int64N(200*ms), fmt.Sprint("k", i)})
		switch {
		case i%17 == 3:
			log = append(log, log[len(log)-1-r.IntN(min(len(log), 9))]) // again
		case i%41 == 40:
			log = append(log, reading{ts - 2000*ms, fmt.Sprint("late", i)})
		}
	}
	// by the rule itself: late is what lies disorder or more behind the newest before it
	var want, wantLate []string
	seen := map[string]bool{}
	newest, dup := int64(0), 0
	var kept []reading
	for _, x := range log {
		late := newest-x.ts >= 250*ms
		newest = max(newest, x.ts)
		switch {
		case seen[x.key]:
			dup++
			continue
		case late:
			wantLate = append(wantLate, fmt.Sprint(x.ts, " ", x.key))
		default:
			kept = append(kept, x)
		}
		seen[x.key] = true
	}
	slices.SortStableFunc(kept, func(a, b reading) int { return int(a.ts - b.ts) })
	for _, x := range kept {
		want = append(want, fmt.Sprint(x.ts, " ", x.key))
	}
	for _, cut := range []int{1, 7, len(log)} {
		w := newWorld()
		cfg := DefaultConfig(w.feeds, w.insts)
		cfg.Kinds = kinds
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var out Out
		var got, late []string
		take := func() {
			k := kinds.Defined()[0]
			got = append(got, show(out.Rows.Batches[k])...)
			late = append(late, show(out.Late.Batches[k])...)
			out.Reset()
		}
		for lo := 0; lo < len(log); lo += cut {
			if err := s.Push(w.readings(kinds, log[lo:min(len(log), lo+cut)])); err != nil {
				t.Fatal(err)
			}
			s.Advance(&out)
			take()
			if lo/cut%5 == 2 { // restart
				if s, err = Restore(cfg, s.AppendSnapshot(nil)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.Close(&out)
		take()
		head := func(lines []string) (out []string) {
			for _, l := range lines {
				var ts int64
				var key string
				if _, err := fmt.Sscan(l, &ts, &key); err != nil {
					t.Fatal(err)
				}
				out = append(out, fmt.Sprint(ts, " ", key))
			}
			return out
		}
		if !slices.Equal(head(got), want) || !slices.Equal(head(late), wantLate) {
			t.Errorf("cut %d: %d rows, want %d; %d late, want %d", cut, len(got), len(want), len(late), len(wantLate))
		}
		if c := s.Counts(); c.Duplicate != int64(dup) || c.In != int64(len(log)) {
			t.Errorf("cut %d: %+v, want %d duplicates of %d", cut, c, dup, len(log))
		}
	}
}

func TestKinds_SnapshotIsOfItsKinds(t *testing.T) {
	w := newWorld()
	cfg := DefaultConfig(w.feeds, w.insts)
	cfg.Kinds = ownKinds(t, "reading", "wind")
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Push(w.readings(cfg.Kinds, []reading{{t0, "a"}, {t0 + 1, "b"}})); err != nil {
		t.Fatal(err)
	}
	snap := s.AppendSnapshot(nil)
	for _, other := range []*market.Kinds{nil, ownKinds(t, "reading"), ownKinds(t, "reading", "rain")} {
		cfg := DefaultConfig(w.feeds, w.insts)
		cfg.Kinds = other
		if _, err := Restore(cfg, snap); !errors.Is(err, ErrKinds) {
			t.Errorf("restored with %v: %v", other.Defined(), err)
		}
	}
	if s, err = Restore(cfg, snap); err != nil || string(s.AppendSnapshot(nil)) != string(snap) {
		t.Errorf("restored with its own kinds: %v", err)
	}
	plain, err := New(DefaultConfig(w.feeds, w.insts))
	if err != nil {
		t.Fatal(err)
	}
	if err := plain.Push(w.readings(cfg.Kinds, []reading{{t0, "a"}})); !errors.Is(err, ErrBatch) {
		t.Errorf("a kind that the sequencer was not told of: %v", err)
	}
}

// What a watermark record says holds for what comes behind it, and not for what came before
// it in its chunk, whatever the numbers of the kinds.
func TestPush_WatermarksFollowTheRowsOfTheirChunk(t *testing.T) {
	w := newWorld()
	kinds := ownKinds(t, "reading")
	s := w.new(t, func(c *Config) { c.Kinds = kinds })
	c := w.readings(kinds, []reading{{t0, "a"}, {t0 + 9, "b"}})
	w.append(c, &ev{kind: market.KindWatermark, feed: "a", ts: t0 + 10})
	must(t, s.Push(c))
	must(t, s.Push(w.readings(kinds, []reading{{t0 + 9, "c"}, {t0 + 10, "d"}})))
	out := new(Out)
	s.Close(out)
	k := kinds.Defined()[0]
	if got := out.Late.Batches[k]; got.N != 1 || string(got.Cols[0].Text(0)) != "c" || out.Missed[k][0] != t0+9 {
		t.Errorf("late %v, missed %v", show(got), out.Missed[k])
	}
}

func TestDead_SaysWhichRow(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	bad := trade(0, 2)
	bad.ts = 0
	must(t, s.Push(w.chunk(trade(0, 1), bad, trade(1, 3), bad)))
	s.Advance(out)
	if len(out.Dead) != 2 || out.Dead[0].Row != 1 || out.Dead[1].Row != 3 {
		t.Errorf("%+v", out.Dead)
	}
}
