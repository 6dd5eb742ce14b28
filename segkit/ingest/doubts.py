"""Doubts about numbers and dates that only the shop can settle: decimal sign, currency, order.

Each doubt is a question with the mapping line that answers it.
"""

from __future__ import annotations

import polars as pl

from segkit.display import counted, number
from segkit.ingest.clock import Clock
from segkit.ingest.columns import Columns
from segkit.ingest.findings import Finding
from segkit.ingest.months import LANGUAGES, date_words
from segkit.ingest.numbers import CODES, seen_dialect
from segkit.ingest.parse import is_text
from segkit.ingest.spelling import SHORT, DayOrder, formats, numeric_format
from segkit.masking import mask_cell

ORDER_WORDS = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}
# Numbers that systems write where they have no value.
MINUS_WORDS = (-1, -999, -9_999, -99_999, -999_999, -9_999_999)
NINES = (9_999, 99_999, 999_999, 9_999_999, 99_999_999)
FAR = 10  # a row of nines is suspicious from so many times the next value on
FEWEST = 2  # values beside it that a suspicion needs


def about_dates(columns: Columns, name: str) -> list[Finding]:
    """Ask how dates are written, where that cannot be seen."""
    theirs, table = str(columns.source(name)), columns.table
    cells = columns.cells(theirs).drop_nulls()
    if columns.option("date_format") is not None or cells.dtype.is_temporal() or not cells.len():
        return []
    if not is_text(cells.dtype):
        if not cells.dtype.is_numeric() or numeric_format(cells) is not None:
            return []
        told = f"The numbers in {theirs!r} are not recognised as dates."
        answer = f'[{table}] date_format = "%Y%m%d" (or epoch_s, epoch_ms, excel)'
        return [Finding("block", table, name, told, example=mask_cell(cells[0]), answer=answer)]
    texts = cells.cast(pl.String)
    order = columns.day_order(name)
    if not _dated(texts, order):
        told = (
            f"The texts in {theirs!r} are not recognised as dates (names of months are read in "
            f"{LANGUAGES})."
        )
        answer = f'[{table}] date_format = "%d/%m/%Y %H:%M"'
        example = mask_cell(texts[0])
        return [Finding("block", table, name, told, texts.len(), example, answer)]
    return _about_order(columns, name, order)


def _about_order(columns: Columns, name: str, order: DayOrder) -> list[Finding]:
    """Ask for the order of day, month and year."""
    theirs, table = str(columns.source(name)), columns.table
    cells = columns.cells(theirs).drop_nulls().cast(pl.String)
    if order.mixed:
        told = (
            f"{theirs!r} writes dates in two orders: {counted(order.day_first, 'spelling')} can "
            f"only be day first, {number(order.month_first)} only month first."
        )
        first = "true" if order.guess else "false"
        answer = f"[{table}] day_first = {first} (the others are set apart)"
        return [Finding("block", table, name, told, answer=answer)]
    if len(order.short) > 1:
        words = [ORDER_WORDS[item] for item in order.short]
        told = (
            f"{theirs!r} has years of two figures and can be read "
            f"{', '.join(words[:-1])} or {words[-1]}."
        )
        sign = next((sign for sign in "-/." if sign in order.example), "-")
        forms = [f'"{sign.join(SHORT[item])}"' for item in order.short]
        answer = f"[{table}] date_format = {forms[0]} (or {', '.join(forms[1:])})"
        return [Finding("block", table, name, told, cells.len(), mask_cell(order.example), answer)]
    if order.unsure:
        told = f"{theirs!r} can be read day first or month first: no number is above 12."
        answer = f"[{table}] day_first = true (or false)"
        return [Finding("block", table, name, told, cells.len(), mask_cell(cells[0]), answer)]
    return []


def _dated(cells: pl.Series, order: DayOrder) -> bool:
    """Tell whether at least half of the texts can be read as dates, in one order or another."""
    sample = cells.head(2000).alias("t").to_frame()
    words = date_words(sample["t"])
    shapes = [
        tuple(formats(sample["t"], day_first=first, short=short))
        for first, short in [(True, order.short[0]), (False, order.short[-1])]
    ]
    read = [
        Clock(formats=shape, words=words).utc(pl.col("t"), pl.String()) for shape in set(shapes)
    ]
    return bool(sample.select(pl.coalesce(read).is_not_null().mean() >= 0.5).item())


def about_decimals(columns: Columns, name: str) -> list[Finding]:
    """Ask which sign is the decimal sign, where the texts leave it open."""
    theirs, table = str(columns.source(name)), columns.table
    if columns.option("decimal") is not None or not is_text(columns.raw.schema[theirs]):
        return []
    unique = columns.cells(theirs).cast(pl.String).unique().drop_nulls()
    dialect, sure = seen_dialect(unique)
    # 1.234 alone is read as computers write it; 1,234 alone can be either.
    if sure:
        return []
    doubtful = unique.filter(unique.str.contains(r"\d[.,]\d{3}\D*$"))
    example = mask_cell(doubtful.sort()[0] if doubtful.len() else unique[0])
    told = (
        f"It cannot be seen whether {dialect.decimal!r} in {theirs!r} is the decimal sign or "
        "parts thousands."
    )
    answer = f'[{table}] decimal = "," (or ".")'
    return [Finding("block", table, name, told, example=example, answer=answer)]


def about_currencies(columns: Columns, *, with_fx: bool) -> list[Finding]:
    """Ask what is to become of amounts in several currencies."""
    table, home = columns.table, columns.option("currency")
    if home is not None or (with_fx and table == "orders"):
        return []
    stated: pl.Series | None
    if table == "orders" and columns.source("currency"):
        name = "currency"
        stated = columns.cells(str(columns.source(name))).cast(pl.String).str.to_uppercase()
    else:
        money = [name for name in columns.money if columns.source(name)]
        name = money[0] if money else ""
        stated = columns.stated_currency(*money)
    if stated is None:
        return []
    counts = stated.drop_nulls().alias("code").value_counts()
    counts = counts.sort("count", "code", descending=[True, False])
    if counts.height < 2:
        return []
    listed = ", ".join(
        f"{_code(code)} ({number(rows)})" for code, rows in counts.head(6).iter_rows()
    )
    answer = f'currency = "{_code(counts.item(0, 0))}" sets the other lines apart'
    if table == "orders":
        answer = (
            f'a table fx (currency, valid_from, rate) and currency = "{_code(counts.item(0, 0))}"'
            "; currency alone sets the other lines apart"
        )
    return [
        Finding(
            "block",
            table,
            name,
            f"Amounts are in {counts.height} currencies: {listed}; without rates they cannot be "
            "added up.",
            rows=int(counts["count"].sum() - counts["count"][0]),
            answer=answer,
        )
    ]


def _code(word: str) -> str:
    """Show a currency's code; any other word is masked."""
    return word if word in CODES else mask_cell(word)


def about_no_value(columns: Columns, name: str) -> list[Finding]:
    """Ask whether a number such as -999 stands for 'no value'."""
    table, theirs = columns.table, str(columns.source(name))
    if columns.mapping.is_set(table, "nulls"):
        return []
    values = columns.numbers(name)
    suspects = [
        value
        for value in suspicious(values)
        if value != -1 or name != "quantity" or _contradicted(columns)
    ]
    if not suspects:
        return []
    listed = ", ".join(f'"{value:.0f}"' for value in suspects)
    rows = int(values.is_in([float(value) for value in suspects]).sum())
    which = " and ".join(f"{value:.0f}" for value in suspects)
    return [
        Finding(
            "block" if table in ("orders", "prices", "fx") else "warn",
            table,
            name,
            f"{which} in {theirs!r} may stand for 'no value'.",
            rows,
            f"{suspects[0]:.0f}",
            f'[{table}] nulls = ["", "NA", {listed}] (without, where it is a true value)',
        )
    ]


def suspicious(values: pl.Series) -> list[float]:
    """List the numbers that look like words for 'no value'.

    Such are -1, -999 ... as the only negative number, and 9999, 99999 ... as the largest from ten
    times the next on.

    Examples
    --------
    >>> suspicious(pl.Series([10.0, -999.0, 30.0, 9_999.0]))
    [-999.0, 9999.0]
    >>> suspicious(pl.Series([10.0, -999.0, -30.0, 9_000.0]))
    []
    """
    found = []
    distinct = values.drop_nulls().unique().sort()
    negative = distinct.filter(distinct < 0)
    others = distinct.filter(distinct >= 0)
    if negative.len() == 1 and negative[0] in MINUS_WORDS and others.len() >= FEWEST:
        found.append(float(negative[0]))
    nines = others.filter(others.is_in([float(value) for value in NINES])).to_list()
    below = others.filter(~others.is_in(nines)) if nines else others
    if nines and below.len() >= FEWEST:
        most = float(below[-1])
        found += [value for value in nines if value >= FAR * max(most, 1.0)]
    return found


def _contradicted(columns: Columns) -> bool:
    """Tell whether quantities of -1 stand beside amounts that are not negative."""
    if columns.source("amount") is None or columns.has("is_return"):
        return False
    if columns.option("return_prefix"):
        return False
    minus = columns.numbers("quantity") == -1
    return bool((minus & (columns.numbers("amount") > 0)).any())
