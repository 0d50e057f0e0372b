"""The independent oracle of bars, sessions and event clocks: plain loops over one row at a time
with Fractions. Late rows have been left out of the input.

usage: bars_oracle.py TRADES.csv OUTDIR
Writes a file of rows for each view, as the views print them.
"""
import csv
import os
import sys
from fractions import Fraction

trades, out = sys.argv[1:3]
DAY, MINUTE, SECOND = 86_400_000_000, 60_000_000, 1_000_000
rows = []
for r in csv.DictReader(open(trades)):
    rows.append((int(r["event_ts"]), int(r["seq"]), r["symbol"], r["side"], Fraction(r["price"]), Fraction(r["quantity"])))
rows.sort(key=lambda r: r[:2])
last = rows[-1][0]
symbols = sorted({r[2] for r in rows})


def dec(x):
    n = x * 10**8
    assert n.denominator == 1
    return f"{n.numerator // 10**8}.{n.numerator % 10**8:08d}"


def write(name, found):
    found.sort(key=lambda f: (f[0], f[1]))  # row_ts, then symbol; stable among bars of one time
    with open(os.path.join(out, name + ".csv"), "w") as f:
        for _, symbol, start, end, flags, *values in found:
            f.write(",".join([symbol, str(start), str(end), flags] + [v if isinstance(v, str) else str(v) for v in values]) + "\n")


def bar_row(symbol, bar, end, row_ts, flags):
    volume = sum(q for _, _, q in bar)
    notional = sum(p * q for _, p, q in bar)
    return (row_ts, symbol, bar[0][0], end, flags, dec(volume), dec(notional), len(bar))


def bars(size, split):
    found = []
    for s in symbols:
        bar, total = [], Fraction(0)
        for ts, _, symbol, _, p, q in rows:
            if symbol != s:
                continue
            if bar and ts // DAY != bar[0][0] // DAY:
                edge = (bar[0][0] // DAY + 1) * DAY
                found.append(bar_row(s, bar, edge, edge - 1, "truncated"))
                bar, total = [], Fraction(0)
            while split and total + q > size:
                part = size - total
                bar.append((ts, p, part))
                found.append(bar_row(s, bar, ts, ts, ""))
                bar, total, q = [], Fraction(0), q - part
            bar.append((ts, p, q))
            total += q
            if total >= size:
                found.append(bar_row(s, bar, ts, ts, ""))
                bar, total = [], Fraction(0)
    return found


def sessions(gap, bound):
    found = []
    for s in symbols:
        open_ = []

        def close():
            edge = (open_[0][0] // bound + 1) * bound
            end = open_[-1][0] + gap
            flags = "truncated" if end > edge else ""
            end = min(end, edge)
            if end - 1 <= last:
                found.append(bar_row(s, open_, end, end - 1, flags))

        for ts, _, symbol, _, p, q in rows:
            if symbol != s:
                continue
            if open_ and (ts - open_[-1][0] >= gap or ts // bound != open_[0][0] // bound):
                close()
                open_ = []
            open_.append((ts, p, q))
        close()
    return found


def clock(size):
    ticks, total = [], Fraction(0)
    day = None
    for ts, seq, symbol, _, _, q in rows:
        if symbol != "BTC-USDT":
            continue
        if day is not None and ts // DAY != day and total > 0:
            ticks.append(((ts // DAY) * DAY - 1, 1 << 60, total, "truncated"))
            total = Fraction(0)
        day = ts // DAY
        total += q
        if total >= size:
            ticks.append((ts, seq, total, ""))
            total = Fraction(0)
    found, i = [], 0
    mine = [r for r in rows if r[2] == "ETH-USDT"]
    before = None
    seen = None
    for ts, seq, volume, flags in ticks:
        held = []
        while i < len(mine) and mine[i][0] <= ts:  # no two symbols share a time
            held.append(mine[i])
            i += 1
        start = max(before if before is not None else 0, ts // DAY * DAY - 1)
        before = ts
        if held or seen is not None:
            f = "|".join(([flags] if flags else []) + ([] if held else ["empty"]))
            found.append((ts, "ETH-USDT", start, ts, f, dec(sum((r[5] for r in held), Fraction(0))), len(held), dec(volume)))
        if held:
            seen = held[-1][0]
    return found


write("o_whole", bars(Fraction(25), False))
write("o_split", bars(Fraction(5, 2), True))
write("o_sessions", sessions(3 * SECOND, 10 * MINUTE))
write("o_members", clock(Fraction(40)))
