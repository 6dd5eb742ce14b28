"""The cells that a rule table's constants cut the customers' space into."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import RuleError
from segkit.rules.conditions import Condition, Constant, atoms, constants, expression
from segkit.rules.rule import Domain, Rule

MAX_CELLS = 4_000_000
_OTHER = "any other text"


@dataclass(frozen=True, slots=True)
class Cell:
    """Values of one column that every rule treats alike.

    Attributes
    ----------
    example : Constant or None
        One value in the cell; None for the missing value.
    points : int or None
        How many values the cell holds; None for infinitely many.
    low, high : float or None
        Ends of an interval of numbers (days since 1970 for dates); None for none.
    low_open, high_open : bool
        Whether the end itself is left out.
    """

    example: Constant | None
    points: int | None = None
    low: float | None = None
    high: float | None = None
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
        if first.low is not None and first.low == last.high:
            return f"{self.column} = {self._end(first.low)}"
        text = self.column
        if first.low is not None:
            text = f"{self._end(first.low)} {'<' if first.low_open else '<='} {text}"
        if last.high is not None:
            text = f"{text} {'<' if last.high_open else '<='} {self._end(last.high)}"
        return text

    def _end(self, value: float) -> str:
        return _day(value).isoformat() if self.kind == "date" else number(value, digits=6)

    def codes(self, values: pl.Series) -> np.ndarray:
        """Return the index of the cell that holds each value; -1 where the domain has none."""
        found = np.full(len(values), -1)
        numeric = values.cast(pl.Int32) if self.kind == "date" else values
        for index, cell in enumerate(self.cells):
            if cell.example is None:
                inside = values.is_null()
            elif self.kind == "boolean":
                inside = values == cell.example
            elif self.kind == "text":
                inside = self._text_inside(values, str(cell.example))
            else:
                inside = _inside(numeric.cast(pl.Float64), cell)
            found[inside.fill_null(value=False).to_numpy()] = index
        return found

    def _text_inside(self, values: pl.Series, example: str) -> pl.Series:
        if example != _OTHER:
            return values == example
        # A column that is only asked for its nulls may be of any type.
        known = values.is_not_null()
        return known & ~values.is_in(list(self.others)) if self.others else known


def _inside(values: pl.Series, cell: Cell) -> pl.Series:
    inside = values.is_not_null()
    if cell.low is not None:
        inside &= values > cell.low if cell.low_open else values >= cell.low
    if cell.high is not None:
        inside &= values < cell.high if cell.high_open else values <= cell.high
    return inside


def make_axes(
    rules: Sequence[Rule], names: Iterable[str], domains: dict[str, Domain]
) -> tuple[Axis, ...]:
    """Cut each column at the rules' constants into the fewest cells that tell the rules apart."""
    axes = []
    for name in names:
        found = [atom for rule in rules for atom in atoms(rule.condition) if atom.column == name]
        kind = _kind(name, found, domains.get(name))
        domain = domains.get(name, Domain(kind))
        values = sorted({value for atom in found for value in constants(atom)}, key=_order)
        cells = _cells(kind, values, domain)
        if domain.nullable:
            cells.append(Cell(None, points=1))
        texts = tuple(str(value) for value in values) if kind == "text" else ()
        axes.append(Axis(name, kind, tuple(_merge(name, kind, cells, found)), texts))
    size = math.prod(len(axis.cells) for axis in axes)
    if size > MAX_CELLS:
        raise RuleError(
            f"the rules cut {len(axes)} columns into {size:,} cells, more than the "
            f"{MAX_CELLS:,} that can be checked; use fewer columns or cut-points in one table"
        )
    return tuple(axes)


def _order(value: Constant) -> tuple[str, Constant]:
    return ("", value) if isinstance(value, int | float) else (type(value).__name__, value)


def _kind(name: str, found: Sequence[Condition], domain: Domain | None) -> str:
    kinds = {_kind_of(value) for atom in found for value in constants(atom)}
    if len(kinds) > 1:
        raise RuleError(f"column {name} is compared with constants of several kinds: {kinds}")
    kind = kinds.pop() if kinds else (domain.kind if domain else "number")
    if domain and kind != domain.kind and not (kind == "number" and domain.kind == "integer"):
        raise RuleError(f"column {name} is declared {domain.kind} but compared with a {kind}")
    for atom in found:
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
    return [
        Cell(_day(float(cell.example)), cell.points, cell.low, cell.high)  # type: ignore[arg-type]
        for cell in cells
    ]


_EPOCH = date(1970, 1, 1).toordinal()


def _day(value: float) -> date:
    return date(1970, 1, 1) + timedelta(days=int(value))


def _real_cells(cuts: Sequence[float], domain: Domain) -> list[Cell]:
    """Cut the real line: each constant on its own, and the open intervals between them."""
    ends = [bound for bound in (domain.low, domain.high) if bound is not None]
    marks = sorted({float(value) for value in [*cuts, *ends]})
    marks = [m for m in marks if _within(m, domain)]
    edges: list[float | None] = [*marks]
    edges = [*([None] if domain.low is None else []), *edges]
    edges = [*edges, *([None] if domain.high is None else [])]
    cells = [Cell(mark, points=1, low=mark, high=mark) for mark in marks]
    for low, high in pairwise(edges):
        example = _between(low, high)
        if example not in (low, high):
            cells.append(Cell(example, None, low, high, low is not None, high is not None))
    if not marks:
        cells.append(Cell(0.0))
    return sorted(cells, key=lambda cell: float(cell.example))  # type: ignore[arg-type]


def _within(value: float, domain: Domain) -> bool:
    return (domain.low is None or value >= domain.low) and (
        domain.high is None or value <= domain.high
    )


def _between(low: float | None, high: float | None) -> float:
    if low is None:
        return (high or 0.0) - max(1.0, abs(high or 0.0))
    if high is None:
        return low + max(1.0, abs(low))
    middle = low + (high - low) / 2
    short = float(f"{middle:.3g}")
    return short if low < short < high else middle


def _whole_cells(cuts: Sequence[float], domain: Domain) -> list[Cell]:
    """Cut the whole numbers into runs: each whole constant on its own, and what lies between."""
    low = math.ceil(domain.low) if domain.low is not None else None
    high = math.floor(domain.high) if domain.high is not None else None
    # A new run begins at a whole constant and after it (at the next whole number for others).
    starts = {s for cut in cuts for s in (math.ceil(cut), math.floor(cut) + 1)}
    starts = {s for s in starts if (low is None or s > low) and (high is None or s <= high)}
    bounds: list[int | None] = [low, *sorted(starts)]
    cells = []
    for place, start in enumerate(bounds):
        end = bounds[place + 1] if place + 1 < len(bounds) else None
        last = end - 1 if end is not None else high
        example = start if start is not None else last if last is not None else 0
        count = last - start + 1 if start is not None and last is not None else None
        cells.append(
            Cell(
                example,
                points=count,
                low=None if start is None else float(start),
                high=None if last is None else float(last),
            )
        )
    return cells


def _merge(name: str, kind: str, cells: list[Cell], found: Sequence[Condition]) -> list[Cell]:
    """Join neighbouring cells on which every atomic condition agrees."""
    if not found:
        return cells
    values = series(name, kind, [cell.example for cell in cells])
    atoms_held = pl.DataFrame(values).select(
        expression(atom).alias(str(i)) for i, atom in enumerate(found)
    )
    signature = list(atoms_held.iter_rows())
    merged = [cells[0]]
    for place in range(1, len(cells)):
        before, cell = merged[-1], cells[place]
        ordered = kind not in ("text", "boolean") and cell.example is not None
        if ordered and signature[place] == signature[place - 1]:
            both = (
                before.points + cell.points
                if before.points is not None and cell.points is not None
                else None
            )
            merged[-1] = Cell(
                before.example, both, before.low, cell.high, before.low_open, cell.high_open
            )
        else:
            merged.append(cell)
    return merged


def series(name: str, kind: str, values: Sequence[Constant | None]) -> pl.Series:
    """Put examples into a typed column."""
    types: dict[str, type[pl.DataType]] = {
        "number": pl.Float64,
        "integer": pl.Int64,
        "text": pl.String,
        "boolean": pl.Boolean,
        "date": pl.Date,
    }
    return pl.Series(name, list(values), dtype=types[kind])


def _runs(indices: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs
