"""What every study shares: seeds in parallel, a Monte Carlo interval, a table with its command."""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).parent / "results"


def arguments(description: str, *, seeds: int, thin: int) -> argparse.Namespace:
    """Parse ``--seeds``, ``--thin``, ``--jobs``; thin runs write no committed table."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--thin", action="store_true", help=f"{thin} seeds, no table is rewritten")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.thin:
        options.seeds = thin
    return options


def _alone(task: Callable[..., Any], arguments_: Sequence[Any]) -> Any:
    with threadpool_limits(1):
        return task(*arguments_)


def over_seeds(
    task: Callable[..., dict[str, Any]], cells: Sequence[Sequence[Any]], *, jobs: int
) -> pl.DataFrame:
    """Run ``task(*cell)`` for every cell, one thread each, in fresh processes; one row per cell."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(_alone, [task] * len(cells), cells, chunksize=1))
    return pl.DataFrame(rows, infer_schema_length=None)


def rate(hits: int, n: int) -> dict[str, float]:
    """Give a pass rate with its 95% Wilson interval."""
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return {"n": n, "rate": hits / n, "low": interval.low, "high": interval.high}


def publish(table: pl.DataFrame, name: str, *, thin: bool, note: str = "") -> None:
    """Print the table and, unless thin, write it beside its command for the commit."""
    with pl.Config(tbl_cols=-1, tbl_rows=-1, tbl_width_chars=160, float_precision=3):
        print(table)
    if thin:
        return
    RESULTS.mkdir(exist_ok=True)
    module = Path(sys.argv[0]).stem
    command = f"python -m tests.studies.{module} {' '.join(sys.argv[1:])}".strip()
    header = f"# {command}\n" + "".join(f"# {line}\n" for line in note.splitlines())
    path = RESULTS / f"{name}.csv"
    path.write_text(header + table.write_csv(float_precision=4), encoding="utf-8")
