//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyState asks for the signal that prints the state of the work: SIGUSR1.
func notifyState(c chan<- os.Signal) { signal.Notify(c, syscall.SIGUSR1) }
