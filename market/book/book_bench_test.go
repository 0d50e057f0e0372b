package book

import "testing"

// One update of two levels near the best price in a book of 1000 levels a side.
func BenchmarkBook_ApplyNearTop(b *testing.B) {
	var k Book
	_ = k.Replace(deep(1000))
	msgs := [2]Levels{levels(0, 0, 99_998, 5, 99_000, 6), levels(0, 0, 99_998, 0, 99_000, 7)}
	for i := 0; b.Loop(); i++ {
		_ = k.Apply(msgs[i&1], Levels{})
	}
}

func BenchmarkBook_ReplaceThousand(b *testing.B) {
	var k Book
	bids, asks := deep(1000)
	for b.Loop() {
		_ = k.Replace(bids, asks)
	}
}

func BenchmarkChecksumKraken(b *testing.B) {
	var k Book
	_ = k.Replace(deep(1000))
	for b.Loop() {
		ChecksumKraken(&k)
	}
}

func BenchmarkChecksumOKX(b *testing.B) {
	var k Book
	_ = k.Replace(deep(1000))
	for b.Loop() {
		ChecksumOKX(&k)
	}
}
