"""A further year: history untouched, changes as planted, clean data that join the old ones."""

import polars as pl
import pytest

from segkit.errors import DataError, ParameterError
from segkit.intake import clean_data
from segkit.simulate import Changes, continue_year, simulate_retailer
from segkit.simulate.world import World

SETTINGS = {"seed": 5, "months": 24, "dirty": False}
PLANTED = Changes(changed=0.3, left=0.2, new=0.25, habits={"deal_proneness": 8.0})


@pytest.fixture(scope="module")
def shop():
    return simulate_retailer(400, **SETTINGS)


@pytest.fixture(scope="module")
def year(shop):
    return continue_year(shop.world, PLANTED)


def test_history_stays_byte_for_byte(shop, year):
    again = simulate_retailer(400, **SETTINGS)
    assert all(again.tables[name].equals(frame) for name, frame in shop.tables.items())
    assert year.start == shop.campaign_date
    days = year.tables["orders"]["ordered_at"].str.slice(0, 10)
    assert days.min() >= year.start.isoformat()
    assert days.max() <= year.end.isoformat()
    assert not set(year.tables["orders"]["order_no"]) & set(shop.tables["orders"]["order_no"])
    sessions = [one.tables["events"]["session_id"].drop_nulls() for one in (year, shop)]
    assert not set(sessions[0]) & set(sessions[1])
    assert year.tables["events"]["account_id"].null_count() == 0
    assert continue_year(shop.world, PLANTED).tables["orders"].equals(year.tables["orders"])


def test_changes_are_those_planted(shop, year):
    truth = year.truth
    old = truth.filter(~pl.col("new"))
    assert old["archetype"].to_list() == shop.truth["customers"]["archetype"].to_list()
    assert truth["new"].sum() == 100
    # of those still there: 3 standard errors of a share
    there = old.filter(pl.col("left").is_null() | (pl.col("left") >= year.start))
    share = there["changed"].mean()
    assert abs(share - 0.3) < 3 * (0.3 * 0.7 / there.height) ** 0.5
    moved = there.filter("changed")
    assert (moved["archetype"] != moved["archetype_now"]).all()
    same = truth.filter(~pl.col("changed"))
    assert (same["archetype"] == same["archetype_now"]).all()
    gone = there.filter(pl.col("left").is_between(year.start, year.end)).height / there.height
    nobody = continue_year(shop.world, Changes(0, 0, 0)).truth
    quiet = nobody.filter(pl.col("left").is_between(year.start, year.end)).height / there.height
    assert 0.1 < gone - quiet < 0.3
    # nobody orders after leaving, or before coming
    orders = year.tables["orders"].filter(pl.col("quantity") > 0)
    after = orders.join(truth.drop_nulls("left"), left_on="account_id", right_on="customer_id")
    assert (after["ordered_at"].str.slice(0, 10).str.to_date() < after["left"]).all()


def test_habits_change_for_everybody(shop, year):
    calm = continue_year(shop.world, Changes(0.3, 0.2, 0.25))
    discounted = [
        (one.tables["orders"].filter(pl.col("quantity") > 0)["discount"] > 0).mean()
        for one in (calm, year)
    ]
    assert discounted[1] > discounted[0] + 0.1


def test_the_year_reads_clean_and_uses_the_ids_given(shop, year):
    guest = "G014737585"  # the second account of customer 3, under which an intake linked them
    named = continue_year(shop.world, PLANTED, ids=pl.Series([guest])).tables["orders"]
    own = pl.col("account_id").replace({guest: "C0000003"})
    assert guest in named["account_id"]
    assert named.with_columns(own).equals(year.tables["orders"])
    raw = {name: year.tables[name] for name in ("orders", "events", "products", "prices", "fx")}
    taken = clean_data(raw, year.mapping)
    assert all(rows.is_empty() for rows in taken.rejects.values())
    assert set(taken.orders["customer_id"]) <= set(year.truth["customer_id"])
    assert taken.orders["order_day"].cast(pl.Date).min() >= year.start
    answers = year.tables["survey"]
    assert answers["csat"].is_between(1, 5).all()


def test_wrong_settings_are_refused(shop):
    for wrong, words in (
        ({"changed": 1.5}, "changed must lie"),
        ({"habits": {"age": 2.0}}, "unknown habit"),
        ({"habits": {"deal_proneness": 0.0}}, "must be above 0"),
    ):
        with pytest.raises(ParameterError, match=words):
            Changes(**wrong)
    with pytest.raises(ParameterError, match="without archetypes"):
        continue_year(World(10, 0, structure="none"))
    with pytest.raises(DataError, match="not this retailer's"):
        continue_year(shop.world, ids=pl.Series(["X9"]))
