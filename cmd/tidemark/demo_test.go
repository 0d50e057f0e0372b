package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/fault"
)

// The tour checks itself: what it says it has proven, it has. Its folder can be worked on.
func TestDemo_ProvesWhatItSays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	out := cli(t, fault.ExitDone, "demo", "--keep", dir, "--minutes", "70", "--rate", "20", "--symbols", "3", "--seed", "5", "--json")
	var summary struct {
		Facts []demoFact
		Next  []string
	}
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatal(err, out)
	}
	var whats []string
	for _, f := range summary.Facts {
		whats = append(whats, f.What)
	}
	if got := strings.Join(whats, " "); got != "market streamed verified repaired followed explained" {
		t.Errorf("%s: %s", got, out)
	}
	for _, want := range []string{"rows of 8 views in whole hours", "equal for all 1 hours", "none missing and none twice", "worked out by other means: equal"} {
		if !strings.Contains(out, want) {
			t.Errorf("not said: %q\n%s", want, out)
		}
	}
	for _, next := range summary.Next {
		args := strings.Fields(next)[1:]
		for i := range args {
			if args[i] == "vwap.parquet" {
				args[i] = filepath.Join(dir, args[i])
			}
		}
		cli(t, fault.ExitDone, args...)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "demo.log")); err != nil || !strings.Contains(string(log), "$ tidemark verify") {
		t.Errorf("%v: %s", err, log)
	}
	refused(t, "folder_used", "demo", "--keep", dir, "--json")
	refused(t, "flag_invalid", "demo", "--minutes", "10", "--json")
	refused(t, "flag_missing", "demo", "--warehouse", "s3://b/p", "--json")
}
