"""Dates and times: the order of two-figure years, offsets and zones, numbers as dates."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

import segkit
from segkit.errors import DataError
from segkit.intake.calendars import write_gregorian
from segkit.intake.dates import day_order, formats


def lines(dates):
    rows = len(dates)
    return pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(rows)],
            "order_date": dates,
            "amount": ["1.00"] * rows,
        }
    )


def days(taken):
    return taken.orders["order_day"].cast(pl.Date).to_list()


@pytest.mark.parametrize("sign", ["-", "/"])
def test_a_year_of_two_figures_is_asked_about_and_the_answers_work(sign):
    raw = lines([text.replace("-", sign) for text in ("24-01-05", "24-02-07", "24-11-12")])
    with pytest.raises(DataError, match="day first or year first") as error:
        segkit.clean_data(raw)
    year, day = sign.join(("%y", "%m", "%d")), sign.join(("%d", "%m", "%y"))
    assert f'date_format = "{day}" (or "{year}")' in str(error.value)
    assert days(segkit.clean_data(raw, {"orders": {"date_format": year}})) == [
        date(2024, 1, 5),
        date(2024, 2, 7),
        date(2024, 11, 12),
    ]
    assert days(segkit.clean_data(raw, {"orders": {"date_format": day}}))[0] == date(2005, 1, 24)
    assert days(segkit.clean_data(raw, {"day_first": True}))[0] == date(2005, 1, 24)


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["24-01-31", "24-02-29"], date(2024, 1, 31)),  # 2031 and 2029 are still to come
        (["98-01-05"], date(1998, 1, 5)),
        (["01/31/24", "02/03/24"], date(2024, 1, 31)),
        (["31/01/24", "03/02/24"], date(2024, 1, 31)),
        (["05.03.24", "06.03.24"], date(2024, 3, 5)),  # dots: day first
        (["03/02/24", "25/12/2023"], date(2024, 2, 3)),  # the long year tells
        (["24-01-31 10:30", "24-02-01 09:15"], date(2024, 1, 31)),
        (["05-05-05"], date(2005, 5, 5)),  # the same in every order
    ],
)
def test_a_year_of_two_figures_is_read_where_only_one_order_is_possible(texts, first):
    assert days(segkit.clean_data(lines(texts)))[0] == first


def test_two_orders_with_years_of_two_figures_are_asked_about():
    order = day_order(pl.Series(["31/01/24", "01/31/24"]))
    assert set(order.short) >= {"dmy", "mdy"}
    with pytest.raises(DataError, match="years of two figures"):
        segkit.clean_data(lines(["31/01/24", "01/31/24", "13/05/24"]))


def test_births_with_years_of_two_figures_are_in_the_past():
    people = pl.DataFrame({"customer_id": ["c0", "c1"], "birth_date": ["31/12/45", "31/12/04"]})
    taken = segkit.clean_data({"orders": lines(["2024-01-05"] * 2), "customers": people})
    assert taken.customers["birth_date"].to_list() == [date(1945, 12, 31), date(2004, 12, 31)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["20240105", "20240106123000", "20240107T101010"], [5, 6, 7]),
        (["20240105T0930Z"], [5]),
        (["1704412800", "1704499200"], [5, 6]),
        (["1704412800000"], [5]),
        (["45296", "45297.5"], [5, 6]),
        (["2024-01-05 00:00:00", "45297"], [5, 6]),  # what Excel makes of a column of both
    ],
)
def test_dates_without_signs_between_are_read_and_numbers_said(texts, expected):
    taken = segkit.clean_data(lines(texts))
    assert [day.day for day in days(taken)] == expected
    numbers = any(text.replace(".", "").isdigit() and text[:2] != "20" for text in texts)
    assert any("are read as" in note for note in taken.notes) == numbers


def test_formats_of_compact_times():
    assert formats(pl.Series(["20240105T101010+0100"]), day_first=True) == ["%Y%m%dT%H%M%S%z"]


# Zones: stored in UTC, the day in the mapping's zone ------------------------------------------

LOCAL = [datetime(2024, 1, 1, 0, 30), datetime(2024, 1, 31, 23, 30), datetime(2024, 2, 10, 12)]


def doors(zone, folder):
    """Give the same zone-aware orders by every door."""
    pandas = pytest.importorskip("pandas")
    frame = lines(LOCAL).with_columns(pl.col("order_date").dt.replace_time_zone(zone))
    plain = pandas.DataFrame(lines(LOCAL).drop("order_date").to_dict(as_series=False))
    plain["order_date"] = pandas.to_datetime(LOCAL).tz_localize(zone)
    objects = plain.copy()
    objects["order_date"] = [moment.to_pydatetime() for moment in plain["order_date"]]
    objects["order_date"] = objects["order_date"].astype(object)
    fixed = plain.copy()
    fixed["order_date"] = fixed["order_date"].dt.tz_convert("UTC").dt.tz_convert("+09:00")
    texts = plain.astype({"order_date": str})
    frame.write_parquet(folder / "orders.parquet")
    plain.to_csv(folder / "orders.csv", index=False)
    files = [folder / "orders.parquet", folder / "orders.csv"]
    return [frame, frame.lazy(), plain, objects, fixed, texts, *files]


@pytest.mark.parametrize(
    ("zone", "shop"),
    [
        ("Europe/Berlin", None),
        ("Europe/Berlin", "America/New_York"),
        ("America/New_York", "America/New_York"),
        ("America/New_York", "Asia/Tokyo"),
        ("UTC", "Asia/Tokyo"),
        ("Etc/GMT-9", None),
    ],
)
def test_the_same_times_give_the_same_days_by_every_door(tmp_path, zone, shop):
    from zoneinfo import ZoneInfo

    moments = [item.replace(tzinfo=ZoneInfo(zone)) for item in LOCAL]
    expected = [item.astimezone(ZoneInfo(shop or "UTC")).date() for item in moments]
    for source in doors(zone, tmp_path):
        taken = segkit.clean_data(source, {"timezone": shop} if shop else None)
        assert taken.orders["order_time"].to_list() == [item.astimezone(UTC) for item in moments]
        assert days(taken) == expected


def test_the_audit_says_what_times_carry(tmp_path):
    for source in doors("Europe/Berlin", tmp_path):
        told = [f for f in segkit.audit_data(source).findings if f.column == "order_time"]
        assert len(told) == 1
        assert told[0].severity == "warn"
        assert "carry their offset or zone" in told[0].finding
        settled = segkit.audit_data(source, {"timezone": "Europe/Berlin"}).findings
        told = [f for f in settled if f.column == "order_time"]
        assert [f.severity for f in told] == ["info"]
        assert "the day in Europe/Berlin" in told[0].finding
    named = segkit.audit_data(doors("Europe/Berlin", tmp_path)[0]).findings
    assert any(f.answer == 'timezone = "Europe/Berlin"' for f in named)


def test_times_with_and_without_an_offset_are_told_apart():
    raw = lines(["2024-01-01T00:30:00+01:00", "2024-01-01T00:30:00"])
    finding = next(f for f in segkit.audit_data(raw).findings if f.column == "order_time")
    assert "1 time without one is taken in UTC" in finding.finding
    assert days(segkit.clean_data(raw)) == [date(2023, 12, 31), date(2024, 1, 1)]
    events = pl.DataFrame(
        {"customer_id": ["c0"], "event_time": ["2024-01-01T10:00"], "event_type": ["site_visit"]}
    )
    tables = {"orders": raw, "events": events}
    told = [f.finding for f in segkit.audit_data(tables).findings if f.table == "events"]
    assert any("Times carry no zone" in line for line in told)


def test_a_birth_date_with_an_offset_is_the_day_in_the_zone():
    people = pl.DataFrame({"customer_id": ["c0"], "birth_date": ["1980-05-01T00:00:00+02:00"]})
    tables = {"orders": lines(["2024-01-05"]), "customers": people}
    taken = segkit.clean_data(tables, {"timezone": "Europe/Berlin"})
    assert taken.customers["birth_date"].to_list() == [date(1980, 5, 1)]


@pytest.mark.parametrize(
    "texts",
    [
        ["1403/05/12", "1403/12/30"],
        ["1403-05-12 10:15", "1403-12-30 09:00"],
        ["14030512", "14031230"],
        [14030512, 14031230],
        ["12/05/1403", "30/12/1403"],
        ["113/08/02", "114/03/20"],
        ["民國113年08月02日", "民國114年03月20日"],
        ["1130802", "1140320"],
        ["令和6年8月2日", "令和7年3月20日"],
        ["R6.08.02", "R7.03.20"],
        ["2567-08-02", "2568-03-20"],
        ["02/08/2567", "20/03/2568"],
        ["02/08/67", "20/03/68"],
        ["25670802", "25680320"],
    ],
)
def test_dates_of_other_calendars_are_read_and_said(texts):
    audit = segkit.audit_data(lines(texts))
    assert days(segkit.clean_data(audit)) == [date(2024, 8, 2), date(2025, 3, 20)]
    assert any("calendar: " in item.finding for item in audit.findings)


def test_the_persian_calendar_is_that_of_the_library_of_holidays():
    from holidays.calendars.persian import _Persian

    years = range(1300, 1406)
    texts = [f"{year}/{day}" for year in years for day in ("01/01", "07/01", "12/30")]
    written = write_gregorian(pl.DataFrame({"date": texts}))[0]["date"].to_list()
    library = _Persian()
    for place, year in enumerate(years):
        starts, after = (library.new_year_date(one + 621) for one in (year, year + 1))
        autumn = library.persian_to_gregorian(year + 621, 7, 1)
        assert written[3 * place : 3 * place + 2] == [f"{day:%Y/%m/%d}" for day in (starts, autumn)]
        is_leap = not written[3 * place + 2].endswith("12/30")  # else there is no such day
        assert is_leap == ((after - starts).days == 366)


def test_dates_of_the_islamic_calendar_are_refused_by_its_name():
    (asked,) = [f for f in segkit.audit_data(lines(["1445/05/12", "1446/01/02"])).findings
                if f.severity == "block"]  # fmt: skip
    assert "Islamic calendar" in asked.finding
    assert "Gregorian" in asked.answer
    births = pl.DataFrame({"birth_date": ["02/08/67"], "size": ["110/80/20"]})
    assert write_gregorian(births)[0].equals(births)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024.01.09.", datetime(2024, 1, 9)),  # Hungarian
        ("2024. 01. 09. 15:20", datetime(2024, 1, 9, 15, 20)),
        ("2024. 1. 9. 오후 3:20:00", datetime(2024, 1, 9, 15, 20)),  # Korean
        ("2024-01-09 오전 9:05", datetime(2024, 1, 9, 9, 5)),
        ("2024/1/9 下午 3:20", datetime(2024, 1, 9, 15, 20)),
        ("2024年1月9日(火)", datetime(2024, 1, 9)),
        ("9. 1. 2024 15:20", datetime(2024, 1, 9, 15, 20)),  # Czech
        ("9.1.2024 klo 15.20", datetime(2024, 1, 9, 15, 20)),  # Finnish
        ("09.01.2024 г.", datetime(2024, 1, 9)),  # Russian
        ("2024/01/09 - 15:20:07", datetime(2024, 1, 9, 15, 20, 7)),  # a marketplace
        ("09.01.2024 à 15:20", datetime(2024, 1, 9, 15, 20)),
        ("09.01.2024, 15:20 Uhr", datetime(2024, 1, 9, 15, 20)),
        ("2024-01-09 @ 15:20", datetime(2024, 1, 9, 15, 20)),
    ],
)
def test_dates_are_read_as_spreadsheets_of_other_languages_write_them(text, moment):
    taken = segkit.clean_data(lines([text, text.replace("9", "10", 1).replace("010", "10")]))
    assert taken.orders["order_time"][0].replace(tzinfo=None) == moment
