"""A second implementation of the shipped views, in plain Python: loops over lists of rows. Sums and
products of decimals fit sixty digits, so they are exact, quotients are Fractions; roots, logarithms and
half-lives have sixty digits. Written from the formulas
in docs/language.md and the docs of the views; it shares nothing with the engine.

usage: catalogue_oracle.py DIR
DIR has trade.csv, quote.csv, funding.csv, status.csv, instrument.csv and params.csv (view, name, value);
writes DIR/want_VIEW.csv for each view. A column is compared exactly after one rounding; NAME~X within
1e-12 of max(|value|, X), NAME% within 1 %.
"""
import bisect
import csv
import math
import os
import sys
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal, getcontext, localcontext
from fractions import Fraction as F

dir_ = sys.argv[1]
S, M, H, D = 10**6, 60 * 10**6, 3600 * 10**6, 86_400 * 10**6
getcontext().prec = 60


class Row:
    def __init__(self, **kw):
        self.__dict__.update(kw)


def read(name):
    with open(os.path.join(dir_, name + ".csv"), newline="") as f:
        return list(csv.DictReader(f))


def events(kind, numbers):
    out = []
    for n, r in enumerate(read(kind)):
        e = Row(n=n, ts=int(r["event_ts"]), ex=r["exchange"], mk=r["market"], sym=r["symbol"], feed=r["feed"],
                base=r["symbol"].split("-")[0], quote=r["symbol"].split("-")[-1],
                ingest=int(r["ingest_ts"]) if r.get("ingest_ts") else None)
        for c in numbers:
            setattr(e, c, Decimal(r[c]) if r[c] else None)
        for c in r:
            if not hasattr(e, c):
                setattr(e, c, r[c])
        out.append(e)
    return out


trades = events("trade", ["price", "quantity"])
quotes = events("quote", ["bid_price", "bid_quantity", "ask_price", "ask_quantity"])
funding = events("funding", ["rate", "next_ts", "interval"])
status = events("status", ["from_seq", "to_seq"])
listings = events("instrument", ["listed_ts", "delisted_ts"])
LAST = max(e.ts for k in (trades, quotes, funding, status, listings) for e in k)
param = {(r["view"], r["name"]): Decimal(r["value"]) for r in read("params")}
for q in quotes:
    q.mid, q.size, q.spread = (q.bid_price + q.ask_price) / 2, q.bid_quantity + q.ask_quantity, q.ask_price - q.bid_price


def text(v):
    if v is None:
        return ""
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, F):
        return f"{v.numerator}/{v.denominator}"
    return str(v)


def write(view, cols, rows):
    """Rows are Row(ent, start, end, ts, vals), in the order of (ts, ent)."""
    ents = ("feed", "exchange", "market", "symbol", "base", "quote")
    names = cols.split()
    keys = [n for n in names if n in ents]
    rows = sorted(rows, key=lambda r: (r.ts, r.ent))
    with open(os.path.join(dir_, f"want_{view}.csv"), "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(keys + ["window_start", "window_end", "row_ts"] + [n for n in names if n not in ents])
        for r in rows:
            assert len(r.ent) == len(keys) and len(r.vals) == len(names) - len(keys), (view, r.ent, r.vals)
            w.writerow(list(r.ent) + [r.start, r.end, r.ts] + [text(v) for v in r.vals])


def by(rows, *cols):
    out = defaultdict(list)
    for r in rows:
        out[tuple(getattr(r, c) for c in cols)].append(r)
    return out


def div(a, b):
    return F(a) / F(b) if a is not None and b is not None and b != 0 else None


def dec(x):
    """A ratio to sixty digits."""
    return Decimal(x.numerator) / Decimal(x.denominator)


def root(x):
    return None if x is None else dec(F(x)).sqrt()


UNIT = 2**60  # logarithms are held as multiples of its inverse


def var(xs, ddof=1):
    n = len(xs)
    return None if n <= ddof else F(n * sum(x * x for x in xs) - sum(xs) ** 2) / (n * (n - ddof))


def ln(a, b):
    """ln(a/b) as the nearest multiple of 2^-60."""
    return int(((a / b).ln() * UNIT).to_integral_value(ROUND_HALF_EVEN))


def median(xs):
    xs, n = sorted(xs), len(xs)
    return (xs[(n - 1) // 2] + xs[n // 2]) / 2


def wmedian(pairs):
    pairs = sorted(p for p in pairs if p[1] > 0)
    total, below = sum(w for _, w in pairs), 0
    for i, (x, w) in enumerate(pairs):
        below += w
        if 2 * below > total:
            return x
        if 2 * below == total:
            return (x + pairs[i + 1][0]) / 2
    return None


def rank_quantile(xs, p):
    xs = sorted(xs)
    return xs[max(0, math.ceil(p * len(xs)) - 1)]


def tumbling(rows, width, carry=None):
    """(start, rows within, the row before) of each window with rows; with carry also of empty ones."""
    times = [r.ts for r in rows]
    stop = times[-1] // width * width + (0 if carry is None else carry + 2 * width)
    start = times[0] // width * width
    while start <= stop:
        lo, hi = bisect.bisect_left(times, start), bisect.bisect_left(times, start + width)
        if lo < hi or carry is not None and start - times[lo - 1] <= carry and start + width <= LAST + 1:
            yield start, rows[lo:hi], rows[max(0, lo - 1):lo]
        elif hi < len(times):
            start = times[hi] // width * width - width  # over the silence
        start += width


def rolling(rows, width, every):
    """(t, rows in (t - width, t]) at each grid point where there are some."""
    times = [r.ts for r in rows]
    t, stop = -(-times[0] // every) * every, min(times[-1] + width, -(-LAST // every) * every)
    while t <= stop:
        lo, hi = bisect.bisect_right(times, t - width), bisect.bisect_right(times, t)
        if lo < hi:
            yield t, rows[lo:hi]
        elif hi < len(times):
            t = -(-times[hi] // every) * every - every
        t += every


stamps = {}


def times_of(rows):
    """Times of a list that is not changed any more."""
    if id(rows) not in stamps:
        stamps[id(rows)] = rows, [r.ts for r in rows]
    return stamps[id(rows)][1]


def frame(rows, i, width, n=None):
    """Rows in (t - width, t], t that of row i: all of the instant, or the last n up to row i."""
    times = times_of(rows)
    lo = bisect.bisect_right(times, rows[i].ts - width)
    if n is not None:
        return rows[max(lo, i + 1 - n):i + 1]
    return rows[lo:bisect.bisect_right(times, rows[i].ts)]


def asof(rows, t, age):
    times = times_of(rows)
    i = bisect.bisect_right(times, t) - 1
    return rows[i] if i >= 0 and t - times[i] <= age else None


def total(xs):
    return sum(xs, Decimal(0))


BAR = "open high low close volume notional vwap trades taker_buy taker_sell imbalance"


def bar(g):
    """g are (price, quantity, side)."""
    ps, volume = [p for p, _, _ in g], total(q for _, q, _ in g)
    notional = total(p * q for p, q, _ in g)
    buy, sell = total(q for _, q, s in g if s == "buy"), total(q for _, q, s in g if s == "sell")
    return Row(open=ps[0], high=max(ps), low=min(ps), close=ps[-1], volume=volume, notional=notional, vwap=div(notional, volume),
               trades=len(g), taker_buy=buy, taker_sell=sell, imbalance=div(buy - sell, buy + sell))


def plain(rows):
    return [(r.price, r.quantity, r.side) for r in rows]


def time_bars(width):
    out = []
    for ent, rows in by(trades, "ex", "mk", "sym").items():
        for start, g, _ in tumbling(rows, width):
            b = bar(plain(g))
            b.ent, b.start, b.end, b.ts = ent, start, start + width, start + width - 1
            b.ex, b.mk, b.sym = ent
            out.append(b)
    return sorted(out, key=lambda b: (b.ts, b.ent))


seconds, minutes = time_bars(S), time_bars(M)


def per(rows, values, ents=("ex", "mk", "sym")):
    """A row view: values(rows of the entity, i) for each of its rows."""
    out = []
    for ent, mine in by(rows, *ents).items():
        for i, r in enumerate(mine):
            out.append(Row(ent=ent, start=getattr(r, "start", r.ts), end=getattr(r, "end", r.ts), ts=r.ts, vals=values(mine, i)))
    return out


def windows(rows, width, values, ents=("ex", "mk", "sym"), carry=None):
    out = []
    for ent, mine in by(rows, *ents).items():
        for start, g, before in tumbling(mine, width, carry):
            out.append(Row(ent=ent, start=start, end=start + width, ts=start + width - 1, vals=values(g, before, start, start + width)))
    return out


# --- bars of time without holes
def flat(g, before, start, end):
    if g:
        return [getattr(bar(plain(g)), c) for c in BAR.split()]
    last = before[-1].price
    return [last, last, last, last, 0, 0, None, 0, 0, 0, None]


write("trade_bars_flat_1m", "exchange market symbol " + BAR, windows(trades, M, flat, carry=D))


# --- bars of events
def event_bars(view, measure, split=False, rows=trades, ents=("ex", "mk", "sym")):
    size, out = param[view, "size" if (view, "size") in param else "n"], []
    for ent, mine in by(rows, *ents).items():
        held, at = [], Decimal(0)

        def close(end, ts):
            nonlocal held, at
            out.append(Row(ent=ent, start=held[0][0], end=end, ts=ts, held=held, key=held[-1][2]))
            held, at = [], Decimal(0)

        for r in mine:
            if held and r.ts // D != held[0][0] // D:
                edge = (held[0][0] // D + 1) * D
                close(edge, edge - 1)
            q = r.quantity
            while split and at + q > size:
                held.append((r.ts, (r.price, size - at, r.side), r.n))
                q -= size - at
                close(r.ts, r.ts)
            held.append((r.ts, (r.price, q, r.side), r.n))
            at += measure(r, q)
            if abs(at) >= size:
                close(r.ts, r.ts)
    for r in out:
        r.bar = bar([h[1] for h in r.held])
    return out


def with_vals(rows, f):
    for r in rows:
        r.vals = f(r)
    return rows


def signed(r):
    return r.quantity if r.side == "buy" else -r.quantity if r.side == "sell" else Decimal(0)


for view, measure in (("tick_bars", lambda r, q: 1), ("volume_bars", lambda r, q: q), ("dollar_bars", lambda r, q: r.price * q)):
    write(view, "exchange market symbol " + BAR, with_vals(event_bars(view, measure), lambda r: [getattr(r.bar, c) for c in BAR.split()]))
write("volume_imbalance_bars", "exchange market symbol open high low close volume net trades lasted",
      with_vals(event_bars("volume_imbalance_bars", lambda r, q: signed(r)),
                lambda r: [r.bar.open, r.bar.high, r.bar.low, r.bar.close, r.bar.volume, r.bar.taker_buy - r.bar.taker_sell, r.bar.trades, r.end - r.start]))
buckets = event_bars("vpin_buckets", lambda r, q: q, split=True)
write("vpin_buckets", "exchange market symbol buys sells volume imbalance close parts",
      with_vals(buckets, lambda r: [r.bar.taker_buy, r.bar.taker_sell, r.bar.volume, div(abs(r.bar.taker_buy - r.bar.taker_sell), r.bar.volume), r.bar.close, r.bar.trades]))
buckets = event_bars("vpin", lambda r, q: q, split=True)
for b in buckets:
    b.ex, b.mk, b.sym = b.ent


def vpin(rows, i):
    g = frame(rows, i, D, 20)
    return [div(total(abs(b.bar.taker_buy - b.bar.taker_sell) for b in g), total(b.bar.volume for b in g))]


write("vpin", "exchange market symbol vpin", per(buckets, vpin))

# --- event clock
btc = [t for t in trades if t.base == "BTC" and t.quote == "USDT"]
ticks = event_bars("btc_clock", lambda r, q: q, rows=btc, ents=("ex", "mk"))
write("btc_clock", "exchange market btc_volume btc_trades btc_vwap", with_vals(ticks, lambda r: [r.bar.volume, r.bar.trades, r.bar.vwap]))
members = []
alts = [t for t in trades if t.base in ("ETH", "XRP", "XMR", "BNB", "XLM", "LTC", "XTZ") and t.quote == "USDT"]
for ent, mine in by(alts, "ex", "mk", "base").items():
    i, seen, before = 0, None, None
    for k in sorted((k for k in ticks if k.ent == ent[:2]), key=lambda k: k.ts):
        held = []
        while i < len(mine) and mine[i].ts <= k.ts:
            held.append(mine[i])
            i += 1
        start = max(before if before is not None else 0, k.ts // D * D - 1)
        before = k.ts
        if held or seen is not None:
            members.append(Row(ent=ent, start=start, end=k.ts, ts=k.ts, vals=[
                len(held), total(t.quantity for t in held), total(t.price * t.quantity for t in held), k.bar.volume, div(len(held), k.bar.volume)]))
        seen = held[-1].ts if held else seen
write("alts_per_btc", "exchange market base trades volume notional btc_volume per_btc", members)


# --- venues
def alive(rows, who, every, age):
    """(t, newest row of each member at t that is at most age old), for each t where there is one."""
    mine = by(rows, who)
    t = -(-min(r.ts for r in rows) // every) * every
    stop = min(max(r.ts for r in rows) + age, -(-LAST // every) * every)
    while t <= stop:
        found = sorted(((k[0], r) for k, rs in mine.items() if (r := asof(rs, t, age))), key=lambda x: x[0])
        if found:
            yield t, found
        t += every


def fair_of(mids, sizes, band):
    guard = median(mids)
    near = [(x, s) for x, s in zip(mids, sizes) if abs(x - guard) <= band * guard]
    return guard, wmedian(near), len(mids) - len(near)


fair_rows, deviations = [], []
for ent, rows in by(quotes, "mk", "sym").items():
    for t, found in alive(rows, "ex", S, 5 * S):
        mids, sizes = [r.mid for _, r in found], [r.size for _, r in found]
        guard, fair, out = fair_of(mids, sizes, Decimal("0.02"))
        priced = fair if len(mids) >= 3 else None
        fair_rows.append(Row(ent=ent, start=t - 5 * S, end=t, ts=t, fair=priced, mk=ent[0], sym=ent[1], vals=[
            len(mids), guard, priced, out, min(mids), max(mids), div(10000 * (max(mids) - min(mids)), guard)]))
        order = sorted(found, key=lambda x: (-x[1].mid, x[0]))
        for name, r in found:
            ratio = div(r.mid, fair)
            deviations.append(Row(ent=(*ent, name), start=t - 5 * S, end=t, ts=t, vals=[
                len(mids), guard, fair, r.mid, ratio, ratio and 10000 * (ratio - 1), div(10000 * r.spread, r.mid),
                1 + [n for n, _ in order].index(name), div(r.size, total(sizes)), t - r.ts]))
write("fair_price_1s", "market symbol venues guard fair excluded low high range_bps", fair_rows)
write("venue_deviation_1s", "market symbol exchange venues guard fair price ratio deviation_bps spread_bps place size_share age", deviations)

fairs = by(fair_rows, "mk", "sym")


def provider(g, before, start, end):
    r = (before + g)[-1]
    f = asof(fairs[r.mk, r.sym], end - 1, 2 * S)
    fair = f.fair if f else None
    ratio = div(r.mid, fair)
    return [r.mid, fair, ratio, None if ratio is None else 10000 * (ratio - 1), len(g), end - r.ts]


write("provider_ratio_1s", "exchange market symbol price fair ratio deviation_bps quotes age", windows(quotes, S, provider, carry=5 * S))


# --- quotes
def time_mean(g, before, start, end, carry, name):
    pts = [(q.ts, getattr(q, name)) for q in g]
    if before and start - before[-1].ts <= carry:
        pts.insert(0, (start, getattr(before[-1], name)))
    return div(total(x * ((pts[i + 1][0] if i + 1 < len(pts) else end) - t) for i, (t, x) in enumerate(pts)), end - pts[0][0])


def spread(g, before, start, end):
    twa, mid = (time_mean(g, before, start, end, M, name) for name in ("spread", "mid"))
    return [twa, div(10000 * twa, mid), min(q.spread for q in g), max(q.spread for q in g), sum(q.spread < 0 for q in g), len(g)]


write("spread_1m", "exchange market symbol spread_twa spread_bps spread_min spread_max crossed quotes", windows(quotes, M, spread))
write("silent_feeds_1m", "feed exchange market symbol quotes delay_max",
      windows(quotes, M, lambda g, *_: [len(g), max((q.ingest - q.ts for q in g), default=None)], ("feed", "ex", "mk", "sym"), carry=H))
write("feed_health_1m", "feed exchange market symbol trades delay_mean delay_p50% delay_p99% delay_max silence",
      windows(trades, M, lambda g, b, s, e: [len(g), F(sum(t.ingest - t.ts for t in g), len(g)), rank_quantile([t.ingest - t.ts for t in g], 0.5),
                                             rank_quantile([t.ingest - t.ts for t in g], 0.99), max(t.ingest - t.ts for t in g), e - g[-1].ts],
              ("feed", "ex", "mk", "sym")))
write("book_resyncs_5m", "feed exchange market symbol gaps resyncs faults missing",
      windows([s for s in status if s.state in ("gap", "resync", "crossed", "checksum")], 5 * M,
              lambda g, *_: [sum(s.state == "gap" for s in g), sum(s.state == "resync" for s in g), sum(s.state in ("crossed", "checksum") for s in g),
                             total(s.to_seq - s.from_seq + 1 for s in g if s.state == "gap")], ("feed", "ex", "mk", "sym"), carry=15 * M))

# --- joins
second_quotes = []
for ent, rows in by(quotes, "ex", "mk", "sym").items():
    for start, g, _ in tumbling(rows, S):
        second_quotes.append(Row(ex=ent[0], mk=ent[1], sym=ent[2], base=g[0].base, quote=g[0].quote, start=start, end=start + S, ts=start + S - 1, close=g[-1].mid))
spots = by([q for q in second_quotes if q.mk == "spot"], "ex", "base", "quote")
settled = by([f for f in funding if f.form == "settled"], "ex", "sym")
basis = []
for r in second_quotes:
    if r.mk == "perp":
        s, f = asof(spots[r.ex, r.base, r.quote], r.ts, 2 * S), asof(settled[r.ex, r.sym], r.ts, 9 * H)
        basis.append(Row(ent=(r.ex, r.base, r.quote), start=r.start, end=r.end, ts=r.ts, vals=[
            r.close, s and s.close, s and 10000 * (div(r.close, s.close) - 1), s and r.ts - s.ts, f and f.rate, f and f.next_ts - r.ts]))
write("basis_1s", "exchange base quote perp_mid spot_mid basis_bps spot_age funding to_next", basis)
fundings = by(funding, "ex", "mk", "sym")


def fund_state(rows, i):
    r = rows[i]
    f = asof(fundings[r.ent], r.ts, 9 * H)
    return [f and f.rate, f and f.next_ts - r.end, f and div(f.rate * 365 * 24 * H, f.interval)]


write("funding_state", "exchange market symbol rate to_next annual", per(minutes, fund_state))

markets = by([b for b in seconds if b.sym == "BTC-USDT"], "ex", "mk")
for ent, rows in by(seconds, "ex", "mk", "sym").items():
    before = None
    for r in rows:
        m = asof(markets[ent[:2]], r.ts, 5 * S)
        r.m = m and m.close
        r.r = r.rm = None
        if before is not None and r.ts - before.ts <= D:
            r.r = ln(r.close, before.close)
            if r.m is not None and before.m is not None:
                r.rm = ln(r.m, before.m)
        before = r


def beta(rows, i):
    g = [(r.r, r.rm) for r in frame(rows, i, H) if r.r is not None and r.rm is not None]
    n, sy, sx = len(g), sum(y for y, _ in g), sum(x for _, x in g)
    c, vx, vy = n * sum(x * y for y, x in g) - sx * sy, n * sum(x * x for _, x in g) - sx * sx, n * sum(y * y for y, _ in g) - sy * sy
    return [div(c, vx) if n > 1 else None, dec(c) / (dec(vx).sqrt() * dec(vy).sqrt()) if vx and vy else None]


write("beta_btc_1h", "exchange market symbol beta corr~0", per(seconds, beta))


# --- returns of bars
def returns(rows, within):
    for mine in by(rows, "ex", "mk", "sym").values():
        for a, b in zip([None] + mine, mine):
            b.ret = ln(b.close, a.close) if a and b.ts - a.ts <= within else None
            b.ret0 = a.ret if a and b.ts - a.ts <= within else None


returns(seconds, H)


def realised(g, *_):
    r = [b.ret for b in g if b.ret is not None]
    rv = F(sum(x * x for x in r), UNIT**2)
    bv = F("1.5707963267948966") * F(sum(abs(b.ret * b.ret0) for b in g if b.ret is not None and b.ret0 is not None), UNIT**2)
    return [rv, bv, F(sum(x * x for x in r if x < 0), UNIT**2), max(rv - bv, F(0)), root(rv), len(r)]


write("realized_5m", "exchange market symbol rv bv down jump vol~0 returns", windows(seconds, 5 * M, realised))
returns(minutes, H)


def ret_z(rows, i):
    g = [b.ret for b in frame(rows, i, H) if b.ret is not None]
    r, v = rows[i].ret, var(g)
    z = dec(r - F(sum(g), len(g))) / root(v) if r is not None and v else None
    return [None if r is None else Decimal(r) / UNIT, z, len(g)]


write("ret_z", "exchange market symbol ret~0 z~1 bars", per(minutes, ret_z))


def trend(rows, i):
    r = rows[i]
    minute, half, quarter = frame(rows, i, M), frame(rows, i, 30 * S), frame(rows, i, 15 * M)
    high, low = max(b.high for b in quarter), min(b.low for b in quarter)
    return [div(r.close, minute[0].open) - 1, total(b.taker_buy - b.taker_sell for b in half), total(b.volume for b in half), high, low,
            div(r.close - low, high - low), sum(b.trades for b in minute)]


write("rolling_trades", "exchange market symbol ret_60s flow_30s volume_30s high_15m low_15m place_15m trades_60s", per(seconds, trend))
mom = []
for ent, rows in by(minutes, "ex", "mk", "sym").items():
    for b in rows:
        b.inner = ln(b.close, b.open)
    for t, g in rolling(rows, 15 * M, M):
        volume = total(b.volume for b in g)
        mom.append(Row(ent=ent, start=t - 15 * M, end=t, ts=t, vals=[
            div(g[-1].close, g[0].open) - 1, div(max(b.high for b in g) - min(b.low for b in g), g[-1].close),
            div(total(b.taker_buy - b.taker_sell for b in g), volume), root(div(var([b.inner for b in g]), UNIT**2)), div(total(b.notional for b in g), volume)]))
write("momentum_15m", "exchange market symbol ret range flow bar_vol~0 vwap", mom)

breadth = []
for ent, rows in by(minutes, "ex", "mk").items():
    for t, found in alive(rows, "sym", M, 5 * M):
        g = [b for _, b in found]
        r = [b.inner for b in g]
        up = sum(b.close > b.open for b in g)
        breadth.append(Row(ent=ent, start=t - 5 * M, end=t, ts=t, vals=[
            len(g), up, sum(b.close < b.open for b in g), F(up, len(g)), F(sum(r), len(r) * UNIT), root(div(var(r), UNIT**2)), F(median([F(x) for x in r]), UNIT)]))
write("breadth_1m", "exchange market pairs up down breadth mean_ret dispersion~0 median_ret", breadth)

# --- universe
day = []
for (mk, sym), rows in by(minutes, "mk", "sym").items():
    acc, times, sums = Decimal(0), [], []
    for b in rows:
        acc += b.notional
        times.append(b.ts)
        sums.append(acc)
    t = -(-times[0] // M) * M
    while t <= -(-LAST // M) * M:  # all of the input is within 24 hours
        day.append(Row(mk=mk, sym=sym, ts=t, notional=sums[bisect.bisect_right(times, t) - 1]))
        t += M
ranks = []
for (mk,), rows in by(day, "mk").items():
    mine, books = by(rows, "sym"), by([x for x in listings if x.mk == mk], "ex", "sym")
    for t in sorted({r.ts for r in rows}):
        listed = set()
        for ls in books.values():
            x = asof(ls, t, 3660 * D)
            if x and x.state != "delisted" and (x.listed_ts is None or x.listed_ts <= t) and (x.delisted_ts is None or x.delisted_ts > t):
                listed.add(x.sym)
        got = {s: (r.notional if (r := asof(mine[s,], t, 10 * M)) else None) for s in listed}
        if not any(v is not None for v in got.values()):
            continue
        order = sorted(got, key=lambda s: (got[s] is None, -(got[s] or 0), s))
        for s in got:
            place = order.index(s) + 1
            ranks.append(Row(ent=(mk, s), start=t - 10 * M, end=t, ts=t, vals=[
                place, place <= param["notional_rank", "n"], div(got[s], total(v for v in got.values() if v is not None)), len(got), got[s] is None]))
write("notional_rank", "market symbol place top part members silent", ranks)


# --- rows of trades
for t in trades:  # in integers: thousandths, and times hundredths
    t.milli, t.money = int(t.quantity * 1000), int(t.quantity * t.price * 100_000)
    t.net = t.milli if t.side == "buy" else -t.milli if t.side == "sell" else 0


def imbalance(rows, i):
    g = frame(rows, i, H, int(param["imbalance_100", "n"]))
    volume = sum(t.milli for t in g)
    return [div(sum(t.net for t in g), sum(abs(t.net) for t in g)), F(volume, 1000), F(sum(t.money for t in g), 100 * volume)]


write("imbalance_100", "exchange market symbol imbalance volume vwap", per(trades, imbalance))
sizes = []
for ent, rows in by(trades, "ex", "mk", "sym").items():
    for t, g in rolling(rows, 5 * M, 10 * S):
        xs = [x.milli for x in g]
        sizes.append(Row(ent=ent, start=t - 5 * M, end=t, ts=t, vals=[F(len(xs)), F(sum(xs), 1000 * len(xs)), root(div(var(xs), 10**6))]
                         + [F(rank_quantile(xs, p), 1000) for p in (0.1, 0.5, 0.9, 0.99)] + [F(max(xs), 1000)]))
write("trade_size_5m", "exchange market symbol trades mean std~0 p10% p50% p90% p99% largest", sizes)


HALVING = -Decimal(2).ln()


def decay(dt, half):
    with localcontext() as ctx:
        ctx.prec = 28
        return (HALVING * dt / half).exp()


decayed = []
for ent, rows in by(trades, "ex", "mk", "sym").items():
    rets = [None] + [Decimal(ln(b.price, a.price)) / UNIT if b.ts - a.ts <= H else None for a, b in zip(rows, rows[1:])]
    for begin in sorted({r.ts // D * D for r in rows}):
        n = d = n2 = d2 = flow = power = Decimal(0)
        last = last_r = None
        for r, x in zip(rows, rets):
            if not begin - 4 * H <= r.ts < begin + D:
                continue
            if x is not None:
                u = decay(r.ts - last_r, 5 * M) if last_r is not None else Decimal(0)
                n, d, last_r = u * n + x * x, u * d + 1, r.ts
            dt = None if last is None else r.ts - last
            u1, u2, u3 = [Decimal(0)] * 3 if dt is None else (decay(dt, M), decay(dt, 30 * S), decay(dt, 10 * S))
            n2, d2 = u1 * n2 + r.price, u1 * d2 + 1
            flow, power, last = u2 * flow + signed(r), u3 * power + 1, r.ts
            if r.ts >= begin:
                v = n / d if x is not None else None
                decayed.append(Row(ent=ent, start=r.ts, end=r.ts, ts=r.ts, vals=[v, v and v.sqrt() if v is not None else None, n2 / d2, flow, power]))
write("decayed", "exchange market symbol ewma_var~0 ewma_vol~0 level~0 flow~1 intensity~0", decayed)


# --- indicators
def smooth(xs, n, k):
    """Begins with the mean of the first n that are there."""
    out, lead = [None] * len(xs), next((i for i, x in enumerate(xs) if x is not None), len(xs))
    for i in range(lead + n - 1, len(xs)):
        out[i] = sum(xs[lead:i + 1]) / n if i == lead + n - 1 else out[i - 1] + k * (xs[i] - out[i - 1])
    return out


def sub(a, b):
    return [None if x is None or y is None else x - y for x, y in zip(a, b)]


indicators = []
for ent, rows in by(minutes, "ex", "mk", "sym").items():
    for begin in sorted({r.ts // D * D for r in rows}):
        first = next(i for i, r in enumerate(rows) if r.ts >= begin - 600 * M)
        mine = [r for r in rows[first:] if r.ts < begin + D]
        close, high, low = ([getattr(r, c) for r in mine] for c in ("close", "high", "low"))
        old = [None] + close[:-1]
        if first and mine[0].ts - rows[first - 1].ts <= D:
            old[0] = rows[first - 1].close
        move = sub(close, old)
        up = smooth([None if m is None else max(m, Decimal(0)) for m in move], 14, 1 / Decimal(14))
        down = smooth([None if m is None else max(-m, Decimal(0)) for m in move], 14, 1 / Decimal(14))
        rsi = [None if u is None or u + d == 0 else 100 * u / (u + d) for u, d in zip(up, down)]
        tr = [None if o is None else max(h, o) - min(l, o) for h, l, o in zip(high, low, old)]
        ema = {n: smooth(close, n, Decimal(2) / (n + 1)) for n in (12, 20, 26)}
        macd = sub(ema[12], ema[26])
        signal = smooth(macd, 9, Decimal(2) / 10)
        cols = [ema[20], rsi, macd, signal, sub(macd, signal), smooth(tr, 14, 1 / Decimal(14))]
        for i, r in enumerate(mine):
            if r.ts >= begin:
                g = [x.close for x in frame(rows, first + i, 4 * H, 20)]
                mean, sd = div(total(g), len(g)), root(var(g, 0))
                indicators.append(Row(ent=ent, start=r.start, end=r.end, ts=r.ts, vals=[c[i] for c in cols] + [mean, dec(mean) + 2 * sd, dec(mean) - 2 * sd]))
write("indicators_1m", "exchange market symbol ema_20~0 rsi~1 macd~1000 macd_signal~1000 macd_hist~1000 atr~0 sma_20 upper~0 lower~0", indicators)


# --- lead and lag
def contrast(x, y, lag):
    """Sum of products of the changes whose intervals overlap, y's clock set back by lag."""
    ends, acc = [p[0] - lag for p in y[1:]], 0
    for (t0, a), (t1, b) in zip(x, x[1:]):
        for j in range(bisect.bisect_right(ends, t0), len(ends)):
            if y[j][0] - lag >= t1:
                break
            acc += (b - a) * (y[j + 1][1] - y[j][1])
    return acc


def last_of_instant(rows):
    return [(r.ts, int(r.price * 100)) for i, r in enumerate(rows) if i + 1 == len(rows) or rows[i + 1].ts > r.ts]


pair = [t for t in trades if (t.base, t.quote) in (("BTC", "USDT"), ("ETH", "USDT"))]


def lead_lag(g, *_):
    a, b = [t for t in g if t.base == "BTC"], [t for t in g if t.base == "ETH"]
    x, y = last_of_instant(a), last_of_instant(b)
    hy = lead = None
    if len(x) > 1 and len(y) > 1:
        hy = F(contrast(x, y, 0), 10000)
        best = max((abs(contrast(x, y, k * S // 10)), -abs(k), k) for k in range(-20, 21))
        lead = best[2] * S // 10 if best[0] else None
    return [hy, lead, len(a), len(b)]


write("lead_lag_5m", "exchange market hy lead btc_trades eth_trades", windows(pair, 5 * M, lead_lag, ("ex", "mk")))


# --- order books
def walk(levels, q):
    """What the first levels cost until q is filled."""
    cost = Decimal(0)
    for p, have in levels:
        cost, q = cost + p * min(have, q), q - min(have, q)
        if q == 0:
            return cost
    return None


def flow(old, new, sign):
    return (new[1] if (new[0] - old[0]) * sign >= 0 else 0) - (old[1] if (new[0] - old[0]) * sign <= 0 else 0)


books, bids, asks, held = [], {}, {}, None
for e in events("book", []):
    for side, changes in ((bids, e.bids), (asks, e.asks)):
        for p, q in (map(Decimal, x.split(":")) for x in changes.split("|") if x):
            side.pop(p, None)
            if q:
                side[p] = q
    b, a = sorted(bids.items(), reverse=True), sorted(asks.items())
    e.mid, e.spread, two = (a[0][0] + b[0][0]) / 2, a[0][0] - b[0][0], a[0][0] + b[0][0]
    near = [sum(q for p, q in side if sign * (2000 * p - two * (1000 - sign)) >= 0) for side, sign in ((b, 1), (a, -1))]
    size = Decimal("1.5")
    buy, sell = walk(a, size), walk(b, size)
    deep = [(sum(q for _, q in b[:n]), sum(q for _, q in a[:n])) for n in (1, 5, 10)]
    e.state = [e.mid, div(10000 * e.spread, e.mid), div(b[0][0] * a[0][1] + a[0][0] * b[0][1], a[0][1] + b[0][1])]
    e.state += [div(x - y, x + y) for x, y in deep] + near
    e.state += [div(10000 * (buy - e.mid * size), e.mid * size), div(10000 * (e.mid * size - sell), e.mid * size)]
    e.flows = [flow(held[0][k], b[k], 1) - flow(held[1][k], a[k], -1) for k in range(5)] if held else None
    held = b[:5], a[:5]
    books.append(e)


def book_second(g, before, start, end):
    flows = [e.flows for e in g if e.flows]
    return g[-1].state + [total(f[0] for f in flows), total(sum(f) for f in flows), time_mean(g, before, start, end, 5 * S, "spread"), len(g)]


write("book_1s", "exchange market symbol mid spread_bps wmid queue_imbalance imbalance_5 imbalance_10 bid_depth_10bps ask_depth_10bps "
      "buy_slippage_bps sell_slippage_bps ofi mlofi_5 spread_twa updates", windows(books, S, book_second))
ent = books[0].ex, books[0].mk, books[0].sym
write("spread_median_5m", "exchange market symbol spread_median spread_max updates",
      [Row(ent=ent, start=t - 5 * M, end=t, ts=t, vals=[median([e.spread for e in g]), max(e.spread for e in g), len(g)]) for t, g in rolling(books, 5 * M, S)])
