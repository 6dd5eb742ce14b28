import json

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from segkit.cluster.latent import LatentModel, cluster_latent, fit_classes, read_answers
from segkit.cluster.model import load_model
from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.result import decode, encode
from tests.reference.clusters import (
    CARCINOMA,
    CARCINOMA_CLASSES,
    CARCINOMA_SHARES_3,
    FAST_FOOD_CLASSES,
)

ITEMS = ["q1", "q2", "q3", "q4", "q5", "q6"]
TYPES = np.array([[0.9, 0.9, 0.8, 0.1, 0.1, 0.2], [0.1, 0.2, 0.1, 0.9, 0.8, 0.9]])


def survey(n=400, seed=0):
    rng = np.random.default_rng(seed)
    kind = (rng.uniform(size=n) < 0.35).astype(int)
    said = rng.uniform(size=(n, 6)) < TYPES[kind]
    frame = pl.DataFrame({"customer_id": [f"{i:04}" for i in range(n)]})
    return frame.hstack([pl.Series(q, said[:, j]) for j, q in enumerate(ITEMS)]), kind


@pytest.fixture(scope="module")
def found():
    return cluster_latent(survey()[0], items=ITEMS, k_range=range(1, 5), starts=5)


def test_carcinoma_has_the_published_classes():
    answers = np.repeat(
        [[float(c) for c in p] for p in CARCINOMA], list(CARCINOMA.values()), axis=0
    )
    assert answers.shape == (118, 7)
    for k, (likelihood, bic) in CARCINOMA_CLASSES.items():
        fit = fit_classes(answers, k, starts=10)
        assert fit.log_likelihood == pytest.approx(likelihood, abs=6e-4)
        assert -2 * fit.log_likelihood + fit.parameters * np.log(118) == pytest.approx(
            bic, abs=2e-3
        )
        if k == 3:
            assert np.sort(fit.weights) == pytest.approx(CARCINOMA_SHARES_3, abs=6e-5)


def test_carcinoma_has_three_classes_by_bic():
    answers = np.repeat(
        [[float(c) for c in p] for p in CARCINOMA], list(CARCINOMA.values()), axis=0
    )
    frame = pl.DataFrame(answers, schema=list("ABCDEFG"))
    frame = frame.with_columns(customer_id=pl.Series([f"{i:03}" for i in range(118)]))
    fit = cluster_latent(frame, items=list("ABCDEFG"), k_range=range(1, 5), starts=10)
    assert fit.k == 3
    assert fit.segments["customers"].sum() == 118


def test_fast_food_comes_to_stepmixs_likelihoods(shared_data):
    data = pl.read_csv(shared_data("mcdonalds.csv"))
    items = data.columns[:11]
    answers = read_answers(data, items)
    for k, likelihood in FAST_FOOD_CLASSES.items():
        if k <= 4:
            assert fit_classes(answers, k, starts=6).log_likelihood == pytest.approx(
                likelihood, abs=0.005
            )


def test_planted_types_are_found_and_named(found):
    _, kind = survey()
    assert found.k == 2
    assert adjusted_rand_score(kind, found.assignments["segment"].to_list()) > 0.9
    weights = [c.weight for c in found.model.classes]
    assert weights[1] == pytest.approx(0.35, abs=0.06)
    yes = found.segments.select(ITEMS).to_numpy()
    assert yes == pytest.approx(TYPES, abs=0.09)
    assert found.segments["segment_name"].n_unique() == 2


def test_no_types_is_said():
    rng = np.random.default_rng(3)
    frame = pl.DataFrame((rng.uniform(size=(500, 5)) < 0.4).astype(int), schema=ITEMS[:5])
    frame = frame.with_columns(customer_id=pl.Series([f"{i:03}" for i in range(500)]))
    fit = cluster_latent(frame, items=ITEMS[:5], k_range=[1, 2], starts=4)
    assert "no evidence of types" in fit.text


def test_the_model_scores_as_assigned_and_one_row_as_in_the_batch(found, tmp_path):
    frame, _ = survey()
    model = load_model(found.model.save(tmp_path / "m.json"))
    assert isinstance(model, LatentModel)
    batch = model.score(frame)
    assert batch.select(found.assignments.columns).equals(found.assignments)
    for i in range(0, 400, 11):
        assert model.score(frame[i]).equals(batch[i])
    by_hand = np.array([c.weight for c in model.classes])
    first = read_answers(frame.head(1), ITEMS)[0]
    for item, value in zip(ITEMS, first, strict=True):
        p = np.array([c.yes[item] for c in model.classes])
        by_hand = by_hand * (p if value else 1 - p)
    own = by_hand / by_hand.sum()
    assert batch["probability"][0] == pytest.approx(own.max())
    assert batch["margin"][0] == pytest.approx(2 * np.log(own.max() / own.min()))
    assert model.to_data() == json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    with pytest.raises(ModelError, match="not a segkit latent model"):
        LatentModel.from_data({})


def test_shuffled_rows_give_the_same_division(found):
    frame, _ = survey()
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    again = cluster_latent(shuffled, items=ITEMS, k_range=range(1, 5), starts=5)
    assert again.assignments.equals(found.assignments)
    assert again.model.to_data() == found.model.to_data()


def test_missing_answers_say_nothing(found):
    frame, kind = survey()
    gaps = frame.with_columns(
        q1=pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise("q1"),
    )
    fit = cluster_latent(gaps, items=ITEMS, k=2, starts=4)
    assert adjusted_rand_score(kind, fit.assignments["segment"].to_list()) > 0.85
    assert fit.segments["q1"].to_numpy() == pytest.approx(found.segments["q1"].to_numpy(), abs=0.06)
    silent = frame.head(1).with_columns(pl.lit(None, pl.Boolean).alias(q) for q in ITEMS)
    scored = found.model.score(silent)
    assert scored["segment"][0] == "S1"
    assert scored["probability"][0] == pytest.approx(found.model.classes[0].weight)


def test_words_numbers_and_flags_are_read_alike():
    frame = pl.DataFrame({"a": ["Yes", " no", None], "b": [1, 0, None], "c": [True, False, None]})
    read = read_answers(frame, ["a", "b", "c"])
    assert read[:2].tolist() == [[1.0] * 3, [0.0] * 3]
    assert np.isnan(read[2]).all()


def test_the_result_is_stored_renamed_and_drawn(found):
    back = decode(json.loads(json.dumps(encode(found))))
    assert back.text == found.text
    assert found.rename({"S1": "Fans"}).model.names["S1"] == "Fans"
    assert found.plot().data["k"].to_list() == [1, 2, 3, 4]
    assert "BIC" in found.plot().alt


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda f: f.head(1), {"k": 2}, DataError, "at least two customers"),
        (
            lambda f: f.head(3),
            {"k": 9},
            DataError,
            "9 classes need at least as many different patterns",
        ),
        (lambda f: f.with_columns(q1=pl.lit("maybe")), {"k": 2}, DataError, "q1 holds 'maybe'"),
        (lambda f: f.with_columns(q1=pl.lit(3)), {"k": 2}, DataError, "q1 holds 3"),
        (
            lambda f: f.with_columns(pl.lit(value=True).alias(q) for q in ITEMS),
            {"k": 2},
            DataError,
            "no item varies",
        ),
        (
            lambda f: f.with_columns(
                pl.when(pl.col("customer_id") > "0003").then(q).alias(q) for q in ITEMS
            ),
            {"k": 2},
            DataError,
            "4 customers answer no item",
        ),
        (
            lambda f: f,
            {"items": ["q1", "q2"], "k": 3},
            DataError,
            "3 classes cannot be identified from 2 items",
        ),
        (lambda f: f.drop("q1"), {"k": 2}, ColumnError, "lacks q1"),
        (lambda f: f, {"k": 1}, ParameterError, "k >= 2"),
    ],
)
def test_degenerate_input_is_named(change, options, error, message):
    with pytest.raises(error, match=message):
        cluster_latent(change(survey()[0]), **{"items": ITEMS, **options})


def test_an_item_that_all_answer_alike_is_left_out():
    frame = survey()[0].with_columns(q7=pl.lit(value=True))
    fit = cluster_latent(frame, items=[*ITEMS, "q7"], k=2, starts=3)
    assert fit.model.features == tuple(ITEMS)
    assert "everyone answers alike: q7" in fit.text
