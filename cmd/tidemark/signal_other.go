//go:build !unix

package main

import "os"

// notifyState does nothing: there is no such signal here.
func notifyState(chan<- os.Signal) {}
