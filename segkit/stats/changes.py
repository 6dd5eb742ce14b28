"""Differences of two groups' changes, with each customer's influence on them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
CHUNK = 100  # draws of the multiplier bootstrap at a time


def difference_of_changes(change: Array, own: Flags, others: Flags) -> tuple[float, Array]:
    """Return the difference of two groups' mean changes, and each customer's influence on it.

    Parameters
    ----------
    change : array, shape (n,)
        Each customer's change from one time to another.
    own, others : array of bool, shape (n,)
        Who is in the one group, and in the other.

    Examples
    --------
    >>> own = np.array([True, True, False, False])
    >>> difference, influence = difference_of_changes(np.array([9.0, 5, 2, 6]), own, ~own)
    >>> difference, float((influence**2).sum() ** 0.5 / 4)
    (3.0, 2.8284271247461903)
    """
    n = len(change)
    influence = np.zeros(n)
    means = []
    for sign, some in ((1.0, own), (-1.0, others)):
        size = int(some.sum())
        mean = float(change[some].mean())
        # Divided by one fewer, as in a sample's variance.
        scale = n / size * np.sqrt(size / max(size - 1, 1))
        influence[some] += sign * scale * (change[some] - mean)
        means.append(mean)
    return means[0] - means[1], influence


def doubly_robust_difference(
    change: Array, own: Flags, others: Flags, X: Array
) -> tuple[float, Array]:
    """Return the doubly robust difference of mean changes, and each customer's influence on it.

    Changes are compared with those that a regression on the covariates among the others expects,
    and the others are weighted by a logit of being in the one group.

    Parameters
    ----------
    change, own, others
        See `difference_of_changes`.
    X : array, shape (n, p)
        Covariates, with a column of ones.

    Raises
    ------
    DataError
        If the covariates separate the groups.

    Notes
    -----
    Source: Sant'Anna & Zhao (2020), Doubly robust difference-in-differences estimators, Journal of
    Econometrics 219, equation 3.1, and its influence function.
    """
    some = own | others
    y, x, d = change[some], X[some], own[some].astype(float)
    n = len(y)
    chance = _logit(x, d)
    weight = chance * (1 - d) / (1 - chance)  # of those not yet contacted
    inner = x.T @ ((1 - d)[:, None] * x) / n
    slope = np.linalg.solve(inner, x.T @ ((1 - d) * y) / n)
    rest = y - x @ slope
    one, two = float(d @ rest / d.sum()), float(weight @ rest / weight.sum())
    of_slope = ((1 - d) * rest)[:, None] * x @ np.linalg.inv(inner)
    score = (d - chance)[:, None] * x
    of_chance = score @ np.linalg.inv(x.T @ ((chance * (1 - chance))[:, None] * x) / n)
    first = d * (rest - one) - of_slope @ (d @ x / n)
    second = weight * (rest - two) + of_chance @ ((weight * (rest - two)) @ x / n)
    second -= of_slope @ (weight @ x / n)
    influence = np.zeros(len(change))
    influence[some] = len(change) / n * (first / d.mean() - second / weight.mean())
    return one - two, influence


def _logit(x: Array, d: Array) -> Array:
    """Return each customer's chance to be contacted, by a logit (Newton's steps)."""
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        spread = chance * (1 - chance)
        step = np.linalg.lstsq(x.T @ (spread[:, None] * x), x.T @ (d - chance), rcond=None)[0]
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    if not np.abs(step).max() < 1e-6 or chance[d == 0].max() > 0.999:
        raise DataError(
            "the covariates separate the contacted from those not yet contacted: nobody is left to "
            "compare some of them with; give fewer covariates, or a larger min_customers"
        )
    return np.asarray(chance)


def simultaneous_limit(influence: Array, level: float, draws: int, seed: int) -> float:
    """Return the level's quantile of the largest t-value, by the multiplier bootstrap.

    Parameters
    ----------
    influence : array, shape (n, estimates)
        Each customer's influence on each estimate.
    level : float
    draws : int
        Of random signs for all customers.
    seed : int

    Notes
    -----
    Source: Callaway & Sant'Anna (2021), algorithm 1, with Rademacher's signs.

    Examples
    --------
    >>> one = np.random.default_rng(0).normal(size=(500, 1))
    >>> 1.85 < simultaneous_limit(one, 0.95, 1999, 0) < 2.05
    True
    """
    norm = np.sqrt((influence**2).sum(axis=0))
    scaled = influence[:, norm > 0] / norm[norm > 0]
    if not scaled.size:
        return 0.0
    rng = np.random.default_rng([seed, 8])
    largest = []
    for start in range(0, draws, CHUNK):
        signs = rng.integers(0, 2, size=(min(CHUNK, draws - start), len(scaled))) * 2.0 - 1.0
        largest.append(np.abs(signs @ scaled).max(axis=1))
    return float(np.quantile(np.concatenate(largest), level))
