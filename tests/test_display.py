"""What readers see of numbers and tables."""

import math
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import segkit
from segkit.display import cell, is_share, money, number, percent, row_units, table_html


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (float("-inf"), "-∞"),
        (0, "0"),
        (-0.0, "0"),
        (12, "12"),
        (1234567, "1,234,567"),
        (1234.5678, "1,235"),
        (999.9, "1,000"),
        (0.00123456, "0.00123"),
        (-12.345, "-12.3"),
        (Decimal("10.50"), "10.5"),
        (0.99999, "1.000"),
        (-0.99999, "-1.000"),
        (12345678901234567, "12,345,678,901,234,568"),
    ],
)
def test_number(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0.0%"),
        (0.1234, "12.3%"),
        (1.5, "150.0%"),
        (0.0003, "0.03%"),
        (-0.00012, "-0.01%"),
    ],
)
def test_percent_never_rounds_something_to_nothing(value, words):
    assert percent(value) == words


@pytest.mark.parametrize("exact", [1.0, -1.0, 0.1, 0.5, 0.125, 0.0125, 0.2345, 2.345, 12.0, 1e6])
def test_the_last_bits_of_a_value_change_nothing_that_is_printed(exact):
    for ulps in (1, 5, 20):
        for end in (-math.inf, math.inf):
            noisy = exact
            for _ in range(ulps):
                noisy = math.nextafter(noisy, end)
            assert number(noisy) == number(exact)
            assert percent(noisy) == percent(exact)
            assert percent(noisy, places=0) == percent(exact, places=0)
            assert cell(noisy, "effect") == cell(exact, "effect")


def test_percent_to_the_place():
    assert percent(0.95, places=0) == "95%"
    assert percent(0.12345, places=2) == "12.35%"


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("open_rate", True),
        ("open_rate_30d", True),
        ("season_share_winter", True),
        ("share", True),
        ("monetary", False),
        ("rate_of_exchange", False),
        ("orders_30d", False),
    ],
)
def test_is_share(name, share):
    assert is_share(name) is share


def test_cell_by_type():
    assert cell(True, "flag") == "yes"
    assert cell(date(2024, 1, 31), "day") == "2024-01-31"
    assert cell(datetime(2024, 1, 31, 9, 5), "at") == "2024-01-31 09:05"
    assert cell([1, 2], "ids") == "1, 2"
    assert cell(0.5, "open_rate") == "50.0%"


def test_table_is_escaped_counted_and_captioned():
    frame = pl.DataFrame({"name": ["<b>", "x", "y"], "open_rate": [0.5, None, 0.25]})
    page = table_html(frame, caption="A & B", max_rows=2, headings={"name": "Who"})
    assert "&lt;b&gt;" in page
    assert "<caption>A &amp; B</caption>" in page
    assert ">Who</th>" in page
    assert re.search(r">First \d of \d rows<", page)
    assert "50.0%" in page
    assert "25.0%" not in page


def cells_of(frame, **options):
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table_html(frame, **options))
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_a_column_has_one_unit_and_its_limits_are_written_as_it_is():
    frame = pl.DataFrame(
        {
            "segment_name": ["A", "B"],
            "open_rate": [0.05, 0.5],
            "low": [0.04, 0.4],
            "high": [1e-18, 0.6],
            "added_profit": [0.05, 12.0],
            "added_profit_low": [-3.456, 0.004],
            "revenue": [1234.56, 12.3],
            "difference_points": [0.5, -1.25],
            "p_holm": [0.05, 1e-12],
            "tied": ["flash_sale / generic", ""],
            "loss_share": [0.05, 2e-6],
            "index": [0.05, 1.5],
        }
    )
    head, *rows = cells_of(frame, currency="GBP")
    assert head[4:8] == [
        "added profit, GBP",
        "added profit low, GBP",
        "revenue, GBP",
        "difference, points",
    ]
    assert head[8] == "p-value (Holm)"
    worth = pl.DataFrame({"expected_value": [1.0], "value_low": [0.5], "monthly_low": [2.0]})
    assert cells_of(worth, currency="GBP")[0] == [
        "expected value, GBP", "value low, GBP", "low, GBP"
    ]  # fmt: skip
    assert [row[:8] for row in rows] == [
        ["A", "5.0%", "4.0%", "0.0%", "0.05", "-3.46", "1,235", "0.5"],
        ["B", "50.0%", "40.0%", "60.0%", "12.00", "0.00", "12", "-1.2"],
    ]
    assert [row[8:] for row in rows] == [
        ["0.050", "flash sale / generic", "5.0%", "0.05"],
        ["&lt; 0.001", "", "&lt; 0.01%", "1.50"],
    ]


def test_what_describes_a_variable_is_written_in_its_unit():
    frame = pl.DataFrame(
        {"feature": ["open_rate", "monetary", "orders_trend"], "mean": [0.125, 632.03, 0.051]}
    )
    assert [row[1] for row in cells_of(frame)[1:]] == ["12.5%", "632", "0.051"]
    frame = pl.DataFrame({"measure": ["customer_share", "customers"], "value": [0.258, 4545.0],
                          "low": [0.251, None], "threshold": [0.05, 100.0]})  # fmt: skip
    assert [row[1:] for row in cells_of(frame)[1:]] == [
        ["25.8%", "25.1%", "5.0%"],
        ["4,545", "–", "100"],
    ]


def test_figures_of_several_units_are_written_each_in_its_own():
    frame = pl.DataFrame(
        {"metric": ["conversion", "revenue", "orders"], "kind": ["share", "mean", "mean"],
         "value_arm": [0.225, 27.4, 0.28], "difference_low": [0.00743, -0.99, 0.0065]}
    )  # fmt: skip
    rows = cells_of(frame.select("value_arm", "difference_low"), units=row_units(frame))[1:]
    assert rows == [["22.5%", "0.7 points"], ["27.40", "-0.99"], ["0.280", "0.0065"]]


def test_a_column_of_many_units_is_written_cell_by_cell():
    frame = pl.DataFrame({"measure": ["x", "y"], "value": [0.0123, 45678.9]})
    assert [row[1] for row in cells_of(frame)[1:]] == ["0.012", "45,679"]


@pytest.mark.parametrize(
    ("value", "words"),
    [(1234.5, "1,234 GBP"), (12.5, "12.50 GBP"), (-0.001, "0.00 GBP"), (None, "–"), (7, "7 GBP")],
)
def test_money_has_two_decimals_or_none(value, words):
    assert money(value, "GBP") == words


# A count that is written and followed by a plural noun; shares, constants and indices are not.
BARE_COUNT = re.compile(
    r"\{(?:(?:number|len)\((?![A-Z_]+\))[^{}]*\)|[a-z][^{}]*:,)\} "
    r"(?:(?!(?:the|these|of|left|such|simulated) )[a-z-]+ )?"
    r"(customers|orders|rows|lines|segments|days|buyers|people|products|months|items|features|"
    r"variables|events|answers|offers|respondents|assignments|campaigns|lists|contacts)\b"
)


def test_every_count_is_written_with_its_noun_by_one_helper():
    """So that nobody reads of "1 customers"; pieces of one sentence are joined first."""
    found = []
    for path in sorted(Path(segkit.__file__).parent.rglob("*.py")):
        text = re.sub(r'"\n\s*f?"', "", path.read_text(encoding="utf-8"))
        found += [f"{path.name}: {one[0]}" for one in BARE_COUNT.finditer(text)]
    assert found == []
