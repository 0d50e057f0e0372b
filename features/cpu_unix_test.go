//go:build unix

package features_test

import (
	"syscall"
	"testing"
)

// cpuTime is the processor time of the process, in ns: on a busy machine it says more
// than the clock.
func cpuTime(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
