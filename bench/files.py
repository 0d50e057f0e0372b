"""Compares the size of files of lake/file with what DuckDB and Polars write of the same rows in the same order,
zstd 3, row groups of 262,144 rows. Usage: files.py FILE.parquet..., where the files come from
TIDEMARK_FILES=DIR go test ./lake/file -run Tapes"""
import os
import sys
import tempfile

import duckdb
import polars

print(f"DuckDB {duckdb.__version__}, Polars {polars.__version__}; bytes a row (without event_id, 16 bytes that do not compress)")
for path in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as d:
        con = duckdb.connect()
        con.sql("set preserve_insertion_order=true")

        def size(columns):
            src = f"(select {columns} from read_parquet('{path}'))"
            n = con.sql(f"select count(*) from {src}").fetchone()[0]
            out = []
            for version in ("v1", "v2"):
                f = os.path.join(d, version + ".parquet")
                con.sql(f"copy {src} to '{f}' (format parquet, compression zstd, compression_level 3, row_group_size 262144, parquet_version {version})")
                out.append(os.path.getsize(f) / n)
            f = os.path.join(d, "polars.parquet")
            con.sql(f"select * from {src}").pl().write_parquet(f, compression="zstd", compression_level=3, row_group_size=262144)
            out.append(os.path.getsize(f) / n)
            return n, out

        n, all_columns = size("*")
        _, rest = size("* exclude (event_id)")
        ours = os.path.getsize(path) / n
        ids = con.sql(f"select sum(total_compressed_size) from parquet_metadata('{path}') where path_in_schema = 'event_id'").fetchone()[0] / n
        print(f"{os.path.basename(path)}: {n} rows; ours {ours:.1f} ({ours - ids:.1f})", end="")
        for name, a, b in zip(("DuckDB v1", "DuckDB v2", "Polars"), all_columns, rest):
            print(f", {name} {a:.1f} ({b:.1f})", end="")
        print()
