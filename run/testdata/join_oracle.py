"""As-of and exact joins by pandas.merge_asof and by DuckDB's ASOF JOIN.

usage: join_oracle.py TRADES.csv QUOTES.csv OUT.csv
DuckDB promises nothing for ties and has no tolerance: of each instant the last quote is taken before the join, and a
match that is too old is dropped after it. Both must agree with each other; OUT.csv has what they say.
"""
import sys

import duckdb
import pandas as pd

trades, quotes, out = sys.argv[1:4]
t = pd.read_csv(trades)[["symbol", "event_ts", "seq"]].sort_values(["event_ts", "seq"], kind="stable").reset_index(drop=True)
q = pd.read_csv(quotes)[["symbol", "event_ts", "seq", "bid_price"]].sort_values(["event_ts", "seq"], kind="stable")
q["q_ts"] = q["event_ts"]
q = q.drop(columns="seq")
con = duckdb.connect()
con.register("t", t)
con.execute(f"CREATE TABLE q AS SELECT symbol, event_ts, bid_price FROM read_csv('{quotes}') "
            "QUALIFY row_number() OVER (PARTITION BY symbol, event_ts ORDER BY seq DESC) = 1")
res = t.copy()
for name, age, strict in [("wide", 1000, False), ("tight", 3, False), ("before", 3, True), ("same", 0, False)]:
    m = pd.merge_asof(t, q, on="event_ts", by="symbol", tolerance=age, allow_exact_matches=not strict)
    res[name + "_bid"], res[name + "_age"] = m["bid_price"], m["event_ts"] - m["q_ts"]
    op = ">" if strict else ">="
    d = con.execute(f"""SELECT t.seq, CASE WHEN t.event_ts - q.event_ts <= {age} THEN q.bid_price END AS bid,
        CASE WHEN t.event_ts - q.event_ts <= {age} THEN t.event_ts - q.event_ts END AS age
        FROM t ASOF LEFT JOIN q ON t.symbol = q.symbol AND t.event_ts {op} q.event_ts ORDER BY t.event_ts, t.seq""").df()
    for col, x in [("_bid", d["bid"]), ("_age", d["age"])]:
        a, b = res[name + col].astype("float64"), x.astype("float64")
        assert ((a == b) | (a.isna() & b.isna())).all(), f"pandas and DuckDB differ in {name}{col}"
res.to_csv(out, index=False)
