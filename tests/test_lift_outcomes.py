"""Outcomes from events and orders: the window, and all that can be wrong with assignments."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

import segkit
from segkit.errors import ColumnError, DataError, ParameterError

START = datetime(2024, 3, 1, 6, tzinfo=UTC)
END = START + timedelta(days=60)


def assigned(rows, **more):
    """Rows of (customer, arm, days after the start)."""
    frame = pl.DataFrame(
        [(who, arm, START + timedelta(days=day)) for who, arm, day in rows],
        schema={
            "customer_id": pl.String,
            "arm": pl.String,
            "assigned_at": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )
    return frame.with_columns(**{name: pl.lit(value) for name, value in more.items()})


def ordered(rows):
    """Rows of (customer, order, days after the start, amount)."""
    return pl.DataFrame(
        [(who, order, START + timedelta(days=day), amount) for who, order, day, amount in rows],
        schema=["customer_id", "order_id", "order_time", "amount"],
        orient="row",
    )


def happened(rows):
    return pl.DataFrame(
        [(who, kind, START + timedelta(days=day), session) for who, kind, day, session in rows],
        schema=["customer_id", "event_type", "event_time", "session_id"],
        orient="row",
    ).with_columns(campaign_id=pl.lit("C"))


def count(found, words):
    (row,) = [row for row in found.issues.iter_rows(named=True) if words in row["issue"]]
    return row["customers"], row["rows"]


def test_the_window_is_half_open_and_starts_with_each_assignment():
    who = assigned([("a", "x", 0), ("b", "y", 5), ("c", "y", 0)])
    lines = ordered(
        [("a", "1", -0.01, 5.0), ("a", "2", 0, 7.0), ("a", "3", 27.99, 9.0), ("a", "4", 28, 11.0),
         ("b", "5", 4.9, 1.0), ("b", "6", 32.9, 2.0), ("z", "7", 3, 99.0)]
    )  # fmt: skip
    found = segkit.derive_outcomes(who, lines, data_until=END)
    assert found.frame.select("orders", "revenue", "pre_orders", "pre_revenue").rows() == [
        (2, 16.0, 1, 5.0), (1, 2.0, 1, 1.0), (0, 0.0, 0, 0.0)
    ]  # fmt: skip
    assert found.frame["converted"].to_list() == [1, 1, 0]
    assert found.frame["conversion_day"].to_list() == [1, 28, None]
    assert count(found, "orders before the assignment") == (2, 2)
    assert count(found, "orders after the window") == (1, 1)
    assert count(found, "not measured") == (0, 1)


def test_a_return_lowers_revenue_and_is_no_conversion_and_an_order_of_two_lines_is_one():
    who = assigned([("a", "x", 0), ("b", "x", 0)])
    lines = ordered([("a", "1", 1, 5.0), ("a", "1", 1, 6.0), ("b", "0", 2, -40.0)])
    found = segkit.derive_outcomes(who, lines, data_until=END)
    assert found.frame.select("orders", "revenue", "converted").rows() == [
        (1, 11.0, 1),
        (0, -40.0, 0),
    ]
    assert count(found, "returned more than they bought") == (1, 1)


def test_events_become_visits_mail_and_flags():
    who = assigned([("a", "x", 0), ("b", "none", 0), ("c", "x", 0)], campaign_id="C")
    log = happened(
        [("a", "email_sent", 1, None), ("a", "email_open", 2, None), ("a", "email_click", 2, None),
         ("a", "site_visit", 2, "s1"), ("a", "page_view", 2, "s1"), ("a", "site_visit", 3, "s2"),
         ("a", "unsubscribe", 4, None), ("b", "email_sent", 1, None), ("a", "site_visit", -5, "s0")]
    )  # fmt: skip
    other = log.filter(event_type="email_sent").with_columns(campaign_id=pl.lit("D"))
    lines = ordered([("c", "1", 40, 5.0)])
    found = segkit.derive_outcomes(
        who, lines, pl.concat([log, other]), campaign_id="C", holdout="none", data_until=END
    )
    row = found.frame.row(0, named=True)
    names = ["emails_sent", "emails_opened", "clicked", "visits", "unsubscribed", "pre_visits"]
    assert [row[name] for name in names] == [1, 1, 1, 2, 1, 1]
    assert found.frame["inactive"].to_list() == [0, 1, 1]
    assert count(found, "contaminated") == (1, 1)
    assert count(found, "but got no mail") == (1, 1)
    assert "contaminated): 1 (kept)" in found.text


def test_customers_assigned_twice_are_found_and_counted():
    rows = [("a", "x", 0), ("a", "y", 2), ("b", "x", 0), ("b", "y", 0), ("c", "y", 0)]
    rows += [("c", "y", 1), ("d", "x", 0)]
    found = segkit.derive_outcomes(assigned(rows), ordered([("a", "1", 1, 5.0)]), data_until=END)
    assert found.frame.select("customer_id", "arm").rows() == [("a", "x"), ("c", "y"), ("d", "x")]
    assert count(found, "arm changed later") == (1, 2)
    assert count(found, "in two arms at one time") == (1, 2)
    assert count(found, "same arm again") == (1, 2)


def test_another_campaign_within_the_window_is_counted():
    both = pl.concat(
        [assigned([("a", "x", 0), ("b", "y", 0)], campaign_id="C"),
         assigned([("a", "p", 10), ("b", "q", 40)], campaign_id="D")]
    )  # fmt: skip
    lines = ordered([("a", "1", 1, 5.0)])
    found = segkit.derive_outcomes(both, lines, campaign_id="C", data_until=END)
    assert count(found, "another campaign") == (1, 1)
    with pytest.raises(ParameterError, match="2 campaigns"):
        segkit.derive_outcomes(both, lines)
    with pytest.raises(ParameterError, match="unknown campaign 'E'"):
        segkit.derive_outcomes(both, lines, campaign_id="E")


def test_a_window_beyond_the_data_is_censored_and_counted():
    who = assigned([("a", "x", 0), ("b", "y", 0), ("c", "x", 20)])
    lines = ordered([("a", "1", 3, 5.0), ("c", "2", 30, 5.0)])
    found = segkit.derive_outcomes(who, lines)  # the data end with the last order's day
    assert count(found, "censored") == (1, 1)
    assert found.frame["customer_id"].to_list() == ["a", "b"]
    with pytest.raises(DataError, match="before any window of 90 days"):
        segkit.derive_outcomes(who, lines, window_days=90)


def test_wrong_assignments_and_amounts_are_refused_with_what_is_wrong():
    lines = ordered([("a", "1", 1, 5.0)])
    who = assigned([("a", "x", 0), ("b", "z", 0)])
    with pytest.raises(DataError, match="1 assignment has no arm"):
        segkit.derive_outcomes(assigned([("a", None, 0)]), lines)
    with pytest.raises(ColumnError, match="lacks assigned_at"):
        segkit.derive_outcomes(who.drop("assigned_at"), lines)
    with pytest.raises(ColumnError, match="date-time"):
        segkit.derive_outcomes(who.with_columns(pl.col("assigned_at").dt.date()), lines)
    with pytest.raises(DataError, match="neither was given"):
        segkit.derive_outcomes(who)
    with pytest.raises(ParameterError, match="window_days must be above 0"):
        segkit.derive_outcomes(who, lines, window_days=0)
    endless = ordered([("a", "1", 1, float("inf"))])
    with pytest.raises(DataError, match=r"1 order line .* not a finite number"):
        segkit.derive_outcomes(who, endless, data_until=END)
    with pytest.raises(DataError, match="exactly one arm"):
        segkit.derive_outcomes(assigned([("a", "x", 0), ("a", "y", 0)]), lines, data_until=END)


def test_segments_are_those_of_before():
    who = assigned([("a", "x", 0), ("b", "y", 0)])
    groups = pl.DataFrame({"customer_id": ["a"], "segment": ["S1"]})
    found = segkit.lift.attach_segments(who, groups, as_of=date(2024, 2, 29))
    assert found["segment"].to_list() == ["S1", "no segment"]
    with pytest.raises(DataError, match="segments of 2 customers rest on data up to 2024-03-05"):
        segkit.lift.attach_segments(who, groups, as_of=date(2024, 3, 5))
    with pytest.raises(DataError, match="more than once"):
        segkit.lift.attach_segments(who, pl.concat([groups, groups]), as_of=date(2024, 2, 1))
    late = found.with_columns(segment_as_of=pl.lit(date(2024, 4, 1)))
    for call in (
        lambda: segkit.derive_outcomes(late, ordered([("a", "1", 1, 5.0)]), data_until=END),
        lambda: segkit.measure_lift(late.with_columns(converted=1), control="y"),
    ):
        with pytest.raises(DataError, match="the campaign may have moved them"):
            call()


def test_segments_of_the_assignments_own_day_are_refused():
    """A date stands for its whole day, a date-time for what lies strictly before it."""
    who = assigned([("a", "x", 0), ("b", "y", 0)])
    drawn = who["assigned_at"][0]
    groups = pl.DataFrame({"customer_id": ["a", "b"], "segment": ["S1", "S1"]})
    with pytest.raises(DataError, match="is not before their assignment"):
        segkit.lift.attach_segments(who, groups, as_of=drawn.date())
    midnight = who.with_columns(pl.col("assigned_at").dt.truncate("1d"))
    yesterday = drawn.date() - timedelta(days=1)
    assert segkit.lift.attach_segments(midnight, groups, as_of=yesterday).height == 2
    with pytest.raises(DataError, match="is not before their assignment"):
        segkit.lift.attach_segments(midnight, groups, as_of=drawn.date())
    for moment, late in ((drawn, False), (drawn + timedelta(microseconds=1), True)):
        rows = who.with_columns(segment="arm", segment_as_of=pl.lit(moment), converted=1)
        rows = rows.with_columns(segment=pl.lit("S1"))
        if late:
            with pytest.raises(DataError, match="2 customers rest on data up to"):
                segkit.measure_lift(rows, control="y")
        else:
            assert segkit.measure_lift(rows, control="y").overall.height == 1
    naive = who.with_columns(
        pl.col("assigned_at").dt.replace_time_zone(None), segment_as_of=pl.lit(yesterday),
        segment=pl.lit("S1"), converted=1,
    )  # fmt: skip
    assert segkit.measure_lift(naive, control="y").overall.height == 1


def test_given_outcomes_are_joined_and_gaps_counted():
    who = pl.DataFrame({"customer_id": ["a", "b", "c"], "arm": ["x", "y", "y"]})
    did = pl.DataFrame({"customer_id": ["a", "b", "z"], "spend": [1.0, 2.0, 3.0]})
    found = segkit.lift.read_outcomes(who, did, names={"spend": "revenue"})
    assert found.frame["revenue"].to_list() == [1.0, 2.0]
    assert found.issues["customers"].to_list() == [1, 1]
    with pytest.raises(DataError, match="ids of one kind"):
        segkit.lift.read_outcomes(who, did.with_columns(customer_id=pl.lit("q")).head(1))
    with pytest.raises(DataError, match="come twice"):
        segkit.lift.read_outcomes(pl.concat([who, who]), did)


def test_the_simulated_campaign_goes_all_the_way():
    shop = segkit.simulate_retailer(800, seed=5, dirty=False)
    people = shop.truth["customers"].filter("writable")
    start = datetime.combine(shop.campaign_date, datetime.min.time(), UTC)
    half = pl.int_range(pl.len()) % 2 == 0
    who = people.select(
        "customer_id", campaign_id=pl.lit("C1"), segment="archetype",
        arm=pl.when(half).then(pl.lit("mail")).otherwise(pl.lit("none")),
        offer=pl.when(half).then(pl.lit("generic")).otherwise(pl.lit("none")),
        assigned_at=pl.lit(start).dt.cast_time_unit("us"),
    )  # fmt: skip
    answer = shop.respond(who, weeks=5)
    taken = segkit.clean_data({"orders": answer.orders, "events": answer.events}, shop.mapping)
    found = segkit.derive_outcomes(
        who, taken.orders, taken.events, campaign_id="C1", holdout="none"
    )
    assert found.frame.height == who.height
    mailed = found.frame.group_by("arm").agg(pl.col("emails_sent").mean()).sort("arm")
    assert mailed["emails_sent"].to_list() == [1.0, 0.0]
    lift = segkit.measure_lift(found, control="none")
    assert lift.row()["difference"] > 0
