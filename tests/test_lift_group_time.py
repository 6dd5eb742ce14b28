"""Group-time effects: by hand, beside an independent library, with known effects, and refusals."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.intake import Mapping
from segkit.lift import Contacts, collect_contacts, estimate_group_time_effects
from segkit.lift.group_time import LABEL
from segkit.result import Result
from tests.studies.study_group_time import retailer

REFERENCE = Path(__file__).parent / "reference"
START = date(2024, 1, 1)


def contacts(values, first, outcome="spend"):
    """Make contacts of a table with one row per customer and one column per day."""
    n, days = values.shape
    customer = [f"c{i}" for i in range(n)]
    days_of = [None if f is None else START + timedelta(days=f) for f in first]
    return Contacts(
        pl.DataFrame({"customer_id": customer, "first_contact": days_of},
                     schema_overrides={"first_contact": pl.Date}),
        pl.DataFrame(
            {
                "customer_id": np.repeat(customer, days).tolist(),
                "day": [START + timedelta(days=d) for d in range(days)] * n,
                outcome: values.ravel(),
            }
        ),
        START,
        START + timedelta(days=days - 1),
        "GBP",
    )  # fmt: skip


def test_two_by_two_by_hand():
    """Windows of two days; contacted: 4 to 13 and 6 to 11, others: 5 to 7 and 5 to 11."""
    values = np.array([[1.0, 3, 6, 7], [2, 4, 5, 6], [0, 5, 3, 4], [5, 0, 11, 0]])
    found = estimate_group_time_effects(
        contacts(values, [2, 2, None, None]), window_days=2, windows=1, min_customers=2
    )
    row = found.overall
    # Changes 9 and 5 against 2 and 6: 7 less 4; variances 8 and 8, two customers each.
    assert (row["effect"], row["value"], row["expected"]) == (3.0, 12.0, 9.0)
    assert row["error"] == pytest.approx(np.sqrt(8 / 2 + 8 / 2))
    assert row["low"] == pytest.approx(3 - 1.959964 * np.sqrt(8))
    assert found.pretrend_p is None
    assert (row["customers"], row["comparison"]) == (2, 2)


def test_who_is_contacted_later_is_compared_until_then():
    """The group of day 4 serves as comparison of the group of day 2, for one day and not two."""
    values = np.zeros((6, 8))
    values[:2, 2:] = 5.0
    values[2:4, 3:] = 7.0  # before its contact on day 4: it counts for day 3 alone if at all
    found = estimate_group_time_effects(
        contacts(values, [2, 2, 4, 4, None, None]), window_days=1, windows=2, min_customers=2
    )
    effects = {
        (row["group"].day - 1, row["window"]): (row["effect"], row["comparison"])
        for row in found.by_group.iter_rows(named=True)
    }
    assert effects[2, 0] == (5.0, 4)  # day 2
    assert effects[2, 1] == (5 - 7 / 2, 4)  # day 3, of which two of four customers have 7
    assert effects[4, 0] == (0.0, 2)
    assert effects[4, -2] == (-7.0, 2)


@pytest.mark.parametrize(("covariates", "rows", "most"), [((), 16, 1.03), (("x",), 10, 1 + 1e-6)])
def test_effects_and_errors_are_those_of_csdid(covariates, rows, most):
    """Every group and period, by event time and overall; without covariates errors take n - 1."""
    wide = pl.read_csv(REFERENCE / "group_time_panel.csv")
    values = wide.drop("customer", "group", "x").to_numpy().astype(float)
    both = contacts(values, [None if g == 0 else g - 1 for g in wide["group"]])
    both = replace(both, first=both.first.with_columns(wide["x"]))
    found = estimate_group_time_effects(
        both, window_days=1, windows=3, min_customers=2, covariates=covariates
    )
    ours = {("overall", ""): found.overall}
    ours |= {("all", str(r["window"])): r for r in found.by_window.iter_rows(named=True)}
    for row in found.by_group.iter_rows(named=True):
        group = (row["group"] - START).days + 1
        ours[str(group), str(group + row["window"])] = row
    theirs = pl.read_csv(
        REFERENCE / "group_time_effects.csv", comment_prefix="#",
        schema_overrides={"group": pl.String, "period": pl.String},
    ).fill_null("").filter(covariates=",".join(covariates) or "none")  # fmt: skip
    assert theirs.height == rows <= len(ours) == 16
    for _, group, period, effect, error in theirs.iter_rows():
        mine = ours[group, period]
        assert mine["effect"] == pytest.approx(effect, abs=1e-8), (group, period)
        assert 1 - 1e-6 < mine["error"] / error < most, (group, period)


def test_covariates_take_out_a_trend_that_depends_on_them():
    """Customers with a high x rise by themselves and are contacted more often."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=900)
    own = rng.random(900) < 1 / (1 + np.exp(-x))
    values = rng.gamma(2.0, 1.0, (900, 40)) + np.outer(x, np.arange(40) >= 20)
    both = contacts(values, [20 if one else None for one in own])
    both = replace(both, first=both.first.with_columns(x=pl.Series(x), same=pl.lit(1.0)))
    options = {"window_days": 10, "windows": 2}
    plain = estimate_group_time_effects(both, **options).overall
    robust = estimate_group_time_effects(both, covariates=["x"], **options).overall
    assert plain["low"] > 2
    assert robust["low"] < 0 < robust["high"]
    apart = replace(both, first=both.first.with_columns(x=pl.Series(own.astype(float))))
    with pytest.raises(DataError, match="separate the contacted"):
        estimate_group_time_effects(apart, covariates=["x"], **options)
    with pytest.raises(DataError, match="same is the same for all"):
        estimate_group_time_effects(both, covariates=["same"], **options)
    with pytest.raises(ColumnError, match="age"):
        estimate_group_time_effects(both, covariates=["age"], **options)
    gone = replace(both, first=both.first.with_columns(x=pl.lit(None, pl.Float64)))
    with pytest.raises(DataError, match="x: a value is missing"):
        estimate_group_time_effects(gone, covariates=["x"], **options)


@pytest.mark.parametrize("effect", [0.0, 40.0])
def test_a_known_effect_is_found_and_limits_are_simultaneous(effect):
    found = estimate_group_time_effects(retailer(3, effect), window_days=28, windows=3, seed=1)
    row = found.overall
    assert abs(row["effect"] - effect) < 4 * row["error"]
    assert (row["low"] > 0) == (effect > 0)
    window = found.by_window
    wide = (window["band_high"] - window["band_low"]) / (window["high"] - window["low"])
    assert 1.05 < wide.min() <= wide.max() < 1.6
    again = estimate_group_time_effects(retailer(3, effect), window_days=28, windows=3, seed=1)
    assert again.table.equals(found.table)


def test_customers_that_had_diverged_before_are_said_to_have():
    rng = np.random.default_rng(4)
    values = rng.gamma(2.0, 1.0, (400, 120))
    values[:150] += np.linspace(0, 3, 120)  # the contacted rise all the time
    first = [60] * 150 + [None] * 250
    found = estimate_group_time_effects(contacts(values, first), window_days=20)
    assert found.pretrend_p < 1e-6
    assert "Already before the contact they had not gone the same way" in found.text
    flat = rng.gamma(2.0, 1.0, (400, 120))
    found = estimate_group_time_effects(contacts(flat, first), window_days=20)
    assert found.pretrend_p > 0.01
    assert "does not prove" in found.text
    assert found.headline.startswith(f"{LABEL}. Per 20 days after the first contact, spend was")
    assert Result.from_dict(found.to_dict()).text == found.text
    assert "day 0 to 19" in found.plot().alt


def test_groups_without_whole_windows_or_enough_customers_are_counted():
    rng = np.random.default_rng(5)
    values = rng.gamma(2.0, 1.0, (100, 60))
    first = [2] * 11 + [20] * 12 + [30] * 3 + [55] * 13 + [None] * 61
    found = estimate_group_time_effects(contacts(values, first), window_days=5)
    assert found.overall["customers"] == 12
    assert found.overall["comparison"] == 13 + 61  # who is contacted on day 55 is not yet by 35
    (_, left) = found.notes
    for part in ("11 contacted less than 15 days after", "3 in groups of fewer than 10",
                 "13 contacted less than 15 days before they end"):  # fmt: skip
        assert part in left
    with pytest.raises(DataError, match="15 in groups of fewer than 90"):
        estimate_group_time_effects(contacts(values, first), window_days=5, min_customers=90)
    everyone = [20] * 50 + [21] * 50
    with pytest.raises(DataError, match="100 with fewer than 10 customers not yet contacted"):
        estimate_group_time_effects(contacts(values, everyone), window_days=5)
    with pytest.raises(DataError, match="nobody was contacted"):
        estimate_group_time_effects(contacts(values, [None] * 100), window_days=5)


def test_what_cannot_be_read_is_refused():
    both = contacts(np.ones((4, 8)), [4, 4, None, None])
    with pytest.raises(ParameterError, match="did you mean 'spend'"):
        estimate_group_time_effects(both, outcome="spent")
    for name, value in {"window_days": 0, "windows": 0, "min_customers": 1, "draws": 9}.items():
        with pytest.raises(ParameterError, match=name):
            estimate_group_time_effects(both, **{name: value})
    with pytest.raises(ParameterError, match="level"):
        estimate_group_time_effects(both, level=1.0)
    twice = Contacts(pl.concat([both.first, both.first]), both.activity, START, START)
    with pytest.raises(DataError, match="a customer twice"):
        estimate_group_time_effects(twice)
    text = both.first.with_columns(pl.col("first_contact").cast(pl.String))
    with pytest.raises(DataError, match="first_contact holds String"):
        estimate_group_time_effects(Contacts(text, both.activity, START, START))
    bad = both.activity.with_columns(spend=pl.lit(float("inf")))
    with pytest.raises(DataError, match="not finite"):
        estimate_group_time_effects(Contacts(both.first, bad, START, START))
    with pytest.raises(ColumnError, match="first_contact"):
        estimate_group_time_effects(
            Contacts(both.first.drop("first_contact"), both.activity, START, START)
        )


def test_only_campaigns_without_a_control_are_collected():
    """Contacted on the evening of the 3rd in New York, which is the 4th in UTC."""
    orders = pl.DataFrame(
        {"who": ["a", "a", "b", "c"], "id": ["1", "2", "3", "4"], "paid": [5.0, 7.0, 1.0, 2.0],
         "at": ["2024-01-02 10:00", "2024-01-20 10:00", "2024-01-02 10:00", "2024-01-30 10:00"]}
    )  # fmt: skip
    sent = pl.DataFrame(
        {"who": ["a", "a", "b", "b", "c"], "campaign": ["x", "y", "y", "t", "t"],
         "arm": ["mailed"] * 3 + ["mailed", "none"],
         "at": ["2024-01-03 22:00", "2024-01-10 09:00", "2024-01-10 09:00"]
         + ["2024-01-01 09:00"] * 2,
         "redeemed": ["2024-01-05", None, None, "2024-01-09", None]}
    )  # fmt: skip
    mapping = Mapping.from_dict(
        {
            "timezone": "America/New_York",
            "currency": "USD",
            "orders": {"columns": {"customer_id": "who", "order_id": "id", "order_time": "at",
                                   "amount": "paid"}},
            "assignments": {"columns": {"customer_id": "who", "campaign_id": "campaign",
                                        "arm": "arm", "assigned_at": "at",
                                        "first_redeemed": "redeemed"}},
        }
    )  # fmt: skip
    taken = segkit.clean_data({"orders": orders, "assignments": sent}, mapping)
    both = collect_contacts(taken)
    assert dict(both.first.iter_rows()) == {
        "a": date(2024, 1, 3), "b": date(2024, 1, 10), "c": None
    }  # fmt: skip
    assert both.activity.filter(pl.col("redemptions") > 0).rows() == [
        ("a", date(2024, 1, 5), 0.0, 0.0, 1.0)
    ]
    assert both.activity["spend"].sum() == 15.0
    assert (both.data_from, both.data_until) == (date(2024, 1, 2), date(2024, 1, 30))
    assert both.currency == "USD"
    tests = sent.filter(campaign="t")
    randomised = segkit.clean_data({"orders": orders, "assignments": tests}, mapping)
    assert collect_contacts(randomised) is None
