package run

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinova-group/tidemark/internal/term"
)

func TestDemo_VerdictsAreTheTruth(t *testing.T) {
	defer goleak.VerifyNone(t)
	cfg := DefaultDemo()
	cfg.Minutes, cfg.Rate = 10, 100
	var out bytes.Buffer
	if err := Demo(context.Background(), cfg, &out, term.Style{}, func() float64 { return 1 }); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for l := range strings.SplitSeq(text, "\n") {
		f := strings.Fields(l)
		if len(f) > 2 && (f[0] == "applied" || f[0] == "late" || f[0] == "duplicate" || f[0] == "dlq") && f[1] != f[2] {
			t.Errorf("verdicts differ from the truth: %s", l)
		}
	}
	if !strings.Contains(text, "█") || !strings.Contains(text, "volume") {
		t.Errorf("no picture:\n%s", text)
	}
}
