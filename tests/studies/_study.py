"""What every study shares: seeds in parallel, a Monte Carlo interval, a table with its command."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).parent / "results"


def arguments(description: str, *, seeds: int, thin: int) -> argparse.Namespace:
    """Parse ``--seeds``, ``--thin``, ``--jobs``; thin runs write no committed table.

    ``--as-is`` makes the table of the cells that are finished already, and runs none.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--thin", action="store_true", help=f"{thin} seeds, no table is rewritten")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", default="", help="file of finished cells, to resume from")
    parser.add_argument("--as-is", action="store_true", help="publish the cells that are there")
    options = parser.parse_args()
    if options.thin:
        options.seeds = thin
    return options


def _alone(task: Callable[..., Any], arguments_: Sequence[Any]) -> Any:
    with threadpool_limits(1):
        return task(*arguments_)


def _results(task: Callable[..., Any], cells: Sequence[Sequence[Any]], jobs: int) -> Iterator[Any]:
    """Yield the result of each cell: of several jobs, from fresh processes."""
    if jobs == 1:
        yield from (_alone(task, cell) for cell in cells)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_alone, [task] * len(cells), cells, chunksize=1)


def over_seeds(
    task: Callable[..., dict[str, Any]],
    cells: Sequence[Sequence[Any]],
    *,
    jobs: int,
    keep: str = "",
    as_is: bool = False,
) -> pl.DataFrame:
    """Run ``task(*cell)`` for every cell, one thread each; one row per cell.

    With ``keep`` every finished cell is a line of that file, and is not run again; with ``as_is``
    the finished cells are all that is returned.
    """
    path = Path(keep) if keep else None
    lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
    done = {json.dumps(cell): row for cell, row in map(json.loads, lines)}
    if as_is:
        cells = [cell for cell in cells if json.dumps(list(cell)) in done]
    missing = [cell for cell in cells if json.dumps(list(cell)) not in done]
    for cell, row in zip(missing, _results(task, missing, jobs), strict=True):
        done[json.dumps(list(cell))] = row
        if path:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([list(cell), row]) + "\n")
    return pl.DataFrame([done[json.dumps(list(cell))] for cell in cells], infer_schema_length=None)


def resume_over_seeds(
    task: Callable[..., list[dict[str, Any]]],
    cells: Sequence[tuple[str, int]],
    *,
    name: str,
    jobs: int,
    thin: bool,
    as_is: bool = False,
) -> pl.DataFrame:
    """Run ``task(setting, seed)`` for every cell that the table of rows does not hold yet.

    The rows of each cell are appended as soon as it is done, so that a run which is stopped goes
    on where it was. A thinned run neither reads nor writes the table.
    """
    path = RESULTS / "rows" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    done: set[tuple[str, int]] = set()
    if path.exists() and not thin:
        done = set(pl.read_csv(path, columns=["cell", "seed"]).iter_rows())
    missing = [] if as_is else [cell for cell in cells if cell not in done]
    parts = []
    for cell, rows in zip(missing, _results(task, missing, jobs), strict=True):
        part = pl.DataFrame([{"cell": cell[0], **row} for row in rows])
        parts.append(part)
        if not thin:
            with path.open("a", encoding="utf-8") as file:
                file.write(part.write_csv(include_header=path.stat().st_size == 0))
    if thin:
        return pl.concat(parts, how="diagonal_relaxed")
    wanted = pl.DataFrame(cells, schema=["cell", "seed"], orient="row")
    table = pl.read_csv(path, infer_schema_length=None)
    return table.join(wanted, on=["cell", "seed"], how="semi").sort("cell", "seed", "setting")


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
    words = re.sub(r"--(keep[ =][^ ]+|as-is) ?", "", " ".join(sys.argv[1:]))
    command = f"python -m tests.studies.{module} {words}".strip()
    header = f"# {command}\n" + "".join(f"# {line}\n" for line in note.splitlines())
    path = RESULTS / f"{name}.csv"
    path.write_text(header + table.write_csv(float_precision=4), encoding="utf-8")
