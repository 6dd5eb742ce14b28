import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, is_valid_linkage, leaves_list, linkage
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from segkit.cluster.estimators import Ward
from segkit.cluster.ward import cut_tree, order_leaves, ward_linkage
from segkit.errors import DataError, ParameterError


@parametrize_with_checks([Ward()])
def test_ward_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


def same_partition(one, other):
    return adjusted_rand_score(one, other) == 1.0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 2), (40, 1), (257, 3), (1200, 8), (600, 40)])
def test_the_tree_is_scipys_on_data_without_ties(n, d, seed):
    X = np.random.default_rng(seed).normal(size=(n, d)) ** 3
    ours, scipys = ward_linkage(X), linkage(X, "ward")
    assert np.allclose(ours, scipys, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
def test_an_offset_or_a_far_outlier_does_not_blur_the_neighbours(shift):
    X = np.random.default_rng(1).normal(size=(500, 3)) + shift
    X[7] += 1e5
    ours, scipys = ward_linkage(X), linkage(X, "ward")
    assert np.array_equal(ours[:, [0, 1, 3]], scipys[:, [0, 1, 3]])
    # An offset of 1e6 leaves the coordinates themselves only about ten digits.
    assert np.allclose(ours[:, 2], scipys[:, 2], rtol=1e-9, atol=1e-9 * max(shift, 1.0))


def greedy_gap(X, tree, weights=None):
    """Replay the merges one by one: how far is each from the nearest pair left at that time?"""
    n = X.shape[0]
    w = {i: 1.0 if weights is None else weights[i] for i in range(n)}
    c = {i: X[i] for i in range(n)}
    gaps = []
    for step, (a, b, height, _) in enumerate(tree):
        keys = list(c)
        C, W = np.array([c[i] for i in keys]), np.array([w[i] for i in keys])
        D = ((C[:, None] - C[None]) ** 2).sum(-1) * 2 * W[:, None] * W / (W[:, None] + W)
        np.fill_diagonal(D, np.inf)
        a, b = int(a), int(b)
        own = D[keys.index(a), keys.index(b)]
        gaps.append(max(abs(np.sqrt(own) - height), height - np.sqrt(D.min())))
        c[n + step] = (w[a] * c[a] + w[b] * c[b]) / (w[a] + w[b])
        w[n + step] = w[a] + w[b]
        del c[a], c[b], w[a], w[b]
    return max(gaps)


@pytest.mark.parametrize("seed", range(5))
def test_tied_data_give_a_valid_tree_every_merge_of_which_is_a_nearest_pair(seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 3, size=(90, 3)).astype(float)  # 27 places for 90 rows: ties everywhere
    tree = ward_linkage(X)
    assert is_valid_linkage(tree)
    assert greedy_gap(X, tree) < 1e-9
    total = ((X - X.mean(0)) ** 2).sum()
    assert (tree[:, 2] ** 2).sum() / 2 == pytest.approx(total, rel=1e-12)
    assert (linkage(X, "ward")[:, 2] ** 2).sum() / 2 == pytest.approx(total, rel=1e-9)


def test_a_grid_where_every_neighbour_ties():
    X = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2)
    assert greedy_gap(X, ward_linkage(X)) < 1e-9


@pytest.mark.parametrize("kind", ["normal", "tied"])
def test_the_order_of_the_rows_changes_nothing(kind):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(300, 4)) if kind == "normal" else rng.integers(0, 3, (300, 4)) * 1.0
    base = ward_linkage(X)
    for _ in range(5):
        p = rng.permutation(300)
        shuffled = ward_linkage(X[p])
        assert np.array_equal(shuffled[:, 2], base[:, 2])
        for k in (2, 5, 9):
            assert same_partition(cut_tree(base, k)[p], cut_tree(shuffled, k))
    labels = Ward(5).fit(X).labels_
    assert np.array_equal(Ward(5).fit(X[p]).labels_, labels[p])


def test_a_weight_stands_for_equal_rows():
    rng = np.random.default_rng(5)
    X, w = rng.normal(size=(60, 3)), rng.integers(1, 9, 60)
    heavy, spelt_out = ward_linkage(X, w), ward_linkage(np.repeat(X, w, axis=0))
    assert np.allclose(heavy[:, 2], spelt_out[-59:, 2], rtol=1e-9)
    assert greedy_gap(X, heavy, w.astype(float)) < 1e-9
    parts = Ward(4).fit(X, sample_weight=w).labels_
    assert np.array_equal(np.repeat(parts, w), Ward(4).fit(np.repeat(X, w, axis=0)).labels_)


def test_widely_unequal_weights():
    rng = np.random.default_rng(6)
    X, w = rng.normal(size=(80, 2)), 10.0 ** rng.uniform(-4, 4, 80)
    assert greedy_gap(X, ward_linkage(X, w), w) < 1e-7


@pytest.mark.parametrize("k", [1, 2, 3, 7, 200])
def test_the_cut_is_scipys_cut(k):
    tree = ward_linkage(np.random.default_rng(2).normal(size=(200, 3)))
    assert same_partition(cut_tree(tree, k), fcluster(tree, k, "maxclust"))


def test_the_leaves_stand_in_scipys_order():
    tree = ward_linkage(np.random.default_rng(2).normal(size=(200, 3)))
    assert np.array_equal(order_leaves(tree), leaves_list(tree))


def test_iris_has_the_published_sizes():
    model = Ward(3).fit(load_iris().data)
    assert np.bincount(model.labels_).tolist() == [64, 50, 36]


def test_all_rows_equal_merge_at_height_zero():
    tree = ward_linkage(np.ones((6, 2)))
    assert tree[:, 2].tolist() == [0.0] * 5
    assert is_valid_linkage(tree)
    assert np.bincount(cut_tree(tree, 2)).sum() == 6


@pytest.mark.parametrize(
    ("X", "weights", "message"),
    [
        (np.ones((1, 2)), None, "at least two rows"),
        (np.empty((0, 2)), None, "at least two rows"),
        (np.array([[1.0], [np.nan], [np.inf]]), None, "2 rows hold NaN or infinity"),
        (np.ones((3, 1)), [1.0, 0.0, 1.0], "positive finite"),
        (np.ones((3, 1)), [1.0, 1.0], "must be 3"),
    ],
)
def test_bad_input_is_named(X, weights, message):
    with pytest.raises(DataError, match=message):
        ward_linkage(X, weights)


@pytest.mark.parametrize("k", [0, 6])
def test_more_groups_than_rows_are_refused(k):
    with pytest.raises(ParameterError, match="between 1 and the 5 leaves"):
        cut_tree(ward_linkage(np.arange(5.0)[:, None]), k)
    with pytest.raises(ValueError, match="between 1 and the 5"):
        Ward(k).fit(np.arange(5.0)[:, None])
