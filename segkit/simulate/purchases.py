"""What is bought, when, and what comes back? Shopping occasions, order lines, returns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.simulate.archetypes import CATEGORIES
from segkit.simulate.catalogue import CURRENCY, FOREIGN, Catalogue
from segkit.simulate.customers import People
from segkit.simulate.draws import Draws, Floats, Ints, spread_out
from segkit.simulate.seasons import Calendar

EVERYDAY, SALE, GIFT = 0, 1, 2
CHANNELS = ("web", "app", "store")
SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
_HOURS = np.array([2, 4, 5, 5, 6, 7, 6, 5, 5, 6, 8, 11, 13, 12, 8, 4], dtype=float)  # from 7:00
_OPENING = np.array([0, 0, 3, 5, 7, 9, 9, 8, 8, 8, 7, 5, 0, 0, 0, 0], dtype=float)  # of stores
_EVERYDAY = np.array([float(row["everyday"]) for row in CATEGORIES])
_GIFTS = np.array([float(row["gift"]) for row in CATEGORIES])
_RETURNS = np.array([float(row["returns"]) for row in CATEGORIES])
_VOUCHERS = np.array([0.10, 0.15, 0.20])
_STRIDE = 4096  # numbers kept for one customer's orders, or sessions
_SCATTER = 0x9E3779B1  # odd: times this, modulo 2 ** 36, no two numbers meet


@dataclass(frozen=True, slots=True)
class Baskets:
    """Orders, one entry each.

    Attributes
    ----------
    person : array of int
        Row of the customer in its `People`.
    number : array of int
        The order's number among the customer's own.
    draws : Draws
    day, second : arrays of int
        Local calendar day and second of the day.
    channel : array of int
        Place in `CHANNELS`.
    saving : array of float
        Money off as a share that the order's voucher or offer gives beside the day's sale.
    deal : array of bool
        Whether the order takes the day's sale.
    """

    person: Ints
    number: Ints
    draws: Draws
    day: Ints
    second: Ints
    channel: Ints
    saving: Floats
    deal: NDArray[np.bool_]

    @property
    def time(self) -> Ints:
        """Local time in microseconds from day 0."""
        return self.day * DAY + self.second * SECOND


def second_of_day(draws: Draws, hours: Floats = _HOURS) -> Ints:
    """Draw a local second of the day from 7:00 to 22:59, clear of the hours when clocks change."""
    hour = 7 + draws.choice("hour", hours)
    return np.asarray(hour * 3600 + (draws.uniform("second") * 3540).astype(np.int64))


def kept_share(people: People, catalogue: Catalogue) -> tuple[Floats, Floats]:
    """Return each customer's mean lines wanted per order, and share of orders not lost to price."""
    keeping = catalogue.mean_keeping(people.traits["price_elasticity"])
    wanted = np.maximum(people.traits["items_per_order"] / keeping, 1.0)
    return wanted, 1 - (1 - keeping) * np.exp(-(wanted - 1) * keeping)


def rates(people: People) -> Floats:
    """Return orders a year before the loss to price by kind of day, shape (3, n)."""
    gift = people.traits["occasion_share"]
    sale = (1 - gift) * 0.55 * people.traits["deal_proneness"]
    return np.asarray(people.traits["orders_per_year"] * np.vstack([1 - gift - sale, sale, gift]))


def shop(people: People, calendar: Calendar) -> Baskets:
    """Draw every shopping occasion of history: a Poisson process with the calendar's rhythm."""
    first = np.minimum(people.active_from, calendar.days)
    last = np.maximum(np.minimum(people.left, calendar.days), first)
    every = np.arange(len(people))
    persons, numbers, days, deals = [], [], [], []
    for kind, rate in enumerate(rates(people)):
        stream = people.draws.child(every, kind, "shopping")
        counts = stream.poisson("count", rate * calendar.weight(kind, first, last))
        person, number = spread_out(counts)
        level = stream.child(person, number, "occasion").uniform("day")
        persons.append(person)
        numbers.append(number * 3 + kind)
        days.append(calendar.day_at(kind, first[person], last[person], level))
        deals.append(np.full(len(person), kind == SALE))
    person, number = np.concatenate(persons), np.concatenate(numbers)
    deal = np.concatenate(deals)
    return make_baskets(people, calendar, person, number, np.concatenate(days), deal, "history")


def make_baskets(
    people: People,
    calendar: Calendar,
    person: Ints,
    number: Ints,
    day: Ints,
    deal: NDArray[np.bool_],
    stage: str,
) -> Baskets:
    """Give orders their time of day, channel, voucher, and share in the day's sale."""
    draws = people.draws.child(person, number, f"order {stage}")
    prone = people.traits["deal_proneness"][person]
    app, store = people.traits["app_share"][person], people.traits["store_share"][person]
    weights = np.column_stack([(1 - store) * (1 - app), (1 - store) * app, store])
    channel = draws.choice("channel", weights)
    second = np.where(channel == 2, second_of_day(draws, _OPENING), second_of_day(draws))
    on_sale = calendar.depth[day] > 0
    takes = on_sale & (deal | (draws.uniform("takes the sale") < 0.15 + 0.6 * prone))
    voucher = ~takes & (draws.uniform("voucher") < 0.45 * prone)
    saving = np.where(voucher, _VOUCHERS[draws.choice("voucher size", np.ones(3))], 0.0)
    return Baskets(person, number, draws, day, second, channel, saving, takes)


def with_offer(baskets: Baskets, saving: Floats) -> Baskets:
    """Give orders an offer's saving where it is better than their own, and no sale price."""
    none = np.zeros(len(saving), dtype=bool)
    offered = saving > 0
    return replace(
        baskets,
        saving=np.maximum(baskets.saving, saving),
        deal=np.where(offered, none, baskets.deal),
    )


def make_lines(
    people: People, calendar: Calendar, catalogue: Catalogue, baskets: Baskets, *, sure: bool
) -> pl.DataFrame:
    """Fill the baskets: each line is kept with the probability that its price leaves.

    With ``sure``, the first line of each order is always kept (orders already counted as made).

    Returns
    -------
    DataFrame
        basket (row), line, person, product, day, time, quantity, price (list price in pounds),
        share (money off), channel; one row a line.
    """
    wanted, _ = kept_share(people, catalogue)
    counts = 1 + baskets.draws.poisson("lines", wanted[baskets.person] - 1)
    basket, line = spread_out(counts)
    draws = baskets.draws.child(basket, line, "line")
    person, day = baskets.person[basket], baskets.day[basket]
    gift = draws.uniform("gift") < people.traits["gift_taste"][person]
    mood = np.where(gift[:, None], _GIFTS[None, :], _EVERYDAY[None, :])
    category = draws.choice("category", mood)
    tier = people.traits["price_tier"][person]
    product = catalogue.pick(category, draws.uniform("tier") ** (1 / tier**1.5))
    left = catalogue.keeping(product, day, people.traits["price_elasticity"][person])
    keep = draws.uniform("keep") < left
    if sure:
        keep |= line == 0
    share = np.where(baskets.deal[basket], calendar.depth[day], baskets.saving[basket])
    frame = pl.DataFrame(
        {
            "basket": basket,
            "line": line,
            "person": person,
            "product": product,
            "day": day,
            "time": baskets.time[basket],
            "quantity": 1 + (draws.uniform("quantity") < 0.06).astype(np.int64),
            "price": catalogue.price[product, day],
            "share": share,
            "channel": baskets.channel[basket],
            "key": draws.keys,
        }
    )
    return frame.filter(pl.Series(keep))


def send_back(people: People, catalogue: Catalogue, lines: pl.DataFrame, last: int) -> pl.DataFrame:
    """Draw which lines come back, 4 to 30 days later and before day ``last``."""
    draws = Draws(lines.get_column("key").to_numpy())
    person, product = lines["person"].to_numpy(), lines["product"].to_numpy()
    factor = _RETURNS[catalogue.category[product]]
    chance = np.minimum(people.traits["return_probability"][person] * factor, 0.9)
    day = lines["day"].to_numpy() + 4 + (27 * draws.uniform("return day") ** 1.7).astype(np.int64)
    back = (draws.uniform("return") < chance) & (day < last)
    second = second_of_day(Draws(draws.keys ^ np.uint64(1)))
    # The day stays that of the purchase: what was paid in euros is refunded in the same euros.
    moved = lines.with_columns(time=pl.Series(day * DAY + second * SECOND))
    return moved.filter(pl.Series(back))


def scattered(prefix: str, index: Ints, number: Ints) -> pl.Series:
    """Name a customer's order or session so that no two share a name and none shows its owner."""
    code = (
        (index.astype(np.uint64) * np.uint64(_STRIDE) + number.astype(np.uint64))
        * np.uint64(_SCATTER)
    ) % np.uint64(2**36)
    digits = pl.Series(code).cast(pl.String).str.zfill(11)
    return pl.Series([prefix], dtype=pl.String).gather(np.zeros(len(code), np.int64)) + digits


def euros(amount: Floats, rate: Floats, abroad: NDArray[np.bool_]) -> Floats:
    """Turn pounds into euros for customers who pay in them, to the penny or cent."""
    return np.asarray(np.round(np.where(abroad, amount / rate, amount), 2), dtype=np.float64)


def currency_of(abroad: NDArray[np.bool_]) -> pl.Series:
    """Return each row's currency code."""
    return pl.Series([CURRENCY, FOREIGN]).gather(abroad.astype(np.int64))
