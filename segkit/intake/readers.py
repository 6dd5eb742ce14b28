"""Sources of raw rows: files, workbooks, database queries and frames to Polars."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from collections.abc import Mapping as Map
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted
from segkit.errors import MappingError, SegkitError, SourceError, unknown
from segkit.frames import from_list, from_memory
from segkit.intake.answers import as_options
from segkit.intake.calendars import write_gregorian
from segkit.intake.folders import (
    Part,
    holds_contacts,
    is_file_of_table,
    put_together,
    table_by_name,
)
from segkit.intake.headers import concepts
from segkit.intake.jsonlines import read_json_lines
from segkit.intake.layouts import find_layout
from segkit.intake.mapping import Mapping, TableMapping
from segkit.intake.numbers import named_currency, title_currency
from segkit.intake.reshape import (
    fill_orders,
    filled_rows,
    join_names,
    join_parties,
    join_times,
    spread_groups,
)
from segkit.intake.textfiles import (
    SEARCHED,
    RawTable,
    distinct_names,
    header_place,
    read_decoded,
    read_text,
)
from segkit.schema import CONTRACTS
from segkit.writing import PARQUET

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

    Raises
    ------
    SourceError
        If the extra is not installed, the file is no workbook, the sheet is not there, or several
        sheets hold the same columns and none is named.
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
        chosen = [_sheet(names, item) for item in listed]
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


def _sheet(names: list[str], wanted: Any) -> str:
    """Find a sheet by name or by number from 1."""
    if isinstance(wanted, int) and 1 <= wanted <= len(names):
        return names[wanted - 1]
    if str(wanted) not in names:
        raise SourceError(unknown("sheet", str(wanted), names))
    return str(wanted)


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


def _contact_sheet(path: Path, given: Mapping) -> list[Part]:
    """Read the sheet of contacts that stands beside the orders of a workbook, if one does."""
    if not path.name.lower().endswith(EXCEL_ENDINGS):
        return []
    import fastexcel

    with readable(path, "Excel file"):
        book = fastexcel.read_excel(path)
    chosen = given.option("orders", "sheet")
    chosen = chosen if isinstance(chosen, list | tuple) else [chosen]
    for name in _contacts(_heads(path, book, list(book.sheet_names))):
        if name not in chosen:
            read = _read_sheet(path, book, name)
            note = f"{path.name}: sheet {name!r} is read as the table of customers"
            return [Part("customers", None, path.name, replace(read, notes=(*read.notes, note)))]
    return []


def _note_unread(path: Path, names: list[str], chosen: list[str]) -> list[str]:
    """Say which sheets are read where some are not."""
    others = ", ".join(repr(name) for name in names if name not in chosen)
    listed = ", ".join(map(repr, chosen))
    read = f"sheet {listed} is" if len(chosen) == 1 else f"sheets {listed} are"
    return [f"{path.name}: {read} read, {others} not (sheet)"] if others else []


def _first_rows(book: Any, name: str) -> list[tuple[str | None, ...]]:
    sheet = book.load_sheet(name, header_row=None, skip_rows=0, n_rows=SEARCHED, dtypes="string")
    rows: list[tuple[str | None, ...]] = sheet.to_polars().rows()
    return rows


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
    below = {"header_row": None, "skip_rows": place + 1, "column_names": names}
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

    Raises
    ------
    MappingError
        If the mapping gives no query.
    SourceError
        If the extra is not installed, the query fails, or it does more than select.
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
            arrays = cursor.fetchnumpy()
            columns = dict(zip(names, arrays.values(), strict=True))
            return RawTable(_from_arrays(names, columns), notes=tuple(notes))
    except duckdb.Error as error:
        raise SourceError(f"{path.name}: the query failed: {error}") from error


def _from_arrays(names: list[str], arrays: Map[str, Any]) -> pl.DataFrame:
    """Turn DuckDB's (masked) arrays into a frame; a mask means null."""
    columns = []
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
            is_masked = pl.Series("is_masked", mask)
            series = pl.select(pl.when(~is_masked).then(series)).to_series().alias(name)
        columns.append(series)
    return pl.DataFrame(columns)


def _read_sqlite(path: Path, sql: str) -> RawTable:
    import sqlite3
    from contextlib import closing

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


TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
JSON_ENDINGS = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
EXCEL_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
DATABASE_ENDINGS = (".sqlite", ".sqlite3", ".db", ".duckdb")
FILE_ENDINGS = (
    *TEXT_ENDINGS,
    *JSON_ENDINGS,
    *PARQUET,
    *EXCEL_ENDINGS,
)  # of files that hold one table

Given = Mapping | Map[str, Any] | Path | str | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Raw tables, with the mapping given and notes on reading them.

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
        Notes on how the files were read.
    """

    raw: dict[str, pl.DataFrame]
    given: Mapping
    base: Path | None
    first_lines: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def gather(source: Any, mapping: Given, preset: str | None = None) -> Gathered:
    """Collect the raw tables, and the mapping as far as it is given.

    Parameters
    ----------
    source, mapping
        As for `segkit.clean_data`.
    preset : str, optional
        The layout of the export (see ``segkit params mapping``); "none" recognises none.

    Returns
    -------
    Gathered

    Raises
    ------
    SourceError, MappingError
        If a file is missing, or its name is not that of a table of the contracts.
    """
    base = Path(mapping).parent if isinstance(mapping, str | Path) else None
    given = _mapping(mapping)
    if preset is not None:
        given = given.with_option(None, "preset", preset)
    if hasattr(source, "audited"):
        return _from_audit(source, given, base)
    if hasattr(source, "tables") and hasattr(source, "mapping"):
        given = given.over(source.mapping)
        source = source.tables
    parts = _parts(source, given, base)
    tables, notes = put_together(parts, given)
    for name in tables:
        if name not in CONTRACTS:
            raise SourceError(unknown("table", str(name), CONTRACTS))
    return _gathered(tables, given, base, notes)


def _parts(source: Any, given: Mapping, base: Path | None) -> list[Part]:
    """Read the files and frames of a source, with the table that each is given as."""
    if isinstance(source, str | Path) and Path(source).is_dir():
        return _folder(Path(source), given)
    if source is not None and not isinstance(source, Map):
        orders = Part(None, "orders", _name(source), read_table(source, given, "orders", base))
        sheets = _contact_sheet(Path(source), given) if isinstance(source, str | Path) else []
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
    notes = [f"{n}: {note}" for n, item in tables.items() for note in item.notes]
    raw = {n: item.frame for n, item in tables.items()}
    notes += more
    if "orders" in raw and "order_id" not in _columns_of(given, "orders"):
        raw["orders"], filled = fill_orders(raw["orders"])
        notes += [f"orders: {note}" for note in filled]
    if "orders" in raw:
        raw["orders"], parties = join_parties(raw["orders"])
        raw["orders"], said = join_names(raw["orders"])
        said = [*parties, *said]
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


def _columns_of(given: Mapping, table: str) -> dict[str, str]:
    part = given.tables.get(table)
    return {} if part is None else part.columns


def _from_audit(audit: Any, given: Mapping, base: Path | None) -> Gathered:
    """Take the raw tables of an audit; a given mapping takes precedence over the audit's."""
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


def _folder(folder: Path, given: Mapping) -> list[Part]:
    """Read the files of a folder: those named after tables, and exports that tell their table."""
    files = [file for file in sorted(folder.iterdir()) if is_file_of_table(file, FILE_ENDINGS)]
    named = {file: file.name.split(".")[0].lower() for file in files}
    parts = []
    for file in files:
        table = named[file] if named[file] in CONTRACTS else None
        default = table or table_by_name(file.name)
        if table is None and default in named.values():
            continue
        part = Part(table, default, file.name, read_table(file, given, default or "orders"))
        parts.append(part)
    if not any("customers" in (part.table, part.default) for part in parts):
        parts += [sheet for file in files for sheet in _contact_sheet(file, given)][:1]
    if not any(part.default or find_layout(part.read.frame.columns, None) for part in parts):
        raise SourceError(
            f"expected files named after tables ({', '.join(CONTRACTS)}) in {folder.name}/, "
            "found none"
        )
    return parts


def read_table(source: Any, mapping: Mapping, table: str, base: Path | None = None) -> RawTable:
    """Read one raw table: a frame as it is, a file by its ending, a database by its query.

    Text files are read as text, cell by cell, so that nothing is guessed before the audit.

    Raises
    ------
    SourceError
        If the source is not there, is of no known kind, or cannot be read.
    """
    path = _file_of(source, mapping, table, base)
    if path is None:
        with readable(Path(table), "frame"):
            return RawTable(from_memory(source))
    return _read_file(path, mapping, table)


def _file_of(source: Any, mapping: Mapping, table: str, base: Path | None) -> Path | None:
    """Return the file behind a source: its own path, or the one that the mapping gives."""
    if source is None:
        for name in ("database", "file"):
            given = mapping.option(table, name)
            if given:
                path = Path(given)
                return path if path.is_absolute() or base is None else base / path
    return Path(source) if isinstance(source, str | Path) else None


def _is_file(path: Path) -> bool:
    """Return whether a file exists; False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _explode_of(names: list[str], preset: str | None, file: str) -> str | None:
    """Return which list makes the rows, as the layout of a known export says."""
    layout = find_layout(names, preset, file)
    return None if layout is None else layout.options.get("explode")


def _read_file(path: Path, mapping: Mapping, table: str) -> RawTable:
    if not _is_file(path):
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
        text = read_decoded(path, mapping, table, notes)
        with readable(path, "JSON file"):
            read = read_json_lines(
                path,
                text,
                table,
                mapping.option(table, "explode"),
                lambda names: _explode_of(names, mapping.option(table, "preset"), path.name),
            )
        return replace(read, notes=(*notes, *read.notes))
    if lower.endswith(DATABASE_ENDINGS) or mapping.is_set(table, "sql"):
        return read_query(path, mapping.option(table, "sql"), table)
    raise SourceError(
        f"{path.name}: expected a file ending in " + ", ".join((*FILE_ENDINGS, *DATABASE_ENDINGS))
    )
