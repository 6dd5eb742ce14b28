"""The contracts: what a clean table holds, and what is refused at the gate."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from segkit.errors import ColumnError, DataError, ParameterError
from segkit.schema import CONTRACTS, DTYPES, dictionary, fields, validate


def orders(**changes):
    made = {
        "customer_id": ["a", "b"],
        "order_id": ["1", "2"],
        "order_time": [datetime(2024, 1, 1, tzinfo=UTC)] * 2,
        "order_day": pl.Series([19723, 19723], dtype=pl.Int32),
        "amount": [1.0, -2.0],
        "is_return": [False, True],
        "source_row": [0, 1],
    }
    return pl.DataFrame(made | changes)


def test_a_clean_frame_passes_and_is_handed_back():
    frame = orders(anything=["x", "y"])
    assert validate("orders", frame) is frame


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": [1.0, float("inf")]}, "amount: not finite"),
        ({"amount": [1.0, None]}, r"amount: no value \(1 row\)"),
        ({"customer_id": ["a", ""]}, "customer_id: empty"),
        ({"discount": [-1.0, 0.0]}, "discount: below zero"),
        ({"amount": [1, 2]}, "orders.amount holds Int64, expected Float64"),
    ],
)
def test_broken_rows_are_named_by_rule(changes, words):
    with pytest.raises(DataError, match=words):
        validate("orders", orders(**changes))


def test_a_missing_column_is_named():
    with pytest.raises(ColumnError, match="orders lacks amount"):
        validate("orders", orders().drop("amount"))


def test_event_types_are_closed():
    events = pl.DataFrame(
        {
            "customer_id": ["a"],
            "event_time": [datetime(2024, 1, 1, tzinfo=UTC)],
            "event_day": pl.Series([19723], dtype=pl.Int32),
            "event_type": ["teleport"],
            "source_row": [0],
        }
    )
    with pytest.raises(DataError, match="event_type: unknown"):
        validate("events", events)


def test_an_unknown_table_lists_the_known():
    with pytest.raises(ParameterError, match="did you mean 'orders'"):
        fields("order")


def test_every_kind_has_a_type_and_the_data_dictionary_is_current():
    assert {f.kind for listed in CONTRACTS.values() for f in listed} <= set(DTYPES)
    page = (Path(__file__).parents[1] / "data" / "README.md").read_text(encoding="utf-8")
    for row in dictionary().iter_rows(named=True):
        assert f"| {row['column']} |" in page, (
            f"data/README.md lacks {row['table']}.{row['column']}"
        )
        assert row["about"] in page
