package record

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/fetch"
)

// Keys of headers (docs/design/0005-stream.md).
const (
	HeaderID          = "id"        // event or row: 16 bytes
	HeaderFingerprint = "fp"        // row: 32 bytes
	HeaderWatermark   = "watermark" // late event: the mark that it missed, µs, decimal
	HeaderMissed      = "missed"    // late event: by how much, µs, decimal
	HeaderReason      = "reason"    // dead letter: word
	HeaderDetail      = "detail"    // dead letter: text
	HeaderTopic       = "topic"     // dead letter: where it was
	HeaderPartition   = "partition" // dead letter: decimal
	HeaderOffset      = "offset"    // dead letter: decimal
	HeaderCount       = "count"     // dead letter: how many events of the record it is about, decimal
	HeaderOf          = "of"        // watermark: name of the kind that is complete
	HeaderAccount     = "account"   // watermark: the sequencer's counts
	HeaderFormat      = "format"    // raw: an adapter, canonical or event
	HeaderFeed        = "feed"      // raw
	HeaderIngest      = "ingest"    // raw: µs, decimal
	HeaderURL         = "url"       // raw, where known
	HeaderConn        = "conn"      // raw, where known
)

// Header is the value of the first header with a key; nil when there is none.
func Header(r *kgo.Record, key string) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value
		}
	}
	return nil
}

// AddHeader adds a header; value is kept.
func AddHeader(r *kgo.Record, key string, value []byte) {
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: value})
}

func addInt(r *kgo.Record, key string, v int64) { AddHeader(r, key, strconv.AppendInt(nil, v, 10)) }

func headerInt(r *kgo.Record, key string) (int64, error) {
	v, err := strconv.ParseInt(string(Header(r, key)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %.64q is no number", key, Header(r, key))
	}
	return v, nil
}

// AddLate says which watermark a late event missed, and by how much; both µs.
func AddLate(r *kgo.Record, watermark, missed int64) {
	addInt(r, HeaderWatermark, watermark)
	addInt(r, HeaderMissed, missed)
}

// ReadLate reads what AddLate wrote.
func ReadLate(r *kgo.Record) (watermark, missed int64, err error) {
	if watermark, err = headerInt(r, HeaderWatermark); err == nil {
		missed, err = headerInt(r, HeaderMissed)
	}
	return watermark, missed, err
}

// DeadLetter says why a record cannot be used and where it was.
type DeadLetter struct {
	Reason, Detail string
	Topic          string
	Partition      int32
	Offset         int64
	Count          int // events of the record that it is about, at least 1
}

// AddDeadLetter adds the headers of a dead letter.
func AddDeadLetter(r *kgo.Record, d *DeadLetter) {
	AddHeader(r, HeaderReason, []byte(d.Reason))
	AddHeader(r, HeaderDetail, []byte(d.Detail))
	AddHeader(r, HeaderTopic, []byte(d.Topic))
	addInt(r, HeaderPartition, int64(d.Partition))
	addInt(r, HeaderOffset, d.Offset)
	addInt(r, HeaderCount, int64(d.Count))
}

// ReadDeadLetter reads what AddDeadLetter wrote.
func ReadDeadLetter(r *kgo.Record) (DeadLetter, error) {
	d := DeadLetter{Reason: string(Header(r, HeaderReason)), Detail: string(Header(r, HeaderDetail)), Topic: string(Header(r, HeaderTopic))}
	p, err := headerInt(r, HeaderPartition)
	if err == nil {
		d.Partition = int32(p)
		d.Offset, err = headerInt(r, HeaderOffset)
	}
	if err == nil {
		p, err = headerInt(r, HeaderCount)
		d.Count = int(p)
	}
	return d, err
}

// fields are the numbers of an account in the order of the header.
func fields(c *sequence.Counts) [7]*int64 {
	return [...]*int64{&c.In, &c.Applied, &c.Late, &c.Duplicate, &c.DLQ, &c.Filtered, &c.Pending}
}

// AddMark adds the headers of a watermark: the kind that is complete and the partition's account.
func AddMark(r *kgo.Record, kinds *market.Kinds, of market.Kind, account *sequence.Counts) {
	AddHeader(r, HeaderOf, []byte(kinds.Name(of)))
	var text []byte
	for i, v := range fields(account) {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, *v, 10)
	}
	AddHeader(r, HeaderAccount, text)
}

// ReadMark reads what AddMark wrote.
func ReadMark(r *kgo.Record, kinds *market.Kinds) (of market.Kind, account sequence.Counts, err error) {
	return ParseMark(Header(r, HeaderOf), Header(r, HeaderAccount), kinds)
}

// ParseMark is ReadMark of the values of the two headers.
func ParseMark(kind, counts []byte, kinds *market.Kinds) (of market.Kind, account sequence.Counts, err error) {
	of, ok := kinds.Parse(string(kind))
	if !ok {
		return 0, account, fmt.Errorf("header %s: %.64q is no kind", HeaderOf, kind)
	}
	text, to := strings.Split(string(counts), ","), fields(&account)
	if len(text) != len(to) {
		return 0, sequence.Counts{}, fmt.Errorf("header %s: %.128q is no account", HeaderAccount, counts)
	}
	for i, v := range to {
		if *v, err = strconv.ParseInt(text[i], 10, 64); err != nil || *v < 0 {
			return 0, sequence.Counts{}, fmt.Errorf("header %s: %.128q is no account", HeaderAccount, counts)
		}
	}
	return of, account, nil
}

// Raw is a record of a raw topic: a payload as collected, and its headers as they are; nil
// where there is none.
type Raw struct {
	Offset                          int64
	Time                            int64 // of the record, µs; what is no valid time bounds nothing
	Key, Value                      []byte
	Format, Feed, Ingest, URL, Conn []byte // Ingest is µs, decimal
}

// ReadRaws takes records apart, behind dst. It refers to their bytes.
func ReadRaws(dst []Raw, recs []fetch.Record) []Raw {
	n := len(dst)
	dst = slices.Grow(dst, len(recs))[:n+len(recs)]
	for i := range recs {
		r := &recs[i]
		dst[n+i] = Raw{Offset: r.Offset, Time: r.Time, Key: r.Key, Value: r.Value}
		dst[n+i].readHeaders(r.Headers)
	}
	return dst
}

// readHeaders takes the first header of each key.
func (raw *Raw) readHeaders(h fetch.Headers) {
	for {
		key, value, ok := h.Next()
		if !ok {
			return
		}
		var to *[]byte
		switch string(key) {
		case HeaderFormat:
			to = &raw.Format
		case HeaderFeed:
			to = &raw.Feed
		case HeaderIngest:
			to = &raw.Ingest
		case HeaderURL:
			to = &raw.URL
		case HeaderConn:
			to = &raw.Conn
		}
		if to != nil && *to == nil {
			*to = value
		}
	}
}

// AddRaw adds the headers of a raw record.
func AddRaw(r *kgo.Record, raw *Raw) { r.Headers = AppendRaw(r.Headers, raw) }

// AppendRaw appends the headers of a raw record.
func AppendRaw(headers []kgo.RecordHeader, raw *Raw) []kgo.RecordHeader {
	for _, h := range []kgo.RecordHeader{
		{Key: HeaderFormat, Value: raw.Format}, {Key: HeaderFeed, Value: raw.Feed}, {Key: HeaderIngest, Value: raw.Ingest},
		{Key: HeaderURL, Value: raw.URL}, {Key: HeaderConn, Value: raw.Conn},
	} {
		if h.Value != nil {
			headers = append(headers, h)
		}
	}
	return headers
}

// AddID adds the identity of an event or row.
func AddID(r *kgo.Record, id market.ID) { AddHeader(r, HeaderID, id[:]) }
