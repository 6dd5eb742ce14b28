"""Confidence intervals of shares, means, medians, differences and ratios.

Every function takes numbers or arrays (NumPy's broadcasting rules) and returns an `Estimate`
whose fields have the same shape. Two-sided; ``level`` is the nominal coverage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segkit.display import number, percent
from segkit.errors import ParameterError, require_choice

Numbers = npt.ArrayLike
Array = npt.NDArray[np.float64]
RelativeMethod = Literal["recovered", "log", "fieller", "delta"]
RELATIVE_METHODS = {
    "recovered": "MOVER-R",
    "log": "log ratio",
    "fieller": "Fieller",
    "delta": "delta",
}


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A value with its interval.

    Attributes
    ----------
    value, low, high : float or ndarray
        The estimate and its limits; NaN where the data do not determine them.
    level : float
        Nominal coverage, 0.95 for a 95% interval.
    method : str
        How the limits were found.
    """

    value: Any
    low: Any
    high: Any
    level: float
    method: str

    def words(self, *, share: bool = False) -> str:
        """Write one estimate with its interval, for a sentence.

        Examples
        --------
        >>> wilson(8, 10).words(share=True)
        '80.0% (95% CI 49.0% to 94.3%)'
        """
        write = percent if share else number
        interval = ci_words(float(self.low), float(self.high), self.level, write)
        return f"{write(float(self.value))} ({interval})"


def ci_words(low: float, high: float, level: float, write: Callable[[float], str] = number) -> str:
    """Write a confidence interval with its level.

    Examples
    --------
    >>> ci_words(1, 2, 0.95)
    '95% CI 1 to 2'
    """
    return f"{percent(level, places=0)} CI {write(low)} to {write(high)}"


def estimate(value: Numbers, low: Numbers, high: Numbers, level: float, method: str) -> Estimate:
    """Build an `Estimate`; single numbers become plain floats."""
    plain = [part if part.ndim else float(part) for part in floats(value, low, high)]
    return Estimate(plain[0], plain[1], plain[2], level, method)


def z_value(level: float) -> float:
    """Return the standard normal quantile of a two-sided interval.

    Raises
    ------
    ParameterError
        If ``level`` is not between 0 and 1.

    Examples
    --------
    >>> round(z_value(0.95), 4)
    1.96
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ParameterError(f"level must lie between 0 and 1, got {level}")
    return float(ndtri((1 + level) / 2))


def _t_value(level: float, freedom: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.special import stdtrit

    z_value(level)
    return np.asarray(stdtrit(np.where(freedom > 0, freedom, np.nan), (1 + level) / 2))


def floats(*values: Numbers) -> list[Array]:
    """Return values, single ones too, as arrays of floats."""
    return [np.asarray(value, dtype=np.float64) for value in values]


def wilson(successes: Numbers, n: Numbers, *, level: float = 0.95) -> Estimate:
    """Estimate a share with Wilson's score interval.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference",
    JASA 22; Newcombe (1998a), method 3. With ``n = 0`` the value is NaN and the limits 0 and 1.

    Examples
    --------
    >>> share = wilson(81, 263)  # Newcombe (1998a), table I: .2553 to .3662
    >>> round(share.low, 4), round(share.high, 4)
    (0.2553, 0.3662)
    """
    x, size = floats(successes, n)
    z = z_value(level)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = x / size
        centre = (2 * x + z * z) / (2 * (size + z * z))
        reach = z * np.sqrt(z * z + 4 * x * (1 - p)) / (2 * (size + z * z))
    low = np.where(size > 0, np.where(x == 0, 0.0, centre - reach), 0.0)
    high = np.where(size > 0, np.where(x == size, 1.0, centre + reach), 1.0)
    return estimate(p, low, high, level, "Wilson score")


def share_difference(
    successes_1: Numbers, n_1: Numbers, successes_2: Numbers, n_2: Numbers, *, level: float = 0.95
) -> Estimate:
    """Estimate the difference of two independent shares with Newcombe's hybrid score interval.

    ``low = d - sqrt((p1 - l1)^2 + (u2 - p2)^2)``, ``high = d + sqrt((u1 - p1)^2 + (p2 - l2)^2)``
    with Wilson's limits l, u. Source: Newcombe (1998b), "Interval estimation for the difference
    between independent proportions", Statistics in Medicine 17, method 10.

    Examples
    --------
    >>> found = share_difference(56, 70, 48, 80)  # Newcombe (1998b), table II (a): .0524 to .3339
    >>> round(found.low, 4), round(found.high, 4)
    (0.0524, 0.3339)
    """
    one, two = wilson(successes_1, n_1, level=level), wilson(successes_2, n_2, level=level)
    value = one.value - two.value
    low = value - np.hypot(one.value - one.low, two.high - two.value)
    high = value + np.hypot(one.high - one.value, two.value - two.low)
    return estimate(value, low, high, level, "Newcombe hybrid score")


def relative_lift(
    successes_1: Numbers, n_1: Numbers, successes_2: Numbers, n_2: Numbers, *, level: float = 0.95
) -> Estimate:
    """Estimate the relative lift ``p1 / p2 - 1`` of two independent shares on the log scale.

    ``exp(log(p1 / p2) +- z sqrt(1/x1 - 1/n1 + 1/x2 - 1/n2)) - 1``. Source: Katz, Baptista, Azen &
    Pike (1978), Biometrics 34, method C. Where a count is zero, 1/2 is added to both counts for
    the limits alone (Walter 1975), while the value stays as observed (infinite or NaN if x2 = 0).
    Where everybody of an arm converted, its variance on the log scale is zero; its part of the
    limits is then taken from its Wilson interval (Zou & Donner 2008, "Construction of confidence
    limits about effect measures: a general approach", Statistics in Medicine 27).

    Examples
    --------
    >>> found = relative_lift(30, 100, 20, 100)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.5, -0.084, 1.456)
    """
    x1, m, x2, n = floats(successes_1, n_1, successes_2, n_2)
    z = z_value(level)
    add = np.where((x1 == 0) | (x2 == 0), 0.5, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (x1 / m) / (x2 / n) - 1
        a, b, c, d = x1 + add, m + add, x2 + add, n + add
        middle = np.log((a / b) / (c / d))
        down_1, up_1 = _log_reaches(a, b, z)
        down_2, up_2 = _log_reaches(c, d, z)
        low = np.exp(middle - np.hypot(down_1, up_2)) - 1
        high = np.exp(middle + np.hypot(up_1, down_2)) - 1
    return estimate(value, low, high, level, "log ratio (Katz)")


def _log_reaches(successes: Array, n: Array, z: float) -> tuple[Array, Array]:
    """Return how far a log share's limits lie below and above it."""
    own = z * np.sqrt(1 / successes - 1 / n)
    everybody = successes == n  # Wilson's lower limit is n / (n + z^2), its upper one 1
    return np.where(everybody, np.log1p(z**2 / n), own), np.where(everybody, 0.0, own)


def mean_skewed(
    mean: Numbers, sd: Numbers, n: Numbers, skewness: Numbers, *, level: float = 0.95
) -> Estimate:
    """Estimate the mean of a skewed amount with Hall's skewness-corrected t interval.

    With ``g`` the skewness, ``T + g (T^2) / (3 sqrt(n)) + g^2 T^3 / (27 n) + g / (6 sqrt(n))``
    is nearly t distributed; its inverse turns the t quantiles into limits. Source: Hall (1992),
    "On the removal of skewness by transformation", JRSS B 54, equation (2.3).

    Examples
    --------
    >>> found = mean_skewed(10.0, 20.0, 200, 4.0)  # further up than down
    >>> round(found.low, 2), round(found.high, 2)
    (7.66, 13.69)
    """
    m, s, size, g = floats(mean, sd, n, skewness)
    t = _t_value(level, size - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = g / np.sqrt(size)
        small = np.abs(a) < 1e-9
        safe = np.where(small, 1.0, a)

        def inverse(y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.where(small, y, 3 / safe * (np.cbrt(1 + safe * (y - safe / 6)) - 1))

        low, high = m - inverse(t) * s / np.sqrt(size), m - inverse(-t) * s / np.sqrt(size)
    return estimate(m, low, high, level, "skewness-corrected t (Hall)")


def mean_difference(
    mean_1: Numbers,
    sd_1: Numbers,
    n_1: Numbers,
    mean_2: Numbers,
    sd_2: Numbers,
    n_2: Numbers,
    *,
    level: float = 0.95,
) -> Estimate:
    """Estimate a difference of two independent means with Welch's interval.

    Degrees of freedom by Welch and Satterthwaite; NaN limits where a group has fewer than two.
    Source: Welch (1947), "The generalization of Student's problem", Biometrika 34.

    Examples
    --------
    >>> found = mean_difference(5.0, 2.0, 20, 4.0, 1.0, 30)
    >>> round(found.low, 3), round(found.high, 3)
    (0.006, 1.994)
    """
    m1, s1, a, m2, s2, b = floats(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    with np.errstate(invalid="ignore", divide="ignore"):
        v1, v2 = s1**2 / a, s2**2 / b
        freedom = (v1 + v2) ** 2 / (v1**2 / (a - 1) + v2**2 / (b - 1))
        freedom = np.where((v1 + v2 == 0) & (a > 1) & (b > 1), a + b - 2, freedom)
        reach = _t_value(level, freedom) * np.sqrt(v1 + v2)
    value = m1 - m2
    return estimate(value, (value - reach), (value + reach), level, "Welch")


def median(values: Numbers, *, level: float = 0.95) -> Estimate:
    """Estimate a median with the distribution-free interval between two order statistics.

    The limits are the k-th smallest and largest value, k the largest with
    ``P(Binomial(n, 1/2) < k) <= (1 - level) / 2``; so the coverage is at least the nominal.
    With fewer than six values (at 95%) no such pair exists, and the limits are NaN. Source:
    Conover (1999), Practical Nonparametric Statistics, section 3.2.

    Examples
    --------
    >>> found = median([1, 2, 3, 4, 5, 6, 7, 8, 9, 100])
    >>> float(found.value), float(found.low), float(found.high)
    (5.5, 2.0, 9.0)
    """
    ordered = np.sort(floats(values)[0])
    ordered = ordered[~np.isnan(ordered)]
    low, high = median_ranks(ordered.size, level=level)
    value = np.median(ordered) if ordered.size else np.nan
    below, above = (ordered[low - 1], ordered[high - 1]) if low else (np.nan, np.nan)
    return estimate(value, below, above, level, "order statistics")


def median_ranks(n: int, *, level: float = 0.95) -> tuple[int, int]:
    """Return the ranks (1 is the smallest) that bound the median, or (0, 0) where none do.

    Examples
    --------
    >>> median_ranks(10), median_ranks(5)
    ((2, 9), (0, 0))
    """
    from scipy.special import bdtr

    z = z_value(level)
    if n < 1:
        return (0, 0)
    k = max(0, int(n / 2 - z * np.sqrt(n) / 2) - 2)
    while k + 1 <= n // 2 and bdtr(k, n, 0.5) <= (1 - level) / 2:
        k += 1
    return (k, n + 1 - k) if k else (0, 0)


def relative_difference(
    mean_1: Numbers,
    error_1: Numbers,
    mean_2: Numbers,
    error_2: Numbers,
    *,
    covariance: Numbers = 0.0,
    method: str = "log",
    level: float = 0.95,
) -> Estimate:
    """Estimate ``m1 / m2 - 1`` from two means and their standard errors.

    Parameters
    ----------
    mean_1, error_1, mean_2, error_2 : float or array
        The means and their standard errors; the second mean is the base.
    covariance : float or array
        Of the two means (adjusted means share some noise; plain ones none).
    method : {"log", "fieller", "delta"}
        "log": ``exp(log(m1/m2) +- z sqrt(s1^2/m1^2 + s2^2/m2^2 - 2 c/(m1 m2))) - 1``, for positive
        means. "fieller": the set of ratios r with ``(m1 - r m2)^2 <= z^2 Var(m1 - r m2)``.
        "delta": symmetric about the ratio; with some ten conversions in the base it covers less
        than its level (tests/studies/results/lift_coverage.csv), where "log" does not.
    level : float
        Nominal coverage.

    Returns
    -------
    Estimate
        An infinite limit says that the data leave the lift unbounded on that side (Fieller, where
        the base is not clearly above zero; a lift below -1 is taken as impossible then). NaN where
        the method has no answer: a base that is not positive; for "log" a first mean of zero.

    Raises
    ------
    ParameterError
        If the method is unknown.

    Notes
    -----
    Source: Fieller (1954), "Some problems in interval estimation", JRSS B 16; Franz (2007),
    "Ratios: a short guide to confidence limits and proper use", for the shape of unbounded sets;
    Casella & Berger (2002), Statistical Inference, example 5.5.27 (delta).

    Examples
    --------
    >>> found = relative_difference(3.0, 0.3, 2.0, 0.2, method="fieller")
    >>> round(found.low, 3), round(found.high, 3)
    (0.132, 0.988)
    >>> relative_difference(3.0, 0.3, 1.0, 0.7, method="fieller").high
    inf
    """
    # "recovered" takes limits, no error.
    methods = [name for name in RELATIVE_METHODS if name != "recovered"]
    require_choice("method of the relative lift", method, methods)
    m1, s1, m2, s2, c = floats(mean_1, error_1, mean_2, error_2, covariance)
    z = z_value(level)
    with np.errstate(all="ignore"):
        value = np.where(m2 > 0, m1 / m2, np.where((m2 == 0) & (m1 > 0), np.inf, np.nan)) - 1
        low, high = {"log": _log, "fieller": _fieller, "delta": _delta}[method](
            m1, s1, m2, s2, c, z
        )
    return estimate(value, low, high, level, RELATIVE_METHODS[method])


def _log(m1: Array, s1: Array, m2: Array, s2: Array, c: Array, z: float) -> tuple[Array, Array]:
    usable = (m1 > 0) & (m2 > 0)
    variance = (s1 / m1) ** 2 + (s2 / m2) ** 2 - 2 * c / (m1 * m2)
    reach = np.where(usable, z * np.sqrt(np.maximum(variance, 0.0)), np.nan)
    middle = np.log(np.where(usable, m1 / m2, np.nan))
    return np.exp(middle - reach) - 1, np.exp(middle + reach) - 1


def _delta(m1: Array, s1: Array, m2: Array, s2: Array, c: Array, z: float) -> tuple[Array, Array]:
    ratio = np.where(m2 > 0, m1 / m2, np.nan)
    variance = s1**2 + ratio**2 * s2**2 - 2 * ratio * c
    reach = z * np.sqrt(np.maximum(variance, 0.0)) / m2
    return ratio - reach - 1, ratio + reach - 1


def _fieller(m1: Array, s1: Array, m2: Array, s2: Array, c: Array, z: float) -> tuple[Array, Array]:
    """Solve ``a r^2 - 2 b r + d <= 0``; where a <= 0 the set reaches to infinity."""
    a = m2**2 - (z * s2) ** 2
    b = m1 * m2 - z * z * c
    d = m1**2 - (z * s1) ** 2
    inside = b**2 - a * d
    root = np.sqrt(np.maximum(inside, 0.0))
    one, two = (b - root) / a, (b + root) / a
    least, most = np.minimum(one, two), np.maximum(one, two)
    # a < 0: ratios up to `least` and from `most` on; without roots, every ratio.
    ray = (a < 0) & (inside > 0) & (least < 0) & (most > 0)
    low = np.where(a > 0, least, np.where(ray, most, 0.0))
    high = np.where(a > 0, most, np.inf)
    usable = (m2 > 0) & np.isfinite(s1) & np.isfinite(s2)
    return np.where(usable, low - 1, np.nan), np.where(usable, high - 1, np.nan)


def always_valid(
    effect: Numbers, error: Numbers, *, information: Numbers, level: float = 0.95
) -> Estimate:
    """Estimate an effect with limits that stay valid under repeated looks at the data.

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
    d, s = floats(effect, error)
    reach = s * mixture_multiple(information, level=level)
    return estimate(d, d - reach, d + reach, level, "always valid (normal mixture)")


def mixture_multiple(information: Numbers, *, level: float = 0.95) -> Array:
    """Return an always-valid interval's half-width in standard errors.

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
