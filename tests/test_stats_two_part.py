"""Means with many zeros: the test against all permutations, limits against simulation."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from segkit.stats.group_effects import effective_cases, shrink_counts
from segkit.stats.intervals import share_difference, wilson
from segkit.stats.two_part import (
    MOST_TIMES,
    Amounts,
    ArmMean,
    arm_means,
    can_be_positive,
    combine_strata,
    compare_outcomes,
    expected_buyers,
    mean_difference,
    mean_ratio,
    mean_test,
    no_effect,
    pearson3_cdf,
    pearson3_quantile,
    recovered_ratio,
)


def test_pearson3_is_scipys():
    x = np.linspace(-3, 5, 9)
    for skewness in (-1.5, 0.0, 0.3, 2.0):
        assert pearson3_cdf(x, skewness) == pytest.approx(stats.pearson3.cdf(x, skewness), abs=1e-9)
    for skewness in (0.0, 0.3, 2.0):
        q = [0.025, 0.5, 0.975]
        assert pearson3_quantile(q, skewness) == pytest.approx(stats.pearson3.ppf(q, skewness))


def test_moments_under_no_effect_are_those_of_all_permutations():
    y = np.array([0, 0, 0, 5.0, 1.0, 0, 2.0, 0, 9.0])
    means = np.array([y[list(pick)].mean() for pick in combinations(range(9), 3)])
    null = no_effect(Amounts.of(y[3:]), Amounts.of(y[:3]))
    assert float(null.expected) == pytest.approx(means.mean())
    assert float(null.variance) == pytest.approx(means.var())
    assert float(null.third) == pytest.approx(((means - means.mean()) ** 3).mean())
    differences = (y.sum() - 3 * means) / 6 - means
    assert float(null.error) == pytest.approx(differences.std())


def test_p_values_are_near_those_of_random_permutations():
    rng = np.random.default_rng(2)
    for n1, n2, share in ((900, 100, 0.1), (500, 500, 0.05), (1900, 100, 0.2)):
        y = np.where(rng.random(n1 + n2) < share, rng.lognormal(3, 0.7, n1 + n2), 0.0)
        drawn = np.array([rng.permutation(y)[:n2].mean() for _ in range(4000)])
        for second in np.quantile(drawn, [0.01, 0.2, 0.9, 0.99]):
            first = (y.sum() - n2 * second) / n1
            exact = 2 * min((drawn <= second).mean(), (drawn >= second).mean())
            null = no_effect(Amounts.of(y[n2:]), Amounts.of(y[:n2]))
            found = float(mean_test(first - second, null))
            assert found == pytest.approx(min(1.0, exact), abs=0.015 + 0.1 * exact)


def test_a_single_giant_does_not_make_the_smaller_arm_look_low():
    arm = np.r_[np.full(40, 10.0), 5000.0, np.zeros(1959)]
    control = np.r_[np.full(2, 10.0), np.zeros(98)]
    one, two = Amounts.of(arm), Amounts.of(control)
    assert float(mean_test(one.mean - two.mean, no_effect(one, two))) > 0.3


def draw(rng, n, share, spread, repeats):
    k = rng.binomial(n, share, repeats)
    amounts = rng.lognormal(-(spread**2) / 2, spread, (repeats, k.max()))
    amounts *= np.arange(k.max()) < k[:, None]
    total = amounts.sum(axis=1)
    away = np.where(amounts > 0, amounts - (total / np.maximum(k, 1))[:, None], 0.0)
    sums = (away**2).sum(axis=1), (away**3).sum(axis=1)
    return Amounts(float(n), k.astype(float), total, *sums)


@pytest.mark.parametrize(
    ("n1", "n2", "lift", "dearer"),
    [(4500, 500, 1.0, 1.0), (4500, 500, 1.3, 1.0), (9500, 500, 1.0, 1.3), (1000, 1000, 1.0, 1.0)],
)
def test_few_buyers_neither_alarm_nor_flatter(n1, n2, lift, dearer):
    rng = np.random.default_rng(7)
    one, two = draw(rng, n1, 0.02 * lift, 1.2, 3000), draw(rng, n2, 0.02, 1.2, 3000)
    one = Amounts(one.n, one.buyers, one.total * dearer, one.second * dearer**2,
                  one.third * dearer**3)  # fmt: skip
    truth = 0.02 * (lift * dearer - 1)
    means = arm_means(one, two)
    difference, ratio = mean_difference(*means), mean_ratio(*means)
    # 3,000 draws: three Monte Carlo errors of .025 and .05.
    assert (difference.low > truth).mean() < 0.025 + 0.0086
    assert ((difference.low > truth) | (difference.high < truth)).mean() < 0.05 + 0.012
    assert (ratio.low > lift * dearer - 1).mean() < 0.025 + 0.0086
    if lift * dearer == 1:
        p = mean_test(one.mean - two.mean, no_effect(one, two))
        for level in (0.05, 0.05 / 6):
            assert (p <= level).mean() < level + 3 * np.sqrt(level / 3000)
        welch = stats.ttest_ind_from_stats(
            one.mean, np.sqrt((one.second + one.buyers * (one.amount - one.mean) ** 2) / n1), n1,
            two.mean, np.sqrt((two.second + two.buyers * (two.amount - two.mean) ** 2) / n2), n2,
            equal_var=False,
        )  # fmt: skip
        if n1 > n2:
            assert (welch.pvalue <= 0.05).mean() > 0.08  # what this replaces


def test_many_buyers_give_welchs_interval():
    rng = np.random.default_rng(1)
    parts = [np.where(rng.random(n) < 0.5, rng.gamma(4.0, 10.0, n), 0.0) for n in (60_000, 20_000)]
    found = mean_difference(*arm_means(*(Amounts.of(part) for part in parts)))
    error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts))
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.05 * error)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.05 * error)


def test_amounts_of_both_signs_have_no_two_parts():
    rng = np.random.default_rng(0)
    assert not can_be_positive(Amounts.of(rng.normal(0.3, 5, 400)))
    assert can_be_positive(Amounts.of(rng.lognormal(3, 1.5, 400)))
    nobody = Amounts.of(np.zeros(50))
    assert np.isnan(mean_difference(*arm_means(nobody, nobody)).low)
    assert float(mean_test(0.0, no_effect(nobody, nobody))) == 1.0


def test_strata_of_one_split_combine_to_the_whole():
    rng = np.random.default_rng(3)
    y = np.where(rng.random(4000) < 0.05, rng.gamma(2.0, 20.0, 4000), 0.0)
    parts = [Amounts.of(y[:1000]), Amounts.of(y[1000:])]
    strata = Amounts(*(np.array([getattr(p, f) for p in parts]) for f in Amounts.__slots__))
    whole, found = Amounts.of(y), combine_strata(strata, [0.25, 0.75])
    for name in Amounts.__slots__:
        assert float(getattr(found, name)) == pytest.approx(getattr(whole, name))
    assert float(expected_buyers(found, found)) == pytest.approx(whole.buyers)


def test_counts_that_are_many_are_shrunk_alike_by_either_likelihood():
    n1, n2 = np.full(5, 9000.0), np.full(5, 3000.0)
    x1, x2 = np.array([180.0, 200, 160, 190, 210]), np.array([50.0, 55, 52, 49, 51])
    normal = shrink_counts((x1, x2), (n1, n2), (x1, x2))
    x2[3] = 49.9  # below the limit for a normal likelihood
    nodes = shrink_counts((np.r_[x1], x2 * 0.998), (n1, n2), (x1, x2))
    for one, two in (
        (normal.value, nodes.value),
        (normal.low, nodes.low),
        (normal.high, nodes.high),
    ):
        assert one == pytest.approx(two, abs=6e-4)


def test_shrunken_effects_of_empty_campaigns_rarely_exclude_zero():
    rng = np.random.default_rng(4)
    above = 0
    for _ in range(80):
        arms = draw(rng, 3600, 0.02, 0.7, 6), draw(rng, 400, 0.02, 0.7, 6)
        arms = [Amounts(np.full(6, a.n), a.buyers, a.total, a.second, a.third) for a in arms]
        cases = effective_cases(*arms)
        found = shrink_counts(cases, [a.n for a in arms], [a.total for a in arms])
        above += bool((found.low > 0).any())
    assert above <= 9  # Welch's errors: over 35


@pytest.mark.parametrize("sizes", [(40, 1960), (200, 1800), (1000, 1000)])
def test_it_does_not_matter_which_of_two_arms_is_called_the_control(sizes):
    rng = np.random.default_rng(5)
    for _ in range(20):
        one, two = (
            Amounts.of(np.where(rng.random(n) < 0.05, rng.lognormal(3, 1.5, n), 0.0)) for n in sizes
        )
        there, back = no_effect(one, two), no_effect(two, one)
        d = one.mean - two.mean
        assert mean_test(d, there) == pytest.approx(float(mean_test(-d, back)), rel=1e-9)
        both = [Amounts(*(np.array([v, v]) for v in (a.n, a.buyers, a.total, a.second, a.third)))
                for a in (one, two)]  # fmt: skip
        there, back = no_effect(*both), no_effect(*both[::-1])
        halves = np.array([0.5, 0.5])
        there, back = there.combined(halves), back.combined(halves)
        assert mean_test(d, there) == pytest.approx(float(mean_test(-d, back)), rel=1e-9)


def test_a_small_arm_is_called_low_no_more_often_than_its_level():
    rng = np.random.default_rng(6)
    n1, n2, repeats, low = 100, 4900, 400, 0
    for _ in range(repeats):
        k = rng.binomial([n1, n2], 0.05)
        one, two = (
            Amounts.of(np.r_[rng.lognormal(3.5, 1.5, some), np.zeros(n - some)])
            for n, some in zip((n1, n2), k, strict=True)
        )
        d = float(one.mean - two.mean)
        low += d < 0 and float(mean_test(d, no_effect(one, two))) <= 0.05
    assert low <= 0.045 * repeats  # 2.5% and three standard errors


def touching(one, two, sign):
    """Find the ratio at which the interval of ``m1 - r m2`` touches zero, by halving."""
    low, high = 0.0, 1e9
    for _ in range(200):
        r = (low + high) / 2
        scaled = ArmMean(r * two.mean, r * two.low, r * two.high, None)
        limits = mean_difference(one, scaled)
        above = (limits.low if sign < 0 else limits.high) > 0
        low, high = (r, high) if above else (low, r)
    return low - 1


def test_a_recovered_ratio_excludes_no_effect_exactly_where_the_difference_does():
    random = np.random.default_rng(3)
    for _ in range(60):
        l1, m1, u1, l2, m2, u2 = np.sort(random.gamma(1.0, 1.0, (2, 3)), axis=1).ravel()
        one, two = ArmMean(m1, l1, u1, None), ArmMean(m2, l2, u2, None)
        found = recovered_ratio(one, two)
        assert found.low == pytest.approx(touching(one, two, -1), rel=1e-6, abs=1e-6)
        assert found.high == pytest.approx(touching(one, two, 1), rel=1e-6, abs=1e-6)
    n1, n2 = random.integers(1, 150, (2, 4000))
    x1, x2 = random.binomial(n1, 0.1), random.binomial(n2, 0.2)
    arms = [wilson(x, n) for x, n in ((x1, n1), (x2, n2))]
    ratio = recovered_ratio(*(ArmMean(a.value, a.low, a.high, None) for a in arms))
    gap = share_difference(x1, n1, x2, n2)
    assert ((ratio.low > 0) == (gap.low > 0)).all()
    assert ((ratio.high < 0) == (gap.high < 0)).all()
    assert 300 < (ratio.high < 0).sum() < 3700
    nobody = (x1 == 0) & (x2 == 0)
    assert nobody.any()
    assert (ratio.low[nobody] == -1).all()
    assert np.isinf(ratio.high[x2 == 0]).all()


def test_no_interval_where_the_amount_of_a_buyer_could_be_anything():
    """One of six buyers spends a thousand times what the others do."""
    even, odd = [20.0, 25.0, 30.0, 35.0] * 6, [1.0] * 5 + [1000.0]
    arm, control = Amounts.of(even + [0.0] * 76), Amounts.of(odd + [0.0] * 44)
    known = arm_means(arm, control)
    assert [bool(one.bounded) for one in known] == [True, False]
    assert known[1].high > 1e3 * known[1].mean  # what was shown before
    assert np.isnan(compare_outcomes(even + [0.0] * 76, odd + [0.0] * 44).low)
    same = compare_outcomes(even + [0.0] * 76, even[:8] + [0.0] * 42)
    assert same.low < 0 < same.high < 20


@pytest.mark.parametrize("seed", range(3))
def test_known_limits_stay_within_what_is_stated(seed):
    random = np.random.default_rng(seed)
    for _ in range(60):
        k, n = int(random.integers(1, 12)), 60
        amounts = random.lognormal(3.0, random.uniform(0.1, 2.5), k).tolist() + [0.0] * (n - k)
        arm, control = Amounts.of(amounts), Amounts.of([30.0] * 20 + [0.0] * 40)
        limit = arm_means(arm, control)[0]
        if limit.bounded:
            share = wilson(k, n)
            assert limit.high <= MOST_TIMES * limit.mean * share.high / share.value * 1.0001
