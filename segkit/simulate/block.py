"""What did these customers do? Raw tables and truth of one block of customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.simulate import campaign, engagement, purchases, survey, tables
from segkit.simulate.archetypes import NO_OFFER, OFFERS, WINDOW_WEEKS
from segkit.simulate.customers import People, describe, truth_of, writable
from segkit.simulate.dirt import DEFECTS, soil
from segkit.simulate.draws import Ints
from segkit.simulate.world import BLOCK, PILOT_ID, World

_PILOT_NUMBERS = 1000  # above the numbers of a customer's orders in history


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
    ids = tables.identifiers(people, world.neighbours(people), share=world.dirty)
    pilot = _pilot(world, people)
    orders, visits = _history(world, people, ids, pilot)
    mail = engagement.email_events(people, world.calendar, ids)
    trial = pilot_mail(world, people, ids, pilot)
    links, identities = _links(ids)
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
        defects.append(_shared_devices(people, ids, links))
    truth = _truth(world, people, ids, pilot)
    return Block(made, truth, identities, pl.concat(defects))


def _history(
    world: World, people: People, ids: pl.DataFrame, pilot: Ints
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Orders and visits of history, the pilot's orders among them."""
    calendar = world.calendar
    baskets = purchases.shop(people, calendar)
    ends: dict[str, Any] = {"last": calendar.days, "prefixes": ("W", "R", "S")}
    usual = written(world, people, ids, baskets, sure=False, **ends)
    offered = np.flatnonzero(pilot >= 0)
    extra = pilot_answers(world, people, pilot)
    person = offered[extra.person]
    number, deal = _PILOT_NUMBERS + extra.number, np.zeros(len(person), dtype=bool)
    trial = purchases.make_baskets(people, calendar, person, number, extra.day, deal, "pilot")
    trial = purchases.with_offer(trial, campaign.saving_of(pilot[person]))
    added = written(world, people, ids, trial, sure=True, **ends)
    visits = engagement.visit_events(
        people, calendar, world.catalogue, ids, engagement.browse(people, calendar), "S"
    )
    orders = pl.concat([usual[0], added[0]]).sort("ordered_at", "order_no", maintain_order=True)
    return orders, pl.concat([visits, usual[1], added[1]])


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
    """Draw each customer's part in the pilot: place in OFFERS, 5 for the holdout, -1 for none."""
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


def _links(ids: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pair identifiers seen together, and tell the true owner of each."""
    kinds = ["email", "device_id", "second_device", "loyalty_id"]
    name = {"guest_id": "account_id", "second_device": "device_id"}
    owned = ids.unpivot(
        ["account_id", "guest_id", *kinds],
        index="main",
        variable_name="kind",
        value_name="identifier",
    ).drop_nulls("identifier")
    identities = owned.select("identifier", pl.col("kind").replace(name), customer_id="main").sort(
        "customer_id", "kind", "identifier"
    )
    seen = [
        ids.filter(pl.col(kind).is_not_null()).select(
            customer_id="account_id", **{name.get(kind, kind): kind}
        )
        for kind in kinds
    ]
    # A second account is known by its e-mail alone: nobody wrote down whose it is.
    second = ids.filter(pl.col("guest_id").is_not_null())
    seen.append(second.select(customer_id="guest_id", email="email"))
    links = pl.concat(seen, how="diagonal").sort("customer_id", maintain_order=True)
    return links.select("customer_id", "email", "device_id", "loyalty_id"), identities


def _shared_devices(people: People, ids: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Write down the links in which a device leads to somebody else's account."""
    shared = ids.filter(pl.Series(tables.shares_device(people)))
    rows = links.with_row_index("row").join(
        shared.select(customer_id="account_id", device_id="second_device"),
        on=["customer_id", "device_id"],
        maintain_order="left",
    )
    return rows.select(
        table=pl.lit("links"),
        row=pl.col("row").cast(pl.Int64),
        kind=pl.lit("shared_device"),
        column=pl.lit("device_id"),
        original=pl.lit(None, pl.String),
        reason=pl.lit(None, pl.String),
    )


def _truth(world: World, people: People, ids: pl.DataFrame, pilot: Ints) -> pl.DataFrame:
    """Return what is true of each customer, with the expected answers to the coming campaign."""
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
