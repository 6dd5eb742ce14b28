"""CSV and XLSX files that a spreadsheet can open without running what is in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from segkit.errors import ParameterError, WriteError

if TYPE_CHECKING:
    import polars as pl

MOST_SHEET_ROWS = 1_048_575
LONGEST_NAME = 31  # letters that the name of a sheet may have
WIDEST = 60  # characters of a column
_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
# What a spreadsheet takes for the beginning of a formula, in ASCII and in full width; apostrophes
# before it count too, so that `restore` gives back what `defuse` was given.
_FORMULA = r"^'*\s*[=+\-@\t\r\n＝＋－＠]"
# A number as text is a value, not a formula: it evaluates to itself.
_NUMBER = r"^\s*[+\-]?(\d+|\d{1,3}([., ]\d{3})+)([.,]\d+)?([eE][+\-]?\d+)?\s*%?\s*$"
_DEFUSED = r"^''*\s*[=+\-@\t\r\n＝＋－＠]"


def defuse(frame: pl.DataFrame) -> pl.DataFrame:
    r"""Put an apostrophe before every text that a spreadsheet would run as a formula.

    Numbers stay numbers, those written as text too ("-12.50"); ids stay text. Any other text that
    begins with ``= + - @``, a tab or a line break (also after blanks, also in full width) is led
    by ``'``; `restore` takes it away again. Names of columns are treated likewise. Source: OWASP,
    "CSV Injection".

    Examples
    --------
    >>> import polars as pl
    >>> defuse(pl.DataFrame({"name": ["=1+1", "Ann", "-5"], "n": [-1, 2, 3]}))["name"].to_list()
    ["'=1+1", 'Ann', '-5']
    """
    import polars as pl

    texts = [name for name, kind in frame.schema.items() if _is_text(kind)]
    led = frame.with_columns(
        pl.when(
            pl.col(name).cast(pl.String).str.contains(_FORMULA)
            & ~pl.col(name).cast(pl.String).str.contains(_NUMBER)
        )
        .then(pl.concat_str(pl.lit("'"), pl.col(name).cast(pl.String)))
        .otherwise(pl.col(name).cast(pl.String))
        .alias(name)
        for name in texts
    )
    names = pl.Series(frame.columns, dtype=pl.String)
    formula = names.str.contains(_FORMULA) & ~names.str.contains(_NUMBER)
    new = {name: f"'{name}" for name in names.filter(formula)}
    return led.rename(new) if new else led


def restore(frame: pl.DataFrame) -> pl.DataFrame:
    """Take away the apostrophe that `defuse` put before a text; the inverse of `defuse`.

    Every reader of text files applies it, so that segkit reads its own files back. Names of columns
    that would be the same without their apostrophe (``'=a`` beside ``=a``) are left: no file of
    `defuse` holds both.

    Examples
    --------
    >>> import polars as pl
    >>> restore(pl.DataFrame({"name": ["'=1+1", "'tis", "-5"]}))["name"].to_list()
    ['=1+1', "'tis", '-5']
    """
    import polars as pl

    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    led = frame.with_columns(
        pl.when(pl.col(name).str.contains(_DEFUSED))
        .then(pl.col(name).str.slice(1))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )
    names = pl.Series(frame.columns, dtype=pl.String)
    new = {name: name[1:] for name in names.filter(names.str.contains(_DEFUSED))}
    # Where a name would come twice, `defuse` did not write these: all stay as they are.
    new_names = {new.get(name, name) for name in frame.columns}
    return led.rename(new) if new and len(new_names) == frame.width else led


def _is_text(kind: pl.DataType) -> bool:
    import polars as pl

    return kind == pl.String or isinstance(kind, pl.Categorical | pl.Enum)


def as_csv(frame: pl.DataFrame, *, quote_text: bool = False, **options: Any) -> bytes:
    r"""Return a frame as the bytes of a CSV file, its formulas defused.

    Parameters
    ----------
    frame : polars.DataFrame
        Without nested columns.
    quote_text : bool
        Quote every text: a reader that honours quotes keeps the zeros of "007".
    **options
        For polars' own ``write_csv``.

    Examples
    --------
    >>> import polars as pl
    >>> as_csv(pl.DataFrame({"name": ["@SUM(A1)"], "n": [1]}))
    b"name,n\n'@SUM(A1),1\n"
    """
    style: Literal["non_numeric"] | None = "non_numeric" if quote_text else None
    text: str = defuse(frame).write_csv(quote_style=style, **options)
    return text.encode()


def as_xlsx(frame: pl.DataFrame, name: str) -> bytes:
    """Return a frame as the bytes of a workbook of one sheet, as `as_workbook` does of several."""
    return as_workbook({"list": frame}, name)


def as_workbook(sheets: Mapping[str, pl.DataFrame], name: str) -> bytes:
    """Return frames as the bytes of a workbook, ids as text, formulas defused.

    The headings stay in view, and each column is as wide as its longest value.

    Parameters
    ----------
    sheets : mapping of str to polars.DataFrame
        Name of each sheet to its rows. Of a name, signs that no sheet may have are replaced, and
        31 letters are kept.
    name : str
        Of the file, for errors.

    Raises
    ------
    ParameterError
        If a sheet cannot hold so many rows, or two names are alike.
    WriteError
        If the workbook's temporary files cannot be written.
    """
    from xlsxwriter import Workbook  # type: ignore[import-untyped]
    from xlsxwriter.exceptions import FileCreateError  # type: ignore[import-untyped]

    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "constant_memory": True,
        "in_memory": False,
    }
    names = [_FORBIDDEN.sub("-", title).strip("'")[:LONGEST_NAME] or "sheet" for title in sheets]
    if len({title.casefold() for title in names}) < len(names):
        raise ParameterError(f"sheets need different names, got {', '.join(names)}")
    for frame in sheets.values():
        if frame.height > MOST_SHEET_ROWS:
            raise ParameterError(
                f"a sheet holds {MOST_SHEET_ROWS:,} rows, the table {frame.height:,}; take csv"
            )
    buffer = BytesIO()
    try:
        with Workbook(buffer, options) as book:
            for title, frame in zip(names, sheets.values(), strict=True):
                _fill(book, book.add_worksheet(title), defuse(frame))
    except FileCreateError as error:  # its temporary files: the sheet is made aside
        cause = error.args[0] if error.args else error
        number, words = getattr(cause, "errno", None), getattr(cause, "strerror", None)
        raise WriteError(number, words or str(cause), name) from error
    return buffer.getvalue()


def _fill(book: Any, sheet: Any, frame: pl.DataFrame) -> None:
    """Write headings and rows to a sheet, row by row."""
    text, bold = book.add_format({"num_format": "@"}), book.add_format({"bold": True})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet.freeze_panes(1, 0)
    for column, heading in enumerate(frame.columns):
        lengths = frame[heading].cast(str, strict=False).str.len_chars().fill_null(0)
        sheet.set_column(column, column, min(WIDEST, max(len(heading), *lengths) + 2))
        sheet.write_string(0, column, heading, bold)
    for row, values in enumerate(frame.iter_rows(), start=1):
        for column, value in enumerate(values):
            if isinstance(value, str):
                sheet.write_string(row, column, value, text)
            elif isinstance(value, date) and not isinstance(value, datetime):
                sheet.write_datetime(row, column, value, day)
            elif value is not None:
                sheet.write(row, column, value)
