package input

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plainAdapter reads lines "time" or "time time …" in seconds after 2020; each time is a
// trade. A line "w time" is a watermark record, "#" is dropped, all else is bad.
var plainAdapter = &adapters.Adapter{
	Name: "plain", Framing: adapters.Lines,
	Detect: func(head []byte) int {
		if len(head) > 0 && (head[0] >= '0' && head[0] <= '9' || head[0] == 'w' || head[0] == '#') {
			return 50
		}
		return 0
	},
	New: func(e adapters.Env) adapters.Decoder { return &plainDecoder{env: e} },
}

// wholeAdapter reads a whole file of such times, introduced by "!".
var wholeAdapter = &adapters.Adapter{
	Name: "plain-whole", Framing: adapters.Whole,
	Detect: func(head []byte) int {
		if bytes.HasPrefix(head, []byte("!")) {
			return 90
		}
		return 0
	},
	New: func(e adapters.Env) adapters.Decoder { return &plainDecoder{env: e} },
}

// tb is what testing.T and rapid.T share.
type tb interface {
	Helper()
	Fatal(args ...any)
}

const epoch = 1577836800 * market.Second

type plainDecoder struct{ env adapters.Env }

func (d *plainDecoder) State(*adapters.State) {}

func (d *plainDecoder) Decode(rec *adapters.Record, out *market.Chunk) error {
	text := strings.TrimPrefix(string(rec.Data), "!")
	if text == "#" {
		return adapters.Filtered("dropped on purpose")
	}
	kind := market.KindTrade
	if t, ok := strings.CutPrefix(text, "w "); ok {
		text, kind = t, market.KindWatermark
	}
	for f := range strings.FieldsSeq(text) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return adapters.Bad("not a number", rec.Data)
		}
		b := out.Batch(kind)
		b.AppendEnvelope(&market.Envelope{
			Feed: d.env.Feeds.Intern("plain"), Shard: rec.Shard, Inst: d.env.Insts.Intern("x", market.Spot, "A-B"),
			EventTS: epoch + n*market.Second, IngestTS: market.NoTime, Seq: uint64(rec.Offset), HasSeq: true,
		})
		if kind == market.KindTrade {
			b.Cols[market.TradeVenueID].AppendNullText()
			b.Cols[market.TradeSide].AppendInt(0)
			b.Cols[market.TradePrice].AppendDec(n, 0)
			b.Cols[market.TradeQuantity].AppendDec(1, 0)
			b.Cols[market.TradePrints].AppendInt(1)
		}
	}
	return nil
}

func gz(parts ...string) []byte {
	var buf bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&buf)
		_, _ = w.Write([]byte(p))
		_ = w.Close()
	}
	return buf.Bytes()
}

func zst(t tb, parts ...string) []byte {
	t.Helper()
	var out []byte
	for _, p := range parts {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		out = w.EncodeAll([]byte(p), out)
		_ = w.Close()
	}
	return out
}

func put(t tb, dir, name string, data []byte) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// result is what came out of a read, in order.
type result struct {
	times   []int64 // seconds of the trades
	shards  []uint16
	bad     []Bad
	chunks  []string // one letter an event: t trade, w watermark; . an ended line
	sources []*Source
}

func readAll(t tb, cfg Config) result {
	t.Helper()
	if cfg.Adapters == nil {
		cfg.Adapters = []*adapters.Adapter{plainAdapter, wholeAdapter}
	}
	cfg.Feeds, cfg.Insts, cfg.Places = market.NewFeeds(), market.NewInstruments(), true
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var res result
	var ch Chunk
	for {
		err := r.Next(context.Background(), &ch)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		s := ""
		if b := ch.Batches[market.KindTrade]; b != nil {
			for i := range b.N {
				res.times = append(res.times, (b.EventTS[i]-epoch)/market.Second)
				res.shards = append(res.shards, b.Shard[i])
				s += "t"
			}
		}
		if b := ch.Batches[market.KindWatermark]; b != nil {
			s += strings.Repeat("w", b.N)
		}
		res.chunks = append(res.chunks, s+strings.Repeat(".", len(ch.Ended)))
		res.bad = append(res.bad, ch.Bad...)
	}
	res.sources = r.Sources()
	return res
}

func TestReader_CompressionAndMembers(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"plain": []byte("1\n2\r\n3"), "gz": gz("1\n2\n", "3\n"), "zst": zst(t, "1\n", "2\n3"),
		"skippable.zst": append([]byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9}, zst(t, "1\n2\n3\n")...),
	} {
		res := readAll(t, Config{Paths: []string{put(t, dir, name, data)}})
		if !slices.Equal(res.times, []int64{1, 2, 3}) || len(res.bad) != 0 {
			t.Errorf("%s: %v %v", name, res.times, res.bad)
		}
	}
}

func TestReader_DamagedCompressionKeepsWhatWasReadable(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	for i := range 50000 {
		fmt.Fprintf(&text, "%d\n", i)
	}
	whole := gz(text.String())
	res := readAll(t, Config{Paths: []string{put(t, dir, "cut.gz", whole[:len(whole)/2])}})
	if len(res.times) < 1000 || len(res.bad) != 1 || res.bad[0].Reason != "gzip data is cut short" {
		t.Fatalf("%d events, bad %v", len(res.times), res.bad)
	}
	if b := res.bad[0]; b.Line != int64(len(res.times))+1 || b.Offset == 0 || b.Input == "" {
		t.Errorf("place %+v", b)
	}
	broken := bytes.Clone(whole)
	broken[len(broken)-5] ^= 0xff // checksum
	res = readAll(t, Config{Paths: []string{put(t, dir, "sum.gz", broken)}})
	if len(res.times) != 50000 || len(res.bad) != 1 || res.bad[0].Reason != "gzip data is damaged" {
		t.Errorf("%d events, bad %v", len(res.times), res.bad)
	}
	z := zst(t, text.String())
	res = readAll(t, Config{Paths: []string{put(t, dir, "cut.zst", z[:len(z)-9])}})
	if len(res.bad) != 1 || !strings.HasPrefix(res.bad[0].Reason, "zstd data is") {
		t.Errorf("bad %v", res.bad)
	}
	res = readAll(t, Config{Paths: []string{put(t, dir, "tiny.gz", whole[:5])}})
	if len(res.bad) != 1 || res.bad[0].Reason != "gzip data is cut short" {
		t.Errorf("bad %v", res.bad)
	}
}

func TestReader_BadLinesHavePlaces(t *testing.T) {
	p := put(t, t.TempDir(), "x", []byte("1\n#\nnonsense\n2\n3 x\n"))
	res := readAll(t, Config{Paths: []string{p}})
	if !slices.Equal(res.times, []int64{1, 2, 3}) {
		t.Errorf("times %v", res.times)
	}
	want := []string{"3 4 nonsense", "5 15 3 x"}
	var got []string
	for _, b := range res.bad {
		got = append(got, fmt.Sprintf("%d %d %s", b.Line, b.Offset, b.Raw))
	}
	if !slices.Equal(got, want) {
		t.Errorf("bad %q, want %q", got, want)
	}
	if s := res.sources[0]; s.Bad != 2 || s.Filtered != 1 || s.Events != 3 || s.Records != 5 || s.Format != "plain" {
		t.Errorf("source %+v", *s)
	}
}

func TestReader_HugeLineIsSkipped(t *testing.T) {
	p := put(t, t.TempDir(), "x", []byte("1\n"+strings.Repeat("9", MaxLine+10)+"\n2\n"+strings.Repeat(" ", MaxLine-1)+"3\n4"))
	res := readAll(t, Config{Paths: []string{p}})
	if !slices.Equal(res.times, []int64{1, 2, 3, 4}) {
		t.Errorf("times %v", res.times)
	}
	if len(res.bad) != 1 || res.bad[0].Line != 2 || len(res.bad[0].Raw) != keepLong || res.bad[0].Reason != "record is longer than 16 MiB" {
		t.Errorf("%d bad: %d %s", len(res.bad), res.bad[0].Line, res.bad[0].Reason)
	}
}

func TestReader_EmptyAndUnknownFiles(t *testing.T) {
	dir := t.TempDir()
	res := readAll(t, Config{Paths: []string{
		put(t, dir, "empty", nil), put(t, dir, "empty.gz", gz("")), put(t, dir, "data", []byte("7\n")),
		put(t, dir, "garbage", []byte{0, 1, 2, 0xff, '\n', 3}),
	}})
	if !slices.Equal(res.times, []int64{7}) || len(res.bad) != 1 || res.bad[0].Reason != "format is not recognised" {
		t.Fatalf("%v %v", res.times, res.bad)
	}
	var empty []bool
	for _, s := range res.sources {
		empty = append(empty, s.Empty)
	}
	if !slices.Equal(empty, []bool{true, true, false, false}) {
		t.Errorf("empty %v", empty)
	}
	if !bytes.Equal(res.bad[0].Raw, []byte{0, 1, 2, 0xff, '\n', 3}) {
		t.Errorf("raw %v", res.bad[0].Raw)
	}
}

func TestReader_ControlRecordEndsChunk(t *testing.T) {
	p := put(t, t.TempDir(), "x", []byte("1\n2\nw 2\n3\nw 3\nw 4\n5"))
	res := readAll(t, Config{Paths: []string{p}})
	if want := []string{"ttw", "tw", "w", "t."}; !slices.Equal(res.chunks, want) {
		t.Errorf("chunks %v, want %v", res.chunks, want)
	}
}

func TestReader_StdinAndExplicitFormat(t *testing.T) {
	res := readAll(t, Config{Paths: []string{Stdin}, Stdin: bytes.NewReader(gz("5\n6\n"))})
	if !slices.Equal(res.times, []int64{5, 6}) {
		t.Errorf("times %v", res.times)
	}
	p := put(t, t.TempDir(), "x", []byte("!1 2 3"))
	if res := readAll(t, Config{Paths: []string{p}, Format: "plain"}); res.sources[0].Format != "plain-whole" || len(res.times) != 3 {
		t.Errorf("%v of format %s", res.times, res.sources[0].Format)
	}
	_, err := Open(Config{Paths: []string{p}, Format: "plane", Adapters: []*adapters.Adapter{plainAdapter}})
	if f := fault.From(err); f.Exit != fault.ExitUsage || f.Remedy != "did you mean plain?" {
		t.Errorf("%+v", f)
	}
}

func TestReader_PipesAreReadOnce(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(pipe, []byte("1\n3\n5\n"), 0o600) }()
	res := readAll(t, Config{Paths: []string{pipe, put(t, dir, "file", []byte("2\n4\n"))}})
	if !slices.Equal(res.times, []int64{1, 2, 3, 4, 5}) {
		t.Errorf("times %v", res.times)
	}
}

func TestReader_PlacesFollowRows(t *testing.T) {
	dir := t.TempDir()
	a := put(t, dir, "a", []byte("1 4\n#\n6\n"))
	b := put(t, dir, "b", []byte("2\nx\n3 7\n"))
	r, err := Open(Config{
		Paths: []string{a, b}, Rows: 3, Places: true, Adapters: []*adapters.Adapter{plainAdapter},
		Feeds: market.NewFeeds(), Insts: market.NewInstruments(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	var ch Chunk
	for r.Next(context.Background(), &ch) == nil {
		b := ch.Batch(market.KindTrade)
		for i := range b.N {
			p := ch.Place(market.KindTrade, i)
			got = append(got, fmt.Sprintf("%d=%s:%d+%d %q", (b.EventTS[i]-epoch)/market.Second, filepath.Base(p.Input), p.Line, p.Offset, p.Raw))
		}
	}
	want := []string{`1=a:1+0 "1 4"`, `2=b:1+0 "2"`, `3=b:3+4 "3 7"`, `4=a:1+0 "1 4"`, `6=a:3+6 "6"`, `7=b:3+4 "3 7"`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestReader_MergesByTime: whatever files the events are split over and however large
// chunks are, arrival order never goes back in time by more than a file itself does.
func TestReader_MergesByTime(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		files := rapid.IntRange(1, 9).Draw(rt, "files")
		paths := make([]string, files)
		var all []int64
		for i := range files {
			at := rapid.Int64Range(0, 50).Draw(rt, "start")
			var text strings.Builder
			kind := rapid.SampledFrom([]string{"lines", "multi", "whole"}).Draw(rt, "form")
			n := rapid.IntRange(1, 40).Draw(rt, "n")
			if kind == "whole" {
				text.WriteString("!")
			}
			for range n {
				at += rapid.Int64Range(0, 4).Draw(rt, "step")
				all = append(all, at)
				sep := "\n"
				if kind != "lines" && (kind == "whole" || rapid.Bool().Draw(rt, "join")) {
					sep = " "
				}
				fmt.Fprintf(&text, "%d%s", at, sep)
			}
			paths[i] = put(rt, dir, fmt.Sprint("f", i), []byte(text.String()))
		}
		res := readAll(rt, Config{Paths: paths, Rows: rapid.IntRange(1, 30).Draw(rt, "rows")})
		slices.Sort(all)
		if !slices.Equal(res.times, all) {
			rt.Fatalf("got  %v\nwant %v", res.times, all)
		}
		if ends := strings.Count(strings.Join(res.chunks, ""), "."); ends != files {
			rt.Fatalf("%d lines ended, of %d", ends, files)
		}
	})
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"a/1.csv", "a/2.csv", "a/.hidden", "a/b/3.csv", ".git/x", "trades.csv"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, n)), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, dir, n, []byte("x"))
	}
	t.Chdir(dir)
	ok := map[string]string{
		"a": "a/1.csv a/2.csv a/b/3.csv", "a/*.csv": "a/1.csv a/2.csv", ".": "a/1.csv a/2.csv a/b/3.csv trades.csv",
		"trades.csv a/../trades.csv": "trades.csv", "-": "-",
	}
	for in, want := range ok {
		got, err := Expand(strings.Fields(in))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	bad := map[string][2]string{
		"trade.csv": {"input_missing", "did you mean trades.csv?"}, "b/1.csv": {"input_missing", "did you mean a?"},
		"*.parquet": {"input_missing", ""}, "[": {"input_pattern", ""}, "a/zzzzzzz": {"input_missing", "there is no zzzzzzz in a"},
	}
	for in, want := range bad {
		_, err := Expand([]string{in})
		f := fault.From(err)
		if f.Code != want[0] || f.Exit != fault.ExitUsage || want[1] != "" && f.Remedy != want[1] {
			t.Errorf("%s: %+v", in, f)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("1\n2\nx\n"), byte(0))
	f.Add(gz("1\n2\n", "w 3\n"), byte(1))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0}, byte(2))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, n byte) {
		paths := []string{put(t, dir, "a", data)}
		if n&1 == 1 {
			paths = append(paths, put(t, dir, "b", []byte("1\n5\n9\n")))
		}
		res := readAll(t, Config{Paths: paths, Rows: 1 + int(n>>1)})
		var events, bad int64
		for _, s := range res.sources {
			events += s.Events
			bad += s.Bad
		}
		if int(events) < len(res.times) || int(bad) != len(res.bad) {
			t.Fatalf("%d events for %d trades, %d bad for %d", events, len(res.times), bad, len(res.bad))
		}
	})
}
