"""Sources of raw rows: files, queries and frames to Polars, guessing nothing."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import SourceError, unknown
from segkit.frames import from_memory
from segkit.ingest.databases import read_excel, read_query, readable
from segkit.ingest.headers import RawTable
from segkit.ingest.mapping import Mapping
from segkit.ingest.textfiles import read_text
from segkit.schema import CONTRACTS

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
EXCEL_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
PARQUET_ENDINGS = (".parquet", ".pq")
DATABASE_ENDINGS = (".sqlite", ".sqlite3", ".db", ".duckdb")

Given = Mapping | Map[str, Any] | Path | str | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """The raw tables, and what is told about them.

    Attributes
    ----------
    raw : dict of str to polars.DataFrame
        Raw tables by contract name.
    given : Mapping
        The mapping as far as it is given.
    base : Path or None
        The folder that the mapping's own paths are relative to.
    first_lines : dict of str to int
        The line of the file on which a table's first row stands, where rows are lines.
    notes : tuple of str
        What was seen and decided in reading the files.
    """

    raw: dict[str, pl.DataFrame]
    given: Mapping
    base: Path | None
    first_lines: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def gather(source: Any, mapping: Given) -> Gathered:
    """Collect the raw tables, and the mapping as far as it is given.

    Returns
    -------
    Gathered

    Raises
    ------
    SourceError, MappingError
        If something is not there, or is not named as a table of the contracts.
    """
    base = Path(mapping).parent if isinstance(mapping, str | Path) else None
    given = _mapping(mapping)
    if hasattr(source, "audited"):
        return _from_audit(source, given, base)
    if hasattr(source, "tables") and hasattr(source, "mapping"):
        given = given.over(source.mapping)
        source = source.tables
    found: dict[str, Any]
    if source is None:
        found = {n: None for n, t in given.tables.items() if {"file", "database"} & set(t.options)}
        if not found:
            raise SourceError(
                "expected a source, or a mapping whose tables name a file or database"
            )
    elif isinstance(source, Map):
        found = dict(source)
    elif isinstance(source, str | Path) and Path(source).is_dir():
        found = _folder(Path(source))
    else:
        found = {"orders": source}
    for name in found:
        if name not in CONTRACTS:
            raise SourceError(unknown("table", str(name), CONTRACTS))
    tables = {name: read_table(item, given, name, base) for name, item in found.items()}
    lines = {n: item.first_line for n, item in tables.items() if item.first_line is not None}
    notes = tuple(f"{n}: {note}" for n, item in tables.items() for note in item.notes)
    return Gathered({n: item.frame for n, item in tables.items()}, given, base, lines, notes)


def _from_audit(audit: Any, given: Mapping, base: Path | None) -> Gathered:
    """Take the raw tables that an audit has read, another mapping laid over its own."""
    if audit.audited is None:
        raise SourceError("an audit that was read back from a file holds no rows; give the source")
    gathered: Gathered = audit.audited.gathered
    return replace(gathered, given=given.over(gathered.given), base=base or gathered.base)


def _mapping(mapping: Given) -> Mapping:
    if mapping is None:
        return Mapping()
    if isinstance(mapping, Mapping):
        return mapping
    if isinstance(mapping, Map):
        return Mapping.from_dict(mapping)
    return Mapping.load(mapping)


def _folder(folder: Path) -> dict[str, Any]:
    """Find the files of a folder that are named after tables."""
    found = {}
    for file in sorted(folder.iterdir()):
        stem = file.name.split(".")[0].lower()
        known = (*TEXT_ENDINGS, *PARQUET_ENDINGS, *EXCEL_ENDINGS)
        if stem in CONTRACTS and file.name.lower().endswith(known):
            found[stem] = file
    if not found:
        raise SourceError(
            f"expected files named after tables ({', '.join(CONTRACTS)}) in {folder.name}/, "
            "found none"
        )
    return found


def read(source: Any, mapping: Mapping, table: str, base: Path | None = None) -> pl.DataFrame:
    """Read one raw table: a frame as it is, a file by its ending, a database by its query.

    Text files are read as text, cell by cell, so that nothing is guessed before the audit.

    Raises
    ------
    SourceError
        If the source is not there, is of no known kind, or cannot be read.
    """
    return read_table(source, mapping, table, base).frame


def read_table(source: Any, mapping: Mapping, table: str, base: Path | None = None) -> RawTable:
    """Read one raw table as `read` does, with what was seen in reading it."""
    path = _file_of(source, mapping, table, base)
    if path is None:
        with readable(Path(table), "frame"):
            return RawTable(from_memory(source))
    return _read_file(path, mapping, table)


def _file_of(source: Any, mapping: Mapping, table: str, base: Path | None) -> Path | None:
    """Name the file behind a source: its own path, or the one that the mapping gives."""
    if source is None:
        for name in ("database", "file"):
            given = mapping.option(table, name)
            if given:
                path = Path(given)
                return path if path.is_absolute() or base is None else base / path
    return Path(source) if isinstance(source, str | Path) else None


def _is_file(path: Path) -> bool:
    """Tell whether a file is there; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _read_file(path: Path, mapping: Mapping, table: str) -> RawTable:
    if not _is_file(path):
        near = path.parent if path.parent.is_dir() else None
        names = sorted(item.name for item in near.iterdir())[:20] if near else []
        raise SourceError(f"{table}: " + unknown("file", path.name, names))
    lower = path.name.lower()
    if lower.endswith(PARQUET_ENDINGS):
        with readable(path, "Parquet file"):
            return RawTable(pl.read_parquet(path))
    if lower.endswith(EXCEL_ENDINGS):
        return read_excel(path, mapping.option(table, "sheet"), table)
    if lower.endswith(TEXT_ENDINGS):
        return read_text(path, mapping, table)
    if lower.endswith(DATABASE_ENDINGS) or mapping.is_set(table, "sql"):
        return read_query(path, mapping.option(table, "sql"), table)
    raise SourceError(
        f"{path.name}: expected a file ending in "
        + ", ".join((*TEXT_ENDINGS, *PARQUET_ENDINGS, *EXCEL_ENDINGS, *DATABASE_ENDINGS))
    )
