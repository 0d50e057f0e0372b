package file

import (
	"encoding/json"
	"fmt"
)

// Run is the rows of one file that share the strings of the sort order, for events one
// symbol: rows First .. First+Rows-1, sorted by the other keys.
type Run struct {
	Key   []string
	First int64
	Rows  int64
}

// runsKey is where the footer's metadata has the runs.
const runsKey = "tidemark.runs"

// footerRuns is the text of that entry. Version 1.
type footerRuns struct {
	Version int        `json:"version"`
	Sort    []string   `json:"sort"` // names of the key columns, all of them
	Keys    [][]string `json:"keys"` // of each run, its strings
	First   []int64    `json:"first"`
}

func encodeRuns(sort []string, runs []Run) (string, error) {
	f := footerRuns{Version: 1, Sort: sort, Keys: make([][]string, len(runs)), First: make([]int64, len(runs))}
	for i, r := range runs {
		f.Keys[i], f.First[i] = r.Key, r.First
	}
	b, err := json.Marshal(f)
	return string(b), err
}

// decodeRuns reads the entry of a file of rows rows. An entry of a later version is as
// good as none: nil.
func decodeRuns(text string, rows int64) (sort []string, runs []Run, err error) {
	var f footerRuns
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return nil, nil, fmt.Errorf("footer %s: %w", runsKey, err)
	}
	if f.Version != 1 {
		return nil, nil, nil
	}
	if len(f.Keys) != len(f.First) || len(f.First) == 0 || f.First[0] != 0 {
		return nil, nil, fmt.Errorf("footer %s: %d keys and %d first rows", runsKey, len(f.Keys), len(f.First))
	}
	runs = make([]Run, len(f.Keys))
	for i := range runs {
		end := rows
		if i+1 < len(runs) {
			end = f.First[i+1]
		}
		if end <= f.First[i] || end > rows || len(f.Keys[i]) > len(f.Sort) || len(f.Keys[i]) != len(f.Keys[0]) {
			return nil, nil, fmt.Errorf("footer %s: run %d is rows %d to %d of %d", runsKey, i, f.First[i], end, rows)
		}
		runs[i] = Run{Key: f.Keys[i], First: f.First[i], Rows: end - f.First[i]}
	}
	return f.Sort, runs, nil
}
