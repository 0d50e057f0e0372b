"""The independent oracle: DuckDB computes bars, moments, rolling windows, quantiles and
time-weighted means from canonical CSV files, with exact decimals and integers only.

usage: oracle.py TRADES.csv QUOTES.csv OUTDIR
Writes one CSV for each query; every number is text: an exact decimal or integer.
"""
import os
import sys

import duckdb

trades, quotes, out = sys.argv[1:4]
con = duckdb.connect()
con.execute("SET threads TO 2")
con.execute(f"""
CREATE TABLE t AS SELECT exchange, market, symbol, event_ts, seq, side,
  price::DECIMAL(18,6) AS p, quantity::DECIMAL(18,8) AS q,
  (quantity::DECIMAL(18,8) * 100000000)::HUGEINT AS qi
FROM read_csv('{trades}', all_varchar=false, header=true,
  types={{'price':'VARCHAR','quantity':'VARCHAR','event_ts':'BIGINT','seq':'BIGINT','id':'VARCHAR'}})
""")
con.execute(f"""
CREATE TABLE u AS SELECT exchange, market, symbol, event_ts, seq,
  bid_price::DECIMAL(18,6) AS b, ask_price::DECIMAL(18,6) AS a
FROM read_csv('{quotes}', header=true,
  types={{'bid_price':'VARCHAR','ask_price':'VARCHAR','event_ts':'BIGINT','seq':'BIGINT'}})
""")

key = "exchange, market, symbol"
minute = 60_000_000


def write(name, sql):
    con.execute(f"COPY ({sql}) TO '{os.path.join(out, name)}' (HEADER, DELIMITER ',')")


# Bars: first and last by (event_ts, seq); sums of exact decimals; moments of integers.
write("bars.csv", f"""
SELECT {key}, (event_ts // {minute}) * {minute} AS window_start,
  arg_min(p, (event_ts, seq)) AS open, max(p) AS high, min(p) AS low, arg_max(p, (event_ts, seq)) AS close,
  sum(q::DECIMAL(38,8)) AS volume, sum(p::DECIMAL(20,6) * q::DECIMAL(18,8)) AS notional,
  count(*) AS trades,
  coalesce(sum(q::DECIMAL(38,8)) FILTER (side = 'buy'), 0) AS taker_buy,
  coalesce(sum(q::DECIMAL(38,8)) FILTER (side = 'sell'), 0) AS taker_sell,
  sum(qi) AS s1, sum(qi * qi) AS s2, count(DISTINCT p) AS prices,
  quantile_disc(q, 0.5) AS q50, quantile_disc(q, 0.99) AS q99,
  (sum(p::DECIMAL(38,6)) / sum(q::DECIMAL(38,8)))::DOUBLE AS p_over_q
FROM t GROUP BY ALL ORDER BY window_start, {key}
""")

# Rolling 5 minutes on a grid of 20 s: (g - w, g].
step, width = 20_000_000, 5 * minute
write("rolling.csv", f"""
WITH g AS (
  SELECT {key}, unnest(generate_series(((min(event_ts) + {step - 1}) // {step}) * {step},
                                       ((max(event_ts) + {step - 1}) // {step}) * {step}, {step})) AS window_end
  FROM t GROUP BY ALL)
SELECT g.exchange, g.market, g.symbol, g.window_end,
  sum(q::DECIMAL(38,8)) AS volume, sum(p::DECIMAL(20,6) * q::DECIMAL(18,8)) AS notional, count(*) AS trades,
  max(p) AS high, min(p) AS low, arg_min(p, (event_ts, seq)) AS first, arg_max(p, (event_ts, seq)) AS last
FROM g JOIN t ON g.exchange = t.exchange AND g.market = t.market AND g.symbol = t.symbol
  AND t.event_ts > g.window_end - {width} AND t.event_ts <= g.window_end
GROUP BY ALL ORDER BY window_end, g.exchange, g.market, g.symbol
""")

# Time-weighted spread per minute: a value holds until the next quote or the end of the
# window; the value before the window start is carried in for at most one minute.
write("spread.csv", f"""
WITH c AS (
  SELECT * FROM u QUALIFY row_number() OVER (PARTITION BY {key}, event_ts ORDER BY seq DESC) = 1),
d AS (SELECT *, lead(event_ts) OVER (PARTITION BY {key} ORDER BY event_ts) AS until FROM c),
wins AS (SELECT DISTINCT {key}, (event_ts // {minute}) * {minute} AS window_start FROM u),
parts AS (
  SELECT wins.exchange, wins.market, wins.symbol, wins.window_start, d.a - d.b AS spread,
    least(coalesce(d.until, 9223372036854775807), wins.window_start + {minute})
      - greatest(d.event_ts, wins.window_start) AS dt
  FROM wins JOIN d ON d.exchange = wins.exchange AND d.market = wins.market AND d.symbol = wins.symbol
    AND d.event_ts < wins.window_start + {minute}
    AND coalesce(d.until, 9223372036854775807) > wins.window_start)
SELECT exchange, market, symbol, window_start,
  sum(spread::DECIMAL(20,6) * dt::DECIMAL(18,0)) AS num, sum(dt)::BIGINT AS den
FROM parts WHERE dt > 0 GROUP BY ALL ORDER BY window_start, exchange, market, symbol
""")
