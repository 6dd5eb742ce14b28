import json

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from segkit.cluster.mixture import MixtureModel, cluster_mixture
from segkit.cluster.model import load_model
from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.result import decode, encode
from segkit.transform import Transform
from tests.reference.clusters import IRIS_BIC

PLAIN = Transform.of(["a", "b", "c"], scale="none")


def clouds(n=300, seed=0, gap=8.0):
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    X = rng.normal(size=(n, 3)) * np.array([1.0, 0.5, 2.0])
    X += gap * np.array([[0, 0, 0], [1, 0, 1], [0, 1, -1]])[kind]
    frame = pl.DataFrame({"customer_id": [f"{i:05d}" for i in range(n)], "a": X[:, 0]})
    return frame.with_columns(b=pl.Series(X[:, 1]), c=pl.Series(X[:, 2])), kind


@pytest.fixture(scope="module")
def found():
    return cluster_mixture(clouds()[0], features=["a", "b", "c"], k_range=range(1, 5), starts=2)


def test_iris_has_the_published_bic():
    data = load_iris().data
    iris = pl.DataFrame(data, schema=["a", "b", "c", "d"])
    iris = iris.with_columns(customer_id=pl.Series([f"{i:03}" for i in range(150)]))
    fit = cluster_mixture(
        iris, features=["a", "b", "c", "d"], transform=Transform.of("abcd", scale="none"),
        shapes=["full"], k_range=[2, 3], floor=1e-6,
    )  # fmt: skip
    bic = dict(fit.compared.select("k", "bic").iter_rows())
    assert bic == pytest.approx(IRIS_BIC, abs=0.05)
    assert fit.k == 2


def test_planted_clouds_are_found_by_bic(found):
    _, kind = clouds()
    assert found.k == 3
    assert adjusted_rand_score(kind, found.assignments["segment"].to_list()) > 0.99
    row = found.compared.filter("chosen").row(0, named=True)
    assert row["bic"] == found.compared.filter("admitted")["bic"].min()
    assert row["shape"] in ("diag", "tied", "full")
    assert "no evidence" not in found.text


def test_one_cloud_is_called_no_evidence_of_groups():
    one = pl.DataFrame(np.random.default_rng(1).normal(size=(400, 2)), schema=["a", "b"])
    one = one.with_columns(customer_id=pl.Series([f"{i:03}" for i in range(400)]))
    fit = cluster_mixture(one, features=["a", "b"], k_range=[1, 2], starts=2)
    assert fit.k == 2
    assert "no evidence of groups" in fit.text


@pytest.mark.parametrize("shape", ["full", "tied", "diag", "spherical"])
def test_probabilities_are_scikit_learns(shape):
    frame, _ = clouds(gap=2.0)
    fit = cluster_mixture(
        frame, features=["a", "b", "c"], k=3, shapes=[shape], transform=PLAIN, starts=1
    )
    parts = fit.model.components
    model = GaussianMixture(3, covariance_type="full")
    model.weights_ = np.array([c.weight for c in parts])
    model.means_ = np.array([c.mean for c in parts])
    model.precisions_cholesky_ = np.array([c.factor for c in parts])
    X = frame.select("a", "b", "c").to_numpy()
    mine = fit.posterior.select("S1", "S2", "S3").to_numpy()
    assert mine == pytest.approx(model.predict_proba(X), abs=1e-10)
    assert mine.sum(axis=1) == pytest.approx(1.0)
    assert fit.assignments["probability"].to_numpy() == pytest.approx(mine.max(axis=1))


def test_the_model_scores_as_assigned_and_one_row_as_in_the_batch(found, tmp_path):
    frame, _ = clouds()
    model = load_model(found.model.save(tmp_path / "m.json"))
    assert isinstance(model, MixtureModel)
    batch = model.score(frame)
    assert batch.select(found.assignments.columns).equals(found.assignments)
    for i in range(0, 300, 7):
        assert model.score(frame[i]).equals(batch[i])
    assert batch["margin"].min() >= 0
    assert 0 < batch["unlike_any"].sum() <= 4
    far = frame.head(1).with_columns(a=pl.lit(1e3))
    assert model.score(far)["unlike_any"].all()
    assert model.to_data() == json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))


def test_shuffled_rows_give_the_same_division(found):
    frame, _ = clouds()
    again = cluster_mixture(
        frame.sample(fraction=1, shuffle=True, seed=1), features=["a", "b", "c"],
        k_range=range(1, 5), starts=2,
    )  # fmt: skip
    assert again.assignments.equals(found.assignments)
    assert again.model.to_data() == found.model.to_data()
    few = {"features": ["a", "b", "c"], "k": 3, "shapes": ["full"], "max_rows": 120, "starts": 1}
    one = cluster_mixture(frame, **few)
    assert one.model.to_data() == cluster_mixture(frame.reverse(), **few).model.to_data()
    assert one.model.fitted_rows == 120
    assert "a random 120 of them" in one.text


def test_the_result_is_stored_renamed_and_drawn(found):
    back = decode(json.loads(json.dumps(encode(found))))
    assert back.text == found.text
    assert back.assignments.equals(found.assignments)
    assert "VIP" in found.rename({"S2": "VIP"}).segments["segment_name"].to_list()
    with pytest.raises(ModelError, match="must differ"):
        found.rename({"S1": "VIP", "S2": "VIP"})
    shown = found.plot()
    assert set(shown.data["shape"]) == {"full", "tied", "diag", "spherical"}
    assert "BIC" in shown.alt


def test_duplicates_do_not_run_away():
    values = [1.0, 1.0, 1.0, 5.0, 5.0, 9.0] * 20
    frame = pl.DataFrame({"customer_id": [f"{i:03}" for i in range(120)], "a": values})
    fit = cluster_mixture(frame, features=["a"], k=3, starts=2)
    assert fit.segments["customers"].to_list() == [60, 40, 20]
    assert np.isfinite(fit.compared["bic"].to_numpy()).all()


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda f: f.head(1), {"k": 2}, DataError, "at least two customers"),
        (lambda f: f.head(4), {"k": 5}, DataError, "5 segments need as many different"),
        (lambda f: f.head(5), {"k": 5}, DataError, "set a smaller k"),
        (lambda f: f.with_columns(a=0, b=0, c=0), {"k": 2}, DataError, "constant"),
        (lambda f: f.with_columns(a=pl.lit(float("inf"))), {"k": 2}, DataError, "infinite"),
        (
            lambda f: f.with_columns(a=pl.lit(float("nan"))),
            {"k": 2, "transform": PLAIN},
            DataError,
            "a has 300 missing",
        ),
        (lambda f: f.drop("a"), {"k": 2}, ColumnError, "lacks a"),
        (lambda f: f, {"k": 1}, ParameterError, "k >= 2"),
        (lambda f: f, {"shapes": ["round"]}, ParameterError, "unknown shape of covariance"),
        (lambda f: f, {"starts": 0}, ParameterError, "starts >= 1"),
    ],
)
def test_degenerate_input_is_named(change, options, error, message):
    frame, _ = clouds()
    with pytest.raises(error, match=message):
        cluster_mixture(change(frame), **{"features": ["a", "b", "c"], **options})


def test_a_constant_column_is_left_out():
    frame, _ = clouds()
    fit = cluster_mixture(
        frame.with_columns(d=pl.lit(1.0)), features=["a", "b", "d"], k=2, starts=1, shapes=["full"]
    )
    assert fit.model.features == ("a", "b")


def test_other_models_are_refused(found):
    with pytest.raises(ModelError, match="not a segkit mixture model"):
        MixtureModel.from_data({"segkit_model": "segments"})
    with pytest.raises(ModelError, match="format 9"):
        MixtureModel.from_data({**found.model.to_data(), "format": 9})
    data = {k: v for k, v in found.model.to_data().items() if k != "segments"}
    with pytest.raises(ModelError, match="cannot be read"):
        MixtureModel.from_data(data)
