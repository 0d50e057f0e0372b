"""Compares the size of files of lake/file with what DuckDB, Polars and, with the jars of TIDEMARK_TEST_SPARK_JARS, Spark
write of the same rows in the same order, zstd 3, row groups of 262,144 rows. Usage: files.py FILE.parquet..., where the
files come from TIDEMARK_FILES=DIR go test ./lake/file -run Tapes"""
import glob
import os
import sys
import tempfile

import duckdb
import polars

spark = None
if os.environ.get("TIDEMARK_TEST_SPARK_JARS"):
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    jars = sorted(glob.glob(os.environ["TIDEMARK_TEST_SPARK_JARS"] + "/*.jar"))
    spark = (
        SparkSession.builder.master("local[1]").config("spark.jars", ",".join(jars)).config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g").config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.showConsoleProgress", "false").config("spark.sql.session.timeZone", "UTC")
        .config("spark.hadoop.parquet.compression.codec.zstd.level", "3").config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")


def spark_size(path, columns, out):
    frame = spark.read.parquet(path)
    if columns != "*":
        frame = frame.drop("event_id")
    # one task reads the file from its start, so rows keep their order; Spark has no limit of rows, its row groups are 128 MiB
    frame.coalesce(1).write.mode("overwrite").option("compression", "zstd").parquet(out)
    return sum(os.path.getsize(f) for f in glob.glob(out + "/*.parquet"))


print(f"DuckDB {duckdb.__version__}, Polars {polars.__version__}, Spark {spark.version if spark else 'not asked for'};"
      " bytes a row (without event_id, 16 bytes that do not compress)")
for path in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as d:
        con = duckdb.connect()
        con.sql("set preserve_insertion_order=true")

        def size(columns):
            src = f"(select {columns} from read_parquet('{path}'))"
            n = con.sql(f"select count(*) from {src}").fetchone()[0]
            out = []
            for version in ("v1", "v2"):
                f = os.path.join(d, version + ".parquet")
                con.sql(f"copy {src} to '{f}' (format parquet, compression zstd, compression_level 3, row_group_size 262144, parquet_version {version})")
                out.append(os.path.getsize(f) / n)
            f = os.path.join(d, "polars.parquet")
            con.sql(f"select * from {src}").pl().write_parquet(f, compression="zstd", compression_level=3, row_group_size=262144)
            out.append(os.path.getsize(f) / n)
            if spark:
                out.append(spark_size(path, columns, os.path.join(d, "spark")) / n)
            return n, out

        n, all_columns = size("*")
        _, rest = size("* exclude (event_id)")
        ours = os.path.getsize(path) / n
        ids = con.sql(f"select sum(total_compressed_size) from parquet_metadata('{path}') where path_in_schema = 'event_id'").fetchone()[0] / n
        print(f"{os.path.basename(path)}: {n} rows; ours {ours:.1f} ({ours - ids:.1f})", end="")
        for name, a, b in zip(("DuckDB v1", "DuckDB v2", "Polars", "Spark"), all_columns, rest):
            print(f", {name} {a:.1f} ({b:.1f})", end="")
        print()
