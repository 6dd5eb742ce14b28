"""How well does each customer fit its segment? Silhouettes, exact in blocks or in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from segkit.cluster.matrix import Floats, Ints, as_partition, fair_order
from segkit.cluster.sums import ClusterSums, cluster_sums
from segkit.display import number
from segkit.errors import ParameterError
from segkit.result import Result

EXACT_ROWS = 10_000
SAMPLE_ROWS = 2_000
_CELLS = 1 << 21  # distances held at once (16 MB)


def squared_silhouette_samples(X: Any, labels: ArrayLike) -> Floats:
    """How much nearer is each customer to its own segment? By SQUARED Euclidean distance.

    The silhouette of Rousseeuw (1987) in which squared distance takes the place of distance. The
    mean squared distance of a row x to segment C is |x - centre|² + scatter/count, so no pair of
    rows is ever formed: O(n k d). It is not the Euclidean silhouette and is larger as a rule (.274
    against .163 on one and the same partition); compare it only with itself. Zero for the only
    row of a segment and for k = n; NaN for k = 1.

    Returns
    -------
    ndarray of shape (n,), values from -1 to 1

    Examples
    --------
    >>> squared_silhouette_samples([[0.0], [1.0], [9.0]], [0, 0, 1]).round(4).tolist()
    [0.9877, 0.9844, 0.0]
    """
    matrix, codes, k = as_partition(X, labels)
    return squared_silhouettes(matrix, codes, cluster_sums(matrix, codes, k))


def squared_silhouettes(X: Floats, codes: Ints, sums: ClusterSums) -> Floats:
    """Return the squared-Euclidean silhouettes of rows whose segments are already summed up."""
    k, n = len(sums.counts), len(X)
    middle = (sums.counts / n) @ sums.centres
    centres = sums.centres - middle
    flat = (centres * centres).sum(axis=1) + sums.scatter / sums.counts
    values = np.full(n, np.nan)
    if k < 2:
        return values
    for start in range(0, n, 8_192):
        rows = slice(start, start + 8_192)
        block, own = X[rows] - middle, codes[rows]
        mean = block @ (-2.0 * centres.T)
        mean += np.einsum("ij,ij->i", block, block)[:, None]
        mean += flat
        values[rows] = _silhouettes(mean, own, sums.counts)
    return values


def _silhouettes(mean: Floats, own: Ints, counts: Floats) -> Floats:
    """Turn mean distances to every segment (n, k) into silhouettes; ``mean`` is overwritten."""
    at = np.arange(len(mean))
    size = counts[own]
    inner = mean[at, own] * size / np.maximum(size - 1, 1)
    mean[at, own] = np.inf
    outer = mean.min(axis=1)
    larger = np.maximum(inner, outer)
    silhouettes: Floats = np.divide(
        outer - inner, larger, out=np.zeros(len(mean)), where=(size > 1) & (larger > 0)
    )
    return silhouettes


def silhouette_samples(X: Any, labels: ArrayLike) -> Floats:
    """How much nearer is each customer to its own segment than to the next? Euclidean, exact.

    s = (b - a) / max(a, b) with a the mean distance to the other members of the own segment and b
    the smallest mean distance to another segment: Rousseeuw (1987), "Silhouettes: a graphical aid
    to the interpretation and validation of cluster analysis", s(i). Zero for the only row of a
    segment; NaN for k = 1. Distances are formed in blocks of at most 16 MB: time grows with n²,
    memory does not. Exact copies are at distance zero from one another (scikit-learn's shortcut
    puts them up to 1e-8 apart).

    Returns
    -------
    ndarray of shape (n,), values from -1 to 1

    Examples
    --------
    >>> silhouette_samples([[0.0], [1.0], [9.0]], [0, 0, 1]).round(4).tolist()
    [0.8889, 0.875, 0.0]
    """
    matrix, codes, _ = as_partition(X, labels)
    return silhouettes_of(matrix, codes[:, None], np.arange(len(matrix)))[:, 0]


def silhouettes_of(X: Floats, partitions: Ints, rows: Ints) -> Floats:
    """Compute the exact Euclidean silhouettes of some rows under several partitions at once.

    Each distance is formed once and serves every partition.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    partitions : ndarray of shape (n, p)
        Codes 0 … k - 1 of each partition.
    rows : ndarray of shape (m,)
        Rows whose silhouettes are wanted, against all n.

    Returns
    -------
    ndarray of shape (m, p)

    Examples
    --------
    >>> X, codes = np.array([[0.0], [1.0], [9.0]]), np.array([[0], [0], [1]])
    >>> silhouettes_of(X, codes, np.array([1])).tolist()
    [[0.875]]
    """
    from scipy.spatial.distance import cdist

    cell_of = np.zeros(len(X), dtype=np.int64)
    for column in partitions.T:  # the common refinement: rows together in every partition
        combined = cell_of * (int(column.max()) + 1) + column
        _, first, cell_of = np.unique(combined, return_index=True, return_inverse=True)
    cells = partitions[first]
    order = np.argsort(cell_of, kind="stable")
    starts = np.searchsorted(cell_of[order], np.arange(len(cells)))
    ordered = X[order]
    values = np.full((len(rows), partitions.shape[1]), np.nan)
    height = max(1, _CELLS // max(1, len(X)))
    ks = partitions.max(axis=0) + 1
    counts = [np.bincount(partitions[:, p], minlength=k) for p, k in enumerate(ks)]
    into = [np.eye(k)[cells[:, p]] / counts[p] for p, k in enumerate(ks)]
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        sums = np.add.reduceat(cdist(X[block], ordered), starts, axis=1)
        for p, k in enumerate(ks):
            if k > 1:
                values[start : start + height, p] = _silhouettes(
                    sums @ into[p], partitions[block, p], counts[p].astype(np.float64)
                )
    return values


@dataclass(frozen=True, slots=True, eq=False)
class Silhouette(Result):
    """How well customers fit their segments on average.

    Attributes
    ----------
    mean : float
        Mean Euclidean silhouette, from -1 to 1; NaN for one segment.
    se : float
        Its standard error from sampling rows; 0 when all rows were used.
    rows, n : int
        Rows whose silhouette was computed (each against all n), and all rows.
    """

    mean: float
    se: float
    rows: int
    n: int

    def to_frame(self) -> pl.DataFrame:
        """Return one row: mean, se, rows, n."""
        return pl.DataFrame({"mean": self.mean, "se": self.se, "rows": self.rows, "n": self.n})

    @property
    def text(self) -> str:
        """Say the mean silhouette, and from how many rows."""
        if np.isnan(self.mean):
            return "One segment has no silhouette: it needs a second one to compare with."
        if self.rows == self.n:
            return f"Mean silhouette {number(self.mean)} over all {number(self.n)} customers."
        return (
            f"Mean silhouette {number(self.mean)} (standard error {number(self.se, digits=2)}) "
            f"from a random sample of {number(self.rows)} of {number(self.n)} customers."
        )


def silhouette(X: Any, labels: ArrayLike, *, rows: int | None = None, seed: int = 0) -> Silhouette:
    """How well do customers fit their segments on average? Euclidean silhouette.

    Parameters
    ----------
    X : array-like of shape (n, d)
    labels : array-like of shape (n,)
    rows : int, optional
        Rows whose silhouette is computed, each exactly and against all n. By default all up to
        10,000 rows, else 2,000. The sample does not depend on the order of rows.
    seed : int

    Returns
    -------
    Silhouette
        With the standard error sd/√m √(1 - m/n) of a simple random sample without replacement.

    Raises
    ------
    ParameterError
        If ``rows`` is below 2.

    Examples
    --------
    >>> print(silhouette([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1]))
    Mean silhouette 0.900 over all 4 customers.
    """
    matrix, codes, _ = as_partition(X, labels)
    chosen = sampled_rows(matrix, rows, seed)
    values = silhouettes_of(matrix, codes[:, None], chosen)[:, 0]
    return Silhouette(*mean_and_se(values, len(matrix)), len(chosen), len(matrix))


def sampled_rows(X: Floats, rows: int | None, seed: int) -> Ints:
    """Choose the rows whose silhouettes are computed: all, or a sample that order cannot change."""
    n = len(X)
    if rows is not None and rows < 2:
        raise ParameterError(f"rows must be at least 2, got {rows}")
    size = (n if n <= EXACT_ROWS else SAMPLE_ROWS) if rows is None else min(rows, n)
    return np.arange(n) if size == n else np.sort(fair_order(X, seed)[:size])


def mean_and_se(values: Floats, n: int) -> tuple[float, float]:
    """Return the mean of a simple random sample from n values, and its standard error."""
    m = len(values)
    if m >= n or m < 2:
        return float(values.mean()), 0.0
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(m) * np.sqrt(1 - m / n))
