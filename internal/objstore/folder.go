package objstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Folder is the files of this machine. Its URIs are file:///path; file:/path and /path
// are understood, too.
type Folder struct{}

// tempMark is in the names of files that are being written.
const tempMark = ".tmp-"

// FolderURI is the URI of a path of this machine.
func FolderURI(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String(), nil
}

func localPath(uri string) (string, error) {
	_, path, err := split(uri, "file")
	if err != nil {
		return "", err
	}
	return "/" + path, nil
}

// Create implements Store: a temporary file beside it, synced, then renamed.
func (Folder) Create(ctx context.Context, uri string) (Writer, error) {
	path, err := localPath(uri)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	temp := filepath.Join(dir, "."+filepath.Base(path)+tempMark+hex.EncodeToString(id[:]))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &folderWriter{ctx: ctx, f: f, temp: temp, path: path}, nil
}

// makeDir makes the folder and syncs the folders that got a new entry.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return nil
	}
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

type folderWriter struct {
	ctx        context.Context //nolint:containedctx // the writer is one call that lasts from Create to Close
	f          *os.File
	temp, path string
	err        error
	done       bool
}

func (w *folderWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.f.Write(p)
	w.err = err
	return n, err
}

func (w *folderWriter) Close() error {
	if w.done {
		return w.err
	}
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil {
		w.err = w.f.Sync()
	}
	if w.err != nil {
		err := w.err
		w.Abort()
		return err
	}
	w.done = true
	if w.err = w.f.Close(); w.err == nil {
		if w.err = os.Rename(w.temp, w.path); w.err == nil {
			w.err = syncDir(filepath.Dir(w.path))
			return w.err
		}
	}
	_ = os.Remove(w.temp)
	return w.err
}

func (w *folderWriter) Abort() {
	if w.done {
		return
	}
	w.done = true
	if w.err == nil {
		w.err = fs.ErrClosed
	}
	_ = w.f.Close()
	_ = os.Remove(w.temp)
}

// ReadAt implements Store.
func (Folder) ReadAt(ctx context.Context, uri string, p []byte, off int64) (int, error) {
	path, err := localPath(uri)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		if n == len(p) {
			return n, nil
		}
		err = fmt.Errorf("%s: %d of %d bytes at %d: %w", uri, n, len(p), off, io.ErrUnexpectedEOF)
	}
	return n, err
}

// Stat implements Store.
func (Folder) Stat(_ context.Context, uri string) (Info, error) {
	path, err := localPath(uri)
	if err != nil {
		return Info{}, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return Info{}, err
	}
	if fi.IsDir() {
		return Info{}, fmt.Errorf("%s: a folder: %w", uri, ErrNotExist)
	}
	return Info{URI: uri, Size: fi.Size(), Modified: fi.ModTime()}, nil
}

// List implements Store.
func (Folder) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		path, err := localPath(prefix)
		if err != nil {
			yield(Info{}, err)
			return
		}
		root := path
		if !strings.HasSuffix(path, "/") {
			root = filepath.Dir(path)
		}
		err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // gone while we looked
			case err != nil:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case d.IsDir() && p != root && !strings.HasPrefix(p+"/", path) && !strings.HasPrefix(path, p+"/"):
				return fs.SkipDir
			case d.IsDir() || !strings.HasPrefix(p, path) || strings.HasPrefix(d.Name(), ".") && strings.Contains(d.Name(), tempMark):
				return nil
			}
			fi, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			u := (&url.URL{Scheme: "file", Path: filepath.ToSlash(p)}).String()
			if !yield(Info{URI: u, Size: fi.Size(), Modified: fi.ModTime()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(Info{}, err)
		}
	}
}

// Delete implements Store.
func (Folder) Delete(_ context.Context, uri string) error {
	path, err := localPath(uri)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Unfinished implements Leftovers: temporary files.
func (Folder) Unfinished(ctx context.Context, prefix string) ([]Info, error) {
	root, err := localPath(prefix)
	if err != nil {
		return nil, err
	}
	var out []Info
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() || !strings.HasPrefix(d.Name(), ".") || !strings.Contains(d.Name(), tempMark):
			return nil
		}
		if fi, err := d.Info(); err == nil {
			out = append(out, Info{URI: (&url.URL{Scheme: "file", Path: filepath.ToSlash(p)}).String(), Size: fi.Size(), Modified: fi.ModTime()})
		}
		return nil
	})
	return out, err
}
