"""Lift over all customers: segments count by their size, computed by hand."""

import polars as pl
import pytest

import segkit
from segkit.lift.sums import sum_up

# Segment, arm: customers of whom half spend twice the mean, and the mean.
CELLS = {
    ("S1", "mail"): (100, 2.0),
    ("S1", "none"): (100, 1.0),
    ("S2", "mail"): (300, 6.0),
    ("S2", "none"): (100, 1.0),
}


def shop():
    parts = [
        pl.DataFrame({"segment": segment, "arm": arm, "revenue": [2 * mean, 0.0] * (n // 2)})
        for (segment, arm), (n, mean) in CELLS.items()
    ]
    return pl.concat(parts).with_columns(customer_id=pl.int_range(pl.len()).cast(pl.String))


def test_added_revenue_weighs_segments_by_their_size_in_the_arm():
    found = segkit.measure_profit(shop(), control="none", margin=0.5, cost_per_contact=0.0)
    added = dict(found.table.select("segment", "added_revenue").iter_rows())
    assert added["S1"] == pytest.approx(1.0)
    assert added["S2"] == pytest.approx(5.0)
    assert added["all customers"] == pytest.approx((100 * 1.0 + 300 * 5.0) / 400)


def test_costs_weigh_segments_by_their_size_in_the_arm():
    contacts = {"S1": 1, "S2": 3}
    sent = (
        pl.when(pl.col("arm") == "none")
        .then(0)
        .otherwise(pl.col("segment").replace_strict(contacts))
    )
    found = segkit.measure_profit(
        shop().with_columns(emails_sent=sent), control="none", margin=0.5, cost_per_contact=0.1
    )
    cost = dict(found.table.select("segment", "added_cost").iter_rows())
    assert cost["S1"] == pytest.approx(0.1)
    assert cost["all customers"] == pytest.approx(0.1 * (100 * 1 + 300 * 3) / 400)


def test_post_stratification_weighs_segments_by_their_customers():
    found = segkit.measure_lift(shop(), control="none", overall="stratified")
    row = found.row(metric="revenue")
    assert row["difference"] == pytest.approx((200 * 1.0 + 400 * 5.0) / 600)


def test_who_sends_back_more_than_was_bought_is_counted_among_those_with_revenue():
    less = pl.when(pl.int_range(pl.len()) == 0).then(-7.0).otherwise("revenue")
    sums = sum_up(shop().with_columns(revenue=less), ["revenue"])
    assert sums.buyers(None, sums.arms.index("mail"), "revenue") == 50 + 150
