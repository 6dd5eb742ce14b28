"""True values of the simulation: settings, responses to offers, drivers, elasticities, lifts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.errors import ParameterError, require_choice, unknown
from segkit.simulate.archetypes import (
    ARCHETYPES,
    DIFFICULTIES,
    DISCOUNT_OF_OFFER,
    DRIVERS,
    GENERATOR_VERSION,
    NO_OFFER,
    OFFERS,
    PILOT_SHARE,
    PLANTED_LIFT,
    RESPONSE,
    STREAMS,
    TRAITS,
    WINDOW_WEEKS,
)
from segkit.simulate.catalogue import (
    HORIZON_DAYS,
    Calendar,
    Catalogue,
    make_calendar,
    make_catalogue,
)
from segkit.simulate.customers import People, draw_people, items, writable
from segkit.simulate.draws import Draws, Floats, Ints, root_key, spread_out
from segkit.simulate.purchases import kept_share, rates

WINDOW_DAYS = 7.0 * WINDOW_WEEKS - 1  # an offer's orders begin on the day after it
DECAY_DAYS = 10.0  # days in which an offer's effect falls by a factor e
_REFERENCE = 20_000  # customers on whom the gain is calibrated, the same for every seed


@dataclass(frozen=True, slots=True)
class Planted:
    """The simulated responses to offers.

    Attributes
    ----------
    pull : array, shape (archetypes, offers)
        Orders that an offer adds per customer of average engagement over all time after it.
    kappa : float
        Strength of the right offers, solved for the lift set in the simulation.
    """

    pull: Floats
    kappa: float

    def added(self, people: People, reached: NDArray[np.bool_]) -> Floats:
        """Orders that each offer adds for each customer over all time, shape (n, offers).

        ``reached`` tells who may be written to; an offer does nothing for the others.
        """
        usual = np.array(TRAITS["open_probability"].centres)
        own = np.sqrt(people.traits["open_probability"] / (people.weights @ usual)).clip(0.4, 2.0)
        return np.asarray((people.weights @ self.pull) * (own * reached)[:, None])


def natural(people: People, first: int, days: int) -> Floats:
    """Compute the orders expected of each customer without an offer in some days from ``first``."""
    _, share_kept = kept_share(people)
    begin = np.full(len(people), first)
    end = np.maximum(np.minimum(first + days, people.left), begin)
    weights = np.vstack([people.calendar.weight(kind, begin, end) for kind in range(3)])
    return np.asarray(share_kept * (rates(people) * weights).sum(axis=0))


def pull_table(kappa: float) -> Floats:
    """Compute the response table for a given strength of the right offers."""
    table = np.zeros((len(ARCHETYPES), len(OFFERS)))
    for row, name in enumerate(ARCHETYPES):
        entry = RESPONSE[name]
        for column, offer in enumerate(OFFERS):
            times = 1.0 if offer == "generic" else float(entry[offer])
            if offer == entry["best"]:
                times = 1.0 + kappa * float(entry["gain"])
            table[row, column] = float(entry["generic"]) * times
    return table


def realised(days: Floats | float) -> Floats:
    """Compute the share of an offer's orders that come within some days after it."""
    return np.asarray(1 - np.exp(-np.asarray(days) / DECAY_DAYS))


def conversion(base: Floats, added: Floats) -> Floats:
    """Compute the probability of an order from the expected natural and added orders."""
    return np.asarray(1 - np.exp(-(base + added)))


def best_offers(people: People) -> Ints:
    """Return the place in `OFFERS` of the offer made for each customer's archetype."""
    best = np.array([OFFERS.index(RESPONSE[name]["best"]) for name in ARCHETYPES])
    return np.asarray(best[people.weights.argmax(axis=1)])


@lru_cache(maxsize=32)
def plant(
    start: date,
    months: int,
    difficulty: str,
    structure: str,
    lift: str,
) -> Planted:
    """Solve the strength of the right offers on a reference population.

    Among customers who may be written to, the expected share with an order within
    `WINDOW_WEEKS` is to be ``1 + PLANTED_LIFT`` times as high with the archetype's own
    offer as with the generic one. The reference customers are the same for every seed.

    Raises
    ------
    ParameterError
        If ``lift`` is neither "planted" nor "none".
    """
    if lift == "none":
        return Planted(np.zeros((len(ARCHETYPES), len(OFFERS))), 0.0)
    if lift != "planted":
        raise ParameterError(unknown("lift", lift, ["planted", "none"]))
    root, calendar = root_key(0, STREAMS), make_calendar(start, months)
    catalogue, index = make_catalogue(root, calendar), np.arange(_REFERENCE)
    people = draw_people(root, index, calendar, catalogue, difficulty, structure)
    people = people.some(np.flatnonzero(writable(people, calendar.days)))
    base, chosen = natural(people, calendar.days, 7 * WINDOW_WEEKS), best_offers(people)
    low, high = 0.0, 50.0
    for _ in range(60):
        kappa = (low + high) / 2
        tailored, generic = _conversions(people, base, chosen, Planted(pull_table(kappa), kappa))
        gain = tailored.mean() / generic.mean() - 1
        low, high = (kappa, high) if gain < PLANTED_LIFT else (low, kappa)
    return Planted(pull_table(kappa), kappa)


def _conversions(
    people: People, base: Floats, chosen: Ints, planted: Planted
) -> tuple[Floats, Floats]:
    everybody = np.ones(len(people), dtype=bool)
    added = planted.added(people, everybody) * realised(WINDOW_DAYS)
    tailored = added[np.arange(len(people)), chosen]
    return conversion(base, tailored), conversion(base, added[:, OFFERS.index("generic")])


def offer_codes(offers: list[str]) -> Ints:
    """Return each offer's place in `OFFERS`; -1 for none (a holdout).

    Raises
    ------
    ParameterError
        If an offer is not one of them.

    Examples
    --------
    >>> offer_codes(["generic", "none"]).tolist()
    [4, -1]
    """
    places = {name: k for k, name in enumerate(OFFERS)} | {NO_OFFER: -1}
    for offer in offers:
        require_choice("offer", offer, places)
    return np.array([places[offer] for offer in offers], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Answers:
    """Orders that follow a campaign: the customers' rows, the orders' numbers and days."""

    person: Ints
    number: Ints
    day: Ints

    def before(self, last: Ints) -> Answers:
        """Keep the orders made before each customer's day ``last``."""
        keep = self.day < last[self.person]
        return Answers(self.person[keep], self.number[keep], self.day[keep])


def answer(
    people: People, added: Floats, offers: Ints, day: Ints, last: Ints, stage: str
) -> Answers:
    """Draw the orders that offers given on ``day`` bring before day ``last``.

    The count for one customer and offer rests on that customer's own random numbers, so another
    offer, or another customer's, changes nothing; more pull never loses an order.
    """
    added = np.column_stack([added, np.zeros(len(people))])
    stream = people.draws.child(np.arange(len(people)), 0, f"offer {stage}")
    expected = added[np.arange(len(people)), offers] * realised(float(HORIZON_DAYS))
    person, number = spread_out(stream.poisson("count", expected))
    level = stream.child(person, number, "order").uniform("day") * realised(float(HORIZON_DAYS))
    wait = np.floor(-DECAY_DAYS * np.log1p(-level)).astype(np.int64)
    when = day[person] + 1 + wait  # the e-mail is opened on the day itself
    keep = when < last[person]
    return Answers(person[keep], number[keep], when[keep])


def stay(people: People, first: Ints, last: Ints, stage: str) -> Answers:
    """Draw the orders after history that no offer brings; they are the same under every offer."""
    _, share_kept = kept_share(people)
    begin = np.full(len(people), people.calendar.days)
    leaving = np.clip(people.left, begin, begin + HORIZON_DAYS)
    parts = []
    for kind, rate in enumerate(rates(people)):
        person, number, _, day = people.happen(
            f"after {stage}", "order", kind, kind, share_kept * rate, begin, leaving
        )
        parts.append((person, number * 3 + kind, day))
    person, number, day = (np.concatenate(column) for column in zip(*parts, strict=True))
    keep = (day >= first[person]) & (day < last[person])
    return Answers(person[keep], number[keep], day[keep])


def saving_of(offers: Ints) -> Floats:
    """Return the discount rate of each offer."""
    table = np.array([*(DISCOUNT_OF_OFFER.get(name, 0.0) for name in OFFERS), 0.0])
    return np.asarray(table[offers])


BLOCK = 2_000  # customers made at a time, whatever the batch
PILOT_ID, PILOT_DAYS = "PILOT", 42  # the pilot goes out so many days before the campaign
Structure = Literal["archetypes", "none"]
PlantedLift = Literal["planted", "none"]
STRUCTURES: tuple[Structure, ...] = get_args(Structure)
START, MONTHS = date(2022, 3, 1), 36


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
    difficulty: str = "medium"
    structure: str = "archetypes"
    lift: str = "planted"
    start: date = START
    months: int = MONTHS
    dirty: bool = True
    pilot_share: float = PILOT_SHARE

    def __post_init__(self) -> None:
        choices = {
            "difficulty": tuple(DIFFICULTIES),
            "structure": STRUCTURES,
            "lift": get_args(PlantedLift),
        }
        for name, allowed in choices.items():
            require_choice(name, getattr(self, name), allowed)
        if not 1 <= self.n_customers < 2**24:
            raise ParameterError(f"n_customers must be 1 to {2**24 - 1:,}, got {self.n_customers}")
        if not 1 <= self.months <= 60:
            raise ParameterError(f"months must be 1 to 60, got {self.months}")
        if not 0 <= self.pilot_share <= 1:
            raise ParameterError(f"pilot_share must be 0 to 1, got {self.pilot_share}")

    @cached_property
    def root(self) -> np.uint64:
        """The key from which every random number comes."""
        return root_key(self.seed, STREAMS)

    @cached_property
    def calendar(self) -> Calendar:
        """Days, sales and occasions."""
        return make_calendar(self.start, self.months)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Products, prices and exchange rates."""
        return make_catalogue(self.root, self.calendar)

    @cached_property
    def planted(self) -> Planted:
        """The answers to offers."""
        return plant(self.start, self.months, self.difficulty, self.structure, self.lift)

    @property
    def pilot_day(self) -> int:
        """Day on which the pilot goes out."""
        return self.calendar.days - min(PILOT_DAYS, self.calendar.days // 2)

    def neighbours(self, people: People) -> Draws:
        """Return the streams of each customer's neighbour, with whom a device may be shared."""
        return Draws.of(self.root, people.index ^ 1)

    def people(self, index: Ints) -> People:
        """Draw customers by number."""
        shop = (self.calendar, self.catalogue)
        return draw_people(self.root, index, *shop, self.difficulty, self.structure)


NEEDED = (
    "archetype",
    "writable",
    "best_offer",
    "natural_orders",
    "orders_per_year",
    "items_per_order",
    "price_elasticity",
)
"""Columns of the customers' truth that `planted` reads, beside those of the offers."""


def planted(world: World, customers: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the planted facts that hold for all customers.

    Parameters
    ----------
    world : World
    customers : DataFrame
        The truth about the customers, for the true lifts.

    Returns
    -------
    dict of DataFrame
        drivers, elasticities (by archetype, weighted by purchases), lifts, items, settings.
    """
    drivers = [(*row, TRAITS[row[0]].scale) for row in DRIVERS]
    return {
        "drivers": pl.DataFrame(
            drivers, schema=["trait", "driver", "coefficient", "scale"], orient="row"
        ),
        "elasticities": _elasticities(customers),
        "lifts": lifts(customers),
        "items": items(),
        "settings": _settings(world),
    }


def _groups(customers: pl.DataFrame) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return all customers, then each archetype's, as rows; in NumPy, so to the same last digit."""
    archetype = customers["archetype"].to_numpy()
    names = [name for name in sorted(ARCHETYPES) if (archetype == name).any()]
    return [("all", np.ones(len(archetype), dtype=bool)), *((n, archetype == n) for n in names)]


def _elasticities(customers: pl.DataFrame) -> pl.DataFrame:
    """Average the price elasticity of demand by archetype, and over all, weighted by purchases."""
    weights = (customers["orders_per_year"] * customers["items_per_order"]).to_numpy()
    values = -customers["price_elasticity"].to_numpy()
    rows = [
        (name, float((values[chosen] @ weights[chosen]) / weights[chosen].sum()))
        for name, chosen in _groups(customers)
    ]
    return pl.DataFrame(rows, schema=["archetype", "elasticity"], orient="row")


def lifts(customers: pl.DataFrame) -> pl.DataFrame:
    """Return the expected conversion by archetype under no offer, the generic, and the right one.

    Returns
    -------
    DataFrame
        archetype ("all" first), customers, holdout, each offer, tailored (shares with an order
        within four weeks, among those who may be written to), lift (tailored over generic - 1).
    """
    some = customers.filter("writable")
    base = some["natural_orders"].to_numpy()
    columns = {name: conversion(base, some[f"added_{name}"].to_numpy()) for name in OFFERS}
    places = np.array([OFFERS.index(name) for name in some["best_offer"]], dtype=np.int64)
    table = np.column_stack(list(columns.values()))
    chosen = table[np.arange(some.height), places] if some.height else np.zeros(0)
    shares = {"holdout": conversion(base, 0.0 * base)} | columns | {"tailored": chosen}
    rows = [
        {"archetype": name, "customers": int(group.sum())}
        | {key: float(values[group].mean()) for key, values in shares.items()}
        for name, group in _groups(some)
        if group.any()
    ]
    schema = {"archetype": pl.String, "customers": pl.Int64} | dict.fromkeys(shares, pl.Float64)
    return pl.DataFrame(rows, schema=schema).with_columns(
        lift=pl.col("tailored") / pl.col("generic") - 1
    )


def _settings(world: World) -> pl.DataFrame:
    """Return the settings as text, one row each."""
    factors = DIFFICULTIES[world.difficulty]
    facts = {
        "generator_version": GENERATOR_VERSION,
        "n_customers": world.n_customers,
        "seed": world.seed,
        "difficulty": world.difficulty,
        "contrast": factors.contrast,
        "spread": factors.spread,
        "structure": world.structure,
        "groups": len(ARCHETYPES) if world.structure == "archetypes" else 0,
        "lift": world.lift,
        "planted_lift": PLANTED_LIFT if world.lift == "planted" else 0.0,
        "kappa": round(world.planted.kappa, 6),
        "start": world.start,
        "months": world.months,
        "campaign_date": world.calendar.campaign_date,
        "dirty": world.dirty,
        "pilot_share": world.pilot_share,
    }
    return pl.DataFrame({"setting": list(facts), "value": [str(value) for value in facts.values()]})
