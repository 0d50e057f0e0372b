package record_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/record"
)

// A registry that is not ours takes every schema, knows each by one number for all who ask, and
// gives back a text that reads what we write.
func TestRegistry_TakesEverySchema(t *testing.T) {
	url := exenv.Get(t, "TIDEMARK_TEST_REGISTRY")
	cl, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	kinds, _ := allKinds(t)
	writer, _ := record.NewSchemas(url, kinds)
	again, _ := record.NewSchemas(url, kinds)
	reader, _ := record.NewSchemas(url, kinds)
	seen := map[uint32]record.What{}
	check := func(what record.What, id, same uint32, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what.Name, err)
		}
		if other, twice := seen[id]; twice || id != same {
			t.Errorf("%s has the numbers %d and %d; %s has the first", what.Name, id, same, other.Name)
		}
		seen[id] = what
		if got, err := reader.Lookup(t.Context(), id); err != nil || got != what {
			t.Errorf("number %d is %+v, want %+v: %v", id, got, what, err)
		}
		if level := cl.Compatibility(t.Context(), what.Name); level[0].Err != nil || level[0].Level != sr.CompatBackwardTransitive {
			t.Errorf("%s: level is %+v", what.Name, level)
		}
		text, err := cl.SchemaByID(t.Context(), int(id))
		if err != nil {
			t.Fatal(err)
		}
		if md := compile(t, text.Schema); string(md.FullName()) != what.Name {
			t.Errorf("number %d is the text of %s, want %s", id, md.FullName(), what.Name)
		}
	}
	_, list := allKinds(t)
	for _, k := range list {
		id, err := writer.Event(t.Context(), k)
		same, err2 := again.Event(t.Context(), k)
		check(record.What{Name: writer.EventName(k), Kind: k}, id, same, errors.Join(err, err2))
	}
	for _, o := range append(outputs(t), *everyType()) {
		id, err := writer.View(t.Context(), &o)
		same, err2 := again.View(t.Context(), &o)
		check(record.What{Name: record.ViewName(o.Name, o.Version), View: o.Name, Version: o.Version}, id, same, errors.Join(err, err2))
	}
	id, err := writer.Ledger(t.Context())
	same, err2 := again.Ledger(t.Context())
	check(record.What{Name: record.LedgerName}, id, same, errors.Join(err, err2))
	if _, err := reader.Lookup(t.Context(), 1<<30); !errors.Is(err, record.ErrSchema) || errors.Is(err, record.ErrRegistry) {
		t.Errorf("schema of nobody: %v", err)
	}

	// What the registry says of an event's schema reads the event.
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	enc, dec := record.NewEventEncoder(writer, feeds, insts), record.NewEventDecoder(reader, feeds, insts)
	rapid.Check(t, func(rt *rapid.T) {
		k := rapid.SampledFrom(list).Draw(rt, "kind")
		b := genBatch(rt, kinds, k, feeds, insts)
		value, err := enc.AppendEvent(t.Context(), nil, b, 0)
		if err != nil {
			rt.Fatal(err)
		}
		n, err := writer.Event(t.Context(), k)
		if err != nil {
			rt.Fatal(err)
		}
		text, err := cl.SchemaByID(t.Context(), int(n))
		if err != nil {
			rt.Fatal(err)
		}
		msg := dynamicpb.NewMessage(compile(t, text.Schema))
		if err := proto.Unmarshal(value[6:], msg); err != nil || len(msg.GetUnknown()) > 0 {
			rt.Fatalf("%v; unknown to the registry's text: %x", err, msg.GetUnknown())
		}
		var chunk market.Chunk
		if got, err := dec.Decode(t.Context(), value, &chunk); err != nil || got != k {
			rt.Fatal(got, err)
		}
	})
}

// A version of a message that readers of it would misread is refused, and that is said; one with
// another column is taken.
func TestRegistry_RefusesWhatBreaksReaders(t *testing.T) {
	url := exenv.Get(t, "TIDEMARK_TEST_REGISTRY")
	o := &features.Output{Name: "evolving_" + strconv.FormatInt(time.Now().UnixNano(), 36), Version: 1, Entity: []string{"symbol"}, Fields: []features.Field{{Name: "a", Type: features.FieldF64}}}
	register := func() (uint32, error) {
		s, err := record.NewSchemas(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.View(t.Context(), o)
	}
	first, err := register()
	if err != nil {
		t.Fatal(err)
	}
	o.Fields = append(o.Fields, features.Field{Name: "b", Type: features.FieldI64})
	second, err := register()
	if err != nil || second == first {
		t.Fatalf("with another column: number %d after %d: %v", second, first, err)
	}
	reader, _ := record.NewSchemas(url, nil)
	for _, id := range []uint32{first, second} {
		if what, err := reader.Lookup(t.Context(), id); err != nil || what.View != o.Name {
			t.Errorf("number %d is %+v: %v", id, what, err)
		}
	}
	o.Fields[0].Type = features.FieldText
	if id, err := register(); err == nil || errors.Is(err, record.ErrRegistry) {
		t.Errorf("a column of another type: number %d, %v", id, err)
	}
}
