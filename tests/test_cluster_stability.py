"""Would the segments come out again? Against brute force, scikit-learn and R's fpc."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.datasets import load_iris, make_blobs
from sklearn.metrics import adjusted_rand_score

from segkit.cluster.agreement import (
    across,
    adjusted_rand,
    aligned,
    jaccard,
    matched,
    overlaps,
    prediction_strength,
)
from segkit.cluster.choose import KChoice, choose_k
from segkit.cluster.refits import RefitPlan, _lloyd, _spread_seeds, compare_refits, refit_samples
from segkit.cluster.stability import (
    LEAST_SEGMENT,
    Stability,
    assess_stability,
    band,
    flows,
    numbered,
)
from segkit.errors import DataError, ParameterError
from segkit.stats.threads import single_thread
from tests.reference.clusters import IRIS_JACCARD

IRIS = load_iris().data
QUICK = {"n_refits": 6, "n_splits": 2, "n_starts": 2}


@pytest.fixture(scope="module")
def iris_twice():
    return [assess_stability(IRIS, k_range=[3, 4], seed=seed, n_splits=2) for seed in (0, 1)]


def test_clusterwise_jaccard_of_iris_is_that_of_fpc(iris_twice):
    for k, published in IRIS_JACCARD.items():
        found = [sorted(result.of(k)["jaccard"].to_list()) for result in iris_twice]
        assert np.mean(found, axis=0) == pytest.approx(published, abs=0.03)


codes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=4, max_size=40)


@settings(max_examples=60)
@given(codes)
def test_agreement_equals_brute_force(pairs):
    first, second = np.array(pairs).T
    table = overlaps(first, second, 4, 3)
    assert table.sum() == len(pairs)
    assert adjusted_rand(table) == pytest.approx(adjusted_rand_score(first, second), abs=1e-12)
    sets = [set(np.flatnonzero(first == c)) for c in range(4)]
    others = [set(np.flatnonzero(second == c)) for c in range(3)]
    for mine, value in zip(sets, jaccard(table), strict=True):
        if not mine:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(max(len(mine & o) / len(mine | o) for o in others))
    shares = []
    for mine in sets:
        couples = list(itertools.permutations(mine, 2))
        if couples:
            shares.append(np.mean([second[i] == second[j] for i, j in couples]))
    assert prediction_strength(table) == pytest.approx(min(shares, default=1.0))


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_matching_is_best_of_all_assignments(seed, rows, columns):
    table = np.random.default_rng(seed).integers(0, 5, (rows, columns))
    owner = matched(table)
    kept = owner >= 0
    assert kept.sum() == min(rows, columns)
    assert len(set(owner[kept])) == kept.sum()
    total = table[owner[kept], np.flatnonzero(kept)].sum()
    small = table if rows >= columns else table.T
    best = max(
        sum(small[r, c] for c, r in enumerate(chosen))
        for chosen in itertools.permutations(range(small.shape[0]), small.shape[1])
    )
    assert total == best


def test_sizes_break_ties():
    # Segments of 9 and 3 customers before and after; either way of pairing keeps 6 in place.
    table = np.array([[6, 3], [3, 0]])
    assert matched(table).tolist() == [0, 1]
    assert matched(table[:, ::-1]).tolist() == [1, 0]
    assert matched(table[::-1]).tolist() == [1, 0]


def test_aligning_keeps_numbers_and_ignores_relabelling():
    reference = np.repeat([0, 1, 2], 10)
    for order in itertools.permutations(range(3)):
        assert aligned(reference, np.array(order)[reference]).tolist() == reference.tolist()
    split = reference.copy()
    split[27:] = 3
    assert aligned(reference, (split + 1) % 4).tolist() == split.tolist()


def test_stability_across_solutions_by_hand():
    table = np.array([[10, 0, 5], [0, 10, 5]])
    assert across(table).tolist() == pytest.approx([1.0, 1.0, 0.0])
    shares = np.array([0.9, 0.1])
    expected = 1 + (shares * np.log(shares)).sum() / np.log(2)
    assert across(np.array([[9], [1]]))[0] == pytest.approx(expected)


def test_numbers_persist_over_k_and_flows_add_up():
    X, _ = make_blobs(300, 3, centers=5, random_state=4)
    found = assess_stability(X, k_range=range(2, 7), method="ward", **QUICK)
    sums = found.flow.group_by("k_from").agg(pl.col("customers").sum())["customers"]
    assert set(sums) == {300}
    arrived = found.flow.group_by("k_to", "segment_to").agg(pl.col("share").sum())["share"]
    assert arrived.to_list() == pytest.approx([1.0] * arrived.len())
    # Ward's cuts are nested: each segment comes from one alone, and one segment splits at a time.
    assert found.segments["slsa"].drop_nulls().to_list() == pytest.approx([1.0] * 18)
    for k in range(2, 6):
        moves = found.flow.filter(pl.col("k_from") == k)
        assert moves.height == k + 1
        assert (moves["segment_from"] == moves["segment_to"]).sum() == k
    assert found.segments.filter(pl.col("k") == 2)["size"].is_sorted(descending=True)


def test_numbering_follows_the_members_when_k_skips():
    cuts = {2: np.array([1, 1, 1, 0]), 4: np.array([3, 2, 2, 1])}
    named = numbered(cuts)
    assert named[2].tolist() == [0, 0, 0, 1]
    assert named[4].tolist()[1:] == [0, 0, 1]
    assert flows(named)["customers"].sum() == 4


@pytest.mark.parametrize("method", ["kmeans", "ward"])
def test_separate_groups_are_highly_stable_and_wrong_k_is_not(method):
    X, _ = make_blobs(200, 4, centers=4, cluster_std=0.6, random_state=2)
    found = assess_stability(X, k_range=[4, 7], method=method, n_refits=20, n_splits=4)
    assert found.of(4)["band"].to_list() == ["highly stable"] * 4
    assert found.of(4)["kept_share"].min() > 0.99
    rand = found.curve["rand"]
    assert rand[0] > 0.99 > rand[1]
    assert found.curve["prediction_strength"][0] > 0.95 > found.curve["prediction_strength"][1]
    assert "Every segment is stable (mean Jaccard above 0.750) at k = 4" in found.text


def test_refits_equal_a_plain_loop():
    X, _ = make_blobs(120, 2, centers=3, cluster_std=2.5, random_state=0)
    cut = KMeans(3, n_init=20, random_state=0).fit_predict(X).astype(np.int64)
    plan = RefitPlan((3,), "kmeans", 20, 1000, "weighted")
    with single_thread():
        found = compare_refits(refit_samples(X, plan, range(60), seed=1), {3: cut}).jaccard[3]
    rng, naive = np.random.default_rng(5), []
    with single_thread():
        for _ in range(60):
            drawn = rng.integers(120, size=120)
            model = KMeans(3, n_init=20, random_state=0).fit(X[drawn])
            seen = np.unique(drawn)
            naive.append(jaccard(overlaps(cut[seen], model.predict(X[seen]), 3, 3)))
    assert found.mean(axis=0) == pytest.approx(np.mean(naive, axis=0), abs=0.05)


@pytest.mark.parametrize("method", ["ward", "kmeans"])
@pytest.mark.parametrize(("n_refits", "n_splits"), [(6, 2), (11, 5)])
def test_the_refits_of_the_choice_give_the_same_figures(monkeypatch, method, n_refits, n_splits):
    X, kind = make_blobs(150, 3, centers=4, cluster_std=2.0, random_state=3)
    choice = choose_k(X, k_range=range(2, 6), method=method, n_draws=4, seed=7)
    sizes = {"n_refits": n_refits, "n_splits": n_splits}
    how = {"k_range": [3, 4], "method": method, "seed": 7, "segments": kind, **sizes}
    alone = assess_stability(X, **how)
    fits, original = [], RefitPlan.fit
    monkeypatch.setattr(RefitPlan, "fit", lambda *a: fits.append(1) or original(*a))
    shared = assess_stability(X, choice=choice, **how)
    # Eight refits and four split halves of two fits each are there already.
    assert len(fits) == max(n_refits - 8, 0) + 2 * max(n_splits - 4, 0)
    for name in ("curve", "segments", "refits", "own", "flow"):
        assert getattr(alone, name).equals(getattr(shared, name))


@pytest.mark.parametrize(
    "other",
    [{"seed": 8}, {"method": "kmeans"}, {"k_range": [3, 7]}, {"repeats": "weighted"},
     {"settle_steps": 0}, {"max_rows": 100}],
)  # fmt: skip
def test_refits_of_another_choice_are_not_taken(other):
    X, _ = make_blobs(120, 3, centers=4, cluster_std=2.0, random_state=3)
    choice = choose_k(X, k_range=range(2, 6), n_draws=2, seed=7)
    how = {"k_range": [3, 4], "method": "ward", "seed": 7, "n_refits": 4, "n_splits": 2, **other}
    alone, shared = assess_stability(X, **how), assess_stability(X, choice=choice, **how)
    assert alone.refits.equals(shared.refits)
    assert alone.curve.equals(shared.curve)


def test_a_stored_choice_has_no_refits_and_serves_all_the_same():
    X, _ = make_blobs(60, 2, centers=3, random_state=1)
    choice = choose_k(X, k_range=[2, 3, 4], n_draws=2)
    back = KChoice.from_dict(choice.to_dict())
    assert back.refits is None
    assert "refits" not in choice.to_dict()
    how = {"k_range": [2, 3], "method": "ward", **QUICK}
    assert assess_stability(X, choice=back, **how).curve.equals(assess_stability(X, **how).curve)


@pytest.mark.parametrize("copies", [1, 40])
def test_seeds_are_those_of_scikit_learn(copies):
    rng = np.random.default_rng(copies)
    X = np.repeat(rng.normal(size=(2000 // copies, 6)), copies, axis=0).astype(np.float32)
    weights = rng.integers(1, 5, size=2000).astype(np.float32)
    for seed, k in itertools.product(range(10), (2, 8, 50)):
        seeds, _ = kmeans_plusplus(X, k, sample_weight=weights, random_state=seed)
        assert np.array_equal(next(_spread_seeds(X, weights, k, 1, seed)), seeds)
        model = KMeans(k, init=seeds, n_init=1, tol=0.0).fit(X, sample_weight=weights)
        cost, centres = _lloyd(X, weights, seeds, 0.0)
        if copies == 1:  # where rows are equal, single ones may be equally near to two centres
            assert centres == pytest.approx(model.cluster_centers_, abs=1e-5)
        total = float(weights @ np.square(X).sum(axis=1))
        assert cost + total == pytest.approx(model.inertia_, rel=1e-3, abs=1e-2)


def test_a_row_between_two_centres_is_shared_and_a_centre_without_rows_stays():
    X = np.array([[0.0], [1.0], [2.0], [9.0]])
    weights = np.array([1.0, 1.0, 1.0, 3.0])
    _, centres = _lloyd(X, weights, np.array([[0.0], [2.0], [9.0], [99.0]]), np.inf)
    assert centres.ravel() == pytest.approx([1 / 3, 5 / 3, 9.0, 99.0])


def test_seeding_on_a_part_and_one_full_run_gives_the_same():
    X, _ = make_blobs(3_000, 4, centers=4, cluster_std=2.0, random_state=3)
    options = {"k_range": [4], "n_refits": 10, "n_splits": 2}
    part = assess_stability(X, seeding_rows=125, **options)
    full = assess_stability(X, seeding_rows=3_000, **options)
    assert part.of(4)["jaccard"].to_list() == pytest.approx(
        full.of(4)["jaccard"].to_list(), abs=0.01
    )
    assert part.seeding_rows == 125


@pytest.mark.parametrize("method", ["kmeans", "ward"])
def test_same_seed_same_result_whatever_order_or_threads(method):
    X = np.random.default_rng(0).normal(size=(150, 3))
    order = np.random.default_rng(1).permutation(150)
    options = {"k_range": [2, 3], "method": method, **QUICK}
    one = assess_stability(X, **options)
    assert one.segments.equals(assess_stability(X[order], **options).segments)
    assert one.curve.equals(assess_stability(X, n_jobs=2, **options).curve)
    assert not one.curve.equals(assess_stability(X, **{**options, "seed": 1}).curve)


def test_large_data_are_sampled_and_it_is_said():
    X = np.random.default_rng(0).normal(size=(900, 3))
    found = assess_stability(X, k_range=[2], max_rows=300, **QUICK)
    assert (found.n, found.rows) == (900, 300)
    assert "A random sample of 300 of 900 customers was used." in found.text
    assert "(6 refits, k-means, 2 starts each)" in found.text


@pytest.mark.parametrize("method", ["kmeans", "ward"])
def test_a_segment_of_few_customers_has_no_figure_of_stability(method):
    rng = np.random.default_rng(0)
    parts = [rng.normal(m, 1.0, (n, 2)) for m, n in ((0, 60), (20, LEAST_SEGMENT), (90, 1))]
    X, own = np.concatenate(parts), ["A"] * 60 + ["B"] * LEAST_SEGMENT + ["C"]
    found = assess_stability(X, k_range=[2], segments=own, method=method, **QUICK)
    alone = found.own.filter(segment="C").row(0, named=True)
    assert alone["band"] == "too few to judge"
    assert [alone[name] for name in ("jaccard", "jaccard_low", "jaccard_high")] == [None] * 3
    assert found.own.filter(segment="B")["band"].item() == "highly stable"
    assert "C too few to judge" in found.text
    assert "fewer than 10 customers has no figure" in found.text
    assert "segment C too few to judge" in found.plot_segments().alt
    # A solution with such a segment is never one whose every segment is stable.
    assert found.curve.filter(k=3)["jaccard_least"].item() is None
    assert "Every segment is stable (mean Jaccard above 0.750) at k = 3" not in found.text


def test_hennigs_bands():
    values = [0.0, 0.5, 0.51, 0.6, 0.75, 0.7501, 0.85, 1.0, np.nan]
    assert [band(value) for value in values] == [
        "dissolved", "dissolved", "doubtful", "pattern", "pattern", "stable", "highly stable",
        "highly stable", "unknown",
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["kmeans", "ward"])
def test_copies_tiny_data_and_constant_columns_are_borne(method):
    X = np.repeat([[0.0, 1.0], [1.0, 1.0], [5.0, 1.0], [9.0, 1.0]], 4, axis=0)
    found = assess_stability(X, k_range=range(2, 9), method=method, **QUICK)
    assert found.curve["k"].to_list() == [2, 3]
    assert "only 4 distinct rows" in found.text
    assert np.isfinite(found.curve.drop("jaccard_least").to_numpy()).all()
    assert found.curve["jaccard_least"].null_count() == 2  # segments of four are not judged
    tiny = assess_stability([[0.0], [1.0], [5.0], [9.0]], k_range=[2, 3], method=method, **QUICK)
    assert tiny.rows == 4


@pytest.mark.parametrize(
    ("X", "options", "error", "words"),
    [
        (np.ones((10, 2)), {}, DataError, "1 distinct rows cannot be clustered"),
        ([[1.0], [2.0], [3.0]], {}, DataError, "at least 4 customers"),
        ([[1.0], [np.nan], [2.0], [0.0]], {}, DataError, "missing or infinite"),
        (IRIS, {"method": "kmean"}, ParameterError, "did you mean 'kmeans'"),
        (IRIS, {"repeats": "twice"}, ParameterError, "way to count repeats"),
        (IRIS, {"n_refits": 1}, ParameterError, "n_refits"),
        (IRIS, {"max_rows": 3}, ParameterError, "max_rows >= 4"),
        (IRIS, {"k_range": [1]}, ParameterError, "at least 2"),
    ],
)
def test_bad_input_is_named(X, options, error, words):
    with pytest.raises(error, match=words):
        assess_stability(X, **{**QUICK, **options})


def test_unexamined_k_is_named(iris_twice):
    with pytest.raises(ParameterError, match=r"k = 9 was not examined; k = \[3, 4\] were"):
        iris_twice[0].of(9)


def test_pictures_and_json(iris_twice):
    found = iris_twice[0]
    assert "adjusted Rand index of two refits" in found.plot().alt
    assert found.plot_segments(4).data.height == 4
    assert "(highly stable)" in found.plot_segments(4).alt
    assert found.plot_flow().data["customers"].sum() == 150
    again = Stability.from_dict(found.to_dict())
    assert again.text == found.text
    assert again.refits.equals(found.refits)


def test_segments_handed_out_are_judged_by_their_ids():
    X = np.concatenate([np.random.default_rng(0).normal(m, 1.0, (40, 2)) for m in (0, 9, 18)])
    given = np.repeat(["C", "A", "B"], 40)
    order = np.random.default_rng(1).permutation(120)
    found = assess_stability(X[order], segments=given[order], k_range=[2, 4], **QUICK)
    assert found.own["segment"].to_list() == ["A", "B", "C"]
    assert found.curve["k"].to_list() == [2, 3, 4]
    assert found.own["size"].to_list() == [40, 40, 40]
    assert found.own["jaccard"].min() > 0.99
    assert "Of the 3 segments in force 3 are stable" in found.text
    assert "segment A" in found.plot_segments().alt


def test_a_poor_segment_handed_out_is_told():
    X = np.concatenate([np.random.default_rng(0).normal(m, 1.0, (40, 2)) for m in (0, 9)])
    given = np.where(np.arange(80) % 2 == 0, "odd", "even")
    found = assess_stability(X, segments=given, k_range=[3], **QUICK)
    assert found.own["jaccard"].max() < 0.5
    assert "Of the 2 segments in force 0 are stable" in found.text


@pytest.mark.parametrize("segments", [["a"] * 3, ["a"] * 40, ["a", None] * 20])
def test_segments_handed_out_must_fit(segments):
    X = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(DataError, match=r"each of 40 rows|two segments or more"):
        assess_stability(X, segments=segments, **QUICK)


def test_no_segments_no_picture_of_them():
    X = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(ParameterError, match="called without segments"):
        assess_stability(X, k_range=[2], **QUICK).plot_segments()
