"""Features as data, bound to windows, and the sums that they need.

Large tables are summed for one part of the customers after another, so that memory stays bounded.
This is possible as every sum belongs to one customer. Parts are ranges of ids, as all engines
compare ids in the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from segkit.errors import ParameterError, unknown
from segkit.features.calendar import Window, before, day_date, last, whole
from segkit.features.sources import CUSTOMER, MICRO, Rows, collect, is_spark

# From a sum's name to its column for the window at hand.
Pick = Callable[[str], pl.Expr]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of the customer table, before it is bound to a window.

    Attributes
    ----------
    name : str
        Column name for the whole history; windows add "_30d".
    group : str
        The group by which a user may ask for it ("core", "rhythm", ...).
    unit : str
        "days", "orders", "money", "share", ...
    source : str
        The table it is computed from.
    formula : str
        The computation in words.
    empty : str
        When it is null, when zero.
    value : callable
        From the sums of a window to the feature, a polars expression.
    trend : bool
        Whether it compares a window with the equally long one before it; it then needs a length
        even where the other features cover the whole history.
    whole_only : bool
        Whether it is made for the whole history alone: a rate over a customer's own time.
    windowed : bool
        Whether it is computed for each window of the table; if not, only for windows that are
        asked for by name.
    """

    name: str
    group: str
    unit: str
    source: str
    formula: str
    empty: str
    value: Callable[[Pick], pl.Expr]
    trend: bool = False
    whole_only: bool = False
    windowed: bool = True

    @property
    def is_windowed(self) -> bool:
        """Whether the feature is computed for each window of the table."""
        return self.windowed and not self.whole_only

    def sums(self) -> set[str]:
        """Return the sums that the feature is made from."""
        return set(self.value(pl.col).meta.root_names())

    def column(self, window: Window) -> pl.Expr:
        """Return the feature for one window, as an expression over its sums."""
        return self.value(lambda name: pl.col(name + window.suffix))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The features that a source's tables allow, and those that they do not.

    Attributes
    ----------
    features : tuple of Feature
        In the order of the table's columns.
    skipped : tuple of (str, str)
        Feature or family, and what is missing for it.
    """

    features: tuple[Feature, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Catalogue) -> Catalogue:
        return Catalogue(self.features + other.features, self.skipped + other.skipped)

    def choose(
        self, wanted: Sequence[str] | None, lengths: tuple[int, ...]
    ) -> list[tuple[Feature, tuple[int, ...]]]:
        """Return the features asked for by name or by group, each with its windows.

        A name that ends in a window ("page_views_7d") asks for that window alone; one without
        for the whole history (length 0) and for every window of the table.

        Raises
        ------
        ParameterError
            If a name is neither a feature nor a group; says why where the source lacks it.
        """
        if wanted is None:
            return [(f, (0, *(lengths if f.is_windowed else ()))) for f in self.features]
        names = {feature.name for feature in self.features}
        groups = {feature.group for feature in self.features}
        reasons = dict(self.skipped)
        asked: dict[str, set[int]] = {}
        for name in wanted:
            ending = None if name in names | groups else WINDOW.search(name)
            bare = name[: ending.start()] if ending else name
            if bare in reasons:
                raise ParameterError(f"feature {name!r} cannot be computed: {reasons[bare]}")
            if bare not in names | groups or (ending and int(ending[1]) < 1):
                available = [*sorted(groups), *(feature.name for feature in self.features)]
                raise ParameterError(unknown("feature or group", name, available))
            own = {int(ending[1])} if ending else {0, *lengths}
            asked[bare] = asked.get(bare, set()) | own
        chosen = []
        for feature in self.features:
            own = asked.get(feature.name, set()) | asked.get(feature.group, set())
            if feature.whole_only and own and 0 not in own:
                raise ParameterError(
                    f"{feature.name} is made for the whole history alone; it has no window"
                )
            if own:
                chosen.append((feature, (0,) if feature.whole_only else tuple(sorted(own))))
        return chosen


WINDOW = re.compile(r"_(\d+)d$")


def ratio(top: pl.Expr, bottom: pl.Expr) -> pl.Expr:
    """Divide two sums; null where the denominator is not positive."""
    return pl.when(bottom > 0).then(top / bottom)


def as_count(column: pl.Expr) -> pl.Expr:
    """Return a count or a number of days as a whole number (sums are kept as floats)."""
    return column.round().cast(pl.Int64)


# Added to a customer's tenure, so that rates of new customers do not become extreme.
CREDIT_DAYS = 60


def per_year(name: str, source: str, what: str, count: str, as_of: int) -> Feature:
    """Define a yearly rate of a count over the time since a customer's first purchase."""
    formula = (
        f"{what} over the days since the first purchase plus {CREDIT_DAYS} (so that a new "
        "customer's rate does not run away), times 365"
    )
    return Feature(
        name, "rates", "per year", source, formula, "null without a purchase",
        lambda c: c(count) * 365.0 / (as_of - c("orders.first_day") + CREDIT_DAYS),
        whole_only=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bound:
    """A feature bound to a window: one column of the table.

    Attributes
    ----------
    feature : Feature
    name : str
        The column's name.
    window : Window
        The days it is computed over; for a trend the later of the two periods.
    earlier : Window or None
        For a trend the earlier period.
    """

    feature: Feature
    name: str
    window: Window
    earlier: Window | None = None

    def column(self) -> pl.Expr:
        """Return the column as an expression over the sums."""
        return self.feature.column(self.window).alias(self.name)

    def sums(self) -> Iterable[tuple[str, str, Window]]:
        """List the block, the sum and the window of everything the column is made from."""
        for full in sorted(self.feature.sums()):
            block, name = full.split(".")
            if self.earlier is not None and name.endswith("_before"):
                yield block, name.removesuffix("_before"), self.earlier
            else:
                yield block, name, self.window

    @property
    def words(self) -> str:
        """Description of the window."""
        return self.window.words + (f" against {self.earlier.words}" if self.earlier else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """A table's rows together with the blocks of sums that can be made of them.

    Attributes
    ----------
    rows : Rows
    facts : OrderFacts or EventFacts
    blocks : mapping of str to callable
        Block name to the function from (rows, facts) to a lazy frame, one row per customer.
    no_zero : set of str
        Beginnings of the names of sums that are null, not zero, for a customer without rows in the
        window, such as first and last days.
    catalogue : Catalogue
    """

    rows: Rows
    facts: Any
    blocks: Mapping[str, Callable[[Any, Any], Any]]
    no_zero: frozenset[str]
    catalogue: Catalogue

    def needed_blocks(
        self, needed: Iterable[tuple[str, str, Window]]
    ) -> dict[tuple[str, Window], list[str]]:
        """Return the names of the needed sums by block and window."""
        wanted: dict[tuple[str, Window], list[str]] = {}
        for block, name, window in needed:
            if block in self.blocks:
                names = wanted.setdefault((block, window), [])
                names += [] if name in names else [name]
        return wanted

    def sums(self, block: str, window: Window, names: list[str]) -> pl.DataFrame:
        """Compute sums of a block over a window, one row per customer."""
        add = self.blocks[block]
        table = pl.concat(
            _collected(add(rows, self.facts), names) for rows in pieces(self.rows, window)
        )
        columns = {
            f"{block}.{name}{window.suffix}": (name, not self.is_unknown(name)) for name in names
        }
        return read_sums(table.filter(pl.col(CUSTOMER).is_not_null()), columns)

    def zeros(self, columns: Iterable[str]) -> list[str]:
        """Return those of the columns in which a customer without rows has a zero."""
        own_columns = (c for c in columns if c.split(".")[0] in self.blocks)
        return [c for c in own_columns if not self.is_unknown(c.split(".")[1])]

    def is_unknown(self, name: str) -> bool:
        """Whether a sum is null, not zero, for a customer without rows."""
        return name.startswith(tuple(self.no_zero))

    def customers(self, as_of: int) -> pl.Series:
        """List who occurs in the table up to ``as_of``."""
        rows = self.rows.frame.filter(nw.col("day") <= as_of)
        return collect(rows.group_by(CUSTOMER).agg(nw.len().alias("n")))[CUSTOMER].drop_nulls()


def _collected(sums: Any, names: list[str]) -> pl.DataFrame:
    """Run a block's lazy sums; some blocks have run them already."""
    if isinstance(sums, pl.DataFrame):
        return sums.select(CUSTOMER, *names)
    return collect(sums.select(CUSTOMER, *names))


# Sums of whole millionths: those that become units, and those that stay whole.
MILLIONTHS = re.compile(r"orders\.(amount|gross|returned|discount)|spend\.|events\.seconds")
WHOLE = "orders.value_"


def is_exact(full: str) -> bool:
    """Whether a sum, by its full name, is of whole millionths, which a float may not hold."""
    return full.startswith(WHOLE) or MILLIONTHS.match(full) is not None


def read_sums(table: pl.DataFrame, columns: Mapping[str, tuple[str, bool]]) -> pl.DataFrame:
    """Return sums under their full names, as floats, with millionths in units.

    Parameters
    ----------
    table : polars.DataFrame
    columns : mapping of str to (str, bool)
        Full name to the column in ``table``, and whether a missing sum is zero; else it is null.
    """
    read: list[pl.Series] = [table[CUSTOMER]]
    for full, (name, zero) in columns.items():
        sums = table[name]
        if is_exact(full):
            sums = sums.cast(pl.Int64)
            sums = sums.fill_null(0) if zero else sums
            if not full.startswith(WHOLE):
                # Polars divides by a constant through its reciprocal, which rounds twice.
                missing = sums.is_null()
                units = pl.Series(sums.fill_null(0).to_numpy().astype(np.float64) / MICRO)
                sums = units.set(missing, None) if missing.any() else units
        else:
            sums = sums.cast(pl.Float64).fill_nan(None)
            sums = sums.fill_null(0.0) if zero else sums
        read.append(sums.alias(full))
    return pl.DataFrame(read)


def bind(
    chosen: Sequence[tuple[Feature, tuple[int, ...]]],
    firsts: Mapping[str, int],
    as_of: int,
    period: int,
) -> tuple[list[Bound], list[tuple[str, str]]]:
    """Bind features to windows; a trend that the history is too short for is skipped.

    Parameters
    ----------
    chosen : sequence of (Feature, tuple of int)
        Each with the lengths of its windows in days; 0 is the whole history.
    firsts : mapping of str to int
        Table to the day number of its first row.
    as_of : int
    period : int
        Length of the unsuffixed trends' periods, in days.

    Returns
    -------
    tuple of (list of Bound, list of (str, str))
        The columns, the whole history's first, and what was skipped with the reason.
    """
    bound: list[Bound] = []
    skipped: list[tuple[str, str]] = []
    for length in sorted({length for _, lengths in chosen for length in lengths}):
        for feature in (feature for feature, lengths in chosen if length in lengths):
            if not feature.trend:
                window = last(length, as_of) if length else whole(as_of)
                bound.append(Bound(feature, feature.name + window.suffix, window))
                continue
            days = length or period
            name = feature.name + (f"_{length}d" if length else "")
            if firsts[feature.source] > as_of - 2 * days + 1:
                begin = f"{feature.source} begin on {day_date(firsts[feature.source])}"
                reason = f"{begin}, less than 2 x {days} days before the as-of date"
                skipped.append((name, reason))
                continue
            bound.append(Bound(feature, name, last(days, as_of), before(days, as_of)))
    return bound, skipped


ROWS_A_PIECE = 50_000_000  # in one piece they take 2.4 GiB, in three 1.1 and a seventh longer
SAMPLED_DAYS = 8


def pieces(rows: Rows, window: Window) -> list[Any]:
    """Return the window's rows as lazy frames of disjoint customers; one frame where few rows.

    Spark divides the rows itself.
    """
    frame = rows.window(window)
    if is_spark(frame):
        return [frame]
    first = rows.first if window.after is None else max(rows.first, window.after + 1)
    share = max(0, min(window.until, rows.final) - first + 1) / (rows.final - rows.first + 1)
    count = math.ceil(rows.n_used * share / ROWS_A_PIECE)
    bounds = _bounds(rows, count) if count > 1 else []
    if not bounds:
        return [frame]
    customer = nw.col(CUSTOMER)
    lower = [None, *bounds]
    upper = [*bounds, None]
    ranges = []
    for start, end in zip(lower, upper, strict=True):
        part = frame if start is None else frame.filter(customer >= start)
        ranges.append(part if end is None else part.filter(customer < end))
    return ranges


def _bounds(rows: Rows, count: int) -> list[str]:
    """Choose ids that divide the customers evenly, from those seen on a few days."""
    step = (rows.final - rows.first) / (SAMPLED_DAYS - 1)
    days = sorted({rows.first + round(k * step) for k in range(SAMPLED_DAYS)})
    some = rows.frame.filter(nw.col("day").is_in(days)).group_by(CUSTOMER)
    customers = collect(some.agg(nw.len().alias("n")))[CUSTOMER].drop_nulls().sort()
    at = [customers.len() * k // count for k in range(1, count)]
    return sorted({str(customers[k]) for k in at}) if customers.len() else []
