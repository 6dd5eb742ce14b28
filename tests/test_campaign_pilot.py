"""The pilot, its honest values, budgets, rules and segmentations: right, honest, and refusing."""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.campaign import (
    OfferRules,
    assign_segmentations,
    compare_segmentations,
    compute_segment_power,
    estimate_pilot_gains,
    plan_budget,
    read_pilot,
    read_segmentation_test,
    spread_gains_by_value,
)
from segkit.campaign.pilot import make_trial
from segkit.errors import ColumnError, DataError, ParameterError, RuleError
from segkit.result import Result
from segkit.rules import Domain
from segkit.stats.policy import (
    Trial,
    cells,
    honest_scores,
    joint_errors,
    learn_best,
    shrink,
    split_folds,
    value_of,
)

SEGMENTS, OFFERS = ("A", "B", "C"), ("none", "guide", "sale")
# Conversion by segment and offer: A wants the sale, B the guide, C nothing in particular.
RATES = {"A": (0.05, 0.07, 0.20), "B": (0.10, 0.25, 0.12), "C": (0.30, 0.30, 0.30)}


def pilot(n=6000, seed=0, rates=RATES):
    rng = np.random.default_rng(seed)
    segment, offer = rng.integers(3, size=n), rng.integers(3, size=n)
    chance = np.array([rates[s] for s in SEGMENTS])[segment, offer]
    return pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "segment": np.array(SEGMENTS)[segment],
            "offer": np.array(OFFERS)[offer],
            "converted": (rng.random(n) < chance).astype(int),
        }
    ).with_columns(profit=pl.col("converted") * 10.0 - 0.1 * (pl.col("offer") != "none"))


FLAT = dict.fromkeys(SEGMENTS, (0.1, 0.1, 0.1))


def test_the_planted_offers_are_learnt_and_pay():
    found = read_pilot(pilot(), payoff="profit")
    learnt = dict(found.policy.select("segment", "offer").iter_rows())
    assert (learnt["A"], learnt["B"]) == ("sale", "guide")
    assert found.pays
    assert found.interaction_p < 1e-6
    assert found.text.startswith("Tailoring pays: ")
    oracle = np.mean([max(r) for r in RATES.values()]) * 10 - 0.1
    tailored = found.values.filter(policy="tailored by segment").row(0, named=True)
    assert tailored["low"] < oracle < tailored["high"]


def test_without_an_effect_it_says_so_and_treats_all_alike():
    alike, said = 0, 0
    for seed in range(20):
        found = read_pilot(pilot(1500, seed, FLAT), repeats=10, seed=seed)
        alike += found.policy["offer"].n_unique() == 1
        said += "Tailoring is not shown to pay" in found.text
    assert alike >= 8
    assert said >= 18


def test_values_are_honest_where_plain_ones_flatter():
    """On pure noise the policy's own customers promise a gain, held-out ones promise none."""
    naive, honest = [], []
    for seed in range(60):
        frame = pilot(600, seed, FLAT)
        trial, _, _ = make_trial(frame, "segment", "offer", "converted")
        learners = {kind: partial(learn_best, trial, method=kind) for kind in ("mean", "single")}
        scores = honest_scores(trial, learners, split_folds(trial, 5, seed))
        honest.append((scores["mean"] - scores["single"]).mean())
        means = frame.group_by("segment", "offer").agg(pl.mean("converted"), pl.len())
        best = means.group_by("segment").agg(pl.max("converted"), pl.sum("len"))
        single = frame.group_by("offer").agg(pl.mean("converted"))["converted"].max()
        naive.append((best["converted"] * best["len"]).sum() / frame.height - single)
    error = np.std(honest) / np.sqrt(len(honest))
    assert abs(np.mean(honest)) < 4 * error
    assert np.mean(naive) > 5 * np.std(naive) / np.sqrt(len(naive))


def test_scores_are_the_doubly_robust_ones():
    frame = pilot(90)
    code = {name: k for k, name in enumerate(SEGMENTS)}
    option = {name: k for k, name in enumerate(OFFERS)}
    trial = Trial(
        np.array([code[s] for s in frame["segment"]]),
        np.array([option[o] for o in frame["offer"]]),
        frame["converted"].to_numpy().astype(float),
        np.full(3, 1 / 3), 3, 3,
    )  # fmt: skip
    folds = split_folds(trial, 3, 0)
    found = honest_scores(trial, {"x": lambda rows: np.array([2, 1, 0])}, folds)["x"]
    policy = {"A": "sale", "B": "guide", "C": "none"}
    valued = frame.with_columns(fold=folds).filter(pl.col("fold") > 0)
    assert len(found) == valued.height
    for i, row in enumerate(valued.iter_rows(named=True)):
        rest = frame.filter(pl.Series(folds < row["fold"]))
        chosen = policy[row["segment"]]
        cell = rest.filter(segment=row["segment"], offer=chosen)["converted"]
        guess = cell.mean() if len(cell) else rest["converted"].mean()
        got = row["offer"] == chosen
        assert found[i] == pytest.approx(guess + 3 * got * (row["converted"] - guess))


def test_the_value_is_covered_where_all_offers_are_alike():
    """With ties, halves that value each other vary more than their scores show; forward do not."""
    gone, crossed, errors = [], [], []
    for seed in range(600):
        rng = np.random.default_rng(seed)
        option, y = np.arange(600) % 6, rng.normal(size=600)
        trial = Trial(np.zeros(600, dtype=np.int64), option, y, np.full(6, 1 / 6), 1, 6)
        learn = {"best": lambda rows, trial=trial: learn_best(trial, rows, method="mean")}
        found = value_of(honest_scores(trial, learn, split_folds(trial, 5, seed))["best"])
        gone.append(found.low <= 0 <= found.high)
        errors.append(found.value / ((found.high - found.low) / 3.92))
        half = split_folds(trial, 2, seed)
        both = [honest_scores(trial, learn, f)["best"] for f in (half, 1 - half)]
        old = value_of(np.concatenate(both))
        crossed.append(old.low <= 0 <= old.high)
    bound = 3 * np.sqrt(0.05 * 0.95 / 600)
    assert abs(np.mean(gone) - 0.95) < bound
    assert abs(np.std(errors) - 1) < 3 / np.sqrt(2 * 600)
    assert np.mean(crossed) < 0.95 - bound


def test_shrinking_stays_between_cell_and_prior_and_vanishes_with_data():
    rng = np.random.default_rng(0)
    n = np.full((4, 3), 200.0)
    mean = rng.normal(size=(4, 1)) + rng.normal(size=(1, 3)) + 0.3 * rng.normal(size=(4, 3))
    small = shrink(n, mean, np.full((4, 3), 40.0))
    large = shrink(n * 1e6, mean, np.full((4, 3), 40.0))
    assert large[0] == pytest.approx(mean, abs=1e-3)
    assert np.abs(small[0] - mean).max() > 0.01
    additive = np.add.outer([1.0, 2.0], [0.0, 3.0])
    same = shrink(np.full((2, 2), 50.0), additive, np.ones((2, 2)))
    assert same[0] == pytest.approx(additive)
    assert same[2] == 0


def test_cells_are_means_with_wilsons_limits():
    from statsmodels.stats.proportion import proportion_confint

    frame = pilot(500)
    found = read_pilot(frame, repeats=5).cells
    for row in found.iter_rows(named=True):
        own = frame.filter(segment=row["segment"], offer=row["offer"])["converted"]
        low, high = proportion_confint(own.sum(), len(own), method="wilson")
        assert row["customers"] == len(own)
        assert (row["mean"], row["low"], row["high"]) == pytest.approx((own.mean(), low, high))


def test_row_order_and_labels_do_not_matter():
    frame = pilot(800)
    one = read_pilot(frame, repeats=5, folds=2)
    two = read_pilot(frame.sample(fraction=1.0, shuffle=True, seed=1), repeats=5, folds=2)
    assert one.cells.equals(two.cells)
    assert one.policy["offer"].to_list() == two.policy["offer"].to_list()
    assert Result.from_dict(one.to_dict()).text == one.text


def test_one_offer_for_all_is_the_generic_one_else_the_best_single():
    found = read_pilot(pilot(900), payoff="profit", repeats=1)
    assert found.single == "sale" == found.common_offer
    assert replace(found, single="none").common_offer == "generic", "no contact is no offer"
    renamed = pilot(900).with_columns(offer=pl.col("offer").replace("guide", "generic"))
    mixed = read_pilot(renamed, payoff="profit", repeats=1)
    assert (mixed.single, mixed.common_offer) == ("sale", "generic")


def test_small_cells_are_warned_of():
    assert "cells hold fewer than 30 customers" in read_pilot(pilot(200), repeats=5).text


def test_its_pictures_say_what_they_show():
    found = read_pilot(pilot(900), repeats=5)
    picture = found.plot()
    assert picture.data.height == 9
    assert "Framed:" in picture.alt
    assert found.plot_values().data.height == 5


@pytest.mark.parametrize(
    ("change", "more", "error", "message"),
    [
        ({"offer": pl.lit("sale")}, {}, DataError, "at least two values of offer to compare"),
        ({"offer": pl.lit(None, dtype=pl.String)}, {}, DataError, "have no segment and 300"),
        ({"converted": pl.lit(float("inf"))}, {}, DataError, "missing or infinite"),
        ({}, {"outcome": "bought"}, ColumnError, "lacks bought"),
        ({}, {"folds": 1}, ParameterError, "at least 2"),
    ],
)
def test_wrong_pilots_are_refused(change, more, error, message):
    frame = pilot(300).with_columns(**change)
    outcome = more.pop("outcome", "converted")
    with pytest.raises(error, match=message):
        read_pilot(frame, outcome, **more)


def test_a_customer_twice_is_refused():
    with pytest.raises(DataError, match="2 customers come more than once"):
        read_pilot(pl.concat([pilot(50), pilot(50).head(2)]))


# Budget -------------------------------------------------------------------------------------


def gains(**more):
    frame = {
        "segment": ["A", "A", "B", "B"],
        "offer": ["x", "y", "x", "y"],
        "customers": [5, 5, 4, 4],
        "gain": [2.0, 3.0, 1.5, 0.2],
        "cost": [0.5, 1.2, 0.5, 0.4],
        "error": [0.5, 0.6, 0.4, 0.3],
    }
    return pl.DataFrame({**frame, **more})


def brute(frame, budget, caps):
    net = (frame["gain"] - frame["cost"]).to_numpy()
    cost, best = frame["cost"].to_numpy(), 0.0
    for x in product(range(6), range(6), range(5), range(5)):
        fits = x[0] + x[1] <= 5 and x[2] + x[3] <= 4 and np.dot(cost, x) <= budget + 1e-9
        if fits and x[0] + x[2] <= caps.get("x", 99) and x[1] + x[3] <= caps.get("y", 99):
            best = max(best, float(np.dot(net, x)))
    return best


@settings(max_examples=8)
@given(st.floats(0, 12), st.integers(0, 9), st.integers(0, 9))
def test_the_plan_is_the_best_of_all_plans(budget, x, y):
    found = plan_budget(gains(), budget=budget, caps={"x": x, "y": y}, draws=50)
    assert found.profit == pytest.approx(brute(gains(), budget, {"x": x, "y": y}), abs=1e-6)
    assert found.spend <= budget + 1e-9


def test_the_uncertainty_is_that_of_the_gains():
    found = plan_budget(gains(), draws=40_000)
    x = found.plan["contacts"].to_numpy()
    sd = float(np.sqrt(((x * gains()["error"].to_numpy()) ** 2).sum()))
    assert found.high - found.low == pytest.approx(2 * 1.96 * sd, rel=0.03)
    assert found.regret > 0
    assert found.frontier["profit"].is_sorted()
    assert plan_budget(gains(error=[0.0] * 4)).regret == 0


def test_a_holdout_is_left_and_losses_are_not_planned():
    found = plan_budget(gains(), max_share=0.6, draws=50)
    assert found.plan.group_by("segment").agg(pl.sum("contacts")).sort("segment")[
        "contacts"
    ].to_list() == [3, 2]
    none = plan_budget(gains(gain=[0.1] * 4), draws=50)
    assert none.contacts == 0
    assert "contacts nobody" in none.text


@pytest.mark.parametrize(
    ("frame", "more", "error", "message"),
    [
        (gains(), {"budget": -1.0}, ParameterError, "at least 0, got -1"),
        (gains(), {"caps": {"z": 3}}, ParameterError, "unknown offer 'z'"),
        (gains(), {"caps": {"x": -3}}, ParameterError, "cap of x"),
        (gains(), {"max_share": 0.0}, ParameterError, "max_share"),
        (gains(gain=[1.0, None, 1.0, 1.0]), {}, DataError, "'gain' holds missing"),
        (gains(cost=[1.0, -1.0, 1.0, 1.0]), {}, DataError, "'cost' must be at least 0"),
        (gains(offer=["x", "x", "x", "y"]), {}, DataError, "1 cell comes twice"),
        (gains(customers=[5, 6, 4, 4]), {}, DataError, "different numbers of customers"),
        (gains().head(0), {}, DataError, "no rows"),
        (gains().drop("cost"), {}, ColumnError, "lacks cost"),
    ],
)
def test_wrong_budgets_are_refused(frame, more, error, message):
    with pytest.raises(error, match=message):
        plan_budget(frame, **more)


def test_gains_are_against_no_contact_with_the_cost_added_again():
    found = read_pilot(pilot(), payoff="profit", repeats=5)
    sizes = {"A": 10, "B": 20, "C": 30}
    table = estimate_pilot_gains(found.cells, sizes, 0.1, paid=True)
    row = table.filter(segment="A", offer="sale").row(0, named=True)
    assert row["gain"] == pytest.approx(10 * (0.20 - 0.05), abs=0.4)
    assert (row["customers"], row["cost"]) == (10, 0.1)
    plan = plan_budget(table, draws=100)
    best = dict(plan.to_frame().select("segment", "offer").iter_rows())
    assert (best["A"], best["B"]) == ("sale", "guide")
    with pytest.raises(DataError, match="no customers without an offer"):
        estimate_pilot_gains(found.cells.filter(pl.col("offer") != "none"), sizes, 0.1)


def test_gains_that_share_an_offers_effect_are_drawn_together():
    """Exact: shrunken cells without interaction err as the additive fit does, in every segment."""
    n, variance = np.full((3, 2), 100.0), np.full((3, 2), 25.0)
    found = joint_errors(np.full((1, 2), 100.0), np.array([[0.0, 1.0]]), np.full((1, 2), 25.0))
    assert found @ found.T == pytest.approx(np.diag([0.25, 0.25]), abs=1e-6)  # one group: as it is
    factor = joint_errors(n, np.array([[0.0, 1.0]] * 3), variance)
    gain = factor[[1, 3, 5]] - factor[[0, 2, 4]]
    least = 0.25 * 2 / 3  # of an effect common to three groups: the mean of three differences
    assert gain.sum(axis=0) @ gain.sum(axis=0) / 9 == pytest.approx(least, rel=1e-6)
    together = gain @ gain.T
    assert (together[~np.eye(3, dtype=bool)] > 0.5 * least).all()

    shared = pl.DataFrame({"segment": ["A", "B"], "offer": ["x", "x"], "customers": [60, 40],
                           "gain": [2.0, 2.0], "cost": [1.0, 1.0], "error": [0.5, 0.5],
                           "loading": [[0.5, 0.0], [0.5, 0.0]]})  # fmt: skip
    plan = plan_budget(shared, draws=40_000)
    apart = plan_budget(shared.drop("loading"), draws=40_000)
    assert plan.high - plan.low == pytest.approx(2 * 1.96 * 0.5 * 100, rel=0.03)
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * 0.5 * np.hypot(60, 40), rel=0.03)
    assert "taken as independent" in apart.text
    assert "taken as independent" not in plan.text
    with pytest.raises(DataError, match="summed squares"):
        plan_budget(shared.with_columns(error=pl.lit(0.4)))
    with pytest.raises(DataError, match="one length"):
        plan_budget(shared.with_columns(loading=pl.Series([[0.5], [0.5, 0.0]])))


def test_the_chosen_plans_profit_is_covered():
    """Truths from the model, each segment's best offer picked: joint errors cover its gain."""
    joint, apart = [], []
    size, n, variance = np.linspace(0.5, 1.5, 5), np.full((5, 5), 100.0), np.full((5, 5), 9.0)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        true = rng.normal(size=(5, 1)) + rng.normal(0.2, 0.3, 5) + 0.15 * rng.normal(size=(5, 5))
        mean = true + 0.3 * rng.normal(size=(5, 5))
        factor = joint_errors(n, mean, variance).reshape(5, 5, -1)
        gain = (lambda m: m[:, 1:] - m[:, :1])(shrink(n, mean, variance)[0])
        loading, truth = factor[:, 1:] - factor[:, :1], true[:, 1:] - true[:, :1]
        chosen = (np.arange(5), gain.argmax(axis=1))
        off = abs(((gain - truth)[chosen] * size).sum())
        part = loading[chosen] * size[:, None]
        joint.append(off <= 1.96 * np.linalg.norm(part.sum(axis=0)))
        apart.append(off <= 1.96 * np.linalg.norm(part))
    assert abs(np.mean(joint) - 0.95) < 3 * np.sqrt(0.05 * 0.95 / 300)
    assert np.mean(apart) < 0.85


def test_a_pilot_hands_on_how_its_gains_hang_together():
    found = read_pilot(pilot(), payoff="profit", repeats=5)
    table = estimate_pilot_gains(found.cells, dict.fromkeys(SEGMENTS, 100), 0.1, paid=True)
    loading = np.array(table["loading"].to_list())
    assert np.linalg.norm(loading, axis=1) == pytest.approx(table["error"].to_numpy())
    assert plan_budget(table, draws=50).joint
    assert not plan_budget(table.drop("loading"), draws=50).joint
    assert "payoff_loading" not in found.to_frame().columns
    nothing = pilot(300).with_columns(converted=pl.lit(0), profit=pl.lit(0.0))
    assert np.isfinite(read_pilot(nothing, repeats=1).cells["payoff_error"].to_numpy()).all()


# Rules --------------------------------------------------------------------------------------

PEOPLE = pl.DataFrame(
    {
        "customer_id": [f"p{i}" for i in range(6)],
        "segment": ["S1", "S1", "S1", "S2", "S2", "S3"],
        "recency_days": [100, 200, 10, 100, 5, 5],
        "spend": [1.0, 9.0, 5.0, 2.0, 3.0, 4.0],
    }
)
TABLE = """
# most urgent first
IF segment = 'S1' AND recency_days > 90 THEN reengagement PRIORITY 1 CAP 1
IF segment in ('S1', 'S2') THEN generic PRIORITY 2
IF segment = 'S2' AND recency_days > 90 THEN sale PRIORITY 3
"""


def test_rules_go_by_priority_and_caps_hand_on():
    found = OfferRules.parse(TABLE).apply(PEOPLE)
    offers = found.frame["offer"].to_list()
    assert sorted(offers[:2]) == ["generic", "reengagement"]  # the cap chooses one of two
    assert offers[2:] == ["generic", "generic", "generic", "none"]
    assert (found.overlap, found.unmatched, found.customers_without_offer) == (3, 1, 1)
    assert found.counts["met"].to_list() == [2, 5, 1]
    assert found.counts["given"].to_list() == [1, 4, 0]
    assert found.counts["beyond_cap"].to_list() == [1, 0, 0]
    assert "3 meet rules of different offers" in found.text


def test_a_cap_chooses_by_hash_not_by_row():
    rules = OfferRules.parse("IF recency_days >= 0 THEN sale CAP 2")
    one = rules.apply(PEOPLE).frame.sort("customer_id")
    two = rules.apply(PEOPLE.reverse()).frame.sort("customer_id")
    assert one.equals(two)
    assert (one["offer"] == "sale").sum() == 2


def test_rules_are_written_as_they_are_read():
    rules = OfferRules.parse(TABLE)
    assert OfferRules.parse(rules.text).text == rules.text
    assert rules.to_frame()["cap"].to_list() == [1, None, None]
    policy = OfferRules.of_policy({"O'Hara": "sale"})
    people = pl.DataFrame({"customer_id": ["a"], "segment": ["O'Hara"]})
    assert policy.apply(people).frame["offer"][0] == "sale"


def test_written_rules_replace_those_of_a_policy():
    written = ["IF spend >= 5 THEN guide PRIORITY 1", "IF spend < 5 THEN generic"]
    rules = OfferRules.of_policy({"S1": "sale", "S2": "sale"}, written=written)
    offers = dict(rules.apply(PEOPLE).frame.select("customer_id", "offer").iter_rows())
    assert offers == {"p0": "generic", "p1": "guide", "p2": "guide"} | dict.fromkeys(
        ("p3", "p4", "p5"), "generic"
    )
    assert OfferRules.of_policy({"S1": "sale"}, written=()).offers == ("sale",)
    with pytest.raises(RuleError, match="line 2: expected 'IF condition"):
        OfferRules.of_policy({"S1": "sale"}, written=[written[0], "guide for all"])


def test_gaps_and_overlaps_are_proved_over_all_possible_customers():
    domains = {
        "segment": Domain("text", values=("S1", "S2", "S3"), nullable=False),
        "recency_days": Domain("integer", low=0, high=400, nullable=False),
    }
    proof = OfferRules.parse(TABLE, domains=domains).prove()
    assert proof.gaps.height == 1
    assert "S3" in proof.gaps["where"][0]
    assert proof.overlaps.height >= 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("WHEN x > 1 THEN sale", "line 1: expected 'IF condition"),
        ("IF x > THEN sale", "line 1, rule 'rule 1'"),
        ("IF x > 1 THEN sale CAP many", "line 1: expected .IF condition"),
        ("", "at least one rule"),
    ],
)
def test_wrong_rules_are_refused(text, message):
    with pytest.raises(RuleError, match=message):
        OfferRules.parse(text)


def test_rules_meet_the_data():
    rules = OfferRules.parse(TABLE)
    with pytest.raises(ColumnError, match="recency_days"):
        rules.apply(PEOPLE.drop("recency_days"))
    with pytest.raises(DataError, match="1 customer comes more than once"):
        rules.apply(pl.concat([PEOPLE, PEOPLE.head(1)]))


# Segmentations ------------------------------------------------------------------------------


def test_the_right_segmentation_is_seen_to_earn_more():
    frame = pilot(6000).with_columns(
        random=pl.Series(np.random.default_rng(9).choice(["P", "Q"], 6000))
    )
    both = {"true": "segment", "random": "random"}
    found = compare_segmentations(frame, "profit", segmentations=both)
    assert found.low > 0
    assert "earns more" in found.text
    turned = compare_segmentations(
        frame, "profit", segmentations={"random": "random", "true": "segment"}
    )
    assert turned.difference == pytest.approx(-found.difference)


def test_two_segmentations_as_arms():
    from datetime import date

    n = 4000
    rng = np.random.default_rng(2)
    people = pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "one": rng.choice(["A", "B"], n),
            "two": rng.choice(["P", "Q"], n),
        }
    )
    plans = {
        "one": ("one", {"A": "sale", "B": "guide"}),
        "two": ("two", {"P": "sale", "Q": "guide"}),
    }
    made = assign_segmentations(
        people, campaign_id="t", segmentations=plans, at=date(2025, 3, 1), holdout=0.1
    )
    assert set(made.sizes) == {"holdout", "one", "two"}
    frame = made.frame.join(people, on="customer_id")
    right = pl.when(pl.col("one") == "A").then(pl.lit("sale")).otherwise(pl.lit("guide"))
    assert frame.filter(arm="one").select((pl.col("offer") == right).all()).item()
    earned = 1.0 * (frame["offer"] == frame.select(right.alias("r"))["r"]) + rng.normal(size=n)
    found = read_segmentation_test(
        frame.with_columns(profit=earned), "profit", names=("one", "two")
    )
    assert found.low < 0.5 < found.high  # it differs for half, by 1
    assert found.differ_share == pytest.approx(0.5, abs=0.03)
    one_buyer = pl.int_range(pl.len()) == int(
        (frame["offer_by_one"] != frame["offer_by_two"]).arg_max()
    )
    few = read_segmentation_test(
        frame.with_columns(revenue=pl.when(one_buyer).then(80.0).otherwise(0.0)),
        "revenue",
        names=("one", "two"),
    )
    assert np.isnan(few.low)
    assert "too few buyers for an interval" in few.text
    same = frame.with_columns(offer_by_two=pl.col("offer_by_one"), profit=1.0)
    with pytest.raises(DataError, match="the same offer"):
        read_segmentation_test(same, "profit", names=("one", "two"))
    with pytest.raises(DataError, match="nobody is in arm 'three'"):
        read_segmentation_test(
            same.with_columns(offer_by_three=pl.lit("x")), "profit", names=("one", "three")
        )
    with pytest.raises(DataError, match="has no offer for segment B"):
        assign_segmentations(
            people,
            campaign_id="t",
            segmentations={"one": ("one", {"A": "x"}), "two": plans["two"]},
            at=date(2025, 3, 1),
        )
    with pytest.raises(ParameterError, match="expected a date or a time, got '2025-03-01'"):
        assign_segmentations(people, campaign_id="t", segmentations=plans, at="2025-03-01")
    with pytest.raises(ParameterError, match="two segmentations"):
        compare_segmentations(pilot(50), "profit", segmentations={"one": "segment"})


def test_power_by_segment_counts_segments_and_leaves_out_what_cannot_be_planned():
    frame = pilot(3000)
    shares = {"control": 0.5, "mail": 0.5}
    quiet = frame.with_columns(
        converted=pl.when(pl.col("segment") == "C").then(0).otherwise("converted")
    )
    found = compute_segment_power(quiet, "converted", shares=shares, relative_effect=0.3)
    assert found.table["segment"].to_list() == ["all", "A", "B", "C"]
    assert found.table.filter(segment="C")["needed"].null_count() == 1
    whole, part = found.table.row(0, named=True), found.table.row(1, named=True)
    assert whole["smallest_lift_rate"] < part["smallest_lift_rate"]
    assert found.plot().data.height == 3
    assert "likely to be found in all together" in found.text
    assert "Too small to show such a lift by themselves: A, B, C." in found.text or (
        "No segment is large enough" in found.text
    )
    with pytest.raises(DataError, match="no customer of the past has a segment"):
        compute_segment_power(
            frame.with_columns(segment=pl.lit(None, dtype=pl.String)),
            "converted", shares=shares, relative_effect=0.3,
        )  # fmt: skip


def test_learning_takes_the_first_of_equals():
    y = np.zeros(12)
    trial = Trial(np.repeat([0, 1], 6), np.tile([0, 1, 2], 4), y, np.full(3, 1 / 3), 2, 3)
    every = np.arange(12)
    for method in ("shrunken", "mean", "single"):
        assert learn_best(trial, every, method=method).tolist() == [0, 0]
    assert cells(trial)[0].tolist() == [[2, 2, 2], [2, 2, 2]]
    with pytest.raises(ParameterError, match="method must be"):
        learn_best(trial, every, method="dice")


def test_an_empty_segment_gets_no_contacts_and_shows_nothing():
    table = pl.concat([gains(), gains(segment=["C", "C", "D", "D"], customers=[0, 0, 0, 0])])
    found = plan_budget(table, draws=50)
    assert set(found.to_frame()["segment"]) == {"A", "B"}
    sizes = {"A": 0, "B": 500, "C": 500}
    seen = compute_segment_power(
        pilot(900), "converted", shares={"control": 0.5, "mail": 0.5}, relative_effect=0.3,
        customers=sizes,
    )  # fmt: skip
    empty = seen.table.filter(segment="A").row(0, named=True)
    assert (empty["customers"], empty["smallest_effect"], empty["enough"]) == (0, None, False)


def test_gains_are_spread_by_expected_value_and_keep_their_mean():
    gains = pl.DataFrame({
        "segment": ["A", "A", "B"], "segment_name": ["Loyal", "Loyal", "New"],
        "offer": ["x", "y", "x"], "customers": [40, 40, 10], "gain": [2.0, -1.0, 0.5],
        "error": [0.5, 0.4, 0.3], "cost": [1.0, 1.0, 0.2],
        "loading": [[0.3, 0.4], [0.4, 0.0], [0.0, 0.3]],
    })  # fmt: skip
    customers = pl.DataFrame({
        "segment": ["A"] * 40 + ["B"] * 10, "value_segment": ["Top"] * 10 + ["Rest"] * 40,
        "expected_value": [90.0] * 10 + [10.0] * 30 + [None] * 10,
    })  # fmt: skip
    spread = spread_gains_by_value(gains, customers)
    assert spread.columns == gains.columns
    a = spread.filter((pl.col("segment").str.starts_with("A")) & (pl.col("offer") == "x"))
    assert a.select("segment_name", "customers", "gain").rows() == [
        ("Loyal, Rest", 30, pytest.approx(2 * 10 / 30)),
        ("Loyal, Top", 10, pytest.approx(2 * 90 / 30)),
    ]
    assert (a["gain"] * a["customers"]).sum() == pytest.approx(2.0 * 40)
    for row in spread.iter_rows(named=True):  # the error stays the length of its loading
        assert row["error"] == pytest.approx(np.linalg.norm(row["loading"]))
    new = spread.filter(pl.col("segment") == "B, Rest").row(0, named=True)
    assert (new["customers"], new["gain"]) == (10, 0.5)  # nothing expected of anybody: as measured
    # A budget for ten contacts goes to those from whom most is expected.
    plan = plan_budget(spread, budget=10.0)
    best = plan.plan.filter(pl.col("contacts") > 0).sort("contacts").row(-1, named=True)
    assert (best["segment"], best["offer"], best["contacts"]) == ("A, Top", "x", 10)
    with pytest.raises(ColumnError, match="value_segment"):
        spread_gains_by_value(gains, customers.drop("value_segment"))
