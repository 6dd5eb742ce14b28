"""Agreement of two segmentations of the same customers, as a whole and segment by segment."""

from __future__ import annotations

import numpy as np

from segkit.cluster.matrix import Floats, Ints


def overlaps(first: Ints, second: Ints, rows: int, columns: int) -> Ints:
    """Count the customers in every pair of segments, one of each segmentation.

    Parameters
    ----------
    first, second : ndarray of shape (n,)
        Codes 0 … rows - 1 and 0 … columns - 1.

    Returns
    -------
    ndarray of shape (rows, columns), int64

    Examples
    --------
    >>> overlaps(np.array([0, 0, 1]), np.array([1, 1, 0]), 2, 2).tolist()
    [[0, 2], [1, 0]]
    """
    cells = np.bincount(first * columns + second, minlength=rows * columns)
    return cells.reshape(rows, columns)


def adjusted_rand(table: Ints) -> float:
    """Return the adjusted Rand index: agreement beyond chance, at most 1.

    Hubert and Arabie (1985), "Comparing partitions", eq. 5, from the table of overlaps. Two
    segmentations that both put everyone in one segment agree perfectly.

    Examples
    --------
    >>> adjusted_rand(np.array([[2, 0], [0, 2]])), round(adjusted_rand(np.ones((2, 2))), 6)
    (1.0, -0.5)
    """
    cells = table.astype(np.float64)
    a, b, n = cells.sum(axis=1), cells.sum(axis=0), cells.sum()
    both = (cells * (cells - 1)).sum()
    one, other = (a * (a - 1)).sum(), (b * (b - 1)).sum()
    expected = one * other / max(n * (n - 1), 1.0)
    most = (one + other) / 2
    return float((both - expected) / (most - expected)) if most != expected else 1.0


def jaccard(table: Ints) -> Floats:
    """Return each segment's largest Jaccard coefficient with the second segmentation.

    The largest Jaccard coefficient |A and B| / |A or B| with any segment of the second: Hennig
    (2007), "Cluster-wise assessment of cluster stability". NaN for an empty segment.

    Examples
    --------
    >>> jaccard(np.array([[2, 0], [1, 3]])).round(2).tolist()
    [0.67, 0.75]
    """
    cells = table.astype(np.float64)
    sizes = cells.sum(axis=1)
    union = sizes[:, None] + cells.sum(axis=0) - cells
    best: Floats = np.divide(cells, union, out=np.zeros_like(cells), where=union > 0).max(axis=1)
    best[sizes == 0] = np.nan
    return best


def prediction_strength(table: Ints) -> float:
    """Return the prediction strength: how well another sample's centres reproduce the segments.

    For each segment, the share of its customer pairs that the other sample's centres also put
    together; the smallest of these shares:
    Tibshirani and Walther (2005), "Cluster validation by prediction strength", their ps(k).

    Parameters
    ----------
    table : ndarray of shape (k, k')
        Overlaps of the segments of the test half (rows) with those predicted for it (columns).

    Returns
    -------
    float
        From 0 to 1. Segments of one customer have no pairs and are ignored; 1 if all are such.

    Examples
    --------
    >>> prediction_strength(np.array([[3, 0], [2, 2]])).__round__(3)
    0.333
    """
    cells = table.astype(np.float64)
    sizes = cells.sum(axis=1)
    pairs = sizes * (sizes - 1)
    together = (cells * (cells - 1)).sum(axis=1)
    return float((together[pairs > 0] / pairs[pairs > 0]).min(initial=1.0))


def matched(table: Ints) -> Ints:
    """Match each segment with the earlier one that it continues.

    The matching is one to one and keeps as many customers as possible in their earlier segment
    (Hungarian assignment). In a tie, segments of similar size are paired.

    Parameters
    ----------
    table : ndarray of shape (rows, columns)
        Overlaps.

    Returns
    -------
    ndarray of shape (columns,)
        The row each column continues; -1 for columns left over.

    Examples
    --------
    >>> matched(np.array([[0, 5, 1], [4, 0, 1]])).tolist()
    [1, 0, -1]
    """
    from scipy.optimize import linear_sum_assignment

    sizes = np.abs(table.sum(axis=1)[:, None] - table.sum(axis=0))
    # All size terms together sum to less than one customer, so they only break ties.
    gain = table + (1 - sizes / (table.sum() + 1)) / (min(table.shape) + 1)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    owner = np.full(table.shape[1], -1, dtype=np.int64)
    owner[columns] = rows
    return owner


def aligned(reference: Ints, codes: Ints) -> Ints:
    """Renumber a segmentation so that each segment keeps the number of the one it continues.

    Segments that continue none get the next free numbers, the largest segment first.

    Examples
    --------
    >>> aligned(np.array([0, 0, 1, 1, 1]), np.array([1, 1, 0, 0, 2])).tolist()
    [0, 0, 1, 1, 2]
    """
    rows, columns = int(reference.max()) + 1, int(codes.max()) + 1
    owner = matched(overlaps(reference, codes, rows, columns))
    sizes = np.bincount(codes, minlength=columns)
    new = [column for column in np.argsort(-sizes, kind="stable") if owner[column] < 0]
    free = [number for number in range(max(rows, columns)) if number not in set(owner.tolist())]
    owner[new] = free[: len(new)]
    return owner[codes]


def by_size(codes: Ints) -> Ints:
    """Renumber a segmentation by decreasing size; equal sizes by first appearance.

    Examples
    --------
    >>> by_size(np.array([0, 1, 1])).tolist()
    [1, 0, 0]
    """
    sizes = np.bincount(codes)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return rank[codes]


def across(table: Ints) -> Floats:
    """Return each segment's stability across solutions (SLSa), from 0 to 1.

    One minus the entropy of the segment's origin over the earlier segments, divided by the
    logarithm of their number. 1: all customers come from one segment; 0: evenly from all.
    Dolnicar and Leisch (2017), "Using segment level stability to select target segments in
    data-driven market segmentation studies".

    Parameters
    ----------
    table : ndarray of shape (k before, k)
        Overlaps.

    Examples
    --------
    >>> across(np.array([[2, 2, 0], [0, 2, 6]])).round(3).tolist()
    [1.0, 0.0, 1.0]
    """
    shares = table / np.maximum(table.sum(axis=0), 1)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=0)
    return np.asarray(np.clip(1.0 - entropy / np.log(max(len(table), 2)), 0.0, 1.0))
