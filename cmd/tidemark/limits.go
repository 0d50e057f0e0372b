package main

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
)

// limitsConfig bounds what streaming jobs and sinks hold in memory, and for how long; what is not given is the default.
type limitsConfig struct {
	// Read by a job in one transaction, at most, over all its partitions.
	CycleRecords int `yaml:"cycle_records" unit:"records"`
	// Waiting in a task for other partitions; above it those that are ahead are not read.
	WaitingRows int `yaml:"waiting_rows" unit:"rows"`
	// Asked of a broker at a time by a job, as stored (compressed). When twice that waits to be worked on, only a batch is asked for, of partitions of which nothing waits; what brokers were asked for before that comes on top.
	FetchBytes byteSize `yaml:"fetch_bytes" unit:"bytes"`
	// Rows of a sink that no commit has yet. The largest table commits early from half of it on; above it nothing is read.
	SinkMemory byteSize `yaml:"sink_memory" unit:"bytes"`
	// How often a task writes its state; a restart reads again what came since.
	SnapshotEvery duration `yaml:"snapshot_every" unit:"time"`
	// How long nobody writes to a raw partition before others go on without it; 0s: they wait.
	IdleAfter *duration `yaml:"idle_after" unit:"time"`
	// How often a sink gives a table a commit; a restart reads again what came since.
	CommitEvery duration `yaml:"commit_every" unit:"time"`
	// Rows of a table that a sink commits before it is time.
	CommitRows int `yaml:"commit_rows" unit:"rows"`
}

// The least that is of use.
const (
	minFetchBytes = 64 << 10
	minSinkMemory = 1 << 20
	maxFetchBytes = 1 << 30
)

// check lists all mistakes.
func (c *limitsConfig) check() (ps []fault.Part) {
	wrong := func(key, message, remedy string) {
		ps = append(ps, fault.Part{Where: key, Message: message, Remedy: remedy})
	}
	if c.CycleRecords < 0 {
		wrong("cycle_records", fmt.Sprint(c.CycleRecords, " records"), "at least 1")
	}
	if c.WaitingRows < 0 {
		wrong("waiting_rows", fmt.Sprint(c.WaitingRows, " rows"), "at least 1")
	}
	if c.FetchBytes != 0 && (c.FetchBytes < minFetchBytes || c.FetchBytes > maxFetchBytes) {
		wrong("fetch_bytes", c.FetchBytes.String(), "from 64KiB to 1GiB")
	}
	if c.SinkMemory != 0 && c.SinkMemory < minSinkMemory {
		wrong("sink_memory", c.SinkMemory.String(), "at least 1MiB")
	}
	if c.CommitRows < 0 {
		wrong("commit_rows", fmt.Sprint(c.CommitRows, " rows"), "at least 1")
	}
	return ps
}

// duration is a time that something takes, such as 500ms, 10s or 5m.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	n, err := time.ParseDuration(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no length of time: want one such as 500ms, 10s or 5m", text)
	}
	*d = duration(n)
	return nil
}

// byteSize is a number of bytes, such as 65536, 64KiB or 2MB.
type byteSize int64

func (b *byteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<50 {
		return fmt.Errorf("%q is no number of bytes: want one such as 65536, 64KiB or 2MB", text)
	}
	*b = byteSize(n)
	return nil
}

func (b byteSize) String() string { return term.Bytes(int64(b)) }
