"""Reads files that lake/file wrote with DuckDB and pyarrow, checks their statistics, and writes the same rows as
other programs would. Usage: files.py DIR; every DIR/*.parquet is one file. Writes DIR/NAME.duckdb.txt and
DIR/NAME.pyarrow.txt, a text a row, and DIR/foreign/NAME.HOW.parquet."""
import datetime
import decimal
import glob
import os
import struct
import sys

import duckdb
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

decimal.getcontext().prec = 60


def text(v):
    if v is None:
        return "null"
    if isinstance(v, bool):
        return str(int(v))
    if isinstance(v, int):
        return str(v)
    if isinstance(v, float):
        return str(struct.unpack("<q", struct.pack("<d", v))[0])
    if isinstance(v, str):
        return "s" + v
    if isinstance(v, (bytes, bytearray, memoryview)):
        return "b" + bytes(v).hex()
    if isinstance(v, decimal.Decimal):
        return str(int(v.scaleb(-v.as_tuple().exponent)))
    if isinstance(v, list):
        return "[" + " ".join(str(x) for x in v) + "]"
    raise TypeError(type(v))


def micros(table):
    """Timestamps as integers: Python's datetime ends in the year 9999."""
    for i, f in enumerate(table.schema):
        if pa.types.is_timestamp(f.type):
            assert f.type.unit == "us" and f.type.tz, f
            table = table.set_column(i, f.name, table[f.name].cast(pa.timestamp("us")).cast(pa.int64()))
    return table


def dump(table, path):
    cols = [c.to_pylist() for c in micros(table).columns]
    with open(path, "w", newline="\n") as out:
        for row in zip(*cols):
            out.write("|".join(text(v) for v in row) + "\n")


def statistics(path):
    """Bounds and null counts of every row group are those of its rows."""
    f = pq.ParquetFile(path)
    duck = {(r[0], r[1]): r[2:] for r in duckdb.sql(
        f"select row_group_id, path_in_schema, stats_null_count, num_values from parquet_metadata('{path}')").fetchall()}
    for g in range(f.num_row_groups):
        table = f.read_row_group(g)
        meta = f.metadata.row_group(g)
        names = [meta.column(i).path_in_schema for i in range(meta.num_columns)]
        order = [names[c.column_index] for c in meta.sorting_columns]
        assert order == ["symbol", "ts", "src", "inst"], order
        for i, name in enumerate(names):
            c = meta.column(i)
            assert c.has_offset_index, name
            if name == "event_id":  # hashes: no bounds
                continue
            s = c.statistics
            assert s is not None and s.has_null_count, name
            assert duck[g, name.replace(".", ", ")][0] == s.null_count, name
            if ".list." in name:
                continue
            col = table[name]
            assert s.null_count == col.null_count, (name, s.null_count, col.null_count)
            if col.null_count == len(col):
                assert not s.has_min_max, name
                continue
            assert c.has_column_index and s.has_min_max, name
            mm = pc.min_max(col)
            if pa.types.is_timestamp(col.type):
                epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
                low, high = [(v - epoch) // datetime.timedelta(microseconds=1) for v in (s.min, s.max)]
                mm = pc.min_max(col.cast(pa.timestamp("us")).cast(pa.int64()))
                assert (low, high) == (mm["min"].as_py(), mm["max"].as_py()), name
            else:
                assert (s.min, s.max) == (mm["min"].as_py(), mm["max"].as_py()), (name, s.min, mm)


def foreign(name, table, out):
    """The rows as others write them, in the order of the file and shuffled."""
    plain = table.replace_schema_metadata(None).cast(pa.schema([f.with_metadata(None).with_nullable(True) for f in table.schema]))
    shuffled = plain.take(pa.array([(i * 7919) % len(plain) for i in range(len(plain))])) if len(plain) % 7919 else plain
    for kind, t in (("sorted", plain), ("shuffled", shuffled)):
        p = os.path.join(out, f"{name}.{kind}.")
        pq.write_table(t, p + "dictionary.parquet", compression="snappy", row_group_size=5000)
        pq.write_table(t, p + "v2.parquet", compression="zstd", use_dictionary=False, data_page_version="2.0", data_page_size=20000)
        pq.write_table(t, p + "plain.parquet", compression="none", use_dictionary=False, data_page_size=10000, write_page_index=True)
        pq.write_table(t, p + "checked.parquet", compression="gzip", write_page_index=True, write_page_checksum=True, store_schema=False)
        duckdb.sql(f"copy t to '{p}duckdb.parquet' (format parquet, row_group_size 4096)")
        polars.from_arrow(t).write_parquet(p + "polars.parquet", row_group_size=3000)


for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.parquet"))):
    name = os.path.basename(path)[: -len(".parquet")]
    con = duckdb.connect()
    con.sql("set TimeZone='UTC'")
    dump(con.sql(f"select * from read_parquet('{path}')").to_arrow_table(), os.path.join(sys.argv[1], name + ".duckdb.txt"))
    table = pq.read_table(path)
    dump(table, os.path.join(sys.argv[1], name + ".pyarrow.txt"))
    statistics(path)
    ids = [int(f.metadata[b"PARQUET:field_id"]) for f in table.schema]
    assert len(set(ids)) == len(ids), ids
    os.makedirs(os.path.join(sys.argv[1], "foreign"), exist_ok=True)
    if name in ("trade", "book", "quote", "instrument"):
        foreign(name, table, os.path.join(sys.argv[1], "foreign"))
