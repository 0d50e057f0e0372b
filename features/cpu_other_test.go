//go:build !unix

package features_test

import "testing"

func cpuTime(*testing.B) int64 { return 0 }

func peakMemory(*testing.B) int64 { return 0 }
