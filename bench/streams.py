"""One-minute bars of trades by Tidemark and by Kafka Streams, and a plain consumer that only decodes: side by side on one topic
of a real Kafka, exactly once (the consumer writes nothing). Usage, from the root of the repository:

    eval "$(bash scripts/servers.sh start kafka streams)" && python3 bench/streams.py [MILLIONS]   # of trades, default 4

It needs a JDK. Prints processor seconds per million trades of each program, its start included, and of the broker meanwhile."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

millions = float(sys.argv[1]) if len(sys.argv) > 1 else 4
brokers = os.environ["TIDEMARK_TEST_KAFKA"]
jars = os.environ["TIDEMARK_BENCH_STREAMS_JARS"] + "/*"
broker_pid = int(open(".cache/servers/kafka1-1.pid").read())
work = tempfile.mkdtemp(prefix="tidemark-streams-")
tick = os.sysconf("SC_CLK_TCK")
name = "b" + str(int(time.time()))

VIEW = """view: ohlcv_1m
version: 1
doc: One-minute bars.
from: trade
by: [exchange, symbol]
window: {tumbling: 1m}
empty: omit
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  trades: count()
"""
CONFIG = f"""kafka: {{brokers: ["{brokers}"]}}
stream:
  partitions: 4
  sources: [{{market: spot, exchange: {name}, kinds: [trade]}}]
  views: [{work}/ohlcv_1m.yaml]
  retention: {{raw: forever, processed: forever, feature: forever}}
"""


def cpu(pid):
    """Processor seconds of a process so far."""
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / tick


def rss(pid):
    """Resident memory at its most, MB."""
    return next(int(line.split()[1]) // 1024 for line in open(f"/proc/{pid}/status") if line.startswith("VmHWM"))


def path(file, text=None):
    file = os.path.join(work, file)
    if text is not None:
        open(file, "w").write(text)
    return file


def fill():
    """Puts trades into the processed topic as the sequence job would, and returns how many."""
    trades = int(millions * 1e6)
    sim = subprocess.Popen([tidemark, "simulate", "-o", "-", "--kinds", "trade", "--markets", "spot", "--venues", name, "--symbols", "16",
                            "--rate", "1000", "--events", str(trades)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    subprocess.run([tidemark, "play", "--config", config, "--into", "processed", "--input", "-", "--progress", "none"],
                   stdin=sim.stdout, check=True, stdout=subprocess.DEVNULL)
    assert sim.wait() == 0
    return trades


def stream():
    """Runs the features job until it has read all and nothing has moved for two seconds."""
    port = 21000 + os.getpid() % 20000
    broker = cpu(broker_pid)
    p = subprocess.Popen([tidemark, "stream", "--config", config, "--jobs", "features", "--name", name, "--state", path("state"), "--status", f"127.0.0.1:{port}"],
                         stderr=open(path("stream.log"), "w"))
    last, moved, began, used = None, time.time(), None, 0
    while not last or last[0] < trades or time.time() - moved < 2:
        time.sleep(0.02)
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
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    rows = int(float(re.search(r'records_written_total{class="feature",[^}]*} (\S+)', metrics)[1]))
    p.send_signal(signal.SIGTERM)
    p.wait()
    return {"trades": last[0], "rows": rows, "wall": moved - began, "cpu": used, "broker": broker, "rss": most}


def child(args, **env):
    """Runs a program that prints its result as a line of JSON."""
    broker = cpu(broker_pid)
    p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=open(path("child.log"), "w"), text=True, env=dict(os.environ, **env))
    lines = p.stdout.read().splitlines()
    _, status, used = os.wait4(p.pid, 0)
    if status:
        sys.exit(f"{args[0]} failed:\n" + "\n".join(lines[-20:]) + open(path("child.log")).read()[-3000:])
    result = json.loads(next(line for line in lines if line.startswith("{")))
    return dict(result, cpu=used.ru_utime + used.ru_stime, broker=cpu(broker_pid) - broker, rss=used.ru_maxrss // 1024)


def kafka_streams(store):
    return child(["java", "-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dstate=" + path("streams-" + store), "-cp", work + ":" + jars,
                  "KafkaStreamsBars", brokers, topic, out, f"{name}-{store}", str(trades), store])


try:
    tidemark, consume = path("tidemark"), path("consume")
    subprocess.run(["go", "build", "-o", tidemark, "./cmd/tidemark"], check=True)
    subprocess.run(["go", "test", "-c", "-o", consume, "./bench"], check=True)
    subprocess.run(["javac", "-cp", jars, "-d", work, "bench/KafkaStreamsBars.java"], check=True)
    path("ohlcv_1m.yaml", VIEW)
    config = path("tidemark.yaml", CONFIG)
    subprocess.run([tidemark, "topics", "apply", "--config", config], check=True, stdout=subprocess.DEVNULL)
    topic, out = f"processed.spot.trade.{name}", f"late.spot.trade.{name}"  # a topic that is there and has nothing else in this run
    trades = fill()
    print(f"{trades} trades, 16 symbols, 4 partitions", flush=True)
    plain = None
    for what, run in [("plain consume and decode", lambda: child([consume, "-test.run", "TestConsume"], TIDEMARK_BENCH_TOPIC=topic, TIDEMARK_BENCH_BROKERS=brokers)),
                      ("tidemark", stream), ("kafka streams, in memory", lambda: kafka_streams("memory")), ("kafka streams, rocksdb", lambda: kafka_streams("rocksdb"))]:
        r = run()
        per = r["cpu"] / trades * 1e6
        plain = plain or per
        print(f"{what:26} {per:6.2f} s per million, {per / plain:5.2f} of plain, broker {r['broker'] / trades * 1e6:.2f}, wall {r['wall']:.1f} s, "
              f"{trades / r['wall'] / 1e3:.0f} k/s, {r['rss']} MB", json.dumps({k: v for k, v in r.items() if k in ("rows", "counted", "start_cpu")}), flush=True)
finally:
    shutil.rmtree(work, ignore_errors=True)
