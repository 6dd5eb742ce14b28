"""Ward's clustering of millions of rows: exact on micro-clusters of a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.cluster.kmeans import centres_of, nearest_centre, order_groups
from segkit.cluster.matrix import Floats, Ints, as_matrix, fair_sample, without_gaps
from segkit.cluster.ward import cut_tree, ward_linkage
from segkit.display import counted, number
from segkit.errors import DataError, ParameterError
from segkit.result import Result
from segkit.stats.threads import single_thread

MICRO = 1000
SAMPLE = 20_000
ITERATIONS = 5


@dataclass(frozen=True, slots=True, eq=False)
class TwoStep(Result):
    """Ward's tree over micro-clusters of a sample, used to assign any number of rows.

    Attributes
    ----------
    counts : array (m,)
        Sampled rows in each micro-cluster: the weights of Ward's method.
    centres : array (m, d)
        Their means.
    scatters : array (m,)
        Sum of squares within each, about its mean.
    linkage : array (m - 1, 4)
        Exact weighted Ward on the micro-clusters, in scipy's format.
    rows, sample : int
        All rows, and those sampled.
    seed : int
    """

    counts: Floats
    centres: Floats
    scatters: Floats
    linkage: Floats
    rows: int
    sample: int
    seed: int

    def groups(self, k: int) -> Ints:
        """Return each micro-cluster's group when the tree is cut into k, by decreasing weight."""
        return order_groups(self.centres, cut_tree(self.linkage, k), self.counts)

    def group_centres(self, k: int) -> Floats:
        """Return the centres of the cut into k groups, shape (k, d)."""
        return centres_of(self.centres, self.groups(k), self.counts)

    def assign(self, X: Floats, k: int) -> Ints:
        """Return the group of every row: the one with the nearest centre.

        This is one Lloyd's step after the cut: rows at a border may change groups, and the sum of
        squares decreases.

        Parameters
        ----------
        X : array (n, d)
        k : int
        """
        with single_thread():
            return nearest_centre(X, self.group_centres(k))

    def to_frame(self) -> pl.DataFrame:
        """One row per micro-cluster: sampled rows, scatter and coordinates."""
        columns = {f"x{j}": self.centres[:, j] for j in range(self.centres.shape[1])}
        return pl.DataFrame({"count": self.counts, "scatter": self.scatters, **columns})

    @property
    def text(self) -> str:
        """Number of rows and micro-clusters, and how rows are assigned."""
        return (
            f"{counted(self.rows, 'row stands', 'rows stand')} behind {number(len(self.counts))} "
            f"micro-clusters, made from a random sample of {number(self.sample)}; Ward's method is "
            "exact on these. Everyone goes to the segment with the nearest centre, so the segments "
            "are not literally the cut of the tree."
        )


def fit_two_step(X: Any, *, micro: int = MICRO, sample: int = SAMPLE, seed: int = 0) -> TwoStep:
    """Build Ward's tree for more rows than can be compared pair by pair.

    A random sample (chosen by the rows' values, so row order does not matter) is compressed into
    micro-clusters by a few Lloyd steps from sampled rows; exact weighted Ward joins these.

    Parameters
    ----------
    X : array-like (n, d)
        Finite numbers, transformed and scaled.
    micro : int
        Micro-clusters at most; fewer where the sample holds fewer distinct rows.
    sample : int
        Rows sampled at most.
    seed : int

    Raises
    ------
    DataError
        If there are fewer than two distinct rows, or a value is missing.
    ParameterError
        If ``micro`` is below 2 or above ``sample``.

    Examples
    --------
    >>> tree = fit_two_step(np.arange(60.0)[:, None] // 20, micro=10)
    >>> tree.counts.tolist(), tree.assign(np.array([[0.1], [2.2]]), 3).tolist()
    ([20.0, 20.0, 20.0], [0, 2])
    """
    points = as_matrix(X, min_rows=2)
    if not 2 <= micro <= sample:
        raise ParameterError(f"micro must lie between 2 and sample = {sample}; got {micro}")
    chosen = points[fair_sample(points, sample, seed)]
    labels = _micro_labels(chosen, micro, seed)
    counts = np.bincount(labels).astype(np.float64)
    if counts.shape[0] < 2:
        raise DataError("all sampled rows are equal; at least two different ones are needed")
    centres = centres_of(chosen, labels)
    gap = chosen - centres[labels]
    scatters = np.asarray(np.bincount(labels, weights=np.einsum("ij,ij->i", gap, gap)), float)
    linkage = ward_linkage(centres, counts)
    return TwoStep(counts, centres, scatters, linkage, points.shape[0], chosen.shape[0], seed)


def _micro_labels(X: Floats, micro: int, seed: int) -> Ints:
    """Renumber each sampled row's micro-cluster from 0 without gaps."""
    distinct, labels = np.unique(X, axis=0, return_inverse=True)
    if distinct.shape[0] <= micro:
        return np.asarray(labels.reshape(-1), dtype=np.int64)
    from sklearn.cluster import KMeans

    rows = np.random.default_rng(seed).permutation(distinct.shape[0])[:micro]
    fit = KMeans(
        n_clusters=micro, init=distinct[rows], n_init=1, max_iter=ITERATIONS, random_state=seed
    )
    with single_thread():
        return without_gaps(fit.fit(X).labels_)
