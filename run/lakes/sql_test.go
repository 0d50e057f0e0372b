package lakes_test

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/lakes"
)

// The snippets are run as they are printed and give the plain prices of all rows. What is put
// around them: DuckDB's extension comes from a package instead of the network, Spark gets the catalog that the comment
// names, and ClickHouse is the one of a package, which reads files below the folder that it is in.
func TestSQL_SnippetsRun(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	insts, b, sum := market.NewInstruments(), market.NewBatch(market.KindTrade), 0.0
	const rows = 50
	for i := range int64(rows) {
		e := market.Envelope{Feed: 1, Inst: insts.Intern("binance", market.Spot, "BTC-USDT"), EventTS: 1772359200000000 + i, IngestTS: market.NoTime, Seq: uint64(i), HasSeq: true}
		e.ID[0] = byte(i)
		b.AppendEnvelope(&e)
		b.Cols[market.TradeVenueID].AppendText([]byte("x"))
		b.Cols[market.TradeSide].AppendInt(1)
		b.Cols[market.TradePrice].AppendDec(1000+i*i, int8(i%4))
		b.Cols[market.TradeQuantity].AppendDec(1, 0)
		b.Cols[market.TradePrints].AppendInt(1)
		sum += float64(1000+i*i) / math.Pow10(int(i%4))
	}
	s := sink.NewEvents(l, insts, market.NewFeeds(), sink.Config{})
	if err := s.Add(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	tab, err := l.Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	access := lakes.Access{Kind: "sqlite", Name: lake.CatalogName, URI: filepath.Join(dir, "catalog.db"), Warehouse: "file://" + dir}
	for tool, around := range map[string]string{
		"pyiceberg": "%s\nprint('sum', len(rows), rows['price'].sum())\n",
		"polars":    "%s\nprint('sum', len(rows), rows['price'].sum())\n",
		"duckdb": `
import importlib, pathlib, duckdb
db = duckdb.connect()
for name in ("avro", "iceberg"):
    mod = importlib.import_module("duckdb_extension_" + name)
    db.execute(f"LOAD '{sorted(pathlib.Path(mod.__file__).parent.rglob(f'{name}.duckdb_extension'))[0]}'")
rows = db.sql(%q.replace("INSTALL iceberg; LOAD iceberg;", "")).df()
print('sum', len(rows), rows['price'].sum())
`,
		"clickhouse": `
import os, chdb
os.chdir(%q)
print('sum', chdb.query("SELECT toString(count()) || ' ' || toString(sum(price)) FROM (" + %q.rstrip().rstrip(";") + ")", "TSVRaw"))
`,
		"spark": `
import glob, os, sys
os.environ["PYSPARK_PYTHON"] = sys.executable
from pyspark.sql import SparkSession
jars, k = os.environ["TIDEMARK_TEST_SPARK_JARS"], "spark.sql.catalog.tidemark"
text = %q
conf = dict(p.split(" ", 1) for p in text.split(" with ", 1)[1].split("\n", 1)[0].split(", "))
b = SparkSession.builder.master("local[1]").config("spark.jars", ",".join(glob.glob(jars + "/*.jar"))).config("spark.driver.extraClassPath", jars + "/*")
b = b.config("spark.ui.enabled", "false").config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
b = b.config(k, "org.apache.iceberg.spark.SparkCatalog")
for key, value in conf.items():
    b = b.config(k + "." + key, value)
rows = b.getOrCreate().sql(text.rstrip().rstrip(";")).toPandas()
print('sum', len(rows), rows['price'].sum())
`,
	} {
		t.Run(tool, func(t *testing.T) {
			if tool == "spark" && os.Getenv("TIDEMARK_TEST_SPARK_JARS") == "" {
				t.Skip("needs TIDEMARK_TEST_SPARK_JARS: scripts/servers.sh start spark")
			}
			if tool == "clickhouse" && os.Getenv("CI") != "true" && exec.CommandContext(t.Context(), python, "-c", "import chdb").Run() != nil {
				t.Skip("needs chdb, which an older .cache/venv does not have: make oracle")
			}
			snippet, err := lakes.SQL(tab, tool, access)
			if err != nil {
				t.Fatal(err)
			}
			args := []any{snippet}
			if tool == "clickhouse" {
				args = []any{dir, snippet}
			}
			cmd := exec.CommandContext(t.Context(), python, "-c", fmt.Sprintf(around, args...))
			var errs strings.Builder
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, snippet, errs.String()[max(0, errs.Len()-3000):])
			}
			_, last, _ := strings.Cut(string(out), "sum ")
			n, text, _ := strings.Cut(strings.TrimSpace(last), " ")
			if got, err := strconv.ParseFloat(text, 64); n != strconv.Itoa(rows) || err != nil || math.Abs(got-sum) > 1e-9*sum {
				t.Errorf("%s rows, prices sum to %s, want %d and %v\n%s", n, text, rows, sum, snippet)
			}
		})
	}
}
