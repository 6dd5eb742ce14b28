"""Are the segments tighter than a box of evenly spread customers would give? The gap statistic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from segkit.cluster.matrix import Floats
from segkit.cluster.refits import partitions_of
from segkit.cluster.sums import cluster_sums
from segkit.live import steps


def gap_statistic(
    X: Floats,
    ks: Sequence[int],
    *,
    method: str = "ward",
    n_references: int = 20,
    seed: int = 0,
    n_starts: int = 5,
    settle_steps: int = 0,
) -> pl.DataFrame:
    """By how much are the segments tighter than in data without groups? The gap statistic.

    Gap(k) = mean over references of log W*_k, less log W_k, W being the within sum of squares;
    its standard error is sd √(1 + 1/B). References are uniform over a box along the principal
    axes: Tibshirani, Walther and Hastie (2001), "Estimating the number of clusters in a data set
    via the gap statistic", with choice (b) of the reference.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    ks : sequence of int
        Numbers of segments; k = 1 is added.
    method, n_starts, settle_steps
        As in `choose_k`.
    n_references : int
        Reference data sets B.
    seed : int

    Returns
    -------
    polars.DataFrame
        One row a k, from 1: ``k``, ``gap``, ``gap_se``.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> X[30:] += 9
    >>> gap_statistic(X, [2, 3])["gap"].arg_max()
    1
    """
    every = sorted({1, *ks})
    away = X - X.mean(axis=0)
    turned = away @ np.linalg.svd(away, full_matrices=False)[2].T
    low, high = turned.min(axis=0), turned.max(axis=0)
    rng = np.random.default_rng(seed)

    def log_within(Z: Floats) -> Floats:
        cuts = partitions_of(
            Z, every, method=method, seed=seed, n_starts=n_starts, settle_steps=settle_steps
        )
        within = [cluster_sums(Z, cuts[k], int(cuts[k].max()) + 1).within_ss for k in every]
        return np.log(np.maximum(within, np.finfo(np.float64).tiny))

    references = np.array(
        [
            log_within(rng.uniform(low, high, size=turned.shape))
            for _ in steps(range(n_references), "data sets without groups")
        ]
    )
    return pl.DataFrame(
        {
            "k": every,
            "gap": references.mean(axis=0) - log_within(turned),
            "gap_se": references.std(axis=0) * np.sqrt(1 + 1 / n_references),
        }
    )
