-- trade_bars_1m version 1, as one query for DuckDB.
-- Reads canonical events that are clean: no duplicates, no late or bad rows, one feed for an instrument.
-- Decimals of the input have at most 8 digits after the point; one with more is an error, and so is any
-- overflow of 127 bits.
-- Exact: counts, sums, first, last, min, max, and what is added, subtracted and multiplied from them.
-- Quotients: exact terms in lowest terms, then one division in DOUBLE. The same bits while both terms are below
-- 2^53, else three roundings: as a rule within 1 ulp. Square roots: within 2 ulp.
-- Differs by design: no available_at, no flags. Windows that end after the last event are rows here, too, and
-- are not marked partial.
WITH "trade_bars_1m.rows" AS (
  SELECT "exchange", "market", "symbol", CAST(event_ts AS BIGINT) AS ts,
    CASE WHEN seq IS NULL THEN error('an event has no seq') ELSE CAST(seq AS BIGINT) END AS seq,
    CASE WHEN CAST("price" AS DECIMAL(38,18)) = CAST("price" AS DECIMAL(38,8)) OR "price" IS NULL
      THEN CAST(CAST("price" AS DECIMAL(38,8)) * 100000000 AS HUGEINT) ELSE error('price has more than 8 digits after the point') END AS "price",
    CASE WHEN CAST("quantity" AS DECIMAL(38,18)) = CAST("quantity" AS DECIMAL(38,8)) OR "quantity" IS NULL
      THEN CAST(CAST("quantity" AS DECIMAL(38,8)) * 100000000 AS HUGEINT) ELSE error('quantity has more than 8 digits after the point') END AS "quantity",
    coalesce("side", 'unknown') AS "side"
  FROM read_csv('trades.csv', header = true, delim = ',', all_varchar = true)
  WHERE kind = 'trade'
),
"trade_bars_1m.windows" AS (
  SELECT *, ts - ts % 60000000 AS window_start FROM "trade_bars_1m.rows"
),
"trade_bars_1m.states" AS (
  SELECT "exchange", "market", "symbol", window_start AS window_start, window_start + 60000000 AS window_end, window_start + 59999999 AS row_ts,
    arg_min("price", (ts, seq)) AS "agg.0",
    max("price") AS "agg.1",
    min("price") AS "agg.2",
    arg_max("price", (ts, seq)) AS "agg.3",
    sum(CAST("quantity" AS HUGEINT)) AS "agg.4",
    sum(CAST((CAST("price" AS HUGEINT) * "quantity") AS HUGEINT)) AS "agg.5",
    count(*) AS "agg.6",
    sum(CAST("quantity" AS HUGEINT)) FILTER (WHERE ("side" = 'buy')) AS "agg.7",
    sum(CAST("quantity" AS HUGEINT)) FILTER (WHERE ("side" = 'sell')) AS "agg.8"
  FROM "trade_bars_1m.windows"
  GROUP BY "exchange", "market", "symbol", "trade_bars_1m.windows".window_start
),
"trade_bars_1m.exact" AS (
  SELECT "exchange", "market", "symbol", window_start, window_end, row_ts,
    "agg.0" AS "open",
    "agg.1" AS "high",
    "agg.2" AS "low",
    "agg.3" AS "close",
    coalesce("agg.4", 0) AS "volume",
    coalesce("agg.5", 0) AS "notional",
    "notional" AS "vwap.n", nullif("volume", 0) AS "vwap.d",
    "agg.6" AS "trades",
    coalesce("agg.7", 0) AS "taker_buy",
    coalesce("agg.8", 0) AS "taker_sell",
    (CAST("taker_buy" AS HUGEINT) - "taker_sell") AS "imbalance.n", nullif((CAST("taker_buy" AS HUGEINT) + "taker_sell"), 0) AS "imbalance.d"
  FROM "trade_bars_1m.states"
)
SELECT "exchange", "market", "symbol", window_start, window_end, row_ts,
  CAST("open" AS DECIMAL(38,0)) * CAST('1e-8' AS DECIMAL(38,8)) AS "open",
  CAST("high" AS DECIMAL(38,0)) * CAST('1e-8' AS DECIMAL(38,8)) AS "high",
  CAST("low" AS DECIMAL(38,0)) * CAST('1e-8' AS DECIMAL(38,8)) AS "low",
  CAST("close" AS DECIMAL(38,0)) * CAST('1e-8' AS DECIMAL(38,8)) AS "close",
  CAST("volume" AS DECIMAL(38,0)) * CAST('1e-8' AS DECIMAL(38,8)) AS "volume",
  CAST("notional" AS DECIMAL(38,0)) * CAST('1e-16' AS DECIMAL(38,16)) AS "notional",
  CAST(CAST("vwap.n" // gcd("vwap.n", (CAST("vwap.d" AS HUGEINT) * 100000000)) AS VARCHAR) AS DOUBLE) / CAST(CAST((CAST("vwap.d" AS HUGEINT) * 100000000) // gcd("vwap.n", (CAST("vwap.d" AS HUGEINT) * 100000000)) AS VARCHAR) AS DOUBLE) AS "vwap",
  CAST("trades" AS BIGINT) AS "trades",
  CAST("taker_buy" AS DECIMAL(38,0)) * CAST('1e-8' AS DECIMAL(38,8)) AS "taker_buy",
  CAST("taker_sell" AS DECIMAL(38,0)) * CAST('1e-8' AS DECIMAL(38,8)) AS "taker_sell",
  CAST(CAST("imbalance.n" // gcd("imbalance.n", "imbalance.d") AS VARCHAR) AS DOUBLE) / CAST(CAST("imbalance.d" // gcd("imbalance.n", "imbalance.d") AS VARCHAR) AS DOUBLE) AS "imbalance"
FROM "trade_bars_1m.exact"
ORDER BY row_ts, "exchange", "market", "symbol";
