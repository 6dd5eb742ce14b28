"""What does one pass over the rows tell about each segment? Counts, centres, spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segkit.cluster.matrix import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSums:
    """What one pass over the rows tells about each segment.

    Attributes
    ----------
    counts : ndarray of shape (k,)
        Customers.
    centres : ndarray of shape (k, d)
        Means.
    scatter : ndarray of shape (k,)
        Sum of squared distances to the segment's own centre.
    spread : ndarray of shape (k,)
        Mean distance to the segment's own centre.
    between : float
        Sum over segments of count times squared distance of its centre from the overall mean.
    """

    counts: Floats
    centres: Floats
    scatter: Floats
    spread: Floats
    between: float

    @property
    def within_ss(self) -> float:
        """Return the sum of squared distances of all rows to their own centres."""
        return float(self.scatter.sum())


def cluster_sums(X: Floats, codes: Ints, k: int) -> ClusterSums:
    """Sum each segment up: count, centre, scatter, spread.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of shape (n,), values 0 … k - 1, each present
    k : int

    Examples
    --------
    >>> sums = cluster_sums(np.array([[0.0], [2.0], [9.0]]), np.array([0, 0, 1]), 2)
    >>> sums.scatter.tolist(), sums.spread.tolist()
    ([2.0, 0.0], [1.0, 0.0])
    """
    from scipy.sparse import csc_array

    n = len(X)
    counts = np.bincount(codes, minlength=k).astype(np.float64)
    member = csc_array((np.ones(n), codes, np.arange(n + 1)), shape=(k, n))
    centres = (member @ X) / counts[:, None]
    scatter, spread = np.zeros(k), np.zeros(k)
    for start in range(0, n, 16_384):
        own = codes[start : start + 16_384]
        away = X[start : start + 16_384] - np.take(centres, own, axis=0)
        squared = np.einsum("ij,ij->i", away, away)
        scatter += np.bincount(own, squared, k)
        spread += np.bincount(own, np.sqrt(squared), k)
    off = centres - (counts / n) @ centres
    between = float(counts @ np.einsum("ij,ij->i", off, off))
    return ClusterSums(counts, centres, scatter, spread / counts, between)
