"""How does a retailer's export look? From simulated arrays to raw tables with local times."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.simulate.catalogue import Catalogue
from segkit.simulate.customers import People
from segkit.simulate.draws import Draws, Ints
from segkit.simulate.purchases import CHANNELS, Baskets, currency_of, euros, scattered
from segkit.simulate.seasons import Calendar

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
    """Whether a customer's second device is a neighbour's: planted contradictions."""
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
    people: People,
    calendar: Calendar,
    catalogue: Catalogue,
    accounts: pl.Series,
    baskets: Baskets,
    lines: pl.DataFrame,
    *,
    prefix: str,
    status: str,
) -> pl.DataFrame:
    """Write order lines as the shop's raw export; returned lines have a negative quantity.

    ``accounts`` gives the account that each basket was paid from.
    """
    basket, day = lines["basket"].to_numpy(), lines["day"].to_numpy()
    product, sign = lines["product"].to_numpy(), -1 if status == "returned" else 1
    abroad = people.abroad[lines["person"].to_numpy()]
    rate = catalogue.rate[day]
    price, quantity = lines["price"].to_numpy(), lines["quantity"].to_numpy()
    off = price * lines["share"].to_numpy()
    if status == "returned":  # the refund is of what was paid, so it carries no discount of its own
        price, off = price - off, np.zeros_like(off)
    paid = pl.Series("p", euros(price, rate, abroad))
    number = scattered(prefix, people.index[baskets.person], baskets.number)
    return pl.DataFrame(
        {
            "order_no": number.gather(basket),
            "line_no": lines["line"] + 1,
            "account_id": accounts.gather(basket),
            "ordered_at": local_time(calendar, lines["time"].to_numpy()).dt.to_string(
                "%Y-%m-%d %H:%M:%S"
            ),
            "product_id": catalogue.ids.gather(product),
            "category": catalogue.products["category"].gather(product),
            "quantity": sign * quantity,
            "unit_price": paid.cast(pl.Decimal(12, 2)).cast(pl.String),
            "discount": euros(off * quantity, rate, abroad),
            "currency": currency_of(abroad),
            "channel": pl.Series(CHANNELS).gather(lines["channel"].to_numpy()),
            "status": pl.Series([status]).gather(np.zeros(len(lines), np.int64)),
        },
        schema=ORDERS,
    )


def accounts_used(draws: Draws, ids: pl.DataFrame, person: Ints) -> pl.Series:
    """Return the account of each order: now and then the customer's second one, if there is one."""
    second = pl.Series(draws.uniform("second account") < 0.4)
    main, guest = ids["account_id"].gather(person), ids["guest_id"].gather(person)
    return main.zip_with(~second | guest.is_null(), guest)
