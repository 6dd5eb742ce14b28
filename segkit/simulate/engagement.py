"""Simulated engagement: site visits, abandoned carts, newsletters opened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.simulate.catalogue import Calendar
from segkit.simulate.customers import People, leaving_day
from segkit.simulate.draws import Draws, Ints, spread_out
from segkit.simulate.purchases import (
    DAY,
    EVENTS,
    SECOND,
    Baskets,
    local_time,
    same,
    scattered,
    second_of_day,
)

PAGES = ("new_in", "sale", "lookbook", "account", "help")
NEWSLETTER_EVERY = 14  # days
_STEP = 60  # seconds between two things seen in a session
FADE_VISITS, _FADE_OPENS = 0.06, 0.30  # what is left once a customer has dropped out
_TYPES = ("site_visit", "page_view", "product_view", "cart_add", "checkout")


@dataclass(frozen=True, slots=True)
class Sessions:
    """Visits to site or app, one entry each.

    Attributes
    ----------
    person, number : arrays of int
        Row of the customer, and the session's number among the customer's own.
    draws : Draws
    day, second : arrays of int
        When the session begins or, if it ends in an order, when the order is made.
    app, buys, fills_cart, signed_in : arrays of bool
        In the app or on the web; whether it ends in an order; whether something is put in the
        cart; whether the customer is signed in.
    """

    person: Ints
    number: Ints
    draws: Draws
    day: Ints
    second: Ints
    app: NDArray[np.bool_]
    buys: NDArray[np.bool_]
    fills_cart: NDArray[np.bool_]
    signed_in: NDArray[np.bool_]


def browse(people: People) -> Sessions:
    """Draw the visits of history that end without an order; few after a customer dropped out."""
    days = people.calendar.days
    first = np.minimum(people.active_from, days)
    turn = np.clip(people.left, first, days)
    spans = ((first, turn, 1.0), (turn, np.full_like(turn, days), FADE_VISITS))
    parts = []
    for part, (low, high, factor) in enumerate(spans):
        rate = factor * (people.traits["sessions_per_month"] * 12)
        person, number, draws, day = people.happen("visits", "visit", part, 0, rate, low, high)
        parts.append((person, number * 2 + part, draws.keys, day))
    person, number, keys, day = (np.concatenate(column) for column in zip(*parts, strict=True))
    return browsing(people, person, number, Draws(keys), day)


def browsing(
    people: People, person: Ints, number: Ints, draws: Draws, day: Ints, signed_in: float = 0.6
) -> Sessions:
    """Make sessions without an order out of their days."""
    fills = draws.uniform("fills a cart") < people.traits["cart_probability"][person]
    app = draws.uniform("app") < people.traits["app_share"][person]
    none = np.zeros(len(person), dtype=bool)
    signed_in_visit = app | (draws.uniform("signed in") < signed_in)
    return Sessions(
        person, number, draws, day, second_of_day(draws), app, none, fills, signed_in_visit
    )


def buying(baskets: Baskets, with_lines: Ints) -> Sessions:
    """Make the sessions behind the online orders among the rows ``kept``."""
    rows = with_lines[baskets.channel[with_lines] != 2]
    yes = np.ones(len(rows), dtype=bool)
    return Sessions(
        baskets.person[rows],
        4095 - baskets.number[rows],
        baskets.draws.rows(rows),
        baskets.day[rows],
        baskets.second[rows],
        baskets.channel[rows] == 1,
        yes,
        yes,
        yes,
    )


def visit_events(
    people: People, ids: pl.DataFrame, sessions: Sessions, prefix: str = "S"
) -> pl.DataFrame:
    """Spell sessions out as raw events: the visit, pages, products, cart, checkout."""
    pages = sessions.draws.poisson("pages", np.full(len(sessions.day), 0.6))
    looks = sessions.draws.poisson("looks", np.full(len(sessions.day), 1.0)) + sessions.fills_cart
    length = _STEP * (pages + looks + 1)
    begin = np.where(sessions.buys, sessions.second - length - _STEP // 2, sessions.second)
    one = np.ones(len(pages), dtype=np.int64)
    counts = [one, pages, looks, sessions.fills_cart * 1, sessions.buys * 1]
    before = [0 * one, one, one + pages, one + pages + looks, None]
    parts: list[dict[str, Any]] = []
    for kind, (count, steps) in enumerate(zip(counts, before, strict=True)):
        row, number = spread_out(count)
        draws = sessions.draws.child(row, number, _TYPES[kind])
        at = sessions.second[row] if steps is None else begin[row] + (steps[row] + number) * _STEP
        person, nothing = sessions.person[row], np.full(len(row), -1)
        viewed = _seen_pages(people, person, draws) if kind == 1 else nothing
        shown = _seen_products(people, person, draws) if kind in (2, 3) else nothing
        seconds = 5.0 + np.round(50 * draws.uniform("seconds"), 1)
        time = sessions.day[row] * DAY + at * SECOND
        parts.append(
            {"row": row, "time": time, "kind": np.full(len(row), kind), "page": viewed}
            | {"product": shown, "seconds": np.where((kind == 1) | (kind == 2), seconds, np.nan)}
        )
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _visit_table(people, ids, sessions, columns, prefix)


def _seen_pages(people: People, person: Ints, draws: Draws) -> Ints:
    deal = people.traits["deal_proneness"][person]
    fashion = np.exp(0.4 * people.traits["fashion_involvement"][person].clip(-3, 3))
    one = np.ones(len(person))
    return draws.choice("page", np.column_stack([one, 3 * deal, fashion, 0.3 * one, 0.2 * one]))


def _seen_products(people: People, person: Ints, draws: Draws) -> Ints:
    catalogue, tier = people.catalogue, people.traits["price_tier"][person]
    category = draws.choice("category", catalogue.size.astype(float))
    return catalogue.pick(category, draws.uniform("tier") ** (1 / tier**1.5))


def _visit_table(
    people: People, ids: pl.DataFrame, sessions: Sessions, columns: dict[str, Any], prefix: str
) -> pl.DataFrame:
    row, products = columns["row"], people.catalogue.ids
    person, draws = sessions.person, sessions.draws
    second = (draws.uniform("on second device") < 0.35) & ~sessions.buys
    devices, tablets = ids["device_id"].gather(person), ids["second_device"].gather(person)
    device = devices.zip_with(pl.Series(~second) | tablets.is_null(), tablets)
    account = ids["account_id"].gather(person).set(~pl.Series(sessions.signed_in), None)
    session = scattered(prefix, people.index[person], sessions.number)
    channel = pl.Series(["web", "app"]).gather(sessions.app * 1)
    product, page = columns["product"], columns["page"]
    return _event_table(
        event_time=local_time(people.calendar, columns["time"]),
        event_type=pl.Series(_TYPES).gather(columns["kind"]),
        account_id=account.gather(row),
        device_id=device.gather(row),
        session_id=session.gather(row),
        product_id=_gather(products, product),
        page=_gather(pl.Series(PAGES), page),
        channel=channel.gather(row),
        duration_seconds=pl.Series(columns["seconds"]).fill_nan(None),
    )


def _gather(values: pl.Series, places: Ints) -> pl.Series:
    """Return the values at places, null where the place is negative."""
    return values.gather(np.maximum(places, 0)).set(pl.Series(places < 0), None)


def _event_table(**columns: pl.Series) -> pl.DataFrame:
    """Lay out raw events; columns that are not given are null."""
    return pl.DataFrame({name: columns.get(name) for name in EVENTS}, schema=EVENTS)


def newsletter_days(calendar: Calendar) -> Ints:
    """Days on which the newsletter goes out: every second Tuesday."""
    first = (1 - calendar.start.weekday()) % 7
    return np.arange(first, calendar.days, NEWSLETTER_EVERY)


def newsletters(calendar: Calendar) -> pl.DataFrame:
    """Return the newsletters' rows of the campaigns table."""
    days = newsletter_days(calendar)
    return pl.DataFrame(
        {
            "campaign_id": [f"NL-{k:03d}" for k in range(1, len(days) + 1)],
            "offer": ["newsletter"] * len(days),
            "starts": [calendar.start + timedelta(days=int(day)) for day in days],
            "cost_per_contact": [0.01] * len(days),
            "margin": [0.45] * len(days),
        },
        schema=CAMPAIGNS,
    )


CAMPAIGNS = {
    "campaign_id": pl.String,
    "offer": pl.String,
    "starts": pl.Date,
    "cost_per_contact": pl.Float64,
    "margin": pl.Float64,
}


def email_events(people: People, ids: pl.DataFrame, *, leaving: Ints | None = None) -> pl.DataFrame:
    """Send the newsletters and draw who opens, clicks, unsubscribes or complains.

    ``leaving`` is the day on which each customer unsubscribes, by default that of history.
    """
    days = newsletter_days(people.calendar)
    leaving = leaving_day(people) if leaving is None else leaving
    receives = people.flag("marketing_consent")[:, None] & (
        (days[None, :] >= people.active_from[:, None]) & (days[None, :] < leaving[:, None])
    )
    person, letter = np.nonzero(receives)
    draws = people.draws.child(person, letter, "newsletter")
    opens_by = people.traits["open_probability"][person]
    opens_by = np.where(days[letter] >= people.left[person], _FADE_OPENS * opens_by, opens_by)
    opens = draws.uniform("open") < opens_by
    clicks = opens & (draws.uniform("click") < people.traits["click_probability"][person])
    last = np.append(person[1:] != person[:-1], True) if len(person) else np.zeros(0, bool)
    goes = last & (leaving[person] < people.calendar.days)
    complains = goes & (draws.uniform("complaint") < 0.08)
    parts = [np.ones_like(opens), opens, clicks, goes & ~complains, complains]
    sent = days[letter] * DAY + (9 * 3600 + 7000 * draws.uniform("sent")).astype(np.int64) * SECOND
    letters = newsletters(people.calendar)["campaign_id"].gather(letter)
    has_account = draws.uniform("account known") < 0.85
    accounts = ids["account_id"].gather(person).set(~pl.Series(has_account), None)
    return _mail_table(people, ids[person].with_columns(accounts), letters, sent, draws, parts)


def campaign_mail(
    people: People,
    ids: pl.DataFrame,
    rows: Ints,
    stage: str,
    campaigns: pl.Series,
    day: Ints,
    buyers: Ints,
) -> pl.DataFrame:
    """Write one campaign's e-mail to the customers in some rows.

    Parameters
    ----------
    people : People
    ids : DataFrame
        Their identifiers.
    rows : array of int
        Customers who get the e-mail.
    stage : str
        Name of the random streams.
    campaigns : Series
        Each e-mail's campaign.
    day : array of int
        Day on which each is sent.
    buyers : array of int
        Rows of customers who order, and so have clicked.
    """
    people, sure = people.some(rows), np.isin(rows, buyers)
    draws = people.draws.child(np.arange(len(people)), 0, f"mail {stage}")
    opens = sure | (draws.uniform("open") < people.traits["open_probability"])
    clicks = sure | (opens & (draws.uniform("click") < people.traits["click_probability"]))
    goes = opens & ~sure & (draws.uniform("unsubscribe") < 0.004)
    sent = day * DAY + (7 * 3600 + 300 * draws.uniform("sent")).astype(np.int64) * SECOND
    parts = [np.ones_like(opens), opens, clicks, goes, np.zeros_like(opens)]
    return _mail_table(people, ids[rows], campaigns, sent, draws, parts)


MAIL_TYPES = ("email_sent", "email_open", "email_click", "unsubscribe", "complaint")


def _mail_table(
    people: People,
    receivers: pl.DataFrame,
    campaigns: pl.Series,
    sent: Ints,
    draws: Draws,
    parts: list[NDArray[np.bool_]],
) -> pl.DataFrame:
    """Write e-mails and what was done with them as raw events.

    ``parts`` tells, for each of `MAIL_TYPES`, which of the e-mails met with it.
    """
    opened = sent + ((120 + 12 * 3600 * draws.uniform("delay") ** 3).astype(np.int64)) * SECOND
    clicked = opened + (5 + 90 * draws.uniform("reading")).astype(np.int64) * SECOND
    times = [sent, opened, clicked, clicked + 40 * SECOND, clicked + 40 * SECOND]
    row = np.concatenate([np.flatnonzero(part) for part in parts])
    kind = np.repeat(np.arange(len(parts)), [int(part.sum()) for part in parts])
    time = np.concatenate([t[part] for t, part in zip(times, parts, strict=True)])
    return _event_table(
        event_time=local_time(people.calendar, time),
        event_type=pl.Series(MAIL_TYPES).gather(kind),
        account_id=receivers["account_id"].gather(row),
        email=receivers["email"].gather(row),
        campaign_id=campaigns.gather(row),
        channel=same("email", len(row)),
    )
