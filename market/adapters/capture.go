package adapters

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// capture reads the envelopes of raw captures: lines {"t":…,"conn":…,"ts":…,"data":"…"}
// with t = header, http (url, data), connect (addr), send (addr, data) or recv (data).
// ts is the collector's clock in seconds, data the text as the venue sent it.
type capture struct {
	exchange string // of the header, "" before it
	urls     map[string]string
	conn     string // last connection and what it talks to
	url      string
	buf      []byte
}

// What a decoder remembers of connections.
const (
	maxConns    = 4096 // how many
	maxConnName = 256  // bytes of a name
	maxConnURL  = 4096 // bytes of an address
)

// captureStart is how every line of a capture begins.
var captureStart = []byte(`{"t":"`)

// isCapture reports whether a line is an envelope.
func isCapture(line []byte) bool { return bytes.HasPrefix(line, captureStart) }

// captureExchange returns the exchange that the header of a capture names, or "".
func captureExchange(head []byte) string {
	var c capture
	line, _, _ := bytes.Cut(trimSpace(head), []byte("\n"))
	if !isCapture(line) {
		return ""
	}
	_, _ = c.unwrap(&Record{Data: line})
	return c.exchange
}

// unwrap returns the record that an envelope carries, with ingest time, URL and
// connection; what is no envelope is returned as it is. Lines that carry no message of
// the venue (header, connect, send) give ErrFiltered. Data is valid until the next call.
func (c *capture) unwrap(rec *Record) (Record, error) {
	if !isCapture(rec.Data) {
		return *rec, nil
	}
	var l captureLine
	if !l.parse(rec.Data) {
		return *rec, Bad(badJSON, rec.Data)
	}
	r := *rec
	if l.ts != nil {
		ts, ok := secondsTime(l.ts)
		if !ok {
			return *rec, Bad("receive time out of range", l.ts)
		}
		r.Ingest = ts
	}
	switch string(l.kind) {
	case "header":
		c.exchange = string(l.exchange)
		return r, Filtered("header of the capture")
	case "connect":
		c.remember(string(l.conn), string(l.url))
		return r, Filtered("connection opened")
	case "send":
		c.remember(string(l.conn), string(l.url))
		return r, Filtered("request of the collector")
	case "http", "recv":
		if l.data == nil {
			return *rec, Bad(badField, rec.Data)
		}
		data, err := c.unquote(l.data)
		if err != nil {
			return *rec, Bad(badJSON, rec.Data)
		}
		r.Data = data
		c.locate(&r, &l)
		return r, nil
	}
	return *rec, Bad(badUnknown, rec.Data)
}

// locate sets URL and Conn, without allocation while the connection stays the same.
func (c *capture) locate(r *Record, l *captureLine) {
	if l.url != nil {
		r.URL, r.Conn = string(l.url), string(l.conn)
		return
	}
	if string(l.conn) != c.conn {
		c.conn = string(l.conn)
		c.url = c.urls[c.conn]
	}
	r.URL, r.Conn = c.url, c.conn
}

func (c *capture) remember(conn, url string) {
	if url == "" || len(url) > maxConnURL || len(conn) > maxConnName || len(c.urls) >= maxConns {
		return
	}
	if c.urls == nil {
		c.urls = map[string]string{}
	}
	c.urls[conn] = url
	if conn == c.conn {
		c.url = url
	}
}

// unquote gives the text of a JSON string, quotes included in s.
func (c *capture) unquote(s []byte) ([]byte, error) {
	in := s[1 : len(s)-1]
	if bytes.IndexByte(in, '\\') < 0 {
		return in, nil
	}
	out := c.buf[:0]
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' {
			out = append(out, in[i])
			continue
		}
		i++
		switch in[i] {
		case '"', '\\', '/':
			out = append(out, in[i])
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		default:
			var err error
			c.buf, err = jsontext.AppendUnquote(c.buf[:0], s)
			return c.buf, err
		}
	}
	c.buf = out
	return out, nil
}

// captureLine holds the members of an envelope; data keeps its quotes and escapes.
type captureLine struct {
	kind, conn, ts, url, data, exchange []byte
}

func (l *captureLine) parse(line []byte) bool {
	s := scan{b: line}
	if !s.take('{') {
		return false
	}
	for {
		k, ok := s.key()
		if !ok {
			return false
		}
		switch string(k) {
		case "t":
			l.kind, ok = s.str()
		case "conn":
			l.conn, ok = s.str()
		case "exchange":
			l.exchange, ok = s.str()
		case "url", "addr":
			l.url, ok = s.str()
		case "ts":
			l.ts, ok = s.raw()
		case "data":
			l.data, ok = s.raw()
			ok = ok && l.data[0] == '"'
		default:
			ok = s.skip(16)
		}
		if !ok {
			return false
		}
		if again, ok := s.more('}'); !again {
			return ok && s.end()
		}
	}
}

// secondsTime reads seconds with a fraction, exactly, down to the microsecond.
func secondsTime(text []byte) (int64, bool) {
	m, s, end, ok := decAt(text, 0)
	if !ok || end != len(text) {
		d, err := num.ParseDec(text)
		if err != nil {
			return 0, false
		}
		m, s = d.M, d.S
	}
	if s > 6 {
		m = market.FloorDiv(m, pow10[s-6])
	} else if m, ok = rescale(m, s, 6); !ok {
		return 0, false
	}
	return m, market.ValidTime(m)
}
