"""From when a row could first be known, the hold of its feed past, to when a reader of what is committed has it: bars of a second of
trades of 64 symbols in 8 partitions, 20,000 trades a second, through both jobs and a real Kafka. Usage, from the root of the repository:

    eval "$(bash scripts/servers.sh start kafka)" && python3 bench/latency.py [SECONDS [WARM [BINARY...]]]

SECONDS are measured (60), after WARM seconds (60): Java compiles a broker that is new while it works. Several programs are run in turn.
Prints percentiles over the rows, processor time as cores in use, and transactions a second."""
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

from measured import cpu, path

seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
warm = int(sys.argv[2]) if len(sys.argv) > 2 else 60
brokers = os.environ["TIDEMARK_TEST_KAFKA"]
broker_pid = int(open(".cache/servers/kafka1-1.pid").read())
RATE = 20_000


def measure(binary):
    venue = f"l{time.time_ns() // 1_000_000}"
    config = path(venue + ".yaml", f"""kafka: {{brokers: ["{brokers}"]}}
stream:
  partitions: 8
  sources: [{{market: spot, exchange: {venue}, kinds: [trade]}}]
  views: [trade_bars_1s]
  retention: {{raw: forever, processed: forever, feature: forever}}
""")
    subprocess.run([binary, "topics", "apply", "--config", config], check=True, stdout=subprocess.DEVNULL)
    status = f"127.0.0.1:{21000 + os.getpid() % 20000}"
    job = subprocess.Popen([binary, "stream", "--config", config, "--name", venue, "--state", path(venue), "--status", status], stderr=open(path("log"), "w"))
    while True:
        time.sleep(0.2)
        if job.poll() is not None:
            sys.exit(open(path("log")).read())
        try:
            if urllib.request.urlopen(f"http://{status}/readyz", timeout=2).status == 200:
                break
        except OSError:
            pass
    tail = subprocess.Popen([binary, "topics", "tail", "feature.trade_bars_1s.v1", "--from", "end", "--follow", "--json", "--config", config], stdout=subprocess.PIPE)
    market = subprocess.Popen([binary, "simulate", "--into", "raw", "--config", config, "--kinds", "trade", "--markets", "spot",
                               "--venues", venue, "--symbols", "64", "--rate", str(RATE), "--events", "0", "--progress", "none"], stdout=subprocess.DEVNULL)
    procs = {"jobs": job.pid, "broker": broker_pid, "simulator": market.pid, "reader": tail.pid}

    def used():
        now = json.load(urllib.request.urlopen(f"http://{status}/status", timeout=5))["jobs"]
        return {k: cpu(p) for k, p in procs.items()}, {x["job"].rsplit("-", 1)[1]: x["commits"] for x in now}

    took, begin, end, before = [], None, None, None
    for line in tail.stdout:
        at = time.time()
        begin = begin or at + warm
        if before is None and at >= begin:
            before, end = used(), at + seconds
        row = json.loads(line)["row"]
        if before and row["exchange"] == venue:
            took.append(at - row["available_at"] / 1e6)
        if end and at >= end:
            break
    after = used()
    for p in (market, job, tail):
        p.send_signal(signal.SIGTERM)
        p.wait()
    took.sort()
    ms = {f"p{q}": f"{1000 * took[min(len(took) - 1, len(took) * q // 100)]:.0f}" for q in (10, 50, 90, 95, 99, 100)}
    cores = {k: f"{(after[0][k] - before[0][k]) / seconds:.2f}" for k in procs}
    commits = {k: f"{(after[1][k] - before[1][k]) / seconds:.0f}" for k in after[1]}
    print(f"{len(took)} rows, ms {ms}, cores {cores}, transactions a second {commits}, load {os.getloadavg()[0]:.1f}", flush=True)


programs = sys.argv[3:]
if not programs:
    programs = [path("tidemark")]
    subprocess.run(["go", "build", "-o", programs[0], "./cmd/tidemark"], check=True)
for binary in programs:
    measure(binary)
