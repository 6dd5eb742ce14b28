"""Means with many zeros: a test and intervals that hold where an arm has few buyers.

Revenue, orders and profit per customer are zero for most customers. With a small control a mean
rests on few buyers, and so does its standard error: it is too small when the mean is low by chance,
and zero without a buyer. Here the test is a permutation test: without an effect the customers of
both arms are exchangeable. The interval combines the two parts of the mean, the share of buyers and
the spend per buyer. The spread of spending is estimated from the buyers of both arms.

Every function takes numbers or arrays (NumPy's broadcasting rules).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segkit.stats import intervals
from segkit.stats.intervals import Estimate, estimate, floats, wilson, z_value

Array = npt.NDArray[np.float64]
EXPECTED_BUYERS = 5.0
"""Buyers that the smaller arm must expect (by both arms' share of buyers) before a mean gets a
verdict. Chosen by tests/studies/study_small_holdout.py."""
MOST_TIMES = 40.0
"""Where the upper limit of the mean amount per buyer is more times the mean seen, the buyers are
too few for how much their amounts vary, and a mean gets no interval. It is the 97.5% limit of the
mean of a single buyer where amounts are exponential."""
_LENT = 200.0  # with this many buyers an arm's own spread and the pooled one have equal weight
_TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """An amount over one arm's customers, most of whom have zero.

    Attributes
    ----------
    n : array
        Customers.
    buyers : array
        Customers whose amount is not zero.
    total : array
        Sum of the amount.
    second, third : array
        Sums of the squared and cubed deviations of the buyers' amounts from their mean.
    """

    n: Any
    buyers: Any
    total: Any
    second: Any
    third: Any

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Amounts:
        """Sum the amounts of one arm.

        Examples
        --------
        >>> Amounts.of([0.0, 2.0, 0.0, 3.0]).total
        5.0
        """
        y = np.asarray(values, dtype=np.float64)
        some = y[y != 0]
        away = some - (some.mean() if some.size else 0.0)
        sums = (float(part.sum()) for part in (some, away**2, away**3))
        return cls(float(y.size), float(some.size), *sums)

    @property
    def mean(self) -> Array:
        """Mean per customer; NaN without customers."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.total / np.asarray(self.n, dtype=np.float64))

    @property
    def amount(self) -> Array:
        """Mean per buyer; NaN without a buyer."""
        k = np.asarray(self.buyers, dtype=np.float64)
        return np.asarray(self.total / np.where(k > 0, k, np.nan))

    def about(self, centre: Array) -> tuple[Array, Array]:
        """Sum the squared and cubed deviations of all customers' amounts from a centre."""
        k = np.asarray(self.buyers, dtype=np.float64)
        away = np.where(k > 0, np.nan_to_num(self.amount) - centre, 0.0)
        zeros = np.asarray(self.n, dtype=np.float64) - k
        second = self.second + k * away**2 + zeros * centre**2
        third = self.third + 3 * away * self.second + k * away**3 - zeros * centre**3
        return np.asarray(second), np.asarray(third)


def can_be_positive(arm: Amounts) -> npt.NDArray[np.bool_]:
    """Return whether an arm's amounts can all be positive.

    By Cauchy and Schwarz positive amounts have ``sum b sum b^3 >= (sum b^2)^2``.

    Examples
    --------
    >>> bool(can_be_positive(Amounts.of([3.0, 1.0]))), bool(can_be_positive(Amounts.of([3.0, -2])))
    (True, False)
    """
    m = np.nan_to_num(arm.amount)
    square = arm.second + arm.buyers * m**2
    cube = arm.third + 3 * m * arm.second + arm.buyers * m**3
    return np.asarray((arm.total >= 0) & (arm.total * cube >= square**2 * (1 - 1e-9)))


def expected_buyers(one: Amounts, two: Amounts) -> Array:
    """Compute how many buyers the smaller arm expects if both arms buy alike.

    Examples
    --------
    >>> arm, control = Amounts.of([1.0] * 60 + [0.0] * 2940), Amounts.of([0.0] * 30)
    >>> round(float(expected_buyers(arm, control)), 2)
    0.59
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (one.buyers + two.buyers) / (np.asarray(one.n, dtype=np.float64) + two.n)
    return np.asarray(np.nan_to_num(share * np.minimum(one.n, two.n)))


def pearson3_cdf(x: npt.ArrayLike, skewness: npt.ArrayLike) -> Array:
    """Compute the distribution function of a Pearson type III variable of mean 0 and variance 1.

    Source: Johnson, Kotz & Balakrishnan (1994), Continuous Univariate Distributions 1, chapter 17.

    Examples
    --------
    >>> pearson3_cdf([-1.0, 1.0], 2.0).round(4)  # an exponential less one
    array([0.    , 0.8647])
    """
    from scipy.special import gammainc, gammaincc, ndtr

    t, g = np.broadcast_arrays(np.asarray(x, float), np.asarray(skewness, float))
    straight = np.abs(g) < 1e-5
    g = np.where(straight, 1.0, g)
    shape = 4 / g**2
    place = np.maximum(shape * (1 + g * t / 2), 0.0)
    skewed = np.where(g > 0, gammainc(shape, place), gammaincc(shape, place))
    return np.asarray(np.where(straight, ndtr(t), skewed))


def pearson3_quantile(p: npt.ArrayLike, skewness: npt.ArrayLike) -> Array:
    """Compute the quantile of a Pearson type III variable of mean 0, variance 1, skewness >= 0.

    Examples
    --------
    >>> pearson3_quantile([0.025, 0.975], 0.0).round(2)
    array([-1.96,  1.96])
    """
    from scipy.special import gammaincinv, ndtri

    q, g = np.broadcast_arrays(np.asarray(p, float), np.asarray(skewness, float))
    straight = np.abs(g) < 1e-4
    g = np.where(straight, 1.0, g)
    shape = 4 / g**2
    return np.asarray(np.where(straight, ndtri(q), (gammaincinv(shape, q) / shape - 1) * 2 / g))


@dataclass(frozen=True, slots=True, eq=False)
class NoEffect:
    """Distribution of the second arm's mean if the arms' customers are exchangeable.

    Attributes
    ----------
    expected, variance, third : array
        Mean, variance and third central moment of the second arm's mean.
    to_difference : array
        Change of the difference (first less second mean), with opposite sign, when the second mean
        rises by 1.
    nobody, nobody_first : array
        Probability that the second arm has no buyer, and that the first has none.
    to_zero : array
        Difference by which the second mean exceeds the first where the first is zero.
    adjusted : bool
        Whether covariates were taken out (CUPED): what they leave may be skewed either way.
    """

    expected: Any
    variance: Any
    third: Any
    to_difference: Any
    nobody: Any
    nobody_first: Any
    to_zero: Any
    adjusted: bool = False

    @property
    def error(self) -> Array:
        """Standard error of the difference of the two means."""
        return np.asarray(np.sqrt(self.variance) * self.to_difference)

    def combined(self, weights: npt.ArrayLike, kept: npt.ArrayLike = 1.0) -> NoEffect:
        """Combine strata (the last axis) by weights, an adjustment keeping a share of each error.

        Cumulants of independent strata add up. An adjustment (CUPED) that keeps a share of the
        error is taken to leave its skewness as it is, of either sign.
        """
        w = np.asarray(weights, dtype=np.float64)
        scale = w * self.to_difference
        variance = (np.square(scale * kept) * self.variance).sum(axis=-1)
        third = (np.power(scale * kept, 3) * self.third).sum(axis=-1)
        expected = (scale * self.expected).sum(axis=-1)
        second, first = np.prod(self.nobody, axis=-1), np.prod(self.nobody_first, axis=-1)
        one, zero = np.ones(np.shape(expected)), (w * self.to_zero).sum(axis=-1)
        adjusted = bool((np.asarray(kept) < 1).any())
        return NoEffect(expected, variance, third, one, second, first, zero, adjusted)


def no_effect(one: Amounts, two: Amounts) -> NoEffect:
    """Compute the permutation moments of the second arm's mean.

    With N customers in both arms of whom n in the second, the mean of a random choice of n has
    variance ``M2 / n (N - n) / (N - 1)`` and third central moment
    ``M3 / n^2 (N - n)(N - 2n) / ((N - 1)(N - 2))``, where M2 and M3 are central moments of all.

    Notes
    -----
    Source: Cochran (1977), Sampling Techniques, theorem 2.2; Sukhatme (1938) for the third moment.

    Examples
    --------
    >>> a = Amounts.of([0.0, 0.0, 4.0])
    >>> round(float(no_effect(a, a).error), 3)
    1.687
    """
    n = np.asarray(two.n, dtype=np.float64)
    size = one.n + n
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.asarray((one.total + two.total) / size)
        parts = one.about(mean), two.about(mean)
        second = (parts[0][0] + parts[1][0]) / size
        third = (parts[0][1] + parts[1][1]) / size
        variance = second / n * (size - n) / (size - 1)
        cubed = third / n**2 * (size - n) * (size - 2 * n) / ((size - 1) * (size - 2))
        scale = size / (size - n)
        nobody = [np.exp((one.buyers + two.buyers) * np.log1p(-m / size)) for m in (n, one.n)]
        zero = mean * size / n
    cubed = np.where(np.isfinite(cubed), cubed, 0.0)
    return NoEffect(mean, variance, cubed, scale, nobody[0], nobody[1], zero)


def mean_test(difference: npt.ArrayLike, null: NoEffect) -> Array:
    """Test whether two means differ, by the permutation distribution's first three moments.

    The second mean under exchangeable arms is taken as Pearson type III with the permutation's
    mean, variance and skewness: exact moments, whatever the arms' sizes. For the lower tail the
    skewness is held to twice the coefficient of variation, so that the distribution reaches down
    to zero. Otherwise a single very large amount, which is nearly always in the larger arm, would
    make a low mean of the smaller arm look impossible. If amounts are positive, the lower tail is
    at least the probability that the arm has no buyer. The same holds for the first arm. Where an
    adjustment (CUPED) leaves residuals of unknown sign of skewness, each tail is the larger of
    those for either sign.

    Parameters
    ----------
    difference : float or array
        First mean less the second.
    null : NoEffect

    Returns
    -------
    array
        Two-sided p-value: twice the smaller tail. 1 where no amount varies.

    Notes
    -----
    Source: Mielke & Berry (2007), Permutation Methods: A Distance Function Approach, 2nd ed.,
    section 2.3, for the Pearson type III approximation. Level shown by
    tests/studies/study_small_holdout.py; with strong covariates by tests/test_lift_edges.py.

    Examples
    --------
    >>> arm, control = Amounts.of([1.0] * 60 + [0.0] * 2940), Amounts.of([0.0] * 30)
    >>> float(mean_test(arm.mean - control.mean, no_effect(arm, control)))
    1.0
    """
    d = np.asarray(difference, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(null.variance)
        x = -d / (spread * null.to_difference)
        skewness = null.third / np.maximum(spread, _TINY) ** 3
        # A low mean of the first arm is a high one of the second, with the opposite skewness.
        reach = np.where(null.expected > 0, 2 * spread / null.expected, np.inf)
        reach_first = np.where(null.to_zero > 0, 2 * null.error / null.to_zero, np.inf)
        upward, downward = np.minimum(skewness, reach), np.maximum(skewness, -reach_first)
        below, above = pearson3_cdf(x, upward), 1 - pearson3_cdf(x, downward)
        if null.adjusted:
            below = np.maximum(below, 1 - pearson3_cdf(-x, downward))
            above = np.maximum(above, pearson3_cdf(-x, upward))
        some = null.expected * (1 + 1e-9) >= d / null.to_difference  # the second mean is positive
        below = np.where(some, np.maximum(below, null.nobody), below)
        some = null.to_zero * (1 + 1e-9) >= -d  # the first mean is positive
        above = np.where(some, np.maximum(above, null.nobody_first), above)
    p = np.clip(2 * np.minimum(below, above), 0.0, 1.0)
    return np.asarray(np.where(spread > 0, p, np.where(np.isfinite(d), 1.0, np.nan)))


def combine_strata(strata: Amounts, weights: npt.ArrayLike) -> Amounts:
    """Combine one arm's strata into amounts whose mean is the strata's weighted mean.

    Customers and buyers are effective numbers (Kish): fewer than counted where the weights differ
    from the arm's own split.

    Parameters
    ----------
    strata : Amounts
        Arrays with one entry per stratum.
    weights : array of shape (strata,)
        Shares of the strata, of sum 1.

    Notes
    -----
    Source: Kish (1965), Survey Sampling, section 11.7, for the effective numbers.

    Examples
    --------
    >>> strata = Amounts(*(np.array(v, float) for v in ([10, 30], [2, 3], [8, 30], [2, 8], [0, 0])))
    >>> combined = combine_strata(strata, [0.5, 0.5])
    >>> float(combined.mean), round(float(combined.buyers), 2)
    (0.9, 3.86)
    """
    w = np.asarray(weights, dtype=np.float64)
    n, k = floats(strata.n, strata.buyers)
    per = w * n.sum() / n
    counted = float(per @ k)
    if counted == 0:
        size = n.sum() ** 2 / float(per**2 @ n)
        return Amounts(*floats(size, 0, 0, 0, 0))
    buyers = counted**2 / float(per**2 @ k)
    mean = float(per @ strata.total) / counted
    away = np.where(k > 0, np.nan_to_num(strata.amount) - mean, 0.0)
    second = per @ (strata.second + k * away**2) / counted
    third = per @ (strata.third + 3 * away * strata.second + k * away**3) / counted
    parts = (buyers / float(w @ (k / n)), buyers, buyers * mean, buyers * second, buyers * third)
    return Amounts(*floats(*parts))


@dataclass(frozen=True, slots=True, eq=False)
class ArmMean:
    """One arm's mean with its limits and standard error.

    Attributes
    ----------
    mean, low, high, error : array
    bounded : array of bool
        Whether the limit of the mean amount per buyer lies within `MOST_TIMES` of what was seen.
    """

    mean: Any
    low: Any
    high: Any
    error: Any
    bounded: Any = True


def arm_means(
    one: Amounts,
    two: Amounts,
    *,
    level: float = 0.95,
    means: tuple[Any, Any] | None = None,
    kept: npt.ArrayLike = 1.0,
) -> tuple[ArmMean, ArmMean]:
    """Estimate both arms' means from two parts: share of buyers and mean amount per buyer.

    The share of buyers gets Wilson's interval. The mean amount of k buyers, relative to its
    expectation, is taken as Pearson type III with variance ``c^2 / k`` and skewness ``g / sqrt(k)``
    and inverted as a pivot; c and g, the buyers' coefficient of variation and skewness, are those
    of both arms' buyers, or the arm's own where they are larger (or rest on far more than 200
    buyers), c with Student's allowance for being estimated. On the log scale the two parts'
    distances add up as squares. An arm without a buyer borrows the other's mean amount.

    Parameters
    ----------
    one, two : Amounts
    level : float
    means : (array, array), optional
        The means to put limits around where they were adjusted (CUPED); by default as observed.
    kept : float or array
        Share of the standard error that an adjustment leaves.

    Returns
    -------
    (ArmMean, ArmMean)
        NaN where nobody bought in either arm, or an arm's amounts do not sum to more than zero.
        Amounts of both signs (`can_be_positive`) have no two parts either.

    Notes
    -----
    Source: Zou, Taleban & Huo (2009), "Confidence interval estimation for lognormal data with
    application to health economics", Computational Statistics & Data Analysis 53, for putting a
    mean with zeros together from its parts by the method of variance estimates recovery.

    Examples
    --------
    >>> arm = Amounts.of([50.0, 20.0, 80.0] * 20 + [0.0] * 940)
    >>> control = Amounts.of([50.0, 20.0, 80.0] * 2 + [0.0] * 94)
    >>> mail, none = arm_means(arm, control)
    >>> round(float(none.low), 2), round(float(none.mean), 2), round(float(none.high), 2)
    (1.28, 3.0, 7.61)
    """
    shapes, count = _shapes(one, two)
    results = []
    for arm, other, (spread2, third), given in zip(
        (one, two), (two, one), shapes, means or (None, None), strict=True
    ):
        mean = arm.mean if given is None else np.asarray(given, dtype=np.float64)
        results.append(_arm_mean(arm, other, spread2, third, count, level, mean, kept))
    return results[0], results[1]


def _shapes(one: Amounts, two: Amounts) -> tuple[list[tuple[Array, Array]], Array]:
    """Return each arm's squared coefficient of variation and third moment, and all buyers."""
    parts = []
    for arm in (one, two):
        m = np.where(arm.amount > 0, arm.amount, np.nan)
        finite = np.isfinite(m)
        k = np.where(finite, arm.buyers, 0.0)
        second = np.where(finite, arm.second / m**2, 0.0)
        third = np.where(finite, np.maximum(arm.third / m**3, 0.0), 0.0)
        parts.append((k, second, third))
    count = np.asarray(parts[0][0] + parts[1][0])
    shapes = []
    for k, *sums in parts:
        own = k / (k + _LENT)
        shape = []
        for place, mine in enumerate(sums, start=1):
            mine = mine / np.maximum(k - 1, 1.0)
            shared = (parts[0][place] + parts[1][place]) / np.maximum(count - 2, 1.0)
            shape.append(np.maximum(mine, own * mine + (1 - own) * shared))
        shapes.append((shape[0], shape[1]))
    return shapes, count


def _arm_mean(
    arm: Amounts,
    other: Amounts,
    spread2: Array,
    third: Array,
    count: Array,
    level: float,
    mean: Array,
    kept: npt.ArrayLike,
) -> ArmMean:
    from scipy.special import stdtrit

    n, k, left = floats(arm.n, arm.buyers, kept)
    none = k == 0
    some = np.maximum(k, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        allowed = stdtrit(np.maximum(count - 2, 1.0), (1 + level) / 2) / z_value(level)
        reach = np.sqrt(spread2 / some) * allowed
        skewness = np.where(spread2 > 0, third / np.maximum(spread2, _TINY) ** 1.5, 0.0)
        skewness = skewness / np.sqrt(some)
        tail = (1 - level) / 2
        # Amounts are positive: the pivot reaches down to zero.
        bent = np.stack([np.minimum(skewness, 2 * reach), skewness])
        tails = np.reshape([tail, 1 - tail], (2,) + (1,) * skewness.ndim)
        least, most = 1 + reach * pearson3_quantile(tails, bent)
        share = wilson(k, n, level=level)
        p, least_p, most_p = (np.asarray(v) for v in (share.value, share.low, share.high))
        # Where every amount differs from zero (and they vary), there is one part only.
        dense = (k == n) & (spread2 > 0)
        fewer = np.where(dense, 0.0, np.log(p / np.where(none, np.nan, least_p)))
        more = np.where(dense, 0.0, np.log(most_p / p))
        low = mean * np.exp(-left * np.hypot(fewer, np.log(most)))
        high = mean * np.exp(left * np.hypot(more, -np.log(np.maximum(least, 1e-9))))
        relative = (np.where(dense, 0.0, 1 - p) + spread2) / some
        # Without a buyer: Wilson's limit for the share, the other arm's mean amount and its share
        # with half a buyer.
        lent = other.amount
        chance = (other.buyers + 0.5) / (other.n + 1)
        squared = lent**2 * chance * (1 - chance + spread2) / n
        low = np.where(none, 0.0, low)
        high = np.where(none, mean + most_p * lent / np.maximum(least, 1e-9), high)
        error = left * np.sqrt(np.where(none, squared, mean**2 * relative))
        usable = np.where(none, lent, arm.amount) > 0
    mean, low, high, error = (np.where(usable, part, np.nan) for part in (mean, low, high, error))
    return ArmMean(mean, low, high, error, np.asarray(~usable | (least * MOST_TIMES >= 1)))


def mean_difference(one: ArmMean, two: ArmMean, *, level: float = 0.95) -> Estimate:
    """Estimate the difference of two means from their separate limits.

    ``low = d - sqrt((m1 - l1)^2 + (u2 - m2)^2)``, ``high = d + sqrt((u1 - m1)^2 + (m2 - l2)^2)``,
    as Newcombe's interval does with two shares. Source: Zou & Donner (2008), "Construction of
    confidence limits about effect measures: a general approach", Statistics in Medicine 27.

    Examples
    --------
    >>> one, two = ArmMean(3.0, 2.0, 5.0, 0.7), ArmMean(2.0, 1.0, 4.0, 0.7)
    >>> found = mean_difference(one, two)
    >>> round(found.low, 3), round(found.high, 3)
    (-1.236, 3.236)
    """
    d = np.asarray(one.mean - two.mean, dtype=np.float64)
    low = d - np.hypot(one.mean - one.low, two.high - two.mean)
    high = d + np.hypot(one.high - one.mean, two.mean - two.low)
    return estimate(d, low, high, level, "two-part")


def mean_ratio(one: ArmMean, two: ArmMean, *, level: float = 0.95) -> Estimate:
    """Estimate the relative difference ``m1 / m2 - 1`` from separate limits, on the log scale.

    Source: Zou & Donner (2008), as `mean_difference`, applied to log means. An arm without a buyer
    leaves it unbounded on that side.

    Examples
    --------
    >>> one, two = ArmMean(3.0, 2.0, 5.0, 0.7), ArmMean(2.0, 1.5, 3.0, 0.7)
    >>> found = mean_ratio(one, two)
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
    (0.5, -0.15, 1.7)
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ends = floats(one.mean, one.low, one.high, two.mean, two.low, two.high)
        m1, l1, u1, m2, l2, u2 = map(np.log, ends)
        middle = m1 - m2
        low = np.exp(middle - np.hypot(m1 - l1, u2 - m2)) - 1
        high = np.exp(middle + np.hypot(u1 - m1, m2 - l2)) - 1
        value = np.where(two.mean > 0, np.asarray(one.mean) / two.mean, np.nan) - 1
        # The base without a buyer: the lift has no upper limit; its lower one is of both limits.
        bought = np.asarray(two.mean) > 0
        low = np.where(bought, low, np.maximum(np.exp(l1 - u2) - 1, -1.0))
        high = np.where(bought, high, np.where(np.isfinite(u2), np.inf, np.nan))
        value = np.where(bought | ~(np.asarray(one.mean) > 0), value, np.inf)
    return estimate(value, low, high, level, "log ratio")


def recovered_ratio(one: ArmMean, two: ArmMean, *, level: float = 0.95) -> Estimate:
    """Estimate the relative difference ``m1 / m2 - 1`` from the limits of both means (MOVER-R).

    The limits are the ratios r at which the interval of ``m1 - r m2`` by `mean_difference`'s rule
    just touches zero. So they exclude no effect exactly where the interval of the difference does,
    for shares with Wilson's limits exactly where Newcombe's does. Without a buyer in the base there
    is no upper limit. Source: Donner & Zou (2012), "Closed-form confidence intervals for functions
    of the normal mean and standard deviation", Statistical Methods in Medical Research 21, eq. 9;
    Newcombe (2016), "MOVER-R confidence intervals for ratios and products of two independently
    estimated quantities", same journal 25.

    Examples
    --------
    >>> one, two = ArmMean(3.0, 2.0, 5.0, 0.7), ArmMean(2.0, 1.5, 3.0, 0.7)
    >>> found = recovered_ratio(one, two)
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
    (0.5, -0.15, 1.71)
    """
    m1, l1, u1, m2, l2, u2 = floats(one.mean, one.low, one.high, two.mean, two.low, two.high)
    both, bought = m1 * m2, m2 > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        # (m1 - r m2)^2 = (m1 - l1)^2 + r^2 (u2 - m2)^2 below the estimate, alike above it
        least, most = l1 * (2 * m1 - l1), u1 * (2 * m1 - u1)
        above, below = u2 * (2 * m2 - u2), l2 * (2 * m2 - l2)
        low = least / (both + np.sqrt(np.maximum(both**2 - above * least, 0.0))) - 1
        high = (both + np.sqrt(np.maximum(both**2 - below * most, 0.0))) / below - 1
        value = np.where(bought, m1 / m2, np.where(m1 > 0, np.inf, np.nan)) - 1
    low = np.where((m1 == 0) & np.isfinite(l1), -1.0, low)
    high = np.where(bought, high, np.where(np.isfinite(u2), np.inf, np.nan))
    return estimate(value, low, high, level, "MOVER-R")


def compare_outcomes(one: npt.ArrayLike, two: npt.ArrayLike, *, level: float = 0.95) -> Estimate:
    """Estimate the difference of two arms' mean outcomes by the interval that suits the outcome.

    Outcomes of 0 and 1 get Newcombe's interval, amounts without negative ones the two parts' (no
    limits below `EXPECTED_BUYERS` or beyond `MOST_TIMES`), amounts of both signs Welch's.

    Parameters
    ----------
    one, two : array-like of float
        Outcome of each customer of an arm.

    Returns
    -------
    Estimate
        NaN where an arm has fewer than two customers.

    Examples
    --------
    >>> round(compare_outcomes([1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0]).low, 2)
    -0.16
    >>> compare_outcomes([50.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0]).low
    nan
    """
    y1, y2 = floats(one, two)
    nan = float("nan")
    if min(y1.size, y2.size) < 2:
        return Estimate(nan, nan, nan, level, "none")
    both = np.concatenate([y1, y2])
    if np.isin(both, (0.0, 1.0)).all():
        sums = (y1.sum(), y1.size, y2.sum(), y2.size)
        return intervals.share_difference(*sums, level=level)
    arms = Amounts.of(y1), Amounts.of(y2)
    value = float(arms[0].mean - arms[1].mean)
    if both.min() < 0:
        parts = [(y.mean(), y.std(ddof=1), y.size) for y in (y1, y2)]
        return intervals.mean_difference(*parts[0], *parts[1], level=level)
    limits = arm_means(*arms, level=level)
    if expected_buyers(*arms) < EXPECTED_BUYERS or not (limits[0].bounded and limits[1].bounded):
        return Estimate(value, nan, nan, level, "withheld: few buyers")
    return mean_difference(*limits, level=level)
