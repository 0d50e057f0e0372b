// Package exenv finds the servers and programs that are not ours and that tests use: make test sets variables that name them.
package exenv

import (
	"os"
	"strings"
	"testing"
)

// Get is the value of a variable. Where it is not set the test is skipped, unless CI is set: there it fails.
func Get(t testing.TB, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v != "" {
		return v
	}
	how := "make oracle installs it"
	if server, ok := strings.CutPrefix(name, "TIDEMARK_TEST_"); ok {
		server, _, _ = strings.Cut(strings.ToLower(server), "_")
		how = `eval "$(bash scripts/servers.sh start ` + server + `)" starts it`
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not set; make test sets it", name)
	}
	t.Skipf("%s is not set: %s", name, how)
	return ""
}
