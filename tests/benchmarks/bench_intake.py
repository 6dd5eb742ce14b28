"""Seconds of the audit on wide and on long files, and of a rule with a long list of values.

Run it as ``python -m tests.benchmarks.bench_intake [runs]``; targets: 500 columns under 3 s, 10,000
rows under 1.5 s of processor, a list of 100,000 values read and applied under 1 s, 1.5 million rows
of a grocer's lines under 5 s (of two idle cores, each about half of the processor's seconds).
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

import segkit
from segkit.rules import RuleSet

TARGETS = {
    "500 columns": 3.0,
    "10,000 rows": 1.5,
    "100,000 values in a rule": 1.0,
    "1.5 million rows, Parquet": 5.0,
    "1.5 million rows, CSV": 5.0,
}
GROCER = 1_500_000


def write_wide(folder: Path) -> Path:
    """Write orders of 2,000 lines with 500 more columns of texts and numbers."""
    rows = range(2_000)
    frame = pl.DataFrame(
        {
            "customer_id": [f"c{i % 300}" for i in rows],
            "order_time": [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in rows],
            "amount": [f"{5 + i % 40}.50" for i in rows],
        }
    )
    extra = (pl.lit(f"x{i}").alias(f"x{i}") for i in range(500))
    frame.with_columns(extra).write_csv(folder / "wide.csv")
    return folder / "wide.csv"


def write_long(folder: Path) -> Path:
    """Write 10,000 order lines whose amounts and times are all different."""
    rows = range(10_000)
    pl.DataFrame(
        {
            "customer_id": [f"c{i % 2000}" for i in rows],
            "order_id": [f"o{i // 3}" for i in rows],
            "order_time": [
                f"2024-{1 + i % 12:02d}-{1 + i % 28:02d} {i % 24:02d}:{i % 60:02d}" for i in rows
            ],
            "amount": [f"{i % 90 + 1}.{i * 7:05d}"[:9].replace(".", ",") + " €" for i in rows],
            "quantity": [1 + i % 3 for i in rows],
            "product_id": [f"p{i % 50}" for i in rows],
        }
    ).write_csv(folder / "long.csv")
    return folder / "long.csv"


def write_grocer(folder: Path) -> tuple[Path, Path]:
    """Write 1.5 million lines of a grocer with a loyalty card, as Parquet and as text."""
    row = pl.int_range(GROCER, eager=True)
    basket = row // 9
    wild = (row * 2_654_435_761) % 4_294_967_296
    lines = pl.select(
        household_id=((basket * 7_919) % 2_469).cast(pl.String),
        basket_id=(basket + 31_198_570_000).cast(pl.String),
        product_id=(wild % 92_331 + 800_000).cast(pl.String),
        quantity=1 + wild % 3,
        sales_value=(99 + wild % 2_900) / 100,
        retail_disc=pl.when(wild % 3 == 0).then(wild % 200 / 100).otherwise(0.0),
        transaction_timestamp=pl.lit(datetime(2017, 1, 1)).dt.cast_time_unit("us")
        + pl.duration(minutes=basket * 3),
    )
    lines.write_parquet(folder / "grocer.parquet")
    lines.write_csv(folder / "grocer.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    return folder / "grocer.parquet", folder / "grocer.csv"


def time_of(task: Callable[[], Any], runs: int) -> tuple[float, float]:
    """Give the medians of wall and processor seconds over some runs, after one to warm up."""
    task()
    wall, processor = [], []
    for _ in range(runs):
        started, worked = time.perf_counter(), time.process_time()
        task()
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - worked)
    return statistics.median(wall), statistics.median(processor)


def main() -> None:
    """Print one line a task."""
    numbers = [item for item in sys.argv[1:] if item.isdigit()]
    runs = int(numbers[0]) if numbers else 3
    values = ", ".join(str(i) for i in range(100_000))
    customers = pl.DataFrame({"a": range(200_000)})
    with tempfile.TemporaryDirectory() as name:
        wide, long = write_wide(Path(name)), write_long(Path(name))
        parquet, text = write_grocer(Path(name))
        tasks: dict[str, Callable[[], Any]] = {
            "500 columns": lambda: segkit.audit_data(wide),
            "10,000 rows": lambda: segkit.audit_data(long, {"decimal": ","}),
            "100,000 values in a rule": lambda: RuleSet.parse(f"x: a in ({values})").apply(
                customers
            ),
            "1.5 million rows, Parquet": lambda: segkit.audit_data(parquet),
            "1.5 million rows, CSV": lambda: segkit.audit_data(text),
        }
        for task, run in tasks.items():
            wall, processor = time_of(run, runs)
            print(
                f"{task:<26} {wall:6.2f} s, processor {processor:6.2f} s (target {TARGETS[task]} s)"
            )


if __name__ == "__main__":
    main()
