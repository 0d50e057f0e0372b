package broker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// registry is a schema registry whose contents outlive the process. srfake answers; each
// request that changed something is written down and asked again at the next start. Since
// srfake numbers schemas in the order in which they come, each gets the number it had.
type registry struct {
	url  string
	srv  *http.Server
	done chan struct{}

	mu   sync.Mutex // orders changes, so that the log has the order that srfake saw
	api  http.Handler
	log  *os.File
	end  int64             // length of the log
	seen map[string]string // what the log says already, see note
	warn func(text string)
}

// change is one line of the log.
type change struct {
	Method string `json:"method"`
	URI    string `json:"uri"`
	Body   string `json:"body,omitempty"`
}

// maxSchema bounds the body of a request, as srfake does.
const maxSchema = 1 << 20

func openRegistry(path string, port int, warn func(string)) (*registry, error) {
	r := &registry{api: srfake.NewRegistry().Handler(), seen: map[string]string{}, done: make(chan struct{}), warn: warn}
	var err error
	if r.log, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := r.replay(); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), r.log.Close())
	}
	var listen net.ListenConfig
	ln, err := listen.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, errors.Join(err, r.log.Close())
	}
	r.url = "http://" + ln.Addr().String()
	r.srv = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(r.done)
		if err := r.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			r.warn("schema registry: " + err.Error())
		}
	}()
	return r, nil
}

// replay asks everything again. A last line that a crash cut off was never answered, so
// it goes.
func (r *registry) replay() error {
	in := bufio.NewReader(r.log)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("byte %d: %w", r.end, err)
		}
		req, err := http.NewRequestWithContext(context.Background(), c.Method, c.URI, strings.NewReader(c.Body))
		if err != nil {
			return fmt.Errorf("byte %d: %w", r.end, err)
		}
		if w := r.ask(req); w.code/100 != 2 {
			return fmt.Errorf("byte %d: %s %s: %s", r.end, c.Method, c.URI, w.body.String())
		}
		r.note(c)
		r.end += int64(len(line))
	}
	return r.log.Truncate(r.end)
}

// note remembers a change, so that a schema that is registered at each start of each
// program is written once. A setting counts until the next one of its place, and a
// deletion makes all that was before it count again.
func (r *registry) note(c change) {
	if c.Method == http.MethodDelete {
		clear(r.seen)
		return
	}
	k, v := key(c)
	r.seen[k] = v
}

func (r *registry) known(c change) bool {
	k, v := key(c)
	was, ok := r.seen[k]
	return ok && was == v && c.Method != http.MethodDelete
}

func key(c change) (k, v string) {
	if c.Method == http.MethodPost {
		return c.URI + "\x00" + c.Body, ""
	}
	return c.URI, c.Body
}

// append writes a change behind the log, wholly or not at all.
func (r *registry) append(c change) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	n, err := r.log.WriteAt(append(line, '\n'), r.end)
	if err == nil {
		err = r.log.Sync()
	}
	if err != nil {
		return errors.Join(err, r.log.Truncate(r.end))
	}
	r.end += int64(n)
	r.note(c)
	return nil
}

// changes tells whether a request may change something: lookups are asked by POST too.
func changes(req *http.Request) bool {
	switch req.Method {
	case http.MethodPut, http.MethodDelete:
		return true
	case http.MethodPost:
		return strings.HasSuffix(req.URL.Path, "/versions") && !strings.HasPrefix(req.URL.Path, "/compatibility/")
	}
	return false
}

// ServeHTTP answers a request, and writes it down before the answer leaves.
func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !changes(req) {
		r.api.ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxSchema))
	if err != nil {
		http.Error(w, `{"error_code":42201,"message":"schema too large"}`, http.StatusUnprocessableEntity)
		return
	}
	c := change{Method: req.Method, URI: req.URL.RequestURI(), Body: string(body)}
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := r.ask(req)
	if answer.code/100 == 2 && !r.known(c) {
		if err := r.append(c); err != nil {
			r.warn("schema registry: " + err.Error())
			http.Error(w, `{"error_code":50001,"message":"cannot write the registry's log"}`, http.StatusInternalServerError)
			return
		}
	}
	maps.Copy(w.Header(), answer.header)
	w.WriteHeader(answer.code)
	_, _ = w.Write(answer.body.Bytes())
}

// answer holds a response until it may leave.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(code int)        { a.code = code }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (r *registry) ask(req *http.Request) *answer {
	a := &answer{header: http.Header{}, code: http.StatusOK}
	r.api.ServeHTTP(a, req)
	return a
}

func (r *registry) close() error {
	err := r.srv.Close()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(err, r.log.Close())
}
