"""How good is a partition? Indices against scikit-learn, brute force and published figures."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_blobs

from segkit.cluster.matrix import as_codes, as_matrix, as_segmentation, fair_order
from segkit.cluster.validity import (
    Validity,
    cluster_sums,
    measure_validity,
    mixture_bic,
    silhouette,
    silhouettes_of,
    squared_silhouettes,
)
from segkit.cluster.ward import cut_tree, ward_linkage
from segkit.errors import DataError, ParameterError
from tests.reference.clusters import IRIS_BIC, IRIS_KMEANS, IRIS_KMEANS_3, IRIS_WARD_3

IRIS = load_iris().data


@pytest.fixture(scope="module")
def overlapping():
    rng = np.random.default_rng(1)
    X = np.exp(rng.normal(size=(900, 5))) @ rng.normal(size=(5, 5)) + 1e3
    return X, KMeans(6, n_init=1, random_state=0).fit_predict(X)


def silhouette_samples(X, labels):
    X, codes, _ = as_segmentation(X, labels)
    return silhouettes_of(X, codes[:, None], np.arange(len(X)))[:, 0]


def squared_silhouette_samples(X, labels):
    X, codes, k = as_segmentation(X, labels)
    return squared_silhouettes(X, codes, cluster_sums(X, codes, k))


def kmeans(k):
    return KMeans(k, n_init=25, random_state=0).fit_predict(IRIS)


@pytest.mark.parametrize("k", IRIS_KMEANS)
def test_iris_kmeans_figures(k):
    found = measure_validity(IRIS, kmeans(k))
    within, width = IRIS_KMEANS[k]
    assert found.within_ss == pytest.approx(within, abs=6e-4)
    assert found.silhouette == pytest.approx(width, abs=6e-5)


def test_iris_kmeans_three_indices():
    found = measure_validity(IRIS, kmeans(3))
    assert found.calinski_harabasz == pytest.approx(IRIS_KMEANS_3["calinski_harabasz"], abs=6e-4)
    assert found.davies_bouldin == pytest.approx(IRIS_KMEANS_3["davies_bouldin"], abs=6e-4)


def test_iris_ward_figures():
    found = measure_validity(IRIS, cut_tree(ward_linkage(IRIS), 3))
    assert tuple(sorted(found.sizes)) == IRIS_WARD_3["sizes"]
    assert found.silhouette == pytest.approx(IRIS_WARD_3["silhouette"], abs=6e-5)
    assert found.calinski_harabasz == pytest.approx(IRIS_WARD_3["calinski_harabasz"], abs=6e-3)


def test_iris_mixture_bic_is_that_of_mclust():
    tree = ward_linkage(IRIS)
    for k, bic in IRIS_BIC.items():
        assert mixture_bic(IRIS, cut_tree(tree, k)) == pytest.approx(bic, abs=0.1)


def test_indices_equal_scikit_learns(overlapping):
    X, labels = overlapping
    assert silhouette_samples(X, labels) == pytest.approx(
        metrics.silhouette_samples(X - X.mean(axis=0), labels), abs=1e-12
    )
    assert silhouette(X, labels).mean == pytest.approx(
        metrics.silhouette_score(X - X.mean(axis=0), labels), abs=1e-12
    )
    assert measure_validity(X, labels).calinski_harabasz == pytest.approx(
        metrics.calinski_harabasz_score(X, labels), rel=1e-12
    )
    assert measure_validity(X, labels).davies_bouldin == pytest.approx(
        metrics.davies_bouldin_score(X, labels), rel=1e-12
    )


def test_closed_form_is_the_squared_euclidean_silhouette(overlapping):
    X, labels = overlapping
    exact = metrics.silhouette_samples(X - X.mean(axis=0), labels, metric="sqeuclidean")
    closed = squared_silhouette_samples(X, labels)
    assert closed == pytest.approx(exact, abs=1e-9)
    assert abs(closed.mean() - silhouette(X, labels).mean) > 0.05, "it is not the Euclidean one"


def test_several_partitions_at_once_equal_one_at_a_time(overlapping):
    X, labels = overlapping
    other = labels % 3
    both = silhouettes_of(X, np.stack([labels, other], axis=1), np.arange(len(X)))
    assert both[:, 0] == pytest.approx(silhouette_samples(X, labels), abs=1e-13)
    assert both[:, 1] == pytest.approx(silhouette_samples(X, other), abs=1e-13)


def test_sampled_silhouette_covers_the_exact_one(overlapping):
    X, labels = overlapping
    exact = silhouette(X, labels).mean
    inside = 0
    for seed in range(200):
        found = silhouette(X, labels, rows=150, seed=seed)
        assert found.rows == 150
        inside += abs(found.mean - exact) < 1.96 * found.se
    assert 0.90 <= inside / 200 <= 0.985


def test_sample_does_not_depend_on_the_order_of_rows(overlapping):
    X, labels = overlapping
    order = np.random.default_rng(0).permutation(len(X))
    one, other = silhouette(X, labels, rows=100), silhouette(X[order], labels[order], rows=100)
    assert one.mean == pytest.approx(other.mean, abs=1e-14)


def test_fair_order_is_uniform_and_treats_copies_one_by_one():
    X = np.repeat(np.arange(50.0), 20)[:, None]
    taken = np.array([np.bincount(fair_order(X, s)[:200] // 20, minlength=50) for s in range(300)])
    # Under simple random sampling each value is drawn hypergeometrically: mean 4, variance 3.14.
    assert taken.mean(axis=0) == pytest.approx(np.full(50, 4.0), abs=0.5)
    assert taken.var() == pytest.approx(20 * 0.2 * 0.8 * (1000 - 20) / 999, rel=0.05)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_indices_ignore_row_order_and_label_names(seed, k):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 3)).round(1)
    labels = np.r_[np.arange(k), rng.integers(0, k, 40 - k)]
    order = rng.permutation(40)
    names = np.array([f"segment {9 - v}" for v in labels])
    one, other = measure_validity(X, labels), measure_validity(X[order], names[order])
    assert one.to_frame()["value"].to_list() == pytest.approx(
        other.to_frame()["value"].to_list(), rel=1e-9, abs=1e-12
    )
    assert sum(one.sizes) == 40


def test_one_segment_has_no_index_of_separation():
    found = measure_validity([[0.0], [1.0], [2.0]], [0, 0, 0])
    assert np.isnan([found.silhouette, found.davies_bouldin, found.calinski_harabasz]).all()
    assert found.within_ss == 2.0
    assert found.explained_share == 0.0
    assert "one segment" in found.text


def test_every_row_its_own_segment():
    found = measure_validity([[0.0], [1.0], [5.0]], [0, 1, 2])
    assert found.silhouette == 0.0
    assert found.within_ss == 0.0
    assert found.davies_bouldin == 0.0
    assert np.isnan(found.calinski_harabasz)


def test_the_only_row_of_a_segment_has_silhouette_zero():
    values = silhouette_samples([[0.0], [1.0], [9.0]], [0, 0, 1])
    assert values[2] == 0.0
    assert squared_silhouette_samples([[0.0], [1.0], [9.0]], [0, 0, 1])[2] == 0.0


def test_copies_are_at_distance_zero():
    X = np.repeat([[0.1, 0.7], [3.3, 1.9]], 5, axis=0) + 1e6
    assert silhouette_samples(X, np.repeat([0, 1], 5)).tolist() == [1.0] * 10
    assert measure_validity(X, np.repeat([0, 1], 5)).calinski_harabasz == float("inf")
    assert silhouette_samples(np.ones((4, 2)), [0, 0, 1, 1]).tolist() == [0.0] * 4
    same_centres = measure_validity([[-1.0], [1.0], [-2.0], [2.0]], [0, 0, 1, 1])
    assert same_centres.davies_bouldin == float("inf")


def test_a_constant_column_changes_nothing(overlapping):
    X, labels = overlapping
    wider = np.c_[X, np.full(len(X), 7.0)]
    before, after = measure_validity(X, labels), measure_validity(wider, labels)
    assert after.calinski_harabasz == pytest.approx(before.calinski_harabasz)
    assert mixture_bic(wider, labels) == pytest.approx(mixture_bic(X, labels))
    assert np.isnan(mixture_bic(np.ones((5, 2)), [0] * 5))


def test_numbers_that_nobody_bears_are_dropped():
    X = [[0.0], [1.0], [10.0], [11.0]]
    assert measure_validity(X, [0, 0, 7, 7]).k == 2
    assert measure_validity(X, [-1, -1, 7, 7]).k == 2
    assert measure_validity(X, pl.Series(["b", "b", "a", "a"])).calinski_harabasz == 200.0
    assert as_codes(np.array([3, 1, 3]), 3)[1] == [1, 3]


def test_large_blocks_of_memory_are_not_needed():
    X, labels = make_blobs(12_000, 2, centers=3, random_state=0)
    found = silhouette(X, labels)
    assert (found.rows, found.n) == (2_000, 12_000)
    assert "sample of 2,000 of 12,000" in found.text
    assert found.mean == pytest.approx(silhouette(X, labels, rows=12_000).mean, abs=4 * found.se)


@pytest.mark.parametrize(
    ("X", "labels", "words"),
    [
        ([[0.0], [np.nan]], [0, 1], "1 missing or infinite values in columns 0"),
        ([[0.0, np.inf], [1.0, 2.0]], [0, 1], "columns 1"),
        ([["a"], ["b"]], [0, 1], "needs numbers"),
        ([1.0, 2.0], [0, 1], r"shape \(2,\)"),
        ([[0.0], [1.0]], [0], "one label for each of 2 rows"),
        ([[0.0], [1.0]], ["a", None], "1 of 2 labels are missing"),
        (np.empty((0, 2)), [], "at least 1"),
    ],
)
def test_bad_input_is_named(X, labels, words):
    with pytest.raises(DataError, match=words):
        measure_validity(X, labels)


def test_a_frame_serves_as_data():
    frame = pl.DataFrame({"a": [0.0, 1.0, 10.0], "b": [1, 2, 3]})
    assert as_matrix(frame).tolist() == [[0.0, 1.0], [1.0, 2.0], [10.0, 3.0]]
    with pytest.raises(DataError, match="missing"):
        as_matrix(frame.with_columns(b=pl.lit(None, dtype=pl.Float64)))


def test_too_small_a_sample_is_refused():
    with pytest.raises(ParameterError, match="rows >= 2"):
        silhouette(IRIS, kmeans(2), rows=1)


def test_result_reads_and_returns_from_json():
    found = measure_validity(IRIS, kmeans(3))
    again = Validity.from_dict(found.to_dict())
    assert again.to_frame().equals(found.to_frame())
    assert "reasonable structure" in found.text
    assert "3 segments of 38 to 62 of 150 customers" in found.text
