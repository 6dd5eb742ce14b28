"""Bootstrap: how sure a function of sums is, when no formula for its error is at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError, ParameterError, unknown
from segkit.live import steps
from segkit.stats.intervals import Estimate, z_value

METHODS = ("percentile", "bca")
Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Array]
_CELLS = 4_000_000  # numbers held at once


def bootstrap_sums(
    values: npt.ArrayLike,
    statistic: Statistic,
    *,
    strata: npt.ArrayLike | None = None,
    repeats: int = 2000,
    level: float = 0.95,
    method: str = "percentile",
    seed: int | np.random.Generator = 0,
) -> Estimate:
    """Estimate a function of column sums with a (stratified) bootstrap interval.

    Rows are drawn with replacement within each stratum, as many as it has. Equal rows are
    drawn together as one multinomial count, so that outcomes of mostly zeros cost little; rows
    are put in a fixed order first, so that shuffled input gives the same interval.

    Parameters
    ----------
    values : array of shape (n,) or (n, columns)
        One row a unit (customer). Give a column of ones where the statistic needs a count:
        means are then sums over sums, and hold when a row is left out.
    statistic : callable
        From sums of shape (..., strata, columns) to values of shape (...), strata in sorted
        order; it must work on many sums at once.
    strata : array of shape (n,), optional
        Group of each row (arm x segment, say); by default one stratum.
    repeats : int
        Number of resamples.
    level : float
        Nominal coverage.
    method : {"percentile", "bca"}
        Efron's percentile interval; or the bias-corrected and accelerated one, its
        acceleration from the jackknife within strata.
    seed : int or numpy Generator
        The same seed gives the same interval.

    Returns
    -------
    Estimate
        NaN limits where a statistic was not finite in more than 1% of the resamples.

    Raises
    ------
    DataError
        If there is no row or a value is not finite.
    ParameterError
        If the method is unknown or there are fewer than 100 repeats.

    Notes
    -----
    Source: Efron (1987), "Better bootstrap confidence intervals", JASA 82; Davison & Hinkley
    (1997), Bootstrap Methods and their Application, sections 3.2 and 5.3 (strata: eq. 5.28).

    Examples
    --------
    >>> spend = np.column_stack([np.arange(40.0), np.ones(40)])
    >>> found = bootstrap_sums(spend, lambda s: s[..., 0, 0] / s[..., 0, 1], seed=1)
    >>> float(found.value), bool(found.low < 19.5 < found.high)
    (19.5, True)
    """
    if method not in METHODS:
        raise ParameterError(unknown("method", method, METHODS))
    if repeats < 100:
        raise ParameterError(f"expected at least 100 repeats, got {repeats}")
    groups = _groups(values, strata)
    sums = np.stack([(rows * counts[:, None]).sum(axis=0) for rows, counts in groups])
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(sums))
        random = np.random.default_rng(seed)
        drawn = np.stack([_resample(*group, repeats, random) for group in groups], axis=1)
        draws = np.asarray(statistic(drawn), dtype=np.float64)
        finite = draws[np.isfinite(draws)]
        if finite.size < 0.99 * repeats:
            return Estimate(value, np.nan, np.nan, level, f"{method} bootstrap")
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        if method == "bca":
            tails = _bca_tails(value, finite, _acceleration(groups, sums, statistic), level)
    low, high = np.quantile(finite, tails)
    return Estimate(value, float(low), float(high), level, f"{method} bootstrap")


def _groups(values: npt.ArrayLike, strata: npt.ArrayLike | None) -> list[tuple[Array, Array]]:
    """Return each stratum's distinct rows, sorted, with how often each occurs."""
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.shape[0] == 0 or not np.isfinite(table).all():
        raise DataError(f"a bootstrap needs finite rows, got {table.shape[0]} rows")
    labels: Any = np.zeros(table.shape[0]) if strata is None else np.asarray(strata)
    if labels.shape[0] != table.shape[0]:
        raise DataError(f"{table.shape[0]} rows but {labels.shape[0]} strata")
    found = []
    for label in np.unique(labels):
        rows, counts = np.unique(table[labels == label], axis=0, return_counts=True)
        found.append((rows, counts.astype(np.float64)))
    return found


def _resample(rows: Array, counts: Array, repeats: int, random: np.random.Generator) -> Array:
    """Draw the column sums of ``repeats`` resamples of one stratum, shape (repeats, columns)."""
    n = int(counts.sum())
    chunk = max(1, _CELLS // max(rows.shape[0], 1))
    parts = []
    for start in steps(range(0, repeats, chunk), "blocks of resamples"):
        size = min(chunk, repeats - start)
        if rows.shape[0] <= n // 4:
            weights = random.multinomial(n, counts / n, size=size)
            parts.append(weights @ rows)
        else:
            which = np.repeat(np.arange(rows.shape[0]), counts.astype(np.int64))
            for _ in range(size):
                picked = np.bincount(which[random.integers(n, size=n)], minlength=rows.shape[0])
                parts.append((picked @ rows)[None, :])
    return np.concatenate(parts)


def _acceleration(groups: list[tuple[Array, Array]], sums: Array, statistic: Statistic) -> float:
    """Return BCa's acceleration from leaving out one row at a time within its stratum."""
    third = second = 0.0
    for s, (rows, counts) in enumerate(groups):
        n = counts.sum()
        if n < 2:
            continue
        without = np.broadcast_to(sums, (rows.shape[0], *sums.shape)).copy()
        without[:, s, :] -= rows
        left = np.asarray(statistic(without), dtype=np.float64)
        influence = (n - 1) * ((left * counts).sum() / n - left)
        third += float((counts * influence**3).sum()) / n**3
        second += float((counts * influence**2).sum()) / n**2
    return third / (6 * second**1.5) if second > 0 and np.isfinite(third) else 0.0


def _bca_tails(value: float, draws: Array, acceleration: float, level: float) -> Array:
    from scipy.special import ndtr, ndtri

    below = ((draws < value).sum() + 0.5 * (draws == value).sum()) / draws.size
    bias = float(ndtri(np.clip(below, 1 / draws.size, 1 - 1 / draws.size)))
    z = np.array([-z_value(level), z_value(level)])
    return np.asarray(ndtr(bias + (bias + z) / (1 - acceleration * (bias + z))))
