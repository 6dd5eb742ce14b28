"""Questions on money: test orders, hundredths, money paid out, the unit of discounts."""

from __future__ import annotations

import re

import polars as pl

from segkit.display import counted, money, number
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import ENOUGH, ColumnProfile, profile_columns, sample
from segkit.intake.headers import plain
from segkit.intake.mapping import TableMapping
from segkit.intake.questions import Finding

MINOR = {"cent", "cents", "minor", "pence", "centimes", "centavos", "centesimi"}
_TEST = re.compile(r"tests?|testing|sandbox|staging")
_REAL = re.compile(r"live|prod(uction)?|real|normal|standard|actual")
MOST_KINDS = 12  # a column with more different words is no kind of row
FEWEST = 5  # amounts that show their unit
MOSTLY = 0.95  # a kind of row stands on nearly every row


def about_tests(frame: pl.DataFrame, columns: Columns) -> tuple[TableMapping, list[Finding]]:
    """Find the column whose words mark lines as tests, which are rejected.

    Returns
    -------
    tuple of (TableMapping, list of Finding)
        The column and values of ``row_kind``, and what to say.
    """
    amount = columns.source("amount")
    if amount is None or columns.has("row_kind"):
        return TableMapping(), []
    part = sample(frame)
    used = set(columns.mapping.tables["orders"].columns.values())
    for name, dtype in part.schema.items():
        if name in used or not is_text(dtype):
            continue
        words = part[name].cast(pl.String).str.strip_chars()
        known = words.drop_nulls()
        if known.len() < MOSTLY * words.len() or not 2 <= known.n_unique() <= MOST_KINDS:
            continue
        distinct = known.unique().sort().to_list()
        tests = [word for word in distinct if _TEST.fullmatch(word.lower())]
        if tests and any(_REAL.fullmatch(word.lower()) for word in distinct):
            return _say_tests(name, tests, frame, columns)
    return TableMapping(), []


def _say_tests(
    name: str, tests: list[str], frame: pl.DataFrame, columns: Columns
) -> tuple[TableMapping, list[Finding]]:
    """Write the proposal, with the rows and the money of each word."""
    words = frame[name].cast(pl.String).str.strip_chars()
    worth = pl.DataFrame({"word": words, "money": columns.numbers("amount")})
    shown, rows = [], 0
    for word in tests:
        lines = worth.filter(pl.col("word") == word)
        rows += lines.height
        shown.append(f"{word!r} ({counted(lines.height, 'row')}, {money(lines['money'].sum())})")
    part = TableMapping({"row_kind": name}, {}, {"row_kind": dict.fromkeys(tests, "test")})
    text = f"{name!r} marks tests: {', '.join(shown)}; they are rejected."
    change = f'[orders.values.row_kind] "{tests[0]}" = "line"'
    return part, [Finding("warn", "orders", "row_kind", text, rows, answer=change)]


def about_minor_units(columns: Columns) -> tuple[dict[str, object], list[Finding]]:
    """Find amounts that are in hundredths, by names such as ``amount_cents``.

    Returns
    -------
    tuple of (dict of str to value, list of Finding)
        The option ``minor_units``, and what to say.
    """
    if columns.mapping.is_set("orders", "minor_units"):
        return {}, []
    names = [n for n in ("amount", "unit_price", "refund") if columns.source(n) is not None]
    said = [n for n in names if MINOR & set(plain(str(columns.source(n))).split("_"))]
    whole = [n for n in said if bool((columns.numbers(n).drop_nulls() % 1 == 0).all())]
    if not whole:
        return _written_out(columns, names)
    listed = ", ".join(repr(columns.source(name)) for name in whole)
    if whole != names:
        text = f"{listed} is in hundredths by its name, other amounts are not."
        answer = "[orders] minor_units = true (or false), with columns in one unit"
        return {}, [Finding("block", "orders", "amount", text, None, answer=answer)]
    text = f"{listed} is read in hundredths of the currency, as its name says."
    answer = "[orders] minor_units = false"
    return {"minor_units": True}, [Finding("info", "orders", "amount", text, None, answer=answer)]


def _written_out(columns: Columns, names: list[str]) -> tuple[dict[str, object], list[Finding]]:
    """Find whole amounts beside a column that writes them with their decimals: 3480, $34.80."""
    if not names or columns.raw.height < FEWEST:
        return {}, []
    part = sample(columns.raw)
    cents = Columns("orders", part, columns.mapping).numbers(names[0])
    if not (cents.drop_nulls() % 1 == 0).all() or not (cents.drop_nulls() >= 100).any():
        return {}, []
    for name, shown in profile_columns(part, columns.nulls).items():
        if name == columns.source(names[0]) or shown.numbers is None or not shown.is_money:
            continue
        fits = ((shown.numbers * 100 - cents).abs() < 0.5).filter(cents != 0)
        if fits.count() >= FEWEST and fits.mean() >= MOSTLY:  # type: ignore[operator]
            text = f"{columns.source(names[0])!r} is in hundredths of {name!r}; it is read as such."
            answer = "[orders] minor_units = false"
            finding = Finding("info", "orders", "amount", text, None, answer=answer)
            return {"minor_units": True}, [finding]
    return {}, []


def ask_debits(credit: str, debit: str, profiles: dict[str, ColumnProfile]) -> list[Finding]:
    """Ask whether money paid out, in a column of its own, was given back to customers."""
    numbers = pl.Series(profiles[debit].numbers)
    rows = int((numbers.fill_null(0) != 0).sum())
    text = (
        f"Money received stands in {credit!r}, money paid out in {debit!r} "
        f"({counted(rows, 'row')}, {money(float(numbers.sum()))}): are these refunds?"
    )
    answer = (
        f'[orders.columns] amount = "{credit}" with [orders.columns] refund = "{debit}"; or '
        f'[orders.columns] amount = "{credit}" with [orders.constants] refund = 0, if they are not'
    )
    return [Finding("block", "orders", "amount", text, rows, answer=answer)]


def ask_unit(columns: dict[str, str], profiles: dict[str, ColumnProfile]) -> list[Finding]:
    """Ask whether whole discounts of few sizes are money or percent, where they are to come off."""
    shown = profiles.get(columns["discount"])
    units, prices = (
        item.numbers if (item := profiles.get(columns.get(name, ""))) else None
        for name in ("quantity", "unit_price")
    )
    if shown is None or shown.numbers is None or "amount" in columns or shown.rows < ENOUGH:
        return []
    if units is None or prices is None:
        return []
    off = shown.numbers.abs().drop_nulls()
    rates = off.filter(off > 0)
    is_few = 0 < rates.n_unique() <= 20 and rates.len() > 2 * rates.n_unique()
    most = max(rates, default=0.0)
    if not is_few or shown.is_money or most > 100:
        return []
    gross = units * prices
    off = shown.numbers.abs().fill_null(0)
    sums = [float((gross - off).sum()), float((gross * (1 - off / 100)).sum())]
    text = (
        f"{shown.name!r} holds whole numbers up to {number(most)}: money off the "
        f"line (a sum of {money(sums[0])}), or percent ({money(sums[1])})?"
    )
    answer = '[orders] discount_unit = "percent" (or "money")'
    return [Finding("block", "orders", "discount", text, rates.len(), answer=answer)]
