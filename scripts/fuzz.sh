#!/usr/bin/env bash
# Runs every fuzz target of the given packages for the given time each.
set -euo pipefail
pkgs=$1
t=$2
for p in $(go list "$pkgs"); do
	for f in $(go test -list '^Fuzz' "$p" | grep '^Fuzz' || true); do
		echo "== $p $f"
		go test -run '^$' -fuzz "^$f\$" -fuzztime "$t" -fuzzminimizetime 5x "$p"
	done
done
