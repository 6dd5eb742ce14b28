"""Which retailer is simulated? Its settings, and one block of customers with all that they did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl

from segkit.errors import ParameterError, unknown
from segkit.simulate import campaign, engagement, purchases, survey, tables
from segkit.simulate.archetypes import (
    ARCHETYPES,
    DIFFICULTIES,
    GENERATOR_VERSION,
    NO_OFFER,
    OFFERS,
    WINDOW_WEEKS,
)
from segkit.simulate.catalogue import Catalogue, make_catalogue
from segkit.simulate.customers import People, describe, draw_people, truth_of, writable
from segkit.simulate.dirt import DEFECTS, soil
from segkit.simulate.draws import Ints, root_key
from segkit.simulate.seasons import Calendar, make_calendar

BLOCK = 2_000  # customers made at a time, whatever the batch
PILOT_ID, PILOT_DAYS = "PILOT", 84  # the pilot goes out so many days before the campaign
STRUCTURES = ("archetypes", "none")
_PILOT_NUMBERS = 1000  # above the numbers of a customer's orders in history


@dataclass(frozen=True)
class World:
    """A simulated retailer's settings; the same settings give the same bytes.

    Attributes
    ----------
    n_customers : int
        At least 1.
    seed : int
    difficulty : {"easy", "medium", "hard"}
    structure : {"archetypes", "none"}
    lift : {"planted", "none"}
    start : date
        First day of history.
    months : int
        Length of history, 1 to 60; the campaign's date is the day after.
    dirty : bool
        Whether defects are planted.
    pilot_share : float
        Share of customers who may be written to that is in the pilot.

    Raises
    ------
    ParameterError
        If a setting is unknown or out of range.
    """

    n_customers: int
    seed: int
    difficulty: str
    structure: str
    lift: str
    start: date
    months: int
    dirty: bool
    pilot_share: float

    def __post_init__(self) -> None:
        choices = [
            ("difficulty", self.difficulty, list(DIFFICULTIES)),
            ("structure", self.structure, list(STRUCTURES)),
            ("lift", self.lift, ["planted", "none"]),
        ]
        for kind, got, known in choices:
            if got not in known:
                raise ParameterError(unknown(kind, str(got), known))
        if not 1 <= self.n_customers < 2**24:
            raise ParameterError(f"n_customers must be 1 to {2**24 - 1:,}, got {self.n_customers}")
        if not 1 <= self.months <= 60:
            raise ParameterError(f"months must be 1 to 60, got {self.months}")
        if not 0 <= self.pilot_share <= 1:
            raise ParameterError(f"pilot_share must be 0 to 1, got {self.pilot_share}")

    @cached_property
    def root(self) -> np.uint64:
        """The key from which every random number comes."""
        return root_key(self.seed, GENERATOR_VERSION)

    @cached_property
    def calendar(self) -> Calendar:
        """Days, sales and occasions."""
        return make_calendar(self.start, self.months)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Products, prices and exchange rates."""
        return make_catalogue(self.root, self.calendar)

    @cached_property
    def planted(self) -> campaign.Planted:
        """The answers to offers."""
        return campaign.plant(self.start, self.months, self.difficulty, self.structure, self.lift)

    @property
    def pilot_day(self) -> int:
        """Day on which the pilot goes out."""
        return self.calendar.days - min(PILOT_DAYS, self.calendar.days // 2)

    def people(self, index: Ints) -> People:
        """Draw customers by number."""
        return draw_people(self.root, index, self.calendar, self.difficulty, self.structure)


@dataclass(frozen=True)
class Block:
    """Raw tables and truth of some customers; rows of ``defects`` count from the block's first."""

    tables: dict[str, pl.DataFrame]
    customers: pl.DataFrame
    identities: pl.DataFrame
    defects: pl.DataFrame


def make_block(world: World, first: int) -> Block:
    """Simulate the customers from number ``first`` to the end of its block."""
    people = world.people(np.arange(first, min(first + BLOCK, world.n_customers)))
    ids = tables.identifiers(people)
    pilot = _pilot(world, people)
    orders, visits = _history(world, people, ids, pilot)
    mail = engagement.email_events(people, world.calendar, ids)
    trial = pilot_mail(world, people, ids, pilot)
    links, identities = _links(world, people, ids)
    made = {
        "orders": orders,
        "events": pl.concat([visits, mail, trial]).sort("event_time", maintain_order=True),
        "customers": _customers(world, people, ids),
        "survey": survey.survey_table(people, ids["account_id"]),
        "links": links,
        "assignments": _pilot_table(world, ids, pilot),
    }
    defects = [pl.DataFrame(schema=DEFECTS)]
    if world.dirty:
        for name in ("orders", "events", "customers", "survey"):
            made[name], found = soil(made[name], name, world.root, first, world.calendar)
            defects.append(found)
    truth = _truth(world, people, ids, pilot)
    return Block(made, truth, identities, pl.concat(defects))


def _history(
    world: World, people: People, ids: pl.DataFrame, pilot: Ints
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Orders and visits of history, the pilot's orders among them."""
    calendar = world.calendar
    baskets = purchases.shop(people, calendar)
    usual = _written(world, people, ids, baskets, sure=False)
    offered = np.flatnonzero(pilot >= 0)
    extra = pilot_answers(world, people, pilot)
    person = offered[extra.person]
    number, deal = _PILOT_NUMBERS + extra.number, np.zeros(len(person), dtype=bool)
    trial = purchases.make_baskets(people, calendar, person, number, extra.day, deal, "pilot")
    trial = purchases.with_offer(trial, campaign.saving_of(pilot[person]))
    added = _written(world, people, ids, trial, sure=True)
    visits = engagement.visit_events(
        people, calendar, world.catalogue, ids, engagement.browse(people, calendar), "S"
    )
    orders = pl.concat([usual[0], added[0]]).sort("ordered_at", "order_no", maintain_order=True)
    return orders, pl.concat([visits, usual[1], added[1]])


def _written(
    world: World, people: People, ids: pl.DataFrame, baskets: purchases.Baskets, *, sure: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fill baskets; return raw order lines (returns among them) and the visits behind them."""
    return written(
        world, people, ids, baskets, sure=sure, last=world.calendar.days, prefixes=("W", "R", "S")
    )


def written(
    world: World,
    people: People,
    ids: pl.DataFrame,
    baskets: purchases.Baskets,
    *,
    sure: bool,
    last: int,
    prefixes: tuple[str, str, str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fill baskets and write them out; what comes back does so before day ``last``."""
    calendar, catalogue = world.calendar, world.catalogue
    lines = purchases.make_lines(people, calendar, catalogue, baskets, sure=sure)
    back = purchases.send_back(people, catalogue, lines, last)
    accounts = tables.accounts_used(baskets.draws, ids, baskets.person)
    both = [
        tables.order_table(
            people, calendar, catalogue, accounts, baskets, part, prefix=prefix, status=status
        )
        for part, prefix, status in (
            (lines, prefixes[0], "completed"),
            (back, prefixes[1], "returned"),
        )
    ]
    kept = lines.get_column("basket").unique(maintain_order=True).to_numpy()
    sessions = engagement.buying(baskets, kept)
    visits = engagement.visit_events(people, calendar, catalogue, ids, sessions, prefixes[2])
    return pl.concat(both), visits


def _customers(world: World, people: People, ids: pl.DataFrame) -> pl.DataFrame:
    """Write the raw customers table, one row a main account."""
    columns = ("account_id", "email", "device_id", "loyalty_id")
    return ids.select(columns).hstack(describe(people, world.calendar))


def _pilot(world: World, people: People) -> Ints:
    """Offer of each customer in the pilot (place in OFFERS, 5 for the holdout), or -1 if not in it."""
    day, draws = world.pilot_day, people.draws
    known = writable(people, world.calendar, day + 1) & (people.active_from < day)
    chosen = known & (draws.uniform("in pilot") < world.pilot_share)
    offer = draws.choice("pilot offer", np.ones(len(OFFERS) + 1))
    return np.where(chosen, offer, -1)


def _pilot_table(world: World, ids: pl.DataFrame, pilot: Ints) -> pl.DataFrame:
    rows = np.flatnonzero(pilot >= 0)
    sent = np.full(len(rows), world.pilot_day) * purchases.DAY + 6 * 3600 * purchases.SECOND
    names, holdout = pl.Series([*OFFERS, NO_OFFER]), pilot[rows] == len(OFFERS)
    return pl.DataFrame(
        {
            "account_id": ids["account_id"].gather(rows),
            "campaign_id": pl.Series([PILOT_ID]).gather(np.zeros(len(rows), np.int64)),
            "arm": pl.Series(["offer", "holdout"]).gather(holdout * 1),
            "offer": names.gather(pilot[rows]),
            "assigned_at": tables.local_time(world.calendar, sent),
        }
    )


def pilot_answers(world: World, people: People, pilot: Ints) -> campaign.Answers:
    """Draw the orders that the pilot's offers brought; persons count among those in the pilot."""
    rows = np.flatnonzero(pilot >= 0)
    some = people.some(rows)
    added = world.planted.added(some, np.ones(len(rows), dtype=bool))
    day = np.full(len(rows), world.pilot_day)
    last = np.full(len(rows), world.calendar.days)
    return campaign.answer(some, added, pilot[rows], day, last, "pilot")


def pilot_mail(world: World, people: People, ids: pl.DataFrame, pilot: Ints) -> pl.DataFrame:
    """Write the pilot's e-mails and what was done with them."""
    among = np.flatnonzero(pilot >= 0)
    converted = among[pilot_answers(world, people, pilot).person]
    rows = among[pilot[among] < len(OFFERS)]
    names = pl.Series([PILOT_ID]).gather(np.zeros(len(rows), np.int64))
    return engagement.campaign_mail(
        people.some(rows),
        world.calendar,
        ids[rows],
        names,
        np.full(len(rows), world.pilot_day),
        np.flatnonzero(np.isin(rows, converted)),
        "pilot",
    )


def _links(world: World, people: People, ids: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pairs of identifiers seen together, and the true owner of each identifier."""
    kinds = ["guest_id", "email", "device_id", "second_device", "loyalty_id"]
    owned = ids.unpivot(kinds, index="account_id", variable_name="kind", value_name="identifier")
    owned = owned.drop_nulls("identifier").sort("account_id", "kind")
    main = ids.select("account_id", kind=pl.lit("account_id"), identifier="account_id")
    identities = pl.concat([main, owned]).rename({"account_id": "customer_id"})
    # A second account is known by its e-mail alone: nobody wrote down whose it is.
    by_mail = ids.drop_nulls("guest_id").select(left="guest_id", right="email")
    plain = owned.filter(pl.col("kind") != "guest_id").select(left="account_id", right="identifier")
    return pl.concat([plain, by_mail]), identities


def _truth(world: World, people: People, ids: pl.DataFrame, pilot: Ints) -> pl.DataFrame:
    """What is true of each customer, with the expected answers to the coming campaign."""
    days = world.calendar.days
    base = campaign.natural(people, world.calendar, world.catalogue, days, 7 * WINDOW_WEEKS)
    reached = writable(people, world.calendar, days)
    added = world.planted.added(people, reached) * campaign.realised(campaign.WINDOW_DAYS)
    offers = pl.Series(OFFERS)
    return pl.DataFrame({"customer_id": ids["account_id"]}).hstack(
        truth_of(people, world.calendar).with_columns(
            best_offer=offers.gather(campaign.best_offers(people)),
            writable=reached,
            in_pilot=pl.Series(pilot >= 0),
            natural_orders=base,
            **{f"added_{name}": added[:, k] for k, name in enumerate(OFFERS)},
        )
    )


__all__ = ["ARCHETYPES", "BLOCK", "Block", "World", "make_block"]
