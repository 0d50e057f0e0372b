"""Both streaming jobs, sequence and features, in one process over a backlog of raw records of all kinds, the broker in a process of
its own: processor seconds per million raw records of the jobs and of the broker, and the speed. Usage, from the root of the repository:

    python3 bench/chain.py [--millions M] [--runs N] [--jobs sequence,features] [BINARY...]

Without BINARY the program is built from here; several are run in turn over the same records, for before and after. The broker is the
embedded one, on a copy of one folder for each run; with --kafka a real one (eval "$(bash scripts/servers.sh start kafka)"), which is filled anew for
each run. The wall is from the first record read to the last commit of records: what commits states alone is no part of it."""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from measured import cpu, path, rss

args = argparse.ArgumentParser()
args.add_argument("--millions", type=float, default=2)
args.add_argument("--runs", type=int, default=3)
args.add_argument("--jobs", default="sequence,features")
args.add_argument("--kafka", action="store_true")
args.add_argument("binary", nargs="*")
args = args.parse_args()


def config(venue, brokers, registry):
    return path(venue + ".yaml", f"""kafka: {{brokers: ["{brokers}"]{f", registry: {{url: {registry}}}" if registry else ""}}}
stream:
  partitions: 4
  sources:
    - {{market: spot, exchange: {venue}, kinds: [trade, quote, orderbook, instrument]}}
    - {{market: perp, exchange: {venue}, kinds: [trade, quote, orderbook, instrument, funding]}}
  views: [trade_bars_1s, quote_bars_1s, book_1s]
  retention: {{raw: forever, processed: forever, feature: forever}}
""")


class Broker:
    """The embedded broker over a folder."""

    def __init__(self, binary, folder):
        self.process = subprocess.Popen([binary, "broker", "--dir", folder, "--listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0", "--json"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        said = json.loads(self.process.stdout.readline())
        self.pid, self.brokers, self.registry = self.process.pid, said["broker"], said["registry"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Kafka:
    pid = args.kafka and int(open(".cache/servers/kafka1-1.pid").read())
    brokers, registry = os.environ.get("TIDEMARK_TEST_KAFKA"), None

    def end(self):
        pass


def fill(binary, broker, venue):
    file = config(venue, broker.brokers, broker.registry)
    subprocess.run([binary, "topics", "apply", "--config", file], check=True, stdout=subprocess.DEVNULL)
    sim = subprocess.Popen([binary, "simulate", "-o", "-", "--venues", venue, "--symbols", "16", "--rate", "20000", "--events", str(int(args.millions * 1e6))],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    subprocess.run([binary, "play", "--config", file, "--input", "-", "--progress", "none"], stdin=sim.stdout, check=True, stdout=subprocess.DEVNULL)
    assert sim.wait() == 0


def run(binary, broker, venue):
    """Runs the jobs until nothing but marks of transactions is left to be read, and nothing has moved for two seconds."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = cpu(broker.pid)
    log = path("stream.log")
    p = subprocess.Popen([binary, "stream", "--config", config(venue, broker.brokers, broker.registry), "--jobs", args.jobs, "--name", venue, "--state", path(f"state-{venue}-{time.time()}"),
                          "--idle-after", "0", "--status", f"127.0.0.1:{port}"], stderr=open(log, "w"))
    last, moved, began, used, most, brokers, left = None, time.time(), None, 0, 0, before, 0
    while began is None or left > 1000 or time.time() - moved < 2:
        time.sleep(0.05)
        if p.poll() is not None:
            sys.exit(open(log).read())
        try:
            jobs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=2))["jobs"]
        except OSError:
            continue
        left = sum(job["behind_records"] for job in jobs)
        now = [(job["records_read"], job["records_written"]) for job in jobs]
        if now != last:
            last, moved, used, most, brokers = now, time.time(), cpu(p.pid), rss(p.pid), cpu(broker.pid)
            if began is None and now[0][0]:
                began = moved
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    rows = sum(int(float(v)) for v in re.findall(r'records_written_total{class="feature",[^}]*} (\S+)', metrics))
    handed = sum(int(float(v)) for v in re.findall(r'records_handed_total{[^}]*} (\S+)', metrics))
    p.send_signal(signal.SIGTERM)
    p.wait()
    records, wall, commits = last[0][0], moved - began, [str(job["commits"]) for job in jobs]
    print(f"{os.path.basename(binary):16} {used / records * 1e6:5.2f} s per million, broker {(brokers - before) / records * 1e6:.2f}, wall {wall:.1f} s, {records / wall / 1e3:.0f} k/s, "
          f"{most} MB, {records} records, {handed / records:.0%} handed over, {rows} rows, {'+'.join(commits)} commits, load {os.getloadavg()[0]:.0f}", flush=True)


if not args.binary:
    args.binary = [path("tidemark")]
    subprocess.run(["go", "build", "-o", args.binary[0], "./cmd/tidemark"], check=True)
if not args.kafka:
    broker = Broker(args.binary[0], path("full"))
    fill(args.binary[0], broker, "alpha")
    broker.end()
for n in range(args.runs):
    for i, binary in enumerate(args.binary):
        if args.kafka:
            broker, venue = Kafka(), f"c{int(time.time())}"
            fill(binary, broker, venue)
        else:
            shutil.rmtree(path("copy"), ignore_errors=True)
            shutil.copytree(path("full"), path("copy"))
            broker, venue = Broker(binary, path("copy")), "alpha"
        run(binary, broker, venue)
        broker.end()
