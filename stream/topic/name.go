package topic

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// Class is what a topic is for: the first facet of its name.
type Class uint8

// The classes.
const (
	Raw        Class = iota + 1 // raw.<market>.<kind>.<exchange>: payloads as collected
	Processed                   // processed.…: what the sequencer lets through, in order
	Late                        // late.…: events that came too late
	DLQ                         // dlq.…: what could not be used
	Feature                     // feature.<view>.v<n>: rows of a view's version
	Ledger                      // ledger.<job>: checksums of rows
	Control                     // control: activations of views, and what tasks say to them
	Correction                  // correction.<view>.v<n>: rows that publications have put in the place of others
	Alert                       // alert.<view>.v<n>: alerts of a view that began or ended

	numClasses
)

var classNames = [numClasses]string{"", "raw", "processed", "late", "dlq", "feature", "ledger", "control", "correction", "alert"}

func (c Class) String() string {
	if c > 0 && c < numClasses {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// OfEvents reports whether the topics of a class are named by market, kind and exchange.
func (c Class) OfEvents() bool { return c >= Raw && c <= DLQ }

// EventTime reports whether the record time of a class is the time of the event or row;
// else it is the time of writing, given by the broker.
func (c Class) EventTime() bool { return c == Raw || c == Processed || c == Feature || c == Alert }

// Name is the name of a topic by its facets; those of other classes are empty.
type Name struct {
	Class Class

	Market   market.Venue // of classes of events
	Kind     string       // word of the kind, see KindWord
	Exchange string

	View    string // of Feature, Alert and Correction
	Version int

	Job string // of Ledger
}

// Topic is the name as Kafka has it, or why there is none: every facet must be an identifier
// (I9). Names of two topics never differ in . and _ alone, which Kafka refuses.
func (n Name) Topic() (string, error) {
	switch {
	case n.Class.OfEvents():
		if _, ok := market.ParseVenue(n.Market.String()); !ok {
			return "", fmt.Errorf("topic of %s: no market", n.Class)
		}
		if !isIdent(n.Kind) {
			return "", fmt.Errorf("topic of %s: kind %q: want lower-case letters, digits and _, a letter first, at most %d", n.Class, n.Kind, maxIdent)
		}
		if !ValidExchange(n.Exchange) {
			return "", fmt.Errorf("topic of %s: exchange %q: want lower-case letters, digits and -, at most %d", n.Class, n.Exchange, maxIdent)
		}
		return n.Class.String() + "." + n.Market.String() + "." + n.Kind + "." + n.Exchange, nil
	case n.Class == Feature, n.Class == Alert, n.Class == Correction:
		if !isIdent(n.View) || n.Version < 1 {
			return "", fmt.Errorf("topic of view %q, version %d: want lower-case letters, digits and _, a letter first, at most %d, and a version from 1", n.View, n.Version, maxIdent)
		}
		return fmt.Sprintf("%s.%s.v%d", n.Class, n.View, n.Version), nil
	case n.Class == Ledger:
		if !isIdent(strings.ReplaceAll(n.Job, "-", "_")) {
			return "", fmt.Errorf("ledger of job %q: want lower-case letters, digits, - and _, a letter first, at most %d", n.Job, maxIdent)
		}
		return n.Class.String() + "." + n.Job, nil
	case n.Class == Control:
		return n.Class.String(), nil
	}
	return "", fmt.Errorf("topic of %s: no such class", n.Class)
}

// Parse takes the name of a topic apart. An error says that it is none of ours.
func Parse(topic string) (Name, error) {
	var n Name
	parts := strings.Split(topic, ".")
	for c := Raw; c < numClasses; c++ {
		if parts[0] == classNames[c] {
			n.Class = c
		}
	}
	switch {
	case n.Class.OfEvents() && len(parts) == 4:
		n.Market, _ = market.ParseVenue(parts[1])
		n.Kind, n.Exchange = parts[2], parts[3]
	case (n.Class == Feature || n.Class == Alert || n.Class == Correction) && len(parts) == 3:
		n.View = parts[1]
		n.Version, _ = strconv.Atoi(strings.TrimPrefix(parts[2], "v"))
	case n.Class == Ledger && len(parts) == 2:
		n.Job = parts[1]
	}
	if again, err := n.Topic(); err != nil || again != topic {
		return Name{}, fmt.Errorf("%.300q is no name of a topic of ours", topic)
	}
	return n, nil
}

// In is the name of the topic of another class that belongs to the same market, kind and
// exchange.
func (n Name) In(c Class) Name {
	n.Class = c
	return n
}

// maxIdent bounds names of kinds, views, exchanges and jobs, so that a topic keeps within the
// 249 bytes that Kafka takes.
const maxIdent = 63

// isIdent reports whether a word is a name of the spec language.
func isIdent(s string) bool {
	if s == "" || len(s) > maxIdent || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// ValidExchange reports whether an exchange may stand in the name of a topic. A dot would be
// the end of the facet, and with _ two names might differ in . and _ alone.
func ValidExchange(s string) bool {
	if s == "" || len(s) > maxIdent || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// bookWord is the kind facet of order books: deltas and snapshots are links of one chain and
// share a topic.
const bookWord = "orderbook"

// KindWord is the kind facet of a kind. Watermarks and statuses have no topics of their own:
// they are written into those of the kinds that they are about.
func KindWord(kinds *market.Kinds, k market.Kind) (string, error) {
	switch {
	case k == market.KindBook:
		return bookWord, nil
	case k == market.KindNone, k == market.KindWatermark, k == market.KindStatus, kinds.Fields(k) == nil:
		return "", fmt.Errorf("events of kind %s have no topic of their own", kinds.Name(k))
	case kinds.Name(k) == bookWord:
		return "", fmt.Errorf("kind %s: its topic would be that of order books; give it another name", bookWord)
	}
	return kinds.Name(k), nil
}

// ParseKindWord is the kind of a kind facet; false when the table has none.
func ParseKindWord(kinds *market.Kinds, word string) (market.Kind, bool) {
	if word == bookWord {
		return market.KindBook, true
	}
	k, ok := kinds.Parse(word)
	if !ok {
		return market.KindNone, false
	}
	again, err := KindWord(kinds, k)
	return k, err == nil && again == word
}
