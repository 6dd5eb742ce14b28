"""How sure are shrunken cell means, and how do their errors hang together?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segkit.stats.policy import LENT, cell_errors, shrink

Floats = npt.NDArray[np.float64]
_GRID = 60


def joint_errors(n: Floats, mean: Floats, variance: Floats, lent: float = LENT) -> Floats:
    """Return a factor L of the errors of `segkit.stats.policy.shrink`'s means: covariance L L'.

    Shrunken cells share what they are shrunken to: an option's effect that is too high by chance is
    too high in every group. With cells normal about "group level + option effect" (flat priors on
    both, X) with spread tau, the posterior covariance given tau is
    ``diag(tau^2 (1 - K)) + (I - K) P (I - K)``, where ``K = tau^2 / (tau^2 + error^2)`` and
    ``P = X (X' W X)^- X'``, ``W = 1 / (tau^2 + error^2)``. It is averaged over tau's posterior
    (flat prior, restricted likelihood, a grid), with the square of how far the means for that tau
    lie from those that `shrink` gives.

    Parameters
    ----------
    n, mean, variance : array of shape (groups, options)
        As `segkit.stats.policy.cells` gives them.

    Returns
    -------
    array of shape (groups * options, groups * options)
        Lower triangular, cells row by row: ``L @ z`` with independent standard normal z is a draw
        of the errors, and the length of a row is the cell's standard error.

    Notes
    -----
    Source: Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., section 5.4, with regressors
    (15.3); Harville (1977), JASA 72, for the restricted likelihood.

    Examples
    --------
    >>> n, mean = np.full((2, 2), 100.0), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> factor = joint_errors(n, mean, np.full((2, 2), 25.0))
    >>> gain = factor[[1, 3]] - factor[[0, 2]]  # of the second option, in either group
    >>> bool(gain[0] @ gain[1] > 0)
    True
    """
    shrunken, _, spread = shrink(n, mean, variance, lent)
    known = (n > 0).ravel()
    square = cell_errors(n, mean, variance, lent).ravel() ** 2
    y = np.where(known, mean.ravel(), 0.0)
    X = _design(*n.shape)
    freedom = int(known.sum()) - sum(n.shape) + 1
    top = 5 * max(spread, float(np.sqrt(np.median(square[known])))) if freedom > 0 else 0.0
    parts = [_given(tau**2, y, square, known, X) for tau in np.linspace(0, top, _GRID)]
    loglik = np.array([part[0] for part in parts])
    weight = np.exp(loglik - loglik.max())
    weight = weight / weight.sum()
    covariance = np.zeros((n.size, n.size))
    for share, (_, means, own) in zip(weight, parts, strict=True):
        away = means - shrunken.ravel()
        covariance += share * (own + np.outer(away, away))
    covariance[np.diag_indices(n.size)] *= 1 + 1e-9
    return np.asarray(np.linalg.cholesky(covariance))


def _design(groups: int, options: int) -> Floats:
    """Return the columns of each group's level and of each option but the first."""
    rows, columns = np.divmod(np.arange(groups * options), options)
    X = np.zeros((groups * options, groups + options))
    X[np.arange(len(rows)), rows] = 1
    X[np.arange(len(rows)), groups + columns] = 1
    return np.delete(X, groups, axis=1)


def _given(
    tau2: float, y: Floats, square: Floats, known: npt.NDArray[np.bool_], X: Floats
) -> tuple[float, Floats, Floats]:
    """Return the restricted log-likelihood, the cells' means and covariance, given tau."""
    w = np.where(known, 1 / (square + tau2), 0.0)
    told = (X * w[:, None]).T @ X
    eigen, axes = np.linalg.eigh(told)
    held = eigen > 1e-10 * eigen.max()  # a group or option that nobody got tells nothing
    inverse = (axes[:, held] / eigen[held]) @ axes[:, held].T
    prior = X @ (inverse @ (X.T @ (w * y)))
    loglik = np.log(w[known]).sum() - np.log(eigen[held]).sum()
    loglik = 0.5 * (loglik - (w * (y - prior) ** 2).sum())
    keep = tau2 * w
    left = (1 - keep)[:, None] * X
    covariance = left @ inverse @ left.T
    covariance[np.diag_indices(len(y))] += tau2 * (1 - keep)
    return float(loglik), prior + keep * (y - prior), covariance
