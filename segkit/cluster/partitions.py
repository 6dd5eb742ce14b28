"""Which partitions does a method make, for every number of segments asked for? One tree for all."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from segkit.cluster.assign import centres_of, nearest_centre, settle
from segkit.cluster.kmeans import fit_kmeans
from segkit.cluster.matrix import Floats, Ints
from segkit.cluster.tree import cut_tree
from segkit.cluster.ward import ward_linkage
from segkit.errors import ParameterError, unknown

METHOD_WORDS = {"ward": "Ward", "kmeans": "k-means"}
METHODS = tuple(METHOD_WORDS)
STARTS_ROWS = 20_000


def check_method(method: str) -> None:
    """Raise ``ParameterError`` unless the method is known."""
    if method not in METHODS:
        raise ParameterError(unknown("method", method, METHODS))


def partitions_of(
    X: Floats,
    ks: Sequence[int],
    *,
    method: str,
    seed: int,
    n_starts: int,
    linkage: Floats | None = None,
    settle_steps: int = 0,
) -> dict[int, Ints]:
    """Cut the rows into each number of segments.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    ks : sequence of int
    method : {"ward", "kmeans"}
        Ward's tree is grown once and cut for every k.
    seed, n_starts : int
        Used by k-means.
    linkage : ndarray of shape (n - 1, 4), optional
        Ward's tree of these rows, if it is there already.
    settle_steps : int
        Most of Lloyd's steps that follow a cut of Ward's tree, as in `cluster_customers`.

    Returns
    -------
    dict of int to ndarray of shape (n,)
        Codes 0 … k - 1.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> partitions_of(X, [2], method="ward", seed=0, n_starts=1)[2].tolist()
    [0, 0, 1, 1]
    """
    if method == "ward":
        tree = ward_linkage(X) if linkage is None else linkage
        cuts = {k: np.zeros(len(X), np.int64) if k == 1 else cut_tree(tree, k) for k in ks}
        return {k: settled(X, codes, steps=settle_steps) for k, codes in cuts.items()}
    return {k: kmeans_codes(X, k, seed=seed + k, n_starts=n_starts) for k in ks}


def settled(X: Floats, codes: Ints, *, steps: int) -> Ints:
    """Let Lloyd's steps move the borders of a partition; 0 steps leave it as it is.

    Examples
    --------
    >>> settled(np.array([[0.0], [4.0], [5.0]]), np.array([0, 0, 1]), steps=9)
    array([0, 1, 1])
    """
    if not steps or codes.max() == 0:
        return codes
    labels = nearest_centre(X, settle(X, centres_of(X, codes), steps=steps)[0])
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def kmeans_codes(X: Floats, k: int, *, seed: int, n_starts: int) -> Ints:
    """Cut the rows into k segments by k-means; fewer where distinct rows are fewer."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if k == 1:
        return np.zeros(len(X), np.int64)
    if len(X) > STARTS_ROWS:
        return fit_kmeans(X, k, starts=n_starts, sample=STARTS_ROWS, seed=seed).labels
    with warnings.catch_warnings():
        # Data drawn without groups may have fewer distinct rows than k.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = KMeans(k, n_init=n_starts, random_state=seed).fit_predict(X)
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)
