"""The power of one comparison: normal for shares and ratios, noncentral t for means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from segkit.errors import ParameterError
from segkit.experiment.metrics import Metric

SIDES = ("two-sided", "one-sided")
MOST = 1e12  # customers: past it no test is called possible


def power_of_comparison(
    metric: Metric, effect: float, n_control: float, n_arm: float, alpha: float, sides: str
) -> float:
    """Return the chance to find a true difference between two arms.

    Proportions: the pooled-variance z test under the null, own variances under the alternative
    (Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, eq. 4.14, without
    continuity correction); means: the noncentral t (Cohen 1988, section 2.3); ratios: normal
    with the delta method's variance. Only the tail in the effect's direction is counted, as R's
    ``power.prop.test`` and ``power.t.test`` do.

    Parameters
    ----------
    metric : Metric
    effect : float
        True difference, arm less control, in the metric's unit.
    n_control, n_arm : float
        Customers, not necessarily whole.
    alpha : float
        Level of this comparison.
    sides : {"two-sided", "one-sided"}
    """
    from scipy.special import ndtr, ndtri

    tail = alpha / 2 if sides == "two-sided" else alpha
    size = abs(effect)
    if metric.kind == "mean":
        return _t_power(size, metric.variance, n_control, n_arm, tail)
    keep = 1 - metric.r2
    if metric.kind == "proportion":
        p, q = metric.base, metric.base + effect
        pooled = (n_control * p + n_arm * q) / (n_control + n_arm)
        null = keep * pooled * (1 - pooled) * (1 / n_control + 1 / n_arm)
        own = keep * (p * (1 - p) / n_control + q * (1 - q) / n_arm)
    else:
        null = own = metric.variance * (1 / n_control + 1 / n_arm)
    reach = -ndtri(tail) * np.sqrt(null)
    if own <= 0:
        return float(size > reach)
    return float(ndtr((size - reach) / np.sqrt(own)))


def _t_power(size: float, variance: float, a: float, b: float, tail: float) -> float:
    from scipy.special import ndtr
    from scipy.stats import nct, t

    freedom = a + b - 2
    if freedom <= 0:
        return 0.0
    shift = size / np.sqrt(variance * (1 / a + 1 / b))
    cut = t.isf(tail, freedom)
    if freedom > 1e5 or shift > 30:  # the noncentral t is normal there, and slow or not finite
        return float(ndtr(shift - cut))
    return float(nct.sf(cut, freedom, shift))


def solve(function: Callable[[float], float], low: float, high: float, what: str) -> float:
    """Find where an increasing function crosses zero, widening the upper end as far as it may."""
    from scipy.optimize import brentq

    if function(low) >= 0:
        return low
    while function(high) < 0:
        high *= 4
        if high > MOST:
            raise ParameterError(f"{what}: cannot be reached with any number of customers")
    return float(brentq(function, low, high, xtol=1e-9, rtol=1e-12, maxiter=500))
