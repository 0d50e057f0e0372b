package adapters

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/market"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden runs a file of testdata: lines "> input" go to the decoder, what it makes of
// each stands below it; a line "# …" starts a new decoder, "^url" sets the URL of the
// lines that follow, "." flushes.
func golden(t *testing.T, a *Adapter, name string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	env, dec := Env{}, Decoder(nil)
	var offset int64
	var url string
	for l := range strings.Lines(string(want)) {
		text := strings.TrimSuffix(l, "\n")
		var out market.Chunk
		switch {
		case strings.HasPrefix(text, "#"):
			env = Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()}
			dec, offset, url = a.New(env), 0, ""
			if got.Len() > 0 {
				got.WriteByte('\n')
			}
			fmt.Fprintln(&got, text)
			continue
		case strings.HasPrefix(text, "^"):
			url = text[1:]
			fmt.Fprintln(&got, text)
			continue
		case strings.HasPrefix(text, ">"):
			offset++
			rec := Record{Data: []byte(strings.TrimPrefix(text[1:], " ")), Ingest: market.NoTime, Offset: offset, URL: url}
			err = dec.Decode(&rec, &out)
		case text == ".":
			err = dec.(Flusher).Flush(&out)
		default:
			continue
		}
		fmt.Fprintln(&got, text)
		checkChunk(t, &out)
		dump(&got, env, &out)
		switch {
		case err != nil:
			fmt.Fprintf(&got, "  %v\n", err)
		case out.Len() == 0:
			fmt.Fprintln(&got, "  nothing")
		}
		if err != nil && !errors.Is(err, ErrFiltered) && !errors.As(err, new(*BadRecord)) {
			t.Errorf("%s: error of unknown type %T", text, err)
		}
	}
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, d)
	}
}

// dump prints events, a line each.
func dump(w *bytes.Buffer, env Env, c *market.Chunk) {
	for k, b := range c.Batches {
		if b == nil {
			continue
		}
		for i := range b.N {
			x := env.Insts.Get(b.Inst[i])
			fmt.Fprintf(w, "  %v %s %s %v %s ts=%d", market.Kind(k), env.Feeds.Get(b.Feed[i]).Name, x.Exchange, x.Venue, x.Symbol, b.EventTS[i])
			if b.IngestTS[i] != market.NoTime {
				fmt.Fprintf(w, " ingest=%d", b.IngestTS[i])
			}
			if b.HasSeq[i] {
				fmt.Fprintf(w, " seq=%d", b.Seq[i])
			}
			if b.Flags[i] != 0 {
				fmt.Fprintf(w, " flags=%d", b.Flags[i])
			}
			fmt.Fprintf(w, " raw=%d id=%x", b.RawBytes[i], b.ID[i][:3])
			for j, f := range market.Schema(market.Kind(k)) {
				dumpCol(w, f, &b.Cols[j], i)
			}
			w.WriteByte('\n')
		}
	}
}

func dumpCol(w *bytes.Buffer, f market.Field, c *market.Col, i int) {
	if c.IsNull(i) {
		return
	}
	fmt.Fprintf(w, " %s=", f.Name)
	switch f.Type {
	case market.TypeDec:
		fmt.Fprint(w, decText(c.I64[i], c.Scale[i]))
	case market.TypeEnum:
		fmt.Fprint(w, f.Words[c.I64[i]])
	case market.TypeText:
		fmt.Fprintf(w, "%s", c.Text(i))
	case market.TypeDecs:
		var all []string
		for _, m := range c.Decs(i) {
			all = append(all, decText(m, c.Scale[i]))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(all, " "))
	default:
		fmt.Fprint(w, c.I64[i])
	}
}

func decText(m int64, s int8) string {
	sign := ""
	if m < 0 {
		sign, m = "-", -m
	}
	t := fmt.Sprintf("%0*d", int(s)+1, m)
	if s > 0 {
		t = t[:len(t)-int(s)] + "." + t[len(t)-int(s):]
	}
	return sign + t
}
