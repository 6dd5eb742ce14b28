"""Bending a column's values, and bending them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segkit.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segkit.transform.column import Column

    Floats = NDArray[np.float64]


def shape_values(column: Column, values: Floats) -> Floats:
    """Bend values by the column's shape, elementwise.

    Raises
    ------
    DataError
        If the shape cannot take a value: negative ones, or above 1 for arcsine.
    """
    smallest = values.min() if values.size else 0.0
    if column.shape == "none":
        return values
    if column.shape == "signed_log":
        return np.asarray(np.sign(values) * np.log1p(np.abs(values)))
    if column.shape == "yeo_johnson":
        return _yeo_johnson(values, column.power or 0.0)
    if smallest < 0:
        count = int((values < 0).sum())
        raise DataError(
            f"{column.name} has {count} negative values, which {column.shape} cannot take"
        )
    if column.shape == "log1p":
        return np.log1p(values)
    if column.shape == "sqrt":
        return np.sqrt(values)
    if values.size and values.max() > 1:
        count = int((values > 1).sum())
        raise DataError(f"{column.name} has {count} values above 1, which arcsine cannot take")
    return np.arcsin(np.sqrt(values))


def unshape(column: Column, shaped: Floats) -> Floats:
    """Bend values back into the column's own units."""
    if column.shape == "none":
        return shaped
    if column.shape == "log1p":
        return np.expm1(shaped)
    if column.shape == "signed_log":
        return np.asarray(np.sign(shaped) * np.expm1(np.abs(shaped)))
    if column.shape == "sqrt":
        return np.asarray(np.square(shaped))
    if column.shape == "arcsine":
        return np.asarray(np.square(np.sin(np.clip(shaped, 0.0, np.pi / 2))))
    return _yeo_johnson_inverse(shaped, column.power or 0.0)


def yeo_johnson_power(column: Column, values: Floats) -> float:
    """Return the lambda of greatest likelihood: Yeo and Johnson (2000), Biometrika 87, eq. 2.1."""
    if values.min() == values.max():
        return 1.0
    from scipy.stats import yeojohnson_normmax

    power = float(yeojohnson_normmax(np.sort(values)))
    if not np.isfinite(power):
        raise DataError(f"no Yeo-Johnson power can be found for {column.name}")
    return power


def _yeo_johnson(values: Floats, power: float) -> Floats:
    size = np.log1p(np.abs(values))
    up = size if power == 0 else np.expm1(power * size) / power
    down = size if power == 2 else np.expm1((2 - power) * size) / (2 - power)
    return np.where(values >= 0, up, -down)


def _yeo_johnson_inverse(shaped: Floats, power: float) -> Floats:
    size = np.abs(shaped)
    up = size if power == 0 else np.log1p(power * size) / power
    down = size if power == 2 else np.log1p((2 - power) * size) / (2 - power)
    return np.where(shaped >= 0, np.expm1(up), -np.expm1(down))
