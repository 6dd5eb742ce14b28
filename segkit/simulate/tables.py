"""How does a retailer's export look? From simulated arrays to raw tables as text and local times."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from segkit.simulate.catalogue import Catalogue
from segkit.simulate.customers import People
from segkit.simulate.draws import Draws, Ints
from segkit.simulate.purchases import CHANNELS, Baskets, currency_of, euros, scattered
from segkit.simulate.seasons import Calendar

ORDERS = {
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
EVENTS = {
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
_FIRST_NAMES = (
    "amelia oliver isla george ava noah mia arthur ivy leo freya oscar lily harry grace theo "
    "ella jack evie henry priya arjun fatima yusuf mei wei sofia luca zofia jan"
).split()
_LAST_NAMES = (
    "smith jones taylor brown williams wilson johnson davies patel robinson wright thompson "
    "evans walker white roberts green hall wood jackson clarke khan singh murphy kelly byrne"
).split()


def local_time(calendar: Calendar, time: Ints) -> pl.Series:
    """Turn microseconds from day 0 into naive local date-times."""
    start = np.datetime64(datetime.combine(calendar.start, datetime.min.time()), "us")
    return pl.Series(start + time.astype("timedelta64[us]"))


def account_ids(people: People) -> pl.Series:
    """Return the customers' main account ids, C0000001 and on."""
    return (
        pl.Series("account_id", people.index + 1).cast(pl.String).str.zfill(7).str.pad_start(8, "C")
    )


def identifiers(people: People) -> pl.DataFrame:
    """Return each customer's identifiers: two accounts at most, e-mail, two devices at most, card.

    Returns
    -------
    DataFrame
        account_id, guest_id, email, device_id, second_device, loyalty_id; null where none.
    """
    draws, text = people.draws, pl.col("number").cast(pl.String)
    codes = [(draws.uniform(name) * 16**9).astype(np.int64) for name in ("device", "tablet")]
    frame = pl.DataFrame(
        {
            "number": people.index + 1,
            "guest": (people.index * GUEST_FACTOR + 11) % GUESTS,
            "first": pl.Series(_FIRST_NAMES).gather(draws.choice("first name", np.ones(30))),
            "last": pl.Series(_LAST_NAMES).gather(draws.choice("last name", np.ones(26))),
            "device": pl.Series([f"d-{code:09x}" for code in codes[0]]),
            "tablet": pl.Series([f"d-{code:09x}" for code in codes[1]]),
            "has_guest": draws.uniform("guest account") < 0.06,
            "has_tablet": draws.uniform("second device") < 0.35,
            "has_card": people.flag("loyalty_card"),
        }
    )
    return frame.select(
        account_ids(people),
        guest_id=pl.when("has_guest").then("G" + pl.col("guest").cast(pl.String).str.zfill(9)),
        email=pl.format("{}.{}{}@example.com", "first", "last", text),
        device_id="device",
        second_device=pl.when("has_tablet").then("tablet"),
        loyalty_id=pl.when("has_card").then(
            "L" + ((pl.col("number") * 15_485_863) % 2**27).cast(pl.String).str.zfill(9)
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
