"""Questions that all rows raise and a sample does not: late words, dates, spellings of ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, MappingError
from segkit.ids import fold_ids
from segkit.intake.cells import is_text, present_cells
from segkit.intake.clean import complete_mapping
from segkit.intake.columns import Columns, Shared
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.questions import about_dates, about_decimals, doubted_decimals
from segkit.intake.readers import Gathered
from segkit.large.work import Stage
from segkit.schema import fields

SEED = 21  # of the hashes of ids
WORDS_MOST = 40  # different words of a column that is watched for others
ROWS_MOST = 300  # rows with other words that are kept of each column
HASHES_AT_ONCE = 8_000_000
READ = ("id", "money", "number", "time", "date")


class LateColumnsError(DataError):
    """Columns without a value in the sample, which a mapping completed by later rows names.

    Attributes
    ----------
    mapping : Mapping
    raw : dict of str to polars.DataFrame
        The sample and the later rows.
    """

    def __init__(self, message: str, mapping: ColumnMapping, raw: dict[str, pl.DataFrame]) -> None:
        super().__init__(message)
        self.mapping, self.raw = mapping, raw


def watched_words(like: pl.DataFrame, table: str, mapping: ColumnMapping) -> dict[str, pl.Series]:
    """Return the words of each column of a sample that holds few or none, by the column's name."""
    kinds = {raw: fields(table)[name].kind for name, raw in mapping.tables[table].columns.items()}
    nulls, words = tuple(mapping.option(table, "nulls")), {}
    for name, dtype in like.schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object) or kinds.get(name) in READ:
            continue
        distinct = _words(like[name].unique(), nulls).drop_nulls().unique()
        has_words = is_text(dtype) or dtype.is_integer() or dtype == pl.Boolean
        if distinct.len() <= (WORDS_MOST if has_words else 0):
            words[name] = distinct
    return words


def _words(cells: pl.Series, nulls: tuple[str, ...]) -> pl.Series:
    return present_cells(cells, nulls).cast(pl.String)


def unseen_rows(
    frame: pl.DataFrame, words: Mapping[str, pl.Series], nulls: tuple[str, ...]
) -> pl.DataFrame:
    """Return some rows that hold a word that the sample does not, the first of each word too."""
    wanted = pl.Series([False]).new_from_index(0, frame.height)
    for name, seen in words.items():
        distinct = frame[name].unique()
        shown = _words(distinct, nulls)
        new = distinct.filter(shown.is_not_null() & ~shown.is_in(seen.implode()))
        if new.len():
            has = frame[name].is_in(new.implode()).fill_null(value=False)
            for rows in (has, has & frame[name].is_first_distinct()):
                wanted |= rows & (rows.cum_sum() <= ROWS_MOST)
    return frame.filter(wanted)


def hash_ids(given: pl.Series) -> pl.DataFrame:
    """Return hashes of the different customer ids, and of the spelling that they share."""
    ids = given.unique().to_frame("id")
    hashes = ids.select(one=fold_ids(pl.col("id")).hash(SEED), id=pl.col("id").hash(SEED))
    return hashes.sort("one", "id")


def _slices(stages: Mapping[str, Stage]) -> Iterator[pl.DataFrame]:
    """Yield the hashes of ids of all tables, those of one spelling together."""
    paths = [path for table, stage in stages.items() for path in stage.paths(f"{table}-ids")]
    if not paths:
        return
    for part in slices_of(pl.scan_parquet(paths), "one"):
        yield part.unique().collect(engine="streaming")


def slices_of(hashes: pl.LazyFrame, column: str) -> Iterator[pl.LazyFrame]:
    """Yield rows by slices of a hash, none of which is too large to be held in memory."""
    slices = 1 + hashes.select(pl.len()).collect().item() // HASHES_AT_ONCE
    width = -(-(2**64) // slices)
    for k in range(slices):
        yield hashes.filter(pl.col(column).is_between(k * width, min((k + 1) * width, 2**64) - 1))


def count_ids(stage: Stage, table: str) -> int:
    """Count a table's different customer ids."""
    return sum(part.height for part in _slices({table: stage}))


def ask_all_rows(
    gathered: Gathered,
    mapping: ColumnMapping,
    stages: Mapping[str, Stage],
    facts: Mapping[str, Shared],
) -> None:
    """Raise what all rows ask, by what was learnt while they were split.

    Raises
    ------
    LateColumnsError
        If rows beyond the sample give a meaning to columns that are empty in it.
    DataError, MappingError
        If a question is open, or if those rows change the mapping in another way.
    """
    _ask_formats(gathered.raw, mapping, facts)
    _ask_words(gathered, mapping, stages)
    if mapping.options.get("similar_ids") is None:
        alike = [
            part.filter(pl.len().over("one") > 1).select(pl.len(), pl.col("one").n_unique()).row(0)
            for part in _slices(stages)
        ]
        ids, people = (sum(column) for column in zip(*alike, strict=True)) if alike else (0, 0)
        if ids:
            raise DataError(
                f"the data quality gate is closed; {counted(ids, 'customer id')} differ from "
                "another one only in case, width, accents or look-alike letters; joined, these "
                f"{number(ids)} are {counted(people, 'customer')}. Answer with: similar_ids = "
                '"join" if they are the same customers, similar_ids = "apart" if not (at the top '
                "of the mapping)"
            )


def _ask_formats(
    raw: Mapping[str, pl.DataFrame], mapping: ColumnMapping, facts: Mapping[str, Shared]
) -> None:
    """Raise the questions about dates and decimal signs that the texts of all rows raise."""
    findings = []
    for table, shared in facts.items():
        columns = Columns(table, raw[table], mapping, shared=dict(shared))
        given = [field for name, field in fields(table).items() if columns.source(name)]
        for field in given:
            if field.kind in ("time", "date"):
                findings += about_dates(columns, field.name)
        numbers = [field.name for field in given if field.kind in ("money", "number")]
        findings += about_decimals(columns, doubted_decimals(columns, numbers))
    blocking = [f"{q.finding} Answer with: {q.answer}" for q in findings if q.severity == "block"]
    if blocking:
        raise DataError("the data quality gate is closed; " + "; ".join(blocking))


def _ask_words(gathered: Gathered, mapping: ColumnMapping, stages: Mapping[str, Stage]) -> None:
    """Settle the mapping once more with rows that hold words that the sample does not."""
    raw, late = dict(gathered.raw), dict[str, list[str]]()
    count = 0
    for table, stage in stages.items():
        paths = stage.paths(f"{table}-unseen")
        if not paths:
            continue
        words = watched_words(raw[table], table, mapping)
        nulls = tuple(mapping.option(table, "nulls"))
        rows = unseen_rows(pl.concat([pl.read_parquet(path) for path in paths]), words, nulls)
        late[table] = [
            name for name in words if unseen_rows(rows, {name: words[name]}, nulls).height
        ]
        raw[table] = pl.concat([raw[table], rows])
        count += rows.height
    if not count:
        return
    listed = "; ".join(f"{table}: {', '.join(map(repr, names))}" for table, names in late.items())
    what = f"{counted(count, 'row')} beyond the sample of {number(gathered.raw['orders'].height)}"
    try:
        settled = complete_mapping(replace(gathered, raw=raw))
    except (DataError, MappingError) as error:
        raise type(error)(
            f"{error}; asked of the sample and of {what} with other words ({listed}), so the "
            "numbers of rows are theirs"
        ) from error
    changed = [table for table in stages if _stated(settled, table) != _stated(mapping, table)]
    if changed:
        message = (
            f"{what} hold words that the sample does not ({listed}), and with them the columns of "
            f"{', '.join(changed)} would be read in another way: name them in the mapping "
            f"([{changed[0]}.columns]), as segkit.audit proposes them"
        )
        if all(_adds_empty(settled, mapping, gathered.raw[table], table) for table in changed):
            raise LateColumnsError(message, settled, raw)
        raise DataError(message)


def _adds_empty(
    settled: ColumnMapping, mapping: ColumnMapping, sample: pl.DataFrame, table: str
) -> bool:
    """Return whether a mapping differs from another in columns alone that a sample has empty."""
    (new, *rest), (old, *rest_before) = _stated(settled, table), _stated(mapping, table)
    added = dict(new.items() - old.items())
    nulls = tuple(mapping.option(table, "nulls"))
    empty = (present_cells(sample[name], nulls).null_count() == sample.height
             for name in added.values())  # fmt: skip
    return rest == rest_before and old.items() <= new.items() and all(empty)


def _stated(mapping: ColumnMapping, table: str) -> tuple[Any, ...]:
    part = mapping.tables[table]
    options = {name: value for name, value in part.options.items() if name != "date_format"}
    return part.columns, part.constants, part.values, options
