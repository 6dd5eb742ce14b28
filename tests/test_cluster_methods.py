import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from segkit.cluster import methods as module
from segkit.cluster.methods import compare_methods
from segkit.errors import DataError, ParameterError
from segkit.result import decode, encode
from segkit.transform import Transform


def people(n=240, seed=0, gap=7.0):
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    X = rng.normal(size=(n, 2)) + gap * np.array([[0, 0], [1, 0], [0, 1]])[kind]
    frame = pl.DataFrame(
        {
            "customer_id": [f"{i:04}" for i in range(n)],
            "a": X[:, 0],
            "b": X[:, 1],
            "region": np.array(["north", "south", "west"])[kind],
        }
    )
    return frame, kind


@pytest.fixture(scope="module")
def found():
    return compare_methods(
        people()[0], features=["a", "b"], categorical=["region"], k=3, refits=4,
        transform=Transform.of(["a", "b"]),
    )  # fmt: skip


def test_where_groups_are_real_all_methods_agree(found):
    _, kind = people()
    assert found.methods["method"].to_list() == list(module.WORDS)
    for method in module.WORDS:
        assert adjusted_rand_score(kind, found.assignments[method].to_list()) > 0.97
    assert found.agreement["adjusted_rand"].min() > 0.95
    assert found.methods["jaccard_least"].min() > 0.9
    assert found.methods["rand"].min() > 0.9
    assert (found.methods["seconds"] > 0).all()


def test_the_table_is_what_it_says(found):
    frame, _ = people()
    X = Transform.of(["a", "b"]).fit(frame).apply(frame)
    for row in found.methods.iter_rows(named=True):
        own = found.assignments[row["method"]].to_list()
        assert row["silhouette"] == pytest.approx(silhouette_score(X, own))
        sizes = found.sizes.filter(method=row["method"])
        assert sizes["customers"].to_list() == np.bincount(own)[1:].tolist()
        assert row["smallest_share"] == pytest.approx(sizes["share"].min())
        assert row["refits"] == 4
    a, b = found.assignments["ward"].to_list(), found.assignments["mixture"].to_list()
    cell = found.agreement.filter(first="Ward", second="Gaussian mixture")
    assert cell["adjusted_rand"][0] == pytest.approx(adjusted_rand_score(a, b))
    assert found.agreement.filter(pl.col("first") == pl.col("second"))["adjusted_rand"].min() == 1


def test_where_there_are_none_they_do_not_and_it_is_said():
    frame, _ = people(n=300, gap=0.0)
    loose = compare_methods(frame, features=["a", "b"], k=4, refits=6)
    assert loose.methods["method"].to_list() == ["ward", "two-step", "kmeans", "mixture"]
    assert loose.methods["gower_silhouette"].null_count() == 4
    assert loose.agreement["adjusted_rand"].min() < 0.7
    assert loose.methods["jaccard_least"].min() < 0.8
    low = loose.agreement["adjusted_rand"].min()
    assert f"({low:.3f})" in loose.text
    assert "least for" in loose.text


def test_shuffled_rows_give_the_same_table(found):
    frame = people()[0].sample(fraction=1, shuffle=True, seed=3)
    again = compare_methods(
        frame, features=["a", "b"], categorical=["region"], k=3, refits=4,
        transform=Transform.of(["a", "b"]),
    )  # fmt: skip
    assert again.methods.drop("seconds").equals(found.methods.drop("seconds"))
    assert again.assignments.equals(found.assignments)


def test_the_result_is_drawn_and_stored(found):
    shown = found.plot()
    assert shown.data.height == 36
    assert "k-prototypes" in shown.alt
    back = decode(json.loads(json.dumps(encode(found))))
    assert back.text == found.text
    assert "comes out again best over 4 refits" in found.text


def test_all_methods_are_fitted_to_one_sample_and_place_everyone(monkeypatch):
    frame, kind = people()
    fitted = []

    def watched(original):
        return lambda table, **options: (
            fitted.append(table["customer_id"].to_list()) or original(table, **options)
        )

    for name in ("cluster_customers", "cluster_mixture", "cluster_mixed"):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    some = compare_methods(
        frame, features=["a", "b"], categorical=["region"], k=3, refits=2, rows=90
    )
    samples = {tuple(ids) for ids in fitted if len(ids) == 90}
    assert len(samples) == 1
    assert sum(len(ids) == 90 for ids in fitted) == len(module.WORDS)
    assert all(set(ids) <= set(*samples) for ids in fitted)
    assert some.methods["method"].to_list() == list(module.WORDS)
    assert "Methods are fitted to a random 90 customers" in some.text
    assert some.rows == 90
    for method in module.WORDS:
        assert adjusted_rand_score(kind, some.assignments[method].to_list()) > 0.95
    assert (
        some.sizes.group_by("method").agg(pl.col("customers").sum())["customers"].unique()[0] == 240
    )
    drawn = frame["customer_id"].is_in(sorted(*samples)).to_numpy()
    transform = Transform.propose(frame, ["a", "b"]).fit(frame)
    X, own = transform.apply(frame)[drawn], some.assignments["kmeans"].to_numpy()[drawn]
    silhouette = some.methods.filter(method="kmeans")["silhouette"][0]
    assert silhouette == pytest.approx(silhouette_score(X, own))


def test_a_method_that_finds_nothing_is_left_out_and_said():
    frame = people(n=9)[0]
    some = compare_methods(frame, features=["a", "b"], k=4, refits=1)
    assert some.methods["method"].to_list() == ["ward", "two-step", "kmeans"]
    assert "Gaussian mixture is left out: every mixture with k = 4" in some.text
    with pytest.raises(DataError, match="every mixture with k = 4"):
        compare_methods(frame, features=["a", "b"], k=4, methods=["mixture"])
    with pytest.raises(DataError, match="12 segments need as many different customers"):
        compare_methods(frame, features=["a", "b"], k=12)


def test_refits_that_fail_are_counted(monkeypatch):
    def failing(*args, **options):
        if args[0].height < 240:
            raise DataError("no")
        return module.cluster_customers(*args, **options)

    monkeypatch.setattr(module, "cluster_mixture", lambda t, shapes, starts, **o: failing(t, **o))
    original = module._fit

    def plain(table, method, earlier=None, **settings):
        return original(table, method, **settings)

    monkeypatch.setattr(module, "_fit", plain)
    some = compare_methods(people()[0], features=["a", "b"], k=3, methods=["mixture"], refits=3)
    assert some.methods["jaccard"][0] is None
    assert "Refits without a result: Gaussian mixture 3" in some.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["kmean"]}, "unknown method 'kmean'"),
        ({"methods": ["medoids"]}, "medoids needs categorical"),
        ({"k": 1}, "k >= 2"),
        ({"refits": -1}, "refits >= 0"),
        ({"rows": 20_001}, "rows from 4 to 20000"),
    ],
)
def test_wrong_use_is_named(options, message):
    with pytest.raises(ParameterError, match=message):
        compare_methods(people()[0], **{"features": ["a", "b"], "k": 3, **options})


def test_no_refits_and_one_method():
    one = compare_methods(people()[0], features=["a", "b"], k=3, methods=["kmeans"], refits=0)
    assert one.methods["jaccard"][0] is None
    assert one.methods["agreement"][0] is None
    assert "comes out again" not in one.text


def test_sums_of_squares_stand_side_by_side_and_related_methods_are_no_evidence(found):
    rows = {row["method"]: row for row in found.methods.iter_rows(named=True)}
    X = people()[0].select("a", "b").to_numpy()
    codes = found.assignments["ward"].to_numpy()
    scaled = Transform.of(["a", "b"]).fit(people()[0]).apply(people()[0])
    assert X.shape == scaled.shape
    within = sum(
        ((scaled[codes == g] - scaled[codes == g].mean(axis=0)) ** 2).sum()
        for g in np.unique(codes)
    )
    assert rows["ward"]["within_ss"] == pytest.approx(within)
    assert "up to 1% above is usual" in found.text
    assert "no independent evidence" in found.text
    agree = found.text.partition("they agree most for ")[2].partition(".")[0]
    for pair in ("Ward and k-means", "k-means and Ward"):
        assert pair not in agree
    worse = found.methods.with_columns(
        within_ss=pl.when(pl.col("method") == "ward")
        .then(1.02 * pl.col("within_ss"))
        .otherwise("within_ss")
    )
    assert "more than the 1% that is usual" in replace(found, methods=worse).text
