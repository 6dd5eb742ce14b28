"""Survey items: their columns, codebook and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit import intake
from segkit.display import counted
from segkit.errors import (
    ColumnError,
    DataError,
    ParameterError,
    SourceError,
    require_choice,
    require_columns,
)
from segkit.frames import takes_frames
from segkit.intake.numbers import HIGH_CODES, doubted_answers
from segkit.intake.readers import read_table
from segkit.plot.compare import likert
from segkit.plot.figure import Figure
from segkit.simulate import customers

if TYPE_CHECKING:
    from segkit.intake import Intake

Floats = npt.NDArray[np.float64]
# Columns of the survey table that are no items.
NOT_ITEMS = ("customer_id", "source_row", "nps", "csat")
MOST_ANSWERS = 11  # a column with more distinct values is no rating scale
LEAST_CODE = 7  # no scale's answers reach -7; 0 and small negatives may be answers
SIMULATED = "simulated"


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
def find_survey_items(frame: pl.DataFrame) -> list[str]:
    """Name the columns of a survey that are items on a rating scale.

    Numeric columns of whole numbers with 2 to 11 distinct values, save ``customer_id``,
    ``source_row``, ``nps`` and ``csat``.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per respondent.

    Returns
    -------
    list of str
        In the frame's order.

    Examples
    --------
    >>> frame = pl.DataFrame({"customer_id": ["a", "b"], "q1": [1, 5], "age": [17.5, 30.1]})
    >>> find_survey_items(frame)
    ['q1']
    """
    items = []
    for name, kind in frame.schema.items():
        if name in NOT_ITEMS or not kind.is_numeric():
            continue
        values = frame.get_column(name).drop_nulls().cast(pl.Float64)
        whole = bool((values == values.round()).all())
        if whole and 2 <= values.n_unique() <= MOST_ANSWERS:
            items.append(name)
    return items


def read_answers(
    frame: pl.DataFrame, items: Sequence[str] | None = None, *, check: bool = True
) -> Answers:
    """Read the answers to survey items from a frame.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per respondent.
    items : sequence of str, optional
        Columns; by default those that `find_survey_items` finds.
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
    names = list(items) if items is not None else find_survey_items(frame)
    if not names:
        raise DataError(
            "expected survey items (numeric columns of whole numbers, 2 to "
            f"{MOST_ANSWERS} distinct answers), found none among {', '.join(frame.columns)}"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"each item may be named once; named twice: {', '.join(twice)}")
    for name in names:
        require_choice("item", name, frame.columns, ColumnError)
        kind = frame.schema[name]
        if not (kind.is_numeric() or kind == pl.Boolean or kind == pl.Null):
            example = frame.get_column(name).drop_nulls().head(1).to_list()
            raise ColumnError(
                f"item {name!r} holds {kind} (such as {example[0] if example else None!r}), not "
                "numbers; code its answers as numbers in their order first"
            )
    chosen, extremes = frame.select(names), (pl.all().min(), pl.all().max())
    low, high = (chosen.select(one).cast(pl.Float64).fill_nan(None).row(0) for one in extremes)
    ends = list(zip(low, high, strict=True))
    if bad := [name for name, both in zip(names, ends, strict=True) if {*both} & {-inf, inf}]:
        raise DataError(f"answers must be finite; infinite ones in {', '.join(bad)}")
    chosen = chosen.cast(pl.Float64)
    _refuse_codes(names, chosen, ends)
    if check:
        _refuse_empty(names, ends)
    return Answers(tuple(names), chosen.to_numpy())


def _refuse_codes(names: list[str], chosen: pl.DataFrame, ends: list[tuple[Any, Any]]) -> None:
    suspects = []
    for name, (low, high) in zip(names, ends, strict=True):
        if low is None or (low > -LEAST_CODE and high < min(HIGH_CODES)):
            continue  # no value that a code could have: counting the answers would take longest
        doubted = doubted_answers(chosen.get_column(name))
        codes = [(v, n) for v, n in doubted if v > 0 or v <= -LEAST_CODE]
        suspects += [f"{value:g} in {name} ({counted(rows, 'time')})" for value, rows in codes]
    if suspects:
        raise DataError(
            f"numbers that look like codes for 'no answer': {', '.join(suspects)}; set "
            "them to null first (in a mapping file: nulls = [...] under [survey])"
        )


def _refuse_empty(names: list[str], ends: list[tuple[Any, Any]]) -> None:
    never = [name for name, (low, _) in zip(names, ends, strict=True) if low is None]
    if never:
        raise DataError(f"nobody answered {', '.join(never)}; leave such items out")
    same = [name for name, (low, high) in zip(names, ends, strict=True) if low == high]
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
        Any file that `segkit.clean_data` reads.
    mapping : path, optional
        Mapping file with a section ``[survey]``; without one, columns are proposed.

    Returns
    -------
    polars.DataFrame
        The survey table of the data contract: ``customer_id`` and the items.

    Raises
    ------
    SourceError, MappingError, DataError
        As `segkit.clean_data` does.
    """
    chosen = intake.Mapping.load(mapping) if mapping else intake.Mapping()
    raw = read_table(Path(path), chosen, "survey").frame
    table = chosen.tables.get("survey")
    wanted = table.columns.get("customer_id") if table else None
    if wanted is not None and wanted not in raw.columns:
        width = len(str(raw.height))
        numbers = pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(width)
        raw = raw.select(numbers.alias(wanted), pl.all())
    taken = intake.clean_data({"survey": raw}, chosen if mapping else None)
    if taken.survey is None:
        raise DataError(
            f"{Path(path).name} holds no survey: expected a row per respondent, with numeric items"
        )
    return taken.survey


class Survey(NamedTuple):
    """A survey's answers with what is known of its items.

    Attributes
    ----------
    answers : polars.DataFrame or None
        The survey table; None where there is no survey.
    items : list of str
        Its columns that are items on a rating scale.
    labels : dict of str to str
        Item to its statement, as far as a codebook holds it.
    ranges : dict of str to (float, float)
        Item to the lowest and the highest answer that could be given.
    """

    answers: pl.DataFrame | None
    items: list[str]
    labels: dict[str, str]
    ranges: dict[str, tuple[float, float]]


def open_survey(
    taken: Intake, *, path: str = "", mapping: str = "", codebook: str = "", source: str = ""
) -> Survey:
    """Return the survey in the clean data, or in a separate file, with its codebook.

    Parameters
    ----------
    taken : Intake
        Clean data.
    path, mapping : str
        Path of a separate survey file, and of its mapping file; if empty, the survey in the clean
        data is used.
    codebook : str
        Path of a table of items and statements; if empty, the source's own codebook is used for the
        source's own survey.
    source : str
        The source's name.

    Returns
    -------
    Survey
    """
    answers = read_survey(path, mapping) if path else taken.survey
    items = [] if answers is None else find_survey_items(answers)
    book = codebook or ("" if path else source)
    return Survey(answers, items, read_codebook(book), read_answer_ranges(book))


def read_range(
    item: str,
    values: Floats,
    answers: tuple[float, float] | Mapping[str, tuple[float, float]] | None,
) -> tuple[float, float] | None:
    """Return the lowest and highest answer that was offered, where stated; refuse others."""
    stated = answers.get(item) if isinstance(answers, Mapping) else answers
    if stated is None:
        return None
    low, high = float(stated[0]), float(stated[1])
    if not low < high:
        raise ParameterError(f"answers must run from a lowest to a higher one; got {stated!r}")
    outside = values[(values < low) | (values > high)]
    if outside.size:
        raise DataError(
            f"{item} runs from {low:g} to {high:g}; "
            f"{counted(outside.size, 'answer lies', 'answers lie')} outside, such as "
            f"{outside[0]:g}; make codes for 'no answer' null first"
        )
    return low, high


@takes_frames
def plot_answers(
    frame: pl.DataFrame,
    items: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    answers: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw the answers as diverging stacked bars, one per item.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per respondent.
    items : sequence of str, optional
        By default the frame's rating scales.
    labels : mapping of str to str, optional
        Item to its statement.
    answers : (float, float) or mapping of str to (float, float), optional
        Lowest and highest answer that was offered, of all items or of each (see
        `read_answer_ranges`). If all items have the same range, the bars are centred on its
        middle.

    Raises
    ------
    DataError
        If an answer lies outside the range that was offered.
    ParameterError
        If a range does not run from a lowest to a higher answer.

    Examples
    --------
    >>> plot_answers(pl.DataFrame({"q": [1, 2, 2, None]}), ["q"]).data["share"].to_list()
    [0.3333333333333333, 0.6666666666666666]
    """
    given = read_answers(frame, items, check=False)
    statements = labels or {}
    rows, offered = [], set()
    for name, column in zip(given.items, given.values.T, strict=True):
        offered.add(read_range(name, column, answers))
        values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        label = statements.get(name, name)
        rows += [(label, v, c / counts.sum()) for v, c in zip(values, counts, strict=True)]
    kinds = {"item": pl.String, "answer": pl.Float64, "share": pl.Float64}
    shown = pl.DataFrame(rows, schema=kinds, orient="row")
    ends = offered.pop() if len(offered) == 1 else None
    whole = (int(ends[0]), int(ends[1])) if ends else None
    return likert(shown, answers=whole, title="What people answered")


def read_codebook(source: Path | str) -> dict[str, str]:
    """Read the statement of each survey item from a codebook.

    Parameters
    ----------
    source : path or str
        A CSV file with the columns ``item`` and ``statement``, or "simulated" for the simulated
        survey. The name of any other source gives an empty dictionary.

    Returns
    -------
    dict of str to str
        Item to statement. A prefix that several items share ("conv" of "conv_1") also has an entry
        where it is known what these items measure.

    Raises
    ------
    SourceError
        If there is no such file.
    ColumnError
        If it lacks a column.

    Examples
    --------
    >>> read_codebook("simulated")["price_2"]
    'I wait for the sale'
    """
    table = _read_table(source)
    return {} if table is None else dict(table.select("item", "statement").drop_nulls().iter_rows())


def read_answer_ranges(source: Path | str) -> dict[str, tuple[float, float]]:
    """Read which answers respondents could give to each item: the lowest and the highest.

    Parameters
    ----------
    source : path or str
        As for `read_codebook`; the table's columns ``low`` and ``high`` hold the ends.

    Returns
    -------
    dict of str to (float, float)
        Item to its lowest and highest answer, where the codebook states them.

    Raises
    ------
    SourceError
        If there is no such file.
    ColumnError
        If it lacks item or statement, or has only one of low and high.
    DataError
        If an end is no number, or the lowest is not below the highest.

    Examples
    --------
    >>> read_answer_ranges("simulated")["price_2"]
    (1.0, 5.0)
    """
    table = _read_table(source)
    if table is None or not {"low", "high"} & set(table.columns):
        return {}
    require_columns(table.columns, ["low", "high"], "the codebook")
    stated = table.drop_nulls(["item", "low", "high"])
    ends = stated.select("item", pl.col("low", "high").cast(pl.Float64, strict=False))
    bad = ends.filter(~(pl.col("low") < pl.col("high")).fill_null(value=False))
    if bad.height:
        row = stated.filter(pl.col("item") == bad["item"][0]).row(0, named=True)
        raise DataError(
            f"the codebook's answers to {row['item']} run from {row['low']!r} to {row['high']!r}; "
            "expected two numbers, the lower first"
        )
    return {item: (low, high) for item, low, high in ends.iter_rows()}


def _read_table(source: Path | str) -> pl.DataFrame | None:
    """Read a codebook's file, or that of the simulated survey; None for any other source."""
    if str(source) == SIMULATED:
        low, high = customers.ANSWERS
        items = customers.items().with_columns(low=low, high=high)
        stems = items.select(
            pl.col("item").str.replace(r"_\d+$", ""),
            pl.col("attitude").str.replace_all("_", " ").alias("statement"),
        )
        return pl.concat([items, stems.unique("item", maintain_order=True)], how="diagonal")
    path = Path(source)
    if not path.suffix:
        return None
    if not path.is_file():
        raise SourceError(
            f"there is no codebook {path.name!r}; expected a CSV file with the columns item "
            f"and statement, or {SIMULATED!r}"
        )
    table = pl.read_csv(path, infer_schema=False)
    require_columns(table.columns, ["item", "statement"], "the codebook")
    return table
