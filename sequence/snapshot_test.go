package sequence

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// filled is a sequencer with something in every part of its state.
func filled(t tb, w *world) *Sequencer {
	s := w.new(t, func(c *Config) { c.KeyframeEvery = market.Second })
	s.OpenLine(w.id["a"], 3, market.KindFunding)
	tape := snap(1, 0, market.OriginVenue)
	tape.feed, tape.inst = "tape", 3
	evs := []ev{
		trade(0, 1), trade(1000, 3), trade(1000, 3), trade(200, 2),
		{kind: market.KindTrade, feed: "a", ts: 5},
		{kind: market.KindQuote, feed: "a", inst: 1, ts: t0 + 990*ms, noSeq: true},
		{kind: market.KindStatus, feed: "b", ts: t0, state: market.StatusDown, id: "s"},
		{kind: market.KindWatermark, feed: "b", ts: t0},
		snap(0, 12, market.OriginREST), spotDelta(1, 5, 10), spotDelta(2, 11, 13), spotDelta(3, 20, 21),
		tape, tick(900), tick(1100), snap(1200, 40, market.OriginREST), futDelta(1250, 5, 6, 7),
	}
	for i := range evs {
		must(t, s.Push(w.chunk(evs[i])))
		if i%5 == 4 {
			s.Advance(new(Out))
		}
	}
	return s
}

func TestRestore_DetectsEveryDamage(t *testing.T) {
	w := newWorld()
	snap := filled(t, w).AppendSnapshot(nil)
	cfg := DefaultConfig(w.feeds, w.insts)
	if _, err := Restore(cfg, snap); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		bad := append([]byte(nil), snap...)
		i := rapid.IntRange(0, len(bad)-1).Draw(t, "at")
		bad[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		if _, err := Restore(cfg, bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := Restore(cfg, snap[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	})
}

func TestRestore_RefusesOtherVersions(t *testing.T) {
	w := newWorld()
	snap := filled(t, w).AppendSnapshot(nil)
	snap[len(snapshotMagic)]--
	binary.BigEndian.PutUint64(snap[len(snap)-8:], xxh3.Hash(snap[:len(snap)-8]))
	if _, err := Restore(DefaultConfig(w.feeds, w.insts), snap); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

// Handles and feed numbers differ from process to process; names do not.
func TestRestore_FindsNamesInOtherRegistries(t *testing.T) {
	w := newWorld()
	a := filled(t, w)
	snap := a.AppendSnapshot(nil)
	o := &world{feeds: market.NewFeeds(), insts: market.NewInstruments(), id: map[string]market.FeedID{}}
	o.insts.Intern("other", market.Perp, "Z-USD")
	o.feeds.Intern("zzz")
	for n := range w.id {
		f := *w.feeds.Get(w.id[n])
		f.ID = 0
		o.id[n] = o.feeds.Set(f)
	}
	cfg := DefaultConfig(o.feeds, o.insts)
	cfg.KeyframeEvery = market.Second
	b, err := Restore(cfg, snap)
	must(t, err)
	if string(b.AppendSnapshot(nil)) != string(snap) {
		t.Error("snapshot differs in a process with other handles")
	}
	x, y := new(Out), new(Out)
	a.Close(x)
	b.Close(y)
	for k := range x.Rows.Batches {
		p, q := w.show(x.Rows.Batches[k]), o.show(y.Rows.Batches[k])
		if p != q {
			t.Errorf("%v:\n%s\n%s", market.Kind(k), p, q)
		}
	}
}

func TestCountExternal_KeepsTheBalance(t *testing.T) {
	w := newWorld()
	s := w.new(t, nil)
	s.CountExternal(w.id["b"], 3, 4)
	s.CountExternal(w.id["a"], 0, 0)
	balanced(t, s)
	if got := s.CountsByFeed(); len(got) != 1 || got[0] != (FeedCounts{"b", Counts{In: 7, DLQ: 3, Filtered: 4}}) {
		t.Errorf("%+v", got)
	}
}

// FuzzRestore mends the checksum, so that the decoder itself is reached, and drives
// what it accepts.
func FuzzRestore(f *testing.F) {
	w := newWorld()
	f.Add(filled(f, w).AppendSnapshot(nil))
	f.Add(w.new(f, nil).AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld()
		if len(b) >= 8 {
			b = append([]byte(nil), b...)
			binary.BigEndian.PutUint64(b[len(b)-8:], xxh3.Hash(b[:len(b)-8]))
		}
		s, err := Restore(DefaultConfig(w.feeds, w.insts), b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrKinds) {
				t.Fatal(err)
			}
			return
		}
		out := new(Out)
		for _, e := range []ev{trade(0, 1), spotDelta(10, 5, 10), snap(20, 12, market.OriginREST), trade(2000, 3), tick(3000),
			{kind: market.KindStatus, feed: "a", ts: t0, state: market.StatusDown}} {
			if err := s.Push(w.chunk(e)); err != nil && !errors.Is(err, ErrClosed) {
				t.Fatal(err)
			}
			s.Advance(out)
		}
		s.AppendSnapshot(nil)
		s.Close(out)
	})
}
