"""Sentences and figures at the edges: nobody, everybody, no variation, negative controls."""

import math
import re

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

import segkit
from segkit.campaign.metrics import mean, proportion
from segkit.campaign.power import compute_power, compute_sample_size, find_smallest_effect
from segkit.errors import DataError, ParameterError
from segkit.lift import Kpi
from segkit.lift.effects import KPIS, compare_arms
from segkit.lift.sums import sum_up
from segkit.stats.hypotheses import share_test
from segkit.stats.intervals import relative_lift, wilson

N = 400


def measured(control, arm, name="revenue", **options):
    """Measure two arms of given outcomes, and check that the text holds no NaN or infinity."""
    rows = pl.DataFrame(
        {"arm": ["hold"] * len(control) + ["mail"] * len(arm), name: np.r_[control, arm]}
    )
    metric = {"converted": "conversion"}.get(name, name)
    found = segkit.measure_lift(rows, control="hold", metrics=[metric], segment=None, **options)
    assert_readable(found.text)
    return found


def assert_readable(text):
    assert not re.search(r"\bnan\b|\binf|∞|\bNone\b", text, re.IGNORECASE), text
    assert "–" not in text, text


@pytest.mark.parametrize("relative", ["log", "fieller", "delta"])
def test_a_negative_control_has_a_difference_and_no_relative_lift(relative):
    rng = np.random.default_rng(0)
    control, arm = rng.normal(-10, 5, N), rng.normal(-5, 5, N)
    found = measured(control, arm, relative=relative)
    row = found.row()
    assert row["difference"] == pytest.approx(arm.mean() - control.mean())
    assert row["verdict"] == "higher"
    assert row["difference_low"] < 5 < row["difference_high"]
    assert np.isnan(row["relative"])
    assert "below zero, where its sign would turn" in found.text


@pytest.mark.parametrize("relative", ["log", "fieller", "delta"])
def test_a_control_that_crosses_zero_has_a_difference_and_no_relative_lift(relative):
    rng = np.random.default_rng(0)
    control, arm = rng.normal(0.2, 5, N), rng.normal(2, 5, N)
    found = measured(control, arm, relative=relative)
    row = found.row()
    known = stats.ttest_ind(arm, control).confidence_interval()
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(known, rel=0.01)
    assert row["verdict"] == "higher"
    assert control.mean() > 0
    assert np.isnan(row["relative"])
    assert np.isnan(row["relative_high"])
    assert "the control is not clearly above zero" in found.text
    clear = measured(control + 10, arm + 10, relative=relative).row()
    assert clear["relative"] == pytest.approx((arm.mean() + 10) / (control.mean() + 10) - 1)
    assert clear["relative_low"] < clear["relative"] < clear["relative_high"]


def test_a_control_of_zeros_has_a_difference_and_no_relative_lift():
    arm = np.random.default_rng(1).gamma(1, 5, N)
    found = measured(np.zeros(N), arm)
    assert found.row()["difference"] == pytest.approx(arm.mean())
    assert "no relative lift, for the control is zero" in found.text


def test_nobody_in_the_control():
    found = measured(np.zeros(N), np.arange(N) < 12, "converted")
    row = found.row()
    assert (row["difference"], row["verdict"]) == (0.03, "higher")
    assert 0.0001 < row["p_value"] < 0.001  # Fisher: 0.0005
    assert "no relative lift, for the control is zero" in found.text


@pytest.mark.parametrize(("value", "who"), [(0, "nobody"), (1, "everybody")])
def test_nobody_or_everybody_in_both_arms_is_undecided_within_what_the_size_allows(value, who):
    found = measured(np.full(N, value), np.full(N, value), "converted")
    row = found.row()
    assert (row["p_value"], row["verdict"], row["difference"]) == (1.0, "undecided", 0.0)
    one_side = float(wilson(0, N).high)
    assert row["difference_high"] == pytest.approx(one_side)
    assert row["difference_low"] == pytest.approx(-one_side)
    assert f"it was {who} in both arms" in found.text
    assert "would mostly not have been seen" not in found.text
    assert "relative lift 0.0% (95% CI 0.0% to 0.0%" not in found.text


def test_the_ratio_of_two_full_shares_is_no_surer_than_their_difference():
    found = relative_lift(N, N, N, N)
    low = float(wilson(N, N).low)
    assert (found.low, found.high) == pytest.approx((low - 1, 1 / low - 1))
    half = relative_lift(N, N, 200, N)
    plain = np.exp(1.959964 * np.sqrt(1 / 200 - 1 / N))
    assert half.high == pytest.approx(2 * plain - 1, rel=1e-5)
    assert half.low < 2 / plain - 1


def test_one_arm_is_everybody_and_the_other_nobody():
    found = measured(np.zeros(N), np.ones(N), "converted")
    assert found.row()["verdict"] == "higher"
    assert found.row()["difference"] == 1.0


def test_a_single_customer_in_an_arm_decides_nothing():
    found = measured([1.0, 2.0], [3.0])
    assert found.row()["verdict"] in ("not measured", "undecided")
    assert found.row()["difference"] == 1.5
    share = measured(np.arange(600) < 71, [1], "converted")
    assert share.row()["p_value"] > 0.09
    assert share.row()["verdict"] == "undecided"


def test_a_constant_outcome_has_no_effect_and_none_is_claimed():
    found = measured(np.full(N, 3.0), np.full(N, 3.0))
    assert found.row()["difference"] == 0.0
    assert found.row()["verdict"] in ("not measured", "undecided")


def test_bad_outcomes_and_names_are_refused():
    ones = np.ones(N)
    with pytest.raises(DataError, match="infinite or not a number"):
        measured(np.r_[np.nan, ones[1:]], ones)
    with pytest.raises(DataError, match="'converted' must be 0 or 1"):
        measured(np.full(N, 0.5), np.full(N, 0.4), "converted")
    rows = pl.DataFrame({"arm": ["hold", "mail"] * 5, "revenue": [1.0, 2.0] * 5})
    with pytest.raises(ParameterError, match="did you mean 'hold'"):
        segkit.measure_lift(rows, control="Hold", segment=None)
    gaps = rows.with_columns(pre_revenue=pl.when(pl.int_range(10) > 1).then(1.0))
    with pytest.raises(DataError, match="'pre_revenue' is missing for 2 customers"):
        segkit.measure_lift(gaps, control="hold", covariates=["pre_revenue"], segment=None)


def test_a_constant_covariate_changes_nothing():
    rng = np.random.default_rng(2)
    rows = pl.DataFrame(
        {"arm": ["hold", "mail"] * N, "revenue": rng.gamma(1, 5, 2 * N), "pre_revenue": 7.0}
    )
    plain = segkit.measure_lift(rows, control="hold", metrics=["revenue"], segment=None).row()
    found = segkit.measure_lift(
        rows, control="hold", metrics=["revenue"], segment=None, covariates=["pre_revenue"]
    ).row()
    for name in ("difference", "difference_low", "difference_high", "p_value", "error"):
        assert found[name] == pytest.approx(plain[name], rel=1e-9)


def test_a_covariate_that_is_the_outcome_is_refused():
    rng = np.random.default_rng(3)
    rows = pl.DataFrame({"arm": ["hold", "mail"] * N, "revenue": rng.gamma(1, 5, 2 * N)})
    with pytest.raises(DataError, match="pre_revenue predict revenue per customer perfectly"):
        segkit.measure_lift(
            rows.with_columns(pre_revenue=1 + 2 * pl.col("revenue")), control="hold",
            metrics=["revenue"], segment=None, covariates=["pre_revenue"],
        )  # fmt: skip


@pytest.mark.parametrize("shape", ["straight", "in proportion"])
def test_a_very_strong_covariate_keeps_the_tests_level(shape):
    """With 3% as control, and a covariate that tells nearly all, 54% of these were significant."""
    revenue = next(kpi for kpi in KPIS if kpi.name == "revenue")
    rng, runs, size = np.random.default_rng(8), 150, 800
    significant = detected = 0
    for _ in range(runs):
        before = rng.lognormal(3, 0.8, size)
        noise = rng.normal(size=size)
        if shape == "straight":
            after = np.maximum(before + noise, 0.01)
        else:
            after = np.where(rng.random(size) < 0.4, before * np.exp(0.1 * noise), 0.0)
            before = np.where(after > 0, before, 0.0)
        arm = rng.permutation(np.repeat(["hold", "mail"], [24, size - 24]))
        for lift in (0.0, 5.0):
            revenues = np.where((after > 0) & (arm == "mail"), after + lift, after)
            rows = pl.DataFrame({"arm": arm, "revenue": revenues, "x": before})
            sums = sum_up(rows, ["revenue", "x"], pairs=[("revenue", "x")], segment=None)
            p_value = compare_arms(revenue, sums, None, (1, 0), covariates=["x"]).p_value
            significant += p_value < 0.05 and not lift
            detected += p_value < 0.05 and bool(lift)
    assert significant <= stats.binom.ppf(0.999, runs, 0.05)
    assert detected > 0.8 * runs  # without the covariate it is 5% to 10%


def test_a_segment_that_an_arm_does_not_reach_is_named():
    rows = pl.DataFrame(
        {"arm": ["hold"] * 200 + ["mail"] * 300,
         "segment": ["S1"] * 200 + ["S1"] * 200 + ["S2"] * 100,
         "converted": [0, 1] * 250}
    )  # fmt: skip
    found = segkit.measure_lift(rows, control="hold", overall="pooled")
    assert found.row(segment="S2")["verdict"] == "not measured"
    assert "not comparable in S2" in found.text
    assert "Holm over 1 segment)" in found.text
    assert_readable(found.text)


def test_a_guardrail_of_amounts_is_not_told_in_points():
    rng = np.random.default_rng(4)
    returns = Kpi("returns", "returns", "mean", "returned", better="down", guardrail=True)
    rows = pl.DataFrame(
        {"arm": ["hold", "mail"] * N, "converted": [0, 1] * N, "returned": rng.gamma(2, 5, 2 * N)}
    )
    found = segkit.measure_lift(
        rows, control="hold", metrics=["conversion", returns], segment=None, margins={"returns": 5}
    )
    assert found.guardrails["verdict"].to_list() == ["no harm"]
    assert "points" not in found.guardrail_text
    assert "no harm" in found.guardrail_text


def test_days_without_a_conversion_stop_no_test():
    days = pl.Series([None] * 150 + [5] * 50, dtype=pl.Int64)
    rows = pl.DataFrame({"arm": ["a"] * 100 + ["b"] * 100, "conversion_day": days})
    found = segkit.lift.measure_daily_lift(rows, arm="a", control="b", planned_rate=0.1, days=10)
    assert found.table["low"].is_nan().to_list() == [True] * 4 + [False] * 6
    assert found.first_day == 5
    none = rows.with_columns(conversion_day=pl.lit(None, pl.Int64))
    found = segkit.lift.measure_daily_lift(none, arm="a", control="b", planned_rate=0.1, days=10)
    assert found.first_day is None
    assert_readable(found.text)
    assert "on no day could one have stopped" in found.text


def test_power_at_its_edges_says_nothing_false():
    sizes = {"control": 100, "mail": 100}
    below = compute_power(mean(-10, 5), sizes, effect=2)
    assert np.isnan(below.relative_effect)
    assert "of the base" not in below.text
    assert below.to_frame()["relative_effect"].null_count() == 2
    assert "(20.0% of the base)" in compute_power(mean(10, 5), sizes, effect=2).text
    assert "with more than 99% power" in compute_power(proportion(0.1), sizes, effect=0.9).text
    assert "less than 1%" in compute_power(mean(1, 1), {"c": 1, "m": 1}, effect=0.1).text
    with pytest.raises(ParameterError, match="base of -10"):
        compute_sample_size(mean(-10, 5), relative_effect=0.2)
    with pytest.raises(ParameterError, match="finite"):
        compute_sample_size(mean(10, 5), effect=float("inf"))
    with pytest.raises(DataError, match="too small to find any increase"):
        find_smallest_effect(proportion(0.999), sizes)
    for text in (below.text, find_smallest_effect(mean(0, 5), sizes).text):
        assert_readable(text)
        assert "likely to be missed" not in text
    assert below.plot().alt.startswith("80% power reaches down to a change of 2.")


@pytest.mark.parametrize("whole", [False, True])
def test_variances_far_from_zero_keep_their_digits(whole):
    rng = np.random.default_rng(5)
    y = 1e9 + (np.round(rng.normal(0, 3, 4000)) if whole else rng.normal(0, 1, 4000))
    x = 1e9 + 0.5 * (y - 1e9) + rng.normal(0, 1, 4000)
    arm = np.where(rng.random(4000) < 0.5, "mail", "hold")
    segment = np.where(rng.random(4000) < 0.3, "S1", "S2")
    rows = pl.DataFrame({"arm": arm, "segment": segment, "y": y, "x": x})
    sums = sum_up(rows, ["y", "x"], pairs=[("y", "x")])
    for place, name in enumerate(sums.arms):
        for group, own in ((None, arm == name), (1, (arm == name) & (segment == "S2"))):
            found = sums.moments(group, place, ["y", "x"])
            known = np.cov(y[own], x[own])  # two passes
            assert found.covariance == pytest.approx(known, rel=1e-9)
            assert found.mean[0] == pytest.approx(y[own].mean(), rel=1e-15)
    row = segkit.measure_lift(
        rows.rename({"y": "clv"}), control="hold", metrics=["clv"], segment=None, covariates=["x"]
    ).row()
    near = rows.with_columns(pl.col("y", "x") - 1e9).with_columns(y=pl.col("y") + 100)
    same = segkit.measure_lift(
        near.rename({"y": "clv"}), control="hold", metrics=["clv"], segment=None, covariates=["x"]
    ).row()
    assert row["difference"] == pytest.approx(same["difference"], rel=1e-5)
    # The two-part errors lean on the mean itself, a little.
    assert row["error"] == pytest.approx(same["error"], rel=1e-3)


def test_segments_without_a_control_are_said_to_be_left_out_of_the_whole():
    rng = np.random.default_rng(6)
    rows = pl.DataFrame(
        {"arm": ["hold"] * 300 + ["mail"] * 500,
         "segment": ["S1"] * 150 + ["S2"] * 150 + ["S1"] * 100 + ["S2"] * 300 + ["S3"] * 100,
         "revenue": rng.gamma(1, 5, 800)}
    )  # fmt: skip
    found = segkit.measure_profit(rows, control="hold", margin=0.5, cost_per_contact=0.1)
    assert found.table["customers"][0] == 400
    assert "Left out: 100 customers of mail, for hold has nobody in S3" in found.text
    lift = segkit.measure_lift(rows, control="hold", metrics=["revenue"])
    assert lift.row()["customers_arm"] == 400
    assert "Left out of mail over all customers: 100 customers of S3" in lift.text
    pooled = segkit.measure_lift(rows, control="hold", metrics=["revenue"], overall="pooled")
    assert pooled.row()["customers_arm"] == 500
    assert "Left out" not in pooled.text


def test_a_profit_that_could_be_anything_has_no_interval():
    """Six buyers of the control, one of whom spends a thousand times what the others do."""
    mail, none = [20.0, 25.0, 30.0, 35.0] * 6 + [0.0] * 76, [1.0] * 5 + [1000.0] + [0.0] * 44
    rows = pl.DataFrame({"arm": ["mail"] * 100 + ["hold"] * 50, "revenue": mail + none})
    found = segkit.measure_profit(rows, control="hold", margin=0.5, cost_per_contact=0.1)
    row = found.table.row(0, named=True)
    assert row["added_profit"] == pytest.approx(0.5 * (6.6 - 20.1) - 0.1)
    assert (row["few"], row["added_profit_low"], row["total_profit_high"]) == (True, None, None)
    assert "6 buyers under hold and 24 under mail are too few" in found.text
    assert found.answer.startswith("Not shown to pay: mail added -6.85 per customer over hold (no")
    lift = segkit.measure_lift(rows, control="hold", metrics=["revenue"])
    assert lift.row()["verdict"] == "undecided"
    assert math.isnan(lift.row()["difference_low"])


def test_difference_and_relative_lift_of_a_row_never_contradict_each_other():
    rng = np.random.default_rng(12)
    n, parts = 2000, 30
    rows = pl.DataFrame(
        {"arm": rng.choice(["mail", "hold"], n, p=[0.7, 0.3]),
         "segment": rng.choice([f"S{k}" for k in range(parts)], n),
         "converted": rng.random(n) < 0.3}
    )  # fmt: skip
    even = pl.col("segment").is_in([f"S{k}" for k in range(0, parts, 2)])
    more = even & (pl.col("arm") == "mail") & pl.lit(pl.Series(rng.random(n) < 0.2))
    rows = rows.with_columns(
        converted=(pl.col("converted") | more).cast(pl.Int8),
        revenue=pl.when(pl.col("converted") | more).then(pl.lit(pl.Series(rng.gamma(2, 20, n)))),
    ).with_columns(pl.col("revenue").fill_null(0.0))
    for shares in ("newcombe", "score", "agresti-caffo"):
        found = segkit.measure_lift(rows, control="hold", shares=shares).effects.fill_nan(None)
        found = found.drop_nulls(["difference_low", "relative_low"])
        clear = (found["difference_low"] > 0) | (found["difference_high"] < 0)
        assert clear.equals(
            (found["relative_low"] > 0) | (found["relative_high"] < 0), null_equal=True
        )
        assert 3 < clear.sum() < found.height - 3
        assert clear.equals(found["p_value"] <= 0.05, null_equal=True)


def test_interval_and_p_value_of_a_row_are_the_more_cautious_of_both():
    """The exact test beside Newcombe's interval, where one of them alone excludes no effect."""

    def compare(x1, n1, x2, n2, level=0.95):
        rows = pl.DataFrame(
            {"arm": ["mail"] * n1 + ["hold"] * n2,
             "converted": [1] * x1 + [0] * (n1 - x1) + [1] * x2 + [0] * (n2 - x2)}
        )  # fmt: skip
        return segkit.measure_lift(rows, control="hold", metrics=["conversion"], level=level).row()

    counts = (4, 21, 10, 21)  # p = 0.056, Newcombe -51.6 to -0.1 points
    row, newcombe = compare(*counts), confint_proportions_2indep(*counts, method="newcomb")
    assert newcombe[1] < 0 < 0.05 < share_test(*counts).p_value == row["p_value"]
    assert row["difference_low"] == pytest.approx(newcombe[0])
    assert row["difference_high"] == row["relative_high"] == 0
    counts = (24, 292, 3, 112)  # p = 0.047, Newcombe -0.02 to 9.7 points
    row, p = compare(*counts), share_test(*counts).p_value
    assert p < 0.05 < row["p_value"] < 0.06
    touching = confint_proportions_2indep(*counts, method="newcomb", alpha=row["p_value"])
    assert touching[0] == pytest.approx(0, abs=1e-6)
    assert compare(*counts, level=0.9)["p_value"] == p  # both exclude no effect


def test_profit_at_its_edges_says_nothing_false():
    def text(control, arm, **options):
        rows = pl.DataFrame(
            {"arm": ["hold"] * len(control) + ["mail"] * len(arm), "revenue": np.r_[control, arm]}
        )
        terms = {"margin": 0.4, "cost_per_contact": 0.1, **options}
        found = segkit.measure_profit(rows, control="hold", **terms)
        assert_readable(found.text)
        return found.text

    nobody = text(np.zeros(N), np.zeros(N))
    assert "without an interval" in nobody
    assert "gain or loss undecided" in nobody
    assert "limits from" not in nobody
    assert "undecided" in text([1.0, 2.0], [3.0])
    rng = np.random.default_rng(7)
    assert "a gain" in text(rng.normal(-10, 5, N), rng.normal(-5, 5, N))
    free = text(rng.gamma(1, 5, N), rng.gamma(1, 5, N), cost_per_contact=0)
    assert "no return on it" in free


def test_what_each_customer_cost_does_not_make_two_parts_of_profit():
    rng = np.random.default_rng(1)
    n = 4000
    arm = np.where(rng.random(n) < 0.1, "none", "mail")
    revenue = np.where(rng.random(n) < 0.04, rng.lognormal(3.5, 1.0, n), 0.0)
    rows = pl.DataFrame({"arm": arm, "revenue": revenue})
    cost = pl.when(pl.col("arm") == "mail").then(0.05).otherwise(0.0)
    rows = rows.with_columns(profit=0.4 * pl.col("revenue") - cost)
    profit = Kpi("profit", "profit", "mean", "profit")
    row = segkit.measure_lift(rows, control="none", metrics=[profit]).row()
    paid = segkit.measure_profit(rows, control="none", margin=0.4, cost_per_contact=0.05)
    told = paid.table.row(0, named=True)
    assert row["difference"] == pytest.approx(told["added_profit"])
    width = row["difference_high"] - row["difference_low"]
    assert width < 1.5 * (told["added_profit_high"] - told["added_profit_low"])


def test_segments_that_returned_more_than_they_bought_are_shrunken_too():
    rng = np.random.default_rng(4)
    n = 3000
    segment, arm = rng.choice(["A", "B", "C"], n), np.where(rng.random(n) < 0.1, "none", "mail")
    bought = np.where(rng.random(n) < 0.1, rng.lognormal(3, 0.8, n), 0.0)
    rows = pl.DataFrame({"arm": arm, "segment": segment, "revenue": bought}).with_columns(
        revenue=pl.when(pl.col("segment") == "A").then(-pl.col("revenue")).otherwise("revenue")
    )
    found = segkit.measure_lift(rows, control="none", metrics=["revenue"]).effects
    parts = found.filter(pl.col("segment") != "all customers")
    for name in ("shrunk", "shrunk_low", "shrunk_high"):
        assert parts[name].is_finite().all(), parts


def test_limits_that_are_all_withheld_are_numbers():
    rows = pl.DataFrame({"arm": ["none", "mail"] * 50, "revenue": [0.0, 0.0] * 49 + [0.0, 9.0]})
    table = segkit.measure_profit(rows, control="none", margin=0.5, cost_per_contact=0.1).table
    assert table["few"].all()
    assert (table["added_profit_low"] > 0).null_count() == table.height


def test_one_customer_an_arm_shows_no_spread_and_gets_no_interval():
    frame = pl.DataFrame(
        {
            "arm": ["control", "test"] * 41,
            "segment": ["many"] * 80 + ["two"] * 2,
            "revenue": [0.0, 10.0, 5.0, 0.0] * 20 + [0.0, -5.0],
        }
    )
    profit = segkit.measure_profit(frame, control="control", margin=0.4, cost_per_contact=0.1)
    row = profit.table.filter(segment="two").row(0, named=True)
    assert row["added_profit"] == pytest.approx(0.4 * -5 - 0.1)
    assert row["added_profit_low"] is row["added_profit_high"] is None
