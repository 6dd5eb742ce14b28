"""Segmentations over time: parts that add up, drift beyond chance, refreshes with a reason."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from segkit.cluster import cluster_customers
from segkit.errors import DataError, ModelError, ParameterError
from segkit.features import build_features
from segkit.intake import ProfileArchive, ProfileStore
from segkit.monitor import (
    compare_periods,
    decide_refresh,
    find_comparable_day,
    measure_drift,
    refresh_series,
)
from segkit.monitor.migration import ABSENT
from segkit.monitor.series import month_ends
from segkit.simulate.catalogue import month_after
from segkit.simulate.world import START
from tests.studies._retail import shop

VARIABLES = ["spend", "visits"]
CENTRES = {"low": (10.0, 2.0), "middle": (40.0, 9.0), "high": (90.0, 4.0)}


def customers(rng, first, groups):
    """Return customers around the centres of their groups."""
    rows = []
    for name, count in groups.items():
        spend, visits = CENTRES[name]
        rows += [(name, spend + rng.normal(), visits + rng.normal() * 0.4) for _ in range(count)]
    frame = pl.DataFrame(rows, schema=["group", *VARIABLES], orient="row")
    ids = [f"c{first + i:04d}" for i in range(frame.height)]
    return frame.with_columns(customer_id=pl.Series(ids), revenue=pl.col("spend") * 10)


@pytest.fixture(scope="module")
def periods():
    """Three groups; a year later 12 move from low to high, 20 left and 30 of a new kind came."""
    rng = np.random.default_rng(3)
    before = customers(rng, 0, {"low": 100, "middle": 80, "high": 60})
    stays = before.filter(~pl.col("customer_id").is_in([f"c{i:04d}" for i in range(20)]))
    moved = stays["customer_id"].head(12)
    goes = pl.col("customer_id").is_in(moved.implode())
    after = stays.with_columns(
        spend=pl.when(goes).then(pl.lit(90.0)).otherwise(pl.col("spend")),
        visits=pl.when(goes).then(pl.lit(4.0)).otherwise(pl.col("visits")),
    )
    new = customers(rng, 500, {"middle": 30})
    after = pl.concat([after, new]).with_columns(revenue=pl.col("spend") * 10)
    model = cluster_customers(before, features=VARIABLES, k=3).model
    return model, before, after


def adds_up(parts):
    total = (
        pl.col("customers_then") - pl.col("left") + pl.col("arrived") + pl.col("moved_in")
        - pl.col("moved_out") + pl.col("boundaries_in") - pl.col("boundaries_out")
    )  # fmt: skip
    return parts.select((total == pl.col("customers_now")).all()).item()


def test_the_parts_of_a_migration_are_those_planted_and_add_up(periods):
    model, before, after = periods
    result = compare_periods(model, before, after, measures=["revenue"])
    assert adds_up(result.parts)
    sums = result.parts.select(pl.exclude("segment", "segment_name").sum()).row(0, named=True)
    assert (sums["left"], sums["arrived"], sums["moved_in"]) == (20, 30, 12)
    assert sums["boundaries_in"] == sums["boundaries_out"] == 0
    assert result.moved == 12
    assert not result.refitted
    kinds = result.flows.filter(pl.col("from_segment") == ABSENT)
    assert kinds["customers"].sum() == 30
    for when, frame in (("then", before), ("now", after)):
        shown = result.flows[f"revenue_{when}"].sum()
        assert shown == pytest.approx(frame["revenue"].sum())
    assert "20 left" in result.text
    assert "12 (" in result.text


def test_a_new_fit_moves_boundaries_and_keeps_names(periods):
    model, before, after = periods
    named = model.rename(dict(zip(model.ids, ["Thrifty", "Regulars", "Big spenders"], strict=True)))
    fresh = cluster_customers(after, features=VARIABLES, k=4).model
    result = compare_periods(named, before, after, later=fresh)
    assert adds_up(result.parts)
    assert result.refitted
    assert result.parts["boundaries_in"].sum() == result.parts["boundaries_out"].sum() > 0
    new = result.matches.filter(pl.col("earlier_segment").is_null())
    assert new.height == 1
    assert result.matches["segment_name"].is_unique().all()
    gone = compare_periods(fresh, after, after, later=named)
    assert adds_up(gone.parts)
    assert gone.parts.height == 4  # the segment that is gone keeps its row


def test_flows_are_drawn_with_every_band(periods):
    model, before, after = periods
    figure = compare_periods(model, before, after).plot()
    assert figure.data["customers"].sum() == before.join(after, on="customer_id", how="full").height
    assert "then" in " ".join(text.get_text() for text in figure.figure.axes[0].texts)


def test_drift_needs_both_chance_and_size(periods):
    model, before, _ = periods
    rng = np.random.default_rng(6)
    noisy = before.with_columns(spend=pl.col("spend") + rng.normal(size=before.height) * 0.3)
    assert measure_drift(before, noisy, model=model, repeats=199).alarms == []
    moved = measure_drift(before, before.with_columns(spend=pl.col("spend") * 1.4), VARIABLES)
    assert moved.alarms == ["spend"]
    # 20,000 customers: a shift that is certain and too small to matter
    large = pl.DataFrame(
        {"customer_id": [str(i) for i in range(20_000)], "x": rng.normal(size=20_000)}
    )
    other = large.with_columns(pl.col("x") + 0.05, customer_id="z" + pl.col("customer_id"))
    row = measure_drift(large, other, ["x"], repeats=199).distances.row(0, named=True)
    assert row["p_value"] <= 0.01
    assert not row["alarm"]
    # 40 customers: a distance that is large and within chance
    few = pl.DataFrame({"customer_id": [str(i) for i in range(40)], "x": rng.normal(size=40)})
    fewer = few.with_columns(
        x=pl.Series(rng.normal(size=40)), customer_id="z" + pl.col("customer_id")
    )
    row = measure_drift(few, fewer, ["x"], repeats=199).distances.row(0, named=True)
    assert row["distance"] > 0.1
    assert not row["alarm"]


def test_few_draws_over_many_variables_can_still_alarm():
    """A certain drift of one of thirty variables: 99 draws alone would leave p at 0.3 by Holm."""
    rng = np.random.default_rng(8)
    names = [f"x{i}" for i in range(30)]
    values = {name: rng.normal(size=200) for name in names}
    before = pl.DataFrame({"customer_id": [str(i) for i in range(200)], **values})
    drift = measure_drift(before, before.with_columns(x3=pl.col("x3") + 3), names, repeats=99)
    assert drift.alarms == ["x3"]
    assert drift.repeats >= 1200


def test_the_chance_of_drift_knows_that_customers_are_in_both_periods():
    """Without drift p-values are uniform, whether all customers, half or none are in both."""
    for shared in (1.0, 0.5, 0.0):
        p = []
        for seed in range(120):
            rng = np.random.default_rng(seed)
            level = rng.normal(size=400)
            ids = np.arange(200)
            late = np.where(rng.random(200) < shared, ids, ids + 200)
            before = pl.DataFrame(
                {"customer_id": [str(i) for i in ids], "x": level[ids] + rng.normal(size=200) * 0.5}
            )
            after = pl.DataFrame(
                {
                    "customer_id": [str(i) for i in late],
                    "x": level[late] + rng.normal(size=200) * 0.5,
                }
            )
            row = measure_drift(before, after, ["x"], repeats=99, seed=seed).distances
            p.append(row["p_value"].item())
        assert 0.015 <= np.mean(np.array(p) <= 0.1) <= 0.19, shared  # 4 errors about .1
        assert 0.38 <= np.mean(p) <= 0.62, shared


def test_a_refresh_keeps_watches_and_then_refits_with_its_reason(periods):
    model, before, after = periods
    quiet = decide_refresh(model, before, before, as_of=date(2026, 2, 1), repeats=99)
    assert quiet.action == "keep"
    dear = after.with_columns(spend=pl.col("spend") * 1.4)
    first = decide_refresh(
        model, before, dear, as_of=date(2026, 3, 1), earlier=[quiet], repeats=199
    )
    assert first.action == "watch"
    assert "spend" in first.alarms
    second = decide_refresh(
        model, before, dear, as_of=date(2026, 4, 1), earlier=[quiet, first], repeats=199
    )
    assert second.action == "refit"
    assert "spend" in second.reason
    assert second.text.startswith("Fit the segments anew")
    with pytest.raises(DataError, match="go forward in time"):
        decide_refresh(model, before, dear, as_of=date(2026, 3, 1), earlier=[quiet, first])


def test_what_cannot_be_compared_is_refused(periods):
    model, before, after = periods
    with pytest.raises(DataError, match="no customer in common"):
        compare_periods(model, before, after.with_columns(customer_id="x" + pl.col("customer_id")))
    with pytest.raises(DataError, match="spend"):
        compare_periods(model, before, after.drop("spend"))
    with pytest.raises(ParameterError, match="name the variables"):
        measure_drift(before, after)
    with pytest.raises(DataError, match="at least 20 customers"):
        measure_drift(before.head(5), after, VARIABLES)
    with pytest.raises(ParameterError, match="repeats"):
        measure_drift(before, after, VARIABLES, repeats=9)


@pytest.fixture(scope="module")
def shop_and_model():
    """A shop of 150 people over 30 months, its segments fitted after 24."""
    _, _, orders = shop(5, 150, months=30)
    fitted = month_after(START, 24) - timedelta(days=1)
    table = build_features(orders, as_of=fitted, calendar="uk")
    variables = ["orders_per_year", "order_value_mean", "discount_share"]
    words = dict(table.definitions.select("name", "description").iter_rows())
    found = cluster_customers(table.frame, features=variables, k=3, as_of=fitted, definitions=words)
    return orders, found.model


def test_months_are_refreshed_as_if_each_were_today_and_everybody_has_a_history(
    shop_and_model, tmp_path
):
    orders, model = shop_and_model
    series = refresh_series(model, orders, repeats=99)
    assert series.rows["as_of"].to_list() == month_ends(model.as_of, month_after(START, 30))[:6]
    later = pl.col("order_day") > (series.rows["as_of"][2] - date(1970, 1, 1)).days + 20
    blind = refresh_series(model, orders.filter(~later), repeats=99)
    assert blind.rows.equals(series.rows.head(3))  # what comes later is unknown
    for day in series.rows["as_of"]:
        sizes = series.sizes.filter(pl.col("as_of") == day)
        known = orders.filter(pl.col("order_day") <= (day - date(1970, 1, 1)).days)
        assert sizes["customers"].sum() == known["customer_id"].n_unique()
    written = series.write(tmp_path / "out")
    assert {path.name for path in written} >= {"refreshes.csv", "alerts.json", "segments"}
    store = ProfileStore(tmp_path / "out" / "segments", deletes="invalidate")
    third = series.rows["as_of"][2]
    then = store.as_of(third + timedelta(days=1)).select("customer_id", "segment")
    said = series.assignments.filter(pl.col("as_of") == third).select("customer_id", "segment")
    assert then.equals(said.sort("customer_id"))
    # one archive, month after month: what is there stays as it was known
    blind.write(tmp_path / "first", store=tmp_path / "profiles")
    changed = series.assignments.with_columns(segment_name=pl.lit("renamed"))
    people = series.assignments.select("customer_id").unique()
    people = people.with_columns(source_row=0, region=pl.lit("N"), email_consent=pl.lit(value=True))
    again = replace(series, assignments=changed)
    again.write(tmp_path / "second", store=tmp_path / "profiles", customers=people)
    archive = ProfileArchive.open(tmp_path / "profiles")
    known = {day: archive.as_of(day + timedelta(days=1)) for day in series.rows["as_of"]}
    now = archive.as_of(series.rows["as_of"][-1] + timedelta(days=1))
    assert now["customers"].columns == ["customer_id", "region"]
    assert now["consents"]["email_consent"].all()
    assert "renamed" not in known[third]["segments"]["segment_name"]
    assert known[series.rows["as_of"][3]]["segments"]["segment_name"].unique().to_list() == [
        "renamed"
    ]
    scores = known[third]["scores"].select("customer_id", "distance")
    told = series.assignments.filter(pl.col("as_of") == third).select(scores.columns)
    assert scores.equals(told.sort("customer_id"))


def test_what_drifts_twice_is_fitted_anew_with_the_same_names_and_told_once(shop_and_model):
    orders, model = shop_and_model
    late = pl.col("order_day") > (model.as_of - date(1970, 1, 1)).days
    dear = orders.with_columns(
        amount=pl.when(late).then(pl.col("amount") * 4).otherwise(pl.col("amount"))
    )
    series = refresh_series(model, dear, repeats=199)
    actions = series.rows["action"].to_list()
    first = actions.index("refit")
    assert actions[first - 1] == "watch"
    day = series.rows["as_of"][first]
    assert set(series.models) >= {day}
    assert set(series.models[day].names.values()) & set(model.names.values())
    told = [one for one in series.alerts if one["what"] == "order_value_mean"]
    assert told[0]["since"] <= day.isoformat()
    assert series.answer.startswith("No: ")
    assert series.text.startswith(series.answer[4:])


def test_the_same_season_is_whole_weeks_earlier_and_up_to_the_fit():
    for fitted in (date(2025, 12, 31), date(2024, 2, 29)):
        for ahead in range(1, 800, 13):
            day = fitted + timedelta(days=ahead)
            season = find_comparable_day(day, fitted)
            assert (day - season).days % 364 == 0
            assert timedelta(0) <= fitted - season < timedelta(days=364)


def test_a_refresh_needs_a_dated_model_and_days_in_order(shop_and_model):
    orders, model = shop_and_model
    with pytest.raises(ModelError, match="holds its date"):
        refresh_series(replace(model, as_of=None), orders)
    early = pl.col("order_day") <= (model.as_of - date(1970, 1, 1)).days
    with pytest.raises(DataError, match="no month has ended"):
        refresh_series(model, orders.filter(early))
    with pytest.raises(DataError, match="days in order"):
        refresh_series(model, orders, days=[model.as_of])
