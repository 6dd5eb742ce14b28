"""From the wanted features to the sums they need, block by block and window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from segkit.features.definitions import Catalogue, Feature
from segkit.features.engines import collect
from segkit.features.pieces import pieces
from segkit.features.sources import CUSTOMER, Rows
from segkit.features.windows import Window, before, day_date, last, whole


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
        """Give the column as an expression over the sums."""
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
        """The window as a reader is told of it."""
        return self.window.words + (f" against {self.earlier.words}" if self.earlier else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """A table's rows together with the blocks of sums that can be made of them.

    Attributes
    ----------
    rows : Rows
    facts : OrderFacts or EventFacts
    blocks : mapping of str to callable
        Block name to the function from (rows, facts) to a lazy frame, one row a customer.
    no_zero : set of str
        Sums that are unknown, not zero, without rows in the window.
    catalogue : Catalogue
    """

    rows: Rows
    facts: Any
    blocks: Mapping[str, Callable[[Any, Any], Any]]
    no_zero: frozenset[str]
    catalogue: Catalogue

    def run(self, needed: Iterable[tuple[str, str, Window]]) -> list[pl.DataFrame]:
        """Compute the needed sums: one frame for each block and window, one row a customer."""
        wanted: dict[tuple[str, Window], list[str]] = {}
        for block, name, window in needed:
            if block in self.blocks:
                names = wanted.setdefault((block, window), [])
                names += [] if name in names else [name]
        return [self._block(block, window, names) for (block, window), names in wanted.items()]

    def _block(self, block: str, window: Window, names: list[str]) -> pl.DataFrame:
        add = self.blocks[block]
        table = pl.concat(
            collect(add(rows, self.facts).select(CUSTOMER, *names))
            for rows in pieces(self.rows, window)
        )
        columns = [
            _filled(pl.col(name), name not in self.no_zero).alias(f"{block}.{name}{window.suffix}")
            for name in names
        ]
        return table.filter(pl.col(CUSTOMER).is_not_null()).select(CUSTOMER, *columns)

    def zeros(self, columns: Iterable[str]) -> list[str]:
        """Name the columns of sums in which nothing means zero."""
        empty = tuple(self.no_zero)
        mine = (c for c in columns if c.split(".")[0] in self.blocks)
        return [c for c in mine if not c.split(".")[1].startswith(empty)]

    def customers(self, as_of: int) -> pl.Series:
        """List who occurs in the table up to ``as_of``."""
        known = self.rows.frame.filter(nw.col("day") <= as_of)
        return collect(known.group_by(CUSTOMER).agg(nw.len().alias("n")))[CUSTOMER].drop_nulls()


def _filled(column: pl.Expr, zero: bool) -> pl.Expr:
    number = column.cast(pl.Float64).fill_nan(None)
    return number.fill_null(0.0) if zero else number


def bind(
    catalogue: Catalogue,
    firsts: Mapping[str, int],
    as_of: int,
    lengths: tuple[int, ...],
    period: int,
) -> tuple[list[Bound], list[tuple[str, str]]]:
    """Bind features to windows; a trend that the history is too short for is skipped.

    Parameters
    ----------
    catalogue : Catalogue
    firsts : mapping of str to int
        Table to the day number of its first row.
    as_of : int
    lengths : tuple of int
        Windows, in days.
    period : int
        Length of the unsuffixed trends' periods, in days.

    Returns
    -------
    tuple of (list of Bound, list of (str, str))
        The columns, the whole history's first, and what was skipped with the reason.
    """
    bound: list[Bound] = []
    skipped: list[tuple[str, str]] = []
    for length in (0, *lengths):
        for feature in catalogue.features:
            if length and feature.whole_only:
                continue
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
