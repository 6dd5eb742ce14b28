"""Why is a row set apart? The reasons, in the order in which they are tried."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from segkit.ingest.columns import Columns
from segkit.ingest.options import as_date
from segkit.ingest.people import People
from segkit.ingest.settle import MICROS, REPEAT, Rule

EPOCH = date(1970, 1, 1)


def day_limits(columns: Columns) -> tuple[int, int]:
    """Give the first and the last possible day, as days since 1970-01-01."""
    first = as_date(columns.option("earliest_date")) or date(1900, 1, 1)
    tomorrow = datetime.now(tz=UTC).date() + timedelta(days=1)
    last = as_date(columns.option("latest_date")) or tomorrow
    return (first - EPOCH).days, (last - EPOCH).days


def order_rules(columns: Columns, people: People, parsed: pl.DataFrame) -> list[Rule]:
    """List the reasons for setting a line apart, in the order in which they are tried."""
    has, col = columns.has, pl.col
    when, cash = columns.shown("order_time"), columns.shown("amount", "quantity", "unit_price")
    rules = [*people_rules(people, parsed), *date_rules(columns, "order_time", "order_day", parsed)]
    if "__total" in parsed.columns:
        shown = (*columns.shown("order_id", "order_time", "product_id"), *cash)
        change = "[orders] total_words = []"
        rules.insert(0, Rule("totals", "total_line", col("__total"), shown, change))
    if has("status"):
        words = [str(word).lower() for word in columns.option("cancelled")]
        rules.append(
            Rule(
                "lines",
                "cancelled",
                col("__status").is_in(words),
                columns.shown("status"),
                "[orders] cancelled = [...]",
            )
        )
    codes = [str(code) for code in columns.option("non_products")]
    if codes and has("product_id") and columns.option("non_product_lines") == "set_apart":
        rules.append(
            Rule(
                "lines",
                "non_product",
                col("product_id").is_in(codes),
                columns.shown("product_id"),
                '[orders] non_product_lines = "keep"',
            )
        )
    needed = ("amount",) if has("amount") else ("quantity", "unit_price")
    blank = pl.any_horizontal(col(f"__no_{name}") for name in needed)
    unread = pl.any_horizontal(col(f"__{name}").is_null() for name in needed)
    rules += [
        Rule("money", "missing_amount", blank, cash, "[orders.constants] or the source"),
        Rule("money", "bad_amount", unread, cash, '[orders] decimal = "," (or ".")'),
    ]
    if has("unit_price"):
        price = col("__unit_price")
        rules.append(Rule("money", "negative_price", price < 0, cash, "the source"))
        if columns.option("zero") == "reject":
            rules.append(Rule("money", "zero_price", price == 0, cash, '[orders] zero = "keep"'))
    if has("currency"):
        shown = columns.shown("currency")
        rules += [
            Rule("money", "unknown_currency", ~col("__known"), shown, "[fx] (a table of rates)"),
            Rule(
                "money",
                "no_fx_rate",
                col("__rate").is_null(),
                (*shown, *when),
                "[fx] (an earlier rate)",
            ),
        ]
    rules.append(Rule("money", "amount_out_of_range", col(MICROS).is_null(), cash, "the source"))
    if columns.option("zero") == "reject":
        rules.append(Rule("money", "zero_amount", col(MICROS) == 0, cash, '[orders] zero = "keep"'))
    if columns.option("negative") == "reject":
        rules.append(
            Rule(
                "money", "negative_amount", col("__negative"), cash, '[orders] negative = "return"'
            )
        )
    if columns.option("duplicates") == "drop":
        rules.append(
            Rule("repeats", "exact_duplicate", col(REPEAT), (), '[orders] duplicates = "flag"')
        )
    return [*rules, *consent_rules(people)]


def people_rules(people: People, parsed: pl.DataFrame) -> list[Rule]:
    """List the reasons that have to do with who the customer is."""
    who = pl.col("customer_id")
    rules = []
    if people.erased.len():
        rules.append(
            Rule("people", "erased", who.is_in(people.erased.implode()), change="the erasure list")
        )
    if parsed["__unlinked"].any():
        rules.append(
            Rule(
                "people",
                "unlinked_identifier",
                pl.col("__unlinked"),
                change="identities (segkit.identity.link)",
            )
        )
    rules.append(Rule("people", "missing_customer_id", who.is_null(), change="the source"))
    return rules


def consent_rules(people: People) -> list[Rule]:
    """List the last reason: sound rows of customers who have not consented to profiling."""
    if people.allowed is not None:
        without = ~pl.col("customer_id").is_in(people.allowed.implode())
    elif people.refused.len():
        without = pl.col("customer_id").is_in(people.refused.implode())
    else:
        return []
    return [Rule("consent", "no_profiling_consent", without, change='consent = "ignore"')]


def date_rules(columns: Columns, time: str, day: str, parsed: pl.DataFrame) -> list[Rule]:
    """List the reasons that have to do with dates."""
    shown = columns.shown(time)
    first, last = day_limits(columns)
    col = pl.col
    fix = f"[{columns.table}] date_format, or day_first"
    limits = f"[{columns.table}] earliest_date, latest_date"
    unread = col(time).is_null()
    outside = (col(day) < first) | (col(day) > last)
    rules = [
        Rule("dates", "missing_date", col("__no_time"), shown, "the source"),
        Rule("dates", "bad_date", unread & ~col("__like_time"), shown, fix),
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
