package objstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a store of this process, for tests. The zero value is empty.
type Memory struct {
	mu    sync.Mutex
	files map[string][]byte
}

type memoryWriter struct {
	m    *Memory
	ctx  context.Context //nolint:containedctx // the writer is one call that lasts from Create to Close
	uri  string
	buf  bytes.Buffer
	done bool
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, uri string) (Writer, error) {
	if strings.Contains(uri, "..") {
		return nil, fmt.Errorf("%s: %w", uri, errPath)
	}
	return &memoryWriter{m: m, ctx: ctx, uri: uri}, ctx.Err()
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		w.done = true
		return 0, err
	}
	return w.buf.Write(p)
}

func (w *memoryWriter) Close() error {
	if err := w.ctx.Err(); err != nil || w.done {
		return err
	}
	w.done = true
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if w.m.files == nil {
		w.m.files = map[string][]byte{}
	}
	w.m.files[w.uri] = w.buf.Bytes()
	return nil
}

func (w *memoryWriter) Abort() { w.done = true }

func (m *Memory) get(ctx context.Context, uri string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.files[uri]
	if !ok {
		return nil, fmt.Errorf("%s: %w", uri, ErrNotExist)
	}
	return b, ctx.Err()
}

// ReadAt implements Store.
func (m *Memory) ReadAt(ctx context.Context, uri string, p []byte, off int64) (int, error) {
	b, err := m.get(ctx, uri)
	if err != nil {
		return 0, err
	}
	n := copy(p, b[min(off, int64(len(b))):])
	if n < len(p) {
		return n, fmt.Errorf("%s: %d of %d bytes at %d: %w", uri, n, len(p), off, io.ErrUnexpectedEOF)
	}
	return n, nil
}

// Stat implements Store.
func (m *Memory) Stat(ctx context.Context, uri string) (Info, error) {
	b, err := m.get(ctx, uri)
	return Info{URI: uri, Size: int64(len(b))}, err
}

// List implements Store.
func (m *Memory) List(_ context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		m.mu.Lock()
		files := maps.Clone(m.files)
		m.mu.Unlock()
		for _, uri := range slices.Sorted(maps.Keys(files)) {
			if strings.HasPrefix(uri, prefix) && !yield(Info{URI: uri, Size: int64(len(files[uri]))}, nil) {
				return
			}
		}
	}
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, uri string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, uri)
	return ctx.Err()
}
