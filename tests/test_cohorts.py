"""Cohorts: cells as by hand, censored cells blank, Kaplan-Meier as statsmodels has it."""

import itertools
import json
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.cohorts import RepeatRate, Retention, estimate_repeat_rate, measure_retention
from segkit.errors import ColumnError, DataError, ParameterError

EPOCH = date(1970, 1, 1)


def number_of(day):
    return (day - EPOCH).days


def orders(*rows):
    return pl.DataFrame(
        [(c, number_of(date.fromisoformat(day)), float(amount)) for c, day, amount in rows],
        schema={"customer_id": pl.String, "order_day": pl.Int32, "amount": pl.Float64},
        orient="row",
    )


SMALL = orders(
    ("a", "2024-01-05", 10),
    ("a", "2024-02-29", 5),
    ("a", "2024-03-02", -4),
    ("b", "2024-01-31", 20),
    ("b", "2024-03-15", 8),
    ("c", "2024-02-10", 7),
)


def test_cells_by_hand_and_censored_cells_are_null():
    found = measure_retention(SMALL, as_of=date(2024, 3, 20))
    columns = ["cohort", "age", "customers", "active", "revenue", "revenue_per_customer"]
    january, february = date(2024, 1, 1), date(2024, 2, 1)
    assert found.cells.select(columns).rows() == [
        (january, 0, 2, 2, 30.0, 15.0),
        (january, 1, 2, 1, 5.0, 17.5),
        (january, 2, 2, None, None, None),
        (february, 0, 1, 1, 7.0, 7.0),
        (february, 1, 1, None, None, None),
    ]
    blank = found.cells.filter(pl.col("active").is_null())
    names = ["retention_rate", "retention_rate_low", "retention_rate_high"]
    assert blank.select(pl.all_horizontal(pl.col(*names).is_null()).all()).item()
    whole = measure_retention(SMALL, as_of=date(2024, 3, 31))
    assert whole.cells["active"].to_list() == [2, 1, 1, 1, 0]
    assert whole.cells["revenue"].to_list() == [30.0, 5.0, 4.0, 7.0, 0.0]
    assert whole.by_age.select("age", "cohorts", "customers", "active").rows() == [
        (0, 2, 3, 3),
        (1, 2, 3, 1),
        (2, 1, 2, 1),
    ]


def test_quarters_and_wilson():
    found = measure_retention(SMALL, period="quarter", as_of=date(2024, 3, 31))
    assert found.cells.select("cohort", "age", "customers").rows() == [(date(2024, 1, 1), 0, 3)]
    row = measure_retention(SMALL, as_of=date(2024, 3, 31)).cells.row(1, named=True)
    # Wilson's interval of 1 in 2 at 95%, by its formula.
    z = 1.959963985
    half = z * np.sqrt(0.25 / 2 + z**2 / 16) / (1 + z**2 / 2)
    assert row["retention_rate_low"] == pytest.approx(0.5 - half)
    assert row["retention_rate_high"] == pytest.approx(0.5 + half)


LINES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 500), st.integers(-3, 9)),
    min_size=1,
    max_size=40,
)


def period_number(day, months):
    if not months:  # weeks
        return (day + 3) // 7
    when = EPOCH + timedelta(days=day)
    return (when.year * 12 + when.month - 1) // months


@settings(max_examples=60)
@given(LINES, st.integers(0, 500), st.sampled_from([("week", 0), ("month", 1), ("quarter", 3)]))
def test_retention_equals_brute_force(rows, last, unit):
    period, months = unit
    used = [row for row in rows if row[1] <= last]
    frame = pl.DataFrame(rows, schema=["customer_id", "order_day", "amount"], orient="row")
    frame = frame.cast({"order_day": pl.Int32, "amount": pl.Float64})
    when = EPOCH + timedelta(days=last)
    if not any(row[2] >= 0 for row in used):
        with pytest.raises(DataError, match="no purchase"):
            measure_retention(frame, as_of=when, period=period)
        return
    found = measure_retention(frame.sample(fraction=1, shuffle=True), as_of=when, period=period)
    cohort = {}
    for customer, day, amount in used:
        if amount >= 0:
            own = period_number(day, months)
            cohort[customer] = min(own, cohort.get(customer, own))
    now = period_number(last, months)
    over = period_number(last + 1, months) > now
    expected = {}
    for start in set(cohort.values()):
        members = {c for c, own in cohort.items() if own == start}
        for age in range(now - start + 1):
            at = start + age
            inside = [r for r in used if r[0] in members and period_number(r[1], months) == at]
            active = len({r[0] for r in inside if r[2] >= 0})
            known = at < now or over or age == 0
            expected[start, age] = (
                len(members),
                active if known else None,
                float(sum(r[2] for r in inside)) if known else None,
            )
    got = {
        (period_number((c - EPOCH).days, months), age): values
        for c, age, *values in found.cells.select(
            "cohort", "age", "customers", "active", "revenue"
        ).rows()
    }
    assert {key: tuple(values) for key, values in got.items()} == expected


def test_weekly_cohorts_are_iso_weeks_and_the_last_one_is_marked_where_it_is_not_over():
    sales = orders(
        ("a", "2025-12-28", 10),  # Sunday of week 52
        ("b", "2025-12-29", 20),  # Monday of the week that ISO counts as the first of 2026
        ("b", "2026-01-04", 5),  # its Sunday
        ("a", "2026-01-04", 7),
        ("a", "2026-01-07", 3),  # Wednesday of week 2
    )
    result = measure_retention(sales, period="week")
    columns = ["cohort", "age", "customers", "active", "revenue"]
    last, first = date(2025, 12, 22), date(2025, 12, 29)
    assert result.cells.select(columns).rows() == [
        (last, 0, 1, 1, 10.0),
        (last, 1, 1, 1, 7.0),
        (last, 2, 1, None, None),
        (first, 0, 1, 1, 25.0),
        (first, 1, 1, None, None),
    ]
    figure = result.plot()
    written = [text.get_text() for text in figure.figure.axes[0].texts]
    assert "hatched: week not over" in written
    hatched = [one for one in figure.figure.axes[0].patches if one.get_hatch()]
    assert sorted(one.get_xy() for one in hatched) == [(0, 1), (1, 0)]
    assert figure.data["cohort"].to_list() == ["2025-W52"]
    whole = measure_retention(sales, period="week", as_of=date(2026, 1, 11))
    assert whole.cells["active"].null_count() == 0


def test_many_weekly_cohorts_are_drawn_as_the_last_half_year():
    result = measure_retention(drawn(), period="week")
    assert result.cells["cohort"].n_unique() > 90
    figure = result.plot()
    assert figure.data["cohort"].n_unique() == figure.data["age"].cast(pl.Int64).max() == 26
    assert "last 26 of" in figure.alt


def drawn(seed=3, n=400):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        day = int(rng.integers(0, 700))
        for _ in range(1 + rng.poisson(1.5)):
            rows.append((f"c{i}", day, 5.0))
            day += int(rng.exponential(120))
    frame = pl.DataFrame(rows, schema=["customer_id", "order_day", "amount"], orient="row")
    return frame.cast({"order_day": pl.Int32})


def spans(frame, last):
    """Days from each customer's first purchase day to the second, or to the last day."""
    for _, own in frame.filter(pl.col("order_day") <= last).group_by("customer_id"):
        days = sorted(set(own["order_day"]))
        yield (days[1] - days[0], 1) if len(days) > 1 else (last - days[0], 0)


def test_the_curve_is_statsmodels_kaplan_meier():
    from statsmodels.duration.survfunc import SurvfuncRight

    frame = drawn()
    found = estimate_repeat_rate(frame, as_of=EPOCH + timedelta(days=800))
    times, status = map(np.array, zip(*spans(frame, 800), strict=True))
    theirs = SurvfuncRight(times, status)
    ours = found.curve.filter(pl.col("events") > 0)
    assert ours["days"].to_list() == theirs.surv_times.astype(int).tolist()
    assert ours["at_risk"].to_list() == theirs.n_risk.astype(int).tolist()
    np.testing.assert_allclose(1 - ours["repeat_rate"].to_numpy(), theirs.surv_prob, atol=1e-12)
    # Log-log limits from statsmodels' Greenwood standard errors.
    s, error = theirs.surv_prob, theirs.surv_prob_se
    spread = 1.959963985 * error / (s * np.abs(np.log(s)))
    np.testing.assert_allclose(ours["repeat_rate_low"], 1 - s ** np.exp(-spread), atol=1e-8)
    np.testing.assert_allclose(ours["repeat_rate_high"], 1 - s ** np.exp(spread), atol=1e-8)


def test_rates_by_order_number_equal_brute_force():
    frame = drawn(5, 150)
    last, horizon = 900, 200
    found = estimate_repeat_rate(
        frame, horizon=horizon, as_of=EPOCH + timedelta(days=last), max_order=3
    )
    for row in found.by_order.iter_rows(named=True):
        k = row["order_number"]
        gaps = []
        for _, own in frame.filter(pl.col("order_day") <= last).group_by("customer_id"):
            days = sorted(set(own["order_day"]))
            if len(days) >= k:
                gone = len(days) > k
                gaps.append(((days[k] if gone else last) - days[k - 1], gone))
        stay = 1.0
        for time in sorted({t for t, gone in gaps if gone and t <= horizon}):
            stay *= 1 - sum(t == time and g for t, g in gaps) / sum(t >= time for t, _ in gaps)
        assert row["customers"] == len(gaps)
        assert row["went_on"] == sum(gone for _, gone in gaps)
        assert row["repeat_rate"] == pytest.approx(1 - stay)


def test_censoring_is_allowed_for_where_a_plain_share_is_too_low():
    # Everybody comes back after exactly 100 days; half came 50 days ago.
    rows = [(f"a{i}", 0, 1.0) for i in range(20)] + [(f"a{i}", 100, 1.0) for i in range(20)]
    rows += [(f"b{i}", 250, 1.0) for i in range(20)]
    frame = pl.DataFrame(rows, schema=["customer_id", "order_day", "amount"], orient="row")
    found = estimate_repeat_rate(frame, horizon=150, as_of=EPOCH + timedelta(days=300))
    first = found.by_order.row(0, named=True)
    assert (first["went_on"], first["customers"], first["repeat_rate"]) == (20, 40, 1.0)
    assert first["median_days"] == 100


def test_the_interval_covers_under_censoring():
    rng = np.random.default_rng(11)
    truth, runs, hits = 1 - np.exp(-90 / 120), 400, 0
    for _ in range(runs):
        start = rng.integers(0, 300, 120)
        gap = 1 + np.floor(rng.exponential(120, 120)).astype(int)
        again = start + gap
        seen = again <= 300
        ids = [f"c{i}" for i in range(120)]
        frame = pl.DataFrame(
            {
                "customer_id": ids + list(itertools.compress(ids, seen)),
                "order_day": [*start.tolist(), *again[seen].tolist()],
                "amount": 1.0,
            }
        )
        found = estimate_repeat_rate(
            frame, horizon=90, as_of=EPOCH + timedelta(days=300), max_order=1
        )
        row = found.by_order.row(0, named=True)
        hits += row["repeat_rate_low"] <= truth <= row["repeat_rate_high"]
    # P(1 + floor(E) <= 90) = P(E < 90): the truth is exact.
    assert abs(hits / runs - 0.95) < 3 * np.sqrt(0.05 * 0.95 / runs) + 0.01


def test_same_day_orders_are_one_purchase():
    frame = pl.DataFrame(
        {
            "customer_id": ["a", "a", "a"],
            "order_id": ["1", "2", "3"],
            "order_day": [0, 0, 9],
            "amount": [1.0, 1.0, -1.0],
        }
    )
    found = estimate_repeat_rate(frame, as_of=date(1970, 1, 31), horizon=10)
    assert found.same_day == 1
    assert found.by_order.select("customers", "went_on").rows() == [(1, 0)]
    assert found.by_order["repeat_rate"].to_list() == [0.0]


def test_nobody_watched_to_the_horizon_gives_no_rate():
    found = estimate_repeat_rate(orders(("a", "2024-01-05", 10)), as_of=date(2024, 1, 25))
    assert found.by_order["repeat_rate"][0] is None
    assert "cannot be told yet" in found.text


def test_one_customer_one_day():
    one = orders(("a", "2024-01-05", 10))
    assert measure_retention(one).cells["retention_rate"].to_list() == [1.0]
    assert "No cohort" in measure_retention(one).text
    with pytest.raises(DataError, match="whole month"):
        measure_retention(one).plot()
    assert estimate_repeat_rate(one).curve.height == 1


def test_bad_input():
    with pytest.raises(ParameterError, match="did you mean 'month'"):
        measure_retention(SMALL, period="months")
    with pytest.raises(ParameterError, match="level"):
        measure_retention(SMALL, level=95)
    with pytest.raises(ParameterError, match="horizon must be"):
        estimate_repeat_rate(SMALL, horizon=0)
    with pytest.raises(ColumnError, match="lacks amount"):
        measure_retention(SMALL.drop("amount"))
    with pytest.raises(DataError, match="no purchase on or before 2020"):
        measure_retention(SMALL, as_of=date(2020, 1, 1))
    with pytest.raises(DataError, match="no purchase"):
        estimate_repeat_rate(SMALL.clear())


def test_results_are_stored_and_drawn():
    frame = drawn(1, 60)
    for found, kind in (
        (measure_retention(frame), Retention),
        (estimate_repeat_rate(frame), RepeatRate),
    ):
        again = kind.from_dict(json.loads(json.dumps(found.to_dict())))
        assert again.to_frame().equals(found.to_frame())
        assert again.text == found.text
        assert found.plot().alt
