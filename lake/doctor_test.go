package lake

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake/catalog"
	"github.com/pinova-group/tidemark/lake/file"
)

// patient is a lake with one table of two files, for doctors.
type patient struct {
	t   *testing.T
	dir string
	now time.Time
	l   *Lake
	tab *Table
}

func newPatient(t *testing.T, store objstore.Store) *patient {
	t.Helper()
	p := &patient{t: t, dir: t.TempDir(), now: time.Now()}
	var err error
	p.l, err = Open(t.Context(), Config{Dir: p.dir, Store: store, Now: func() time.Time { return p.now }, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.l.Close() })
	p.tab, err = p.l.Create(t.Context(), "ops.trade", Definition{
		Columns: []file.Column{{ID: 1, Name: "symbol", Type: file.String}, {ID: 2, Name: "n", Type: file.Long}, {ID: 3, Name: "event_id", Type: file.Binary}},
		Sort:    []string{"symbol", "n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.append(0, nil)
	p.append(100, nil)
	return p
}

// append commits a file of the rows from..from+99, changed before the commit knows of it.
func (p *patient) append(from int64, change func(*File)) string {
	p.t.Helper()
	cols, err := p.tab.Columns()
	if err != nil {
		p.t.Fatal(err)
	}
	w, err := file.NewWriter(cols, p.tab.Keys())
	if err != nil {
		p.t.Fatal(err)
	}
	b := &file.Batch{N: 100, Cols: make([]file.Col, 3)}
	b.Cols[0].Dict = file.NewDict("BTC-USDT", "ETH-USDT")
	b.Cols[2].Off = []int32{0}
	for n := range int64(100) {
		b.Cols[0].I32 = append(b.Cols[0].I32, int32(n%2))
		b.Cols[1].I64 = append(b.Cols[1].I64, from+n)
		b.Cols[2].Bytes = fmt.Appendf(b.Cols[2].Bytes, "%016d", from+n)
		b.Cols[2].Off = append(b.Cols[2].Off, int32(len(b.Cols[2].Bytes)))
	}
	if err := w.Append(b, nil); err != nil {
		p.t.Fatal(err)
	}
	id := NewCommitID()
	f, err := p.tab.WriteFile(p.t.Context(), id, 0, w)
	if err != nil {
		p.t.Fatal(err)
	}
	if change != nil {
		change(&f)
	}
	if _, err := p.tab.Append(p.t.Context(), id, Change{Add: []File{f}}); err != nil {
		p.t.Fatal(err)
	}
	if p.tab, err = p.tab.Reload(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimPrefix(f.Path, "file://")
}

func (p *patient) examine() []Finding {
	p.t.Helper()
	found, err := p.l.Examine(p.t.Context(), Examination{})
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

// some file of the table in a folder of it, by the end of its name.
func (p *patient) some(folder, end string) string {
	p.t.Helper()
	all, err := filepath.Glob(filepath.Join(p.dir, "table", "ops", "trade", folder, "*"+end))
	if err != nil || len(all) == 0 {
		p.t.Fatalf("no file %s/*%s: %v", folder, end, err)
	}
	return all[len(all)-1]
}

func (p *patient) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) setProperty(key, value string) {
	p.t.Helper()
	_, err := p.tab.change(p.t.Context(), "test", func(cur *Table) ([]table.Requirement, []table.Update, error) {
		if cur.Property(key) == value {
			return nil, nil, nil
		}
		return nil, []table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{key: value})}, nil
	})
	p.do(err)
}

// forgetful keeps no file that it is asked to keep.
type forgetful struct{ objstore.Folder }

func (forgetful) Keeps(context.Context, string) (bool, error) { return false, nil }

// Each fault is found, by its code and level, and nothing else is: a healthy lake has no findings.
func TestExamine_FindsEachFault(t *testing.T) {
	t.Parallel()
	old := time.Now().Add(-2 * grace)
	for name, c := range map[string]struct {
		store objstore.Store
		harm  func(p *patient)
		want  string // level, code and table of all findings
	}{
		"healthy": {want: ""},
		"a young file without a commit": {want: "", harm: func(p *patient) {
			p.do(os.WriteFile(filepath.Join(filepath.Dir(p.some("data", ".parquet")), "young.parquet"), nil, 0o600))
		}},
		"a data file is gone": {want: "wrong file_missing ops.trade", harm: func(p *patient) { p.do(os.Remove(p.some("data", ".parquet"))) }},
		"a data file is longer": {want: "wrong file_size ops.trade; wrong file_damaged ops.trade", harm: func(p *patient) {
			p.do(appendTo(p.some("data", ".parquet"), "x"))
			p.do(os.Truncate(p.some("data", ".parquet"), 100))
		}},
		"bytes of a file are damaged": {want: "wrong file_damaged ops.trade", harm: func(p *patient) {
			path := p.some("data", ".parquet")
			text, err := os.ReadFile(path)
			p.do(err)
			for i := 4; i < len(text)/2; i++ {
				text[i] ^= 0x55
			}
			p.do(os.WriteFile(path, text, 0o600))
		}},
		"a file is there without a commit": {want: "note orphans ops.trade", harm: func(p *patient) {
			path := filepath.Join(filepath.Dir(p.some("data", ".parquet")), "left.parquet")
			p.do(os.WriteFile(path, []byte("left"), 0o600))
			p.do(os.Chtimes(path, old, old))
		}},
		"a file was begun": {want: "note unfinished ops.trade", harm: func(p *patient) {
			w, err := p.l.store.Create(p.t.Context(), objstore.Join(p.tab.Location(), "data", "x.parquet"))
			p.do(err)
			_, err = w.Write([]byte("begun"))
			p.do(err)
			left, err := objstore.Folder{}.Unfinished(p.t.Context(), p.tab.Location()+"/")
			p.do(err)
			path := strings.TrimPrefix(left[0].URI, "file://")
			p.do(os.Chtimes(path, old, old))
		}},
		"a manifest is gone": {want: "wrong manifest_unreadable ops.trade; warn manifest_unreadable ops.trade", harm: func(p *patient) {
			all, err := filepath.Glob(filepath.Join(p.dir, "table", "ops", "trade", "metadata", "*.avro"))
			p.do(err)
			for _, path := range all {
				p.do(os.Remove(path))
			}
		}},
		"the metadata is gone": {want: "wrong metadata_unreadable ops.trade", harm: func(p *patient) {
			p.do(os.Remove(strings.TrimPrefix(p.tab.MetadataLocation(), "file://")))
		}},
		"bounds are wrong": {want: "wrong statistics_differ ops.trade", harm: func(p *patient) {
			p.append(200, func(f *File) {
				for _, rg := range f.Info.Meta.RowGroups {
					binary.LittleEndian.PutUint64(rg.Columns[1].MetaData.Statistics.MinValue, 250)
				}
			})
		}},
		"rows are there twice": {want: "wrong events_twice ops.trade", harm: func(p *patient) { p.append(50, nil) }},
		"another tool committed": {want: "note foreign_snapshots ops.trade", harm: func(p *patient) {
			tx := p.tab.inner.NewTransaction()
			p.do(catalog.EmptySnapshot(p.t.Context(), tx, p.tab.inner.Schema(), nil))
			tc, err := tx.TableCommit()
			p.do(err)
			_, _, err = p.l.cat.CommitTable(p.t.Context(), p.tab.id, tc.Requirements, tc.Updates)
			p.do(err)
		}},
		"a publication is open":    {want: "warn publication_unfinished ops.trade", harm: func(p *patient) { p.setProperty(propOpen+string(NewCommitID()), "0 0 0 0") }},
		"offsets are damaged":      {want: "wrong properties_damaged ops.trade", harm: func(p *patient) { p.setProperty(propOffsets, "?") }},
		"the clock is behind":      {want: "wrong clock_skew ; warn clock_skew ops.trade", harm: func(p *patient) { p.now = p.now.Add(-30 * time.Minute) }},
		"the clock is a bit ahead": {want: "warn clock_skew ", harm: func(p *patient) { p.now = p.now.Add(30 * time.Second) }},
		"many small files": {want: "note small_files ops.trade", harm: func(p *patient) {
			for i := range int64(manySmall) {
				p.append(1000+100*i, nil)
			}
		}},
		"no conditional put": {store: forgetful{}, want: "note no_conditional_put "},
		"no reading": {store: &objstore.Faulty{Store: objstore.Folder{}, Plan: func(_ int64, op objstore.Op, uri string) objstore.Fault {
			if op == objstore.OpRead && strings.Contains(uri, "/probe-") {
				return objstore.Before
			}
			return objstore.None
		}}, want: "wrong storage_read "},
		"no writing": {store: &objstore.Faulty{Store: objstore.Folder{}, Plan: func(_ int64, op objstore.Op, uri string) objstore.Fault {
			if op == objstore.OpClose && strings.Contains(uri, "/probe-") {
				return objstore.Before
			}
			return objstore.None
		}}, want: "wrong storage_write "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, c.store)
			if c.harm != nil {
				c.harm(p)
			}
			var got []string
			for _, f := range p.examine() {
				got = append(got, fmt.Sprintf("%s %s %s", f.Level, f.Code, f.Table))
				if f.What == "" || f.Remedy == "" {
					t.Errorf("%s does not say what and what to do: %+v", f.Code, f)
				}
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("found %q, want %q\n%+v", text, c.want, p.examine())
			}
		})
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// A file that is in another order than the one asked for is told, with its row.
func TestExamine_OrderIsReadFromTheRows(t *testing.T) {
	t.Parallel()
	p := newPatient(t, nil)
	cols, err := p.tab.Columns()
	p.do(err)
	files, err := p.tab.Files(t.Context(), 0)
	p.do(err)
	r, err := file.Open(&ranges{t.Context(), p.l.store, files[0].Path}, files[0].Bytes, files[0].Path)
	p.do(err)
	if at, err := unordered(r, cols, p.tab.Keys()); at != -1 || err != nil {
		t.Errorf("a sorted file: row %d, %v", at, err)
	}
	keys := slices.Clone(p.tab.Keys())
	slices.Reverse(keys) // by number alone, the second symbol begins anew
	if at, err := unordered(r, cols, keys); at != 50 || err != nil {
		t.Errorf("an unsorted file: row %d, %v", at, err)
	}
}
