"""Amounts stated twice: in the order's currency and the shop's, on each line and for the order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import polars as pl

from segkit.display import join_words, money, number, percent
from segkit.intake.columns import Columns
from segkit.intake.country import tell_currency
from segkit.intake.equations import FITS, MOST_TAKEN, NO_MONEY, OFF, TIPS, kind_of_money
from segkit.intake.evidence import ENOUGH, ColumnProfile, constant_within
from segkit.intake.factors import LEAD, LEAST, Scores
from segkit.intake.headers import concepts, plain
from segkit.intake.mapping import Mapping, TableMapping
from segkit.intake.numbers import SYMBOLS, currencies, named_currency
from segkit.intake.questions import Finding
from segkit.intake.sums import counted_money, counted_rows, say_rows, say_sum, sum_of

MOST_RATES, MOST_TAXED, EQUAL = 4, 1.3, 0.95  # tax rates, the highest, and share of the rows
MOST_EMPTY = 0.03  # of the rows that count, where another amount is not
_MONEY = frozenset(["amount", "total", "revenue", "price", "net", "gross"])
_NO_SALE = frozenset(["balance", "cost", "converted", "discount", "fee", "tax", "first_last"])
FEWEST_ORDERS, ALIKE = 5, 0.98  # totals of orders of several lines, and share that is alike


def take_home(
    columns: dict[str, str], scores: Scores, profiles: dict[str, ColumnProfile]
) -> tuple[dict[str, object], list[Finding]]:
    """Take the amounts that are stated in one currency, where orders are in several; say so."""
    home = _find_home(columns, scores, profiles)
    if home is None:
        return {}, []
    header, amount, code = home
    currency = columns["currency"]
    codes = profiles[currency].cells.cast(pl.String).str.to_uppercase()
    of_home = (codes == code).fill_null(value=False)
    back = profiles[columns["refund"]].numbers if "refund" in columns else None
    if back is not None and (back.filter(~of_home) != 0).any():
        named = _find_home(
            {**columns, "amount": columns["refund"]},
            {**scores, "amount": scores["refund"]},
            profiles,
        )
        if named is None or named[2] != code:
            return {}, []
        columns["refund"] = named[0]
    columns["amount"] = header
    for name in ("currency", "unit_price", "discount"):  # of the other currencies
        columns.pop(name, None)
    for name in [name for name in scores["amount"] if name != header]:
        pair = profiles[name].numbers, profiles[header].numbers
        if name == amount or is_same(*(n if n is None else n.filter(of_home) for n in pair)):
            del scores["amount"][name]
    text = (
        f"{header!r} is read as the amount: it is {amount!r} in {code}, whatever {currency!r} says."
    )
    answer = f'[orders.columns] amount = "{amount}", if that is meant'
    return {"currency": code}, [Finding("info", "orders", "amount", text, answer=answer)]


def stated_currency(
    columns: dict[str, str], profiles: dict[str, ColumnProfile], given: Mapping
) -> dict[str, object]:
    """Return the currency that the headers of the amounts name, where their cells name none.

    A sign of several currencies, as that of dollars, is of the country that addresses tell.
    """
    sources = [columns[name] for name in ("amount", "unit_price") if name in columns]
    texts = [profiles[h].cells.cast(pl.String) for h in sources if h in profiles]
    codes = {named_currency(header) for header in sources} - {None}
    if given.option("orders", "currency"):
        return {}
    stated = {code for cells in texts for code in currencies(cells, None).drop_nulls().unique()}
    if not stated:
        return {"currency": codes.pop()} if len(codes) == 1 else {}
    if any(currencies(cells, None, sure=True).drop_nulls().len() for cells in texts):
        return {}
    possible = {code for sign in SYMBOLS.values() if stated <= {sign[0]} for code in sign}
    code = codes.pop() if len(codes) == 1 else tell_currency(possible, profiles)
    return {"currency": code} if code in possible else {}


def is_same(one: pl.Series | None, other: pl.Series | None) -> bool:
    """Return whether two columns hold the same money, perhaps one in hundredths."""
    if one is None or other is None or not (one != 0).any():
        return False
    return any(
        float(((one * by - other).abs() < 0.02).mean() or 0.0) >= ALIKE  # type: ignore[arg-type]
        for by in (1, 100, 0.01)
    )


def differ_by_tax(profiles: dict[str, ColumnProfile], rivals: list[str]) -> bool:
    """Return whether two amounts are in a few proportions to one another, as with and without tax.

    Examples
    --------
    >>> import polars as pl
    >>> from segkit.intake.evidence import profile_columns
    >>> net = [10.0, 20.0, 12.0, 8.0, 50.0] * 5
    >>> paid = pl.DataFrame({"Net": net, "Gross": [1.2 * each for each in net], "Due": [9.0] * 25})
    >>> shown = profile_columns(paid, ())
    >>> differ_by_tax(shown, ["Net", "Gross"]), differ_by_tax(shown, ["Net", "Due"])
    (True, False)
    """
    pair = [profiles[name].numbers for name in rivals]
    if len(pair) != 2 or pair[0] is None or pair[1] is None:
        return False
    rates = (pair[1] / pair[0]).filter((pair[0].abs() > 1) & (pair[1].abs() > 1))
    rates = pl.select(pl.max_horizontal(rates, 1 / rates).round(2)).to_series()
    usual = rates.value_counts(sort=True)["count"].head(MOST_RATES).sum()
    return bool(rates.len() and usual >= EQUAL * rates.len() and rates.max() <= MOST_TAXED)  # type: ignore[operator]


def settle_totals(
    columns: dict[str, str],
    scores: Scores,
    profiles: dict[str, ColumnProfile],
    whole: dict[str, str],
    given: Mapping,
) -> tuple[dict[str, object], list[Finding]]:
    """Take an order's total before the money of its lines, where the columns tell what it adds."""
    best, order = columns.get("amount"), profiles.get(whole.get("order_id", ""))
    if best is None or given.is_set("orders", "amount_of"):
        return {}, []
    if order is not None and order.distinct >= ALIKE * order.rows:
        order = None  # each row is an order
    ranked = scores["amount"]
    close = [name for name, score in ranked.items() if score >= max(LEAST, ranked[best] - LEAD)]
    lines = [best, *(name for name in close if name != best)]
    for line, total in permutations(lines, 2):
        if profiles[line].numbers is None or profiles[total].numbers is None:
            continue
        beside = _explain_total(profiles[line], profiles[total], order, profiles)
        if beside is None:
            continue
        state = profiles.get(whole.get("status", ""))
        of_lines = bool(order and state and not is_of_order(order.cells, state.cells))
        taken, other = (line, total) if of_lines or not beside else (total, line)
        columns["amount"] = taken
        if order is None:  # one of several ends of a sum, which is asked
            return {}, []
        rest = [name for name in lines if name not in (line, total)]
        before_tax = [name for name in rest if differ_by_tax(profiles, [total, name])]
        for name in [other, *before_tax] if not beside else [other]:
            ranked.pop(name)
        if not beside:
            return {}, []
        text = f"{total!r} is read as the amount of the order: it is the sum of {line!r} with"
        if of_lines:
            text = f"{line!r} is read as the amount, as states are of lines; {total!r} adds"
        text += f" {join_words([repr(name) for name in beside])}."
        answer = f'[orders.columns] amount = "{other}", if that is meant'
        finding = Finding("info", "orders", "amount", text, answer=answer)
        return {} if of_lines else {"amount_of": "order"}, [finding]
    return {}, []


def _find_home(
    columns: dict[str, str], scores: Scores, profiles: dict[str, ColumnProfile]
) -> tuple[str, str, str] | None:
    """Find the amount that is stated a second time in one currency, where orders are in several.

    Return its header, the other's, and the currency. The first names that currency; on its rows,
    and no others, both amounts are equal.
    """
    amount, currency = (profiles.get(columns.get(name, "")) for name in ("amount", "currency"))
    if amount is None or currency is None or amount.numbers is None:
        return None
    codes = currency.cells.cast(pl.String).str.to_uppercase()
    signs = {header: plain(header).split("_") for header in scores["amount"]}
    named = {
        header: {code for word in words for code in (word.upper(), *SYMBOLS.get(word, ()))}
        & {*codes.drop_nulls().unique()}
        for header, words in signs.items()
    }
    for header, other in permutations(named, 2):
        pair = profiles[header].numbers, profiles[other].numbers
        if amount.name not in (header, other) or len(named[header]) != 1 or named[other]:
            continue
        rows = pl.DataFrame({"code": codes, "one": pair[0], "other": pair[1]}).drop_nulls()
        shares = (
            rows.filter((pl.col("one") != 0) | (pl.col("other") != 0))
            .group_by("code")
            .agg(alike=((pl.col("one") - pl.col("other")).abs() <= OFF).mean())
        )
        (code,) = named[header]
        home = float(shares.filter(pl.col("code") == code)["alike"].sum())
        if home >= ALIKE and shares.height > 1 and float(shares["alike"].sum()) < home + OFF:
            return header, other, str(code)
    return None


def _explain_total(
    line: ColumnProfile,
    total: ColumnProfile,
    order: ColumnProfile | None,
    profiles: dict[str, ColumnProfile],
) -> tuple[str, ...] | None:
    """Find the columns that make up what an order's total holds beside the money of its lines.

    Taxes, shipping and fees add to it, discounts come off. None if that does not explain it, or if
    it is no total.
    """
    if order is not None and (
        not is_total_of_orders(total, order) or is_total_of_orders(line, order)
    ):
        return None
    keys = pl.int_range(total.rows, eager=True) if order is None else order.cells
    others = {
        header: shown.numbers
        for header, shown in profiles.items()
        if shown.numbers is not None
        and kind_of_money(header) not in ("", "refund")
        and not NO_MONEY & concepts(header)[0]
        and header not in (line.name, total.name)
        and (shown.numbers != 0).any()
    }
    frame = pl.DataFrame({"\0line": line.numbers, "\0total": total.numbers, **others})
    first = {header: is_of_order(keys, frame[header]) for header in frame.columns}
    orders = (
        frame.with_columns(keys.alias("\0order"))
        .drop_nulls("\0order")
        .group_by("\0order", maintain_order=True)
        .agg(pl.col(h).drop_nulls().first() if first[h] else pl.col(h).sum() for h in first)
    )
    gap = (orders["\0total"] - orders["\0line"]).fill_null(float("nan")).to_numpy()
    beside = {
        header: orders[header].fill_null(0.0).abs().to_numpy()
        * (-1 if kind_of_money(header) == "discount" else 1)
        for header in others
    }
    for size in range(MOST_TAKEN + 1):
        for taken in combinations(beside, size):
            summed = np.sum([beside[header] for header in taken], axis=0) if taken else 0.0
            if np.mean(np.abs(gap - summed) <= len(taken) * OFF + OFF) >= FITS:
                return taken
    return None


def is_of_order(orders: pl.Series, cells: pl.Series) -> bool:
    """Return whether a column is one on all lines of an order."""
    return (constant_within(orders, cells) or 0.0) >= ALIKE


def is_total_of_orders(shown: ColumnProfile, order: ColumnProfile | None) -> bool:
    """Return whether an amount is an order's total, one on all its lines."""
    if order is None or shown.numbers is None or not is_of_order(order.cells, shown.numbers):
        return False
    lines = pl.DataFrame({"order": order.cells, "total": shown.numbers}).drop_nulls()
    totals = lines.group_by("order").agg(pl.len(), pl.col("total").first())
    return totals.filter(pl.col("len") > 1)["total"].n_unique() >= FEWEST_ORDERS


def about_empty_amounts(
    columns: Columns, given: Mapping, questions: list[Finding]
) -> list[Finding]:
    """Ask which amount is meant where that of rows that count is often zero, and another is not.

    What was paid on line, or as a deposit, is a part of the price of an appointment, and never more
    than it. It takes the place of the question which of the two is meant.
    """
    header = columns.source("amount")
    if "amount" in given.tables.get("orders", TableMapping()).columns:
        return []
    rivals = [item for item in questions if item.column == "amount" and item.severity == "block"]
    if header is None or any(len(item.sums) != 2 for item in rivals):
        return []
    columns = columns.sampled
    used = {**columns.mapping.tables["orders"].columns}
    worth, rows = columns.profiles[header].numbers, counted_rows(columns)
    if worth is None:
        return []
    for name in {"discount", "refund"} & {*used}:
        rows &= columns.numbers(name).fill_null(0) == 0
    held = worth.fill_null(0).abs()
    if "order_id" in used:  # a total may stand on the first line alone
        lines = pl.DataFrame({"order": columns.orders, "held": held})
        held = lines.select(pl.col("held").sum().over("order")).to_series()
    empty = rows & (held == 0)
    filled = rows & (worth > 0)
    others = {
        name: int((empty & (shown.numbers > 0)).fill_null(value=False).sum())
        for name, shown in columns.profiles.items()
        if shown.numbers is not None
        and ((shown.numbers >= worth - OFF).filter(filled).mean() or 0.0) >= EQUAL  # type: ignore[operator]
        and _MONEY & concepts(name)[0]
        and not (NO_MONEY | _NO_SALE) & concepts(name)[0]
        and not kind_of_money(name)
        and name in {header, used.get("unit_price", name)} | {*columns.profiles} - {*used.values()}
    }
    best = max(others, key=lambda name: others[name], default=header)
    if others.get(best, 0) < max(FEWEST_ORDERS, MOST_EMPTY * int(rows.sum())):
        return []
    if not {item.sums for item in rivals} <= {(header, best)}:
        return []
    questions[:] = [item for item in questions if item not in rivals]
    text = (
        f"Several columns could be amount: {best!r}, {header!r}; the second is empty or zero where "
        f"the first is not ({percent(others[best] / int(rows.sum()))} of the rows that count)."
    )
    answer = f'[orders.columns] amount = "{best}"; or [orders.columns] amount = "{header}"'
    sums = (best, header)
    return [Finding("block", "orders", "amount", text, answer=answer, kind="rivals", sums=sums)]


def say_sums(columns: Columns, finding: Finding) -> list[Finding]:
    """Say behind the name of each column in ``sums`` what its rows that count add up to.

    Nothing is left of a question whose columns hold the same money.
    """
    text, order = finding.finding, columns.profile(columns.source("order_id"))
    sums = set()
    if finding.column == "customer_id":
        return [replace(finding, finding=text + _say_unnamed(columns, finding.sums), sums=())]
    for header in finding.sums:
        shown, once = columns.profiles[header], False
        if finding.column == "amount" and order is not None:
            once = is_total_of_orders(shown, order)
            if columns.option("amount_of") == "order" and not once:
                once = constant_within(order.cells, shown.cells) in (None, 1.0)
        total = sum_of(columns, header, finding.column, of_orders=once)
        sums.add(total and round(total, 2))
        text = text.replace(repr(header), repr(header) + say_sum(total, of_orders=once), 1)
    if finding.kind in ("rivals", "tax") and len(sums) == 1 and not sums & {None, 0.0}:
        return []
    return [replace(finding, finding=text, sums=())]


def _say_unnamed(columns: Columns, headers: Collection[str]) -> str:
    """Say on how many rows that count, and of what money, none of the columns names anyone."""
    empty = [columns.cells(name).is_null().alias(name) for name in headers]
    rows = counted_rows(columns) & pl.select(pl.all_horizontal(empty)).to_series()
    worth = counted_money(columns, rows)
    lost = say_rows(int(rows.sum()), None if worth is None else float(worth.sum()))
    return f" Sales without a customer there are left out: {lost}." if rows.any() else ""


def about_unit(columns: Columns) -> list[Finding]:
    """Ask whether whole discounts of few sizes are money or percent, where they are to come off."""
    needed = ("discount", "quantity", "unit_price")
    shown = columns.profile(columns.source("discount"))
    if columns.mapping.is_set("orders", "discount_unit") or columns.source("amount") or not shown:
        return []
    if shown.numbers is None or shown.rows < ENOUGH or not all(map(columns.source, needed)):
        return []
    off = shown.numbers.abs().drop_nulls()
    rates = off.filter(off > 0)
    is_few = 0 < rates.n_unique() <= 20 and rates.len() > 2 * rates.n_unique()
    most = max(rates, default=0.0)
    if not is_few or shown.is_money or most > 100:
        return []
    off, units, prices = (columns.numbers(n).filter(counted_rows(columns)) for n in needed)
    gross, off = units * prices, off.abs().fill_null(0)
    sums = [float((gross - off).sum()), float((gross * (1 - off / 100)).sum())]
    text = (
        f"{shown.name!r} holds whole numbers up to {number(most)}: money off the "
        f"line (a sum of {money(sums[0])}), or percent ({money(sums[1])})?"
    )
    answer = '[orders] discount_unit = "percent" (or "money")'
    return [Finding("block", "orders", "discount", text, rates.len(), answer=answer)]


def about_tips(columns: Columns) -> list[Finding]:
    """Say that an amount may hold tips, which are no sales.

    Examples
    --------
    >>> from segkit.intake.mapping import TableMapping
    >>> columns = Columns("orders", pl.DataFrame({"Total": [22.5, 10.5], "Tip": [3.5, 0.0]}),
    ...     Mapping({"orders": TableMapping({"amount": "Total"})}))
    >>> about_tips(columns)[0].finding
    "'Total' may hold 'Tip' (sum 3.50, 10.6% of it); tips are no sales."
    """
    amount = columns.source("amount")
    if amount is None or {"subtotal", "net"} & concepts(amount)[0]:
        return []
    tips = [
        header
        for header, shown in columns.profiles.items()
        if TIPS & {*plain(header).split("_")} and shown.numbers is not None and header != amount
    ]
    sums = [sum_of(columns, header, "discount") or 0.0 for header in tips]
    total = sum_of(columns, amount) if sum(sums) > 0 else None
    if not total:
        return []
    text = f"{amount!r} may hold {join_words([repr(header) for header in tips])} (sum "
    text += f"{money(sum(sums))}, {percent(sum(sums) / total)} of it)"
    text += "; tips are no sales."
    answer = '[orders.columns] amount = "...", of a column without tips'
    return [Finding("warn", "orders", "amount", text, answer=answer)]
