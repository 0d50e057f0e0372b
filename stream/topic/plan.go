package topic

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
)

// Action is what becomes of a topic.
type Action string

// The actions.
const (
	Create Action = "create"
	Alter  Action = "alter"
	Keep   Action = "unchanged"
	Refuse Action = "refuse"
	Leave  Action = "left" // it is one of ours that the config does not name
)

// Step is what becomes of one topic.
type Step struct {
	Topic   Topic // as it is wanted; of Leave, as it is
	Action  Action
	Changes []Change // of Alter
	Deletes bool     // of Alter: the topic keeps records for a shorter time
	Why     string   // of Refuse
	Remedy  string   // of Refuse
}

// Change is a setting that changes; From is "" where the cluster does not say.
type Change struct {
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Plan is what becomes of all topics, by name.
type Plan []Step

// NewPlan compares the topics that are wanted with those that are there. It deletes none, and
// does not touch the number of partitions.
func NewPlan(want, have []Topic) Plan {
	is := map[string]*Topic{}
	for i := range have {
		is[have[i].Name] = &have[i]
	}
	var p Plan
	for _, w := range want {
		p = append(p, step(w, is[w.Name]))
		delete(is, w.Name)
	}
	for _, t := range is {
		p = append(p, Step{Topic: *t, Action: Leave})
	}
	slices.SortFunc(p, func(a, b Step) int { return strings.Compare(a.Topic.Name, b.Topic.Name) })
	return p
}

func step(want Topic, is *Topic) Step {
	s := Step{Topic: want, Action: Create}
	if is == nil {
		return s
	}
	if is.Partitions != want.Partitions {
		s.Action = Refuse
		s.Why = fmt.Sprintf("it has %d partitions, not %d", is.Partitions, want.Partitions)
		s.Remedy = fmt.Sprintf("set partitions: %d to use it as it is; growth is by a new generation of topics, because with another number each key would move", is.Partitions)
		return s
	}
	s.Action = Keep
	for _, key := range slices.Sorted(maps.Keys(want.Settings)) {
		if from, to := is.Settings[key], want.Settings[key]; from != to {
			s.Action = Alter
			s.Changes = append(s.Changes, Change{key, from, to})
			s.Deletes = s.Deletes || key == keyRetention && shorter(from, to)
		}
	}
	return s
}

// shorter reports whether a retention in ms is less than another. What cannot be told is.
func shorter(from, to string) bool {
	is, err := strconv.ParseInt(from, 10, 64)
	will, err2 := strconv.ParseInt(to, 10, 64)
	return err != nil || err2 != nil || will >= 0 && (is < 0 || will < is)
}

// Deletes are the topics that will keep records for a shorter time.
func (p Plan) Deletes() (names []string) {
	for i := range p {
		if p[i].Deletes {
			names = append(names, p[i].Topic.Name)
		}
	}
	return names
}

// Count is the number of topics with an action.
func (p Plan) Count(a Action) (n int) {
	for i := range p {
		if p[i].Action == a {
			n++
		}
	}
	return n
}

// Refused is an error of all topics that cannot be as they are wanted, or nil.
func (p Plan) Refused() error {
	var parts []fault.Part
	for _, s := range p {
		if s.Action == Refuse {
			parts = append(parts, fault.Part{Where: s.Topic.Name, Message: s.Why, Remedy: s.Remedy})
		}
	}
	if parts == nil {
		return nil
	}
	return &fault.Error{Code: "topic_refused", Message: "some topics cannot be as they are wanted; nothing was changed", Exit: fault.ExitFailed, Parts: parts}
}
