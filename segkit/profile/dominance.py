"""Cliff's delta of a segment against everyone else, for many variables at once."""

from __future__ import annotations

import numpy as np

from segkit.profile.members import Flags, Floats


def dominance(values: Floats, within: Flags) -> tuple[Floats, Floats]:
    """Return Cliff's delta of each group against everyone outside it, and its variance.

    Parameters
    ----------
    values : ndarray, shape (customers, variables)
        NaN where unknown.
    within : ndarray of bool, shape (groups, customers)

    Returns
    -------
    (ndarray, ndarray), each of shape (groups, variables)
        NaN where either side is empty (the variance: has fewer than two).

    Notes
    -----
    Counts over each variable's distinct values instead of pairs: as `stats.effects.cliffs_delta`.

    Examples
    --------
    >>> values = np.array([[3.0], [4.0], [5.0], [1.0], [2.0], [3.0]])
    >>> delta, _ = dominance(values, np.array([[True, True, True, False, False, False]]))
    >>> round(float(delta[0, 0]), 4)
    0.8889
    """
    shape = (within.shape[0], values.shape[1])
    delta, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    for j in range(shape[1]):
        known = ~np.isnan(values[:, j])
        levels, codes = np.unique(values[known, j], return_inverse=True)
        whole = np.bincount(codes, minlength=levels.size).astype(np.float64)
        for i, inside in enumerate(within):
            ours = np.bincount(codes[inside[known]], minlength=levels.size).astype(np.float64)
            delta[i, j], variance[i, j] = _one(ours, whole - ours)
    return delta, variance


def _one(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """Return delta and its variance from both sides' counts over the distinct values."""
    if not ours.any() or not theirs.any():
        return np.nan, np.nan
    win, lose = _wins(theirs), _wins(ours)
    delta = float((ours * win).sum() / ours.sum())
    if ours.sum() < 2 or theirs.sum() < 2:
        return delta, np.nan
    return delta, _spread(ours, win) + _spread(theirs, lose)


def _wins(counts: Floats) -> Floats:
    """Return, for each distinct value, the share of counts below it less the share above."""
    upto = np.cumsum(counts)
    return np.asarray((upto - counts - (upto[-1] - upto)) / upto[-1])


def _spread(counts: Floats, placed: Floats) -> float:
    n = counts.sum()
    # No BLAS: products this small lose time to its threads.
    mean = (counts * placed).sum() / n
    return float((counts * (placed - mean) ** 2).sum() / (n - 1) / n)
