package lake

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/objstore"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	Wrong Level = "wrong" // rows are lost, doubled or cannot be read
	Warn  Level = "warn"  // nothing is lost; something has to be done
	Note  Level = "note"  // good to know
)

// Finding is one thing that Examine found.
type Finding struct {
	Level  Level  `json:"level"`
	Code   string `json:"code"`            // stable word
	Table  string `json:"table,omitempty"` // "" is the lake
	What   string `json:"what"`
	Where  string `json:"where,omitempty"` // the file, snapshot or property; the first of several
	Count  int64  `json:"count,omitempty"` // of several of the kind
	Remedy string `json:"remedy,omitempty"`
}

// Examination is how much is looked at.
type Examination struct {
	Tables []string // nil is all
	Deep   bool     // read all rows of all files, not of a sample
}

// Sizes of the sample, and bounds.
const (
	sampleFiles      = 16               // of a table, whose rows are read
	sampleFooters    = 128              // of a table
	samplePartitions = 4                // of a table, whose ids are compared
	maxDoctorIDs     = 1 << 24          // of one partition
	grace            = time.Hour        // a file without a commit may belong to one that is being made
	smallFile        = 1 << 20          // bytes
	manySmall        = 20               // small files of one partition
	maxMetadata      = 2 << 20          // bytes of a metadata file
	maxSkew          = 5 * time.Second  // of the storage's clock
	maxFuture        = time.Minute      // of a snapshot
	tooSkewed        = 10 * time.Minute // S3 refuses requests at 15
	propIDColumn     = "event_id"       // must be unique within a partition
)

// Examine looks for what is wrong with the lake, and says what to do. It changes nothing, but
// for a file that it writes and removes to try the storage. An error means that it could not look.
func (l *Lake) Examine(ctx context.Context, x Examination) ([]Finding, error) {
	d := &doctor{l: l, deep: x.Deep}
	if err := d.storage(ctx); err != nil {
		return nil, err
	}
	names := x.Tables
	if names == nil {
		var err error
		if names, err = l.Tables(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			d.add(Finding{Level: Wrong, Code: "catalog_unreadable", What: "the catalog does not list its tables: " + err.Error(), Remedy: "see that the catalog can be reached, and by whom"})
		}
	}
	for _, name := range names {
		if err := d.table(ctx, name); err != nil {
			return nil, err
		}
	}
	rank := map[Level]int{Wrong: 0, Warn: 1, Note: 2}
	if d.found == nil {
		d.found = []Finding{}
	}
	slices.SortStableFunc(d.found, func(a, b Finding) int { return cmp.Compare(rank[a.Level], rank[b.Level]) })
	return d.found, nil
}

type doctor struct {
	l     *Lake
	deep  bool
	name  string // of the table at hand
	found []Finding
}

// add notes a finding; further ones of the same code and table are counted.
func (d *doctor) add(f Finding) {
	f.Table = d.name
	for i := range d.found {
		if o := &d.found[i]; o.Code == f.Code && o.Table == f.Table && o.Level == f.Level {
			o.Count += max(1, f.Count)
			return
		}
	}
	f.Count = max(1, f.Count)
	d.found = append(d.found, f)
}

// storage writes, looks at, lists, reads and removes a file.
func (d *doctor) storage(ctx context.Context) error {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	uri := objstore.Join(d.l.warehouse, "table", "doctor", "metadata", "probe-"+hex.EncodeToString(id[:]))
	s := d.l.store
	bad := func(op string, err error) {
		d.add(Finding{Level: Wrong, Code: "storage_" + strings.ReplaceAll(op, " ", "_"), What: "the storage does not " + op + " a file: " + err.Error(), Where: uri,
			Remedy: "docs/lake.md lists the permissions that a process needs"})
	}
	text := []byte("tidemark doctor\n")
	if err := objstore.Put(ctx, s, uri, text); err != nil {
		bad("write", err)
		return ctx.Err()
	}
	if info, err := s.Stat(ctx, uri); err != nil {
		bad("look at", err)
	} else if skew := info.Modified.Sub(d.l.now()); skew.Abs() > maxSkew {
		level := Warn
		if skew.Abs() > tooSkewed {
			level = Wrong
		}
		d.add(Finding{Level: level, Code: "clock_skew", What: fmt.Sprintf("the storage's clock is %s from this machine's", skew.Round(time.Second)), Remedy: "set the clocks by NTP: ages of files are told by them, and S3 refuses requests that are 15 minutes off"})
	}
	if got, err := objstore.Get(ctx, s, uri); err != nil || string(got) != string(text) {
		bad("read", errors.Join(err, errors.New("other bytes came back")))
	}
	listed := false
	for info, err := range s.List(ctx, uri) {
		if err != nil {
			bad("list", err)
			listed = true
			break
		}
		listed = listed || info.Size == int64(len(text))
	}
	if !listed {
		bad("list", errors.New("a file that was written is not listed"))
	}
	if k, ok := s.(objstore.Keeper); ok {
		if kept, err := k.Keeps(ctx, uri); err == nil && !kept {
			d.add(Finding{Level: Note, Code: "no_conditional_put", What: "the storage writes over a file that is there although it is asked not to (If-None-Match)",
				Remedy: "commits do not need it, they are the catalog's; do not keep leases in this storage"})
		}
	}
	if err := s.Delete(ctx, uri); err != nil {
		d.add(Finding{Level: Warn, Code: "storage_delete", What: "the storage does not remove a file: " + err.Error(), Where: uri, Remedy: "old metadata files stay without it; docs/lake.md lists the permissions"})
	}
	return ctx.Err()
}

// living is a data file that a kept snapshot has.
type living struct {
	size int64
	head bool // of main
}

func (d *doctor) table(ctx context.Context, name string) error {
	d.name = name
	defer func() { d.name = "" }()
	t, err := d.l.Load(ctx, name)
	if err == nil { // what was loaded before may be remembered
		_, err = d.l.store.Stat(ctx, t.MetadataLocation())
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		d.add(Finding{Level: Wrong, Code: "metadata_unreadable", What: "the table cannot be read: " + err.Error(),
			Remedy: "restore the metadata file from a copy of the storage; older ones, in the table's folder metadata, name the states before"})
		return nil
	}
	if err := d.snapshots(ctx, t); err != nil {
		return err
	}
	files, known, whole, err := d.manifests(ctx, t)
	if err != nil {
		return err
	}
	if err := d.files(ctx, t, files, known, whole); err != nil {
		return err
	}
	return d.rows(ctx, t)
}

// snapshots looks at what the metadata alone says.
func (d *doctor) snapshots(ctx context.Context, t *Table) error {
	all, err := t.Snapshots()
	if err != nil {
		d.add(Finding{Level: Wrong, Code: "properties_damaged", What: err.Error(), Remedy: "the offsets of a sink are in it: start no sink on this table before it is mended"})
		return ctx.Err()
	}
	if _, err := t.Base(); err != nil {
		d.add(Finding{Level: Wrong, Code: "properties_damaged", What: err.Error(), Remedy: "the offsets of a sink are in it: start no sink on this table before it is mended"})
	}
	for _, s := range all {
		if s.Commit == "" {
			d.add(Finding{Level: Note, Code: "foreign_snapshots", Where: fmt.Sprint(s.ID), What: "snapshots that another tool committed: " + s.Operation + " by " + first(s.Summary["engine-name"], "an unknown one"),
				Remedy: "right for compaction; rows that it added have passed none of the checks here"})
		}
		if ahead := s.At.Sub(d.l.now()); ahead > maxFuture {
			d.add(Finding{Level: Warn, Code: "clock_skew", Where: fmt.Sprint(s.ID), What: fmt.Sprintf("a snapshot is %s in the future", ahead.Round(time.Second)), Remedy: "set the clock of the machine that wrote it by NTP: reading as of a time misses it until then"})
		}
	}
	if len(all) > maxSnapshots+maxRefs {
		d.add(Finding{Level: Warn, Code: "many_snapshots", Count: int64(len(all)), What: fmt.Sprintf("%d snapshots are kept, %d are meant to be", len(all), maxSnapshots), Remedy: "expire old ones; every commit writes all of them anew"})
	}
	if info, err := d.l.store.Stat(ctx, t.MetadataLocation()); err == nil && info.Size > maxMetadata {
		d.add(Finding{Level: Warn, Code: "large_metadata", Where: t.MetadataLocation(), Count: info.Size, What: fmt.Sprintf("the metadata file has %d bytes, every commit writes one", info.Size), Remedy: "drop old branches and tags"})
	}
	for _, key := range slices.Sorted(maps.Keys(t.inner.Properties())) {
		if id, ok := strings.CutPrefix(key, propOpen); ok {
			d.add(Finding{Level: Warn, Code: "publication_unfinished", Where: id, What: "a publication has replaced rows of this table and is not finished", Remedy: "run it again with the same id: it does what is left"})
		}
	}
	return ctx.Err()
}

// manifests reads what every kept snapshot is made of: its data files, and all files that are
// in use besides them. whole is false when some could not be read.
func (d *doctor) manifests(ctx context.Context, t *Table) (files map[string]living, known map[string]bool, whole bool, err error) {
	files, known, whole = map[string]living{}, map[string]bool{local(t.MetadataLocation()): true}, true
	m := t.inner.Metadata()
	for e := range m.PreviousFiles() {
		known[local(e.MetadataFile)] = true
	}
	for s := range m.Statistics() {
		known[local(s.StatisticsPath)] = true
	}
	for s := range m.PartitionStatistics() {
		known[local(s.StatisticsPath)] = true
	}
	fio, err := t.inner.FS(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	head := t.head(Main)
	unreadable := func(s *table.Snapshot, what string, err error) {
		whole = false
		level, remedy := Wrong, "restore the file from a copy of the storage; rows of this snapshot cannot be read without it"
		if s.SnapshotID != head {
			level, remedy = Warn, "older state only; it goes when it is expired"
		}
		d.add(Finding{Level: level, Code: "manifest_unreadable", Where: what, What: fmt.Sprintf("snapshot %d: %v", s.SnapshotID, err), Remedy: remedy})
	}
	read := map[string][]iceberg.DataFile{}
	all := m.Snapshots()
	for i := range all {
		s := &all[i]
		if err := ctx.Err(); err != nil {
			return nil, nil, false, err
		}
		known[local(s.ManifestList)] = true
		manifests, err := s.Manifests(fio)
		if err != nil {
			unreadable(s, s.ManifestList, err)
			continue
		}
		rows := int64(0)
		for _, mf := range manifests {
			known[local(mf.FilePath())] = true
			entries, ok := read[mf.FilePath()]
			if !ok {
				for e, err := range mf.Entries(fio, true) {
					if err != nil {
						unreadable(s, mf.FilePath(), err)
						break
					}
					entries = append(entries, e.DataFile())
				}
				read[mf.FilePath()] = entries
			}
			for _, df := range entries {
				if df.ContentType() != iceberg.EntryContentData && s.SnapshotID == head {
					d.add(Finding{Level: Wrong, Code: "delete_files", Where: df.FilePath(), What: "files of deletes that another tool wrote, which this lake does not apply", Remedy: "let that tool rewrite the data files; set its write mode to copy-on-write"})
				}
				at := local(df.FilePath())
				f := files[at]
				files[at] = living{df.FileSizeBytes(), f.head || s.SnapshotID == head}
				if df.ContentType() == iceberg.EntryContentData {
					rows += df.Count()
				}
			}
		}
		if s.SnapshotID == head && s.Summary != nil {
			if total := s.Summary.Properties.GetInt64("total-records", rows); total != rows && whole {
				d.add(Finding{Level: Warn, Code: "summary_differs", Where: fmt.Sprint(head), What: fmt.Sprintf("the summary says %d rows, the files have %d", total, rows), Remedy: "tools that count by the summary are wrong; the next commit of a tool that counts anew mends it"})
			}
		}
	}
	return files, known, whole, nil
}

// local brings the forms of a file's URI to one.
func local(uri string) string {
	if rest, ok := strings.CutPrefix(uri, "file:"); ok {
		path := "/" + strings.TrimLeft(rest, "/")
		if plain, err := url.PathUnescape(path); err == nil {
			return plain
		}
		return path
	}
	return uri
}

// files compares what is in the storage with what the snapshots have.
func (d *doctor) files(ctx context.Context, t *Table, files map[string]living, known map[string]bool, whole bool) error {
	there := map[string]int64{}
	var orphans, bytes int64
	var orphan string
	for info, err := range d.l.store.List(ctx, strings.TrimRight(t.Location(), "/")+"/") {
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			d.add(Finding{Level: Wrong, Code: "storage_list", Where: t.Location(), What: "the table's folder cannot be listed: " + err.Error(), Remedy: "docs/lake.md lists the permissions that a process needs"})
			return nil
		}
		at := local(info.URI)
		there[at] = info.Size
		if _, used := files[at]; !used && !known[at] && d.l.now().Sub(info.Modified) > grace {
			orphans++
			bytes += info.Size
			orphan = first(orphan, info.URI)
		}
	}
	var left []objstore.Info
	if s, ok := d.l.store.(objstore.Leftovers); ok {
		var err error
		if left, err = s.Unfinished(ctx, strings.TrimRight(t.Location(), "/")+"/"); err != nil && ctx.Err() != nil {
			return err
		}
	}
	for _, info := range left {
		if d.l.now().Sub(info.Modified) > grace {
			d.add(Finding{Level: Note, Code: "unfinished", Where: info.URI, What: "files that a process began to write and did not finish", Remedy: "they are never read; remove them when no process writes to the lake, on S3 by a rule of the bucket (AbortIncompleteMultipartUpload)"})
		}
	}
	if orphans > 0 && whole {
		d.add(Finding{Level: Note, Code: "orphans", Where: orphan, Count: orphans, What: fmt.Sprintf("files that no kept snapshot names: %d bytes, left by processes that died and by snapshots that are expired", bytes),
			Remedy: "they are never read; upkeep removes them"})
	}
	for _, at := range slices.Sorted(maps.Keys(files)) {
		f := files[at]
		size, ok := there[at]
		if !ok { // another folder, or not listed yet
			info, err := d.l.store.Stat(ctx, at)
			if err != nil && ctx.Err() != nil {
				return err
			}
			if ok = err == nil; ok {
				size = info.Size
			}
		}
		level, remedy := Wrong, "restore it from a copy of the storage, or import the events of its time again after the file is taken out of the table"
		if !f.head {
			level, remedy = Warn, "older states only: they cannot be read any more"
		}
		switch {
		case !ok:
			d.add(Finding{Level: level, Code: "file_missing", Where: at, What: "a data file is not there", Remedy: remedy})
		case size != f.size:
			d.add(Finding{Level: level, Code: "file_size", Where: at, What: fmt.Sprintf("a data file has %d bytes, the table says %d", size, f.size), Remedy: remedy})
		}
	}
	return nil
}
