"""What becomes of each raw row? The first rule that it meets sets it apart; the rest are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from segkit.ingest.columns import Columns
from segkit.ledger import Apart, Step, money_from_micro
from segkit.masking import mask_cell, mask_word
from segkit.schema import CONTRACTS

# A row's helper columns while a table is being cleaned; none of them leaves intake.
CODE, MICROS, REPEAT = "__code", "__micro", "__repeat"
HIDDEN = ("erased",)
WORDS = ("cancelled", "total_words", "non_products")  # options that list words
# Column of rejects that holds the customer as intake understood it, for `trace`.
WHO = "resolved_customer_id"


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason for setting rows apart.

    Attributes
    ----------
    step, reason : str
        The ledger's step and the reason's name.
    condition : polars.Expr
        Over the parsed table; null counts as false.
    show : tuple of str
        Raw columns to quote in examples; never those that tell who the customer is.
    change : str
        The mapping line that would change the decision.
    """

    step: str
    reason: str
    condition: pl.Expr
    show: tuple[str, ...] = ()
    change: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A table after its rules.

    Attributes
    ----------
    kept : polars.DataFrame
        Parsed rows that met no rule.
    rejects : polars.DataFrame
        ``source_row``, ``reason``, ``resolved_customer_id``, and the raw columns.
    steps : tuple of Step
        The ledger's part for this table.
    """

    kept: pl.DataFrame
    rejects: pl.DataFrame
    steps: tuple[Step, ...]


def settle(columns: Columns, parsed: pl.DataFrame, rules: Sequence[Rule]) -> Settled:
    """Apply rules in their order: each row is kept, or set apart under its first reason.

    Parameters
    ----------
    columns : Columns
        The table, and its raw rows; row i has ``source_row`` i.
    parsed : polars.DataFrame
        As many rows, with ``source_row``, perhaps ``customer_id``, and ``__micro`` where the
        table holds money (millionths of the reporting currency).
    rules : sequence of Rule
        In the order in which they are tried.

    Returns
    -------
    Settled
    """
    raw = columns.raw
    code: pl.Expr = pl.lit(0, dtype=pl.UInt8)
    for position in range(len(rules), 0, -1):
        met = rules[position - 1].condition.fill_null(value=False)
        code = pl.when(met).then(pl.lit(position, dtype=pl.UInt8)).otherwise(code)
    coded = parsed.with_columns(code.alias(CODE))
    kept = coded.filter(pl.col(CODE) == 0).drop(CODE)
    rejected = coded.filter(pl.col(CODE) > 0)
    names = [rule.reason for rule in rules]
    reasons = pl.Series("reason", ["", *names], dtype=pl.String)
    named = reasons.gather(rejected[CODE].cast(pl.UInt32)).alias("reason")
    rejects = pl.DataFrame([rejected["source_row"], named]).with_columns(
        rejected["customer_id"].alias(WHO)
        if "customer_id" in rejected.columns
        else pl.lit(None, dtype=pl.String).alias(WHO)
    )
    originals = raw[rejected["source_row"]]
    clash = {name: f"raw_{name}" for name in rejects.columns if name in raw.columns}
    originals = originals.rename(clash)
    hidden = rejects["reason"].is_in(HIDDEN)
    if hidden.any():
        originals = originals.select(pl.when(~hidden).then(pl.all()))
        rejects = rejects.with_columns(pl.when(~hidden).then(pl.col(WHO)).alias(WHO))
    rejects = pl.concat([rejects, originals], how="horizontal")
    steps = _steps(columns, coded, rules, rejects)
    return Settled(kept, rejects, steps)


def _steps(
    columns: Columns, coded: pl.DataFrame, rules: Sequence[Rule], rejects: pl.DataFrame
) -> tuple[Step, ...]:
    """Count rows, customers and money at each step from the rules' outcome."""
    has_money = MICROS in coded.columns
    # A 64-bit hash stands for the customer: counting it is much faster than counting texts.
    known = "customer_id" in coded.columns
    who = pl.col("customer_id").hash() if known else pl.lit(None, pl.UInt64)
    if known:
        who = pl.when(pl.col("customer_id").is_not_null()).then(who)
    coded = coded.select(CODE, who.alias("who"), *([MICROS] if has_money else []))
    money = pl.col(MICROS).cast(pl.Int128).sum() if has_money else pl.lit(None, pl.Int128)
    grouped = coded.group_by(CODE).agg(
        rows=pl.len(), customers=pl.col("who").drop_nulls().n_unique(), money=money
    )
    found = {row[CODE]: row for row in grouped.iter_rows(named=True)}
    order = list(dict.fromkeys(rule.step for rule in rules))
    level = {0: len(order), **{i + 1: order.index(rule.step) for i, rule in enumerate(rules)}}
    last = (
        coded.lazy()
        .select("who", level=pl.col(CODE).replace_strict(level, return_dtype=pl.Int16))
        .drop_nulls("who")
        .group_by("who")
        .agg(pl.col("level").max())
        .group_by("level")
        .len()
        .collect()
    )
    reach = dict(last.iter_rows())
    rows = coded.height
    micro = sum(row["money"] or 0 for row in found.values())
    customers = sum(reach.values())
    steps = []
    for place, name in enumerate(order):
        apart = tuple(
            _apart(columns, rules[number - 1], found[number], rejects)
            for number in sorted(found)
            if number and rules[number - 1].step == name
        )
        after = rows - sum(item.rows for item in apart)
        micro_after = micro - sum(
            found[number]["money"] or 0
            for number in found
            if number and rules[number - 1].step == name
        )
        still = sum(count for reached, count in reach.items() if reached > place)
        steps.append(
            Step(
                columns.table,
                name,
                rows,
                after,
                customers,
                still,
                money_from_micro(micro) if has_money else None,
                money_from_micro(micro_after) if has_money else None,
                apart,
            )
        )
        rows, micro, customers = after, micro_after, still
    return tuple(steps)


def _apart(columns: Columns, rule: Rule, counts: dict[str, Any], rejects: pl.DataFrame) -> Apart:
    money: Decimal | None = money_from_micro(counts["money"])
    examples: tuple[str, ...] = ()
    if rule.reason not in HIDDEN:
        shown = [name for name in dict.fromkeys(rule.show) if name in rejects.columns]
        first = rejects.filter(pl.col("reason") == rule.reason).sort("source_row").head(3)
        examples = tuple(
            _place(row["source_row"], columns.first_line)
            + (": " if shown else "")
            + ", ".join(f"{name} = {_shown(columns, name, row[name])}" for name in shown)
            for row in first.iter_rows(named=True)
        )
    return Apart(rule.reason, counts["rows"], counts["customers"], money, examples, rule.change)


def _shown(columns: Columns, name: str, value: object) -> str:
    """Show of a cell what helps to mend it, and nothing that names anyone.

    Words of kinds (status, type, product code) are shown where they are many's or the mapping's.
    """
    part = columns.mapping.tables[columns.table]
    ours = next((our for our, theirs in part.columns.items() if theirs == name), "")
    field = next((f for f in CONTRACTS[columns.table] if f.name == ours), None)
    if field is None or name not in columns.raw.columns:
        return mask_cell(value)
    known = {str(word).casefold() for option in WORDS for word in columns.option(option)}
    if str(value).strip().casefold() in known:
        return str(value)
    if field.kind in ("text", "flag") or ours == "product_id":
        return mask_word(value, columns.raw.get_column(name))
    return mask_cell(value)


def _place(row: int, first_line: int | None) -> str:
    """Say where a row stands: counted from 0, and by the file's line where that is known."""
    return f"row {row}" if first_line is None else f"row {row} (line {row + first_line})"


def repeats(raw: pl.DataFrame) -> pl.Series:
    """Mark rows that repeat an earlier row in every column.

    Rows are compared by a 64-bit hash first, and those with a shared hash value by value, so
    that the answer is exact at any size.

    Examples
    --------
    >>> repeats(pl.DataFrame({"a": [1, 2, 1], "b": ["x", "y", "x"]})).to_list()
    [False, False, True]
    """
    if not raw.width or not raw.height:
        return pl.Series("repeat", [False] * raw.height, dtype=pl.Boolean)
    shared = raw.hash_rows(seed=0).is_duplicated()
    rows = pl.Series(range(0), dtype=pl.UInt32) if not shared.any() else shared.arg_true()
    if not rows.len():
        return pl.zeros(raw.height, dtype=pl.UInt8, eager=True).cast(pl.Boolean)
    again = ~raw[rows].select(pl.struct(pl.all()).is_first_distinct()).to_series()
    marked = rows.filter(again)
    index = pl.int_range(raw.height, dtype=pl.UInt32, eager=True)
    return index.is_in(marked.implode()).alias("repeat")
