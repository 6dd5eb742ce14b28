"""The statistics under lift, against scipy, by hand, and by simulation's identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from segkit.errors import DataError, ParameterError
from segkit.stats.group_effects import (
    heterogeneity,
    mean_errors,
    restricted_share,
    share_errors,
    shrink,
)
from segkit.stats.hypotheses import count_table, mean_t_test, planned_split, share_z
from segkit.stats.intervals import (
    always_valid,
    mixture_multiple,
    relative_difference,
    relative_lift,
)
from segkit.stats.moments import Moments, cuped, plain_means, ratio_of_sums, stratified


def moments(table):
    return Moments.of_sums(len(table), table.sum(axis=0), table.T @ table)


def test_tests_agree_with_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(1, 2, 40), rng.gamma(2, 2, 70)
    pieces = (a.mean(), a.std(ddof=1), 40, b.mean(), b.std(ddof=1), 70)
    for pooled in (False, True):
        expected = stats.ttest_ind(a, b, equal_var=pooled)
        found = mean_t_test(*pieces, pooled=pooled)
        assert found.statistic == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue)
        assert found.freedom == pytest.approx(expected.df)
    table = [[30, 70], [20, 80], [25, 75]]
    chi = stats.chi2_contingency(table, correction=False)
    assert count_table(table).p_value == pytest.approx(chi.pvalue)
    one = stats.chi2_contingency(table[:2], correction=False)
    assert share_z(30, 100, 20, 100).statistic ** 2 == pytest.approx(one.statistic)
    split = planned_split([480, 520], [1, 1])
    assert split.p_value == pytest.approx(stats.chisquare([480, 520]).pvalue)


def test_degenerate_tests_say_nan():
    assert np.isnan(share_z(0, 10, 0, 10).p_value)
    assert np.isnan(mean_t_test(1.0, 0.0, 5, 1.0, 0.0, 5).p_value)
    assert np.isnan(count_table([[5, 0], [3, 0]]).p_value)
    with pytest.raises(DataError, match="positive share"):
        planned_split([5, 5], [1, 0])


def test_relative_log_is_katz_for_shares():
    x1, n1, x2, n2 = 30, 100, 20, 150
    p1, p2 = x1 / n1, x2 / n2
    errors = (np.sqrt(p1 * (1 - p1) / n1), np.sqrt(p2 * (1 - p2) / n2))
    found = relative_difference(p1, errors[0], p2, errors[1], method="log")
    katz = relative_lift(x1, n1, x2, n2)
    assert (found.low, found.high) == pytest.approx((katz.low, katz.high))


@given(
    m1=st.floats(0.01, 10), m2=st.floats(0.01, 10), s1=st.floats(0.001, 5), s2=st.floats(0.001, 5),
    tie=st.floats(-0.9, 0.9),
)  # fmt: skip
def test_fieller_limits_are_where_the_test_just_rejects(m1, m2, s1, s2, tie):
    c = tie * s1 * s2
    found = relative_difference(m1, s1, m2, s2, covariance=c, method="fieller")
    z = stats.norm.ppf(0.975)
    for limit in (found.low, found.high):
        r = limit + 1
        if np.isfinite(limit) and r > 0:  # r = 0 is where an unbounded set is cut off
            variance = s1**2 + r**2 * s2**2 - 2 * r * c
            assert (m1 - r * m2) ** 2 == pytest.approx(z**2 * variance, rel=1e-3, abs=1e-6)
    assert found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9


def test_an_unbounded_set_is_infinite_and_a_base_of_zero_has_no_lift():
    assert relative_difference(1.0, 0.1, 0.5, 0.4, method="fieller").high == np.inf
    for method in ("log", "fieller", "delta"):
        found = relative_difference(1.0, 0.1, 0.0, 0.0, method=method)
        assert found.value == np.inf
        assert np.isnan(found.low)
        assert np.isnan(relative_difference(1.0, 0.1, -1.0, 0.1, method=method).value)
    with pytest.raises(ParameterError, match="did you mean 'log'"):
        relative_difference(1, 1, 1, 1, method="lgo")


def test_ratio_is_the_delta_method_and_agrees_with_a_bootstrap():
    rng = np.random.default_rng(1)
    visits = rng.poisson(3, 2000).astype(float)
    orders = rng.binomial(visits.astype(int), 0.2).astype(float)
    both = np.column_stack([orders, visits])
    value, variance = ratio_of_sums(moments(both))
    assert value == orders.sum() / visits.sum()
    draws = [both[rng.integers(0, 2000, 2000)].sum(axis=0) for _ in range(2000)]
    spread = np.std([y / x for y, x in draws])
    assert np.sqrt(variance) == pytest.approx(spread, rel=0.06)
    assert np.isnan(ratio_of_sums(moments(np.zeros((5, 2))))[0])


def test_cuped_is_the_regression_with_the_covariates_and_drops_a_constant_one():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(600, 2))
    y = x @ [2.0, -1.0] + rng.normal(size=600)
    arm = np.arange(600) % 3 == 0
    table = np.column_stack([y, x])
    found = cuped(moments(table[arm]), moments(table[~arm]))
    design = np.column_stack([np.ones(600), arm, x])
    slope = np.linalg.lstsq(design, y, rcond=None)[0]
    assert found.difference == pytest.approx(slope[1])
    assert found.weights == pytest.approx(slope[2:])
    assert found.error < 0.5 * plain_means(moments(table[arm]), moments(table[~arm])).error
    more = np.column_stack([table, np.full(600, 7.0)])
    again = cuped(moments(more[arm]), moments(more[~arm]))
    assert again.difference == pytest.approx(found.difference)
    with pytest.raises(DataError, match="covariates"):
        cuped(moments(table[:, :1]), moments(table[:, :1]))


def test_what_each_group_adds_to_the_error_is_its_own_variance_after_cuped():
    rng = np.random.default_rng(3)
    for _ in range(50):
        table = [rng.lognormal(0, 1.5, size=(n, 2)) for n in (200, 8)]
        found = cuped(*(moments(group) for group in table))
        left = [group[:, 0] - group[:, 1] * found.weights[0] for group in table]
        own = [values.var(ddof=1) / len(values) for values in left]
        assert [found.own_1, found.own_2] == pytest.approx(own)
        both = found.variance_1 + found.variance_2 - 2 * found.covariance
        assert both == pytest.approx(sum(own)) == pytest.approx(found.error**2)


def test_strata_are_weighted_by_their_size():
    one, two = (moments(np.array([[v], [v + 1.0]])) for v in (0.0, 10.0))
    zero = moments(np.array([[0.0], [1.0]]))
    found = stratified([plain_means(one, zero), plain_means(two, zero)], [30, 10])
    assert found.difference == pytest.approx(0.25 * 10)
    assert found.error == pytest.approx(np.hypot(0.75, 0.25) * plain_means(one, zero).error)
    with pytest.raises(DataError, match="at least one stratum"):
        stratified([], [])


def test_heterogeneity_finds_a_crossing_and_none_in_one_group():
    found = heterogeneity([1.0, -1.0, 1.0], [0.1, 0.1, 0.1])
    assert found.p_value < 1e-10
    assert found.p_crossing < 1e-10
    same = heterogeneity([1.0, 1.0], [0.1, 0.1])
    assert (same.q, same.p_crossing) == (0.0, 1.0)
    assert np.isnan(heterogeneity([1.0, np.nan], [0.1, 0.1]).p_value)
    two = heterogeneity([0.3, 0.1], [0.1, 0.1])  # by hand: (0.2)^2 / (2 x 0.01)
    assert (two.q, two.freedom) == (pytest.approx(2.0), 1)


@given(
    st.integers(0, 40), st.integers(40, 90), st.integers(0, 12), st.integers(12, 30),
    st.floats(-0.9, 0.9),
)  # fmt: skip
def test_the_restricted_share_maximises_the_likelihood(x1, n1, x2, n2, difference):
    one = restricted_share(*(np.array([float(v)]) for v in (x1, n1, x2, n2)), difference)[0]

    def loglik(p):
        p, q = np.clip(p, 1e-12, 1 - 1e-12), np.clip(p - difference, 1e-12, 1 - 1e-12)
        return (x1 * np.log(p) + (n1 - x1) * np.log1p(-p)
                + x2 * np.log(q) + (n2 - x2) * np.log1p(-q))  # fmt: skip

    grid = np.linspace(max(0.0, difference), min(1.0, 1 + difference), 400)
    assert loglik(one) >= loglik(grid).max() - 1e-6


def test_errors_under_equal_effects_by_hand():
    """Two like groups: the pooled share's error if the arms agree; nothing told, nothing said."""
    x1, n1, x2, n2 = [18, 27, 0], [180, 270, 50], [2, 3, 0], [20, 30, 50]
    found = share_errors(x1, n1, x2, n2)
    assert found[0] == pytest.approx(np.sqrt(0.1 * 0.9 * (1 / 180 + 1 / 20)))
    assert np.isnan(found[2])
    # Four times the spread in the smaller arm, in all groups: each arm's own is what is implied.
    like = mean_errors([1 / 90, 2 / 90], [90, 90], [9, 9], [4 / 10, 8 / 10], [10, 10], [1, 1])
    assert like == pytest.approx(np.sqrt([1 / 90 + 4 / 10, 2 / 90 + 8 / 10]))
    swapped = mean_errors([4 / 10, 8 / 10], [10, 10], [1, 1], [1 / 90, 2 / 90], [90, 90], [9, 9])
    assert swapped == pytest.approx(like)
    many = mean_errors([1 / 9e6, 2 / 9e6], [9e6] * 2, [9e6] * 2, [9e-6, 4e-6], [1e6] * 2, [1e6] * 2)
    assert many == pytest.approx(np.sqrt([1 / 9e6 + 9e-6, 2 / 9e6 + 4e-6]), rel=1e-3)
    still = mean_errors([0.0, 0.1], [90, 90], [0, 9], [0.2, 0.9], [10, 10], [1, 1])
    assert np.isfinite(still).all()
    assert np.isnan(mean_errors([0.0], [90], [0], [0.0], [10], [0])).all()


def test_few_cases_in_one_arm_do_not_make_equal_effects_differ():
    """Cochran's Q at 90/10 and two to five controls that convert in each of five groups."""
    rng = np.random.default_rng(4)
    share, n1, n2 = np.array([0.06, 0.1, 0.15, 0.2, 0.3]), np.full(5, 300), np.full(5, 25)
    own, equal = 0, 0
    for _ in range(1500):
        x1, x2 = rng.binomial(n1, share), rng.binomial(n2, share)
        p1, p2 = x1 / n1, x2 / n2
        s = np.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)
        null = share_errors(x1, n1, x2, n2)
        own += heterogeneity(p1 - p2, s).p_value < 0.05
        equal += heterogeneity(p1 - p2, s, equal_errors=null).p_value < 0.05
    reach = 3 * np.sqrt(0.05 * 0.95 / 1500)
    assert equal / 1500 < 0.05 + reach
    assert own / 1500 > 0.10


def test_shrinkage_goes_to_the_mean_where_effects_agree_and_stays_where_they_do_not():
    near = shrink([0.9, 1.1, 1.0, 1.05, 0.95], np.full(5, 1.0))
    assert np.ptp(near.value) < 0.12
    assert ((near.high - near.low) < 2 * 1.96 * 1.0).all()
    far = shrink([0.0, 50.0, 100.0], np.full(3, 1.0))
    assert far.value == pytest.approx([0, 50, 100], abs=0.3)
    alone = shrink([2.0, np.nan], [1.0, 1.0])
    assert alone.value[0] == 2.0
    assert np.isnan(alone.value[1])
    assert alone.low[0] == pytest.approx(2 - 1.96, abs=1e-3)


def test_always_valid_is_wider_and_narrowest_where_planned():
    shares = np.array([0.01, 0.1, 0.5, 1.0, 2.0, 10.0])
    multiples = mixture_multiple(shares)
    assert (multiples > 1.96).all()
    assert multiples.argmin() == 3
    assert np.isnan(mixture_multiple(0.0))
    found = always_valid(0.0, 1.0, information=1.0, level=0.9)
    assert found.high < always_valid(0.0, 1.0, information=1.0).high
    with pytest.raises(ParameterError, match="negative"):
        mixture_multiple(-1.0)


def test_always_valid_holds_over_a_brownian_path():
    rng = np.random.default_rng(3)
    steps = rng.normal(size=(2000, 300))
    paths, time = steps.cumsum(axis=1), np.arange(1, 301)
    out = np.abs(paths) / np.sqrt(time) > mixture_multiple(time / 300)
    assert out.any(axis=1).mean() < 0.05
    assert (np.abs(paths) / np.sqrt(time) > 1.96).any(axis=1).mean() > 0.3  # peeking without it


@pytest.mark.parametrize("n", [0.0, 1.0])
def test_cuped_without_two_members_gives_plain_means_and_no_interval(n):
    known = np.array([[4.0, 1.0], [1.0, 4.0]])
    one = Moments(n, np.array([2.0, 1.0]), np.full((2, 2), np.nan))
    two = Moments(50.0, np.array([1.0, 1.0]), known)
    found = cuped(one, two)
    assert found.difference == 1.0
