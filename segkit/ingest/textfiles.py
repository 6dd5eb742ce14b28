"""How is a text file read? As text, cell by cell, its encoding and delimiter as seen."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import polars as pl

from segkit.errors import SourceError
from segkit.ingest.mapping import Mapping
from segkit.spreadsheets import restore

DELIMITERS = (",", ";", "\t", "|")
_SAMPLE = 1 << 20


def read_text(path: Path, mapping: Mapping, table: str) -> pl.DataFrame:
    """Read a text file, every cell as text; its delimiter and encoding as set or as seen.

    The apostrophe that keeps a spreadsheet from running a cell is taken away
    (`segkit.spreadsheets.restore`), so that segkit reads its own files back.
    """
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
    return restore(frame).rename({name: name.strip() for name in frame.columns})


def first_line(path: Path, mapping: Mapping, table: str, rows: int) -> int | None:
    """On which line of a text file does its first row stand? None where lines are not rows.

    A cell that runs over several lines, or an empty line, makes the line of a row unknown.
    """
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    above = int(mapping.option(table, "skip_rows")) + 1
    return above + 1 if lines == rows + above else None


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
