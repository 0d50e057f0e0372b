package stream

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPace_WaitsForBrokersThatWait(t *testing.T) {
	for _, c := range []struct {
		name            string
		since, writing  time.Duration // the end of the one before; its records
		records, waited int           // ms, of the next one
	}{
		{"quick", 0, time.Millisecond, 10, 0},
		{"made to wait", time.Millisecond, 21 * time.Millisecond, 10, 3},
		{"it began late: something else took so long", 5 * time.Millisecond, 21 * time.Millisecond, 10, 0},
		{"many records", 0, 30 * time.Millisecond, 20_000, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pace{}
			p.begin(t.Context(), time.Now)
			p.over = time.Now()
			time.Sleep(c.since)
			p.begin(t.Context(), time.Now)
			time.Sleep(c.writing)
			p.wrote(c.records, time.Now())
			p.over = time.Now()
			over := time.Now()
			p.begin(t.Context(), time.Now)
			if got := time.Since(over); got != time.Duration(c.waited)*time.Millisecond {
				t.Errorf("%s: waited %v, want %d ms", c.name, got, c.waited)
			}
			p.over = time.Now()
			time.Sleep(apart)
			before := time.Now()
			if p.begin(t.Context(), time.Now); time.Since(before) != 0 {
				t.Errorf("%s: waited %v though the one before had long ended", c.name, time.Since(before))
			}
			time.Sleep(remembered)
			p.over = time.Now()
			before = time.Now()
			if p.begin(t.Context(), time.Now); time.Since(before) != 0 {
				t.Errorf("%s: waited %v for what a broker did long ago", c.name, time.Since(before))
			}
		})
	}
}

// Few rows of some tasks wait for those of others; none, many, and those of all tasks do not.
func TestAssignment_FewRowsWaitForOthers(t *testing.T) {
	for _, c := range []struct {
		rows []int
		want bool
	}{
		{[]int{0, 0}, false},
		{[]int{5, 0}, true},
		{[]int{0, fewRecords, 0}, true},
		{[]int{0, fewRecords + 1, 0}, false},
		{[]int{fewRecords, 1, 0}, false},
		{[]int{5, 3}, false},
		{[]int{5}, false},
		{nil, false},
	} {
		var a assignment
		for _, n := range c.rows {
			a.tasks = append(a.tasks, &task{out: outbox{n: n}})
		}
		if got := a.others(); got != c.want {
			t.Errorf("tasks with %v rows: %v", c.rows, got)
		}
	}
}
