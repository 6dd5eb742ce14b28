"""Measures of fit of a factor model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from segkit.factor.answers import Floats
from segkit.factor.extraction import degrees_of_freedom


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
        The same over the off-diagonal ones alone (psych's).
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
    f = discrepancy(r, implied)
    chi = max(f, 0.0) * (n - 1 - (2 * p + 5) / 6 - 2 * factors / 3)
    null_degrees = p * (p - 1) / 2
    null_chi = -float(np.linalg.slogdet(r)[1]) * (n - 1 - (2 * p + 5) / 6)
    residuals = (r - implied)[np.triu_indices(p, 1)]
    squares = float(residuals @ residuals)
    diagonal = float(((np.diag(r) - np.diag(implied)) ** 2).sum())
    tli = cfi = rmsea = low = high = p_value = math.nan
    if degrees > 0:
        p_value = float(chdtrc(degrees, chi))
        rmsea = math.sqrt(max(f / degrees - 1 / (n - 1), 0.0))
        low, high = _rmsea_interval(chi, degrees, n)
        base = null_chi / null_degrees
        tli = (base - chi / degrees) / (base - 1)
        lost, most = max(chi - degrees, 0.0), max(null_chi - null_degrees, chi - degrees, 0.0)
        cfi = 1 - lost / most if most > 0 else 1.0
    return FitIndices(
        chi, degrees, p_value, rmsea, low, high, tli, cfi,
        math.sqrt((squares + diagonal) / (p * (p + 1) / 2)), math.sqrt(squares / null_degrees),
        chi - degrees * math.log(n), null_chi,
    )  # fmt: skip


def discrepancy(r: Floats, implied: Floats) -> float:
    """Give the likelihood discrepancy ``log|M| - log|R| + tr(R inv(M)) - p``."""
    sign, log_implied = np.linalg.slogdet(implied)
    if sign <= 0:
        return math.inf
    trace = float(np.trace(np.linalg.solve(implied, r)))
    return float(log_implied - np.linalg.slogdet(r)[1] + trace - len(r))


def _rmsea_interval(chi: float, degrees: int, n: int, level: float = 0.90) -> tuple[float, float]:
    from scipy.optimize import brentq
    from scipy.special import chdtr, chndtr

    limits = []
    for tail in ((1 + level) / 2, (1 - level) / 2):
        if not math.isfinite(chi) or chdtr(degrees, chi) < tail:
            limits.append(0.0 if math.isfinite(chi) else math.nan)
            continue
        most = max(chi, 1.0)
        while chndtr(chi, degrees, most) > tail:
            most *= 2
        away = brentq(lambda away, t=tail: chndtr(chi, degrees, away) - t, 0.0, most)
        limits.append(math.sqrt(away / ((n - 1) * degrees)))
    return limits[0], limits[1]
