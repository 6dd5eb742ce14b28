"""What else does a trial run of intake show? The audit's findings that do not block."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import available_timezones

import polars as pl

from segkit.display import counted, percent
from segkit.ingest.clock import stated_offsets
from segkit.ingest.columns import Columns
from segkit.ingest.mapping import Mapping, lacks
from segkit.ingest.process import ORDER, Intake, Reading, read_columns, run
from segkit.ingest.readers import Gathered
from segkit.schema import CONTRACTS

RANK = {"block": 0, "warn": 1, "info": 2}
GUEST_SHARE = 0.2
GUEST_TIMES, GUEST_LINES = 4, 50  # or so many times the next customer, and so many lines


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the audit found.

    Attributes
    ----------
    severity : str
        "block" (must be answered), "warn" or "info".
    table, column : str
        Where; the column is the contract's name, or empty.
    finding : str
        What, in a sentence.
    rows : int or None
        How many rows it concerns, where that can be counted.
    example : str
        A value at fault; never a customer's id.
    answer : str
        The mapping line that settles it.
    """

    severity: str
    table: str
    column: str
    finding: str
    rows: int | None = None
    example: str = ""
    answer: str = ""


def trial(gathered: Gathered, mapping: Mapping, readings: dict[str, Reading]) -> Intake | None:
    """Run intake with the likeliest answers, so that findings can be counted.

    What the tables hold is added to ``readings``, for the intake to come.
    """
    raw = gathered.raw
    if any(lacks(name, mapping.tables[name]) for name in raw):
        return None
    if not all(frame.height for name, frame in raw.items() if name == "orders"):
        return None
    for name, frame in raw.items():
        if name in (*ORDER, "orders"):
            readings[name] = read_columns(name, frame, mapping, gathered.first_lines.get(name))
    return run(
        raw,
        mapping,
        base=gathered.base,
        first_lines=gathered.first_lines,
        said=gathered.notes,
        readings=dict(readings),
    )


def findings_of(
    raw: dict[str, pl.DataFrame],
    mapping: Mapping,
    taken: Intake | None,
    questions: list[Finding],
    said: tuple[str, ...] = (),
) -> tuple[Finding, ...]:
    """Gather every finding, worst first."""
    found = list(questions)
    found += [
        Finding("block", name, "", f"{name} holds no rows.", 0, answer="another source")
        for name, frame in raw.items()
        if not frame.height and name == "orders"
    ]
    if taken is not None:
        for step in taken.ledger.steps:
            rows = max(raw[step.table].height, 1)
            found += [
                Finding(
                    "warn",
                    step.table,
                    "",
                    f"{item.reason.replace('_', ' ').capitalize()}: set apart "
                    f"({percent(item.rows / rows)} of its rows).",
                    item.rows,
                    item.examples[0] if item.examples else "",
                    item.change,
                )
                for item in step.apart
            ]
        found += _about_orders(taken, mapping) + _about_zones(raw, mapping, taken)
    notes = said if taken is None else taken.notes
    found += [Finding("info", _table_of(note), "", note) for note in notes]
    found += _about_columns(raw, mapping)
    return tuple(sorted(found, key=lambda item: (RANK[item.severity], -(item.rows or 0))))


def _table_of(note: str) -> str:
    """Name the table that a note is about; those about consent concern the customers."""
    table = note.partition(":")[0]
    return table if table in CONTRACTS else "customers"


def _about_orders(taken: Intake, mapping: Mapping) -> list[Finding]:
    """Gather what the clean order lines show."""
    lines = taken.orders
    if lines is None or not lines.height:
        return []
    return [
        *_about_guests(lines),
        *_about_shared_orders(lines),
        *_about_prefix(mapping),
    ]


def _about_guests(lines: pl.DataFrame) -> list[Finding]:
    """Point out an id that stands for many customers, or for all."""
    top = lines["customer_id"].value_counts(sort=True)
    if top.height == 1:
        alone = "All lines are of one customer: nothing to segment."
        return [Finding("warn", "orders", "customer_id", alone)]
    share = top["count"][0] / lines.height
    apart = top["count"][0] >= max(GUEST_TIMES * top["count"][1], GUEST_LINES)
    if top.height <= 5 or not (share >= GUEST_SHARE or apart):
        return []
    return [
        Finding(
            "warn",
            "orders",
            "customer_id",
            f"One customer id has {percent(share)} of the lines: a guest account?",
            int(top["count"][0]),
            answer="[orders] nulls = [..., that id] sets it apart as missing",
        )
    ]


def _about_zones(raw: dict[str, pl.DataFrame], mapping: Mapping, taken: Intake) -> list[Finding]:
    """Say in which zone days are taken, and which offsets the times carry."""
    found = []
    for table, name in (("orders", "order_time"), ("events", "event_time")):
        frame = taken.tables.get(table)
        theirs = mapping.tables[table].columns.get(name) if table in mapping.tables else None
        if frame is None or theirs is None or not frame.height:
            continue
        if not frame.select((pl.col(name).dt.time() != pl.time(0)).any()).item():
            continue
        found += _about_zone(Columns(table, raw[table], mapping), name, theirs)
    return found


def _about_zone(columns: Columns, name: str, theirs: str) -> list[Finding]:
    """Ask for the zone of one table's times, or say how its offsets are used."""
    table, zone = columns.table, columns.option("timezone")
    offsets, bare = stated_offsets(columns.cells(theirs))
    if {"epoch_s", "epoch_ms"} & set(columns.clock(name).formats):
        offsets, bare = ["UTC"], 0
    example = 'timezone = "Continent/City", the shop\'s own (say "Asia/Tokyo" or "America/Chicago")'
    if not offsets:
        if zone:
            return []
        told = f"Times carry no zone; they are taken as UTC, which decides the day of late {table}."
        return [Finding("warn", table, name, told, answer=example)]
    listed = ", ".join(offsets[:4]) + (" ..." if len(offsets) > 4 else "")
    told = f"Times in {theirs!r} carry their offset or zone ({listed}) and are stored in UTC; "
    told += f"each day is the day in {zone or 'UTC'}."
    if bare:
        told += f" {counted(bare, 'time')} without one {'is' if bare == 1 else 'are'} taken in "
        told += f"{zone or 'UTC'}."
    if zone:
        return [Finding("info", table, name, told)]
    named = "/" in offsets[0] and offsets[0] in available_timezones()
    answer = f'timezone = "{offsets[0]}"' if named else example
    return [Finding("warn", table, name, told, answer=answer)]


def _about_shared_orders(lines: pl.DataFrame) -> list[Finding]:
    """Count the order ids that several customers share."""
    owners = lines.group_by("order_id").agg(pl.col("customer_id").n_unique())
    shared = owners.filter(pl.col("customer_id") > 1).height
    if not shared:
        return []
    told = counted(shared, "order id belongs", "order ids belong")
    answer = "[orders.columns] order_id"
    return [Finding("warn", "orders", "order_id", f"{told} to several customers.", answer=answer)]


def _about_prefix(mapping: Mapping) -> list[Finding]:
    """Say which order ids are read as returns."""
    prefix = mapping.option("orders", "return_prefix")
    if not prefix:
        return []
    told = f"Order ids that start with {prefix!r} are returns."
    answer = f'[orders] return_prefix = "{prefix}"'
    return [Finding("info", "orders", "order_id", told, answer=answer)]


def _about_columns(raw: dict[str, pl.DataFrame], mapping: Mapping) -> list[Finding]:
    """Say which source columns are not used, and what is assumed where one is missing."""
    found = []
    for table, frame in raw.items():
        used = mapping.tables[table].columns
        spare = [name for name in frame.columns if name not in used.values()]
        if spare and table != "survey":
            found.append(
                Finding(
                    "info",
                    table,
                    "",
                    f"Columns not used: {', '.join(spare)}.",
                    answer=f'[{table}.columns] name = "column"',
                )
            )
        if table != "orders":
            continue
        if "order_id" not in used:
            grain = mapping.option("orders", "order_grain")
            found.append(
                Finding(
                    "warn",
                    "orders",
                    "order_id",
                    f"No order ids: one order is taken to be one customer's {grain}.",
                    answer='[orders.columns] order_id = "..." (or order_grain)',
                )
            )
        if "discount" in used and not mapping.is_set("orders", "discount_taken"):
            where = "amount already has" if "amount" in used else "unit_price does not have"
            found.append(
                Finding(
                    "warn",
                    "orders",
                    "discount",
                    f"It is assumed that {where} the discount taken off.",
                    answer=f"[orders] discount_taken = {'false' if 'amount' in used else 'true'}",
                )
            )
    return found
