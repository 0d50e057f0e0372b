package catalog

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"time"

	iceio "github.com/apache/iceberg-go/io"

	"github.com/pinova-group/tidemark/internal/objstore"
)

// IO is a store as iceberg-go sees it: whole writes, ranged reads. Calls end with ctx.
func IO(ctx context.Context, s objstore.Store) iceio.IO { return &storeIO{ctx, s} }

type storeIO struct {
	ctx context.Context //nolint:containedctx // iceberg-go's calls take none
	s   objstore.Store
}

var (
	_ iceio.ReadFileIO  = (*storeIO)(nil)
	_ iceio.WriteFileIO = (*storeIO)(nil)
	_ iceio.ListableIO  = (*storeIO)(nil)
)

func (o *storeIO) Open(name string) (iceio.File, error) {
	info, err := o.s.Stat(o.ctx, name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{o: o, info: info}, nil
}

func (o *storeIO) ReadFile(name string) ([]byte, error) { return objstore.Get(o.ctx, o.s, name) }

func (o *storeIO) Remove(name string) error { return o.s.Delete(o.ctx, name) }

func (o *storeIO) WriteFile(name string, p []byte) error { return objstore.Put(o.ctx, o.s, name, p) }

func (o *storeIO) Create(name string) (iceio.FileWriter, error) {
	w, err := o.s.Create(o.ctx, name)
	if err != nil {
		return nil, err
	}
	return &fileWriter{w}, nil
}

func (o *storeIO) WalkDir(root string, fn fs.WalkDirFunc) error {
	for info, err := range o.s.List(o.ctx, root) {
		err := fn(info.URI, fileInfo{info}, err)
		if errors.Is(err, fs.SkipAll) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type fileWriter struct{ objstore.Writer }

func (w *fileWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w.Writer}, r)
}

type fileInfo struct{ i objstore.Info }

func (f fileInfo) Name() string               { return path.Base(f.i.URI) }
func (f fileInfo) Size() int64                { return f.i.Size }
func (f fileInfo) Mode() fs.FileMode          { return 0o644 }
func (f fileInfo) ModTime() time.Time         { return f.i.Modified }
func (f fileInfo) IsDir() bool                { return false }
func (f fileInfo) Sys() any                   { return nil }
func (f fileInfo) Type() fs.FileMode          { return 0 }
func (f fileInfo) Info() (fs.FileInfo, error) { return f, nil }

// openFile reads by ranges: one call of the store for each ReadAt. Read goes through a
// buffer, for the manifests that are read from front to back.
type openFile struct {
	o    *storeIO
	info objstore.Info
	off  int64
	buf  []byte
	at   int64 // offset of buf
}

const readAhead = 256 << 10

func (f *openFile) Stat() (fs.FileInfo, error) { return fileInfo{f.info}, nil }
func (f *openFile) Close() error               { return nil }

func (f *openFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.info.Size {
		return 0, io.EOF
	}
	short := int64(len(p)) > f.info.Size-off
	if short {
		p = p[:f.info.Size-off]
	}
	n, err := f.o.s.ReadAt(f.o.ctx, f.info.URI, p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (f *openFile) Read(p []byte) (int, error) {
	if f.off >= f.info.Size {
		return 0, io.EOF
	}
	if f.off < f.at || f.off >= f.at+int64(len(f.buf)) {
		buf := make([]byte, min(readAhead, f.info.Size-f.off))
		if _, err := f.o.s.ReadAt(f.o.ctx, f.info.URI, buf, f.off); err != nil {
			return 0, err
		}
		f.buf, f.at = buf, f.off
	}
	n := copy(p, f.buf[f.off-f.at:])
	f.off += int64(n)
	return n, nil
}

func (f *openFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.off
	case io.SeekEnd:
		offset += f.info.Size
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.info.URI, Err: fs.ErrInvalid}
	}
	f.off = offset
	return offset, nil
}
