// Command tidemark turns exchange events into features.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/pinova-group/tidemark/internal/fault"
	picture "github.com/pinova-group/tidemark/internal/term"
)

// Set by the linker.
var (
	version = "unknown"
	commit  = "unknown"
)

func main() { os.Exit(realMain()) }

// realMain runs the program and returns its exit code.
func realMain() int {
	ctx, stop := interruptible(context.Background())
	defer stop()
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	return a.execute(ctx, os.Args[1:])
}

// app is what the commands share: the standard streams and what is known of them.
type app struct {
	in       io.Reader
	out, err io.Writer
	outTTY   bool
	errTTY   bool
	width    int
	color    string // auto, always, never
	json     bool
	debug    bool
	config   string      // file; "" for the usual one
	rejected atomic.Bool // some input was rejected: exit code 3
	now      func() time.Time
}

func newApp(in *os.File, out, errw *os.File) *app {
	a := &app{in: in, out: out, err: errw, color: "auto", now: time.Now}
	a.outTTY = term.IsTerminal(int(out.Fd()))
	a.errTTY = term.IsTerminal(int(errw.Fd()))
	for _, f := range []*os.File{out, errw} {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && a.width == 0 {
			a.width = w
		}
	}
	return a
}

// style is what the terminal behind a stream can show.
func (a *app) style(tty bool) picture.Style {
	dumb := os.Getenv("TERM") == "dumb"
	s := picture.Style{Color: tty && !dumb && os.Getenv("NO_COLOR") == ""}
	switch a.color {
	case "always":
		s.Color = true
	case "never":
		s.Color = false
	}
	if tty {
		s.Width = a.width
	}
	s.ASCII = dumb || !utf8Locale()
	return s
}

// utf8Locale reports whether the locale shows Unicode; one that says nothing does.
func utf8Locale() bool {
	for _, v := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if l := os.Getenv(v); l != "" {
			return l != "POSIX" && (l != "C")
		}
	}
	return true
}

// interruptible makes a context that the first SIGINT or SIGTERM cancels, so that the
// work cleans up; the second ends the process at once. A closed pipe is an error of the
// write that meets it, not a signal.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	sig := make(chan os.Signal, 2)
	signal.Notify(sig, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		n := 0
		for {
			select {
			case <-done:
				return
			case <-sig:
				if n++; n > 1 {
					os.Exit(fault.ExitInterrupted)
				}
				cancel(errInterrupted)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(sig)
		close(done)
		cancel(nil)
	}
}

var errInterrupted = errors.New("interrupted")
