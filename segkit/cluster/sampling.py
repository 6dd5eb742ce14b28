"""A random sample of millions of rows that does not hang on the order in which they came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segkit.cluster.matrix import fair_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Keys = NDArray[np.uint64]

BLOCK = 16_384
TABLE_BITS = 22


def fair_sample(X: Floats, size: int, seed: int) -> Ints:
    """Return row numbers of a simple random sample, the same for a shuffled table.

    As `segkit.cluster.matrix.fair_order`, but without ordering all rows: every row is hashed from
    its values, copies of one row are told apart by a second hash of their running number, and
    the smallest hashes make the sample. Which of several equal rows is taken makes no difference.

    Parameters
    ----------
    X : array (n, d)
        Finite numbers.
    size : int
        Rows wanted; all n, in a fair order, where there are no more.
    seed : int

    Returns
    -------
    array (min(size, n),)
        In an order given by the rows' values.

    Examples
    --------
    >>> X = np.arange(1000.0)[:, None]
    >>> rows = fair_sample(X, 3, 0)
    >>> bool((X[rows] == X[::-1][fair_sample(X[::-1], 3, 0)]).all())
    True
    """
    n = X.shape[0]
    if n <= size:
        return fair_order(X, seed)
    keys = _row_keys(X, seed)
    ordered = np.sort(keys)
    wanted = ordered[_smallest(_told_apart(ordered), size)]
    chosen, copies = np.unique(wanted, return_counts=True)
    rows = _rows_with(keys, chosen)
    held = keys[rows]
    starts = np.searchsorted(held, chosen)
    number = np.arange(rows.shape[0]) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    return rows[number < np.repeat(copies, np.diff(np.append(starts, len(rows))))]


def _row_keys(X: Floats, seed: int) -> Keys:
    """Hash every row's values to 64 bits."""
    keys = np.empty(X.shape[0], dtype=np.uint64)
    start_key = np.uint64((seed * 0x9E3779B97F4A7C15 + 0x5851F42D4C957F2D) & (2**64 - 1))
    for start in range(0, X.shape[0], BLOCK):
        columns = np.ascontiguousarray(X[start : start + BLOCK].T) + 0.0  # -0.0 becomes 0.0
        key = np.full(columns.shape[1], start_key)
        for column in columns:
            key ^= column.view(np.uint64)
            _mix(key)
        keys[start : start + BLOCK] = key
    return keys


def _mix(key: Keys) -> None:
    """Mix the bits of keys in place (the finaliser of SplitMix64; Steele et al. 2014)."""
    key ^= key >> np.uint64(30)
    key *= np.uint64(0xBF58476D1CE4E5B9)
    key ^= key >> np.uint64(27)
    key *= np.uint64(0x94D049BB133111EB)
    key ^= key >> np.uint64(31)


def _told_apart(ordered: Keys) -> Keys:
    """Hash sorted keys again, the copies of one key by their running number."""
    second = ordered.copy()
    same = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    if same.shape[0]:
        new = np.ones(ordered.shape[0], dtype=bool)
        new[same] = False
        starts = np.flatnonzero(new)
        lengths = np.diff(np.append(starts, ordered.shape[0]))
        second += (np.arange(ordered.shape[0]) - np.repeat(starts, lengths)).astype(np.uint64)
    for start in range(0, second.shape[0], BLOCK):
        _mix(second[start : start + BLOCK])
    return second


def _smallest(keys: Keys, size: int) -> Ints:
    """Return the places of the ``size`` smallest keys, going through few of them."""
    share = (size + 6 * size**0.5 + 10) / keys.shape[0]
    below = np.flatnonzero(keys < np.uint64(int(min(share, 1.0) * (2**64 - 2**12))))
    if below.shape[0] < size:
        below = np.arange(keys.shape[0])
    return below[np.argpartition(keys[below], size - 1)[:size]]


def _rows_with(keys: Keys, chosen: Keys) -> Ints:
    """Return the rows whose key is among ``chosen`` (sorted), in order of the keys."""
    shift = np.uint64(64 - TABLE_BITS)
    table = np.zeros(2**TABLE_BITS, dtype=bool)
    table[chosen >> shift] = True
    rows = np.flatnonzero(table[keys >> shift])
    place = np.minimum(np.searchsorted(chosen, keys[rows]), chosen.shape[0] - 1)
    rows = rows[chosen[place] == keys[rows]]
    order: Ints = np.argsort(keys[rows], kind="stable")
    return np.asarray(rows[order])
