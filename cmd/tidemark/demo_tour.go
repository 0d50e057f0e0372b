package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/internal/term"
)

// liveMinutes of the market come after the cut of step 7.
const liveMinutes = 5

// tour goes through the steps. What each is to prove is checked: an error ends the demo.
func (d *demo) tour(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.simulate, d.stream, d.prove, d.repair, d.goOn, d.explain} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// simulate makes the market and the topics.
func (d *demo) simulate(ctx context.Context) error {
	d.title("A market: two venues, spot and perpetual, with disorder, duplicates and late events")
	out, err := d.command(ctx, "simulate", "--out", d.file("market.jsonl.zst"), "--duration", fmt.Sprintf("%dm", d.minutes), "--rate", strconv.FormatInt(d.rate, 10),
		"--symbols", strconv.Itoa(d.symbols), "--venues", "alpha,beta", "--seed", strconv.FormatUint(d.seed, 10), "--start", d.at(0),
		"--disorder", "100ms", "--duplicates", "1%", "--late", "0.2%", "--json")
	if err != nil {
		return err
	}
	var made struct {
		Summary struct{ Records, Applied, Late, Duplicate int64 }
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		return err
	}
	s := made.Summary
	d.fact("market", "%s records: %s in time, %s late, %s twice", term.Int(s.Records), term.Int(s.Applied), term.Int(s.Late), term.Int(s.Duplicate))
	return nil
}

// stream takes the market but for its last minutes through the jobs and into the lake.
func (d *demo) stream(ctx context.Context) error {
	d.title("Live: raw topics, put in order, computed, and into the tables of a lake")
	if _, err := d.command(ctx, "topics", "apply"); err != nil {
		return err
	}
	d.endStream = d.background(ctx, io.Discard, "stream", "--state", d.file("state"))
	endSink := d.background(ctx, io.Discard, "sink", "--lake", d.lake, "--commit-every", "5s")
	flow, err := d.watch(ctx)
	if err != nil {
		return err
	}
	_, err = d.command(ctx, "play", "--input", d.file("market.jsonl.zst"), "--to", d.at(d.minutes-liveMinutes), "--close=false", "--progress", "none")
	if err == nil {
		err = flow.settle(ctx)
	}
	flow.end()
	if err = errors.Join(err, endSink()); err != nil {
		return err
	}
	if _, err := d.command(ctx, "sink", "--lake", d.lake, "--until-caught-up"); err != nil {
		return err
	}
	return d.stored(ctx)
}

// stored says what is in the lake.
func (d *demo) stored(ctx context.Context) error {
	out, err := d.command(ctx, "lake", "tables", "--lake", d.lake, "--json")
	if err != nil {
		return err
	}
	var tables []struct {
		Table string
		Rows  int64
	}
	if err := json.Unmarshal([]byte(out), &tables); err != nil {
		return err
	}
	var events, rows int64
	views := 0
	for _, t := range tables {
		switch class, _, _ := strings.Cut(t.Table, "."); class {
		case "processed":
			events += t.Rows
		case "feature":
			rows, views = rows+t.Rows, views+1
		}
	}
	d.fact("streamed", "%s events in order and %s rows of %d views, each once, in %d tables of the lake", term.Int(events), term.Int(rows), views, len(tables))
	return nil
}

// verdict is what verify says of an hour of a view.
type verdict struct {
	View    string
	Verdict string
	Rows    int64
	Late    int64 `json:"late_events"`
	Changed int64
}

// prove computes the rows of all views from history and compares every one with what the stream has written.
func (d *demo) prove(ctx context.Context) error {
	d.title("History and live agree, to the last bit")
	own := len(demoViews) - 1
	views := append(slices.Clone(demoViews[:own]), demoViews[own], "--spec", strings.Join(append(slices.Clone(demoViews[:own]), d.spec), ","))
	hours, err := d.verify(ctx, views...)
	for began := d.a.now(); errors.Is(err, errNotSealed) && d.a.now().Sub(began) < slowest; hours, err = d.verify(ctx, views...) {
		if sleep(ctx, time.Second); ctx.Err() != nil { // the jobs are not through yet
			return context.Cause(ctx)
		}
		if _, err := d.command(ctx, "sink", "--lake", d.lake, "--until-caught-up"); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	var rows int64
	for _, h := range hours {
		rows += h.Rows
	}
	d.fact("verified", "%s rows of %d views in whole hours: each is, bit for bit, the one that the events in the lake give as they were served", term.Int(rows), len(demoViews))
	return nil
}

// repair computes again what late events have made stale, and no more.
func (d *demo) repair(ctx context.Context) error {
	d.title("What late events have made stale, and only that, computed again")
	before, err := d.verify(ctx, demoFollow)
	if err != nil {
		return err
	}
	if _, err := d.command(ctx, "backfill", "--dirty", "--view", demoFollow, "--lake", d.lake, "--progress", "none"); err != nil {
		return err
	}
	after, err := d.verify(ctx, demoFollow)
	if err != nil {
		return err
	}
	var changed int64
	for _, h := range before {
		changed += h.Changed
	}
	for _, h := range after {
		if h.Verdict != "equal" || changed == 0 {
			return fmt.Errorf("BUG: late events change %d rows of %s; after the repair the verdict is %q", changed, demoFollow, h.Verdict)
		}
	}
	d.fact("repaired", "late events change %s rows of %s: published anew by backfill --dirty; verify now says equal for all %d hours", term.Int(changed), demoFollow, len(after))
	return nil
}

// errNotSealed is an hour to which rows may still come.
var errNotSealed = errors.New("BUG: an hour that is over is not complete")

// verify gives the verdicts on the hours that are over. None may be missing or different: that is an error of the command.
func (d *demo) verify(ctx context.Context, views ...string) ([]verdict, error) {
	args := append([]string{"verify"}, views...)
	out, err := d.command(ctx, append(args, "--lake", d.lake, "--from", d.at(0), "--to", d.at((d.minutes-liveMinutes)/60*60), "--json")...)
	if err != nil {
		return nil, err
	}
	var all struct{ Hours []verdict }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, err
	}
	if len(all.Hours) == 0 {
		return nil, errors.New("BUG: no hour was verified")
	}
	for _, h := range all.Hours {
		if h.Verdict == "not sealed" {
			return nil, fmt.Errorf("%w: %s", errNotSealed, h.View)
		}
		if h.Verdict != "equal" && h.Verdict != "corrected differs" {
			return nil, fmt.Errorf("BUG: an hour of %s is %s", h.View, h.Verdict)
		}
	}
	return all.Hours, nil
}

// goOn reads a view from its table on into the topic, while the rest of the market comes.
func (d *demo) goOn(ctx context.Context) error {
	d.title("History and on into the live topic, without a gap")
	var out lockedBuffer
	end := d.background(ctx, &out, "read", demoFollow, "--lake", d.lake, "--follow", "--json")
	flow, err := d.watch(ctx)
	if err != nil {
		return err
	}
	_, err = d.command(ctx, "play", "--input", d.file("market.jsonl.zst"), "--from", d.at(d.minutes-liveMinutes), "--progress", "none")
	if err == nil {
		err = flow.settle(ctx)
	}
	flow.end()
	if err = errors.Join(err, end()); err != nil {
		return err
	}
	topic, err := d.command(ctx, "topics", "tail", "feature."+demoFollow+".v1", "--json")
	if err != nil {
		return err
	}
	return d.sameRows(out.String(), topic)
}

// sameRows checks that what was followed is what the topic has from its beginning, each row once.
func (d *demo) sameRows(followed, topic string) error {
	type row struct {
		Exchange, Market, Symbol string
		RowTS                    int64 `json:"row_ts"`
	}
	seen := map[row]int{}
	n := 0
	for line := range strings.Lines(topic) {
		var l struct{ Row row }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			return err
		}
		seen[l.Row]++
		n++
	}
	for line := range strings.Lines(followed) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return err
		}
		seen[r]--
	}
	for r, k := range seen {
		if k != 0 {
			return fmt.Errorf("BUG: row %v came %d times fewer than it is in the topic", r, k)
		}
	}
	d.fact("followed", "%s rows of %s, none missing and none twice, across the cut from table to topic", term.Int(int64(n)), demoFollow)
	return nil
}
