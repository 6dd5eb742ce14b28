"""Ward's hierarchical clustering, exact in O(n) memory, and its merge tree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.cluster.matrix import Floats, Ints
from segkit.display import counted
from segkit.errors import DataError, ParameterError
from segkit.stats.threads import single_thread

# The three constants affect speed only, not the result.
# Bytes of a block of lower bounds: about a processor's second-level cache.
BLOCK_BYTES = 2_500_000
# Minimum number of rows of equal weight that get a matrix product of their own.
SHARED_WEIGHT_ROWS = 8
# Pairs per row that single precision leaves undecided; with more, double precision is used.
AMBIGUOUS_PER_ROW = 2.0


def exact_ward(centres: Floats, weights: Floats, left: Ints, right: Ints) -> Floats:
    """Return Ward's squared height of each pair: 2 a b / (a + b) times the squared distance.

    Computed from differences, dimension by dimension, so a pair has exactly the same value in
    either order and with any other pairs.

    Parameters
    ----------
    centres : array (d, m)
        One column per cluster.
    weights : array (m,)
        Cluster weights.
    left, right : array (p,)
        The pairs.

    Returns
    -------
    array (p,)

    Examples
    --------
    >>> exact_ward(np.array([[0.0, 3.0]]), np.ones(2), np.array([0]), np.array([1]))
    array([9.])
    """
    total = np.zeros(left.shape[0])
    for row in centres:
        gap = row[left] - row[right]
        total += gap * gap
    a, b = weights[left], weights[right]
    return np.asarray(2.0 * (a * b) / (a + b) * total)


class NearestSearch:
    """Exact nearest neighbours among weighted clusters, filtered by bounds from a matrix product.

    For each row a lower bound to every distance comes from one matrix product (the rounding
    error, at most ``slack`` times the squared lengths, is subtracted within it); only pairs whose
    bound lies at or below the best exact distance are computed exactly. The answer does not
    depend on the precision of the filter: single is tried first, double where data make single
    ambiguous (far outliers, an offset).

    Ties: the smaller exact distance, then the lower index.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.dtype: Any = np.float32

    def __call__(self, centres: Floats, weights: Floats, rows: Ints) -> tuple[Ints, Floats]:
        """Return for each of ``rows`` the nearest other cluster and Ward's squared height to it."""
        count = weights.shape[0]
        best = np.empty(rows.shape[0], dtype=np.int64)
        height = np.empty(rows.shape[0])
        order = np.argsort(weights[rows], kind="stable")
        size = max(8, min(256, BLOCK_BYTES // (count * 4)))
        for group, shared in _groups(weights[rows][order]):
            places = order[group]
            side = _Side(centres, weights, shared, self.dtype, self.dimensions)
            for start in range(0, places.shape[0], size):
                block = places[start : start + size]
                dtype = side.dtype
                best[block], height[block], extra = side.nearest(rows[block])
                if dtype is np.float32 and extra > AMBIGUOUS_PER_ROW * block.shape[0]:
                    self.dtype = np.float64
                    side = _Side(centres, weights, shared, self.dtype, self.dimensions)
        return best, height


def _groups(sorted_weights: Floats) -> list[tuple[slice, float | None]]:
    """Split rows in order of weight: long runs of one weight apart, the rest in mixed groups."""
    edges = np.flatnonzero(np.diff(sorted_weights)) + 1
    starts = np.concatenate([[0], edges, [sorted_weights.shape[0]]])
    groups: list[tuple[slice, float | None]] = []
    mixed: int | None = None
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if stop - start >= SHARED_WEIGHT_ROWS:
            if mixed is not None:
                groups.append((slice(mixed, start), None))
                mixed = None
            groups.append((slice(start, stop), float(sorted_weights[start])))
        elif mixed is None:
            mixed = start
    if mixed is not None:
        groups.append((slice(mixed, sorted_weights.shape[0]), None))
    return groups


class _Side:
    """The right-hand side of the product for one group of rows, and the search in a block."""

    def __init__(
        self, centres: Floats, weights: Floats, shared: float | None, dtype: Any, dimensions: int
    ) -> None:
        self.centres, self.weights, self.shared, self.dtype = centres, weights, shared, dtype
        # Bound on the rounding error of inputs, products and sums: (d + 10) units for each row, by
        # (|x| + |y|)^2 <= 2 (|x|^2 + |y|^2).
        self.slack = 2.0 * (dimensions + 10) * float(np.finfo(dtype).eps)
        lengths = np.einsum("ij,ij->j", centres, centres)
        self.lengths = lengths
        factor = weights if shared is None else 2.0 * shared * weights / (shared + weights)
        self.right = np.empty((dimensions + 2, weights.shape[0]), dtype=dtype)
        np.multiply(centres, -2.0 * factor, out=self.right[:-2], casting="same_kind")
        self.right[-2] = factor
        self.right[-1] = (1.0 - self.slack) * lengths * factor

    def nearest(self, rows: Ints) -> tuple[Ints, Floats, int]:
        """Return nearest index, squared height, and the number of pairs computed exactly."""
        index = np.arange(rows.shape[0])
        bound = self._bounds(rows)
        bound[index, rows] = np.inf
        first = bound.argmin(axis=1)
        height = exact_ward(self.centres, self.weights, rows, first)
        # Rounded upward, so that a pair at exactly the best distance is never lost.
        limit = np.nextafter(height.astype(self.dtype), np.asarray(np.inf, dtype=self.dtype))
        close = bound <= limit[:, None]
        close[index, first] = False
        extra = int(np.count_nonzero(close))
        if extra == 0:
            return first, height, 0
        return *self._resolve_ambiguous(rows, first, height, close), extra

    def _bounds(self, rows: Ints) -> Any:
        augmented = np.empty((rows.shape[0], self.right.shape[0]), dtype=self.dtype)
        augmented[:, :-2] = self.centres[:, rows].T
        augmented[:, -2] = (1.0 - self.slack) * self.lengths[rows]
        augmented[:, -1] = 1.0
        if self.shared is not None:
            return augmented @ self.right
        own = self.weights[rows].astype(self.dtype)
        augmented *= 2.0 * own[:, None]
        bound = augmented @ self.right
        bound /= own[:, None] + self.weights.astype(self.dtype)[None, :]
        return bound

    def _resolve_ambiguous(
        self, rows: Ints, first: Ints, height: Floats, close: NDArray[np.bool_]
    ) -> tuple[Ints, Floats]:
        """Compute the ambiguous pairs exactly and take the nearest, the lower index in a tie."""
        where, column = np.divmod(np.flatnonzero(close.ravel()), close.shape[1])
        value = exact_ward(self.centres, self.weights, rows[where], column)
        where = np.concatenate([where, np.arange(rows.shape[0])])
        column = np.concatenate([column, first])
        value = np.concatenate([value, height])
        order = np.lexsort((column, value, where))
        lead = order[np.searchsorted(where[order], np.arange(rows.shape[0]))]
        return column[lead], value[lead]


def linkage_matrix(left: Ints, right: Ints, heights: Floats, leaves: int) -> Floats:
    """Return scipy's linkage matrix from merges that name one leaf of each side.

    Parameters
    ----------
    left, right : array (n - 1,)
        A leaf of each merged cluster, in an order in which every merge comes after those of its
        parts.
    heights : array (n - 1,)
        Merge heights. A height below that of one of its parts (by rounding) is raised to it.
    leaves : int
        Number of leaves n.

    Returns
    -------
    array (n - 1, 4)
        Lower id, higher id, height, leaves in the merged cluster; heights ascend, and equal
        heights keep the given order.

    Examples
    --------
    >>> linkage_matrix(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 5.0]), 3)
    array([[0., 1., 1., 2.],
           [2., 3., 5., 3.]])
    """
    raised = _monotone(left, right, heights, leaves)
    order = np.argsort(raised, kind="stable")
    parent = list(range(2 * leaves - 1))
    counts = [1] * leaves + [0] * (leaves - 1)
    rows: list[tuple[int, int]] = []
    pairs = zip(left[order].tolist(), right[order].tolist(), strict=True)
    for new, (one, other) in enumerate(pairs, start=leaves):
        a, b = _root(parent, one), _root(parent, other)
        parent[a] = parent[b] = new
        counts[new] = counts[a] + counts[b]
        rows.append((a, b) if a < b else (b, a))
    table = np.empty((leaves - 1, 4))
    table[:, :2] = np.array(rows, dtype=np.float64).reshape(-1, 2)
    table[:, 2] = raised[order]
    table[:, 3] = counts[leaves:]
    return table


def _root(parent: list[int], item: int) -> int:
    root = item
    while parent[root] != root:
        root = parent[root]
    while parent[item] != root:
        parent[item], item = root, parent[item]
    return root


def _monotone(left: Ints, right: Ints, heights: Floats, leaves: int) -> Floats:
    """Raise each height to its parts' heights, merges given in an order of creation."""
    parent = list(range(leaves))
    top = [0.0] * leaves
    raised = heights.tolist()
    for step, (one, other) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        a, b = _root(parent, one), _root(parent, other)
        raised[step] = max(raised[step], top[a], top[b])
        parent[b] = a
        top[a] = raised[step]
    return np.array(raised)


def cut_tree(linkage: Floats, k: int) -> Ints:
    """Cut the tree into ``k`` groups, and return the group of each leaf.

    Parameters
    ----------
    linkage : array (n - 1, 4)
        A linkage matrix in scipy's format.
    k : int
        Number of groups, 1 to n.

    Returns
    -------
    array (n,)
        Group numbers 0 to k - 1, in order of first appearance among the leaves.

    Raises
    ------
    ParameterError
        If ``k`` is not between 1 and the number of leaves.

    Examples
    --------
    >>> cut_tree(np.array([[0., 1., 1., 2.], [2., 3., 5., 3.]]), 2)
    array([0, 0, 1])
    """
    leaves = linkage.shape[0] + 1
    if not 1 <= k <= leaves:
        raise ParameterError(f"k must lie between 1 and the {leaves} leaves; got {k}")
    made = leaves - k
    parent = np.arange(leaves + made)
    children = linkage[:made, :2].astype(np.int64)
    parent[children[:, 0]] = parent[children[:, 1]] = leaves + np.arange(made)
    while True:
        further = parent[parent]
        if np.array_equal(further, parent):
            break
        parent = further
    return first_seen(parent[:leaves])


def first_seen(labels: Ints) -> Ints:
    """Renumber groups from 0 in order of first appearance.

    Examples
    --------
    >>> first_seen(np.array([7, 7, 2, 7]))
    array([0, 0, 1, 0])
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(first.shape[0])
    return rank[inverse]


def order_leaves(linkage: Floats) -> Ints:
    """Return the order in which leaves stand under the tree, so that no branches cross.

    Returns
    -------
    array (n,)
        Leaf numbers from left to right; within a merge the lower id stands left, as in scipy.

    Examples
    --------
    >>> order_leaves(np.array([[1., 2., 1., 2.], [0., 3., 5., 3.]]))
    array([0, 1, 2])
    """
    leaves = linkage.shape[0] + 1
    start = np.zeros(2 * leaves - 1, dtype=np.int64)
    counts = np.concatenate([np.ones(leaves), linkage[:, 3]]).astype(np.int64)
    children = linkage[:, :2].astype(np.int64)
    for row in range(leaves - 2, -1, -1):
        left, right = children[row]
        start[left] = start[leaves + row]
        start[right] = start[leaves + row] + counts[left]
    return np.argsort(start[:leaves])


def ward_linkage(X: Any, weights: Any = None) -> Floats:
    """Build Ward's merge tree, exactly and in O(n) memory.

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
        merges = _merge(centres, merged, order[firsts])
    left, right = np.concatenate([left, merges[0]]), np.concatenate([right, merges[1]])
    return linkage_matrix(left, right, np.concatenate([heights, merges[2]]), points.shape[0])


def _checked(X: Any, weights: Any) -> tuple[Floats, Floats]:
    points = np.ascontiguousarray(X, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] < 1:
        raise DataError(
            f"Ward's method needs a table of at least two rows; got shape {points.shape}"
        )
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise DataError(
            f"Ward's method needs finite values; {counted(bad, 'row holds', 'rows hold')} NaN or "
            "infinity"
        )
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
        index = np.arange(weights.shape[0])
        left = index[(nearest[nearest] == index) & (index < nearest)]
        if left.shape[0] == 0:
            # Rounding can make a merged cluster slightly nearer than its parts were, and the stored
            # neighbours can form a cycle without a reciprocal pair; a new search always finds a
            # pair.
            stale = index
            continue
        right = nearest[left]
        made.append((leaf[left], leaf[right], np.sqrt(height[left])))
        total = weights[left] + weights[right]
        share = weights[right] / total
        centres[:, left] += share * (centres[:, right] - centres[:, left])
        weights[left] = total
        is_merged = np.zeros(weights.shape[0], dtype=bool)
        is_merged[right] = True
        changed = is_merged.copy()
        changed[left] = True
        lost = changed | changed[nearest]
        keep = ~is_merged
        place = np.cumsum(keep) - 1
        stale = np.flatnonzero(lost[keep])
        nearest, height = place[nearest[keep]], height[keep]
        centres, weights, leaf = np.ascontiguousarray(centres[:, keep]), weights[keep], leaf[keep]
    left, right, heights = (np.concatenate(part) for part in zip(*made, strict=True))
    return left, right, heights
