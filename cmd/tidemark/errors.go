package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/pinova-group/tidemark/internal/fault"
)

// execute runs the command line and returns the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil && a.rejected.Load():
		return fault.ExitRejected
	case err == nil:
		return fault.ExitDone
	case errors.Is(err, syscall.EPIPE):
		return fault.ExitDone // who read us has seen enough
	case fault.From(err).Exit == fault.ExitInterrupted, fault.From(err).Exit == fault.ExitDifference: // what was found counts, however it ended
	case errors.Is(context.Cause(ctx), errInterrupted):
		a.fail(&fault.Error{Code: "interrupted", Message: "interrupted; nothing was left half-written",
			Remedy: "the same command again does the work from the beginning", Exit: fault.ExitInterrupted})
		return fault.ExitInterrupted
	}
	f := fault.From(err)
	a.fail(f)
	return f.Exit
}

// fail prints an error: what, where, why, and what helps.
func (a *app) fail(f *fault.Error) {
	if a.json {
		b, err := json.Marshal(map[string]any{"error": errorJSON(f)})
		if err == nil {
			a.say("%s\n", b)
		}
		return
	}
	st := a.style(a.errTTY)
	a.say("%s %s\n", st.Red("error:"), f.Message)
	line := func(head, text string) {
		if text != "" {
			a.say("  %s %s\n", st.Faint(head), text)
		}
	}
	if len(f.Parts) == 0 {
		line("where:", f.Where)
	}
	line("why:  ", f.Why)
	for _, p := range f.Parts {
		a.say("  %s %s\n", st.Bold(p.Where+":"), p.Message)
		if p.Remedy != "" {
			a.say("      %s %s\n", st.Faint("help:"), p.Remedy)
		}
	}
	line("help: ", f.Remedy)
	if a.debug && f.Cause != nil {
		line("chain:", chain(f.Cause))
	}
}

// say prints to the standard error. When that is gone there is nobody to tell.
func (a *app) say(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format, args...) }

func errorJSON(f *fault.Error) any {
	return struct {
		Code    string       `json:"code"`
		Message string       `json:"message"`
		Where   string       `json:"where"`
		Why     string       `json:"why,omitempty"`
		Remedy  string       `json:"remedy"`
		Parts   []fault.Part `json:"problems,omitempty"`
	}{f.Code, f.Message, f.Where, f.Why, f.Remedy, f.Parts}
}

func chain(err error) string {
	var parts []string
	for ; err != nil; err = errors.Unwrap(err) {
		parts = append(parts, fmt.Sprintf("%T %v", err, err))
	}
	return strings.Join(parts, " <- ")
}

// warn prints something that the user should know though nothing failed.
func (a *app) warn(message string) {
	if a.json {
		if b, err := json.Marshal(map[string]string{"warning": message}); err == nil {
			a.say("%s\n", b)
		}
		return
	}
	a.say("%s %s\n", a.style(a.errTTY).Yellow("warning:"), message)
}
