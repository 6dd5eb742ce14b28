"""Features of what customers buy: share, recency and affinity by category or brand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_columns
from segkit.features.definitions import Feature, Pick, as_count, ratio
from segkit.features.sources import CUSTOMER, MICRO, collect, micro, with_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRODUCT_COLUMNS = ("category", "brand")
PLURAL = {"category": "categories", "brand": "brands"}
NEVER = np.iinfo(np.int32).max  # a day number that no day has
TEXT = "text"  # the unit of a feature that names a level
LISTED = "__product"


@dataclass(frozen=True, slots=True)
class LevelTotals:
    """Totals over customers that affinities are computed from.

    They are whole numbers, so the totals of disjoint parts of the customers add up exactly.

    Attributes
    ----------
    customers, lines, squared_lines : int
        Customers with a line of a known level; the number of such lines; the sum over customers of
        the square of this number.
    squares : int
        Sum over customers of ``squares`` in `estimate_concentration`, in units of 2**-53.
    levels : tuple of int
        Lines of each named level.
    """

    customers: int
    lines: int
    squared_lines: int
    squares: int
    levels: tuple[int, ...]

    def __add__(self, other: LevelTotals) -> LevelTotals:
        levels = tuple(a + b for a, b in zip(self.levels, other.levels, strict=True))
        return LevelTotals(
            self.customers + other.customers,
            self.lines + other.lines,
            self.squared_lines + other.squared_lines,
            self.squares + other.squares,
            levels,
        )

    @classmethod
    def of(cls, lines: Floats, squares: Floats, levels: Sequence[float]) -> LevelTotals:
        """Add up the customers at hand; the order of the rows changes no bit."""
        whole = np.floor(squares)
        part = (squares - whole) * 2.0**32
        high = np.floor(part)
        pieces = ((whole, 53), (high, 21), (np.rint((part - high) * 2.0**21), 0))
        return cls(
            int((lines > 0).sum()),
            int(lines.sum()),
            int((lines**2).sum()),
            sum(int(piece.astype(np.int64).sum()) << shift for piece, shift in pieces),
            tuple(int(level) for level in levels),
        )

    @property
    def concentration(self) -> float:
        """The concentration that `estimate_concentration` describes."""
        if self.customers < 2 or self.lines <= self.customers:
            return float("inf")
        squares, rest = self.squares / 2**53, self.lines - sum(self.levels)
        mean = (sum(total**2 for total in self.levels) + rest**2) / self.lines
        between = (squares - mean) / (self.customers - 1)
        within = (self.lines - squares) / (self.lines - self.customers)
        size = (self.lines - self.squared_lines / self.lines) / (self.customers - 1)
        bottom = between + (size - 1) * within
        theta = (between - within) / bottom if bottom > 0 else 0.0
        return (1 - theta) / theta if theta > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Levels:
    """The commonest categories (or brands), each with a feature of its own.

    Attributes
    ----------
    column : str
        "category" or "brand".
    names : mapping of str to list of str
        Feature ending to the names in the data.
    has_others : bool
        Whether the data hold levels beside these.
    totals : LevelTotals or None
        Totals that affinities are computed from; None adds up the customers at hand.
    """

    column: str
    names: Mapping[str, list[str]]
    has_others: bool = True
    totals: LevelTotals | None = None

    @property
    def is_whole(self) -> bool:
        """Whether each level of the data has a feature of its own."""
        return not self.has_others and all(len(names) == 1 for names in self.names.values())

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
            f"{counted(repeated.height, 'product id comes', 'product ids come')} more than once in "
            f"products, such as {repeated['product_id'].min()!r}: expected one row per product"
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
    parts = [f"{counted(ids.len(), 'product id')}, such as {ids.sort()[0]}"] if ids.len() else []
    parts += [f"{counted(nameless, 'line')} without a product id"] if nameless else []
    note = (
        f"{number(lines_out)} of {counted(lines_all, 'order line')} "
        f"({percent(lines_out / lines_all)}) have no row in the product table "
        f"({'; '.join(parts)}); they keep what the line states itself"
    )
    return [note]


def level_sums(levels: Levels) -> Callable[[Any, Any], pl.DataFrame]:
    """Return the block of sums by level: spend, lines, last day, favourite, first and new ones.

    The engine sums the lines of each customer and level into a long table, from which one column
    per level is made in memory: this is faster than a conditional sum per level in the engine.
    With Polars, where every level has a feature, the lines are not summed first.
    """

    def sums(lines: Any, facts: Any) -> pl.DataFrame:
        purchases = known_levels(lines, facts, levels)
        customers = facts.customers
        if customers is None:
            customers = collect(purchases.group_by(CUSTOMER).agg(nw.len().alias("n")))[CUSTOMER]
        places = customers.to_frame(CUSTOMER).with_row_index("place")
        at = _place(customers.len())
        if levels.is_whole and purchases.implementation.is_polars():
            names = pl.Enum([name for (name,) in levels.names.values()])
            code = pl.col(levels.column).cast(pl.String).cast(names).to_physical()
            # Whole numbers are joined faster than text: a hash that no two customers share.
            hashes = (pl.col(CUSTOMER).hash(seed).alias("key") for seed in count())
            key = next(h for h in hashes if places.select(h.is_unique().all()).item())
            own = purchases.to_native().select(key, "spend", code.alias("code"), first="day")
            by_key = places.lazy().select(key, "place")
            pairs = own.join(by_key, on="key").select(at, "spend", "first")
            return _pivot(customers, collect(nw.from_native(pairs)), levels)
        code = level_code(pl.col(levels.column), levels).alias("code")
        pairs = collect(pair_sums(purchases, levels)).with_columns(code).join(places, on=CUSTOMER)
        return _pivot(customers, pairs.with_columns(at), levels)

    return sums


PAIR_SUMS = ("spend", "lines", "first", "last")


def known_levels(lines: Any, facts: Any, levels: Levels) -> Any:
    """Keep the purchase lines of a known level, with their spend in millionths."""
    purchases = add_products(lines, facts.products).filter(
        ~nw.col("is_return") & ~nw.col(levels.column).is_null() & ~nw.col(CUSTOMER).is_null()
    )
    return purchases.with_columns(spend=micro(nw.col("amount"), lines))


def pair_sums(purchases: Any, levels: Levels) -> Any:
    """Sum the lines of each customer and level."""
    return purchases.group_by(CUSTOMER, levels.column).agg(
        nw.col("spend").sum(),
        nw.len().alias("lines"),
        nw.col("day").min().alias("first"),
        nw.col("day").max().alias("last"),
    )


def level_code(column: pl.Expr, levels: Levels) -> pl.Expr:
    """Return the index of a level among the named ones; their number stands for any other level."""
    codes = {name: k for k, names in enumerate(levels.names.values()) for name in names}
    return column.replace_strict(codes, default=len(levels.names), return_dtype=pl.Int64)


def _place(customers: int) -> pl.Expr:
    """Return the place of a customer's level in a table of levels and so many customers."""
    return (pl.col("code").cast(pl.Int64) * customers + pl.col("place")).alias("at")


def pivot_levels(listed: pl.DataFrame, levels: Levels) -> pl.DataFrame:
    """Make one row per customer and columns by level, from lists of levels with `pair_sums`."""
    rows = listed.with_row_index("place").explode("code", *PAIR_SUMS)
    return _pivot(listed[CUSTOMER], rows.with_columns(_place(listed.height)), levels)


def _pivot(customers: pl.Series, listed: pl.DataFrame, levels: Levels) -> pl.DataFrame:
    """Set the levels of each customer beside one another.

    ``listed`` has the place (`_place`), spend and day of each line, or of each customer and level
    with the number of lines and the last day.
    """
    other = len(levels.names)
    kinds = {"spend": np.int64, "lines": np.int64, "first": np.int32, "last": np.int32}
    flat = {
        name: listed[name].to_numpy().astype(kind, copy=False)
        for name, kind in kinds.items()
        if name in listed.columns
    }
    at, began = listed["at"].to_numpy(), flat["first"]
    last = flat.get("last", began)
    n, shape = customers.len(), (other + 1, customers.len())
    spend, first = np.zeros(shape, np.int64), np.full(shape, NEVER, np.int32)
    latest = np.full(shape, -NEVER, np.int32)
    np.add.at(spend.ravel(), at, flat["spend"])
    np.minimum.at(first.ravel(), at, began)
    np.maximum.at(latest.ravel(), at, last)
    if "lines" in flat:
        lines = np.zeros(shape, np.int64)
        np.add.at(lines.ravel(), at, flat["lines"])
    else:
        lines = np.bincount(at, minlength=spend.size).reshape(shape)
    total, start = lines.sum(axis=0), first.min(axis=0)
    if "lines" in flat:  # a row per level, those without a feature of their own too
        place = at % n
        later = np.bincount(place, weights=began > start[place], minlength=n)
    else:
        later = ((first < NEVER) & (first > start)).sum(axis=0)
    named = lines[:other] > 0
    some = named.any(axis=0)
    best = np.where(named, spend[:other], np.iinfo(np.int64).min).argmax(axis=0)
    columns: dict[str, Any] = {
        "spend": spend.sum(axis=0) / MICRO,
        "lines": total,
        "squares": (lines * lines).sum(axis=0) / np.maximum(total, 1),
        "new": later.astype(np.float64),
        "favourite_code": np.where(some, best, -1),
        "first_code": np.where(some, first[:other].argmin(axis=0), -1),
    }
    for k, slug in enumerate(levels.names):
        columns[f"spend_{slug}"] = spend[k] / MICRO
        columns[f"lines_{slug}"] = lines[k]
        columns[f"last_{slug}"] = np.where(named[k], latest[k], np.nan)
    frame = pl.DataFrame({CUSTOMER: customers, **columns})
    return frame if total.all() else frame.filter(pl.col("lines") > 0)


def product_blocks(kinds: tuple[Levels, ...]) -> dict[str, Callable[[Any, Any], Any]]:
    """Return the blocks of sums of all columns that have levels."""
    return {f"{levels.column}_levels": level_sums(levels) for levels in kinds}


# Sums that are unknown, not zero, without lines; by the beginning of their names.
NO_ZERO = frozenset({"last_", "favourite_code", "first_code"})


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
        f"number of {group} first bought after the first day with a known one, over the orders "
        "counted by frequency less the first"
    )
    new = f"{column}_levels.new"
    return [
        _name_feature(levels, "favourite", best, none),
        _name_feature(levels, "first", first, none),
        Feature(
            f"{column}_new_rate", group, "per order", "orders", novelty,
            "null below two orders",
            lambda c: ratio(c(new), c("orders.n_orders") - 1), whole_only=True,
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
        name, column, "days", formula, "null without one", lambda c: as_count(as_of - c(last))
    )


def _affinity(levels: Levels, slug: str) -> Feature:
    column = levels.column
    formula = (
        f"share of the purchase lines of a known {column} that is {levels.words(slug)}, over the "
        "share among all customers of the table: 1 is the average; shares of customers with few "
        "lines are shrunk to the average (Dirichlet-multinomial, its concentration by the method "
        "of moments, Weir & Hill 2002)"
    )

    names, place = level_sum_names(levels), list(levels.names).index(slug)

    def value(c: Pick) -> pl.Expr:
        return pl.map_batches(
            [c(name) for name in names],
            lambda sums: measure_affinity(sums, place, levels.totals),
            return_dtype=pl.Float64,
        )

    return _feature(
        f"{column}_affinity_{slug}", column, "ratio", formula, "1 without a line", value
    )


def _feature(
    name: str, column: str, unit: str, formula: str, empty: str, value: Callable[[Pick], pl.Expr]
) -> Feature:
    return Feature(name, PLURAL[column], unit, "orders", formula, empty, value, windowed=False)


def level_sum_names(levels: Levels) -> list[str]:
    """List the sums that affinities rest on: lines, their squares, lines of each named level."""
    block = f"{levels.column}_levels"
    return [f"{block}.lines", f"{block}.squares", *(f"{block}.lines_{n}" for n in levels.names)]


def add_levels(sums: Sequence[pl.Series]) -> LevelTotals:
    """Add up the columns that `level_sum_names` lists over the customers at hand."""
    lines, squares, *named = (part.cast(pl.Float64).fill_null(0.0).to_numpy() for part in sums)
    return LevelTotals.of(lines, squares, [float(part.sum()) for part in named])


def measure_affinity(
    sums: Sequence[pl.Series], place: int = 0, totals: LevelTotals | None = None
) -> pl.Series:
    """Measure each customer's affinity for a level.

    It is the share of the customer's lines that are of the level, shrunk towards the average share
    of all customers, divided by that average.

    Parameters
    ----------
    sums : sequence of polars.Series
        Lines of a known level, their squares (see `estimate_concentration`), and lines of each
        named level.
    place : int
        Which of the named levels.
    totals : LevelTotals, optional
        Totals of all customers, if ``sums`` hold a part of them; by default those of ``sums``.

    Returns
    -------
    polars.Series
        1 where customers do not differ beyond chance; null where no customer has the level.

    Examples
    --------
    >>> n, q = pl.Series([4, 4, 4, 4]), pl.Series([4.0, 4.0, 2.5, 2.5])
    >>> measure_affinity([n, q, pl.Series([4, 0, 3, 1])]).round(3).to_list()
    [1.85, 0.15, 1.425, 0.575]
    """
    whole = totals or add_levels(sums)
    average = whole.levels[place] / whole.lines if whole.lines else 0.0
    if average <= 0:
        return pl.Series([None] * len(sums[0]), dtype=pl.Float64)
    weight = whole.concentration
    if np.isinf(weight):
        return pl.Series(np.ones(len(sums[0])))
    lines, own = (s.cast(pl.Float64).fill_null(0.0).to_numpy() for s in (sums[0], sums[2 + place]))
    total = lines + weight
    share = np.divide(own + weight * average, total, out=np.full_like(own, np.nan), where=total > 0)
    return pl.Series(share / average).fill_nan(None)


def estimate_concentration(lines: Floats, squares: Floats, levels: Sequence[float]) -> float:
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
    lines : ndarray
        Each customer's lines of a known level, n.
    squares : ndarray
        Each customer's sum of y^2 over the levels, over n.
    levels : sequence of float
        Lines of each named level; what is left of all lines counts as one more.

    Returns
    -------
    float
        Infinite where customers do not differ beyond chance, or no customer has two lines to tell
        by.

    Examples
    --------
    >>> n, q = np.array([4.0, 4.0, 4.0, 4.0]), np.array([4.0, 4.0, 2.5, 2.5])
    >>> round(estimate_concentration(n, q, [8.0]), 3)
    0.706
    """
    return LevelTotals.of(lines, squares, levels).concentration
