"""Follows the book of a recorded Binance stream straight from its JSON and prints, second by
second, what the shipped view book_1s must give. Integers and fractions only; every quotient
is rounded once. Usage: book.py FILE TIMEFIELD MESSAGES"""
import gzip, heapq, json, sys
from fractions import Fraction

path, field, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
SCALE = 10**8


def num(text):
    whole, _, frac = text.partition(".")
    return int(whole) * SCALE + int((frac + "0" * 8)[:8])


def apply(side, levels):
    for p, q in levels:
        side.pop(num(p), None)
        if num(q):
            side[num(p)] = num(q)


msgs, rest = [], None
for line in gzip.open(path, "rt"):
    body = line.split(" ", 1)[1]
    if "@depth" in body[:80]:
        msgs.append(json.loads(body)["data"])
    elif "lastUpdateId" in body[:80]:
        rest = json.loads(body)
bids, asks = {}, {}
apply(bids, rest["bids"])
apply(asks, rest["asks"])
Q = 3 * SCALE // 2
clock, before, rows = 0, None, {}
open_row = None


def walk(levels, q):
    cost, need = 0, q
    for p, have in levels:
        take = min(have, need)
        cost, need = cost + p * take, need - take
        if need == 0:
            return cost
    return None


def flow(old, new, sign):
    e = 0
    if (new[0] - old[0]) * sign >= 0:
        e += new[1]
    if (new[0] - old[0]) * sign <= 0:
        e -= old[1]
    return e


def near(levels, mid2, sign):  # p within 10 bps: 2·p·1000 against (bid + ask)·(1000 ± 1)
    return sum(q for p, q in levels if sign * (2 * p * 1000 - mid2 * (1000 - sign)) >= 0)


def close(r):  # the state at the end of a second
    b, a = sorted(bids.items(), reverse=True), sorted(asks.items())
    mid2 = a[0][0] + b[0][0]
    r["mid"] = Fraction(mid2, 2 * SCALE)
    r["spread_bps"] = Fraction(20000 * (a[0][0] - b[0][0]), mid2)
    r["wmid"] = Fraction(b[0][0] * a[0][1] + a[0][0] * b[0][1], (a[0][1] + b[0][1]) * SCALE)
    for name, n in (("queue_imbalance", 1), ("imbalance_5", 5), ("imbalance_10", 10)):
        x, y = sum(q for _, q in b[:n]), sum(q for _, q in a[:n])
        r[name] = Fraction(x - y, x + y)
    r["bid_depth_10bps"] = Fraction(near(b, mid2, 1), SCALE)
    r["ask_depth_10bps"] = Fraction(near(a, mid2, -1), SCALE)
    buy, sell = walk(a, Q), walk(b, Q)
    r["buy_slippage_bps"] = buy and Fraction(10000 * (2 * buy - mid2 * Q), mid2 * Q)
    r["sell_slippage_bps"] = sell and Fraction(10000 * (mid2 * Q - 2 * sell), mid2 * Q)


for m in msgs[:most]:
    if m["u"] <= rest["lastUpdateId"]:
        continue
    clock = max(clock, m[field] * 1000)
    start = clock // 1_000_000 * 1_000_000
    if start not in rows and open_row:
        close(open_row)
    apply(bids, m["b"])
    apply(asks, m["a"])
    r = open_row = rows.setdefault(start, {"ofi": 0, "mlofi_5": 0, "updates": 0, "spreads": []})
    b, a = heapq.nlargest(5, bids.items()), heapq.nsmallest(5, asks.items())
    if before:
        es = [flow(before[0][k], b[k], 1) - flow(before[1][k], a[k], -1) for k in range(5)]
        r["ofi"] += es[0]
        r["mlofi_5"] += sum(es)
    before = (b, a)
    r["updates"] += 1
    r["spreads"].append((clock, a[0][0] - b[0][0]))
close(open_row)

names = ["mid", "spread_bps", "wmid", "queue_imbalance", "imbalance_5", "imbalance_10", "bid_depth_10bps", "ask_depth_10bps",
         "buy_slippage_bps", "sell_slippage_bps", "ofi", "mlofi_5", "spread_twa", "updates"]
print(",".join(["window_start"] + names))
carried = None
for start, r in sorted(rows.items()):
    marks = r.pop("spreads")
    area, at, value = 0, start, carried[1] if carried and start - carried[0] <= 5_000_000 else None
    begin = start if value is not None else marks[0][0]
    for ts, v in marks + [(start + 1_000_000, None)]:
        if value is not None:
            area += value * (ts - at)
        at, value = ts, v
    carried = marks[-1]
    r["spread_twa"] = Fraction(area, (start + 1_000_000 - begin) * SCALE)
    r["ofi"], r["mlofi_5"] = Fraction(r["ofi"], SCALE), Fraction(r["mlofi_5"], SCALE)
    print(",".join([str(start)] + ["" if r[n] is None else repr(float(r[n])) for n in names]))
