package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// agree compares a simulator's truth with the accounting and the dead letters of a run:
// agree TRUTH STATS DLQ.
func agree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: agree TRUTH STATS DLQ")
	}
	counts := map[string]int64{}
	var dead, letters []string
	for l := range strings.Lines(ts.ReadFile(args[0])) {
		var t struct {
			File, Verdict string
			Line          int64
		}
		ts.Check(json.Unmarshal([]byte(l), &t))
		if t.Verdict == "" {
			continue // a hole, not a record
		}
		counts[t.Verdict]++
		if t.Verdict == "dlq" {
			dead = append(dead, fmt.Sprintf("%s:%d", t.File, t.Line))
		}
	}
	var st map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &st))
	for _, v := range []string{"applied", "late", "duplicate", "dlq"} {
		if got := string(st[v]); got != fmt.Sprint(counts[v]) {
			ts.Fatalf("%s: %s, in truth %d", v, got, counts[v])
		}
		if counts[v] == 0 {
			ts.Fatalf("nothing is %s in truth: the test proves nothing", v)
		}
	}
	for l := range strings.Lines(ts.ReadFile(args[2])) {
		var d struct {
			Input string
			Line  int64
		}
		ts.Check(json.Unmarshal([]byte(l), &d))
		letters = append(letters, fmt.Sprintf("%s:%d", d.Input[strings.LastIndexByte(d.Input, '/')+1:], d.Line))
	}
	slices.Sort(dead)
	slices.Sort(letters)
	if !slices.Equal(dead, letters) {
		ts.Fatalf("dead letters %v\nin truth     %v", letters, dead)
	}
}
