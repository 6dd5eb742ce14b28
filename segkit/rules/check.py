"""Proof that a table of rules covers every customer exactly once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.errors import RuleError
from segkit.result import Result
from segkit.rules.conditions import Condition, Constant, atoms, columns, constants, expression
from segkit.rules.rule import Domain, Rule, prepare

MAX_CELLS = 4_000_000
_OTHER = "any other text"
_EPOCH = date(1970, 1, 1).toordinal()
MAX_REGIONS = 200
_SCHEMA: dict[str, Any] = {
    "problem": pl.String,
    "rules": pl.List(pl.String),
    "where": pl.String,
    "example": pl.String,
    "points": pl.Int64,
    "customers": pl.Int64,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Values of one column that every rule treats alike.

    Attributes
    ----------
    example : Constant or None
        One value in the cell; None for the missing value.
    points : int or None
        How many values the cell holds; None for infinitely many.
    low, high : float
        Ends of an interval of numbers (days since 1970 for dates); infinite for none.
    low_open, high_open : bool
        Whether the end itself is left out.
    """

    example: Constant | None
    points: int | None = None
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """One column with its cells, in order; the cells are disjoint and leave nothing out."""

    column: str
    kind: str
    cells: tuple[Cell, ...]
    others: tuple[str, ...] = ()

    @property
    def points(self) -> int | None:
        """Number of values that the column can take; None for infinitely many."""
        counts = [cell.points for cell in self.cells]
        return None if None in counts else sum(count or 0 for count in counts)

    def describe(self, wanted: Sequence[int]) -> str:
        """Word a set of cells: ``30 < recency_days <= 60 or is null``; empty for all of them."""
        if len(wanted) == len(self.cells):
            return ""
        present = [i for i in wanted if self.cells[i].example is not None]
        parts = [self._describe_run([self.cells[i] for i in run]) for run in _runs(present)]
        if any(self.cells[i].example is None for i in wanted):
            parts.append(f"{self.column} is null")
        return " or ".join(parts)

    def _describe_run(self, run: Sequence[Cell]) -> str:
        if self.kind in ("text", "boolean"):
            names = ", ".join(str(cell.example) for cell in run)
            return f"{self.column} is {names}" if len(run) == 1 else f"{self.column} in {names}"
        first, last = run[0], run[-1]
        if first.low == last.high:
            return f"{self.column} = {self._end(first.low)}"
        text = self.column
        if math.isfinite(first.low):
            text = f"{self._end(first.low)} {'<' if first.low_open else '<='} {text}"
        if math.isfinite(last.high):
            text = f"{text} {'<' if last.high_open else '<='} {self._end(last.high)}"
        return text

    def _end(self, value: float) -> str:
        return _day(value).isoformat() if self.kind == "date" else number(value, digits=6)

    def codes(self, values: pl.Series) -> np.ndarray:
        """Return the index of the cell that holds each value; -1 where the domain has none."""
        cell_of = np.full(len(values), -1)
        for index, cell in enumerate(self.cells):
            cell_of[self._inside(values, cell).fill_null(value=False).to_numpy()] = index
        return cell_of

    def _inside(self, values: pl.Series, cell: Cell) -> pl.Series:
        if cell.example is None:
            return values.is_null()
        if self.kind in ("boolean", "text") and cell.example != _OTHER:
            return values == cell.example
        if self.kind == "text":
            # A column that rules use only in "is null" may have any type.
            present = values.is_not_null()
            return present & ~values.is_in(list(self.others)) if self.others else present
        numeric = (values.cast(pl.Int32) if self.kind == "date" else values).cast(pl.Float64)
        above = numeric > cell.low if cell.low_open else numeric >= cell.low
        return above & (numeric < cell.high if cell.high_open else numeric <= cell.high)


def make_axes(
    rules: Sequence[Rule], names: Iterable[str], domains: dict[str, Domain]
) -> tuple[Axis, ...]:
    """Divide each column at the rules' constants into the fewest cells that separate the rules."""
    axes = []
    for name in names:
        own = [atom for rule in rules for atom in atoms(rule.condition) if atom.column == name]
        kind = _kind(name, own, domains.get(name))
        domain = domains.get(name, Domain(kind))
        values = sorted({value for atom in own for value in constants(atom)}, key=_order)
        cells = _cells(kind, values, domain)
        if domain.nullable:
            cells.append(Cell(None, points=1))
        texts = tuple(str(value) for value in values) if kind == "text" else ()
        axes.append(Axis(name, kind, tuple(_merge(name, kind, cells, own)), texts))
    size = math.prod(len(axis.cells) for axis in axes)
    if size > MAX_CELLS:
        raise RuleError(
            f"the rules cut {counted(len(axes), 'column')} into {counted(size, 'cell')}, more than "
            f"the {MAX_CELLS:,} that can be checked; use fewer columns or cut-points in one table"
        )
    return tuple(axes)


def _order(value: Constant) -> tuple[str, Constant]:
    return ("", value) if isinstance(value, int | float) else (type(value).__name__, value)


def _kind(name: str, own: Sequence[Condition], domain: Domain | None) -> str:
    kinds = {_kind_of(value) for atom in own for value in constants(atom)}
    if len(kinds) > 1:
        raise RuleError(f"column {name} is compared with constants of several kinds: {kinds}")
    kind = kinds.pop() if kinds else (domain.kind if domain else "number")
    if domain and kind != domain.kind and not (kind == "number" and domain.kind == "integer"):
        raise RuleError(f"column {name} is declared {domain.kind} but compared with a {kind}")
    for atom in own:
        if kind in ("text", "boolean") and getattr(atom, "operator", "=") not in ("=", "!="):
            raise RuleError(f"column {name} holds {kind}, which has no order; use =, != or in")
    return domain.kind if domain else kind


def _kind_of(value: Constant) -> str:
    for kind, types in (("boolean", bool), ("number", int | float), ("text", str)):
        if isinstance(value, types):
            return kind
    return "date"


def _cells(kind: str, values: Sequence[Constant], domain: Domain) -> list[Cell]:
    if kind == "boolean":
        return [Cell(value, points=1) for value in (False, True)]
    if kind == "text":
        texts = list(dict.fromkeys([*(domain.values or ()), *values]))
        if domain.values is not None:
            return [Cell(text, points=1) for text in texts if text in domain.values]
        return [Cell(text, points=1) for text in texts] + [Cell(_OTHER)]
    cuts = [float(v.toordinal() - _EPOCH) if isinstance(v, date) else float(v) for v in values]
    if kind == "number":
        return _real_cells(cuts, domain)
    cells = _whole_cells(cuts, domain)
    if kind == "integer":
        return cells
    return [replace(cell, example=_day(float(cell.example))) for cell in cells]  # type: ignore[arg-type]


def _day(value: float) -> date:
    return date(1970, 1, 1) + timedelta(days=int(value))


def _real_cells(cuts: Sequence[float], domain: Domain) -> list[Cell]:
    """Cut the real line: each constant on its own, and the open intervals between them."""
    low = -math.inf if domain.low is None else domain.low
    high = math.inf if domain.high is None else domain.high
    marks = {float(m) for m in (*cuts, low, high) if low <= m <= high and math.isfinite(m)}
    cells = [Cell(mark, points=1, low=mark, high=mark) for mark in marks]
    for start, end in pairwise(sorted({low, *marks, high})):
        example = _between(start, end)
        if start < example < end:
            cells.append(Cell(example, None, start, end, math.isfinite(start), math.isfinite(end)))
    return sorted(cells, key=lambda cell: float(cell.example))  # type: ignore[arg-type]


def _between(low: float, high: float) -> float:
    """Return a short number between two others, either of which may be infinite."""
    if math.isinf(low):
        end = high if math.isfinite(high) else 0.0
        return end - max(1.0, abs(end))
    if math.isinf(high):
        return low + max(1.0, abs(low))
    middle = low + (high - low) / 2
    short = float(f"{middle:.3g}")
    return short if low < short < high else middle


def _whole_cells(cuts: Sequence[float], domain: Domain) -> list[Cell]:
    """Cut the whole numbers into runs: each whole constant on its own, and what lies between."""
    low = -math.inf if domain.low is None else math.ceil(domain.low)
    high = math.inf if domain.high is None else math.floor(domain.high)
    # A new run begins at a whole constant and after it (at the next whole number for others).
    starts = {s for cut in cuts for s in (math.ceil(cut), math.floor(cut) + 1) if low < s <= high}
    cells = []
    for start, following in pairwise([low, *sorted(starts), high + 1]):
        last = following - 1
        whole = math.isfinite(start) and math.isfinite(last)
        example = next((int(end) for end in (start, last) if math.isfinite(end)), 0)
        points = int(last - start + 1) if whole else None
        cells.append(Cell(example, points, float(start), float(last)))
    return cells


def _merge(name: str, kind: str, cells: list[Cell], own: Sequence[Condition]) -> list[Cell]:
    """Join neighbouring cells on which every atomic condition agrees."""
    if not own:
        return cells
    values = series(name, kind, [cell.example for cell in cells])
    atoms_held = pl.DataFrame(values).select(
        expression(atom).alias(str(i)) for i, atom in enumerate(own)
    )
    signature = list(atoms_held.iter_rows())
    merged = [cells[0]]
    for cell, same in zip(cells[1:], (a == b for a, b in pairwise(signature)), strict=True):
        before = merged[-1]
        if same and kind not in ("text", "boolean") and cell.example is not None:
            counts = (before.points, cell.points)
            points = None if None in counts else sum(count or 0 for count in counts)
            merged[-1] = replace(before, points=points, high=cell.high, high_open=cell.high_open)
        else:
            merged.append(cell)
    return merged


def series(name: str, kind: str, values: Sequence[Constant | None]) -> pl.Series:
    """Put examples into a typed column."""
    types = {"integer": pl.Int64, "text": pl.String, "boolean": pl.Boolean, "date": pl.Date}
    return pl.Series(name, list(values), dtype=types.get(kind, pl.Float64))


def _runs(indices: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


@dataclass(frozen=True, slots=True, eq=False)
class RuleCheck(Result):
    """Gaps and overlaps of a rule table.

    Attributes
    ----------
    policy : str
        The rule set's policy.
    regions : polars.DataFrame
        One row per region: problem ("gap" or "overlap"), rules (the names that match there),
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
        Rows of the customer frame given to `RuleSet.check`; None without one.
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
        """Whether the table meets its policy.

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

    @property
    def text(self) -> str:
        """The finding in words."""
        problems = (
            self._word(self.gaps, self.gap_points, "match nobody's rule"),
            self._word(self.overlaps, self.overlap_points, "are claimed by several rules"),
        )
        problem_words = " ".join(filter(None, problems))
        finding = problem_words or "The rules match every possible customer exactly once."
        if self.empty:
            finding += f" Never matched by anybody: {', '.join(self.empty)}."
        if self.outside:
            finding += (
                f" {counted(self.outside, 'customer lies', 'customers lie')} outside the declared "
                "domains."
            )
        return finding

    def _word(self, regions: pl.DataFrame, points: int | None, problem: str) -> str:
        if regions.is_empty():
            return ""
        count, members = f"{counted(regions.height, 'region')}", ""
        if points is not None:
            count = f"{number(points)} of {counted(self.points, 'possible customer')}"
        if self.customers is not None:
            inside = number(regions["customers"].sum())
            members = f" ({inside} of {counted(self.customers, 'customer')})"
        names = regions["rules"][0].to_list()
        by = f" by {' and '.join(names)}" if names else ""
        return f"{count} {problem}{members}, such as {regions['example'][0]}{by}."


def check_rules(
    rules: Sequence[Rule], policy: str, declared: Mapping[str, Domain], frame: pl.DataFrame | None
) -> RuleCheck:
    """Check whether rules cover every possible customer, and none twice (`RuleSet.check`).

    Every column is cut at the constants that the rules compare it with (each constant, the
    open intervals between, and the null unless the column is declared non-null); the rules'
    result is constant within each cell of the grid. So testing one point per cell proves the answer
    for all customers, also for new ones.
    """
    ready = None if frame is None else prepare(frame, rules)
    read = tuple(dict.fromkeys(name for rule in rules for name in columns(rule.condition)))
    domains = dict(declared)
    if ready is not None:
        for name in read:
            domains.setdefault(name, Domain(_kind_of_column(ready.schema[name])))
    axes = make_axes(rules, read, domains)
    shape = tuple(len(axis.cells) for axis in axes)
    matched = _matched(rules, axes, shape)
    counts = matched.sum(axis=1)
    sizes = _sizes(axes, shape)
    customers, outside = _customers(axes, shape, ready)
    regions = _regions(rules, axes, shape, matched, counts, sizes, customers)
    total = None if sizes is None else int(sizes.sum())
    return RuleCheck(
        policy=policy,
        regions=pl.DataFrame(regions[:MAX_REGIONS], schema=_SCHEMA, orient="row"),
        gap_points=None if sizes is None else int(sizes[counts == 0].sum()),
        overlap_points=None if sizes is None else int(sizes[counts > 1].sum()),
        points=total,
        empty=tuple(rule.name for i, rule in enumerate(rules) if not matched[:, i].any()),
        customers=None if ready is None else ready.height,
        outside=outside,
        regions_left_off=max(0, len(regions) - MAX_REGIONS),
    )


def _kind_of_column(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return {pl.Boolean: "boolean", pl.Date: "date"}.get(type(dtype), "text")


def _matched(rules: Sequence[Rule], axes: Sequence[Axis], shape: tuple[int, ...]) -> np.ndarray:
    """Evaluate every rule at one point per cell: Boolean, cells x rules."""
    size = math.prod(shape)
    places = np.indices(shape).reshape(len(shape), size) if shape else np.empty((0, 1), int)
    points = pl.DataFrame(
        [
            series(axis.column, axis.kind, [cell.example for cell in axis.cells])[places[i]]
            for i, axis in enumerate(axes)
        ]
        or [pl.Series("", [0])]
    )
    matches = [expression(rule.condition).fill_null(value=False) for rule in rules]
    columns = [points.with_columns(expr.alias("held"))["held"].to_numpy() for expr in matches]
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
    inside = (codes >= 0).all(axis=0)
    flat = np.ravel_multi_index(tuple(codes[:, inside]), shape)
    return np.bincount(flat, minlength=math.prod(shape)), int((~inside).sum())


def _regions(
    rules: Sequence[Rule],
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
        names = [rule.name for rule, matches in zip(rules, patterns[place], strict=True) if matches]
        cells = wrong[which.ravel() == place]
        for box in _boxes(np.unravel_index(cells, shape) if shape else (), len(cells)):
            inside = _flat(box, shape)
            sides = list(zip(axes, box, strict=True))
            parts = [part for axis, own in sides if (part := axis.describe(own))]
            if len(box) > 1:
                parts = [f"({part})" if " or " in part else part for part in parts]
            example = [f"{axis.column} = {_example(axis, own[0])}" for axis, own in sides]
            rows.append(
                (
                    "overlap" if names else "gap",
                    names,
                    " and ".join(parts) or "everywhere",
                    ", ".join(example),
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
