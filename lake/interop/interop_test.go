// Package interop_test has other tools read, and Spark write, the tables of our lakes: in a
// folder with SQLite, and on S3 with PostgreSQL and with a REST catalog.
package interop_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/catalog"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
)

// need is the value of a variable that make test sets.
// digest of rows: their number and the sum mod 2¹²⁸ of the first 16 bytes of SHA-256 of
// each row's text, columns by name.
type digest struct {
	Rows  int               `json:"rows"`
	Hash  string            `json:"hash"`
	Types map[string]string `json:"types"`
	Files *int              `json:"files"`
}

type sum struct{ hi, lo uint64 }

func (s *sum) add(row string) {
	h := sha256.Sum256([]byte(row))
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, binary.BigEndian.Uint64(h[8:16]), 0)
	s.hi, _ = bits.Add64(s.hi, binary.BigEndian.Uint64(h[:8]), carry)
}

// ours scans a table and digests the rows; they must come in the total order.
func ours(t *testing.T, tab *lake.Table, q lake.Query) digest {
	t.Helper()
	tab, err := tab.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := tab.Scan(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	cols := sc.Columns()
	order := make([]int, len(cols))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(cols[a].Name, cols[b].Name) })
	var s sum
	d := digest{}
	ts := slices.IndexFunc(cols, func(c file.Column) bool { return c.Name == "ts" })
	last := int64(0)
	for {
		b, err := sc.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			break
		}
		for i := range b.N {
			if ts >= 0 {
				if b.Cols[ts].I64[i] < last {
					t.Fatalf("row %d: time goes back", d.Rows+i)
				}
				last = b.Cols[ts].I64[i]
			}
			var row []string
			for _, c := range order {
				row = append(row, text(&b.Cols[c], cols[c].Type, i))
			}
			s.add(strings.Join(row, "\x1f"))
		}
		d.Rows += b.N
	}
	d.Hash = fmt.Sprintf("%016x%016x", s.hi, s.lo)
	return d
}

func text(c *file.Col, t file.Type, i int) string {
	if c.IsNull(i) {
		return ""
	}
	switch t {
	case file.Boolean:
		return strconv.FormatBool(c.I32[i] == 1)
	case file.Int:
		return strconv.Itoa(int(c.I32[i]))
	case file.Long, file.Timestamptz:
		return strconv.FormatInt(c.I64[i], 10)
	case file.Binary:
		return hex.EncodeToString(c.Text(i))
	case file.LongList:
		var el []string
		for _, v := range c.Longs(i) {
			el = append(el, strconv.FormatInt(v, 10))
		}
		return "[" + strings.Join(el, ",") + "]"
	}
	return string(c.Text(i))
}

// place is where a lake is, as readers.py is told.
type place struct {
	conf  lake.Config
	table map[string]any
}

func places(t *testing.T) map[string]func(t *testing.T) place {
	s3 := func(t *testing.T) (objstore.S3Config, map[string]string) {
		c := objstore.S3Config{Endpoint: exenv.Get(t, "TIDEMARK_TEST_S3"), AccessKey: exenv.Get(t, "TIDEMARK_TEST_S3_KEY"), SecretKey: exenv.Get(t, "TIDEMARK_TEST_S3_SECRET")}
		return c, map[string]string{"endpoint": c.Endpoint, "key": c.AccessKey, "secret": c.SecretKey}
	}
	run := string(lake.NewCommitID()[:12])
	return map[string]func(t *testing.T) place{
		"folder": func(t *testing.T) place {
			dir := t.TempDir()
			return place{lake.Config{Dir: dir}, map[string]any{"catalog": map[string]string{
				"kind": "sqlite", "name": lake.CatalogName, "uri": filepath.Join(dir, "catalog.db"), "warehouse": "file://" + dir,
			}}}
		},
		"postgres": func(t *testing.T) place {
			c, py := s3(t)
			uri, wh := exenv.Get(t, "TIDEMARK_TEST_POSTGRES"), "s3://"+exenv.Get(t, "TIDEMARK_TEST_S3_BUCKET")+"/"+run+"p"
			return place{lake.Config{S3: c, Catalog: catalog.Config{Kind: "postgres", Name: "c" + run, URI: uri, Warehouse: wh}},
				map[string]any{"catalog": map[string]string{"kind": "postgres", "name": "c" + run, "uri": uri, "warehouse": wh}, "s3": py}}
		},
		"rest": func(t *testing.T) place {
			c, py := s3(t)
			uri, wh := exenv.Get(t, "TIDEMARK_TEST_REST"), "s3://"+exenv.Get(t, "TIDEMARK_TEST_S3_BUCKET")+"/"+run+"r"
			return place{lake.Config{S3: c, Catalog: catalog.Config{Kind: "rest", Name: "rest_backend", URI: uri, Warehouse: wh}},
				map[string]any{"catalog": map[string]string{"kind": "rest", "name": "rest_backend", "uri": uri, "warehouse": wh}, "s3": py}}
		},
	}
}

// ask has a tool answer requests about a table.
func ask(t *testing.T, p place, tab *lake.Table, tool string, do ...map[string]any) []digest {
	t.Helper()
	tab, err := tab.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conf := map[string]any{"tool": tool, "table": tab.Name(), "metadata": tab.MetadataLocation(), "do": do}
	maps.Copy(conf, p.table)
	if tool == "spark" {
		conf["jars"] = exenv.Get(t, "TIDEMARK_TEST_SPARK_JARS")
	}
	in, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exenv.Get(t, "TIDEMARK_ORACLE_PYTHON"), "readers.py")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", tool, err, errs.String()[max(0, errs.Len()-4000):])
	}
	var got []digest
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got) != len(do) {
		t.Fatalf("%s answers %q: %v", tool, out.String(), err)
	}
	return got
}

// events are trades and books of two exchanges over three hours.
func events(r *rand.Rand, insts *market.Instruments) (trades, books *market.Batch) {
	trades, books = market.NewBatch(market.KindTrade), market.NewBatch(market.KindBook)
	ts := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC).UnixMicro()
	for i := range 3000 {
		ts += r.Int64N(7_000_000)
		e := market.Envelope{
			Feed: 1, Inst: insts.Intern([]string{"binance", "kraken"}[r.IntN(2)], market.Spot, fmt.Sprintf("S%d-USDT", r.IntN(5))),
			EventTS: ts, IngestTS: market.NoTime, Seq: uint64(i) << (r.IntN(2) * 50), HasSeq: true, RawBytes: 100,
		}
		if r.IntN(2) == 0 {
			e.IngestTS = ts + 5
		}
		for k := range e.ID {
			e.ID[k] = byte(r.Uint32())
		}
		trades.AppendEnvelope(&e)
		trades.Cols[market.TradeVenueID].AppendText(fmt.Appendf(nil, "é%d", i))
		trades.Cols[market.TradeSide].AppendInt(r.Int64N(3))
		trades.Cols[market.TradePrice].AppendDec(r.Int64()-r.Int64(), int8(r.IntN(19)))
		trades.Cols[market.TradeQuantity].AppendDec(r.Int64N(1e9), 8)
		trades.Cols[market.TradePrints].AppendInt(1)
		if i%10 > 0 {
			continue
		}
		e.ID[0]++
		books.AppendEnvelope(&e)
		books.Cols[market.BookOrigin].AppendInt(r.Int64N(3))
		for _, c := range []int{market.BookFirstSeq, market.BookPrevSeq, market.BookChecksum, market.BookDepth} {
			if r.IntN(2) == 0 {
				books.Cols[c].AppendNull(false)
			} else {
				books.Cols[c].AppendInt(r.Int64N(1e9))
			}
		}
		for _, c := range []int{market.BookBidPrice, market.BookBidQuantity, market.BookAskPrice, market.BookAskQuantity} {
			var m []int64
			for range r.IntN(5) {
				m = append(m, r.Int64N(1e12))
			}
			books.Cols[c].AppendDecs(m, 2)
		}
	}
	return trades, books
}

// Every tool reads the rows that we read: all of them, those of a snapshot, a tag, a
// symbol and an hour, without reading the files of other hours. Spark adds rows and
// rewrites the files, and we read what it says.
func TestTables_AreReadAndWrittenByOtherTools(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			p := open(t)
			p.conf.Now, p.conf.Build = time.Now, "test"
			l, err := lake.Open(t.Context(), p.conf)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			insts := market.NewInstruments()
			trades, books := events(rand.New(rand.NewPCG(1, 2)), insts)
			half := market.NewBatch(market.KindTrade)
			half.AppendRows(trades, 0, trades.N/2)
			tables := map[string]*lake.Table{}
			defer func() { // before the test's context ends: the REST server is one for all tests
				_ = l.Drop(t.Context(), "processed.trade")
				_ = l.Drop(t.Context(), "processed.book")
			}()
			for _, b := range []*market.Batch{half, trades, books} {
				s := sink.NewEvents(l, insts, market.NewFeeds(), sink.Config{Memory: 300_000})
				if err := s.Add(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				if err := s.Commit(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				n := sink.TableName(nil, b.Kind)
				if tables[n], err = l.Load(t.Context(), n); err != nil {
					t.Fatal(err)
				}
			}
			tab := tables["processed.trade"]
			snaps, err := tab.Snapshots()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tab.SetRef(t.Context(), lake.Ref{Name: "half", Tag: true, Snapshot: snaps[0].ID}); err != nil {
				t.Fatal(err)
			}
			from := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC).UnixMicro()
			cols := []string{"ts", "symbol", "price_mantissa", "price_scale", "event_id"}
			ask1 := []map[string]any{
				{"what": "rows"}, {"what": "rows", "snapshot": snaps[0].ID}, {"what": "rows", "ref": "half"},
				{"what": "rows", "symbol": "S2-USDT", "columns": cols}, {"what": "rows", "from": from, "to": from + market.Hour},
			}
			want := []digest{
				ours(t, tab, lake.Query{}), ours(t, tab, lake.Query{Snapshot: snaps[0].ID}), ours(t, tab, lake.Query{Ref: "half"}),
				ours(t, tab, lake.Query{Where: map[string][]string{"symbol": {"S2-USDT"}}, Columns: cols}), ours(t, tab, lake.Query{From: from, To: from + market.Hour}),
			}
			if want[0].Rows != trades.N || want[1].Rows != half.N || want[3].Rows == 0 || want[4].Rows == 0 {
				t.Fatalf("we read %+v", want)
			}
			sql := func(text string) map[string]any { return map[string]any{"what": "sql", "sql": text} }
			cat := p.table["catalog"].(map[string]string)["name"]
			var wrote []digest
			for _, tool := range []string{"pyiceberg", "duckdb", "polars", "spark"} {
				do := slices.Clone(ask1)
				switch tool {
				case "duckdb":
					do = slices.Delete(do, 2, 3) // it takes a snapshot by id only
				case "spark":
					do = append(do, sql("INSERT INTO "+cat+".processed.trade SELECT * FROM "+cat+".processed.trade WHERE symbol = 'S3-USDT'"), map[string]any{"what": "rows"},
						sql("CALL "+cat+".system.rewrite_data_files(table => 'processed.trade', options => map('rewrite-all', 'true'))"), map[string]any{"what": "rows"})
				}
				got := ask(t, p, tab, tool, do...)
				if tool == "duckdb" {
					got = slices.Insert(got, 2, want[2])
				}
				for i := range want {
					if got[i].Rows != want[i].Rows || got[i].Hash != want[i].Hash {
						t.Errorf("%s: %v gives %d rows %s; we read %d rows %s", tool, ask1[i], got[i].Rows, got[i].Hash, want[i].Rows, want[i].Hash)
					}
				}
				for col, typ := range map[string]string{"ts": "timestamp[us, tz=", "seq": "int64", "epoch": "int32", "event_id": "binary", "late": "bool", "symbol": "string"} {
					if g := got[0].Types[col]; !strings.Contains(g, typ) {
						t.Errorf("%s: column %s is %s", tool, col, g)
					}
				}
				if got[0].Files != nil && got[4].Files != nil && *got[4].Files >= *got[0].Files {
					t.Errorf("%s: plans %d files for an hour, %d for all", tool, *got[4].Files, *got[0].Files)
				}
				if tool == "spark" {
					wrote = got[len(ask1):]
					break
				}
				b, w := ask(t, p, tables["processed.book"], tool, map[string]any{"what": "rows"})[0], ours(t, tables["processed.book"], lake.Query{})
				if b.Rows != w.Rows || b.Hash != w.Hash {
					t.Errorf("%s: book has %d rows %s; we read %d rows %s", tool, b.Rows, b.Hash, w.Rows, w.Hash)
				}
			}
			got := wrote
			if got[1].Rows <= trades.N || got[1].Hash != got[3].Hash {
				t.Errorf("spark: %+v", got)
			}
			if w := ours(t, tab, lake.Query{}); w.Rows != got[3].Rows || w.Hash != got[3].Hash {
				t.Errorf("after Spark we read %d rows %s, it has %d rows %s", w.Rows, w.Hash, got[3].Rows, got[3].Hash)
			}
			s := sink.NewEvents(l, insts, market.NewFeeds(), sink.Config{})
			if err := s.Add(t.Context(), trades); err != nil {
				t.Fatal(err)
			}
			if c := s.Counts()[market.KindTrade]; c.Added != 0 {
				t.Errorf("events that Spark rewrote are not known: %+v", c)
			}
		})
	}
}

// Tables that are partitioned by symbol or by buckets of symbols are read by every tool as we
// read them; a filter on the symbol prunes their files, so buckets are those of the tool. Rows
// that Spark adds are in the partitions where we look for them.
func TestTables_BySymbol(t *testing.T) {
	for by, tools := range map[string][]string{"each": {"pyiceberg"}, "4": {"pyiceberg", "duckdb", "polars", "spark"}} {
		t.Run(by, func(t *testing.T) {
			p := places(t)["folder"](t)
			p.conf.Now, p.conf.Build = time.Now, "test"
			l, err := lake.Open(t.Context(), p.conf)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			split, err := lake.BySymbol(by)
			if err != nil {
				t.Fatal(err)
			}
			insts := market.NewInstruments()
			trades, _ := events(rand.New(rand.NewPCG(3, 4)), insts)
			add := func(c sink.Config) sink.Counts {
				s := sink.NewEvents(l, insts, market.NewFeeds(), c)
				if err := s.Add(t.Context(), trades); err != nil {
					t.Fatal(err)
				}
				if err := s.Commit(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				return s.Counts()[market.KindTrade]
			}
			add(sink.Config{BySymbol: split})
			tab, err := l.Load(t.Context(), "processed.trade")
			if err != nil {
				t.Fatal(err)
			}
			one := lake.Query{Where: map[string][]string{"symbol": {"S2-USDT"}}}
			want := []digest{ours(t, tab, lake.Query{}), ours(t, tab, one)}
			if want[0].Rows != trades.N || want[1].Rows == 0 {
				t.Fatalf("we read %+v", want)
			}
			cat := p.table["catalog"].(map[string]string)["name"]
			for _, tool := range tools {
				do := []map[string]any{{"what": "rows"}, {"what": "rows", "symbol": "S2-USDT"}}
				if tool == "spark" {
					do = append(do, map[string]any{"what": "sql", "sql": "INSERT INTO " + cat + ".processed.trade SELECT * FROM " + cat + ".processed.trade WHERE symbol = 'S2-USDT'"})
				}
				got := ask(t, p, tab, tool, do...)
				for i := range want {
					if got[i].Rows != want[i].Rows || got[i].Hash != want[i].Hash {
						t.Errorf("%s: %v gives %d rows %s; we read %d rows %s", tool, do[i], got[i].Rows, got[i].Hash, want[i].Rows, want[i].Hash)
					}
				}
				if got[0].Files != nil && *got[1].Files*2 > *got[0].Files {
					t.Errorf("%s: plans %d of %d files for a symbol", tool, *got[1].Files, *got[0].Files)
				}
			}
			if got := ours(t, tab, one); slices.Contains(tools, "spark") && got.Rows != 2*want[1].Rows {
				t.Errorf("after Spark %d rows of the symbol, before %d", got.Rows, want[1].Rows)
			}
			if c := add(sink.Config{}); c.Added != 0 {
				t.Errorf("added again: %+v", c)
			}
		})
	}
}
