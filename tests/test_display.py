"""What readers see of numbers and tables."""

import math
from datetime import date, datetime
from decimal import Decimal

import polars as pl
import pytest

from segkit.display import cell, is_share, number, percent, table_html


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
    assert "and 1 more rows" in page
    assert "50.0%" in page
    assert "25.0%" not in page
