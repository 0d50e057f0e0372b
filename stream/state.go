package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/internal/objstore"
)

// pointer names a snapshot of a task: <task>/<number>-<random>. It rides in the metadata of
// the offsets of the task's inputs, after pointerMark and before the transaction that commits them. The number grows with
// each snapshot of the task; the random part keeps a worker that was thought dead off the files of its heir.
type pointer string

const pointerMark = "tidemark1 "

// number is the pointer's, -1 of one that is none.
func (p pointer) number() int64 {
	_, rest, ok := strings.Cut(string(p), "/")
	digits, _, ok2 := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || !ok2 || err != nil || n < 0 {
		return -1
	}
	return n
}

func newPointer(task, number int64) pointer {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return pointer(fmt.Sprintf("%d/%016d-%s", task, number, hex.EncodeToString(b[:])))
}

// readPointer reads the metadata of an offset, and which transaction committed it; ok is false when it is not ours.
func readPointer(metadata string) (p pointer, by txn, ok bool) {
	text, ok := strings.CutPrefix(metadata, pointerMark)
	text, last, _ := strings.Cut(text, " ")
	if _, err := fmt.Sscanf(last, "%d:%d", &by.producer, &by.epoch); err != nil {
		by = txn{-1, -1} // of a release that did not say it
	}
	p = pointer(text)
	return p, by, ok && p.number() >= 0
}

func (p pointer) metadata(by txn) *string {
	s := fmt.Sprintf("%s%s %d:%d", pointerMark, p, by.producer, by.epoch)
	return &s
}

// snapshots keeps the state of tasks in an object store.
type snapshots struct {
	store objstore.Store
	dir   string
}

func (s *snapshots) uri(p pointer) string { return objstore.Join(s.dir, string(p)) }

func (s *snapshots) put(ctx context.Context, p pointer, state []byte) error {
	if err := objstore.Put(ctx, s.store, s.uri(p), state); err != nil {
		return fmt.Errorf("write snapshot %s: %w", s.uri(p), err)
	}
	return nil
}

func (s *snapshots) get(ctx context.Context, p pointer) ([]byte, error) {
	state, err := objstore.Get(ctx, s.store, s.uri(p))
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", s.uri(p), err)
	}
	return state, nil
}

// newest is the greatest number of a task's snapshots that are there, -1 of none.
func (s *snapshots) newest(ctx context.Context, task int64) (int64, error) {
	n := int64(-1)
	for p, err := range s.of(ctx, task) {
		if err != nil {
			return 0, fmt.Errorf("list snapshots of task %d: %w", task, err)
		}
		n = max(n, p.number())
	}
	return n, nil
}

// kept is a snapshot that is there.
type kept struct {
	pointer
	objstore.Info
}

// of lists a task's snapshots.
func (s *snapshots) of(ctx context.Context, task int64) iter.Seq2[kept, error] {
	prefix := s.uri(pointer(strconv.FormatInt(task, 10) + "/"))
	return func(yield func(kept, error) bool) {
		for info, err := range s.store.List(ctx, prefix) {
			name, _ := url.PathUnescape(strings.TrimPrefix(info.URI, strings.TrimSuffix(s.dir, "/")+"/")) // the slash is escaped but in folders
			p := pointer(name)
			if (err != nil || p.number() >= 0) && !yield(kept{p, info}, err) {
				return
			}
		}
	}
}

// orphanAge is how old a snapshot must be that nobody points to before it is deleted: a
// worker that writes one commits its pointer long before, or never.
const orphanAge = time.Hour

// sweep deletes old snapshots of a task below the one in use and the one before it.
func (s *snapshots) sweep(ctx context.Context, task int64, inUse pointer, now time.Time) error {
	for p, err := range s.of(ctx, task) {
		if err != nil {
			return err
		}
		if p.pointer == inUse || now.Sub(p.Modified) < orphanAge {
			continue
		}
		if err := s.store.Delete(ctx, p.URI); err != nil {
			return err
		}
	}
	return nil
}
