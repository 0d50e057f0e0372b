package run

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// letter is one line of the file of rejected records.
type letter struct {
	Input     string  `json:"input"`
	Line      int64   `json:"line"`
	Offset    int64   `json:"offset"`
	Reason    string  `json:"reason"`
	Detail    string  `json:"detail,omitempty"`
	Count     int     `json:"count,omitempty"` // events lost, where it is not 1
	Raw       *string `json:"raw,omitempty"`
	RawBase64 string  `json:"raw_base64,omitempty"` // instead of raw, when that is no text
	Cut       bool    `json:"raw_cut,omitempty"`    // raw is the beginning of a longer record
}

// deadLetters writes rejected records; a nil one takes and drops them.
type deadLetters struct {
	f   *rowfile.File
	n   int64
	buf []byte
}

func (d *deadLetters) put(b *input.Bad) error {
	if d == nil {
		return nil
	}
	l := letter{Input: b.Input, Line: b.Line, Offset: b.Offset, Reason: b.Reason, Detail: b.Detail, Cut: len(b.Raw) >= input.MaxRaw}
	if b.Count != 1 {
		l.Count = b.Count
	}
	if utf8.Valid(b.Raw) {
		s := string(b.Raw)
		l.Raw = &s
	} else {
		l.RawBase64 = base64.StdEncoding.EncodeToString(b.Raw)
	}
	line, err := json.Marshal(&l)
	if err != nil {
		return err
	}
	d.buf = append(append(d.buf[:0], line...), '\n')
	d.n++
	_, err = d.f.Write(d.buf)
	return err
}
