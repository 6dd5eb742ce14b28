"""How many segments? Votes, ties, dissent, the analyst's choice, degenerate input."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_iris, make_blobs

from segkit.cluster.choose import KChoice, choose_k, recommend
from segkit.cluster.criteria import CRITERIA, QUICK, VOTERS, gap_statistic, vote
from segkit.cluster.refits import Clustering
from segkit.cluster.structure import assess_structure
from segkit.cluster.ward import ward_linkage
from segkit.errors import DataError, ParameterError

IRIS = load_iris().data


def blobs(k=4, n=240, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.permutation(np.eye(5)[:k] * 12)
    return np.concatenate([rng.normal(c, 1.0, (n // k, 5)) for c in centres])


def table(**columns):
    return pl.DataFrame(columns)


def test_each_rule_votes_as_its_source_says():
    ks = [1, 2, 3, 4]
    # Gap(2) >= Gap(3) - s(3) although Gap(3) is higher; not yet so at 1.
    gap = table(k=ks, gap=[0.1, 0.5, 0.52, 0.6], gap_se=[0.01, 0.01, 0.03, 0.01])
    assert vote(CRITERIA["gap"], gap) == 2
    strict = gap.with_columns(gap_se=pl.lit(0.001))
    assert vote(CRITERIA["gap"], strict) == 4
    strength = table(
        k=ks,
        prediction_strength=[1.0, 0.9, 0.78, 0.5],
        prediction_strength_se=[0.0, 0.01, 0.03, 0.0],
    )
    assert vote(CRITERIA["prediction_strength"], strength) == 3
    stable = table(k=ks, stability=[None, 0.95, 0.94, 0.8], stability_se=[None, 0.02, 0.01, 0.01])
    assert vote(CRITERIA["stability"], stable) == 3
    assert (
        vote(CRITERIA["davies_bouldin"], table(k=ks, davies_bouldin=[np.nan, 3.0, 1.0, 2.0])) == 3
    )
    assert vote(CRITERIA["silhouette"], table(k=[2], silhouette=[np.nan])) is None


@pytest.mark.parametrize("method", ["ward", "kmeans"])
def test_separate_groups_are_counted(method):
    found = choose_k(blobs(), method=method, k_range=range(2, 7))
    assert found.k == found.recommended == 4
    assert set(found.votes["criterion"]) == set(VOTERS)
    assert found.votes["k"].to_list() == [4] * 7
    assert "7 of 7 criteria vote for 4" in found.text


def test_dissent_is_told():
    found = choose_k(IRIS, criteria=QUICK)
    assert found.k == 2
    assert "2 of 3 criteria" in found.text
    assert "The Calinski-Harabasz index votes for 3." in found.text


def test_a_tie_goes_to_the_first_in_the_order_of_trust():
    found = choose_k(IRIS, criteria=["calinski_harabasz", "silhouette"])
    assert found.k == 2
    assert "tied with 3; the silhouette" in found.text


def test_the_end_of_the_range_gives_way_in_a_tie():
    found = choose_k(IRIS, criteria=["silhouette", "calinski_harabasz"], k_range=[2, 3])
    assert found.k == 2
    late = choose_k(blobs(5), criteria=["silhouette", "bic"], k_range=[2, 3, 4])
    votes = pl.DataFrame(
        {"criterion": ["silhouette", "bic"], "label": ["silhouette", "BIC"], "k": [4, 3]}
    )
    assert recommend(votes, late.table)[0] == 3
    assert "may only mean that k_range ends there" in recommend(votes, late.table)[1]


def test_no_groups_is_told():
    X = np.random.default_rng(0).normal(size=(200, 6))
    found = choose_k(X, criteria=["silhouette", "gap"], k_range=range(2, 5))
    assert found.votes.filter(pl.col("criterion") == "gap")["k"].item() == 1
    assert "votes for one group" in found.text
    assert "run into each other" in found.text
    assert found.k >= 2


def test_the_analyst_decides_and_it_stays_on_record():
    found = choose_k(IRIS).choose(3, why="three known kinds")
    assert (found.k, found.recommended, found.chosen_by) == (3, 2, "analyst")
    assert "The analyst chose 3 segments, backed by Calinski-Harabasz index" in found.text
    assert "three known kinds" in found.text
    assert "Recommended by the votes: 2" in found.text
    with pytest.raises(ParameterError, match="k = 20 was not examined"):
        found.choose(20)


def test_zero_leaves_the_votes_choice_in_force():
    voted = choose_k(IRIS)
    assert voted.choose(0, why="not said") is voted
    assert (voted.k, voted.chosen_by) == (2, "votes")
    analyst = voted.choose(3)
    assert analyst.k == 3
    again = analyst.choose(0)
    assert (again.k, again.chosen_by, again.text) == (2, "votes", voted.text)
    for wrong in (1, -1):
        with pytest.raises(ParameterError, match=f"k = {wrong} was not examined"):
            voted.choose(wrong)


def test_a_given_linkage_gives_the_same_table():
    one, other = choose_k(IRIS), choose_k(IRIS, linkage=ward_linkage(IRIS))
    assert one.table["within_ss"].to_list() == pytest.approx(other.table["within_ss"].to_list())
    with pytest.raises(DataError, match=r"shape \(149, 4\)"):
        choose_k(IRIS, linkage=ward_linkage(IRIS[:20]))
    with pytest.raises(ParameterError, match="needs method='ward'"):
        choose_k(IRIS, method="kmeans", linkage=ward_linkage(IRIS))


@pytest.mark.parametrize("method", ["ward", "kmeans"])
def test_shuffled_rows_give_the_same_table(method):
    order = np.random.default_rng(3).permutation(len(IRIS))
    options = {"method": method, "criteria": list(CRITERIA), "n_draws": 4, "k_range": [2, 3, 4]}
    one, other = choose_k(IRIS, **options), choose_k(IRIS[order], **options)
    assert one.table.equals(other.table)
    again = choose_k(IRIS, **options)
    assert one.table.equals(again.table)


def test_large_data_are_sampled_and_it_is_said():
    X, _ = make_blobs(3_000, 3, centers=3, random_state=1)
    found = choose_k(X, max_rows=600, k_range=range(2, 6))
    assert (found.n, found.rows) == (3_000, 600)
    assert "random sample of 600 of 3,000 customers" in found.text
    assert found.k == 3


def test_gap_of_one_dimension_matches_its_definition():
    X = np.arange(20.0)[:, None] ** 2
    found = gap_statistic(X, [2], Clustering("ward", seed=5), n_references=30)
    rng = np.random.default_rng(5)
    low, high = (X - X.mean()).min(), (X - X.mean()).max()
    draws = [rng.uniform(low, high, size=(20, 1)) for _ in range(30)]
    logs = np.log([((Z - Z.mean()) ** 2).sum() for Z in draws])
    expected = logs.mean() - np.log(((X - X.mean()) ** 2).sum())
    assert found["gap"][0] == pytest.approx(expected, abs=0.05)  # the axis may point either way
    assert found["gap_se"][0] == pytest.approx(logs.std() * np.sqrt(1 + 1 / 30), rel=0.35)


def test_more_segments_than_distinct_rows_are_left_out():
    X = np.repeat([[0.0], [1.0], [5.0], [9.0]], 10, axis=0)
    found = choose_k(X, criteria=list(CRITERIA), n_draws=3)
    assert set(found.table["k"]) <= {1, 2, 3}
    assert "only 4 distinct rows" in found.text


@pytest.mark.parametrize(
    ("X", "options", "error", "words"),
    [
        (np.ones((10, 2)), {}, DataError, "1 distinct rows cannot be clustered"),
        ([[1.0], [2.0]], {}, DataError, "at least 3 customers"),
        ([[1.0], [np.nan], [2.0]], {}, DataError, "missing or infinite"),
        (IRIS, {"k_range": [1, 2]}, ParameterError, "at least 2"),
        (IRIS, {"k_range": []}, ParameterError, "at least 2"),
        (IRIS, {"k_range": [2.5]}, ParameterError, "whole numbers"),
        (IRIS, {"method": "wards"}, ParameterError, "did you mean 'ward'"),
        (IRIS, {"criteria": ["silhouete"]}, ParameterError, "did you mean 'silhouette'"),
        (IRIS, {"criteria": []}, ParameterError, "at least one criterion"),
        (IRIS, {"n_draws": 1}, ParameterError, "n_draws >= 2"),
    ],
)
def test_bad_input_is_named(X, options, error, words):
    with pytest.raises(error, match=words):
        choose_k(X, **options)


def test_constant_columns_are_harmless():
    wider = np.c_[IRIS, np.ones(len(IRIS))]
    one, other = (
        choose_k(IRIS, criteria=list(CRITERIA), n_draws=3),
        choose_k(wider, criteria=list(CRITERIA), n_draws=3),
    )
    assert one.k == other.k


def test_picture_and_json():
    found = choose_k(IRIS, criteria=["silhouette", "gap"], n_draws=3, k_range=[2, 3, 4])
    figure = found.plot()
    assert "silhouette votes for 2" in figure.alt
    assert set(figure.data.filter("voted")["criterion"]) == {"silhouette", "gap statistic"}
    again = KChoice.from_dict(found.to_dict())
    assert again.text == found.text
    assert again.table.equals(found.table)


def chosen_by(curve, **votes):
    """A table with a stability curve from k = 2, and the k that each criterion votes for."""
    table = pl.DataFrame({"k": range(2, 2 + len(curve)), "stability": curve})
    names = list(votes)
    words = ["rule"] * len(names)
    rows = {"criterion": names, "label": names, "k": list(votes.values()), "rule": words}
    return recommend(pl.DataFrame(rows), table)


def test_stability_decides_first_and_the_others_vote_among_what_comes_out_again():
    # Most votes go to 6, whose segments do not come out again.
    k, why = chosen_by([0.7, 0.6, 0.9, 0.88, 0.7], stability=4, gap=5, silhouette=6, bic=6, db=5)
    assert k == 5
    assert "Stability comes first: votes for numbers that come out again less well (6)" in why
    # Nobody else votes for a reproducible number.
    assert chosen_by([0.7, 0.6, 0.9, 0.7, 0.7], stability=4, gap=6, silhouette=6, bic=6)[0] == 4
    # One criterion within its own standard error may vote beyond the nearest.
    assert chosen_by([0.9, 0.7, 0.8], stability=4, gap=4)[0] == 4
    # Without stability the votes decide alone.
    table = pl.DataFrame({"k": [2, 3, 4]})
    votes = pl.DataFrame({"criterion": ["gap"], "label": ["gap"], "k": [3], "rule": ["rule"]})
    assert recommend(votes, table)[0] == 3


def test_one_sentence_reconciles_votes_structure_and_the_number_in_force():
    X = np.concatenate([np.random.default_rng(0).normal(m, 1.0, (40, 2)) for m in (0, 9, 18)])
    choice = choose_k(X, k_range=[2, 3, 4], criteria=["silhouette", "calinski_harabasz"])
    real = assess_structure(X, k_range=[2, 3, 4], k=3, n_null=19, n_refits=4)
    agreed = "3 segments in force, as recommended; natural groups."
    assert choice.reconcile(real) == agreed
    own = choice.choose(2, why="two campaigns")
    other = replace(real, k=2, verdict="reproducible")
    assert own.reconcile(other).startswith(
        "2 segments in force, chosen by the analyst (two campaigns); the votes recommend 3; "
        "stable borders, no natural groups (natural at 3)"
    )
    assert "the structure test judged 3" in own.reconcile(real)
