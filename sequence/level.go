package sequence

import (
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

// This file is all that the sequencer asks of market/book.

// level2 is the book of one chain.
type level2 struct{ b book.Book }

// apply changes the book by row i of a KindBook batch: a delta, or a snapshot that
// replaces it. After an error the book is empty.
func (x *level2) apply(b *market.Batch, i int, replace bool) error {
	if replace {
		x.b.Reset()
	}
	return x.b.ApplyRow(b.Cols, i)
}

// appendTo writes the book as the four lists of a KindBook row, best level first.
func (x *level2) appendTo(cols []market.Col) { x.b.AppendTo(cols) }

func (x *level2) reset()             { x.b.Reset() }
func (x *level2) truncate(depth int) { x.b.Truncate(depth) }
func (x *level2) crossed() bool      { return x.b.Crossed() }

func (x *level2) appendSnapshot(dst []byte) []byte            { return x.b.AppendSnapshot(dst) }
func (x *level2) restore(src []byte) (rest []byte, err error) { return x.b.Restore(src) }

// checksum is the checksum rule of a venue.
type checksum uint8

const (
	noChecksum checksum = iota
	krakenChecksum
	okxChecksum
)

// checksumOf is the rule by which an exchange's books are verified.
func checksumOf(exchange string) checksum {
	switch exchange {
	case "kraken":
		return krakenChecksum
	case "okx":
		return okxChecksum
	}
	return noChecksum
}

// verify reports whether the book agrees with the checksum that came with a row. OKX
// sends 0 since it stopped computing them.
func (x *level2) verify(rule checksum, want int64) bool {
	switch rule {
	case krakenChecksum:
		return book.ChecksumKraken(&x.b) == uint32(want)
	case okxChecksum:
		return want == 0 || uint32(book.ChecksumOKX(&x.b)) == uint32(want)
	default:
		return true
	}
}
