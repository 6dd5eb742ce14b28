"""Power: published figures, statsmodels, simulation, and what is refused."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.campaign import (
    compute_power,
    compute_sample_size,
    compute_segment_power,
    mean,
    measure_metric,
    proportion,
    ratio,
)
from segkit.campaign.power import find_smallest_effect
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.result import Result

REFERENCE = Path(__file__).parent / "reference" / "power_figures.csv"
FIGURES = list(csv.DictReader(REFERENCE.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("row", FIGURES, ids=lambda r: f"{r['source']}: {r['n']}")
def test_published_figures_to_the_printed_digits(row):
    base, effect = float(row["base"]), float(row["effect"])
    metric = proportion(base) if row["kind"] == "proportion" else mean(base, float(row["sd"]))
    places = len(row[row["solved"]].partition(".")[2])
    if row["solved"] == "n":
        found = compute_sample_size(metric, effect=effect, power=float(row["power"])).n["control"]
    else:
        n = float(row["n"])
        found = compute_power(metric, {"a": n, "b": n}, effect=effect).power
    # The sources cut or round the last digit: one unit of it.
    assert found == pytest.approx(float(row[row["solved"]]), abs=10.0**-places)


def test_unequal_arms_agree_with_statsmodels():
    from statsmodels.stats.power import TTestIndPower

    theirs = TTestIndPower().solve_power(0.3, nobs1=None, ratio=3.0, alpha=0.05, power=0.8)
    ours = compute_sample_size(mean(0, 1), effect=0.3, shares={"control": 0.25, "mail": 0.75})
    assert ours.n["control"] == pytest.approx(theirs, rel=1e-4)
    assert ours.n["mail"] == pytest.approx(3 * theirs, rel=1e-4)


def test_size_power_and_effect_are_inverse_to_one_another():
    for metric in (proportion(0.04), mean(30.0, 55.0), ratio(1.2, 3.0, 1.5, 2.0, 0.4)):
        shares = {"control": 0.2, "a": 0.3, "b": 0.5}
        size = compute_sample_size(metric, relative_effect=0.2, power=0.85, shares=shares)
        assert compute_power(metric, size.n, relative_effect=0.2).power == pytest.approx(
            0.85, abs=1e-6
        )
        found = find_smallest_effect(metric, size.n, power=0.85)
        assert found.effect == pytest.approx(0.2 * metric.base, rel=1e-4)
        assert size.comparison_alpha == 0.025


def test_several_comparisons_and_one_side():
    alone = compute_sample_size(proportion(0.1), effect=0.02)
    three = compute_sample_size(proportion(0.1), effect=0.02, comparisons=3)
    direct = compute_sample_size(proportion(0.1), effect=0.02, alpha=0.05 / 3)
    assert three.total == direct.total > alone.total
    one = compute_sample_size(proportion(0.1), effect=0.02, sides="one-sided")
    two = compute_sample_size(proportion(0.1), effect=0.02, alpha=0.1)
    assert one.n == pytest.approx(two.n)


def test_cuped_leaves_one_minus_r_squared_of_the_customers():
    plain = compute_sample_size(mean(10.0, 400.0), effect=5.0)
    saved = compute_sample_size(replace(mean(10.0, 400.0), r2=0.36), effect=5.0)
    assert saved.n["control"] / plain.n["control"] == pytest.approx(0.64, rel=1e-3)
    assert "saves 36.0% of the customers" in saved.text
    assert set(saved.curve()["design"]) == {"plain", "with CUPED"}


def test_power_is_what_simulated_tests_find():
    rng = np.random.default_rng(5)
    n, p, q = 900, 0.1, 0.145
    expected = compute_power(proportion(p), {"a": n, "b": 2 * n}, effect=q - p).power
    x, y = rng.binomial(n, p, 20_000), rng.binomial(2 * n, q, 20_000)
    pooled = (x + y) / (3 * n)
    z = (y / (2 * n) - x / n) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / (2 * n)))
    assert (z > 1.959964).mean() == pytest.approx(expected, abs=0.012)


def test_ratio_variance_is_the_delta_methods():
    rng = np.random.default_rng(0)
    visits = rng.poisson(3, 4000) + 1
    clicks = rng.binomial(visits, 0.3)
    frame = pl.DataFrame({"clicks": clicks, "visits": visits})
    found = measure_metric(frame, "clicks", denominator="visits")
    sums = [
        (lambda k: clicks[k].sum() / visits[k].sum())(rng.integers(4000, size=4000))
        for _ in range(800)
    ]
    assert found.base == pytest.approx(clicks.sum() / visits.sum())
    assert found.sd / np.sqrt(4000) == pytest.approx(np.std(sums), rel=0.1)
    c = np.corrcoef(clicks, visits)[0, 1]
    same = ratio(clicks.mean(), visits.mean(), clicks.std(ddof=1), visits.std(ddof=1), c)
    assert same.sd == pytest.approx(found.sd, rel=1e-9)


def test_measured_covariates_promise_nothing_when_they_are_noise():
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"y": rng.normal(size=3000), "x": rng.normal(size=3000)})
    frame = frame.with_columns(z=pl.col("y") * 0.8 + pl.col("x") * 0.6)
    assert measure_metric(frame, "y", covariates=("x",)).r2 < 0.003
    assert measure_metric(frame, "y", covariates=("z",)).r2 == pytest.approx(0.64, abs=0.03)


@settings(max_examples=30)
@given(st.floats(0.005, 0.5), st.floats(0.05, 0.6), st.floats(0.1, 0.9))
def test_more_customers_or_a_larger_effect_give_more_power(base, lift, share):
    n = {"control": 2000 * share, "mail": 2000 * (1 - share)}
    more = {arm: 2 * size for arm, size in n.items()}
    metric = proportion(base)
    one = compute_power(metric, n, relative_effect=lift).power
    assert compute_power(metric, more, relative_effect=lift).power >= one - 1e-12
    assert compute_power(metric, n, relative_effect=lift * 1.2).power >= one - 1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compute_sample_size(proportion(0.1)), "either effect or relative_effect"),
        (lambda: compute_sample_size(proportion(0.1), effect=0.0), "an effect of zero"),
        (lambda: compute_sample_size(proportion(0.1), effect=0.95), "out of"),
        (
            lambda: compute_sample_size(proportion(0.1), effect=0.1, power=1.0),
            "power must be above 0 and below 1",
        ),
        (
            lambda: compute_sample_size(proportion(0.1), effect=0.1, alpha=0.0),
            "alpha must be above 0 and below 1",
        ),
        (
            lambda: compute_sample_size(proportion(0.1), effect=0.1, shares={"a": 1.0}),
            "expected at least two",
        ),
        (
            lambda: compute_sample_size(proportion(0.1), effect=0.1, shares={"a": 0.5, "b": 0.4}),
            "sum to 0.900, not to 1",
        ),
        (
            lambda: compute_sample_size(proportion(0.1), effect=0.1, shares={"a": 1.2, "b": -0.2}),
            "share above 0",
        ),
        (lambda: compute_sample_size(mean(0, 1), relative_effect=0.1), "base of 0"),
        (lambda: compute_sample_size(mean(1, 1), effect=1, sides="both"), "unknown value of sides"),
        (lambda: compute_sample_size(mean(1, 1), effect=1, comparisons=0), "comparisons must be"),
        (lambda: compute_power(mean(1, 1), {"a": 5}, effect=1), "at least one arm"),
        (
            lambda: compute_power(mean(1, 1), {"a": 5, "b": 0}, effect=1),
            "every arm needs customers",
        ),
        (lambda: proportion(0.0), "between 0 and 1"),
        (lambda: mean(1.0, 0.0), "does not vary"),
        (lambda: mean(float("inf"), 1.0), "finite"),
        (lambda: ratio(1, 0, 1, 1, 0), "denominator must be above 0"),
        (lambda: ratio(1, 1, 1, 1, 2), "correlation"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


@pytest.mark.parametrize(("base", "size"), [(0.5, 1), (0.9, 5)])
def test_arms_too_small_for_any_increase_are_refused(base, size):
    with pytest.raises(DataError, match="too small"):
        find_smallest_effect(proportion(base), {"a": size, "b": 5})


def test_past_outcomes_must_be_usable():
    frame = pl.DataFrame({"y": [1.0, None], "d": [0.0, 0.0], "z": [1.0, 2.0]})
    with pytest.raises(DataError, match="1 of 2 values of 'y'"):
        measure_metric(frame, "y")
    with pytest.raises(ColumnError, match="lacks q"):
        measure_metric(frame, "q")
    with pytest.raises(DataError, match="no ratio is defined"):
        measure_metric(frame, "z", denominator="d")
    with pytest.raises(DataError, match="at least 2"):
        measure_metric(frame.head(1), "z")


def test_a_plan_is_stored_drawn_and_told():
    found = compute_sample_size(proportion(0.1), effect=0.02)
    assert Result.from_dict(found.to_dict()).text == found.text
    assert "3,841" in found.text
    picture = found.plot()
    assert picture.data["power"].max() <= 1
    assert found.to_frame()["customers"].to_list() == [3841, 3841]


def test_a_lift_beyond_everybody_is_refused_by_the_data_and_said():
    """Where 81% buy anyway, 30% more of them would be more than all."""
    with pytest.raises(DataError, match=r"from 81\.4% out of 0 to 100%"):
        compute_sample_size(proportion(0.814), relative_effect=0.3)
    with pytest.raises(ParameterError, match="out of 0 to 100%"):
        compute_sample_size(proportion(0.814), effect=0.3)
    past = pl.DataFrame({"segment": ["A", "B"] * 50, "bought": [1, 1, 1, 1, 0] * 20})
    found = compute_segment_power(
        past, "bought", shares={"control": 0.5, "mail": 0.5}, relative_effect=0.3
    )
    assert found.table["needed"].to_list() == [None] * 3
    assert found.text.startswith(
        "No number of customers shows a lift of bought by 30% of its base, for the base is 80.0%."
    )


@pytest.mark.parametrize(("bought", "share"), [([1, 1, 1], "100%"), ([0, 0, 0], "0%")])
def test_an_outcome_that_is_the_same_for_all_cannot_be_planned(bought, share):
    past = pl.DataFrame({"segment": ["A"] * 3, "bought": bought})
    with pytest.raises(DataError, match=f"bought is {share} among past customers"):
        measure_metric(past, "bought")
    with pytest.raises(DataError, match="no change can be planned"):
        compute_segment_power(past, "bought", shares={"a": 0.5, "b": 0.5}, relative_effect=0.3)
