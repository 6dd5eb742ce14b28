"""A stored model that could not score is refused when it is read, whatever is wrong with it."""

import contextlib
import copy
import json

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.cluster import cluster_latent, cluster_mixed, cluster_mixture
from segkit.errors import DataError, ModelError
from segkit.factor.model import FactorModel
from segkit.rfm import Cuts

N = 90
ITEMS = [f"q{j}" for j in range(5)]
KINDS = ["segments", "mixture", "latent", "mixed", "prototypes", "factors"]


def customers():
    rng = np.random.default_rng(0)
    said = rng.uniform(size=(N, 5)) < np.repeat([[0.1], [0.9], [0.5]], 30, axis=0)
    return pl.DataFrame(
        {
            "customer_id": [f"{i:03}" for i in range(N)],
            "x": np.exp(0.5 * rng.normal(size=N) + np.repeat([0, 3, 6], 30)),
            "y": rng.normal(size=N) + np.repeat([0, 9, 0], 30),
            "c": np.repeat(["a", "b", "c"], 30),
            "r": np.repeat(["low", "high", "low"], 30),
            "m": np.repeat([0, 1, 1], 30),
            **dict(zip(ITEMS, said.T, strict=True)),
            **{f"i{j}": rng.integers(1, 6, N) + np.repeat([0, 1, 0], 30) for j in range(4)},
        }
    )


@pytest.fixture(scope="module")
def models():
    frame = customers()
    mixed = {"numeric": ["x"], "categorical": ["c"], "ordinal": {"r": ["low", "high"]}}
    return {
        "segments": segkit.cluster_customers(frame, features=["x", "y"], k=3).model,
        "mixture": cluster_mixture(frame, features=["x", "y"], k=3, starts=1).model,
        "latent": cluster_latent(frame, items=ITEMS, k=2, starts=3).model,
        "mixed": cluster_mixed(frame, **mixed, asymmetric=["m"], k=3).model,
        "prototypes": cluster_mixed(frame, **mixed, k=3, method="prototypes").model,
        "factors": segkit.fit_factors(frame, 1, [f"i{j}" for j in range(4)]),
    }


def read(kind, data, path):
    path.write_text(json.dumps(data))
    return FactorModel.load(path) if kind == "factors" else segkit.load_model(path)


def numbers_in(data, at=()):
    """Yield the way to every number in nested plain data."""
    if isinstance(data, bool):
        return
    if isinstance(data, int | float):
        yield at
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from numbers_in(value, (*at, key))
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from numbers_in(value, (*at, place))


def changed(data, at, value):
    made = copy.deepcopy(data)
    inside = made
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = value
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_that_is_not_finite_is_refused(kind, models, tmp_path):
    data = models[kind].to_data()
    ways = [at for at in numbers_in(data) if at[0] not in ("fit", "seed")]
    assert len(ways) > 15
    for at in ways:
        with pytest.raises(ModelError):
            read(kind, changed(data, at, float("nan")), tmp_path / "m.json")
    # Written as a number, it is beyond what a float can hold.
    text = json.dumps(changed(data, ways[-1], "HUGE")).replace('"HUGE"', "1e999")
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ModelError):
        read(kind, json.loads(text), tmp_path / "m.json")


def lists_in(data, at=()):
    """Yield the way to every list of nested plain data that has a length of its own."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        here = (*at, key)
        if isinstance(value, list) and value and key not in ("segments", "dropped", "notes"):
            yield here, value
        # One level of a category fewer is another model, and a whole one.
        if isinstance(value, dict | list) and key not in ("ordinal", "categorical"):
            yield from lists_in(value, here)


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_another_length_are_refused(kind, models, tmp_path):
    data = models[kind].to_data()
    assert read(kind, data, tmp_path / "m.json").to_data() == data
    for at, value in lists_in(data):
        with pytest.raises(ModelError):
            read(kind, changed(data, at, value[:-1]), tmp_path / "m.json")


@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_another_type_never_crash(kind, models, tmp_path):
    data = models[kind].to_data()
    for key in data:
        for junk in ("junk", [], {}, 7):
            with contextlib.suppress(ModelError):  # any other error fails
                read(kind, {**data, key: junk}, tmp_path / "m.json")


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_segments_have_ids_and_names_of_their_own(kind, models, tmp_path):
    data = models[kind].to_data()
    first = data["segments"][0]
    for field in ("id", "name"):
        with pytest.raises(ModelError, match="must have different names"):
            read(kind, changed(data, ("segments", 1, field), first[field]), tmp_path / "m.json")
        with pytest.raises(ModelError, match="must have names"):
            read(kind, changed(data, ("segments", 1, field), " "), tmp_path / "m.json")
    with pytest.raises(ModelError, match="has no segments"):
        read(kind, {**data, "segments": []}, tmp_path / "m.json")


def test_a_model_without_features_is_refused(models, tmp_path):
    data = models["segments"].to_data()
    for segment in data["segments"]:
        segment["point"] = []
    data["features"] = data["transform"]["columns"] = []
    with pytest.raises(ModelError, match="has no columns"):
        read("segments", data, tmp_path / "m.json")
    other = models["segments"].to_data()
    other["features"][0]["name"] = "z"
    with pytest.raises(ModelError, match=r"features \(z, y\) are not its transform's \(x, y\)"):
        read("segments", other, tmp_path / "m.json")


def test_the_generic_form_is_checked_too(models):
    model = models["segments"]
    data = model.to_dict()
    assert type(model).from_dict(data).to_data() == model.to_data()
    data["fields"]["segments"]["value"][0]["fields"]["point"]["value"].pop()
    with pytest.raises(ModelError, match="point of S1 must be 2 numbers"):
        type(model).from_dict(data)
    for junk in ({"$type": "dataclass"}, {"$type": "object", "name": "no"}, [1]):
        with pytest.raises(ModelError):
            type(model).from_dict(junk)


@pytest.mark.parametrize("bad", [None, "x", ["a"], [3, 1], [float("nan")], []])
def test_cuts_that_cannot_score_are_refused(bad):
    good = {"recency": [30], "frequency": [2], "monetary": [100]}
    assert Cuts.from_dict(good).bins == (2, 2, 2)
    with pytest.raises(ModelError, match="cannot be read"):
        Cuts.from_dict({**good, "monetary": bad})
    with pytest.raises(ModelError, match="table of names"):
        Cuts.from_dict([good])


# At scoring -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_customers_who_come_twice_or_have_no_id_are_not_scored(kind, models):
    frame = customers()
    with pytest.raises(DataError, match="0 are missing, 1 are repeats"):
        models[kind].score(pl.concat([frame, frame.head(1)]))
    with pytest.raises(DataError, match="1 are missing, 0 are repeats"):
        models[kind].score(
            frame.with_columns(pl.when(pl.col("customer_id") > "000").then("customer_id"))
        )


@pytest.mark.parametrize("kind", ["segments", "mixture", "mixed", "prototypes"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [(-40.0, "x is negative (-40), which log1p cannot take"), (np.inf, "x is infinite")],
)
def test_a_customer_who_cannot_be_scored_is_kept_with_the_reason(kind, value, reason, models):
    frame, model = customers(), models[kind]
    whole = model.score(frame)
    assert whole["reason"].is_null().all()
    odd = frame.with_columns(x=pl.when(pl.col("customer_id") == "007").then(value).otherwise("x"))
    found = model.score(odd)
    assert found["customer_id"].to_list() == frame["customer_id"].to_list()
    assert found.filter(customer_id="007").select("segment", "distance", "reason").row(0) == (
        None, None, reason,
    )  # fmt: skip
    others = pl.col("customer_id") != "007"
    assert found.filter(others).equals(whole.filter(others))
    assert found.schema == whole.schema


def test_a_file_with_a_net_negative_customer_is_scored_but_for_that_one(models, tmp_path):
    frame = customers().select("customer_id", "x", "y")
    odd = pl.col("customer_id") == "007"
    frame = frame.with_columns(x=pl.when(odd).then(-5000.0).otherwise("x"))
    frame.write_csv(tmp_path / "next.csv")
    model = models["segments"].save(tmp_path / "m.json")
    scored = segkit.score_file(model, tmp_path / "next.csv")
    assert scored.assignments["segment"].null_count() == 1
    assert scored.segments["customers"].sum() == N - 1
    assert scored.segments["customer_share"].sum() == pytest.approx(1)
    assert scored.text.startswith("89 customers from a customer table assigned")
    assert "1 customer has no segment, such as one whose x is negative (-5,000)" in scored.text
    missing = frame.with_columns(
        y=pl.when(pl.col("customer_id") == "003").then(None).otherwise("y")
    )
    assert "y is missing" in models["segments"].score(missing)["reason"][3]
