package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/broker"
)

// demoViews are the views of the demo: bars, rolling and event windows, quotes, order books, an
// event clock, comparisons across markets and venues. The last one is a file of the user's own.
var demoViews = []string{"trade_bars_1m", "vwap_5m", "volume_bars", "quote_bars_1s", "book_1s", "basis_1s", "fair_price_1s", "alts_per_20_btc"}

// demoSpec is that file.
const demoSpec = `view: alts_per_20_btc
version: 1
doc: Whenever 20 BTC have traded on a market, how many trades of each other asset took place there in that time?
from: trade
where: base != 'BTC' and quote == 'USDT'
by: [exchange, market, base]
window: {clock: btc_clock, with: {n: 20}}
empty: nulls
features:
  trades: count()
  notional: sum(price * quantity)
  btc_volume: clock.btc_volume
`

// demoFollow is the view that is read across the cut, and explained.
const demoFollow = "trade_bars_1m"

// demoStart is when the market of the demo opens.
const demoStart = 1767571200000000 // 2026-01-05T00:00:00Z

const demoConfig = `# Written by tidemark demo. Work on with it: tidemark --config FILE …
kafka:
  brokers: [%s]
  registry: {url: %q}
stream:
  partitions: 4
  sources:
%s  views: [%s]
  retention: {raw: forever, processed: forever, feature: forever, alert: forever}
`

const demoLake = `lakes:
  demo:
    catalog: {kind: %s, name: demo, uri: %q, warehouse: %q}
`

// demo is the tour: commands of this program, one after the other, over one folder.
type demo struct {
	a       *app
	dir     string
	keep    bool
	minutes int
	rate    int64
	symbols int
	seed    uint64

	brokers            []string
	registry           string
	catalog, warehouse string
	lake               string // as --lake takes it
	spec               string // file of the user's own view

	began     time.Time
	step      int
	endStream func() error
	facts     []demoFact
}

// demoFact is a line of the summary.
type demoFact struct {
	What string `json:"what"`
	Is   string `json:"is"`
}

func newDemoCmd(a *app) *cobra.Command {
	d := &demo{a: a, minutes: 130, rate: 40, symbols: 4, seed: 1}
	cmd := &cobra.Command{
		Use: "demo", Short: "the tour: a market through topics and lake, proven equal to history, repaired, read on live",
		Long: `demo takes a simulated market of two venues, with disorder, duplicates and late events, through everything: raw topics,
the streaming jobs, feature topics, the tables of a lake; then it recomputes the stream's rows from history and compares every
one, repairs what late events touched, reads a view from its table on into the live topic, and explains a value.

Each step is a command of tidemark that is printed before it runs. A broker in this process and a folder are all it needs;
--brokers, --registry, --catalog and --warehouse run the very same on a real Kafka, PostgreSQL and S3, which may not have data of another
tour. S3 is reached as AWS_REGION, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 … of the environment say.`,
		Example: "  tidemark demo\n  tidemark demo --keep data/demo --minutes 250\n  tidemark demo --keep data/demo --brokers kafka:9092 --registry http://registry:8081 --catalog 'postgres://tidemark@db/lake' --warehouse s3://bucket/lake",
		Args:    exactly(0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	d.flags(cmd.Flags())
	return cmd
}

func (d *demo) flags(f *pflag.FlagSet) {
	f.StringVar(&d.dir, "keep", "", "work in `DIR` and leave everything there (default: a temporary folder)")
	f.IntVar(&d.minutes, "minutes", d.minutes, "length of the market, at least 65")
	f.Int64Var(&d.rate, "rate", d.rate, "market events a second of event time")
	f.IntVar(&d.symbols, "symbols", d.symbols, "how many symbols, at least 2")
	f.Uint64Var(&d.seed, "seed", d.seed, "another seed is another market")
	f.StringSliceVar(&d.brokers, "brokers", nil, "use this Kafka: some brokers, `HOST:PORT` of each (default: a broker in this process)")
	f.StringVar(&d.registry, "registry", "", "`URL` of its schema registry")
	f.StringVar(&d.catalog, "catalog", "", "use this catalog of the lake, a postgres or http `URI` (default: SQLite in the folder)")
	f.StringVar(&d.warehouse, "warehouse", "", "where the tables are, such as `s3://BUCKET/PREFIX` (default: the folder)")
}

func (d *demo) run(ctx context.Context) error {
	switch {
	case d.catalog == "" && d.warehouse != "":
		return fault.Usage("flag_missing", "a --warehouse needs a --catalog", "--catalog 'postgres://user@host/db'")
	case d.catalog != "" && demoCatalog(d.catalog) == "":
		return fault.Usage("flag_invalid", fmt.Sprintf("--catalog cannot be %q", d.catalog), "write it like postgres://user@host/db or https://catalog.example.org")
	case (d.brokers == nil) != (d.registry == ""):
		return fault.Usage("flag_missing", "--brokers and --registry go together", "--brokers kafka:9092 --registry http://registry:8081")
	}
	if d.minutes < 65 || d.symbols < 2 || d.rate < 1 {
		return fault.Usage("flag_invalid", "--minutes must be at least 65, --symbols 2 and --rate 1: an hour has to be whole", "")
	}
	d.keep, d.began = d.dir != "", d.a.now()
	if !d.keep {
		dir, err := os.MkdirTemp("", "tidemark-demo-*")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		d.dir = dir
	} else if err := d.fresh(); err != nil {
		return err
	}
	own := d.brokers == nil
	if own {
		b, err := broker.Start(filepath.Join(d.dir, "broker"), broker.Options{Warn: d.a.warn})
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }()
		d.brokers, d.registry = []string{b.Addr()}, b.RegistryURL()
	}
	if err := d.writeConfig(); err != nil {
		return err
	}
	if err := d.check(ctx, own); err != nil {
		return err
	}
	err := d.tour(ctx)
	if d.endStream != nil {
		err = errors.Join(err, d.endStream())
	}
	if d.keep && errors.Is(context.Cause(ctx), errInterrupted) {
		return &fault.Error{Code: "interrupted", Message: "interrupted; " + d.dir + " has what was done so far", Exit: fault.ExitInterrupted,
			Remedy: "name another folder to begin anew: the tour begins from nothing, and what is in this one stays"}
	}
	if err != nil {
		return err
	}
	return d.summary()
}

// fresh makes the folder, which may not have the data of another tour.
func (d *demo) fresh() error {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	have, err := os.ReadDir(d.dir)
	if err == nil && len(have) > 0 {
		return fault.Usage("folder_used", fmt.Sprintf("%s is not empty", d.dir), "name a folder that is new or empty: the tour begins from nothing")
	}
	return err
}

// file is a path in the folder.
func (d *demo) file(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) writeConfig() error {
	var sources strings.Builder
	for _, venue := range []string{"alpha", "beta"} {
		fmt.Fprintf(&sources, "    - {market: spot, exchange: %s, kinds: [trade, quote, orderbook, instrument]}\n", venue)
		fmt.Fprintf(&sources, "    - {market: perp, exchange: %s, kinds: [trade, quote, orderbook, instrument, funding]}\n", venue)
	}
	own := len(demoViews) - 1
	d.spec = d.file(demoViews[own] + ".yaml")
	if err := os.WriteFile(d.spec, []byte(demoSpec), 0o600); err != nil {
		return err
	}
	views := append(slices.Clone(demoViews[:own]), strconv.Quote(d.spec))
	text := fmt.Sprintf(demoConfig, quoted(d.brokers), d.registry, sources.String(), strings.Join(views, ", "))
	d.lake = d.file("lake")
	if d.catalog != "" {
		at := d.warehouse
		if at == "" {
			var err error
			if at, err = objstore.FolderURI(d.lake); err != nil {
				return err
			}
		}
		text += fmt.Sprintf(demoLake, demoCatalog(d.catalog), d.catalog, at)
		d.lake = "demo"
	}
	return os.WriteFile(d.file("tidemark.yaml"), []byte(text), 0o600)
}

// demoCatalog is the kind of a catalog, "" of none that is known.
func demoCatalog(uri string) string {
	scheme, _, _ := strings.Cut(uri, "://")
	return map[string]string{"postgres": "postgres", "postgresql": "postgres", "http": "rest", "https": "rest"}[scheme]
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, strconv.Quote(s))
	}
	return strings.Join(out, ", ")
}

// say tells what the tour does: on the standard error with --json, which has the summary on the standard output.
func (d *demo) say(format string, args ...any) {
	w := d.a.out
	if d.a.json {
		w = d.a.err
	}
	_, _ = fmt.Fprintf(w, format, args...)
}

// title begins a step.
func (d *demo) title(text string) {
	d.step++
	d.say("\n%s\n", d.a.style(d.a.outTTY).Bold(fmt.Sprintf("%d. %s", d.step, text)))
}

// command runs a command and returns what it printed. Its standard error goes to a log in the
// folder; so does the reason why it failed.
func (d *demo) command(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	code, errs, err := d.execute(ctx, &out, args)
	if err == nil && code != fault.ExitDone {
		err = failedStep(args, code, errs)
	}
	return out.String(), err
}

// execute runs a command to its end and returns its exit code and what it said.
func (d *demo) execute(ctx context.Context, out io.Writer, args []string) (int, string, error) {
	d.say("%s\n", d.a.style(d.a.outTTY).Faint("   $ tidemark "+strings.Join(args, " ")))
	var errs lockedBuffer
	began := d.a.now()
	sub := &app{in: strings.NewReader(""), out: out, err: &errs, color: "never", config: d.file("tidemark.yaml"), now: d.a.now}
	code := sub.execute(ctx, append([]string{"--config", d.file("tidemark.yaml")}, args...))
	if ctx.Err() != nil {
		return code, "", context.Cause(ctx)
	}
	return code, errs.String(), d.log(args, code, d.a.now().Sub(began), errs.String())
}

func (d *demo) log(args []string, code int, took time.Duration, text string) error {
	f, err := os.OpenFile(d.file("demo.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "$ tidemark %s\n%sexit %d after %.1f s\n\n", strings.Join(args, " "), text, code, took.Seconds())
	return errors.Join(err, f.Close())
}

// failedStep is the error of a command, of what it said.
func failedStep(args []string, code int, said string) error {
	why, help := reason(said)
	if help != "" {
		help += "; "
	}
	return &fault.Error{Code: "demo_failed", Message: "tidemark " + strings.Join(args, " "), Why: why, Exit: code, Remedy: help + "with --keep DIR the folder stays: look into DIR/demo.log"}
}

// reason is why a command failed, and what helps, of what it said.
func reason(said string) (why, help string) {
	at := strings.LastIndex("\n"+said, "\nerror: ")
	if at < 0 {
		return "", ""
	}
	var parts []string
	for line := range strings.Lines(strings.TrimPrefix(said[at:], "error: ")) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "help:"); ok {
			help = strings.TrimSpace(text)
			break
		}
		parts = append(parts, strings.TrimSpace(strings.TrimPrefix(line, "why:")))
	}
	return strings.Join(parts, "; "), help
}

// background runs a command until stop, which returns its error.
func (d *demo) background(ctx context.Context, out io.Writer, args ...string) (stop func() error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	var code int
	var said string
	wg.Go(func() {
		d.say("%s\n", d.a.style(d.a.outTTY).Faint("   $ tidemark "+strings.Join(args, " ")+" &"))
		var errs lockedBuffer
		began := d.a.now()
		sub := &app{in: strings.NewReader(""), out: out, err: &errs, color: "never", now: d.a.now}
		code = sub.execute(ctx, append([]string{"--config", d.file("tidemark.yaml")}, args...))
		said = errs.String()
		_ = d.log(args, code, d.a.now().Sub(began), said)
	})
	return func() error {
		cancel(errInterrupted)
		wg.Wait()
		if code != fault.ExitDone && code != fault.ExitInterrupted {
			return failedStep(args, code, said)
		}
		return nil
	}
}

// lockedBuffer is a buffer that is written while it is read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// fact notes a line of the summary.
func (d *demo) fact(what, format string, args ...any) {
	d.facts = append(d.facts, demoFact{what, fmt.Sprintf(format, args...)})
	d.say("   %s\n", fmt.Sprintf(format, args...))
}

// at is a time of the market.
func (d *demo) at(minutes int) string {
	return market.FormatTime(demoStart + int64(minutes)*market.Minute)
}
