// Package adapters turns what venues send into events. One file holds one venue; the
// table Venues lists them all, and Mapping in each file's Adapter says which message
// gives which kind and what is dropped on purpose and why.
package adapters

import (
	"errors"
	"fmt"

	"github.com/pinova-group/tidemark/market"
)

// Record is one raw record as it was collected: a socket message, a REST answer, or a
// line of a file.
type Record struct {
	Data   []byte // payload; valid during the call only
	Ingest int64  // receive time, µs; market.NoTime when not recorded
	Offset int64  // place in the input: line number, 1-based, or log offset
	Shard  uint16 // connection or file
	// Hints from a capture's envelope, "" when unknown: some venues send the same topic
	// names on several markets and only the connection tells them apart.
	URL  string
	Conn string
}

// Env is what decoders share in a process.
type Env struct {
	Feeds *market.Feeds
	Insts *market.Instruments
	Kinds *market.Kinds // nil: those of the release
	Feed  string        // name of the feed to book events to, "" for the adapter's own choice
}

// Decoder turns records of one input into events. One caller at a time.
//
// Decode appends the record's events to out. A record that yields none because it is
// dropped on purpose returns ErrFiltered (wrapped with the reason). A record, or a part
// of one, that is bad returns a *BadRecord; the good events of the record are appended
// all the same. No input may make Decode panic or allocate without bound.
//
// State goes through everything that decides what later records decode to: what was met
// before, what is counted, what waits. AppendSnapshot and Restore call it. Left out is what
// only saves work (buffers, what was looked up last) and what Env says.
type Decoder interface {
	Decode(rec *Record, out *market.Chunk) error
	State(s *State)
}

// Flusher is a Decoder that holds events back until it knows that they are whole, such
// as the rows of one book update. Flush appends what is held; call it at the end of the
// input, and never between records of one input. Its error is like that of Decode.
type Flusher interface {
	Flush(out *market.Chunk) error
}

// ErrFiltered marks records that carry nothing for the pipeline: acknowledgements,
// heartbeats, tickers we do not map, prints the venue does not count.
var ErrFiltered = errors.New("filtered")

// Filtered says why a record was dropped on purpose.
func Filtered(why string) error { return &filtered{why} }

type filtered struct{ why string }

func (f *filtered) Error() string        { return "filtered: " + f.why }
func (f *filtered) Is(target error) bool { return target == ErrFiltered }

// IsLayout reports whether an error of a decoder is about what belongs to a file and not to
// its data, such as a header: nobody misses it, so it is in no account.
func IsLayout(err error) bool {
	f, ok := errors.AsType[*filtered](err)
	return ok && (f.why == "header" || f.why == "empty line" || f.why == "comment")
}

// BadRecord is what becomes of data that cannot be decoded or breaks a rule: it goes to
// the dead letters. Several bad parts of one record are counted one by one.
type BadRecord struct {
	Reason string // stable words, e.g. "price is not positive"
	Detail string // the offending text, shortened
	Count  int    // bad events in the record, at least 1
}

func (e *BadRecord) Error() string {
	if e.Detail == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %q", e.Reason, e.Detail)
}

// Bad makes a BadRecord of one event; long details are cut.
func Bad(reason string, detail []byte) *BadRecord {
	if len(detail) > 80 {
		detail = detail[:80]
	}
	return &BadRecord{Reason: reason, Detail: string(detail), Count: 1}
}

// Framing says how an input file is cut into records.
type Framing uint8

// The framings.
const (
	Lines Framing = iota // one record a line
	Whole                // the whole file is one record (a REST answer)
)

// Adapter describes the decoder of one venue format.
type Adapter struct {
	Name    string // value of --input-format: binance, kraken, binance-csv, tardis-csv …
	Doc     string
	Framing Framing
	// Payloads says that records are what the venue sent, and that those of one kind and symbol
	// decode without all others. So do neither rows of a table, which need its header, nor messages
	// that are numbered across the symbols of their connection.
	Payloads bool
	// Detect looks at the first bytes of an input (up to 64 KiB, decompressed) and says
	// how sure it is that it can read them: 0 not at all, 100 certain.
	Detect func(head []byte) int
	New    func(Env) Decoder
	// Mapping is the table of messages, printed in docs/formats.md.
	Mapping []Mapping
}

// Mapping is one line of the table of messages.
type Mapping struct {
	Message string      // e.g. "trade", "aggTrade", "X != MARKET"
	Kind    market.Kind // KindNone: dropped on purpose
	Note    string      // field choices, or why it is dropped
}
