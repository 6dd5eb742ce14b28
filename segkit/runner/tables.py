"""What of a table may be shown, and how it is saved for those who want the numbers."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, table_html
from segkit.errors import ParameterError, RunError
from segkit.ingest.privacy import mask_column, mask_html, mask_text, personal_columns
from segkit.result import Result
from segkit.writing import write_frame

CSV_ROWS = 200_000  # a longer table is saved as Parquet
CSV_DIGITS = 6


def without_personal(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str], dict[str, int]]:
    """Return what of a frame may be shown, the columns left out, and the cells masked by column.

    Columns whose name says that they are personal are left out; e-mail addresses, phone, card and
    account numbers in any other column of texts are masked (`segkit.ingest.privacy.mask_column`),
    in the names of columns too.

    Examples
    --------
    >>> frame = pl.DataFrame({"who": ["ann@shop.example", "Bob"], "email": ["a@b.org", None]})
    >>> shown, left_out, masked = without_personal(frame)
    >>> shown["who"].to_list(), left_out, masked
    (['an…@…', 'Bob'], ['email'], {'who': 1})
    """
    left_out = personal_columns(frame.columns)
    kept = frame.drop(left_out)
    masked: dict[str, int] = {}
    for name, kind in kept.schema.items():
        if kind not in (pl.String, pl.Categorical, pl.Enum):
            continue
        cells, count = mask_column(kept[name].cast(pl.String))
        if count:
            kept, masked[name] = kept.with_columns(cells.alias(name)), count
    named = {name: mask_text(name) for name in kept.columns}
    renamed = {name: new for name, new in named.items() if new != name}
    if renamed and len(set(named.values())) == len(named):
        kept = kept.rename(renamed)
    return kept, left_out, masked


def fit_to_show(what: Any, name: str, *, personal: bool) -> tuple[pl.DataFrame, str]:
    """Return what of a result or frame may be shown, and a note on what is not, as HTML.

    Raises
    ------
    ParameterError
        If it is neither a result nor a polars frame.
    RunError
        If nothing but personal columns is left.
    """
    frame = what.to_frame() if isinstance(what, Result) else what
    if not isinstance(frame, pl.DataFrame):
        raise ParameterError(
            f"{name!r} expects a result or a polars frame, got a {type(what).__name__}"
        )
    if personal:
        return frame, ""
    kept, dropped, masked = without_personal(frame)
    if frame.width and not kept.width:
        raise RunError(f"table {name!r} holds nothing but personal columns: {', '.join(dropped)}")
    notes = []
    if dropped:
        notes.append(f"Left out as personal: {', '.join(dropped)}.")
    if masked:
        cells = sum(masked.values())
        where = ", ".join(map(mask_text, masked))
        notes.append(f"{counted(cells, 'cell')} with personal data masked, in {where}.")
    said = html.escape(" ".join(notes))
    return kept, f"<p><small>{said}</small></p>" if notes else ""


def as_html(what: Result | pl.DataFrame, *, personal: bool = False) -> str:
    """Return a result in its own form, or a frame as a table, without personal columns."""
    frame, note = fit_to_show(what, "shown", personal=personal)
    if isinstance(what, Result) and not note:
        shown = what._repr_html_()
        return shown if personal else mask_html(shown)
    words = f"<p>{html.escape(mask_text(what.text))}</p>" if isinstance(what, Result) else ""
    return words + table_html(frame) + note


def guard_displays(*, personal: bool) -> None:
    """Leave personal columns out of frames and results that a cell shows as they are.

    Changes how IPython shows polars frames and segkit's results in this kernel; ``print`` is
    not covered.
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or shell.display_formatter is None or personal:
        return

    def written(what: Any, printer: Any, cycle: bool) -> None:  # noqa: ARG001 - IPython's terms
        text = isinstance(what, Result)
        kept = mask_text(what.text) if text else fit_to_show(what, "", personal=False)[0]
        printer.text(str(kept))

    for kind in (pl.DataFrame, Result):
        shell.display_formatter.formatters["text/html"].for_type(kind, as_html)
        shell.display_formatter.formatters["text/plain"].for_type(kind, written)


def save_table(folder: Path, frame: pl.DataFrame, name: str) -> str:
    """Save a frame as CSV (a very long one as Parquet) and return its path within the folder.

    The CSV is for readers: its floats are rounded to `CSV_DIGITS` significant figures. What
    later notebooks read is written by `NotebookRun.write`, exactly.
    """
    if frame.height > CSV_ROWS:
        write_frame(frame, folder / "tables" / f"{name}.parquet")
        return f"tables/{name}.parquet"
    nested = [column for column, kind in frame.schema.items() if kind.is_nested()]
    flat = frame.with_columns(
        pl.Series(column, [None if v is None else str(v) for v in frame[column].to_list()])
        for column in nested
    )
    flat = flat.with_columns(pl.col(pl.Float32, pl.Float64).round_sig_figs(CSV_DIGITS))
    write_frame(flat, folder / "tables" / f"{name}.csv")
    return f"tables/{name}.csv"
