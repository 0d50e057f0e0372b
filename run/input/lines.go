package input

import (
	"bufio"
	"errors"
	"io"
)

// Limits of what is held of one input. A longer record is skipped and counted as bad.
const (
	MaxLine  = 16 << 20 // bytes of a line
	MaxWhole = 64 << 20 // bytes of a file that is one record
	headSize = 64 << 10 // bytes that a format is detected from
	keepLong = 4 << 10  // bytes kept of a record that was too long
	MaxRaw   = 64 << 10 // bytes kept of a rejected record
)

var errTooLong = errors.New("line is too long")

// lines cuts a stream into lines and knows where each began.
type lines struct {
	r      *bufio.Reader
	long   []byte // a line that did not fit the reader's buffer
	line   int64  // number of the line returned last, from 1
	offset int64  // its place in the decompressed stream
	next   int64
}

func newLines(r *bufio.Reader) *lines { return &lines{r: r} }

// read returns the next line without its end, valid until the next call. At the end it
// returns io.EOF; a line over MaxLine gives its beginning and errTooLong; any other error
// comes with what was read of the line that it broke.
func (l *lines) read() ([]byte, error) {
	l.line++
	l.offset = l.next
	data, err := l.r.ReadSlice('\n')
	l.next += int64(len(data))
	if errors.Is(err, bufio.ErrBufferFull) {
		data, err = l.readLong(data)
	}
	switch {
	case err == nil:
		return trimEnd(data), nil
	case errors.Is(err, errTooLong):
		return data, err
	case errors.Is(err, io.EOF) && len(data) > 0:
		return trimEnd(data), nil // last line without a newline
	}
	return data, err
}

// readLong gathers a line that is longer than the buffer; past MaxLine it reads on to
// the end of the line without keeping it.
func (l *lines) readLong(first []byte) ([]byte, error) {
	l.long = append(l.long[:0], first...)
	size := len(first)
	for {
		data, err := l.r.ReadSlice('\n')
		l.next += int64(len(data))
		size += len(data)
		if size <= MaxLine+1 {
			l.long = append(l.long, data...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if size > MaxLine+1 && (err == nil || errors.Is(err, io.EOF)) {
			err = errTooLong
			kept := l.long[:min(len(l.long), keepLong)]
			l.long = nil // give the memory back
			return kept, err
		}
		return l.long, err
	}
}

func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}
