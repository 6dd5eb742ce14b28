"""The test of two shares: its size by enumeration, its p-values against brute force and SciPy."""

import numpy as np
import pytest
from scipy import stats

from segkit.errors import DataError
from segkit.stats import hypotheses
from segkit.stats.hypotheses import share_test, share_z


def brute_force(x1, n1, x2, n2, share):
    """Return the chance of a pooled |z| as large as the one seen, over all tables."""
    every_1, every_2 = np.arange(n1 + 1)[:, None], np.arange(n2 + 1)[None, :]
    pooled = (every_1 + every_2) / (n1 + n2)
    variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2)
    gap = every_1 / n1 - every_2 / n2
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(variance > 0, np.abs(gap) / np.sqrt(variance), 0.0)
    weights = stats.binom.pmf(every_1, n1, share) * stats.binom.pmf(every_2, n2, share)
    return weights[z >= z[x1, x2] * (1 - 1e-9)].sum()


@pytest.mark.parametrize(
    "table", [(1, 1, 71, 600), (3, 40, 0, 200), (12, 25, 5, 25), (2, 300, 2, 40), (59, 60, 5, 6)]
)
def test_the_chance_of_a_table_is_that_of_brute_force(table):
    for share in (0.003, 0.05, 0.2, 0.5, 0.93):
        steps = np.full((1, hypotheses._STEPS), share)
        x1, n1, x2, n2 = table if table[1] >= table[3] else (*table[2:], *table[:2])
        ours = hypotheses._largest(
            np.array([[x1, n1, x2, n2]], float), steps, np.zeros(1), np.array([float(n2)])
        )
        assert ours[0] == pytest.approx(brute_force(*table, share), rel=1e-9)


@pytest.mark.parametrize("table", [(1, 1, 71, 600), (3, 40, 0, 200), (12, 25, 5, 25)])
def test_the_p_value_is_the_largest_chance_near_the_pooled_share(table):
    x1, n1, x2, n2 = table
    cases, both = x1 + x2, n1 + n2
    low = stats.beta.ppf(5e-7, cases, both - cases + 1)
    high = stats.beta.ppf(1 - 5e-7, cases + 1, both - cases)
    largest = max(brute_force(*table, share) for share in np.linspace(low, high, 400))
    assert share_test(*table).p_value == pytest.approx(largest, rel=0.005)


@pytest.mark.parametrize("table", [(7, 15, 12, 15), (10, 40, 21, 40), (8, 20, 14, 18)])
def test_p_values_are_those_of_scipy_where_the_maximum_lies_near_the_pooled_share(table):
    x1, n1, x2, n2 = table
    known = stats.barnard_exact([[x1, x2], [n1 - x1, n2 - x2]], pooled=True).pvalue
    assert share_test(*table).p_value == pytest.approx(known, rel=0.005)


def largest_size(n1, n2, shares, level):
    """Return the largest chance of rejection over shares, by enumerating tables that matter."""
    worst = 0.0
    for share in shares:
        parts = []
        for n in (n1, n2):
            low, high = stats.binom.ppf([1e-7, 1 - 1e-7], n, share)
            values = np.arange(low, high + 1)
            parts.append((values, stats.binom.pmf(values, n, share)))
        (a, weight_1), (b, weight_2) = parts
        p_values = np.asarray(share_test(a[:, None], n1, b[None, :], n2).p_value)
        worst = max(worst, float(weight_1 @ (p_values <= level) @ weight_2))
    return worst


CELLS = [
    (50, 5, (0.001, 0.01, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)),
    (600, 1, (0.001, 0.01, 0.03, 0.05, 0.1, 0.12, 0.3, 0.5)),
    (50, 20, (0.005, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)),
    (50, 50, (0.01, 0.05, 0.1, 0.3)),
    (300, 5, (0.001, 0.005, 0.01, 0.02, 0.05, 0.08, 0.1, 0.2, 0.3)),
    (2000, 20, (0.001, 0.003, 0.01, 0.02)),
    (20000, 5, (0.001, 0.005, 0.011)),
    (20000, 200, (0.001, 0.002)),
]


@pytest.mark.parametrize(("n1", "n2", "shares"), CELLS)
def test_the_level_is_kept_by_enumeration(n1, n2, shares):
    assert largest_size(n1, n2, shares, 0.05) <= 0.0501
    assert largest_size(n1, n2, shares, 0.01) <= 0.01005


def test_the_pooled_z_test_would_not_keep_it_and_fisher_would_waste_it():
    a, b = np.arange(51)[:, None], np.arange(6)[None, :]
    weights = stats.binom.pmf(a, 50, 0.03) * stats.binom.pmf(b, 5, 0.03)
    assert weights[np.nan_to_num(share_z(a, 50, b, 5).p_value, nan=1.0) <= 0.05].sum() > 0.08
    a, b = np.arange(51), np.arange(51)
    weights = np.outer(stats.binom.pmf(a, 50, 0.1), stats.binom.pmf(b, 50, 0.1))
    ours = np.asarray(share_test(a[:, None], 50, b[None, :], 50).p_value)
    fisher = np.array(
        [[stats.fisher_exact([[i, 50 - i], [j, 50 - j]]).pvalue if i + j < 26 else 0.0
          for j in b] for i in a]
    )  # fmt: skip
    near = np.add.outer(a, b) < 26  # all but 1e-5 of the weight
    assert weights[~near].sum() < 1e-4
    assert weights[near & (ours <= 0.05)].sum() > 1.5 * weights[near & (fisher <= 0.05)].sum()


def test_many_customers_get_the_pooled_z_test():
    ours, plain = share_test(500, 10_000, 600, 10_000), share_z(500, 10_000, 600, 10_000)
    assert ours.p_value == plain.p_value
    assert ours.method == "pooled z"


def test_edges_have_a_true_p_value():
    nobody = share_test([0, 400, 1, 0], [400, 400, 1, 0], [0, 300, 1, 3], [400, 300, 1, 10])
    assert nobody.p_value[:3].tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(nobody.p_value[3])
    assert 0 < share_test(0, 10**5, 12, 200).p_value < 1e-6


def test_the_order_of_the_arms_and_of_outcomes_does_not_matter():
    table = share_test(3, 40, 0, 200).p_value
    assert share_test(0, 200, 3, 40).p_value == table
    assert share_test(37, 40, 200, 200).p_value == pytest.approx(table, rel=1e-3)


@pytest.mark.parametrize("table", [(0.5, 10, 1, 10), (-1, 10, 1, 10), (11, 10, 1, 10)])
def test_counts_that_are_none_are_refused(table):
    with pytest.raises(DataError, match="whole numbers of cases"):
        share_test(*table)
