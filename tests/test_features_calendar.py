"""Calendars: movable feasts, ranges over the new year, files."""

import json
from datetime import date, timedelta
from functools import partial

import polars as pl
import pytest
from dateutil.easter import easter as dateutil_easter

import segkit
from segkit.errors import ParameterError, SourceError
from segkit.features import Calendar, Occasion, build_features, choose_calendar
from segkit.features.calendar import day_date, day_number, easter
from segkit.intake.country import countries, propose_country


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
        # Chinese New Year 2024-02-10 and 2025-01-29, Diwali 2024-10-31, Eid al-Fitr 2024-04-10,
        # Chuseok 2024-09-17, Mid-Autumn 2025-10-06; French Mother's Day 2024-05-26.
        ("cn", "lunar_new_year", 2024, date(2024, 1, 20), date(2024, 2, 9)),
        ("sg", "lunar_new_year", 2025, date(2025, 1, 8), date(2025, 1, 28)),
        ("in", "diwali", 2024, date(2024, 10, 10), date(2024, 10, 31)),
        ("ae", "ramadan", 2024, date(2024, 3, 12), date(2024, 4, 10)),
        ("kr", "chuseok", 2024, date(2024, 9, 3), date(2024, 9, 16)),
        ("tw", "mid_autumn", 2025, date(2025, 9, 22), date(2025, 10, 6)),
        ("jp", "golden_week", 2024, date(2024, 4, 29), date(2024, 5, 5)),
        ("fr", "mothers_day", 2024, date(2024, 5, 19), date(2024, 5, 26)),
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


def test_every_shipped_calendar_knows_its_days():
    known = [Calendar.of_country(code) for code in countries()]
    assert {"uk", "de", "cn", "north", "south"} <= {calendar.name for calendar in known}
    for calendar in known:
        for occasion in calendar.occasions:
            first, final = occasion.in_year(2024)
            assert timedelta(0) <= final - first <= timedelta(61), (calendar.name, occasion.name)
    assert Calendar.of_country("AU").seasons["summer"] == (12, 1, 2)
    assert Calendar.of_country("SA").weekend == (4, 5)


def test_a_holiday_whose_day_is_not_known_falls_on_no_day():
    late = day_number(date(2200, 1, 1))
    assert Calendar.of("cn").gift_days(late, late + 365) == []
    with pytest.raises(ParameterError, match="needs its name and a country"):
        Occasion("moon", "holiday", 0, 1)
    with pytest.raises(ParameterError, match="no public holidays are known"):
        Occasion("moon", "holiday", 0, 1, holiday="Moon", country="QQ").in_year(2024)


def shop(headers=("customer_id", "order_date", "amount"), mapping=None, **more):
    """Return a function that takes in two order lines with further columns."""
    who, day, amount = headers
    lines = {who: ["a", "b"], day: ["2024-04-13", "2024-06-15"], amount: [9.5, 3.5], **more}
    return partial(segkit.clean_data, {"orders": pl.DataFrame(lines)}, mapping)


@pytest.mark.parametrize(
    ("read", "code", "why"),
    [
        (shop(country=["United Kingdom", "UK"]), "GB", "the country column (100% of the order"),
        (shop(country=["Deutschland", None], currency=["EUR", "EUR"]), "DE", "the country column"),
        (shop(country=["Atlantis", "Mu"], currency=["SGD", "SGD"]), "SG", "the currency SGD"),
        (shop(country=["France", "Italy"]), None, "names no country mostly"),
        (shop(Ülke=["TÜRKİYE", "Türkiye"]), "TR", "the country column"),
        (shop(shippingCountry=["Philippines"] * 2), "PH", "the country column"),
        (shop(country=["France", "Italy"]), None, "(IT 50%, FR 50%)"),
        (shop(currency=["INR", "INR"]), "IN", "the currency INR"),
        (shop(currency=["EUR", "EUR"]), None, "the currency EUR alone leaves several countries"),
        (shop(("Kundennr", "Bestelldatum", "Betrag"), Waehrung=["EUR", "EUR"]), "DE",
         "the language of the columns and the currency EUR"),
        (shop(mapping={"timezone": "Asia/Tokyo"}), "JP", "the time zone Asia/Tokyo"),
        (shop(mapping={"timezone": "Asia/Tokyo"}, currency=["GBP", "GBP"]), None, "fit no"),
        (shop(("Kundennr", "Bestelldatum", "Betrag"), Waehrung=["CHF"] * 2), "CH", "and the"),
        (shop(("Client", "Date de commande", "Montant"), Devise=["CAD"] * 2), "CA", "and the"),
        (shop(("Client", "Date de commande", "Montant"), Devise=["XOF"] * 2), None, "fit no"),
        (shop(("Cliente", "Data do pedido", "Valor total do pedido"), **{"Moeda": ["BRL"] * 2,
         "Situação do pedido": ["Pago"] * 2}), "BR", "the language of the columns and the"),
        (shop(("Zákazník", "Datum", "Celkem"), Měna=["CZK"] * 2), "CZ", "the currency CZK"),
        (shop(), None, "no country, currency or time zone tells"),
    ],
)  # fmt: skip
def test_the_country_is_what_the_data_tell(read, code, why):
    taken = read()
    country = propose_country(taken)
    assert country.code == code
    assert why in country.why
    calendar = choose_calendar(taken)
    shipped = code not in (None, "PH")
    assert calendar.occasions if shipped else not calendar.occasions, "no gift season if unknown"
    assert choose_calendar(taken, "us") is Calendar.of("us")
    told = build_features(taken.orders, calendar=calendar, features=["core"]).text
    assert country.why in told
    assert "change with calendar=" in told


def test_the_audit_says_whose_calendar_it_is():
    lines = {"customer_id": ["a", "b"], "order_date": ["2024-04-13", "2024-06-15"],
             "amount": [9.5, 3.5], "country": ["DE", "DE"]}  # fmt: skip
    audit = segkit.audit_data({"orders": pl.DataFrame(lines)})
    said = "Calendar: DE, proposed from the country column (100% of the order lines); change with"
    assert said in audit.text
    bare = segkit.audit_data({"orders": pl.DataFrame(lines).drop("country")})
    assert "Calendar: seasons alone, no gift occasions: no country" in bare.text


def test_asian_grocers_are_not_gift_buyers():
    days = [date(2023, 12, 1) + timedelta(days=k) for k in range(24)]  # the UK's Christmas
    lines = pl.DataFrame({
        "customer_id": "a", "order_id": [str(day) for day in days], "amount": 1.0,
        "order_day": [day_number(day) for day in days],
    })  # fmt: skip
    shares = {
        name: build_features(lines, calendar=name).frame["gift_share"].item()
        for name in ("uk", "cn", "in")
    }
    assert shares == {"uk": 1.0, "cn": 0.0, "in": 0.0}
