"""The bootstrap: same seed same interval, any row order, coverage over many seeds."""

import numpy as np
import pytest
from scipy import stats

from segkit.errors import DataError, ParameterError
from segkit.stats.bootstrap import bootstrap_sums


def ratio(sums):
    return sums[..., 0, 0] / sums[..., 0, 1]


def per_customer(sums):
    """Difference of two strata's means, from a value column and a column of ones."""
    return sums[..., 1, 0] / sums[..., 1, 1] - sums[..., 0, 0] / sums[..., 0, 1]


def test_same_seed_and_any_row_order():
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.lognormal(size=200), np.ones(200)])
    strata = rng.integers(0, 2, 200)
    shuffled = rng.permutation(200)
    one = bootstrap_sums(table, per_customer, strata=strata, seed=4)
    two = bootstrap_sums(table[shuffled], per_customer, strata=strata[shuffled], seed=4)
    assert (one.low, one.high) == (two.low, two.high)
    assert one.low != bootstrap_sums(table, per_customer, strata=strata, seed=5).low


def test_near_the_normal_interval_where_that_holds():
    rng = np.random.default_rng(1)
    table = np.column_stack([rng.normal(10, 2, 5000), np.ones(5000)])
    for method in ("percentile", "bca"):
        found = bootstrap_sums(table, ratio, repeats=4000, method=method, seed=2)
        error = 1.96 * 2 / np.sqrt(5000)
        assert found.value == pytest.approx(table[:, 0].mean())
        assert (found.high - found.low) / 2 == pytest.approx(error, rel=0.06)


def test_bca_equals_scipys():
    rng = np.random.default_rng(3)
    x = rng.gamma(1.0, 1.0, 60)
    table = np.column_stack([x, np.ones(60)])
    ours = bootstrap_sums(table, ratio, repeats=20_000, method="bca", seed=1)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.02 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_stratified_difference_covers():
    """300 samples of two arms of mostly zero spend (Monte Carlo error 1.3%)."""
    inside = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        arm = np.repeat([0, 1], 400)
        spend = np.where(rng.random(800) < 0.2 + 0.1 * arm, rng.gamma(4.0, 10.0, 800), 0.0)
        table = np.column_stack([spend, np.ones(800)])
        found = bootstrap_sums(table, per_customer, strata=arm, repeats=400, seed=seed)
        inside += found.low <= 4.0 <= found.high
    assert 0.90 < inside / 300 <= 0.985


def test_edges():
    with pytest.raises(DataError, match="got 0 rows"):
        bootstrap_sums(np.empty((0, 2)), ratio)
    with pytest.raises(DataError, match="3 rows but 2 strata"):
        bootstrap_sums([1.0, 2.0, 3.0], ratio, strata=[0, 1])
    with pytest.raises(ParameterError, match="did you mean 'bca'"):
        bootstrap_sums([1.0], ratio, method="bcaa")
    with pytest.raises(ParameterError, match="at least 100"):
        bootstrap_sums([1.0], ratio, repeats=10)
    constant = bootstrap_sums(np.ones((5, 2)), ratio, method="bca")
    assert (constant.value, constant.low, constant.high) == (1.0, 1.0, 1.0)
    undefined = bootstrap_sums([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]], ratio)
    assert np.isnan(undefined.low)  # the denominator is often zero
