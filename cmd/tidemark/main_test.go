package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pinova-group/tidemark/stream/broker"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tidemark": func() { os.Exit(realMain()) },
		"trades":   func() { writeTrades() },
	})
}

// TestScripts runs the command line as users do: testdata/script/*.txtar.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("LC_ALL", "C.UTF-8")
			e.Setenv("NO_COLOR", "")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": status, "agree": agree, "kafka": kafka,
		},
	})
}

// status checks the exit code of a command: status CODE COMMAND ARGS...
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// kafka starts a broker and a schema registry and sets KAFKA and REGISTRY to where they are.
func kafka(ts *testscript.TestScript, _ bool, _ []string) {
	b, err := broker.Start(ts.MkAbs("kafka-data"), broker.Options{})
	ts.Check(err)
	ts.Defer(func() { _ = b.Close() })
	ts.Setenv("KAFKA", b.Addr())
	ts.Setenv("REGISTRY", b.RegistryURL())
}

// writeTrades prints canonical trades: trades COUNT [STEP_MS], or without end for 0.
func writeTrades() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	step := 1000
	if len(os.Args) > 2 {
		step, _ = strconv.Atoi(os.Args[2])
	}
	w := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(w, "kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity")
	for i := 0; n == 0 || i < n; i++ {
		ts := 1762795440000000 + int64(i)*int64(step)*1000
		if _, err := fmt.Fprintf(w, "trade,kraken-spot,kraken,spot,BTC-USDT,%d,,,%d,buy,%d.5,0.01\n", ts, i, 100000+i%100); err != nil {
			os.Exit(1)
		}
	}
	if w.Flush() != nil {
		os.Exit(1)
	}
}
