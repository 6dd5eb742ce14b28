"""Which cluster is nearest to each in Ward's sense, exactly and at the speed of a product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# A block of lower bounds is kept about as large as a processor's second-level cache.
BLOCK_BYTES = 2_500_000
# Rows of one weight that are worth a right-hand side of their own.
SHARED_WEIGHT_ROWS = 8
# Ambiguous pairs per row beyond which single precision costs more than it saves.
AMBIGUOUS_PER_ROW = 2.0


def exact_ward(centres: Floats, weights: Floats, left: Ints, right: Ints) -> Floats:
    """Return Ward's squared height of each pair: 2 a b / (a + b) times the squared distance.

    Written by differences, dimension after dimension, so that a pair has the same value to the
    last bit whichever way round and in whatever company it is computed.

    Parameters
    ----------
    centres : array (d, m)
        One column a cluster.
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
        # Rounding of inputs, products and sums, with room to spare: (d + 10) units each way,
        # on (|x| + |y|)^2 <= 2 (|x|^2 + |y|^2).
        self.slack = 2.0 * (dimensions + 10) * float(np.finfo(dtype).eps)
        lengths = np.einsum("ij,ij->j", centres, centres)
        self.lengths = lengths
        factor = weights if shared is None else 2.0 * shared * weights / (shared + weights)
        self.right = np.empty((dimensions + 2, weights.shape[0]), dtype=dtype)
        np.multiply(centres, -2.0 * factor, out=self.right[:-2], casting="same_kind")
        self.right[-2] = factor
        self.right[-1] = (1.0 - self.slack) * lengths * factor

    def nearest(self, rows: Ints) -> tuple[Ints, Floats, int]:
        """Return nearest index, squared height, and how many pairs needed a second look."""
        here = np.arange(rows.shape[0])
        bound = self._bounds(rows)
        bound[here, rows] = np.inf
        first = bound.argmin(axis=1)
        height = exact_ward(self.centres, self.weights, rows, first)
        # Rounded upward, so that a pair at exactly the best distance is never lost.
        limit = np.nextafter(height.astype(self.dtype), np.asarray(np.inf, dtype=self.dtype))
        close = bound <= limit[:, None]
        close[here, first] = False
        extra = int(np.count_nonzero(close))
        if extra == 0:
            return first, height, 0
        return *self._settle(rows, first, height, close), extra

    def _bounds(self, rows: Ints) -> Any:
        left = np.empty((rows.shape[0], self.right.shape[0]), dtype=self.dtype)
        left[:, :-2] = self.centres[:, rows].T
        left[:, -2] = (1.0 - self.slack) * self.lengths[rows]
        left[:, -1] = 1.0
        if self.shared is not None:
            return left @ self.right
        own = self.weights[rows].astype(self.dtype)
        left *= 2.0 * own[:, None]
        bound = left @ self.right
        bound /= own[:, None] + self.weights.astype(self.dtype)[None, :]
        return bound

    def _settle(
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
