package record

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
)

// Headers of the records of a correction topic. The first and the last record of a frame have no value.
const (
	HeaderFrame       = "frame"       // begin or end
	HeaderPublication = "publication" // begin, end, row: id
	HeaderFrom        = "from"        // begin, end: rows with row_ts from here, µs, decimal
	HeaderTo          = "to"          // begin, end: … to here, exclusive
	HeaderEntities    = "entities"    // begin, end: JSON list of entities; not there: all
	HeaderRows        = "rows"        // begin, end: rows in the frame, decimal
	HeaderRevision    = "revision"    // begin, end: of the rows, decimal
	HeaderAt          = "at"          // begin, end: when it was published, µs, decimal
	HeaderUndoes      = "undoes"      // begin, end: publication that it undoes, where it does
	HeaderReread      = "reread"      // begin, end: the frame has no rows, they are to be read from the table
)

// The edges of a frame.
const (
	FrameBegin = "begin"
	FrameEnd   = "end"
)

// Frame says what a publication did to the rows of a view: all with row_ts in [From, To), of the
// entities, have given way to those in the frame.
type Frame struct {
	Publication string `json:"publication"`
	From        int64  `json:"from"`
	To          int64  `json:"to"`
	Entities    string `json:"entities,omitempty"` // JSON; "" is all
	Rows        int64  `json:"rows"`
	Revision    int32  `json:"revision"`
	At          int64  `json:"at"`
	Undoes      string `json:"undoes,omitempty"`
	Reread      bool   `json:"reread,omitempty"` // there are no rows in the frame, the table has them
}

// AddFrame adds the headers of an edge of a frame.
func AddFrame(r *kgo.Record, edge string, f *Frame) {
	AddHeader(r, HeaderFrame, []byte(edge))
	AddHeader(r, HeaderPublication, []byte(f.Publication))
	addInt(r, HeaderFrom, f.From)
	addInt(r, HeaderTo, f.To)
	if f.Entities != "" {
		AddHeader(r, HeaderEntities, []byte(f.Entities))
	}
	addInt(r, HeaderRows, f.Rows)
	addInt(r, HeaderRevision, int64(f.Revision))
	addInt(r, HeaderAt, f.At)
	if f.Undoes != "" {
		AddHeader(r, HeaderUndoes, []byte(f.Undoes))
	}
	if f.Reread {
		AddHeader(r, HeaderReread, []byte("1"))
	}
}

// ReadFrame reads what AddFrame wrote; edge is "" when the record is a row.
func ReadFrame(r *kgo.Record) (edge string, f Frame, err error) {
	edge = string(Header(r, HeaderFrame))
	f.Publication = string(Header(r, HeaderPublication))
	switch edge {
	case "":
		return "", f, nil
	case FrameBegin, FrameEnd:
	default:
		return "", f, fmt.Errorf("header %s: %.64q is neither %s nor %s", HeaderFrame, edge, FrameBegin, FrameEnd)
	}
	f.Entities, f.Undoes, f.Reread = string(Header(r, HeaderEntities)), string(Header(r, HeaderUndoes)), Header(r, HeaderReread) != nil
	var revision int64
	for key, to := range map[string]*int64{HeaderFrom: &f.From, HeaderTo: &f.To, HeaderRows: &f.Rows, HeaderRevision: &revision, HeaderAt: &f.At} {
		if *to, err = headerInt(r, key); err != nil {
			return "", f, err
		}
	}
	f.Revision = int32(revision)
	return edge, f, nil
}

// RowKey is the key of rows of an entity, and the base asset by which they are spread over partitions:
// its symbol, else its base asset, else all of its names.
func RowKey(columns, names []string) (key, base string) {
	switch i, j := slices.Index(columns, "symbol"), slices.Index(columns, "base"); {
	case i >= 0:
		base, _ = market.SplitSymbol(names[i])
		return names[i], base
	case j >= 0:
		return names[j], names[j]
	}
	key = strings.Join(names, "|")
	return key, key
}
