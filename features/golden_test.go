package features_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/specs"
)

// goldenRows is the hash of every bit of every row of all shipped views over a
// simulated market. It changes only when an operator's result does, and then its
// semantics number does too (I1).
const goldenRows = "128daba442d729bac60723472131af1fd90a5e3a2c5044a6d66242ae015ac4e7"

// TestGolden_AllShippedViews holds rows to the bits of the release on every CPU;
// internal/fmacheck runs it for several instruction sets.
func TestGolden_AllShippedViews(t *testing.T) {
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	cfg := gen.DefaultConfig()
	cfg.Events, cfg.Seed, cfg.Rate = 60_000, 5, 60
	cfg.Duplicates, cfg.Late, cfg.Gaps = 10_000, 1_000, 1_000
	m, err := gen.New(cfg, feeds, insts)
	if err != nil {
		t.Fatal(err)
	}
	var src []features.Source
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		src = append(src, features.Source{Name: name, Text: text})
	}
	plan, err := features.Compile(src, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	seq, err := sequence.New(sequence.DefaultConfig(feeds, insts))
	if err != nil {
		t.Fatal(err)
	}
	task := plan.NewTask(insts, 0)
	hash := sha256.New()
	word := func(v uint64) { _ = binary.Write(hash, binary.LittleEndian, v) }
	var rows features.Rows
	total, last := 0, int64(0)
	put := func() {
		for v := range rows.Views {
			vr := &rows.Views[v]
			fields := plan.Outputs()[v].Fields
			for i := range vr.Len() {
				total++
				for _, name := range task.EntityNames(v, vr.Entity[i]) {
					hash.Write(append([]byte(name), 0))
				}
				word(uint64(v))
				word(uint64(vr.RowTS[i]))
				word(uint64(vr.Avail[i]))
				word(uint64(vr.Flags[i]))
				for f := range vr.Features {
					c := &vr.Features[f]
					switch {
					case c.IsNull(i):
						word(math.MaxUint64)
					case fields[f].Type == features.FieldF64:
						word(math.Float64bits(c.F64[i]))
					case fields[f].Type == features.FieldText:
						hash.Write(c.Bytes[c.Off[i]:c.Off[i+1]])
					default:
						word(uint64(c.I64[i]))
					}
				}
			}
		}
		rows.Reset()
	}
	var out sequence.Out
	step := func(advance func(*sequence.Out)) {
		out.Reset()
		advance(&out)
		for _, b := range out.Rows.Batches {
			if b == nil {
				continue
			}
			for _, ts := range b.TS {
				last = max(last, ts)
			}
			if err := task.Push(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := task.Advance(&out.Marks, &rows); err != nil {
			t.Fatal(err)
		}
		put()
	}
	var chunk market.Chunk
	for more := true; more; {
		chunk.Reset()
		more = m.Next(&chunk)
		if err := seq.Push(&chunk); err != nil {
			t.Fatal(err)
		}
		step(seq.Advance)
	}
	step(seq.Close)
	if err := task.Close(last, &rows); err != nil {
		t.Fatal(err)
	}
	put()
	if total < 50_000 {
		t.Errorf("only %d rows", total)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != goldenRows {
		t.Errorf("%d rows have the hash %s, the release has %s", total, got, goldenRows)
	}
}
