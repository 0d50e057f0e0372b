package lake_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
)

// An activation is noted once, and read back as it was.
func TestRecordActivation_Once(t *testing.T) {
	l := open(t, t.TempDir(), objstore.Folder{})
	want := []lake.Activation{
		{ID: "a", Stream: "s", From: 1_700_000_000_000_000, Views: []lake.ActiveView{{View: "bars", Version: 2, Fingerprint: "00ff"}}, Specs: []string{"view: bars\n"}, Who: "w", Reason: "r", At: 5},
		{ID: "b", Stream: "s", From: 1_700_000_001_000_000, Views: []lake.ActiveView{}, Specs: []string{}, Params: map[string]string{"bars.n": "7"}, At: 6},
	}
	if none, err := l.Activations(t.Context()); err != nil || none != nil {
		t.Fatal(none, err)
	}
	for range 2 {
		for i := range want {
			if err := l.RecordActivation(t.Context(), &want[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := l.Activations(t.Context())
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
}
