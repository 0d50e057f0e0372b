package topic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
)

// Config says which topics are wanted.
type Config struct {
	// Of every topic, but `control` and `correction`, which have one. They cannot be changed once topics are there.
	Partitions int `yaml:"partitions" unit:"partitions"`
	// Copies of each record.
	Replication int        `yaml:"replication" unit:"brokers" default:"of the cluster"`
	Sources     []Source   `yaml:"sources"`
	Views       []string   `yaml:"views"` // Views that are computed: shipped ones by name, others by file.
	Retention   Retentions `yaml:"retention"`
}

// Source is an exchange's market whose events come in.
type Source struct {
	Market   string   `yaml:"market" must:"yes"`   // `spot`, `perp`, `future`, `option` or `index`.
	Exchange string   `yaml:"exchange" must:"yes"` // Such as `binance`: lower-case letters, digits and `-`.
	Kinds    []string `yaml:"kinds" must:"yes"`    // Such as `trade` or `orderbook`, or a kind of your own.
}

// Retentions are how long the topics of each class keep records; 0 for the default.
type Retentions struct {
	Raw       Retention `yaml:"raw" unit:"h, d"`       // Of payloads as collected, by event time.
	Processed Retention `yaml:"processed" unit:"h, d"` // Of events in order, by event time. New views are made warm from them.
	Late      Retention `yaml:"late" unit:"h, d"`      // Of late events, by the time of writing.
	DLQ       Retention `yaml:"dlq" unit:"h, d"`       // Of dead letters, by the time of writing.
	Feature   Retention `yaml:"feature" unit:"h, d"`   // Of rows, by the end of the row.
	Alert     Retention `yaml:"alert" unit:"h, d"`     // Of alerts, by the end of the row that made the change.
	Ledger    Retention `yaml:"ledger" unit:"h, d"`    // Of the parity ledgers, by the time of writing.

	Correction Retention `yaml:"correction" unit:"h, d"` // Of corrections, by the time of writing.
}

func (r *Retentions) of(c Class) Retention {
	return [numClasses]Retention{Raw: r.Raw, Processed: r.Processed, Late: r.Late, DLQ: r.DLQ, Feature: r.Feature, Alert: r.Alert, Ledger: r.Ledger, Correction: r.Correction}[c]
}

// The bounds of a config.
const (
	DefaultPartitions = 16
	maxPartitions     = 4096
)

// Count is the number of partitions.
func (c *Config) Count() int {
	if c.Partitions == 0 {
		return DefaultPartitions
	}
	return c.Partitions
}

// View is a version of a view.
type View struct {
	Name    string
	Version int
	Alerts  bool // it has some
}

// Topic is a topic with its settings.
type Topic struct {
	Name        string
	Partitions  int
	Replication int // 0: what the cluster has as default
	Settings    map[string]string
}

// Check lists all mistakes of the config, each with its key and what to write instead. kinds
// are those that may be named, nil for the release's.
func (c *Config) Check(kinds *market.Kinds) []fault.Part {
	var ps []fault.Part
	wrong := func(where, message, remedy string) {
		ps = append(ps, fault.Part{Where: where, Message: message, Remedy: remedy})
	}
	if c.Partitions < 0 || c.Partitions > maxPartitions {
		wrong("partitions", strconv.Itoa(c.Partitions)+" partitions", fmt.Sprintf("from 1 to %d; %d if you say nothing", maxPartitions, DefaultPartitions))
	}
	if c.Replication < 0 || c.Replication > 100 {
		wrong("replication", strconv.Itoa(c.Replication)+" copies", "as many as there are brokers at most; 3 is usual")
	}
	seen := map[string]string{}
	for i, s := range c.Sources {
		at := "sources[" + strconv.Itoa(i) + "]"
		if _, ok := market.ParseVenue(s.Market); !ok {
			wrong(at+".market", fmt.Sprintf("%q is not a market", s.Market), fault.DidYouMean(s.Market, markets()))
		}
		if !ValidExchange(s.Exchange) {
			wrong(at+".exchange", fmt.Sprintf("%q cannot be the name of an exchange", s.Exchange), "lower-case letters, digits and -, such as binance-us")
		}
		if len(s.Kinds) == 0 {
			wrong(at+".kinds", "no kinds", "list some of "+strings.Join(kindWords(kinds), ", "))
		}
		for j, w := range s.Kinds {
			at := at + ".kinds[" + strconv.Itoa(j) + "]"
			k, ok := parseKind(kinds, w)
			if !ok {
				wrong(at, fmt.Sprintf("%q is not a kind that has topics", w), fault.DidYouMean(w, kindWords(kinds)))
				continue
			}
			id := fmt.Sprint(s.Market, " ", s.Exchange, " ", k)
			if first, twice := seen[id]; twice {
				wrong(at, fmt.Sprintf("%s of %s %s is listed twice", w, s.Exchange, s.Market), "remove this one; the other is "+first)
			}
			seen[id] = at
		}
	}
	return ps
}

// parseKind reads a kind of a config: as specs or as topics call it.
func parseKind(kinds *market.Kinds, word string) (market.Kind, bool) {
	if word == market.KindBook.String() {
		return market.KindBook, true
	}
	return ParseKindWord(kinds, word)
}

func markets() (names []string) {
	for v := market.Spot; v <= market.Index; v++ {
		names = append(names, v.String())
	}
	return names
}

func kindWords(kinds *market.Kinds) (words []string) {
	for k := range market.Kind(market.NumKinds) {
		if w, err := KindWord(kinds, k); err == nil {
			words = append(words, w)
		}
	}
	return words
}

// Wanted are the topics of a checked config by name: four for each kind of a source, one for
// each view's rows, one for its corrections and one for its alerts, one for each job's ledger, and one to change the views while jobs run.
func (c *Config) Wanted(kinds *market.Kinds, views []View, jobs []string) ([]Topic, error) {
	var names []Name
	for _, s := range c.Sources {
		m, _ := market.ParseVenue(s.Market)
		for _, w := range s.Kinds {
			k, _ := parseKind(kinds, w)
			word, err := KindWord(kinds, k)
			if err != nil {
				return nil, err
			}
			for class := Raw; class <= DLQ; class++ {
				names = append(names, Name{Class: class, Market: m, Kind: word, Exchange: s.Exchange})
			}
		}
	}
	for _, v := range views {
		names = append(names, Name{Class: Feature, View: v.Name, Version: v.Version}, Name{Class: Correction, View: v.Name, Version: v.Version})
		if v.Alerts {
			names = append(names, Name{Class: Alert, View: v.Name, Version: v.Version})
		}
	}
	for _, j := range jobs {
		names = append(names, Name{Class: Ledger, Job: j})
	}
	if len(views) > 0 {
		names = append(names, Name{Class: Control})
	}
	var list []Topic
	for _, n := range names {
		name, err := n.Topic()
		if err != nil {
			return nil, err
		}
		list = append(list, c.topic(n.Class, name))
	}
	slices.SortFunc(list, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b Topic) bool { return a.Name == b.Name }), nil
}

// Topic is the topic of a name of ours with the settings of a checked config.
func (c *Config) Topic(name string) (Topic, error) {
	n, err := Parse(name)
	if err != nil {
		return Topic{}, err
	}
	return c.topic(n.Class, name), nil
}

func (c *Config) topic(class Class, name string) Topic {
	if class == Control || class == Correction { // one order for all
		return Topic{Name: name, Partitions: 1, Replication: c.Replication, Settings: settings(class, c.Retention.of(class))}
	}
	return Topic{Name: name, Partitions: c.Count(), Replication: c.Replication, Settings: settings(class, c.Retention.of(class))}
}
