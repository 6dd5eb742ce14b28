"""A Poisson regression with two sets of fixed effects, by absorbing them instead of estimating."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segkit.errors import DataError
from segkit.regression.columns import Floats, Ints

_MOST_STEPS, _MOST_SWEEPS = 100, 5_000
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class FixedEffects:
    """A Poisson regression with its fixed effects absorbed.

    Attributes
    ----------
    slopes : ndarray, shape (columns,)
    fitted : ndarray, shape (cells,)
        Expected counts.
    residual_x : ndarray, shape (cells, columns)
        The columns freed from both sets of effects, weighted by the expected counts.
    information : ndarray, shape (columns, columns)
    used : ndarray of bool, shape (cells given,)
        Cells that are of use: a unit or period without any count says nothing of the slopes.
    steps : int
        Newton steps.
    """

    slopes: Floats
    fitted: Floats
    residual_x: Floats
    information: Floats
    used: np.ndarray
    steps: int

    def cluster_scores(self, y: Floats, clusters: Ints) -> Floats:
        """Sum the scores within clusters, shape (clusters, columns)."""
        each = self.residual_x * (y - self.fitted)[:, None]
        n = int(clusters.max()) + 1
        return np.stack([np.bincount(clusters, s, n) for s in each.T], axis=1)


def absorb(columns: Floats, weights: Floats, first: Ints, second: Ints) -> Floats:
    """Free columns from two sets of group means (weighted), by turns until nothing changes.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [5.0]])
    >>> absorb(x, np.ones(4), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])).ravel().tolist()
    [0.25, -0.25, -0.25, 0.25]
    """
    totals = [np.bincount(codes, weights) for codes in (first, second)]
    scale = np.sqrt((weights[:, None] * columns**2).sum(axis=0) / weights.sum()) + 1e-300
    free = columns.copy()
    for _ in range(_MOST_SWEEPS):
        largest = 0.0
        for codes, total in zip((first, second), totals, strict=True):
            for j in range(free.shape[1]):
                mean = np.bincount(codes, weights * free[:, j]) / total
                free[:, j] -= mean[codes]
                spread = np.sqrt((total * mean**2).sum() / total.sum())
                largest = max(largest, float(spread / scale[j]))
        if largest < _TOLERANCE:
            return free
    raise DataError("the fixed effects could not be absorbed: products and periods hardly overlap")


def fit_fixed_effects(
    y: Floats, X: Floats, first: Ints, second: Ints, offset: Floats
) -> FixedEffects:
    """Fit E(y) = exp(offset + X b + effect of first + effect of second).

    Iterated weighted least squares, in whose every step both sets of effects are absorbed
    (Correia, Guimarães & Zylkin 2020, The Stata Journal 20(1)). Consistent whatever the
    distribution of y, if its mean is right (Gouriéroux, Monfort & Trognon 1984).

    Parameters
    ----------
    y : ndarray, shape (cells,)
        Counts.
    X : ndarray, shape (cells, columns)
    first, second : ndarray of int, shape (cells,)
        Codes of the two sets of groups.
    offset : ndarray, shape (cells,)
        Log exposure.

    Raises
    ------
    DataError
        If there is no count, the columns do not vary within both sets, or it does not converge.

    Examples
    --------
    >>> product, week = np.divmod(np.arange(12), 4)
    >>> x = np.array([0, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1.0])[:, None]
    >>> y = np.exp(1 + 0.5 * x[:, 0] + 0.2 * product - 0.1 * week)
    >>> fit_fixed_effects(y, x, product, week, np.zeros(12)).slopes.round(6).tolist()
    [0.5]
    """
    used = _usable(y, first, second)
    if not used.any():
        raise DataError("all counts are zero: nothing can be said of what moves them")
    y, X, offset = y[used], X[used], offset[used]
    first, second = (np.unique(codes[used], return_inverse=True)[1] for codes in (first, second))
    mu = (y + y.mean()) / 2
    eta = np.log(mu) - offset
    slopes, deviance = np.full(X.shape[1], np.inf), np.inf
    for step in range(_MOST_STEPS):
        z = eta + (y - mu) / mu
        free = absorb(np.column_stack([z, X]), mu, first, second)
        fz, fx = free[:, 0], free[:, 1:]
        information = (fx * mu[:, None]).T @ fx
        _check_information(information, X, mu)
        new = np.linalg.solve(information, (fx * mu[:, None]).T @ fz)
        eta = z - (fz - fx @ new)
        mu = np.exp(np.clip(eta + offset, -30.0, 30.0))
        was, deviance = deviance, _deviance(y, mu)
        change = float(np.abs(new - slopes).max())
        slopes = new
        if change < 1e-8 and abs(was - deviance) < 1e-8 * (abs(deviance) + 1):
            free = absorb(X, mu, first, second)
            final = (free * mu[:, None]).T @ free
            return FixedEffects(slopes, mu, free, final, used, step + 1)
    raise DataError("the regression did not converge: the counts are too few for its effects")


def _usable(y: Floats, first: Ints, second: Ints) -> np.ndarray:
    """Leave out groups without a count, until none is left."""
    used = np.ones(len(y), dtype=bool)
    while True:
        before = used.sum()
        for codes in (first, second):
            total = np.bincount(codes, y * used, int(codes.max()) + 1 if len(codes) else 0)
            used &= total[codes] > 0
        if used.sum() == before:
            return used


def _check_information(information: Floats, X: Floats, mu: Floats) -> None:
    total = ((X - np.average(X, axis=0, weights=mu)) ** 2 * mu[:, None]).sum(axis=0)
    if (np.diagonal(information) <= 1e-10 * total + 1e-300).any():
        raise DataError(
            "no price changes within products at different times: an elasticity cannot be told "
            "from the products' and the periods' own levels"
        )


def _deviance(y: Floats, mu: Floats) -> float:
    part = np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mu), 0.0)
    return float(2 * (part - (y - mu)).sum())
