"""Which customers belong together, merge by merge? Ward's hierarchical clustering at any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.cluster.nearest import NearestSearch
from segkit.cluster.tree import linkage_matrix
from segkit.errors import DataError
from segkit.stats.threads import single_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def ward_linkage(X: Any, weights: Any = None) -> Floats:
    """Which merges does Ward's method make, and at what heights? Exact, in O(n) memory.

    Reciprocal nearest neighbours are merged in rounds. Ward's criterion is reducible (a merged
    cluster is never nearer to a third one than the nearer of its parts), so this yields the same
    tree as merging one closest pair after another. A round searches only for clusters whose
    nearest neighbour was merged away. Heights are those of ``scipy.cluster.hierarchy.linkage(X,
    "ward")``: ``sqrt(2 a b / (a + b))`` times the distance of the two centres; half the sum of
    the squared heights is the total sum of squares.

    Rows are first put in a canonical (lexicographic) order and equal rows made one, at height
    zero, so the tree does not depend on the order of the rows. Among equally near neighbours the
    first in that order is taken.

    Parameters
    ----------
    X : array-like (n, d)
        Numeric, finite, transformed and scaled rows.
    weights : array-like (n,), optional
        Positive weights, as of micro-clusters that stand for many customers; 1 by default.

    Returns
    -------
    array (n - 1, 4)
        Linkage matrix in scipy's format; its counts are leaves, not weights.

    Raises
    ------
    DataError
        If there are fewer than two rows, a value is not finite, or a weight is not positive.

    References
    ----------
    Ward (1963), "Hierarchical grouping to optimize an objective function"; Murtagh (1983), "A
    survey of recent advances in hierarchical clustering algorithms"; Bruynooghe (1978) on
    reducibility.

    Examples
    --------
    >>> ward_linkage([[0.0], [1.0], [5.0]]).round(3)
    array([[0.   , 1.   , 1.   , 2.   ],
           [2.   , 3.   , 5.196, 3.   ]])
    """
    points, mass = _checked(X, weights)
    order = np.lexsort(points.T[::-1])
    left, right, heights, firsts = _equal_rows(points, order)
    merged = np.add.reduceat(mass[order], firsts)
    centres = np.ascontiguousarray(points[order[firsts]].T)
    centres -= np.average(centres, axis=1, weights=merged)[:, None]
    with single_thread():
        found = _merge(centres, merged, order[firsts])
    left, right = np.concatenate([left, found[0]]), np.concatenate([right, found[1]])
    return linkage_matrix(left, right, np.concatenate([heights, found[2]]), points.shape[0])


def _checked(X: Any, weights: Any) -> tuple[Floats, Floats]:
    points = np.ascontiguousarray(X, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] < 1:
        raise DataError(
            f"Ward's method needs a table of at least two rows; got shape {points.shape}"
        )
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise DataError(f"Ward's method needs finite values; {bad} rows hold NaN or infinity")
    mass = np.ones(points.shape[0]) if weights is None else np.asarray(weights, dtype=np.float64)
    if mass.shape != (points.shape[0],) or not (np.isfinite(mass) & (mass > 0)).all():
        raise DataError(f"weights must be {points.shape[0]} positive finite numbers")
    return points + 0.0, mass  # -0.0 becomes 0.0, so that equal rows are equal bytes


def _equal_rows(points: Floats, order: Ints) -> tuple[Ints, Ints, Floats, Ints]:
    """Merge equal rows at height zero: the merges, and where each distinct row starts."""
    ordered = points[order]
    new = np.ones(order.shape[0], dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    firsts = np.flatnonzero(new)
    leader = order[firsts][np.cumsum(new) - 1]
    return leader[~new], order[~new], np.zeros(int((~new).sum())), firsts


def _merge(centres: Floats, weights: Floats, leaf: Ints) -> tuple[Ints, Ints, Floats]:
    """Merge reciprocal nearest neighbours in rounds until one cluster is left."""
    search = NearestSearch(centres.shape[0])
    made: list[tuple[Ints, Ints, Floats]] = [(leaf[:0], leaf[:0], np.empty(0))]
    nearest = np.zeros(weights.shape[0], dtype=np.int64)
    height = np.zeros(weights.shape[0])
    stale = np.arange(weights.shape[0])
    while weights.shape[0] > 1:
        nearest[stale], height[stale] = search(centres, weights, stale)
        here = np.arange(weights.shape[0])
        left = here[(nearest[nearest] == here) & (here < nearest)]
        if left.shape[0] == 0:
            # Rounding can bring a merged cluster a last bit nearer than its parts were and close
            # a ring of old neighbours; neighbours all found afresh always hold one pair.
            stale = here
            continue
        right = nearest[left]
        made.append((leaf[left], leaf[right], np.sqrt(height[left])))
        total = weights[left] + weights[right]
        share = weights[right] / total
        centres[:, left] += share * (centres[:, right] - centres[:, left])
        weights[left] = total
        gone = np.zeros(weights.shape[0], dtype=bool)
        gone[right] = True
        changed = gone.copy()
        changed[left] = True
        lost = changed | changed[nearest]
        keep = ~gone
        place = np.cumsum(keep) - 1
        stale = np.flatnonzero(lost[keep])
        nearest, height = place[nearest[keep]], height[keep]
        centres, weights, leaf = np.ascontiguousarray(centres[:, keep]), weights[keep], leaf[keep]
    left, right, heights = (np.concatenate(part) for part in zip(*made, strict=True))
    return left, right, heights
