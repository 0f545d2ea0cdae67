"""Runs a command and says what it cost: wall time, CPU time of it and its children, and the peak memory of the whole tree."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

RUNS = int(os.environ.get("RUNS", "5"))
SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float
    peak_bytes: int
    output: str

    def json(self) -> dict:
        return json.loads(self.output)


def run(command: list, **environment: str) -> Cost:
    """Runs to the end; a failure ends the benchmark, because a number without its peer says nothing."""
    started = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})
    peak, errors = [0], []
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    drain = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)
    watcher.start()
    drain.start()
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    drain.join()
    if process.returncode:
        print(b"".join(errors).decode()[-2000:], file=sys.stderr)
        raise SystemExit(f"failed with {process.returncode}: {' '.join(map(str, command))}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak[0], output)


def median(costs: list[Cost], of: str = "wall") -> float:
    return statistics.median(getattr(c, of) for c in costs)


def side_by_side(contestants: dict, runs: int = RUNS) -> dict:
    """Runs every contestant once per round, so that a busy minute hits all of them; returns name -> list of results."""
    results: dict = {name: [] for name in contestants}
    for number in range(runs):
        for name, contestant in contestants.items():
            print(f"  run {number + 1} of {runs}: {name}", file=sys.stderr)
            results[name].append(contestant())
    return results


def table(head: list[str], rows: list[list]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def _watch(root: int, peak: list[int]) -> None:
    """Adds up the memory of a process tree until its root is gone."""
    while Path(f"/proc/{root}").exists():
        peak[0] = max(peak[0], sum(map(_proportional, _tree(root))))
        time.sleep(SAMPLE_SECONDS)


def _tree(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found


def _proportional(pid: int) -> int:
    """Bytes of a process, shared pages divided among those who share them, so that the sum over a tree is what it takes."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
