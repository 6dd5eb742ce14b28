"""Extraction of common factors from a correlation matrix, and measures of fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from segkit.display import counted
from segkit.errors import DataError, require_choice, require_least
from segkit.factor.answers import Floats
from segkit.stats.threads import single_thread

ExtractionMethod = Literal["minres", "ml", "principal"]
EXTRACTIONS: tuple[ExtractionMethod, ...] = get_args(ExtractionMethod)
LOWEST = 0.005  # the smallest uniqueness that a fit may take, as in R's factanal and psych
IMPROPER = LOWEST + 1e-4  # below it a uniqueness lies at the bound: an improper (Heywood) solution
_ROUNDS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Extraction:
    """Unrotated loadings.

    Attributes
    ----------
    loadings : ndarray of shape (items, factors)
        In descending order of variance, each with a positive sum of cubes.
    uniquenesses : ndarray of shape (items,)
        Share of each item's variance that the factors do not explain.
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
    require_choice("extraction", method, EXTRACTIONS)
    items = len(r)
    require_least(factors=(factors, 1))
    if degrees_of_freedom(items, factors) < 0:
        need = items
        while degrees_of_freedom(need, factors) < 0:
            need += 1
        raise DataError(
            f"{counted(factors, 'factor')} cannot be identified from {counted(items, 'item')}; at "
            f"least {need} are needed"
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
    optimum = minimize(
        goal,
        start,
        args=(r, factors),
        jac=True,
        method="L-BFGS-B",
        bounds=[(LOWEST, 1.0)] * len(r),
        options={"maxiter": _ROUNDS, "maxfun": 4 * _ROUNDS, "ftol": 1e-14, "gtol": 1e-7},
    )
    psi = optimum.x
    root = np.sqrt(psi) if method == "ml" else np.ones(len(r))
    reduced = r / np.outer(root, root) if method == "ml" else r - np.diag(psi)
    values, vectors = np.linalg.eigh(reduced)
    top = np.sqrt(np.maximum(values[-factors:] - (method == "ml"), 0.0))
    loadings = root[:, None] * vectors[:, -factors:] * top
    # Converged where no free uniqueness can improve the fit further.
    _, slope = goal(psi, r, factors)
    at_bound = ((psi <= LOWEST) & (slope > 0)) | ((psi >= 1.0) & (slope < 0))
    return loadings, bool(np.abs(np.where(at_bound, 0.0, slope)).max() < 1e-4)


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
    """Order unrotated factors and fix their signs, independently of the items' order."""
    order = np.argsort(-(loadings**2).sum(axis=0), kind="stable")
    ordered = loadings[:, order]
    return np.asarray(ordered * np.where((ordered**3).sum(axis=0) < 0, -1.0, 1.0))


@dataclass(frozen=True, slots=True)
class FitIndices:
    """Measures of fit of a factor model.

    Attributes
    ----------
    chi_square : float
        Bartlett-corrected likelihood-ratio statistic against the unrestricted matrix.
    degrees : int
        Its degrees of freedom; at 0 the model fits by construction.
    p_value : float
        NaN at 0 degrees of freedom.
    rmsea, rmsea_low, rmsea_high : float
        Root mean square error of approximation, with its 90% interval.
    tli, cfi : float
        Tucker-Lewis and comparative fit index, against uncorrelated items.
    srmr : float
        Standardised root mean square residual, over the p (p + 1) / 2 distinct entries.
    rmsr : float
        The same over the off-diagonal entries only, as in R's psych.
    bic : float
        ``chi_square - degrees * log(n)``.
    null_chi_square : float
        Of uncorrelated items.
    """

    chi_square: float
    degrees: int
    p_value: float
    rmsea: float
    rmsea_low: float
    rmsea_high: float
    tli: float
    cfi: float
    srmr: float
    rmsr: float
    bic: float
    null_chi_square: float


def fit_indices(r: Floats, implied: Floats, n: int, factors: int) -> FitIndices:
    """Compare a correlation matrix with the one that a factor model implies.

    Formulas as in R's psych: chi-square ``F (n - 1 - (2p + 5)/6 - 2k/3)`` with the likelihood
    discrepancy F whatever the extraction (Bartlett 1951); RMSEA ``sqrt(F/df - 1/(n - 1))`` with
    the interval of Steiger (1990) from the noncentral chi-square.

    Parameters
    ----------
    r, implied : ndarray of shape (items, items)
    n : int
        People.
    factors : int

    Examples
    --------
    >>> r = np.array([[1, 0.56, 0.48], [0.56, 1, 0.42], [0.48, 0.42, 1]])
    >>> fit_indices(r, r, 100, 1).srmr
    0.0
    """
    from scipy.special import chdtrc

    p = len(r)
    degrees = degrees_of_freedom(p, factors)
    sign, log_implied = np.linalg.slogdet(implied)
    log_r = float(np.linalg.slogdet(r)[1])
    f = math.inf  # log|M| - log|R| + tr(R inv(M)) - p
    if sign > 0:
        f = float(log_implied) - log_r + float(np.trace(np.linalg.solve(implied, r))) - p
    chi = max(f, 0.0) * (n - 1 - (2 * p + 5) / 6 - 2 * factors / 3)
    null_degrees = p * (p - 1) / 2
    null_chi = -log_r * (n - 1 - (2 * p + 5) / 6)
    residuals = (r - implied)[np.triu_indices(p, 1)]
    squares = float(residuals @ residuals)
    diagonal = float(((np.diag(r) - np.diag(implied)) ** 2).sum())
    tli = cfi = rmsea = low = high = p_value = math.nan
    if degrees > 0:
        p_value = float(chdtrc(degrees, chi))
        rmsea = math.sqrt(max(f / degrees - 1 / (n - 1), 0.0))
        low, high = (_rmsea_limit(chi, degrees, n, tail) for tail in (0.95, 0.05))
        base = null_chi / null_degrees
        tli = (base - chi / degrees) / (base - 1)
        lost, most = max(chi - degrees, 0.0), max(null_chi - null_degrees, chi - degrees, 0.0)
        cfi = 1 - lost / most if most > 0 else 1.0
    return FitIndices(
        chi_square=chi,
        degrees=degrees,
        p_value=p_value,
        rmsea=rmsea,
        rmsea_low=low,
        rmsea_high=high,
        tli=tli,
        cfi=cfi,
        srmr=math.sqrt((squares + diagonal) / (p * (p + 1) / 2)),
        rmsr=math.sqrt(squares / null_degrees),
        bic=chi - degrees * math.log(n),
        null_chi_square=null_chi,
    )


def _rmsea_limit(chi: float, degrees: int, n: int, tail: float) -> float:
    """Return the RMSEA under which a smaller chi-square than this one has probability ``tail``."""
    from scipy.special import chdtr, chndtrinc

    if not math.isfinite(chi):
        return math.nan
    beyond = 0.0 if chdtr(degrees, chi) < tail else float(chndtrinc(chi, degrees, tail))
    return math.sqrt(beyond / ((n - 1) * degrees))
