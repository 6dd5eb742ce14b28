"""Seconds and peak memory to simulate the retailer: in memory, then straight to Parquet.

Run it as ``python -m tests.benchmarks.bench_simulate [--quick]``. Each run is its own process, so
that each has a peak of its own.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time

from segkit.simulate import simulate_retailer, simulate_to_parquet


def once(kind: str, customers: int) -> None:
    """Simulate once and print seconds, processor seconds, gibibytes and rows."""
    start, worked = time.perf_counter(), time.process_time()
    if kind == "memory":
        shop = simulate_retailer(customers)
        rows = shop.tables["events"].height
    else:
        with tempfile.TemporaryDirectory() as folder:
            simulate_to_parquet(f"{folder}/shop", customers)
            rows = 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(time.perf_counter() - start, time.process_time() - worked, peak, rows)


def main() -> None:
    """Run each case in processes of their own and print one line a case."""
    quick = "--quick" in sys.argv
    cases = [("memory", 2_000 if quick else 20_000, 3), ("parquet", 4_000 if quick else 100_000, 1)]
    for kind, customers, runs in cases:
        command = [sys.executable, "-m", "tests.benchmarks.bench_simulate", kind, str(customers)]
        found = [
            [
                float(x)
                for x in subprocess.run(
                    command, check=True, capture_output=True, text=True
                ).stdout.split()
            ]
            for _ in range(runs)
        ]
        wall, work, peak, rows = (statistics.median(column) for column in zip(*found, strict=True))
        events = f", {rows:,.0f} events" if rows else ""
        print(
            f"{customers:,} customers, {kind}: median {wall:.1f} s, processor {work:.1f} s, "
            f"peak {peak:.2f} GiB{events}"
        )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        once(sys.argv[1], int(sys.argv[2]))
    else:
        main()
