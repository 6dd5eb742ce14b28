"""Feedback of campaigns: response against expectation, thresholds proposed with evidence."""

import numpy as np
import polars as pl
import pytest

from segkit.campaign import compare_response, propose_thresholds
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.rfm import Cuts
from segkit.rules import RuleSet
from segkit.stats.intervals import share_difference


def campaign(*cells):
    """Return customers of cells: segment, offer, customers, conversions."""
    rows = [(segment, offer, int(i < hits)) for segment, offer, n, hits in cells for i in range(n)]
    frame = pl.DataFrame(rows, schema=["segment", "offer", "converted"], orient="row")
    return frame.with_row_index("customer_id").cast({"customer_id": pl.String})


def test_response_is_compared_with_the_earlier_test_all_at_once():
    now = campaign(("A", "sale", 800, 40), ("B", "sale", 800, 80), ("C", "gift", 100, 9))
    pilot = campaign(("A", "sale", 400, 60), ("B", "sale", 400, 41))
    found = compare_response(now, pilot)
    first, second, new = found.table.iter_rows(named=True)
    by_hand = share_difference(40, 800, 60, 400, level=0.975)  # two cells, 5% for both
    assert (first["gap"], first["low"], first["high"]) == pytest.approx(
        (0.05 - 0.15, by_hand.low, by_hand.high)
    )
    assert (first["verdict"], second["verdict"]) == ("below expectation", "undecided")
    assert (first["basis"], first["customers"], first["customers_before"]) == ("response", 800, 400)
    assert new["verdict"] == "no expectation"
    assert new["expected"] is None
    assert "In 1 of 2 pairs of segment and offer" in found.text
    assert "1 pair had no earlier test" in found.text
    same = compare_response(now, pilot, margin=0.08).table["verdict"].to_list()
    assert same == ["undecided", "no relevant difference", "no expectation"]


def test_lifts_are_compared_where_both_have_a_control_so_that_season_falls_out():
    # everybody buys twice as often as in the pilot; the offer adds the same 5 points
    now = campaign(("A", "sale", 4000, 1000), ("A", "none", 4000, 800))
    pilot = campaign(("A", "sale", 4000, 600), ("A", "none", 4000, 400))
    row = compare_response(now, pilot).table.row(0, named=True)
    assert row["basis"] == "lift"
    assert (row["value"], row["expected"], row["gap"]) == pytest.approx((0.05, 0.05, 0.0))
    assert row["verdict"] == "undecided"
    one = share_difference(1000, 4000, 800, 4000)
    two = share_difference(600, 4000, 400, 4000)
    assert row["low"] == pytest.approx(-np.hypot(0.05 - one.low, two.high - 0.05))
    assert row["high"] == pytest.approx(np.hypot(one.high - 0.05, 0.05 - two.low))
    response = compare_response(now.filter(pl.col("offer") != "none"), pilot)
    assert response.table["verdict"].to_list() == ["above expectation"]


def test_a_campaign_that_meets_its_expectation_is_rarely_told_to_differ():
    rng = np.random.default_rng(8)
    base = campaign(*[(segment, "sale", 250, 0) for segment in "ABCDEF"])
    runs, false = 200, 0
    for _ in range(runs):
        one, two = (base.with_columns(converted=rng.binomial(1, 0.06, base.height)) for _ in "ab")
        verdicts = compare_response(one, two).table["verdict"]
        false += verdicts.is_in(["above expectation", "below expectation"]).any()
    # at most 5% by design; 19 of 200 is the upper 99.5% point of a binomial with 5%
    assert false <= 19


def people(rng, n=1200):
    days = rng.integers(0, 200, n)
    return pl.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "recency_days": days,
                         "frequency": rng.integers(1, 9, n)})  # fmt: skip


THRESHOLDS = {"recency_days": [50, 100, 150], "frequency": [3, 6]}


def test_under_no_relation_some_threshold_is_proposed_in_at_most_five_of_a_hundred_cases():
    rng = np.random.default_rng(2)
    runs, false = 200, 0
    for seed in range(runs):
        frame = people(rng)
        frame = frame.with_columns(converted=rng.binomial(1, 0.15, frame.height))
        found = propose_thresholds(frame, THRESHOLDS, seed=seed)
        false += (found.table["verdict"] == "propose").any()
    assert false <= 19


def test_a_planted_threshold_is_proposed_with_its_evidence():
    rng = np.random.default_rng(3)
    proposed = []
    for seed in range(20):
        frame = people(rng, 4000)
        rate = np.where(frame["recency_days"].to_numpy() < 80, 0.25, 0.05)
        frame = frame.with_columns(converted=rng.binomial(1, rate))
        found = propose_thresholds(frame, {"recency_days": [50]}, seed=seed)
        proposed += found.table["proposed"].drop_nulls().to_list()
    assert len(proposed) >= 19
    assert sum(abs(one - 80) <= 6 for one in proposed) >= 18
    row = found.table.row(0, named=True)
    assert row["moved_response"] == pytest.approx(0.25, abs=0.06)
    assert row["gap_low"] > 0
    assert "These are proposals: nothing is changed" in found.text
    # the half that learnt is not the half that tests
    between = frame.filter(pl.col("recency_days").is_between(50, row["proposed"], closed="left"))
    assert 0.4 < row["moved"] / between.height < 0.6


def test_thresholds_come_from_cuts_and_rules_and_neither_is_changed():
    rng = np.random.default_rng(4)
    frame = people(rng).with_columns(converted=1, monetary=5.0, offer=pl.lit("sale"))
    cuts = Cuts((50.0, 100.0), (3.0,), (4.0,), method="fixed", ties="given")
    before = cuts.to_dict()
    found = propose_thresholds(frame, cuts).table
    assert found.select("column", "threshold").rows() == [
        ("recency_days", 50.0), ("recency_days", 100.0), ("frequency", 3.0), ("monetary", 4.0),
    ]  # fmt: skip
    assert cuts.to_dict() == before
    assert found["verdict"].to_list()[-1] == "too few"  # nobody is below
    rules = RuleSet.parse("Recent: recency_days <= 50\nLate: recency_days > 50")
    row = propose_thresholds(frame, rules).table.row(0, named=True)
    assert row["customers_below"] == frame.filter(pl.col("recency_days") <= 50).height
    half = frame.with_columns(
        offer=pl.when(pl.col("recency_days") % 2 == 0).then(pl.lit("none")).otherwise("offer")
    )
    row = propose_thresholds(half, {"recency_days": [100]}).table.row(0, named=True)
    assert row["customers_below"] + row["customers_above"] == half.filter(offer="sale").height


def test_wrong_input_is_refused_in_words():
    now = campaign(("A", "sale", 100, 4))
    with pytest.raises(DataError, match="nobody of the campaign got an offer"):
        compare_response(campaign(("A", "none", 9, 1)), now)
    with pytest.raises(ColumnError, match="the earlier test lacks segment"):
        compare_response(now, now.drop("segment"))
    with pytest.raises(DataError, match="come more than once"):
        compare_response(pl.concat([now, now]), now)
    with pytest.raises(ParameterError, match="at least one threshold"):
        propose_thresholds(now, RuleSet.parse("A: region = 'N'"))
    with pytest.raises(ColumnError, match="the campaign lacks recency_days"):
        propose_thresholds(now, {"recency_days": [30]})
