"""Seconds to link five million identifier pairs: median of several runs, with the peak memory.

Run it as ``python tests/benchmarks/bench_identity.py [links] [runs]``.
"""

import resource
import statistics
import sys
import time

import numpy as np
import polars as pl

from segkit.intake.identity import link_identifiers


def make(n: int) -> pl.DataFrame:
    """Draw links of n / 4 people with one or two e-mails each, in a random order."""
    rng = np.random.default_rng(0)
    person = rng.integers(0, n // 4, n)
    account = person * 2 + (rng.random(n) < 0.1)
    email = person * 2 + (rng.random(n) < 0.2)
    return pl.DataFrame({"c": account, "e": email}).select(
        customer_id=pl.lit("C") + pl.col("c").cast(pl.String),
        email=pl.lit("user") + pl.col("e").cast(pl.String) + pl.lit("@mail.example"),
    )


def main() -> None:
    """Time `link` and print one line."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    links = make(n)
    seconds, processor = [], []
    for _ in range(runs):
        start, worked = time.perf_counter(), time.process_time()
        found = link_identifiers(links)
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - worked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{n:,} links -> {found.customers.height:,} customers: "
        f"median {statistics.median(seconds):.1f} s ({', '.join(f'{s:.1f}' for s in seconds)}), "
        f"processor {statistics.median(processor):.1f} s, peak {peak:.1f} GiB"
    )


if __name__ == "__main__":
    main()
