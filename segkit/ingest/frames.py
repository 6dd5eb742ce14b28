"""How do frames in memory come in? Polars as it is, pandas without importing it."""

from __future__ import annotations

from typing import Any

import polars as pl

from segkit.errors import SourceError


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
    return from_list(name, values)


def from_list(name: str, values: list[Any]) -> pl.Series:
    """Turn Python values into a series: of their type if they share one, else of text."""
    kinds = {type(item) for item in values if item is not None}
    if len(kinds) <= 1 or kinds <= {int, float}:
        try:
            return pl.Series(name, values, strict=False)
        except (TypeError, pl.exceptions.PolarsError):
            pass
    return pl.Series(name, [None if item is None else str(item) for item in values], pl.String)
