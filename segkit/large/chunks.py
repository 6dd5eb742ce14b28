"""Raw files in chunks of bounded size: Parquet by rows, text by blocks of whole lines."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl

from segkit.display import number
from segkit.errors import SourceError
from segkit.intake.calendars import Calendar, write_gregorian
from segkit.intake.encodings import seen_encoding
from segkit.intake.folders import is_file_of_table, table_by_name
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.readers import FILE_ENDINGS, TEXT_ENDINGS
from segkit.intake.readers import read_table as read_whole
from segkit.intake.reshape import filled_rows, join_names
from segkit.intake.textfiles import (
    TextLayout,
    find_text_layout,
    in_utf8,
    read_rows,
    restore_cells,
)
from segkit.intake.workbooks import readable
from segkit.schema import CONTRACTS
from segkit.writing import PARQUET

ROWS = 1_000_000  # of a chunk of Parquet
BLOCK = 64 << 20  # bytes of a chunk of text
SAMPLE = 300_000  # rows that the mapping is proposed from
CELLS = 10_000  # in quotes, in a row at most
PLACES = 10  # of a Parquet file that the sample is taken at
WHOLE = "give it in memory (segkit.segment)"


@dataclass(frozen=True, slots=True)
class RawFile:
    """A raw file that is read in chunks.

    Attributes
    ----------
    path : pathlib.Path
    table : str
        The contract's table.
    mapping : Mapping
        For the options that say how files are read.
    layout : TextLayout or None
        Of a text file.
    encoding : str
        Of a text file.
    rows : int or None
        Of a Parquet file.
    block : int
        Bytes of a chunk of text.
    calendars : dict of str to Calendar
        Of columns of dates that are no Gregorian ones.
    """

    path: Path
    table: str
    mapping: ColumnMapping
    layout: TextLayout | None = None
    encoding: str = ""
    rows: int | None = None
    block: int = BLOCK
    calendars: Mapping[str, Calendar] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, table: str, mapping: ColumnMapping, *, block: int = BLOCK) -> RawFile:
        """Look at the start of a file.

        Raises
        ------
        SourceError
            If the file is not there, or is of a kind that is only read whole.
        """
        name = path.name.lower()
        if not path.is_file():
            raise SourceError(f"{table}: there is no file {path.name}")
        file = cls(path, table, mapping, block=block)
        if name.endswith(PARQUET):
            with readable(path, "Parquet file"):
                return replace(file, rows=pl.scan_parquet(path).select(pl.len()).collect().item())
        if not name.endswith(TEXT_ENDINGS):
            if table in ("orders", "events"):
                raise SourceError(
                    f"{path.name}: expected Parquet or text (CSV) to read in chunks; {WHOLE}"
                )
            return file
        with file.handle() as handle:
            head = handle.read(min(block, 4 << 20))
        if not head.strip():
            raise SourceError(f"{path.name} is empty; expected a header and rows")
        encoding = mapping.option(table, "encoding") or seen_encoding(head, path.name, table)
        if encoding.lower().startswith(("utf-16", "utf_16", "utf-32", "utf_32")):
            raise SourceError(f"{path.name} is in {encoding}: save it in UTF-8, or {WHOLE}")
        whole_lines = head[: head.rfind(b"\n") + 1]
        if not whole_lines:
            raise SourceError(f"{path.name}: its lines do not end in a line feed; {WHOLE}")
        data = in_utf8(path, whole_lines, encoding, table, [])
        layout, parted = find_text_layout(path, data, mapping, table, [])
        if parted is not data:
            raise SourceError(f"{path.name} is parted by blanks; save it as CSV, or {WHOLE}")
        # Positions in the file itself: above the first row stand as many lines as in UTF-8.
        start = 0
        for _ in range(data.count(b"\n", 0, layout.body)):
            start = whole_lines.index(b"\n", start) + 1
        return replace(file, layout=replace(layout, body=start), encoding=encoding)

    @property
    def is_packed(self) -> bool:
        """Whether the bytes are gzip's, whatever the file's ending."""
        with self.path.open("rb") as handle:
            return handle.read(2) == b"\x1f\x8b"

    @contextmanager
    def handle(self) -> Iterator[BinaryIO]:
        """Open the file's bytes, unpacked."""
        with gzip.open(self.path) if self.is_packed else self.path.open("rb") as handle:
            try:
                yield cast("BinaryIO", handle)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                what = "is cut short" if isinstance(error, EOFError) else "is damaged"
                raise SourceError(
                    f"{self.path.name} {what} (gzip: {error}); copy or download it again"
                ) from error

    def count_chunks(self, start: int = 0) -> int | None:
        """Count the chunks from a position on; None where that is not known."""
        if self.rows is not None:
            return -(-(self.rows - start) // ROWS)
        if self.layout is None or self.is_packed:
            return None
        return -(-(self.path.stat().st_size - max(start, self.layout.body)) // self.block)

    def chunks(self, start: int = 0) -> Iterator[tuple[pl.DataFrame, int]]:
        """Yield chunks from a position on, each with the position after it.

        Positions are rows of Parquet and bytes of text; 0 is the first row.
        """
        for raw, place in self._raw_chunks(start):
            frame = join_names(raw)[0] if self.table == "orders" else raw
            yield write_gregorian(frame, self.calendars)[0], place

    def _raw_chunks(self, start: int) -> Iterator[tuple[pl.DataFrame, int]]:
        if self.rows is not None:
            for place in range(start, self.rows, ROWS):
                with readable(self.path, "Parquet file"):
                    part = pl.scan_parquet(self.path).slice(place, ROWS).collect()
                yield part, place + part.height
        elif self.layout is None:
            if not start:
                frame = read_whole(self.path, self.mapping, self.table).frame
                yield frame, frame.height
        else:
            yield from self._blocks(self.layout, max(start, self.layout.body))

    def _blocks(self, layout: TextLayout, place: int) -> Iterator[tuple[pl.DataFrame, int]]:
        quote, delimiter = (layout.quote or "").encode(), layout.delimiter.encode()
        # Where a block ends depends on where it begins alone, not on where reading began.
        with self.handle() as handle:
            handle.seek(place)
            left, size = b"", self.block
            while True:
                left += handle.read(max(0, size - len(left)))
                block, is_last = left[:size], len(left) < size
                if not block:
                    return
                end = len(block) if is_last else _end_of_lines(block, quote, delimiter)
                if end:
                    rows = self._rows(block[:end], layout, place)
                    place, left, size = place + end, left[end:], self.block
                    yield rows, place
                elif len(block) > 8 * self.block:
                    raise SourceError(
                        f"{self.path.name}: no line ends outside quotes in {len(block)} bytes; "
                        "set quote = '' where quotes mean nothing"
                    )
                else:
                    size += self.block

    def _rows(self, block: bytes, layout: TextLayout, start: int) -> pl.DataFrame:
        try:
            body = in_utf8(self.path, block, self.encoding, self.table, [])
        except SourceError as error:
            raise self._of_file(error, layout.first_line - 1, start) from error
        if not body.isascii():
            try:
                body.decode()
            except UnicodeDecodeError as error:
                raise SourceError(
                    f"{self.path.name} begins in UTF-8 and is something else further down; set "
                    "encoding to the file's own"
                ) from error
        try:
            frame = read_rows(self.path, body, layout, [])
        except SourceError as error:
            raise self._of_file(error, 0, start) from error
        filled = filled_rows(frame)
        return restore_cells(frame if filled is None else frame.filter(filled), body)

    def _of_file(self, error: SourceError, lines: int, start: int) -> SourceError:
        """Name the file's line in an error about a block that begins at a position."""
        with self.handle() as handle:
            handle.seek(self.layout.body if self.layout else 0)
            while handle.tell() < start:
                lines += handle.read(min(self.block, start - handle.tell())).count(b"\n")

        def named(match: re.Match[str]) -> str:
            return f"line {number(int(match[1].replace(',', '')) + lines)}"

        return SourceError(re.sub(r"line ([\d,]+)", named, str(error)))

    def sample(self) -> pl.DataFrame:
        """Return a sample of the rows; all rows of a small file."""
        if self.rows is not None and self.rows > SAMPLE:
            step, some = self.rows // PLACES, SAMPLE // PLACES
            lazy = pl.scan_parquet(self.path)
            return pl.concat([lazy.slice(k * step, some).collect() for k in range(PLACES)])
        first = next(self.chunks(), None)
        if first is None:
            raise SourceError(f"{self.path.name} holds no rows")
        return first[0].head(SAMPLE)


def _end_of_lines(block: bytes, quote: bytes, delimiter: bytes) -> int:
    """Return the position after the last line that ends outside quotes; 0 without any.

    A quote opens at the start of a cell only, as for the readers of whole files.
    """
    if not quote or quote not in block:
        return block.rfind(b"\n") + 1
    q, sign = re.escape(quote), re.escape(delimiter)
    cell = rb"(?:\A|(?<=[%s\r\n]))%s[^%s]*(?:%s%s[^%s]*)*(%s|\Z)" % (sign, q, q, q, q, q, q)
    until = len(block)
    for match in reversed(deque(re.finditer(cell, block), maxlen=CELLS)):
        end = block.rfind(b"\n", match.end(), until) + 1 if match[1] else 0
        if end:
            return end
        until = match.start()
    return block.rfind(b"\n", 0, until) + 1


def concat_samples(samples: Sequence[pl.DataFrame], files: Sequence[RawFile]) -> pl.DataFrame:
    """Put the samples of a table's files together, whatever the order of their columns.

    Raises
    ------
    SourceError
        If they have different columns.
    """
    first = samples[0].columns
    for sample, file in zip(samples, files, strict=True):
        if set(sample.columns) != set(first):
            raise SourceError(
                f"{file.table}: {files[0].path.name} and {file.path.name} have different columns "
                f"({', '.join(sorted(set(sample.columns) ^ set(first)))}); expected files of the "
                "same layout"
            )
    return pl.concat([sample.select(first) for sample in samples], how="vertical_relaxed")


def list_files(source: Any, mapping: ColumnMapping, base: Path | None) -> dict[str, list[Path]]:
    """List the files of each table of a source: a path, a folder, paths by table, or a mapping's.

    Raises
    ------
    SourceError
        If there is none, a table is unknown, or something is given that is no path.
    """
    if source is None:
        named = {table: mapping.option(table, "file") for table in mapping.tables}
        source = {table: (base or Path()) / file for table, file in named.items() if file}
    if isinstance(source, str | Path) and not Path(source).is_dir():
        source = {"orders": source}
    if isinstance(source, str | Path):
        folder = Path(source)
        files = [file for file in sorted(folder.iterdir()) if is_file_of_table(file, FILE_ENDINGS)]
        stems = {file.name.split(".")[0].lower() for file in files}
        tables: dict[str, list[Path]] = {}
        for file in files:
            stem = file.name.split(".")[0].lower()
            table = stem if stem in CONTRACTS else table_by_name(file.name)
            if table is not None and (stem == table or table not in stems):
                tables.setdefault(table, []).append(file)
        source = tables
    if not isinstance(source, Mapping) or not source:
        raise SourceError("expected a file, a folder of tables, or paths by table to read")
    listed = {}
    for table, paths in source.items():
        each = paths if isinstance(paths, list | tuple) else [paths]
        are_paths = bool(each) and all(isinstance(path, str | Path) for path in each)
        if table not in CONTRACTS or not are_paths:
            raise SourceError(f"{table}: expected paths of files by table ({', '.join(CONTRACTS)})")
        listed[str(table)] = [Path(path) for path in each]
    if "orders" not in listed:
        raise SourceError(f"segments need orders; the source has {', '.join(listed)}")
    return listed
