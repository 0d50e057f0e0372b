"""Compares scans with TA-Lib and pandas, and frames with window functions of DuckDB.

rows_oracle.py ROWS BARS: what tidemark wrote for the views of rows_oracle_test.go."""

import csv
import math
import sys
from decimal import Decimal, getcontext

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

# TA-Lib has the same recursions from the same seeds, in doubles. Each is worked out a second time with
# sixty digits from the same prices; we must be within 1e-12 of both. macd is a small difference of two
# averages that are near the price, so it is held to 1e-12 of these.
getcontext().prec = 60


def mean(xs):
    return sum(xs, Decimal(0)) / len(xs)


def smooth(xs, n, k):
    """Begins with the mean of the first n that are there; k is the weight of the newest."""
    lead = next(i for i, x in enumerate(xs) if x is not None)
    out = [None] * (lead + n - 1) + [mean(xs[lead:lead + n])]
    for x in xs[lead + n:]:
        out.append(out[-1] + k * (x - out[-1]))
    return out


def ema(xs, n):
    return smooth(xs, n, Decimal(2) / (n + 1))


def wilder(xs, n):
    return smooth(xs, n, 1 / Decimal(n))


def rsi(xs, n):
    moves = [None] + [b - a for a, b in zip(xs, xs[1:])]
    up = wilder([m and max(m, Decimal(0)) if m is not None else None for m in moves], n)
    down = wilder([m and max(-m, Decimal(0)) if m is not None else None for m in moves], n)
    return [None if u is None else 100 * u / (u + d) for u, d in zip(up, down)]


def band(xs, n, k):
    out = [None] * (n - 1)
    for i in range(n, len(xs) + 1):
        w = xs[i - n:i]
        m = mean(w)
        out.append(m + k * mean([(x - m) ** 2 for x in w]).sqrt())
    return out


def exact(name):
    return [Decimal(r[name]) for r in (rows if name in rows[0] else bars)]


def scan(name, column, talibs, want, size=None):
    """Ours against sixty digits and against TA-Lib; what TA-Lib has no value for is left out."""
    far = us = 0
    for i, (g, t, w) in enumerate(zip(column, talibs, want, strict=True)):
        if (w is None) != math.isnan(t) or (g is None) and w is not None:
            compare(name, [g], [w if w is None else float(w)], 0)
            return
        if w is not None:
            d = size[i] if size else abs(w)
            us, far = max(us, abs(Decimal(g) - w) / d), max(far, abs(Decimal(float(t)) - Decimal(g)) / d)
    global bad
    bad += us > 1e-12 or far > 1e-12
    print(f"{name}: {us:.1e} away from sixty digits, {far:.1e} from TA-Lib")


p = exact("p")
scan("ema", column(rows, "ema_5"), talib.EMA(price, 5), ema(p, 5))
scan("rsi", column(rows, "rsi_14"), talib.RSI(price, 14), rsi(p, 14))
fast = [None if a is None or b is None else a - b for a, b in zip(ema(p, 12), ema(p, 26))]
scan("macd", column(rows, "macd"), talib.EMA(price, 12) - talib.EMA(price, 26), fast, ema(p, 26))
high, low, close = (np.array(column(bars, c)) for c in ("hi", "lo", "cl"))
hi, lo, cl = exact("hi"), exact("lo"), exact("cl")
tr = [None] + [max(h, c) - min(l, c) for h, l, c in zip(hi[1:], lo[1:], cl)]
scan("atr", column(bars, "atr_14"), talib.ATR(high, low, close, 14), wilder(tr, 14))
up, mid, down = talib.BBANDS(close, 20, 2, 2)
# TA-Lib is silent before 20 bars; the frame has what there is.
scan("upper", column(bars, "upper"), up, band(cl, 20, 2))
scan("lower", column(bars, "lower"), down, band(cl, 20, -2))
scan("sma", column(bars, "sma_20"), mid, band(cl, 20, 0))

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
