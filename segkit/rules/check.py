"""Whether a table of rules covers every customer exactly once, proved cell by cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import RuleError
from segkit.result import Result
from segkit.rules.conditions import expression
from segkit.rules.grid import Axis, make_axes, series
from segkit.rules.rule import Domain, prepare
from segkit.rules.ruleset import RuleSet

MAX_REGIONS = 200
_SCHEMA: dict[str, Any] = {
    "problem": pl.String,
    "rules": pl.List(pl.String),
    "where": pl.String,
    "example": pl.String,
    "points": pl.Int64,
    "customers": pl.Int64,
}


@dataclass(frozen=True, slots=True, eq=False)
class RuleCheck(Result):
    """What a rule table leaves out and what it claims twice.

    Attributes
    ----------
    policy : str
        The rule set's policy.
    regions : polars.DataFrame
        One row a region: problem ("gap" or "overlap"), rules (the names that match there),
        where (the region in words), example (a point in it), points (how many values the
        region holds; null for infinitely many), customers (of the frame; null without one).
    gap_points, overlap_points : int or None
        Possible customers that no rule, or more than one rule, matches; None where the
        columns' domains are not all finite.
    points : int or None
        All possible customers; None where infinitely many.
    empty : tuple of str
        Rules that can never match.
    customers : int or None
        Rows of the frame that was checked along; None without one.
    outside : int
        Rows of that frame whose values lie outside the declared domains.
    regions_left_off : int
        Regions past the first 200, counted but not listed.
    """

    policy: str
    regions: pl.DataFrame
    gap_points: int | None
    overlap_points: int | None
    points: int | None
    empty: tuple[str, ...]
    customers: int | None
    outside: int
    regions_left_off: int

    @property
    def gaps(self) -> pl.DataFrame:
        """The regions that no rule covers."""
        return self.regions.filter(pl.col("problem") == "gap")

    @property
    def overlaps(self) -> pl.DataFrame:
        """The regions that several rules claim."""
        return self.regions.filter(pl.col("problem") == "overlap")

    @property
    def ok(self) -> bool:
        """Whether the table is what its policy promises.

        A partition has neither gap nor overlap; "first" may overlap; "many" may do both.
        No rule may be impossible, and no row may lie outside the domains.
        """
        sound = not self.empty and not self.outside
        if self.policy == "partition":
            return sound and self.regions.is_empty()
        return sound and (self.policy == "many" or self.gaps.is_empty())

    def require(self) -> None:
        """Raise ``RuleError`` with the first gaps and overlaps unless `ok`."""
        if not self.ok:
            raise RuleError(self.text)

    def to_frame(self) -> pl.DataFrame:
        """Return the regions, one row each."""
        return self.regions

    @property
    def text(self) -> str:
        """The finding in words."""
        gap, overlap = self.gaps, self.overlaps
        if gap.is_empty() and overlap.is_empty():
            finding = "The rules match every possible customer exactly once."
        else:
            finding = " ".join(
                part
                for part in (
                    self._word(gap, self.gap_points, "match nobody's rule"),
                    self._word(overlap, self.overlap_points, "are claimed by several rules"),
                )
                if part
            )
        if self.empty:
            finding += f" Never matched by anybody: {', '.join(self.empty)}."
        if self.outside:
            finding += f" {number(self.outside)} customers lie outside the declared domains."
        return finding

    def _word(self, regions: pl.DataFrame, points: int | None, problem: str) -> str:
        if regions.is_empty():
            return ""
        count = f"{number(regions.height)} regions"
        if points is not None:
            count = f"{number(points)} of {number(self.points)} possible customers"
        names = regions["rules"][0].to_list()
        by = f" by {' and '.join(names)}" if names else ""
        seen = ""
        if self.customers is not None:
            seen = f" ({number(regions['customers'].sum())} of {number(self.customers)} customers)"
        return f"{count} {problem}{seen}, such as {regions['example'][0]}{by}."


def check_rules(rules: RuleSet, frame: pl.DataFrame | None = None) -> RuleCheck:
    """Check whether the rules cover every possible customer, and none twice.

    Every column is cut at the constants that the rules compare it with (each constant, the
    open intervals between, and the null unless the column is declared non-null); the rules'
    truth is constant on each cell of the grid, so looking at one point a cell proves the
    answer for all customers, seen or unseen.

    Parameters
    ----------
    rules : RuleSet
        Its domains bound what a column can hold; undeclared columns can hold anything.
    frame : polars.DataFrame, optional
        Customers to be counted in each gap and overlap; also tells whole numbers from reals
        where no domain is declared.

    Returns
    -------
    RuleCheck

    Raises
    ------
    RuleError
        If a column is compared with constants of several kinds, a text by order, or the grid
        exceeds 4 million cells.
    ColumnError
        If the frame lacks a column or holds it in another type.

    Examples
    --------
    >>> rules = RuleSet.parse('''
    ... Active: recency_days < 30
    ... Gone: recency_days > 30
    ... ''', domains={"recency_days": Domain("integer", low=0, nullable=False)})
    >>> check_rules(rules).gaps["where"].to_list()
    ['recency_days = 30']
    """
    ready = None if frame is None else prepare(frame, rules.rules)
    domains = dict(rules.domains)
    if ready is not None:
        for name in rules.columns:
            domains.setdefault(name, Domain(_kind(ready.schema[name])))
    axes = make_axes(rules.rules, rules.columns, domains)
    shape = tuple(len(axis.cells) for axis in axes)
    matched = _matched(rules, axes, shape)
    counts = matched.sum(axis=1)
    sizes = _sizes(axes, shape)
    customers, outside = _customers(axes, shape, ready)
    regions = _regions(rules, axes, shape, matched, counts, sizes, customers)
    total = None if sizes is None else int(sizes.sum())
    return RuleCheck(
        policy=rules.policy,
        regions=pl.DataFrame(regions[:MAX_REGIONS], schema=_SCHEMA, orient="row"),
        gap_points=None if sizes is None else int(sizes[counts == 0].sum()),
        overlap_points=None if sizes is None else int(sizes[counts > 1].sum()),
        points=total,
        empty=tuple(name for i, name in enumerate(rules.names) if not matched[:, i].any()),
        customers=None if ready is None else ready.height,
        outside=outside,
        regions_left_off=max(0, len(regions) - MAX_REGIONS),
    )


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return {pl.Boolean: "boolean", pl.Date: "date"}.get(type(dtype), "text")


def _matched(rules: RuleSet, axes: Sequence[Axis], shape: tuple[int, ...]) -> np.ndarray:
    """Evaluate every rule at one point a cell: Boolean, cells x rules."""
    size = math.prod(shape)
    places = np.indices(shape).reshape(len(shape), size) if shape else np.empty((0, 1), int)
    points = pl.DataFrame(
        [
            series(axis.column, axis.kind, [cell.example for cell in axis.cells])[places[i]]
            for i, axis in enumerate(axes)
        ]
        or [pl.Series("", [0])]
    )
    held = [expression(rule.condition).fill_null(value=False) for rule in rules.rules]
    columns = [points.with_columns(expr.alias("held"))["held"].to_numpy() for expr in held]
    return np.column_stack(columns)


def _sizes(axes: Sequence[Axis], shape: tuple[int, ...]) -> np.ndarray | None:
    sizes = np.ones(1, dtype=np.int64)
    for axis in axes:
        if axis.points is None:
            return None
        sizes = np.multiply.outer(sizes, [cell.points or 0 for cell in axis.cells]).ravel()
    return sizes.reshape(math.prod(shape))


def _customers(
    axes: Sequence[Axis], shape: tuple[int, ...], frame: pl.DataFrame | None
) -> tuple[np.ndarray | None, int]:
    if frame is None:
        return None, 0
    if not axes:
        return np.array([frame.height]), 0
    codes = np.array([axis.codes(frame[axis.column]) for axis in axes])
    known = (codes >= 0).all(axis=0)
    flat = np.ravel_multi_index(tuple(codes[:, known]), shape)
    return np.bincount(flat, minlength=math.prod(shape)), int((~known).sum())


def _regions(
    rules: RuleSet,
    axes: Sequence[Axis],
    shape: tuple[int, ...],
    matched: np.ndarray,
    counts: np.ndarray,
    sizes: np.ndarray | None,
    customers: np.ndarray | None,
) -> list[tuple[object, ...]]:
    """List the gaps, then the overlaps, as boxes of cells that the same rules match."""
    rows: list[tuple[object, ...]] = []
    wrong = np.flatnonzero(counts != 1)
    if not wrong.size:
        return []
    patterns, which = np.unique(matched[wrong], axis=0, return_inverse=True)
    for place in np.argsort(patterns.sum(axis=1), kind="stable"):
        names = [name for name, held in zip(rules.names, patterns[place], strict=True) if held]
        cells = wrong[which.ravel() == place]
        for box in _boxes(np.unravel_index(cells, shape) if shape else (), len(cells)):
            inside = _flat(box, shape)
            rows.append(
                (
                    "overlap" if names else "gap",
                    names,
                    " and ".join(
                        f"({part})" if " or " in part and len(box) > 1 else part
                        for axis, own in zip(axes, box, strict=True)
                        if (part := axis.describe(own))
                    )
                    or "everywhere",
                    ", ".join(
                        f"{axis.column} = {_example(axis, own[0])}"
                        for axis, own in zip(axes, box, strict=True)
                    ),
                    None if sizes is None else int(sizes[inside].sum()),
                    None if customers is None else int(customers[inside].sum()),
                )
            )
    return rows


def _example(axis: Axis, index: int) -> str:
    value = axis.cells[index].example
    if value is None:
        return "null"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value, digits=6) if is_number else str(value)  # type: ignore[arg-type]


def _boxes(places: Sequence[np.ndarray], count: int) -> list[tuple[tuple[int, ...], ...]]:
    """Join single cells into boxes, one column after the other; the boxes stay disjoint."""
    boxes: list[tuple[tuple[int, ...], ...]] = [
        tuple((int(axis[i]),) for axis in places) for i in range(count)
    ]
    for axis in range(len(places)):
        joined: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for box in boxes:
            joined.setdefault(box[:axis] + box[axis + 1 :], []).extend(box[axis])
        boxes = [(*rest[:axis], tuple(sorted(own)), *rest[axis:]) for rest, own in joined.items()]
    return boxes


def _flat(box: Sequence[tuple[int, ...]], shape: tuple[int, ...]) -> np.ndarray:
    if not shape:
        return np.array([0])
    flat: np.ndarray = np.ravel_multi_index(np.ix_(*box), shape).ravel()
    return flat
