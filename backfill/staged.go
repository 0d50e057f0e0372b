package backfill

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/lake"
)

// staged is what is noted in a feature table of a backfill under way, together with the branch
// that has its rows. It comes with the commits of the branch, so it always fits them.
type staged struct {
	At      int64        `json:"at"` // when it began, µs: the time of the publication
	Step    int64        `json:"step_us"`
	Tasks   []stagedTask `json:"tasks"`
	Publish string       `json:"publish,omitempty"` // the publication that has been begun: all tasks are finished
}

// stagedTask is a finished task: what its rows depend on, and where they are.
type stagedTask struct {
	From    int64         `json:"from"`
	To      int64         `json:"to"`
	Key     string        `json:"key"`
	Commit  lake.CommitID `json:"commit"` // its files are named by it
	Rows    int64         `json:"rows"`
	Warmup  int64         `json:"warmup,omitempty"` // rows flagged so
	Partial int64         `json:"partial,omitempty"`
}

func branchOf(stage string) string { return "backfill-" + stage }

func propertyOf(stage string) string { return "tidemark.backfill-" + stage }

func readStaged(t *lake.Table, stage string) (*staged, error) {
	text := t.Property(propertyOf(stage))
	if text == "" {
		return nil, nil
	}
	s := &staged{}
	if err := json.Unmarshal([]byte(text), s); err != nil {
		return nil, fmt.Errorf("table %s: property %s: %w", t.Name(), propertyOf(stage), err)
	}
	return s, nil
}

func (s *staged) text() (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// finished finds a task by its key.
func (s *staged) finished(key string) *stagedTask {
	if s == nil {
		return nil
	}
	if i := slices.IndexFunc(s.Tasks, func(t stagedTask) bool { return t.Key == key }); i >= 0 {
		return &s.Tasks[i]
	}
	return nil
}

// has reports whether finished tasks have rows that may lie in a range.
func (s *staged) has(r Range) bool {
	return s != nil && slices.ContainsFunc(s.Tasks, func(t stagedTask) bool { return t.Rows > 0 && t.From < r.To && r.From < t.To })
}

// put enters a task in place of those of its range.
func (s *staged) put(t stagedTask) (gone []lake.CommitID) {
	s.Tasks = slices.DeleteFunc(s.Tasks, func(o stagedTask) bool {
		over := o.From < t.To && t.From < o.To
		if over {
			gone = append(gone, o.Commit)
		}
		return over
	})
	s.Tasks = append(s.Tasks, t)
	slices.SortFunc(s.Tasks, func(a, b stagedTask) int { return int(min(1, max(-1, a.From-b.From))) })
	return gone
}

// stagedFiles are the files of the branch that hold rows of finished tasks.
func stagedFiles(ctx context.Context, t *lake.Table, stage string, s *staged) (map[lake.CommitID][]lake.DataFile, error) {
	head, ok := t.Head(branchOf(stage))
	if !ok || head == 0 {
		return nil, nil
	}
	files, err := t.Files(ctx, head)
	if err != nil {
		return nil, err
	}
	out := map[lake.CommitID][]lake.DataFile{}
	for _, f := range files {
		name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
		for _, k := range s.Tasks {
			if strings.HasPrefix(name, string(k.Commit)+"-") {
				out[k.Commit] = append(out[k.Commit], f)
			}
		}
	}
	return out, nil
}
