"""Text files: encoding, line ends, delimiter and header detected, every cell as text."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import SourceError
from segkit.intake.bookings import refuse_datev
from segkit.intake.encodings import SAMPLE, UTF8, older_encoding, seen_encoding
from segkit.intake.mapping import Mapping
from segkit.intake.reshape import filled_rows, spread_groups
from segkit.spreadsheets import restore

# Number of lines searched for a header.
SEARCHED = 50
# Number of rows by which columns of figures are told.
SAMPLE_ROWS = 1000
# Eastern figures; their sign between thousands must not part cells.
_DIGITS = "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹"
_EASTERN_BYTES = b"|".join(sign.encode() for sign in _DIGITS)
_EASTERN = str.maketrans(_DIGITS + "٫٬", "01234567890123456789" + ".’")
_VALUE = r"[\s\d.,:/+\-€$£¥%]*\d[\s\d.,:/+\-€$£¥%]*"

Row = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class RawTable:
    """Rows of a file, query or frame, with notes on how they were read."""

    frame: pl.DataFrame
    first_line: int | None = None  # of a text file: where row 0 stands, if rows are lines
    notes: tuple[str, ...] = ()
    title: str = ""  # what stands above the header


def header_place(rows: Sequence[Row]) -> int:
    """Find the header: the first row, unless it is a title above a table.

    Titles are rows narrower than most; the row taken instead is as wide as most and holds names,
    no numbers and no dates. Otherwise the first row is the header.

    Examples
    --------
    >>> header_place([["Report of sales"], [], ["id", "day"], ["a", "2024-01-05"]])
    2
    >>> header_place([["id", "day"], ["a", "2024-01-05"]])
    0
    """
    widths = [sum(bool(cell and cell.strip()) for cell in row) for row in rows[:SEARCHED]]
    filled = Counter(width for width in widths if width > 1)
    if not filled:
        return 0
    usual = max(filled, key=lambda width: (filled[width], width))
    if widths[0] >= usual or widths[0] > 2:
        return 0
    for place, row in enumerate(rows[:SEARCHED]):
        names = [cell.strip() for cell in row if cell and cell.strip()]
        if len(names) >= usual and not any(re.fullmatch(_VALUE, name) for name in names):
            return place
    return 0


def described_rows(names: Row, rows: Sequence[Row]) -> int:
    """Count the rows below a header that say in words what its columns hold.

    These fill the columns, and have no figure in any of those that hold figures below.

    Examples
    --------
    >>> orders = [["A1", "5.50", "2024-01-05"], ["A2", "7", "2024-01-06"]]
    >>> described_rows(["id", "sum", "day"], [["Our number.", "In euro.", "When."], *orders])
    1
    >>> described_rows(["id", "sum", "day"], orders)
    0
    """
    names = [(name or "").strip() for name in names]
    cells = [[(cell or "").strip() for cell in row] for row in rows[:SEARCHED]]
    cells = [row for row in cells if len(row) == len(names)]
    for count, row in enumerate(cells[:-1]):
        columns = [[*filter(None, column)] for column in zip(*cells[count + 1 :], strict=True)]
        figures = [
            n
            for n, column in enumerate(columns)
            if column and sum(map(_has_figure, column)) > 0.95 * len(column)
        ]
        words = sum(map(bool, row)) > 0.8 * len(names) and row != names
        if len(figures) < 2 or not words or any(not row[n] or _has_figure(row[n]) for n in figures):
            return count
    return 0


def _has_figure(text: str) -> bool:
    return re.search(r"\d", text) is not None


def note_described(path: Path, rows: int) -> list[str]:
    """Say how many rows below the header describe the columns; nothing without any."""
    what = (
        f"{counted(rows, 'row')} below the header that {'describes' if rows == 1 else 'describe'}"
    )
    return [f"{path.name}: {what} the columns left out"] if rows else []


def distinct_names(names: Row) -> tuple[list[str], list[str]]:
    """Make names distinct: the second of two gets " (2)", an empty name its position.

    The changes are returned in sentences.

    Examples
    --------
    >>> distinct_names(["id", "amount ", "amount", None])[0]
    ['id', 'amount', 'amount (2)', 'column 4']
    """
    distinct: list[str] = []
    notes = []
    bare = [(name or "").strip().strip("\ufeff") for name in names]
    taken = Counter(name for name in bare if name)
    for place, name in enumerate(bare, 1):
        new, again = name or f"column {place}", 1
        while new in distinct:
            again += 1
            new = f"{name or f'column {place}'} ({again})"
        distinct.append(new)
    for name, count in taken.items():
        if count > 1:
            later = [new for new, old in zip(distinct, bare, strict=True) if old == name][1:]
            listed = ", ".join(repr(new) for new in later)
            notes.append(
                f"{counted(count, 'column is', 'columns are')} called {name!r}; the later are "
                f"named {listed}"
            )
    return distinct, notes


DELIMITERS = (",", ";", "\t", "|")
_MARKS = {b"PK\x03\x04": "a ZIP archive or workbook", b"PAR1": "a Parquet file"}
_MARKS |= {b"\xd0\xcf\x11\xe0": "an old Excel workbook", b"SQLite format 3": "a SQLite file"}


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How the rows of a text file are written."""

    columns: list[str]  # distinct names
    delimiter: str
    quote: str | None
    body: int  # position of the first row, in bytes of UTF-8
    first_line: int  # line on which it stands
    title: str  # what stands above the header


def read_text(path: Path, mapping: Mapping, table: str) -> RawTable:
    """Read a text file, every cell as text; delimiter, encoding and header set or detected.

    The apostrophe that keeps a spreadsheet from running a cell is taken away
    (`segkit.spreadsheets.restore`), so that segkit reads its own files back. A file that is cut
    short, is no text, or makes no table is a `SourceError`, which says where, and which options
    help.
    """
    notes: list[str] = []
    data = read_utf8(path, mapping, table, notes)
    if not re.search(rb"\S", data):
        raise SourceError(f"{path.name} is empty; expected a header and rows")
    if b"\n" not in data and b"\r" in data:
        data = data.replace(b"\r", b"\n")
        notes.append(f"{path.name}: lines end in a carriage return alone (old Mac); read as such")
    refuse_datev(path.name, data[:100])
    layout, data = find_text_layout(path, data, mapping, table, notes)
    body = data[layout.body :]
    frame = read_rows(path, body, layout, notes)
    _refuse_second_table(path, frame, layout.columns, layout.first_line)
    frame, changes = spread_groups(frame, layout.title)
    notes += [f"{path.name}: {line}" for line in changes]
    rows = body.count(b"\n") + bool(body and not body.endswith(b"\n"))
    first = layout.first_line if rows == frame.height else None
    filled = filled_rows(frame)
    if filled is not None:
        first = first if filled.is_sorted(descending=True) else None  # blank lines at the end
        frame = frame.filter(filled)
    return RawTable(restore_cells(frame, body), first, tuple(notes), layout.title)


def find_text_layout(
    path: Path, data: bytes, mapping: Mapping, table: str, notes: list[str]
) -> tuple[TextLayout, bytes]:
    """Find delimiter and header from the start of a file; return its text parted by one sign."""
    skip = int(mapping.option(table, "skip_rows"))
    delimiter = mapping.option(table, "delimiter")
    above = _after_lines(data, skip)
    stated = re.match(r"sep=(.)\r?\n", _start(data, above, 10))
    if stated and not mapping.is_set(table, "skip_rows"):
        skip, delimiter = skip + 1, delimiter or stated[1]
        above = _after_lines(data, skip)
    quote = mapping.option(table, "quote")
    sample = _start(data, above)
    delimiter = delimiter or seen_delimiter(sample)
    if delimiter == "whitespace":
        parted = (re.sub(r"\s+", "\t", line.strip()) for line in data[above:].decode().split("\n"))
        data, delimiter, above = "\n".join(filter(None, parted)).encode(), "\t", 0
        sample = _start(data, above)
    if not mapping.is_set(table, "skip_rows"):
        above_lines = sample.split("\n")[:SEARCHED]
        titles = header_place(
            [row for line in above_lines for row in _parsed([line], delimiter, quote) or [[]]]
        )
        if titles:
            skip, above = skip + titles, _after_lines(data, titles, above)
            notes.append(
                f"{path.name}: {counted(titles, 'line')} above the header "
                f"{'is' if titles == 1 else 'are'} skipped (skip_rows = {skip})"
            )
    names, lines = _header(_start(data, above), delimiter, quote)
    columns, changes = distinct_names(names)
    notes += [f"{path.name}: {line}" for line in changes]
    title = _start(data, 0, _after_lines(data, skip))
    body = _after_lines(data, lines, above)
    described, more = _described(_start(data, body), names, delimiter, quote)
    notes += note_described(path, described)
    lines, body = lines + more, _after_lines(data, more, body)
    return TextLayout(columns, delimiter, quote, body, skip + lines + 1, title), data


def _refuse_second_table(
    path: Path, frame: pl.DataFrame, names: list[str], first_line: int
) -> None:
    """Raise if a second header stands among the rows: names in columns that hold figures."""
    sample = frame.head(min(SAMPLE_ROWS, max(10, frame.height // 4)))
    shares = sample.select(pl.col(name).str.contains(r"\d").mean() for name in names).row(0)
    figures = [name for name, share in zip(names, shares, strict=True) if (share or 0) > 0.95][:4]
    if len(figures) < 3:
        return
    rows = frame.with_row_index("__row").select("__row", *names)[:-1]
    for name in figures:
        rows = rows.filter(~pl.col(name).str.contains(r"\d") & (pl.col(name) != ""))
    repeated = (pl.col(name).str.strip_chars() == name for name in figures)
    second = rows.filter(~pl.all_horizontal(repeated)).head(1)
    if second.height:
        row, *cells = second.row(0)
        listed = ", ".join(str(cell).strip() for cell in cells if cell)
        raise SourceError(
            f"{path.name} seems to hold a second table, with another header about line "
            f"{number(first_line + row)} ({listed}); save each table in a file of its own"
        )


def _unpacked(path: Path) -> bytes:
    """Read a file's bytes, unpacked where they are gzip."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}") from error
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            what = "is cut short" if isinstance(error, EOFError) else "is damaged"
            raise SourceError(
                f"{path.name} {what} (gzip: {error}); copy or download it again"
            ) from error
    for mark, kind in _MARKS.items():
        if data.startswith(mark):
            raise SourceError(
                f"{path.name} is {kind}, not a text file; give it the ending of its kind, "
                "or unpack it"
            )
    return data


def read_utf8(path: Path, mapping: Mapping, table: str, notes: list[str]) -> bytes:
    """Read a file, unpacked, from the encoding that is set or detected; text in UTF-8 as it is."""
    return in_utf8(path, _unpacked(path), mapping.option(table, "encoding"), table, notes)


def in_utf8(path: Path, data: bytes, encoding: str | None, table: str, notes: list[str]) -> bytes:
    """Turn a file's bytes, or some of its lines, into UTF-8."""
    chosen = encoding or seen_encoding(data, path.name, table)
    try:
        if chosen.lower().replace("_", "-") in UTF8:
            text = None if not encoding or data.isascii() else data.decode()
        elif chosen == "mixed":
            text, odd, older = _mixed(data, path.name, table)
            notes.append(
                f"{path.name}: {counted(odd, 'line')} not in UTF-8 as the rest "
                f"{'is' if odd == 1 else 'are'} read as {older} (encoding)"
            )
        else:
            if not encoding and not chosen.startswith("utf"):
                notes.append(f"{path.name}: not in Unicode; read as {chosen} (encoding)")
            text = data.decode(chosen)
    except (LookupError, ValueError) as error:
        raise SourceError(
            f"{path.name} cannot be read as {chosen}: {error}; set encoding to the file's own"
        ) from error
    if not isinstance(text, str | None):
        raise SourceError(f"{path.name} cannot be read as {chosen}: that is no encoding of text")
    if text is not None:  # half of a character's pair cannot be written as UTF-8
        data = text.encode(errors="replace")
    place = data.find(b"\0")
    if place >= 0:
        line = data.count(b"\n", 0, place) + 1
        raise SourceError(
            f"{path.name} holds a NUL character on line {number(line)}: it is damaged, no text, or "
            "in another encoding (encoding)"
        )
    if not data.isascii() and re.search(_EASTERN_BYTES, data):
        data = data.decode().translate(_EASTERN).encode()
        notes.append(f"{path.name}: Arabic and Persian figures are read as 0 to 9")
    return data.removeprefix(b"\xef\xbb\xbf")


def _start(data: bytes, place: int, size: int = SAMPLE) -> str:
    """Return the text from a position on, some of it."""
    return data[place : place + size].decode(errors="ignore")


def _mixed(data: bytes, name: str, table: str) -> tuple[str, int, str]:
    """Decode lines in UTF-8, and those that are not in an older encoding; count the latter."""
    lines: list[str | bytes] = []
    for line in data.split(b"\n"):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(line)
    odd = [line for line in lines if isinstance(line, bytes)]
    older = older_encoding(b"\n".join(odd), name, table)
    decoded = (one if isinstance(one, str) else one.decode(older, "replace") for one in lines)
    return "\n".join(decoded), len(odd), older


def seen_delimiter(sample: str) -> str:
    r"""Detect the delimiter: the sign that gives the most columns, equal over the lines.

    Examples
    --------
    >>> seen_delimiter("a;b;c\n1;2,5;x\n"), seen_delimiter(" id  day\n 1  2\n")
    (';', 'whitespace')
    """
    lines = [line for line in sample.split("\n")[:SEARCHED] if line.strip()]
    widths = {sign: [len(row) for row in _parsed(lines, sign, '"')] for sign in DELIMITERS}
    # From the first line, or else below titles, which have much fewer cells than the table.
    first, narrow = ",", 1
    for titles in (False, True):
        best, most = first, 2 * narrow if titles and narrow > 1 else 1
        for sign, row_widths in widths.items():
            usual, count = Counter(row_widths).most_common(1)[0] if row_widths else (0, 0)
            start = row_widths.index(usual) if row_widths else 0
            even = count >= 0.8 * (len(row_widths) - start) and count > start
            if usual > most and even and (titles or start == 0):
                best, most = sign, usual
        if titles and (best != first or narrow > 1):
            return best
        first, narrow = best, most
    if not lines:
        return best
    blanks = [len(line.split()) for line in lines]
    even = blanks[0] > 1 and all(width == blanks[0] for width in blanks)
    return "whitespace" if even else best


def _parsed(lines: list[str], delimiter: str, quote: str | None) -> list[list[str]]:
    """Split lines into cells; rows that an unmatched quote makes unreadable are left out."""
    try:
        return list(_cells((f"{line.rstrip(chr(13))}\n" for line in lines), delimiter, quote))
    except (csv.Error, TypeError, ValueError):
        return [line.split(delimiter) for line in lines]


def _cells(lines: Iterable[str], delimiter: str, quote: str | None, *, strict: bool = False) -> Any:
    """Split lines into cells with Python's own reader."""
    if not quote:
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=strict)


def _after_lines(data: bytes, lines: int, place: int = 0) -> int:
    """Return the position after so many lines."""
    for _ in range(lines):
        end = data.find(b"\n", place)
        if end < 0:
            return len(data)
        place = end + 1
    return place


def _header(text: str, delimiter: str, quote: str | None) -> tuple[list[str], int]:
    """Read the names of the columns, and the number of lines that they take."""
    reader = _cells(io.StringIO(text, newline=""), delimiter, quote)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                return row, reader.line_num
    except csv.Error:
        pass
    line = text.split("\n", 1)[0]
    return line.split(delimiter), 1


def _described(text: str, names: Row, delimiter: str, quote: str | None) -> tuple[int, int]:
    """Count the rows below the header that describe the columns, and the lines that they take."""
    reader = _cells(io.StringIO(text, newline=""), delimiter, quote)
    try:
        rows, ends = zip(*((row, reader.line_num) for row in islice(reader, SEARCHED)), strict=True)
    except (csv.Error, ValueError):  # quotes within cells; no rows
        return 0, 0
    described = described_rows(names, rows)
    return described, ends[described - 1] if described else 0


def read_rows(path: Path, body: bytes, layout: TextLayout, notes: list[str]) -> pl.DataFrame:
    """Read rows under a header; on lines that do not fit, read them one by one."""
    delimiter, quote = layout.delimiter, layout.quote or None
    schema = dict.fromkeys(layout.columns, pl.String)
    try:
        return pl.read_csv(
            body, separator=delimiter, quote_char=quote, has_header=False, schema=schema
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError):
        return _one_by_one(path, body.decode(), layout, notes)


def restore_cells(frame: pl.DataFrame, body: bytes) -> pl.DataFrame:
    """Take away the apostrophes before formulas, where the text or the header has any."""
    defused = b"'" in body or any(name.startswith("'") for name in frame.columns)
    return restore(frame) if defused else frame


def _one_by_one(path: Path, body: str, layout: TextLayout, notes: list[str]) -> pl.DataFrame:
    """Read rows that the fast reader rejects: quotes within cells, or extra empty cells."""
    names, delimiter, quote = layout.columns, layout.delimiter, layout.quote
    reader = _cells(io.StringIO(body, newline=""), delimiter, quote)
    width, line = len(names), layout.first_line
    rows: list[list[str | None]] = []
    beyond = False
    options = "delimiter, quote and skip_rows say how to read it"
    try:
        for row in reader:
            if any(cell.strip() for cell in row[width:]):
                raise SourceError(
                    f"{path.name}: line {number(line)} has {counted(len(row), 'cell')}, the header "
                    f"{number(width)}; a {delimiter!r} within a cell must stand in quotes "
                    f"({options})"
                )
            beyond = beyond or len(row) > width
            rows.append([*row[:width], *[None] * (width - len(row))])
            line = layout.first_line + reader.line_num
    except csv.Error as error:
        raise SourceError(
            f"{path.name} cannot be read as text parted by {delimiter!r}: line {number(line)}: "
            f"{error} ({options})"
        ) from error
    if quote and body.rstrip().count(quote) % 2 and _unclosed(body, delimiter, quote):
        raise SourceError(
            f"{path.name}: a quote ({quote}) that opens a cell is never closed; close it, or set "
            "quote = '' where quotes mean nothing"
        )
    what = "empty cells beyond the header are left out" if beyond else ""
    what = what or f"quotes ({quote}) within cells are read as they stand"
    notes.append(f"{path.name}: {what}")
    columns = list(zip(*rows, strict=True)) or [()] * width
    return pl.DataFrame(
        pl.Series(name, [cell or None for cell in cells], dtype=pl.String)
        for name, cells in zip(names, columns, strict=True)
    )


def _unclosed(body: str, delimiter: str, quote: str) -> bool:
    """Return whether the last quoted cell runs to the end of the file."""
    try:
        for _ in _cells(io.StringIO(body, newline=""), delimiter, quote, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False
