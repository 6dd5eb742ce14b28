"""How is a list written? Ids as text, formulas defused, one file an offer."""

from __future__ import annotations

import importlib.util
import re
from io import BytesIO
from pathlib import Path

import polars as pl

from segkit.errors import ParameterError, WriteError, unknown
from segkit.writing import write_frame, write_whole

FORMATS = ("csv", "xlsx", "parquet")
# What a spreadsheet takes for the beginning of a formula, in ASCII and in full width.
_FORMULA = r"^[\s]*[=+\-@\t\r\n＝＋－＠]"


def defuse(frame: pl.DataFrame) -> pl.DataFrame:
    r"""Put an apostrophe before every text that a spreadsheet would run as a formula.

    Numbers stay numbers; ids stay text. A text that begins with ``= + - @``, a tab or a line
    break (also after blanks, also in full width) is led by ``'``. Source: OWASP, "CSV injection".

    Examples
    --------
    >>> defuse(pl.DataFrame({"name": ["=1+1", "Ann"], "gain": [-1.0, 2.0]}))["name"].to_list()
    ["'=1+1", 'Ann']
    """
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(_FORMULA))
        .then(pl.concat_str(pl.lit("'"), pl.col(name)))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )


def file_name(campaign: str, offer: str, kind: str) -> str:
    """Return a file's name without ending, of letters, digits, dots, dashes, underscores.

    Examples
    --------
    >>> file_name("spring/25", "flash sale", "crm")
    'spring_25-flash_sale-crm'
    """
    parts = [re.sub(r"[^\w.-]+", "_", part).strip("._") or "list" for part in (campaign, offer)]
    return f"{parts[0]}-{parts[1]}-{kind}"


def check_format(kind: str) -> None:
    """Refuse a format before anything is written.

    Raises
    ------
    ParameterError
        If it is unknown, or XLSX and its library is not installed.
    """
    if kind not in FORMATS:
        raise ParameterError(unknown("format", kind, FORMATS))
    if kind == "xlsx" and importlib.util.find_spec("xlsxwriter") is None:
        raise ParameterError("XLSX needs xlsxwriter: install segkit[excel], or take csv or parquet")


def write_list(frame: pl.DataFrame, stem: Path, kind: str) -> Path:
    """Write one list and return its path.

    Raises
    ------
    ParameterError
        If the format is unknown, or XLSX is asked for without its library.
    """
    check_format(kind)
    path = stem.with_name(f"{stem.name}.{kind}")
    if kind == "csv":
        # Quotes around every text: a reader that honours them keeps the zeros of "007".
        write_frame(defuse(frame), path, quote_style="non_numeric")
    elif kind == "parquet":
        write_frame(frame, path)
    else:
        _write_xlsx(defuse(frame), path)
    return path


def _write_xlsx(frame: pl.DataFrame, path: Path) -> None:
    from xlsxwriter import Workbook  # type: ignore[import-untyped]
    from xlsxwriter.exceptions import FileCreateError  # type: ignore[import-untyped]

    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "constant_memory": True,
        "in_memory": False,
    }
    if frame.height > 1_048_575:
        raise ParameterError(f"a sheet holds 1,048,575 rows, the list {frame.height:,}; take csv")
    buffer = BytesIO()
    try:
        with Workbook(buffer, options) as book:
            sheet = book.add_worksheet("list")
            sheet.write_row(0, 0, frame.columns)
            text = book.add_format({"num_format": "@"})
            for row, values in enumerate(frame.iter_rows(), start=1):
                for column, value in enumerate(values):
                    if isinstance(value, str):
                        sheet.write_string(row, column, value, text)
                    elif value is not None:
                        sheet.write(row, column, value)
    except FileCreateError as error:  # its temporary files: the sheet is made aside
        told = error.args[0] if error.args else error
        number, words = getattr(told, "errno", None), getattr(told, "strerror", None)
        raise WriteError(number, words or str(told), str(path)) from error
    write_whole(path, buffer.getvalue())
