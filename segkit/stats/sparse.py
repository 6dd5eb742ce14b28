"""Bootstrap of sums that are mostly zeros: draw the buyers, count the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError, ParameterError
from segkit.live import steps

Array = npt.NDArray[np.float64]
DENSE = 20_000  # nonzero values in a stratum from which three moments stand for them
_AT_ONCE = 2_000_000  # values drawn at once


def resampled_means(
    values: Sequence[npt.ArrayLike],
    sizes: Sequence[int],
    *,
    repeats: int = 10_000,
    dense: int = DENSE,
    seed: int | np.random.Generator = 0,
) -> Array:
    """Draw the bootstrap distribution of each stratum's mean, zeros at no cost.

    Of a stratum's n rows m are not zero. A resample holds Binomial(n, m/n) of them, drawn with
    replacement; zeros need no drawing. So the work is the number of buyers, not of customers.
    Where m exceeds ``dense``, the resampled mean is drawn instead from the gamma (or normal)
    distribution that shares its mean, variance and skewness: what is lost there is of the order of
    1/m. Strata are drawn independently, as many rows as each has.

    Parameters
    ----------
    values : sequence of array
        Each stratum's nonzero values, in any order.
    sizes : sequence of int
        Each stratum's number of rows, zeros included.
    repeats : int
        Number of resamples, at least 100.
    dense : int
        Number of nonzero values above which moments are used.
    seed : int or numpy Generator
        The same seed gives the same draws, whatever the order of the values.

    Returns
    -------
    ndarray of shape (repeats, strata)

    Raises
    ------
    DataError
        If a value is not finite, a stratum is empty or has more values than rows.
    ParameterError
        If there are fewer than 100 repeats.

    Notes
    -----
    Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, sections 6 and 8; the third
    cumulant of a bootstrap mean: Hall (1992), The Bootstrap and Edgeworth Expansion, section 3.

    Examples
    --------
    >>> draws = resampled_means([[5.0, 7.0]], [100], repeats=2000, seed=1)
    >>> draws.shape, bool(abs(draws.mean() - 0.12) < 0.01)
    ((2000, 1), True)
    """
    if repeats < 100:
        raise ParameterError(f"expected at least 100 repeats, got {repeats}")
    random = np.random.default_rng(seed)
    columns = []
    for given, n in zip(values, sizes, strict=True):
        some = np.sort(np.asarray(given, dtype=np.float64))
        if n < 1 or some.size > n or not np.isfinite(some).all():
            raise DataError(
                f"expected finite values, at most as many as rows; got {some.size} values in a "
                f"stratum of {n} rows"
            )
        draw = _by_moments if some.size > dense else _one_by_one
        columns.append(draw(some, n, repeats, random))
    return np.stack(columns, axis=1)


def _one_by_one(values: Array, n: int, repeats: int, random: np.random.Generator) -> Array:
    m = values.size
    if m == 0:
        return np.zeros(repeats)
    counts = random.binomial(n, m / n, size=repeats)
    sums = np.zeros(repeats)
    step = max(1, _AT_ONCE // m)
    for start in steps(range(0, repeats, step), "blocks of resamples"):
        part = counts[start : start + step]
        some = np.flatnonzero(part)
        if not some.size:
            continue
        drawn = values[random.integers(0, m, size=int(part.sum()), dtype=np.uint32)]
        begins = np.concatenate([[0], np.cumsum(part[some])[:-1]])
        sums[start + some] = np.add.reduceat(drawn, begins)
    return sums / n


def _by_moments(values: Array, n: int, repeats: int, random: np.random.Generator) -> Array:
    mean = values.sum() / n
    zeros = n - values.size
    centred = values - mean
    second = (np.square(centred).sum() + zeros * mean**2) / n
    third = ((centred**3).sum() - zeros * mean**3) / n
    error = np.sqrt(second / n)
    skewness = third / second**1.5 / np.sqrt(n) if second > 0 else 0.0
    if abs(skewness) < 1e-3:
        return np.asarray(random.normal(mean, error, size=repeats))
    shape = 4 / skewness**2
    standard = (random.standard_gamma(shape, size=repeats) - shape) / np.sqrt(shape)
    return np.asarray(mean + error * np.sign(skewness) * standard)
