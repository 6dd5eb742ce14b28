"""Effect sizes and adjusted p-values against scipy, statsmodels and hand-made figures."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from segkit.errors import DataError, ParameterError
from segkit.stats import effects
from segkit.stats.hypotheses import adjust
from tests.reference.effects import cliffs_delta


@mock.patch("gc.collect", int)  # statsmodels calls it each time, which is nearly all of the time
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_equal_statsmodels(p):
    for ours, theirs in (("holm", "holm"), ("benjamini-hochberg", "fdr_bh")):
        assert adjust(p, method=ours) == pytest.approx(multipletests(p, method=theirs)[1])


def test_tests_not_made_are_not_counted():
    found = adjust([0.01, np.nan, 0.04])
    assert np.isnan(found[1])
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert adjust([]).size == 0
    with pytest.raises(ParameterError, match="did you mean 'holm'"):
        adjust([0.1], method="hom")
    with pytest.raises(ParameterError, match="in \\[0, 1\\]"):
        adjust([1.1])


def test_holm_keeps_the_familywise_error_over_many_seeds():
    """4,000 families of 10 true nulls: any finding in about 5% (Monte Carlo error .35%)."""
    p = np.random.default_rng(1).random((4000, 10))
    wrong = np.mean([(adjust(row) <= 0.05).any() for row in p])
    assert 0.036 < wrong < 0.062


def test_cramers_v_equals_scipy_and_is_corrected():
    table = np.array([[20, 15, 5], [10, 25, 30]])
    assert effects.cramers_v(table, corrected=False) == pytest.approx(
        stats.contingency.association(table, method="cramer")
    )
    rng = np.random.default_rng(2)
    plain, corrected = [], []
    for _ in range(400):  # independence: the truth is 0
        null = rng.multinomial(80, np.full(20, 1 / 20)).reshape(4, 5)
        plain.append(effects.cramers_v(null, corrected=False))
        corrected.append(effects.cramers_v(null))
    assert np.mean(plain) > 0.2
    assert np.mean(corrected) < 0.07
    assert np.isnan(effects.cramers_v([[3, 4]]))
    assert np.isnan(effects.cramers_v([[3, 0], [4, 0]]))


def test_standardised_difference_of_shares():
    p1, p2 = 0.6, 0.5
    found = effects.standardised_difference(p1, np.sqrt(p1 * (1 - p1)), p2, np.sqrt(p2 * (1 - p2)))
    assert found == pytest.approx(0.1 / np.sqrt((0.24 + 0.25) / 2))
    assert np.isnan(effects.standardised_difference(1.0, 0.0, 2.0, 0.0))


@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=25),
    st.lists(st.integers(0, 8), min_size=1, max_size=25),
)
def test_cliffs_delta_counts_pairs(x, y):
    pairs = np.sign(np.subtract.outer(x, y))
    found = cliffs_delta(x, y)
    assert found.value == pytest.approx(pairs.mean())
    u = stats.mannwhitneyu(x, y, method="asymptotic").statistic if len(set(x + y)) > 1 else None
    if u is not None:
        assert found.value == pytest.approx(2 * u / (len(x) * len(y)) - 1)


def test_cliffs_delta_interval_covers():
    """1,000 samples of shifted exponentials, truth by formula (Monte Carlo error .7%)."""
    rng = np.random.default_rng(5)
    truth = 2 * (2 / 3) - 1  # P(2 E1 > E2) = 2/3
    inside = 0
    for _ in range(1000):
        found = cliffs_delta(2 * rng.exponential(size=40), rng.exponential(size=80))
        inside += found.low <= truth <= found.high
    assert 0.93 < inside / 1000 < 0.97


def test_cliffs_delta_at_the_edges():
    apart = cliffs_delta([5, 6, 7], [1, 2])
    assert (apart.value, apart.low, apart.high) == (1.0, 1.0, 1.0)
    assert np.isnan(cliffs_delta([5], [1, 2]).low)
    with pytest.raises(DataError, match="got 0 and 2"):
        cliffs_delta([np.nan], [1, 2])
