"""The simulated retailer: raw tables, truth, outcome of a campaign, export and sample."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit import spreadsheets
from segkit.errors import ParameterError
from segkit.frames import takes_frames
from segkit.progress import steps
from segkit.simulate.archetypes import PILOT_SHARE, DifficultyName
from segkit.simulate.block import Block, make_block
from segkit.simulate.customers import items
from segkit.simulate.draws import as_seed
from segkit.simulate.engagement import newsletters
from segkit.simulate.respond import Response, respond
from segkit.simulate.world import (
    BLOCK,
    MONTHS,
    NEEDED,
    PILOT_ID,
    START,
    PlantedLift,
    Structure,
    World,
    planted,
)

if TYPE_CHECKING:
    from segkit.intake.mapping import Mapping


PER_CUSTOMER = ("orders", "events", "customers", "survey", "links", "assignments")
EXTRAS = ("links", "promotions", "survey_items")


@dataclass(frozen=True, slots=True, eq=False)
class Retailer:
    """A simulated retailer: its raw export and, separately, the true values.

    Attributes
    ----------
    tables : dict of DataFrame
        The raw export, by the names that the intake knows: orders, events, customers, products,
        prices, fx, campaigns, survey, assignments (the pilot's).
    extras : dict of DataFrame
        links (pairs of identifiers seen together), promotions (the calendar of sales),
        survey_items (the questionnaire).
    truth : dict of DataFrame
        customers (archetype, traits, expected answer to each offer), identities, defects,
        drivers, elasticities, lifts, items, settings. No analysis may read it.
    world : World
        The settings.
    """

    tables: dict[str, pl.DataFrame]
    extras: dict[str, pl.DataFrame]
    truth: dict[str, pl.DataFrame]
    world: World

    @property
    def campaign_date(self) -> date:
        """The day after history: assignments are made as of this day."""
        return self.world.calendar.campaign_date

    @property
    def as_of(self) -> date:
        """The last day of history."""
        return self.campaign_date - timedelta(days=1)

    @property
    def mapping(self) -> Mapping:
        """What the raw columns mean, for the intake: data/mappings/simulated.toml."""
        from segkit.intake.mapping import Mapping

        return Mapping.of_source("simulated")

    @takes_frames
    def respond(self, assignments: pl.DataFrame, *, weeks: int = 4) -> Response:
        """Return what the assigned customers do in the weeks after a campaign; see `respond`."""
        return respond(self.world, assignments, weeks=weeks)


def simulate_retailer(
    n_customers: int = 20_000,
    *,
    seed: int | np.random.Generator = 0,
    difficulty: DifficultyName = "medium",
    structure: Structure = "archetypes",
    lift: PlantedLift = "planted",
    start: date = START,
    months: int = MONTHS,
    dirty: bool = True,
    pilot_share: float = PILOT_SHARE,
) -> Retailer:
    """Simulate a fashion retailer with known true effects.

    Parameters
    ----------
    n_customers : int
        A larger number keeps the customers of a smaller one and adds more.
    seed : int or numpy Generator
    difficulty : {"easy", "medium", "hard"}
        Overlap of the archetypes (`archetypes.DIFFICULTIES`).
    structure : {"archetypes", "none"}
        "none": one continuum with the same mean and covariance, without groups.
    lift : {"planted", "none"}
        "none": no offer has an effect.
    start : date
        First day of history.
    months : int
        Length of history; the campaign's date is the day after it.
    dirty : bool
        Plant defects (`segkit.simulate.block.RATES`), each recorded in ``truth["defects"]``.
    pilot_share : float
        Share of the customers who may be written to that took part in the pilot.

    Returns
    -------
    Retailer

    Raises
    ------
    ParameterError
        If a setting is unknown or out of range.

    Examples
    --------
    >>> shop = simulate_retailer(50, seed=1, months=6)
    >>> shop.campaign_date, shop.truth["customers"].height
    (datetime.date(2022, 9, 1), 50)
    """
    world = World(
        n_customers, as_seed(seed), difficulty, structure, lift, start, months, dirty, pilot_share
    )
    firsts = steps(range(0, n_customers, BLOCK), f"blocks of {BLOCK:,} simulated customers")
    blocks = [make_block(world, first) for first in firsts]
    tables = {name: pl.concat([block.tables[name] for block in blocks]) for name in PER_CUSTOMER}
    tables |= shared_tables(world)
    extras = {name: tables.pop(name) for name in EXTRAS}
    facts = _facts(blocks)
    return Retailer(tables, extras, facts | planted(world, facts["customers"]), world)


def _facts(blocks: list[Block], before: dict[str, int] | None = None) -> dict[str, pl.DataFrame]:
    """Return the truth about some blocks of customers; ``before`` counts the rows before them."""
    return {
        "customers": pl.concat([block.customers for block in blocks]),
        "identities": pl.concat([block.identities for block in blocks]),
        "defects": pl.concat(list(numbered_defects(blocks, before))),
    }


def numbered_defects(
    blocks: list[Block], before: dict[str, int] | None = None
) -> Iterator[pl.DataFrame]:
    """Number the defects' rows as in the whole tables; ``before`` counts the rows before them."""
    counts = dict.fromkeys(PER_CUSTOMER, 0) if before is None else dict(before)
    for block in blocks:
        shift = pl.col("table").replace_strict(counts, return_dtype=pl.Int64)
        yield block.defects.with_columns(row=pl.col("row") + shift)
        counts = {name: count + block.tables[name].height for name, count in counts.items()}


def shared_tables(world: World) -> dict[str, pl.DataFrame]:
    """Return the raw tables that do not belong to customers."""
    catalogue, calendar = world.catalogue, world.calendar
    pilot = pl.DataFrame(
        {
            "campaign_id": [PILOT_ID],
            "offer": ["pilot"],
            "starts": [calendar.start + timedelta(days=world.pilot_day)],
            "cost_per_contact": [0.05],
            "margin": [0.45],
        }
    )
    sales = [sale for sale in calendar.sales if sale.starts < calendar.campaign_date]
    return {
        "products": catalogue.products,
        "prices": catalogue.prices,
        "fx": catalogue.fx,
        # newsletters and the pilot
        "campaigns": pl.concat([newsletters(calendar), pilot]),
        "promotions": pl.DataFrame(
            sales,
            schema={"name": pl.String, "starts": pl.Date, "ends": pl.Date, "depth": pl.Float64},
            orient="row",
        ),
        "survey_items": items().select("item", "statement"),
    }


def simulate_to_parquet(
    folder: Path | str,
    n_customers: int = 1_000_000,
    *,
    seed: int | np.random.Generator = 0,
    difficulty: DifficultyName = "medium",
    structure: Structure = "archetypes",
    lift: PlantedLift = "planted",
    start: date = START,
    months: int = MONTHS,
    dirty: bool = True,
    pilot_share: float = PILOT_SHARE,
    batch: int = 20_000,
) -> Path:
    """Simulate a retailer of any size straight to Parquet.

    Each table is a folder of files, one per batch (``orders/part-00000.parquet``), to be scanned as
    ``orders/*.parquet``. Rows, and their order, are those of `simulate_retailer` with the same
    settings, whatever the batch.

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
    world = World(
        n_customers, as_seed(seed), difficulty, structure, lift, start, months, dirty, pilot_share
    )
    target = Path(folder)
    if (target / "orders").exists():
        raise ParameterError(f"expected a folder without a simulation, got {target.name}/ with one")
    if batch < 1:
        raise ParameterError(f"batch must be at least 1, got {batch}")
    step = -(-batch // BLOCK) * BLOCK
    target.parent.mkdir(parents=True, exist_ok=True)
    # Written to a temporary folder, so that an interruption leaves no incomplete simulation.
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
    columns = [*NEEDED, *(c for c in people.collect_schema() if c.startswith("added_"))]
    for name, frame in planted(world, people.select(columns).collect()).items():
        _write(frame, target / "truth", name, 0)


def _write_part(
    world: World, target: Path, part: int, firsts: range, before: dict[str, int]
) -> dict[str, int]:
    """Write one batch of customers; return how many rows of each table there are so far."""
    blocks = [make_block(world, first) for first in firsts if first < world.n_customers]
    for name, frame in _facts(blocks, before).items():
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


def sample_retailer() -> Retailer:
    """Simulate the retailer of data/sample: 400 customers, three years, with defects."""
    return simulate_retailer(400, seed=11, difficulty="easy")


def sample_tables(retailer: Retailer) -> dict[str, pl.DataFrame]:
    """Return the sample's raw tables, and the links between identifiers."""
    return retailer.tables | {"links": retailer.extras["links"]}


def write_sample(folder: Path | str) -> list[Path]:
    """Write the sample as gzipped CSV: ``write_sample("data/sample")`` makes it again.

    Returns
    -------
    list of Path
        One file per table; the same bytes each time under one version of zlib.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in sample_tables(sample_retailer()).items():
        path = target / f"{name}.csv.gz"
        path.write_bytes(gzip.compress(as_csv(frame), mtime=0))
        paths.append(path)
    return paths


def as_csv(frame: pl.DataFrame) -> bytes:
    """Write a raw table as CSV, times to the second."""
    return spreadsheets.as_csv(frame, datetime_format="%Y-%m-%d %H:%M:%S")
