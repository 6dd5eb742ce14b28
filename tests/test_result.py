import dataclasses
import importlib
import json
import pkgutil
import re
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segkit
from segkit import stored
from segkit.errors import ModelError
from segkit.result import Result, decode, encode
from segkit.rules import Domain, Rule


@dataclass(frozen=True, slots=True, eq=False)
class Sizes(Result):
    frame: pl.DataFrame
    asof: date

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
    with pytest.raises(ModelError, match=r"cannot store a Sizes: .* not among the stored types"):
        encode(Sizes(pl.DataFrame(), date(2024, 1, 1)))


# Type names and versions ------------------------------------------------------------------------


def test_a_stored_object_names_its_type_and_version_and_no_module():
    rule = Rule("Loyal", "f = 5")
    data = encode(rule)
    assert data == {
        "$type": "object",
        "name": "rule",
        "version": 1,
        "fields": {"name": "Loyal", "condition": encode(rule.condition), "priority": 0},
    }
    assert "segkit" not in json.dumps(data)
    assert decode(data) == rule


def test_unknown_names_later_versions_and_other_fields_are_refused():
    data = encode(Domain("integer", low=1))
    with pytest.raises(ModelError, match="unknown stored type 'domian'; did you mean 'domain'"):
        decode({**data, "name": "domian"})
    for version in (2, 0, None, "1"):
        with pytest.raises(ModelError, match=r"the stored domain has version .* versions 1 to 1"):
            decode({**data, "version": version})
    with pytest.raises(ModelError, match="the stored domain has other fields than Domain"):
        decode({**data, "fields": {"colour": "red"}})
    with pytest.raises(ModelError, match="cannot be read: KeyError"):
        Sizes.from_dict({"$type": "object", "name": "domain"})


def test_fields_are_renamed_and_dropped_version_by_version(monkeypatch):
    for name, versions in stored.FIELDS.items():
        names = {field.name for field in dataclasses.fields(stored.type_of(name))}
        assert {new for change in versions for new in change.values() if new} <= names, name
    changes = [{"from": "low", "unit": None}, {"sort": "kind"}]
    monkeypatch.setitem(stored.FIELDS, "domain", changes)
    data = encode(Domain("integer", low=1))
    assert data["version"] == 3
    fields = data["fields"]
    kept = {key: value for key, value in fields.items() if key not in ("low", "kind")}
    first = kept | {"from": 1, "unit": "days", "sort": "integer"}
    second = kept | {"low": 1, "sort": "integer"}
    for version, written in ((1, first), (2, second), (3, fields)):
        assert encode(decode({**data, "version": version, "fields": written})) == data
    with pytest.raises(ModelError, match="versions 1 to 3"):
        decode({**data, "version": 4})


def test_every_result_and_every_part_of_one_has_a_type_name():
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(segkit.__path__, "segkit.")
    ]
    records = {}
    for module in modules:
        for kind in vars(module).values():
            if dataclasses.is_dataclass(kind) and isinstance(kind, type):
                records.setdefault(kind.__name__, set()).add(kind)
    types = {stored.type_of(name) for name in stored.TYPES}
    assert {stored.name_of(kind) for kind in types} == set(stored.TYPES)
    assert set(stored.FIRST.values()) <= set(stored.TYPES)
    results = {kind for kinds in records.values() for kind in kinds if issubclass(kind, Result)}
    assert results <= types
    for kind in types:
        space = vars(sys.modules[kind.__module__])
        for field in dataclasses.fields(kind):
            words = (
                re.findall(r"\w+", str(field.type)) if field.metadata.get("stored", True) else []
            )
            for word in words:
                parts = records.get(word, set())
                part = {space[word]} & parts if word in space else parts
                assert part <= types, (kind, field.name, part - types)


def test_html_escapes_text_and_shows_the_frame():
    shown = Sizes(pl.DataFrame({"share": [0.25]}), date(2024, 1, 1))._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "25.0%" in shown


def test_a_result_without_a_picture_has_no_plot():
    assert not hasattr(Sizes(pl.DataFrame(), date(2024, 1, 1)), "plot")
