"""Uplift: published figures, learners that find planted effects, curves, honest policy values."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.errors import ColumnError, DataError, ParameterError
from segkit.lift import compute_uplift_coefficient as coefficient
from segkit.lift import (
    compute_uplift_curve,
    estimate_uplift_at,
    fit_uplift,
    value_segment_policy,
)
from segkit.lift.uplift import _calibrate
from segkit.result import Result

REFERENCE = Path(__file__).parent / "reference" / "uplift_figures.csv"
FIGURES = {
    row["figure"]: float(row["value"])
    for row in csv.DictReader(REFERENCE.read_text(encoding="utf-8").splitlines())
}


def reference_data():
    rng, n = np.random.default_rng(0), 1000
    x = rng.random(n)
    t = rng.random(n) < 0.5
    return rng.random(n) < 0.1 + 0.2 * x * t, x, t


CALLS = {
    "qini": lambda y, x, t: coefficient(y, x, t),
    "qini_without_negative": lambda y, x, t: coefficient(y, x, t, negative=False),
    "uplift_area": lambda y, x, t: coefficient(y, x, t, convention="uplift"),
    "at_30_overall": lambda y, x, t: estimate_uplift_at(y, x, t, share=0.3),
    "at_30_by_group": lambda y, x, t: estimate_uplift_at(y, x, t, share=0.3, strategy="by_group"),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_published_figures_to_the_printed_digits(figure):
    assert CALLS[figure](*reference_data()) == pytest.approx(FIGURES[figure], abs=5e-9)


def test_curve_points_by_hand():
    y, s, t = [1, 0, 1, 0], [4.0, 3.0, 2.0, 1.0], [1, 0, 0, 1]
    found = compute_uplift_curve(y, s, t, repeats=50)
    grid = dict(found.points.select("contacted_share", "gain").iter_rows())
    # After 1: 1 - 0; after 2: 1 - 0 * 1/1; after 3: 1 - 1 * 1/2; after all: 1 - 1 * 2/2.
    assert grid[0.5] == pytest.approx(1 / 2)
    assert grid[1.0] == pytest.approx(0.0)
    assert found.points["random"][-1] == pytest.approx(found.points["gain"][-1])


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_figures_do_not_hang_on_row_order_or_the_scores_scale(seed):
    rng = np.random.default_rng(seed)
    y, s, t = rng.random(60) < 0.4, rng.permutation(60) / 60, np.arange(60) % 2 == 0
    order = rng.permutation(60)
    for convention in ("qini", "uplift"):
        one = coefficient(y, s, t, convention=convention)
        assert coefficient(y[order], s[order], t[order], convention=convention) == pytest.approx(
            one, nan_ok=True
        )
        assert coefficient(y, np.exp(3 * s), t, convention=convention) == pytest.approx(
            one, nan_ok=True
        )


def test_a_constant_score_is_chance():
    y, _, t = reference_data()
    found = compute_uplift_curve(y, np.zeros(1000), t, repeats=50)
    assert found.coefficient == pytest.approx(0.0, abs=1e-12)
    assert not found.ranks_customers
    assert "not shown to order customers better than chance" in found.text


@cache
def people(n=3000, seed=3, kind="binary"):
    rng = np.random.default_rng(seed)
    x, z = rng.random(n), rng.random(n)
    region = rng.choice(["north", "south"], n)
    t = rng.random(n) < 0.4
    effect = np.where(x > 0.5, 0.35, -0.05)
    if kind == "binary":
        y = (rng.random(n) < 0.25 + effect * t).astype(float)
    else:
        y = 10 + 5 * z + 20 * effect * t + rng.normal(size=n) * 4
    return pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "x": x,
            "z": z,
            "region": region,
            "arm": np.where(t, "mail", "holdout"),
            "segment": np.where(x > 0.5, "moved", "unmoved"),
            "y": y,
            "effect": effect,
        }
    )


def fit(frame, **more):
    options = {"features": ["x", "z", "region"], "treatment": "mail", "control": "holdout"}
    return fit_uplift(frame, "y", **{"folds": 3, "repeats": 60, **options, **more})


@pytest.mark.parametrize("kind", ["binary", "continuous"])
@pytest.mark.parametrize("learner", ["t", "x", "transformed"])
def test_every_learner_finds_the_planted_effects(learner, kind):
    frame = people(kind=kind)
    found = fit(frame, learner=learner)
    true = frame["effect"].to_numpy() * (1 if kind == "binary" else 20)
    assert np.corrcoef(found.frame["uplift"].to_numpy(), true)[0, 1] > 0.6
    assert found.curve.ranks_customers
    assert found.curve.is_share == (kind == "binary")
    top, bottom = found.calibration["observed"][0], found.calibration["observed"][-1]
    assert top > bottom


def test_scores_come_from_models_that_never_saw_the_customer():
    """Pure noise, a model that learns by heart: in-sample it would order customers, here not."""
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng(0)
    noise = people(2000).with_columns(y=pl.Series((rng.random(2000) < 0.3).astype(float)))
    deep = DecisionTreeRegressor(random_state=0)
    honest = fit(noise, learner="t", model=deep)
    assert honest.curve.coefficient_low < 0 < honest.curve.coefficient_high
    t = (noise["arm"] == "mail").to_numpy()
    X = noise.select("x", "z").to_numpy()
    y = noise["y"].to_numpy()
    own = deep.fit(X[t], y[t]).predict(X) - DecisionTreeRegressor().fit(X[~t], y[~t]).predict(X)
    assert coefficient(y, own, t) > 0.5


def test_any_scikit_learn_model_and_seed_are_taken():
    from sklearn.linear_model import LogisticRegression

    frame = people(1500)
    one = fit(frame, model=LogisticRegression(), learner="x", seed=4)
    two = fit(frame, model=LogisticRegression(), learner="x", seed=4)
    assert one.frame.equals(two.frame)
    with pytest.raises(ParameterError, match="0/1 outcomes only"):
        fit(people(300, kind="continuous"), model=LogisticRegression())


def test_an_arm_without_conversions_is_modelled_as_a_constant():
    frame = people(600).with_columns(y=pl.when(pl.col("arm") == "holdout").then(0.0).otherwise("y"))
    assert np.isfinite(fit(frame).frame["uplift"].to_numpy()).all()


def test_a_fifth_without_an_arm_or_with_few_buyers_has_no_interval():
    scores = np.repeat([5.0, 4.0, 3.0, 2.0, 1.0], 40)
    treated = np.tile([True, False], 100)
    treated[:40] = True  # the highest fifth has no control
    y = np.zeros(200)
    y[41] = 80.0  # one buyer in the second
    table = _calibrate(y, scores, treated, 0.95)
    assert table["observed"].to_list()[0] is None
    assert table.row(1)[3:] == (pytest.approx(-4.0), None, None)
    bought = (y > 0).astype(float)
    low, high = _calibrate(bought, scores, treated, 0.95).row(4)[4:]
    assert low < -0.1 < 0.1 < high  # nobody of 20 and of 20: wide, not zero
    frame = people(600)
    found = fit(frame)
    empty = found.calibration.with_columns(observed=pl.lit(None, pl.Float64))
    assert "an unknown amount" in replace(found, calibration=empty).text
    some = found.calibration.with_columns(
        low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64)
    )
    assert "too few buyers for an interval" in replace(found, calibration=some).text


@pytest.mark.parametrize("copies", [1, 25])  # by customers, and by blocks of them
def test_the_interval_covers_the_whole_curves_end(copies):
    y, x, t = (np.tile(column, copies) for column in reference_data())
    found = compute_uplift_curve(y, x, t, repeats=400, convention="uplift")
    end = found.points.row(-1, named=True)
    gap = y[t].mean() - y[~t].mean()
    error = np.sqrt(y[t].var() / t.sum() + y[~t].var() / (~t).sum())
    assert end["gain"] == pytest.approx(gap)
    assert end["low"] == pytest.approx(gap - 1.96 * error, abs=0.35 * error)
    assert end["high"] == pytest.approx(gap + 1.96 * error, abs=0.35 * error)
    whole = found.at.filter(contacted_share=1.0).row(0, named=True)
    assert whole["uplift"] == pytest.approx(gap)
    first = found.at.filter(contacted_share=0.5).row(0, named=True)
    best = np.argsort(-x)[: len(x) // 2]
    y, t = y[best], t[best]
    error = np.sqrt(y[t].var() / t.sum() + y[~t].var() / (~t).sum())
    assert first["high"] - first["low"] == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_contacting_the_moved_segment_pays_and_the_other_not():
    found = value_segment_policy(people(), "y", treatment="mail", control="holdout", cost=0.1)
    assert found.segments.filter("contact")["segment"].to_list() == ["moved"]
    truth = {"these segments": 0.25 + 0.5 * (0.35 - 0.1), "nobody": 0.25}
    held = dict.fromkeys(truth, 0)
    for seed in range(50):
        other = value_segment_policy(
            people(seed=seed), "y", treatment="mail", control="holdout", cost=0.1, seed=seed
        )
        for row in other.values.filter(pl.col("policy").is_in(list(truth))).iter_rows(named=True):
            held[row["policy"]] += row["low"] < truth[row["policy"]] < row["high"]
    assert min(held.values()) > 50 * (0.95 - 3 * np.sqrt(0.05 * 0.95 / 50))
    against = dict(found.gains.select("against", "low").iter_rows())
    assert against["everyone"] > 0
    assert against["nobody"] > 0
    assert "pays in moved, not in unmoved" in found.text


def test_the_segments_table_is_differences_of_means():
    frame = people()
    found = value_segment_policy(frame, "y", treatment="mail", control="holdout").segments
    part = frame.filter(segment="moved")
    ours, theirs = (part.filter(arm=a)["y"].mean() for a in ("mail", "holdout"))
    assert found.filter(segment="moved")["effect"][0] == pytest.approx(ours - theirs)


def test_hillstrom_mens_mail_by_what_was_bought_before(shared_data):
    """Radcliffe's finding on these data: men's mail moves visits; past buyers differ."""
    raw = pl.read_csv(shared_data("hillstrom_email.csv"), infer_schema_length=None)
    raw = raw.with_columns(
        customer_id=pl.int_range(pl.len()).cast(pl.String),
        bought=pl.concat_str("mens", "womens"),
    )
    found = value_segment_policy(
        raw.drop("segment").with_columns(arm=raw["segment"]),
        "visit", treatment="Womens E-Mail", control="No E-Mail", segment="bought",
    )  # fmt: skip
    effects = dict(found.segments.select("segment", "effect").iter_rows())
    # Women's mail: .0452 over all (REFERENCES.md); more among those who bought women's goods.
    sizes = dict(found.segments.select("segment", "customers").iter_rows())
    mean = sum(effects[s] * sizes[s] for s in effects) / sum(sizes.values())
    assert mean == pytest.approx(0.045233, abs=5e-4)
    assert effects["01"] > 2 * effects["10"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: coefficient([1, 0], [1, 2], [1, 1]), DataError, "one arm alone"),
        (lambda: coefficient([1, 0], [1, 2], [1, 2]), DataError, "0 and 1"),
        (lambda: coefficient([1, 0], [1], [1, 0]), DataError, "lengths differ"),
        (lambda: coefficient([1, 2], [1, 2], [1, 0]), DataError, "0/1 outcome"),
        (lambda: coefficient([1, np.nan], [1, 2], [1, 0]), DataError, "must be finite"),
        (
            lambda: coefficient([1, 0], [1, 2], [1, 0], convention="gini"),
            ParameterError,
            "unknown convention",
        ),
        (lambda: estimate_uplift_at([1, 0], [1, 2], [1, 0], share=0), ParameterError, "share must"),
        (
            lambda: estimate_uplift_at([1, 0, 1], [1, 2, 3], [1, 0, 1], share=0.4),
            DataError,
            "nobody of",
        ),
        (
            lambda: estimate_uplift_at([1, 0], [1, 2], [1, 0], share=1, strategy="x"),
            ParameterError,
            "strategy",
        ),
        (
            lambda: compute_uplift_curve([1, 0], [1, 2], [1, 0], repeats=3),
            ParameterError,
            "repeats",
        ),
        (lambda: fit(people(200), learner="s"), ParameterError, "unknown learner"),
        (lambda: fit(people(200), folds=1), ParameterError, "folds"),
        (lambda: fit(people(200), features=[]), ParameterError, "at least one feature"),
        (lambda: fit(people(200), features=["age"]), ColumnError, "lacks age"),
        (lambda: fit(people(200), treatment="fax"), ParameterError, "unknown arm 'fax'"),
        (lambda: fit(people(200), treatment="holdout"), ParameterError, "are both"),
        (lambda: fit(pl.concat([people(50)] * 2)), DataError, "more than once"),
        (
            lambda: value_segment_policy(
                people(50), "y", treatment="mail", control="holdout", cost=-1
            ),
            ParameterError,
            "at least 0",
        ),
        (
            lambda: value_segment_policy(
                people(50).with_columns(segment=pl.lit(None, dtype=pl.String)),
                "y", treatment="mail", control="holdout",
            ),
            DataError,
            "50 customers have no segment",
        ),
        (
            lambda: value_segment_policy(
                people(50).with_columns(y=pl.lit(float("inf"))),
                "y", treatment="mail", control="holdout",
            ),
            DataError,
            "missing or infinite",
        ),
    ],
)  # fmt: skip
def test_wrong_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_results_are_stored_and_drawn():
    found = fit(people(800))
    assert Result.from_dict(found.to_dict()).text == found.text
    assert "Convention: treated outcomes" in found.text
    assert found.plot().data.height == 2 * found.curve.points.height
    assert found.plot_calibration().data.height == 5
    paid = value_segment_policy(people(800), "y", treatment="mail", control="holdout")
    assert paid.plot().data.height == 3
