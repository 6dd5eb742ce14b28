"""Dates with names of months are read in seven languages; lines of totals are no orders."""

from datetime import datetime

import polars as pl
import pytest

import segkit
from segkit.errors import DataError
from segkit.intake.dates import date_words, in_english


def lines(**columns):
    rows = len(next(iter(columns.values())))
    made = {"client": ["a"] * rows, "date": ["2024-04-13"] * rows, "montant": ["1,25"] * rows}
    return pl.DataFrame(made | columns)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("lundi 5 août 2024 14:30", (2024, 8, 5, 14, 30)),
        ("mar. 13 févr. 2024 à 07:05", (2024, 2, 13, 7, 5)),
        ("5. März 2024", (2024, 3, 5)),
        ("05.Mai.2024", (2024, 5, 5)),
        ("31-Dez-2023", (2023, 12, 31)),
        ("5 de mayo de 2024", (2024, 5, 5)),
        ("martes, 3 de septiembre de 2024", (2024, 9, 3)),
        ("12 dicembre 2023", (2023, 12, 12)),
        ("3 out 2023", (2023, 10, 3)),
        ("1 de março de 2024", (2024, 3, 1)),
        ("14 mrt. 2024", (2024, 3, 14)),
        ("Sept 3, 2024", (2024, 9, 3)),
        ("05 FÉVR 24", (2024, 2, 5)),
        ("AUG 3, 2024 2:05 PM", (2024, 8, 3, 14, 5)),
        ("3-Aug-2024", (2024, 8, 3)),
    ],
)
def test_names_of_months(text, when):
    read = segkit.clean_data(lines(date=[text])).orders["order_time"].item()
    assert read.replace(tzinfo=None) == datetime(*when)


def test_every_month_in_every_language():
    spelt = {
        "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre "
        "décembre",
        "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
        "diciembre",
        "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre "
        "novembre dicembre",
        "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro "
        "dezembro",
        "nl": "januari februari maart april mei juni juli augustus september oktober november "
        "december",
        "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października "
        "listopada grudnia",
        "tr": "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık",
        "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
        "no": "januar februar mars april mai juni juli august september oktober november desember",
    }
    for language, months in spelt.items():
        dates = [f"7 {month} 2024" for month in months.split()]
        found = segkit.clean_data(lines(date=dates)).orders["order_time"].dt.month().to_list()
        assert found == list(range(1, 13)), language


@pytest.mark.parametrize(
    "text",
    ["8 de enero de 2024 10:31 hs.", "2024年1月8日 10:31", "8. januar 2024 kl. 10:31",
     "Jan. 8, 2024, 10:31 a.m.", "8 janvier 2024 10h31", "Jan 8, 2024 2:31:00 AM PST",
     "8 January 2024 at 10:31", "8. 1. 2024 10:31", "2024.01.08. 10:31"],
)  # fmt: skip
def test_times_of_day_are_read_as_shops_write_them(text):
    other = text.replace("8", "28") if "28" not in text else text
    orders = segkit.clean_data(lines(date=[text, other])).orders
    assert orders["order_time"].dt.strftime("%Y-%m-%d %H:%M")[0] == "2024-01-08 10:31"


def test_a_language_that_is_not_read_is_asked_about():
    with pytest.raises(
        DataError, match="Portuguese, Dutch, Polish, Turkish, Russian and the Nordic"
    ):
        segkit.clean_data(lines(date=["5 toukokuuta 2024"]))


def test_plain_and_english_dates_are_left_alone():
    assert date_words(pl.Series(["2024-08-05T07:00Z", "5 August 2024", None])) == {}
    assert date_words(pl.Series([None], dtype=pl.String)) == {}
    assert pl.select(in_english(pl.lit("x"), {})).item() == "x"


def test_a_bad_date_among_named_months_is_an_impossible_one():
    dates = ["5 août 2024", "31 févr. 2024", "demain", "6 août 2024"]
    reasons = segkit.clean_data(lines(date=dates)).ledger.reasons()
    assert reasons == {"impossible_date": 1, "bad_date": 1}


# Lines of totals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["Total 2023", "Sum", "Gesamt", "TOTAL:", "Total HT", "Sous-total", "Somma 01/2024"]
)
def test_lines_of_totals_have_a_reason_of_their_own(word):
    frame = lines(
        client=["a", "b", None, word, ""],
        date=["2024-04-13", "2024-04-14", "2024-12-31", None, word],
        produit=["x", "y", word, None, None],
    )
    taken = segkit.clean_data(frame)
    assert taken.ledger.reasons() == {"total_line": 3}
    first = taken.ledger.steps[0]
    assert (first.customers_in, first.customers_kept) == (2, 2)
    assert first.rejected[0].change == "[orders] total_words = []"
    assert taken.rejects["orders"]["resolved_customer_id"].null_count() == 3
    off = segkit.clean_data(frame, {"orders": {"total_words": []}})
    assert "total_line" not in off.ledger.reasons()


def test_a_customer_called_total_and_a_summer_dress_keep_their_lines():
    frame = lines(client=["Total", "b", None], produit=["x", "Total comfort shoe", "Summer dress"])
    taken = segkit.clean_data(frame)
    assert taken.ledger.reasons() == {"missing_customer_id": 1}
    assert taken.orders["customer_id"].to_list() == ["Total", "b"]


# Where a row stands -------------------------------------------------------------------------


def test_examples_name_the_files_line_where_rows_are_lines(tmp_path):
    head, rows = "client;date;montant\n", "a;2024-04-13;1,2\n;2024-04-13;1,3\n"
    file = tmp_path / "lines.csv"
    file.write_text(head + rows)
    example = segkit.clean_data(file).ledger.steps[0].rejected[0].examples[0]
    assert example == "row 1 (line 3)"
    file.write_text("Export of today\n" + head + rows.rstrip("\n"))
    skip = {"orders": {"skip_rows": 1}}
    assert segkit.clean_data(file, skip).ledger.steps[0].rejected[0].examples[0] == "row 1 (line 4)"
    file.write_text(head + '"two\nlines";2024-04-13;1,2\n;2024-04-13;1,3\n')
    assert segkit.clean_data(file).ledger.steps[0].rejected[0].examples[0] == "row 1"
    assert segkit.clean_data(lines(client=["a", None])).ledger.steps[0].rejected[0].examples == (
        "row 1",
    )
