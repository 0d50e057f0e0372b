#!/usr/bin/env bash
# Installs the independent oracles of the tests (DuckDB, pandas, TA-Lib, and other readers of our tables for Python) into a folder that
# git ignores. Idempotent.
set -euo pipefail
venv=$1
py=$(command -v python3 || true)
if [ -z "$py" ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		apt-get update -qq && apt-get install -y -qq python3 python3-venv >/dev/null
		py=python3
	else
		echo "scripts/oracle.sh: python3 is missing; install it (the tests compare with DuckDB)" >&2
		exit 1
	fi
fi
mkdir -p "$(dirname "$venv")"
if [ ! -x "$venv/bin/python" ]; then
	"$py" -m venv "$venv" || { apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null && "$py" -m venv "$venv"; }
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$(dirname "$0")/oracle-requirements.txt"
"$venv/bin/python" -c 'import duckdb, pandas, talib, pyiceberg, pyspark; print("oracle: DuckDB", duckdb.__version__, "pandas", pandas.__version__, "TA-Lib", talib.__version__)'
touch "$venv/ready"
