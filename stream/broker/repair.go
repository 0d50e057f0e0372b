package broker

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
)

// repair brings a folder that a crash left to a state that kfake could have closed: every
// transaction is ended wholly, and nobody can go on with one that was open. It works on
// kfake's files, before anybody can ask for them, and may itself be killed and done again.
func (b *Broker) repair() error {
	dir := filepath.Join(b.dir, kafkaDir)
	if _, err := os.Stat(filepath.Join(dir, "meta.json")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c, err := readJournal(filepath.Join(b.dir, journalFile))
	if err != nil {
		return err
	}
	pids := filepath.Join(dir, "pids.log")
	log, err := mendLog(pids)
	if err != nil {
		return err
	}
	all := producers(log)
	if c != nil && !all[c.Producer].commits(c) {
		c = nil // of a zombie: kfake refused it
	}
	parts, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sent := []*sequence{}
	for _, p := range parts {
		s, err := mendPartition(filepath.Join(dir, "partitions", p.Name()), c)
		if err != nil {
			return fmt.Errorf("partition %s: %w", p.Name(), err)
		}
		sent = append(sent, s...)
	}
	if err := b.finishOffsets(c); err != nil {
		return err
	}
	windows, err := json.Marshal(map[string]any{"version": 1, "windows": sent})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "seq_windows.json"), windows, 0o600); err != nil {
		return err
	}
	// What a clean end notes of open transactions and members is from before.
	if err := os.Remove(filepath.Join(dir, "session_state.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fence(pids, all, c)
}

// finishOffsets writes the offsets of the commit.
func (b *Broker) finishOffsets(c *commit) error {
	dir := filepath.Join(b.dir, kafkaDir)
	groups := filepath.Join(dir, "groups.log")
	if _, err := mendLog(groups); err != nil || c == nil || len(c.Offsets) == 0 {
		return err
	}
	info, err := os.Stat(filepath.Join(b.dir, journalFile))
	if err != nil {
		return err
	}
	now := info.ModTime().UnixMilli()
	names, err := topicNames(filepath.Join(dir, "topics.json"))
	if err != nil {
		return err
	}
	var log []byte
	for _, o := range c.Offsets {
		if o.Topic == "" {
			o.Topic = names[o.TopicID]
		}
		if o.Topic == "" {
			continue // deleted meanwhile
		}
		log = appendEntry(log, groupEntry{Type: "commit", Group: o.Group, Topic: o.Topic, Part: o.Partition, Offset: o.Offset, Epoch: o.LeaderEpoch, Metadata: o.Metadata, At: &now})
	}
	return appendFile(groups, log)
}

func topicNames(path string) (map[[16]byte]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Topics []struct{ Name, ID string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	names := map[[16]byte]string{}
	for _, t := range file.Topics {
		id, err := base64.StdEncoding.DecodeString(t.ID)
		if err != nil || len(id) != 16 {
			return nil, errors.Join(errors.New("topics.json: id of "+t.Name), err)
		}
		names[[16]byte(id)] = t.Name
	}
	return names, nil
}

// fence raises the epoch of each transactional producer: what a living client remembers of
// a transaction that was open is no longer so. A client that asks again to commit is told
// that it was done if it was done, and else that it was not.
func fence(path string, all map[int64]producer, c *commit) error {
	var log []byte
	for id, p := range all {
		if p.TxID == "" {
			continue
		}
		done := c != nil && c.Producer == id
		switch {
		case done && (p.Epoch > c.Epoch || !c.Bumps): // kfake had come that far, or the client keeps its epoch
		case p.Epoch < math.MaxInt16:
			p.Epoch++
		}
		p.Type, p.Commit = "init", &done
		log = appendEntry(log, p.pidEntry)
	}
	return appendFile(path, log)
}

// kfake's logs of producers and groups are entries: length of what follows the checksum
// (4 bytes, little endian), CRC-32C of it (4), version 1 (2), and JSON.
const entryHeader = 10

type pidEntry struct {
	Type    string `json:"type"` // init, endtx or timeout
	PID     int64  `json:"pid"`
	Epoch   int16  `json:"epoch"`
	TxID    string `json:"txid,omitempty"`
	Timeout int32  `json:"timeout,omitempty"`
	Commit  *bool  `json:"commit,omitempty"`
}

type groupEntry struct {
	Type     string  `json:"type"`
	Group    string  `json:"g"`
	Topic    string  `json:"t,omitempty"`
	Part     int32   `json:"p,omitempty"`
	Offset   int64   `json:"o,omitempty"`
	Epoch    int32   `json:"e,omitempty"`
	Metadata *string `json:"m,omitempty"`
	At       *int64  `json:"lc,omitempty"` // when, ms
}

// mendLog cuts off an entry that is not whole, behind which later ones would not be read.
func mendLog(path string) ([]byte, error) {
	log, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	size := 0
	for {
		n := firstEntry(log[size:])
		if n == 0 {
			break
		}
		size += n
	}
	if size < len(log) {
		err = os.Truncate(path, int64(size))
	}
	return log[:size], err
}

// firstEntry is the size of the first entry, 0 when it is not whole.
func firstEntry(log []byte) int {
	if len(log) < entryHeader {
		return 0
	}
	n := 8 + int(binary.LittleEndian.Uint32(log))
	if n < entryHeader || n > len(log) || crc32.Checksum(log[8:n], castagnoli) != binary.LittleEndian.Uint32(log[4:]) {
		return 0
	}
	return n
}

func appendEntry(log []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // the two types above always can
	}
	rest := append([]byte{1, 0}, text...)
	log = binary.LittleEndian.AppendUint32(log, uint32(len(rest)))
	log = binary.LittleEndian.AppendUint32(log, crc32.Checksum(rest, castagnoli))
	return append(log, rest...)
}

// producer is what the log says last about one.
type producer struct {
	pidEntry
	ended int16 // the epoch of the last transaction that ended; Commit tells how
}

// commits tells whether a commit is what the producer does, or the last that it did.
func (p producer) commits(c *commit) bool {
	return p.Epoch == c.Epoch || p.Epoch == c.Epoch+1 && p.Commit != nil && *p.Commit && p.ended == c.Epoch
}

func producers(log []byte) map[int64]producer {
	all := map[int64]producer{}
	for n := firstEntry(log); n > 0; n = firstEntry(log) {
		var e pidEntry
		if json.Unmarshal(log[entryHeader:n], &e) == nil {
			p, known := all[e.PID]
			switch {
			case e.Type == "init" && e.Commit != nil: // of a log that was written anew
				p = producer{e, e.Epoch - 1}
			case e.Type == "init":
				e.Commit = p.Commit
				p.pidEntry = e
			case e.Type == "endtx" && known:
				p.Epoch, p.Commit, p.ended = e.Epoch, e.Commit, e.Epoch
			case known: // timeout
				p.Epoch = e.Epoch
			}
			all[e.PID] = p
		}
		log = log[n:]
	}
	return all
}
