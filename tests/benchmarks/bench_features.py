"""The core features from Parquet beside hand-written Polars, DuckDB's SQL and lifetimes.

``python -m tests.benchmarks.bench_features`` at 10 million lines, then the peak memory at 50
million; ``--quick`` at one and five million. ``--lines N``, ``--memory-lines N`` (0: without),
``--rounds N`` and ``--without-lifetimes`` change that; ``--categories`` compares the core features
with those by category alone (aim: at most twice the time). All four give recency, frequency,
monetary, tenure, mean order value; all but lifetimes tell orders from days, leave returns out of
the order counts, and give the spread of order values; segkit and the SQL add up money exactly,
segkit in whole millionths, the SQL in decimals of six digits. lifetimes starts from a pandas frame
in memory.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from tests.benchmarks._common import in_child, interleaved, peak_gib, report

KEEP = pl.col("n_orders") > 0


def write_lines(path, n):
    """Write n order lines in order of time: three a basket, 20 a customer, 3% returns."""
    import duckdb

    customers, baskets = max(n // 20, 1), n // 3 + 1
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '2GB'")
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"""
            copy (
                select
                    'C' || lpad(cast(cast(floor({customers}
                        * pow((hash(k * 2 + 1) % 1000003) / 1000003.0, 1.5)) as bigint)
                        as varchar), 8, '0') as customer_id,
                    'O' || lpad(cast(k as varchar), 9, '0') as order_id,
                    cast(18000 + k * 730 // {baskets} as integer) as order_day,
                    round(1 + (hash(i * 7 + 3) % 10007) / 100.0, 2)
                        * case when k % 33 = 0 then -1 else 1 end as amount,
                    k % 33 = 0 as is_return,
                    'category ' || (hash(i * 11) % 12) as category,
                    'channel ' || (k % 3) as channel
                from (select i, i // 3 as k from range({n}) lines(i))
            ) to '{path}' (format parquet, row_group_size 250000)
        """)


def ours(path, engine="polars"):
    from segkit.features import build_features

    return build_features(path, features=["core"], engine=engine).frame


def by_hand(path):
    """Write the same aggregation as one would who knows Polars well."""
    lines = pl.scan_parquet(path)
    as_of = lines.select(pl.col("order_day").max()).collect().item()
    bought = pl.when(~pl.col("is_return")).then("order_day")
    orders = (
        lines.select("customer_id", "order_id", "amount", day=bought)
        .group_by("customer_id", "order_id")
        .agg(pl.col("day").min().alias("first"), pl.col("day").max().alias("last"),
             pl.col("amount").sum())
        .with_columns(value=pl.when(pl.col("first").is_not_null()).then("amount"))
    )  # fmt: skip
    customers = orders.group_by("customer_id").agg(
        (as_of - pl.col("last").max()).alias("recency_days"),
        pl.col("value").count().alias("n_orders"),
        pl.col("amount").sum().alias("monetary"),
        (as_of - pl.col("first").min()).alias("tenure_days"),
        pl.col("value").mean().alias("order_value_mean"),
        pl.col("value").std().alias("order_value_std"),
    )
    return customers.filter(KEEP).collect(engine="streaming").sort("customer_id")


def by_sql(path):
    """Write the same aggregation in DuckDB's SQL, money as decimals: sums are exact there too."""
    import duckdb

    return pl.DataFrame(
        duckdb.sql(f"""
        with lines as (
            select customer_id, order_id, cast(amount as decimal(18, 6)) as amount,
                case when not is_return then order_day end as day
            from '{path}'),
        orders as (
            select customer_id, order_id, min(day) as first, max(day) as last, sum(amount) as amount
            from lines group by customer_id, order_id),
        valued as (select *, case when first is not null then amount end as value from orders)
        select customer_id, (select max(order_day) from '{path}') - max(last) as recency_days,
            count(value) as n_orders, sum(amount) as monetary,
            (select max(order_day) from '{path}') - min(first) as tenure_days,
            avg(value) as order_value_mean, stddev_samp(value) as order_value_std
        from valued group by customer_id having count(value) > 0 order by customer_id
    """)
    )


def pandas_lines(path):
    import pandas as pd

    lines = pl.read_parquet(path, columns=["customer_id", "order_day", "amount"])
    return pd.DataFrame({
        "customer_id": lines["customer_id"].to_list(),
        "date": lines["order_day"].to_numpy().astype("datetime64[D]").astype("datetime64[us]"),
        "amount": lines["amount"].to_numpy(),
    })  # fmt: skip


def by_lifetimes(lines):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations
        from lifetimes.utils import summary_data_from_transaction_data

        return summary_data_from_transaction_data(lines, "customer_id", "date", "amount")


def check_equal(path, lines):
    """Refuse to compare the speed of different results."""
    mine = ours(path).rename({"frequency": "n_orders"})
    for other in (
        by_hand(path),
        by_sql(path),
        ours(path, "duckdb").rename({"frequency": "n_orders"}),
    ):
        same = other.select(mine.columns).cast(dict(mine.schema))
        assert_frame_equal(same, mine, rel_tol=1e-9, abs_tol=1e-9)
    exact = by_sql(path)["monetary"].cast(pl.Float64)
    assert exact.equals(mine["monetary"]), "the sums are not exact"
    if lines is None:
        return
    theirs = by_lifetimes(lines)
    returns = set(lines.loc[lines["amount"] < 0, "customer_id"])
    row = {customer: k for k, customer in enumerate(mine["customer_id"])}
    kept = [customer for customer in theirs.index[:20_000] if customer not in returns]
    some = mine[[row[customer] for customer in kept]]
    tenure, recency = theirs.loc[kept, "T"], theirs.loc[kept, "recency"]
    assert some["tenure_days"].to_list() == tenure.astype(int).to_list()
    assert some["recency_days"].to_list() == (tenure - recency).astype(int).to_list()
    print(f"equal results; lifetimes compared on {len(kept):,} customers without returns")


def compare(options, folder):
    path = str(Path(folder) / "lines.parquet")
    write_lines(path, options.lines)
    lines = None if options.without_lifetimes else pandas_lines(path)
    check_equal(path, lines)
    tasks = {
        "segkit": lambda: ours(path),
        "hand-written Polars": lambda: by_hand(path),
        "DuckDB's SQL": lambda: by_sql(path),
        "segkit on DuckDB": lambda: ours(path, "duckdb"),
    }
    if lines is not None:
        tasks["lifetimes (from memory)"] = lambda: by_lifetimes(lines)
    print(f"{options.lines:,} lines, {options.rounds} rounds")
    report(interleaved(tasks, rounds=options.rounds), "segkit")


def compare_categories(options, folder):
    from segkit.features import build_features

    path = str(Path(folder) / "lines.parquet")
    write_lines(path, options.lines)
    tasks = {
        "core": lambda: ours(path),
        "categories": lambda: build_features(path, features=["categories"]),
        "core and categories": lambda: build_features(path, features=["core", "categories"]),
    }
    print(f"{options.lines:,} lines, {options.rounds} rounds")
    report(interleaved(tasks, rounds=options.rounds), "core")


def measure(path, features):
    """Run in a fresh process: seconds and peak memory of one table."""
    from segkit.features import build_features

    before, started = peak_gib(), time.perf_counter()
    table = build_features(path, features=None if features == "all" else [features])
    seconds = time.perf_counter() - started
    shape = table.frame.shape
    print(json.dumps({"s": seconds, "peak": peak_gib(), "import": before, "shape": shape}))


def memory(options, folder):
    path = str(Path(folder) / "lines.parquet")
    write_lines(path, options.memory_lines)
    size = Path(path).stat().st_size / 2**30
    print(f"{options.memory_lines:,} lines ({size:.2f} GiB of Parquet), a fresh process each")
    for features in ("core", "all"):
        found = in_child("tests.benchmarks.bench_features", "--child", path, features)
        rows, columns = found["shape"]
        print(
            f"{features} features: {found['s']:.1f} s, peak {found['peak']:.2f} GiB (aim 2.5 for "
            f"core; {found['import']:.2f} after imports), {rows:,} customers x {columns - 1}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--lines", type=int)
    parser.add_argument("--memory-lines", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-lifetimes", action="store_true")
    parser.add_argument("--categories", action="store_true")
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        measure(*options.child)
        return
    if options.lines is None:
        options.lines = 1_000_000 if options.quick else 10_000_000
    if options.memory_lines is None:
        options.memory_lines = 5_000_000 if options.quick else 50_000_000
    tasks = ((compare, options.lines), (memory, options.memory_lines))
    if options.categories:
        tasks = ((compare_categories, options.lines),)
    for task, lines in tasks:
        if lines:
            with tempfile.TemporaryDirectory() as folder:
                task(options, folder)
    sys.stdout.flush()
    os._exit(0)  # DuckDB's binding prints leak warnings at exit; here the peers alone use it


if __name__ == "__main__":
    main()
