package file

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/market"
)

// oracleText prints rows as testdata/files.py does.
func oracleText(cols []Column, b *Batch) []string {
	out := make([]string, b.N)
	cells := make([]string, len(cols))
	for i := range out {
		for k := range cols {
			c := &b.Cols[k]
			switch {
			case c.IsNull(i):
				cells[k] = "null"
			case cols[k].Type == Int || cols[k].Type == Boolean:
				cells[k] = fmt.Sprint(c.I32[i])
			case cols[k].Type == Double:
				cells[k] = fmt.Sprint(int64(math.Float64bits(c.F64[i])))
			case cols[k].Type == String:
				cells[k] = "s" + string(c.Text(i))
			case cols[k].Type == Binary:
				cells[k] = "b" + hex.EncodeToString(c.Text(i))
			case cols[k].Type == LongList:
				cells[k] = fmt.Sprint(c.Longs(i))
			case cols[k].Type == Decimal:
				v := new(big.Int).Lsh(big.NewInt(c.Hi[i]), 64)
				cells[k] = v.Add(v, new(big.Int).SetUint64(c.Lo[i])).String()
			default:
				cells[k] = fmt.Sprint(c.I64[i])
			}
		}
		out[i] = strings.Join(cells, "|")
	}
	return out
}

// oracleRows reads all rows of a scan as such texts.
func oracleRows(t *testing.T, r *Reader, q Query) []string {
	t.Helper()
	s, err := r.Scan(q)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range s.Runs() {
		c, err := s.Open(i)
		if err != nil {
			t.Fatal(err)
		}
		for {
			b, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			out = append(out, oracleText(s.Columns(), b)...)
		}
	}
	return out
}

// TestOracle_OthersReadAndWrite: DuckDB and pyarrow read the values that were written,
// and bounds and null counts that are those of the rows; and what DuckDB, pyarrow and
// Polars write of them, sorted or shuffled, in their encodings, is read back the same.
func TestOracle_OthersReadAndWrite(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	want := map[string][]string{}
	tables := map[string]Query{}
	for kind := market.Kind(1); kind < market.NumKinds; kind++ {
		insts, feeds := market.NewInstruments(), market.NewFeeds()
		n := 1_500
		if kind == market.KindTrade || kind == market.KindBook {
			n = 17_000 // more than a page
		}
		all := sortedBatch(randomEvents(rand.New(rand.NewPCG(4, uint64(kind))), kind, n, insts, feeds), insts)
		p := NewPacker(nil, kind, true, insts, feeds)
		w, err := NewWriter(p.Columns(), EventKeys())
		if err != nil {
			t.Fatal(err)
		}
		data, _ := packed(t, w, p, all)
		if err := os.WriteFile(filepath.Join(dir, kind.String()+".parquet"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := p.Pack(all)
		if err != nil {
			t.Fatal(err)
		}
		want[kind.String()] = oracleText(p.Columns(), b)
		tables[kind.String()] = Query{Table: p.Columns(), Keys: EventKeys()}
	}
	if out, err := exec.Command(python, "testdata/files.py", dir).CombinedOutput(); err != nil {
		t.Fatalf("oracle: %v\n%s", err, out)
	}
	for name, rows := range want {
		for _, who := range []string{"duckdb", "pyarrow"} {
			text, err := os.ReadFile(filepath.Join(dir, name+"."+who+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			same(t, name+" read by "+who, got, rows)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "foreign", "*.parquet"))
	if err != nil || len(files) < 40 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(f)
		r, err := Open(bytes.NewReader(data), int64(len(data)), base)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(base, ".")
		rows := want[name]
		got := oracleRows(t, r, tables[name])
		same(t, base, got, rows)
	}
}

func same(t *testing.T, name string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", name, len(got), len(want))
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: row %d is\n%s, want\n%s", name, i, got[i], want[i])
			return
		}
	}
}
