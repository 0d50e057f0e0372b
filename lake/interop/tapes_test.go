package interop_test

import (
	"os"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/run"
)

// All recorded tapes, imported into a folder and into a REST catalog with S3, are read by DuckDB and
// PyIceberg as we read them, row for row, and doctor finds nothing wrong. That what we read is what
// the files hold is TestLake_AllTapesAreTheSameEverywhere's. TIDEMARK_FULL=1 takes all tapes, else every sixth.
func TestTapes_AreReadByOtherTools(t *testing.T) {
	files, least := exdata.Tapes(t), 500_000
	if os.Getenv("TIDEMARK_FULL") == "" { // Python takes two minutes to hash all rows
		var some []string
		for i := 0; i < len(files); i += 6 {
			some = append(some, files[i])
		}
		files, least = some, 20_000
	}
	exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	hashes := map[string]string{}
	for _, name := range []string{"folder", "rest"} {
		t.Run(name, func(t *testing.T) {
			p := places(t)[name](t)
			p.conf.Now, p.conf.Build = time.Now, "test"
			l, err := lake.Open(t.Context(), p.conf)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			rep, err := run.Import(t.Context(), run.ImportConfig{Inputs: files}, l, run.Env{Warn: func(string) {}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { // the REST server is one for all tests
				for table := range rep.Tables {
					_ = l.Drop(t.Context(), table)
				}
			}()
			rows := 0
			for table := range rep.Tables {
				tab, err := l.Load(t.Context(), table)
				if err != nil {
					t.Fatal(err)
				}
				want := ours(t, tab, lake.Query{})
				rows += want.Rows
				if hashes[table] == "" {
					hashes[table] = want.Hash
				} else if hashes[table] != want.Hash {
					t.Errorf("%s has other rows than in the folder", table)
				}
				if least < 500_000 && table != "processed.trade" && table != "processed.book" {
					continue // each question to a tool takes it seconds to start
				}
				for _, tool := range []string{"duckdb", "pyiceberg"} {
					if got := ask(t, p, tab, tool, map[string]any{"what": "rows"})[0]; got.Rows != want.Rows || got.Hash != want.Hash {
						t.Errorf("%s: %s has %d rows %s, we read %d rows %s", tool, table, got.Rows, got.Hash, want.Rows, want.Hash)
					}
				}
			}
			t.Logf("%d tables, %d rows", len(rep.Tables), rows)
			if rows < least {
				t.Errorf("only %d rows", rows)
			}
			found, err := l.Examine(t.Context(), lake.Examination{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if f.Level != lake.Note && f.Table != "" && rep.Tables[f.Table].Files > 0 {
					t.Errorf("doctor: %+v", f)
				}
			}
		})
	}
}
