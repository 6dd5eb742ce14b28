"""What of a table may be shown, and how it is saved for those who want the numbers."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import ParameterError, RunError
from segkit.result import Result
from segkit.runner.personal import without_personal

CSV_ROWS = 200_000  # a longer table is saved as Parquet


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


def save_table(folder: Path, frame: pl.DataFrame, name: str) -> str:
    """Save a frame as CSV (a very long one as Parquet) and return its path within the folder."""
    if frame.height > CSV_ROWS:
        frame.write_parquet(folder / "tables" / f"{name}.parquet")
        return f"tables/{name}.parquet"
    nested = [column for column, kind in frame.schema.items() if kind.is_nested()]
    flat = frame.with_columns(
        pl.Series(column, [None if v is None else str(v) for v in frame[column].to_list()])
        for column in nested
    )
    flat.write_csv(folder / "tables" / f"{name}.csv")
    return f"tables/{name}.csv"
