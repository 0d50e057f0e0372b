package book

import (
	"hash/crc32"
	"strconv"
	"strings"
	"testing"
)

// The example of Kraken's guide to the checksum of its v1 book: asks 0.05005 to 0.05050
// and bids 0.05000 to 0.04950 in steps of 0.00005 but without 0.04985, 0.00000500 each.
func TestChecksumKraken_PublishedExample(t *testing.T) {
	var bids, asks Levels
	for i := range int64(10) {
		bid := 5000 - 5*i
		if i > 2 {
			bid -= 5
		}
		bids.Price, bids.Quantity = append(bids.Price, bid), append(bids.Quantity, 500)
		asks.Price, asks.Quantity = append(asks.Price, 5005+5*i), append(asks.Quantity, 500)
	}
	bids.PriceScale, bids.QuantityScale, asks.PriceScale, asks.QuantityScale = 5, 8, 5, 8
	var b Book
	must(t, b.Replace(bids, asks))
	if got := ChecksumKraken(&b); got != 974947235 {
		t.Errorf("got %d, want 974947235", got)
	}
}

func TestChecksumOKX_InterleavesAndAppendsTheLongerSide(t *testing.T) {
	var b Book
	must(t, b.Replace(levels(1, 2, 33661, 700, 33655, 55), levels(1, 2, 33668, 805, 33674, 1000, 33680, 7)))
	want := "3366.1:7:3366.8:8.05:3365.5:0.55:3367.4:10:3368:0.07"
	if got := ChecksumOKX(&b); got != int32(crc32.ChecksumIEEE([]byte(want))) {
		t.Errorf("got %d; text %q, want %q", got, b.text, want)
	}
	var empty Book
	if got := ChecksumOKX(&empty); got != 0 {
		t.Errorf("empty book gives %d", got)
	}
}

func TestAppendPlain(t *testing.T) {
	for _, m := range []int64{0, 1, 10, 101, 1000, 123456789, 1<<63 - 1, 9e18} {
		for scale := range int8(19) {
			digits := strconv.FormatInt(m, 10)
			for len(digits) <= int(scale) {
				digits = "0" + digits
			}
			want := digits[:len(digits)-int(scale)]
			if frac := strings.TrimRight(digits[len(digits)-int(scale):], "0"); frac != "" {
				want += "." + frac
			}
			if got := string(appendPlain(nil, m, scale)); got != want {
				t.Errorf("%d at scale %d: got %q, want %q", m, scale, got, want)
			}
		}
	}
}
