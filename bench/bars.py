"""Times views over the trades of a lake, from the files of processed.trade into a feature table, beside DuckDB and Polars on the
very same files: processor seconds, seconds by the clock, greatest resident memory, each system in a process of its own, on one core
and on all. The systems run in turn, RUNS times; the least of each figure is printed. Importing a library is not counted, all of the program is.

Usage: python bench/bars.py TIDEMARK LAKE [HOURS [RUNS [CASE…]]]

TIDEMARK is the program, LAKE a lake in a folder with a day of trades from 2026-01-05, as
  tidemark simulate --kinds trade --events 20000000 --rate 232 --symbols 8 --out t.csv && tidemark lake import --lake LAKE --input t.csv
makes it (with --rate 926 --symbols 11 it is six hours, some 14 trades to a bar of a second instead of 5); HOURS is how much of the day the rolling set takes (2), RUNS is 3, CASE the names of the cases that are wanted (all). The lake is copied, not changed.

DuckDB "exact" gives the same result: sums over 128-bit integers, first and last in the total order, by the keys and types that
were fastest. "double" adds doubles, so its last digits depend on the order of the rows. Polars has doubles alone. The rolling set is the same rows and the same windows in
both: at each trade, (t - width, t], a row out for each row in. By the second it is worked out at each trade of the whole day, too, and the
last row of each second is kept, that of the last trade in the order of ts and seq; both have to give as many rows."""
import datetime
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

tidemark, lake = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
hours = int(sys.argv[3]) if len(sys.argv) > 3 else 2
runs = int(sys.argv[4]) if len(sys.argv) > 4 else 3
files = lake + "/table/processed/trade/**/*.parquet"
DAY = 1767571200000000  # 2026-01-05, µs


def duckdb_bars(step, exact, out):
    import duckdb

    con = duckdb.connect()
    con.sql("set preserve_insertion_order=false")
    if exact:
        numbers = "price_mantissa * (10 ** (8 - price_scale))::BIGINT AS price, quantity_mantissa * (10 ** (8 - quantity_scale))::BIGINT AS quantity"
        key, product = "ts::HUGEINT * 18446744073709551616::HUGEINT + seq", "price::HUGEINT * quantity"
    else:
        numbers, key = "price_mantissa / (10 ** price_scale) AS price, quantity_mantissa / (10 ** quantity_scale) AS quantity", "ts"
        product = "price * quantity"
    con.sql(f"""COPY (
      WITH t AS (SELECT exchange, market, symbol, epoch_us(ts) AS ts, seq, side, {numbers} FROM read_parquet('{files}') WHERE NOT late)
      SELECT exchange, market, symbol, ts - ts % {step} AS w, arg_min(price, {key}) AS open, max(price) AS high, min(price) AS low,
        arg_max(price, {key}) AS close, sum(quantity) AS volume, sum({product}) AS notional, sum({product}) / sum(quantity) AS vwap,
        count(*) AS trades, sum(quantity) FILTER (side = 'buy') AS taker_buy, sum(quantity) FILTER (side = 'sell') AS taker_sell,
        (taker_buy - taker_sell) / (taker_buy + taker_sell) AS imbalance
      FROM t GROUP BY ALL ORDER BY exchange, market, symbol, w) TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)""")


def polars_trades():
    import polars as pl

    return (
        pl.scan_parquet(files, hive_partitioning=False)
        .filter(~pl.col("late"))
        .select(
            "exchange", "market", "symbol", "ts", "seq", "side",
            (pl.col("price_mantissa") / pl.lit(10.0).pow(pl.col("price_scale"))).alias("price"),
            (pl.col("quantity_mantissa") / pl.lit(10.0).pow(pl.col("quantity_scale"))).alias("quantity"),
        )
    )


def polars_bars(step, out):
    import polars as pl

    p, q = pl.col("price"), pl.col("quantity")
    buy, sell = q.filter(pl.col("side") == "buy").sum(), q.filter(pl.col("side") == "sell").sum()
    (
        polars_trades()
        .with_columns(pl.col("ts").dt.truncate(f"{step}us").alias("w"))
        .group_by("exchange", "market", "symbol", "w")
        .agg(
            p.get(pl.struct("ts", "seq").arg_min()).alias("open"), p.max().alias("high"), p.min().alias("low"),
            p.get(pl.struct("ts", "seq").arg_max()).alias("close"), q.sum().alias("volume"), (p * q).sum().alias("notional"),
            ((p * q).sum() / q.sum()).alias("vwap"), pl.len().alias("trades"), buy.alias("taker_buy"), sell.alias("taker_sell"),
            ((buy - sell) / (buy + sell)).alias("imbalance"),
        )
        .sort("exchange", "market", "symbol", "w")
        .sink_parquet(out, compression="zstd", compression_level=3)
    )


BY = ["exchange", "market", "symbol"]


def polars_set():
    import polars as pl

    p = pl.col("price")
    for w in ("1m", "5m", "15m"):
        for name, f in (("mean", p.rolling_mean_by), ("sd", p.rolling_std_by), ("min", p.rolling_min_by), ("max", p.rolling_max_by)):
            yield f("ts", window_size=w).over(BY).alias(f"{name}_{w}")


def polars_rolling(out):
    import polars as pl

    end = DAY + hours * 3_600_000_000
    (
        polars_trades().filter(pl.col("ts") < pl.lit(end).cast(pl.Datetime("us", "UTC"))).sort(*BY, "ts", "seq")
        .select(*BY, "ts", *polars_set()).collect().write_parquet(out, compression="zstd", compression_level=3)
    )


def polars_second(out):
    import polars as pl

    (
        polars_trades().sort(*BY, "ts", "seq").select(*BY, "ts", *polars_set())
        .group_by(*BY, pl.col("ts").dt.truncate("1s").alias("second"), maintain_order=True).last()
        .collect().write_parquet(out, compression="zstd", compression_level=3)
    )


def rows(*paths):
    code = "import polars, sys; print(polars.scan_parquet(sys.argv[1:], hive_partitioning=False).select(polars.len()).collect().item())"
    return int(subprocess.check_output([sys.executable, "-c", code, *paths]))


ROLLING = """view: rolling_set
version: 1
doc: |
  Mean, standard deviation, least and greatest price of the last minute, five and fifteen minutes, at each trade.
  Source: the benchmark bench/bars.py.
from: trade
by: [exchange, market, symbol]
features:
"""
for w in ("1m", "5m", "15m"):
    for name, f in (("mean", "mean"), ("sd", "std"), ("min", "min"), ("max", "max")):
        ROLLING += f"  {name}_{w}: {f}(price) over {w}\n"

SECOND = """view: rolling_1s
version: 1
doc: |
  The rolling set as it stands after the last trade of a second.
  Source: the benchmark bench/bars.py.
from: rolling_set
by: [exchange, market, symbol]
window: {tumbling: 1s}
empty: omit
features:
"""
for w in ("1m", "5m", "15m"):
    for name in ("mean", "sd", "min", "max"):
        SECOND += f"  {name}_{w}: last({name}_{w})\n"


def timed(run, cores, library=None):
    """Runs in a child on so many cores, after the import of a library; returns processor seconds, clock seconds and MB."""
    read, write = os.pipe()
    start = time.time()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
            began = use = None
            if library:
                importlib.import_module(library)
                began, use = time.time(), resource.getrusage(resource.RUSAGE_SELF)
            run()
            end = resource.getrusage(resource.RUSAGE_SELF)
            os.write(write, f"{end.ru_utime + end.ru_stime - use.ru_utime - use.ru_stime} {time.time() - began}".encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    told = os.read(read, 100)
    os.close(read)
    _, status, use = os.wait4(pid, 0)
    if status:
        sys.exit("a run failed")
    cpu, wall = map(float, told.split()) if told else (use.ru_utime + use.ru_stime, time.time() - start)
    return cpu, wall, use.ru_maxrss * 1024 / 1e6


def backfill(args, to, scratch):
    def run():
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1), os.dup2(null, 2)
        os.execv(tidemark, [tidemark, "backfill", *args, "--from", "2026-01-05", "--to", to, "--lake", scratch, "--progress", "none"])

    return run


def main():
    with tempfile.TemporaryDirectory(dir=os.path.dirname(lake)) as d:
        out, scratch, specs, counted = os.path.join(d, "out.parquet"), os.path.join(d, "lake"), [], {}
        for name, text in (("rolling_set", ROLLING), ("rolling_1s", SECOND)):
            specs.append(os.path.join(d, name + ".yaml"))
            with open(specs[-1], "w") as f:
                f.write(text)

        def count(what, *paths):
            if what not in counted:
                counted[what] = rows(*paths)
            if len(set(counted.values())) > 1:
                sys.exit(f"rows differ: {counted}")

        def ours(args, to, cores):
            shutil.copytree(lake, scratch)
            took = timed(backfill(args, to, scratch), cores)
            if "rolling_1s" in args:
                listed = subprocess.check_output([tidemark, "lake", "files", "feature.rolling_1s_v1", "--lake", scratch, "--json"])  # a commit need not name all of the folder
                count("tidemark", *(f["path"] for f in json.loads(listed)["files"]))
            shutil.rmtree(scratch)
            return took

        def bars(step):
            return [
                ("DuckDB exact", lambda c: timed(lambda: duckdb_bars(step, True, out), c, "duckdb")),
                ("DuckDB double", lambda c: timed(lambda: duckdb_bars(step, False, out), c, "duckdb")),
                ("Polars double", lambda c: timed(lambda: polars_bars(step, out), c, "polars")),
            ]

        listed = json.loads(subprocess.check_output([tidemark, "lake", "files", "processed.trade", "--lake", lake, "--json"]))["files"]
        last = datetime.datetime.fromisoformat(max(f["partition"][0] for f in listed))
        whole = (last + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:00:00Z")

        def view(name):
            return "tidemark backfill", lambda c: ours(["--view", name], whole, c)

        def second(cores):
            took = timed(lambda: polars_second(out), cores, "polars")
            count("Polars", out)
            return took

        rolling = [
            ("tidemark backfill", lambda c: ours(["--spec", specs[0]], f"2026-01-05T{hours:02}:00:00Z", c)),
            ("Polars double", lambda c: timed(lambda: polars_rolling(out), c, "polars")),
        ]
        seconds = [
            ("tidemark backfill", lambda c: ours(["--spec", specs[0], "--spec", specs[1], "--view", "rolling_1s"], whole, c)),
            ("Polars double", second),
        ]
        cases = [
            ("trade_bars_1m", [view("trade_bars_1m"), *bars(60_000_000)]), ("trade_bars_1s", [view("trade_bars_1s"), *bars(1_000_000)]),
            ("rolling set", rolling), ("rolling set by the second", seconds),
        ]
        cases = [c for c in cases if c[0] in sys.argv[5:] or len(sys.argv) < 6]
        for cores in sorted({1, len(os.sched_getaffinity(0))}, reverse=True):
            for what, systems in cases:
                took = {}
                for _ in range(runs):
                    for name, run in systems:
                        took.setdefault(name, []).append(run(cores))
                for name, figures in took.items():
                    cpu, wall, mem = map(min, zip(*figures))
                    print(f"{what + ' ' + name:44} {cores} cores {cpu:8.2f} s processor {wall:8.2f} s clock {mem:8.0f} MB", flush=True)


main()
