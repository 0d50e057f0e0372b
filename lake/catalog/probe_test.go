package catalog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake/catalog"
)

// TestProbe_ServersThatDropRefsAreRefused puts a server before the real one that loses
// branches and tags, as some do.
func TestProbe_ServersThatDropRefsAreRefused(t *testing.T) {
	uri := exenv.Get(t, "TIDEMARK_TEST_REST")
	target, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	store, err := objstore.NewS3(t.Context(), objstore.S3Config{Endpoint: os.Getenv("TIDEMARK_TEST_S3"),
		AccessKey: os.Getenv("TIDEMARK_TEST_S3_KEY"), SecretKey: os.Getenv("TIDEMARK_TEST_S3_SECRET")})
	if err != nil {
		t.Fatal(err)
	}
	for _, loses := range []bool{false, true} {
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if loses && r.Out.Method == http.MethodPost {
				dropRefs(r.Out)
			}
		}})
		defer proxy.Close()
		c, err := catalog.Open(t.Context(), catalog.Config{Kind: "rest", Name: "tidemark", URI: proxy.URL,
			Warehouse: "s3://" + os.Getenv("TIDEMARK_TEST_S3_BUCKET") + "/probe"}, store)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.Probe(t.Context()); errors.Is(err, catalog.ErrRefs) != loses || !loses && err != nil {
			t.Errorf("loses %t: %v", loses, err)
		}
		left, err := c.Tables(t.Context(), "tidemark")
		for try := 0; err == nil && len(left) > 0 && try < 100; try++ { // others probe the same server: theirs go
			time.Sleep(100 * time.Millisecond)
			var now []string
			now, err = c.Tables(t.Context(), "tidemark")
			left = slices.DeleteFunc(left, func(name string) bool { return !slices.Contains(now, name) })
		}
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// dropRefs takes all updates of refs but main's out of a commit.
func dropRefs(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // snapshot ids do not fit a float
	var m map[string]any
	if d.Decode(&m) == nil {
		if ups, ok := m["updates"].([]any); ok {
			m["updates"] = slices.DeleteFunc(ups, func(u any) bool {
				o, ok := u.(map[string]any)
				return ok && o["action"] == "set-snapshot-ref" && o["ref-name"] != "main"
			})
			body, _ = json.Marshal(m)
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
}
