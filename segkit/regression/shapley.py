"""How is explained variance shared out among predictors? Shapley values of R squared.

All functions take stacks of cross-product (covariance) matrices whose last row and column belong
to the outcome, so that a bootstrap costs no more than its matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np

from segkit.regression.columns import Floats

_CELLS = 6_000_000  # numbers held at once
_LEAST_PIVOT = 1e-10  # of a column's variance: below it the column follows from those before


def subset_r2(covariances: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """Return R squared of every subset of predictors.

    Each predictor in turn is left out or eliminated by a step of Gauss (Schur complement), for
    all subsets of those before it at once: 2^p subsets need p steps on stacks, not 2^p fits.

    Parameters
    ----------
    covariances : ndarray, shape (stack, columns + 1, columns + 1)
        The outcome last.
    groups : sequence of sequence of int
        The columns of each predictor; together all columns, once each.

    Returns
    -------
    ndarray, shape (stack, 2, ..., 2)
        One axis a predictor: 0 without it, 1 with it.

    Examples
    --------
    >>> C = np.array([[[1.0, 0.0, 0.6], [0.0, 1.0, 0.3], [0.6, 0.3, 1.0]]])
    >>> subset_r2(C, [[0], [1]]).round(2)[0].tolist()
    [[0.0, 0.09], [0.36, 0.45]]
    """
    order = [k for group in groups for k in group] + [covariances.shape[1] - 1]
    S = covariances[:, order][:, :, order][:, None]
    total = S[..., -1, -1]
    scale = np.diagonal(S, axis1=2, axis2=3)
    for group in groups:
        without = S[..., len(group) :, len(group) :]
        taken, left = S, scale
        for _ in group:
            taken, left = _eliminate(taken, left[..., 0]), left[..., 1:]
        scale = scale[..., len(group) :]
        S = np.stack([without, taken], axis=2).reshape(S.shape[0], -1, *without.shape[2:])
    r2 = 1 - S[..., 0, 0] / total
    return np.asarray(r2.reshape(len(covariances), *[2] * len(groups)))


def _eliminate(S: Floats, variance: Floats) -> Floats:
    """Take out what the first column explains of the others; nothing if nothing of it is left."""
    pivot = S[..., 0, 0]
    usable = pivot > _LEAST_PIVOT * variance
    inverse = np.where(usable, 1.0 / np.where(usable, pivot, 1.0), 0.0)
    column = S[..., 1:, 0]
    return np.asarray(
        S[..., 1:, 1:] - (column * inverse[..., None])[..., :, None] * column[..., None, :]
    )


def exact_shares(covariances: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """Return each predictor's exact Shapley share of R squared, shape (stack, predictors).

    The share is the gain in R squared that a predictor brings, averaged over all orders of entry
    (Lindeman, Merenda & Gold 1980, p. 119 ff.; Shapley 1953).

    Examples
    --------
    >>> C = np.array([[[1.0, 0.0, 0.6], [0.0, 1.0, 0.3], [0.6, 0.3, 1.0]]])
    >>> exact_shares(C, [[0], [1]]).round(4).tolist()
    [[0.36, 0.09]]
    """
    p = len(groups)
    chunk = max(1, _CELLS // (4 * 2**p))
    sizes = np.indices([2] * (p - 1)).sum(axis=0) if p > 1 else np.zeros(())
    weights = np.array([1 / (p * comb(p - 1, k)) for k in range(p)])[sizes.astype(int)]
    parts = []
    for start in range(0, len(covariances), chunk):
        r2 = subset_r2(covariances[start : start + chunk], groups)
        gains = [np.take(r2, 1, axis=j + 1) - np.take(r2, 0, axis=j + 1) for j in range(p)]
        parts.append(
            np.stack([(g * weights).reshape(len(g), -1).sum(axis=1) for g in gains], axis=1)
        )
    return np.concatenate(parts)


def sampled_shares(
    covariances: Floats, groups: Sequence[Sequence[int]], orders: Sequence[Sequence[int]]
) -> Floats:
    """Return each predictor's gain in R squared in each order of entry.

    Parameters
    ----------
    covariances, groups
        As in `subset_r2`.
    orders : sequence of sequence of int
        Permutations of the predictors' places.

    Returns
    -------
    ndarray, shape (orders, stack, predictors)
        Their mean over the orders estimates the Shapley shares.

    Examples
    --------
    >>> C = np.array([[[1.0, 0.5, 0.6], [0.5, 1.0, 0.6], [0.6, 0.6, 1.0]]])
    >>> sampled_shares(C, [[0], [1]], [[0, 1], [1, 0]]).mean(axis=0).round(2).tolist()
    [[0.24, 0.24]]
    """
    last = covariances.shape[1] - 1
    found = np.zeros((len(orders), len(covariances), len(groups)))
    for row, order in enumerate(orders):
        places = [k for g in order for k in groups[g]] + [last]
        S = covariances[:, places][:, :, places]
        scale = np.diagonal(S, axis1=1, axis2=2)
        total = before = S[:, -1, -1]
        for g in order:
            for _ in groups[g]:
                S, scale = _eliminate(S, scale[:, 0]), scale[:, 1:]
            found[row, :, g] = (before - S[:, -1, -1]) / total
            before = S[:, -1, -1]
    return found


def draw_orders(p: int, n: int, random: np.random.Generator) -> list[list[int]]:
    """Draw orders of entry in pairs, each with its reverse: their errors partly cancel.

    Examples
    --------
    >>> draw_orders(3, 2, np.random.default_rng(0))
    [[2, 0, 1], [1, 0, 2]]
    """
    found: list[list[int]] = []
    while len(found) < n:
        order = random.permutation(p).tolist()
        found += [order, order[::-1]]
    return found[:n]
