"""Polychoric and polyserial correlations: of the attitudes behind coarse answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.factor.answers import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_LIMIT = 0.9999
_FAR = 8.0  # stands for an infinite threshold, in standard deviations
_BLOCK = 32_768
_ROUNDS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """The ordered answers to one item, with the thresholds of the latent attitude.

    Attributes
    ----------
    values : ndarray of shape (categories,)
        Distinct answers, ascending.
    thresholds : ndarray of shape (categories + 1,)
        Cuts of a standard normal attitude, the outermost at -8 and 8 for infinity.
    codes : ndarray of shape (categories,)
        Expected attitude of those who gave each answer.
    """

    values: Floats
    thresholds: Floats
    codes: Floats


def categories(column: Floats) -> Categories:
    """Find an item's answers and the thresholds between them.

    Examples
    --------
    >>> categories(np.array([1.0, 2.0, 1.0, 2.0])).thresholds
    array([-8.,  0.,  8.])
    """
    from scipy.special import ndtri

    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    shares = np.cumsum(counts)[:-1] / counts.sum()
    thresholds = np.concatenate([[-_FAR], ndtri(shares), [_FAR]])
    heights = np.exp(-(thresholds**2) / 2) / np.sqrt(2 * np.pi)
    codes = (heights[:-1] - heights[1:]) / (counts / counts.sum())
    return Categories(values, thresholds, codes)


def bivariate_normal(a: Any, b: Any, r: Any) -> Floats:
    """Give P(X < a, Y < b) of two standard normals with correlation r, elementwise.

    ``Phi(a) Phi(b) + 1/(2 pi) int_0^asin(r) exp(-(a^2 + b^2 - 2ab sin t) / (2 cos^2 t)) dt``,
    Gauss-Legendre. Source: Drezner & Wesolowsky (1990), "On the computation of the bivariate
    normal integral", J. Statist. Comput. Simul. 35.

    Examples
    --------
    >>> round(float(bivariate_normal(0.0, 0.0, 0.5)), 6)
    0.333333
    """
    from scipy.special import ndtr

    a, b, r = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in (a, b, r)))
    half = np.arcsin(r) / 2
    total = np.zeros(r.shape)
    squares, twice = a * a + b * b, 2 * a * b
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        sine = np.sin(half * (1 + node))
        total += weight * np.exp(-(squares - twice * sine) / (2 * (1 - sine * sine)))
    return np.asarray(ndtr(a) * ndtr(b) + half * total / (2 * np.pi))


def polychoric(tables: Floats, rows: Floats, columns: Floats) -> Floats:
    """Estimate the latent correlation of many two-way tables at once (two-step ML).

    Thresholds are given; each correlation maximises ``sum n_ij log P_ij(r)`` by Fisher scoring
    with step halving. Source: Olsson (1979), "Maximum likelihood estimation of the polychoric
    correlation coefficient", Psychometrika 44.

    Parameters
    ----------
    tables : ndarray of shape (pairs, c, d)
        Counts; padded with zeros where an item has fewer categories.
    rows, columns : ndarray of shape (pairs, c + 1) and (pairs, d + 1)
        Thresholds, padded with 8.

    Returns
    -------
    ndarray of shape (pairs,)
        Within -0.9999 and 0.9999.

    Examples
    --------
    >>> cut = np.array([[-8.0, 0.0, 8.0]])
    >>> table = np.array([[[1 / 3, 1 / 6], [1 / 6, 1 / 3]]])
    >>> round(float(polychoric(table, cut, cut)[0]), 6)
    0.5
    """
    n = tables.sum(axis=(1, 2))
    r = np.zeros(len(tables))
    likelihood = _likelihood(tables, rows, columns, r)
    for _ in range(_ROUNDS):
        p, slope = _cells(rows, columns, r)
        score = (tables * slope / p).sum(axis=(1, 2))
        information = n * (slope**2 / p).sum(axis=(1, 2))
        step = score / np.maximum(information, 1e-12)
        for _ in range(30):
            trial = np.clip(r + step, -_LIMIT, _LIMIT)
            better = _likelihood(tables, rows, columns, trial)
            worse = better < likelihood - 1e-12 * np.abs(likelihood)
            if not worse.any():
                break
            step = np.where(worse, step / 2, step)
        moved = np.abs(trial - r)
        r, likelihood = trial, better
        if moved.max(initial=0.0) < 1e-9:
            break
    return r


def _cells(rows: Floats, columns: Floats, r: Floats) -> tuple[Floats, Floats]:
    """Give each cell's probability and its derivative by the correlation."""
    a, b = rows[:, :, None], columns[:, None, :]
    c = r[:, None, None]
    corner = bivariate_normal(a, b, c)
    rest = 1 - c * c
    density = np.exp(-(a * a + b * b - 2 * c * a * b) / (2 * rest)) / (2 * np.pi * np.sqrt(rest))
    p = np.diff(np.diff(corner, axis=1), axis=2)
    slope = np.diff(np.diff(density, axis=1), axis=2)
    return np.maximum(p, 1e-15), slope


def _likelihood(tables: Floats, rows: Floats, columns: Floats, r: Floats) -> Floats:
    p, _ = _cells(rows, columns, r)
    return np.asarray((tables * np.log(p)).sum(axis=(1, 2)))


def tables_of(values: Floats, items: list[Categories]) -> Floats:
    """Cross-tabulate every item with every other, by one matrix product of indicators.

    Returns
    -------
    ndarray of shape (items, most, items, most)
        Counts of people who gave both answers; zero beyond an item's categories.
    """
    n, p = values.shape
    most = max(len(item.values) for item in items)
    counts = np.zeros((p * most, p * most))
    for start in range(0, n, _BLOCK):
        part = values[start : start + _BLOCK]
        shown = np.zeros((len(part), p * most), dtype=np.float32)
        for j, item in enumerate(items):
            for c, value in enumerate(item.values):
                shown[:, j * most + c] = part[:, j] == value
        counts += shown.T @ shown
    return counts.reshape(p, most, p, most)


def polychoric_matrix(values: Floats, items: list[Categories]) -> tuple[Floats, int]:
    """Estimate all pairs' polychoric correlations.

    In a two-by-two table, 0.5 is added to an empty cell; otherwise the estimated correlation
    would go to -1 or 1.

    Returns
    -------
    ndarray of shape (items, items), int
        Correlations, and the number of tables that were corrected.
    """
    p = len(items)
    tables = tables_of(values, items)
    most = tables.shape[1]
    cuts = np.full((p, most + 1), _FAR)
    for j, one in enumerate(items):
        cuts[j, : len(one.thresholds)] = one.thresholds
    first, second = np.triu_indices(p, 1)
    pairs = tables[first, :, second, :]
    binary = np.array([len(one.values) == 2 for one in items])
    small = binary[first] & binary[second]
    empty = (pairs[:, :2, :2] == 0).any(axis=(1, 2)) & small
    pairs[empty, :2, :2] = np.where(pairs[empty, :2, :2] == 0, 0.5, pairs[empty, :2, :2])
    r = np.eye(p)
    r[first, second] = r[second, first] = polychoric(pairs, cuts[first], cuts[second])
    return r, int(empty.sum())


def polyserial(column: Floats, item: Floats, one: Categories) -> float:
    """Estimate the latent correlation of a continuous variable and a coarse answer.

    ``r sd(y) / sum phi(t_j) (y_j+1 - y_j)``. Source: Olsson, Drasgow & Dorans (1982), "The
    polyserial correlation coefficient", Psychometrika 47, the two-step estimator.

    Examples
    --------
    >>> x = np.linspace(-2, 2, 401)
    >>> y = (x > 0).astype(float)
    >>> round(polyserial(x, y, categories(y)), 2)
    1.0
    """
    both = ~(np.isnan(column) | np.isnan(item))
    r = np.corrcoef(column[both], item[both])[0, 1]
    heights = np.exp(-(one.thresholds[1:-1] ** 2) / 2) / np.sqrt(2 * np.pi)
    scale = item[both].std() / float((heights * np.diff(one.values)).sum())
    return float(np.clip(r * scale, -_LIMIT, _LIMIT))
