package sequence

import (
	"errors"
	"fmt"

	"github.com/pinova-group/tidemark/market"
)

// Errors.
var (
	ErrClosed  = errors.New("sequencer is closed")
	ErrBatch   = errors.New("batch is malformed")
	ErrCorrupt = errors.New("sequencer snapshot is corrupt")
	ErrVersion = errors.New("sequencer snapshot is of another version")
	ErrKinds   = errors.New("sequencer snapshot is of other user-defined kinds")
)

// Config is what a sequencer needs besides its input. Two runs give the same output
// when their configs, feeds included, are the same.
type Config struct {
	Feeds *market.Feeds
	Insts *market.Instruments
	Kinds *market.Kinds // nil: those of the release

	// KeyframeEvery is the grid of book keyframes in µs of event time, aligned to the
	// epoch; the start of each hour is always on it. 0: 5 minutes.
	KeyframeEvery int64
	// MaxPending bounds the rows of one kind that are held back. Beyond it the lines
	// that hold them are overtaken: their watermarks are raised until a quarter of the
	// rows can leave, and what comes behind is late (I11). 0: 1,048,576.
	MaxPending int
	// MaxIDs bounds the ids remembered for one feed and kind: when as many have come, those
	// that came before them are forgotten, so that the last MaxIDs are always remembered
	// and never twice as many. One takes 32 to 64 bytes while they do not become fewer.
	// 0: 33,554,432.
	MaxIDs int
	// CrossedFor is how long, in µs of event time, a book may stay crossed before it is
	// declared invalid. 0: one second.
	CrossedFor int64
	// KeepRows and KeepFor bound what a book keeps while it waits for a snapshot, so
	// that one that arrives behind can be re-based: rows, and µs of event time.
	// 0: 1,024 rows and 30 seconds.
	KeepRows int
	KeepFor  int64
}

// DefaultConfig is the configuration of the release for these registries.
func DefaultConfig(feeds *market.Feeds, insts *market.Instruments) Config {
	return Config{Feeds: feeds, Insts: insts}
}

func (c *Config) fill() error {
	if c.Feeds == nil || c.Insts == nil {
		return errors.New("sequencer config: feeds and instruments are needed")
	}
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.KeyframeEvery, market.KeyframeEvery)
	def(&c.CrossedFor, market.Second)
	def(&c.KeepFor, 30*market.Second)
	if c.MaxPending == 0 {
		c.MaxPending = 1 << 20
	}
	if c.MaxIDs == 0 {
		c.MaxIDs = 1 << 25
	}
	if c.KeepRows == 0 {
		c.KeepRows = 1024
	}
	if c.KeyframeEvery < 0 || c.CrossedFor < 0 || c.KeepFor < 0 ||
		c.MaxPending < 0 || c.MaxPending > 1<<30 || c.MaxIDs < 16 || c.MaxIDs > 1<<28 || c.KeepRows < 0 {
		return fmt.Errorf("sequencer config: a bound is out of range: %+v", *c)
	}
	return nil
}
