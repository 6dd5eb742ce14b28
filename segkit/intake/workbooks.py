"""Workbooks and databases: sheets and results of queries to raw tables."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted
from segkit.errors import MappingError, SegkitError, SourceError, unknown
from segkit.frames import from_list
from segkit.intake.answers import as_options
from segkit.intake.folders import Part, holds_contacts, states_consent
from segkit.intake.mapping import Mapping
from segkit.intake.reshape import filled_rows, spread_groups
from segkit.intake.textfiles import (
    SEARCHED,
    RawTable,
    described_rows,
    distinct_names,
    header_place,
    note_described,
)

EXCEL_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
ONE_SELECT = "expected one statement that selects rows from the file's own tables"
# Functions of extensions that access files outside the database.
BARRED = ("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer")


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn a library's errors on a damaged file into a `SourceError`."""
    try:
        yield
    except SegkitError:
        raise
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except BaseException as error:
        # A panic of a library in Rust derives from BaseException.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(
            f"{path.name} is not a readable {kind}, or damaged: {first}; copy or export it again"
        ) from error


def read_excel(path: Path, sheet: str | int | list[Any] | None, table: str) -> RawTable:
    """Read a sheet of a workbook by name or by number from 1, or several, appended.

    Without a name the one sheet with a table is read. A column that holds numbers, dates and
    texts is read as text, whatever its first rows hold; texts with a decimal comma among numbers
    ("71,10 €") are written with a point, as the numbers are.
    """
    try:
        import fastexcel
    except ImportError as error:
        raise SourceError(
            f"{path.name} is an Excel file; reading it needs the extra: pip install segkit[excel]"
        ) from error
    # Its remarks on empty columns are for developers; who has handlers of his own still gets them.
    logging.getLogger("fastexcel").addHandler(logging.NullHandler())
    with readable(path, "Excel file"):
        book = fastexcel.read_excel(path)
        names = list(book.sheet_names)
    if sheet is not None:
        listed = sheet if isinstance(sheet, list | tuple) else [sheet]
        chosen = [
            names[item - 1] if isinstance(item, int) and 0 < item <= len(names) else str(item)
            for item in listed
        ]
        for name in chosen:
            if name not in names:
                raise SourceError(unknown("sheet", name, names))
        notes = _note_unread(path, names, chosen)
    else:
        chosen, notes = _sheets_with_tables(path, book, names, table)
    with readable(path, "Excel file"):
        tables = [_read_sheet(path, book, name) for name in chosen]
    notes += [note for item in tables for note in item.notes]
    frames = [item.frame for item in tables]
    if len(frames) > 1:
        frames = [frame.cast(dict.fromkeys(frame.columns, pl.String)) for frame in frames]
    title = "\n".join(item.title for item in tables)
    return RawTable(pl.concat(frames, how="diagonal"), notes=tuple(notes), title=title)


# A text that holds one number with a decimal comma, perhaps with thousands and a currency.
DECIMAL_COMMA = r"^[^\d,]*(?:\d{1,3}(?:\.\d{3})+|\d+),\d{1,2}[^\d,]*$"


def _sheets_with_tables(
    path: Path, book: Any, names: list[str], table: str
) -> tuple[list[str], list[str]]:
    """Choose the sheet that holds a table; ask where several hold the same columns."""
    heads = _heads(path, book, names)
    if not heads:
        return names[:1], []
    contacts = _contacts(heads) if table == "orders" else []
    first = next(name for name in heads if name not in contacts)
    alike = [name for name, head in heads.items() if head == heads[first]]
    if len(alike) > 1:
        listed = ", ".join(f'"{name}"' for name in alike)
        answer = f'[{table}] sheet = [{listed}]; or [{table}] sheet = "{alike[0]}"'
        options = as_options(answer)
        raise SourceError(
            f"{path.name} holds the same columns on {counted(len(alike), 'sheet')}; say which to "
            f"read, all or one: {answer}\n  pass {' or '.join(options)}"
        )
    return [first], _note_unread(path, names, [first])


def _heads(path: Path, book: Any, names: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the headers of the sheets that hold a table."""
    heads: dict[str, tuple[str, ...]] = {}
    with readable(path, "Excel file"):
        for name in names:
            rows = _first_rows(book, name)
            place = header_place(rows) if rows else 0
            if len(rows) > place + 1 and sum(bool(cell) for cell in rows[place]) > 1:
                heads[name] = tuple(str(cell or "").strip() for cell in rows[place])
    return heads


def _contacts(heads: Map[str, tuple[str, ...]]) -> list[str]:
    """Return the sheets that list contacts beside orders; none if all do."""
    sheets = [name for name, head in heads.items() if holds_contacts(filter(None, head), name)]
    return sheets if len(sheets) < len(heads) else []


def contact_sheets(path: Path, given: Mapping) -> list[Part]:
    """Read the sheet of contacts beside the orders of a workbook, and others that state consents.

    These are put together where their columns are the same, and refused where not.
    """
    if not path.name.lower().endswith(EXCEL_ENDINGS):
        return []
    import fastexcel

    with readable(path, "Excel file"):
        book = fastexcel.read_excel(path)
    chosen = given.option("orders", "sheet")
    chosen = chosen if isinstance(chosen, list | tuple) else [chosen]
    heads = _heads(path, book, list(book.sheet_names))
    parts: list[Part] = []
    for name in _contacts(heads):
        if name not in chosen and (not parts or states_consent(filter(None, heads[name]))):
            read = _read_sheet(path, book, name)
            note = f"{path.name}: sheet {name!r} is read as the table of customers"
            read = replace(read, notes=(*read.notes, note))
            parts.append(Part("customers", None, f"{path.name} ({name})", read))
    return parts


def _note_unread(path: Path, names: list[str], chosen: list[str]) -> list[str]:
    """Say which sheets are read where some are not."""
    others = ", ".join(repr(name) for name in names if name not in chosen)
    listed = ", ".join(map(repr, chosen))
    read = f"sheet {listed} is" if len(chosen) == 1 else f"sheets {listed} are"
    return [f"{path.name}: {read} read, {others} not (sheet)"] if others else []


def _first_rows(book: Any, name: str) -> list[tuple[str | None, ...]]:
    sheet = book.load_sheet(name, header_row=None, skip_rows=0, n_rows=SEARCHED, dtypes="string")
    return list(sheet.to_polars().rows())


def _read_sheet(path: Path, book: Any, name: str) -> RawTable:
    """Read one sheet below its header; the types of columns follow from all rows."""
    rows = _first_rows(book, name)
    if not rows:
        raise SourceError(f"{path.name}: sheet {name!r} is empty; expected a header and rows")
    place = header_place(rows)
    names, notes = distinct_names(rows[place])
    notes = [f"{path.name}: {note}" for note in notes]
    if place:
        notes.append(f"{path.name}: {counted(place, 'row')} above the header of {name!r} skipped")
    described = described_rows(rows[place], rows[place + 1 :])
    notes += note_described(path, described)
    below = {"header_row": None, "skip_rows": place + 1 + described, "column_names": names}
    frame: pl.DataFrame = book.load_sheet(name, schema_sample_rows=None, **below).to_polars()
    mixed = [
        column.name
        for column in frame.select(pl.col(pl.String))
        if column.str.contains(DECIMAL_COMMA).any() and column.str.contains(r"^\d+\.\d").any()
    ]
    if mixed:
        kinds: dict[str | int, Any] = dict.fromkeys(mixed, "float")
        numbers = book.load_sheet(name, dtypes=kinds, **below).to_polars()
        frame = frame.with_columns(_with_points(frame[each], numbers[each]) for each in mixed)
    if frame.width < len(names):
        frame = frame.with_columns(
            pl.lit(None, pl.String).alias(missing) for missing in names[frame.width :]
        )
    frame = frame.rename(dict(zip(frame.columns, names, strict=False)))
    title = "\n".join(cell for row in rows[:place] for cell in row if cell)
    if frame.get_column(names[0]).null_count() and frame.schema[names[0]] == pl.String:
        texts, changes = spread_groups(frame.cast(dict.fromkeys(names, pl.String)), title)
        notes += [f"{path.name}: {note}" for note in changes]
        frame = texts if changes else frame
    filled = filled_rows(frame)
    frame = frame if filled is None else frame.filter(filled)
    whole = [
        each.name
        for each in frame.select(pl.col(pl.Float64))
        if (each % 1 == 0).all() and (each.abs() < 2**53).all()
    ]
    frame = frame.cast(dict.fromkeys(whole, pl.Int64))  # codes: 30, not 30.0
    return RawTable(frame, notes=tuple(notes), title=title)


def _with_points(texts: pl.Series, numbers: pl.Series) -> pl.Series:
    """Write texts with a decimal comma with a point, where most cells of the column are numbers."""
    if numbers.null_count() - texts.null_count() > 0.5 * texts.count():
        return texts
    points = texts.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    is_comma = numbers.is_null() & texts.str.contains(DECIMAL_COMMA)
    return points.zip_with(is_comma.fill_null(value=False), texts)


def read_query(path: Path, sql: str | None, table: str) -> RawTable:
    """Read the result of a query on a SQLite or DuckDB file, opened for reading only.

    The query can only select from the file's own tables. It cannot write files or read other ones.
    """
    if not sql:
        raise MappingError(f'[{table}] reads a database: expected sql = "select ...", found none')
    with readable(path, "database file"), path.open("rb") as handle:
        head = handle.read(16)
    if head.startswith(b"SQLite format 3"):
        return _read_sqlite(path, sql)
    try:
        import duckdb
    except ImportError as error:
        raise SourceError(
            f"{path.name} is a DuckDB file; reading it needs the extra: pip install segkit[duckdb]"
        ) from error
    closed: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "lock_configuration": "true",
    }
    try:
        with duckdb.connect(str(path), read_only=True, config=closed) as link:
            kinds = [item.type for item in link.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise SourceError(f"{path.name}: {ONE_SELECT}")
            cursor = link.execute(sql)
            names, notes = distinct_names([item[0] for item in cursor.description])
            arrays = cursor.fetchnumpy().values()
            return RawTable(_from_arrays(names, arrays), notes=tuple(notes))
    except duckdb.Error as error:
        raise SourceError(f"{path.name}: the query failed: {error}") from error


def _from_arrays(names: list[str], arrays: Iterable[Any]) -> pl.DataFrame:
    """Turn DuckDB's (masked) arrays into a frame; a mask means null."""
    columns = []
    for name, array in zip(names, arrays, strict=True):
        mask = getattr(array, "mask", None)
        values = array if mask is None else array.data
        kind = str(values.dtype)
        if kind.startswith("datetime64"):
            series = pl.Series(name, values.astype("datetime64[us]"))
        elif kind == "object":
            series = from_list(name, values.tolist())
        else:
            series = pl.Series(name, values)
        if mask is not None and mask.any():
            is_masked = pl.Series("is_masked", mask)
            series = pl.select(pl.when(~is_masked).then(series)).to_series().alias(name)
        columns.append(series)
    return pl.DataFrame(columns)


def _read_sqlite(path: Path, sql: str) -> RawTable:
    allowed = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}

    def authorise(action: int, *about: str | None) -> int:
        """Allow a statement to read and compute only."""
        harmless = action == sqlite3.SQLITE_FUNCTION and str(about[1]).lower() not in BARRED
        return sqlite3.SQLITE_OK if action in allowed or harmless else sqlite3.SQLITE_DENY

    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as link:
            link.execute("pragma temp_store = memory")
            link.set_authorizer(authorise)
            cursor = link.execute(sql)
            if cursor.description is None:
                raise SourceError(f"{path.name}: {ONE_SELECT}")
            names, notes = distinct_names([item[0] for item in cursor.description])
            rows = cursor.fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        why = f"{error}; {ONE_SELECT}" if "authorized" in str(error) else str(error)
        raise SourceError(f"{path.name}: the query failed: {why}") from error
    lists = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    columns = [from_list(n, values) for n, values in zip(names, lists, strict=True)]
    return RawTable(pl.DataFrame(columns), notes=tuple(notes))
