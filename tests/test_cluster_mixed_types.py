import itertools
import json

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score, silhouette_score

from segkit.cluster.gower import gower, learn_space, mean_silhouette, pam
from segkit.cluster.mixed_types import MixedModel, cluster_mixed
from segkit.cluster.model import load_model
from segkit.cluster.prototypes import fit_prototypes
from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.result import decode, encode
from segkit.transform import Transform
from tests.reference.clusters import FLOWER, FLOWER_GOWER, IRIS_PAM_3

KINDS = {
    "numeric": ["spend", "visits"],
    "categorical": ["region"],
    "ordinal": {"rating": ["low", "mid", "high"]},
    "asymmetric": ["boat"],
}
METHODS = ["medoids", "hierarchical", "prototypes"]


def people(n=240, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    frame = pl.DataFrame(
        {
            "customer_id": [f"{i:04}" for i in range(n)],
            "spend": np.exp(rng.normal(np.array([3.0, 6.0, 3.0])[kind], 0.4)),
            "visits": rng.normal(np.array([2.0, 3.0, 12.0])[kind], 1.0),
            "region": np.array(["north", "south", "west"])[kind],
            "rating": np.array(["low", "mid", "high"])[kind],
            "boat": kind == 1,
        }
    )
    return frame, kind


def space_of(frame, **kinds):
    empty = {"numeric": [], "ordinal": {}, "categorical": [], "asymmetric": [], "transform": None}
    return learn_space(frame, **{**empty, **kinds})


def test_gower_is_daisys():
    # Two rows added so that the ranges are those of the whole data.
    ends = {"V6": (1, 18), "V7": (20, 200), "V8": (10, 60), "V5": (1, 3)}
    frame = pl.DataFrame({name: [*v, *ends.get(name, (0, 1))] for name, v in FLOWER.items()})
    kinds = {
        "numeric": ["V7", "V8"],
        "transform": Transform.of(["V7", "V8"], scale="none"),
        "ordinal": {"V5": [1, 2, 3], "V6": range(1, 19)},
        "categorical": ["V1", "V2", "V3", "V4"],
    }
    found = space_of(frame, **kinds).encode(frame)
    distances = gower(found, found)
    for (i, j), value in FLOWER_GOWER.items():
        assert distances[i, j] == pytest.approx(value, abs=5e-8)
    assert np.array_equal(distances, distances.T)
    assert not distances.diagonal().any()


def test_gower_leaves_out_what_is_missing_and_two_noes():
    frame = pl.DataFrame(
        {"x": [0.0, 10.0, None, 5.0], "c": ["a", None, "b", None], "m": ["no", "no", "yes", None]}
    )
    kinds = {"numeric": ["x"], "transform": Transform.of(["x"], scale="none")}
    found = space_of(frame, **kinds, categorical=["c"], asymmetric=["m"]).encode(frame)
    distances = gower(found, found)
    assert distances[0, 1] == 1.0  # x alone: c is missing, two noes say nothing
    assert distances[0, 2] == 1.0  # c and m, both differ
    assert distances[0, 3] == 0.5  # x alone
    assert distances[2, 3] == 1.0  # nothing in common
    marks = pl.DataFrame({"m": [False, False, True], "n": [False, False, True]})
    found = space_of(marks, asymmetric=["m", "n"]).encode(marks)
    assert gower(found, found).tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]


def test_pam_is_rs_on_iris():
    X = load_iris().data
    distances = cdist(X, X)
    found = pam(distances, 3)
    assert tuple(found.rows + 1) == IRIS_PAM_3["medoids"]
    assert tuple(np.bincount(found.groups)) == IRIS_PAM_3["sizes"]
    assert found.build_cost == pytest.approx(IRIS_PAM_3["build"], abs=5e-8)
    assert found.cost == pytest.approx(IRIS_PAM_3["swap"], abs=5e-8)
    fit = mean_silhouette(distances, found.groups)
    assert fit == pytest.approx(IRIS_PAM_3["silhouette"], abs=5e-5)
    assert fit == pytest.approx(silhouette_score(X, found.groups))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_no_single_exchange_betters_pam(k):
    for seed in range(8):
        X = np.random.default_rng(seed).normal(size=(25, 2))
        distances = cdist(X, X)
        found = pam(distances, k)
        for out, new in itertools.product(range(k), range(25)):
            rows = found.rows.copy()
            rows[out] = new
            assert distances[:, rows].min(axis=1).mean() >= found.cost - 1e-12
        if k == 1:
            assert found.rows[0] == distances.sum(axis=0).argmin()
    with pytest.raises(ParameterError, match="between 1 and the 25 rows"):
        pam(distances, 26)


def test_prototypes_without_categories_are_k_means():
    X = np.random.default_rng(0).normal(size=(80, 2)) + np.repeat([[0, 0], [5, 5]], 40, axis=0)
    codes = np.zeros((80, 0), dtype=np.int64)
    fit = fit_prototypes(X, codes, 2, gamma=0.5, starts=5, seed=0)
    assert fit.cost == pytest.approx(KMeans(2, n_init=5, random_state=0).fit(X).inertia_)


def test_prototypes_reach_the_best_of_all_partitions():
    rng = np.random.default_rng(1)
    X, codes = rng.normal(size=(9, 1)), rng.integers(0, 3, (9, 2))

    def cost(groups):
        total = 0.0
        for g in (0, 1):
            part, own = X[groups == g], codes[groups == g]
            if len(part):
                total += ((part - part.mean(axis=0)) ** 2).sum()
                total += 0.7 * sum(len(c) - np.bincount(c).max() for c in own.T)
        return total

    best = min(cost(np.array(g)) for g in itertools.product((0, 1), repeat=9))
    fit = fit_prototypes(X, codes, 2, gamma=0.7, starts=30, seed=0)
    assert fit.cost == pytest.approx(best)
    assert cost(fit.groups) == pytest.approx(best)


@pytest.mark.parametrize("method", METHODS)
def test_planted_kinds_are_found_with_k(method):
    frame, kind = people()
    found = cluster_mixed(frame, **KINDS, method=method, k_range=range(2, 6))
    assert found.k == 3
    assert adjusted_rand_score(kind, found.assignments["segment"].to_list()) > 0.98
    assert found.segments["region"].to_list() == ["north", "south", "west"]
    assert found.segments["rating"].to_list() == ["low", "mid", "high"]
    assert found.segments["spend"][1] == pytest.approx(np.exp(6), rel=0.4)
    assert found.compared["silhouette"].max() == found.compared.filter("chosen")["silhouette"][0]
    assert "silhouette" in found.plot().alt


def test_gamma_is_reported_and_counts():
    frame, kind = people()
    assert (
        "weighs 0.500 squared standard deviations"
        in cluster_mixed(frame, **KINDS, method="prototypes", k=3).text
    )
    noise = frame.with_columns(
        region=pl.Series(np.random.default_rng(5).choice(["p", "q", "r"], 240))
    )
    some = {"numeric": ["spend", "visits"], "categorical": ["region"], "method": "prototypes"}
    light = cluster_mixed(noise, **some, k=3, gamma=0.0)
    heavy = cluster_mixed(noise, **some, k=3, gamma=50.0)
    assert adjusted_rand_score(kind, light.assignments["segment"].to_list()) > 0.98
    regions = noise["region"].to_list()
    assert adjusted_rand_score(regions, heavy.assignments["segment"].to_list()) == 1
    with pytest.raises(ParameterError, match="gamma is an option of method"):
        cluster_mixed(frame, **KINDS, k=3, gamma=1.0)


@pytest.mark.parametrize("method", METHODS)
def test_the_model_scores_as_assigned_and_one_row_as_in_the_batch(method, tmp_path):
    frame, _ = people()
    gaps = frame.with_columns(
        spend=pl.when(pl.int_range(pl.len()) % 17 != 0).then("spend"),
        region=pl.when(pl.int_range(pl.len()) % 13 != 0).then("region"),
        rating=pl.when(pl.int_range(pl.len()) % 19 != 0).then("rating"),
        boat=pl.when(pl.int_range(pl.len()) % 23 != 0).then("boat"),
    )
    found = cluster_mixed(gaps, **KINDS, method=method, k=3)
    assert "With missing values" in found.text
    model = load_model(found.model.save(tmp_path / "m.json"))
    assert isinstance(model, MixedModel)
    assert model.to_data() == json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    batch = model.score(gaps)
    assert batch.select(found.assignments.columns).equals(found.assignments)
    for i in range(0, 240, 7):
        assert model.score(gaps[i]).equals(batch[i])
    assert batch["margin"].min() >= 0
    assert model.score(gaps.head(0)).height == 0
    back = decode(json.loads(json.dumps(encode(found))))
    assert back.text == found.text
    assert back.model.score(gaps).equals(batch)


@pytest.mark.parametrize("method", METHODS)
def test_a_category_seen_only_at_scoring_differs_from_all_and_is_counted(method):
    frame, _ = people()
    found = cluster_mixed(frame, **KINDS, method=method, k=3)
    new = frame.head(50).with_columns(region=pl.lit("moon"))
    scored, before = found.model.score(new), found.model.score(frame.head(50))
    assert scored["unseen"].to_list() == [1] * 50
    assert before["unseen"].sum() == 0
    assert scored["segment"].equals(before["segment"])  # the other columns decide
    assert (scored["distance"] > before["distance"]).all()
    rank = found.model.score(frame.head(3).with_columns(rating=pl.lit("huge")))
    assert rank["unseen"].to_list() == [1] * 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sample", [3000, 100])
def test_shuffled_rows_give_the_same_division(method, sample):
    frame, _ = people()
    options = {**KINDS, "method": method, "k": 4, "sample": sample}
    base = cluster_mixed(frame, **options)
    for seed in (1, 2):
        shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
        again = cluster_mixed(shuffled, **options)
        assert again.assignments.equals(base.assignments)
        assert again.model.to_data() == base.model.to_data()
    if sample == 100:
        assert "a random 100 of them" in base.text


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda f: f.head(1), {}, DataError, "at least two customers"),
        (
            lambda f: f.with_columns(region=pl.lit("x")),
            {},
            DataError,
            "constant over all 240 customers.*: region",
        ),
        (lambda f: f.with_columns(visits=1.0), {}, DataError, "constant over all 240 rows: visits"),
        (
            lambda f: pl.concat([f.head(4)] * 9).with_columns(
                customer_id=pl.int_range(36).cast(pl.String)
            ),
            {"k": 6},
            DataError,
            "6 segments need as many different customers; among 36 there are 4",
        ),
        (
            lambda f: f.with_columns(rating=pl.lit("huge")),
            {},
            DataError,
            "rating holds levels that its order does not list: huge",
        ),
        (
            lambda f: f.with_columns(
                pl.when(pl.col("customer_id") > "0001").then(c).alias(c) for c in f.columns[1:]
            ),
            {},
            DataError,
            "2 customers have no value in any column",
        ),
        (lambda f: f.with_columns(visits=pl.lit(float("inf"))), {}, DataError, "infinite"),
        (lambda f: f.with_columns(boat=pl.lit("perhaps")), {}, DataError, "boat holds 'perhaps'"),
        (lambda f: f.with_columns(region=pl.lit(1.5)), {}, ColumnError, "must hold categories"),
        (lambda f: f.drop("region"), {}, ColumnError, "lacks region"),
        (lambda f: f, {"k": 1}, ParameterError, "k >= 2"),
    ],
)
def test_degenerate_input_is_named(method, change, options, error, message):
    with pytest.raises(error, match=message):
        cluster_mixed(change(people()[0]), **{**KINDS, "k": 3, "method": method, **options})


@pytest.mark.parametrize("method", METHODS)
def test_duplicates_alone_form_segments(method):
    frame = people()[0].head(6).unique("region", maintain_order=True)
    many = pl.concat([frame] * 10).with_columns(customer_id=pl.int_range(10 * frame.height))
    found = cluster_mixed(many, **KINDS, method=method, k=frame.height)
    assert found.segments["customers"].to_list() == [10] * frame.height


def test_unknown_methods_and_other_models_are_refused():
    frame, _ = people(40)
    with pytest.raises(ParameterError, match="unknown method for mixed columns"):
        cluster_mixed(frame, **KINDS, method="medoid")
    with pytest.raises(ModelError, match="not a segkit mixed model"):
        MixedModel.from_data({"segkit_model": "segments"})
    with pytest.raises(ModelError, match="cannot be read"):
        MixedModel.from_data({"segkit_model": "mixed", "format": 1})


# Missing values -------------------------------------------------------------------------------


def two_kinds(seed, every, n=200):
    """Two groups apart in a number and a category; every so manieth lacks the category."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, n)
    frame = pl.DataFrame(
        {
            "customer_id": [f"c{i:03}" for i in range(n)],
            "age": 25 + group * 30 + rng.normal(0, 4, n),
            "spend": 100 + group * 10 + rng.normal(0, 30, n),
            "gender": np.array(["M", "F"])[rng.integers(0, 2, n)],
            "status": np.array(["single", "married"])[group],
        }
    )
    lacks = pl.int_range(n) % every == 0
    return frame.with_columns(status=pl.when(~lacks).then("status")), group


@pytest.mark.parametrize("method", ["medoids", "hierarchical", "prototypes"])
@pytest.mark.parametrize("every", [100, 17])
def test_a_few_missing_categories_do_not_cost_the_groups(every, method):
    columns = {"numeric": ["age", "spend"], "categorical": ["gender", "status"]}
    for seed in range(4):  # medoids by Gower's coefficient alone get .5 to .66 right
        frame, group = two_kinds(seed, every)
        found = cluster_mixed(frame, **columns, k=2, method=method)
        placed = (found.assignments["segment"] == "S1").to_numpy()
        known = frame["status"].is_not_null().to_numpy()
        right = (placed == (group == 1))[known].mean()
        assert max(right, 1 - right) >= 0.99
        assert all(None not in one.centre.values() for one in found.model.examples)


def test_what_a_medoid_lacks_is_its_segments_usual_value():
    frame = pl.DataFrame(
        {
            "customer_id": [*"abcdefgh"],
            "x": [0.0, 1.0, 2.0, None, 9.0, 9.0, 9.5, None],
            "c": ["u", "u", None, "v", None, "w", "w", "w"],
        }
    )
    found = cluster_mixed(frame, numeric=["x"], categorical=["c"], k=2)
    for one in found.model.examples:
        members = frame.join(found.assignments.filter(segment=one.id), on="customer_id", how="semi")
        assert one.centre["c"] in members["c"].drop_nulls().to_list()
        assert one.centre["x"] in members["x"].drop_nulls().to_list()
        assert None not in (*one.numbers, *one.codes)
        assert -1 not in one.codes


def test_a_missing_column_counts_at_its_mean_where_medoids_are_sought():
    frame = pl.DataFrame(
        {"customer_id": ["a", "b", "c"], "x": [0.0, 5.0, 10.0], "c": ["u", "v", None]}
    )
    space = learn_space(
        frame, numeric=["x"], ordinal={}, categorical=["c"], asymmetric=[],
        transform=Transform.of(["x"]),
    )  # fmt: skip
    rows = space.encode(frame)
    left_out, counted = gower(rows, rows), gower(rows, rows, expected=True)
    assert left_out[0, 1] == counted[0, 1] == pytest.approx((0.5 + 1) / 2)
    assert left_out[0, 2] == pytest.approx(1.0)
    # Known pairs of the category: a-a, a-b, b-a, b-b, of which half differ.
    assert counted[0, 2] == pytest.approx((1.0 + 0.5) / 2)
    assert np.allclose(counted, counted.T)
