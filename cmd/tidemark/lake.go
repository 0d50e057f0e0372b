package main

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/lakes"
	"github.com/pinova-group/tidemark/run/rowfile"
)

func newLakeCmd(a *app) *cobra.Command {
	cmd := parent("lake", "tables of events and features: import, look, scan, read from other tools",
		"  tidemark lake init --lake data/lake\n  tidemark lake import --lake data/lake --input trades.csv.gz\n  tidemark lake show processed.trade --lake data/lake")
	name := new(string)
	addLake(cmd.PersistentFlags(), name)
	cmd.Annotations = map[string]string{"page": pageURL + "lake.md"}
	cmd.AddCommand(newLakeInit(a, name), newLakeTables(a, name), newLakeShow(a, name), newLakeSnapshots(a, name), newLakeFiles(a, name), newLakeScan(a, name),
		newLakeImport(a, name), newLakePublications(a, name), newLakeUndo(a, name), newLakeSQL(a, name), newLakeDoctor(a, name))
	return cmd
}

func newLakeInit(a *app, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "make a lake in a folder, or try one of the config", Args: exactly(0, ""),
		Long:    "init makes the folder and its catalog, catalog.db. For a lake of tidemark.yaml it tries catalog and storage. A lake that is there stays as it is.",
		Example: "  tidemark lake init --lake data/lake",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, acc, err := a.openLake(cmd.Context(), *name, true)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			if err := tryStorage(cmd.Context(), l, *name); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"catalog": acc.Kind, "catalog_name": acc.Name, "uri": acc.URI, "warehouse": acc.Warehouse})
			}
			return a.print(fmt.Sprintf("lake %s: catalog %s (%s, named %s), tables under %s\n", *name, acc.URI, acc.Kind, acc.Name, acc.Warehouse))
		},
	}
}

// tryStorage is an error when the storage of a lake does not do what it has to.
func tryStorage(ctx context.Context, l *lake.Lake, name string) error {
	found, err := l.Examine(ctx, lake.Examination{Tables: []string{}})
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Level == lake.Wrong {
			return &fault.Error{Code: f.Code, Message: "the lake cannot be used", Where: name, Why: f.What, Remedy: f.Remedy, Exit: fault.ExitFailed}
		}
	}
	return nil
}

func newLakeTables(a *app, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "tables", Short: "the tables of a lake", Args: exactly(0, ""), Example: "  tidemark lake tables --lake data/lake",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, _, err := a.openLake(cmd.Context(), *name, false)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			infos, err := lakes.Tables(cmd.Context(), l)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(infos)
			}
			return a.print(lakes.TablesText(infos, a.style(a.outTTY)))
		},
	}
}

// withTable opens a lake and the table of the first argument.
func (a *app) withTable(cmd *cobra.Command, name, tableName string, f func(t *lake.Table, acc lakes.Access) error) error {
	l, acc, err := a.openLake(cmd.Context(), name, false)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	t, err := l.Load(cmd.Context(), tableName)
	if err != nil {
		if fe := fault.From(err); fe.Exit == fault.ExitNoTable {
			if names, lerr := l.Tables(cmd.Context()); lerr == nil {
				fe.Remedy = fault.DidYouMean(tableName, names)
			}
		}
		return err
	}
	return f(t, acc)
}

func newLakeShow(a *app, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "show TABLE", Short: "what a table holds: rows, files, hours, columns", Args: exactly(1, "table"),
		Long:    "show prints a table's place, rows, files and columns, with a picture of the hours that it covers (gaps show) and of its file sizes.",
		Example: "  tidemark lake show processed.trade --lake data/lake\n  tidemark lake show processed.trade --lake data/lake --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withTable(cmd, *name, args[0], func(t *lake.Table, _ lakes.Access) error {
				in, err := lakes.Show(cmd.Context(), t)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(in)
				}
				return a.print(in.Text(a.style(a.outTTY)))
			})
		},
	}
}

func newLakeSnapshots(a *app, name *string) *cobra.Command {
	type snapshot struct {
		ID           int64  `json:"snapshot_id"`
		Parent       int64  `json:"parent_id"`
		At           string `json:"committed_at"`
		Operation    string `json:"operation"`
		Commit       string `json:"commit_id"`
		Rows         int64  `json:"rows"`
		Files        int64  `json:"files"`
		Bytes        int64  `json:"bytes"`
		ValidThrough int64  `json:"valid_through"`
		Publication  string `json:"publication,omitempty"`
	}
	type ref struct {
		Name     string `json:"name"`
		Tag      bool   `json:"tag"`
		Snapshot int64  `json:"snapshot_id"`
	}
	return &cobra.Command{
		Use: "snapshots TABLE", Short: "the states of a table that are kept, its branches and tags", Args: exactly(1, "table"),
		Example: "  tidemark lake snapshots processed.trade --lake data/lake",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withTable(cmd, *name, args[0], func(t *lake.Table, _ lakes.Access) error {
				all, err := t.Snapshots()
				if err != nil {
					return err
				}
				snaps, refs := []snapshot{}, []ref{}
				for _, s := range all {
					snaps = append(snaps, snapshot{s.ID, s.Parent, s.At.Format(time.RFC3339Nano), s.Operation, string(s.Commit), s.Rows, s.Files, s.Bytes, s.ValidThrough, s.Publication})
				}
				for _, r := range t.Refs() {
					refs = append(refs, ref{r.Name, r.Tag, r.Snapshot})
				}
				if a.json {
					return a.printJSON(map[string]any{"table": t.Name(), "snapshots": snaps, "refs": refs})
				}
				names := map[int64][]string{}
				for _, r := range refs {
					names[r.Snapshot] = append(names[r.Snapshot], r.Name)
				}
				var rows [][]string
				for _, s := range snaps {
					through := "-"
					if s.ValidThrough != 0 {
						through = market.FormatTime(s.ValidThrough)
					}
					rows = append(rows, []string{strconv.FormatInt(s.ID, 10), s.At, s.Operation, term.Int(s.Rows), term.Int(s.Files), term.Bytes(s.Bytes), through, strings.Join(names[s.ID], " ")})
				}
				return a.print(a.style(a.outTTY).Table([]term.Column{
					{Head: "snapshot", Right: true, Keep: true}, {Head: "committed"}, {Head: "operation"}, {Head: "rows", Right: true}, {Head: "files", Right: true},
					{Head: "size", Right: true}, {Head: "valid through"}, {Head: "refs"},
				}, rows))
			})
		},
	}
}

func newLakeFiles(a *app, name *string) *cobra.Command {
	type dataFile struct {
		Path      string   `json:"path"`
		Rows      int64    `json:"rows"`
		Bytes     int64    `json:"bytes"`
		Partition []string `json:"partition"`
	}
	return &cobra.Command{
		Use: "files TABLE", Short: "the data files of a table", Args: exactly(1, "table"), Example: "  tidemark lake files processed.trade --lake data/lake",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withTable(cmd, *name, args[0], func(t *lake.Table, _ lakes.Access) error {
				all, err := t.Files(cmd.Context(), 0)
				if err != nil {
					return err
				}
				by := t.PartitionBy()
				files := []dataFile{}
				for _, f := range all {
					d := dataFile{Path: f.Path, Rows: f.Rows, Bytes: f.Bytes, Partition: []string{}}
					for i, v := range f.Partition {
						d.Partition = append(d.Partition, partitionText(by[i].Transform, v))
					}
					files = append(files, d)
				}
				sort.SliceStable(files, func(i, j int) bool {
					return strings.Join(files[i].Partition, "\x00") < strings.Join(files[j].Partition, "\x00")
				})
				if a.json {
					return a.printJSON(map[string]any{"table": t.Name(), "files": files})
				}
				var rows [][]string
				for _, f := range files {
					rows = append(rows, []string{strings.Join(f.Partition, " "), term.Int(f.Rows), term.Bytes(f.Bytes), strings.TrimPrefix(f.Path, t.Location()+"/")})
				}
				return a.print(a.style(a.outTTY).Table([]term.Column{{Head: "partition", Keep: true}, {Head: "rows", Right: true}, {Head: "size", Right: true}, {Head: "file"}}, rows))
			})
		},
	}
}

// partitionText words a partition's value: hours and days since 1970 as times.
func partitionText(transform string, v any) string {
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	switch {
	case err != nil:
	case transform == "hour":
		return time.Unix(n*3600, 0).UTC().Format("2006-01-02T15")
	case transform == "day":
		return time.Unix(n*86400, 0).UTC().Format("2006-01-02")
	case transform == "month":
		return time.Date(1970, 1+time.Month(n), 1, 0, 0, 0, 0, time.UTC).Format("2006-01")
	}
	return fmt.Sprint(v)
}

func newLakeScan(a *app, name *string) *cobra.Command {
	var q lake.Query
	var limit int64
	var explain bool
	var exchanges, markets, symbols []string
	out, asOf := "-", market.NoTime
	from, to := market.NoTime, market.NoTime
	cmd := &cobra.Command{
		Use: "scan TABLE", Short: "rows of a table, in the total order", Args: exactly(1, "table"),
		Long: `scan reads rows in the total order (ts, src, inst, epoch, seq), whatever files they are in, and writes them as
CSV, JSON lines, Parquet or Arrow. Partitions, files, row groups and pages without wanted rows are not read; --explain
says what would be, and how much memory it takes.`,
		Example: `  tidemark lake scan processed.trade --lake data/lake --from 2025-11-10T14:00 --to 2025-11-10T15:00 --symbols BTC-USDT --limit 20
  tidemark lake scan processed.trade --lake data/lake --columns ts,symbol,price_mantissa,price_scale -o trades.parquet
  tidemark lake scan processed.trade --lake data/lake --symbols BTC-USDT --explain`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if from != market.NoTime || to != market.NoTime {
				q.From, q.To = from, to
				if from == market.NoTime {
					q.From = market.MinEventTime
				}
				if to == market.NoTime {
					q.To = market.MaxEventTime
				}
			}
			if asOf != market.NoTime {
				q.AsOf = time.UnixMicro(asOf)
			}
			q.Where = map[string][]string{}
			for col, words := range map[string][]string{"exchange": exchanges, "market": markets, "symbol": symbols} {
				if len(words) > 0 {
					q.Where[col] = words
				}
			}
			return a.withTable(cmd, *name, args[0], func(t *lake.Table, _ lakes.Access) error {
				sc, err := t.Scan(cmd.Context(), q)
				if err != nil {
					return err
				}
				defer sc.Close()
				if explain {
					return a.explainScan(sc.Plan())
				}
				return a.writeScan(sc, out, limit)
			})
		},
	}
	f := cmd.Flags()
	addRange(a, f, &from, &to)
	f.StringSliceVar(&exchanges, "exchanges", nil, "only these exchanges: `a,b`")
	f.StringSliceVar(&markets, "markets", nil, "only these markets: `spot,perp`")
	f.StringSliceVar(&symbols, "symbols", nil, "only these symbols: `A,B`, canonical such as BTC-USDT")
	f.StringSliceVar(&q.Columns, "columns", nil, "only these columns: `a,b` (default: all)")
	f.Int64Var(&q.Snapshot, "snapshot", 0, "the table as of this snapshot `id`")
	f.StringVar(&q.Ref, "ref", "", "the table as of this branch or tag")
	f.Var(&timeFlag{a: a, t: &asOf}, "as-of", "the table as it was at this time of the clock")
	f.Int64Var(&limit, "limit", 0, "at most so many rows, 0 for all")
	f.Int64Var(&q.Memory, "memory", lake.DefaultScanMemory, "bytes that decoded rows may take")
	f.IntVar(&q.Workers, "workers", 0, "files decoded at once, 0 for one a CPU")
	f.BoolVar(&explain, "explain", false, "say what would be read instead")
	f.StringVarP(&out, "output", "o", "-", "`FILE` to write, by extension .csv .jsonl .parquet .arrow; - is the standard output")
	return cmd
}

func (a *app) explainScan(p lake.ScanPlan) error {
	if a.json {
		return a.printJSON(p)
	}
	return a.print(fmt.Sprintf(`scan of %s at snapshot %d
  filter   %s
  files    %s of %s, %s rows and %s in them
  spans    %s that do not overlap in time, read one after the other
  columns  %d decoded
  memory   %s for decoded rows, shared by the part at hand and those that %d workers decode; besides a page of each
           column for each file that is decoded
`, p.Table, p.Snapshot, p.Filter, term.Int(int64(p.Files)), term.Int(p.Of), term.Int(p.Rows), term.Bytes(p.Bytes), term.Int(int64(p.Spans)), p.Decoded, term.Bytes(p.Memory), p.Workers))
}

func (a *app) writeScan(sc *lake.Scan, out string, limit int64) error {
	schema := lakes.RowSchema(sc)
	if out != "-" {
		w, err := rowfile.Create(out, schema)
		if err != nil {
			return &fault.Error{Code: "output_unwritable", Message: "cannot write the output", Where: out, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
		}
		defer w.Abort()
		n, err := lakes.Write(sc, limit, w)
		if err != nil {
			return err
		}
		a.say("wrote %s rows to %s\n", term.Int(n), out)
		return nil
	}
	var w rowfile.Writer
	var err error
	switch {
	case a.json:
		w, err = rowfile.New(a.out, rowfile.JSONL, schema)
	case a.outTTY:
		w = run.NewTable(a.out, a.style(true))(schema)
	default:
		w, err = rowfile.New(a.out, rowfile.CSV, schema)
	}
	if err != nil {
		return err
	}
	_, err = lakes.Write(sc, limit, w)
	return err
}

func newLakeImport(a *app, name *string) *cobra.Command {
	var cfg run.ImportConfig
	var dry bool
	progress := "auto"
	cmd := &cobra.Command{
		Use: "import --input PATH", Short: "add event files to the tables of a lake, each event once",
		Long: `import reads what tidemark run reads, puts the events in order and adds those that the lake does not have to their tables,
late ones marked. Any event may come any number of times: what is there, by its event id, is left out. So an import
that was interrupted is simply run again. A lake in a folder is made when it is not there.

CSV and Parquet files of any origin are read with --map: a file that says which of their columns, or which constant, each
canonical column is. --spec names definitions of kinds of your own. --dry-run shows the first rows as they would be imported, and what is wrong with others.`,
		Example: `  tidemark lake import --lake data/lake --input 'tapes/*.csv.gz'
  tidemark lake import --lake prod --input trades.jsonl.zst --dlq bad.jsonl
  tidemark lake import --input vendor.parquet --map vendor.yaml --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Inputs = append(cfg.Inputs, args...)
			if err := oneOf("--progress", progress, "auto", "plain", "none"); err != nil {
				return err
			}
			env := run.Env{Stdin: a.in, Warn: a.warn, Meter: &run.Meter{}}
			if dry {
				return a.previewImport(cmd, cfg, env)
			}
			if err := cfg.Check(env); err != nil { // before a folder becomes a lake
				return err
			}
			l, _, err := a.openLake(cmd.Context(), *name, true)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			began := a.now()
			stop := a.startProgress(progress, env.Meter)
			rep, err := run.Import(cmd.Context(), cfg, l, env)
			stop()
			if err != nil {
				return err
			}
			a.rejected.Store(rep.Exit() == fault.ExitRejected)
			if a.json {
				return a.printJSON(rep)
			}
			return a.print(a.importText(rep, a.now().Sub(began)))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Inputs, "input", nil, "event files, folders, patterns, or - for the standard input: `PATH` of each, comma between")
	f.StringSliceVar(&cfg.Specs, "spec", nil, "`FILE` that defines a kind of events in the input; comma between several")
	f.StringVar(&cfg.Format, "input-format", "auto", "`format` of the input (tidemark help formats)")
	addMap(f, &cfg.Map)
	f.StringVar(&cfg.Feed, "feed", "", "book all events to this `feed` (default: what the format says)")
	f.BoolVar(&dry, "dry-run", false, "show the first rows as they would be imported, and change nothing")
	f.StringVar(&cfg.DLQ, "dlq", "", "write rejected records to `FILE`, JSON lines")
	f.BoolVar(&cfg.Strict, "strict", false, "end at the first bad record with exit code 1")
	f.BoolVar(&cfg.Plain, "plain", false, "new tables get a double beside each exact decimal, for people")
	addBySymbol(f, &cfg.BySymbol)
	f.Int64Var(&cfg.Memory, "memory", 0, "bytes of rows on their way into files, 0 for 128 MiB")
	f.StringVar(&progress, "progress", progress, "`auto|plain|none`: in place on a terminal, a line each 10 s, or nothing")
	return cmd
}

// previewRows is how many rows, and how many bad records, a dry run shows.
const previewRows = 10

func (a *app) previewImport(cmd *cobra.Command, cfg run.ImportConfig, env run.Env) error {
	if len(cfg.Inputs) == 0 {
		return fault.Usage("input_missing", "no input given", "name files, folders or - for the standard input: --input trades.csv")
	}
	p, err := run.PreviewImport(cmd.Context(), cfg, previewRows, env)
	if err != nil {
		return err
	}
	a.rejected.Store(p.Exit() == fault.ExitRejected)
	if a.json {
		return a.printJSON(p)
	}
	var b strings.Builder
	for _, r := range p.Rows {
		b.Write(append(r, '\n'))
	}
	fmt.Fprintf(&b, "read %s records; %d are shown as they would be imported, %s are bad\n", term.Int(p.Read), len(p.Rows), term.Int(p.BadRows))
	if len(p.Bad) > 0 {
		var rows [][]string
		for _, x := range p.Bad {
			rows = append(rows, []string{fmt.Sprintf("%s:%d", x.Input, x.Line), x.Reason, x.Detail})
		}
		b.WriteString("\n" + a.style(a.outTTY).Table([]term.Column{{Head: "bad record", Keep: true}, {Head: "reason", Keep: true}, {Head: "text"}}, rows))
	}
	return a.print(b.String())
}

func (a *app) importText(rep *run.ImportReport, took time.Duration) string {
	s := rep.Stats
	var b strings.Builder
	fmt.Fprintf(&b, "read %s events in %.1f s: %s applied, %s late, %s duplicates, %s filtered, %s rejected\n",
		term.Int(s.In), took.Seconds(), term.Int(s.Applied), term.Int(s.Late), term.Int(s.Duplicate), term.Int(s.Filtered), term.Int(s.DLQ))
	var names []string
	for n := range rep.Tables {
		names = append(names, n)
	}
	sort.Strings(names)
	var rows [][]string
	for _, n := range names {
		c := rep.Tables[n]
		rows = append(rows, []string{n, term.Int(c.Added), term.Int(c.Known), term.Int(c.Files), term.Bytes(c.Bytes)})
	}
	b.WriteString(a.style(a.outTTY).Table([]term.Column{{Head: "table", Keep: true}, {Head: "added", Right: true}, {Head: "known", Right: true}, {Head: "files", Right: true}, {Head: "size", Right: true}}, rows))
	return b.String()
}

func newLakeSQL(a *app, name *string) *cobra.Command {
	tool := "duckdb"
	cmd := &cobra.Command{
		Use: "sql TABLE", Short: "what to paste into DuckDB, Spark, PyIceberg, Polars or ClickHouse to read a table", Args: exactly(1, "table"),
		Long:    "sql prints a snippet that reads the table with plain prices: the exact mantissa and scale of each decimal become one double.",
		Example: "  tidemark lake sql processed.trade --lake data/lake --for duckdb | duckdb\n  tidemark lake sql processed.trade --lake data/lake --for pyiceberg",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--for", tool, lakes.Tools...); err != nil {
				return err
			}
			return a.withTable(cmd, *name, args[0], func(t *lake.Table, acc lakes.Access) error {
				text, err := lakes.SQL(t, tool, acc)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(map[string]string{"table": t.Name(), "for": tool, "text": text})
				}
				return a.print(text)
			})
		},
	}
	cmd.Flags().StringVar(&tool, "for", tool, "`tool`: "+strings.Join(lakes.Tools, ", "))
	complete(cmd, "for", lakes.Tools)
	return cmd
}
