"""Files of many shapes: read right, asked about, or refused; none read wrong in silence."""

from datetime import date

import polars as pl
import pytest

import segkit
from segkit.errors import SegkitError
from tests.shaped_files import LATER, TEN, TWENTY
from tests.shaped_harder import TWELVE

MOST_QUESTIONS = 3


def measure(source, mapping=None):
    """Return customers, orders, revenue and discount in cents."""
    orders = segkit.clean_data(source, mapping).orders
    sales = orders.filter(~orders["is_return"])
    off = round(100 * orders["discount"].sum()) if "discount" in orders.columns else None
    revenue = round(100 * orders["amount"].sum())
    return orders["customer_id"].n_unique(), sales["order_id"].n_unique(), revenue, off


def agrees(got, shape, lines):
    """Return whether all is right; a discount to a cent per line, for files state it rounded."""
    *got, off = got
    near = shape.off is None or (off is not None and abs(off - shape.off) <= lines)
    return near and got == [shape.customers, shape.orders, shape.revenue]


@pytest.mark.parametrize("make", [*TWENTY, *TEN, *LATER, *TWELVE], ids=lambda make: make.__name__)
def test_no_file_is_read_wrong_in_silence(tmp_path, make):
    shape = make()
    path = tmp_path / shape.name
    path.write_bytes(shape.data)
    try:
        audit = segkit.audit_data(path)
        if audit.blocked:
            said = [item for item in audit.findings if item.severity == "block"]
            assert len(said) <= MOST_QUESTIONS
            text = " ".join(f"{item.finding} {item.answer}" for item in said)
            outcome = "asked"
        else:
            lines = audit.rows.get("orders", 0)
            assert agrees(measure(audit), shape, lines), "silently wrong"
            outcome = "right"
    except SegkitError as error:
        text, outcome = str(error), "refused"
    if shape.must == "right":
        assert outcome == "right", text
    elif shape.must == "asked" and outcome != "right":
        assert outcome == "asked", text
        assert shape.words in text
        if shape.answer:
            assert agrees(measure(path, shape.answer), shape, audit.rows["orders"])
    elif shape.must == "refused":
        assert outcome != "right"
        assert shape.words in text.lower()
        with pytest.raises(SegkitError):
            segkit.clean_data(path)


def test_the_twenty_are_ten_to_read_five_to_ask_about_and_five_to_refuse():
    kinds = [make().must for make in TWENTY]
    assert [kinds.count(kind) for kind in ("right", "asked", "refused")] == [10, 5, 5]


def test_rows_that_go_on_with_the_order_above_are_told_where_dates_are_dates():
    first = [n % 3 == 0 for n in range(60)]
    frame = pl.DataFrame(
        {"Order Reference": [f"S{n}" if one else None for n, one in enumerate(first)],
         "Order Date": [date(2024, 1 + n % 12, 1) if one else None for n, one in enumerate(first)],
         "Customer": [f"k{n // 9}" if one else None for n, one in enumerate(first)],
         "Order Lines/Description": ["Standard delivery" if n % 3 == 2 else f"Mug {n % 4}"
                                     for n in range(60)],
         "Amount": [float(n) for n in range(1, 61)]}
    )  # fmt: skip
    audit = segkit.audit_data(frame)
    assert not audit.blocked
    orders = segkit.clean_data(audit).orders
    assert orders["order_id"].n_unique() == 20
    assert orders["amount"].sum() == 60 * 61 / 2
