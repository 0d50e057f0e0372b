//go:build unix

// Package exkafka finds the real Kafka that tests use. The packages that do are tested side by side,
// and some of their tests begin by emptying the cluster: only one package has it at a time.
package exkafka

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
)

var (
	mu    sync.Mutex
	users int      // tests of this process that have it
	lock  *os.File // held as long as there are any
)

// Addr is the address of the real Kafka, or those of its nodes with commas between them. It is this package's until the test
// ends. Where there is none the test is skipped, unless CI is set: there it fails.
func Addr(t testing.TB) string {
	t.Helper()
	addr := exenv.Get(t, "TIDEMARK_TEST_KAFKA")
	mu.Lock()
	defer mu.Unlock()
	if users == 0 {
		f, err := os.OpenFile(filepath.Join(os.TempDir(), "tidemark-test-"+strings.NewReplacer(":", "-", "/", "-").Replace(addr)+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		lock = f
	}
	users++
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if users--; users == 0 {
			_ = lock.Close() // lets go of it
		}
	})
	return addr
}
