package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/run/causal"
)

// A leak is printed with the row and the event, and is exit code 4.
func TestCausal_LeakIsADifference(t *testing.T) {
	t.Parallel()
	res := &causal.Result{Views: []string{"v"}, Leak: &causal.Leak{View: "v", Entity: "x BTC-USDT", RowTS: 1704067200000000, AvailableAt: 1704067201000000,
		Column: "close", Whole: "1", Changed: "", Cut: 1704067202000000, How: "dropped", Event: "trade of x"}}
	if code := fault.From(leakFault(res)).Exit; code != fault.ExitDifference {
		t.Errorf("exit code %d", code)
	}
	if err := leakFault(&causal.Result{}); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"v looks ahead\n", "x BTC-USDT, window_start", "2024-01-01T00:00:02Z; the events after it dropped", "close: 1 → null", "by            trade of x"} {
		if got := res.Print(term.Style{}); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	res.Leak.Column = ""
	if got := res.Print(term.Style{}); !strings.Contains(got, "the row is gone") {
		t.Error(got)
	}
}

// Flags of the trial without it are refused.
func TestCausal_FlagsNeedIt(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--input=x.csv", "--cuts=3", "--seed=2", "--symbols=BTC-USDT", "--from=2024-01-01"} {
		a := &app{color: "auto", in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}, now: time.Now}
		root := newRoot(a)
		root.SetArgs([]string{"spec", "check", "trade_bars_1m", flag})
		if err := root.ExecuteContext(context.Background()); err == nil || fault.From(err).Remedy != "add --causal" {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
