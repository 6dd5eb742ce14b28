"""Seconds to draw arms by hash, and to make an audience list.

Run it as ``python -m tests.benchmarks.bench_assign [--quick]``.
"""

import sys
import time
from datetime import date

import polars as pl

from segkit.campaign import SegmentContract, assign_arms, build_audience
from segkit.stats.hashing import unit_hash
from tests.benchmarks._common import peak_gib


def timed(label, task):
    """Run a task once and print its seconds on the clock and of the processor."""
    started, worked = time.perf_counter(), time.process_time()
    result = task()
    wall, work = time.perf_counter() - started, time.process_time() - worked
    print(f"{label:<52} {wall:6.2f} s, processor {work:6.2f} s, peak {peak_gib():.2f} GiB")
    return result


def main() -> None:
    """Print one line a task."""
    many, listed = (200_000, 50_000) if "--quick" in sys.argv else (10_000_000, 1_000_000)
    ids = (
        pl.select(pl.int_range(many).cast(pl.String).str.zfill(9)).to_series().alias("customer_id")
    )
    timed(f"hash of {many:,} ids", lambda: unit_hash(ids, 0, "spring", "arm"))
    people = ids.to_frame().with_columns(
        segment=pl.format("S{}", pl.int_range(pl.len()) % 5), spend=pl.int_range(pl.len()) % 97
    )
    arms = {"holdout": 0.1, "generic": 0.45, "tailored": 0.45}
    more = {"campaign_id": "spring", "arms": arms, "at": date(2025, 3, 1)}
    made = timed(f"assignment of {many:,} with balance", lambda: assign_arms(
        people, covariates=["spend"], **more))  # fmt: skip
    timed(f"assignment of {many:,} by quota", lambda: assign_arms(people, method="quota", **more))
    some = made.frame.head(listed)
    about = some.select(
        "customer_id", email=pl.concat_str("customer_id", pl.lit("@Example.com")),
        marketing_consent=pl.lit(value=True),
    )  # fmt: skip
    terms = SegmentContract("spring", "2025-02-28", "0", "", "ward", {})
    for kind in ("crm", "upload"):
        timed(f"{kind} list of {listed:,}", lambda kind=kind: build_audience(
            some, about, contract=terms, kind=kind))  # fmt: skip


if __name__ == "__main__":
    main()
