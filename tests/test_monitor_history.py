"""A year of refreshes: planted changes graded, intervals by history, one command, one page."""

import json
import re
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest
from typer.testing import CliRunner

import segkit
from segkit.cli import app
from segkit.cli.terminal import ALERT
from segkit.errors import DataError, ModelError, ParameterError
from segkit.features import build_features
from segkit.intake import Intake, clean_data
from segkit.monitor import (
    AlertRule,
    compare_with_truth,
    find_alerts,
    measure_kpis,
    prepare_history,
    refresh_series,
)
from segkit.monitor.history import _days, choose_interval
from segkit.report.kpi_page import write_kpi_page, write_run_kpis
from segkit.simulate import simulate_retailer

FEATURES = ["recency_days", "orders_per_year", "order_value_mean", "discount_share"]
SETTINGS = {"source": "simulated", "customers": 500, "seed": 4, "deals": 10.0, "changed": 0.3}


@pytest.fixture(scope="module")
def shop():
    raw = simulate_retailer(500, seed=4)
    taken = clean_data(raw.tables, raw.mapping)
    table = build_features(taken.orders, features=FEATURES, calendar="uk", as_of=raw.as_of)
    words = dict(table.definitions.select("name", "description").iter_rows())
    model = segkit.cluster_customers(
        table.frame,
        features=FEATURES,
        k=4,
        definitions={name: words[name] for name in FEATURES},
        as_of=raw.as_of,
    ).model
    return taken, model


@pytest.fixture(scope="module")
def year(shop):
    taken, model = shop
    history = prepare_history(taken, model, as_of=model.as_of, settings=SETTINGS)
    return history, refresh_series(model, history.orders, history.events, days=history.days)


def test_planted_changes_are_graded_and_planted_drift_is_found(shop, year):
    history, series = year
    assert history.start == shop[1].as_of
    assert history.days[-1] == history.end == history.start + timedelta(days=364)
    result = compare_with_truth(series, history.truth, habits=history.habits)
    rows = {row["planted"]: row for row in result.rows.iter_rows(named=True)}
    changed, stayed = rows["changed archetype"], rows["stayed as they were"]
    assert changed["moved_share"] > stayed["moved_share_high"]
    begun = series.assignments.filter(pl.col("as_of") == history.start)
    both = begun.join(series.rescored, on="customer_id").join(history.truth, on="customer_id")
    some = both.filter("changed")
    assert changed["customers"] == some.height
    moved = some.filter(pl.col("segment") != pl.col("segment_right")).height
    assert changed["moved"] == moved
    found = result.habits.row(0, named=True)
    assert found["feature"] == "discount_share"
    assert found["first_alarm"] in history.days
    assert series.decision.startswith("Use the segments fitted anew")
    assert history.decide(series).startswith("In the year simulated: use the segments fitted anew")
    # Played on the past, today's segments are newer than any that would have been fitted anew.
    newer = replace(history, simulated=False).decide(series)
    assert newer.startswith(f"Keep the segments in force, fitted as of {history.end}: those of")
    assert series.migration.refitted
    calm = compare_with_truth(replace(series, rows=series.rows.with_columns(alarms=pl.lit(""))),
                              history.truth, habits=history.habits)  # fmt: skip
    assert "discount rate (off list price) was not found" in calm.text


def test_other_sources_and_earlier_days_play_their_own_history_again(shop):
    taken, model = shop
    back = prepare_history(taken, model, as_of=model.as_of, settings={"source": "file"})
    assert (back.start, back.truth) == (model.as_of - timedelta(days=364), None)
    assert "same season" in back.text
    assert [later - earlier for earlier, later in zip(back.days, back.days[1:], strict=False)] == [
        timedelta(days=91)
    ] * 3
    short = taken.orders.filter(pl.col("order_day") > (model.as_of - date(1970, 2, 4)).days - 330)
    part = Intake({"orders": short}, {}, taken.ledger, taken.mapping)
    quarters = prepare_history(part, model, as_of=model.as_of, settings={"source": "file"})
    assert len(quarters.days) == 3
    assert "part of what looks like drift" in quarters.text


def test_the_interval_is_chosen_by_the_length_of_history():
    for days in (112, 200, 363, 364, 727, 728, 3000):
        back, apart = choose_interval(days)
        assert 0 < apart <= back < days
        assert back % 7 == apart % 7 == 0
        ends = _days(date(2025, 1, 1), date(2025, 1, 1) + timedelta(days=back), apart)
        assert len(ends) == back // apart
        assert ends[0] > date(2025, 1, 1)
    with pytest.raises(DataError, match="sixteen weeks"):
        choose_interval(111)


def test_a_missing_month_is_named(shop):
    taken, model = shop
    first = model.as_of - timedelta(days=364)
    day = pl.col("order_day").cast(pl.Date)
    gap = taken.orders.filter(~day.is_between(date(2024, 7, 1), date(2024, 7, 31)))
    with pytest.raises(DataError, match=r"no order in 2024-07.*export missing"):
        refresh_series(replace(model, as_of=first), gap)


def test_one_command_plays_a_year_with_page_alerts_and_flow(shop, tmp_path):
    taken, model = shop
    stored = model.save(tmp_path / "model.json")
    orders = tmp_path / "orders.csv"
    columns = ["customer_id", "order_id", "order_time", "amount", "discount", "product_id"]
    taken.orders.select(columns).with_columns(
        pl.col("order_time").dt.strftime("%Y-%m-%d %H:%M:%S")
    ).write_csv(orders)
    rules = tmp_path / "rules.toml"
    rules.write_text('[[alert]]\nkpi = "orders"\nsegment = "all"\nmin = 100000\n')
    words = ["refresh", str(stored), str(orders), "--from", "2024-02-29", "--every", "quarter"]
    words += ["--rules", str(rules), "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == ALERT, ended.output
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Who moved" in page
    assert "100,000 or more" in page
    assert "Satisfaction over time is not known" in page
    assert len(page) < 3_000_000
    assert not re.search(r"(?:src|href)=.https?:", page)
    alerts = json.loads((tmp_path / "out" / "alerts.json").read_text())
    assert {"kpi", "value", "since"} <= set(alerts[-1])
    days = pl.read_csv(tmp_path / "out" / "refreshes.csv")["as_of"].to_list()
    assert days == ["2024-03-31", "2024-06-30", "2024-09-30", "2024-12-31"]
    for more, error in (
        (["--every", "hour"], ParameterError),
        (["--from", "2031-01-01"], DataError),
    ):
        wrong = CliRunner().invoke(app, [*words[:3], "--out", str(tmp_path / "no"), *more])
        assert isinstance(wrong.exception, error)
    other = json.loads(stored.read_text())
    other["format"] = 99
    stored.write_text(json.dumps(other))
    late = CliRunner().invoke(app, [*words[:3], "--out", str(tmp_path / "no")])
    assert isinstance(late.exception, ModelError)
    assert "99" in str(late.exception)


def test_the_page_of_a_run_shows_every_figure_now_with_its_change_and_alert(year, tmp_path):
    history, series = year
    kpis = measure_kpis(
        history.orders,
        history.events,
        series.assignments,
        survey=history.survey,
        every="1w",
        since=history.since,
        until=history.end,
    )
    assert set(kpis.measured) == set(segkit.monitor.kpis.WORDS)
    some = pl.col("kpi").is_in(["orders", "bounce_rate", "churn_rate", "csat"])
    kpis = replace(kpis, series=kpis.series.filter(some))
    rules = [
        AlertRule("bounce_rate", "all", most=0.0),
        AlertRule("orders", false_alarms_per_year=1),
    ]
    alerts = find_alerts(kpis, rules)
    data = tmp_path / "11_refresh" / "data"
    data.mkdir(parents=True)
    about = {"currency": "GBP", "campaigns": history.campaign_days,
             "period": history.about}  # fmt: skip
    for name, content in (
        ("kpi_series", kpis.to_dict()),
        ("kpi_alerts", alerts.to_dict()),
        ("kpi_about", about),
    ):
        (data / f"{name}.json").write_text(json.dumps(content))
    tiles = {tile["name"]: tile for tile in write_run_kpis(tmp_path)}
    whole = kpis.series.filter((pl.col("kpi") == "orders") & (pl.col("segment_name") == "all"))
    assert tiles["Orders"]["value"] == f"{whole['value'][-1]:,.0f}"
    band = alerts.bands.filter(kpi="orders", segment_name="all", period=whole["period"][-1])
    low, high = round(band["low"].item()), round(band["high"].item())
    assert tiles["Orders"]["change"] == f"expected {low:,} to {high:,}"
    assert "on the week before" in tiles["Bounce rate"]["change"]  # it has no band
    assert tiles["Bounce rate"]["state"].startswith("high since")
    assert tiles["Bounce rate"]["tone"] == "attention"
    assert all(tile["period"] == history.about for tile in tiles.values())
    assert all(" since 20" in tile["state"] for tile in tiles.values() if tile["tone"])
    assert tiles["Satisfaction (CSAT)"]["value"].endswith("%")
    page = tmp_path / "kpis.html"
    text = page.read_text(encoding="utf-8")
    assert text.count('<section class="kpi"') == len(kpis.measured)
    first, end = whole["period"][0], whole["period"][-1] + timedelta(days=7)
    days = [date.fromisoformat(day) for day in history.campaign_days]
    assert f"{sum(first <= day < end for day in days)} campaigns" in text
    written = page.stat().st_mtime_ns
    write_run_kpis(tmp_path)
    assert page.stat().st_mtime_ns == written  # nothing has changed
    assert write_run_kpis(tmp_path / "11_refresh") == []
    bare = measure_kpis(history.orders, every="1w", since=history.since, until=history.end)
    bare = replace(bare, series=bare.series.filter(pl.col("kpi") == "orders"))
    write_kpi_page(tmp_path, bare, find_alerts(bare, [AlertRule("orders", least=1)]))
    tiles = json.loads((tmp_path / "kpis.json").read_text())["tiles"]
    assert {t["name"]: t["value"] for t in tiles}["Satisfaction (CSAT)"] == "not known"
