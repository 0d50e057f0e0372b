package input

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/pinova-group/tidemark/market"
)

// Some captures hold one connection after the other instead of all by time. Read in one
// go, whatever the second connection has would be behind the first one's end, and late.
// Such a file is read once for each connection, and the readings are merged by time like
// files.

// maxConns is how many connections a capture may be parted into.
const maxConns = 64

// captureHead begins the first line of a capture.
var captureHead = []byte(`{"t":"header"`)

// conn is one connection of a capture and the time of its first line, in µs.
type conn struct {
	name  string
	first int64
}

// connections returns the connections of a capture in which time goes back by a second
// or more from one to another, nil of any other file.
func (s *source) connections(head []byte) ([]conn, error) {
	if !bytes.HasPrefix(head, captureHead) || OneReading(s.Path) {
		return nil, nil
	}
	var none atomic.Int64
	st, err := openStream(s.Path, s.cfg.Stdin, &none)
	if err != nil {
		return nil, err
	}
	defer st.close()
	var conns []conn
	known := map[string]bool{}
	back, newest := false, int64(0)
	in := newLines(bufio.NewReaderSize(st.r, headSize))
	for {
		line, err := in.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil
		}
		name, ts := envelope(line)
		if name == nil {
			continue
		}
		back = back || ts < newest-market.Second
		newest = max(newest, ts)
		if !known[string(name)] {
			if len(conns) == maxConns {
				return nil, nil
			}
			known[string(name)] = true
			conns = append(conns, conn{string(name), ts})
		}
	}
	if !back {
		return nil, nil
	}
	return conns, nil
}

// envelope reads connection and time, cut to seconds, of a line of a capture; nil when
// it has none.
func envelope(line []byte) (name []byte, ts int64) {
	line = line[:min(len(line), 512)]
	_, rest, ok := bytes.Cut(line, []byte(`"conn":"`))
	if !ok {
		return nil, 0
	}
	name, rest, ok = bytes.Cut(rest, []byte(`"`))
	if !ok {
		return nil, 0
	}
	if _, rest, ok = bytes.Cut(rest, []byte(`"ts":`)); !ok {
		return nil, 0
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	sec, err := strconv.ParseInt(string(rest[:n]), 10, 40)
	if err != nil {
		return nil, 0
	}
	return name, sec * market.Second
}

// skips reports whether a line belongs to another reading of the capture. Lines of no
// connection belong to the first.
func (s *source) skips(line []byte) bool {
	if s.conn == "" {
		return false
	}
	name, _ := envelope(line)
	if name == nil {
		return !s.firstConn
	}
	return string(name) != s.conn
}

// part returns a source for each connection, or the source itself when there are none.
func (s *source) part(conns []conn) []*source {
	if len(conns) == 0 {
		return []*source{s}
	}
	var out []*source
	for i, c := range conns {
		p := *s
		p.Shard += uint16(i)
		p.conn, p.firstConn, p.key = c.name, i == 0, c.first
		out = append(out, &p)
	}
	return out
}
