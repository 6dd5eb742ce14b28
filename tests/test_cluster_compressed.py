"""Compressed statistics: the same however rows are divided, and Ward's segments from them."""

import numpy as np
import polars as pl
import pytest

from segkit.cluster import cluster_customers, fit_kmeans, fit_two_step
from segkit.cluster.compressed import Compressed, move_centres
from segkit.cluster.kmeans import nearest_centre, within_ss
from segkit.cluster.matrix import feature_rows
from segkit.errors import DataError


@pytest.fixture(scope="module")
def groups():
    draw = np.random.default_rng(3)
    middles = np.array([[0.0, 0, 0], [4, 0, 1], [0, 5, -2]])
    rows = [draw.normal(m, 1.0, (n, 3)) for m, n in zip(middles, (900, 500, 300), strict=True)]
    return np.concatenate(rows)


def parts(X, seeds, order):
    divided = np.array_split(X[order], [7, 400, 401])
    total = Compressed.of(X[:0], seeds)
    for part in divided:
        total += Compressed.of(part, seeds)
    return total


def test_statistics_do_not_depend_on_order_or_partitions(groups):
    seeds = fit_two_step(groups, micro=40).centres
    whole = Compressed.of(groups, seeds)
    order = np.random.default_rng(1).permutation(len(groups))
    again = parts(groups, seeds, order)
    assert whole.counts.sum() == len(groups)
    for name in ("counts", "sums", "squares"):
        assert np.array_equal(getattr(whole, name), getattr(again, name)), name
    assert np.array_equal(whole.find_centres(3), again.find_centres(3))


def test_means_and_sums_of_squares_are_those_of_the_rows(groups):
    seeds = fit_two_step(groups, micro=40).centres
    whole = Compressed.of(groups, seeds)
    near = nearest_centre(groups, seeds)
    means = np.array([groups[near == place].mean(axis=0) for place in range(len(seeds))])
    assert whole.means == pytest.approx(means, abs=1e-6)
    middle = groups.mean(axis=0)[None, :]
    total = np.square(groups - middle).sum()
    assert whole.within_ss(middle) == pytest.approx(total, rel=1e-6)


def test_segments_come_near_those_of_kmeans_on_every_row(groups):
    seeds = fit_two_step(groups[::4], micro=100).centres
    whole = Compressed.of(groups, seeds)
    centres = whole.find_centres(3)
    own = within_ss(groups, nearest_centre(groups, centres))
    assert own <= 1.01 * fit_kmeans(groups, 3).within_ss
    assert whole.within_ss(centres) == pytest.approx(own, rel=0.01)


def test_a_model_of_a_sample_takes_the_centres_of_all(groups):
    table = pl.DataFrame(groups, schema=["a", "b", "c"]).with_row_index("customer_id")
    sample = table.gather_every(5)
    model = cluster_customers(sample, features=["a", "b", "c"], k=3).model
    X = model.transform.apply(feature_rows(table, ["a", "b", "c"]))
    centres = Compressed.of(X, X[::10]).find_centres(3)
    moved = move_centres(model, sample, centres)
    assert sorted(one.point for one in moved.segments) == sorted(map(tuple, centres.tolist()))
    assert moved.route == "compressed"
    assert sum(one.size for one in moved.segments) == sample.height
    assert moved.score(table)["segment"].n_unique() == 3


def test_ward_weighs_each_seed_by_its_rows():
    X = np.repeat([[0.0], [1.0], [3.0]], [100, 100, 1], axis=0)
    centres = Compressed.of(X, X[[0, 100, 200]]).find_centres(2, steps=0)
    # By Ward's cost ab / (a + b) d^2: 0 and 1 cost 50, 1 and 3 only 4; one row each, .5 and 2.
    assert sorted(centres[:, 0]) == pytest.approx([0.0, 103 / 101])


def test_more_segments_than_distinct_rows_are_refused():
    X = np.repeat([[0.0], [1.0]], 5, axis=0)
    with pytest.raises(DataError, match="3 segments need as many different customers"):
        Compressed.of(X, X[[0, 5]]).find_centres(3)
