"""What else does a trial run of intake show? The audit's findings that do not block."""

from __future__ import annotations

import polars as pl

from segkit.display import counted, percent
from segkit.ingest.mapping import Mapping, lacks
from segkit.ingest.process import Intake, run
from segkit.ingest.questions import Finding
from segkit.ingest.readers import Gathered
from segkit.schema import CONTRACTS

RANK = {"block": 0, "warn": 1, "info": 2}
GUEST_SHARE = 0.2
GUEST_TIMES, GUEST_LINES = 4, 50  # or so many times the next customer, and so many lines


def trial(gathered: Gathered, mapping: Mapping) -> Intake | None:
    """Run intake with the likeliest answers, so that findings can be counted."""
    raw = gathered.raw
    if any(lacks(name, mapping.tables[name]) for name in raw):
        return None
    if not all(frame.height for name, frame in raw.items() if name == "orders"):
        return None
    return run(raw, mapping, base=gathered.base, first_lines=gathered.first_lines)


def findings_of(
    raw: dict[str, pl.DataFrame],
    mapping: Mapping,
    taken: Intake | None,
    questions: list[Finding],
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
        found += [Finding("info", _table_of(note), "", note) for note in taken.notes]
        found += _about_orders(taken, mapping)
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
        *_about_zone(lines, mapping),
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


def _about_zone(lines: pl.DataFrame, mapping: Mapping) -> list[Finding]:
    """Ask for the zone of times that carry none."""
    hours = (pl.col("order_time").dt.time() != pl.time(0)).any()
    if mapping.is_set("orders", "timezone") or not lines.select(hours).item():
        return []
    return [
        Finding(
            "warn",
            "orders",
            "order_time",
            "Times carry no zone; they are taken as UTC, which decides the day of late orders.",
            answer='timezone = "Continent/City", the shop\'s own (say "Asia/Tokyo" or '
            '"America/Chicago")',
        )
    ]


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
