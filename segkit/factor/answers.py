"""Which columns are survey items, and what did people answer? The one door to every analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import number
from segkit.errors import ColumnError, DataError, unknown
from segkit.frames import takes_frames

Floats = npt.NDArray[np.float64]

# Columns of the survey table that are no items.
NOT_ITEMS = ("customer_id", "source_row", "nps", "csat")
MOST_ANSWERS = 11  # a column with more distinct values is no rating scale
LEAST_CODE = 7  # no scale's answers reach -7; 0 and small negatives may be answers


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Answers as numbers.

    Attributes
    ----------
    items : tuple of str
        The columns, in the order given.
    values : ndarray of shape (people, items)
        Answers; NaN where one is missing.
    """

    items: tuple[str, ...]
    values: Floats


@takes_frames
def survey_items(frame: pl.DataFrame) -> list[str]:
    """Which columns of a survey are items on a rating scale?

    Numeric columns of whole numbers with 2 to 11 distinct values, save ``customer_id``,
    ``source_row``, ``nps`` and ``csat``.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a respondent.

    Returns
    -------
    list of str
        In the frame's order.

    Examples
    --------
    >>> survey_items(pl.DataFrame({"customer_id": ["a", "b"], "q1": [1, 5], "age": [17.5, 30.1]}))
    ['q1']
    """
    found = []
    for name, kind in frame.schema.items():
        if name in NOT_ITEMS or not kind.is_numeric():
            continue
        values = frame.get_column(name).drop_nulls().cast(pl.Float64)
        whole = bool((values == values.round()).all())
        if whole and 2 <= values.n_unique() <= MOST_ANSWERS:
            found.append(name)
    return found


def read_answers(
    frame: pl.DataFrame, items: Sequence[str] | None = None, *, check: bool = True
) -> Answers:
    """Take the answers to some items out of a frame.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a respondent.
    items : sequence of str, optional
        Columns; by default those that `survey_items` finds.
    check : bool
        Refuse items that carry no information (constant, or never answered).

    Raises
    ------
    ColumnError
        If a column is missing or not numeric.
    DataError
        If there are no items, an item comes twice, is infinite, constant or never answered, or
        holds codes for "no answer" (99, -9) that would be counted as answers.

    Examples
    --------
    >>> read_answers(pl.DataFrame({"q1": [1, None], "q2": [2, 5]}), ["q2"]).values
    array([[2.],
           [5.]])
    """
    names = list(items) if items is not None else survey_items(frame)
    if not names:
        raise DataError(
            "expected survey items (numeric columns of whole numbers, 2 to "
            f"{MOST_ANSWERS} distinct answers), found none among {', '.join(frame.columns)}"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"each item may be named once; named twice: {', '.join(twice)}")
    for name in names:
        if name not in frame.columns:
            raise ColumnError(unknown("item", name, frame.columns))
        kind = frame.schema[name]
        if not (kind.is_numeric() or kind == pl.Boolean or kind == pl.Null):
            example = frame.get_column(name).drop_nulls().head(1).to_list()
            raise ColumnError(
                f"item {name!r} holds {kind} (such as {example[0] if example else None!r}), not "
                "numbers; code its answers as numbers in their order first"
            )
    chosen = frame.select(pl.col(names).cast(pl.Float64))
    bad = [
        name
        for name in names
        if frame.schema[name].is_float() and chosen.get_column(name).is_infinite().any()
    ]
    if bad:
        raise DataError(f"answers must be finite; infinite ones in {', '.join(bad)}")
    _refuse_codes(names, chosen)
    if check:
        _refuse_empty(names, chosen)
    return Answers(tuple(names), chosen.to_numpy())


def _refuse_codes(names: list[str], chosen: pl.DataFrame) -> None:
    from segkit.ingest.answers import doubted_answers

    told = []
    for name in names:
        doubted = doubted_answers(chosen.get_column(name))
        codes = [(v, n) for v, n in doubted if v > 0 or v <= -LEAST_CODE]
        told += [f"{value:g} in {name} ({number(rows)} times)" for value, rows in codes]
    if told:
        raise DataError(
            f"numbers outside the scale would be averaged as answers: {', '.join(told)}; make "
            'codes for "no answer" null first (nulls = [...] in a mapping of [survey] does)'
        )


def _refuse_empty(names: list[str], chosen: pl.DataFrame) -> None:
    ends = chosen.select(
        pl.all().fill_nan(None).min().name.suffix(" low"),
        pl.all().fill_nan(None).max().name.suffix(" high"),
    ).row(0, named=True)
    never = [name for name in names if ends[f"{name} low"] is None]
    if never:
        raise DataError(f"nobody answered {', '.join(never)}; leave such items out")
    same = [name for name in names if ends[f"{name} low"] == ends[f"{name} high"]]
    if same:
        raise DataError(
            f"everybody gave the same answer to {', '.join(same)}; a constant item correlates "
            "with nothing, leave it out"
        )


def read_survey(path: Path | str, mapping: Path | str | None = None) -> pl.DataFrame:
    """Read a survey that comes as a file of its own, through a mapping file.

    Where the file has no respondent's id, the row number stands for one.

    Parameters
    ----------
    path : path
        Any file that `segkit.intake` reads.
    mapping : path, optional
        Mapping file with a section ``[survey]``; without one, columns are proposed.

    Returns
    -------
    polars.DataFrame
        The survey table of the data contract: ``customer_id`` and the items.

    Raises
    ------
    SourceError, MappingError, DataError
        As `segkit.intake` does.
    """
    from segkit.ingest import Mapping, intake
    from segkit.ingest.readers import read

    chosen = Mapping.load(mapping) if mapping else Mapping()
    raw: Any = read(Path(path), chosen, "survey")
    table = chosen.tables.get("survey")
    wanted = table.columns.get("customer_id") if table else None
    if wanted is not None and wanted not in raw.columns:
        width = len(str(raw.height))
        numbers = pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(width)
        raw = raw.select(numbers.alias(wanted), pl.all())
    taken = intake({"survey": raw}, chosen if mapping else None)
    if taken.survey is None:
        raise DataError(f"{Path(path).name} gave no survey table")
    return taken.survey


def count_words(count: float, thing: str) -> str:
    """Write a count with its noun, in the singular where it is one.

    Examples
    --------
    >>> count_words(1, "factor"), count_words(3, "factor")
    ('1 factor', '3 factors')
    """
    return f"{number(count)} {thing}{'' if count == 1 else 's'}"


def join(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    Examples
    --------
    >>> join(["a"]), join(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def refuse_outside(item: str, values: Floats, ends: tuple[float, float]) -> None:
    """Raise ``DataError`` if an answer lies outside the range that was offered."""
    outside = values[(values < ends[0]) | (values > ends[1])]
    if outside.size:
        raise DataError(
            f"{item} runs from {ends[0]:g} to {ends[1]:g}; {number(outside.size)} answers lie "
            f"outside, such as {outside[0]:g}; make codes for 'no answer' null first"
        )
