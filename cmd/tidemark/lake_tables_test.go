package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/pinova-group/tidemark/internal/fault"
)

// The list of tables has no times or hours, for which files are looked at, rather than zeros; a table that is shown has them.
func TestLake_TablesAndShow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	events, lk := filepath.Join(dir, "t.csv"), filepath.Join(dir, "lake")
	cli(t, fault.ExitDone, "simulate", "--kinds", "trade", "--events", "2000", "--out", events)
	cli(t, fault.ExitDone, "lake", "import", "--lake", lk, "--input", events, "--progress", "none")
	var list []map[string]any
	if err := json.Unmarshal([]byte(cli(t, fault.ExitDone, "lake", "tables", "--lake", lk, "--json")), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, key := range []string{"first_ts", "last_ts", "hours"} {
		if x, ok := list[0][key]; ok {
			t.Errorf("%s: %v", key, x)
		}
	}
	if list[0]["table"] != "processed.trade" || list[0]["rows"] != 2000.0 {
		t.Errorf("%v", list[0])
	}
	var one struct {
		First int64 `json:"first_ts"`
		Last  int64 `json:"last_ts"`
		Hours []struct{ Rows int64 }
	}
	if err := json.Unmarshal([]byte(cli(t, fault.ExitDone, "lake", "show", "processed.trade", "--lake", lk, "--json")), &one); err != nil {
		t.Fatal(err)
	}
	rows := int64(0)
	for _, h := range one.Hours {
		rows += h.Rows
	}
	if one.First <= 0 || one.Last <= one.First || rows != 2000 {
		t.Errorf("%+v", one)
	}
}
