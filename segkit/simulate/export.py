"""How do millions of simulated customers reach the disk? Block by block, in bounded memory."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from segkit.errors import ParameterError
from segkit.live import steps
from segkit.simulate import truth
from segkit.simulate.block import make_block
from segkit.simulate.retailer import (
    MONTHS,
    PER_CUSTOMER,
    START,
    make_world,
    numbered_defects,
    shared_tables,
)
from segkit.simulate.world import BLOCK, World


def simulate_to_parquet(
    folder: Path | str,
    n_customers: int = 1_000_000,
    *,
    seed: int | np.random.Generator = 0,
    difficulty: str = "medium",
    structure: str = "archetypes",
    lift: str = "planted",
    start: date = START,
    months: int = MONTHS,
    dirty: bool = True,
    pilot_share: float = 0.4,
    batch: int = 20_000,
) -> Path:
    """Simulate a retailer of any size straight to Parquet.

    Each table is a folder of files, one a batch (``orders/part-00000.parquet``), to be scanned
    as ``orders/*.parquet``. Rows, and their order, are those of `simulate_retailer` with the
    same settings, whatever the batch.

    Parameters
    ----------
    folder : path
        Made if it is not there; must not hold a simulation already.
    n_customers, seed, difficulty, structure, lift, start, months, dirty, pilot_share
        As for `simulate_retailer`.
    batch : int
        Customers held in memory at a time, rounded up to whole blocks of 2,000; 20,000 need
        about one GiB, 4,000 half of that.

    Returns
    -------
    Path
        The folder: raw tables, and below ``truth/`` what is true.

    Raises
    ------
    ParameterError
        If a setting is unknown or out of range, or the folder already holds orders.
    """
    world = make_world(
        n_customers, seed, difficulty, structure, lift, start, months, dirty, pilot_share
    )
    target = Path(folder)
    if (target / "orders").exists():
        raise ParameterError(f"expected a folder without a simulation, got {target.name}/ with one")
    if batch < 1:
        raise ParameterError(f"batch must be at least 1, got {batch}")
    step = -(-batch // BLOCK) * BLOCK
    target.parent.mkdir(parents=True, exist_ok=True)
    # Written aside, so that an interruption leaves nothing that looks like a simulation.
    aside = Path(tempfile.mkdtemp(prefix=".simulating-", dir=target.parent))
    try:
        _write_all(world, aside, step)
        target.mkdir(exist_ok=True)
        for name in sorted(path.name for path in aside.iterdir()):
            (aside / name).rename(target / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _write_all(world: World, target: Path, step: int) -> None:
    before = dict.fromkeys(PER_CUSTOMER, 0)
    parts = steps(range(0, world.n_customers, step), f"batches of {step:,} simulated customers")
    for part, first in enumerate(parts):
        before = _write_part(world, target, part, range(first, first + step, BLOCK), before)
    for name, frame in shared_tables(world).items():
        _write(frame, target, name, 0)
    people = pl.scan_parquet(target / "truth" / "customers" / "*.parquet")
    columns = [*truth.NEEDED, *(c for c in people.collect_schema() if c.startswith("added_"))]
    for name, frame in truth.planted(world, people.select(columns).collect()).items():
        _write(frame, target / "truth", name, 0)


def _write_part(
    world: World, target: Path, part: int, firsts: range, before: dict[str, int]
) -> dict[str, int]:
    """Write one batch of customers; return how many rows of each table there are so far."""
    blocks = [make_block(world, first) for first in firsts if first < world.n_customers]
    facts = {
        "customers": pl.concat([block.customers for block in blocks]),
        "identities": pl.concat([block.identities for block in blocks]),
        "defects": pl.concat(list(numbered_defects(blocks, before))),
    }
    for name, frame in facts.items():
        _write(frame, target / "truth", name, part)
    rows = dict(before)
    for name in PER_CUSTOMER:
        table = pl.concat([block.tables.pop(name) for block in blocks])
        rows[name] += table.height
        _write(table, target, name, part)
    return rows


def _write(frame: pl.DataFrame, folder: Path, name: str, part: int) -> None:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(place / f"part-{part:05d}.parquet")
