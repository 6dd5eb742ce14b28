"""What to do next rests on its evidence, says which, and never contradicts it."""

import numpy as np
import polars as pl
import pytest

from segkit import measure_lift, measure_profit
from segkit.campaign import compare_offers, compare_pilot_offers, decide_next_steps, read_pilot
from segkit.campaign.next_steps import DECIDED, DECISIONS, USABLE
from segkit.campaign.offer_profits import PROFITS
from segkit.errors import ColumnError, DataError, ParameterError

MARGIN, COST = 0.5, 0.1
ONE = pl.DataFrame({"segment": ["S1"], "segment_name": ["Loyalists"], "customers": [900]})


def compared(*rows, segment="S1", basis="campaign", reach=600):
    """Rows of (offer, against, profit, low, high, shown)."""
    return pl.DataFrame(
        [
            dict(zip(PROFITS, (basis, segment, offer, against, 200, 200, reach), strict=False))
            | {"profit": profit, "profit_low": low, "profit_high": high}
            | {"sd": None if low is None else 9.0, "shown": shown}
            for offer, against, profit, low, high, shown in rows
        ],
        schema=PROFITS,
    )


def decided(*rows, **given):
    return decide_next_steps(ONE, campaign=compared(*rows), **given).table.row(0, named=True)


BETTER = ("sale", "generic", 2.0, 1.0, 3.0, "gain")
OPEN = ("sale", "generic", 1.0, -1.0, 3.0, "")
LOWER = ("sale", "generic", -1.0, -3.0, 1.0, "")
WORSE = ("sale", "generic", -2.0, -3.0, -1.0, "loss")
PAYS = ("generic", "none", 1.5, 0.5, 2.5, "gain")
UNSURE = ("generic", "none", 0.5, -0.5, 1.5, "")
LOSES = ("generic", "none", -1.5, -2.5, -0.5, "loss")
SALE_PAYS = ("sale", "none", 2.0, 1.0, 3.0, "gain")
SALE_LOSES = ("sale", "none", -2.0, -3.0, -1.0, "loss")


@pytest.mark.parametrize(
    ("rows", "decision", "offer", "money", "test"),
    [
        ([BETTER, PAYS], "roll out", "sale", 1200.0, None),
        ([BETTER, LOSES, SALE_LOSES], "stop", "none", 900.0, None),
        ([OPEN, UNSURE, SALE_PAYS], "change", "sale", 600.0, None),
        ([OPEN, LOSES, SALE_PAYS], "change", "sale", 600.0, None),
        ([LOWER, UNSURE, SALE_PAYS], "keep testing", "generic", 300.0, ("generic", "none")),
        ([OPEN, LOSES], "stop", "none", 900.0, None),
        ([OPEN, PAYS, SALE_PAYS], "keep", "generic", 900.0, ("sale", "generic")),
        ([LOWER, PAYS], "keep", "generic", 900.0, None),
        ([WORSE, PAYS], "keep", "generic", 900.0, None),
        ([OPEN, UNSURE], "keep testing", "generic", 600.0, ("sale", "generic")),
        ([WORSE, UNSURE], "keep testing", "generic", 300.0, ("generic", "none")),
        ([UNSURE], "keep testing", "generic", 300.0, ("generic", "none")),
        ([PAYS], "keep", "generic", 900.0, None),
        ([SALE_PAYS], "roll out", "sale", 1200.0, None),
        ([SALE_LOSES], "stop", "none", 1200.0, None),
        ([WORSE], "keep testing", "generic", -1200.0, ("sale", "generic")),
    ],
)
def test_each_state_of_the_evidence_has_its_decision(rows, decision, offer, money, test):
    step = decided(*rows)
    assert (step["decision"], step["offer"]) == (decision, offer)
    assert step["monthly"] == pytest.approx(money)
    assert (None if test is None else test) == (
        None if step["test_offer"] is None else (step["test_offer"], step["test_against"])
    )
    assert step["basis"] == "campaign"


def test_the_test_that_settles_has_power_for_the_difference_that_was_measured():
    step = decided(OPEN, UNSURE)
    # Two halves, 80% power at 5%: 4 sd^2 (1.960 + 0.842)^2 / d^2, a little more for Student's t.
    assert step["test_customers"] == pytest.approx(4 * 81 * 2.8016**2, rel=0.003)
    assert step["test_months"] == 5  # of 600 customers
    # A difference that a year of campaigns cannot settle has no test: another question does.
    tiny = ("sale", "generic", 0.1, -1.0, 1.2, "")
    assert decided(tiny, ("generic", "none", 1.0, -0.1, 2.1, ""))["test_offer"] == "generic"
    few = ("sale", "generic", 0.7, None, None, "")
    assert decided(few)["test_customers"] is None
    assert "too few bought" in decided(few)["why"]


def test_what_the_next_round_sends_is_tested_first():
    alone = decided(OPEN, ("guide", "generic", 0.1, -1.0, 1.2, ""), UNSURE)
    assert (alone["test_offer"], alone["test_against"]) == ("sale", "generic")
    both = compared(OPEN, ("guide", "generic", 0.1, -1.0, 1.2, ""), UNSURE)
    steps = decide_next_steps(ONE, campaign=both, next_round={"S1": "guide"})
    step = steps.table.row(0, named=True)
    assert (step["test_offer"], step["test_against"]) == ("guide", "generic")
    assert (step["offer"], step["decision"]) == ("generic", "keep testing")
    assert "guide" in steps.plot().data["step"][0]


def test_what_is_clear_by_itself_alone_says_why_it_is_open():
    step = decided(("sale", "generic", 0.7, 0.1, 1.3, ""), UNSURE)
    assert step["decision"] == "keep testing"
    assert step["why"].endswith("not with all comparisons allowed for")


def test_the_campaign_counts_before_the_pilot_and_the_pilot_before_the_profile():
    segments = pl.DataFrame(
        {"segment": ["S1", "S2", "S3"], "segment_name": ["A", "B", "C"], "customers": [9, 9, 9]}
    )
    pilot = pl.concat(
        [compared(WORSE, PAYS, basis="pilot"), compared(BETTER, basis="pilot", segment="S2")]
    )
    steps = decide_next_steps(
        segments,
        campaign=compared(BETTER, PAYS, segment="A"),  # by name
        pilot=pilot,
        ideas={"S1": "early access", "S2": "early access", "S3": "early access"},
    )
    rows = {row["segment"]: row for row in steps.table.iter_rows(named=True)}
    assert {name: row["basis"] for name, row in rows.items()} == {
        "S1": "campaign",
        "S2": "pilot",
        "S3": "profile",
    }
    assert rows["S1"]["decision"] == rows["S2"]["decision"] == "roll out"
    assert rows["S3"]["decision"] == "start testing"
    assert rows["S3"]["test_offer"] == "early access"
    for words in ("measured in the campaign: A", "in the pilot alone: B", "by the profile"):
        assert words in steps.text
    # Where nothing was measured no test is the shorter one: where most revenue is comes first.
    shares = segments.with_columns(revenue_share=pl.Series([0.2, 0.5, 0.3]))
    assert decide_next_steps(shares, ideas={"S2": "sale"}).answer == (
        "No offer has been tested yet: first test sale against generic for B, 50.0% of revenue "
        "(as large as the campaign allows)."
    )


@pytest.mark.parametrize("rows", [[OPEN, UNSURE], [PAYS], [BETTER, PAYS]])
def test_the_answer_has_at_most_25_words_whatever_segments_are_called(rows):
    names = [
        f"Long-standing customers with very high different products bought {i}" for i in (1, 2, 3)
    ]
    segments = pl.DataFrame(
        {"segment": ["S1", "S2", "S3"], "segment_name": names, "customers": [9, 9, 9]}
    )
    each = [compared(*rows, segment=name) for name in segments["segment"]]
    steps = decide_next_steps(segments, campaign=pl.concat(each))
    assert len(steps.answer.split()) <= 25 < len(steps.headline.split())
    assert steps.answer.split()[0] == steps.headline.split()[0] or "of 3 segments" in steps.answer


def test_nothing_is_recommended_for_segments_neither_stable_nor_usable():
    def scores(verdict, *, stable):
        return pl.DataFrame({"segment": ["S1"], "verdict": [verdict], "stable": [stable]})

    given = {"campaign": compared(BETTER, PAYS)}
    shaky = decide_next_steps(ONE, **given, usability=scores("not shown usable", stable=False))
    assert shaky.table["decision"].item() == "none"
    assert shaky.table["monthly"].item() is None
    assert shaky.headline.startswith("Treat all customers alike: no segment is stable or usable")
    # Stable, and the offer won: what was measured counts, and the text says how both can be.
    won = decide_next_steps(ONE, **given, usability=scores("not shown usable", stable=True))
    assert won.table["decision"].item() == "roll out"
    assert "Loyalists is not shown usable by the profile" in won.text
    # Nothing measured: the profile's word is all there is.
    untried = decide_next_steps(ONE, usability=scores("not shown usable", stable=True))
    assert untried.table["decision"].item() == "none"
    usable = decide_next_steps(ONE, usability=scores("usable", stable=None))
    assert usable.table["decision"].item() == "start testing"
    assert "usable by the profile" not in usable.text
    overall = compared(PAYS).with_columns(segment=pl.lit("all customers"))
    both = decide_next_steps(
        ONE,
        campaign=pl.concat([given["campaign"], overall]),
        usability=scores("not shown usable", stable=False),
    )
    assert "generic added 1.50 per customer (95% CI 0.50 to 2.50): it pays" in both.text


def test_money_of_a_month_adds_up_and_its_interval_too():
    segments = pl.DataFrame(
        {"segment": ["S1", "S2", "S3"], "segment_name": ["A", "B", "C"], "customers": [9, 9, 9]}
    )
    steps = decide_next_steps(
        segments,
        campaign=pl.concat(
            [
                compared(BETTER, PAYS),
                compared(LOSES, segment="S2", reach=100),
                compared(PAYS, segment="S3"),  # kept: earned already, nothing is added
            ]
        ),
        currency="GBP",
    )
    total, low, high = steps.monthly
    assert total == pytest.approx(1200 + 150)
    assert (total - low, high - total) == pytest.approx((np.hypot(600, 100),) * 2)
    assert steps.headline == (
        "Roll out sale to A; stop contacting B: added profit 1,350 GBP a month (95% CI 742 to "
        "1,958)."
    )
    assert "Keep generic, which is shown to pay: C, 900 GBP a month" in steps.text
    assert len(steps.plot().data) == 3
    assert type(steps).from_dict(steps.to_dict()).text == steps.text


def test_what_cannot_be_decided_is_refused():
    with pytest.raises(DataError, match="no segment holds a customer"):
        decide_next_steps(ONE.with_columns(customers=0))
    with pytest.raises(
        ParameterError, match="segment 'S9' in a comparison; the segments are Loyalists"
    ):
        decide_next_steps(ONE, campaign=compared(PAYS, segment="S9"))
    with pytest.raises(ColumnError, match="shown"):
        decide_next_steps(ONE, campaign=compared(PAYS).drop("shown"))
    with pytest.raises(DataError, match="no profit was measured"):
        decide_next_steps(ONE).plot()


# From customers to comparisons --------------------------------------------------------------


def campaign(rng, segments, *, arms, size, effects):
    """Simulate customers; effects: (segment, offer) -> factor on conversion."""
    frames = []
    for segment, base, value in segments:
        for arm, (share, offers) in arms.items():
            n, offer = int(size * share), offers[segment]
            bought = rng.random(n) < min(0.9, base * effects.get((segment, offer), 1.0))
            revenue = np.where(bought, rng.gamma(4.0, value / 4, n), 0.0)
            frames.append(
                pl.DataFrame({"revenue": revenue, "converted": bought.astype(int)}).with_columns(
                    arm=pl.lit(arm), offer=pl.lit(offer), segment=pl.lit(segment)
                )
            )
    return pl.concat(frames)


def test_arms_with_one_offer_are_one_and_an_arm_with_several_stays_an_arm():
    rng = np.random.default_rng(0)
    segments = [("A", 0.2, 50.0), ("B", 0.2, 50.0)]
    arms = {
        "holdout": (0.2, {"A": "none", "B": "none"}),
        "generic": (0.4, {"A": "generic", "B": "generic"}),
        "tailored": (0.4, {"A": "generic", "B": "sale"}),
    }
    frame = campaign(rng, segments, arms=arms, size=500, effects={("B", "sale"): 4.0})
    profits = compare_offers(frame, margin=MARGIN, cost_per_contact=COST)
    in_a = profits.filter(segment="A")
    assert in_a.select("offer", "against", "customers_offer").rows() == [("generic", "none", 400)]
    # As the arms compared by hand.
    same = measure_profit(
        frame.filter(segment="B"),
        control="generic",
        arms=["tailored"],
        margin=MARGIN,
        cost_per_contact={"generic": COST, "tailored": COST},
    ).table.row(-1, named=True)
    mine = profits.filter(segment="B", offer="sale", against="generic").row(0, named=True)
    for end in ("", "_low", "_high"):
        assert mine[f"profit{end}"] == pytest.approx(same[f"added_profit{end}"])
    assert (mine["reach"], mine["shown"]) == (500, "gain")
    mixed = frame.with_columns(
        offer=pl.when((pl.col("arm") == "tailored") & (pl.int_range(pl.len()) % 2 == 0))
        .then(pl.lit("guide"))
        .otherwise("offer")
    )
    offers = set(compare_offers(mixed, margin=MARGIN, cost_per_contact=COST)["offer"])
    assert offers == {"generic", "tailored"}


def pilot_of(rng, segments, offers, size, effects):
    arms = {offer: (1 / len(offers), dict.fromkeys("ABCDE", offer)) for offer in offers}
    frame = campaign(rng, segments, arms=arms, size=size, effects=effects)
    return frame.with_columns(
        customer_id=pl.int_range(pl.len()).cast(pl.String),
        profit=MARGIN * pl.col("revenue") - COST * (pl.col("offer") != "none"),
    )


def test_a_pilot_that_does_not_pay_shows_no_offer_to_beat_the_usual_one():
    rng = np.random.default_rng(1)
    segments = [("A", 0.2, 50.0), ("B", 0.2, 50.0)]
    offers = ["none", "generic", "sale", "guide"]
    strong = {("A", "sale"): 2.5, ("B", "guide"): 2.5}
    pays = read_pilot(
        pilot_of(rng, segments, offers, 1200, strong), "converted", payoff="profit", repeats=20
    )
    profits = compare_pilot_offers(pays, {"A": 50, "B": 60})
    assert pays.pays
    beside = profits.filter(against="generic")
    assert dict(beside.select("segment", "offer").iter_rows()) == {"A": "sale", "B": "guide"}
    assert beside["shown"].to_list() == ["gain", "gain"]
    assert beside["reach"].to_list() == [50, 60]
    cells = {(r["segment"], r["offer"]): r for r in pays.cells.iter_rows(named=True)}
    gain = cells["A", "sale"]["payoff_shrunken"] - cells["A", "generic"]["payoff_shrunken"]
    assert beside["profit"][0] == pytest.approx(gain)
    weak = read_pilot(
        pilot_of(rng, segments, offers, 400, {}), "converted", payoff="profit", repeats=20
    )
    assert not weak.pays
    assert "gain" not in compare_pilot_offers(weak, {}).filter(against="generic")["shown"]
    shares = read_pilot(pilot_of(rng, segments, offers, 400, {}), "converted", repeats=2)
    with pytest.raises(DataError, match="whose payoff is profit"):
        compare_pilot_offers(shares, {})


# 50 retailers --------------------------------------------------------------------------------


def retailer(seed):
    """Simulate one: its segments, usability, campaign, pilot, and what each offer does."""
    rng = np.random.default_rng([17, seed])
    names = list("ABCDE")[: rng.integers(2, 6)]
    segments = [(n, rng.uniform(0.05, 0.35), rng.uniform(20, 120)) for n in names]
    offers = ["none", "generic", "sale", "guide"]
    effects = {
        (n, offer): float(rng.choice([0.3, 0.7, 1.0, 1.0, 1.3, 1.8]))
        for n in names
        for offer in offers[1:]
    }
    pilot = read_pilot(
        pilot_of(rng, segments, offers, 400, effects), "converted", payoff="profit", repeats=10
    )
    policy = dict(pilot.policy.select("segment", "offer").iter_rows())
    policy |= {n: "generic" for n, offer in policy.items() if offer == "none"}
    arms = {
        "holdout": (0.2, dict.fromkeys(names, "none")),
        "generic": (0.4, dict.fromkeys(names, "generic")),
        "tailored": (0.4, policy),
    }
    sent = segments[: rng.integers(0, len(segments) + 1)]  # some have not been sent it yet
    outcomes = None
    if sent:
        size = int(rng.choice([60, 400, 1500]))
        outcomes = campaign(rng, sent, arms=arms, size=size, effects=effects)
    verdicts = rng.choice(["usable", "usable with care", "not shown usable"], len(names))
    usability = pl.DataFrame(
        {"segment": names, "verdict": verdicts, "stable": rng.choice([True, False], len(names))}
    )
    table = pl.DataFrame({"segment": names, "segment_name": [f"Group {n}" for n in names]})
    return table.with_columns(customers=pl.lit(900)), usability, pilot, policy, outcomes


def find_contradictions(step, usable, found, pilot, policy, steps):
    """Return what in a segment's decision the lift, policy or usability speaks against."""
    name, decision = step["segment"], step["decision"]
    is_usable = usable["verdict"] in USABLE
    sent = name in found
    alike = policy[name] == "generic"  # both arms got the same: only the holdout compares
    named = step["segment_name"] in steps.headline.split(":")[0]
    checks = {
        "nothing": decision == "none" and is_usable,
        "neither stable nor usable": (
            decision != "none" and not is_usable and not usable["stable"]
        ),
        "in the headline": decision == "none" and named,
        "basis": step["basis"] != ("campaign" if sent else "pilot"),
        "at a loss": decision in DECIDED and not step["monthly"] >= 0,
        "never sent": decision in ("roll out", "change") and step["offer"] != policy[name],
        "not shown by the pilot": decision == "roll out" and not sent and not pilot.pays,
    }
    if sent:
        lift, low, high = found[name]
        beaten = lift["tailored", "generic"] == "lower" or low["tailored", "generic"] <= 0
        won = lift["tailored", "generic"] == "higher" and low["tailored", "generic"] > 0
        checks |= {
            "not better": decision == "roll out" and beaten,
            "does not pay": decision == "change" and low["tailored", "holdout"] <= 0,
            "kept": decision == "keep" and not alike and low["generic", "holdout"] <= 0,
            "stopped": decision == "stop" and not alike and high["generic", "holdout"] >= 0,
            "won, and tested": decision == "keep testing" and not alike and won,
        }
    return [what for what, is_so in checks.items() if is_so]


def outcomes_of(outcomes):
    """Return each segment's verdicts and profit limits, from the arms as they were sent.

    By arm and comparison; without outcomes of no segment.
    """
    if outcomes is None:
        return {}
    found = {name: ({}, {}, {}) for name in outcomes["segment"].unique()}
    for control, arms in (("generic", ["tailored"]), ("holdout", ["generic", "tailored"])):
        effects = measure_lift(outcomes, control=control, arms=arms, metrics=["conversion"]).effects
        for row in effects.iter_rows(named=True):
            if row["segment"] in found:
                found[row["segment"]][0][row["arm"], control] = row["verdict"]
        costs = {"holdout": 0.0, "generic": COST, "tailored": COST}
        money = measure_profit(
            outcomes, control=control, arms=arms, margin=MARGIN, cost_per_contact=costs
        ).table
        for row in money.iter_rows(named=True):
            if row["segment"] in found:
                _, low, high = found[row["segment"]]
                few = row["added_profit_low"] is None
                low[row["arm"], control] = -np.inf if few else row["added_profit_low"]
                high[row["arm"], control] = np.inf if few else row["added_profit_high"]
    return found


def test_no_decision_contradicts_lift_policy_or_usability_for_fifty_retailers():
    wrong, seen = [], set()
    for seed in range(50):
        segments, usability, pilot, policy, outcomes = retailer(seed)
        measured = (
            None
            if outcomes is None
            else compare_offers(outcomes, margin=MARGIN, cost_per_contact=COST)
        )
        steps = decide_next_steps(
            segments,
            campaign=measured,
            pilot=compare_pilot_offers(pilot, dict.fromkeys("ABCDE", 900)),
            usability=usability,
        )
        judged = {row["segment"]: row for row in usability.iter_rows(named=True)}
        found = outcomes_of(outcomes)
        for step in steps.table.iter_rows(named=True):
            seen.add(step["decision"])
            usable = judged[step["segment"]]
            wrong += [
                (seed, step["segment"], step["decision"], what)
                for what in find_contradictions(step, usable, found, pilot, policy, steps)
            ]
        assert len(steps.headline.split()) <= 45
    assert wrong == []
    assert seen >= set(DECISIONS) - {"start testing", "change"}
