// Package objstore reads and writes whole files of a folder or an S3 bucket by their URI.
// A file appears whole or not at all, is never changed, and is read by ranges.
package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"strings"
	"time"
)

// ErrNotExist is wrapped by errors about a file that is not there.
var ErrNotExist = fs.ErrNotExist

// Info says what a store knows about a file.
type Info struct {
	URI      string
	Size     int64
	Modified time.Time
}

// Store holds files under URIs: file:///path or s3://bucket/key. Safe for concurrent use.
type Store interface {
	// Create starts a file. Nothing is visible before Close of the writer returned nil.
	Create(ctx context.Context, uri string) (Writer, error)
	// ReadAt fills p from the offset on. A file that ends before is io.ErrUnexpectedEOF,
	// with the bytes read until there.
	ReadAt(ctx context.Context, uri string, p []byte, off int64) (int, error)
	Stat(ctx context.Context, uri string) (Info, error)
	// List yields the files whose URI begins with the prefix, in no stated order. Files
	// that are being written are not listed.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes a file; one that is not there is no error.
	Delete(ctx context.Context, uri string) error
}

// Writer writes one file.
type Writer interface {
	io.Writer
	// Close makes the file visible and durable. After an error of Write it makes nothing
	// visible and returns that error. An error of Close means that the file may or may not
	// be there; if it is, it is whole.
	Close() error
	// Abort gives the file up; after Close it does nothing.
	Abort()
}

// Put writes a whole file.
func Put(ctx context.Context, s Store, uri string, data []byte) error {
	w, err := s.Create(ctx, uri)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

// Get reads a whole file.
func Get(ctx context.Context, s Store, uri string) ([]byte, error) {
	info, err := s.Stat(ctx, uri)
	if err != nil {
		return nil, err
	}
	p := make([]byte, info.Size)
	if _, err := s.ReadAt(ctx, uri, p, 0); err != nil {
		return nil, err
	}
	return p, nil
}

// Keeper is a store that can be asked not to write over a file (on S3: If-None-Match).
type Keeper interface {
	// Keeps reports whether the file at uri, which must be there, is kept; where it is not, it is empty afterwards.
	Keeps(ctx context.Context, uri string) (bool, error)
}

// Leftovers is a store in which processes that die leave parts of files.
type Leftovers interface {
	// Unfinished lists what under the prefix was begun and not finished; files that are being written are among them.
	Unfinished(ctx context.Context, prefix string) ([]Info, error)
}

// Join appends path elements to a URI. The elements are escaped, so that they stay what
// they are: one element each.
func Join(uri string, elem ...string) string {
	var b strings.Builder
	b.WriteString(strings.TrimRight(uri, "/"))
	for _, e := range elem {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(e))
	}
	return b.String()
}

var errPath = errors.New("not a path that a store may touch")

// split takes a URI apart: s3://bucket/key, file:///path, file:/path or /path. Paths with
// "..", "." or empty elements are refused: no name may lead out of its folder.
func split(uri, scheme string) (bucket, path string, err error) {
	rest, ok := strings.CutPrefix(uri, scheme+"://")
	switch {
	case ok && scheme == "s3":
		bucket, rest, _ = strings.Cut(rest, "/")
		if bucket == "" {
			return "", "", fmt.Errorf("%s: no bucket: %w", uri, errPath)
		}
	case ok && scheme == "file":
		rest, ok = strings.CutPrefix(rest, "/")
		if !ok {
			return "", "", fmt.Errorf("%s: a path with a host: %w", uri, errPath)
		}
	case scheme == "file" && strings.HasPrefix(uri, "file:/"):
		rest = strings.TrimPrefix(uri, "file:/")
	case scheme == "file" && strings.HasPrefix(uri, "/"):
		rest = uri[1:]
	default:
		return "", "", fmt.Errorf("%s: not a %s URI: %w", uri, scheme, errPath)
	}
	for e := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		if e == ".." || e == "." || e == "" && rest != "" || strings.ContainsRune(e, 0) {
			return "", "", fmt.Errorf("%s: element %q: %w", uri, e, errPath)
		}
	}
	if scheme == "file" && strings.ContainsRune(rest, '%') {
		// A path is escaped in a file URI and literal in an S3 key, as other tools have it.
		if rest, err = url.PathUnescape(rest); err != nil {
			return "", "", fmt.Errorf("%s: %w", uri, err)
		}
		for e := range strings.SplitSeq(rest, "/") {
			if e == ".." || e == "." || strings.ContainsRune(e, 0) {
				return "", "", fmt.Errorf("%s: element %q: %w", uri, e, errPath)
			}
		}
	}
	return bucket, rest, nil
}
