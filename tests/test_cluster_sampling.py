import numpy as np
import pytest

from segkit.cluster.matrix import fair_sample


def test_the_sample_is_the_same_for_shuffled_rows():
    rng = np.random.default_rng(0)
    for X in (rng.normal(size=(5000, 3)), rng.integers(0, 3, (5000, 2)) * 1.0):
        p = rng.permutation(5000)
        rows = fair_sample(X, 400, 1)
        assert len(set(rows.tolist())) == 400
        assert np.array_equal(X[rows], X[p][fair_sample(X[p], 400, 1)])


def test_every_row_has_the_same_chance():
    X = np.arange(300.0)[:, None]
    hits = np.zeros(300)
    for seed in range(2000):
        hits[fair_sample(X, 30, seed)] += 1
    # Binomial(2000, .1): mean 200, sd 13.4; chi-square over 300 rows has mean 299, sd 24.5.
    assert hits.sum() == 60_000
    assert abs(((hits - 200) ** 2 / 180).sum() - 300) < 5 * 24.5


def test_a_row_that_many_share_is_sampled_in_proportion():
    X = np.concatenate([np.zeros(6000), np.arange(1.0, 4001.0)])[:, None]
    shares = [float((X[fair_sample(X, 500, seed)] == 0).mean()) for seed in range(100)]
    # Hypergeometric: mean .6, sd .0213 a sample, .0021 for the mean of 100.
    assert np.mean(shares) == pytest.approx(0.6, abs=4 * 0.00213)
    assert 0.012 < np.std(shares) < 0.032


def test_seeds_differ_and_small_tables_are_taken_whole():
    X = np.random.default_rng(0).normal(size=(100, 2))
    assert set(fair_sample(X, 30, 0).tolist()) != set(fair_sample(X, 30, 1).tolist())
    assert sorted(fair_sample(X, 100, 0).tolist()) == list(range(100))
    assert np.array_equal(fair_sample(-0.0 * X, 5, 0), fair_sample(0.0 * X, 5, 0))
