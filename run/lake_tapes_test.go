package run

import (
	"encoding/binary"
	"math"
	"math/bits"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/catalog"
	lakefile "github.com/pinova-group/tidemark/lake/file"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// content is what a table holds, whatever the order of its rows: their number and the sum
// of their hashes mod 2¹²⁸.
type content struct {
	Rows   int64
	Hi, Lo uint64
}

func (c *content) add(cols []lakefile.Column, b *lakefile.Batch, buf []byte) []byte {
	for i := range b.N {
		buf = buf[:0]
		for k := range cols {
			v := &b.Cols[k]
			if v.IsNull(i) {
				buf = append(buf, 0)
				continue
			}
			buf = append(buf, 1)
			switch cols[k].Type {
			case lakefile.Int, lakefile.Boolean:
				buf = binary.LittleEndian.AppendUint32(buf, uint32(v.I32[i]))
			case lakefile.Double:
				buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v.F64[i]))
			case lakefile.LongList:
				buf = binary.AppendUvarint(buf, uint64(len(v.Longs(i))))
				for _, x := range v.Longs(i) {
					buf = binary.AppendVarint(buf, x)
				}
			case lakefile.String, lakefile.Binary:
				buf = append(binary.AppendUvarint(buf, uint64(len(v.Text(i)))), v.Text(i)...)
			default:
				buf = binary.LittleEndian.AppendUint64(buf, uint64(v.I64[i]))
			}
		}
		h := xxh3.Hash128(buf)
		var carry uint64
		c.Lo, carry = bits.Add64(c.Lo, h.Lo, 0)
		c.Hi, _ = bits.Add64(c.Hi, h.Hi, carry)
		c.Rows++
	}
	return buf
}

// sourceContents is what the sequencer gives of files, by table.
func sourceContents(t *testing.T, files []string) map[string]content {
	t.Helper()
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	p, err := newPass(input.Config{Paths: files, Adapters: Formats(), Feeds: feeds, Insts: insts}, false, nil, &Meter{})
	if err != nil {
		t.Fatal(err)
	}
	packers, all := map[market.Kind]*lakefile.Packer{}, map[string]content{}
	var buf []byte
	err = p.run(t.Context(), func(out *sequence.Out, _ bool) error {
		for _, ch := range []*market.Chunk{&out.Rows, &out.Late} {
			for k, b := range ch.Batches {
				kind := market.Kind(k)
				if b == nil || b.N == 0 || kind == market.KindWatermark {
					continue
				}
				if packers[kind] == nil {
					packers[kind] = lakefile.NewPacker(nil, kind, false, insts, feeds)
				}
				packed, err := packers[kind].Pack(b)
				if err != nil {
					return err
				}
				c := all[lakesink.TableName(nil, kind)]
				buf = c.add(packers[kind].Columns(), packed, buf)
				all[lakesink.TableName(nil, kind)] = c
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// lakeContents scans every table.
func lakeContents(t *testing.T, l *lake.Lake, tables map[string]content) map[string]content {
	t.Helper()
	all := map[string]content{}
	var buf []byte
	for name := range tables {
		tab, err := l.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := tab.Scan(t.Context(), lake.Query{})
		if err != nil {
			t.Fatal(err)
		}
		var c content
		for {
			b, err := sc.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			buf = c.add(sc.Columns(), b, buf)
		}
		sc.Close()
		all[name] = c
	}
	return all
}

// All recorded tapes are in a lake in a folder and in one on S3 with PostgreSQL what they
// are in the files: the same rows, each once. Tables of a REST catalog are compared in
// lake/interop, which has the only server of that kind to itself.
func TestLake_AllTapesAreTheSameEverywhere(t *testing.T) {
	files := exdata.Tapes(t)
	want := sourceContents(t, files)
	if want["processed.trade"].Rows < 50_000 || want["processed.book"].Rows < 50_000 {
		t.Fatalf("the tapes hold %+v", want)
	}
	run := string(lake.NewCommitID()[:12])
	for name, conf := range map[string]func(t *testing.T) lake.Config{
		"folder": func(t *testing.T) lake.Config { return lake.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) lake.Config {
			return lake.Config{
				S3:      objstore.S3Config{Endpoint: exenv.Get(t, "TIDEMARK_TEST_S3"), AccessKey: exenv.Get(t, "TIDEMARK_TEST_S3_KEY"), SecretKey: exenv.Get(t, "TIDEMARK_TEST_S3_SECRET")},
				Catalog: catalog.Config{Kind: "postgres", Name: "t" + run, URI: exenv.Get(t, "TIDEMARK_TEST_POSTGRES"), Warehouse: "s3://" + exenv.Get(t, "TIDEMARK_TEST_S3_BUCKET") + "/" + run + "tp"},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := conf(t)
			c.Now, c.Build = time.Now, "test"
			l, err := lake.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			importFiles(t, l, ImportConfig{Inputs: files})
			if d := cmp.Diff(want, lakeContents(t, l, want)); d != "" {
				t.Errorf("the lake differs from the files:\n%s", d)
			}
			for table, k := range importFiles(t, l, ImportConfig{Inputs: files}).Tables {
				if k.Added != 0 {
					t.Errorf("%s: %d rows added again", table, k.Added)
				}
			}
		})
	}
}
