"""Segments of a shop in short, on a shop whose every figure is known."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from segkit.campaign import build_outlook, shape_mail_import
from segkit.campaign.metrics import proportion
from segkit.campaign.outlook import ACTIONS, SLIPPING, URGENT
from segkit.campaign.power import compute_sample_size, find_smallest_effect
from segkit.errors import ParameterError
from segkit.intake import clean_data
from segkit.rfm import build_rfm_segments, score_rfm

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def lines(customers=90, days=400):
    """Customer k orders every 10 + 7 (k mod 9) days, from day k mod 10; some stop early."""
    rows = [
        (f"c{k}", DAY + timedelta(days=at), 10.0 + k % 7)
        for k in range(customers)
        for at in range(k % 10, days if k % 3 else min(days, 150), 10 + 7 * (k % 9))
    ]
    return pl.DataFrame(rows, schema=["customer_id", "order_time", "amount"], orient="row")


def people(customers=90):
    ids = [f"c{k}" for k in range(customers)]
    return pl.DataFrame(
        {
            "customer_id": ids,
            "email": [f"{one}@shop.example" if k % 10 else None for k, one in enumerate(ids)],
            "marketing_consent": [(None, True, True, False)[k % 4] for k in range(customers)],
        }
    )


@pytest.fixture(scope="module")
def taken():
    return clean_data({"orders": lines(), "customers": people()}, {"currency": "GBP"})


@pytest.fixture(scope="module")
def outlook(taken):
    return build_outlook(taken)


def test_segments_are_those_of_rfm_and_add_up(taken, outlook):
    rfm = score_rfm(taken.orders)
    segments = outlook.segments
    counts = {row["segment"]: row["customers"] for row in rfm.segments.iter_rows(named=True)}
    assert dict(segments.select("segment", "customers").iter_rows()) == {
        name: size for name, size in counts.items() if size
    }
    assert segments["revenue"].sum() == pytest.approx(lines()["amount"].sum())
    assert segments["revenue_share"].sum() == pytest.approx(1)
    assert segments["customer_share"].sum() == pytest.approx(1)
    orders = float((segments["orders_per_customer"] * segments["customers"]).sum())
    assert orders == pytest.approx(lines().height)
    assert set(outlook.slipping["segment"]) == set(SLIPPING) & set(segments["segment"])


def test_every_segment_of_rfm_has_an_action():
    assert set(ACTIONS) == set(build_rfm_segments(5).names)
    assert {*SLIPPING, *URGENT} <= set(ACTIONS)


def test_contact_follows_consent_and_addresses(outlook):
    contact = dict(outlook.customers.select("customer_id", "contact").iter_rows())
    for k in range(90):
        expected = (
            "no address" if k % 10 == 0 else ("consent not recorded", "yes", "yes", "no")[k % 4]
        )
        assert contact[f"c{k}"] == expected, k
    listed = sum(1 for k in range(90) if k % 10 and k % 4 in (1, 2))
    assert outlook.audience.frame.height == listed
    assert outlook.segments["listed"].sum() == listed
    assert outlook.unrecorded == sum(1 for k in range(90) if k % 4 == 0)


def test_unrecorded_consent_is_granted_only_where_asked_and_never_against_a_refusal(taken):
    assumed = build_outlook(taken, unrecorded="granted")
    listed = {int(one[1:]) for one in assumed.audience.frame["customer_id"]}
    assert listed == {k for k in range(90) if k % 10 and k % 4 != 3}
    assert assumed.unrecorded == 0


def test_last_orders_and_revenue_are_the_customers_own(outlook):
    own = (
        lines()
        .group_by("customer_id")
        .agg(pl.len().alias("orders"), pl.col("amount").sum(), pl.col("order_time").max().dt.date())
    )
    both = outlook.customers.join(own, on="customer_id", validate="1:1")
    assert both.height == 90
    assert (both["orders"] == both["orders_right"]).all()
    assert (both["last_order"] == both["order_time"]).all()
    assert both["revenue"].to_list() == pytest.approx(both["amount"].to_list())


def rate(months):
    """Return the share of earlier customers who order within the last months, counted by hand."""
    end = lines()["order_time"].dt.date().max()
    start = end - timedelta(days=30 * months)
    day = pl.col("order_time").dt.date()
    before = set(lines().filter(day <= start)["customer_id"])
    after = set(lines().filter(day > start)["customer_id"])
    return len(before & after) / len(before)


def test_power_rests_on_the_last_month_of_the_past_and_on_the_list(outlook):
    listed = outlook.audience.frame.height
    whole = outlook.power.table.row(0, named=True)
    assert whole["base_rate"] == pytest.approx(rate(1))
    assert whole["customers"] == listed
    halves = {"control": listed / 2, "campaign": listed / 2}
    smallest = find_smallest_effect(proportion(rate(1)), halves)
    assert whole["smallest_lift_rate"] == pytest.approx(smallest.relative_effect)


def test_months_are_the_shortest_test_that_shows_the_lift():
    # Two in three order within a month, nearly all within a year.
    outlook = build_outlook(clean_data({"orders": lines()}))
    assert outlook.months_tried == 6  # as much past again is needed before the window
    for row in outlook.months.iter_rows(named=True):
        needed = {}
        for months in range(1, outlook.months_tried + 1):
            base = rate(months)
            if base * (1 + row["lift_rate"]) > 1:
                continue
            size = compute_sample_size(proportion(base), relative_effect=row["lift_rate"])
            needed[months] = size.total
        enough = [months for months, size in needed.items() if size <= 90]
        assert row["months"] == (min(enough) if enough else None)


def test_a_short_past_plans_no_test():
    outlook = build_outlook(clean_data({"orders": lines(days=45)}))
    assert outlook.power is None
    assert outlook.months_tried == 0
    assert outlook.months["months"].to_list() == [None, None, None]
    assert outlook.text.endswith("The orders do not reach back far enough to plan a test.")


def test_an_id_that_is_an_address_is_one():
    mailed = lines().with_columns(pl.col("customer_id") + "@Shop.example")
    outlook = build_outlook(clean_data({"orders": mailed}), unrecorded="granted")
    assert outlook.audience.frame.height == 90
    assert outlook.customers["email"][0].endswith("@shop.example")


def test_lists_have_the_headers_that_the_mail_tools_take(outlook):
    listed = outlook.audience.frame
    klaviyo = shape_mail_import(listed, "klaviyo", as_of="2025-02-01")
    assert klaviyo.columns == ["Email Address", "Segment", "Segment Date"]
    chimp = shape_mail_import(listed, "mailchimp", as_of="2025-02-01")
    assert chimp.columns == ["Email Address", "Tags"]
    assert not chimp["Tags"].str.contains(",").any()  # a comma would part one tag into two
    pairs = set(zip(klaviyo["Email Address"], klaviyo["Segment"], strict=True))
    assert pairs == set(listed.select("email", "segment").iter_rows())
    wild = pl.DataFrame({"email": ["+jo@x.org", "jo+sale@x.org"], "segment": ["New", "New"]})
    safe = shape_mail_import(wild, "klaviyo", as_of="2025-02-01")
    assert safe["Email Address"].to_list() == ["jo+sale@x.org"]
    with pytest.raises(ParameterError, match=r"unknown mail tool 'mailchump'.*mailchimp"):
        shape_mail_import(listed, "mailchump", as_of="2025-02-01")


def test_customers_with_returns_alone_are_counted_apart():
    back = pl.DataFrame({"customer_id": ["r"], "order_time": [DAY], "amount": [-9.0]})
    outlook = build_outlook(clean_data({"orders": pl.concat([lines(), back])}))
    assert outlook.unscored == 1
    assert outlook.customers.height == 90
    assert outlook.customers["revenue"].sum() == pytest.approx(lines()["amount"].sum())
