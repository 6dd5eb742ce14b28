import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from segkit.cluster import kmeans
from segkit.cluster.kmeans import fit_kmeans, nearest_centre, squared_distances, within_ss
from segkit.cluster.twostep import fit_two_step
from segkit.cluster.ward import cut_tree, ward_linkage
from segkit.errors import DataError, ParameterError


def blobs(n, k=5, d=4, gap=12.0, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    return rng.normal(size=(n, d)) + gap * rng.normal(size=(k, d))[truth], truth


@pytest.mark.parametrize(("k", "expected"), [(2, 152.348), (3, 78.851), (4, 57.228)])
def test_iris_reaches_the_published_sums_of_squares(k, expected):
    fit = fit_kmeans(load_iris().data, k, starts=30)
    assert fit.within_ss == pytest.approx(expected, abs=6e-4)
    if k == 3:
        assert adjusted_rand_score(load_iris().target, fit.labels) == pytest.approx(0.730, abs=5e-4)


@pytest.fixture(scope="module")
def fast_food(shared_data):
    survey = pl.read_csv(shared_data("mcdonalds.csv"))
    items = survey.select(pl.all().exclude("Like", "Age", "VisitFrequency", "Gender"))
    assert items.shape == (1453, 11)
    return (items == "Yes").cast(pl.Float64).to_numpy()


@pytest.mark.parametrize(
    ("k", "expected", "within"), [(2, 2145.5, 0.05), (3, 1818.71, 0.005), (5, 1434.61, 0.005)]
)
def test_fast_food_reaches_the_published_sums_of_squares(fast_food, k, expected, within):
    fit = fit_kmeans(fast_food, k, starts=60)
    parts = [fast_food[fit.labels == group] for group in range(k)]
    by_hand = sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts)
    assert fit.within_ss == pytest.approx(by_hand, rel=1e-12)
    # Which of the local optima the starts end in hangs on the processor's last bits: some end in
    # one that is better by a hundredth (1818.701 for three groups, 1434.603 for five).
    assert expected - 0.01 - within < fit.within_ss <= expected + within


def test_fast_food_in_four_groups(fast_food):
    # The published best, 1602.930, is a local optimum that about one start in 25 reaches; one in
    # 150 finds a slightly better one, 1602.899 with sizes 580, 318, 315, 240.
    fits = [fit_kmeans(fast_food, 4, starts=1, seed=seed) for seed in range(120)]
    published = [f for f in fits if abs(f.within_ss - 1602.930) < 5e-4]
    assert published
    assert all(np.bincount(f.labels).tolist() == [580, 324, 309, 240] for f in published)
    assert fit_kmeans(fast_food, 4, starts=60).within_ss <= 1602.9305


def test_the_sample_route_finds_the_same_groups_and_says_so():
    X, truth = blobs(6000)
    fit = fit_kmeans(X, 5, sample=500)
    assert adjusted_rand_score(truth, fit.labels) > 0.999
    assert fit.sample == 500
    assert "a sample of 500 rows, then one full run" in fit.text
    assert fit.within_ss == pytest.approx(fit_kmeans(X, 5).within_ss, rel=1e-6)
    assert within_ss(X, fit.labels) == pytest.approx(fit.within_ss, rel=1e-12)
    assert fit.to_frame()["rows"].sum() == 6000


@pytest.mark.parametrize("sample", [20_000, 300])
def test_the_order_of_the_rows_changes_nothing(sample):
    X = np.random.default_rng(4).normal(size=(2000, 3))
    base = fit_kmeans(X, 6, sample=sample)
    p = np.random.default_rng(5).permutation(2000)
    again = fit_kmeans(X[p], 6, sample=sample)
    assert np.array_equal(again.labels, base.labels[p])
    assert np.array_equal(again.centres, base.centres)


def test_bad_requests_are_named():
    with pytest.raises(DataError, match="3 groups need 3 distinct rows; there are 2"):
        fit_kmeans([[0.0], [1.0], [1.0]], 3)
    with pytest.raises(ParameterError, match="k >= 1"):
        fit_kmeans([[0.0], [1.0]], 0)
    with pytest.raises(DataError, match="missing or infinite"):
        fit_kmeans([[0.0], [np.nan]], 1)


def test_duplicates_that_fill_the_sample_do_not_break_it():
    X = np.concatenate([np.zeros((3000, 2)), np.eye(2) * 9])
    fit = fit_kmeans(X, 3, sample=10)
    assert sorted(np.bincount(fit.labels).tolist()) == [1, 1, 3000]


@pytest.mark.parametrize("shift", [0.0, 1e7])
def test_the_nearest_centre_by_products_is_the_nearest_by_differences(shift):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(7, 5)) + shift
    X = np.concatenate([rng.normal(size=(9000, 5)) + shift, (centres[:3] + centres[3:6]) / 2])
    assert np.array_equal(nearest_centre(X, centres), squared_distances(X, centres).argmin(axis=1))


def test_two_step_recovers_real_groups_as_exact_ward_does():
    X, truth = blobs(8000)
    tree = fit_two_step(X, micro=200, sample=2000)
    exact = cut_tree(ward_linkage(X), 5)
    assert adjusted_rand_score(tree.assign(X, 5), exact) > 0.98
    assert adjusted_rand_score(tree.assign(X, 5), truth) > 0.98


@pytest.mark.parametrize("seed", range(3))
def test_two_step_is_never_looser_than_exact_ward_on_a_skewed_continuum(seed):
    X = np.exp(np.random.default_rng(seed).normal(size=(5000, 6)) * 0.6)
    tree, exact = fit_two_step(X, seed=seed), ward_linkage(X)
    for k in range(3, 11):
        ward = within_ss(X, cut_tree(exact, k))
        assert within_ss(X, tree.assign(X, k)) <= ward
        # 1.03 is held at 20,000 rows (study_two_step); 5,000 so skewed leave 1.037 at the worst.
        micro = nearest_centre(X, tree.centres)
        assert within_ss(X, tree.groups(k)[micro]) <= 1.05 * ward


def test_two_step_does_not_hang_on_the_order_of_the_rows():
    X, _ = blobs(3000, gap=2.0)
    p = np.random.default_rng(1).permutation(3000)
    one, other = fit_two_step(X, micro=50, sample=800), fit_two_step(X[p], micro=50, sample=800)
    assert np.array_equal(one.linkage, other.linkage)
    assert np.array_equal(one.assign(X, 4)[p], other.assign(X[p], 4))


def test_micro_clusters_add_up():
    X, _ = blobs(3000)
    tree = fit_two_step(X, micro=60, sample=3000)
    assert tree.counts.sum() == 3000
    middle = (tree.counts[:, None] * tree.centres).sum(0) / 3000
    assert middle == pytest.approx(X.mean(0))
    between = (tree.counts[:, None] * (tree.centres - middle) ** 2).sum()
    assert tree.scatters.sum() + between == pytest.approx(((X - X.mean(0)) ** 2).sum())


def test_two_step_with_few_distinct_rows_keeps_each_whole():
    X = np.repeat(np.arange(5.0)[:, None], 100, axis=0)
    tree = fit_two_step(X, micro=50, sample=400)
    assert len(tree.counts) == 5
    assert tree.scatters.tolist() == [0.0] * 5
    with pytest.raises(DataError, match="all sampled rows are equal"):
        fit_two_step(np.ones((50, 2)), micro=5)
    with pytest.raises(ParameterError, match="between 2 and sample"):
        fit_two_step(X, micro=1)


def test_steps_that_look_at_borders_alone_end_where_no_row_would_change_its_group(monkeypatch):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 2)) + rng.integers(0, 3, size=(3000, 1))
    start = X[:5]
    centres, steps = kmeans.iterate_means(X, start, steps=500)
    assert 10 < steps < 500
    full = kmeans.nearest_centre(X, centres)
    monkeypatch.setattr(kmeans, "SETTLED", 0.0)
    for rows in (40, 400, 5000):
        monkeypatch.setattr(kmeans, "SHIFTED_ROWS", rows)
        labels, means = kmeans._settle_borders(X, start, 500)
        np.testing.assert_array_equal(labels, kmeans.nearest_centre(X, means))
        # The steps between two looks may lead to a neighbouring optimum of the flat sum.
        assert within_ss(X, labels) == pytest.approx(within_ss(X, full), rel=1e-4)
        if rows >= len(X):
            np.testing.assert_array_equal(labels, full)
        np.testing.assert_allclose(means, kmeans.centres_of(X, labels), rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_that_are_cut_short_give_the_means_of_their_own_groups(monkeypatch, steps):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 2)) + rng.integers(0, 3, size=(3000, 1))
    monkeypatch.setattr(kmeans, "SHIFTED_ROWS", 40)
    start = X[np.argsort(X[:, 0])[:5]]  # at the edge: the standing means change their group too
    labels, means = kmeans._settle_borders(X, start, steps)
    np.testing.assert_allclose(means, kmeans.centres_of(X, labels), rtol=0, atol=1e-12)


def test_optima_that_the_wider_sample_cannot_rank_are_compared_on_all_rows(monkeypatch):
    # The middle third joins the left one on the first rows, the right one on all rows.
    rng = np.random.default_rng(0)
    head = np.array([0.0, 10.0, 20.1])[np.arange(198) % 3][:, None]
    rest = np.array([0.0, 10.0, 19.0])[np.arange(3999) % 3][:, None]
    X = np.concatenate([head, rest]) + rng.normal(size=(4197, 1)) * 0.1
    monkeypatch.setattr(kmeans, "WIDER", 1)
    monkeypatch.setattr(kmeans, "FINALISTS", 30)

    def total():
        centres = kmeans._from_sample(X, 2, 30, 300, 0, 198)
        return kmeans.squared_distances(X, centres).min(axis=1).sum()

    monkeypatch.setattr(kmeans, "CLOSE", 1.0)
    blind = total()
    monkeypatch.setattr(kmeans, "CLOSE", 10.0)
    assert total() < 0.9 * blind
