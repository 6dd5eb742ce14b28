"""What goes into a clustering: a checked matrix, codes for labels, an order-free shuffle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segkit.errors import DataError, ParameterError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def as_matrix(X: Any, *, min_rows: int = 1) -> Floats:
    """Check that the data are a finite numeric matrix, one row a customer.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Numbers; a polars or pandas frame of numeric columns is taken too.
    min_rows : int
        Rows that the analysis needs at the least.

    Returns
    -------
    ndarray of shape (n, d), float64, row by row in memory

    Raises
    ------
    DataError
        If the data are not numeric, not two-dimensional, too few, or hold a missing or infinite
        value (how many, in which columns).

    Examples
    --------
    >>> as_matrix([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    raw = X.to_numpy() if hasattr(X, "to_numpy") else X
    try:
        matrix = np.ascontiguousarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"clustering needs numbers, one row a customer: {error}") from None
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise DataError(
            f"expected a table of customers by features, got an array of shape {matrix.shape}"
        )
    if len(matrix) < min_rows:
        raise DataError(f"expected at least {min_rows} customers, got {len(matrix)}")
    if not np.isfinite(matrix).all():
        bad = ~np.isfinite(matrix)
        where = ", ".join(str(column) for column in np.flatnonzero(bad.any(axis=0)))
        raise DataError(
            f"{int(bad.sum())} missing or infinite values in columns {where}; "
            "fill or drop them before clustering"
        )
    return matrix


def as_codes(labels: ArrayLike, n: int) -> tuple[Ints, list[Any]]:
    """Code the labels 0, 1, … in sorted order; numbers that nobody bears are dropped.

    Returns
    -------
    codes : ndarray of shape (n,), int64
    names : list
        The label behind each code.

    Raises
    ------
    DataError
        If there is not one label a row, or a label is missing.

    Examples
    --------
    >>> codes, names = as_codes(["b", "a", "b"], 3)
    >>> codes.tolist(), names
    ([1, 0, 1], ['a', 'b'])
    """
    given = np.asarray(labels.to_numpy() if hasattr(labels, "to_numpy") else labels)
    if given.shape != (n,):
        raise DataError(f"expected one label for each of {n} rows, got shape {given.shape}")
    if given.dtype.kind in "iu" and n and given.min() >= 0 and given.max() <= 4 * n:
        present = np.flatnonzero(np.bincount(given))
        if len(present) == present[-1] + 1:
            return given.astype(np.int64, copy=False), list(range(len(present)))
        lookup = np.zeros(present[-1] + 1, dtype=np.int64)
        lookup[present] = np.arange(len(present))
        return lookup[given], present.tolist()
    missing = [v is None or v != v for v in given.tolist()]
    if any(missing):
        raise DataError(f"{sum(missing)} of {n} labels are missing; every row needs one")
    names, codes = np.unique(given, return_inverse=True)
    return codes.astype(np.int64, copy=False), names.tolist()


def as_partition(X: Any, labels: ArrayLike) -> tuple[Floats, Ints, int]:
    """Check data and labels together; return the matrix, the codes and the number of segments."""
    matrix = as_matrix(X)
    codes, names = as_codes(labels, len(matrix))
    return matrix, codes, len(names)


def fair_order(X: Floats, seed: int) -> Ints:
    """Give a random order of the rows that does not depend on the order they came in.

    Each row is hashed from its own values and the seed, and rows are sorted by their hash; copies
    of one row are told apart by a second hash of their running number. The first m rows of the
    order are thus a simple random sample that is the same for a shuffled table.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    seed : int

    Returns
    -------
    ndarray of shape (n,), int64
        Row numbers, in the new order.

    Examples
    --------
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> first = X[fair_order(X, 0)]
    >>> bool((X[::-1][fair_order(X[::-1], 0)] == first).all())
    True
    """
    key = np.full(len(X), np.uint64(seed & 0xFFFFFFFF) + np.uint64(0x9E3779B97F4A7C15))
    for column in np.ascontiguousarray(X.T + 0.0):  # + 0.0 turns -0.0 into 0.0
        key = _mixed(key ^ column.view(np.uint64))
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    new = np.r_[True, ordered[1:] != ordered[:-1]]
    if new.all():
        return order
    starts = np.flatnonzero(new)
    copy = np.arange(len(X)) - np.repeat(starts, np.diff(np.r_[starts, len(X)]))
    second = np.empty_like(key)
    second[order] = _mixed(ordered + copy.astype(np.uint64))
    return np.argsort(second, kind="stable")


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of 64-bit keys (the finaliser of SplitMix64; Steele et al. 2014)."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def distinct_rows(X: Floats, enough: int) -> int:
    """Count distinct rows, stopping as soon as ``enough`` have been seen.

    Examples
    --------
    >>> distinct_rows(np.zeros((5, 2)), 3)
    1
    """
    size = max(64, 4 * enough)
    while True:
        count = len(np.unique(X[:size], axis=0))
        if count >= enough or size >= len(X):
            return count
        size *= 8


def as_k_range(k_range: Any, distinct: int) -> tuple[list[int], list[str]]:
    """Check the numbers of segments asked for; those that the data cannot fill are left out.

    Returns
    -------
    ks : list of int
        In rising order.
    notes : list of str
        What was left out and why.

    Raises
    ------
    ParameterError
        If one is not a whole number of at least 2, or none was given.
    DataError
        If too few distinct rows are there for any of them.

    Examples
    --------
    >>> as_k_range(range(2, 6), 4)
    ([2, 3], ['k = 4, 5 left out: only 4 distinct rows'])
    """
    try:
        ks = sorted({int(k) for k in k_range if int(k) == k})
    except (TypeError, ValueError):
        ks = []
    if not ks or ks[0] < 2 or len(ks) != len(set(k_range)):
        raise ParameterError(f"k_range needs whole numbers of at least 2, got {k_range!r}")
    kept = [k for k in ks if k < distinct]
    if not kept:
        raise DataError(
            f"{distinct} distinct rows cannot be cut into {ks[0]} or more segments; "
            f"at least {ks[0] + 1} are needed"
        )
    if len(kept) == len(ks):
        return kept, []
    left = ", ".join(str(k) for k in ks if k not in kept)
    return kept, [f"k = {left} left out: only {distinct} distinct rows"]
