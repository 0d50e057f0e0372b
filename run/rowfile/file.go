package rowfile

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// File is a file that appears under its name only when it is whole: it is written to a
// temporary name beside it and renamed by Commit. Abort leaves nothing behind. What is
// no regular file (a pipe, a device) is written as it comes.
type File struct {
	path string
	tmp  string // "" when written in place
	f    *os.File
	buf  *bufio.Writer
	done bool
}

// CreateFile starts a file. The folder must exist.
func CreateFile(path string) (*File, error) {
	target, st := path, os.FileInfo(nil)
	if s, err := os.Stat(path); err == nil {
		st = s
		if p, err := filepath.EvalSymlinks(path); err == nil {
			target = p // keep the link, replace what it points to
		}
	}
	w := &File{path: target}
	var err error
	switch {
	case st != nil && st.IsDir():
		return nil, fmt.Errorf("create %q: it is a directory", path)
	case st != nil && !st.Mode().IsRegular():
		w.f, err = os.OpenFile(path, os.O_WRONLY, 0)
	default:
		w.f, err = os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.tmp")
		if err == nil {
			w.tmp = w.f.Name()
			mode := os.FileMode(0o644)
			if st != nil {
				mode = st.Mode().Perm()
			}
			err = w.f.Chmod(mode)
		}
	}
	if err != nil {
		w.Abort()
		return nil, fmt.Errorf("create %q: %w", path, err)
	}
	w.buf = bufio.NewWriterSize(w.f, flushAt)
	return w, nil
}

func (w *File) Write(p []byte) (int, error) { return w.buf.Write(p) }

// Commit makes the file appear under its name, complete.
func (w *File) Commit() error {
	if w.done {
		return errors.New("BUG: file committed twice")
	}
	err := w.buf.Flush()
	if err == nil && w.tmp != "" {
		err = w.f.Sync()
	}
	w.done = true
	err = errors.Join(err, w.f.Close())
	if w.tmp == "" {
		return err
	}
	if err == nil {
		err = os.Rename(w.tmp, w.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(w.tmp))
	}
	return nil
}

// Abort drops what was written. It does nothing after Commit.
func (w *File) Abort() {
	if w.done || w.f == nil {
		return
	}
	w.done = true
	_ = w.f.Close() // the content is dropped anyway
	if w.tmp != "" {
		_ = os.Remove(w.tmp)
	}
}

// Rows is a Writer on a File, by the file's extension.
type Rows struct {
	Writer
	file *File
	comp io.WriteCloser
}

// Create starts a result file whose format and compression follow from its name.
func Create(path string, s *Schema) (*Rows, error) {
	format, comp, err := ByName(path)
	if err != nil {
		return nil, err
	}
	f, err := CreateFile(path)
	if err != nil {
		return nil, err
	}
	r := &Rows{file: f}
	var w io.Writer = f
	switch comp {
	case "gz":
		r.comp = gzip.NewWriter(f)
	case "zst":
		r.comp, err = zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
	}
	if r.comp != nil {
		w = r.comp
	}
	if err == nil {
		r.Writer, err = New(w, format, s)
	}
	if err != nil {
		f.Abort()
		return nil, err
	}
	return r, nil
}

// Close finishes the rows and makes the file appear. On an error no file is left.
func (r *Rows) Close() error {
	err := r.Writer.Close()
	if err == nil && r.comp != nil {
		err = r.comp.Close()
	}
	if err != nil {
		r.file.Abort()
		return err
	}
	return r.file.Commit()
}

// Abort drops the file.
func (r *Rows) Abort() { r.file.Abort() }
