package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/conn"
)

// runBroker runs the command until stop, which returns the exit code and standard error.
func runBroker(t *testing.T, args ...string) (first string, stop func() (int, string)) {
	t.Helper()
	r, w := io.Pipe()
	var errs bytes.Buffer
	ctx, cancel := context.WithCancelCause(t.Context())
	code := make(chan int, 1)
	go func() {
		a := &app{color: "never", in: strings.NewReader(""), out: w, err: &errs, now: time.Now}
		code <- a.execute(ctx, append([]string{"broker"}, args...))
		w.Close()
	}()
	buf := make([]byte, 1000)
	n, _ := r.Read(buf)
	return string(buf[:n]), func() (int, string) {
		cancel(errInterrupted)
		_, _ = io.Copy(io.Discard, r)
		return <-code, errs.String()
	}
}

func TestBroker_ServesUntilStopped(t *testing.T) {
	dir := t.TempDir()
	free := []string{"--dir", dir, "--listen", "127.0.0.1:0", "--registry-listen", "localhost:0"}
	for range 2 { // a folder serves again
		first, stop := runBroker(t, append(free, "--json")...)
		var at struct{ Broker, Registry, Dir string }
		if err := json.Unmarshal([]byte(first), &at); err != nil || at.Dir != dir {
			t.Fatalf("%q: %v", first, err)
		}
		c := &conn.Config{Brokers: []string{at.Broker}, Registry: &conn.Registry{URL: at.Registry}}
		if w, err := c.Ping(t.Context()); err != nil || len(w) > 0 {
			t.Error(w, err)
		}
		if _, other := runBroker(t, free...); true {
			if code, text := other(); code != fault.ExitHeld || !strings.Contains(text, "--dir") {
				t.Errorf("a second one on the folder: exit %d: %s", code, text)
			}
		}
		_, taken := runBroker(t, "--dir", t.TempDir(), "--listen", at.Broker)
		if code, text := taken(); code != fault.ExitFailed || !strings.Contains(text, at.Broker) || !strings.Contains(text, "--listen") {
			t.Errorf("a second one on the port: exit %d: %s", code, text)
		}
		if code, text := stop(); code != fault.ExitDone || text != "" {
			t.Errorf("exit %d: %s", code, text)
		}
	}
	first, stop := runBroker(t, free...)
	if code, text := stop(); code != 0 || !strings.Contains(first, "registry  http://127.0.0.1:") || !strings.Contains(text, "power cut") {
		t.Errorf("exit %d: %s%s", code, first, text)
	}
}

func TestBroker_Mistakes(t *testing.T) {
	for _, args := range [][]string{{}, {"--dir", "x", "--listen", "0.0.0.0:9092"}, {"--dir", "x", "--listen", "9092"}, {"--dir", "x", "--registry-listen", "127.0.0.1:70000"}} {
		_, stop := runBroker(t, args...)
		if code, text := stop(); code != fault.ExitUsage || !strings.Contains(text, "127.0.0.1") && !strings.Contains(text, "--dir data") {
			t.Errorf("%v: exit %d: %s", args, code, text)
		}
	}
}
