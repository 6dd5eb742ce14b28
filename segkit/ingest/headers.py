"""Headers: on which line the columns' names stand, and names that occur twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

# So many lines are searched for a header.
SEARCHED = 50
_VALUE = r"[\s\d.,:/+\-€$£¥%]*\d[\s\d.,:/+\-€$£¥%]*"

Row = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class RawTable:
    """What a file, query or frame holds.

    Attributes
    ----------
    frame : polars.DataFrame
        Its rows.
    first_line : int or None
        The line of a text file on which row 0 stands; None where rows are not lines.
    notes : tuple of str
        What was seen and decided in reading it.
    """

    frame: pl.DataFrame
    first_line: int | None = None
    notes: tuple[str, ...] = ()


def header_place(rows: Sequence[Row]) -> int:
    """Find the header: the first row, unless it is a title above a table.

    Titles are rows narrower than most; the row taken instead is as wide as most and holds names,
    no numbers and no dates. Where that is not so, the first row is the header.

    Parameters
    ----------
    rows : sequence of sequence of (str or None)
        The first rows of a file or sheet.

    Returns
    -------
    int
        Its place, from 0.

    Examples
    --------
    >>> header_place([["Report of sales"], [], ["id", "day"], ["a", "2024-01-05"]])
    2
    >>> header_place([["id", "day"], ["a", "2024-01-05"]])
    0
    """
    widths = [sum(bool(cell and cell.strip()) for cell in row) for row in rows[:SEARCHED]]
    filled = Counter(width for width in widths if width > 1)
    if not filled:
        return 0
    usual = max(filled, key=lambda width: (filled[width], width))
    if widths[0] >= usual or widths[0] > 2:
        return 0
    for place, row in enumerate(rows[:SEARCHED]):
        names = [cell.strip() for cell in row if cell and cell.strip()]
        if len(names) >= usual and not any(re.fullmatch(_VALUE, name) for name in names):
            return place
    return 0


def distinct_names(names: Row) -> tuple[list[str], list[str]]:
    """Make names distinct: the second of two gets " (2)", an empty one its place.

    Returns
    -------
    tuple of (list of str, list of str)
        The names, and what was changed, in sentences.

    Examples
    --------
    >>> distinct_names(["id", "amount ", "amount", None])[0]
    ['id', 'amount', 'amount (2)', 'column 4']
    """
    made: list[str] = []
    notes = []
    bare = [(name or "").strip().strip("\ufeff") for name in names]
    taken = Counter(name for name in bare if name)
    for place, name in enumerate(bare, 1):
        new, again = name or f"column {place}", 1
        while new in made:
            again += 1
            new = f"{name or f'column {place}'} ({again})"
        made.append(new)
    for name, count in taken.items():
        if count > 1:
            later = [new for new, old in zip(made, bare, strict=True) if old == name][1:]
            listed = ", ".join(repr(new) for new in later)
            notes.append(f"{count} columns are called {name!r}; the later are named {listed}")
    return made, notes
