package objstore

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"
)

// Op names a call of a store.
type Op string

// The calls that a Faulty can disturb.
const (
	OpCreate Op = "create"
	OpWrite  Op = "write"
	OpClose  Op = "close" // the call that makes a file visible
	OpRead   Op = "read"
	OpStat   Op = "stat"
	OpDelete Op = "delete"
)

// Fault is what happens to one call.
type Fault uint8

// The faults.
const (
	None     Fault = iota
	Before         // the call fails and has no effect
	After          // the call has its effect and fails
	Truncate       // a read gets half, a write half; both say so
	Delay          // the call takes Wait longer
)

// ErrInjected is the error of injected faults.
var ErrInjected = errors.New("injected fault")

// Faulty is a store whose calls fail as Plan says: the wrapper of the tests. Plan gets
// the number of the call, from 1 on. A nil Plan disturbs nothing.
type Faulty struct {
	Store
	Plan func(n int64, op Op, uri string) Fault
	Wait time.Duration

	OnFault func() // called at each fault

	calls atomic.Int64
}

// Calls is the number of calls until now.
func (f *Faulty) Calls() int64 { return f.calls.Load() }

func (f *Faulty) fault(ctx context.Context, op Op, uri string) Fault {
	n := f.calls.Add(1)
	if f.Plan == nil {
		return None
	}
	x := f.Plan(n, op, uri)
	if x != None && f.OnFault != nil {
		f.OnFault()
	}
	if x == Delay {
		t := time.NewTimer(f.Wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return x
}

// Create implements Store.
func (f *Faulty) Create(ctx context.Context, uri string) (Writer, error) {
	x := f.fault(ctx, OpCreate, uri)
	if x == Before {
		return nil, ErrInjected
	}
	w, err := f.Store.Create(ctx, uri)
	if err == nil && x == After {
		w.Abort()
		return nil, ErrInjected
	}
	return &faultyWriter{Writer: w, ctx: ctx, f: f, uri: uri}, err
}

type faultyWriter struct {
	Writer
	ctx context.Context //nolint:containedctx // as the writer it wraps
	f   *Faulty
	uri string
	bad bool
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	switch w.f.fault(w.ctx, OpWrite, w.uri) {
	case Before:
		w.bad = true
		return 0, ErrInjected
	case After, Truncate:
		w.bad = true
		n, err := w.Writer.Write(p[:len(p)/2])
		return n, errors.Join(err, ErrInjected)
	}
	return w.Writer.Write(p)
}

func (w *faultyWriter) Close() error {
	if w.bad {
		w.Abort()
		return ErrInjected
	}
	switch w.f.fault(w.ctx, OpClose, w.uri) {
	case Before:
		w.Abort()
		return ErrInjected
	case After, Truncate:
		return errors.Join(w.Writer.Close(), ErrInjected)
	}
	return w.Writer.Close()
}

// ReadAt implements Store.
func (f *Faulty) ReadAt(ctx context.Context, uri string, p []byte, off int64) (int, error) {
	switch f.fault(ctx, OpRead, uri) {
	case Before, After:
		return 0, ErrInjected
	case Truncate:
		n, err := f.Store.ReadAt(ctx, uri, p[:len(p)/2], off)
		return n, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return f.Store.ReadAt(ctx, uri, p, off)
}

// Stat implements Store.
func (f *Faulty) Stat(ctx context.Context, uri string) (Info, error) {
	if x := f.fault(ctx, OpStat, uri); x == Before || x == After {
		return Info{}, ErrInjected
	}
	return f.Store.Stat(ctx, uri)
}

// List implements Store.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return f.Store.List(ctx, prefix)
}

// Delete implements Store.
func (f *Faulty) Delete(ctx context.Context, uri string) error {
	x := f.fault(ctx, OpDelete, uri)
	if x == Before {
		return ErrInjected
	}
	err := f.Store.Delete(ctx, uri)
	if x == After {
		return errors.Join(err, ErrInjected)
	}
	return err
}
