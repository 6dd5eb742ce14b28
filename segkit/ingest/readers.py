"""Where do the raw rows come from? Files, queries and frames to Polars, guessing nothing."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping as Map
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import MappingError, SourceError, unknown
from segkit.ingest.mapping import Mapping
from segkit.schema import CONTRACTS

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
EXCEL_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
PARQUET_ENDINGS = (".parquet", ".pq")
DATABASE_ENDINGS = (".sqlite", ".sqlite3", ".db", ".duckdb")
DELIMITERS = (",", ";", "\t", "|")
_SAMPLE = 1 << 20

Given = Mapping | Map[str, Any] | Path | str | None


def gather(source: Any, mapping: Given) -> tuple[dict[str, pl.DataFrame], Mapping, Path | None]:
    """Collect the raw tables, and the mapping as far as it is given.

    Returns
    -------
    tuple of (dict of str to polars.DataFrame, Mapping, Path or None)
        Raw tables by contract name, the given mapping, and the folder that the mapping's own
        paths are relative to.

    Raises
    ------
    SourceError, MappingError
        If something is not there, or is not named as a table of the contracts.
    """
    base = Path(mapping).parent if isinstance(mapping, str | Path) else None
    given = _mapping(mapping)
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
    raw = {name: read(item, given, name, base) for name, item in found.items()}
    return raw, given, base


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
    if source is None:
        for name in ("database", "file"):
            given = mapping.option(table, name)
            if given:
                path = Path(given)
                source = path if path.is_absolute() or base is None else base / path
                break
    if isinstance(source, str | Path):
        return _read_file(Path(source), mapping, table)
    return from_memory(source)


def from_memory(source: Any) -> pl.DataFrame:
    """Take a Polars or pandas frame; pandas is recognised by name, never imported.

    Raises
    ------
    SourceError
        If it is neither.
    """
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if isinstance(source, pl.DataFrame):
        return source
    if type(source).__module__.split(".")[0] == "pandas" and hasattr(source, "columns"):
        return _from_pandas(source)
    raise SourceError(
        f"expected a Polars or pandas frame, a path, or a dict of them, got {type(source).__name__}"
    )


def _from_pandas(frame: Any) -> pl.DataFrame:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise SourceError("expected distinct column names, got some twice in the pandas frame")
    made = [_series(name, frame.iloc[:, place]) for place, name in enumerate(names)]
    return pl.DataFrame(made)


def _series(name: str, column: Any) -> pl.Series:
    """Turn a pandas column into a Polars series without pyarrow; missing becomes null."""
    kind = str(column.dtype)
    missing = pl.Series("missing", column.isna().to_numpy(dtype=bool))
    if kind.startswith("datetime64"):
        zone = getattr(column.dt, "tz", None)
        flat = column.dt.tz_convert("UTC").dt.tz_localize(None) if zone is not None else column
        micros = pl.Series(name, flat.to_numpy().astype("datetime64[us]"))
        if zone is not None:
            named = getattr(zone, "key", None) or str(zone)
            micros = micros.dt.replace_time_zone("UTC")
            with_zone = named if "/" in named else "UTC"
            return micros.dt.convert_time_zone(with_zone)
        return micros
    if kind[:3].lower() in ("int", "uin", "flo", "boo"):
        lower = kind.lower() if kind != "boolean" else "bool"
        if not missing.any():
            return pl.Series(name, column.to_numpy(dtype=lower))
        if lower.startswith("float"):
            return pl.Series(name, column.to_numpy(dtype=lower, na_value=float("nan"))).fill_nan(
                None
            )
    values = [None if gone else item for item, gone in zip(column, missing, strict=True)]
    return _from_list(name, values)


def _from_list(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(item) for item in values if item is not None}
    if len(kinds) <= 1 or kinds <= {int, float}:
        try:
            return pl.Series(name, values, strict=False)
        except (TypeError, pl.exceptions.PolarsError):
            pass
    return pl.Series(name, [None if item is None else str(item) for item in values], pl.String)


def _read_file(path: Path, mapping: Mapping, table: str) -> pl.DataFrame:
    if not path.is_file():
        near = path.parent if path.parent.is_dir() else None
        names = sorted(item.name for item in near.iterdir())[:20] if near else []
        raise SourceError(f"{table}: " + unknown("file", path.name, names))
    lower = path.name.lower()
    if lower.endswith(PARQUET_ENDINGS):
        try:
            return pl.read_parquet(path)
        except pl.exceptions.PolarsError as error:
            raise SourceError(f"{path.name} is not a readable Parquet file: {error}") from error
    if lower.endswith(EXCEL_ENDINGS):
        return _read_excel(path, mapping.option(table, "sheet"))
    if lower.endswith(TEXT_ENDINGS):
        return read_text(path, mapping, table)
    if lower.endswith(DATABASE_ENDINGS) or mapping.is_set(table, "sql"):
        return _read_query(path, mapping.option(table, "sql"), table)
    raise SourceError(
        f"{path.name}: expected a file ending in "
        + ", ".join((*TEXT_ENDINGS, *PARQUET_ENDINGS, *EXCEL_ENDINGS, *DATABASE_ENDINGS))
    )


def read_text(path: Path, mapping: Mapping, table: str) -> pl.DataFrame:
    """Read a text file, every cell as text; its delimiter and encoding as set or as seen."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    encoding = mapping.option(table, "encoding") or seen_encoding(data)
    try:
        if encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig"):
            data = data.decode(encoding).encode()
        else:
            data = data.removeprefix(b"\xef\xbb\xbf")
            data[:_SAMPLE].decode("utf-8", errors="strict" if len(data) < _SAMPLE else "ignore")
    except (LookupError, UnicodeError) as error:
        raise SourceError(f"{path.name} cannot be read as {encoding}: {error}") from error
    skip = int(mapping.option(table, "skip_rows"))
    delimiter = mapping.option(table, "delimiter") or seen_delimiter(data[:_SAMPLE], skip)
    if not data.strip():
        raise SourceError(f"{path.name} is empty; expected a header and rows")
    if delimiter == "whitespace":
        data, delimiter = _squeezed(data, skip), "\t"
        skip = 0
    quote = mapping.option(table, "quote")
    try:
        frame = pl.read_csv(
            io.BytesIO(data),
            separator=delimiter,
            quote_char=quote or None,
            skip_rows=skip,
            infer_schema=False,
            truncate_ragged_lines=False,
        )
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0]
        raise SourceError(
            f"{path.name} cannot be read as text parted by {delimiter!r}: {first}"
        ) from error
    return frame.rename({name: name.strip() for name in frame.columns})


def _squeezed(data: bytes, skip: int) -> bytes:
    lines = pl.Series(data.decode().splitlines()[skip:])
    parted = lines.str.strip_chars().str.replace_all(r"\s+", "\t")
    return "\n".join(parted.filter(parted != "").to_list()).encode()


def seen_encoding(data: bytes) -> str:
    """Which encoding is this text in? UTF-8 if it decodes as such, else by its marks.

    Examples
    --------
    >>> seen_encoding("Größe".encode("latin-1")), seen_encoding("Größe".encode())
    ('cp1252', 'utf-8')
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return (
            "cp1252"
            if not any(b in data for b in (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d"))
            else "latin-1"
        )
    return "utf-8"


def seen_delimiter(sample: bytes, skip: int = 0) -> str:
    r"""Which sign parts the cells? The one that gives the most columns, evenly over the lines.

    Examples
    --------
    >>> seen_delimiter(b"a;b;c\n1;2,5;x\n"), seen_delimiter(b" id  day\n 1  2\n")
    (';', 'whitespace')
    """
    lines = sample.decode("utf-8", errors="replace").splitlines()[skip : skip + 50]
    lines = [line for line in lines if line.strip()]
    best, most = ",", 1
    for sign in DELIMITERS:
        widths = [len(row) for row in csv.reader(lines, delimiter=sign)]
        if widths and widths[0] > most and widths.count(widths[0]) >= 0.8 * len(widths):
            best, most = sign, widths[0]
    if most > 1 or not lines:
        return best
    blanks = [len(line.split()) for line in lines]
    even = blanks[0] > 1 and all(width == blanks[0] for width in blanks)
    return "whitespace" if even else best


def _read_excel(path: Path, sheet: str | int | None) -> pl.DataFrame:
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


def _read_query(path: Path, sql: str | None, table: str) -> pl.DataFrame:
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
            series = _from_list(name, values.tolist())
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
    return pl.DataFrame([_from_list(n, values) for n, values in zip(names, lists, strict=True)])
