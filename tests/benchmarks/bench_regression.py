"""Shapley shares beside one regression a subset, drivers of counts, the price panel of many lines.

``python -m tests.benchmarks.bench_regression``; ``--quick`` with fewer predictors and a million
lines. The naive figure fits every subset once by least squares on the rows (200 draws are that
times 200: not run).
"""

import argparse
import itertools
import tempfile
import time
from datetime import date, timedelta
from math import comb
from pathlib import Path

import numpy as np
import polars as pl

from segkit.regression import (
    build_price_panel,
    estimate_price_response,
    fit_drivers,
    measure_importance,
)
from tests.benchmarks._common import peak_gib

EPOCH = date(1970, 1, 1)


def naive(X, y):
    """Shapley shares by a least-squares fit of each subset."""
    p = X.shape[1]
    Z, t = X - X.mean(axis=0), y - y.mean()
    total, r2 = t @ t, {(): 0.0}
    for size in range(1, p + 1):
        for subset in itertools.combinations(range(p), size):
            columns = Z[:, subset]
            rest = t - columns @ np.linalg.lstsq(columns, t, rcond=None)[0]
            r2[subset] = 1 - rest @ rest / total
    shares = np.zeros(p)
    for subset, value in r2.items():
        for j in set(range(p)) - set(subset):
            more = tuple(sorted((*subset, j)))
            shares[j] += (r2[more] - value) / (p * comb(p - 1, len(subset)))
    return shares


def importance(n, p, p_naive):
    random = np.random.default_rng(0)
    X = random.normal(size=(n, p)) @ (np.eye(p) + 0.3)
    y = X @ random.normal(size=p) + 5 * random.normal(size=n)
    names = [f"x{j}" for j in range(p)]
    frame = pl.DataFrame(dict(zip(names, X.T, strict=True)) | {"y": y})
    times = []
    for _ in range(5):
        started = time.perf_counter()
        measure_importance(frame, "y", names, repeats=200)
        times.append(time.perf_counter() - started)
    print(f"{p} predictors exact, {n:,} rows, 200 draws: {np.median(times):.2f} s (median of 5)")
    part = names[:p_naive]
    started = time.perf_counter()
    found = measure_importance(frame, "y", part, repeats=200).shares
    ours = time.perf_counter() - started
    started = time.perf_counter()
    expected = naive(X[:, :p_naive], y)
    theirs = time.perf_counter() - started
    mine = dict(found.select("predictor", "r2").iter_rows())
    np.testing.assert_allclose([mine[name] for name in part], expected, atol=1e-8)
    print(
        f"{p_naive} predictors: {ours:.2f} s with 200 draws; a fit a subset {theirs:.2f} s without "
        f"any: equal shares, {200 * theirs / ours:,.0f} times faster for the same draws"
    )


def drivers(n, p=12):
    """Time the choice of a family for counts, five folds included (process time, one thread)."""
    random = np.random.default_rng(2)
    X = random.normal(size=(n, p))
    mean = np.exp(-0.3 + X @ random.normal(0, 0.15, p))
    names = [f"x{j}" for j in range(p)]
    y = random.poisson(mean * random.gamma(5.0, 0.2, n))
    frame = pl.DataFrame(dict(zip(names, X.T, strict=True)) | {"y": y})
    fit_drivers(frame[:500], "y", names, family="counts")  # imports
    times = []
    for _ in range(3):
        started = time.process_time()
        found = fit_drivers(frame, "y", names, family="counts")
        times.append(time.process_time() - started)
    print(f"drivers of {n:,} counts, {p} predictors: {found.family}, {np.median(times):.2f} s")


def write_lines(path, n, products, days):
    """Write n lines of products whose prices change every four months or so; return the list."""
    random = np.random.default_rng(1)
    starts = np.sort(random.integers(1, days, (products, 8)), axis=1)
    starts[:, 0] = 0
    price = np.round(20 * np.exp(random.normal(0, 0.15, (products, 8))), 2)
    product, day = random.integers(products, size=n), random.integers(days, size=n)
    which = (starts[product] <= day[:, None]).sum(axis=1) - 1
    pl.DataFrame(
        {
            "customer_id": pl.Series(random.integers(n // 20, size=n)).cast(pl.String),
            "product_id": pl.Series(product).cast(pl.String),
            "order_day": pl.Series(day).cast(pl.Int32),
            "unit_price": price[product, which],
            "discount": np.where((day % 60 < 9) & (random.random(n) < 0.6), 1.0, 0.0),
            "is_return": random.random(n) < 0.03,
        }
    ).write_parquet(path)
    return pl.DataFrame(
        {
            "product_id": pl.Series(np.repeat(np.arange(products), 8)).cast(pl.String),
            "valid_from": [EPOCH + timedelta(days=int(d)) for d in starts.ravel()],
            "unit_price": price.ravel(),
        }
    ).unique(["product_id", "valid_from"], keep="last", maintain_order=True)


def panel(n, products=1000, days=1096):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.parquet"
        prices = write_lines(path, n, products, days)
        customers = pl.Series("customer_id", np.arange(n // 20)).cast(pl.String)
        segments = pl.DataFrame(customers).with_columns(
            segment=("S" + (pl.int_range(pl.len()) % 5).cast(pl.String))
        )
        for what, parts in (("all customers", None), ("5 segments", segments)):
            started = time.perf_counter()
            made = build_price_panel(path, prices, segments=parts)
            built = time.perf_counter()
            estimate_price_response(made)
            print(
                f"{n:,} lines, {products:,} products, {what}: panel {built - started:.1f} s "
                f"({made.cells.height:,} cells, {made.promotion_days} promotion days), response "
                f"{time.perf_counter() - built:.1f} s, peak {peak_gib():.1f} GiB"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    drivers(20_000)
    importance(20_000, 8 if options.quick else 12, 6 if options.quick else 10)
    panel(1_000_000 if options.quick else 10_000_000)


if __name__ == "__main__":
    main()
