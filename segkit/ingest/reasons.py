"""Why is a row set apart? The reasons, in the order in which they are tried."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from segkit.ingest.columns import Columns
from segkit.ingest.options import as_date
from segkit.ingest.people import People
from segkit.ingest.settle import MICROS, REPEAT, Rule

MONEY = ("amount", "unit_price", "discount")
EPOCH = date(1970, 1, 1)


def day_limits(columns: Columns) -> tuple[int, int]:
    """Give the first and the last possible day, as days since 1970-01-01."""
    first = as_date(columns.option("earliest_date")) or date(1900, 1, 1)
    tomorrow = datetime.now(tz=UTC).date() + timedelta(days=1)
    last = as_date(columns.option("latest_date")) or tomorrow
    return (first - EPOCH).days, (last - EPOCH).days


def discount_comes_off(columns: Columns) -> bool:
    """Tell whether the discount has still to be taken off the amount."""
    taken = columns.option("discount_taken")
    return columns.has("discount") and not (columns.has("amount") if taken is None else taken)


def order_rules(columns: Columns, people: People, parsed: pl.DataFrame) -> list[Rule]:
    """List the reasons for setting a line apart, in the order in which they are tried."""
    return [
        *_total_rules(columns, parsed),
        *people_rules(people, parsed),
        *date_rules(columns, "order_time", "order_day", parsed),
        *_line_rules(columns),
        *_price_rules(columns),
        *_currency_rules(columns, parsed),
        *_amount_rules(columns),
        *_repeat_rules(columns),
        *consent_rules(people),
    ]


def _cash(columns: Columns) -> tuple[str, ...]:
    return columns.shown("amount", "quantity", "unit_price")


def _total_rules(columns: Columns, parsed: pl.DataFrame) -> list[Rule]:
    """Set sums of other rows apart, where there are any."""
    if "__total" not in parsed.columns:
        return []
    shown = (*columns.shown("order_id", "order_time", "product_id"), *_cash(columns))
    change = "[orders] total_words = []"
    return [Rule("totals", "total_line", pl.col("__total"), shown, change)]


def _line_rules(columns: Columns) -> list[Rule]:
    """Set lines apart that are void, or no goods where that is asked for."""
    rules = []
    if columns.has("status"):
        words = [str(word).lower() for word in columns.option("cancelled")]
        void, shown = pl.col("__status").is_in(words), columns.shown("status")
        rules.append(Rule("lines", "cancelled", void, shown, "[orders] cancelled = [...]"))
    codes = [str(code) for code in columns.option("non_products")]
    apart = columns.option("non_product_lines") == "set_apart"
    if codes and columns.has("product_id") and apart:
        no_goods, shown = pl.col("product_id").is_in(codes), columns.shown("product_id")
        change = '[orders] non_product_lines = "keep"'
        rules.append(Rule("lines", "non_product", no_goods, shown, change))
    return rules


def _price_rules(columns: Columns) -> list[Rule]:
    """Set lines apart whose amount is missing, unreadable, or made from an impossible price."""
    cash = _cash(columns)
    needed = ("amount",) if columns.has("amount") else ("quantity", "unit_price")
    blank = pl.any_horizontal(pl.col(f"__no_{name}") for name in needed)
    unread = pl.any_horizontal(pl.col(f"__{name}").is_null() for name in needed)
    odd = pl.any_horizontal(pl.col(f"__unit_{name}") for name in needed)
    rules = [
        Rule("money", "missing_amount", blank, cash, "[orders.constants] or the source"),
        Rule("money", "unknown_unit", odd, cash, "the source (a number of something else)"),
        Rule("money", "bad_amount", unread, cash, '[orders] decimal = "," (or ".")'),
    ]
    if discount_comes_off(columns):
        off = pl.col("__discount").is_null() & ~pl.col("__no_discount")
        shown = columns.shown("discount")
        change = '[orders] discount_unit = "percent" (or decimal)'
        rules.append(Rule("money", "bad_discount", off, shown, change))
    if columns.has("unit_price"):
        price = pl.col("__unit_price")
        rules.append(Rule("money", "negative_price", price < 0, cash, "the source"))
        if columns.option("zero") == "reject":
            rules.append(Rule("money", "zero_price", price == 0, cash, '[orders] zero = "keep"'))
    return rules


def _currency_rules(columns: Columns, parsed: pl.DataFrame) -> list[Rule]:
    """Set lines apart that cannot be turned into the reporting currency."""
    if "currency" not in parsed.columns:
        return []
    rules = []
    shown = columns.shown("currency", *MONEY)
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
    """Set lines apart whose amount is out of range, nothing, or (where asked for) negative."""
    cash, amount = _cash(columns), pl.col(MICROS)
    rules = [Rule("money", "amount_out_of_range", amount.is_null(), cash, "the source")]
    if columns.option("zero") == "reject":
        rules.append(Rule("money", "zero_amount", amount == 0, cash, '[orders] zero = "keep"'))
    if columns.option("negative") == "reject":
        change = '[orders] negative = "return"'
        rules.append(Rule("money", "negative_amount", pl.col("__negative"), cash, change))
    return rules


def _repeat_rules(columns: Columns) -> list[Rule]:
    """Set exact repeats apart, where that is asked for."""
    if columns.option("duplicates") != "drop":
        return []
    change = '[orders] duplicates = "flag"'
    return [Rule("repeats", "exact_duplicate", pl.col(REPEAT), (), change)]


def people_rules(people: People, parsed: pl.DataFrame) -> list[Rule]:
    """List the reasons that have to do with who the customer is."""
    who = pl.col("customer_id")
    rules = []
    if people.erased.len():
        met = parsed["customer_id"].is_in(people.erased.implode())
        people.met.append(parsed["customer_id"].filter(met).unique().alias("id"))
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
