"""Runs every query of a folder, NAME.sql, with DuckDB and writes its rows to NAME.duckdb.csv.

usage: sql.py DIR
"""
import pathlib
import sys

import duckdb

con = duckdb.connect()
con.execute("SET threads TO 2")
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.sql")):
    query = path.read_text().rstrip().rstrip(";")
    out = path.with_suffix(".duckdb.csv")
    try:
        con.execute(f"COPY (\n{query}\n) TO '{out}' (HEADER, DELIMITER ',')")
    except duckdb.Error as err:
        sys.exit(f"{path.name}: {err}")
