package book

import (
	"bytes"
	"testing"
)

func FuzzBook_Restore(f *testing.F) {
	var b Book
	f.Add(b.AppendSnapshot(nil))
	_ = b.Replace(levels(1, 3, 1000, 5, 999, 7), levels(1, 3, 1001, 2, 1003, 4))
	f.Add(b.AppendSnapshot(nil))
	_ = b.Replace(deep(200))
	f.Add(b.AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Book
		rest, err := b.Restore(data)
		if err != nil {
			if b.Len(Bid)+b.Len(Ask) != 0 {
				t.Fatal("levels left after an error")
			}
			return
		}
		// What is accepted is canonical: it prints as the same bytes.
		if got := b.AppendSnapshot(nil); !bytes.Equal(got, data[:len(data)-len(rest)]) {
			t.Fatalf("read %x, wrote %x", data[:len(data)-len(rest)], got)
		}
		b.Crossed()
		ChecksumKraken(&b)
		ChecksumOKX(&b)
	})
}

func FuzzBook_Apply(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, int8(0), int8(2))
	f.Fuzz(func(t *testing.T, data []byte, ps, qs int8) {
		var b Book
		for len(data) >= 8 {
			var l [2]Levels
			for s := range l {
				n := int(data[0]) % (len(data)/2 + 1)
				for i := range n {
					l[s].Price = append(l[s].Price, int64(int8(data[i]))<<(data[i]%57))
					l[s].Quantity = append(l[s].Quantity, int64(data[i+1]%3)<<(data[i]%60))
				}
				l[s].PriceScale, l[s].QuantityScale = ps, qs+int8(data[1]%4)
			}
			_ = b.Apply(l[Bid], l[Ask])
			for s := range l {
				l := dump(&b, Side(s))
				for i := 0; i < len(l); i += 2 {
					if l[i] <= 0 || l[i+1] <= 0 || i > 0 && l[i]*Side(s).sign() >= l[i-2]*Side(s).sign() {
						t.Fatalf("%v side broken at %d: %v", Side(s), i/2, l)
					}
				}
			}
			data = data[8:]
		}
	})
}
