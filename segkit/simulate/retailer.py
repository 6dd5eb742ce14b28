"""Is the analysis right? A simulated retailer: raw tables, hidden truth, a campaign's answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.frames import takes_frames
from segkit.live import steps
from segkit.simulate import truth
from segkit.simulate.block import Block, make_block
from segkit.simulate.engagement import newsletters
from segkit.simulate.mapping import MAPPING
from segkit.simulate.respond import Response, respond
from segkit.simulate.world import BLOCK, PILOT_ID, World

if TYPE_CHECKING:
    from segkit.ingest.mapping import Mapping

START, MONTHS = date(2022, 3, 1), 36
PER_CUSTOMER = ("orders", "events", "customers", "survey", "links", "assignments")
EXTRAS = ("links", "promotions", "survey_items")


@dataclass(frozen=True, slots=True, eq=False)
class Retailer:
    """A simulated retailer: what it exports, and, apart from it, what is true.

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
        """What the raw columns mean, for the intake; data/mappings/simulated.toml holds it too."""
        from segkit.ingest.mapping import Mapping

        return Mapping.from_dict(MAPPING)

    @takes_frames
    def respond(self, assignments: pl.DataFrame, *, weeks: int = 4) -> Response:
        """Return what the assigned customers do in the weeks after a campaign; see `respond`."""
        return respond(self.world, assignments, weeks=weeks)


def simulate_retailer(
    n_customers: int = 20_000,
    *,
    seed: int | np.random.Generator = 0,
    difficulty: str = "medium",
    structure: str = "archetypes",
    lift: str = "planted",
    start: date = START,
    months: int = MONTHS,
    dirty: bool = True,
    pilot_share: float = 0.4,
) -> Retailer:
    """Simulate a fashion retailer whose truth is known.

    Parameters
    ----------
    n_customers : int
        A larger number keeps the customers of a smaller one and adds more.
    seed : int or numpy Generator
    difficulty : {"easy", "medium", "hard"}
        How far the archetypes overlap (`archetypes.DIFFICULTIES`).
    structure : {"archetypes", "none"}
        "none": one continuum with the same mean and covariance, without groups.
    lift : {"planted", "none"}
        "none": no offer does anything.
    start : date
        First day of history.
    months : int
        Length of history; the campaign's date is the day after it.
    dirty : bool
        Plant defects (`dirt.RATES`), each written down in ``truth["defects"]``.
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
    world = make_world(
        n_customers, seed, difficulty, structure, lift, start, months, dirty, pilot_share
    )
    firsts = steps(range(0, n_customers, BLOCK), f"blocks of {BLOCK:,} simulated customers")
    blocks = [make_block(world, first) for first in firsts]
    tables = {name: pl.concat([block.tables[name] for block in blocks]) for name in PER_CUSTOMER}
    customers = pl.concat([block.customers for block in blocks])
    facts = {
        "customers": customers,
        "identities": pl.concat([block.identities for block in blocks]),
        "defects": pl.concat(list(numbered_defects(blocks))),
    }
    tables |= shared_tables(world)
    extras = {name: tables.pop(name) for name in EXTRAS}
    return Retailer(tables, extras, facts | truth.planted(world, customers), world)


def make_world(
    n_customers: int,
    seed: int | np.random.Generator,
    difficulty: str,
    structure: str,
    lift: str,
    start: date,
    months: int,
    dirty: bool,
    pilot_share: float,
) -> World:
    """Check the settings; a Generator gives one seed."""
    number = int(seed.integers(2**31)) if isinstance(seed, np.random.Generator) else int(seed)
    return World(
        int(n_customers), number, difficulty, structure, lift, start, months, dirty, pilot_share
    )


def numbered_defects(
    blocks: list[Block], before: dict[str, int] | None = None
) -> Iterator[pl.DataFrame]:
    """Give the defects' rows their numbers in the whole tables, of which some rows came before."""
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
        "survey_items": truth.items().select("item", "statement"),
    }
