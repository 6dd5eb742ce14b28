"""Whose centre is nearest: assignment of rows to groups, the same for one row as for a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

BLOCK = 4096
SHIFTED_ROWS = 50_000
SETTLE_STEPS = 100  # Lloyd's steps after Ward's cut, unless asked otherwise


def squared_distances(X: Floats, centres: Floats) -> Floats:
    """Return the squared distance of every row to every centre.

    Summed by differences, column after column, with elementwise operations alone: a row's
    distances have the same bits alone and in a batch, which a matrix product does not promise.

    Parameters
    ----------
    X : array (n, d)
    centres : array (k, d)

    Returns
    -------
    array (n, k)

    Examples
    --------
    >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]))
    array([[25.,  1.]])
    """
    total = np.zeros((X.shape[0], centres.shape[0]))
    for start in range(0, X.shape[0], BLOCK):
        part = total[start : start + BLOCK]
        columns = np.ascontiguousarray(X[start : start + BLOCK].T)
        for group, centre in enumerate(centres):
            value = np.zeros(part.shape[0])
            for column, middle in zip(columns, centre, strict=True):
                gap = column - middle
                value += gap * gap
            part[:, group] = value
    return total


def nearest_centre(X: Floats, centres: Floats) -> Ints:
    """Return the number of the nearest centre, the lowest in an exact tie.

    The product form |c|² - 2 x·c picks the candidates; rows whose two best lie within its
    rounding error are decided by `squared_distances`, so the answer is that function's.

    Examples
    --------
    >>> nearest_centre(np.array([[0.0], [2.0], [4.0]]), np.array([[0.0], [4.0]]))
    array([0, 0, 1])
    """
    labels = np.zeros(X.shape[0], dtype=np.int64)
    if centres.shape[0] == 1:
        return labels
    middle = centres.mean(axis=0)
    for start in range(0, X.shape[0], BLOCK):
        part = X[start : start + BLOCK]
        rows = part - middle
        labels[start : start + BLOCK] = _nearest(
            part, rows, np.einsum("ij,ij->i", rows, rows), centres, middle
        )
    return labels


def _nearest(X: Floats, rows: Floats, lengths: Floats, centres: Floats, middle: Floats) -> Ints:
    """Decide for rows less ``middle``, whose squared lengths are known."""
    moved = centres - middle
    squares = np.einsum("ij,ij->i", moved, moved)
    value = (-2.0 * moved) @ rows.T + squares[:, None]
    first = value.argmin(axis=0)
    here = np.arange(rows.shape[0])
    best = value[first, here]
    value[first, here] = np.inf
    slack = 4.0 * (X.shape[1] + 10) * float(np.finfo(np.float64).eps)
    error = slack * (lengths + (squares.max() + np.square(np.abs(middle).max())))
    unsure = np.flatnonzero(value.min(axis=0) - best <= error)
    if unsure.shape[0]:
        first[unsure] = squared_distances(X[unsure], centres).argmin(axis=1)
    return np.asarray(first, dtype=np.int64)


def centres_of(
    X: Floats, labels: Ints, weights: Floats | None = None, empty: Floats | None = None
) -> Floats:
    """Return each group's (weighted) mean, shape (k, d), for labels 0 to k - 1.

    Groups without rows keep their row of ``empty``, shape (k, d), if that is given.
    """
    k = int(labels.max()) + 1 if empty is None else len(empty)
    mass = np.bincount(labels, weights=weights, minlength=k)
    sums = [
        np.bincount(labels, weights=column if weights is None else column * weights, minlength=k)
        for column in X.T
    ]
    means = np.stack(sums, axis=1) / np.where(mass > 0, mass, 1.0)[:, None]
    return np.asarray(means if empty is None else np.where(mass[:, None] > 0, means, empty))


def order_groups(X: Floats, labels: Ints, weights: Floats | None = None) -> Ints:
    """Renumber groups by falling weight, then by centre, so that row order changes nothing.

    Examples
    --------
    >>> order_groups(np.array([[5.0], [1.0], [1.2]]), np.array([0, 1, 1]))
    array([1, 0, 0])
    """
    mass = np.bincount(labels, weights=weights)
    centres = centres_of(X, labels, weights)
    order = np.lexsort((*centres.T[::-1], -mass))
    rank = np.empty_like(order)
    rank[order] = np.arange(order.shape[0])
    return rank[labels]


def within_ss(X: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the within-group sum of squares about the groups' own means.

    Examples
    --------
    >>> within_ss(np.array([[0.0], [2.0], [7.0]]), np.array([0, 0, 1]))
    2.0
    """
    gap = X - centres_of(X, labels, weights)[labels]
    squared = np.einsum("ij,ij->i", gap, gap)
    return float(squared.sum() if weights is None else squared @ weights)


def settle(
    X: Floats, centres: Floats, *, steps: int, weights: Floats | None = None
) -> tuple[Floats, int]:
    """Move centres to the means of the rows nearest to them, until nobody changes any more.

    Lloyd (1982), "Least squares quantization in PCM". A centre that loses all its rows stays.

    Parameters
    ----------
    X : array (n, d)
    centres : array (k, d)
        Where to start.
    steps : int
        Most steps to take; 0 leaves the centres as they are.
    weights : array (n,), optional
        How much each row counts.

    Returns
    -------
    tuple of (array (k, d), int)
        The centres, and the steps taken.

    Examples
    --------
    >>> centres, steps = settle(np.array([[0.0], [1.0], [9.0]]), np.array([[0.0], [4.0]]), steps=9)
    >>> centres.tolist(), steps
    ([[0.5], [9.0]], 1)
    """
    find = _finder(X)
    labels = None
    for step in range(steps):
        found = find(centres)
        if labels is not None and np.array_equal(found, labels):
            return centres, step
        labels = found
        centres = centres_of(X, labels, weights, empty=centres)
    return centres, steps


def _finder(X: Floats) -> Callable[[Floats], Ints]:
    """Return `nearest_centre` for these rows; few rows are shifted and measured only once."""
    if len(X) > SHIFTED_ROWS:
        return lambda centres: nearest_centre(X, centres)
    middle = X.mean(axis=0)
    rows = X - middle
    lengths = np.einsum("ij,ij->i", rows, rows)
    return lambda centres: (
        np.zeros(len(X), np.int64)
        if len(centres) == 1
        else _nearest(X, rows, lengths, centres, middle)
    )
