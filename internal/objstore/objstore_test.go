package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/internal/objstore"
)

// stores are the stores that can be tested here, each with a folder of its own.
func stores(t *testing.T, test func(t *testing.T, s objstore.Store, root string)) {
	t.Run("folder", func(t *testing.T) {
		root, err := objstore.FolderURI(filepath.Join(t.TempDir(), "a b%"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, objstore.Folder{}, root)
	})
	t.Run("memory", func(t *testing.T) { test(t, &objstore.Memory{}, "file:///m") })
	t.Run("s3", func(t *testing.T) {
		s, root := s3(t, nil)
		test(t, s, root)
	})
}

func s3(t *testing.T, rt http.RoundTripper) (objstore.Store, string) {
	t.Helper()
	ep := exenv.Get(t, "TIDEMARK_TEST_S3")
	s, err := objstore.NewS3(t.Context(), objstore.S3Config{Endpoint: ep, AccessKey: os.Getenv("TIDEMARK_TEST_S3_KEY"),
		SecretKey: os.Getenv("TIDEMARK_TEST_S3_SECRET"), Transport: rt})
	if err != nil {
		t.Fatal(err)
	}
	return s, "s3://" + os.Getenv("TIDEMARK_TEST_S3_BUCKET") + "/objstore/" + strings.ReplaceAll(t.Name(), "/", "-") + "-" + name()
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

func TestStore_FilesAppearWholeAndAreReadByRanges(t *testing.T) {
	stores(t, func(t *testing.T, s objstore.Store, root string) {
		for _, n := range []int{0, 1, 1000, 8 << 20, 17<<20 + 3} {
			uri := objstore.Join(root, "x", "file "+string(rune('a'+n%7)), "data%2F")
			want := random(n)
			w, err := s.Create(t.Context(), uri)
			if err != nil {
				t.Fatal(err)
			}
			for rest := want; len(rest) > 0; {
				k := min(len(rest), 1<<20+7)
				if _, err := w.Write(rest[:k]); err != nil {
					t.Fatal(err)
				}
				rest = rest[k:]
			}
			if _, err := s.Stat(t.Context(), uri); !errors.Is(err, objstore.ErrNotExist) {
				t.Errorf("%d bytes are there before they are closed: %v", n, err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := objstore.Get(t.Context(), s, uri)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: got %d, %v", n, len(got), err)
			}
			if n > 10 {
				p := make([]byte, n/3)
				if k, err := s.ReadAt(t.Context(), uri, p, int64(n/2)); err != nil || k != len(p) || !bytes.Equal(p, want[n/2:n/2+k]) {
					t.Errorf("a range of %d bytes: %d, %v", n, k, err)
				}
				if k, err := s.ReadAt(t.Context(), uri, p, int64(n-5)); !errors.Is(err, io.ErrUnexpectedEOF) || k != 5 {
					t.Errorf("a range over the end: %d, %v", k, err)
				}
			}
			if err := s.Delete(t.Context(), uri); err != nil {
				t.Fatal(err)
			}
			if _, err := objstore.Get(t.Context(), s, uri); !errors.Is(err, objstore.ErrNotExist) {
				t.Errorf("after deletion: %v", err)
			}
			if err := s.Delete(t.Context(), uri); err != nil {
				t.Errorf("deleting what is not there: %v", err)
			}
		}
	})
}

func TestStore_WhatIsGivenUpIsNotThere(t *testing.T) {
	stores(t, func(t *testing.T, s objstore.Store, root string) {
		for _, n := range []int{10, 9 << 20} {
			uri := objstore.Join(root, "given-up")
			w, err := s.Create(t.Context(), uri)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(random(n)); err != nil {
				t.Fatal(err)
			}
			w.Abort()
			ctx, cancel := context.WithCancel(t.Context())
			c, err := s.Create(ctx, objstore.Join(root, "cancelled"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write(random(n))
			cancel()
			if err := c.Close(); err == nil {
				t.Error("a file of a cancelled call was closed")
			}
			for info, err := range s.List(t.Context(), root) {
				t.Errorf("%+v, %v is there", info, err)
			}
		}
	})
}

func TestStore_ListsByPrefix(t *testing.T) {
	stores(t, func(t *testing.T, s objstore.Store, root string) {
		var want []string
		for _, n := range []string{"a/1", "a/2", "ab/3", "b/1"} {
			uri := objstore.Join(root, strings.Split(n, "/")...)
			if err := objstore.Put(t.Context(), s, uri, []byte(n)); err != nil {
				t.Fatal(err)
			}
			if n[0] == 'a' {
				want = append(want, uri)
			}
		}
		var got []string
		for info, err := range s.List(t.Context(), objstore.Join(root, "a")) {
			if err != nil || info.Size != 3 && info.Size != 4 {
				t.Errorf("%+v, %v", info, err)
			}
			got = append(got, info.URI)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestFolder_LeavesNothingOfAFileThatDidNotFit(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	uri, _ := objstore.FolderURI(filepath.Join(dir, "file", "below"))
	if _, err := (objstore.Folder{}).Create(t.Context(), uri); err == nil {
		t.Error("a file below a file")
	}
	// A folder stands where the file should be: the rename fails.
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	uri, _ = objstore.FolderURI(filepath.Join(dir, "taken"))
	if err := objstore.Put(t.Context(), objstore.Folder{}, uri, []byte("x")); err == nil {
		t.Error("a file in place of a folder")
	}
	names, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// flaky answers every second request badly: with 503, with an answer that is lost after the work
// was done, or with a body that breaks off.
type flaky struct{ n atomic.Int64 }

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	n := f.n.Add(1)
	if n%6 == 1 {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch {
	case n%6 == 3:
		_ = res.Body.Close()
		return nil, errors.New("connection reset")
	case n%6 == 5 && r.Method == http.MethodGet && res.ContentLength > 100:
		res.Body = &broken{res.Body, 50}
	}
	return res, nil
}

type broken struct {
	io.ReadCloser
	left int
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("connection reset")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func TestS3_SurvivesABadNetwork(t *testing.T) {
	f := &flaky{}
	s, root := s3(t, f)
	for i, n := range []int{100, 5000, 9 << 20} {
		uri := objstore.Join(root, string(rune('a'+i)))
		want := random(n)
		if err := objstore.Put(t.Context(), s, uri, want); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		got, err := objstore.Get(t.Context(), s, uri)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
	t.Logf("%d requests", f.n.Load())
}

func TestS3_SettingsArriveInRequests(t *testing.T) {
	var seen []http.Header
	rt := roundTrip(func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.Header.Clone())
		if r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		if want := "https://s3.example.org/bucket/k"; !strings.HasPrefix(r.URL.String(), want) {
			t.Errorf("asked for %s, want %s", r.URL, want)
		}
		return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	s, err := objstore.NewS3(t.Context(), objstore.S3Config{Endpoint: "https://s3.example.org", Region: "eu-central-1", AccessKey: "a", SecretKey: "b",
		SSE: "aws:kms", KMSKey: "key-1", Transport: rt})
	if err != nil {
		t.Fatal(err)
	}
	if err := objstore.Put(t.Context(), s, "s3://bucket/k", []byte("x")); err != nil {
		t.Fatal(err)
	}
	h := seen[0]
	if h.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") != "key-1" ||
		!strings.Contains(h.Get("Authorization"), "/eu-central-1/s3/") {
		t.Errorf("headers %v", h)
	}
	if _, err := objstore.NewS3(t.Context(), objstore.S3Config{SSE: "rot13"}); err == nil {
		t.Error("an unknown encryption was taken")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func name() string { return strconv.FormatUint(rand.Uint64(), 36) }
