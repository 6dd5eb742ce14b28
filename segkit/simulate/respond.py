"""Events and orders of a campaign's assigned customers, from the simulated effects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from segkit.display import counted
from segkit.errors import DataError, ParameterError, require_columns
from segkit.simulate import engagement, purchases
from segkit.simulate.archetypes import WINDOW_WEEKS
from segkit.simulate.block import written
from segkit.simulate.catalogue import HORIZON_DAYS, ZONE
from segkit.simulate.customers import People, writable
from segkit.simulate.draws import Ints
from segkit.simulate.world import World, answer, offer_codes, saving_of, stay

_CHUNK = 20_000  # customers answered for at a time
# First numbers of a customer's orders that an offer brings, and of those made anyway.
_OFFER_NUMBERS, _NATURAL_NUMBERS = 1200, 1500
_NUMBERS_OF_ROUND = 48  # of a customer's orders that offers bring in one round
_GUEST_INVERSE = pow(purchases.GUEST_FACTOR, -1, purchases.GUESTS)


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """Orders and events of the assigned customers.

    Attributes
    ----------
    orders, events : DataFrame
        In the raw tables' format, without defects.
    weeks : int
        Length of the time covered, from each customer's assignment.
    """

    orders: pl.DataFrame
    events: pl.DataFrame
    weeks: int


def respond(world: World, assignments: pl.DataFrame, *, weeks: int = WINDOW_WEEKS) -> Response:
    """Simulate what customers do in the weeks after their assignment to a campaign.

    E-mails go out at seven in the morning, local time, after the assignment. Each customer's
    answer rests on its own random numbers alone: the same customer with the same offer does the
    same, whatever the others got; orders that would have come anyway come under every offer. A
    customer who may not be written to gets no e-mail and no effect. From version 2 on, the answers
    to offers in later rounds (each of four weeks after the campaign's date) are drawn anew.

    Parameters
    ----------
    world : World
    assignments : DataFrame
        customer_id (an account id), offer (one of `archetypes.OFFERS`, or "none" for a holdout),
        assigned_at (date-time in UTC; one without a zone is taken as UTC), campaign_id.
    weeks : int
        1 to 26.

    Returns
    -------
    Response

    Raises
    ------
    ColumnError, DataError, ParameterError
        If a column is missing, a customer unknown or assigned twice, an offer unknown, or an
        assignment lies before the campaign's date or too late for the weeks asked for.
    """
    require_columns(
        assignments.columns, ["customer_id", "campaign_id", "offer", "assigned_at"], "assignments"
    )
    if not 1 <= weeks <= HORIZON_DAYS // 7:
        raise ParameterError(f"weeks must be 1 to {HORIZON_DAYS // 7}, got {weeks}")
    index = customer_numbers(world, assignments.get_column("customer_id"))
    offers = offer_codes(assignments.get_column("offer").to_list())
    day = _sending_days(world, assignments.get_column("assigned_at"), weeks)
    turn = (day - world.calendar.days) // (7 * WINDOW_WEEKS)
    parts = []
    for number in np.unique(turn):
        order = np.flatnonzero(turn == number)
        order = order[np.argsort(index[order], kind="stable")]
        for first in range(0, len(order), _CHUNK):
            rows = order[first : first + _CHUNK]
            drawn = (index[rows], offers[rows], day[rows])
            parts.append(_answered(world, assignments[rows], *drawn, weeks, int(number)))
    orders = [pl.DataFrame(schema=purchases.ORDERS), *(part[0] for part in parts)]
    events = [pl.DataFrame(schema=purchases.EVENTS), *(part[1] for part in parts)]
    return Response(
        pl.concat(orders).sort("ordered_at", "order_no", maintain_order=True),
        pl.concat(events).sort("event_time", "account_id", maintain_order=True),
        weeks,
    )


def customer_numbers(world: World, ids: pl.Series) -> Ints:
    """Turn account ids, main or second ones, into the customers' numbers.

    Raises
    ------
    DataError
        Naming ids that are not the retailer's, or persons who come twice.
    """
    text = ids.cast(pl.String)
    number, valid = find_numbers(world, text)
    wrong = text.filter(~valid)
    if len(wrong):
        raise DataError(
            f"{counted(len(wrong), 'assigned customer is', 'assigned customers are')} not this "
            f"retailer's accounts (C0000001 to C{world.n_customers:07d}, or second accounts G...): "
            f"{', '.join(map(str, wrong[:3]))}"
        )
    twice = text.filter(number.is_duplicated())
    if len(twice):
        raise DataError(
            f"{counted(len(twice), 'assignment is', 'assignments are')} to persons assigned more "
            f"than once: {', '.join(map(str, twice[:3]))}; link the identifiers, then assign once"
        )
    return number.to_numpy()


def find_numbers(world: World, text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the customer number of each account id, and whether it is one of the retailer's."""
    code = text.str.slice(1).cast(pl.Int64, strict=False)
    guest = (code - 11) * _GUEST_INVERSE % purchases.GUESTS
    kind = text.str.slice(0, 1)
    number = (code - 1).zip_with(kind == "C", guest)
    valid = kind.is_in(["C", "G"]) & number.is_between(0, world.n_customers - 1)
    return number, valid.fill_null(value=False)


def _sending_days(world: World, assigned: pl.Series, weeks: int) -> Ints:
    """Return the day of each e-mail: it is sent at the first 7:00 after the assignment."""
    utc = assigned.cast(pl.Datetime("us", getattr(assigned.dtype, "time_zone", None)))
    if getattr(utc.dtype, "time_zone", None) is None:
        utc = utc.dt.replace_time_zone("UTC")
    local = utc.dt.convert_time_zone(ZONE).dt.replace_time_zone(None).to_numpy()
    start = np.datetime64(datetime.combine(world.start, datetime.min.time()), "us")
    since = (local - start).astype(np.int64) - 7 * 3600 * purchases.SECOND
    day: Ints = -(-since // purchases.DAY)
    first, last = world.calendar.days, world.calendar.days + HORIZON_DAYS - 7 * weeks
    if len(day) and (day.min() < first or day.max() > last):
        raise DataError(
            f"assigned_at must lie from the campaign's date {world.calendar.campaign_date} to "
            f"{counted(last - first, 'day')} later for {counted(weeks, 'week')}; got "
            f"{assigned.min()!s} to {assigned.max()!s}"
        )
    return day


def _answered(
    world: World, some: pl.DataFrame, index: Ints, offers: Ints, day: Ints, weeks: int, turn: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    people = world.people(index)
    ids = purchases.identifiers(people, world.neighbours(people), share=world.dirty).with_columns(
        account_id=some.get_column("customer_id").cast(pl.String), guest_id=pl.lit(None, pl.String)
    )
    last = day + 7 * weeks
    reached = writable(people, world.calendar.days)
    added = world.planted.added(people, reached)
    # Customers who order at any time have clicked, even if few weeks are simulated.
    stage = f"campaign {turn}" if turn else "campaign"
    whole = answer(people, added, offers, day, day + HORIZON_DAYS, stage)
    by_offer = whole.before(last)
    anyway = stay(people, day, last, "campaign")
    rows = np.flatnonzero(reached & (offers >= 0))
    campaigns = some.get_column("campaign_id").cast(pl.String).gather(rows)
    mail = engagement.campaign_mail(people, ids, rows, stage, campaigns, day[rows], whole.person)
    orders, visits = [], [mail]
    offer_numbers = _OFFER_NUMBERS + _NUMBERS_OF_ROUND * turn
    for kind, answers, start, saving in (
        (f"{stage} offer", by_offer, offer_numbers, saving_of(offers)[by_offer.person]),
        ("campaign anyway", anyway, _NATURAL_NUMBERS, None),
    ):
        number = start + answers.number
        baskets = purchases.make_baskets(
            people, kind, answers.person, number, answers.day, saving=saving
        )
        end = world.calendar.days + HORIZON_DAYS
        lines, views = written(people, ids, baskets, sure=True, last=end)
        orders.append(_within(world, lines, ids, last))
        visits.append(views)
    visits.append(_idle(people, ids, day, last))
    return pl.concat(orders), pl.concat(visits)


def _within(world: World, lines: pl.DataFrame, ids: pl.DataFrame, last: Ints) -> pl.DataFrame:
    """Drop the returns that come after a customer's weeks are over."""
    ends = purchases.local_time(world.calendar, last * purchases.DAY)
    until = ids.select("account_id", ends=purchases.as_text(ends))
    joined = lines.join(until, on="account_id", how="left", maintain_order="left")
    return joined.filter(pl.col("ordered_at") < pl.col("ends")).drop("ends")


def _idle(people: People, ids: pl.DataFrame, day: Ints, last: Ints) -> pl.DataFrame:
    """Draw the visits without an order, which no offer changes."""
    begin = np.full(len(people), people.calendar.days)
    fade = np.where(people.left <= begin, engagement.FADE_VISITS, 1.0)
    rate = fade * people.traits["sessions_per_month"] * 12
    person, number, draws, when = people.happen(
        "visits campaign", "visit", 0, 0, rate, begin, begin + HORIZON_DAYS
    )
    keep = (when >= day[person]) & (when < last[person])
    sessions = engagement.browsing(
        people, person[keep], number[keep], draws.rows(keep), when[keep], 1.0
    )
    return engagement.visit_events(people, ids, sessions, "T")
