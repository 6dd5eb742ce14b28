"""BG/NBD at a million customers beside lifetimes, in one run: seconds, and equal estimates.

``python -m tests.benchmarks.bench_value``; ``--quick`` with 100,000 customers. Histories are drawn
under the model (r .243, alpha 30.9 days, a .793, b 2.426) over up to two years, in whole days, so
that about a third of them are distinct, as in CDNOW. Target: 1,000,000 customers in under 1.5 s of
processor, at least 10 times as fast as lifetimes, parameters equal to 6 digits at lifetimes' own
tolerance of 1e-9; CDNOW's 2,357 customers under .05 s.
"""

import statistics
import sys
import warnings
from datetime import date

import numpy as np
import polars as pl

from segkit.predict import count_purchases, fit_purchases
from tests.benchmarks._common import interleaved, peak_gib, report
from tests.conftest import SHARED
from tests.reference.cdnow import SAMPLE, load_log

NAMES = ("repeat_purchases", "last_purchase_day", "age_days")
DAYS = 730
ROUNDS = 3


def histories(customers, seed=0, days=DAYS):
    """Draw histories under the BG/NBD, counted in whole days."""
    rng = np.random.default_rng(seed)
    age = rng.integers(30, days, customers).astype(float)
    rate = rng.gamma(0.243, 1 / 30.9, customers).clip(1e-12)
    leaves = rng.beta(0.793, 2.426, customers)
    x, last, now = (np.zeros(customers) for _ in NAMES)
    active = np.ones(customers, dtype=bool)
    while active.any():
        now = now + np.where(active, rng.exponential(size=customers) / rate, 0.0)
        active &= now < age
        another = active & (np.floor(now) > last)
        x[another] += 1
        last[another] = np.floor(now[another])
        active &= rng.random(customers) >= leaves
    return pl.DataFrame(
        {name: one.astype(int) for name, one in zip(NAMES, (x, last, age), strict=True)}
    )


def read_cdnow():
    """Return the published sample's histories, in days; None where its log is not beside."""
    if not (SHARED / "cdnow_master.txt").exists():
        return None
    sample = load_log(SHARED / "cdnow_master.txt").filter(pl.col("customer_id").is_in(SAMPLE))
    return count_purchases(sample, as_of=date(1997, 9, 30))


def lifetimes(history, tolerance=1e-7):
    """Fit by lifetimes, whose own grouping by frequency, recency and age is left out by default."""
    from lifetimes import BetaGeoFitter

    fitter = BetaGeoFitter()
    columns = (history[name].cast(pl.Float64).to_numpy() for name in NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter.fit(*columns, tol=tolerance)
    return fitter


def time_cdnow(rounds=15):
    """Print the median seconds of a fit to the published sample."""
    small, name = read_cdnow(), "segkit, CDNOW"
    if small is None:
        small, name = histories(2_357, seed=1, days=270), "segkit, 2,357 drawn"
    runs = interleaved({name: lambda: fit_purchases(small)}, rounds=rounds)
    report(runs, name)
    middle = statistics.median(run.processor for run in runs[name])
    print(f"{name}: median {middle:.3f} s of processor, .05 asked")


def main():
    """Compare the times, the estimates, and the seconds of a small sample."""
    quick = "--quick" in sys.argv
    customers = 100_000 if quick else 1_000_000
    history = histories(customers)
    print(f"{customers:,} customers, {history.unique().height:,} distinct histories")
    ours, theirs = fit_purchases(history), lifetimes(history, 1e-9)
    for name, value in ours.parameters.items():
        other = float(theirs.params_[name])
        print(f"{name:<6} {value:.8g}  lifetimes {other:.8g}  apart {abs(other / value - 1):.1e}")
    tasks = {"segkit": lambda: fit_purchases(history), "lifetimes": lambda: lifetimes(history)}
    report(interleaved(tasks, rounds=3 if quick else ROUNDS), "segkit")
    time_cdnow()
    print(f"peak memory {peak_gib():.2f} GiB, lifetimes and its data included")


if __name__ == "__main__":
    main()
