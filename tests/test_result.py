import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from segkit.errors import ModelError
from segkit.result import Result, decode, encode


@dataclass(frozen=True, slots=True, eq=False)
class Sizes(Result):
    frame: pl.DataFrame
    asof: date

    def to_frame(self):
        return self.frame

    @property
    def text(self):
        return f"{self.frame.height} segments as of {self.asof} <b>"


def test_values_survive_a_round_trip_through_json():
    value = {
        "when": datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC),
        "day": date(2024, 5, 6),
        "money": Decimal("0.1"),
        "path": Path("a/b"),
        "pair": (1, None, float("inf")),
        "names": {"b", "a"},
        "matrix": np.arange(6, dtype=np.int32).reshape(2, 3),
    }
    back = decode(json.loads(json.dumps(encode(value))))
    matrix = back.pop("matrix")
    expected = value.pop("matrix")
    assert back == value
    assert matrix.dtype == expected.dtype
    assert np.array_equal(matrix, expected)


def test_frames_keep_dtypes_and_nulls():
    frame = pl.DataFrame(
        {
            "t": [datetime(2024, 1, 1, tzinfo=UTC), None],
            "d": [Decimal("1.10"), None],
            "s": ["é", None],
        }
    )
    back = decode(json.loads(json.dumps(encode(frame))))
    assert back.schema == frame.schema
    assert back.equals(frame)


def test_nan_is_stored_and_not_mistaken_for_null():
    back = decode(json.loads(json.dumps(encode([float("nan"), None]))))
    assert np.isnan(back[0])
    assert back[1] is None


def test_unknown_types_and_foreign_classes_are_refused():
    with pytest.raises(ModelError, match="cannot store a object"):
        encode(object())
    with pytest.raises(ModelError, match="not one of segkit's"):
        decode({"$type": "dataclass", "class": "os:path"})
    with pytest.raises(ModelError, match="unknown stored type 'pickle'"):
        decode({"$type": "pickle", "value": ""})


def test_html_escapes_text_and_shows_the_frame():
    shown = Sizes(pl.DataFrame({"share": [0.25]}), date(2024, 1, 1))._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "25.0%" in shown


def test_a_result_without_a_picture_has_no_plot():
    assert not hasattr(Sizes(pl.DataFrame(), date(2024, 1, 1)), "plot")
