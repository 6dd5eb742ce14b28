"""What else does a trial run of intake show? The audit's findings that do not block."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segkit.display import number, percent
from segkit.ingest.mapping import Mapping, lacks
from segkit.ingest.process import Intake, run
from segkit.ingest.questions import Finding

RANK = {"block": 0, "warn": 1, "info": 2}
GUEST_SHARE = 0.2
GUEST_TIMES, GUEST_LINES = 4, 50  # or so many times the next customer, and so many lines


def trial(raw: dict[str, pl.DataFrame], mapping: Mapping, base: Path | None) -> Intake | None:
    """Run intake with the likeliest answers, so that findings can be counted."""
    if any(lacks(name, mapping.tables[name]) for name in raw):
        return None
    if not all(frame.height for name, frame in raw.items() if name == "orders"):
        return None
    return run(raw, mapping, base=base)


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
        found += [Finding("info", note.split(":")[0], "", note) for note in taken.notes]
        found += _about_orders(taken, mapping)
    found += _about_columns(raw, mapping)
    return tuple(sorted(found, key=lambda item: (RANK[item.severity], -(item.rows or 0))))


def _about_orders(taken: Intake, mapping: Mapping) -> list[Finding]:
    lines = taken.orders
    if lines is None or not lines.height:
        return []
    found = []
    top = lines["customer_id"].value_counts(sort=True)
    share = top["count"][0] / lines.height
    apart = top.height > 5 and top["count"][0] >= GUEST_TIMES * top["count"][1]
    if top.height > 5 and (share >= GUEST_SHARE or (apart and top["count"][0] >= GUEST_LINES)):
        found.append(
            Finding(
                "warn",
                "orders",
                "customer_id",
                f"One customer id has {percent(share)} of the lines: a guest account?",
                int(top["count"][0]),
                answer="[orders] nulls = [..., that id] sets it apart as missing",
            )
        )
    if not mapping.is_set("orders", "timezone") and _has_hours(lines):
        found.append(
            Finding(
                "warn",
                "orders",
                "order_time",
                "Times carry no zone; they are taken as UTC, which decides the day of late orders.",
                answer='timezone = "Europe/London" (your zone)',
            )
        )
    if taken.orders is not None and top.height == 1:
        found.append(
            Finding(
                "warn",
                "orders",
                "customer_id",
                "All lines are of one customer: nothing to segment.",
            )
        )
    shared = (
        lines.group_by("order_id")
        .agg(pl.col("customer_id").n_unique())
        .filter(pl.col("customer_id") > 1)
    )
    if shared.height:
        found.append(
            Finding(
                "warn",
                "orders",
                "order_id",
                f"{number(shared.height)} order ids belong to several customers.",
                answer="[orders.columns] order_id",
            )
        )
    prefix = mapping.option("orders", "return_prefix")
    if prefix:
        found.append(
            Finding(
                "info",
                "orders",
                "order_id",
                f"Order ids that start with {prefix!r} are returns.",
                answer=f'[orders] return_prefix = "{prefix}"',
            )
        )
    return found


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


def _has_hours(lines: pl.DataFrame) -> bool:
    return bool(lines.select((pl.col("order_time").dt.time() != pl.time(0)).any()).item())
