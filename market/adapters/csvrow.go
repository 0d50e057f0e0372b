package adapters

import (
	"bytes"
	"strconv"
)

// maxColumns is the greatest number of columns that a CSV tape may have.
const maxColumns = 32

// Reasons of bad CSV rows.
const (
	badHeader   = "header is not known"
	badNoHeader = "row before the header"
	badColumns  = "row has not as many columns as the header"
	badReceive  = "receive time out of range"
)

// csvHeader says where the columns of a file are.
type csvHeader struct {
	n  int // columns of the file, 0 before the header
	at [maxColumns]int8
}

// read takes a header line; names are the columns that matter, each at the index by
// which has and at know it. It reports false when there are too many columns or one
// stands there twice.
func (h *csvHeader) read(line []byte, names []string) bool {
	*h = csvHeader{}
	var row [maxColumns][]byte
	x := csvHeader{n: cutCSV(line, row[:])}
	if x.n < 0 {
		return false
	}
	for i := range x.at {
		x.at[i] = -1
	}
	for i, c := range row[:x.n] {
		for j, name := range names {
			if string(c) != name {
				continue
			}
			if x.at[j] >= 0 {
				return false
			}
			x.at[j] = int8(i)
		}
	}
	*h = x
	return true
}

func (h *csvHeader) ok() bool       { return h.n > 0 }
func (h *csvHeader) has(i int) bool { return h.at[i] >= 0 }

// cutCSV cuts a line at its commas into row and returns the number of fields, -1 when
// they do not fit. A field in quotes loses them; the tapes have no commas inside quotes.
func cutCSV(line []byte, row [][]byte) int {
	for n := range row {
		i := bytes.IndexByte(line, ',')
		f := line
		if i >= 0 {
			f = line[:i]
		}
		if len(f) >= 2 && f[0] == '"' && f[len(f)-1] == '"' {
			f = f[1 : len(f)-1]
		}
		row[n] = f
		if i < 0 {
			return n + 1
		}
		line = line[i+1:]
	}
	return -1
}

// csvInt reads a whole number ≥ 0.
func csvInt(b []byte) (int64, bool) {
	s := scan{b: b}
	v, ok := s.uint()
	return v, ok && s.end()
}

// csvTime reads a time; unit judges and converts it.
func csvTime(b []byte, unit func(int64) (int64, bool)) (int64, bool) {
	v, ok := csvInt(b)
	if !ok {
		return 0, false
	}
	return unit(v)
}

// csvFlag reads 0 or 1, true or false.
func csvFlag(b []byte) (v, ok bool) {
	switch string(b) {
	case "1", "true", "True":
		return true, true
	case "0", "false", "False":
		return false, true
	}
	return false, false
}

func appendInt(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }
