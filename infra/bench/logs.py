"""The tables about the log: embedded beside UmaDB, PostgreSQL and bare SQLite; on Kafka beside a raw producer and consumer."""

import getpass
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from measure import RUNS, run, table

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
LEVELS = (1, 16, 256, 1024)
PAYLOAD_BYTES = 256
# pgbench counts whole seconds, and connecting, which its figure leaves out, takes most of them where there are many clients.
POSTGRES_SECONDS = {1: 2, 16: 2, 256: 6, 1024: 14}
# Every client needs a connection of its own, and the server keeps some for itself.
POSTGRES_CONNECTIONS = max(LEVELS) + 50


def say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


def example(*arguments: str, **environment: str) -> dict:
    """Runs the example that measures ours; what it says on the way is shown."""
    # `-p` would build everything anew with fewer features.
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--workspace", "--example", "bench_log"], cwd=ROOT, check=True)
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    command = [str(TARGET / "release/examples/bench_log"), *arguments]
    done = subprocess.run(command, cwd=out, stdout=subprocess.PIPE, check=True, env={**os.environ, "RUNS": str(RUNS), **environment})
    return json.loads(done.stdout)


def log() -> str:
    """One round of each in turn, again and again, on the same disk."""
    umadb = build_umadb()
    rounds = {name: [] for name in ("ClipFlow", "bare SQLite", "UmaDB", "PostgreSQL")}
    for number in range(RUNS):
        say(f"run {number + 1} of {RUNS}: ClipFlow and bare SQLite")
        ours = example("embedded")
        levels = {name: {level["clients"]: level[key] for level in ours["appends"]} for name, key in (("ClipFlow", "log"), ("bare SQLite", "bare"))}
        rounds["ClipFlow"].append((levels["ClipFlow"], ours["replay"]["log"]))
        rounds["bare SQLite"].append((levels["bare SQLite"], ours["replay"]["bare"]))
        say(f"run {number + 1} of {RUNS}: UmaDB")
        with tempfile.TemporaryDirectory(dir=ROOT / "out") as folder:
            # Its library says what it does on the same stream.
            uma = json.loads(run([umadb, folder, *LEVELS]).output.splitlines()[-1])
        rounds["UmaDB"].append(({level["clients"]: level for level in uma["appends"]}, uma["replay"]))
        say(f"run {number + 1} of {RUNS}: PostgreSQL")
        rounds["PostgreSQL"].append((postgres(), None))
    rows = []
    for name, measured in rounds.items():
        row = [name]
        for clients in LEVELS:
            per_second = statistics.median(levels[clients]["per_second"] for levels, _ in measured)
            p99 = statistics.median(levels[clients]["p99_ms"] for levels, _ in measured)
            row.append(f"{per_second:,.0f}/s, p99 {p99:.1f} ms")
        replays = [replay for _, replay in measured if replay]
        rows.append([*row, f"{statistics.median(replays) / 1e6:.2f} M/s" if replays else ""])
    for name in ("bare SQLite", "UmaDB", "PostgreSQL"):
        ratios = lambda clients: [a[clients]["per_second"] / b[clients]["per_second"] for (a, _), (b, _) in zip(rounds["ClipFlow"], rounds[name])]
        replays = [a / b for (_, a), (_, b) in zip(rounds["ClipFlow"], rounds[name]) if b]
        rows.append([f"ClipFlow ÷ {name}", *(f"{statistics.median(ratios(clients)):.2f}×" for clients in LEVELS), f"{statistics.median(replays):.2f}×" if replays else ""])
    return table(["appends, each after its sync", *(f"{clients} clients" for clients in LEVELS), "replay"], rows)


def build_umadb() -> Path:
    folder = Path(__file__).with_name("umadb")
    say("building UmaDB from crates.io")
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=folder, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(TARGET / "umadb")})
    return TARGET / "umadb/release/bench-umadb"


def postgres() -> dict:
    """A server of our own on a Unix socket; a client's append fails if its stream has that version already."""
    tools = Path(shutil.which("postgres") or "/usr/lib/postgresql/15/bin/postgres").resolve().parent
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * POSTGRES_CONNECTIONS), hard))
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pg") as folder:
        user = "postgres" if getpass.getuser() == "root" else getpass.getuser()
        # The server refuses to run as root.
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if getpass.getuser() == "root" else []
        shutil.chown(folder, user)
        quietly = lambda *command, **more: subprocess.run([*as_user, *map(str, command)], check=True, cwd=folder, stdout=subprocess.PIPE, **more)
        data = f"{folder}/data"
        quietly(tools / "initdb", "-D", data, "-A", "trust", "-U", user)
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections={POSTGRES_CONNECTIONS} -c shared_buffers=256MB"
        quietly(tools / "pg_ctl", "-D", data, "-w", "-o", options, "-l", f"{folder}/server.log", "start")
        try:
            return {clients: pgbench(tools, folder, user, clients, quietly) for clients in LEVELS}
        finally:
            quietly(tools / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def pgbench(tools: Path, folder: str, user: str, clients: int, quietly) -> dict:
    schema = "DROP TABLE IF EXISTS events; CREATE TABLE events (position bigserial PRIMARY KEY, stream bigint NOT NULL, version bigint NOT NULL, payload bytea NOT NULL, UNIQUE (stream, version))"
    quietly(tools / "psql", "-h", folder, "-U", user, "-d", "postgres", "-q", "-c", schema)
    script = Path(folder) / "append.sql"
    script.write_text(f"\\set version :version + 1\nINSERT INTO events (stream, version, payload) VALUES (:client_id, :version, '{'x' * PAYLOAD_BYTES}');\n")
    logs = Path(folder) / f"log-{clients}"
    logs.mkdir()
    shutil.chown(logs, user)
    options = ["-h", folder, "-U", user, "-n", "-M", "prepared", "-c", clients, "-j", min(2, clients), "-T", POSTGRES_SECONDS[clients], "-D", "version=-1", "-f", script, "-l", "--log-prefix", logs / "a"]
    output = quietly(tools / "pgbench", *options, "postgres").stdout.decode()
    per_second = next(float(line.split()[2]) for line in output.splitlines() if line.startswith("tps"))
    latencies = sorted(int(line.split()[2]) / 1e3 for file in logs.iterdir() for line in file.read_text().splitlines())
    quantile = lambda share: latencies[int((len(latencies) - 1) * share)]
    return {"per_second": per_second, "p50_ms": quantile(0.5), "p99_ms": quantile(0.99)}


@contextmanager
def kafka():
    """Brokers that run already, or one of our own for the while."""
    engines = {**os.environ, "CLIPFLOW_ENGINES_DIR": os.environ.get("CLIPFLOW_ENGINES_DIR") or str(TARGET / "engines")}
    folder = Path(engines["CLIPFLOW_ENGINES_DIR"])
    ran_before = any((folder / "run").glob("kafka-*.pid"))
    if not ran_before:
        subprocess.run([ROOT / "infra/local/up", "kafka"], check=True, env=engines)
    try:
        lines = (folder / "clients.env").read_text().splitlines()
        yield next(line.partition("=")[2] for line in lines if line.startswith("CLIPFLOW_KAFKA_BROKERS="))
    finally:
        if not ran_before:
            subprocess.run([ROOT / "infra/local/down", "kafka"], check=True, env=engines)


def log_kafka() -> str:
    with kafka() as brokers:
        report = example("kafka", "appends", CLIPFLOW_KAFKA_BROKERS=brokers)
    rows = []
    for level in report["appends"]:
        rows.append([level["clients"], "raw produce + consume", *figures(level["raw"]), "", ""])
        for name, key in (("raw, two hops as the log's", "raw_two_hops"), ("ClipFlow, commit → verdict", "log"), ("ClipFlow, sequencer in another process", "log_sequencer_elsewhere")):
            ours = level[key]
            rows.append(["", name, *figures(ours["figures"]), f"{ours['throughput_to_raw']:.2f}×", f"{ours['p99_to_raw']:.2f}×"])
    return table(["clients", f"{report['brokers']} broker(s)", "per second", "p50", "p99", "throughput ÷ raw", "p99 ÷ raw"], rows)


def figures(measured: dict) -> list[str]:
    return [f"{measured['per_second']:,.0f}", f"{measured['p50_ms']:.2f} ms", f"{measured['p99_ms']:.2f} ms"]


def log_reading() -> str:
    with kafka() as brokers:
        report = example("kafka", "reading", CLIPFLOW_KAFKA_BROKERS=brokers)
    replay, cold, snapshot = report["replay"], report["cold_start_seconds"], report["snapshot"]
    rows = [
        ["raw consumer, counts bytes", f"{replay['raw']:,.0f} events/s"],
        ["raw consumer, counts bytes of headers too", f"{replay['raw_with_headers']:,.0f} events/s"],
        ["`clipflow.events` folded and checked", f"{replay['log']:,.0f} events/s, {replay['log_to_raw']:.2f}× raw, {replay['log_to_raw_with_headers']:.2f}× raw with headers"],
        ["cold start, empty folder: copy complete", f"{cold['copy']:.1f} s"],
        ["cold start: first verdict of a new sequencer", f"{cold['first_verdict']:.1f} s"],
        [f"the same with a snapshot at {snapshot['events']:,} events ({snapshot['bytes'] / 1e6:.1f} MB)", f"{snapshot['first_verdict']:.1f} s"],
    ]
    return table([f"a partition of {report['events']:,} events", ""], rows)
