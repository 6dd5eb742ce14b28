"""What of a table may be shown, and how it is saved for those who want the numbers."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import table_html
from segkit.errors import ParameterError, RunError
from segkit.result import Result
from segkit.runner.personal import without_personal

CSV_ROWS = 200_000  # a longer table is saved as Parquet
CSV_DIGITS = 6


def fit_to_show(what: Any, name: str, *, personal: bool) -> tuple[pl.DataFrame, str]:
    """Return what of a result or frame may be shown, and a note on what is left out, as HTML.

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
    kept, dropped = without_personal(frame)
    if not dropped:
        return frame, ""
    if not kept.width:
        raise RunError(f"table {name!r} holds nothing but personal columns: {', '.join(dropped)}")
    names = html.escape(", ".join(dropped))
    return kept, f"<p><small>Left out as personal: {names}.</small></p>"


def as_html(what: Result | pl.DataFrame, *, personal: bool = False) -> str:
    """Return a result in its own form, or a frame as a table, without personal columns."""
    frame, note = fit_to_show(what, "shown", personal=personal)
    if isinstance(what, Result) and not note:
        return what._repr_html_()
    words = f"<p>{html.escape(what.text)}</p>" if isinstance(what, Result) else ""
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
        kept = what.text if isinstance(what, Result) else fit_to_show(what, "", personal=False)[0]
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
        frame.write_parquet(folder / "tables" / f"{name}.parquet")
        return f"tables/{name}.parquet"
    nested = [column for column, kind in frame.schema.items() if kind.is_nested()]
    flat = frame.with_columns(
        pl.Series(column, [None if v is None else str(v) for v in frame[column].to_list()])
        for column in nested
    )
    flat = flat.with_columns(pl.col(pl.Float32, pl.Float64).round_sig_figs(CSV_DIGITS))
    flat.write_csv(folder / "tables" / f"{name}.csv")
    return f"tables/{name}.csv"
