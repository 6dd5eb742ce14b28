"""Raw tables and truth of one block of customers, with the defects planted in the export."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from segkit.simulate import customers, engagement, purchases
from segkit.simulate.archetypes import NO_OFFER, OFFERS, WINDOW_WEEKS, read_table
from segkit.simulate.catalogue import Calendar
from segkit.simulate.customers import People, describe, truth_of, writable
from segkit.simulate.draws import Draws, Ints
from segkit.simulate.world import (
    BLOCK,
    PILOT_ID,
    WINDOW_DAYS,
    Answers,
    World,
    answer,
    best_offers,
    natural,
    realised,
    saving_of,
)

# Share of a raw table's rows with each defect (no row has two), and the reason under which the
# intake, with the mapping of `segkit.simulate.retailer`, sets such a row apart; a defect without
# one ("-") is mended or counted, and the row kept.
_PLANTED = """
table     defect            share  reason
orders    duplicate         0.0040 exact_duplicate
orders    missing_customer  0.0040 missing_customer_id
orders    cancelled         0.0120 cancelled
orders    price_zero        0.0012 zero_price
orders    price_negative    0.0008 negative_price
orders    price_text        0.0012 bad_amount
orders    quantity_zero     0.0008 zero_amount
orders    currency_unknown  0.0008 unknown_currency
orders    time_impossible   0.0010 impossible_date
orders    time_future       0.0008 impossible_date
orders    time_nonexistent  0.0006 -
orders    time_ambiguous    0.0006 -
events    duplicate         0.0010 exact_duplicate
events    missing_customer  0.0010 missing_customer_id
events    type_unknown      0.0008 unknown_event_type
events    time_future       0.0003 impossible_date
customers duplicate         0.0030 repeated_customer
customers missing_customer  0.0015 missing_customer_id
survey    duplicate         0.0080 repeated_customer
"""
RATES: dict[str, dict[str, float]] = {}
REASONS: dict[tuple[str, str], str] = {}
for _row in read_table(_PLANTED):
    RATES.setdefault(_row["table"], {})[_row["defect"]] = float(_row["share"])
    if _row["reason"] != "-":
        REASONS[_row["table"], _row["defect"]] = _row["reason"]
_NOT_PRICES = ("tbc", "free", "#REF!", "see till")
_IDENTIFIERS = ("account_id", "email", "device_id", "loyalty_id")
_IMPOSSIBLE = ("{year}-02-30 {time}", "{year}-13-05 {time}", "0000-00-00 00:00:00")
_TEXTS = ("kind", "column", "original", "reason")
DEFECTS = {"table": pl.String, "row": pl.Int64, **dict.fromkeys(_TEXTS, pl.String)}


def clock_changes(calendar: Calendar) -> tuple[list[date], list[date]]:
    """Return history's Sundays on which British clocks go forward, and back.

    Examples
    --------
    >>> from segkit.simulate.catalogue import make_calendar
    >>> clock_changes(make_calendar(date(2024, 1, 1), 12))
    ([datetime.date(2024, 3, 31)], [datetime.date(2024, 10, 27)])
    """

    def last_sunday(year: int, month: int) -> date:
        last = date(year, month, 31)
        return last - timedelta(days=(last.weekday() + 1) % 7)

    years = range(calendar.start.year, calendar.campaign_date.year + 1)
    both = [[last_sunday(year, month) for year in years] for month in (3, 10)]
    forward, back = (
        [day for day in days if calendar.start <= day < calendar.campaign_date] for days in both
    )
    return forward, back


def pick(root: np.uint64, table: str, first: int, rows: int) -> tuple[list[str], Ints, Draws]:
    """Choose at most one defect per row: kinds, each row's place among them (or -1), streams."""
    kinds = list(RATES[table])
    draws = Draws.of(root, first * 2**24 + np.arange(rows))
    draws = draws.child(np.arange(rows), 0, f"dirt {table}")
    edges = np.cumsum([RATES[table][kind] for kind in kinds])
    place = np.searchsorted(edges, draws.uniform("defect"), side="right")
    return kinds, np.where(place == len(kinds), -1, place), draws


def insert_defects(
    frame: pl.DataFrame, table: str, root: np.uint64, first: int, calendar: Calendar
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Insert defects into one block of a raw table.

    Parameters
    ----------
    frame : DataFrame
        The clean block, in its order.
    table : str
        A key of `RATES`.
    root : uint64
        The simulation's key.
    first : int
        Number of the block's first customer; the defects depend on it and on the row alone.
    calendar : Calendar

    Returns
    -------
    frame, defects : DataFrame
        The dirty block, and table, row (in the block), kind, column, original value of each
        defect. Copies follow their original.
    """
    kinds, place, draws = pick(root, table, first, frame.height)
    changes: list[tuple[int, str, str, object]] = []
    copies: list[int] = []
    levels = draws.uniform("how")
    for row in np.flatnonzero(place >= 0):
        kind = kinds[place[row]]
        if kind == "duplicate":
            copies.append(int(row))
            continue
        cells = _broken(kind, frame.row(int(row), named=True), float(levels[row]), calendar)
        changes += [(int(row), kind, column, value) for column, value in cells.items()]
    dirty, originals = _write(frame, changes)
    return _repeat(dirty, originals, copies, table)


def _broken(
    kind: str, row: dict[str, object], level: float, calendar: Calendar
) -> dict[str, object]:
    """Return the cells that a defect of this kind puts into a row; none where it cannot."""
    sold = row.get("status", "completed") == "completed"
    if kind == "missing_customer":
        return dict.fromkeys(name for name in _IDENTIFIERS if name in row)
    if kind == "type_unknown":
        return {"event_type": ("heartbeat", "push_received")[int(level * 2)]}
    if kind.startswith("time_"):
        return _broken_time(kind, row, level, calendar)
    if not sold:
        return {}
    cells: dict[str, dict[str, object]] = {
        "cancelled": {"status": "cancelled"},
        "price_zero": {"unit_price": "0.00"},
        "price_negative": {"unit_price": f"-{row.get('unit_price')}"},
        "price_text": {"unit_price": _NOT_PRICES[int(level * len(_NOT_PRICES))]},
        "quantity_zero": {"quantity": 0, "discount": 0.0},
        "currency_unknown": {"currency": "USD"},
    }
    return cells[kind]


def _broken_time(
    kind: str, row: dict[str, object], level: float, calendar: Calendar
) -> dict[str, object]:
    if "event_time" in row:
        return {"event_time": datetime(2099, 1, 1) + timedelta(seconds=int(level * 86400))}
    text = str(row["ordered_at"])
    if kind == "time_impossible":
        form = _IMPOSSIBLE[int(level * len(_IMPOSSIBLE))]
        return {"ordered_at": form.format(year=text[:4], time=text[11:])}
    if kind == "time_future":
        return {"ordered_at": f"2099{text[4:10].replace('02-29', '02-28')}{text[10:]}"}
    forward, back = clock_changes(calendar)
    days = forward if kind == "time_nonexistent" else back
    if not days:
        return {}
    minute, day = int(level * 60), days[int(level * 1009) % len(days)]
    return {"ordered_at": f"{day.isoformat()} 01:{minute:02d}:00"}


def _write(
    frame: pl.DataFrame, changes: list[tuple[int, str, str, object]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put the cells in; return the dirty frame and one row per defect with its original value."""
    noted: dict[int, tuple[int, str, str, str | None]] = {}
    columns: dict[str, pl.Series] = {}
    for name in {column for _, _, column, _ in changes}:
        cells = [(row, value) for row, _, column, value in changes if column == name]
        series = frame.get_column(name)
        values = pl.Series([value for _, value in cells], dtype=series.dtype)
        columns[name] = series.clone().scatter([row for row, _ in cells], values)
    for row, kind, column, _ in changes:
        if row not in noted:
            original = frame.get_column(column)[row]
            noted[row] = (row, kind, column, None if original is None else str(original))
    schema = {name: DEFECTS[name] for name in ("row", "kind", "column", "original")}
    rows = [noted[row] for row in sorted(noted)]
    return frame.with_columns(**columns), pl.DataFrame(rows, schema=schema, orient="row")


def _repeat(
    frame: pl.DataFrame, originals: pl.DataFrame, copies: list[int], table: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Insert exact copies after their originals and number the defects' rows anew."""
    times = np.ones(frame.height, dtype=np.int64)
    times[copies] = 2
    starts = np.cumsum(times) - times
    moved = originals.with_columns(
        row=pl.Series(starts[originals.get_column("row").to_numpy()], dtype=pl.Int64)
    )
    added = pl.DataFrame(
        [(int(starts[row]) + 1, "duplicate", None, None) for row in copies],
        schema=moved.schema,
        orient="row",
    )
    reasons = {kind: reason for (name, kind), reason in REASONS.items() if name == table}
    defects = (
        pl.concat([moved, added])
        .sort("row")
        .with_columns(
            table=pl.lit(table),
            reason=pl.col("kind").replace_strict(reasons, default=None, return_dtype=pl.String),
        )
    )
    rows = np.repeat(np.arange(frame.height), times)
    return frame[rows], defects.select(list(DEFECTS))


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
    ids = purchases.identifiers(people, world.neighbours(people), share=world.dirty)
    pilot = _pilot(world, people)
    orders, visits = _history(world, people, ids, pilot)
    mail = engagement.email_events(people, ids)
    trial = pilot_mail(world, people, ids, pilot)
    links, identities = _links(ids)
    tables = {
        "orders": orders,
        "events": pl.concat([visits, mail, trial]).sort("event_time", maintain_order=True),
        "customers": ids.select(_IDENTIFIERS).hstack(describe(people)),
        "survey": customers.survey_table(people, ids["account_id"]),
        "links": links,
        "assignments": _pilot_table(world, ids, pilot),
    }
    defects = [pl.DataFrame(schema=DEFECTS)]
    if world.dirty:
        for name in ("orders", "events", "customers", "survey"):
            tables[name], planted = insert_defects(
                tables[name], name, world.root, first, world.calendar
            )
            defects.append(planted)
        defects.append(_shared_devices(people, ids, links))
    truth = _truth(world, people, ids, pilot)
    return Block(tables, truth, identities, pl.concat(defects))


def _history(
    world: World, people: People, ids: pl.DataFrame, pilot: Ints
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Orders and visits of history, the pilot's orders among them."""
    last = world.calendar.days
    usual = written(people, ids, purchases.shop(people), sure=False, last=last)
    extra = pilot_answers(world, people, pilot)
    person, number = np.flatnonzero(pilot >= 0)[extra.person], _PILOT_NUMBERS + extra.number
    saving = saving_of(pilot[person])
    trial = purchases.make_baskets(people, "pilot", person, number, extra.day, saving=saving)
    added = written(people, ids, trial, sure=True, last=last)
    visits = engagement.visit_events(people, ids, engagement.browse(people))
    orders = pl.concat([usual[0], added[0]]).sort("ordered_at", "order_no", maintain_order=True)
    return orders, pl.concat([visits, usual[1], added[1]])


def written(
    people: People, ids: pl.DataFrame, baskets: purchases.Baskets, *, sure: bool, last: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fill baskets and write them out; what comes back does so before day ``last``."""
    lines = purchases.make_lines(people, baskets, sure=sure)
    back = purchases.send_back(people, lines, last)
    accounts = purchases.accounts_used(baskets.draws, ids, baskets.person)
    bought = purchases.order_table(people, accounts, baskets, lines, returned=False)
    returned = purchases.order_table(people, accounts, baskets, back, returned=True)
    baskets_kept = lines.get_column("basket").unique(maintain_order=True).to_numpy()
    visits = engagement.visit_events(people, ids, engagement.buying(baskets, baskets_kept))
    return pl.concat([bought, returned]), visits


def _pilot(world: World, people: People) -> Ints:
    """Draw each customer's part in the pilot: place in OFFERS, 5 for the holdout, -1 for none."""
    day, draws = world.pilot_day, people.draws
    reachable = writable(people, day + 1) & (people.active_from < day)
    chosen = reachable & (draws.uniform("in pilot") < world.pilot_share)
    offer = draws.choice("pilot offer", np.ones(len(OFFERS) + 1))
    return np.where(chosen, offer, -1)


def _pilot_table(world: World, ids: pl.DataFrame, pilot: Ints) -> pl.DataFrame:
    rows = np.flatnonzero(pilot >= 0)
    sent = np.full(len(rows), world.pilot_day) * purchases.DAY + 6 * 3600 * purchases.SECOND
    names, holdout = pl.Series([*OFFERS, NO_OFFER]), pilot[rows] == len(OFFERS)
    return pl.DataFrame(
        {
            "account_id": ids["account_id"].gather(rows),
            "campaign_id": purchases.same(PILOT_ID, len(rows)),
            "arm": pl.Series(["offer", "holdout"]).gather(holdout * 1),
            "offer": names.gather(pilot[rows]),
            "assigned_at": purchases.local_time(world.calendar, sent),
        }
    )


def pilot_answers(world: World, people: People, pilot: Ints) -> Answers:
    """Draw the orders caused by the pilot's offers; row numbers refer to customers in the pilot."""
    rows = np.flatnonzero(pilot >= 0)
    members = people.some(rows)
    added = world.planted.added(members, np.ones(len(rows), dtype=bool))
    day = np.full(len(rows), world.pilot_day)
    last = np.full(len(rows), world.calendar.days)
    return answer(members, added, pilot[rows], day, last, "pilot")


def pilot_mail(world: World, people: People, ids: pl.DataFrame, pilot: Ints) -> pl.DataFrame:
    """Write the pilot's e-mails and what was done with them."""
    among = np.flatnonzero(pilot >= 0)
    buyers = among[pilot_answers(world, people, pilot).person]
    rows = among[pilot[among] < len(OFFERS)]
    campaigns, day = purchases.same(PILOT_ID, len(rows)), np.full(len(rows), world.pilot_day)
    return engagement.campaign_mail(people, ids, rows, "pilot", campaigns, day, buyers)


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
    pairs = [
        ids.filter(pl.col(kind).is_not_null()).select(
            customer_id="account_id", **{name.get(kind, kind): kind}
        )
        for kind in kinds
    ]
    # A second account is known by its e-mail alone: nobody wrote down whose it is.
    second = ids.filter(pl.col("guest_id").is_not_null())
    pairs.append(second.select(customer_id="guest_id", email="email"))
    links = pl.concat(pairs, how="diagonal").sort("customer_id", maintain_order=True)
    return links.select("customer_id", "email", "device_id", "loyalty_id"), identities


def _shared_devices(people: People, ids: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Write down the links in which a device leads to somebody else's account."""
    shared = ids.filter(pl.Series(purchases.shares_device(people)))
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
    """Return each customer's true values, with the expected responses to the coming campaign."""
    days = world.calendar.days
    base = natural(people, days, 7 * WINDOW_WEEKS)
    reached = writable(people, days)
    added = world.planted.added(people, reached) * realised(WINDOW_DAYS)
    offers = pl.Series(OFFERS)
    return pl.DataFrame({"customer_id": ids["account_id"]}).hstack(
        truth_of(people).with_columns(
            best_offer=offers.gather(best_offers(people)),
            writable=reached,
            in_pilot=pl.Series(pilot >= 0),
            natural_orders=base,
            **{f"added_{name}": added[:, k] for k, name in enumerate(OFFERS)},
        )
    )
