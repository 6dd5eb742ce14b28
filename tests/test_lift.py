"""Lift: verdicts, segments, money, guards and refusals, on frames made for the purpose."""

import json

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.errors import DataError, ParameterError
from segkit.lift.effects import KPIS
from segkit.lift.outcomes import Outcomes
from segkit.lift.sums import sum_up


def arm_rows(arm, segment, n, conversions, amount=20.0, visits=2):
    order = np.arange(n)
    return pl.DataFrame(
        {
            "converted": (order < conversions).astype(int),
            "orders": (order < conversions).astype(int),
            "revenue": np.where(order < conversions, amount, 0.0),
            "visits": np.full(n, visits),
            "unsubscribed": (order < n // 100).astype(int),
        }
    ).with_columns(arm=pl.lit(arm), segment=pl.lit(segment))


def campaign(cells):
    """Cells of (arm, segment, n, conversions), customers numbered."""
    frame = pl.concat([arm_rows(*cell) for cell in cells])
    return frame.with_columns(customer_id=pl.int_range(pl.len()).cast(pl.String))


@pytest.fixture(scope="module")
def frame():
    return campaign(
        [("mail", "S1", 5000, 500), ("none", "S1", 5000, 300), ("mail", "S2", 5000, 251),
         ("none", "S2", 5000, 250), ("mail", "S3", 400, 24), ("none", "S3", 400, 20)]
    )  # fmt: skip


def test_verdicts_differ_same_and_undecided_each_with_its_reason(frame):
    found = segkit.measure_lift(frame, control="none", margins={"conversion": 0.015})
    verdict = {
        segment: found.row(segment=segment)["verdict"]
        for segment in ("all customers", "S1", "S2", "S3")
    }
    assert verdict == {"all customers": "higher", "S1": "higher", "S2": "same", "S3": "undecided"}
    without = segkit.measure_lift(frame, control="none")
    assert without.row(segment="S2")["verdict"] == "undecided"
    row = without.row(segment="S3")
    # Half the distance between the hypotheses at 80% power and Bonferroni over 3 segments.
    under_no_effect = np.sqrt(44 / 800 * (1 - 44 / 800) * 2 / 400)
    assert row["smallest_effect"] == pytest.approx((2.39398 + 0.84162) * under_no_effect, rel=1e-4)
    assert "higher in S1; undecided in S2, S3 (Holm over 3 segments)" in without.text
    assert "differ by more than chance" in without.text


def test_holm_is_over_the_declared_family(frame):
    found = segkit.measure_lift(frame, control="none")
    part = found.effects.filter(family="conversion, segments").sort("p_value")
    assert part["p_adjusted"][0] == pytest.approx(3 * part["p_value"][0])
    whole = found.effects.filter(family="conversion, overall")
    assert whole["p_adjusted"].to_list() == whole["p_value"].to_list()


def test_shrunken_effects_lie_between_their_own_and_the_mean(frame):
    found = segkit.measure_lift(frame, control="none").effects.filter(metric="conversion")
    parts = found.filter(pl.col("segment") != "all customers")
    middle = (parts["difference"] / parts["error"] ** 2).sum() / (1 / parts["error"] ** 2).sum()
    own, moved = parts["difference"] - middle, parts["shrunk"] - middle
    assert (moved.abs() <= own.abs() + 2e-3).all()
    assert found.filter(segment="all customers")["shrunk"].null_count() == 1


def test_a_split_that_differs_between_segments_does_not_fool_the_whole():
    """Simpson: no effect in either segment, but the arm holds more of the better one."""
    rows = campaign(
        [("mail", "good", 9000, 1800), ("none", "good", 1000, 200), ("mail", "bad", 1000, 10),
         ("none", "bad", 9000, 90)]
    )  # fmt: skip
    pooled = segkit.measure_lift(rows, control="none", overall="pooled").row()
    assert pooled["verdict"] == "higher"
    found = segkit.measure_lift(rows, control="none")
    assert found.row()["difference"] == pytest.approx(0.0, abs=1e-12)
    assert found.row()["verdict"] == "undecided"
    assert "weight the segments' effects" in found.text
    assert segkit.lift.check_sample_ratio(rows).level == "poor"


def test_a_metric_whose_denominator_follows_the_assignment_describes(frame):
    found = segkit.measure_lift(frame, control="none")
    ratio = found.row(metric="order_value")
    assert (ratio["use"], ratio["verdict"], ratio["value_arm"]) == ("descriptive",) * 2 + (20.0,)
    table = segkit.lift.list_kpis()
    assert table.filter(use="descriptive")["metric"].to_list() == [
        metric.name for metric in KPIS if metric.kind == "ratio"
    ]
    assert table["below"].null_count() == 0
    assert {"conversion", "click_through", "open_rate", "order_value", "inactive_rate", "roi",
            "unsubscribe_rate", "revenue", "clv"} <= set(table["metric"])  # fmt: skip


def test_guardrails_need_a_margin_and_then_pass_or_not(frame):
    found = segkit.measure_lift(frame, control="none")
    assert found.guardrails["verdict"].to_list() == ["no margin declared"]
    passed = segkit.measure_lift(frame, control="none", margins={"unsubscribe_rate": 0.01})
    row = passed.guardrails.row(0, named=True)
    assert row["verdict"] == "no harm"
    assert row["difference"] < row["worst"] < 0.01
    tight = segkit.measure_lift(frame, control="none", margins={"unsubscribe_rate": 0.0001})
    assert tight.guardrails["verdict"][0] == "not shown"
    worse = frame.with_columns(
        unsubscribed=pl.when(pl.col("arm") == "mail").then(pl.col("visits") - 1).otherwise(0)
    )
    harmed = segkit.measure_lift(worse, control="none", margins={"unsubscribe_rate": 0.01})
    assert harmed.guardrails["verdict"][0] == "harm"
    assert "harm is shown" in harmed.guardrail_text


def test_zero_conversions_in_an_arm_have_a_stated_treatment():
    rows = campaign([("mail", "S", 500, 12), ("none", "S", 500, 0)])
    row = segkit.measure_lift(rows, control="none").row()
    assert (row["relative"], row["relative_high"], row["few"]) == (np.inf, np.inf, True)
    assert row["relative_low"] > 0
    assert row["difference_low"] > 0
    text = segkit.measure_lift(rows, control="none", segment=None).text
    assert "no relative lift, for the control is zero" in text
    assert "not vouched for" in text
    other = segkit.measure_lift(rows, control="mail").row()
    assert (other["relative"], other["verdict"]) == (-1.0, "lower")
    nobody = campaign([("mail", "S", 50, 0), ("none", "S", 50, 0)])
    row = segkit.measure_lift(nobody, control="none").row()
    assert (row["p_value"], row["verdict"]) == (1.0, "undecided")
    assert row["difference_low"] < 0 < row["difference_high"]


def test_fieller_says_so_when_it_is_unbounded():
    rows = campaign([("mail", "S", 500, 12), ("none", "S", 50, 1)])
    found = segkit.measure_lift(rows, control="none", relative="fieller", segment=None)
    assert found.row()["relative_high"] == np.inf
    assert "unbounded above, Fieller" in found.text
    found.plot(scale="relative")  # an infinite limit is left undrawn


def test_an_empty_segment_and_a_holdout_of_five():
    rows = campaign(
        [("mail", "S1", 500, 50), ("none", "S1", 5, 1), ("mail", "S2", 300, 30)]
    )  # fmt: skip
    found = segkit.measure_lift(rows, control="none")
    assert found.row(segment="S2")["verdict"] == "not measured"
    assert found.row(segment="S1")["few"]
    assert "not comparable in S2" in found.text
    assert "Too few cases" in found.text
    money = segkit.measure_profit(rows, control="none", margin=0.5, cost_per_contact=0.1)
    assert money.table["segment"].to_list() == ["all customers", "S1"]


def test_refusals_say_what_can_be_done():
    one = campaign([("mail", "S", 50, 5)])
    with pytest.raises(DataError, match=r"one arm only.*describe_change"):
        segkit.measure_lift(one, control="mail")
    rows = campaign([("mail", "S1", 50, 5), ("none", "S2", 50, 5)])
    with pytest.raises(DataError, match=r"each segment has one arm.*assigned at random"):
        segkit.measure_lift(rows, control="none")
    both = campaign([("mail", "S", 50, 5), ("none", "S", 50, 5)])
    for call in (segkit.measure_lift, segkit.measure_profit):
        more = {"margin": 0.5, "cost_per_contact": 0.1} if call is segkit.measure_profit else {}
        chosen = Outcomes(both, pl.DataFrame(), None, None, randomised=False)
        with pytest.raises(DataError, match=r"chosen, not assigned at random.*before/after"):
            call(chosen, control="none", **more)
        with pytest.raises(DataError, match="come twice"):
            call(pl.concat([both, both.head(3)]), control="none", **more)
        with pytest.raises(ParameterError, match="unknown arm 'noen'; did you mean 'none'"):
            call(both, control="noen", **more)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"revenue": pl.lit(float("inf"))}, "'revenue' holds values that are infinite"),
        ({"revenue": pl.lit(float("nan"))}, "infinite or not a number"),
        ({"converted": pl.lit(None, pl.Int64)}, "'converted' is missing for 100"),
        ({"segment": pl.lit(None, pl.String)}, "100 customers have no segment"),
        ({"arm": pl.lit(None, pl.String)}, "have no arm"),
        ({"converted": pl.lit("yes")}, "must be numeric or Boolean"),
    ],
)
def test_outcomes_that_cannot_be_summed_are_refused(change, message):
    both = campaign([("mail", "S", 50, 5), ("none", "S", 50, 5)])
    with pytest.raises(DataError, match=message):
        segkit.measure_lift(both.with_columns(**change), control="none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["conversoin"]}, "did you mean 'conversion'"),
        ({"margins": {"clv": 1.0}}, "unknown metric 'clv'"),
        ({"relative": "katz"}, "unknown value of relative"),
        ({"overall": "both"}, "unknown value of overall"),
        ({"arms": ["none"]}, "with itself"),
        ({"level": 1.5}, "level must lie"),
    ],
)
def test_wrong_options_are_named(frame, options, message):
    with pytest.raises(ParameterError, match=message):
        segkit.measure_lift(frame, control="none", **options)


def test_negative_revenue_is_summed_not_hidden():
    rows = campaign([("mail", "S", 200, 40), ("none", "S", 200, 20)])
    back = rows.with_columns(
        revenue=pl.when((pl.col("arm") == "mail") & (pl.col("converted") == 1))
        .then(-5.0).otherwise(pl.col("revenue"))
    )  # fmt: skip
    row = segkit.measure_lift(back, control="none").row(metric="revenue")
    assert row["value_arm"] == pytest.approx(-1.0)
    assert row["verdict"] == "lower"
    money = segkit.measure_profit(back, control="none", margin=0.5, cost_per_contact=0.0)
    assert money.table["added_revenue"][0] == pytest.approx(-3.0)
    assert money.table["roi"][0] is None
    assert "no more was spent" in money.text


def test_equal_costs_of_arms_give_no_return_but_for_their_rounding():
    sizes = (("S1", 87, 91), ("S2", 113, 107), ("S3", 61, 59))
    cells = [("tailored", segment, n, 9) for segment, n, _ in sizes]
    rows = campaign([*cells, *(("generic", segment, n, 7) for segment, _, n in sizes)])
    money = segkit.measure_profit(
        rows, control="generic", margin=0.45, cost_per_contact={"tailored": 0.05, "generic": 0.05}
    )
    assert money.table["roi"].null_count() == money.table.height
    assert money.headline.endswith(("a gain.", "a loss.", "gain or loss undecided."))


def test_two_arms_stand_in_one_sentence_with_their_verdicts(frame):
    other = frame.filter(arm="mail").with_columns(
        arm=pl.lit("card"), customer_id=pl.lit("c") + pl.int_range(pl.len()).cast(pl.String)
    )
    found = segkit.measure_lift(pl.concat([frame, other]), control="none")
    assert found.headline.count("higher") == 2
    tables = found.by_unit
    assert tables["rates"].filter(label="conversion").height == 2
    effect = found.row(metric="conversion", arm="mail")
    rate = tables["rates"].filter(label="conversion", arm="mail").row(0, named=True)
    assert rate["value_arm_rate"] == effect["value_arm"]
    assert rate["low_points"] == 100 * effect["difference_low"]
    amounts = {"revenue per customer", "average order value", "customer lifetime value"}
    assert set(tables["money"]["label"]) <= amounts
    assert {"revenue per customer"} <= set(tables["money"]["label"])
    assert not amounts & set(tables["counts"]["label"])
    assert sum(table.height for table in tables.values()) == found.overall.height
    assert "95% CI" in found.headline


def test_row_order_and_engine_change_nothing(frame):
    one = segkit.measure_lift(frame, control="none").effects
    shuffled = segkit.measure_lift(frame.sample(fraction=1, shuffle=True, seed=1), control="none")
    lazy = segkit.measure_lift(frame.lazy(), control="none")
    for other in (shuffled.effects, lazy.effects):
        assert one.drop("shrunk", "shrunk_low", "shrunk_high").equals(
            other.drop("shrunk", "shrunk_low", "shrunk_high"), null_equal=True
        )


def test_few_groups_set_apart_sum_as_the_engine_groups_them(monkeypatch):
    """Beyond 30,000 rows few groups are set apart; more go to the engine's own grouping."""
    rows = pl.DataFrame({"arm": ["b", "a", None] * 11_000, "x": np.arange(33_000) % 7})
    with pytest.raises(DataError, match="11,000 customers have no arm"):
        sum_up(rows, ["x"], segment=None)
    apart = sum_up(rows.drop_nulls().vstack(rows.drop_nulls()), ["x"], segment=None)
    monkeypatch.setattr("segkit.lift.sums.FEW", 1)
    grouped = sum_up(rows.drop_nulls().vstack(rows.drop_nulls()), ["x"], segment=None)
    assert apart.arms == grouped.arms == ("a", "b")
    assert (apart.totals == grouped.totals).all()
    assert (apart.products == grouped.products).all()


def test_sums_over_segments_are_the_sums_over_all(frame):
    sums = sum_up(frame, ["revenue", "converted"], pairs=[("revenue", "converted")])
    whole = sum_up(frame, ["revenue", "converted"], pairs=[("revenue", "converted")], segment=None)
    assert sums.n.sum() == frame.height
    assert sums.totals.sum(axis=0) == pytest.approx(whole.totals[0])
    found = sums.moments(None, 0, ["revenue", "converted"])
    part = frame.filter(arm="mail").select("revenue", "converted").to_numpy().astype(float)
    assert found.covariance == pytest.approx(np.cov(part.T))


def test_money_is_linear_in_margin_and_cost(frame):
    options = {"control": "none"}
    one = segkit.measure_profit(frame, margin=0.5, cost_per_contact=0.0, **options).table
    two = segkit.measure_profit(
        frame, margin=0.5, cost_per_contact={"mail": 0.1}, fixed_cost=104.0, **options
    ).table
    assert two["added_profit"][0] == pytest.approx(one["added_profit"][0] - 0.1 - 104 / 10_400)
    assert two["added_profit"][1] == pytest.approx(one["added_profit"][1] - 0.1)
    assert two["total_profit"][0] == pytest.approx(two["added_profit"][0] * 10_400)
    assert two["added_revenue_low"].to_list() == one["added_revenue_low"].to_list()
    again = segkit.measure_profit(frame[::-1], margin=0.5, cost_per_contact=0.0, **options).table
    assert again.equals(one)
    plain = segkit.measure_lift(frame, control="none").row(metric="revenue")
    width = one["added_revenue_high"][0] - one["added_revenue_low"][0]
    assert width == pytest.approx(plain["difference_high"] - plain["difference_low"], rel=0.02)


@pytest.mark.parametrize(
    "options",
    [{"margin": 1.5, "cost_per_contact": 0}, {"margin": 0.5, "cost_per_contact": -1},
     {"margin": 0.5, "cost_per_contact": {"post": 1}}],
)  # fmt: skip
def test_impossible_costs_are_refused(frame, options):
    with pytest.raises(ParameterError):
        segkit.measure_profit(frame, control="none", **options)


def test_sample_ratio_sees_a_loss_and_knows_the_plan(frame):
    assert segkit.lift.check_sample_ratio(frame).level == "good"
    lost = frame.filter((pl.col("arm") == "none") | (pl.col("converted") == 0))
    found = segkit.lift.check_sample_ratio(lost)
    assert found.level == "poor"
    assert "no lift below can be trusted" in found.text
    rows = campaign([("mail", "S", 900, 5), ("none", "S", 100, 5)])
    assert segkit.lift.check_sample_ratio(rows, {"mail": 9, "none": 1}).level == "good"
    assert segkit.lift.check_sample_ratio(rows).level == "poor"
    nobody = segkit.lift.check_sample_ratio(rows, {"mail": 9, "none": 1, "post": 1})
    assert nobody.level == "poor"
    assert "post 0" in nobody.text
    with pytest.raises(ParameterError, match="unknown arm 'none'"):
        segkit.lift.check_sample_ratio(rows, {"mail": 1, "post": 1})


def test_balance_finds_the_covariate_that_chose_the_arm(frame):
    rng = np.random.default_rng(0)
    known = frame.with_columns(
        age=pl.Series(rng.normal(40, 10, frame.height)),
        chosen=(pl.col("arm") == "mail").cast(pl.Float64) + pl.Series(rng.random(frame.height)),
    )
    found = segkit.lift.check_balance(known, ["age"], control="none")
    assert "the arms were alike" in found.text
    biased = segkit.lift.check_balance(known, ["age", "chosen"], control="none")
    assert "doubt that the arms were assigned at random" in biased.text
    assert biased.table.filter(covariate="chosen")["standardised"][0] > 1
    with pytest.raises(DataError, match="none was given"):
        segkit.lift.check_balance(known, [], control="none")


def test_daily_looks_are_cumulative_and_wider_than_one_look():
    rng = np.random.default_rng(1)
    when = np.where(rng.random(8000) < 0.1, rng.integers(1, 29, 8000), 0)
    rows = pl.DataFrame({"conversion_day": when, "arm": ["a", "b"] * 4000}).with_columns(
        conversion_day=pl.when(pl.col("conversion_day") > 0).then(pl.col("conversion_day"))
    )
    found = segkit.lift.measure_daily_lift(rows, arm="a", control="b", planned_rate=0.1, days=28)
    last = found.table.row(-1, named=True)
    assert last["value_arm"] == pytest.approx(
        rows.filter(arm="a")["conversion_day"].is_not_null().mean()
    )
    assert (found.table["low"] < found.table["fixed_low"]).all()
    assert found.first_day is None
    assert "On no day" in found.text
    strong = rows.filter((pl.col("arm") == "a") | pl.col("conversion_day").is_null())
    assert (
        segkit.lift.measure_daily_lift(strong, arm="a", control="b", planned_rate=0.1).first_day
        < 10
    )
    with pytest.raises(ParameterError, match="above 0 and below 1"):
        segkit.lift.measure_daily_lift(rows, arm="a", control="b", planned_rate=0)
    with pytest.raises(ParameterError, match="unknown arm"):
        segkit.lift.measure_daily_lift(rows, arm="z", control="b", planned_rate=0.1)


def test_pictures_say_what_they_show_and_results_are_stored(frame):
    found = segkit.measure_lift(frame, control="none")
    for scale in ("difference", "relative", "shrunk"):
        assert "S1" in found.plot(scale=scale).alt
    assert found.plot().data["effect"][0] == pytest.approx(100 * found.row()["difference"])
    with pytest.raises(ParameterError, match="unknown scale"):
        found.plot(scale="log")
    back = type(found).from_dict(json.loads(json.dumps(found.to_dict())))
    assert back.text == found.text
    money = segkit.measure_profit(frame, control="none", margin=0.5, cost_per_contact=0.1)
    assert "all customers" in money.plot().alt
    assert segkit.lift.check_balance(frame, ["visits"], control="none").table.height == 1


def test_arms_that_got_no_mail_are_not_compared_on_mail(frame):
    mailed = frame.with_columns(
        emails_sent=(pl.col("arm") == "mail").cast(pl.Int64), emails_opened=0, clicked=0
    )
    found = segkit.measure_lift(mailed, control="none")
    assert "click_through" not in found.effects["metric"].to_list()
    assert any("got no mail" in note for note in found.notes)


@pytest.mark.parametrize(
    "values", [[0, 1, 2, 3], [0, -1, 0, 1], [0.5, 0.5, 0.5, 0.5], [2, 2, 0, 0]]
)
def test_a_share_of_what_is_not_0_or_1_is_refused(values):
    rows = pl.DataFrame({"arm": ["a", "b"] * 8, "converted": values * 4, "orders": values * 4})
    with pytest.raises(DataError, match="'converted' must be 0 or 1"):
        segkit.measure_lift(rows, control="a", metrics=["conversion"])
    assert segkit.measure_lift(rows, control="a", metrics=["orders"]).row()["value_control"] == (
        sum(values[::2]) / 2
    )


def test_a_boolean_and_a_whole_float_are_shares():
    rows = pl.DataFrame({"arm": ["a", "b"] * 8, "converted": [0.0, 1.0, 1.0, 1.0] * 4})
    one = segkit.measure_lift(rows, control="a", metrics=["conversion"]).row()
    flags = rows.with_columns(pl.col("converted").cast(pl.Boolean))
    two = segkit.measure_lift(flags, control="a", metrics=["conversion"]).row()
    assert {**two, "p_same": None} == {**one, "p_same": None}  # NaN without a margin
    assert (one["value_arm"], one["value_control"]) == (1.0, 0.5)


def test_a_column_far_from_zero_keeps_its_variance():
    random = np.random.default_rng(0)
    far = 1e9 + random.normal(size=10_000)
    whole = (10**9 + np.arange(10_000) % 7).astype(np.int64)
    frame = pl.DataFrame({"arm": ["a", "b"] * 5000, "far": far, "whole": whole})
    sums = sum_up(frame, ["far", "whole"], pairs=[("far", "whole")], segment=None)
    found = sums.moments(None, 0, ["far", "whole"])
    expected = np.cov(far[::2] - 1e9, whole[::2] - 1e9)
    assert found.covariance == pytest.approx(expected, rel=1e-9)
    assert sums.totals[0, 0] == pytest.approx([far[::2].sum(), whole[::2].sum()], rel=1e-14)
    amounts = sums.amounts(0, "far")
    assert amounts.second == pytest.approx([((far[::2] - far[::2].mean()) ** 2).sum()], rel=1e-9)


def small_holdout():
    """3,000 mailed, 60 of whom bought, against 30 held out without a buyer."""
    amounts = np.random.default_rng(0).lognormal(3.5, 0.7, 60)
    rows = [("mail", 1, float(a)) for a in amounts] + [("mail", 0, 0.0)] * 2940
    rows += [("hold", 0, 0.0)] * 30
    return pl.DataFrame(rows, schema=["arm", "converted", "revenue"], orient="row")


def test_a_control_without_a_buyer_proves_no_revenue():
    found = segkit.measure_lift(small_holdout(), control="hold")
    row = found.row(metric="revenue")
    assert (row["verdict"], row["few"], row["p_value"]) == ("undecided", True, 1.0)
    assert np.isnan(row["difference_low"])
    assert np.isnan(row["difference_high"])
    assert row["smallest_effect"] > 2 * row["difference"]
    assert found.row(metric="conversion")["verdict"] == "undecided"
    assert any("fewer than 5 buyers" in note for note in found.notes)
    money = segkit.measure_profit(
        small_holdout(), control="hold", margin=0.4, cost_per_contact=0.05
    )
    row = money.table.row(0, named=True)
    assert row["few"]
    assert [row[name] for name in ("profit_chance", "added_profit_low", "roi_high")] == [None] * 3
    assert "undecided" in money.text


def test_a_verdict_agrees_with_the_interval_that_is_shown():
    rng = np.random.default_rng(5)
    for _ in range(30):
        n = rng.integers(20, 3000, 2)
        bought = [rng.random(k) < p for k, p in zip(n, rng.uniform(0.01, 0.3, 2), strict=True)]
        frame = pl.DataFrame(
            {
                "arm": ["mail"] * int(n[0]) + ["none"] * int(n[1]),
                "converted": np.concatenate(bought).astype(int),
                "revenue": np.concatenate([b * rng.lognormal(3, 1, len(b)) for b in bought]),
            }
        )
        margins = {"conversion": 0.1, "revenue": 3.0}
        for row in segkit.measure_lift(frame, control="none", margins=margins).effects.iter_rows(
            named=True
        ):
            low, high, margin = (
                row["difference_low"],
                row["difference_high"],
                margins[row["metric"]],
            )
            holds = {
                "higher": low > 0, "lower": high < 0, "same": low > -margin and high < margin,
            }  # fmt: skip
            assert holds.get(row["verdict"], True), row


def test_shrunken_effects_know_counts():
    cells = []
    for segment, mailed, held in (
        ("A", (4000, 80), (450, 9)), ("B", (4000, 80), (450, 8)), ("C", (4000, 80), (450, 10)),
        ("D", (400, 8), (30, 0)),
    ):  # fmt: skip
        cells += [("mail", segment, *mailed), ("none", segment, *held)]
    found = segkit.measure_lift(campaign(cells), control="none").effects
    part = found.filter(pl.col("segment") == "D", pl.col("metric").is_in(["conversion", "revenue"]))
    assert (part["shrunk_low"] < 0).all()
    assert (part["shrunk_high"] > 0).all()
    assert (part["shrunk"] < part["difference"]).all()
