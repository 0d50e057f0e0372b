package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market/canon"
)

func vendorMap(unit string) *canon.Map {
	return &canon.Map{Kind: "trade", Nulls: []string{"NA"}, Columns: map[string]canon.Source{
		"feed": {Value: "my-desk"}, "exchange": {Value: "alpha"}, "market": {Value: "spot"},
		"symbol":   {Column: "pair", Words: map[string]string{"BTCUSDT": "BTC-USDT"}},
		"event_ts": {Column: "time", Unit: unit}, "id": {Column: "trade_id"},
		"side":  {Column: "buyer_maker", Words: map[string]string{"true": "sell", "false": "buy"}},
		"price": {Column: "px"}, "quantity": {Column: "qty"},
	}}
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// vendorRows are n trades as a vendor writes them and as canonical rows.
func vendorRows(n int) (vendor, canonical string) {
	var v, c strings.Builder
	v.WriteString("trade_id,time,pair,px,qty,buyer_maker\n")
	c.WriteString("kind,feed,exchange,market,symbol,event_ts,id,side,price,quantity\n")
	for i := range n {
		ms, px, qty := 1767571200000+int64(i)*250, fmt.Sprintf("9%04d.%02d", i%10000, i%100), fmt.Sprintf("0.%08d", i%977+1)
		fmt.Fprintf(&v, "%d,%d,BTCUSDT,%s,%s,%v\n", i, ms, px, qty, i%3 == 0)
		fmt.Fprintf(&c, "trade,my-desk,alpha,spot,BTC-USDT,%d000,%d,%s,%s,%s\n", ms, i, map[bool]string{true: "sell", false: "buy"}[i%3 == 0], px, qty)
	}
	return v.String(), c.String()
}

// A mapped file gives the very events of the canonical one: the second import adds nothing, and
// the rows of a view are the same.
func TestMap_GivesTheEventsOfCanonicalRows(t *testing.T) {
	dir := t.TempDir()
	v, c := vendorRows(2000)
	vendor, canonical := writeFile(t, dir, "v.csv", v), writeFile(t, dir, "c.csv", c)
	l := openLake(t)
	importFiles(t, l, ImportConfig{Inputs: []string{canonical}})
	rep := importFiles(t, l, ImportConfig{Inputs: []string{vendor}, Map: vendorMap("ms")})
	if n := rep.Tables["processed.trade"]; n.Added != 0 || n.Known != 2000 {
		t.Errorf("the mapped file added %d and knew %d of 2000", n.Added, n.Known)
	}
	var rows [2]bytes.Buffer
	for i, cfg := range []Config{{Inputs: []string{vendor}, Map: vendorMap("ms")}, {Inputs: []string{canonical}}} {
		base := DefaultConfig()
		base.Specs, base.Inputs, base.Map = []string{"trade_bars_1m"}, cfg.Inputs, cfg.Map
		if _, err := Run(t.Context(), base, Env{Stdout: &rows[i], Warn: func(string) {}}); err != nil {
			t.Fatal(err)
		}
	}
	if rows[0].Len() == 0 || !bytes.Equal(rows[0].Bytes(), rows[1].Bytes()) {
		t.Error("rows of the mapped file differ from those of the canonical one")
	}
}

// A table of PostgreSQL comes as what COPY … TO STDOUT gives, piped in: the very events of the canonical rows.
func TestMap_TableOfPostgreSQL(t *testing.T) {
	uri := exenv.Get(t, "TIDEMARK_TEST_POSTGRES")
	db, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }()
	const rows = 2000
	vendor, canonical := vendorRows(rows)
	l := openLake(t)
	importFiles(t, l, ImportConfig{Inputs: []string{writeFile(t, t.TempDir(), "c.csv", canonical)}})
	do := func(sql string) {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TEMP TABLE raw (trade_id bigint, time bigint, pair text, px numeric(18,2), qty numeric(18,8), buyer_maker text)")
	if _, err := db.PgConn().CopyFrom(t.Context(), strings.NewReader(vendor), "COPY raw FROM STDIN (FORMAT csv, HEADER)"); err != nil {
		t.Fatal(err)
	}
	do("CREATE TEMP VIEW fills AS SELECT trade_id, to_timestamp(time / 1000.0) AS at, pair, px, qty, buyer_maker = 'true' AS buyer_maker FROM raw")
	var out bytes.Buffer
	if _, err := db.PgConn().CopyTo(t.Context(), &out, `COPY (SELECT trade_id, (extract(epoch FROM at) * 1000000)::bigint AS time, pair, px, qty,
		CASE WHEN buyer_maker THEN 'true' ELSE 'false' END AS buyer_maker FROM fills ORDER BY at) TO STDOUT (FORMAT csv, HEADER)`); err != nil {
		t.Fatal(err)
	}
	rep, err := Import(t.Context(), ImportConfig{Inputs: []string{"-"}, Map: vendorMap("us")}, l, Env{Stdin: &out, Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	if n := rep.Tables["processed.trade"]; n.Added != 0 || n.Known != rows {
		t.Errorf("of %d rows of the database %d were added and %d known", rows, n.Added, n.Known)
	}
}

// Parquet that DuckDB wrote, with exact decimals, doubles, text or times of any unit, gives the same events.
func TestMap_ParquetOfDuckDB(t *testing.T) {
	python := os.Getenv("TIDEMARK_ORACLE_PYTHON")
	if python == "" {
		t.Skip("needs TIDEMARK_ORACLE_PYTHON with duckdb")
	}
	dir := t.TempDir()
	v, c := vendorRows(2000)
	vendor, canonical := writeFile(t, dir, "v.csv", v), writeFile(t, dir, "c.csv", c)
	l := openLake(t)
	importFiles(t, l, ImportConfig{Inputs: []string{canonical}})
	for i, q := range []struct{ cols, unit string }{
		{"trade_id, epoch_ms(time) AS time, pair, px::DECIMAL(38,8) AS px, qty::DECIMAL(18,8) AS qty, buyer_maker::BOOLEAN AS buyer_maker", ""},
		{"trade_id::BIGINT AS trade_id, make_timestamptz(time * 1000) AS time, pair, px::VARCHAR AS px, qty::DOUBLE AS qty, buyer_maker", ""},
		{"trade_id, (time * 1000000)::BIGINT AS time, pair, px, qty, buyer_maker", "ns"},
	} {
		path := filepath.Join(dir, fmt.Sprintf("v%d.parquet", i))
		script := fmt.Sprintf(`import duckdb; duckdb.sql("SET TimeZone='UTC'; COPY (SELECT %s FROM read_csv('%s', types={'px':'VARCHAR','qty':'VARCHAR','trade_id':'VARCHAR','buyer_maker':'VARCHAR'})) TO '%s' (FORMAT parquet)")`, q.cols, vendor, path)
		if out, err := exec.Command(python, "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("duckdb: %v\n%s", err, out)
		}
		rep := importFiles(t, l, ImportConfig{Inputs: []string{path}, Map: vendorMap(q.unit)})
		if n := rep.Tables["processed.trade"]; n.Added != 0 || n.Known != 2000 {
			t.Errorf("%s: added %d and knew %d of 2000 (%+v)", q.cols, n.Added, n.Known, rep.Stats)
		}
	}
}

func TestMap_BadRowsGoToTheDeadLetters(t *testing.T) {
	dir := t.TempDir()
	vendor := writeFile(t, dir, "v.csv", "trade_id,time,pair,px,qty,buyer_maker\n1,1767571200000,BTCUSDT,1.50,1,true\n2,1767571200,BTCUSDT,1,1,true\n3,1767571200000,BTCUSDT,NA,1,true\n")
	dlq := filepath.Join(dir, "dlq.jsonl")
	rep := importFiles(t, openLake(t), ImportConfig{Inputs: []string{vendor}, Map: vendorMap("ms"), DLQ: dlq})
	if rep.Stats.Applied != 1 || rep.Stats.DLQ != 2 || rep.Exit() != fault.ExitRejected {
		t.Errorf("got %+v", rep.Stats)
	}
	text, err := os.ReadFile(dlq)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var l letter
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s %s %s", l.Line, l.Reason, l.Detail, *l.Raw))
	}
	want := []string{"3 event time out of range 1767571200 (looks like s, the map says ms) 2,1767571200,BTCUSDT,1,1,true", "4 value is missing price 3,1767571200000,BTCUSDT,NA,1,true"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestMap_Preview(t *testing.T) {
	dir := t.TempDir()
	v, _ := vendorRows(50)
	vendor := writeFile(t, dir, "v.csv", v+"broken\n")
	p, err := PreviewImport(t.Context(), ImportConfig{Inputs: []string{vendor}, Map: vendorMap("ms")}, 3, Env{})
	if err != nil {
		t.Fatal(err)
	}
	first := `{"kind":"trade","feed":"my-desk","exchange":"alpha","market":"spot","symbol":"BTC-USDT","event_ts":1767571200000000,"id":"0","side":"sell","price":"90000.00","quantity":"0.00000001"}`
	if len(p.Rows) != 3 || string(p.Rows[0]) != first || p.BadRows != 1 || p.Bad[0].Line != 52 || p.Exit() != fault.ExitRejected {
		t.Errorf("got %s, %+v", p.Rows, p)
	}
}
