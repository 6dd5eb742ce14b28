"""Questions that only the shop can answer: decimal sign, order of dates, numbers, ids.

Each question comes with the mapping line that answers it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Mapping as Map
from dataclasses import dataclass, replace

import polars as pl

from segkit.display import counted, join_words, number, shorten_list
from segkit.intake.answers import quote_text, split_offers
from segkit.intake.calendars import find_calendar
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.dates import (
    LANGUAGES,
    SHORT,
    Clock,
    DayOrder,
    date_words,
    formats,
    numeric_format,
)
from segkit.intake.mapping import STATUS_COLUMNS, Mapping, TableMapping, lacks
from segkit.intake.numbers import doubted_answers, read_item
from segkit.intake.privacy import mask_cell
from segkit.intake.tried import (
    best_format,
    best_numeric,
    likely_amount,
    other_customers,
    other_dates,
    say_people,
    try_decimals,
)
from segkit.schema import CONTRACTS, Field

MOST_ASKED = 3  # questions that a file raises, the costliest first
ORDER_WORDS = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}
# Numbers that systems write where they have no value.
MINUS_WORDS = (-1, -999, -9_999, -99_999, -999_999, -9_999_999)
NINES = (9_999, 99_999, 999_999, 9_999_999, 99_999_999)
FAR = 10  # a number of nines only is suspicious from this multiple of the next value
FEWEST = 2  # smallest number of other values for a suspicion
FEW_NAMED = 0.05  # of the rows, on which a column names who ordered: at a till, few do
GIVE_AS = 'give it as "{0}", beside a table of order lines: {{"orders": ..., "{0}": ...}}'


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of the audit.

    Attributes
    ----------
    severity : str
        "block" (must be answered), "warn" or "info".
    table, column : str
        Where; the column is the contract's name, or empty.
    finding : str
        What, in a sentence.
    rows : int or None
        How many rows it concerns, where that can be counted.
    example : str
        An invalid value; never a customer's id.
    answer : str
        The mapping line that settles it.
    kind : str
        "rivals" (several columns are possible), "tax" (rivals with and without tax), "unknown"
        (words that only look like states), "words" (of a state, which nothing tells), "void" (an
        answer without effect), "decimal", "calendar", or empty where nothing depends on it.
    sums : tuple of str
        The columns of money whose sums are said behind their names, or of customers, whose rows
        without one are, once it is settled which rows count and how numbers are read.
    """

    severity: str
    table: str
    column: str
    finding: str
    rows: int | None = None
    example: str = ""
    answer: str = ""
    kind: str = ""
    sums: tuple[str, ...] = ()

    @property
    def is_refusal(self) -> bool:
        """Whether it says that the rows are no orders, which no answer changes."""
        return self.severity == "block" and self.table == "orders" and not self.column


def explain_signs(questions: Iterable[Finding]) -> list[str]:
    """Explain the signs that the answers to questions hold: any other word, and what to fill in."""
    questions = [*questions]
    answers = " ".join(question.answer for question in questions)
    signs = {'"*"': "every other word", '"..."': "what you fill in: a column, or one of the words"}
    told = [f"{sign} stands for {meaning}" for sign, meaning in signs.items() if sign in answers]
    if any(question.kind == "words" for question in questions):
        told.append("a word can have another of its meanings: one --answer for each word")
    return [f"({'; '.join(told)}.)"] if told else []


def about_rivals(
    table: str, name: str, columns: Iterable[str], answer: str, must: bool, kind: str = "rivals"
) -> Finding:
    """Ask which of several raw columns a column of the contract is."""
    text = f"Several columns could be {name}: {', '.join(columns)}."
    severity = "block" if must else "warn"
    return Finding(severity, table, name, text, answer=answer, kind=kind)


def _ask_together(questions: list[Finding]) -> list[Finding]:
    """Ask about two unused columns of states in one question: both, one of them, or neither."""
    blocks = [item for item in questions if item.severity == "block" and not item.kind]
    asked = [item for item in blocks if item.column in STATUS_COLUMNS]
    none = [re.findall(r"not_states = \[(.*)\], if it is no state$", item.answer) for item in asked]
    if len(asked) != len(STATUS_COLUMNS) or not all(none):
        return questions
    first, second = asked
    (one, *_, not_one), (two, *_, not_two) = (split_offers(item.answer) for item in asked)
    neither = f"[orders] not_states = [{none[0][0]}, {none[1][0]}], if neither is a state"
    offers = [f"{one} with {two}", f"{one} with {not_two}", f"{two} with {not_one}", neither]
    text, rows = f"{first.finding} {second.finding}", max(first.rows or 0, second.rows or 0)
    both = replace(first, finding=text, rows=rows, answer="; ".join(offers))
    return [both if item is first else item for item in questions if item is not second]


def rest_least(questions: list[Finding], given: Mapping) -> list[Finding]:
    """Assume the answers that cost least where the mapping's answers and the rest are too many.

    With or without tax, all customers' money is scaled alike; a column of unknown words that only
    looks like a state may be none.
    """
    part = given.tables.get("orders", TableMapping())
    answered = {*part.columns, *part.constants, *part.values, *part.options, *given.options}
    asked = sum(item.severity == "block" for item in questions)
    if asked + len(answered) <= MOST_ASKED:
        return questions
    assumed = {
        "tax": " The first is assumed: with and without tax, all customers' money is scaled alike."
    }
    if given.leaves("orders"):  # the mapping only answers questions
        assumed["unknown"] = " Until that is said, all of them count."
    questions = [
        replace(item, severity="warn", finding=item.finding + assumed[item.kind])
        if item.kind in assumed and item.severity == "block"
        else item
        for item in questions
    ]
    asked = sum(item.severity == "block" for item in questions)
    return questions if asked <= MOST_ASKED else _ask_together(questions)


def about_dates(columns: Columns, name: str) -> list[Finding]:
    """Ask for the date format, if it cannot be detected."""
    raw_column, table = str(columns.source(name)), columns.table
    cells = columns.cells(raw_column).drop_nulls()
    if columns.option("date_format") is not None or cells.dtype.is_temporal() or not cells.len():
        return []
    calendar = find_calendar(cells)
    if calendar is not None:
        finding = f"{raw_column!r} holds dates of the {calendar.name} calendar, which are not read."
        answer = "an export with Gregorian dates, such as 2024-01-31"
        example = mask_cell(cells[0])
        return [Finding("block", table, name, finding, cells.len(), example, answer)]
    if not is_text(cells.dtype):
        if not cells.dtype.is_numeric() or numeric_format(cells) is not None:
            return []
        finding = f"The numbers in {raw_column!r} are not recognised as dates."
        form = best_numeric(columns, cells)
        answer = f'[{table}] date_format = "{form}"' if form else other_dates(columns, name)
        answer = answer or f'[{table}.columns] {name} = "..." (a column of dates)'
        return [Finding("block", table, name, finding, example=mask_cell(cells[0]), answer=answer)]
    texts = cells.cast(pl.String)
    order = columns.day_order(name)
    if not _dated(texts, order):
        finding = (
            f"The texts in {raw_column!r} are not recognised as dates (names of months are read in "
            f"{LANGUAGES})."
        )
        form, share = best_format(texts)
        answer = f'[{table}] date_format = "{form}"' if share >= 0.5 else other_dates(columns, name)
        answer = answer or f'[{table}.columns] {name} = "..." (a column of dates)'
        example = mask_cell(texts[0])
        return [Finding("block", table, name, finding, texts.len(), example, answer)]
    return _about_order(columns, name, order)


def _about_order(columns: Columns, name: str, order: DayOrder) -> list[Finding]:
    """Ask for the order of day, month and year."""
    raw_column, table = str(columns.source(name)), columns.table
    cells = columns.cells(raw_column).drop_nulls().cast(pl.String)
    if order.mixed:
        finding = (
            f"{raw_column!r} writes dates in two orders: {counted(order.day_first, 'spelling')} "
            f"can only be day first, {number(order.month_first)} only month first."
        )
        first = "true" if order.guess else "false"
        answer = f"[{table}] day_first = {first} (the others are rejected)"
        return [Finding("block", table, name, finding, answer=answer)]
    if len(order.short) > 1:
        words = [ORDER_WORDS[item] for item in order.short]
        finding = (
            f"{raw_column!r} has years of two figures and can be read "
            f"{', '.join(words[:-1])} or {words[-1]}."
        )
        sign = next((sign for sign in "-/." if sign in order.example), "-")
        forms = [f'"{sign.join(SHORT[item])}"' for item in order.short]
        answer = f"[{table}] date_format = {forms[0]} (or {', '.join(forms[1:])})"
        return [
            Finding("block", table, name, finding, cells.len(), mask_cell(order.example), answer)
        ]
    if order.unsure:
        finding = f"{raw_column!r} can be read day first or month first: no number is above 12."
        answer = f"[{table}] day_first = true (or false)"
        return [Finding("block", table, name, finding, cells.len(), mask_cell(cells[0]), answer)]
    return []


def _dated(cells: pl.Series, order: DayOrder) -> bool:
    """Return whether at least half of the texts can be read as dates, in one order or another."""
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


def doubted_decimals(columns: Columns, names: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """Return the sign, the answer and an example of each column with an unclear decimal sign."""
    doubted: dict[str, tuple[str, str, str]] = {}
    for name in names:
        raw_column = str(columns.source(name))
        if columns.option("decimal") is not None or not is_text(columns.raw.schema[raw_column]):
            continue
        unique, (dialect, sure) = columns.spellings(raw_column), columns.seen_dialect(raw_column)
        # 1.234 alone is read as computers write it; 1,234 alone can be either.
        if sure:
            continue
        shares = try_decimals(columns, name, raw_column)
        best, other = shares
        is_better = shares[best] > shares[other]
        if columns.stated_decimal(raw_column) or (is_better and best == dialect.decimal):
            continue
        if columns.grouped_decimal(raw_column):
            continue
        unclear = unique.filter(unique.str.contains(r"\d[.,]\d{3}\D*$"))
        example = mask_cell(unclear.sort()[0] if unclear.len() else unique[0])
        # Three figures behind every sign are rather thousands than decimals.
        likely, rival = (".", ",") if dialect.decimal == "," else (",", ".")
        signs = [best] if is_better else [likely, rival]
        answer = "; or ".join(f'[{columns.table}] decimal = "{sign}"' for sign in signs)
        doubted[name] = dialect.decimal, answer, example
    return doubted


def about_decimals(columns: Columns, doubted: Map[str, tuple[str, str, str]]) -> list[Finding]:
    """Ask for the decimal sign, once for all columns that the same answer settles."""
    alike: dict[tuple[str, str], list[str]] = {}
    other = {".": ",", ",": "."}
    for name, (sign, answer, _) in doubted.items():
        alike.setdefault((sign, answer), []).append(name)
    return [
        Finding(
            "block", columns.table, names[0],
            f"It cannot be seen whether {sign!r} in "
            f"{join_words([repr(columns.source(name)) for name in names])} is the decimal sign or "
            f"parts thousands: 1{sign}000 is one thousand if decimal = \"{other[sign]}\", and "
            f'one if decimal = "{sign}".',
            example=doubted[names[0]][2], answer=answer, kind="decimal",
        )
        for (sign, answer), names in alike.items()
    ]  # fmt: skip


def _grouped(columns: Columns, names: Iterable[str]) -> list[Finding]:
    """Say which amounts are read with thousands, as three figures stand behind each sign."""
    if columns.option("decimal") is not None:
        return []
    raw = [str(columns.source(name)) for name in names]
    texts = [name for name in raw if is_text(columns.raw.schema[name])]
    grouped = [
        name for name in texts if columns.grouped_decimal(name) and not columns.stated_decimal(name)
    ]
    if not grouped:
        return []
    sign = columns.seen_dialect(grouped[0])[0].decimal
    listed = join_words([repr(name) for name in grouped])
    text = f"{sign!r} parts thousands in {listed}: three figures stand behind each."
    answer = f'[{columns.table}] decimal = "{sign}", if it is the decimal sign'
    return [Finding("info", columns.table, "amount", text, answer=answer)]


def about_no_value(columns: Columns, name: str) -> list[Finding]:
    """Ask whether a number such as -999 stands for 'no value'."""
    table, raw_column = columns.table, str(columns.source(name))
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
    rows, words = int(values.is_in(suspects).sum()), [f"{value:.0f}" for value in suspects]
    listed, which = ", ".join(f'"{word}"' for word in words), " and ".join(words)
    severity = "block" if table in ("orders", "prices", "fx") else "warn"
    text = f"{which} in {raw_column!r} may stand for 'no value'."
    answer = f'[{table}] nulls = ["", "NA", {listed}] (without, where it is a true value)'
    return [Finding(severity, table, name, text, rows, f"{suspects[0]:.0f}", answer)]


def suspicious(values: pl.Series) -> list[float]:
    """List the numbers that look like words for 'no value'.

    These are -1, -999 ... if it is the only negative number, and 9999, 99999 ... if it is the
    largest number and at least ten times the next.

    Examples
    --------
    >>> suspicious(pl.Series([10.0, -999.0, 30.0, 9_999.0]))
    [-999.0, 9999.0]
    >>> suspicious(pl.Series([10.0, -999.0, -30.0, 9_000.0]))
    []
    """
    suspects = []
    distinct = values.drop_nulls().unique().sort()
    negative = distinct.filter(distinct < 0)
    others = distinct.filter(distinct >= 0)
    if negative.len() == 1 and negative[0] in MINUS_WORDS and others.len() >= FEWEST:
        suspects.append(float(negative[0]))
    nines = others.filter(others.is_in([float(value) for value in NINES])).to_list()
    below = others.filter(~others.is_in(nines)) if nines else others
    if nines and below.len() >= FEWEST:
        most = float(below[-1])
        suspects += [value for value in nines if value >= FAR * max(most, 1.0)]
    return suspects


def _contradicted(columns: Columns) -> bool:
    """Return whether quantities of -1 occur with amounts that are not negative."""
    is_told = columns.has("is_return") or columns.option("return_prefix")
    if columns.source("amount") is None or is_told:
        return False
    minus = columns.numbers("quantity") == -1
    return bool((minus & (columns.numbers("amount") > 0)).any())


MOST_KINDS, MOST_OFFERED, MOST_LISTED = 20, 3, 6


def open_questions(columns: Columns) -> list[Finding]:
    """List the questions to answer before this table's numbers can be used."""
    table, frame, mapping = columns.table, columns.raw, columns.mapping
    part = mapping.tables[table]
    questions = []
    for name in lacks(table, part):
        likely = _likely(name, columns)
        text = f"No column of {table} could be recognised as {name}; "
        text += f"{_list_columns(columns, likely)}."
        persons = () if name != "customer_id" or likely == ["..."] else tuple(likely)
        if persons:
            text += " " + "; ".join(say_people(n, frame[n]) for n in likely) + "."
        answer = f"[{table}.columns] {name} = {quote_text(likely[0])}"
        more = ", ".join(map(quote_text, likely[1:]))
        answer += f" (or {more})" if more else ""
        rows = frame.height
        questions.append(Finding("block", table, name, text, rows, answer=answer, sums=persons))
    numbers = []
    for field in CONTRACTS[table]:
        raw_column = part.columns.get(field.name)
        if raw_column is None or not frame.height:
            continue
        unfit = _about_type(table, field, frame[raw_column])
        questions += unfit
        if field.kind in ("time", "date") and not unfit:
            questions += about_dates(columns, field.name)
        elif field.kind in ("money", "number") and not unfit:
            numbers.append(field.name)
    doubted = doubted_decimals(columns, numbers)
    questions += about_decimals(columns, doubted) + _grouped(columns, numbers)
    for name in numbers:
        questions += [] if name in doubted else about_no_value(columns, name)
    if table == "survey":
        questions += _about_answers(frame, mapping)
    return questions


def _list_columns(columns: Columns, likely: list[str]) -> str:
    """List some columns that could be meant, the likeliest first, and those that hold nothing."""
    used = {*columns.mapping.tables[columns.table].columns.values()}
    names = columns.raw.columns
    empty = [n for n in names if columns.raw.height and not columns.cells(n).drop_nulls().len()]
    filled = sorted(
        (name for name in names if name not in empty),
        key=lambda name: likely.index(name) if name in likely else MOST_LISTED + (name in used),
    )
    without = f"; without a value: {', '.join(shorten_list(empty, MOST_LISTED))}" if empty else ""
    listed = ", ".join(shorten_list(filled, MOST_LISTED)) or "none"
    return f"there are: {listed}{without}"


def _about_answers(frame: pl.DataFrame, mapping: Mapping) -> list[Finding]:
    """Ask whether numbers outside the scale of a survey's items are answers or codes for none."""
    part, nulls = mapping.tables["survey"], mapping.option("survey", "nulls")
    ends = mapping.option("survey", "answers")
    contract = {part.columns.get(field.name) for field in CONTRACTS["survey"]}
    named = {t for ours, t in part.columns.items() if t not in contract}
    doubted_by_item: dict[str, list[tuple[float, int]]] = {}
    for name in frame.columns:
        if name in contract or (named and name not in named):
            continue
        # If a scale is stated, only columns that look like its items are checked.
        doubted = doubted_answers(read_item(frame[name], nulls))
        if ends:
            doubted = [(v, n) for v, n in doubted if not float(ends[0]) <= v <= float(ends[1])]
        if doubted:
            doubted_by_item[name] = doubted
    if not doubted_by_item:
        return []
    items = "; ".join(
        f"{name} holds "
        + ", ".join(f"{value:g} ({counted(rows, 'time')})" for value, rows in rows_)
        for name, rows_ in list(doubted_by_item.items())[:MOST_KINDS]
    )
    values = sorted({value for rows_ in doubted_by_item.values() for value, _ in rows_})
    codes = ", ".join(f'"{value:g}"' for value in values)
    listed = [str(word) for word in (nulls if mapping.is_set("survey", "nulls") else [""])]
    before = "".join(f'"{word}", ' for word in listed)
    text = f"Numbers outside the scale of the items: {items}. Codes for 'no answer', or answers?"
    rows = sum(rows for doubted in doubted_by_item.values() for _, rows in doubted)
    answer = f"[survey] nulls = [{before}{codes}] where they are codes, "
    answer += "[survey] answers = [lowest, highest] where they are answers"
    return [Finding("block", "survey", "", text, rows, f"{values[-1]:g}", answer)]


def _likely(name: str, columns: Columns) -> list[str]:
    """Return the columns that could be the missing one, by their values; "..." if none could."""
    used = columns.mapping.tables[columns.table].columns
    if columns.table != "orders" or not columns.raw.height:
        return ["..."]
    if name == "customer_id":
        rows = columns.raw.height
        others = other_customers(columns, rows) or other_customers(columns, rows, named=False)[:1]
        others = others or other_customers(columns, rows, FEW_NAMED)
        return [n for n, _ in others[:MOST_OFFERED]] or ["..."]
    if name == "amount":
        return [used.get("unit_price") or likely_amount(columns) or "..."]
    dated = [h for h, shown in columns.profiles.items() if shown.dated and h not in used.values()]
    return dated[:MOST_OFFERED] if name == "order_time" and dated else ["..."]


def _about_type(table: str, field: Field, cells: pl.Series) -> list[Finding]:
    """Ask for another column if this one has an unsuitable type."""
    dtype = cells.dtype
    is_number = dtype.is_numeric() or is_text(dtype) or dtype == pl.Null
    is_time = is_number or dtype.is_temporal()
    fits = {"time": is_time, "date": is_time, "money": is_number, "number": is_number}
    nested = dtype.is_nested() or dtype in (pl.Binary, pl.Object)
    if fits.get(field.kind, True) and not nested:
        return []
    text = f"{cells.name!r} holds {dtype}, which cannot be read as {field.name} ({field.kind})."
    answer = f'[{table}.columns] {field.name} = "..."'
    return [Finding("block", table, field.name, text, answer=answer)]
