"""A further year of the simulated retailer, with customers who change, leave and come."""

from __future__ import annotations

import collections.abc as abc
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.errors import DataError, ParameterError, require_choice
from segkit.frames import takes_frames
from segkit.simulate import engagement, purchases
from segkit.simulate.archetypes import ARCHETYPES, SHARES, TRAITS, centres, from_scale, to_scale
from segkit.simulate.block import written
from segkit.simulate.catalogue import HORIZON_DAYS, Calendar, Catalogue, make_calendar, month_after
from segkit.simulate.customers import People, leaving_day
from segkit.simulate.draws import Draws, Floats, Ints
from segkit.simulate.respond import find_numbers
from segkit.simulate.world import BLOCK, World

if TYPE_CHECKING:
    from segkit.intake.mapping import Mapping

YEAR_MONTHS = 12
NUMBERS = 2000  # of a customer's orders in the further year: above those of campaigns
ANSWERS = 0.12  # share of orders after which the customer is asked and answers
UNSUBSCRIBES = 3.0  # years over which history spreads who unsubscribes
EVENTS = ("event_time", "event_type", "account_id", "session_id", "campaign_id")
#: What an archetype keeps from the one before: who somebody is, not what they do.
KEPT = ("years_active", "joined_before", "loyalty_card", "marketing_consent", "female", "age",
        "income")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes that are planted on the first day of a further year.

    Attributes
    ----------
    changed : float
        Share of the customers who take on another archetype's habits.
    left : float
        Share of customers who leave during the year, in addition to those whose simulated lifetime
        ends.
    new : float
        New customers, as a share of the existing ones.
    habits : mapping of str to float
        Trait (`segkit.simulate.archetypes.TRAITS`) to the factor by which it changes for everybody:
        ``{"deal_proneness": 1.5}``; the odds of a trait that is a share, else the trait itself.
    """

    changed: float = 0.12
    left: float = 0.06
    new: float = 0.10
    habits: abc.Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("changed", "left", "new"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ParameterError(f"{name} must lie between 0 and 1, got {value}")
        able = [name for name, trait in TRAITS.items() if trait.scale != "plain"]
        able = [name for name in able if name not in KEPT]
        for name, factor in self.habits.items():
            require_choice("habit", name, able)
            if not factor > 0:
                raise ParameterError(f"the factor of {name} must be above 0, got {factor}")


@dataclass(frozen=True, slots=True, eq=False)
class FurtherYear:
    """Raw tables of a further year, and the changes planted in it.

    Attributes
    ----------
    tables : dict of DataFrame
        orders, events and survey (satisfaction after an order, with its day) in the raw tables'
        format, without defects, everybody signed in; campaigns (the newsletters), products, prices
        and fx.
    truth : DataFrame
        One row per customer: customer_id, archetype (before; of new ones theirs), archetype_now,
        changed, left (day, null for those who stay), new.
    start, end : date
        First and last day.
    """

    tables: dict[str, pl.DataFrame]
    truth: pl.DataFrame
    start: date
    end: date

    @property
    def mapping(self) -> Mapping:
        """What the raw columns of orders, events and what they refer to mean, for the intake."""
        from segkit.intake.mapping import Mapping

        mapping = Mapping.of_source("simulated")
        tables = dict(mapping.tables)
        for name, frame in self.tables.items():
            columns = tables[name].columns.items()
            present = {own: raw for own, raw in columns if raw in frame.columns}
            tables[name] = replace(tables[name], columns=present)
        return replace(mapping, tables=tables)


@takes_frames
def continue_year(
    world: World, changes: Changes | None = None, *, ids: pl.Series | None = None
) -> FurtherYear:
    """Play a further year of a simulated retailer, with planted changes of its customers.

    History stays as it is, byte for byte: the year has random numbers of its own. It begins on the
    campaign's date and knows no campaign but the newsletters; prices stay at their last level.

    Parameters
    ----------
    world : World
        The retailer's settings (``retailer.world``).
    changes : Changes, optional
        What is planted; by default `Changes()`.
    ids : Series, optional
        Customers' ids as an intake has linked them, to be used in the year's tables; others keep
        their account ids.

    Returns
    -------
    FurtherYear

    Raises
    ------
    ParameterError
        If the world has no archetypes to change between.
    DataError
        If an id is not one of the retailer's.

    Examples
    --------
    >>> year = continue_year(World(60, 1, months=12), Changes(changed=0.5, new=0.1))
    >>> year.start, year.end, year.truth["new"].sum()
    (datetime.date(2023, 3, 1), datetime.date(2024, 2, 29), 6)
    """
    if world.structure != "archetypes":
        raise ParameterError("a retailer without archetypes has none to change between")
    planted = changes or Changes()
    calendar = make_calendar(world.start, world.months + YEAR_MONTHS)
    catalogue = _extended(world.catalogue, calendar)
    total = world.n_customers + round(planted.new * world.n_customers)
    names = _names(world, ids)
    parts = [
        _play(
            world, planted, calendar, catalogue, np.arange(first, min(first + BLOCK, total)), names
        )
        for first in range(0, total, BLOCK)
    ]
    keys = {"orders": "ordered_at", "events": "event_time", "survey": "answered_at"}
    tables = {
        name: pl.concat([part[0][name] for part in parts]).sort(key, maintain_order=True)
        for name, key in keys.items()
    }
    start = world.calendar.campaign_date
    letters = engagement.newsletters(calendar)
    tables["campaigns"] = letters.filter(pl.col("starts") >= start)
    shared = world.catalogue
    tables |= {"products": shared.products, "prices": shared.prices, "fx": shared.fx}
    end = month_after(world.start, world.months + YEAR_MONTHS) - timedelta(days=1)
    return FurtherYear(tables, pl.concat([part[1] for part in parts]), start, end)


def _play(
    world: World,
    planted: Changes,
    calendar: Calendar,
    catalogue: Catalogue,
    index: Ints,
    names: dict[int, str],
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Play the year of some customers, by number."""
    before = world.people(index)
    people, truth = _changed(world, planted, before, calendar, catalogue)
    ids = purchases.identifiers(before, world.neighbours(before), share=False)
    own = [names.get(int(number), name) for number, name in zip(index, ids["main"], strict=True)]
    ids = ids.with_columns(
        account_id=pl.Series(own, dtype=pl.String), guest_id=pl.lit(None, pl.String)
    )
    # The behaviour of the year has its own random numbers; who somebody is keeps the old ones.
    acting = replace(people, draws=_year_draws(people))
    baskets = purchases.shop(acting)
    baskets = replace(baskets, number=NUMBERS + baskets.number)
    orders, visits = written(people, ids, baskets, sure=False, last=calendar.days)
    sessions = engagement.browse(acting)
    everybody = np.ones(len(sessions.day), dtype=bool)  # nobody has to be linked
    sessions = replace(sessions, signed_in=everybody)
    looked = engagement.visit_events(people, ids, sessions, "Y")
    mails = engagement.email_events(people, ids, leaving=_unsubscribing(world, people, before))
    whose = pl.col("email").replace_strict(ids["email"], ids["account_id"], default=None)
    mails = mails.with_columns(pl.col("account_id").fill_null(whose))
    tables = {
        "orders": orders,
        "events": pl.concat([visits, looked, mails]).select(EVENTS),
        "survey": _satisfaction(people, ids, baskets),
    }
    return tables, truth.with_columns(customer_id=ids["account_id"]).select(
        "customer_id", pl.exclude("customer_id")
    )


def _year_draws(people: People) -> Draws:
    return people.draws.child(np.arange(len(people)), 0, "further year")


def _extended(catalogue: Catalogue, calendar: Calendar) -> Catalogue:
    """Let prices and exchange rates stay at their last level for another year."""
    more = calendar.days + HORIZON_DAYS - catalogue.price.shape[1]
    price = np.pad(catalogue.price, ((0, 0), (0, more)), mode="edge")
    return replace(catalogue, price=price, rate=np.pad(catalogue.rate, (0, more), mode="edge"))


def _changed(
    world: World, planted: Changes, before: People, calendar: Calendar, catalogue: Catalogue
) -> tuple[People, pl.DataFrame]:
    """Return the customers as they are in the year, and what was planted."""
    first, days = world.calendar.days, calendar.days
    draws = _year_draws(before)
    new = before.index >= world.n_customers
    joined = np.where(
        new, first + (draws.uniform("joins") * (days - first)).astype(np.int64), before.joined
    )
    active = np.maximum(joined, first)
    life = before.left - before.active_from
    left = np.where(new, joined + life, before.left)
    stays = ~new & (left > first)
    changes = stays & (draws.uniform("changes") < planted.changed)
    archetype = np.where(changes, _another(draws, before.archetype), before.archetype)
    leaves = (
        stays & ~changes & (draws.uniform("leaves") < planted.left / (1 - planted.changed or 1))
    )
    goes = first + (draws.uniform("day of leaving") * (days - first)).astype(np.int64)
    left = np.where(leaves, np.minimum(left, goes), left)
    traits = _moved(before, archetype, world.difficulty)
    for name, factor in planted.habits.items():
        scale = TRAITS[name].scale
        traits[name] = from_scale(to_scale(traits[name], scale) + np.log(factor), scale)
    people = replace(
        before, calendar=calendar, catalogue=catalogue, archetype=archetype,
        weights=np.eye(len(ARCHETYPES))[archetype], traits=traits, joined=joined,
        active_from=active, left=left,
    )  # fmt: skip
    labels = pl.Series(ARCHETYPES)
    has_left = left < days
    day = np.datetime64(calendar.start) + np.where(has_left, left, 0)
    truth = pl.DataFrame(
        {
            "archetype": labels.gather(before.archetype),
            "archetype_now": labels.gather(archetype),
            "changed": changes,
            "left": pl.Series(day).cast(pl.Date).set(~pl.Series(has_left), None),
            "new": new,
        }
    )
    return people, truth


def _another(draws: Draws, archetype: Ints) -> Ints:
    """Draw another archetype than each customer's own, by the archetypes' shares."""
    weights = np.where(np.arange(len(ARCHETYPES))[None, :] == archetype[:, None], 0.0, SHARES)
    return draws.choice("archetype", weights)


def _moved(people: People, archetype: Ints, difficulty: str) -> dict[str, Floats]:
    """Move each customer's habits from the old archetype's centre to the new one's."""
    table = centres(difficulty)
    traits = dict(people.traits)
    changes = archetype != people.archetype
    for place, (name, trait) in enumerate(TRAITS.items()):
        if name in KEPT:
            continue
        shift = table[archetype, place] - table[people.archetype, place]
        moved = from_scale(to_scale(traits[name], trait.scale) + shift, trait.scale)
        traits[name] = np.where(changes, moved, traits[name])
    return traits


def _unsubscribing(world: World, people: People, before: People) -> Ints:
    """Return the day on which each customer unsubscribes, in history or in the year."""
    earlier, first, days = leaving_day(before), world.calendar.days, people.calendar.days
    draws = _year_draws(people)
    chance = (0.16 - 0.14 * people.traits["open_probability"]) / UNSUBSCRIBES
    leaves = draws.uniform("unsubscribes") < chance
    span = np.maximum(days - people.active_from, 1)
    day = people.active_from + (draws.uniform("unsubscribe day") * span).astype(np.int64)
    now = np.where(leaves, day, days + 10**6)
    return np.where((earlier < first) & (people.index < world.n_customers), earlier, now)


def _satisfaction(people: People, ids: pl.DataFrame, baskets: purchases.Baskets) -> pl.DataFrame:
    """Ask some customers after an order; loyal ones are more satisfied."""
    respondents = np.flatnonzero(baskets.draws.uniform("asked") < ANSWERS)
    draws, person = baskets.draws.rows(respondents), baskets.person[respondents]
    score = 3.8 + 0.35 * people.traits["loyalty"][person] + 0.7 * draws.normal("csat")
    day = np.datetime64(people.calendar.start) + baskets.day[respondents] + 3
    return pl.DataFrame(
        {
            "account_id": ids["account_id"].gather(person),
            "csat": np.round(score).clip(1, 5).astype(np.int64),
            "answered_at": pl.Series(day).cast(pl.Date),
        }
    )


def _names(world: World, ids: pl.Series | None) -> dict[int, str]:
    """Return the id to use of each customer number, an account of one's own before a guest's."""
    if ids is None:
        return {}
    text = ids.cast(pl.String).unique().sort(descending=True)  # C... after G...: it is kept
    numbers, valid = find_numbers(world, text)
    if not valid.all():
        wrong = text.filter(~pl.Series(valid))
        raise DataError(f"{len(wrong)} ids are not this retailer's, such as {wrong[0]}")
    return {int(number): name for number, name in zip(numbers, text, strict=True)}
