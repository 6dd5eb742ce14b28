"""What benchmarks share: interleaved runs, medians of ratios, peak memory of a fresh process."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def interleaved(tasks: Mapping[str, Callable[[], Any]], *, rounds: int) -> dict[str, list[float]]:
    """Run every task once a round, one after the other; seconds of wall time by task.

    A machine that is slow for a while is then slow for all, and their ratios stay true.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            started = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def report(seconds: Mapping[str, list[float]], base: str) -> dict[str, float]:
    """Print medians, and for each task the median over the rounds of its time over the base's."""
    ratios = {}
    for name, runs in seconds.items():
        pairs = zip(runs, seconds[base], strict=True)
        ratios[name] = statistics.median(theirs / ours for theirs, ours in pairs)
        print(
            f"{name:<34} {statistics.median(runs):8.2f} s   {ratios[name]:6.2f} x {base}"
            f"   (runs {' '.join(f'{run:.2f}' for run in runs)})",
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
