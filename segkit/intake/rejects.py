"""Rejected rows: the reasons in the order in which they are tried, and the ledger's steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import polars as pl

from segkit.ids import are_tests
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.dates import DATE_LIKE
from segkit.intake.ledger import Rejection, Step, money_from_micro
from segkit.intake.mapping import STATUS_COLUMNS, as_date
from segkit.intake.people import WHO, People
from segkit.intake.privacy import mask_cell, mask_word
from segkit.intake.tried import better_dates, better_decimal
from segkit.schema import fields

# Helper columns used during cleaning; they are not part of the result.
CODE, MICROS, REPEAT = "__code", "__micro", "__repeat"
HIDDEN = ("erased",)
WORDS = ("cancelled", "total_words", "non_products")  # options that list words


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason for rejecting rows."""

    step: str  # of the ledger
    reason: str
    condition: pl.Expr  # over the parsed table; null counts as false
    # Raw columns to quote in examples; never those that identify the customer.
    show: tuple[str, ...] = ()
    change: str = ""  # the mapping line that would change the decision


@dataclass(frozen=True, slots=True)
class Settled:
    """A table after its rules."""

    kept: pl.DataFrame  # parsed rows that met no rule
    # ``source_row``, ``reason``, ``resolved_customer_id``, and the raw columns.
    rejects: pl.DataFrame
    steps: tuple[Step, ...]  # the ledger's part for this table


def settle(columns: Columns, parsed: pl.DataFrame, rules: Sequence[Rule]) -> Settled:
    """Apply rules in order: each row is kept, or rejected for the first reason that applies.

    ``parsed`` has the rows of the raw table (row i has ``source_row`` i), perhaps ``customer_id``,
    and ``__micro`` where the table holds money (millionths of the reporting currency).
    """
    raw = columns.raw
    code: pl.Expr = pl.lit(0, dtype=pl.UInt8)
    for position in range(len(rules), 0, -1):
        met = rules[position - 1].condition.fill_null(value=False)
        code = pl.when(met).then(pl.lit(position, dtype=pl.UInt8)).otherwise(code)
    coded = parsed.with_columns(code.alias(CODE))
    kept_rows = coded.filter(pl.col(CODE) == 0).drop(CODE)
    rejected = coded.filter(pl.col(CODE) > 0)
    names = [rule.reason for rule in rules]
    reasons = pl.Series("reason", ["", *names], dtype=pl.String)
    named = reasons.gather(rejected[CODE].cast(pl.UInt32)).alias("reason")
    has_who = "customer_id" in rejected.columns
    who = rejected["customer_id"] if has_who else pl.lit(None, dtype=pl.String)
    rejects = pl.DataFrame([rejected["source_row"], named]).with_columns(who.alias(WHO))
    clash = {name: f"raw_{name}" for name in rejects.columns if name in raw.columns}
    originals = raw[rejected["source_row"]].rename(clash)
    hidden = rejects["reason"].is_in(HIDDEN)
    if hidden.any():
        originals = originals.select(pl.when(~hidden).then(pl.all()))
        rejects = rejects.with_columns(pl.when(~hidden).then(pl.col(WHO)).alias(WHO))
    rejects = pl.concat([rejects, originals], how="horizontal")
    return Settled(kept_rows, rejects, _steps(columns, coded, rules, rejects))


def _steps(
    columns: Columns, coded: pl.DataFrame, rules: Sequence[Rule], rejects: pl.DataFrame
) -> tuple[Step, ...]:
    """Count rows, customers and money at each step from the rules' outcome."""
    has_money = MICROS in coded.columns
    # A 64-bit hash stands for the customer: counting it is much faster than counting texts.
    has_customers = "customer_id" in coded.columns
    who = pl.col("customer_id").hash() if has_customers else pl.lit(None, pl.UInt64)
    if has_customers:
        who = pl.when(pl.col("customer_id").is_not_null()).then(who)
    coded = coded.select(CODE, who.alias("who"), *([MICROS] if has_money else []))
    money = pl.col(MICROS).cast(pl.Int128).sum() if has_money else pl.lit(None, pl.Int128)
    grouped = coded.group_by(CODE).agg(
        rows=pl.len(), customers=pl.col("who").drop_nulls().n_unique(), money=money
    )
    counts = {row[CODE]: row for row in grouped.iter_rows(named=True)}
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
    rows, customers = coded.height, sum(reach.values())
    money_left = sum(row["money"] or 0 for row in counts.values())
    before = money_from_micro(money_left) if has_money else None
    steps = []
    for place, name in enumerate(order):
        met = [code for code in sorted(counts) if code and rules[code - 1].step == name]
        rejected = tuple(_rejection(columns, rules[n - 1], counts[n], rejects) for n in met)
        left = rows - sum(item.rows for item in rejected)
        money_left -= sum(counts[code]["money"] or 0 for code in met)
        after = money_from_micro(money_left) if has_money else None
        still = sum(count for reached, count in reach.items() if reached > place)
        steps.append(
            Step(columns.table, name, rows, left, customers, still, before, after, rejected)
        )
        rows, customers, before = left, still, after
    return tuple(steps)


def _rejection(
    columns: Columns, rule: Rule, counts: dict[str, Any], rejects: pl.DataFrame
) -> Rejection:
    money, first_line = money_from_micro(counts["money"]), columns.first_line
    examples: tuple[str, ...] = ()
    if rule.reason not in HIDDEN:
        shown = [name for name in dict.fromkeys(rule.show) if name in rejects.columns]
        first = rejects.filter(pl.col("reason") == rule.reason).sort("source_row").head(3)
        examples = tuple(
            f"row {row['source_row']}"  # counted from 0; then the line of the file if known
            + (f" (line {row['source_row'] + first_line})" if first_line is not None else "")
            + (": " if shown else "")
            + ", ".join(f"{name} = {_shown(columns, name, row[name])}" for name in shown)
            for row in first.iter_rows(named=True)
        )
    return Rejection(rule.reason, counts["rows"], counts["customers"], money, examples, rule.change)


def _shown(columns: Columns, name: str, value: object) -> str:
    """Return the part of a cell that helps to correct it, without personal data.

    Words for kinds (status, type, product code) are shown if many rows or the mapping have them.
    """
    part = columns.mapping.tables[columns.table]
    column = next((our for our, raw_column in part.columns.items() if raw_column == name), "")
    field = fields(columns.table).get(column)
    if field is None or name not in columns.raw.columns:
        return mask_cell(value)
    known_words = {str(word).casefold() for option in WORDS for word in columns.option(option)}
    if str(value).strip().casefold() in known_words:
        return str(value)
    if field.kind in ("text", "flag") or column == "product_id":
        return mask_word(value, columns.raw.get_column(name))
    return mask_cell(value)


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
    hashes = raw.hash_rows(seed=0)
    if hashes.n_unique() == raw.height:
        return pl.zeros(raw.height, dtype=pl.UInt8, eager=True).cast(pl.Boolean)
    rows = hashes.is_duplicated().arg_true()
    again = ~raw[rows].select(pl.struct(pl.all()).is_first_distinct()).to_series()
    index = pl.int_range(raw.height, dtype=pl.UInt32, eager=True)
    return index.is_in(rows.filter(again).implode()).alias("repeat")


MONEY = ("amount", "unit_price", "discount", "refund")
EPOCH = date(1970, 1, 1)


def left_out(columns: Columns) -> tuple[str, ...]:
    """List the kinds of rows that are rejected; totals of whole orders hold discounts already."""
    also = ("discount",) if columns.option("amount_of") == "order" else ()
    return ("charge", "test", "other", *also)


def discount_comes_off(columns: Columns) -> bool:
    """Return whether the discount must still be subtracted from the amount."""
    taken = columns.option("discount_taken")
    return columns.has("discount") and not (columns.has("amount") if taken is None else taken)


def order_rules(columns: Columns, people: People, parsed: pl.DataFrame) -> list[Rule]:
    """List the reasons for rejecting a line, in the order in which they are tried."""
    dates = date_rules(columns, "order_time", "order_day", parsed)
    if "__state" in parsed.columns:  # a deal that is lost needs no date
        out = ((pl.col("__state") != "sale") & ~pl.col("is_return")).fill_null(value=False)
        dates = [replace(rule, condition=rule.condition & ~out) for rule in dates]
    return [
        *_total_rules(columns, parsed),
        *_test_rules(columns, parsed),
        *people_rules(people, parsed),
        *dates,
        *_line_rules(columns, parsed),
        *_price_rules(columns, parsed),
        *_currency_rules(columns, parsed),
        *_amount_rules(columns),
        *repeat_rules(columns),
        *consent_rules(people),
    ]


def _cash(columns: Columns) -> tuple[str, ...]:
    return columns.shown("amount", "quantity", "unit_price")


def _total_rules(columns: Columns, parsed: pl.DataFrame) -> list[Rule]:
    """Reject rows that are totals of other rows."""
    if "__total" not in parsed.columns:
        return []
    shown = (*columns.shown("order_id", "order_time", "product_id"), *_cash(columns))
    change = "[orders] total_words = []"
    if columns.has("row_kind"):
        change = f"{change}, or row_kind"
        shown = (*columns.shown("row_kind"), *shown)
    return [Rule("totals", "total_line", pl.col("__total"), shown, change)]


def _test_rules(columns: Columns, parsed: pl.DataFrame) -> list[Rule]:
    """Reject the orders of those who try the shop out, where they count as no customers."""
    if (source := columns.source("customer_id")) is None:
        return []
    nobody = parsed["customer_id"].is_null().arg_true()
    tests = nobody.filter(are_tests(columns.cells(source).gather(nobody)))
    condition = pl.col("source_row").is_in(tests.implode())
    change = "[orders] no_customer = []"
    return [Rule("people", "test_order", condition, change=change)] if tests.len() else []


def _line_rules(columns: Columns, parsed: pl.DataFrame) -> list[Rule]:
    """Reject lines that are no sale by their state and, if the mapping says so, no goods."""
    rules = []
    if "__earlier" in parsed.columns:
        shown, change = columns.shown("order_id", *STATUS_COLUMNS), "[orders] state_time"
        rules.append(Rule("lines", "earlier_state", pl.col("__earlier"), shown, change))
    if "__given_back" in parsed.columns:
        shown, change = columns.shown("order_id", "amount"), "the source"
        rules.append(Rule("lines", "given_back", pl.col("__given_back"), shown, change))
    if "__state" in parsed.columns:
        shown, state = columns.shown(*STATUS_COLUMNS, "cancelled_at", "refund"), pl.col("__state")
        own = next((name for name in STATUS_COLUMNS if columns.has(name)), "status")
        change = f'[orders.values.{own}] "word" = "sale"'
        takes_back = pl.col("is_return")  # a refund written as a line of its own stays a return
        rules += [
            Rule("lines", "cancelled", state == "cancelled", shown, change),
            Rule("lines", "refunded", (state == "refunded") & ~takes_back, shown, change),
            Rule("lines", "unpaid", state == "unpaid", shown, change),
        ]
    if columns.has("row_kind"):
        shown, change = columns.shown("row_kind"), '[orders.values.row_kind] "word" = "line"'
        rules += [
            Rule("lines", f"{kind}_line", pl.col(f"__{kind}_row"), shown, change)
            for kind in left_out(columns)
        ]
    codes = [str(code) for code in columns.option("non_products")]
    rejects = columns.option("non_product_lines") == "set_apart"
    if codes and columns.has("product_id") and rejects:
        no_goods, shown = pl.col("product_id").is_in(codes), columns.shown("product_id")
        change = '[orders] non_product_lines = "keep"'
        rules.append(Rule("lines", "non_product", no_goods, shown, change))
    return rules


def _price_rules(columns: Columns, parsed: pl.DataFrame) -> list[Rule]:
    """Reject lines whose amount is missing, unreadable, or made from an impossible price."""
    cash = _cash(columns)
    needed = ("amount",) if columns.has("amount") else ("quantity", "unit_price")
    blank = pl.any_horizontal(pl.col(f"__no_{name}") for name in needed)
    unread = pl.any_horizontal(pl.col(f"__{name}").is_null() for name in needed)
    odd = pl.any_horizontal(pl.col(f"__unit_{name}") for name in needed)
    lost = parsed.select((unread & ~blank).any()).item()
    sign = better_decimal(columns, *needed) if lost else ""
    rules = [] if "__conflict" not in parsed.columns else [
        Rule("money", "conflicting_totals", pl.col("__conflict"), cash,
             '[orders] amount_of = "line"'),
    ]  # fmt: skip
    rules += [
        Rule("money", "missing_amount", blank, cash, "[orders.constants] or the source"),
        Rule("money", "unknown_unit", odd, cash, "the source (a number of something else)"),
        Rule("money", "bad_amount", unread, cash, sign or "the source"),
    ]
    if discount_comes_off(columns):
        off = pl.col("__discount").is_null() & ~pl.col("__no_discount")
        shown = columns.shown("discount")
        change = better_decimal(columns, "discount") or '[orders] discount_unit = "percent"'
        rules.append(Rule("money", "bad_discount", off, shown, change))
    if columns.has("unit_price"):
        price, change = pl.col("__unit_price"), '[orders] negative = "return"'
        stray = _is_stray(columns, parsed)
        rules.append(Rule("money", "negative_price", stray, cash, change))
        if columns.option("zero") == "reject":
            rules.append(Rule("money", "zero_price", price == 0, cash, '[orders] zero = "keep"'))
    return rules


def told_returns(columns: Columns) -> pl.Expr:
    """Mark the lines that something else than a sign calls returns."""
    told: pl.Expr = pl.lit(value=False)
    prefix = columns.option("return_prefix")
    if prefix and columns.has("order_id"):
        told |= pl.col("order_id").str.starts_with(prefix)
    if columns.has("is_return"):
        told |= pl.col("__flag")
    if columns.has("row_kind"):
        told |= pl.col("__return_row")
    return told.fill_null(value=False)


def _is_stray(columns: Columns, parsed: pl.DataFrame) -> pl.Expr:
    """Mark negative prices that nothing else says to give money back: not the amount, nor a word.

    That a mapping file itself takes what is negative as returned holds for prices, too.
    """
    if columns.mapping.is_set("orders", "negative") and columns.option("negative") == "return":
        return pl.lit(value=False)
    stray = (pl.col("__unit_price") < 0) & ~pl.col("__coupon") & ~told_returns(columns)
    if columns.has("amount"):
        stray &= pl.col("__amount") >= 0
    if "__state" in parsed.columns:  # a refund written with its sign on the price, too
        stray &= pl.col("__state") != "refunded"
    if columns.has("row_kind"):
        stray &= ~pl.col("__discount_row")
    return stray


def _currency_rules(columns: Columns, parsed: pl.DataFrame) -> list[Rule]:
    """Reject lines that cannot be converted to the reporting currency."""
    if "currency" not in parsed.columns and not columns.has("rate"):
        return []
    rules = []
    shown = columns.shown("currency", "rate", *MONEY)
    if "__stated" in parsed.columns:
        conflict = pl.col("__stated") != pl.col("currency")
        rules.append(Rule("money", "currency_conflict", conflict, shown, "the source"))
    when = columns.shown("order_time")
    unknown, without = ~pl.col("__known"), pl.col("__rate").is_null()
    return [
        *rules,
        Rule("money", "unknown_currency", unknown, shown, "[fx] (a table of rates)"),
        Rule("money", "no_fx_rate", without, (*shown, *when), "[fx] (an earlier rate)"),
    ]


def _amount_rules(columns: Columns) -> list[Rule]:
    """Reject lines whose amount is out of range, zero, or (if set in the mapping) negative."""
    cash, amount = _cash(columns), pl.col(MICROS)
    rules = [Rule("money", "amount_out_of_range", amount.is_null(), cash, "the source")]
    if columns.option("zero") == "reject":
        rules.append(Rule("money", "zero_amount", amount == 0, cash, '[orders] zero = "keep"'))
    if columns.option("negative") == "reject":
        change = '[orders] negative = "return"'
        rules.append(Rule("money", "negative_amount", pl.col("__negative"), cash, change))
    return rules


def repeat_rules(columns: Columns) -> list[Rule]:
    """Reject exact duplicates, if the mapping says so."""
    if columns.option("duplicates") != "drop":
        return []
    change = f'[{columns.table}] duplicates = "flag"'
    return [Rule("repeats", "exact_duplicate", pl.col(REPEAT), (), change)]


def people_rules(people: People, parsed: pl.DataFrame) -> list[Rule]:
    """List the reasons that concern the customer."""
    who = pl.col("customer_id")
    rules = []
    if people.erased.len():
        met = who.is_in(people.erased.implode())
        people.met.append(parsed.select(id=who.filter(met).unique()).to_series())
        rules.append(Rule("people", "erased", met, change="the erasure list"))
    if parsed["__unlinked"].any():
        change, unlinked = "identities (segkit.intake.link_identifiers)", pl.col("__unlinked")
        rules.append(Rule("people", "unlinked_identifier", unlinked, change=change))
    rules.append(Rule("people", "missing_customer_id", who.is_null(), change="the source"))
    return rules


def consent_rules(people: People) -> list[Rule]:
    """List the last reason: valid rows of customers without consent to profiling."""
    if people.allowed is not None:
        without = ~pl.col("customer_id").is_in(people.allowed.implode())
    elif people.refused.len():
        without = pl.col("customer_id").is_in(people.refused.implode())
    else:
        return []
    return [Rule("consent", "no_profiling_consent", without, change='consent = "ignore"')]


def _like_dates(columns: Columns, name: str) -> pl.Series | None:
    """Mark the texts that are shaped as dates, whatever their figures."""
    raw_column = columns.source(name)
    if raw_column is None or not is_text(columns.raw.schema[raw_column]):
        return None
    texts = columns.raw[raw_column].cast(pl.String).str.strip_chars()
    return texts.str.contains(DATE_LIKE).fill_null(value=False)


def date_rules(columns: Columns, time: str, day: str, parsed: pl.DataFrame) -> list[Rule]:
    """List the reasons that concern dates."""
    shown = columns.shown(time)
    first, last = ((limit - EPOCH).days for limit in columns.day_limits)
    col = pl.col
    lost = parsed.select((col(time).is_null() & ~col("__no_time")).any()).item()
    fix = (better_dates(columns, time) if lost else "") or "the source"
    like = pl.lit(_like_dates(columns, time) if lost else None, dtype=pl.Boolean)
    limits = f"[{columns.table}] earliest_date, latest_date"
    unread = col(time).is_null()
    outside = (col(day) < first) | (col(day) > last)
    rules = [
        Rule("dates", "missing_date", col("__no_time"), shown, "the source"),
        Rule("dates", "bad_date", unread & ~like, shown, fix),
        Rule("dates", "impossible_date", unread | outside, shown, limits),
    ]
    if "birth_date" in parsed.columns:
        young = col(day) < col("birth_date").cast(pl.Int32)
        rules.append(Rule("dates", "before_birth", young, shown, "[customers] birth_date"))
    as_of = as_date(columns.option("as_of"))
    if as_of:
        late = col(day) > (as_of - EPOCH).days
        rules.append(Rule("dates", "after_as_of", late, shown, "as_of"))
    return rules
