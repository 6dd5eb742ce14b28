"""The ledger balances in rows and in money, and says so in words, a frame and a picture."""

import dataclasses
from decimal import Decimal

import polars as pl
import pytest

from segkit.errors import DataError
from segkit.intake.ledger import Ledger, Part, Rejection, Step, money_from_micro


def a_ledger():
    apart = Rejection("bad_date", 1, 1, Decimal("2.5"), ("row 3: day = x",), "[orders] date_format")
    steps = (
        Step("orders", "people", 4, 4, 3, 3, Decimal("12.5"), Decimal("12.5"), ()),
        Step("orders", "dates", 4, 3, 3, 2, Decimal("12.5"), Decimal(10), (apart,)),
    )
    parts = (
        Part("orders", "sale", 2, 2, 2, Decimal(11)),
        Part("orders", "return", 1, 1, 1, Decimal(-1)),
    )
    return Ledger(steps, parts, "EUR", ("a note",))


def test_a_balanced_ledger_checks_and_speaks():
    ledger = a_ledger().check()
    assert ledger.reasons() == {"bad_date": 1}
    assert ledger.part("return").money == Decimal(-1)
    assert "Of 4 order lines 3 (75.0%) are kept, from 2 customers, worth 10 EUR" in ledger.text
    assert "bad date 1" in ledger.text
    frame = ledger.to_frame()
    assert frame["entry"].to_list() == ["", "bad_date", "", "sale", "return"]
    assert frame.schema["money"] == pl.Decimal(38, 6)
    assert frame.filter(entry="bad_date")["to_change"].item() == "[orders] date_format"


@pytest.mark.parametrize(
    ("place", "change", "words"),
    [
        (1, {"rows_kept": 2}, "4 rows in, but 2 kept and 1 rejected"),
        (1, {"money_kept": Decimal("10.000001")}, "10.000001 kept"),
        (0, {"rows_in": 5, "rows_kept": 5}, "starts from other rows"),
    ],
)
def test_a_ledger_that_does_not_balance_is_refused(place, change, words):
    ledger = a_ledger()
    steps = list(ledger.steps)
    steps[place] = dataclasses.replace(steps[place], **change)
    with pytest.raises(DataError, match=words):
        Ledger(tuple(steps), ledger.parts).check()


def test_parts_must_add_up():
    ledger = a_ledger()
    with pytest.raises(DataError, match="do not add up"):
        Ledger(ledger.steps, ledger.parts[:1]).check()


def test_an_unknown_part_lists_the_known():
    with pytest.raises(DataError, match="orders/sale, orders/return"):
        a_ledger().part("gift")


def test_it_survives_json_and_draws():
    ledger = a_ledger()
    again = Ledger.from_dict(ledger.to_dict())
    assert again.steps == ledger.steps
    assert again.parts == ledger.parts
    figure = ledger.plot()
    assert "bad date 1" in figure.alt
    assert figure.data["rows"].to_list() == [2, 1, 1]


def test_millionths_become_exact_decimals():
    assert money_from_micro(9747747934000) == Decimal("9747747.934")
    assert str(money_from_micro(100_000_000)) == "100"
    assert money_from_micro(None) is None
    assert money_from_micro(0) == 0
