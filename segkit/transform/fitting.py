"""Reading a column, filling what is missing, learning limits, centre and spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.errors import ColumnError, DataError
from segkit.transform.column import FILLS, Column
from segkit.transform.shapes import shape_values, yeo_johnson_power

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Columns whose worst value is the largest; of all others it is the smallest.
WORSE_WHEN_HIGH = ("recency", "gap_days", "return", "abandon", "complaint", "unsubscribe")


def numbers(frame: pl.DataFrame, name: str, *, infinite: bool = False) -> Floats:
    """Return a column as contiguous floats, missing values as NaN.

    Infinite ones are an error unless the caller deals with them.
    """
    series = frame.get_column(name)
    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        raise ColumnError(f"{name} must be numeric to be transformed; it is {series.dtype}")
    values = np.array(series.cast(pl.Float64).to_numpy(), dtype=np.float64)
    count = 0 if infinite else int(np.isinf(values).sum())
    if count:
        raise DataError(f"{name} holds {count} infinite values; mend them before transforming")
    return values


def fill_missing(column: Column, values: Floats, fill_value: float | None) -> Floats:
    """Put the fill in place of missing values.

    Raises
    ------
    DataError
        If values are missing and no fill is stated, or none could be learnt.
    """
    missing = np.isnan(values)
    if not missing.any():
        return values
    if column.fill is None or fill_value is None:
        stated = "" if column.fill is None else " (all values were missing at fitting)"
        raise DataError(
            f"{column.name} has {int(missing.sum())} missing values (null or NaN) and no fill is "
            f"stated{stated}; state one of {', '.join(FILLS)} or a number"
        )
    return np.where(missing, fill_value, values)


def _fill_value(column: Column, values: Floats) -> float | None:
    """Return what stands for a missing value, also where the fitted data have none missing."""
    if not isinstance(column.fill, str):
        return column.fill
    present = values[~np.isnan(values)]
    if present.size == 0:
        return None
    rule = column.fill
    if rule == "worst":
        rule = "max" if any(word in column.name for word in WORSE_WHEN_HIGH) else "min"
    ways: dict[str, Callable[[Floats], Any]] = {
        "median": np.median,
        "mean": np.mean,
        "min": np.min,
        "max": np.max,
    }
    return float(ways[rule](np.sort(present)))


def fit_column(column: Column, raw: Floats) -> Column:
    """Learn a column's fill, limits, power, centre and spread; a constant has spread 0."""
    fill = _fill_value(column, raw)
    values = fill_missing(column, raw, fill)
    lower, upper = -np.inf, np.inf
    if column.winsor is not None:
        lower, upper = (float(q) for q in np.quantile(values, column.winsor))
        values = np.clip(values, lower, upper)
    power = yeo_johnson_power(column, values) if column.shape == "yeo_johnson" else None
    learnt = replace(
        column,
        filled=int(np.isnan(raw).sum()),
        fill_value=fill,
        lower=None if column.winsor is None else lower,
        upper=None if column.winsor is None else upper,
        power=power,
    )
    # Sorted, so that the sums do not depend on the order of the rows.
    centre, spread = _location(column, np.sort(shape_values(learnt, values)))
    if values.min() == values.max():
        spread = 0.0
    return replace(learnt, centre=centre, spread=spread)


def _location(column: Column, shaped: Floats) -> tuple[float, float]:
    if column.scale == "none":
        return 0.0, 1.0
    if column.scale == "standard":
        return float(shaped.mean()), float(shaped.std())
    low, middle, high = np.quantile(shaped, [0.25, 0.5, 0.75])
    spread = float(high - low) / 1.349
    if spread == 0:
        spread = float(shaped.std())  # over half the values are equal; said in the docstring
    return float(middle), spread


def share_topic_weights(columns: list[Column]) -> list[Column]:
    """Give the columns of a topic the factor 1 / sqrt(how many there are)."""
    counts: dict[str, int] = {}
    for column in columns:
        if column.group is not None:
            counts[column.group] = counts.get(column.group, 0) + 1
    return [replace(c, factor=counts.get(c.group or "", 1) ** -0.5) for c in columns]
