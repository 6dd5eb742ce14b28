"""How are workbooks and database files read? Sheets by name, tables by a query."""

from __future__ import annotations

from collections.abc import Mapping as Map
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import MappingError, SourceError, unknown
from segkit.frames import from_list


def read_excel(path: Path, sheet: str | int | None) -> pl.DataFrame:
    """Read a sheet of a workbook, by name or by number from 1; the first by default.

    Raises
    ------
    SourceError
        If the extra is not installed, the file is no workbook, or the sheet is not there.
    """
    try:
        import fastexcel
    except ImportError as error:
        raise SourceError(
            f"{path.name} is an Excel file; reading it needs the extra: pip install segkit[excel]"
        ) from error
    try:
        book = fastexcel.read_excel(path)
        names = book.sheet_names
        chosen = names[0] if sheet is None else sheet
        if isinstance(chosen, int):
            chosen = names[chosen - 1] if 1 <= chosen <= len(names) else str(chosen)
        if chosen not in names:
            raise SourceError(unknown("sheet", str(chosen), names))
        return book.load_sheet(chosen).to_polars()
    except fastexcel.FastExcelError as error:
        raise SourceError(f"{path.name} is not a readable Excel file: {error}") from error


def read_query(path: Path, sql: str | None, table: str) -> pl.DataFrame:
    """Read the result of a query on a SQLite or DuckDB file, opened for reading only.

    Raises
    ------
    MappingError
        If the mapping gives no query.
    SourceError
        If the extra is not installed or the query fails.
    """
    if not sql:
        raise MappingError(f'[{table}] reads a database: expected sql = "select ...", found none')
    with path.open("rb") as handle:
        head = handle.read(16)
    if head.startswith(b"SQLite format 3"):
        return _read_sqlite(path, sql)
    try:
        import duckdb
    except ImportError as error:
        raise SourceError(
            f"{path.name} is a DuckDB file; reading it needs the extra: pip install segkit[duckdb]"
        ) from error
    try:
        with duckdb.connect(str(path), read_only=True) as link:
            cursor = link.execute(sql)
            names = [item[0] for item in cursor.description]
            return _from_arrays(names, cursor.fetchnumpy())
    except duckdb.Error as error:
        raise SourceError(f"{path.name}: the query failed: {error}") from error


def _from_arrays(names: list[str], arrays: Map[str, Any]) -> pl.DataFrame:
    """Turn DuckDB's (masked) arrays into a frame; a mask means null."""
    made = []
    for name in names:
        array = arrays[name]
        mask = getattr(array, "mask", None)
        values = getattr(array, "data", array) if mask is not None else array
        kind = str(values.dtype)
        if kind.startswith("datetime64"):
            series = pl.Series(name, values.astype("datetime64[us]"))
        elif kind == "object":
            series = from_list(name, values.tolist())
        else:
            series = pl.Series(name, values)
        if mask is not None and mask.any():
            gone = pl.Series("gone", mask)
            series = pl.select(pl.when(~gone).then(series)).to_series().alias(name)
        made.append(series)
    return pl.DataFrame(made)


def _read_sqlite(path: Path, sql: str) -> pl.DataFrame:
    import sqlite3
    from contextlib import closing

    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as link:
            cursor = link.execute(sql)
            if cursor.description is None:
                raise SourceError(f"{path.name}: expected a query that selects rows")
            names = [item[0] for item in cursor.description]
            rows = cursor.fetchall()
    except sqlite3.Error as error:
        raise SourceError(f"{path.name}: the query failed: {error}") from error
    lists = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    return pl.DataFrame([from_list(n, values) for n, values in zip(names, lists, strict=True)])
