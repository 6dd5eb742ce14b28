"""Sources of raw rows: files, workbooks, database queries and frames to Polars."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import SourceError, unknown
from segkit.frames import from_memory
from segkit.intake.calendars import write_gregorian
from segkit.intake.folders import (
    Part,
    is_file_of_table,
    put_together,
    states_consent,
    table_by_name,
)
from segkit.intake.headers import concepts
from segkit.intake.jsonlines import read_json_lines
from segkit.intake.layouts import find_layout
from segkit.intake.mapping import Mapping, TableMapping
from segkit.intake.numbers import named_currency, title_currency
from segkit.intake.reshape import fill_orders, join_names, join_parties, join_times
from segkit.intake.textfiles import RawTable, read_text, read_utf8
from segkit.intake.workbooks import EXCEL_ENDINGS, contact_sheets, read_excel, read_query, readable
from segkit.schema import CONTRACTS
from segkit.writing import PARQUET

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
JSON_ENDINGS = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
DATABASE_ENDINGS = (".sqlite", ".sqlite3", ".db", ".duckdb")
FILE_ENDINGS = (*TEXT_ENDINGS, *JSON_ENDINGS, *PARQUET, *EXCEL_ENDINGS)  # that hold one table

Given = Mapping | Map[str, Any] | Path | str | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Raw tables, with the mapping given and notes on reading them."""

    raw: dict[str, pl.DataFrame]  # by contract name
    given: Mapping  # as far as it is given
    base: Path | None  # the folder that the mapping's own paths are relative to
    # Of the file: where row 0 of a table stands, if rows are lines.
    first_lines: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def gather(source: Any, mapping: Given, preset: str | None = None) -> Gathered:
    """Collect the raw tables, and the mapping as far as it is given.

    Of a known export ``preset`` is the layout ("none" recognises none). A missing file, or one
    named after no table of the contracts, is a `SourceError`.
    """
    base = Path(mapping).parent if isinstance(mapping, str | Path) else None
    if isinstance(mapping, str | Path):
        given = Mapping.load(mapping)
    else:
        given = mapping if isinstance(mapping, Mapping) else Mapping.from_dict(mapping or {})
    if preset is not None:
        given = given.with_option(None, "preset", preset)
    if hasattr(source, "audited"):
        if source.audited is None:
            raise SourceError(
                "an audit that was read back from a file holds no rows; give the source"
            )
        gathered: Gathered = source.audited.gathered
        return replace(gathered, given=given.over(gathered.given), base=base or gathered.base)
    if hasattr(source, "tables") and hasattr(source, "mapping"):
        given = given.over(source.mapping)
        source = source.tables
    parts = _parts(source, given, base)
    tables, notes = put_together(parts, given)
    return _gathered(tables, given, base, notes)


def _parts(source: Any, given: Mapping, base: Path | None) -> list[Part]:
    """Read the files and frames of a source, with the table that each is given as."""
    if isinstance(source, str | Path) and Path(source).is_dir():
        return _folder(Path(source), given)
    if source is not None and not isinstance(source, Map):
        orders = Part(None, "orders", _name(source), read_table(source, given, "orders", base))
        sheets = contact_sheets(Path(source), given) if isinstance(source, str | Path) else []
        return [orders, *sheets]
    sources: dict[str, Any] = dict(source or {})
    if source is None:
        with_file = {"file", "database"}
        sources = {n: None for n, t in given.tables.items() if with_file & set(t.options)}
        if not sources:
            raise SourceError(
                "expected a source, or a mapping whose tables name a file or database"
            )
    for name in sources:
        if name not in CONTRACTS:
            raise SourceError(unknown("table", str(name), CONTRACTS))
    return [
        Part(name, name, _name(item), read_table(item, given, name, base))
        for name, items in sources.items()
        for item in (items if isinstance(items, list | tuple) and _are_files(items) else [items])
    ]


def _are_files(items: Any) -> bool:
    return bool(items) and all(isinstance(item, str | Path) for item in items)


def _name(source: Any) -> str:
    return Path(source).name if isinstance(source, str | Path) else ""


def _gathered(
    tables: dict[str, RawTable], given: Mapping, base: Path | None, more: list[str]
) -> Gathered:
    """Put the tables read together; join dates and times of day that stand in two columns."""
    lines = {n: item.first_line for n, item in tables.items() if item.first_line is not None}
    notes = [f"{n}: {note}" for n, item in tables.items() for note in item.notes] + more
    raw = {n: item.frame for n, item in tables.items()}
    if "orders" in raw:
        if "order_id" not in given.tables.get("orders", TableMapping()).columns:
            raw["orders"], said = fill_orders(raw["orders"])
            notes += [f"orders: {note}" for note in said]
        for join in (join_parties, join_names):
            raw["orders"], said = join(raw["orders"])
            notes += said
    for name, frame in raw.items():
        raw[name], said = write_gregorian(frame)
        notes += [f"{name}: {note}" for note in said]
    for name in ("orders", "events"):
        if name in raw:
            raw[name], zone, more = join_times(raw[name], given, name)
            notes += more
            given = given.over(Mapping(options={"timezone": zone})) if zone else given
    if "orders" in raw:
        given, said = _with_currency(given, raw["orders"].columns, tables["orders"].title)
        notes += said
    return Gathered(raw, given, base, lines, tuple(notes))


def _with_currency(given: Mapping, headers: list[str], title: str) -> tuple[Mapping, list[str]]:
    """Take the currency that stands above the header of orders, where no header names one."""
    code = title_currency(title)
    named = any("currency" in concepts(name)[0] for name in headers)
    others = {named_currency(name) for name in headers} - {None, code}
    if code is None or named or others or given.option("orders", "currency"):
        return given, []
    below = Mapping({"orders": TableMapping(constants={"currency": code})})
    note = f"orders: the currency is {code}, as stated above the header"
    return given.over(below), [f"{note} ([orders.constants] currency sets another)"]


def _folder(folder: Path, given: Mapping) -> list[Part]:
    """Read the files of a folder: those named after tables, and exports that tell their table."""
    files = [file for file in sorted(folder.iterdir()) if is_file_of_table(file, FILE_ENDINGS)]
    named = {file: file.name.split(".")[0].lower() for file in files}
    parts = []
    for file in files:
        table = named[file] if named[file] in CONTRACTS else None
        default = table or table_by_name(file.name)
        is_second = table is None and default in named.values()
        if is_second and default != "customers":
            continue
        part = Part(table, default, file.name, read_table(file, given, default or "orders"))
        if not is_second or states_consent(part.read.frame.columns):
            parts.append(part)
    if not any("customers" in (part.table, part.default) for part in parts):
        parts += next(filter(None, (contact_sheets(file, given) for file in files)), [])
    if not any(part.default or find_layout(part.read.frame.columns, None) for part in parts):
        raise SourceError(
            f"expected files named after tables ({', '.join(CONTRACTS)}) in {folder.name}/, "
            "found none"
        )
    return parts


def read_table(source: Any, mapping: Mapping, table: str, base: Path | None = None) -> RawTable:
    """Read one raw table: a frame as it is, a file by its ending, a database by its query.

    Text files are read as text, cell by cell, so that nothing is guessed before the audit.
    """
    if source is None:
        given = mapping.option(table, "database") or mapping.option(table, "file")
        source = given and (base or Path()) / given
    if isinstance(source, str | Path):
        return _read_file(Path(source), mapping, table)
    with readable(Path(table), "frame"):
        return RawTable(from_memory(source))


def _read_file(path: Path, mapping: Mapping, table: str) -> RawTable:
    try:
        is_there = path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        is_there = False
    if not is_there:
        near = path.parent if path.parent.is_dir() else None
        names = sorted(item.name for item in near.iterdir())[:20] if near else []
        raise SourceError(f"{table}: " + unknown("file", path.name, names))
    lower = path.name.lower()
    if lower.endswith(PARQUET):
        with readable(path, "Parquet file"):
            return RawTable(pl.read_parquet(path))
    if lower.endswith(EXCEL_ENDINGS):
        return read_excel(path, mapping.option(table, "sheet"), table)
    if lower.endswith(TEXT_ENDINGS):
        return read_text(path, mapping, table)
    if lower.endswith(JSON_ENDINGS):
        notes: list[str] = []
        text = read_utf8(path, mapping, table, notes).decode()

        def listed_rows(names: list[str]) -> str | None:
            """Return which list makes the rows, as the layout of a known export says."""
            layout = find_layout(names, mapping.option(table, "preset"), path.name)
            return None if layout is None else layout.options.get("explode")

        with readable(path, "JSON file"):
            read = read_json_lines(path, text, table, mapping.option(table, "explode"), listed_rows)
        return replace(read, notes=(*notes, *read.notes))
    if lower.endswith(DATABASE_ENDINGS) or mapping.is_set(table, "sql"):
        return read_query(path, mapping.option(table, "sql"), table)
    raise SourceError(
        f"{path.name}: expected a file ending in " + ", ".join((*FILE_ENDINGS, *DATABASE_ENDINGS))
    )
