"""Questions on amounts in several currencies, and on columns of rates."""

from __future__ import annotations

import polars as pl

from segkit.display import money, number
from segkit.intake.columns import Columns
from segkit.intake.numbers import CODES, named_currency
from segkit.intake.privacy import mask_cell
from segkit.intake.questions import Finding
from segkit.intake.sums import counted_rows


def about_currencies(columns: Columns, *, with_fx: bool) -> list[Finding]:
    """Ask how to handle amounts in several currencies."""
    table, home = columns.table, columns.option("currency")
    if home is not None or (table == "orders" and (with_fx or columns.constant("currency"))):
        return []
    stated: pl.Series | None
    if table == "orders" and columns.source("currency"):
        name = "currency"
        own = columns.mapping.tables[table].values.get(name, {})
        cells = columns.cells(str(columns.source(name))).cast(pl.String)
        stated = cells.replace(own).str.to_uppercase() if own else cells.str.to_uppercase()
    else:
        with_money = [name for name in columns.money if columns.source(name)]
        name = with_money[0] if with_money else ""
        stated = columns.stated_currency(*with_money)
    if stated is None:
        return []
    counts = stated.drop_nulls().alias("code").value_counts()
    counts = counts.sort("count", "code", descending=[True, False])
    header = str(columns.source("amount"))
    named = named_currency(header) if name == "currency" else None
    if counts.height < 2:
        is_read = name != "currency" and counts.height
        if is_read and columns.stated_currency(name, sure=True) is None:
            code, cash = _code(counts.item(0, 0)), columns.source(name)
            text = f"The sign in {cash!r} is of several currencies: {code} is taken."
            return [Finding("info", table, "currency", text, answer=f'currency = "{code}"')]
        if named is None or named in counts["code"]:
            return []
        text = f"{header!r} names {named}, but {columns.source(name)!r} another currency, which is "
        answer = f'[orders.constants] currency = "{named}"'
        return [Finding("warn", table, name, f"{text}taken.", answer=answer)]
    listed = ", ".join(
        f"{_code(code)} ({number(rows)})" for code, rows in counts.head(6).iter_rows()
    )
    main = _code(counts.item(0, 0))
    answer = f'currency = "{main}" rejects the other lines'
    if table == "orders":
        answer = (
            f"{_stated_rates(columns, stated)}a table fx (currency, valid_from, rate) and currency "
            f'= "{main}"; or [orders.constants] currency = "{named or main}", if all amounts are '
            "in it already; currency alone rejects the other lines"
        )
    text = f"Amounts are in {counts.height} currencies: {listed}; without rates they cannot be "
    rows = int(counts["count"].sum() - counts["count"][0])
    return [Finding("block", table, name, text + "added up.", rows, answer=answer)]


def _stated_rates(columns: Columns, stated: pl.Series) -> str:
    """Return the mapping lines that take a column of rates: 1 for one currency, and no other."""
    cash = next((n for n in ("amount", "unit_price") if columns.source(n)), None)
    if cash is None or columns.has("rate"):
        return ""
    worth = columns.numbers(cash)
    for name, shown in columns.profiles.items():
        rates = shown.numbers
        if rates is None or rates.len() < stated.len() or name == columns.source(cash):
            continue
        at_home = (rates == 1).fill_null(value=False)
        home, others = stated.filter(at_home).unique(), stated.filter(~at_home).unique()
        if home.drop_nulls().len() != 1 or home.is_in(others.implode()).any():
            continue
        if not (rates > 0).all():
            continue
        counts = counted_rows(columns)
        sums = {
            "times": (worth * rates).filter(counts).sum(),
            "divided": (worth / rates).filter(counts).sum(),
        }
        ways = (
            f'[orders.columns] rate = "{name}" with currency = "{_code(home[0])}"'
            + (f' and [orders] rate_is = "{way}"' if way != "times" else "")
            + f" (a sum of {money(float(total))})"
            for way, total in sums.items()
        )
        return "; or ".join([*ways, ""])
    return ""


def _code(word: str) -> str:
    """Show a currency's code; any other word is masked."""
    return word if word in CODES else mask_cell(word)
