"""Before/after descriptions: equal windows, the same weeks a year before, refusals."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

import segkit
from segkit.errors import DataError, ParameterError
from segkit.lift import Change

START = datetime(2025, 11, 3, tzinfo=UTC)


def campaign(*, years=2.0, season=0.0, lifted=0.0, n=60, **options):
    """Every customer spends 10 a day on one day in five; a yearly season and a lift on top."""
    first = START - timedelta(days=int(365 * years))
    rows = []
    for who in range(n):
        for day in range((START - first).days + 28):
            when = first + timedelta(days=day, hours=12)
            if (day + who) % 5:
                continue
            since = (when - START).days % 364
            amount = 10.0 + who % 7 + season * (since < 28)
            amount += lifted * (when >= START and who % 2 == 0)
            rows.append((f"c{who}", f"{who}-{day}", when, amount))
    orders = pl.DataFrame(
        rows, schema=["customer_id", "order_id", "order_time", "amount"], orient="row"
    )
    who = pl.DataFrame({"customer_id": [f"c{i}" for i in range(n)],
                        "arm": ["mail", "others"] * (n // 2),
                        "assigned_at": [START] * n})  # fmt: skip
    return segkit.derive_outcomes(
        who, orders, data_until=START + timedelta(days=28), randomised=False, **options
    )


def test_the_default_compares_equal_windows_where_it_once_took_a_year_before():
    found = segkit.lift.describe_change(campaign(lifted=2.0), contacted="mail")
    row = found.table.row(0, named=True)
    assert row["before"] == pytest.approx(row["after"] - row["change"])
    assert 5 < row["change"] < 20  # 2 on 5 or 6 days; a year before would make it -700
    assert row["change_per_day"] == pytest.approx(row["change"] / 28)
    assert found.days == 28
    assert "the 28 days before to the 28 days after" in found.text
    assert found.text.startswith("A description, not a lift")
    assert "fall" in found.text


def test_the_same_weeks_a_year_before_take_the_season_out():
    chosen = campaign(season=6.0, lifted=2.0)
    found = segkit.lift.describe_change(chosen, contacted="mail", others="others")
    table = found.table.filter(group="mail")
    now, earlier, beyond = table["change"].to_list()
    assert table["comparison"].to_list() == [
        "before and after", "the same weeks a year before", "beyond the year before"
    ]  # fmt: skip
    assert now > 35
    assert earlier > 30
    assert beyond == pytest.approx(now - earlier)
    both = found.table.filter(group="difference in differences")
    assert both["change"][2] == pytest.approx(
        beyond - found.table.filter(group="others")["change"][2]
    )
    assert "beyond the season" in found.text
    assert Change.from_dict(found.to_dict()).text == found.text
    assert "year before" in found.plot().alt


def test_sums_of_each_period_are_those_counted_by_hand():
    orders = pl.DataFrame(
        {"customer_id": ["a"] * 6, "order_id": list("123456"), "amount": [1.0, 2, 4, 8, 16, 32],
         "order_time": [START + timedelta(days=d)
                        for d in (-364 - 28, -364.01, -364, -28, -0.01, 27.99)]}
    )  # fmt: skip
    who = pl.DataFrame({"customer_id": ["a", "b"], "arm": ["x", "x"], "assigned_at": [START] * 2})
    found = segkit.derive_outcomes(who, orders, data_until=START + timedelta(days=28)).frame
    names = ["revenue", "before_revenue", "last_year_revenue", "before_last_year_revenue"]
    assert found.select(names).rows() == [(32.0, 24.0, 4.0, 3.0), (0.0, 0.0, 0.0, 0.0)]
    assert found["before_orders"].to_list() == [2, 0]
    assert found["before_last_year_converted"].to_list() == [1, 0]


def test_without_a_year_of_orders_the_season_is_said_to_remain():
    found = segkit.lift.describe_change(campaign(years=0.5), contacted="mail", metric="orders")
    assert found.table["comparison"].to_list() == ["before and after"]
    assert "the season is not taken out" in found.text


def test_without_an_equal_period_before_it_is_refused():
    chosen = campaign(years=0.05)
    with pytest.raises(
        DataError, match=r"28 days before the first assignment.*begin on 2025-10-16"
    ):
        segkit.lift.describe_change(chosen, contacted="mail")
    early = campaign(years=0.2)
    assert segkit.lift.describe_change(early, contacted="mail").days == 28
    with pytest.raises(ParameterError, match="window_days=14"):
        segkit.lift.describe_change(early, contacted="mail", days=14)


def test_given_outcomes_need_the_length_of_both_periods():
    rng = np.random.default_rng(3)
    who = pl.DataFrame(
        {"customer_id": [str(i) for i in range(400)], "arm": ["mail", "others"] * 200,
         "pre_revenue": rng.gamma(1, 20, 400)}
    )  # fmt: skip
    did = who.select(
        "customer_id",
        revenue=pl.col("pre_revenue") + 5 + 3 * (pl.col("arm") == "mail")
        + pl.Series(rng.normal(size=400)),
    )  # fmt: skip
    chosen = segkit.lift.read_outcomes(who, did, randomised=False)
    with pytest.raises(DataError, match="chosen, not assigned at random"):
        segkit.measure_lift(chosen, control="others")
    with pytest.raises(DataError, match="equal length"):
        segkit.lift.describe_change(chosen, contacted="mail", others="others")
    found = segkit.lift.describe_change(chosen, contacted="mail", others="others", days=14)
    own = (chosen.frame["revenue"] - chosen.frame["pre_revenue"]).to_numpy()
    mail = (chosen.frame["arm"] == "mail").to_numpy()
    known = stats.ttest_ind(own[mail], own[~mail], equal_var=False)
    row = found.table.row(-1, named=True)
    assert row["change"] == pytest.approx(own[mail].mean() - own[~mail].mean())
    limits = known.confidence_interval()
    assert [row["low"], row["high"]] == pytest.approx([limits.low, limits.high])
    one = stats.ttest_1samp(own[mail], 0).confidence_interval()
    first = found.table.row(0, named=True)
    assert [first["low"], first["high"]] == pytest.approx([one.low, one.high])
    with pytest.raises(DataError, match="pre_orders"):
        segkit.lift.describe_change(chosen, contacted="mail", metric="orders", days=14)
    with pytest.raises(ParameterError, match="with itself"):
        segkit.lift.describe_change(chosen, contacted="mail", others="mail", days=14)
    with pytest.raises(ParameterError, match="unknown arm"):
        segkit.lift.describe_change(chosen, contacted="letter", days=14)
    lost = segkit.lift.read_outcomes(who, did.with_columns(revenue=pl.lit(None, pl.Float64)))
    with pytest.raises(DataError, match="missing or not finite for 200"):
        segkit.lift.describe_change(lost, contacted="mail", days=14)


def test_conversion_must_be_a_share():
    who = pl.DataFrame({"customer_id": ["a", "b"], "arm": "mail", "pre_converted": [3, 0]})
    did = pl.DataFrame({"customer_id": ["a", "b"], "converted": [1, 0]})
    chosen = segkit.lift.read_outcomes(who, did, randomised=False)
    with pytest.raises(DataError, match="0 or 1"):
        segkit.lift.describe_change(chosen, contacted="mail", metric="conversion", days=7)
