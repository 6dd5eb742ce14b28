"""Do effects differ between groups, do they change sign, and what is each once noise is allowed?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError
from segkit.stats.intervals import Estimate, estimate, z_value

Array = npt.NDArray[np.float64]
_GRID = 400


@dataclass(frozen=True, slots=True, eq=False)
class Heterogeneity:
    """Whether effects differ by more than chance.

    Attributes
    ----------
    groups : int
        Groups with a usable effect.
    q, freedom, p_value : float
        Cochran's Q, its degrees of freedom and p-value; NaN with fewer than two groups.
    i_squared : float
        Share of the spread between groups that is not chance, from 0 to 1.
    q_crossing, p_crossing : float
        Gail and Simon's statistic and p-value for effects of both signs.
    """

    groups: int
    q: float
    freedom: int
    p_value: float
    i_squared: float
    q_crossing: float
    p_crossing: float


def _usable(
    effects: npt.ArrayLike, errors: npt.ArrayLike
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    d, s = np.asarray(effects, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if d.shape != s.shape or d.ndim != 1:
        raise DataError(f"expected one error an effect, got shapes {d.shape} and {s.shape}")
    keep = np.isfinite(d) & np.isfinite(s) & (s > 0)
    return d[keep], s[keep], keep


def heterogeneity(
    effects: npt.ArrayLike, errors: npt.ArrayLike, *, equal_errors: npt.ArrayLike | None = None
) -> Heterogeneity:
    """Test whether independent effects differ, and whether some help where others harm.

    ``Q = sum w (d - d_w)^2`` with ``w = 1 / s^2`` has a chi-square distribution with k - 1
    degrees of freedom if all effects are equal. Gail and Simon: with Q+ and Q- the sums of
    ``(d/s)^2`` over positive and negative effects, ``min(Q+, Q-)`` is compared with
    ``sum_h C(k-1, h) 2^(1-k) P(chi2_h > .)``, h = 1..k-1. Effects without a finite, positive error
    are left out.

    Parameters
    ----------
    effects, errors : array of shape (groups,)
        On one scale, with their standard errors.
    equal_errors : array of shape (groups,), optional
        The errors as estimated under equal effects (`segkit.stats.equal_effects`), for Q: with few
        cases in a group's arm, Q by the groups' own errors alarms too often. Gail and Simon's test
        supposes no equal effects and keeps the groups' own.

    Returns
    -------
    Heterogeneity

    Raises
    ------
    DataError
        If the arrays' shapes differ.

    Notes
    -----
    Source: Cochran (1954), "The combination of estimates from different experiments",
    Biometrics 10; Higgins & Thompson (2002) for I^2; Gail & Simon (1985), "Testing for
    qualitative interactions between treatment effects and patient subsets", Biometrics 41.

    Examples
    --------
    >>> found = heterogeneity([.163, -.114, -.047, -.151], [.0788, .0689, .0614, .0547])
    >>> round(found.q_crossing, 2), round(found.p_crossing, 4)
    (4.28, 0.0877)
    """
    from scipy.special import binom, chdtrc

    d, s, keep = _usable(effects, errors)
    null = s
    if equal_errors is not None:
        null = np.asarray(equal_errors, dtype=np.float64)[keep]
        both = np.isfinite(null) & (null > 0)
        d, s, null = d[both], s[both], null[both]
    k = d.size
    if k < 2:
        nothing = float("nan")
        return Heterogeneity(k, nothing, max(k - 1, 0), nothing, nothing, nothing, nothing)
    w = 1 / null**2
    q = float((w * (d - (w * d).sum() / w.sum()) ** 2).sum())
    squares = (d / s) ** 2
    crossing = float(min(squares[d > 0].sum(), squares[d < 0].sum()))
    h = np.arange(1, k)
    chance = 1.0
    if crossing > 0:
        chance = float((binom(k - 1, h) * 0.5 ** (k - 1) * chdtrc(h, crossing)).sum())
    i_squared = max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0
    return Heterogeneity(k, q, k - 1, float(chdtrc(k - 1, q)), i_squared, crossing, chance)


def shrink(effects: npt.ArrayLike, errors: npt.ArrayLike, *, level: float = 0.95) -> Estimate:
    """Estimate each group's effect with strength borrowed from the others.

    Effects are taken as normal about a common mean with spread tau; both have flat priors (with two
    groups ``B = s0^2 / (s0^2 + tau^2)`` has, ``s0^2`` the harmonic mean of the squared errors).
    The posterior is integrated over a grid of B, so that the limits allow for not knowing tau.
    Averaged over the groups, the intervals nearly cover their level (less where large effects have
    large errors); a single odd group's may not, for it is drawn to the mean.

    Parameters
    ----------
    effects, errors : array of shape (groups,)
        Effects with their standard errors; a group without a finite, positive error gets NaN.
    level : float
        Nominal coverage, averaged over groups.

    Returns
    -------
    Estimate
        One value and interval a group; a lone group's effect is not moved.

    Raises
    ------
    DataError
        If the arrays' shapes differ.

    Notes
    -----
    Source: Gelman (2006), "Prior distributions for variance parameters in hierarchical models",
    Bayesian Analysis 1; Daniels (1999), "A prior for the variance in hierarchical models",
    Canadian Journal of Statistics 27 (uniform shrinkage); Morris (1983), "Parametric empirical
    Bayes inference", JASA 78, for coverage by average.

    Examples
    --------
    >>> found = shrink([0.0, 2.0], [1.0, 1.0])
    >>> bool(0 < found.value[0] < found.value[1] < 2)
    True
    """
    d, s, keep = _usable(effects, errors)
    parts = np.full((3, keep.size), np.nan)
    if d.size == 1:
        reach = z_value(level) * s
        parts[:, keep] = d, d - reach, d + reach
    elif d.size:
        parts[:, keep] = _posterior(d, s, level)
    name = "hierarchical normal, flat prior on the spread"
    return estimate(parts[0], parts[1], parts[2], level, name)


def _posterior(d: Array, s: Array, level: float) -> tuple[Array, Array, Array]:
    grid = (np.arange(_GRID) + 0.5) / _GRID
    harmonic = d.size / (1 / s**2).sum()
    tau2 = harmonic * (1 / grid - 1)
    # A flat prior on tau, in terms of the grid; with two groups it has no proper posterior.
    flat = -2 * np.log(grid) - 0.5 * np.log(1 / grid - 1) if d.size > 2 else 0.0
    w = 1 / (s**2 + tau2[:, None])  # (grid, groups)
    total = w.sum(axis=1)
    middle = (w * d).sum(axis=1) / total
    loglik = flat + 0.5 * np.log(w).sum(axis=1) - 0.5 * np.log(total)
    loglik = loglik - 0.5 * (w * (d - middle[:, None]) ** 2).sum(axis=1)
    weight = np.exp(loglik - loglik.max())
    weight = weight / weight.sum()
    own = s**2 * w  # share of the common mean in each group's estimate
    means = own * middle[:, None] + (1 - own) * d
    sds = np.sqrt(s**2 * (1 - own) + own**2 / total[:, None])
    value = weight @ means
    tail = (1 - level) / 2
    return value, _quantile(weight, means, sds, tail), _quantile(weight, means, sds, 1 - tail)


def _quantile(weight: Array, means: Array, sds: Array, p: float) -> Array:
    """Find each group's quantile of a mixture of normals by bisection."""
    from scipy.special import ndtr

    low, high = (means - 9 * sds).min(axis=0), (means + 9 * sds).max(axis=0)
    for _ in range(60):
        middle = (low + high) / 2
        below = weight @ ndtr((middle - means) / sds) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)
