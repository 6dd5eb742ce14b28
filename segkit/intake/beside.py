"""Figures beside a reading: what columns that it does not use would make of the same rows."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from segkit.display import money, number, shorten_list
from segkit.intake.amounts import is_of_order, is_total_of_orders
from segkit.intake.columns import Columns
from segkit.intake.equations import NO_MONEY, kind_of_money
from segkit.intake.evidence import ColumnProfile, repeats_in_orders
from segkit.intake.headers import concepts, names_recipient, plain, without_prefix
from segkit.intake.numbering import find_repeating, other_numbers
from segkit.intake.rejects import discount_comes_off
from segkit.intake.reshape import name_pairs
from segkit.intake.spellings import spell_cells
from segkit.intake.store import Intake
from segkit.intake.sums import counted_money, counted_rows, refunds_are_negative, sum_of
from segkit.intake.tried import other_customers, tells_persons
from segkit.intake.unused import say_uneven

MOST_SUMS, MOST_KEYS, MOST_NUMBERS = 4, 3, 2
# More than the money, or many times it, is none: numbers of documents, balances carried forward.
MOST_TIMES = 10
FILLED = 0.9  # of the rows have a value of a column that could tell people
_MONEY = frozenset(["amount", "total", "revenue", "net", "gross", "subtotal", "price", "balance"])
_OTHER = frozenset(["cost", "unit", "first_last", "converted", "currency", "deadline", "card"])
_NO_MONEY = NO_MONEY | {"status"}
_NO_SUMS = frozenset(
    ["weight", "gewicht", "poids", "peso", "waga", "hmotnost", "вес", "rate", "kurs", "lat", "lng"]
)
_OFF = ("discount", "refund")
_UNITS = {"discount": "discount_unit", "refund": "refund_is"}
_RATES = ("percent", "share", "pieces", "left")  # units that are no money


def compare_reading(columns: Columns, taken: Intake, total: float, people: int) -> list[str]:
    """Say in three sentences at most what an owner can compare: sums, people, unused words.

    The rows of ``taken`` are summed up and counted; ``total`` and ``people`` are what is understood
    of them.
    """
    if taken.orders is None or columns.source("customer_id") is None:
        return []
    rows = _mark(columns, taken.orders)
    used = columns.mapping.tables["orders"].columns
    numbers = [] if columns.option("order_within") else other_numbers(columns.profiles, used)
    named = ", by ".join(_list_people(columns, taken, people))
    counted = _list_orders(columns, taken, people, numbers) + [f"people by {named}"] * bool(named)
    zero = taken.rejects["orders"].filter(pl.col("reason") == "zero_amount")  # of this amount alone
    with without_prefix(columns.raw.columns):
        said = {
            "sums of other columns: ": "; ".join(
                _list_sums(columns, rows | _mark(columns, zero), total, numbers)
            ),
            "": "; ".join(counted),
            "not used, though of few words: ": "; ".join(say_uneven(columns, rows)),
        }
    return [f"Compare: {what}{listed}." for what, listed in said.items() if listed]


def _mark(columns: Columns, lines: pl.DataFrame) -> pl.Series:
    """Mark the raw rows of order lines."""
    none = pl.Series([False]).new_from_index(0, columns.raw.height)
    return none.scatter(lines["source_row"], values=True)


def _list_orders(columns: Columns, taken: Intake, people: int, numbers: list[str]) -> list[str]:
    """List how many orders other numbers tell on the same rows, where they are not as many."""
    lines = taken.tables["orders"].filter(~pl.col("is_return"))
    rows, orders = _mark(columns, lines), lines["order_id"].n_unique()
    counts = {columns.cells(name).filter(rows).n_unique(): name for name in reversed(numbers)}
    return [
        f"orders by {name!r} would be {number(count)}"
        for count, name in sorted(counts.items())
        if count not in (orders, people)
    ][:MOST_NUMBERS]


def _list_sums(columns: Columns, rows: pl.Series, total: float, numbers: list[str]) -> list[str]:
    """List other sums of money: what repeats, discounts and refunds, the largest differences."""
    used = columns.mapping.tables["orders"].columns
    off = {used[kind]: kind for kind in _OFF if kind in used}
    price = used.get("unit_price") if "quantity" not in used else None  # it may be the row's money
    taken = {*used.values()} - {price}
    found = [(2, *item) for item in _multiply(columns, rows, total)]
    repeats = find_repeating(columns.profiles, used, numbers)
    if repeats and columns.option("amount_of") == "line":
        firsts = rows & columns.cells(repeats).set(~rows, None).is_first_distinct()
        worth = sum_of(columns, used["amount"], rows=firsts) or 0.0
        text = f"{used['amount']!r} repeats within {repeats!r} ({money(worth)} counted once)"
        found.append((-1, 0.0, money(worth), text))
    for header, shown in columns.profiles.items():
        kind = off.get(header) or kind_of_money(header)
        if header not in off and (header in taken or not _is_money(columns, shown, kind)):
            continue
        once, role = _stands_once(columns, shown, kind), kind if kind in _OFF else "amount"
        is_sum = header not in off or columns.option(_UNITS[kind]) not in _RATES
        worth = sum_of(columns, header, role, of_orders=once, rows=rows) or 0.0 if is_sum else 0.0
        notes = ["counted once per order"] * once
        if kind in _OFF:
            worth, notes = abs(worth), [*notes, _treat(columns, header, kind)]
        is_part = bool(kind) or "balance" in concepts(header)[0]
        if abs(worth) > abs(total) * (1 if is_part else MOST_TIMES) and header not in off:
            continue
        rank = 0 if header in off else 1 if kind in _OFF else 2
        gap = abs(worth if is_part else worth - total)
        text = repr(header) + f" {money(worth)}" * is_sum + f" ({', '.join(notes)})" * bool(notes)
        found.append((rank, -gap, money(worth) if is_sum else header, text))
    unlike: dict[str, str] = {}
    for *_, worth_said, text in sorted(found):
        unlike.setdefault(worth_said, text)
    listed = [text for said, text in unlike.items() if said not in (money(0.0), money(total))]
    return shorten_list(listed, MOST_SUMS)


def _is_money(columns: Columns, shown: ColumnProfile, kind: str) -> bool:
    """Return whether an unused column holds money by its name or its values, of lines or orders."""
    meant, unknown = concepts(shown.name)
    if shown.numbers is None or shown.is_flag or meant & _NO_MONEY or (not kind and meant & _OTHER):
        return False
    if _NO_SUMS & {*plain(shown.name).split("_")} or (shown.dated and not shown.is_money):
        return False
    if not (shown.numbers != 0).any():
        return False
    if "price" in meant and not {"total", "amount"} & meant:  # of a unit, where there are any
        return not any("quantity" in concepts(header)[0] for header in columns.profiles)
    if kind in _OFF or meant & _MONEY or shown.is_money:
        return True
    round_tens = ((shown.numbers % 10 == 0) & (shown.numbers >= 0)).all()
    is_round = bool(round_tens and float(shown.numbers.max() or 0.0) >= 100)  # type: ignore[arg-type]
    return bool(kind) and (not unknown or is_round)


def _stands_once(columns: Columns, shown: ColumnProfile, kind: str) -> bool:
    """Return whether a column stands alike on every line of an order, and counts once."""
    order, amount = (columns.profile(columns.source(name)) for name in ("order_id", "amount"))
    if order is None or shown.numbers is None:
        return False
    if kind == "discount":
        return repeats_in_orders(order.cells, shown.numbers)
    values = shown.numbers.set((shown.numbers == 0).fill_null(value=False), None)
    if not is_of_order(order.cells, values):
        return False
    if columns.option("amount_of") == "order" or is_total_of_orders(shown, order):
        return True
    return amount is None or not is_of_order(order.cells, amount.cells)


def _treat(columns: Columns, header: str, kind: str) -> str:
    """Say how a column of discounts or refunds is treated."""
    if columns.source(kind) != header:
        return "not used" if columns.constant(kind) is None else "taken as off already"
    is_refund = kind == "refund"
    comes_off = not refunds_are_negative(columns) if is_refund else discount_comes_off(columns)
    return "comes off" if comes_off else "taken as off already"


def _multiply(columns: Columns, rows: pl.Series, total: float) -> list[tuple[float, str, str]]:
    """Return what quantity times price come to beside an amount."""
    part = columns.mapping.tables["orders"]
    named = [columns.source(name) for name in ("amount", "quantity", "unit_price")]
    if None in named:
        return []
    others = {name: header for name, header in part.columns.items() if name != "amount"}
    whole = replace(part, columns=others, options={**part.options, "amount_of": "line"})
    mapping = replace(columns.mapping, tables={**columns.mapping.tables, "orders": whole})
    money_of = counted_money(Columns("orders", columns.raw, mapping, shared=columns.shared), rows)
    if money_of is None:
        return []
    worth = float(money_of.sum())
    return [(-abs(worth - total), money(worth), f"{named[1]!r} x {named[2]!r} {money(worth)}")]


def _list_people(columns: Columns, taken: Intake, people: int) -> list[str]:
    """List how many people other columns tell on the same rows, the largest difference first."""
    headers = [name for name in columns.raw.columns if not names_recipient(name)]
    pairs = dict(name_pairs(headers))
    halves = {*pairs, *pairs.values()}
    named = {name for name in headers if name in halves or tells_persons(name)}
    if not named - {columns.source("customer_id")}:
        return []
    lines = taken.tables["orders"]
    rows, orders = _mark(columns, lines.filter(~pl.col("is_return"))), lines["order_id"].n_unique()
    if taken.ledger.reasons().get("missing_customer_id"):  # these columns may name their customer
        nobody = columns.raw.select(columns.id("customer_id").is_null()).to_series()
        rows |= nobody & counted_rows(columns, ("customer_id",))
    wanted = named | {*columns.mapping.tables["orders"].columns.values()}
    wanted |= {*(columns.option("order_within") or ())}
    raw = columns.raw.select(name for name in columns.raw.columns if name in wanted).filter(rows)
    others = other_customers(Columns("orders", raw, columns.mapping), orders, FILLED)
    counts = {repr(name): count for name, count in others if name in named - halves}
    for first, last in pairs.items():
        names = pl.concat_str(pl.col(first, last).cast(pl.String), separator=" ").alias("name")
        cells = spell_cells(raw.select(names).to_series()).drop_nulls()
        if cells.len() >= FILLED * raw.height:
            counts[f"{first!r} with {last!r}"] = cells.n_unique()
    unlike = {count: label for label, count in reversed(counts.items()) if count not in (1, people)}
    ranked = sorted(unlike, key=lambda count: -abs(count - people))
    return shorten_list(
        [f"{unlike[count]} would be {number(count)}" for count in ranked], MOST_KEYS
    )
