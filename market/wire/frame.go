package wire

import (
	"encoding/binary"
	"errors"
)

// Confluent's framing of a Protobuf record: a zero byte, the number of the schema in the
// registry (big endian), then the place of the message in its file as a list of indexes.
// Each of our files has one message, whose list [0] is written as one zero byte.
// https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/

// frameLen is the length of the frame of a first message.
const frameLen = 6

var errFrame = errors.New("read frame: not a Confluent frame of the first message of a schema")

// AppendFrame appends the frame that goes before a message.
func AppendFrame(dst []byte, schema uint32) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, 0), schema)
	return append(dst, 0)
}

// CutFrame splits a framed record into the number of its schema and the message. The
// indexes may be written out too: a count of 1, then 0.
func CutFrame(record []byte) (schema uint32, payload []byte, err error) {
	if len(record) < frameLen || record[0] != 0 {
		return 0, nil, errFrame
	}
	schema, payload = binary.BigEndian.Uint32(record[1:]), record[frameLen-1:]
	switch {
	case payload[0] == 0:
		return schema, payload[1:], nil
	case len(payload) > 1 && payload[0] == 2 && payload[1] == 0: // zigzag 1, zigzag 0
		return schema, payload[2:], nil
	}
	return 0, nil, errFrame
}
