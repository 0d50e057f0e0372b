"""Compares scans with TA-Lib and pandas, and frames with window functions of DuckDB.

rows_oracle.py ROWS BARS: what tidemark wrote for the views of rows_oracle_test.go."""

import csv
import math
import sys

import duckdb
import numpy as np
import pandas as pd
import talib


def read(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def column(rows, name):
    return [None if r[name] == "" else float(r[name]) for r in rows]


bad = 0


def compare(name, got, want, tol):
    global bad
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        w = None if w is None or math.isnan(w) else float(w)
        if (g is None) != (w is None) or g is not None and abs(g - w) > tol * max(1, abs(w)):
            bad += 1
            print(f"{name} row {i}: {g}, want {w}")
            return


rows, bars = read(sys.argv[1]), read(sys.argv[2])
price = np.array(column(rows, "p"))

# TA-Lib has the same recursions from the same seeds.
compare("ema", column(rows, "ema_5"), talib.EMA(price, 5), 1e-13)
compare("rsi", column(rows, "rsi_14"), talib.RSI(price, 14), 1e-12)
slow = talib.EMA(price, 12) - talib.EMA(price, 26)
compare("macd", column(rows, "macd"), slow, 1e-11)
high, low, close = (np.array(column(bars, c)) for c in ("hi", "lo", "cl"))
compare("atr", column(bars, "atr_14"), talib.ATR(high, low, close, 14), 1e-12)
up, mid, down = talib.BBANDS(close, 20, 2, 2)
# TA-Lib is silent before 20 bars; the frame has what there is.
compare("upper", column(bars, "upper")[19:], up[19:], 1e-9)
compare("lower", column(bars, "lower")[19:], down[19:], 1e-9)
compare("sma", column(bars, "sma_20")[19:], mid[19:], 1e-12)

times = pd.to_datetime([int(r["row_ts"]) for r in rows], unit="us")
ewm = pd.Series(price).ewm(halflife="30s", times=times).mean()
compare("ewm", column(rows, "level"), ewm, 1e-12)

# A frame of time has all rows of the instant: RANGE. One of rows goes by the order: ROWS.
db = duckdb.connect()
db.execute("CREATE TABLE r (i INTEGER, ts BIGINT, p DECIMAL(18, 2), q DECIMAL(18, 4))")
db.executemany("INSERT INTO r VALUES (?, ?, ?, ?)", [(i, int(r["row_ts"]), r["p"], r["q"]) for i, r in enumerate(rows)])
want = db.execute("""
    SELECT count(*) OVER t, sum(q) OVER t, max(p) OVER t, min(p) OVER t, avg(p) OVER t, stddev_samp(p::DOUBLE) OVER t,
           sum(q) OVER n, max(p) OVER n, stddev_pop(p::DOUBLE) OVER n, median(p::DOUBLE) OVER n
    FROM r
    WINDOW t AS (ORDER BY ts RANGE BETWEEN 59999999 PRECEDING AND CURRENT ROW),
           n AS (ORDER BY i ROWS BETWEEN 6 PRECEDING AND CURRENT ROW)
    ORDER BY i""").fetchall()
names = ["n_1m", "q_1m", "high_1m", "low_1m", "mean_1m", "sd_1m", "q_7", "high_7", "sd_7", "mid_7"]
for k, name in enumerate(names):
    exact = not name.startswith(("sd", "mean", "mid"))
    compare(name, column(rows, name), [None if w[k] is None else float(w[k]) for w in want], 0 if exact else 1e-12 if name == "mid_7" else 1e-9)

sys.exit(1 if bad else 0)
