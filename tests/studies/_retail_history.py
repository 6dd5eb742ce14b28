"""Simulated retailers' clean histories in seconds: the columns that the segments rest on."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from segkit.pipeline import BEHAVIOUR
from segkit.simulate import engagement, purchases
from segkit.simulate.block import pilot_answers
from segkit.simulate.world import saving_of

EPOCH = date(1970, 1, 1)
# The variables of the segments, and the counts by which their rates are shrunk.
FEATURES = [*BEHAVIOUR, "frequency", "emails_sent", "carts"]
MAIL = ("email_sent", "email_open", "email_click")
PILOT_NUMBERS = 1000  # as in `segkit.simulate.block`


def name_customers(n):
    """Return the account ids of the first n customers."""
    return pl.Series("customer_id", [f"C{k + 1:07d}" for k in range(n)])


def make_history(world, people, pilot):
    """Return clean order lines and events, the pilot's orders among them, without defects."""
    days, names = world.calendar.days, name_customers(len(people))
    first = (world.start - EPOCH).days
    usual = purchases.shop(people)
    extra = pilot_answers(world, people, pilot)
    person = np.flatnonzero(pilot >= 0)[extra.person]
    trial = purchases.make_baskets(
        people,
        "pilot",
        person,
        PILOT_NUMBERS + extra.number,
        extra.day,
        saving=saving_of(pilot[person]),
    )
    orders, visits = [], [_visits(engagement.browse(people), "b")]
    for prefix, baskets, sure in (("h", usual, False), ("p", trial, True)):
        lines = purchases.make_lines(people, baskets, sure=sure)
        back = purchases.send_back(people, lines, days)
        orders += [_lines(lines, prefix, returned=False), _lines(back, prefix, returned=True)]
        bought = lines.get_column("basket").unique(maintain_order=True).to_numpy()
        visits.append(_visits(engagement.buying(baskets, bought), prefix))
    table = pl.concat(orders).with_columns(order_day=pl.col("day") + first)
    owner = pl.DataFrame({"account_id": names, "email": names})
    mail = engagement.email_events(people, owner).filter(
        pl.col("account_id").is_not_null(), pl.col("event_type").is_in(MAIL)
    )
    seen = pl.concat(visits).with_columns(event_day=pl.col("day") + first)
    mail = mail.select(
        "event_type",
        "campaign_id",
        customer_id="account_id",
        event_day=pl.col("event_time").cast(pl.Date).cast(pl.Int32),
    )
    named = [
        frame.with_columns(customer_id=names.gather(frame["person"])).drop("person", "day")
        for frame in (table, seen)
    ]
    return named[0], pl.concat([named[1], mail], how="diagonal_relaxed")


def day_before(world, day):
    """Return the date before a day of the simulation."""
    return world.start + timedelta(days=int(day) - 1)


def _lines(lines, prefix, *, returned):
    paid = pl.col("price") * (1 - pl.col("share")) * pl.col("quantity")
    off = pl.col("price") * pl.col("share") * pl.col("quantity")
    return lines.select(
        "person",
        order_id=pl.lit(prefix + "r" * returned) + pl.col("basket").cast(pl.String),
        day=(pl.col("time") // purchases.DAY).cast(pl.Int32),
        amount=-paid if returned else paid,
        discount=pl.lit(0.0) if returned else off,
        is_return=pl.lit(returned),
    )


def _visits(sessions, prefix):
    """Write the visits of signed-in customers as events, without pages and products."""
    number = pl.Series(np.arange(len(sessions.day)), dtype=pl.Int64).cast(pl.String)
    table = pl.DataFrame(
        {"person": sessions.person, "day": sessions.day, "session_id": prefix + number}
        | {"known": sessions.signed_in, "cart_add": sessions.fills_cart, "checkout": sessions.buys}
    ).filter("known")
    parts = [table, table.filter("cart_add"), table.filter("checkout")]
    return pl.concat(
        part.select("person", "session_id", pl.col("day").cast(pl.Int32), event_type=pl.lit(kind))
        for part, kind in zip(parts, ("site_visit", "cart_add", "checkout"), strict=True)
    )
