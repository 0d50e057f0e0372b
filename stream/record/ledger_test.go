package record_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
)

// The record of a ledger is what its .proto text says: the Protobuf library reads all of it
// and writes it such that it reads the same.
func TestLedger_IsProtobuf(t *testing.T) {
	d := parity.Delta{Job: "features", Task: 3, Build: "v1", Inputs: []parity.Input{{Topic: "processed.spot.trade.kraken", Partition: 3, Next: 300}, {Topic: "processed.spot.trade.kraken", Partition: 4}}}
	v := parity.ViewCells{View: parity.View{Name: "bars", Version: 2, Fingerprint: [32]byte{1, 2}}}
	var cells parity.Cells
	cells.At(-1).Add(parity.Hash{0x80, 15: 7})
	cells.At(parity.Hour).Remove(parity.Hash{1})
	v.Cells = cells.List
	d.Views = append(d.Views, v, parity.ViewCells{View: parity.View{Name: "x", Version: 1}})

	md := compile(t, parity.DeltaProto)
	if md.FullName() != record.LedgerName {
		t.Errorf("the message is named %s", md.FullName())
	}
	value := record.AppendLedger(nil, 7, &d)
	m := dynamicpb.NewMessage(md)
	if err := proto.Unmarshal(value[6:], m); err != nil {
		t.Fatal(err)
	}
	if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		t.Errorf("unknown fields %x", unknown)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	back, err := record.ReadLedger(append(value[:6:6], b...))
	if diff := cmp.Diff(d, back); diff != "" || err != nil {
		t.Fatalf("%v (-want +got)\n%s", err, diff)
	}
	id := m.Get(md.Fields().ByName("views")).List().Get(0).Message()
	if got := id.Get(id.Descriptor().Fields().ByName("name")).String(); got != "bars" {
		t.Errorf("the view is %q", got)
	}
}
