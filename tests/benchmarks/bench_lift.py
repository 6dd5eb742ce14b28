"""Lift at scale: the whole table in one scan, the money, and tea-tasting.

``python -m tests.benchmarks.bench_lift [--quick]``: 1 and 10 million customers (quick: 0.2 and 1
million). tea-tasting is a bench-only dependency; without it its part is left out.
"""

import argparse
import importlib.metadata
import importlib.util
import time

import numpy as np
import polars as pl

import segkit
from segkit.lift.effects import KPIS, compare_arms
from segkit.lift.sums import sum_up
from tests.benchmarks._common import interleaved, peak_gib, report

NAMED = {metric.name: metric for metric in KPIS}


def make(n):
    """Draw n customers in five segments and three arms, most of whom do not buy."""
    rng = np.random.default_rng(0)
    bought = rng.random(n) < 0.009
    return pl.DataFrame(
        {
            "arm": pl.Series(rng.integers(0, 3, n)).replace_strict(
                {0: "holdout", 1: "generic", 2: "tailored"}, return_dtype=pl.String
            ),
            "segment": pl.Series(rng.integers(0, 5, n)).cast(pl.String),
            "converted": bought.astype(np.int8),
            "orders": bought.astype(np.int8),
            "revenue": np.where(bought, rng.gamma(1.0, 110.0, n), 0.0),
            "visits": rng.poisson(1.0, n),
            "visited": (rng.random(n) < 0.3).astype(np.int8),
        }
    )


def whole_table(n, rounds):
    """Time the segment x arm x metric table, and show how far the machine's memory went."""
    frame = make(n)
    for _ in range(rounds):
        started = time.perf_counter()
        found = segkit.measure_lift(frame, control="holdout")
        took = time.perf_counter() - started
        print(f"{n:>10,} customers: {found.effects.height} effects in {took:.2f} s")
    print(f"peak {peak_gib():.1f} GiB, the frame included")


def money(n, rounds):
    """Time what a campaign earned, in 15 strata."""
    frame = make(n)
    for _ in range(rounds):
        started = time.perf_counter()
        segkit.measure_profit(frame, control="holdout", margin=0.5, cost_per_contact=0.05)
        print(f"{n:>10,} customers: measure_profit in {time.perf_counter() - started:.2f} s")


def peer(n):
    """Return the tasks that compare means and proportions of two arms on one frame."""
    import tea_tasting as tt

    frame = make(n).filter(pl.col("arm") != "generic").with_columns(
        variant=(pl.col("arm") == "tailored").cast(pl.Int64)
    )  # fmt: skip
    experiment = tt.Experiment(
        converted=tt.Proportion("converted"), visited=tt.Proportion("visited"),
        revenue=tt.Mean("revenue"), orders=tt.Mean("orders"),
    )  # fmt: skip
    names = ("conversion", "visit_rate", "revenue", "orders")

    def segkits():
        sums = sum_up(frame, ["converted", "visited", "revenue", "orders"], segment=None)
        return [compare_arms(NAMED[name], sums, None, (1, 0)) for name in names]

    def measured():
        return segkit.measure_lift(frame, control="holdout", metrics=names, segment=None)

    return {"segkit sums": segkits, "segkit measure_lift": measured,
            "tea-tasting": lambda: experiment.analyze(frame)}  # fmt: skip


def against_tea_tasting(n, rounds):
    """Print how long both take."""
    if importlib.util.find_spec("tea_tasting") is None:
        print("tea-tasting is not installed: its comparison is left out")
        return
    tasks = peer(n)
    print(f"tea-tasting {importlib.metadata.version('tea-tasting')}, {n:,} customers, 4 metrics")
    for task in tasks.values():
        task()
    report(interleaved(tasks, rounds=rounds), "tea-tasting")


def main():
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    money(200_000 if quick else 1_000_000, 3)
    against_tea_tasting(64_000, 5)
    against_tea_tasting(200_000 if quick else 1_000_000, 5)
    for n in (200_000, 1_000_000) if quick else (1_000_000, 10_000_000):
        whole_table(n, 2)


if __name__ == "__main__":
    main()
