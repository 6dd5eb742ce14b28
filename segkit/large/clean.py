"""Parts cleaned one by one by the intake's own rules, and their ledgers added up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted
from segkit.errors import DataError
from segkit.intake.clean import ORDER, Reading, read_columns, run
from segkit.intake.columns import Columns, Shared
from segkit.intake.evidence import ENOUGH
from segkit.intake.ledger import MICRO, Ledger, Part, Rejection, Step, money_from_micro
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.money import numbered_rows
from segkit.intake.store import Intake
from segkit.large.gates import slices_of
from segkit.large.split import ROW, Split
from segkit.large.work import Stage

EXAMPLES = 3


def clean_part(
    part: int,
    splits: Mapping[str, Split],
    facts: Mapping[str, Shared],
    mapping: ColumnMapping,
    small: Mapping[str, pl.DataFrame],
    links: Split | None,
    base: Path | None,
    first_lines: Mapping[str, int],
) -> tuple[Intake, dict[str, pl.DataFrame]]:
    """Clean the rows of one part as the intake would clean a whole shop.

    ``facts`` hold what only all rows of a column can tell, and ``small`` the tables that were read
    whole. Row numbers in the result are those of the raw files, one after the other, without rows
    that an earlier file has too.

    Returns
    -------
    tuple of (Intake, dict of str to polars.DataFrame)
        The clean part, and its raw tables.
    """
    raw, rows = dict(small), dict[str, pl.Series]()
    for name, split in splits.items():
        frame = split.read(part)
        rows[name], raw[name] = frame[ROW], frame.drop(ROW)
    readings: dict[str, Reading] = {
        name: read_columns(name, raw[name], mapping, shared=dict(facts[name])) for name in splits
    }
    identities = None if links is None else links.read(part).drop(ROW)
    result = run(raw, mapping, identities=identities, base=base, readings=readings)
    steps_of_all = [
        replace(step, rejected=tuple(_placed(r, rows[step.table], first_lines.get(step.table))
                                     for r in step.rejected))
        for step in result.ledger.steps if step.table in rows
    ]  # fmt: skip
    tables = {name: _numbered(result.tables[name], rows[name]) for name in rows}
    rejects = {name: _numbered(result.rejects[name], rows[name]) for name in rows}
    ledger = replace(result.ledger, steps=tuple(steps_of_all))
    return replace(result, tables=tables, rejects=rejects, ledger=ledger), raw


def _numbered(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Write each row's place among all rows, also into order ids that are made of it."""
    if "source_row" not in frame.columns:
        return frame
    place = rows.gather(frame["source_row"]).alias("source_row")
    if "order_id" in frame.columns and "customer_id" in frame.columns:
        own = pl.concat_str(["customer_id", pl.lit("#"), "source_row"])
        new = pl.concat_str(["customer_id", pl.lit("#"), pl.lit(place)])
        made = pl.when(pl.col("order_id") == own).then(new).otherwise("order_id")
        frame = frame.with_columns(made.alias("order_id"))
    return frame.with_columns(place)


def _placed(rejection: Rejection, rows: pl.Series, first_line: int | None) -> Rejection:
    """Name the rows of the examples by their places among all rows."""

    def named(match: re.Match[str]) -> str:
        row = int(rows[int(match[1])])
        return f"row {row}" if first_line is None else f"row {row} (line {row + first_line})"

    examples = tuple(re.sub(r"^row (\d+)", named, text) for text in rejection.examples)
    return replace(rejection, examples=examples)


def write_clean(
    stage: Stage, part: int, result: Intake, raw: pl.DataFrame, notes: Iterable[str]
) -> None:
    """Write a part's clean tables and rejects, then its record with the ledger."""
    for name in result.tables:
        stage.write(result.tables[name], name, part)
        stage.write(result.rejects[name], f"{name}-rejects", part)
    lines = result.tables["orders"]
    kind = pl.when("is_return").then(pl.lit("return")).otherwise(pl.lit("sale")).alias("kind")
    ids = lines.select(kind, pl.col("order_id").hash().alias("order")).unique()
    stage.write(ids.sort("order", "kind"), "order-ids", part)
    record = {"ledger": result.ledger.to_dict(), "lines": lines.height, "notes": list(notes)}
    if not result.mapping.is_set("orders", "duplicates"):
        numbered = numbered_rows(Columns("orders", raw, result.mapping))
        record |= {"rows": raw.height, "once": numbered[0], "numbered": numbered[1]}
    stage.record(part, record)


def add_up(stage: Stage, parts: int, whole: Ledger | None, notes: tuple[str, ...]) -> Ledger:
    """Add up the parts' ledgers, and join ``whole``, the ledger of the tables that were read whole.

    Customers are disjoint, so counts of customers add up; orders are counted by their ids, as an
    order may have lines of several customers.
    """
    _ask_repeats([stage.done(part) or {} for part in range(parts)])
    ledgers = [Ledger.from_dict((stage.done(part) or {})["ledger"]) for part in range(parts)]
    order = {name: place for place, name in enumerate((*ORDER, "orders"))}
    tables = sorted({s.table for one in ledgers for s in one.steps}, key=lambda t: order[t])
    added: list[Step] = [] if whole is None else list(whole.steps)
    for table in tables:
        added += _add_steps([[s for s in one.steps if s.table == table] for one in ledgers])
    counts = _count_orders(stage)
    parts_of_all = [_add_parts([one.parts for one in ledgers], k, counts) for k in range(2)]
    added.sort(key=lambda step: order[step.table])
    return Ledger(tuple(added), tuple(parts_of_all), ledgers[0].currency, notes).check()


def _ask_repeats(records: Sequence[Mapping[str, Any]]) -> None:
    """Raise where rows seem to stand twice in the files, as `about_overlaps` asks in memory."""
    if not all("once" in record for record in records):
        return
    rows, once = (sum(record[name] for record in records) for name in ("rows", "once"))
    numbered = set.intersection(*(set(r["numbered"]) for r in records if r["rows"]))
    if numbered and rows >= ENOUGH and 0.5 * rows < once < rows:
        raise DataError(
            f"the data quality gate is closed; {counted(rows - once, 'row')} repeat others in "
            f"every column, {min(numbered)!r} too, which is another on every other row: do the "
            'same rows stand twice in the file? Answer with: [orders] duplicates = "drop" (or '
            '"flag"; "keep", if they are sales of their own)'
        )


def _add_steps(listed: list[list[Step]]) -> list[Step]:
    """Add up the steps of one table; a step that a part did not need passes its rows on."""
    names = _in_order([[step.step for step in each] for each in listed])
    columns: dict[str, list[Step]] = {name: [] for name in names}
    for each in listed:
        own, last = {step.step: step for step in each}, each[0]
        rows, customers, money = last.rows_in, last.customers_in, last.money_in
        for name in names:
            passed = Step(last.table, name, rows, rows, customers, customers, money, money, ())
            last = own.get(name, passed)
            rows, customers, money = last.rows_kept, last.customers_kept, last.money_kept
            columns[name].append(last)
    return [_add_step(each) for each in columns.values()]


def _add_step(steps_: list[Step]) -> Step:
    reasons = _in_order([[r.reason for r in step.rejected] for step in steps_])
    rejected = []
    for reason in reasons:
        each = [r for step in steps_ for r in step.rejected if r.reason == reason]
        examples = sorted((text for r in each for text in r.examples), key=_row_of)[:EXAMPLES]
        change = next((r.change for r in each if r.change), "")
        rejected.append(Rejection(
            reason, sum(r.rows for r in each), sum(r.customers for r in each),
            _add_money(r.money for r in each), tuple(examples), change,
        ))  # fmt: skip
    counts = ("rows_in", "rows_kept", "customers_in", "customers_kept")
    sums: dict[str, Any] = {n: sum(getattr(step, n) for step in steps_) for n in counts}
    for name in ("money_in", "money_kept"):
        sums[name] = _add_money(getattr(step, name) for step in steps_)
    return replace(steps_[0], **sums, rejected=tuple(rejected))


def _row_of(example: str) -> int:
    match = re.match(r"row (\d+)", example)
    return int(match[1]) if match else 0


def _add_money(amounts: Iterable[Decimal | None]) -> Decimal | None:
    stated = [amount for amount in amounts if amount is not None]
    if not stated:
        return None
    return money_from_micro(int(sum(stated, Decimal(0)) * MICRO))


def _in_order(listed: Iterable[Sequence[str]]) -> list[str]:
    """Merge lists of names, each in the same order of tries."""
    graph: TopologicalSorter[str] = TopologicalSorter()
    for names in listed:
        for name in names:
            graph.add(name)
        for before, after in pairwise(names):
            graph.add(after, before)
    return list(graph.static_order())


def _count_orders(stage: Stage) -> dict[str, int]:
    """Count the different orders by kind, a slice of their ids' hashes after another."""
    counts = {"sale": 0, "return": 0}
    for ids in slices_of(pl.scan_parquet(stage.paths("order-ids")), "order"):
        few = ids.group_by("kind").agg(pl.col("order").n_unique())
        for kind, n in few.collect(engine="streaming").iter_rows():
            counts[kind] += n
    return counts


def _add_parts(listed: list[tuple[Part, ...]], place: int, counts: Mapping[str, int]) -> Part:
    each = [parts[place] for parts in listed]
    rows, customers = sum(p.rows for p in each), sum(p.customers for p in each)
    kind, money = each[0].kind, _add_money(p.money for p in each)
    return Part("orders", kind, rows, customers, counts[kind], money)
