// Package book holds an in-memory L2 order book and the checksums by which venues let
// their clients prove that the copy is right. The sequencer keeps one Book for each
// chain; the engine keeps one where a view reads the book.
//
// A Book knows levels, not venues: which message may be applied, and when a book is
// lost, is decided by its caller (features of a chain: update ids, resync).
//
// Levels near the best price lie in a price ladder, those far from it in a sorted list;
// where a side is too sparse for a ladder, all are in the list. Users see neither: they
// read by Cursor. A side costs 16 bytes a level, and at most 256 more for the ladder, whose
// size is that of a range of ticks and never follows a price.
package book

import "errors"

// MaxLevels is the greatest number of levels a side may hold, and a message may change.
// The deepest book measured, Coinbase BTC-USD, has 27,236 levels on one side.
const MaxLevels = 1 << 16

// Errors. After any error of Apply or Replace the book is empty.
var (
	ErrTooDeep = errors.New("more than 65536 levels on a side")
	ErrRange   = errors.New("level does not fit 63 bits at the scale of the book")
	ErrLevel   = errors.New("level has no positive price or a negative quantity")
	ErrShape   = errors.New("prices and quantities differ in number")
	ErrCorrupt = errors.New("book snapshot is corrupt")
)

// Side of a book.
type Side uint8

// The sides.
const (
	Bid Side = iota
	Ask
)

func (s Side) String() string {
	if s == Bid {
		return "bid"
	}
	return "ask"
}
