package parity_test

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/parity"
)

func genHash(t *rapid.T) parity.Hash {
	return parity.Hash(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash"))
}

// A sum is that of big numbers modulo 2^128, whatever the order, however it is cut into
// batches, and through its text.
func TestSum_IsThatOfBigNumbersInAnyOrderAndBatching(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOf(rapid.Custom(genHash)).Draw(t, "rows")
		want := new(big.Int)
		for _, h := range rows {
			want.Add(want, new(big.Int).SetBytes(h[:]))
		}
		want.Mod(want, new(big.Int).Lsh(big.NewInt(1), 128))
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		var total, batch parity.Sum
		for _, h := range rows {
			if rapid.Bool().Draw(t, "cut") {
				total, batch = total.Plus(batch), parity.Sum{}
			}
			batch.Add(h)
		}
		total = total.Plus(batch)
		if got := total.Checksum(); got != fmt.Sprintf("%032x", want) || total.Rows != int64(len(rows)) {
			t.Fatalf("got %d rows %s, want %d %032x", total.Rows, got, len(rows), want)
		}
		if back, err := parity.ParseSum(total.Rows, total.Checksum()); err != nil || back != total {
			t.Fatalf("%v came back as %v %v", total, back, err)
		}
		left := total
		for _, h := range rows {
			left.Remove(h)
		}
		if left != (parity.Sum{}) || total.Minus(total) != (parity.Sum{}) {
			t.Fatalf("without all rows %v is left", left)
		}
	})
}

func TestSum_ShowsLostDoubledAndChangedRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfNDistinct(rapid.Custom(genHash), 2, 20, func(h parity.Hash) parity.Hash { return h }).Draw(t, "rows")
		var all, lost, twice parity.Sum
		for i, h := range rows {
			all.Add(h)
			twice.Add(h)
			if i > 0 {
				lost.Add(h)
			}
		}
		twice.Add(rows[0])
		twice.Add(rows[0])
		changed := lost
		changed.Add(parity.HashOf(rows[0][:]))
		for name, s := range map[string]parity.Sum{"lost": lost, "twice": twice, "changed": changed} {
			if s == all {
				t.Fatalf("a row %s does not show", name)
			}
		}
	})
}

func TestHourOf(t *testing.T) {
	for ts, want := range map[int64]int64{0: 0, 1: 0, parity.Hour - 1: 0, parity.Hour: parity.Hour, -1: -parity.Hour, -parity.Hour: -parity.Hour} {
		if got := parity.HourOf(ts); got != want {
			t.Errorf("hour of %d is %d, not %d", ts, got, want)
		}
	}
}

// Each row is in the cell of its hour, whatever rows come between, and again after Reset.
func TestCells_AddUpByHour(t *testing.T) {
	var c parity.Cells
	rapid.Check(t, func(t *rapid.T) {
		c.Reset()
		want := map[int64]parity.Sum{}
		for range rapid.IntRange(0, 50).Draw(t, "rows") {
			ts, h := rapid.Int64Range(-3, 3).Draw(t, "hour")*parity.Hour+rapid.Int64Range(0, 1).Draw(t, "end")*(parity.Hour-1), genHash(t)
			c.At(ts).Add(h)
			s := want[parity.HourOf(ts)]
			s.Add(h)
			want[parity.HourOf(ts)] = s
		}
		got := map[int64]parity.Sum{}
		for _, cell := range c.List {
			got[cell.Hour] = cell.Sum
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) != len(c.List) {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	})
}

func genDelta(t *rapid.T) parity.Delta {
	d := parity.Delta{Job: rapid.String().Draw(t, "job"), Task: rapid.Int32Range(0, 4096).Draw(t, "task"), Build: rapid.String().Draw(t, "build")}
	for i := range rapid.IntRange(0, 3).Draw(t, "topics") {
		for p := range rapid.IntRange(1, 3).Draw(t, "partitions") {
			d.Inputs = append(d.Inputs, parity.Input{Topic: fmt.Sprint("t", i), Partition: int32(p), Next: rapid.Int64Min(0).Draw(t, "next")})
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "views") {
		v := parity.ViewCells{View: parity.View{Name: rapid.String().Draw(t, "view"), Version: rapid.IntRange(0, 9).Draw(t, "version")}}
		copy(v.View.Fingerprint[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "fingerprint"))
		var cells parity.Cells
		for range rapid.IntRange(0, 3).Draw(t, "cells") {
			cells.At(rapid.Int64().Draw(t, "ts") >> 4).Add(genHash(t))
		}
		v.Cells = cells.List
		d.Views = append(d.Views, v)
	}
	return d
}

func TestDelta_ComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := genDelta(t)
		back, err := parity.ParseDelta(d.Append(nil))
		if diff := cmp.Diff(d, back, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("(-want +got) %v\n%s", err, diff)
		}
	})
}

func FuzzParseDelta(f *testing.F) {
	d := parity.Delta{Job: "features", Inputs: []parity.Input{{Topic: "processed.spot.trade.kraken", Next: 7}}, Views: []parity.ViewCells{{View: parity.View{Name: "bars", Version: 1}, Cells: []parity.Cell{{Hour: 0, Sum: parity.Sum{Rows: 1, Hi: 7}}}}}}
	f.Add(d.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parity.ParseDelta(b); err != nil && !errors.Is(err, parity.ErrDelta) {
			t.Error(err)
		}
	})
}
