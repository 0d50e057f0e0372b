package lake

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Position says that the rows of a topic's partition are in the table up to Next, exclusive.
type Position struct {
	Cluster   string // id of the Kafka cluster
	Topic     string // name
	TopicID   string // changes when a topic is deleted and made anew
	Partition int32
	Next      int64
}

// Offsets is a vector of positions, sorted, one for each partition.
type Offsets []Position

// ErrBackwards is offsets, or another mark, that would move backwards (I4).
var ErrBackwards = errors.New("offsets would move backwards")

// ErrTopicReplaced is a topic that has been deleted and made anew under its name.
var ErrTopicReplaced = errors.New("the topic was deleted and made anew; its offsets mean other records")

func compare(a, b Position) int {
	return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.TopicID, b.TopicID), cmp.Compare(a.Partition, b.Partition))
}

// Next is the next offset of a partition, 0 when nothing of it is in the table.
func (o Offsets) Next(cluster, topicID string, partition int32) int64 {
	for _, p := range o {
		if p.Cluster == cluster && p.TopicID == topicID && p.Partition == partition {
			return p.Next
		}
	}
	return 0
}

// Without are the positions of all other topics.
func (o Offsets) Without(topics []string) Offsets {
	return slices.DeleteFunc(slices.Clone(o), func(p Position) bool { return slices.Contains(topics, p.Topic) })
}

// Advance moves the positions that next names and keeps the others. None may go back, and
// no topic may have another id than before.
func (o Offsets) Advance(next Offsets) (Offsets, error) {
	type part struct {
		cluster, topic string
		n              int32
	}
	out := slices.Clone(o)
	ids := map[[2]string]string{}
	at := map[part]int{}
	for i, p := range out {
		ids[[2]string{p.Cluster, p.Topic}] = p.TopicID
		at[part{p.Cluster, p.Topic, p.Partition}] = i
	}
	for _, p := range next {
		if p.Next < 0 || p.Partition < 0 {
			return nil, fmt.Errorf("topic %s partition %d offset %d: negative", p.Topic, p.Partition, p.Next)
		}
		topic := [2]string{p.Cluster, p.Topic}
		if id, ok := ids[topic]; ok && id != p.TopicID {
			return nil, fmt.Errorf("topic %s: id %s, in the table %s: %w", p.Topic, p.TopicID, id, ErrTopicReplaced)
		}
		ids[topic] = p.TopicID
		k := part{p.Cluster, p.Topic, p.Partition}
		i, ok := at[k]
		if !ok {
			at[k] = len(out)
			out = append(out, p)
			continue
		}
		if p.Next < out[i].Next {
			return nil, fmt.Errorf("topic %s partition %d: offset %d, in the table %d: %w", p.Topic, p.Partition, p.Next, out[i].Next, ErrBackwards)
		}
		out[i].Next = p.Next
	}
	slices.SortFunc(out, compare)
	return out, nil
}

// Pack writes the vector as text: about 5 bytes a partition. Version 1: the topics, each
// with cluster, name and id, then its partitions as differences, all as varints.
func (o Offsets) Pack() string {
	b := []byte{1}
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	o = slices.Clone(o)
	slices.SortFunc(o, compare)
	for i := 0; i < len(o); {
		j := i
		for j < len(o) && o[j].Cluster == o[i].Cluster && o[j].Topic == o[i].Topic && o[j].TopicID == o[i].TopicID {
			j++
		}
		text(o[i].Cluster)
		text(o[i].Topic)
		text(o[i].TopicID)
		b = binary.AppendUvarint(b, uint64(j-i))
		var part, next int64
		for ; i < j; i++ {
			b = binary.AppendVarint(b, int64(o[i].Partition)-part)
			b = binary.AppendVarint(b, o[i].Next-next)
			part, next = int64(o[i].Partition), o[i].Next
		}
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseOffsets reads a packed vector.
func ParseOffsets(s string) (Offsets, error) {
	if s == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("offsets: %w", err)
	}
	if len(b) == 0 || b[0] != 1 {
		return nil, errors.New("offsets: written by a later version")
	}
	b = b[1:]
	bad := errors.New("offsets: cut off")
	text := func() (string, bool) {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return "", false
		}
		s := string(b[k : k+int(n)])
		b = b[k+int(n):]
		return s, true
	}
	var o Offsets
	for len(b) > 0 {
		var p Position
		var ok [3]bool
		p.Cluster, ok[0] = text()
		p.Topic, ok[1] = text()
		p.TopicID, ok[2] = text()
		n, k := binary.Uvarint(b)
		if !ok[0] || !ok[1] || !ok[2] || k <= 0 || n > uint64(len(b)) {
			return nil, bad
		}
		b = b[k:]
		for range n {
			d, k := binary.Varint(b)
			if k <= 0 {
				return nil, bad
			}
			b = b[k:]
			e, k := binary.Varint(b)
			if k <= 0 {
				return nil, bad
			}
			b = b[k:]
			p.Partition += int32(d)
			p.Next += e
			o = append(o, p)
		}
	}
	return o, nil
}
