"""The independent oracle of latest windows: DuckDB's ASOF join finds the newest quote of each
venue at each second, plain Python with Fractions works out the median, the weighted median
and the ranks.

usage: latest_oracle.py QUOTES.csv OUTDIR
Writes group.csv and members.csv; numbers are integers or fractions a/b.
"""
import csv
import os
import sys
from fractions import Fraction

import duckdb

quotes, out = sys.argv[1:3]
SECOND, AGE = 1_000_000, 5_000_000
con = duckdb.connect()
con.execute("SET threads TO 2")
con.execute(f"""
CREATE TABLE q AS SELECT * FROM read_csv('{quotes}', header=true, all_varchar=true)
  QUALIFY row_number() OVER (PARTITION BY exchange, symbol, event_ts ORDER BY seq::BIGINT DESC) = 1
""")
states = con.execute(f"""
WITH edge AS (SELECT min(event_ts::BIGINT) AS low, max(event_ts::BIGINT) AS high FROM q),
grid AS (SELECT unnest(generate_series(((low + {SECOND - 1}) // {SECOND}) * {SECOND}, ((high + {SECOND - 1}) // {SECOND}) * {SECOND}, {SECOND})) AS t FROM edge),
pairs AS (SELECT DISTINCT exchange, symbol FROM q),
g AS (SELECT t, exchange, symbol FROM grid, pairs)
SELECT g.t, g.symbol, g.exchange, q.event_ts::BIGINT, q.bid_price, q.bid_quantity, q.ask_price, q.ask_quantity
FROM g ASOF JOIN (SELECT *, event_ts::BIGINT AS ts FROM q) q
  ON g.exchange = q.exchange AND g.symbol = q.symbol AND g.t >= q.ts
WHERE g.t - q.ts <= {AGE}
ORDER BY g.t, g.symbol, g.exchange
""").fetchall()


def median(xs):
    xs, n = sorted(xs), len(xs)
    return (xs[(n - 1) // 2] + xs[n // 2]) / 2


def wmedian(pairs):
    """Smallest x with more than half of the weight at or below it; at exactly half the mean with the next."""
    pairs = sorted(p for p in pairs if p[1] > 0)
    total, below = sum(w for _, w in pairs), Fraction(0)
    for i, (x, w) in enumerate(pairs):
        below += w
        if 2 * below > total:
            return x
        if 2 * below == total:
            return (x + pairs[i + 1][0]) / 2
    return None


groups = {}
for t, symbol, exchange, ts, bid, bidq, ask, askq in states:
    mid = (Fraction(bid) + Fraction(ask)) / 2 if bid and ask else None
    size = Fraction(bidq) + Fraction(askq)
    groups.setdefault((t, symbol), []).append((exchange, mid, size, t - ts))


def text(x):
    return "" if x is None else str(x)


with open(os.path.join(out, "group.csv"), "w") as gf, open(os.path.join(out, "members.csv"), "w") as mf:
    g, m = csv.writer(gf), csv.writer(mf)
    g.writerow("exchange market symbol window_end venues known guard fair excluded".split())
    m.writerow("exchange market symbol window_end mid place age part".split())
    for (t, symbol), rows in groups.items():
        mids = [x for _, x, _, _ in rows if x is not None]
        guard = median(mids) if mids else None
        near = [(x, s) for _, x, s, _ in rows if x is not None and abs(x - guard) <= guard / 50]
        fair = wmedian(near) if len(rows) >= 3 and near else None
        far = sum(1 for x in mids if abs(x - guard) > guard / 50)
        g.writerow(["", "spot", symbol, t, len(rows), len(mids), text(guard), text(fair), far])
        order = sorted(rows, key=lambda r: (r[1] is None, -(r[1] or 0), r[0]))
        total = sum(s for _, _, s, _ in rows)
        for exchange, x, s, age in rows:
            place = 1 + [r[0] for r in order].index(exchange)
            m.writerow([exchange, "spot", symbol, t, text(x), place, age, text(s / total) if total else ""])
