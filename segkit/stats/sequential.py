"""Intervals that stay valid however often one looks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segkit.errors import ParameterError
from segkit.stats.intervals import Estimate, Numbers, estimate, z_value

Array = npt.NDArray[np.float64]


def always_valid(
    effect: Numbers, error: Numbers, *, planned_error: float, level: float = 0.95
) -> Estimate:
    """Estimate an effect with limits that hold at all looks together.

    The limits ``d +- sqrt(V (V + t2) / t2 * (2 log(1/alpha) + log((V + t2) / V)))``, ``V`` the
    squared error at a look, come from mixing the likelihood ratio over effects of variance t2.
    t2 is set so that the interval is narrowest when the error has fallen to ``planned_error``: fix
    that before the first look.

    Parameters
    ----------
    effect, error : float or array
        The estimate at each look, and its standard error.
    planned_error : float
        Standard error foreseen at the end, > 0.
    level : float
        Chance that no look's interval misses the truth.

    Returns
    -------
    Estimate
        NaN limits at looks without an error yet.

    Raises
    ------
    ParameterError
        If ``planned_error`` is not positive.

    Notes
    -----
    Source: Robbins (1970), "Statistical methods related to the law of the iterated logarithm",
    Annals of Mathematical Statistics 41; Johari, Pekelis & Walsh (2015/2022), "Always valid
    inference", Operations Research 70, eq. (14); Waudby-Smith et al. (2024), "Time-uniform central
    limit theory and asymptotic confidence sequences", Annals of Statistics 52, for estimated
    variances and the choice of t2 (its eq. 20). Valid for large samples: with few conversions the
    first looks rest on a normal limit that has not set in.

    Examples
    --------
    >>> found = always_valid(1.0, 0.5, planned_error=0.5)
    >>> round((found.high - found.low) / 2 / 0.5, 2)  # times the standard error, against 1.96
    3.04
    """
    if not planned_error > 0:
        raise ParameterError(f"expected planned_error above 0, got {planned_error}")
    d, s = (np.asarray(v, dtype=np.float64) for v in (effect, error))
    reach = s * mixture_multiple(s, planned_error=planned_error, level=level)
    return estimate(d, d - reach, d + reach, level, "always valid (normal mixture)")


def mixture_multiple(error: Numbers, *, planned_error: float, level: float = 0.95) -> Array:
    """Return by how many standard errors an always-valid interval reaches out.

    Examples
    --------
    >>> bool(mixture_multiple(1.0, planned_error=1.0) > 1.96)
    True
    """
    from scipy.special import lambertw

    z_value(level)
    alpha = 1 - level
    best = float(np.real(-lambertw(-(alpha**2) / np.e, -1) - 1))  # t2 over V at its narrowest
    s = np.asarray(error, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = best * planned_error**2 / np.where(s > 0, s**2, np.nan)
        return np.asarray(np.sqrt((1 + r) / r * (np.log1p(r) - 2 * np.log(alpha))))
