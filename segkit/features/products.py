"""Features of what customers buy: share, recency and affinity by category or brand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, ParameterError, require_columns
from segkit.features.definitions import Feature, Pick, counted, ratio
from segkit.features.sources import CUSTOMER, MICRO, collect, micro, with_ids

PRODUCT_COLUMNS = ("category", "brand")
PLURAL = {"category": "categories", "brand": "brands"}
SPAN = 16  # codes of levels fit below it; the commonest 12 have one each
OTHER = SPAN - 1
TEXT = "text"  # the unit of a feature that names a level
LISTED = "__product"
CENTS = 10_000  # millionths of a cent: ties in spend are broken by the level's name


@dataclass(frozen=True, slots=True)
class Levels:
    """The commonest categories (or brands), each with a feature of its own.

    Attributes
    ----------
    column : str
        "category" or "brand".
    names : mapping of str to list of str
        Feature ending to the names in the data.
    """

    column: str
    names: Mapping[str, list[str]]

    def words(self, slug: str) -> str:
        """Return the names of a level in the data."""
        return " or ".join(self.names[slug])


def read_products(products: Any, lines: Any) -> Any:
    """Check a product table and return product id, category and brand, one row per product.

    Parameters
    ----------
    products : narwhals.LazyFrame
    lines : narwhals.LazyFrame
        The order lines, with ``product_id`` as text; of the same engine.

    Raises
    ------
    ColumnError
        If either has no ``product_id``, or the products neither category nor brand.
    DataError
        If a product comes twice.
    ParameterError
        If the two belong to different engines.
    """
    given = products.collect_schema().names()
    require_columns(lines.collect_schema().names(), ["product_id"], "orders")
    named = [name for name in PRODUCT_COLUMNS if name in given]
    require_columns(given, ["product_id", *(named or PRODUCT_COLUMNS[:1])], "products")
    if lines.implementation != products.implementation:
        raise ParameterError(
            f"products are held by {products.implementation}, orders by {lines.implementation}: "
            "give both as frames of one kind, or both as paths"
        )
    table = with_ids(products, "products", "product_id").select("product_id", *named)
    table = table.filter(~nw.col("product_id").is_null())
    repeated = collect(
        table.group_by("product_id").agg(nw.len().alias("n")).filter(nw.col("n") > 1)
    )
    if repeated.height:
        raise DataError(
            f"{number(repeated.height)} product ids come more than once in products, such as "
            f"{repeated['product_id'].min()!r}: expected one row per product"
        )
    return table.select(
        "product_id", *(nw.col(name).alias(name + LISTED) for name in named), **{LISTED: nw.lit(1)}
    )


def add_products(lines: Any, products: Any) -> Any:
    """Join category and brand to order lines by product id; what a line states itself stands."""
    if products is None:
        return lines
    own = lines.collect_schema().names()
    listed = {name: nw.col(name + LISTED) for name in listed_columns(products)}
    columns = {
        name: nw.coalesce(nw.col(name), column) if name in own else column
        for name, column in listed.items()
    }
    return lines.join(products, on="product_id", how="left").with_columns(**columns)


def listed_columns(products: Any) -> tuple[str, ...]:
    """Return which of category and brand a product table has."""
    names = products.collect_schema().names()
    return tuple(name for name in PRODUCT_COLUMNS if name + LISTED in names)


def count_unlisted(lines: Any, products: Any) -> list[str]:
    """Return a note on the lines whose product the product table does not hold, if there are."""
    is_listed = nw.when(~nw.col(LISTED).is_null()).then(1).otherwise(0)
    marked = add_products(lines, products).with_columns(listed=is_listed)
    sums = marked.group_by("product_id").agg(nw.len().alias("n"), nw.col("listed").sum())
    counts = collect(sums).with_columns(pl.col("n", "listed").cast(pl.Int64))
    unlisted = counts.filter(pl.col("listed") == 0)
    if not unlisted.height:
        return []
    lines_out, lines_all = int(unlisted["n"].sum()), int(counts["n"].sum())
    ids = unlisted["product_id"].drop_nulls()
    nameless = int(unlisted.filter(pl.col("product_id").is_null())["n"].sum())
    parts = [f"{number(ids.len())} product ids, such as {ids.sort()[0]}"] if ids.len() else []
    parts += [f"{number(nameless)} lines without a product id"] if nameless else []
    note = (
        f"{number(lines_out)} of {number(lines_all)} order lines "
        f"({percent(lines_out / lines_all)}) have no row in the product table "
        f"({'; '.join(parts)}); they keep what the line states itself"
    )
    return [note]


def level_sums(levels: Levels) -> Callable[[Any, Any], Any]:
    """Return the block of sums by level: spend, lines, last day, favourite and first level."""

    def sums(lines: Any, facts: Any) -> Any:
        pairs = _pairs(add_products(lines, facts.products), levels)
        code, spend = nw.col("code"), nw.col("spend")
        parts: dict[str, Any] = {}
        for k, slug in enumerate(levels.names):
            here = code == k
            parts[f"spend_{slug}"] = nw.when(here).then(spend).otherwise(0)
            parts[f"lines_{slug}"] = nw.when(here).then(nw.col("lines")).otherwise(0)
            parts[f"last_{slug}"] = nw.when(here).then(nw.col("last"))
        named = code < OTHER
        positive = nw.when(spend > 0).then(spend).otherwise(0)
        packed = nw.when(named).then((positive // CENTS) * SPAN + (OTHER - code))
        begun = nw.when(named).then(nw.col("first").cast(nw.Int64) * SPAN + code)
        lasts = [name for name in parts if name.startswith("last_")]
        added = [name for name in parts if name not in lasts]
        summed = (
            pairs.with_columns(**parts, favourite=packed, begun=begun)
            .group_by(CUSTOMER)
            .agg(
                nw.col("spend", "lines", *added).sum(),
                *([nw.col(*lasts).max()] if lasts else []),
                nw.col("favourite").max(),
                nw.col("begun").min(),
            )
        )
        money = ["spend", *(name for name in added if name.startswith("spend_"))]
        return summed.with_columns(
            *(nw.col(name).cast(nw.Float64) / MICRO for name in money),
            favourite_code=OTHER - nw.col("favourite") % SPAN,
            first_code=nw.col("begun") % SPAN,
        )

    return sums


def novelty_sums(levels: Levels) -> Callable[[Any, Any], Any]:
    """Return the block that counts a customer's days with a first purchase in a category."""

    def sums(lines: Any, facts: Any) -> Any:
        known = _known(add_products(lines, facts.products), levels.column)
        firsts = known.group_by(CUSTOMER, levels.column).agg(nw.col("day").min())
        days = firsts.group_by(CUSTOMER, "day").agg(nw.len().alias("n"))
        return (
            known.group_by(CUSTOMER, "day")
            .agg(nw.len().alias("n"))
            .join(days.select(CUSTOMER, "day", is_new=nw.lit(1)), on=[CUSTOMER, "day"], how="left")
            .group_by(CUSTOMER)
            .agg(nw.len().alias("n_days"), nw.col("is_new").sum().alias("n_new"))
        )

    return sums


def _known(lines: Any, column: str) -> Any:
    return lines.filter(~nw.col("is_return") & ~nw.col(column).is_null())


def _pairs(lines: Any, levels: Levels) -> Any:
    """Sum the purchase lines of each customer and level, with the level's code."""
    pairs = (
        _known(lines, levels.column)
        .with_columns(spend=micro(nw.col("amount")))
        .group_by(CUSTOMER, levels.column)
        .agg(
            nw.col("spend").sum(),
            nw.len().cast(nw.Int64).alias("lines"),
            nw.col("day").min().alias("first"),
            nw.col("day").max().alias("last"),
        )
    )
    code = nw.lit(OTHER)
    for k, names in enumerate(levels.names.values()):
        code = nw.when(nw.col(levels.column).is_in(names)).then(k).otherwise(code)
    return pairs.with_columns(code=code.cast(nw.Int64))


def product_blocks(kinds: tuple[Levels, ...]) -> dict[str, Callable[[Any, Any], Any]]:
    """Return the blocks of sums of all columns that have levels."""
    blocks: dict[str, Callable[[Any, Any], Any]] = {}
    for levels in kinds:
        blocks[f"{levels.column}_levels"] = level_sums(levels)
        blocks[f"{levels.column}_news"] = novelty_sums(levels)
    return blocks


# Sums that are unknown, not zero, without lines; by the beginning of their names.
NO_ZERO = frozenset({"last_", "favourite", "begun", "first_code"})


def product_features(levels: Levels, as_of: int) -> list[Feature]:
    """List the features by level of one column."""
    column, group = levels.column, PLURAL[levels.column]
    none = f"null without a purchase of a known {column}"
    best = (
        f"the {column} with the most spend on purchase lines; of equal ones the first in the "
        "alphabet"
    )
    first = (
        f"the {column} bought on the first day with a known one; of several the first in the "
        "alphabet"
    )
    novelty = (
        f"purchase days after the first on which a {column} was bought for the first time, over "
        f"all purchase days of a known {column} after the first"
    )
    news = f"{column}_news"
    return [
        _name_feature(levels, "favourite", best, none),
        _name_feature(levels, "first", first, none),
        Feature(
            f"{column}_new_rate", group, "share", "orders", novelty,
            "null below two such days",
            lambda c: ratio(c(f"{news}.n_new") - 1, c(f"{news}.n_days") - 1), whole_only=True,
        ),
        *(_share(levels, slug, none) for slug in levels.names),
        *(_recency(levels, slug, as_of) for slug in levels.names),
        *(_affinity(levels, slug) for slug in levels.names),
    ]  # fmt: skip


def _name_feature(levels: Levels, which: str, formula: str, empty: str) -> Feature:
    """Define the feature that names a customer's favourite or first level."""
    column = levels.column
    words = f"{formula}; among the {len(levels.names)} that have features of their own"
    shown = {k: names[0] for k, names in enumerate(levels.names.values())}

    def value(c: Pick) -> pl.Expr:
        code = c(f"{column}_levels.{which}_code").cast(pl.Int64)
        return code.replace_strict(shown, default=None, return_dtype=pl.String)

    return _feature(f"{which}_{column}", column, TEXT, words, empty, value)


def _share(levels: Levels, slug: str, empty: str) -> Feature:
    column = levels.column
    part, whole = f"{column}_levels.spend_{slug}", f"{column}_levels.spend"
    formula = (
        f"share of the spend on purchase lines of a known {column} (returns not deducted) that is "
        f"{levels.words(slug)}"
    )
    name = f"{column}_share_{slug}"
    return _feature(name, column, "share", formula, empty, lambda c: ratio(c(part), c(whole)))


def _recency(levels: Levels, slug: str, as_of: int) -> Feature:
    column = levels.column
    last = f"{column}_levels.last_{slug}"
    formula = f"as_of minus the day of the last purchase line of {levels.words(slug)}"
    name = f"{column}_recency_days_{slug}"
    return _feature(
        name, column, "days", formula, "null without one", lambda c: counted(as_of - c(last))
    )


def _affinity(levels: Levels, slug: str) -> Feature:
    column, block = levels.column, f"{levels.column}_levels"
    formula = (
        f"share of the purchase lines of a known {column} that is {levels.words(slug)}, over the "
        "share among all customers of the table: 1 is the average; shares of customers with few "
        "lines are shrunk to the average (Dirichlet-multinomial, its concentration by the method "
        "of moments, Weir & Hill 2002)"
    )

    def value(c: Pick) -> pl.Expr:
        lines, own = c(f"{block}.lines"), c(f"{block}.lines_{slug}")
        average = ratio(own.sum(), lines.sum())
        weight = concentration(lines, [c(f"{block}.lines_{other}") for other in levels.names])
        shrunk = (own + weight * average) / (lines + weight)
        # An infinite concentration: customers do not differ beyond chance.
        shrunk = pl.when(weight.is_finite()).then(shrunk).otherwise(average)
        return pl.when((average > 0) & (lines + weight > 0)).then(shrunk / average)

    return _feature(
        f"{column}_affinity_{slug}", column, "ratio", formula, "1 without a line", value
    )


def _feature(
    name: str, column: str, unit: str, formula: str, empty: str, value: Callable[[Pick], pl.Expr]
) -> Feature:
    return Feature(name, PLURAL[column], unit, "orders", formula, empty, value, windowed=False)


def concentration(total: pl.Expr, parts: list[pl.Expr]) -> pl.Expr:
    """Estimate the concentration of a Dirichlet-multinomial by the method of moments.

    With counts y of customer i and level j, n = sum of y over the levels, N = sum of n, m
    customers with n > 0: the mean squares between customers, S = sum(n (p - P)^2) / (m - 1), and
    within, G = sum(n p (1 - p)) / (N - m), give the intraclass correlation
    ``theta = (S - G) / (S + (c - 1) G)`` with ``c = (N - sum(n^2) / N) / (m - 1)``, and the
    concentration ``(1 - theta) / theta``: the number of lines that the average weighs as much as.

    Source: B. S. Weir and W. G. Hill (2002), "Estimating F-statistics", Annual Review of Genetics
    36; with two levels it is the beta-binomial.

    Parameters
    ----------
    total : polars.Expr
        Each customer's lines of a known level.
    parts : list of polars.Expr
        Lines of each named level; what is left of ``total`` counts as one more.

    Returns
    -------
    polars.Expr
        One number; infinite where customers do not differ beyond chance, or no customer has two
        lines to tell by.

    Examples
    --------
    >>> counts = pl.DataFrame({"n": [4, 4, 4, 4], "a": [4, 0, 3, 1]})
    >>> round(counts.select(concentration(pl.col("n"), [pl.col("a")])).item(), 3)
    0.706
    """
    n = total.cast(pl.Float64)
    rest = n - pl.sum_horizontal(parts)
    some = n > 0
    whole, customers = n.sum(), some.sum().cast(pl.Float64)
    squares = [pl.when(some).then(y * y / n).otherwise(0.0).sum() for y in (*parts, rest)]
    levels = [y.sum() * y.sum() for y in (*parts, rest)]
    q, r = pl.sum_horizontal(squares), pl.sum_horizontal(levels) / whole
    between = (q - r) / (customers - 1)
    within = (whole - q) / (whole - customers)
    size = (whole - (n * n).sum() / whole) / (customers - 1)
    theta = (between - within) / (between + (size - 1) * within)
    return (
        pl.when((customers > 1) & (whole > customers) & (theta > 0))
        .then((1 - theta) / theta)
        .otherwise(float("inf"))
    )
