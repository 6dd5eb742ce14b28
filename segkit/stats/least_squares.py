"""Least squares on designs of few distinct rows: coefficients, errors and tests of terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segkit.display import counted
from segkit.errors import DataError

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_ROWS = 65_536  # rows of the design that are built at a time
_ALIKE = 1e-9  # share of a column's variation below which it repeats those before it


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Design matrix: each row is a row of a table, chosen by group, plus covariates of its own.

    Attributes
    ----------
    groups : array of int, shape (rows,)
        Row of the table.
    table : array of shape (groups, columns)
        The coded terms; its first column is the intercept.
    covariates : array of shape (rows, covariates)
    """

    groups: Ints
    table: Array
    covariates: Array

    def chunks(self) -> Iterator[tuple[slice, Array]]:
        """Yield the matrix, some rows at a time."""
        for start in range(0, len(self.groups), _ROWS):
            rows = slice(start, start + _ROWS)
            yield rows, np.hstack([self.table[self.groups[rows]], self.covariates[rows]])


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted linear model.

    Attributes
    ----------
    coefficients : array of shape (columns,)
        Zero for a column that was left out.
    covariance : array of shape (columns, columns)
        Of the coefficients; zero for a column that was left out.
    variance : float
        Residual variance; zero where the model fits every row.
    freedom : int
        Residual degrees of freedom.
    used : array of bool
        Which columns entered.
    """

    coefficients: Array
    covariance: Array
    variance: float
    freedom: int
    used: npt.NDArray[np.bool_]

    def wald(self, columns: Sequence[int]) -> float:
        """Compute the F statistic of some columns, all others in the model (type III).

        NaN where the model fits every row.
        """
        which = np.asarray(columns)
        b, v = self.coefficients[which], self.covariance[np.ix_(which, which)]
        if not self.variance > 0:
            return float("nan")
        return float(b @ np.linalg.solve(v, b)) / len(which)


def fit_least_squares(design: Design, outcome: Array, *, needed: int = 0) -> Fit:
    """Fit a linear model by least squares, with one variance for all rows.

    Parameters
    ----------
    design : Design
    outcome : array of shape (rows,)
    needed : int
        The first ``needed`` columns must enter; later ones that are collinear are left out.

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        If there are no more rows than columns, or a needed column repeats others.

    Examples
    --------
    >>> x = Design(np.array([0, 0, 1, 1]), np.array([[1.0, -1.0], [1.0, 1.0]]), np.zeros((4, 0)))
    >>> found = fit_least_squares(x, np.array([1.0, 3.0, 4.0, 6.0]))
    >>> found.coefficients.round(3).tolist(), found.freedom, found.variance
    ([3.5, 1.5], 2, 2.0)
    """
    width = design.table.shape[1] + design.covariates.shape[1]
    middle = float(outcome.mean())
    gram, moments = np.zeros((width, width)), np.zeros(width)
    for rows, x in design.chunks():
        gram += x.T @ x
        moments += x.T @ (outcome[rows] - middle)
    used = _distinct(gram, needed)
    inner = np.flatnonzero(used)
    freedom = len(outcome) - len(inner)
    if freedom < 1:
        raise DataError(
            f"{counted(len(outcome), 'customer')} for {counted(len(inner), 'coefficient')} leave "
            "nothing to tell errors from: assign more customers, or ask for fewer interactions"
        )
    inverse = _inverse(gram[np.ix_(inner, inner)])
    b = inverse @ moments[inner]
    for _ in range(2):  # refine: the residuals' own moments, which should be zero
        gradient = np.zeros(len(inner))
        for rows, x in design.chunks():
            gradient += x[:, inner].T @ (outcome[rows] - middle - x[:, inner] @ b)
        b = b + inverse @ gradient
    squares = 0.0
    for rows, x in design.chunks():
        residual = outcome[rows] - middle - x[:, inner] @ b
        squares += float(residual @ residual)
    away = outcome - middle
    if squares <= 1e-24 * max(float(away @ away), middle**2 * len(outcome)):
        squares = 0.0  # rounding alone
    variance = squares / freedom
    coefficients, covariance = np.zeros(width), np.zeros((width, width))
    coefficients[inner] = b
    coefficients[0] += middle
    covariance[np.ix_(inner, inner)] = inverse * variance
    return Fit(coefficients, covariance, variance, freedom, used)


def _distinct(gram: Array, needed: int) -> npt.NDArray[np.bool_]:
    """Return which columns are linearly independent of those before them."""
    used = np.zeros(len(gram), dtype=bool)
    for column in range(len(gram)):
        size = gram[column, column]
        distinct = np.flatnonzero(used)
        residual = size
        if distinct.size and size > 0:
            residual -= (
                gram[column, distinct]
                @ _inverse(gram[np.ix_(distinct, distinct)])
                @ gram[distinct, column]
            )
        used[column] = size > 0 and residual > _ALIKE * size
        if column < needed and not used[column]:
            raise DataError("a contrast of the design repeats others, so it cannot be estimated")
    return used


def _inverse(gram: Array) -> Array:
    scale = 1 / np.sqrt(np.diag(gram))
    return np.asarray(np.linalg.inv(gram * np.outer(scale, scale)) * np.outer(scale, scale))
