"""The independent oracle of statistics: DuckDB's aggregates in double precision, and plain
Python with Fractions and 60-digit decimals for what must be exact.

usage: aggregates_oracle.py TRADES.csv OUTDIR
Writes stats.csv and realised.csv. Columns d_... are DuckDB's doubles, the others exact:
integers or fractions a/b.
"""
import csv
import os
import sys
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import duckdb

trades, out = sys.argv[1:3]
MINUTE = 60_000_000
con = duckdb.connect()
con.execute("SET threads TO 2")
con.execute(f"""
CREATE TABLE t AS SELECT exchange, market, symbol, event_ts::BIGINT AS ts, seq::BIGINT AS seq, side,
  id, price, quantity, price::DOUBLE AS p, quantity::DOUBLE AS q,
  (event_ts::BIGINT // {MINUTE}) * {MINUTE} AS window_start
FROM read_csv('{trades}', header=true, all_varchar=true)
""")
keys = "exchange, market, symbol, window_start"
# The moments are of prices less 10025, which changes nothing but what is lost to cancellation.
duck = con.execute(f"""
SELECT {keys}, skewness(p - 10025) AS d_skew, kurtosis(p - 10025) AS d_kurt, covar_samp(p, q) AS d_cov, corr(p, q) AS d_corr,
  regr_slope(p, q) AS d_slope, quantile_cont(p, 0.9) AS d_p90, bool_or(p > 10040) AS any, bool_and(p > 10001) AS all,
  arg_min(id, (price::DECIMAL(38,9), ts, seq)) AS low_id, arg_max(ts, (price::DECIMAL(38,9), -ts, -seq)) AS high_at
FROM t GROUP BY ALL
""")
names = [d[0] for d in duck.description]
rows = {tuple(r[:4]): dict(zip(names, r)) for r in duck.fetchall()}


def groups(width):
    found = {}
    for r in con.execute("SELECT exchange, market, symbol, ts, price, quantity, side FROM t ORDER BY ts, seq").fetchall():
        found.setdefault((*r[:3], r[3] // width * width), []).append((r[3], Fraction(r[4]), Fraction(r[5]), r[6]))
    return found


def median(xs):
    xs, n = sorted(xs), len(xs)
    return (xs[(n - 1) // 2] + xs[n // 2]) / 2


def quantile(xs, p):
    xs = sorted(xs)
    h = (len(xs) - 1) * p
    k = int(h)
    return xs[k] + (h - k) * (xs[min(k + 1, len(xs) - 1)] - xs[k])


def wmedian(pairs):
    pairs = sorted(p for p in pairs if p[1] > 0)
    total, below = sum(w for _, w in pairs), Fraction(0)
    for i, (x, w) in enumerate(pairs):
        below += w
        if 2 * below > total:
            return x
        if 2 * below == total:
            return (x + pairs[i + 1][0]) / 2


def last_of_instant(points):
    return [p for i, p in enumerate(points) if i + 1 == len(points) or points[i + 1][0] > p[0]]


def contrast(x, y, lag):
    """Every pair of returns whose intervals overlap."""
    total = Fraction(0)
    for (t0, a), (t1, b) in zip(x, x[1:]):
        for (u0, c), (u1, d) in zip(y, y[1:]):
            if t0 < u1 - lag and u0 - lag < t1:
                total += (b - a) * (d - c)
    return total


for key, g in groups(MINUTE).items():
    p, q = [r[1] for r in g], [r[2] for r in g]
    n, sx, sy = len(p), sum(p), sum(q)
    buys = last_of_instant([(r[0], r[1]) for r in g if r[3] == "buy"])
    sells = last_of_instant([(r[0], r[1]) for r in g if r[3] == "sell"])
    c = n * sum(a * b for a, b in zip(p, q)) - sx * sy
    var = n * sum(b * b for b in q) - sy * sy
    rows[key].update(
        med=median(p), p90=quantile(p, Fraction(9, 10)), p333=quantile(q, Fraction(333, 1000)), wm=wmedian(list(zip(p, q))),
        cov=c / (n * (n - 1)) if n > 1 else None, slope=c / var if var else None,
        hy="skip" if n > 200 else contrast(buys, sells, 0) if len(buys) > 1 and len(sells) > 1 else None)
    if len(g) < 60 and len(buys) > 1 and len(sells) > 1:
        lags = sorted(range(-4, 5), key=lambda k: (abs(k), -k))
        sums = [(abs(contrast(buys, sells, k * 500_000)), -i, k * 500_000) for i, k in enumerate(lags)]
        best = max(sums)
        rows[key]["lead"] = best[2] if best[0] else None
    else:
        rows[key]["lead"] = "skip"


def text(v):
    return "" if v is None else f"{v.numerator}/{v.denominator}" if isinstance(v, Fraction) else str(v).lower() if isinstance(v, bool) else v


def write(name, table):
    cols = list(dict.fromkeys(c for r in table for c in r))
    with open(os.path.join(out, name), "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(cols)
        w.writerows([text(r.get(c)) for c in cols] for r in table)


write("stats.csv", rows.values())


def ln60(x):
    """ln x to the nearest multiple of 2^-60, and to 50 digits."""
    with localcontext() as ctx:
        ctx.prec = 60
        y = (Decimal(x.numerator) / Decimal(x.denominator)).ln()
        return Fraction(int((y * 2**60).to_integral_value(ROUND_HALF_EVEN)), 2**60), y


# Realised measures of ten-second closes within five minutes; returns reach back over the border.
closes = {}
for key, g in groups(10_000_000).items():
    closes.setdefault(key[:3], []).append((key[3], g[-1][1]))
real = {}
for ent, series in closes.items():
    rets = [None] + [ln60(b[1] / a[1]) for a, b in zip(series, series[1:])]
    for i, (start, _) in enumerate(series):
        row = real.setdefault((*ent, start // 300_000_000 * 300_000_000), [])
        row.append((rets[i], rets[i - 1] if i > 0 else None, rets[i - 2] if i > 1 else None))
table = []
for key, bars in sorted(real.items()):
    r = [b[0][0] for b in bars if b[0]]
    pairs = [(abs(b[0][0]), abs(b[1][0])) for b in bars if b[0] and b[1]]
    three = [sorted(abs(x[0]) for x in b) for b in bars if all(b)]
    table.append(dict(
        zip(["exchange", "market", "symbol", "window_start"], key),
        rv=sum((x * x for x in r), Fraction(0)), down=sum((x * x for x in r if x < 0), Fraction(0)), up=sum((x * x for x in r if x > 0), Fraction(0)),
        bv=sum((a * b for a, b in pairs), Fraction(0)), minrv=sum((min(p) ** 2 for p in pairs), Fraction(0)),
        medrv=sum((t[1] ** 2 for t in three), Fraction(0)), gk=sum((x * x / 2 - Fraction("0.3862943611198906") * x * abs(x) for x in r), Fraction(0)),
        d_rv=float(sum((b[0][1] ** 2 for b in bars if b[0]), Decimal(0)))))
write("realised.csv", table)
