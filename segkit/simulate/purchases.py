"""Simulated shopping: occasions, order lines, returns, and the tables of an export."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.simulate.archetypes import CATEGORIES
from segkit.simulate.catalogue import CURRENCY, FOREIGN, Calendar
from segkit.simulate.customers import People
from segkit.simulate.draws import Draws, Floats, Ints, spread_out

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


def kept_share(people: People) -> tuple[Floats, Floats]:
    """Return each customer's mean lines wanted per order, and share of orders not lost to price."""
    keeping = people.catalogue.mean_keeping(people.traits["price_elasticity"])
    wanted = np.maximum(people.traits["items_per_order"] / keeping, 1.0)
    return wanted, 1 - (1 - keeping) * np.exp(-(wanted - 1) * keeping)


def rates(people: People) -> Floats:
    """Return orders a year before the loss to price by kind of day, shape (3, n)."""
    gift = people.traits["occasion_share"]
    sale = (1 - gift) * 0.55 * people.traits["deal_proneness"]
    return np.asarray(people.traits["orders_per_year"] * np.vstack([1 - gift - sale, sale, gift]))


def shop(people: People) -> Baskets:
    """Draw every shopping occasion of history."""
    first = np.minimum(people.active_from, people.calendar.days)
    last = np.maximum(np.minimum(people.left, people.calendar.days), first)
    parts = []
    for kind, rate in enumerate(rates(people)):
        person, number, _, day = people.happen(
            "shopping", "occasion", kind, kind, rate, first, last
        )
        parts.append((person, number * 3 + kind, day, np.full(len(person), kind == SALE)))
    person, number, day, deal = (np.concatenate(column) for column in zip(*parts, strict=True))
    return make_baskets(people, "history", person, number, day, deal)


def make_baskets(
    people: People,
    stage: str,
    person: Ints,
    number: Ints,
    day: Ints,
    deal: NDArray[np.bool_] | None = None,
    saving: Floats | None = None,
) -> Baskets:
    """Give orders their time of day, channel, voucher, and share in the day's sale.

    Parameters
    ----------
    people : People
    stage : str
        Name of the random streams.
    person, number, day : arrays of int
        The customer, the order's number among the customer's own, and its day.
    deal : array of bool, optional
        Orders that are made for the day's sale; none by default.
    saving : array of float, optional
        An offer's discount, which takes the place of a smaller one and of the sale price.
    """
    draws = people.draws.child(person, number, f"order {stage}")
    depth = people.calendar.depth[day]
    prone = people.traits["deal_proneness"][person]
    app, store = people.traits["app_share"][person], people.traits["store_share"][person]
    weights = np.column_stack([(1 - store) * (1 - app), (1 - store) * app, store])
    channel = draws.choice("channel", weights)
    second = np.where(channel == 2, second_of_day(draws, _OPENING), second_of_day(draws))
    wants = draws.uniform("takes the sale") < 0.15 + 0.6 * prone
    takes = (depth > 0) & (wants if deal is None else deal | wants)
    voucher = ~takes & (draws.uniform("voucher") < 0.45 * prone)
    off = np.where(voucher, _VOUCHERS[draws.choice("voucher size", np.ones(3))], 0.0)
    if saving is not None:
        off, takes = np.maximum(off, saving), takes & (saving <= 0)
    return Baskets(person, number, draws, day, second, channel, off, takes)


def make_lines(people: People, baskets: Baskets, *, sure: bool) -> pl.DataFrame:
    """Draw the lines of each order; at a higher price fewer of the wanted lines are bought.

    With ``sure``, the first line of each order is always kept (orders already counted as made).

    Returns
    -------
    DataFrame
        basket (row), line, person, product, day, time, quantity, price (list price in pounds),
        share (money off), channel; one row per line.
    """
    catalogue = people.catalogue
    wanted, _ = kept_share(people)
    counts = 1 + baskets.draws.poisson("lines", wanted[baskets.person] - 1)
    basket, line = spread_out(counts)
    draws = baskets.draws.child(basket, line, "line")
    person, day = baskets.person[basket], baskets.day[basket]
    gift = draws.uniform("gift") < people.traits["gift_taste"][person]
    mood = np.where(gift[:, None], _GIFTS[None, :], _EVERYDAY[None, :])
    category = draws.choice("category", mood)
    tier = people.traits["price_tier"][person]
    product = catalogue.pick(category, draws.uniform("tier") ** (1 / tier**1.5))
    share_kept = catalogue.keeping(product, day, people.traits["price_elasticity"][person])
    keep = draws.uniform("keep") < share_kept
    if sure:
        keep |= line == 0
    depth = people.calendar.depth[day]
    share = np.where(baskets.deal[basket], depth, baskets.saving[basket])
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


def send_back(people: People, lines: pl.DataFrame, last: int) -> pl.DataFrame:
    """Draw which lines are returned, 4 to 30 days later and before day ``last``."""
    draws = Draws(lines.get_column("key").to_numpy())
    person, product = lines["person"].to_numpy(), lines["product"].to_numpy()
    factor = _RETURNS[people.catalogue.category[product]]
    chance = np.minimum(people.traits["return_probability"][person] * factor, 0.9)
    day = lines["day"].to_numpy() + 4 + (27 * draws.uniform("return day") ** 1.7).astype(np.int64)
    back = (draws.uniform("return") < chance) & (day < last)
    second = second_of_day(Draws(draws.keys ^ np.uint64(1)))
    # The day stays that of the purchase: what was paid in euros is refunded in the same euros.
    moved = lines.with_columns(time=pl.Series(day * DAY + second * SECOND))
    return moved.filter(pl.Series(back))


def scattered(prefix: str, index: Ints, number: Ints) -> pl.Series:
    """Return names of orders or sessions: all different, and none shows the customer's number."""
    code = (
        (index.astype(np.uint64) * np.uint64(_STRIDE) + number.astype(np.uint64))
        * np.uint64(_SCATTER)
    ) % np.uint64(2**36)
    digits = pl.Series(code).cast(pl.String).str.zfill(11)
    return same(prefix, len(code)) + digits


def euros(amount: Floats, rate: Floats, abroad: NDArray[np.bool_]) -> Floats:
    """Turn pounds into euros for customers who pay in them, to the penny or cent."""
    return np.asarray(np.round(np.where(abroad, amount / rate, amount), 2), dtype=np.float64)


def currency_of(abroad: NDArray[np.bool_]) -> pl.Series:
    """Return each row's currency code."""
    return pl.Series([CURRENCY, FOREIGN]).gather(abroad.astype(np.int64))


ORDERS: dict[str, type[pl.DataType]] = {
    "order_no": pl.String,
    "line_no": pl.Int64,
    "account_id": pl.String,
    "ordered_at": pl.String,
    "product_id": pl.String,
    "category": pl.String,
    "quantity": pl.Int64,
    "unit_price": pl.String,
    "discount": pl.Float64,
    "currency": pl.String,
    "channel": pl.String,
    "status": pl.String,
}
EVENTS: dict[str, type[pl.DataType] | pl.DataType] = {
    "event_time": pl.Datetime("us"),
    "event_type": pl.String,
    "account_id": pl.String,
    "email": pl.String,
    "device_id": pl.String,
    "session_id": pl.String,
    "campaign_id": pl.String,
    "product_id": pl.String,
    "page": pl.String,
    "channel": pl.String,
    "duration_seconds": pl.Float64,
}
GUEST_FACTOR, GUESTS = 7_368_787, 2**27  # second accounts' numbers are a shuffle of the customers'
_SHARING = 0.012  # of every second customer
_FIRST_NAMES = """
amelia oliver isla george ava noah mia arthur ivy leo freya oscar lily harry grace theo ella
jack evie henry priya arjun fatima yusuf mei wei sofia luca zofia jan
""".split()  # noqa: SIM905 - a list of words reads best as words
_LAST_NAMES = """
smith jones taylor brown williams wilson johnson davies patel robinson wright thompson evans
walker white roberts green hall wood jackson clarke khan singh murphy kelly byrne
""".split()  # noqa: SIM905 - a list of words reads best as words


def same(value: str | None, rows: int) -> pl.Series:
    """Return a column of texts with the same value in every row."""
    return pl.repeat(value, rows, dtype=pl.String, eager=True)


def as_text(times: pl.Series) -> pl.Series:
    """Write date-times as the shop's export does."""
    return times.dt.to_string("%Y-%m-%d %H:%M:%S")


def local_time(calendar: Calendar, time: Ints) -> pl.Series:
    """Turn microseconds from day 0 into naive local date-times."""
    start = np.datetime64(datetime.combine(calendar.start, datetime.min.time()), "us")
    return pl.Series(start + time.astype("timedelta64[us]"))


def account_ids(people: People) -> pl.Series:
    """Return the customers' main account ids, C0000001 and on."""
    return (
        pl.Series("account_id", people.index + 1).cast(pl.String).str.zfill(7).str.pad_start(8, "C")
    )


def shares_device(people: People) -> NDArray[np.bool_]:
    """Return whether a customer's second device is a neighbour's: a planted contradiction."""
    odd = people.index % 2 == 1
    return np.asarray(odd & (people.draws.uniform("shares a device") < _SHARING))


def _device(draws: Draws, name: str) -> pl.Series:
    codes = (draws.uniform(name) * 16**9).astype(np.int64)
    return pl.Series([f"d-{code:09x}" for code in codes], dtype=pl.String)


def identifiers(people: People, neighbours: Draws, *, share: bool) -> pl.DataFrame:
    """Return each customer's identifiers: two accounts at most, e-mail, two devices at most, card.

    Parameters
    ----------
    people : People
    neighbours : Draws
        Streams of the customers with whom a device may be shared.
    share : bool
        Whether some devices are shared.

    Returns
    -------
    DataFrame
        main, account_id (equal), guest_id, email, device_id, second_device, loyalty_id; null
        where there is none.
    """
    draws, text = people.draws, pl.col("number").cast(pl.String)
    shares = shares_device(people) & share
    frame = pl.DataFrame(
        {
            "number": people.index + 1,
            "guest": (people.index * GUEST_FACTOR + 11) % GUESTS,
            "first": pl.Series(_FIRST_NAMES).gather(draws.choice("first name", np.ones(30))),
            "last": pl.Series(_LAST_NAMES).gather(draws.choice("last name", np.ones(26))),
            "device": _device(draws, "device"),
            "tablet": _device(draws, "tablet"),
            "theirs": _device(neighbours, "device"),
            "shares": shares,
            "has_guest": draws.uniform("guest account") < 0.06,
            "has_tablet": draws.uniform("second device") < 0.35,
            "has_card": people.flag("loyalty_card"),
        }
    )
    tablet = pl.when("shares").then("theirs").when("has_tablet").then("tablet")
    return frame.select(
        account_ids(people),
        account_ids(people).alias("main"),
        guest_id=pl.when("has_guest").then("G" + pl.col("guest").cast(pl.String).str.zfill(9)),
        email=pl.format("{}.{}{}@example.com", "first", "last", text),
        device_id="device",
        second_device=tablet,
        loyalty_id=pl.when("has_card").then(
            "L" + ((pl.col("number") * 15_485_863) % GUESTS).cast(pl.String).str.zfill(9)
        ),
    )


def order_table(
    people: People, accounts: pl.Series, baskets: Baskets, lines: pl.DataFrame, *, returned: bool
) -> pl.DataFrame:
    """Write order lines as the shop's raw export; returned lines have a negative quantity.

    ``accounts`` gives the account that each basket was paid from.
    """
    catalogue = people.catalogue
    basket, product = lines["basket"].to_numpy(), lines["product"].to_numpy()
    abroad = people.abroad[lines["person"].to_numpy()]
    rate = catalogue.rate[lines["day"].to_numpy()]
    price, quantity = lines["price"].to_numpy(), lines["quantity"].to_numpy()
    off = price * lines["share"].to_numpy()
    if returned:  # the refund is of what was paid, so it carries no discount of its own
        price, off = price - off, np.zeros_like(off)
    paid = pl.Series("p", euros(price, rate, abroad))
    number = scattered("R" if returned else "W", people.index[baskets.person], baskets.number)
    return pl.DataFrame(
        {
            "order_no": number.gather(basket),
            "line_no": lines["line"] + 1,
            "account_id": accounts.gather(basket),
            "ordered_at": as_text(local_time(people.calendar, lines["time"].to_numpy())),
            "product_id": catalogue.ids.gather(product),
            "category": catalogue.products["category"].gather(product),
            "quantity": -quantity if returned else quantity,
            "unit_price": paid.cast(pl.Decimal(12, 2)).cast(pl.String),
            "discount": euros(off * quantity, rate, abroad),
            "currency": currency_of(abroad),
            "channel": pl.Series(CHANNELS).gather(lines["channel"].to_numpy()),
            "status": same("returned" if returned else "completed", len(lines)),
        },
        schema=ORDERS,
    )


def accounts_used(draws: Draws, ids: pl.DataFrame, person: Ints) -> pl.Series:
    """Return the account of each order: for some orders the customer's second one."""
    second = pl.Series(draws.uniform("second account") < 0.4)
    main, guest = ids["account_id"].gather(person), ids["guest_id"].gather(person)
    return main.zip_with(~second | guest.is_null(), guest)
