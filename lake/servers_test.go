package lake_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/catalog"
	"github.com/pinova-group/tidemark/lake/file"
)

func s3Config(t testing.TB) objstore.S3Config {
	return objstore.S3Config{Endpoint: exenv.Get(t, "TIDEMARK_TEST_S3"), AccessKey: exenv.Get(t, "TIDEMARK_TEST_S3_KEY"), SecretKey: exenv.Get(t, "TIDEMARK_TEST_S3_SECRET")}
}

// onServers runs a test on S3 with the catalogs that are servers. Each run has a folder
// of its own; name makes names of tables that no other run uses.
func onServers(t *testing.T, test func(t *testing.T, c lake.Config, name func(string) string)) {
	for _, kind := range []string{"postgres", "rest"} {
		t.Run(kind, func(t *testing.T) {
			uri := exenv.Get(t, "TIDEMARK_TEST_"+strings.ToUpper(kind))
			run := string(lake.NewCommitID()[:12])
			c := lake.Config{Now: time.Now, Build: "test", S3: s3Config(t), Catalog: catalog.Config{Kind: kind, Name: "tidemark", URI: uri,
				Warehouse: "s3://" + exenv.Get(t, "TIDEMARK_TEST_S3_BUCKET") + "/" + run}}
			test(t, c, func(s string) string { return s + "_" + run })
		})
	}
}

func openServer(t *testing.T, c lake.Config) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestServers_TableLivesAsInAFolder(t *testing.T) {
	onServers(t, func(t *testing.T, c lake.Config, name func(string) string) {
		l := openServer(t, c)
		n := name("processed.trade")
		tab, err := l.Create(t.Context(), n, definition())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Drop(t.Context(), n) }()
		if _, err := l.Create(t.Context(), n, definition()); !errors.Is(err, lake.ErrExists) {
			t.Errorf("a second table of the name: %v", err)
		}
		if names, err := l.Tables(t.Context()); err != nil || !slices.Contains(names, n) {
			t.Errorf("tables %v, %v", names, err)
		}
		if got, err := tab.Columns(); err != nil || !slices.Equal(got, columns) {
			t.Errorf("columns %+v, %v", got, err)
		}
		at := func(n int64) lake.Offsets { return lake.Offsets{{Cluster: "c", Topic: "t", TopicID: "i", Next: n}} }
		first := appendRows(t, tab, 0, 100, lake.Change{From: at(0), Offsets: at(100), ValidThrough: 7})
		if _, err := tab.SetRef(t.Context(), lake.Ref{Name: "one", Tag: true, Snapshot: first.Snapshot}); err != nil {
			t.Fatal(err)
		}
		appendRows(t, tab, 100, 200, lake.Change{From: at(100), Offsets: at(200)})
		tab = reload(t, tab)
		if b, err := tab.Base(); err != nil || b.ValidThrough != 7 || !slices.Equal(b.Offsets, at(200)) {
			t.Errorf("stands at %+v, %v", b, err)
		}
		if f, err := tab.Files(t.Context(), first.Snapshot); err != nil || len(f) != 1 || f[0].Rows != 100 {
			t.Errorf("files of the tag %+v, %v", f, err)
		}
		want := append(slices.Clone(columns), file.Column{ID: 6, Name: "extra", Type: file.String, Nullable: true})
		if tab, err = tab.Evolve(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := tab.Columns(); err != nil || !slices.Equal(got, want) {
			t.Errorf("columns %+v, %v", got, err)
		}
		if err := l.Drop(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if _, err := tab.Append(t.Context(), lake.NewCommitID(), lake.Change{}); !errors.Is(err, lake.ErrNoTable) {
			t.Errorf("append to a dropped table: %v", err)
		}
	})
}

func TestServers_WritersRace(t *testing.T) {
	onServers(t, func(t *testing.T, c lake.Config, name func(string) string) {
		n := name("processed.trade")
		tab, err := openServer(t, c).Create(t.Context(), n, definition())
		if err != nil {
			t.Fatal(err)
		}
		const writers, appends = 3, 5
		var wg sync.WaitGroup
		for w := range int64(writers) {
			l := openServer(t, c)
			wg.Go(func() {
				mine, err := l.Load(t.Context(), n)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range int64(appends) {
					from := (w*appends + i) * 5
					if err := appendUntilDone(t.Context(), mine, from, from+5); err != nil {
						t.Errorf("writer %d append %d: %v", w, i, err)
					}
				}
			})
		}
		wg.Wait()
		want := map[int64]bool{}
		for n := range int64(writers * appends * 5) {
			want[n] = true
		}
		onceEach(t, tab, want)
	})
}

func TestServers_PublicationAndUndo(t *testing.T) {
	onServers(t, func(t *testing.T, c lake.Config, name func(string) string) {
		l := openServer(t, c)
		n := name("feature.bars") + "_v1"
		tab, err := l.Create(t.Context(), n, barsDefinition())
		if err != nil {
			t.Fatal(err)
		}
		appendBars(t, tab, bulk([]string{"btc", "eth"}, 0, 10, 1))
		p := publication(1, 1000, 3, 8, [][]string{{"binance", "btc"}}, bulk([]string{"btc"}, 3, 8, 100))
		p.ID, p.Views[0].Table = lake.NewCommitID(), n
		before := dump(t, l, n)
		if _, err := l.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := dump(t, l, n); len(got) != 20 || slices.Equal(got, before) {
			t.Errorf("published %v", got)
		}
		if _, err := l.Undo(t.Context(), p.ID, lake.Publication{ID: lake.NewCommitID(), At: 2000}); err != nil {
			t.Fatal(err)
		}
		got := dump(t, l, n)
		for i := range got {
			f := strings.Fields(got[i])
			f[4] = "0" // the revision
			got[i] = strings.Join(f, " ")
		}
		if slices.Sort(got); !slices.Equal(got, before) {
			t.Errorf("undone:\n got %v\nwant %v", got, before)
		}
	})
}
