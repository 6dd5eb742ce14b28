"""Amounts, prices and quantities of lines by their values: one is the product of the others."""

from __future__ import annotations

from itertools import product

import polars as pl

from segkit.intake.equations import FITS, NO_MONEY, OFF, kind_of_money
from segkit.intake.evidence import ENOUGH, ColumnProfile
from segkit.intake.headers import concepts

Scores = dict[str, dict[str, float]]
LEAST = 1.6  # smallest score of a column that is proposed
LEAD = 0.5  # smallest lead over the runner-up; below it is asked
EXACT = 9.0  # the contract's own name
FEWEST_ORDERS = 5
MOST_UNITS = 20  # of a product on a usual line
RARELY, MOST_ZEROS = 0.1, 0.5  # share of the rows without a discount, at least; without an amount
_NO_FACTOR = NO_MONEY - {"quantity"}


def weigh_money(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Weigh amounts, prices and quantities by their fit.

    The amount that is quantity times price is favoured. A price that grows with the quantity is
    the line's amount, and a whole "amount" beside a price is the quantity.
    """
    _drop_parts(scores, profiles)
    _find_products(scores, profiles)
    _find_units(scores, profiles)
    _find_line_prices(scores, profiles)
    _find_order_prices(scores, profiles)
    quantity, price, amount = (best_column(scores, n) for n in ("quantity", "unit_price", "amount"))
    if price is None:
        return
    prices = profiles[price].numbers
    if quantity is not None:
        units = profiles[quantity].numbers
        product = best_column(scores, "product_id")
        if units is None or prices is None:
            return
        for header, score in scores["amount"].items():
            amounts = profiles[header].numbers
            if header not in (quantity, price) and amounts is not None and score >= LEAST:
                fits = ((units * prices - amounts).abs() <= 0.011).mean()
                scores["amount"][header] += 0.6 if float(fits or 0) >= 0.95 else 0.0  # type: ignore[arg-type]
        if amount is None and product and _grows(profiles[product].cells, units, prices):
            scores["amount"][price] = scores["unit_price"].pop(price)
        return
    if amount is None or amount == price or prices is None:
        return
    shown = profiles[amount]
    named_as = concepts(amount)[0] & {"total", "revenue", "net", "gross", "order", "price"}
    if named_as or shown.rows < ENOUGH or shown.is_money or shown.numbers is None:
        return
    below = float((shown.numbers.abs() < prices.abs()).mean() or 0.0)  # type: ignore[arg-type]
    if profiles[price].share_whole < 0.8 or below >= 0.5:
        scores["quantity"][amount] = scores["amount"].pop(amount)


def _find_order_prices(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Take a price as the amount where each row is an order of its own, as a booking.

    No column is a quantity, a product or an amount.
    """
    order, price = best_column(scores, "order_id"), best_column(scores, "unit_price")
    others = (best_column(scores, name) for name in ("amount", "quantity", "product_id"))
    if order is None or price is None or any(others) or "order" not in concepts(order)[0]:
        return
    one_each = profiles[order].distinct == profiles[order].rows >= ENOUGH
    if one_each and "unit" not in concepts(price)[0]:
        scores["amount"][price] = scores["unit_price"].pop(price)


def _drop_parts(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Take out what taxes, discounts and refunds amount to: no amount of an order.

    Most orders have no discount and no refund; "amount after discount" is one of each order.
    """
    amounts = scores["amount"]
    zeros = {
        header: float((shown.numbers == 0).mean() or 0.0)  # type: ignore[arg-type]
        for header in amounts
        if (shown := profiles[header]).numbers is not None
    }
    usual = any(zeros[header] < RARELY and amounts[header] >= LEAST for header in zeros)
    for header in [header for header in zeros if amounts[header] < EXACT]:
        kind = kind_of_money(header)
        is_part = kind == "tax" or (kind in ("discount", "refund") and zeros[header] >= RARELY)
        if is_part or (usual and zeros[header] > MOST_ZEROS):
            del amounts[header]


def _find_products(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Find, where no amount is named, the column that is the product of two others on each row.

    Its header may be in any language: units are whole and few, the price is the other factor.
    """
    if best_column(scores, "amount") is not None:
        return
    numbers = {
        header: shown.numbers
        for header, shown in profiles.items()
        if shown.numbers is not None and not shown.dated and shown.rows >= ENOUGH
        and shown.numbers.n_unique() > 1 and not _NO_FACTOR & concepts(header)[0]
    }  # fmt: skip
    units = [h for h, values in numbers.items() if _are_units(profiles[h], values)]
    for quantity, price, amount in product(units, numbers, numbers):
        if len({quantity, price, amount}) == 3 and _multiply(
            numbers[quantity], numbers[price], numbers[amount]
        ):
            for role, found in (("quantity", quantity), ("unit_price", price), ("amount", amount)):
                for scored in scores.values():
                    scored.pop(found, None)
                scores[role][found] = LEAST + LEAD
            return


def _are_units(shown: ColumnProfile, values: pl.Series) -> bool:
    """Return whether numbers are whole and small, as units of a product are, and often above 1."""
    usual = float(values.abs().median() or 0.0)  # type: ignore[arg-type]
    several = int((values.abs() > 1).sum())
    return shown.share_whole == 1 and 1 <= usual <= MOST_UNITS and several >= FEWEST_ORDERS


def _multiply(units: pl.Series, prices: pl.Series, amounts: pl.Series) -> bool:
    """Return whether units times prices are amounts, also on rows of several units alone."""
    fits = (units * prices - amounts).abs() <= OFF
    shares = (float(part.mean() or 0.0) for part in (fits, fits.filter(units.abs() > 1)))  # type: ignore[arg-type]
    return all(share >= FITS for share in shares)


def _find_units(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Take an "amount" of whole numbers that, times a price, is another amount as the quantity."""
    prices = [h for h, score in scores["unit_price"].items() if score >= LEAST]
    for header in [h for h in scores["amount"] if profiles[h].share_whole == 1]:
        units = profiles[header].numbers
        if units is None or units.n_unique() < 2 or header in prices:
            continue
        worth = [profiles[other].numbers for other in scores["amount"] if other != header]
        for price in prices:
            product = units * profiles[price].numbers
            if any(((product - each).abs() <= OFF).mean() >= FITS for each in worth):  # type: ignore[operator]
                scores["quantity"][header] = scores["amount"].pop(header)
                return


def _find_line_prices(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Take the worth of a product as its price where, times the quantity, it adds up to orders."""
    order, quantity = best_column(scores, "order_id"), best_column(scores, "quantity")
    if order is None or quantity is None or best_column(scores, "unit_price") is not None:
        return
    of_lines = [h for h in scores["amount"] if "product" in concepts(h)[0]]
    of_orders = [h for h, shown in profiles.items() if shown.numbers is not None
                 and {"total", "subtotal"} & concepts(h)[0]]  # fmt: skip
    for line in of_lines:
        rows = pl.DataFrame({
            "order": profiles[order].cells, "price": profiles[line].numbers,
            "worth": profiles[line].numbers * profiles[quantity].numbers,  # type: ignore[operator]
            **{f"\0{h}": profiles[h].numbers for h in of_orders if h != line},
        })  # fmt: skip
        sums = rows.group_by("order").agg(
            pl.col("price", "worth").sum(),
            pl.exclude("order", "price", "worth").drop_nulls().first(),
        )
        sums = sums.filter((pl.col("price") - pl.col("worth")).abs() > OFF)
        if sums.height >= FEWEST_ORDERS and any(
            ((sums["worth"] - sums[name]).abs() <= OFF).mean() >= FITS  # type: ignore[operator]
            for name in sums.columns if name.startswith("\0")
        ):  # fmt: skip
            scores["unit_price"][line] = scores["amount"].pop(line)
            return


def _grows(products: pl.Series, units: pl.Series, prices: pl.Series) -> bool:
    """Return whether the price of a product is in proportion to the quantity on nearly all lines.

    Examples
    --------
    >>> products, units = pl.Series(list("aabbccddee")), pl.Series([1.0, 2.0] * 5)
    >>> _grows(products, units, units * 3.5), _grows(products, units, units * 0 + 3.5)
    (True, False)
    """
    by_product = (
        pl.DataFrame({"product": products, "units": units, "price": prices})
        .filter((pl.col("units") > 0) & (pl.col("price") > 0))
        .with_columns(each=pl.col("price") / pl.col("units"))
        .group_by("product")
        .agg(
            pl.col("units").n_unique(),
            price=(pl.col("price").max() / pl.col("price").min() < 1.02),
            each=(pl.col("each").max() / pl.col("each").min() < 1.02),
        )
        .filter(pl.col("units") > 1)
    )
    if by_product.height < 5:
        return False
    return bool(by_product["each"].mean() >= 0.8 and by_product["price"].mean() <= 0.3)  # type: ignore[operator]


def best_column(scores: Scores, role: str) -> str | None:
    """Return the column with the highest score for a role, if it is high enough."""
    ranked = sorted(scores[role].items(), key=lambda item: -item[1])
    return ranked[0][0] if ranked and ranked[0][1] >= LEAST else None
