"""What benchmarks share: interleaved runs, medians of ratios, peak memory of a fresh process."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Run(NamedTuple):
    """Seconds of one run: on the clock, and of processor time over all threads."""

    wall: float
    processor: float


def interleaved(tasks: Mapping[str, Callable[[], Any]], *, rounds: int) -> dict[str, list[Run]]:
    """Run every task once a round, one after the other, each round beginning with another.

    A machine that is slow for a while is then slow for all, none always follows the same one, and
    the ratios stay true.
    """
    runs: dict[str, list[Run]] = {name: [] for name in tasks}
    names = list(tasks)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started, worked = time.perf_counter(), time.process_time()
            tasks[name]()
            run = Run(time.perf_counter() - started, time.process_time() - worked)
            runs[name].append(run)
    return runs


def report(runs: Mapping[str, list[Run]], base: str) -> dict[str, float]:
    """Print medians, and for each task the median over the rounds of its time over the base's."""
    ratios = {}
    for name, mine in runs.items():
        pairs = list(zip(mine, runs[base], strict=True))
        ratios[name] = statistics.median(run.wall / other.wall for run, other in pairs)
        work = statistics.median(run.processor / other.processor for run, other in pairs)
        wall, processor = (statistics.median(column) for column in zip(*mine, strict=True))
        each = " ".join(f"{run.wall:.2f}" for run in mine)
        print(
            f"{name:<28} {wall:7.2f} s = {ratios[name]:5.2f} x {base}; processor "
            f"{processor:6.2f} s = {work:5.2f} x   (runs {each})",
            flush=True,
        )
    return ratios


def peak_gib() -> float:
    """Give the highest resident memory of this process so far, its parent's not counted (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def in_child(module: str, *arguments: str) -> dict[str, Any]:
    """Run ``python -m module arguments`` and read the JSON that it prints last."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
