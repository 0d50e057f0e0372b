package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// lakeRows takes the rows of a view and publishes them at the end: in their range and for
// all entities they take the place of the rows that are there. Until then they are in
// files of a temporary folder.
type lakeRows struct {
	ctx   context.Context //nolint:containedctx // a rowfile.Writer has none
	lake  *lake.Lake
	out   *features.Output
	table string
	tablePacker
	keys    []lakefile.Key
	rowTS   int              // result column
	by      []lake.Partition // of a new table, beside row_ts
	lo, hi  int64
	dir     string
	w       *lakefile.Writer
	files   []spooled
	rows    int64
	now     func() time.Time
	who     string
	reason  string
	history string // served or corrected
	inputs  string // what the rows are made of: files, or tables and snapshots as JSON
	publish func([]lake.Published)
}

type spooled struct {
	path string
	size int64
}

// spoolRows is how many rows are in memory until they go to a file.
const spoolRows = 256 << 10

func (j *job) newLakeRows(ctx context.Context, o *features.Output, s *rowfile.Schema) (*lakeRows, error) {
	switch {
	case j.cfg.Output != LakePrefix:
		return nil, fault.Usage("output_format", fmt.Sprintf("a lake names the table itself: %s", FeatureTable(o)), "write -o "+LakePrefix)
	case j.env.Lake == nil:
		return nil, fault.Usage("lake_missing", "no lake given", "name its folder: --lake DIR")
	case len(o.Entity) > idOfRow-idEntity:
		return nil, fmt.Errorf("view %s has %d entity columns; a table takes %d", o.Name, len(o.Entity), idOfRow-idEntity)
	}
	r := &lakeRows{ctx: ctx, lake: j.env.Lake, out: o, table: FeatureTable(o), rowTS: len(o.Entity) + 2, lo: j.cfg.From, hi: j.cfg.To, now: j.env.Now, who: j.env.Who}
	r.by = j.cfg.BySymbol
	if err := CheckBySymbol(o, r.by); err != nil {
		return nil, err
	}
	r.inputs = strings.Join(j.cfg.Inputs, ",")
	r.reason = "tidemark run over " + r.inputs
	if r.history = "served"; j.cfg.Corrected {
		r.history = "corrected"
	}
	r.publish = func(p []lake.Published) { j.published = p }
	r.tablePacker = newTablePacker(o, s)
	r.keys = featureKeys(o)
	if t, err := r.lake.Load(ctx, r.table); err == nil {
		if err := sameView(t, o); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, lake.ErrNoTable) {
		return nil, err
	}
	var err error
	if r.w, err = lakefile.NewWriter(r.cols, r.keys); err != nil {
		return nil, err
	}
	r.dir, err = os.MkdirTemp("", "tidemark-rows-*")
	return r, err
}

func (r *lakeRows) Write(b *rowfile.Batch) error {
	rows := r.pack(b)
	for _, ts := range b.Cols[r.rowTS].I64[:b.N] {
		if r.lo == market.NoTime || ts < r.lo {
			r.lo = ts
		}
		r.hi = max(r.hi, ts+1)
	}
	if err := r.w.Append(rows, nil); err != nil {
		return fmt.Errorf("%s: %w", r.table, err)
	}
	r.rows += int64(b.N)
	if r.w.Rows() >= spoolRows {
		return r.spool()
	}
	return nil
}

func (r *lakeRows) spool() error {
	path := filepath.Join(r.dir, fmt.Sprintf("%05d.parquet", len(r.files)))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	info, err := r.w.Finish(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("rows on their way into %s: %w", r.table, err)
	}
	r.files = append(r.files, spooled{path, info.Size})
	return nil
}

// Close publishes the rows.
func (r *lakeRows) Close() error {
	defer r.abort()
	if r.rows == 0 && (r.lo == market.NoTime || r.hi == market.NoTime || r.lo >= r.hi) {
		return nil
	}
	if r.w.Rows() > 0 {
		if err := r.spool(); err != nil {
			return err
		}
	}
	if err := r.create(); err != nil {
		return err
	}
	done, err := r.lake.Publish(r.ctx, lake.Publication{
		ID: lake.NewCommitID(), Reason: r.reason, Who: r.who, At: r.now().UnixMicro(), History: r.history, Inputs: r.inputs,
		Views: []lake.Replacement{{Table: r.table, From: r.lo, To: r.hi, Rows: r.each}},
	})
	if err != nil {
		return err
	}
	r.publish(done)
	return nil
}

func (r *lakeRows) abort() { _ = os.RemoveAll(r.dir) }

// each reads the rows back.
func (r *lakeRows) each(yield func(*lakefile.Batch) error) error {
	one := func(f spooled) error {
		src, err := os.Open(f.path)
		if err != nil {
			return err
		}
		defer func() { _ = src.Close() }()
		rd, err := lakefile.Open(src, f.size, f.path)
		if err != nil {
			return err
		}
		rows, err := rd.Read(r.cols, 0, rd.Rows())
		if err != nil {
			return err
		}
		for {
			b, err := rows.Next()
			if err != nil || b == nil {
				return err
			}
			if err := yield(b); err != nil {
				return err
			}
		}
	}
	for _, f := range r.files {
		if err := one(f); err != nil {
			return err
		}
	}
	return nil
}

// create makes the table when it is not there. The grain of its partition follows from
// how much these rows are a day: hours above 1 GiB, months below 4 MiB.
func (r *lakeRows) create() error {
	bytes := int64(0)
	for _, f := range r.files {
		bytes += f.size
	}
	days := max(1, float64(r.hi-r.lo)/float64(market.Day))
	grain := "day"
	switch perDay := float64(bytes) / days; {
	case perDay > 1<<30:
		grain = "hour"
	case perDay < 4<<20:
		grain = "month"
	}
	_, err := OpenFeatureTable(r.ctx, r.lake, r.out, grain, r.by...)
	return err
}
