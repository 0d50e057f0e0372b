package features_test

import (
	"errors"
	"testing"

	"github.com/pinova-group/tidemark/features"
)

var fuzzSpecs = []string{alertSpecs[0], engineSpecs["rolling"][0], engineSpecs["flat"][0], engineSpecs["rows"][0], engineSpecs["rows"][1], acrossSpecs[0], listedSpecs[2]}

// Any byte that changes is found by the checksum.
func TestRestore_RefusesDamage(t *testing.T) {
	r := newRig(t, fuzzSpecs...)
	snap := r.snapshot(r.events(3, 60), r.events(3, 60)[50].ts, 5, 5)
	for i := range snap {
		snap[i] ^= 0x40
		if _, err := r.plan.Restore(r.insts, snap); !errors.Is(err, features.ErrCorrupt) && !errors.Is(err, features.ErrSnapshotMismatch) {
			t.Fatalf("byte %d: %v", i, err)
		}
		snap[i] ^= 0x40
	}
	for n := range snap {
		if _, err := r.plan.Restore(r.insts, snap[:n]); err == nil {
			t.Fatalf("cut at %d: no error", n)
		}
	}
	other := newRig(t, fuzzSpecs[:4]...)
	if _, err := other.plan.Restore(r.insts, snap); !errors.Is(err, features.ErrSnapshotMismatch) {
		t.Fatalf("other views: %v", err)
	}
}

// A body that no checksum protects is refused or read, never a panic; what was read can
// be written.
func FuzzSnapshot(f *testing.F) {
	r := newRig(f, fuzzSpecs...)
	for seed := range uint64(4) {
		events := r.events(seed, 6) // small: the fuzzer takes its time to shrink what it finds
		f.Add(features.SnapshotBody(r.snapshot(events, events[4].ts, 5, 5)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		task, err := r.plan.Decode(body)
		if err == nil {
			task.AppendSnapshot(nil)
		}
	})
}
