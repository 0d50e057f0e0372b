// Package fault is what a user is told when something cannot be done: what happened,
// where, why, and the command that helps. It also names the exit codes.
package fault

import (
	"errors"
	"strings"
)

// The exit codes, documented by `tidemark help exit-codes`. They are stable.
const (
	ExitDone        = 0
	ExitFailed      = 1   // the work was started and could not be finished
	ExitUsage       = 2   // wrong flags, or an invalid config or spec: nothing was started
	ExitRejected    = 3   // done, but some input was rejected (dead letters)
	ExitDifference  = 4   // a verification found a difference
	ExitNoTable     = 10  // lake or table does not exist
	ExitHeld        = 11  // somebody else holds the lease
	ExitDenied      = 12  // not authorised
	ExitInterrupted = 130 // stopped by a signal
)

// Error is an error for people. Code is a stable word for programs; the texts say what,
// where, why and what helps, each one optional but Message.
type Error struct {
	Code    string
	Message string
	Where   string
	Why     string
	Remedy  string
	Exit    int
	Parts   []Part // when several things are wrong at once
	Cause   error
}

// Part is one of several mistakes, with its place.
type Part struct {
	Where   string `json:"where"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

func (e *Error) Error() string {
	s := e.Message
	if e.Where != "" {
		s = e.Where + ": " + s
	}
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Usage makes an error of wrong use (exit code 2).
func Usage(code, message, remedy string) *Error {
	return &Error{Code: code, Message: message, Remedy: remedy, Exit: ExitUsage}
}

// From finds the Error in a chain, or makes one of any other error: it failed (exit 1).
func From(err error) *Error {
	if f, ok := errors.AsType[*Error](err); ok {
		return f
	}
	return &Error{Code: "failed", Message: err.Error(), Exit: ExitFailed, Cause: err}
}

// Nearest returns the candidate that is closest to what was written, or "" when none is
// near. Ties go to the first.
func Nearest(word string, candidates []string) string {
	if n := nearest(word, candidates); len(n) > 0 {
		return n[0]
	}
	return ""
}

// nearest returns all candidates that are equally close.
func nearest(word string, candidates []string) (best []string) {
	at := max(1, (len(word)+1)/3)
	w := strings.ToLower(word)
	for _, c := range candidates {
		l := strings.ToLower(c)
		d := distance(w, l)
		if len(w) >= 3 && (strings.HasPrefix(l, w) || strings.HasSuffix(l, w)) {
			d = min(d, 1)
		}
		if d < at {
			best, at = best[:0], d
		}
		if d == at {
			best = append(best, c)
		}
	}
	return best
}

// DidYouMean words the nearest candidates as a remedy: a question, or the list when
// nothing is near and the list is short, or "".
func DidYouMean(word string, candidates []string) string {
	switch n := nearest(word, candidates); {
	case len(n) == 1:
		return "did you mean " + n[0] + "?"
	case len(n) > 1 && len(n) <= 5:
		return "did you mean " + strings.Join(n[:len(n)-1], ", ") + " or " + n[len(n)-1] + "?"
	case len(candidates) > 0 && len(candidates) <= 40:
		return "known: " + strings.Join(candidates, ", ")
	}
	return ""
}

// distance is the number of insertions, deletions, changes and swaps of neighbours
// between two words (optimal string alignment); words over 64 bytes are far from all.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var prev2, prev, cur [65]int
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, cur
	}
	return prev[len(b)]
}
