package wire_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
)

const goldenFile = "testdata/messages.txt"

// golden is one row of each kind, every column used.
func golden(k market.Kind) *market.Batch {
	b := market.NewBatch(k)
	b.AppendEnvelope(&market.Envelope{
		Feed: 2, Shard: 3, Inst: 0, EventTS: 1717200000123456, IngestTS: 1717200000200000, Seq: 5116583924, HasSeq: true,
		ID: market.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, RawBytes: 168, Flags: market.FlagAssumed,
	})
	b.TS[0], b.Epoch[0] = 1717200000123999, 1
	for i, f := range market.Schema(k) {
		c := &b.Cols[i]
		n := int64(i + 1)
		switch f.Type {
		case market.TypeDec:
			c.AppendDec(n*6183763000000, 8)
		case market.TypeDecs:
			c.AppendDecs([]int64{0, 1, -1, n * 6183763000000}, int8(i))
		case market.TypeText:
			c.AppendText(fmt.Appendf(nil, "text-%d-é", i))
		case market.TypeEnum, market.TypeBool:
			c.AppendInt(1)
		case market.TypeTime:
			c.AppendInt(1717200000000000 + n)
		default:
			c.AppendInt(n * 60000000)
		}
	}
	return b
}

// What is in a topic or an archive must be read by every later release: these bytes
// never change. UPDATE_GOLDEN=1 adds the kinds that have no line yet and changes none.
func TestCodec_GoldenBytes(t *testing.T) {
	data, err := os.ReadFile(goldenFile)
	if err != nil && os.Getenv("UPDATE_GOLDEN") == "" {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	w := newWorld()
	dec := wire.NewDecoder(w.feeds, w.insts)
	for line := range strings.Lines(string(data)) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		k, known := market.ParseKind(name)
		msg, err := hex.DecodeString(text)
		if !ok || !known || err != nil {
			t.Fatalf("%s: line %q", goldenFile, line)
		}
		want, got := golden(k), market.NewBatch(k)
		if err := dec.Decode(msg, k, got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		out, err := wire.Append(nil, want, 0, w.feeds, w.insts)
		if err != nil || hex.EncodeToString(out) != text {
			t.Errorf("%s: written as %x, %v", name, out, err)
		}
		seen[name] = true
	}
	for _, k := range kinds {
		if seen[k.String()] {
			continue
		}
		if os.Getenv("UPDATE_GOLDEN") == "" {
			t.Errorf("%s has no line for %s", goldenFile, k)
			continue
		}
		msg, err := wire.Append(nil, golden(k), 0, w.feeds, w.insts)
		if err != nil {
			t.Fatal(err)
		}
		data = fmt.Appendf(data, "%s %x\n", k, msg)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(goldenFile, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
