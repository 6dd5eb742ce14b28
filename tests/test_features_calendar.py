"""Calendars: movable feasts, ranges over the new year, files."""

import json
from datetime import date, timedelta

import polars as pl
import pytest
from dateutil.easter import easter as dateutil_easter

from segkit.errors import ParameterError, SourceError
from segkit.features import Calendar, Occasion, build_features
from segkit.features.calendar import day_date, day_number, easter


def test_easter_of_four_centuries():
    assert all(easter(year) == dateutil_easter(year) for year in range(1800, 2200))


@pytest.mark.parametrize(
    ("region", "name", "year", "first", "final"),
    [
        # Published dates: Thanksgiving 2023-11-23, Cyber Monday 11-27; Mothering Sunday 2024-03-10;
        # Mother's Day 2024-05-12 in the US.
        ("us", "black_friday", 2023, date(2023, 11, 23), date(2023, 11, 27)),
        ("uk", "mothers_day", 2024, date(2024, 3, 3), date(2024, 3, 10)),
        ("us", "mothers_day", 2024, date(2024, 5, 5), date(2024, 5, 12)),
        ("us", "new_year_sales", 2023, date(2023, 12, 26), date(2024, 1, 15)),
    ],
)
def test_known_dates(region, name, year, first, final):
    occasion = {o.name: o for o in Calendar.of(region).occasions}[name]
    assert occasion.in_year(year) == (first, final)


def test_ranges_cover_the_period_and_the_turn_of_the_year():
    first, final = day_number(date(2024, 1, 3)), day_number(date(2025, 1, 2))
    ranges = Calendar.of("us").occasion_days(first, final)["new_year_sales"]
    assert [(day_date(a), day_date(b)) for a, b in ranges] == [
        (date(2023, 12, 26), date(2024, 1, 15)),
        (date(2024, 12, 26), date(2025, 1, 15)),
    ]


@pytest.mark.parametrize("region", ["us", "south"])
def test_each_day_has_one_season(region):
    calendar = Calendar.of(region)
    first, final = day_number(date(2022, 5, 5)), day_number(date(2024, 3, 1))
    seasons = calendar.season_days(first, final)
    for day in range(first, final + 1):
        at = [n for n, ranges in seasons.items() if any(a <= day <= b for a, b in ranges)]
        assert len(at) == 1
        assert day_date(day).month in calendar.seasons[at[0]]


def test_a_calendar_from_toml_and_json(tmp_path):
    text = """
name = "fair"
weekend = [4, 5]
[[occasions]]
name = "fair"
start = "09-20"
end = "10-05"
[[occasions]]
name = "may_day"
rule = "nth_weekday"
month = 5
nth = -1
weekday = "monday"
"""
    path = tmp_path / "fair.toml"
    path.write_text(text)
    calendar = Calendar.load(path)
    assert calendar.occasions[1].in_year(2024) == (date(2024, 5, 27), date(2024, 5, 27))
    data = {"name": "j", "occasions": [{"name": "fair", "start": "09-20", "end": "10-05"}]}
    (tmp_path / "fair.json").write_text(json.dumps(data))
    assert Calendar.load(tmp_path / "fair.json").occasions == calendar.occasions[:1]
    friday = date(2024, 9, 20)
    lines = pl.DataFrame({
        "customer_id": ["a", "a"], "order_id": ["1", "2"], "amount": [3.0, 1.0],
        "order_day": [day_number(friday), day_number(friday - timedelta(days=1))],
    })  # fmt: skip
    table = build_features(lines, calendar=calendar)
    row = table.frame.row(0, named=True)
    assert (row["occasion_share_fair"], row["weekend_share"]) == (0.75, 0.75)
    assert "'fair'" in table.definitions.filter(name="occasion_share_fair")["description"].item()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "a b", "start": "01-01", "end": "01-02"}, "letters, digits"),
        ({"name": "x", "rule": "moon"}, "unknown rule"),
        ({"name": "x", "start": "13-01", "end": "01-02"}, "month and day"),
        ({"name": "x", "start": 3, "end": 4}, "month and day"),
        ({"name": "x", "rule": "easter", "start": "01-01", "end": "01-02"}, "takes days"),
        ({"name": "x", "rule": "easter", "start": 3, "end": 1}, "starts after its end"),
        ({"name": "x", "rule": "nth_weekday", "weekday": "mon"}, "unknown weekday"),
        ({"name": "x", "rule": "nth_weekday", "nth": 5}, "nth 1 to 4"),
        ({"name": "x", "begin": "01-01"}, "unknown field"),
    ],
)
def test_a_wrong_entry_is_named(entry, words):
    with pytest.raises(ParameterError, match=words):
        Calendar.from_data({"name": "own", "occasions": [entry]})


def test_wrong_calendars_are_refused(tmp_path):
    twice = (Occasion("x", start="01-01", end="01-02"),) * 2
    with pytest.raises(ParameterError, match="comes twice"):
        Calendar("own", twice, Calendar.of("us").seasons)
    with pytest.raises(ParameterError, match="each month"):
        Calendar.from_data({"seasons": {"wet": [1, 2, 3]}})
    with pytest.raises(SourceError, match="no such calendar"):
        Calendar.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(SourceError, match="readable"):
        Calendar.load(tmp_path / "bad.toml")
