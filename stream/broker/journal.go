package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// journal makes a commit whole. kfake ends a transaction partition by partition and then
// writes its offsets; a kill in between leaves part of it. So a commit is written down before
// kfake acts on it, and rubbed out when the next request of anybody shows that it has, since
// it acts on one at a time. A repair finishes a commit that it finds.
//
// Offsets are collected as they are asked for, not as they are granted: a producer that
// commits although its offsets were refused, and dies with the broker while it does, gets
// them all the same.
type journal struct {
	file   *os.File
	staged map[int64]staged
	full   bool
}

// staged are the offsets of the transaction that a producer has open.
type staged struct {
	epoch   int16
	offsets map[offsetKey]offset
}

type offsetKey struct {
	Group     string   `json:"group"`
	Topic     string   `json:"topic,omitempty"`
	TopicID   [16]byte `json:"topic_id"` // where a request names topics by number
	Partition int32    `json:"partition"`
}

type offset struct {
	offsetKey
	Offset      int64   `json:"offset"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Metadata    *string `json:"metadata,omitempty"`
}

// commit is what the file holds.
type commit struct {
	Producer int64 `json:"producer"`
	Epoch    int16 `json:"epoch"`
	// Bumps tells whether kfake raises the epoch at the end, as newer clients want.
	Bumps   bool     `json:"bumps"`
	Offsets []offset `json:"offsets,omitempty"`
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	return &journal{file: f, staged: map[int64]staged{}}, err
}

// observe sees each request before kfake acts on it. An error means that it must not.
func (j *journal) observe(req kmsg.Request) error {
	if j.full {
		if err := j.file.Truncate(0); err != nil {
			return err
		}
		j.full = false
	}
	switch r := req.(type) {
	case *kmsg.TxnOffsetCommitRequest:
		j.stage(r)
	case *kmsg.EndTxnRequest:
		s := j.staged[r.ProducerID]
		if s.epoch <= r.ProducerEpoch {
			delete(j.staged, r.ProducerID)
		}
		if s.epoch != r.ProducerEpoch { // of an earlier transaction, or the request is of a zombie
			s = staged{}
		}
		if r.Commit {
			return j.write(r, s)
		}
	}
	return nil
}

func (j *journal) stage(r *kmsg.TxnOffsetCommitRequest) {
	s, ok := j.staged[r.ProducerID]
	switch {
	case !ok || s.epoch < r.ProducerEpoch:
		s = staged{epoch: r.ProducerEpoch, offsets: map[offsetKey]offset{}}
		j.staged[r.ProducerID] = s
	case s.epoch > r.ProducerEpoch:
		return
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			k := offsetKey{Group: r.Group, Topic: t.Topic, TopicID: t.TopicID, Partition: p.Partition}
			s.offsets[k] = offset{offsetKey: k, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata}
		}
	}
}

func (j *journal) write(r *kmsg.EndTxnRequest, s staged) error {
	c := commit{Producer: r.ProducerID, Epoch: r.ProducerEpoch, Bumps: r.Version >= 5}
	for _, o := range s.offsets {
		c.Offsets = append(c.Offsets, o)
	}
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	j.full = true
	_, err = j.file.WriteAt(append(line, '\n'), 0)
	return err
}

func (j *journal) close() error { return j.file.Close() }

// readJournal reads the commit that a crash left, nil when there is none: then kfake had
// not begun to act on one.
func readJournal(path string) (*commit, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(text) == 0 || text[len(text)-1] != '\n' {
		return nil, nil
	}
	c := new(commit)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return c, nil
}
