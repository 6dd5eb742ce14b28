"""Intervals that stay valid however often one looks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segkit.errors import ParameterError
from segkit.stats.intervals import Estimate, Numbers, estimate, z_value

Array = npt.NDArray[np.float64]


def always_valid(
    effect: Numbers, error: Numbers, *, information: Numbers, level: float = 0.95
) -> Estimate:
    """Estimate an effect with limits that hold at all looks together.

    ``d +- s sqrt((1 + r) / r (log(1 + r) + 2 log(1 / alpha)))`` with the standard error s and ``r``
    proportional to the information at a look: Robbins' normal mixture boundary, narrowest where the
    information is what was foreseen for the end.

    Parameters
    ----------
    effect, error : float or array
        The estimate at each look, and its standard error.
    information : float or array
        Each look's share of the information foreseen for the end (1 there; more if it goes on),
        fixed before the first look. Where customers come in over time it is
        ``planned_error**2 / error**2``; where all are assigned at once and their answers come in
        over time, the share of the foreseen variance of the sum of answers, ``error**2 /
        planned_error**2``.
    level : float
        Chance that no look's interval misses the truth.

    Returns
    -------
    Estimate
        NaN limits at looks without information yet.

    Raises
    ------
    ParameterError
        If information is negative, or the level not between 0 and 1.

    Notes
    -----
    Source: Robbins (1970), "Statistical methods related to the law of the iterated logarithm",
    Annals of Mathematical Statistics 41; Johari, Koomen, Pekelis & Walsh (2022), "Always valid
    inference", Operations Research 70 (the same boundary as an mSPRT); Waudby-Smith et al. (2024),
    "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics
    52, for estimated variances. Holds for large samples: with a handful of conversions the first
    looks rest on a normal limit that has not set in.

    Examples
    --------
    >>> found = always_valid(1.0, 0.5, information=1.0)
    >>> round((found.high - found.low) / 2 / 0.5, 2)  # times the standard error, against 1.96
    3.04
    """
    d, s = (np.asarray(v, dtype=np.float64) for v in (effect, error))
    reach = s * mixture_multiple(information, level=level)
    return estimate(d, d - reach, d + reach, level, "always valid (normal mixture)")


def mixture_multiple(information: Numbers, *, level: float = 0.95) -> Array:
    """Return by how many standard errors an always-valid interval reaches out.

    Raises
    ------
    ParameterError
        If information is negative, or the level not between 0 and 1.

    Examples
    --------
    >>> bool(mixture_multiple(0.1) > mixture_multiple(1.0) > 1.96)
    True
    """
    from scipy.special import lambertw

    z_value(level)
    share = np.asarray(information, dtype=np.float64)
    if (share < 0).any():
        raise ParameterError("information is a share of what was foreseen; got a negative one")
    alpha = 1 - level
    best = float(np.real(-lambertw(-(alpha**2) / np.e, -1) - 1))  # r where it is narrowest
    with np.errstate(invalid="ignore", divide="ignore"):
        r = best * np.where(share > 0, share, np.nan)
        return np.asarray(np.sqrt((1 + r) / r * (np.log1p(r) - 2 * np.log(alpha))))
