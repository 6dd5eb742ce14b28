"""Effects of several groups: their differences, their errors under equal effects, shrinkage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError
from segkit.stats.intervals import Estimate, estimate, floats, z_value
from segkit.stats.two_part import Amounts

Array = npt.NDArray[np.float64]
LENT = 100.0  # with this many cases an arm's own variance has half the weight, the implied one half
_GRID = 128
_SPREADS, _CENTRES, _NODES = 24, 25, 15  # of the quadrature over spread, common effect and effect
MANY = 50.0  # effective cases in each arm of each group from which a normal likelihood serves


@dataclass(frozen=True, slots=True, eq=False)
class Heterogeneity:
    """Tests of whether effects differ by more than chance.

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


def usable(
    effects: npt.ArrayLike, errors: npt.ArrayLike
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return the effects with a finite, positive error, their errors, and which they are."""
    d, s = floats(effects, errors)
    if d.shape != s.shape or d.ndim != 1:
        raise DataError(f"expected one error per effect, got shapes {d.shape} and {s.shape}")
    keep = np.isfinite(d) & np.isfinite(s) & (s > 0)
    return d[keep], s[keep], keep


def heterogeneity(
    effects: npt.ArrayLike, errors: npt.ArrayLike, *, equal_errors: npt.ArrayLike | None = None
) -> Heterogeneity:
    """Test whether independent effects differ, and whether they differ in sign.

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
        The errors as estimated under equal effects (`segkit.stats.group_effects`), for Q: with few
        cases in a group's arm, Q with the groups' own errors has too many false positives. Gail and
        Simon's test does not assume equal effects and uses the groups' own errors.

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

    d, s, keep = usable(effects, errors)
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


def share_errors(
    cases_1: npt.ArrayLike, n_1: npt.ArrayLike, cases_2: npt.ArrayLike, n_2: npt.ArrayLike
) -> Array:
    """Estimate the errors of differences of shares under one common difference.

    The common difference starts as Mantel and Haenszel's; each group's two shares are then their
    maximum likelihood estimates under it, and give the variances and, by these, the common
    difference again, until it converges. With these errors `heterogeneity`'s Q is the score
    statistic.

    Parameters
    ----------
    cases_1, n_1, cases_2, n_2 : array of shape (groups,)
        Successes and customers in either arm.

    Returns
    -------
    array of shape (groups,)
        NaN for a group with an empty arm, or with no or only successes in both arms.

    Notes
    -----
    Source: Gart & Nam (1990), "Approximate interval estimation of the difference in binomial
    parameters: correction for skewness and extension to multiple tables", Biometrics 46;
    Farrington & Manning (1990), Statistics in Medicine 9, for the restricted estimates.

    Examples
    --------
    >>> share_errors([30, 30], [100, 100], [20, 20], [100, 100]).round(4)
    array([0.0608, 0.0608])
    """
    x1, n1, x2, n2 = floats(cases_1, n_1, cases_2, n_2)
    informative = (n1 > 0) & (n2 > 0) & (x1 + x2 > 0) & (x1 + x2 < n1 + n2)
    errors = np.full(n1.shape, np.nan)
    if not informative.any():
        return errors
    x1, n1, x2, n2 = x1[informative], n1[informative], x2[informative], n2[informative]
    d, w = x1 / n1 - x2 / n2, n1 * n2 / (n1 + n2)
    for _ in range(20):
        common = float((w * d).sum() / w.sum())
        one = restricted_share(x1, n1, x2, n2, common)
        two = np.clip(one - common, 0.0, 1.0)
        variance = one * (1 - one) / n1 + two * (1 - two) / n2
        w = 1 / np.maximum(variance, 1e-15)
        if abs((w * d).sum() / w.sum() - common) < 1e-10:
            break
    errors[informative] = np.sqrt(variance)
    return errors


def restricted_share(x1: Array, n1: Array, x2: Array, n2: Array, difference: float) -> Array:
    """Estimate the first share by maximum likelihood, given its difference from the second.

    The root of the likelihood's cubic (Farrington & Manning 1990, appendix).

    Examples
    --------
    >>> one = np.array([10.0]), np.array([100.0])
    >>> restricted_share(*one, np.array([30.0]), np.array([100.0]), 0.0)
    array([0.2])
    """
    p1, p2, ratio = x1 / n1, x2 / n2, n2 / n1
    a = 1 + ratio
    b = -(1 + ratio + p1 + ratio * p2 + difference * (ratio + 2))
    c = difference**2 + difference * (2 * p1 + ratio + 1) + p1 + ratio * p2
    d = -p1 * difference * (1 + difference)
    v = b**3 / (27 * a**3) - b * c / (6 * a**2) + d / (2 * a)
    u = np.where(v < 0, -1.0, 1.0) * np.sqrt(np.maximum(b**2 / (9 * a**2) - c / (3 * a), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = np.where(u == 0, 0.0, np.clip(v / u**3, -1.0, 1.0))
    root = 2 * u * np.cos((np.pi + np.arccos(turn)) / 3) - b / (3 * a)
    return np.asarray(np.clip(root, max(0.0, difference), min(1.0, 1 + difference)))


def mean_errors(
    variance_1: npt.ArrayLike,
    n_1: npt.ArrayLike,
    cases_1: npt.ArrayLike,
    variance_2: npt.ArrayLike,
    n_2: npt.ArrayLike,
    cases_2: npt.ArrayLike,
) -> Array:
    """Estimate the errors of differences of means, stabilised where an arm has few cases.

    The ratio of the smaller arm's spread to the larger arm's is assumed equal in all groups. It is
    averaged over groups, weighted by the smaller arm's customers. With this ratio, all
    customers of a group give a predicted spread of each arm. An arm's own spread is averaged with
    its prediction, which counts as `LENT` cases. With many cases the errors are Welch's.

    Parameters
    ----------
    variance_1, variance_2 : array of shape (groups,)
        Squared standard errors of the means.
    n_1, n_2 : array
        Customers.
    cases_1, cases_2 : array
        Customers with an outcome other than zero.

    Returns
    -------
    array of shape (groups,)
        NaN for a group with fewer than two customers in an arm, or without any variation.

    Notes
    -----
    `LENT` is a chosen value: tests/studies/study_heterogeneity.py shows the test's size with it.

    Examples
    --------
    >>> mean_errors([0.1, 0.1], [90, 90], [9, 9], [0.9, 0.9], [10, 10], [1, 1]).round(3)
    array([1., 1.])
    """
    v1, n1, m1, v2, n2, m2 = floats(variance_1, n_1, cases_1, variance_2, n_2, cases_2)
    if np.nansum(n1) < np.nansum(n2):
        v1, n1, m1, v2, n2, m2 = v2, n2, m2, v1, n1, m1
    s1, s2 = v1 * n1, v2 * n2
    informative = np.isfinite(s1) & np.isfinite(s2) & (s1 + s2 > 0)
    errors = np.full(n1.shape, np.nan)
    if not informative.any():
        return errors
    s1, n1, m1, s2, n2, m2 = (v[informative] for v in (s1, n1, m1, s2, n2, m2))
    varies = s1 > 0
    ratio = 0.0
    if varies.any():
        ratio = float((n2 * s2)[varies] @ (1 / s1[varies]) / n2[varies].sum())
    if ratio <= 0:  # an arm shows no variation in any group: nothing to compare spreads with
        errors[informative] = np.sqrt(s1 / n1 + s2 / n2)
        return errors
    implied = (n1 * s1 + n2 * s2 / ratio) / (n1 + n2)
    own_1 = (m1 * s1 + LENT * implied) / (m1 + LENT)
    own_2 = (m2 * s2 + LENT * ratio * implied) / (m2 + LENT)
    errors[informative] = np.sqrt(own_1 / n1 + own_2 / n2)
    return errors


def shrink(effects: npt.ArrayLike, errors: npt.ArrayLike, *, level: float = 0.95) -> Estimate:
    """Estimate each group's effect, shrunk towards the mean of all groups (empirical Bayes).

    Effects are taken as normal about a common mean with spread tau; both have flat priors (with two
    groups ``B = s0^2 / (s0^2 + tau^2)`` has, ``s0^2`` the harmonic mean of the squared errors).
    The posterior is integrated over a grid of B, so that the limits allow for not knowing tau.
    Averaged over the groups, the intervals nearly cover their level (less where large effects have
    large errors). The interval of a single unusual group may not, as its estimate is shrunk to the
    mean.

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
    d, s, keep = usable(effects, errors)
    parts = np.full((3, keep.size), np.nan)
    if d.size == 1:
        reach = z_value(level) * s
        parts[:, keep] = d, d - reach, d + reach
    elif d.size:
        parts[:, keep] = _posterior(d, s, level)
    name = "hierarchical normal, flat prior on the spread"
    return estimate(parts[0], parts[1], parts[2], level, name)


def _spreads(errors: Array, points: int) -> tuple[Array, Array]:
    """Return squared spreads of the effects on a grid, and the log prior of each.

    The prior is flat on the spread, in terms of the grid; with two groups, for which it has no
    proper posterior, on the grid itself.
    """
    grid = (np.arange(points) + 0.5) / points
    tau2 = errors.size / (1 / errors**2).sum() * (1 / grid - 1)
    flat = -2 * np.log(grid) - 0.5 * np.log(1 / grid - 1)
    return tau2, flat if errors.size > 2 else np.zeros(points)


def _posterior(d: Array, s: Array, level: float) -> tuple[Array, Array, Array]:
    tau2, flat = _spreads(s, _GRID)
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
    tail = (1 - level) / 2
    low, high = _quantiles(weight, means, sds, np.array([tail, 1 - tail]))
    return weight @ means, low, high


def _quantiles(weight: Array, means: Array, sds: Array, p: Array) -> Array:
    """Find each group's quantiles of a mixture of normals by Newton's steps within a bracket."""
    from scipy.special import ndtr

    at = p[:, None]
    shape = (p.size, means.shape[1])
    low = np.broadcast_to((means - 9 * sds).min(axis=0), shape)
    high = np.broadcast_to((means + 9 * sds).max(axis=0), shape)
    point = np.broadcast_to(weight @ means, shape)
    for _ in range(60):
        z = (point[:, None, :] - means) / sds
        reached = np.einsum("g,pgk->pk", weight, ndtr(z))
        low, high = np.where(reached < at, point, low), np.where(reached < at, high, point)
        slope = np.einsum("g,pgk->pk", weight, np.exp(-0.5 * z**2) / sds) / np.sqrt(2 * np.pi)
        ahead = point - (reached - at) / np.maximum(slope, 1e-300)
        ahead = np.where((ahead > low) & (ahead < high), ahead, (low + high) / 2)
        if (np.abs(ahead - point) <= 1e-8 * sds.min(axis=0)).all():
            break
        point = ahead
    return np.asarray(ahead)


def effective_cases(one: Amounts, two: Amounts) -> tuple[Array, Array]:
    """Return both arms' effective numbers of cases by group: totals over their dispersion.

    A total of amounts has variance ``phi`` times its expectation, ``phi = m (1 - p + c^2)`` with m
    the mean amount of a buyer, p the share of buyers, c the amounts' coefficient of variation (over
    the buyers of both arms; c of all groups). Divided by phi it varies like a count. Source:
    McCullagh & Nelder (1989), Generalized Linear Models, section 6.2 (overdispersed counts).

    Parameters
    ----------
    one, two : Amounts
        Arrays of shape (groups,).

    Examples
    --------
    >>> arms = [Amounts(*(np.array([v]) for v in parts)) for parts in
    ...     [(1000.0, 40.0, 40.0, 0.0, 0.0), (1000.0, 10.0, 10.0, 0.0, 0.0)]]
    >>> [part.round(2).tolist() for part in effective_cases(*arms)]
    [[41.03], [10.26]]
    """
    k, total = one.buyers + two.buyers, one.total + two.total
    with np.errstate(invalid="ignore", divide="ignore"):
        m = np.asarray(total / np.where(k > 0, k, np.nan))
        away = sum(
            np.nan_to_num((a.second + a.buyers * (a.amount - m) ** 2) / m**2) for a in (one, two)
        )
        spread2 = float(np.sum(away)) / max(float(np.sum(k)) - 1, 1.0)
        phi = m * (1 - k / (one.n + two.n) + spread2)
        cases = [np.where(phi > 0, arm.total / phi, np.nan) for arm in (one, two)]
    return cases[0], cases[1]


def shrink_counts(
    cases: Sequence[npt.ArrayLike],
    customers: Sequence[npt.ArrayLike],
    totals: Sequence[npt.ArrayLike],
    *,
    level: float = 0.95,
) -> Estimate:
    """Estimate each group's difference of means, shrunk towards a common effect.

    Given both arms' cases together, the first arm's are binomial with odds ``n1 exp(delta) / n2``:
    a likelihood of the log ratio delta that stays right where an arm has no case. The deltas are
    taken as normal about a common one with spread tau, with priors as in `shrink`. The posterior is
    integrated by quadrature (Gauss and Hermite about each group's own mode); where every arm has
    `MANY` cases, with a normal likelihood. The difference of a group follows from delta as
    ``(t1 + t2) / (n1 exp(delta) + n2) (exp(delta) - 1)``, t the totals.

    Parameters
    ----------
    cases : (array, array)
        Effective cases of either arm by group (`effective_cases`); need not be whole.
    customers, totals : (array, array)
        Of either arm: the difference is of totals per customer.
    level : float
        Nominal coverage, averaged over groups.

    Returns
    -------
    Estimate
        One difference with its interval a group; NaN for a group without customers in an arm or
        with negative cases.

    Notes
    -----
    Source: Cox & Snell (1989), Analysis of Binary Data, section 2.1, for the conditional
    likelihood; Naylor & Smith (1982), "Applications of a method for the efficient computation of
    posterior distributions", JRSS C 31, for the quadrature; `shrink` for the priors. Coverage:
    tests/studies/study_small_holdout.py.

    Examples
    --------
    >>> cases, customers = ([80, 80, 80, 8], [9, 8, 10, 0]), ([4000, 4000, 4000, 400],
    ...     [450, 450, 450, 30])
    >>> found = shrink_counts(cases, customers, cases)
    >>> bool(found.low[3] < 0 < found.high[3])  # no case among 30 customers proves nothing
    True
    """
    x1, x2, n1, n2, t1, t2 = floats(*cases, *customers, *totals)
    keep = (n1 > 0) & (n2 > 0) & (x1 >= 0) & (x2 >= 0) & (x1 + x2 > 0)
    parts = np.full((3, keep.size), np.nan)
    if keep.any():
        x1, x2, n1, n2, t1, t2 = (v[keep] for v in (x1, x2, n1, n2, t1, t2))
        guess = np.log((x1 + 0.5) / n1) - np.log((x2 + 0.5) / n2)
        error = np.sqrt(1 / (x1 + 0.5) + 1 / (x2 + 0.5))
        if keep.sum() == 1:
            reach = z_value(level) * error
            posterior = guess, guess - reach, guess + reach
        elif min(x1.min(), x2.min()) >= MANY:
            posterior = _posterior(guess, error, level)
        else:
            posterior = _by_quadrature(x1, x2, np.log(n1 / n2), guess, error, level)
        ratio = np.exp(np.stack(posterior))
        parts[:, keep] = (t1 + t2) / (n1 * ratio + n2) * (ratio - 1)
    return estimate(parts[0], parts[1], parts[2], level, "hierarchical, by counts")


def _by_quadrature(
    x1: Array, x2: Array, offset: Array, guess: Array, error: Array, level: float
) -> tuple[Array, Array, Array]:
    tau2, flat = _spreads(error, _SPREADS)
    w = 1 / (error**2 + tau2[:, None])
    steps = np.linspace(-4.5, 4.5, _CENTRES)
    scale = 1 / np.sqrt(w.sum(axis=1))
    # Axes from here: spread, common effect, group, node.
    mu = ((w * guess).sum(axis=1) * scale**2)[:, None] + steps * scale[:, None]
    mu, tau2 = mu[:, :, None, None], tau2[:, None, None, None]
    own = 1 / (1 / error**2 + 1 / tau2[..., 0])[..., None]
    middle = own * (guess[:, None] / error[:, None] ** 2 + mu / tau2)
    nodes, weights = np.polynomial.hermite.hermgauss(_NODES)
    delta = middle + np.sqrt(2 * own) * nodes
    odds = offset[:, None] + delta
    loglik = x1[:, None] * odds - (x1 + x2)[:, None] * np.logaddexp(0.0, odds)
    loglik = loglik - loglik.max(axis=(0, 1, 3), keepdims=True)
    loglik = loglik - 0.5 * (delta - mu) ** 2 / tau2 + nodes**2
    terms = np.exp(loglik) * weights * np.sqrt(own / tau2)
    marginal = terms.sum(axis=3)  # of each group, given spread and common effect
    joint = np.log(np.maximum(marginal, 1e-300)).sum(axis=2)
    joint = joint + (flat + np.log(scale))[:, None]
    joint = np.exp(joint - joint.max())
    terms = terms / np.maximum(marginal, 1e-300)[..., None] * joint[:, :, None, None]
    points = np.moveaxis(delta, 2, 0).reshape(guess.size, -1)
    mass = np.moveaxis(terms, 2, 0).reshape(guess.size, -1)
    tail = (1 - level) / 2
    limits = [_weighted_quantile(p, m, (tail, 1 - tail)) for p, m in zip(points, mass, strict=True)]
    low, high = np.array(limits).T
    return (points * mass).sum(axis=1) / mass.sum(axis=1), low, high


def _weighted_quantile(points: Array, mass: Array, at: tuple[float, float]) -> Array:
    order = np.argsort(points, kind="stable")
    reached = np.cumsum(mass[order])
    return np.asarray(np.interp(np.asarray(at) * reached[-1], reached, points[order]))
