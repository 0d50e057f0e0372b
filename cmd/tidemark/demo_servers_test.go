//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/internal/fault"
)

// s3Env has the commands of the test find the real S3, as the environment of a user does, and returns a place in it.
func s3Env(t *testing.T) (warehouse string) {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL_S3", exenv.Get(t, "TIDEMARK_TEST_S3"))
	t.Setenv("AWS_ACCESS_KEY_ID", exenv.Get(t, "TIDEMARK_TEST_S3_KEY"))
	t.Setenv("AWS_SECRET_ACCESS_KEY", exenv.Get(t, "TIDEMARK_TEST_S3_SECRET"))
	return fmt.Sprintf("s3://%s/%s-%d", exenv.Get(t, "TIDEMARK_TEST_S3_BUCKET"), strings.ToLower(t.Name()), time.Now().UnixNano())
}

// freshDatabase makes a database of the real PostgreSQL for the test.
func freshDatabase(t *testing.T) (uri string) {
	t.Helper()
	server := exenv.Get(t, "TIDEMARK_TEST_POSTGRES")
	name := fmt.Sprintf("t%d", time.Now().UnixNano())
	do := func(ctx context.Context, sql string) {
		t.Helper()
		c, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(ctx) }()
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	do(t.Context(), "create database "+name)
	t.Cleanup(func() { do(context.Background(), "drop database "+name+" with (force)") })
	return strings.Replace(server, "/lake?", "/"+name+"?", 1)
}

// The tour says the same on a real Kafka, PostgreSQL and S3, and goes on from nothing only.
func TestDemo_OnRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for half a minute")
	}
	warehouse, catalog := s3Env(t), freshDatabase(t)
	kafka, registry := testBrokers(t, true)
	dir := filepath.Join(t.TempDir(), "demo")
	args := []string{"demo", "--brokers", kafka, "--registry", registry, "--catalog", catalog, "--warehouse", warehouse, "--minutes", "70", "--rate", "10", "--symbols", "3", "--seed", "6", "--json"}
	out := cli(t, fault.ExitDone, append(args, "--keep", dir)...)
	var summary struct {
		Facts []demoFact
		Next  []string
	}
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatal(err, out)
	}
	if len(summary.Facts) != 6 || len(summary.Next) == 0 {
		t.Error(out)
	}
	for _, next := range summary.Next[:4] {
		cli(t, fault.ExitDone, strings.Fields(next)[1:]...)
	}
	refused(t, "topics_used", args...)
	refused(t, "lake_used", "demo", "--catalog", catalog, "--warehouse", warehouse, "--json")
	for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	refused(t, "lake_unreachable", "demo", "--catalog", catalog, "--warehouse", warehouse, "--json")
}
