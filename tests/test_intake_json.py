"""JSON Lines: nested objects, lists of keys and values, lists of objects."""

import gzip
import json

import polars as pl
import pytest

import segkit
from segkit.errors import SourceError
from segkit.intake import jsonlines

ORDERS = [
    {
        "id": 7001,
        "created_at": "2024-05-01T10:00:00+02:00",
        "customer": {"id": 9007199254740993, "name": "Zoë"},
        "tags": ["new", "vip"],
        "items": [{"sku": "a", "price": 1.10}, {"sku": "b", "price": 2.20}],
    },
    {
        "id": 7002,
        "created_at": "2024-05-02T10:00:00+02:00",
        "customer": {"id": 12, "name": None},
        "items": [{"sku": "a", "price": 1.10}],
    },
]
MAPPING = {
    "orders": {
        "columns": {
            "customer_id": "customer.id",
            "order_id": "id",
            "order_time": "created_at",
            "amount": "items.price",
            "product_id": "items.sku",
        }
    }
}


def write(folder, text, name="orders.jsonl"):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return path


def lines(records):
    return "\r\n".join(json.dumps(record) for record in records) + "\n"


@pytest.mark.parametrize("name", ["orders.jsonl", "orders.ndjson", "orders.jsonl.gz"])
def test_items_become_rows_and_ids_keep_every_figure(tmp_path, name):
    taken = segkit.clean_data(write(tmp_path, lines(ORDERS), name), MAPPING)
    assert taken.orders.select("order_id", "customer_id", "product_id", "amount").rows() == [
        ("7001", "9007199254740993", "a", 1.1),
        ("7001", "9007199254740993", "b", 2.2),
        ("7002", "12", "a", 1.1),
    ]
    assert any("2 objects with 3 rows of 'items'" in note for note in taken.notes)


def test_one_list_of_objects_is_read_as_lines_are(tmp_path):
    one = segkit.clean_data(write(tmp_path, json.dumps(ORDERS), "orders.json"), MAPPING)
    other = segkit.clean_data(write(tmp_path, lines(ORDERS)), MAPPING)
    assert one.orders.equals(other.orders)


def test_without_exploding_one_object_is_flattened_and_more_stay_text(tmp_path):
    mapping = {"orders": {"explode": "", **MAPPING["orders"]}}
    mapping["orders"]["columns"] = {**MAPPING["orders"]["columns"], "amount": "id"}
    taken = segkit.clean_data(write(tmp_path, lines(ORDERS)), mapping)
    assert taken.orders["product_id"].to_list() == [None, "a"]


def test_two_lists_of_objects_are_asked_about(tmp_path):
    record = {**ORDERS[0], "labels": [{"colour": "red"}]}
    path = write(tmp_path, lines([record]))
    with pytest.raises(SourceError, match=r'explode = "items" or "labels", or "" for none'):
        segkit.audit_data(path, MAPPING)
    answered = {"orders": {**MAPPING["orders"], "explode": "items"}}
    assert segkit.clean_data(path, answered).orders.height == 2
    with pytest.raises(SourceError, match="expected a list of objects, found: items, labels"):
        segkit.audit_data(path, {"orders": {"explode": "lines"}})


def test_keys_with_values_of_one_of_several_types_are_columns(tmp_path):
    record = {
        "event_timestamp": "1714550400000000",
        "event_name": "page_view",
        "user_pseudo_id": "u1",
        "event_params": [
            {"key": "page_title", "value": {"string_value": "Home", "int_value": None}},
            {"key": "ga_session_id", "value": {"int_value": 17145}},
        ],
    }
    columns = {
        "customer_id": "user_pseudo_id",
        "event_time": "event_timestamp",
        "event_type": "event_name",
        "page": "event_params.page_title",
        "session_id": "event_params.ga_session_id",
    }
    taken = segkit.clean_data(
        {"events": write(tmp_path, lines([record]))}, {"events": {"columns": columns}}
    )
    row = taken.events.row(0, named=True)
    assert (row["page"], row["session_id"]) == ("Home", "17145")
    assert taken.events["event_time"].dt.strftime("%Y-%m-%dT%H:%M").to_list() == [
        "2024-05-01T08:00"
    ]


def test_long_files_are_read_in_parts_and_come_out_as_one(tmp_path, monkeypatch):
    late = [{"id": n, "customer": {"id": n}, "created_at": "2024-05-01"} for n in range(3)]
    path = write(tmp_path, lines([*late, *ORDERS]))
    whole = jsonlines.read_json_lines(path, path.read_text(), "orders", None)
    monkeypatch.setattr(jsonlines, "CHUNK", 2)
    parts = jsonlines.read_json_lines(path, path.read_text(), "orders", None)
    assert parts.frame.equals(whole.frame.select(parts.frame.columns))
    assert (parts.frame.height, parts.notes) == (6, whole.notes)


def test_objects_without_a_name_that_others_have_are_empty_there(tmp_path):
    text = '{"customer_id": "a", "order_time": "2024-05-01", "amount": 1}\n\n{"customer_id": "b"}\n'
    taken = segkit.clean_data(write(tmp_path, text))
    assert taken.orders["customer_id"].to_list() == ["a"]
    assert sum(taken.ledger.reasons().values()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1}\n{"a": \n', "line 2 is not valid JSON"),
        ("[1, 2]", "expected objects such as"),
        ("3\n", "expected objects such as"),
        ("\n", "holds no objects"),
        ("[" * 50000, "not valid JSON"),
        ('{"a": "\\ud800"}', "not a readable JSON file"),
    ],
)
def test_what_is_no_json_is_said(tmp_path, text, words):
    with pytest.raises(SourceError, match=words):
        segkit.audit_data(write(tmp_path, text))


def test_a_folder_may_hold_json_lines(tmp_path):
    write(tmp_path, lines([{"customer_id": "a", "order_time": "2024-05-01", "amount": "1,5"}]))
    pl.DataFrame({"customer_id": ["a"], "gender": ["f"]}).write_csv(tmp_path / "customers.csv")
    taken = segkit.clean_data(tmp_path, {"orders": {"decimal": ","}})
    assert taken.orders["amount"].to_list() == [1.5]
