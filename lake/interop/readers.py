"""Reads, and with Spark writes, the tables of a lake with tools that are not ours.

stdin: one JSON object; stdout: one JSON object.
  {"tool": "pyiceberg|duckdb|polars|spark", "catalog": {"kind": "sqlite|postgres|rest", "name", "uri", "warehouse"},
   "s3": {"endpoint", "key", "secret"} or null, "table": "ns.name", "metadata": location for duckdb,
   "do": [request, …]}
A request is {"what": "rows", "snapshot"?: id, "ref"?: tag or branch, "columns"?: […], "symbol"?: s, "from"?: µs, "to"?: µs}
and gives {"rows": n, "hash": hex, "types": {column: arrow type}, "files": files in the plan or null};
or, for Spark, {"what": "sql", "sql": text}, which gives {}.
The hash is that of rows_hash in interop_test.go: the sum mod 2^128 of the first 16 bytes of SHA-256 of each row's text.
"""

import datetime
import hashlib
import json
import sys

import pyarrow as pa

US = datetime.timedelta(microseconds=1)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def text(v):
    if v is None:
        return ""
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, bytes):
        return v.hex()
    if isinstance(v, datetime.datetime):
        return str((v - EPOCH) // US)
    if isinstance(v, list):
        return "[" + ",".join(text(x) for x in v) + "]"
    if isinstance(v, float):
        return v.hex()
    return str(v)


def plain(col):
    """A column as Python values; times as integers, so that no time zone gets in the way."""
    if pa.types.is_timestamp(col.type):
        unit = {"us": 1, "ns": 1000}[col.type.unit]
        col = col.cast(pa.int64())
        return [None if v is None else v // unit for v in col.to_pylist()]
    return col.to_pylist()


def digest(table):
    names = sorted(table.column_names)
    cols = [plain(table.column(n)) for n in names]
    total = 0
    for row in zip(*cols):
        h = hashlib.sha256("\x1f".join(text(v) for v in row).encode()).digest()
        total = (total + int.from_bytes(h[:16], "big")) & (1 << 128) - 1
    return {
        "rows": table.num_rows,
        "hash": f"{total:032x}",
        "types": {n: str(table.schema.field(n).type) for n in names},
    }


class PyIceberg:
    def __init__(self, conf):
        from pyiceberg.catalog import load_catalog

        c = conf["catalog"]
        props = {"uri": c["uri"], "warehouse": c.get("warehouse", "")}
        if c["kind"] == "rest":
            props["type"] = "rest"
        else:
            props["type"] = "sql"
            props["uri"] = {"sqlite": "sqlite:///" + c["uri"], "postgres": c["uri"].replace("postgres://", "postgresql+psycopg2://")}[c["kind"]]
        if conf.get("s3"):
            s = conf["s3"]
            props |= {"s3.endpoint": s["endpoint"], "s3.access-key-id": s["key"], "s3.secret-access-key": s["secret"], "s3.region": "us-east-1"}
        self.table = load_catalog(c["name"], **props).load_table(conf["table"])

    def scan(self, r):
        from pyiceberg.expressions import And, AlwaysTrue, EqualTo, GreaterThanOrEqual, LessThan

        f = AlwaysTrue()
        if "symbol" in r:
            f = And(f, EqualTo("symbol", r["symbol"]))
        if "from" in r:
            f = And(f, GreaterThanOrEqual("ts", (EPOCH + r["from"] * US).isoformat()))
        if "to" in r:
            f = And(f, LessThan("ts", (EPOCH + r["to"] * US).isoformat()))
        snapshot = r.get("snapshot")
        if "ref" in r:
            snapshot = self.table.snapshot_by_name(r["ref"]).snapshot_id
        return self.table.scan(row_filter=f, selected_fields=tuple(r.get("columns", ["*"])), snapshot_id=snapshot)

    def rows(self, r):
        s = self.scan(r)
        return s.to_arrow(), len(list(s.plan_files()))


class Polars(PyIceberg):
    def __init__(self, conf):
        super().__init__(conf)
        self.s3 = conf.get("s3")

    def rows(self, r):
        import polars as pl

        opts = {}
        if self.s3:
            opts = {"s3.endpoint": self.s3["endpoint"], "s3.access-key-id": self.s3["key"], "s3.secret-access-key": self.s3["secret"], "s3.region": "us-east-1"}
        snapshot = r.get("snapshot")
        if "ref" in r:
            snapshot = self.table.snapshot_by_name(r["ref"]).snapshot_id
        lf = pl.scan_iceberg(self.table, snapshot_id=snapshot, storage_options=opts or None)
        if "symbol" in r:
            lf = lf.filter(pl.col("symbol") == r["symbol"])
        if "from" in r:
            lf = lf.filter(pl.col("ts") >= EPOCH + r["from"] * US)
        if "to" in r:
            lf = lf.filter(pl.col("ts") < EPOCH + r["to"] * US)
        if "columns" in r:
            lf = lf.select(r["columns"])
        return lf.collect().to_arrow(), None


class DuckDB:
    def __init__(self, conf):
        import duckdb
        import duckdb_extension_avro, duckdb_extension_httpfs, duckdb_extension_iceberg  # noqa: F401

        self.db = duckdb.connect()
        self.db.execute("SET TimeZone='UTC'")
        for ext in ("avro", "httpfs", "iceberg"):
            load_extension(self.db, ext)
        if conf.get("s3"):
            s = conf["s3"]
            host = s["endpoint"].removeprefix("http://")
            self.db.execute(
                f"CREATE SECRET (TYPE s3, KEY_ID '{s['key']}', SECRET '{s['secret']}', REGION 'us-east-1', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)"
            )
        self.meta = conf["metadata"]

    def rows(self, r):
        at = f", snapshot_from_id={r['snapshot']}" if "snapshot" in r else ""
        where = []
        if "symbol" in r:
            where.append(f"symbol = '{r['symbol']}'")
        if "from" in r:
            where.append(f"ts >= make_timestamptz({r['from']}::BIGINT)")
        if "to" in r:
            where.append(f"ts < make_timestamptz({r['to']}::BIGINT)")
        q = f"SELECT {', '.join(r.get('columns', ['*']))} FROM iceberg_scan('{self.meta}'{at})"
        if where:
            q += " WHERE " + " AND ".join(where)
        t = self.db.execute(q).arrow()
        return (t.read_all() if hasattr(t, "read_all") else t), None


def load_extension(db, name):
    import importlib, pathlib

    mod = importlib.import_module("duckdb_extension_" + name)
    files = sorted(pathlib.Path(mod.__file__).parent.rglob(f"{name}.duckdb_extension"))
    db.execute(f"LOAD '{files[0]}'")


class Spark:
    def __init__(self, conf):
        import glob
        import os

        os.environ["PYSPARK_PYTHON"] = sys.executable
        from pyspark.sql import SparkSession

        c = conf["catalog"]
        k = "spark.sql.catalog." + c["name"]
        b = (
            SparkSession.builder.master("local[1]")
            .config("spark.jars", ",".join(sorted(glob.glob(conf["jars"] + "/*.jar"))))
            .config("spark.driver.extraClassPath", conf["jars"] + "/*")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.driver.memory", "1g")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
            .config(k, "org.apache.iceberg.spark.SparkCatalog")
            .config(k + ".warehouse", c["warehouse"])
        )
        if c["kind"] == "rest":
            b = b.config(k + ".type", "rest").config(k + ".uri", c["uri"])
        else:
            uri = "jdbc:sqlite:" + c["uri"] if c["kind"] == "sqlite" else jdbc(c["uri"])
            b = b.config(k + ".type", "jdbc").config(k + ".uri", uri).config(k + ".jdbc.schema-version", "V1")
        if conf.get("s3"):
            s = conf["s3"]
            b = (
                b.config(k + ".io-impl", "org.apache.iceberg.aws.s3.S3FileIO")
                .config(k + ".s3.endpoint", s["endpoint"])
                .config(k + ".s3.path-style-access", "true")
                .config(k + ".s3.access-key-id", s["key"])
                .config(k + ".s3.secret-access-key", s["secret"])
                .config(k + ".client.region", "us-east-1")
            )
        self.spark = b.getOrCreate()
        self.spark.sparkContext.setLogLevel("ERROR")
        self.table = c["name"] + "." + conf["table"]

    def rows(self, r):
        q = f"SELECT {', '.join(r.get('columns', ['*']))} FROM {self.table}"
        if "snapshot" in r:
            q += f" VERSION AS OF {r['snapshot']}"
        if "ref" in r:
            q += f" VERSION AS OF '{r['ref']}'"
        where = []
        if "symbol" in r:
            where.append(f"symbol = '{r['symbol']}'")
        if "from" in r:
            where.append(f"ts >= timestamp_micros({r['from']})")
        if "to" in r:
            where.append(f"ts < timestamp_micros({r['to']})")
        if where:
            q += " WHERE " + " AND ".join(where)
        df = self.spark.sql(q)
        out = df.toArrow()
        return out, scanned(df)

    def sql(self, text):
        self.spark.sql(text).collect()


def scanned(df):
    """The number of files that Spark planned to read, from the metrics of its scan."""
    plan = df._jdf.queryExecution().executedPlan()
    try:
        plan = plan.finalPhysicalPlan()
    except Exception:
        pass
    leaves = plan.collectLeaves()
    for i in range(leaves.size()):
        m = leaves.apply(i).metrics().get("resultDataFiles")
        if m.isDefined():
            return m.get().value()
    return None


def jdbc(uri):
    rest = uri.split("://", 1)[1]
    user, host = rest.split("@", 1)
    return f"jdbc:postgresql://{host}" + ("&" if "?" in host else "?") + "user=" + user


def main():
    conf = json.load(sys.stdin)
    tool = {"pyiceberg": PyIceberg, "duckdb": DuckDB, "polars": Polars, "spark": Spark}[conf["tool"]](conf)
    out = []
    for r in conf["do"]:
        if r["what"] == "sql":
            tool.sql(r["sql"])
            out.append({})
            continue
        table, files = tool.rows(r)
        out.append(digest(table) | {"files": files})
    json.dump(out, sys.stdout)


main()
