"""Bars of trades by Tidemark, by Flink and by Kafka Streams, and a plain consumer that only decodes: side by side on one topic of a
real Kafka, exactly once (the consumer writes nothing). Usage, from the root of the repository:

    eval "$(bash scripts/servers.sh start kafka streams flink)" && python3 bench/streams.py [MILLIONS [SECONDS [ROUNDS [CORES]]]]

ROUNDS are 2, each with topics of its own: Java compiles a broker that is new while it works, so the first round counts for little, and for least
where a program comes first. MILLIONS of trades, 4 if not given. SECONDS of a bar are 60 (16 symbols, 1000 trades/s, 4 partitions) or 1 (64 symbols, 700 trades/s,
8 partitions: a bar of some 11 trades). CORES are those that each program may use, all if not given; the broker may use all. It needs a JDK. Prints processor seconds per million trades of each program, its start
included, and of the broker meanwhile. The others are done when a reader of what is committed has the bars of them that it has of
Tidemark; they must be the same. Those of the last 5 s are left out: each program closes them by marks of its own."""
import json
import os
import signal
import struct
import subprocess
import sys
import time
import urllib.request

from measured import cpu, path, rss, work

millions = float(sys.argv[1]) if len(sys.argv) > 1 else 4
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 2
cores = sorted(os.sched_getaffinity(0))[: int(sys.argv[4]) if len(sys.argv) > 4 else None]
symbols, rate, partitions = {60: (16, 1000, 4), 1: (64, 700, 8)}[seconds]
brokers = os.environ["TIDEMARK_TEST_KAFKA"]
jars = {"KafkaStreamsBars": os.environ["TIDEMARK_BENCH_STREAMS_JARS"], "FlinkBars": os.environ["TIDEMARK_BENCH_FLINK_JARS"]}
broker_pid = int(open(".cache/servers/kafka1-1.pid").read())

VIEW = f"""view: ohlcv_{seconds}s
version: 1
doc: Bars.
from: trade
by: [exchange, symbol]
window: {{tumbling: {seconds}s}}
empty: omit
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  trades: count()
"""
OPENS = [f"--add-opens=java.base/{p}=ALL-UNNAMED" for p in ("java.lang", "java.util")]  # which Flink wants


def config_of(name):
    return path(name + ".yaml", f"""kafka: {{brokers: ["{brokers}"]}}
stream:
  partitions: {partitions}
  sources: [{{market: spot, exchange: {name}, kinds: [trade]}}]
  views: [{work}/bars.yaml]
  retention: {{raw: forever, processed: forever, feature: forever}}
""")


def fill():
    """Puts trades into the processed topic as the sequence job would, and returns how many."""
    trades = int(millions * 1e6)
    sim = subprocess.Popen([tidemark, "simulate", "-o", "-", "--kinds", "trade", "--markets", "spot", "--venues", name, "--symbols", str(symbols),
                            "--rate", str(rate), "--events", str(trades)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    subprocess.run([tidemark, "play", "--config", config, "--into", "processed", "--input", "-", "--progress", "none"],
                   stdin=sim.stdout, check=True, stdout=subprocess.DEVNULL)
    assert sim.wait() == 0
    return trades


def bound():
    """Binds a program that is being started to the cores that it may use."""
    os.sched_setaffinity(0, cores)


def stream():
    """Runs the features job until it has read all and nothing has moved for two seconds."""
    port = 21000 + os.getpid() % 20000
    broker = cpu(broker_pid)
    p = subprocess.Popen([tidemark, "stream", "--config", config, "--jobs", "features", "--name", name, "--state", path(name), "--status", f"127.0.0.1:{port}"],
                         stderr=open(path("stream.log"), "w"), preexec_fn=bound)
    last, moved, began, used = None, time.time(), None, 0
    while not last or last[0] < trades or time.time() - moved < 2:
        time.sleep(0.1)  # each question costs the job, too
        if p.poll() is not None:
            sys.exit(open(path("stream.log")).read())
        try:
            job = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=2))["jobs"][0]
        except OSError:
            continue
        now = (job["records_read"], job["records_written"], job["commits"])
        if now != last:
            last, moved, used, most = now, time.time(), cpu(p.pid), rss(p.pid)
            if began is None and now[0]:
                began = moved
    broker = cpu(broker_pid) - broker
    p.send_signal(signal.SIGTERM)
    p.wait()
    tail = subprocess.Popen([tidemark, "topics", "tail", f"feature.ohlcv_{seconds}s.v1", "--json", "--config", config], stdout=subprocess.PIPE)
    bars = {}
    for line in tail.stdout:
        r = json.loads(line)["row"]
        if r["exchange"] == name:
            bars[f"{r['symbol']}@{r['window_start'] // 1000}"] = (r["open"], r["high"], r["low"], r["close"], r["trades"])
    assert tail.wait() == 0
    last = max(map(start, bars)) - 5000
    bars = {key: bar for key, bar in bars.items() if start(key) <= last}
    return {"wall": moved - began, "cpu": used, "broker": broker, "rss": most, "bars": bars}


def start(key):
    """When a bar begins, ms."""
    return int(key.rsplit("@", 1)[1])


def consume():
    """Runs the plain consumer to the end of the topic."""
    broker = cpu(broker_pid)
    p = subprocess.Popen([path("consume"), "-test.run", "TestConsume"], stdout=subprocess.PIPE, text=True, preexec_fn=bound,
                         env=dict(os.environ, TIDEMARK_BENCH_TOPIC=topic, TIDEMARK_BENCH_BROKERS=brokers))
    told = p.stdout.read()
    _, status, used = os.wait4(p.pid, 0)
    if status:
        sys.exit(told)
    return {"wall": json.loads(told.splitlines()[0])["wall"], "cpu": used.ru_utime + used.ru_stime, "broker": cpu(broker_pid) - broker, "rss": used.ru_maxrss // 1024}


def java(program, out, *options, flags=()):
    """Runs a program until the bars of it can be read, from the topic out, that Tidemark wrote."""
    out, log, id = f"{out}.spot.trade.{name}", path(out + ".log"), f"{name}-{out}"
    broker = cpu(broker_pid)
    p = subprocess.Popen(["java", "-Xmx2g", "-XX:+UseParallelGC", *flags, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{path(program)}:{jars[program]}/*",
                          program, brokers, topic, out, id, path(id), str(1000 * seconds), *options], stdout=subprocess.PIPE, stderr=open(log, "w"), text=True, preexec_fn=bound)
    started = p.stdout.readline()
    began = time.time()
    reader = subprocess.Popen([tidemark, "topics", "tail", out, "--from", "earliest", "--follow", "--json", "--config", config], stdout=subprocess.PIPE)
    os.set_blocking(reader.stdout.fileno(), False)
    rows, rest, last = {}, b"", max(map(start, bars))
    while len(rows) < len(bars):
        time.sleep(0.02)
        *lines, rest = (rest + (reader.stdout.read() or b"")).split(b"\n")
        for line in lines:
            r = json.loads(line)
            if start(r["key"]) <= last:
                if r["key"] in rows:
                    sys.exit(f"{program}: the bar {r['key']} twice")
                rows[r["key"]] = r["payload"]
        if p.poll() is not None:
            sys.exit(f"{program} ended:\n{open(log).read()[-3000:]}")
    result = {"cpu": cpu(p.pid), "wall": time.time() - began, "broker": cpu(broker_pid) - broker, "rss": rss(p.pid), "start": float(started)}
    for x in (p, reader):
        x.kill()
        x.wait()
    # 48 bytes that happen to be text are told as such
    values = {key: struct.unpack(">5dq", bytes.fromhex(b) if len(b) == 96 else b.encode()) for key, b in rows.items()}
    return dict(result, bars={key: v[:4] + v[5:] for key, v in values.items()})


tidemark = path("tidemark")
subprocess.run(["go", "build", "-o", tidemark, "./cmd/tidemark"], check=True)
subprocess.run(["go", "test", "-c", "-o", path("consume"), "./bench"], check=True)
for program in jars:
    subprocess.run(["javac", "-cp", jars[program] + "/*", "-sourcepath", "bench", "-d", path(program), f"bench/{program}.java"], check=True)
path("bars.yaml", VIEW)
for turn in range(rounds):
    name = f"b{int(time.time())}"
    config = config_of(name)
    subprocess.run([tidemark, "topics", "apply", "--config", config], check=True, stdout=subprocess.DEVNULL)
    topic = f"processed.spot.trade.{name}"
    trades = fill()
    print(f"round {turn + 1}: {trades} trades, {symbols} symbols, {partitions} partitions, bars of {seconds} s, {len(cores)} cores", flush=True)
    plain = ours = bars = None
    for what, run in [("plain consume and decode", consume),
                      ("tidemark", stream),
                      # into topics that are there and have nothing in them
                      ("flink", lambda: java("FlinkBars", "raw", flags=OPENS)),
                      ("kafka streams, in memory", lambda: java("KafkaStreamsBars", "late", "memory")),
                      ("kafka streams, rocksdb", lambda: java("KafkaStreamsBars", "dlq", "rocksdb"))]:
        r = run()
        per = r["cpu"] / trades * 1e6
        plain = plain or per
        line = f"{what:26} {per:6.2f} s per million, {per / plain:5.2f} of plain, broker {r['broker'] / trades * 1e6:.2f}, wall {r['wall']:.1f} s, {trades / r['wall'] / 1e3:.0f} k/s, {r['rss']} MB"
        if "bars" in r:
            ours, bars = ours or per, bars or r["bars"]
            line += f", {len(bars)} bars of {sum(values[-1] for values in bars.values())} trades"
            if r["bars"] != bars:
                sys.exit(f"{what}: other bars than Tidemark's")
        if "start" in r:
            line += f", {per / ours:.1f} times tidemark, its start {r['start']:.2f} s of it"
        print(line, flush=True)
