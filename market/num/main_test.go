package num_test

import (
	"flag"
	"os"
	"testing"
)

// The properties here cost microseconds a case: run more of them than rapid's hundred.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f != nil && f.Value.String() == f.DefValue {
		if err := f.Value.Set("3000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
