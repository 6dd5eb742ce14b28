import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

import segkit
from segkit.cluster import cluster_customers
from segkit.cluster.matrix import RESULT_COLUMNS
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.result import decode, encode
from segkit.transform import Transform

# Ward's trees are exact up to a number of rows; k-means has one route for any number.
ROUTES = [("ward", 20_000), ("ward", 100), ("kmeans", 100)]


def blobs(n=600, k=4, seed=0, gap=9.0):
    rng = np.random.default_rng(seed)
    kind = rng.choice(k, n, p=np.arange(k, 0, -1) / (k * (k + 1) / 2))
    X = rng.normal(size=(n, 3)) + gap * rng.normal(size=(k, 3))[kind]
    frame = pl.DataFrame({"customer_id": [f"{i:05d}" for i in range(n)], "a": X[:, 0]})
    return frame.with_columns(b=pl.Series(X[:, 1]), c=pl.Series(X[:, 2])), kind


@pytest.mark.parametrize(("method", "exact_rows"), ROUTES)
def test_real_groups_are_found_and_k_is_chosen(method, exact_rows):
    frame, kind = blobs(n=300)
    options = {"method": method, "exact_rows": exact_rows, "k_range": range(2, 7)}
    found = cluster_customers(frame, features=["a", "b", "c"], **options)
    assert found.k == 4
    assert adjusted_rand_score(kind, found.assignments["segment"].to_list()) > 0.97
    assert found.choice.k == 4
    route = "restarts" if method == "kmeans" else ("exact" if exact_rows > 300 else "two-step")
    assert found.route == found.model.route == route
    assert found.segments["customers"].sum() == 300
    assert found.segments["customers"].is_sorted(descending=True)
    assert found.segments["segment"].to_list() == ["S1", "S2", "S3", "S4"]


@pytest.mark.parametrize(("method", "exact_rows"), ROUTES)
def test_shuffled_rows_give_the_same_segmentation(method, exact_rows):
    frame, _ = blobs(gap=1.0)  # no clear groups: borders anywhere
    options = {"features": ["a", "b", "c"], "k": 5, "method": method, "exact_rows": exact_rows}
    base = cluster_customers(frame, **options)
    for seed in range(3):
        shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
        again = cluster_customers(shuffled, **options)
        assert again.assignments.equals(base.assignments)
        assert again.model.to_data() == base.model.to_data()


def test_everyone_is_at_the_nearest_centre_and_the_tree_is_told_apart():
    frame, _ = blobs(gap=1.0)
    found = cluster_customers(frame, features=["a", "b", "c"], k=5)
    place = {name: i for i, name in enumerate(found.model.ids)}
    groups = np.array([place[s] for s in found.assignments["segment"]])
    assert found.tree_agreement == pytest.approx(np.mean(groups == found.leaf_groups))
    assert 0.5 < found.tree_agreement < 1
    assert "literal cut of the tree" in found.text
    X = found.model.transform.apply(frame)
    means = np.array([X[groups == g].mean(0) for g in range(5)])
    assert found.within_ss == pytest.approx(((X - means[groups]) ** 2).sum())


def test_a_refit_aligned_to_a_reference_keeps_ids_and_names():
    frame, _ = blobs(n=900, k=4)
    first = cluster_customers(frame, features=["a", "b", "c"], k=4).rename({"S3": "Keepers"})
    # A year later the third segment has become the largest.
    third = set(first.assignments.filter(pl.col("segment") == "S3")["customer_id"])
    copies = [
        frame.filter(pl.col("customer_id").is_in(third)).with_columns(
            customer_id=pl.format("{}-{}", "customer_id", pl.lit(i)), a=pl.col("a") + 0.01 * i
        )
        for i in range(1, 5)
    ]
    later = pl.concat([frame, *copies])
    options = {"features": ["a", "b", "c"], "k": 4}
    free = cluster_customers(later, **options)
    kept = cluster_customers(later, **options, reference=first.model)
    both = kept.assignments.join(first.assignments, on="customer_id")
    assert (both["segment"] == both["segment_right"]).mean() > 0.99
    assert kept.model.names["S3"] == "Keepers"
    assert kept.segments["segment"].to_list() == ["S1", "S2", "S3", "S4"]
    alone = free.assignments.join(first.assignments, on="customer_id")
    assert (alone["segment"] == alone["segment_right"]).mean() < 0.99  # the alignment did it


def test_a_new_segment_gets_a_new_id():
    frame, _ = blobs(n=900, k=4)
    first = cluster_customers(frame, features=["a", "b", "c"], k=3)
    more = cluster_customers(frame, features=["a", "b", "c"], k=4, reference=first.model)
    assert sorted(more.model.ids) == ["S1", "S2", "S3", "S4"]
    assert len(set(more.model.names.values())) == 4


def test_the_result_survives_json():
    frame, _ = blobs(n=60)
    found = cluster_customers(frame, features=["a", "b", "c"])
    back = decode(json.loads(json.dumps(encode(found))))
    assert back.assignments.equals(found.assignments)
    assert back.text == found.text
    assert np.array_equal(back.linkage, found.linkage)


def test_pandas_frames_are_taken():
    frame, _ = blobs(n=100)
    data = pd.DataFrame(frame.to_dict(as_series=False))
    ours = cluster_customers(frame, features=["a", "b", "c"], k=3)
    theirs = cluster_customers(data, features=["a", "b", "c"], k=3)
    assert ours.assignments.equals(theirs.assignments)


def test_pictures_say_what_they_show():
    frame, _ = blobs(n=2600)
    found = cluster_customers(frame, features=["a", "b", "c"], k=4)
    tree = found.dendrogram(30)
    assert tree.data.height == 29
    assert tree.data["leaves"].max() == 2600
    assert tree.data["height"].max() == pytest.approx(found.linkage[-1, 2])
    assert "2,600 customers, the last 29 merges" in tree.alt
    assert (tree.data["group"] == -1).sum() == 3  # merges above the cut join two segments
    shown = found.plot()
    assert shown.data.height == 2000
    assert "a random 2,000 of 2,600" in shown.alt
    assert sum(found.map_shares) <= 1
    big = cluster_customers(frame, features=["a", "b", "c"], k=4, exact_rows=100)
    assert "micro-clusters" in big.dendrogram().alt
    with pytest.raises(ParameterError, match="builds no tree"):
        cluster_customers(frame, features=["a"], k=2, method="kmeans").dendrogram()


def test_one_feature_is_enough():
    frame, _ = blobs(n=80)
    found = cluster_customers(frame, features=["a"], k=2)
    assert found.map_shares == (pytest.approx(1.0), 0.0)
    assert found.plot().data.height == 80


def test_a_constant_column_is_left_out_and_said():
    frame, _ = blobs(n=80)
    found = cluster_customers(frame.with_columns(d=pl.lit(1.0)), features=["a", "b", "d"], k=2)
    assert found.model.features == ("a", "b")
    assert "Left out: d (constant" in found.text


def test_missing_values_are_filled_by_the_proposal_and_counted():
    frame, _ = blobs(n=80)
    frame = frame.with_columns(recency_days=pl.Series([None] * 8 + list(range(72))))
    found = cluster_customers(frame, features=["a", "recency_days"], k=2)
    assert "days since the last order 8 as worst" in found.text
    with pytest.raises(DataError, match="recency_days has 8 missing"):
        cluster_customers(
            frame,
            features=["a", "recency_days"],
            k=2,
            transform=Transform.of(["a", "recency_days"]),
        )


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda f: f.head(1), {"k": 2}, DataError, "at least two customers"),
        (lambda f: f.head(0), {"k": 2}, DataError, "at least two customers"),
        (lambda f: f.head(4), {"k": 5}, DataError, "5 segments need as many different"),
        (lambda f: pl.concat([f, f.head(1)]), {"k": 2}, DataError, "1 are repeats"),
        (
            lambda f: f.with_columns(a=pl.lit(1.0)),
            {"k": 2, "features": ["a"]},
            DataError,
            "constant",
        ),
        (
            lambda f: f.with_columns(a=(pl.int_range(pl.len()) % 2).cast(float)),
            {"k": 3, "features": ["a"]},
            DataError,
            "there are 2 with different",
        ),
        (lambda f: f.drop("customer_id"), {"k": 2}, ColumnError, "lacks customer_id"),
        (lambda f: f, {"k": 2, "features": ["z"]}, ColumnError, "lacks z"),
        (lambda f: f, {"k": 2, "features": []}, ParameterError, "no features"),
        (lambda f: f, {"k": 2, "features": ["a", "a"]}, ParameterError, "named twice"),
        (lambda f: f, {"k": 2, "features": ["customer_id"]}, ParameterError, "cannot be a feature"),
        (lambda f: f, {"k": 2, "features": "visits"}, ParameterError, "expected a list of columns"),
        (lambda f: f, {"k": 1}, ParameterError, "k >= 2"),
        (lambda f: f, {"method": "kmean"}, ParameterError, "did you mean 'kmeans'"),
        (lambda f: f, {"transform": Transform.of(["a"])}, ParameterError, "are not the features"),
        (lambda f: f.with_columns(a=pl.lit("x")), {"k": 2}, ColumnError, "must be numeric"),
    ],
)
def test_degenerate_input_is_named(change, options, error, message):
    frame, _ = blobs(n=40)
    with pytest.raises(error, match=message):
        cluster_customers(change(frame), **{"features": ["a", "b", "c"], **options})


def test_duplicates_alone_form_segments():
    values = pl.Series([1.0, 1.0, 1.0, 5.0, 5.0, 9.0] * 20)
    frame = pl.DataFrame({"customer_id": [str(i) for i in range(120)], "a": values})
    for method in ("ward", "kmeans"):
        found = cluster_customers(frame, features=["a"], k=3, method=method)
        assert found.segments["customers"].to_list() == [60, 40, 20]


def test_as_many_segments_as_customers():
    frame, _ = blobs(n=5)
    assert cluster_customers(frame, features=["a", "b", "c"], k=5).segments.height == 5


def test_settling_moves_the_cut_to_better_centres_and_can_be_declined():
    frame, _ = blobs(gap=1.0)
    options = {"features": ["a", "b", "c"], "k": 5}
    settled = cluster_customers(frame, **options)
    literal = cluster_customers(frame, settle_steps=0, **options)
    assert settled.within_ss < literal.within_ss
    assert settled.tree_agreement < literal.tree_agreement
    assert "steps of k-means" in settled.text
    assert "steps of k-means" not in literal.text
    X = settled.model.transform.apply(frame)
    place = {name: i for i, name in enumerate(settled.model.ids)}
    groups = np.array([place[s] for s in settled.assignments["segment"]])
    centres = np.array([segment.point for segment in settled.model.segments])
    assert centres == pytest.approx(np.array([X[groups == g].mean(0) for g in range(5)]))
    with pytest.raises(ParameterError, match="settle_steps >= 0"):
        cluster_customers(frame, settle_steps=-1, **options)


@pytest.mark.parametrize("name", RESULT_COLUMNS)
def test_a_feature_that_would_replace_a_column_of_the_result_is_refused(name):
    """Its centre stood in the column of customers, or of the segment's name."""
    frame = pl.DataFrame({"customer_id": [*"abcd"], "visits": [1.0, 2.0, 8.0, 9.0]}).with_columns(
        pl.col("visits").alias(name), yes=pl.Series([1, 0, 1, 0])
    )
    both = ["visits", name]
    for call in (
        lambda: segkit.cluster_customers(frame, features=both, k=2),
        lambda: segkit.cluster.cluster_mixture(frame, features=both, k=2),
        lambda: segkit.cluster.cluster_mixed(frame, numeric=["visits"], categorical=[name], k=2),
        lambda: segkit.cluster.cluster_latent(frame, items=["yes", name], k=2),
    ):
        with pytest.raises(ParameterError, match=f"has a column {name} of its own"):
            call()
