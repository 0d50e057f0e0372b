package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A partition of kfake is a folder of segments. A segment N.dat is the batches from offset N
// on, as they are on the wire; N.idx has an entry of 15 bytes for each: version 1, the low
// byte of the CRC-32C of the rest, leader epoch (4 bytes, little endian), a time that
// loading works out anew (8), and whether the batch is data of a transaction. A batch is
// written before its entry: after a kill between the two every later entry would stand one
// place too early, and aborted records would count as committed.
const indexEntry = 15

// The attributes of a batch that matter here.
const transactional, control = 0x10, 0x20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// partition is what its batches say.
type partition struct {
	dir    string
	base   int64           // of the last segment
	next   int64           // offset of what comes
	leader int32           // epoch of the leader
	latest int64           // time of the newest batch
	open   map[int64]int16 // the producers of transactions without an end, and their epochs
	sent   map[int64]*sequence
}

// sequence is what kfake knows of a producer in a partition, to tell batches that are sent
// again: the last five.
type sequence struct {
	Producer  int64        `json:"pid"`
	Topic     string       `json:"topic"`
	Partition int32        `json:"partition"`
	Batches   [5]sentBatch `json:"entries"`
	Count     int          `json:"count"`
	At        int          `json:"at"` // where the next goes
	Epoch     int16        `json:"epoch"`
	Seen      bool         `json:"seen"`
	Next      int32        `json:"next_seq"`
}

type sentBatch struct {
	First  int32 `json:"first_seq"`
	Next   int32 `json:"next_seq"`
	Offset int64 `json:"offset"`
}

// add notes a batch. Sequence numbers wrap as kfake lets them.
func (s *sequence) add(b *kmsg.RecordBatch) {
	if s.Epoch != b.ProducerEpoch {
		*s = sequence{Producer: s.Producer, Epoch: b.ProducerEpoch}
	}
	s.Seen = true
	s.Next = int32((int64(b.FirstSequence) + int64(b.NumRecords)) % math.MaxInt32)
	s.Batches[s.At] = sentBatch{b.FirstSequence, s.Next, b.FirstOffset}
	s.At = (s.At + 1) % len(s.Batches)
	s.Count = min(s.Count+1, len(s.Batches))
}

// mendPartition makes a partition say what its whole batches say: what was cut off goes, the
// indexes are made anew, and transactions that are open are ended, by a commit if they
// are the one that committed names, else by an abort. On loading, kfake would abort them
// in memory alone: later committed records of the producer would be invisible, and the
// aborted ones would come back after the next crash. It returns the last of each producer.
func mendPartition(dir string, committed *commit) ([]*sequence, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			base, err := strconv.ParseInt(name, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name(), err)
			}
			bases = append(bases, base)
		}
	}
	if len(bases) == 0 {
		return nil, nil
	}
	slices.Sort(bases)
	p := &partition{dir: dir, next: bases[0], open: map[int64]int16{}, sent: map[int64]*sequence{}}
	for _, base := range bases {
		p.base = base
		if err := p.mendSegment(); err != nil {
			return nil, err
		}
	}
	for _, producer := range slices.Sorted(maps.Keys(p.open)) {
		epoch := p.open[producer]
		end := kmsg.ControlRecordKeyTypeAbort
		if committed != nil && committed.Producer == producer && committed.Epoch == epoch {
			end = kmsg.ControlRecordKeyTypeCommit
		}
		if err := p.end(producer, epoch, end); err != nil {
			return nil, err
		}
	}
	// The folder is the topic, escaped, and the partition: a.b-0.
	name := filepath.Base(dir)
	at := strings.LastIndexByte(name, '-')
	topic, err := url.PathUnescape(name[:max(at, 0)])
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseInt(name[at+1:], 10, 32)
	if err != nil {
		return nil, err
	}
	for _, s := range p.sent {
		s.Topic, s.Partition = topic, int32(number)
	}
	return slices.Collect(maps.Values(p.sent)), nil
}

func (p *partition) path(ext string) string {
	return filepath.Join(p.dir, strconv.FormatInt(p.base, 10)+ext)
}

func (p *partition) mendSegment() error {
	segment, err := os.ReadFile(p.path(".dat"))
	if err != nil {
		return err
	}
	was, err := os.ReadFile(p.path(".idx"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var index []byte
	size := 0
	for {
		b, n := firstBatch(segment[size:])
		if n == 0 {
			break
		}
		// The leader's epoch alone does not follow from the batch: it is that of the entry.
		if at := len(index); at+indexEntry <= len(was) {
			if e := was[at : at+indexEntry]; e[1] == byte(crc32.Checksum(e[2:], castagnoli)) {
				p.leader = int32(binary.LittleEndian.Uint32(e[2:]))
			}
		}
		index = p.add(index, b)
		size += n
	}
	if size < len(segment) {
		if err := os.Truncate(p.path(".dat"), int64(size)); err != nil {
			return err
		}
	}
	if bytes.Equal(index, was) {
		return nil
	}
	return os.WriteFile(p.path(".idx"), index, 0o600)
}

// firstBatch reads one batch and its size in bytes; 0 when it is not whole.
func firstBatch(raw []byte) (*kmsg.RecordBatch, int) {
	const header, crc, attributes = 61, 17, 21
	if len(raw) < header {
		return nil, 0
	}
	size := 12 + int(binary.BigEndian.Uint32(raw[8:]))
	if size < header || size > len(raw) || crc32.Checksum(raw[attributes:size], castagnoli) != binary.BigEndian.Uint32(raw[crc:]) {
		return nil, 0
	}
	b := new(kmsg.RecordBatch)
	if b.ReadFrom(raw[:size]) != nil {
		return nil, 0
	}
	return b, size
}

// add notes a batch and appends its entry to the index.
func (p *partition) add(index []byte, b *kmsg.RecordBatch) []byte {
	p.next = b.FirstOffset + int64(b.LastOffsetDelta) + 1
	p.latest = max(p.latest, b.MaxTimestamp)
	data := b.Attributes&(transactional|control) == transactional
	switch {
	case data:
		p.open[b.ProducerID] = b.ProducerEpoch
	case b.Attributes&control != 0:
		delete(p.open, b.ProducerID)
	}
	if b.Attributes&control == 0 && b.ProducerID >= 0 {
		s := p.sent[b.ProducerID]
		if s == nil {
			s = &sequence{Producer: b.ProducerID, Epoch: b.ProducerEpoch}
			p.sent[b.ProducerID] = s
		}
		s.add(b)
	}
	e := make([]byte, indexEntry)
	e[0] = 1
	binary.LittleEndian.PutUint32(e[2:], uint32(p.leader))
	if data {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return append(index, e...)
}

// end appends the marker that ends a transaction.
func (p *partition) end(producer int64, epoch int16, how kmsg.ControlRecordKeyType) error {
	key := kmsg.NewControlRecordKey()
	key.Type = how
	value := kmsg.NewEndTxnMarker()
	r := kmsg.NewRecord()
	r.Key, r.Value = key.AppendTo(nil), value.AppendTo(nil)
	r.Length = int32(len(r.AppendTo(nil)) - 1) // without itself, a byte
	b := kmsg.NewRecordBatch()
	b.FirstOffset, b.PartitionLeaderEpoch, b.Magic = p.next, p.leader, 2
	b.Attributes = transactional | control
	b.FirstTimestamp, b.MaxTimestamp = p.latest, p.latest
	b.ProducerID, b.ProducerEpoch, b.FirstSequence = producer, epoch, -1
	b.NumRecords, b.Records = 1, r.AppendTo(nil)
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[21:], castagnoli))
	if err := appendFile(p.path(".dat"), b.AppendTo(nil)); err != nil {
		return err
	}
	return appendFile(p.path(".idx"), p.add(nil, &b))
}

func appendFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
