"""Equations between columns of money: what was paid, and what fees, taxes or discounts leave of it.

An amount that is another one less fees, taxes or refunds is no revenue of its own; one that is
another one less discounts is what was paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from segkit.display import join_words
from segkit.intake.evidence import ColumnProfile
from segkit.intake.headers import WORDS, concepts, plain
from segkit.intake.questions import Finding

FEWEST = 3  # rows that show that one column is another less a third
FITS, OFF = 0.95, 0.011  # share of the rows, and rounding of two amounts
MOSTLY = 0.8  # share of the rows where nothing but a discount comes off
MOST_TAKEN, MOST_COLUMNS = 3, 14  # columns that are taken off together, and columns of money
TIPS = frozenset(WORDS["headers"]["tips"].split())
_TAKEN = ("fee", "refund", "tax", "shipping", "discount")
NO_MONEY = frozenset(["id", "quantity", "percent", "date", "phone", "age", "place", "possible"])


@dataclass(frozen=True, slots=True)
class Equation:
    """A column (``rest``) that is another one less others, on nearly every row.

    The kind is "fees" (with a fee or refund), "tax" (taxes and shipping alone) or "discount".
    """

    whole: str
    rest: str
    taken: tuple[str, ...]
    kind: str


def find_equations(profiles: dict[str, ColumnProfile]) -> list[Equation]:
    """Find the columns of money that are another one less up to three columns of fees and the like.

    Examples
    --------
    >>> import polars as pl
    >>> from segkit.intake.evidence import profile_columns
    >>> sales = pl.DataFrame({"Sale": [22.5, 10.5, 99.5], "Fees": [2.5, 1.5, 3.5],
    ...     "Taxes": [1.5, 0.5, 2.5], "Net": [18.5, 8.5, 93.5]})
    >>> find_equations(profile_columns(sales, ()))
    [Equation(whole='Sale', rest='Net', taken=('Fees', 'Taxes'), kind='fees')]
    """
    money = {
        header: shown.numbers.abs().to_numpy().astype(float)
        for header, shown in profiles.items()
        if shown.numbers is not None and not shown.is_flag and (shown.numbers != 0).any()
        and (not shown.dated or shown.is_money) and not NO_MONEY & concepts(header)[0]
    }  # fmt: skip
    named = {header: kind_of_money(header) for header in [*money][: 2 * MOST_COLUMNS]}
    off = {
        header: np.nan_to_num(money[header])
        for header, kind in named.items()
        if kind and (money[header] > 0).sum() >= FEWEST
    }
    wholes = [header for header, kind in named.items() if not kind][:MOST_COLUMNS]
    signed = _sum_signed(profiles, named)
    rates = {
        header: off[header] / (100 if off[header].max() > 1 else 1)
        for header, kind in named.items()
        if kind == "discount" and header in off and off[header].max() <= 100
    }
    equations = []
    for whole, rest in permutations(wholes, 2):
        gap = money[whole] - money[rest]
        if signed is not None and _fits(gap, [-signed[1]]):
            equations.append(Equation(whole, rest, signed[0], "fees"))
            continue
        if np.mean(gap > -OFF) < FITS * np.mean(~np.isnan(gap)) or (gap > OFF).sum() < FEWEST:
            continue
        rate = next((h for h, part in rates.items() if _fits(gap, [money[whole] * part])), None)
        if rate is not None:
            equations.append(Equation(whole, rest, (rate,), "discount"))
            continue
        for taken, kind in _subsets(off, named):
            if _fits(gap, [off[header] for header in taken]):
                equations.append(Equation(whole, rest, taken, kind))
                break
    settled = {one.whole for one in equations}
    equations += [
        Equation(whole, rest, (header,), "discount")
        for whole, rest in permutations(wholes, 2)
        if whole not in settled
        for header, kind in named.items()
        if kind == "discount"
        and header in off
        and _comes_off_first(money[whole] - money[rest] - off[header], off[header], money[rest])
    ]
    return equations


def _comes_off_first(
    more: NDArray[np.float64], discount: NDArray[np.float64], rest: NDArray[np.float64]
) -> bool:
    """Return whether a discount, and on a few rows bonuses or the like, leave the rest."""
    rows = ~np.isnan(more)
    reduced = rows & (discount > 0)
    alone = np.abs(more) <= OFF
    return bool(
        reduced.sum() >= FEWEST
        and (more[rows] >= -OFF).all()
        and min(alone[reduced].mean(), alone[rows].mean()) >= MOSTLY
        and (rest[rows] > 0).mean() >= FITS
    )


def _sum_signed(
    profiles: dict[str, ColumnProfile], named: dict[str, str]
) -> tuple[tuple[str, ...], NDArray[np.float64]] | None:
    """Add up what fees, taxes and shipping are stated to take off or add, by their signs.

    Rows of refunds are left at zero: what is paid out may end there.
    """
    values = {
        header: np.nan_to_num(profiles[header].numbers.to_numpy().astype(float))  # type: ignore[union-attr]
        for header, kind in named.items()
        if kind and kind != "discount"
    }
    taken = tuple(header for header in values if named[header] != "refund")
    if len(taken) < 2 or not any((values[h] < 0).any() for h in taken if named[h] == "fee"):
        return None
    back = np.any([values[h] != 0 for h in values if h not in taken] or [[False]], axis=0)
    return taken, np.where(back, 0.0, np.sum([values[header] for header in taken], axis=0))


def kind_of_money(header: str) -> str:
    """Return what a column takes off an amount by its header; empty if it takes nothing."""
    meant = concepts(header)[0]
    if TIPS & {*plain(header).split("_")}:
        return ""
    return next((kind for kind in _TAKEN if kind in meant), "")


def _subsets(
    off: dict[str, NDArray[np.float64]], named: dict[str, str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """List the columns that may come off together, the fewest first, with the equation's kind."""
    for size in range(1, MOST_TAKEN + 1):
        for taken in combinations(off, size):
            kinds = {named[header] for header in taken}
            if kinds == {"discount"}:
                yield taken, "discount"
            elif {"fee", "refund"} & kinds and "discount" not in kinds:
                yield taken, "fees"
            elif "tax" in kinds and "discount" not in kinds:
                yield taken, "tax"


def _fits(gap: NDArray[np.float64], taken: list[NDArray[np.float64]]) -> bool:
    """Return whether columns together make up the gap wherever they take something off."""
    summed = np.sum(taken, axis=0)
    rows = (summed > 0) & ~np.isnan(gap)
    if rows.sum() < FEWEST or any(not (one[rows] > 0).any() for one in taken):
        return False
    fits = np.abs(gap - summed) <= OFF
    alone = len(taken) == 1 or fits[~np.isnan(gap)].mean() >= FITS
    return bool(alone and fits[rows].mean() >= FITS)


def weigh_equations(
    scores: dict[str, dict[str, float]], equations: list[Equation], least: float, lead: float
) -> None:
    """Favour what was paid: before fees and taxes, after discounts.

    Refunds are taken off an amount by themselves, and would come off twice; fees are no discount.
    An amount with tax comes before the one without.
    """
    amounts, prices = scores["amount"], scores["unit_price"]
    for one in equations:
        whole, rest = amounts.get(one.whole, 0.0), amounts.get(one.rest, 0.0)
        if one.kind == "discount":
            if whole >= least:
                amounts[one.rest] = max(rest, whole)
                amounts[one.whole] = amounts[one.rest] - lead - 0.1
            elif prices.get(one.whole, 0.0) >= least and not any(
                score >= least for score in (*amounts.values(), *scores["quantity"].values())
            ):
                amounts[one.rest] = least + lead
                prices.pop(one.rest, None)
        elif one.kind == "tax" and rest >= least and (whole or not concepts(one.whole)[0]):
            amounts[one.whole] = max(whole, rest + 0.05 if whole > rest - lead else whole)
        elif one.kind == "fees" and rest >= least:
            amounts[one.whole] = max(whole, rest + lead + 0.1)
            prices.pop(one.whole, None)


def is_net_of_refunds(columns: dict[str, str], profiles: dict[str, ColumnProfile]) -> bool:
    """Return whether refunds have come off the amount on its own rows, by another column of money.

    That column less the refund, and less up to two of discounts, is the amount on all rows with a
    refund and nearly all others.

    Examples
    --------
    >>> import polars as pl
    >>> from segkit.intake.evidence import profile_columns
    >>> sales = pl.DataFrame({"Gross Sales": [50.0, 60.0, 70.0], "Discounts": [-5.0, 0.0, -7.0],
    ...     "Refunds": [-20.0, 0.0, -10.0], "Net Sales": [25.0, 60.0, 53.0]})
    >>> shown = profile_columns(sales, ())
    >>> is_net_of_refunds({"amount": "Net Sales", "refund": "Refunds"}, shown)
    True
    >>> is_net_of_refunds({"amount": "Gross Sales", "refund": "Refunds"}, shown)
    False
    """
    pair = [profiles.get(columns.get(name, "")) for name in ("amount", "refund")]
    if any(shown is None or shown.numbers is None for shown in pair):
        return False
    worth, refund = (shown.numbers.to_numpy().astype(float) for shown in pair)  # type: ignore[union-attr]
    back = np.nan_to_num(np.abs(refund))
    if not ((back > 0) & (worth > 0)).any():
        return False
    others = {
        name: shown.numbers.to_numpy().astype(float)
        for name, shown in [*profiles.items()][: 2 * MOST_COLUMNS]
        if shown.numbers is not None and name not in (columns["amount"], columns["refund"])
        and not NO_MONEY & concepts(name)[0]
    }  # fmt: skip
    off = [np.nan_to_num(np.abs(n)) for h, n in others.items() if kind_of_money(h) == "discount"]
    parts = [taken for size in range(3) for taken in combinations(off, size)]
    gaps = (
        np.abs(whole - back - np.sum(taken, axis=0) - worth) <= OFF
        for name, whole in others.items()
        if not kind_of_money(name)
        for taken in parts
    )
    return any(fits[(back > 0) & (worth >= 0)].all() and fits.mean() >= FITS for fits in gaps)


def is_discount_taken(columns: dict[str, str], equations: list[Equation]) -> bool | None:
    """Return whether the amount has the discount taken off; None if no equation tells."""
    amount, discount = columns.get("amount"), columns.get("discount")
    for one in equations:
        if one.kind == "discount" and discount in one.taken and amount in (one.whole, one.rest):
            return amount == one.rest
    return None


def about_equations(columns: dict[str, str], equations: list[Equation]) -> list[Finding]:
    """Say which equation made the amount."""
    amount = columns.get("amount")
    for one in equations:
        taken = join_words([repr(header) for header in one.taken])
        text, other = f"{one.rest!r} is what {taken} leave of it.", one.rest
        if one.kind == "discount":
            text, other = f"{one.whole!r} less {taken}.", one.whole
        if one.kind != "tax" and amount in (one.whole, one.rest) and amount != other:
            text = f"{amount!r} is read as the amount: {text}"
            answer = f'[orders.columns] amount = "{other}", if that is meant'
            return [Finding("info", "orders", "amount", text, answer=answer)]
    return []
