package topic

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxRecord is how many bytes a record may have, and a batch of records of a producer.
const MaxRecord = 8 << 20

// Forever is the retention of topics that keep everything.
const Forever Retention = -1

// Retention is how long a topic keeps its records, in ms, by record time; 0 says nothing.
type Retention int64

// UnmarshalText reads whole hours or days, such as 48h or 5d, or the word forever.
func (r *Retention) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "forever" {
		*r = Forever
		return nil
	}
	unit := time.Hour
	num, ok := strings.CutSuffix(s, "h")
	if !ok {
		num, ok = strings.CutSuffix(s, "d")
		unit = 24 * time.Hour
	}
	n, err := strconv.ParseUint(num, 10, 16)
	if err != nil || !ok || n == 0 {
		return fmt.Errorf("%q is no retention: want hours or days, such as 48h or 5d, or forever", s)
	}
	*r = Retention((time.Duration(n) * unit).Milliseconds())
	return nil
}

// MarshalText is what UnmarshalText reads.
func (r Retention) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Retention) String() string {
	const hour, day = 3_600_000, 24 * 3_600_000
	switch {
	case r < 0:
		return "forever"
	case r%day == 0:
		return strconv.FormatInt(int64(r/day), 10) + "d"
	case r%hour == 0:
		return strconv.FormatInt(int64(r/hour), 10) + "h"
	}
	return (time.Duration(r) * time.Millisecond).String()
}

// defaultRetention by class. Late events and dead letters are there for people, who come later.
var defaultRetention = [numClasses]Retention{
	Raw: 48 * 3_600_000, Processed: 5 * 24 * 3_600_000, Late: 30 * 24 * 3_600_000, DLQ: 30 * 24 * 3_600_000,
	Feature: 7 * 24 * 3_600_000, Alert: 30 * 24 * 3_600_000, Ledger: 30 * 24 * 3_600_000, Correction: 30 * 24 * 3_600_000,
	Control: Forever, // a few records a change, and what is live follows from all of them; compaction would lose their order
}

// Keeps is how long the topic keeps records, and whether its record time is that of events.
func (t *Topic) Keeps() (keep Retention, eventTime bool) {
	ms, err := strconv.ParseInt(t.Settings[keyRetention], 10, 64)
	if err != nil {
		ms = int64(Forever)
	}
	return Retention(ms), t.Settings[keyTimestampType] == "CreateTime"
}

// The keys of settings that are looked at by name.
const (
	keyRetention     = "retention.ms"
	keyTimestampType = "message.timestamp.type"
)

// settings are what the topics of a class are told; 0 takes the default retention. Records of
// any age may be written where record time is event time: history is played. One more than an
// hour ahead of the broker's clock is refused, as Kafka 4 does by itself: a segment with such a
// record would not be deleted before its time. A segment is closed after an eighth of the
// retention, because Kafka deletes whole segments.
func settings(c Class, keep Retention) map[string]string {
	if keep == 0 {
		keep = defaultRetention[c]
	}
	const hour, week = 3_600_000, 7 * 24 * 3_600_000
	segment := int64(week)
	if keep > 0 {
		segment = min(max(int64(keep)/8, hour), week)
	}
	s := map[string]string{
		"cleanup.policy":    "delete",
		"compression.type":  "producer",
		"max.message.bytes": strconv.Itoa(MaxRecord),
		keyRetention:        strconv.FormatInt(int64(keep), 10),
		"segment.ms":        strconv.FormatInt(segment, 10),
		keyTimestampType:    "LogAppendTime",
	}
	if c.EventTime() {
		s[keyTimestampType] = "CreateTime"
		s["message.timestamp.before.max.ms"] = strconv.Itoa(math.MaxInt64)
		s["message.timestamp.after.max.ms"] = strconv.Itoa(hour)
	}
	return s
}
