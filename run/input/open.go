package input

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/pinova-group/tidemark/run/rowfile"
)

// stream is an opened input, decompressed.
type stream struct {
	r     *bufio.Reader
	comp  string // "", gzip, zstd, parquet
	close func()
}

// counter counts bytes as they are read, for progress.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// openStream opens a file, or the standard input for "-", and decompresses it as its
// first bytes say, whatever its name is. Of a Parquet file it gives the text.
func openStream(path string, stdin io.Reader, read *atomic.Int64) (*stream, error) {
	var src = stdin
	closers := []func(){}
	s := &stream{close: func() {
		for _, closer := range slices.Backward(closers) {
			closer()
		}
	}}
	fail := func(err error) (*stream, error) {
		s.close()
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	if path != Stdin {
		f, err := os.Open(path)
		if err != nil {
			return fail(err)
		}
		closers = append(closers, func() { _ = f.Close() }) // read only
		src = f
		var magic [len(rowfile.ParquetMagic)]byte
		if _, err := f.ReadAt(magic[:], 0); err == nil && string(magic[:]) == rowfile.ParquetMagic {
			t, err := rowfile.OpenParquetText(f, read)
			if err != nil {
				return fail(err)
			}
			closers = append(closers, t.Close)
			s.comp, s.r = "parquet", bufio.NewReaderSize(parquetBody{t}, 128<<10)
			return s, nil
		}
	}
	raw := bufio.NewReaderSize(counter{src, read}, 128<<10)
	body, comp, end, err := decompress(raw)
	if err != nil {
		return fail(err)
	}
	if end != nil {
		closers = append(closers, end)
	}
	s.comp, s.r = comp, raw
	if comp != "" {
		s.r = bufio.NewReaderSize(body, 128<<10)
	}
	return s, nil
}

// decompress looks at the magic number. Members and frames that follow one another are
// read as one stream.
func decompress(raw *bufio.Reader) (r io.Reader, comp string, end func(), err error) {
	magic, _ := raw.Peek(4) // a shorter file is no compressed one
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(raw)
		if err != nil {
			return failing{damaged("gzip", err)}, "gzip", nil, nil
		}
		return gzipBody{z}, "gzip", func() { _ = z.Close() }, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, "", nil, err
		}
		return zstdBody{z}, "zstd", z.Close, nil
	}
	return raw, "", nil, nil
}

// DamagedError says that a compressed input cannot be read further.
type DamagedError struct {
	Reason string
	Cause  error
}

func (e *DamagedError) Error() string { return e.Reason + ": " + e.Cause.Error() }
func (e *DamagedError) Unwrap() error { return e.Cause }

func damaged(comp string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &DamagedError{comp + " data is cut short", io.ErrUnexpectedEOF}
	}
	return &DamagedError{comp + " data is damaged", err}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// parquetBody says of any error that the data is damaged.
type parquetBody struct{ t *rowfile.ParquetText }

func (b parquetBody) Read(p []byte) (int, error) {
	n, err := b.t.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		err = &DamagedError{"parquet data is damaged", err}
	}
	return n, err
}

// gzipBody and zstdBody tell an end of the data from a cut in it: both must not look
// like the end of a file.
type gzipBody struct{ z *gzip.Reader }

func (b gzipBody) Read(p []byte) (int, error) {
	n, err := b.z.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		err = damaged("gzip", err)
	}
	return n, err
}

type zstdBody struct{ z *zstd.Decoder }

func (b zstdBody) Read(p []byte) (int, error) {
	n, err := b.z.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		err = damaged("zstd", err)
	}
	return n, err
}
