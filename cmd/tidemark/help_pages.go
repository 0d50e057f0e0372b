package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pinova-group/tidemark/run"
)

// helpPages are commands that only explain: tidemark help PAGE.
func helpPages() []*cobra.Command {
	page := func(name, short, long string) *cobra.Command {
		return &cobra.Command{Use: name, Short: short, Long: long}
	}
	list := page("pages", "pages of help", "")
	all := []*cobra.Command{
		page("exit-codes", "what exit codes mean", exitCodes),
		page("times", "how times, ranges and durations are written", times),
		page("formats", "formats of input and output", formats()),
		page("accounting", "what becomes of every record", accounting),
		page("json", "what --json prints", jsonTopic),
	}
	var b strings.Builder
	b.WriteString("Pages of help:\n\n")
	for _, t := range all {
		fmt.Fprintf(&b, "  tidemark help %-12s %s\n", t.Name(), t.Short)
	}
	list.Long = b.String()
	return append(all, list)
}

const exitCodes = `Exit codes are stable:

  0    done
  1    the work was started and failed; with --strict also: a record was bad.
       Nothing half-written is left.
  2    wrong usage, or an invalid config or spec, or an input or output that cannot
       be opened: nothing was started
  3    done, but some input was rejected (dead letters): what was good is written.
       Late, duplicate and filtered events do not count as rejected.
  4    a verification found a difference
  10   the lake or table does not exist
  11   somebody else holds the lease
  12   not authorised
  130  interrupted (Ctrl-C or SIGTERM); nothing half-written is left

A reader that closes the pipe early (head) ends the command quietly with 0.
`

const times = `Times are UTC, in and out.

  2025-11-10T17:24:00Z      RFC 3339, with a zone if it has one
  2025-11-10T17:24          without a zone: UTC
  2025-11-10                a date: its first instant
  now, now-2h, now+1d       relative to the present
  1762795440000000          integer microseconds since 1970

Ranges are half open: --from is the first instant, --to the first one after it.
Integer seconds, milliseconds or nanoseconds are refused with the value in microseconds.
Durations are a number and a unit: us ms s m h d w.
Times in result files are integer microseconds in CSV and JSON lines, timestamps (us, UTC)
in Parquet and Arrow.
`

const jsonTopic = `With --json the standard output holds one object, or JSON lines where there are rows;
the standard error holds JSON lines, each an object with one of these keys:

  error      code, message, where, why, remedy, and problems (where, message, remedy) when
             several things are wrong at once
  warning    a text
  progress   seconds, bytes_read, bytes_total (-1 unknown), pass, passes, events, rows, bad,
             event_time, seconds_left (-1 unknown); each 10 s
  summary    of run: what --stats writes, and view, version, written, output, dlq_file,
             files, seconds, events_per_second

--stats FILE is one object: in, applied, late, duplicate, dlq, filtered, pending, rows
(by view), by_feed (the same seven numbers by feed). Fields are only ever added.
`

const accounting = `Every record of the input has exactly one fate, and they add up:

  in = applied + late + duplicate + dlq + filtered + pending

  applied    sequenced in time and seen by the engine
  late       came after its feed's disorder had passed: left out of served rows, put in
             its place with --as corrected
  duplicate  its event id was known already
  dlq        could not be decoded or broke a rule; --dlq FILE keeps it with its place
  filtered   dropped on purpose (acknowledgements, prints that the venue does not count),
             or outside --from, --to, --symbols
  pending    held back; 0 at the end of a run

Verdicts are those of the whole input, whatever part of it --from, --to and --symbols
choose. --symbols takes all other events away before any view sees them: a clock of BTC
trades ticks only if BTC-USDT is among them. A file that is damaged half-way is one bad
record at the place of the damage; what was readable before it is used.

--dlq FILE holds one JSON object a line: input, line, offset (bytes, decompressed),
reason, detail, raw (the record as text) or raw_base64; raw_cut says that it was longer.
`

func formats() string {
	var b strings.Builder
	b.WriteString("Input (--input-format; auto looks at the content, gzip and zstd are seen by theirs):\n\n")
	for _, f := range run.Formats() {
		fmt.Fprintf(&b, "  %-13s %s\n", f.Name, wrap(f.Doc, 80, strings.Repeat(" ", 16)))
	}
	b.WriteString(`
A name that several formats begin with, such as binance, means the one of them that fits.

Output (-o FILE, by its extension; - is the standard output):

  .csv .jsonl      text; also .csv.gz, .csv.zst, .jsonl.gz, .jsonl.zst
  .parquet         zstd, row groups of 262,144 rows
  .arrow           Arrow IPC file, zstd
  -                CSV, or a table when a terminal reads it; JSON lines with --json

Columns: entity, window_start, window_end, row_ts, available_at, flags, then features.
Floats have the fewest digits that read back the same. Null is empty in CSV; an empty
text is "". Parquet and Arrow files carry view, version, fingerprint and build.
`)
	return b.String()
}

// wrap breaks a text into lines of at most so many characters; all but the first begin
// with the indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	at := 0
	for i, w := range strings.Fields(text) {
		switch {
		case i > 0 && at+1+len(w) > width:
			b.WriteString("\n" + indent)
			at = 0
		case i > 0:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(w)
		at += len(w)
	}
	return b.String()
}
