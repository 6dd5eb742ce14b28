"""The pilot's size and ties, the arms' offers, the split, and the grade of a lift, by hand."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.campaign import (
    NextRound,
    adapt_policy,
    assign_arms,
    count_overlap,
    design_offers,
    explore_ties,
    grade_lift,
    match_persona_offers,
    mean,
    read_pilot,
    size_pilot,
)
from segkit.campaign.followup import FollowUp
from segkit.errors import DataError, ParameterError
from segkit.lift import read_outcomes


def pilot_of(rates, n=400):
    """Return a pilot with exactly a share of buyers by segment and offer."""
    rows = []
    for segment, offers in rates.items():
        for offer, rate in offers.items():
            bought = np.arange(n) < rate * n
            rows += [(segment, offer, int(one)) for one in bought]
    frame = pl.DataFrame(rows, schema=["segment", "offer", "converted"], orient="row")
    return frame.with_row_index("customer_id").with_columns(pl.col("customer_id").cast(pl.String))


def test_a_tie_is_declared_where_offers_cannot_be_told_apart_and_only_there():
    rates = {
        "A": {"none": 0.05, "sale": 0.60, "guide": 0.10},
        "B": {"none": 0.05, "sale": 0.30, "guide": 0.30},
    }
    found = read_pilot(pilot_of(rates), repeats=5)
    ties = dict(found.policy.select("segment", "tied").iter_rows())
    offers = dict(found.policy.select("segment", "offer").iter_rows())
    assert ties["A"] == ""
    assert {offers["B"], ties["B"]} == {"sale", "guide"}
    assert "Tied, so that the offers named may each be the best: B (" in found.text
    again = read_pilot(pilot_of(rates).sample(fraction=1.0, shuffle=True, seed=2), repeats=5)
    assert again.policy.equals(found.policy)


def test_only_tied_segments_explore_in_the_share_asked_for():
    n = 6000
    people = pl.DataFrame(
        {
            "customer_id": [str(k) for k in range(n)],
            "segment": ["A", "B", "C"] * (n // 3),
            "offer": ["sale", "sale", "own rule"] * (n // 3),
        }
    )
    policy = pl.DataFrame(
        {"segment": list("ABC"), "offer": "sale", "tied": ["", "guide / early", "guide"]}
    )
    sent = explore_ties(people, policy, share=0.2, campaign_id="c", seed=3)
    assert sent["customer_id"].equals(people["customer_id"])
    changed = sent.filter("explores")
    assert changed["segment"].unique().to_list() == ["B"]
    assert abs(changed.height / 2000 - 0.2) < 0.04
    counts = dict(changed["offer"].value_counts().iter_rows())
    assert set(counts) == {"guide", "early"}
    assert abs(counts["guide"] - counts["early"]) < 5 * changed.height**0.5
    alone = explore_ties(people.tail(50), policy, share=0.2, campaign_id="c", seed=3)
    assert alone.equals(sent.tail(50))
    assert not explore_ties(people, policy, share=0.0)["explores"].any()
    with pytest.raises(ParameterError, match="share must be at least 0 and below 1, got 1"):
        explore_ties(people, policy, share=1)


def test_the_pilot_grows_with_the_campaigns_it_serves_and_shrinks_with_clear_offers():
    sizes, noise = {"A": 4000, "B": 3000, "C": 1000}, mean(8.0, 24.0)
    options = {"offers": 5, "draws": 400}
    once = size_pilot(sizes, noise, spread=1.0, campaigns=1, **options)
    often = size_pilot(sizes, noise, spread=1.0, campaigns=12, **options)
    clear = size_pilot(sizes, noise, spread=6.0, campaigns=1, **options)
    assert clear.share < once.share < often.share
    assert once.table["right_share"].is_sorted()
    assert often.table["testing"].is_sorted()
    row = once.table.row(0, named=True)
    assert row["customers"] == 400
    assert row["per_cell"] == pytest.approx(1000 * 0.05 / 5)
    assert (once.table["lost"] + once.table["testing"]).to_list() == pytest.approx(
        once.table["total"].to_list()
    )
    # Without noise nothing is lost: the best offer is always found.
    exact = size_pilot(sizes, mean(8.0, 1e-6), spread=1.0, **options)
    assert exact.table["lost"].max() == pytest.approx(0, abs=1e-6)
    assert exact.table["right_share"].min() == 1.0
    with pytest.raises(ParameterError, match="spread must be above 0, got 0"):
        size_pilot(sizes, noise, offers=5, spread=0)
    with pytest.raises(DataError, match="no customers to try offers on"):
        size_pilot({"A": 0}, noise, offers=5, spread=1)


def test_loss_of_two_options_is_that_of_the_normal_integral():
    """One segment, two options: the loss has a closed form (Raiffa & Schlaifer 1961, 5.4)."""
    n, sd, spread, share = 2000, 10.0, 1.0, 0.1
    found = size_pilot(
        {"A": n}, mean(5.0, sd), offers=2, spread=spread, common=0.0, campaigns=1,
        shares=[share], draws=200_000,
    ).table.row(0, named=True)  # fmt: skip
    prior = 2 * spread**2  # variance of the difference of two options
    error = 2 * sd**2 / (n * share / 2)
    kept = prior**2 / (prior + error)  # variance of its posterior mean
    lost = (np.sqrt(prior) - np.sqrt(kept)) / np.sqrt(2 * np.pi) * n
    assert found["lost"] == pytest.approx(lost, rel=0.03)


def test_offers_of_the_arms_and_where_they_are_one():
    made = design_offers(
        {"S1": 5, "S2": 6, "S3": 7, "S4": 8},
        {"S1": "sale", "S2": "generic", "S3": "guide", "S4": "generic"},
        {"S1": "sale", "S2": "sale", "S3": "early"},
        names={"S1": "Thrifty"},
    )
    same = made.table["same"].to_list()
    assert same == ["persona and learnt", "generic and learnt", "", "generic, persona and learnt"]
    assert made.text.startswith("In 3 of 4 segments two arms or more send the same offer.")
    assert made.answer.startswith(
        "The offers learnt differ from the generic one in 2 of 4 segments"
    )
    untested = design_offers({"S1": 5}, {"S1": "generic"}, {"S1": "sale"})
    assert untested.answer == (
        "No test showed a better offer than the generic one: the tailored arm repeats it. "
        "The persona's guess differs in 1 of 1 segment."
    )
    with pytest.raises(DataError, match="at least one segment"):
        design_offers({}, {}, {})


def test_personas_name_offers_that_can_be_sent():
    cards = pl.DataFrame(
        {
            "segment": ["S1", "S2", "S3", "S4"],
            "what_to_offer": ["reengagement, for recency", "early access", "a reminder", None],
        }
    )
    offers = ["none", "reengagement", "early_access", "generic"]
    matched = match_persona_offers(cards, offers)
    assert list(matched.values()) == ["reengagement", "early_access", "generic", "generic"]
    free = match_persona_offers(cards)
    assert list(free.values()) == ["reengagement", "early_access", "a_reminder", "generic"]


def test_an_arm_can_take_its_offer_from_another_column():
    people = pl.DataFrame(
        {"customer_id": [str(k) for k in range(40)], "segment": "S", "offer": "sale",
         "hunch": ["guide", None] * 20}
    )  # fmt: skip
    made = assign_arms(
        people, campaign_id="c", arms={"holdout": 0.2, "guess": 0.4, "own": 0.4},
        at=datetime(2025, 3, 1, tzinfo=UTC), method="quota",
        offers={"guess": "by_customer:hunch", "own": "by_customer"},
    ).frame  # fmt: skip
    assert made.filter(arm="own")["offer"].unique().to_list() == ["sale"]
    assert set(made.filter(arm="guess")["offer"]) == {"guide", "none"}
    assert made.filter(arm="holdout")["offer"].unique().to_list() == ["none"]


def test_the_split_between_pilot_and_campaign_is_counted():
    drawn = pl.DataFrame({"customer_id": ["1", "2", "3"], "arm": ["mail", "mail", "holdout"]})
    found = count_overlap(drawn, pl.DataFrame({"customer_id": ["2", "3", "4", "5"]}))
    assert found.table.rows() == [
        ("all customers", 3, 2, 2 / 3), ("holdout", 1, 1, 1.0), ("mail", 2, 1, 0.5)
    ]  # fmt: skip
    assert found.only_pilot == 2
    assert found.text.startswith("2 of the campaign's 3 customers were in the pilot too")
    nobody = count_overlap(drawn, pl.DataFrame({"customer_id": ["7"]}))
    assert nobody.text.startswith("Nobody is in both")


def test_the_placebo_check_keeps_segments_whose_arms_sent_one_offer():
    who = pl.DataFrame(
        {
            "customer_id": [str(k) for k in range(9)],
            "arm": ["generic", "tailored", "tailored"] * 3,
            "segment": ["A"] * 3 + ["B"] * 3 + ["C"] * 3,
            "offer": ["mail", "mail", "mail", "mail", "sale", "sale", "mail", "mail", "sale"],
        }
    )
    did = who.select("customer_id", converted=pl.lit(0))
    campaign = FollowUp(read_outcomes(who, did), "", "", (), {})
    found = campaign.placebo("tailored", "generic")
    # In C one of two explored: the commoner name of the two is "mail", the explorer is left out.
    assert found.frame["customer_id"].to_list() == ["0", "1", "2", "6", "7"]
    assert campaign.placebo("tailored", "nobody") is None


def test_a_lift_is_graded_step_by_step():
    """Two segments, three offers: every step from the planted chances by hand."""
    n = 4
    truth = pl.DataFrame(
        {
            "customer_id": [str(k) for k in range(2 * n)],
            "natural_orders": 0.1,
            "added_generic": 0.1,
            "added_sale": [0.4] * 3 + [0.1] * 5,
            "added_guide": [0.1] * 3 + [0.3] * 5,
            "best_offer": ["sale"] * 3 + ["guide"] * 5,
        }
    )
    assigned = pl.DataFrame(
        {
            "customer_id": [str(k) for k in range(2 * n)],
            "segment": ["A"] * n + ["B"] * n,
            "arm": ["generic", "tailored", "tailored", "holdout"] * 2,
            "offer": ["generic", "sale", "sale", "none", "generic", "sale", "guide", "none"],
        }
    )
    measured = {"relative": 0.5, "relative_low": 0.2, "relative_high": 0.9}
    grade = grade_lift(assigned, truth, measured)
    generic, sale, guide = (1 - np.exp(-0.1 - a) for a in (0.1, 0.4, 0.3))
    own = (3 * sale + 5 * guide) / 8
    best = (3 * sale + generic + 4 * guide) / 8  # A gets sale, B guide
    sent = (3 * sale + generic + 4 * (generic + guide) / 2) / 8  # half of B's arm got each
    steps = [value / generic - 1 for value in (own, best, sent)]
    assert grade.table["lift"].to_list() == pytest.approx([*steps, 0.5])
    assert grade.covers_truth
    assert grade.segments["best_offer"].to_list() == ["sale", "guide"]
    assert grade.segments["right"][0]
    assert "published 30% lies within the measured interval" in grade.text
    assert "measured 50.0%" in grade.plot().alt
    with pytest.raises(DataError, match="nobody was assigned to arm 'persona'"):
        grade_lift(assigned, truth, measured, arm="persona")
    with pytest.raises(DataError, match="2 of the assigned customers are not among"):
        grade_lift(assigned, truth.head(6), measured)


def test_every_result_is_stored_and_read_again():
    sizes = {"S1": 100, "S2": 50}
    results = [
        size_pilot(sizes, mean(1.0, 2.0), offers=2, spread=0.5, draws=20),
        design_offers(sizes, {"S1": "sale"}, {}),
        count_overlap(pl.DataFrame({"customer_id": ["a"], "arm": ["x"]}),
                      pl.DataFrame({"customer_id": ["a"]})),
    ]  # fmt: skip
    for result in results:
        again = type(result).from_dict(result.to_dict())
        assert again.to_frame().equals(result.to_frame())
        assert again.text == result.text
    assert segkit.campaign.size_pilot is size_pilot


def test_a_second_round_learns_from_both_and_not_from_the_season():
    """Round 2 buys twice as much whatever is sent; the season must not choose the offer."""
    first = pilot_of({"A": {"none": 0.10, "sale": 0.20, "guide": 0.20}}).with_columns(
        payoff=pl.col("converted").cast(pl.Float64)
    )
    # In the second round the guide is a little better than the sale, and none was hardly sent.
    second = pl.concat(
        [
            pilot_of({"A": {"sale": 0.40}}, n=2000),
            pilot_of({"A": {"guide": 0.47}}, n=2000),
            pilot_of({"A": {"none": 0.30}}, n=40),
        ]
    ).with_columns(payoff=pl.col("converted").cast(pl.Float64))
    alone = adapt_policy([first], {"A": "sale"}, payoff="payoff")
    assert alone.policy["tied"][0] != ""
    found = adapt_policy([first, second], {"A": "sale"}, payoff="payoff")
    row = found.policy.row(0, named=True)
    assert (row["before"], row["offer"], row["customers"]) == ("sale", "guide", 5240)
    assert row["low"] > 0
    assert row["gain"] == pytest.approx(0.07 * 5 / 6, abs=0.02)
    assert "1 of 1 segment with another offer: A from sale to guide" in found.text
    # What the campaign by itself has shown to earn more is sent, with the money that it measured.
    shown = {"segment": "A", "offer": "none", "against": "sale", "shown": "gain"}
    shown |= {"profit": 0.3, "profit_low": 0.1, "profit_high": 0.5}
    proven = adapt_policy(
        [first], {"A": "sale"}, payoff="payoff", usual="sale", measured=pl.DataFrame([shown])
    ).policy.row(0, named=True)
    assert [proven[name] for name in ("offer", "gain", "low", "high")] == ["none", 0.3, 0.1, 0.5]
    long = "Long-standing customers with very high different products bought"
    named = adapt_policy(
        [first.with_columns(segment_name=pl.lit(long))], {"A": "sale"}, payoff="payoff",
        usual="sale", measured=pl.DataFrame([shown]),
    )  # fmt: skip
    assert named.answer.startswith("Another offer for 1 of 1 segment; the surest, no offer, brings")
    assert len(named.answer.split()) <= 25
    open_ = pl.DataFrame([{**shown, "shown": ""}])
    same = adapt_policy([first], {"A": "sale"}, payoff="payoff", usual="sale", measured=open_)
    assert same.policy.equals(alone.policy)
    again = NextRound.from_dict(found.to_dict())
    assert again.text == found.text
    with pytest.raises(DataError, match="round 2 gave segment A no offer that the first round"):
        adapt_policy([first, second.with_columns(offer=pl.lit("new"))], {}, payoff="payoff")
    with pytest.raises(DataError, match="at least one round"):
        adapt_policy([], {})
