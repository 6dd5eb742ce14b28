"""Extraction of common factors from a correlation matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segkit.errors import DataError, ParameterError, unknown
from segkit.factor.answers import Floats
from segkit.stats.threads import single_thread

EXTRACTIONS = ("minres", "ml", "principal")
LOWEST = 0.005  # the smallest uniqueness that a fit may take, as in R's factanal and psych
_ROUNDS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Extraction:
    """Unrotated loadings.

    Attributes
    ----------
    loadings : ndarray of shape (items, factors)
        In descending order of variance, each with a positive sum of cubes.
    uniquenesses : ndarray of shape (items,)
        What the factors leave of each item's variance.
    converged : bool
    """

    loadings: Floats
    uniquenesses: Floats
    converged: bool


def degrees_of_freedom(items: int, factors: int) -> int:
    """Give the degrees of freedom of a factor model with free rotation.

    Examples
    --------
    >>> degrees_of_freedom(10, 2), degrees_of_freedom(2, 1)
    (26, -1)
    """
    return ((items - factors) ** 2 - items - factors) // 2


@single_thread()
def extract(r: Floats, factors: int, method: str = "minres") -> Extraction:
    """Fit common factors to a correlation matrix.

    Parameters
    ----------
    r : ndarray of shape (items, items)
        Positive definite.
    factors : int
    method : str
        "minres" (least squares of the off-diagonal residuals; Harman & Jones 1966), "ml" (normal
        likelihood; Joreskog 1967) or "principal" (principal axis: iterated communalities, which
        converges to minres's solution).

    Raises
    ------
    ParameterError
        If the method is unknown or ``factors`` is below 1.
    DataError
        If the model has more parameters than there are correlations.

    Examples
    --------
    >>> r = np.array([[1, 0.56, 0.48], [0.56, 1, 0.42], [0.48, 0.42, 1]])
    >>> extract(r, 1).loadings[:, 0].round(3).tolist()
    [0.8, 0.7, 0.6]
    """
    if method not in EXTRACTIONS:
        raise ParameterError(unknown("extraction", method, EXTRACTIONS))
    items = len(r)
    if factors < 1:
        raise ParameterError(f"expected at least one factor, got {factors}")
    if degrees_of_freedom(items, factors) < 0:
        need = items
        while degrees_of_freedom(need, factors) < 0:
            need += 1
        raise DataError(
            f"{factors} factor{'s' * (factors > 1)} cannot be told from {items} items: at least "
            f"{need} are needed"
        )
    start = np.clip(1 / np.diag(np.linalg.inv(r)), 0.02, 0.98)
    if method == "principal":
        loadings, converged = _principal(r, factors, 1 - start)
    else:
        loadings, converged = _optimise(r, factors, method, start * (1 - factors / items / 2))
    loadings = _settle(loadings)
    return Extraction(loadings, 1 - (loadings**2).sum(axis=1), converged)


def _optimise(r: Floats, factors: int, method: str, start: Floats) -> tuple[Floats, bool]:
    from scipy.optimize import minimize

    goal = _likelihood if method == "ml" else _residuals
    found = minimize(
        goal, start, args=(r, factors), jac=True, method="L-BFGS-B",
        bounds=[(LOWEST, 1.0)] * len(r),
        options={"maxiter": _ROUNDS, "maxfun": 4 * _ROUNDS, "ftol": 1e-14, "gtol": 1e-7},
    )  # fmt: skip
    psi = found.x
    if method == "ml":
        root = np.sqrt(psi)
        values, vectors = np.linalg.eigh(r / np.outer(root, root))
        top = np.sqrt(np.maximum(values[-factors:] - 1, 0.0))
        return root[:, None] * vectors[:, -factors:] * top, _settled(goal, found.x, r, factors)
    values, vectors = np.linalg.eigh(r - np.diag(psi))
    top = np.sqrt(np.maximum(values[-factors:], 0.0))
    return vectors[:, -factors:] * top, _settled(goal, found.x, r, factors)


def _settled(goal: object, psi: Floats, r: Floats, factors: int) -> bool:
    """Tell whether no free uniqueness can improve the fit further."""
    _, slope = goal(psi, r, factors)  # type: ignore[operator]
    held = ((psi <= LOWEST) & (slope > 0)) | ((psi >= 1.0) & (slope < 0))
    return bool(np.abs(np.where(held, 0.0, slope)).max() < 1e-4)


def _residuals(psi: Floats, r: Floats, factors: int) -> tuple[float, Floats]:
    """Half the sum of squares that the factors leave of R - Psi, and its gradient."""
    values, vectors = np.linalg.eigh(r - np.diag(psi))
    left = values.copy()
    left[-factors:] = np.minimum(left[-factors:], 0.0)
    return float(left @ left / 2), -(vectors**2) @ left


def _likelihood(psi: Floats, r: Floats, factors: int) -> tuple[float, Floats]:
    """Give the discrepancy of maximum likelihood as a function of Psi, and its gradient.

    Source: Joreskog (1967), "Some contributions to maximum likelihood factor analysis",
    Psychometrika 32; Lawley & Maxwell (1971), chapter 4.
    """
    root = np.sqrt(psi)
    values, vectors = np.linalg.eigh(r / np.outer(root, root))
    rest = values[:-factors]
    goal = float((rest - np.log(rest) - 1).sum())
    # d goal / d psi_i = sum over the rest of (1 - value) v_i^2 / psi_i
    return goal, (vectors[:, :-factors] ** 2) @ (1 - rest) / psi


def _principal(r: Floats, factors: int, communalities: Floats) -> tuple[Floats, bool]:
    loadings = np.zeros((len(r), factors))
    for _ in range(_ROUNDS):
        values, vectors = np.linalg.eigh(r - np.diag(1 - communalities))
        loadings = vectors[:, -factors:] * np.sqrt(np.maximum(values[-factors:], 0.0))
        new = np.minimum((loadings**2).sum(axis=1), 1 - LOWEST)
        change = np.abs(new - communalities).max()
        communalities = new
        if change < 1e-8:
            return loadings, True
    return loadings, False


def _settle(loadings: Floats) -> Floats:
    """Put unrotated factors into one order with one sign, whatever the items' order."""
    order = np.argsort(-(loadings**2).sum(axis=0), kind="stable")
    ordered = loadings[:, order]
    return np.asarray(ordered * np.where((ordered**3).sum(axis=0) < 0, -1.0, 1.0))
