"""Ward's clustering as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from segkit.cluster.kmeans import centres_of, nearest_centre, order_groups
from segkit.cluster.ward import cut_tree, ward_linkage


class Ward(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Exact Ward clustering; memory grows with n, not n².

    Parameters
    ----------
    n_clusters : int
        Groups that the tree is cut into.

    Attributes
    ----------
    labels_ : array (n,)
        Groups of the cut tree, without Lloyd's steps, by decreasing weight, then by centre.
    linkage_ : array (n - 1, 4)
        The full tree in scipy's linkage format, over the rows of positive weight.
    cluster_centers_ : array (n_clusters, d)
        Weighted mean of each group.
    n_features_in_ : int
        Number of columns d.

    Notes
    -----
    `predict` gives the group of the nearest centre. A row of the fitted data that lies between
    two groups may be nearer to the other one's centre than to its own; its entry in ``labels_``
    is then not what `predict` says.

    Examples
    --------
    >>> Ward(n_clusters=2).fit([[0.0], [1.0], [9.0]]).labels_
    array([0, 0, 1])
    """

    def __init__(self, n_clusters: int = 2) -> None:
        self.n_clusters = n_clusters

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002
        """Build the tree and cut it.

        Parameters
        ----------
        X : array-like (n, d)
            Numeric and finite.
        y : None
            Ignored.
        sample_weight : array-like (n,), optional
            A row of weight w counts as w equal rows; one of weight 0 is left out of the tree and
            labelled by its nearest centre.

        Raises
        ------
        ValueError
            If ``n_clusters`` is not between 1 and the number of rows, or X is not numeric.
        """
        points = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        weights = _check_sample_weight(sample_weight, points, ensure_non_negative=True)
        used = np.flatnonzero(weights > 0)
        self.linkage_ = ward_linkage(points[used], weights[used])
        groups = cut_tree(self.linkage_, self.n_clusters)
        groups = order_groups(points[used], groups, weights[used])
        self.cluster_centers_ = centres_of(points[used], groups, weights[used])
        self.labels_ = nearest_centre(points, self.cluster_centers_)
        self.labels_[used] = groups
        return self

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the group whose centre is nearest to each row."""
        check_is_fitted(self)
        points = validate_data(self, X, dtype=np.float64, reset=False)
        return nearest_centre(points, self.cluster_centers_)
