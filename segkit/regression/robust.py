"""How sure are coefficients when the model's variance is not trusted? Sandwich covariances.

statsmodels gives HC3 for linear models alone: asked for it elsewhere, it silently gives HC0. So
the sandwich is made here from a model's scores, its Hessian and its leverages.
"""

from __future__ import annotations

import numpy as np

from segkit.errors import DataError
from segkit.regression.columns import Floats, Ints


def sandwich(
    scores: Floats,
    bread: Floats,
    *,
    leverage: Floats | None = None,
    clusters: Ints | None = None,
) -> Floats:
    """Return the covariance of estimates from the scores of their rows.

    Parameters
    ----------
    scores : ndarray, shape (rows, parameters)
        Each row's part in the gradient of the log-likelihood.
    bread : ndarray, shape (parameters, parameters)
        Inverse of the negative Hessian.
    leverage : ndarray, shape (rows,), optional
        Diagonal of the (weighted) hat matrix: gives HC3 (MacKinnon & White 1985; Long & Ervin
        2000); without it HC1.
    clusters : ndarray of int, shape (rows,), optional
        Gives CR1: scores summed within clusters, times G/(G-1) * (n-1)/(n-k).

    Raises
    ------
    DataError
        If clusters are fewer than two.

    Examples
    --------
    >>> X, r = np.array([[1.0, 0], [1, 1], [1, 2], [1, 4]]), np.array([0.5, -1, 0.25, 0.25])
    >>> bread = np.linalg.inv(X.T @ X)
    >>> sandwich(X * r[:, None], bread).shape
    (2, 2)
    """
    n, k = scores.shape
    if clusters is not None:
        groups = int(clusters.max()) + 1
        if groups < 2:
            raise DataError("clustered errors need at least two clusters")
        summed = np.stack([np.bincount(clusters, s, groups) for s in scores.T], axis=1)
        factor = groups / (groups - 1) * (n - 1) / max(n - k, 1)
        return np.asarray(factor * bread @ (summed.T @ summed) @ bread)
    if leverage is None:
        return np.asarray(n / max(n - k, 1) * bread @ (scores.T @ scores) @ bread)
    pulled = scores / np.clip(1 - leverage, 1e-6, None)[:, None]
    return np.asarray(bread @ (pulled.T @ pulled) @ bread)


def leverages(X: Floats, weights: Floats) -> Floats:
    """Return the diagonal of the hat matrix of weighted least squares.

    Examples
    --------
    >>> leverages(np.array([[1.0, 0], [1, 1], [1, 2]]), np.ones(3)).round(4).tolist()
    [0.8333, 0.3333, 0.8333]
    """
    root = X * np.sqrt(weights)[:, None]
    Q = np.linalg.qr(root)[0]
    return np.asarray((Q**2).sum(axis=1))
