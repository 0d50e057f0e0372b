//go:build unix

package broker

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks a file for this process; the lock ends with it, however it ends.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
