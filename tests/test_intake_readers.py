"""Every kind of file and frame ends as the same clean lines."""

import builtins
import codecs
import gzip
import sqlite3
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

import segkit
from segkit.errors import MappingError, SourceError
from segkit.frames import from_memory
from segkit.intake.textfiles import seen_delimiter

TABLE = pl.DataFrame(
    {
        "customer_id": ["001", "002", "002"],
        "order_id": ["A1", "A2", "A3"],
        "order_date": ["2024-04-13", "2024-04-14", "2024-05-01"],
        "category": ["Größe", "Été, soldé", 'the "best"'],
        "amount": ["10.50", "-2.25", "1000.00"],
    }
)


def content(taken):
    frame = taken.orders.select("customer_id", "order_id", "order_day", "category", "amount")
    return frame.sort("order_id").rows()


EXPECTED = [
    ("001", "A1", 19826, "Größe", 10.5),
    ("002", "A2", 19827, "Été, soldé", -2.25),
    ("002", "A3", 19844, 'the "best"', 1000.0),
]


ENCODINGS = ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"]
PLAIN = [(delimiter, encoding, False) for delimiter in ",;\t|" for encoding in ENCODINGS]
PACKED = [(",;\t|,"[place], encoding, True) for place, encoding in enumerate(ENCODINGS)]


@pytest.mark.parametrize(("delimiter", "encoding", "packed"), [*PLAIN, *PACKED])
def test_text_files_of_every_dress(tmp_path, delimiter, encoding, packed):
    data = TABLE.write_csv(separator=delimiter).replace("\n", "\r\n").encode(encoding)
    file = tmp_path / ("lines.csv.gz" if packed else "lines.csv")
    file.write_bytes(gzip.compress(data) if packed else data)
    assert content(segkit.clean_data(file)) == EXPECTED


def test_other_quotes_rows_above_the_header_and_blanks(tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text(
        "Export of today\ncustomer_id,order_date,amount\n'a','2024-04-13','1,000.50'\n"
        "'b','2024-04-13','2.50'\n"
    )
    taken = segkit.clean_data(file, {"orders": {"quote": "'", "skip_rows": 1}})
    assert taken.orders["amount"].to_list() == [1000.5, 2.5]
    file.write_text(
        " customer_id  order_date   amount\n 00001 20240413  1.50\n 2 20240414 2.00\n\n"
    )
    taken = segkit.clean_data(file)
    assert taken.orders["customer_id"].to_list() == ["00001", "2"]


def test_parquet_and_folder(tmp_path):
    TABLE.write_parquet(tmp_path / "orders.parquet")
    assert content(segkit.clean_data(tmp_path / "orders.parquet")) == EXPECTED
    pl.DataFrame({"customer_id": ["001"], "gender": ["f"]}).write_csv(tmp_path / "customers.csv")
    taken = segkit.clean_data(tmp_path)
    assert content(taken) == EXPECTED
    assert taken.customers["gender"].to_list() == ["f"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="files named after tables"):
        segkit.clean_data(tmp_path / "empty")


def test_excel(tmp_path):
    file = tmp_path / "lines.xlsx"
    typed = TABLE.with_columns(
        pl.col("order_date").str.to_date(), pl.col("amount").cast(pl.Float64)
    )
    typed.write_excel(file, worksheet="Sales")
    assert content(segkit.clean_data(file)) == EXPECTED
    assert content(segkit.clean_data(file, {"orders": {"sheet": "Sales"}})) == EXPECTED
    assert content(segkit.clean_data(file, {"orders": {"sheet": 1}})) == EXPECTED
    with pytest.raises(SourceError, match="did you mean 'Sales'"):
        segkit.clean_data(file, {"orders": {"sheet": "Sale"}})
    file.write_bytes(b"no workbook")
    with pytest.raises(SourceError, match="not a readable Excel file"):
        segkit.clean_data(file)


@pytest.mark.parametrize(
    ("file", "module", "extra"),
    [("a.xlsx", "fastexcel", "excel"), ("a.duckdb", "duckdb", "duckdb")],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, file, module, extra):
    (tmp_path / file).write_bytes(b"x" * 32)
    true_import = builtins.__import__

    def no_import(name, *rest, **named):
        if name == module:
            raise ImportError(name)
        return true_import(name, *rest, **named)

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", no_import)
    with pytest.raises(SourceError, match=rf"segkit\[{extra}\]"):
        segkit.clean_data(tmp_path / file, {"orders": {"sql": "select 1"}})


def test_sqlite_and_duckdb(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    rows = TABLE.with_columns(pl.col("amount").cast(pl.Float64)).rows()
    with sqlite3.connect(tmp_path / "shop.sqlite") as link:
        link.execute("create table sales (c text, o text, d text, k text, a real)")
        link.executemany("insert into sales values (?, ?, ?, ?, ?)", rows)
    link.close()
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as link:
        link.execute("create table sales (c text, o text, d date, k text, a decimal(10, 2))")
        link.executemany("insert into sales values (?, ?, ?, ?, ?)", rows)
    names = "c as customer_id, o as order_id, d as order_date, k as category, a as amount"
    sql = f"select {names} from sales"
    for name in ("shop.sqlite", "shop.duckdb"):
        options = {"orders": {"sql": sql}}
        assert content(segkit.clean_data(tmp_path / name, options)) == EXPECTED
        named = {"orders": {"sql": sql, "database": str(tmp_path / name)}}
        assert content(segkit.clean_data(None, named)) == EXPECTED
        with pytest.raises(SourceError, match="the query failed"):
            segkit.clean_data(tmp_path / name, {"orders": {"sql": "select nothing from nowhere"}})
        with pytest.raises(MappingError, match="expected sql"):
            segkit.clean_data(tmp_path / name)


def test_a_mapping_file_can_name_the_files(tmp_path):
    TABLE.write_csv(tmp_path / "lines.csv")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[orders]\nfile = "lines.csv"\n')
    assert content(segkit.clean_data(mapping=mapping)) == EXPECTED


def test_pandas_frames_of_every_type():
    frame = pd.DataFrame(
        {
            "CustomerID": [17850.0, np.nan, 3.0],
            "InvoiceDate": pd.date_range("2024-07-01 00:30", periods=3, tz="Europe/Berlin"),
            "Category": pd.Categorical(["x", None, "y"]),
            "Quantity": pd.array([1, 2, None], dtype="Int64"),
            "UnitPrice": [1.5, 2.0, 3.0],
            "Returned": pd.array([False, None, True], dtype="boolean"),
        },
        index=[7, 3, 3],
    )
    taken = segkit.clean_data(frame)
    assert taken.orders["customer_id"].to_list() == ["17850"]
    assert taken.orders["category"].to_list() == ["x"]
    assert taken.orders["order_day"].to_list() == [19904]  # the day in UTC, as of any file
    berlin = segkit.clean_data(frame, {"timezone": "Europe/Berlin"})
    assert berlin.orders["order_day"].to_list() == [19905]
    assert taken.ledger.reasons() == {"missing_customer_id": 1, "missing_amount": 1}
    raw = from_memory(frame)
    assert raw["Returned"].to_list() == [False, None, True]
    assert raw["Quantity"].to_list() == [1, 2, None]


def test_a_lazy_frame_is_collected():
    assert content(segkit.clean_data(TABLE.lazy())) == EXPECTED


def test_unreadable_files_say_what_was_expected(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(SourceError, match="not a readable Parquet"):
        segkit.clean_data(tmp_path / "a.parquet")
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"expected a file ending in \.csv"):
        segkit.clean_data(tmp_path / "a.docx")
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(SourceError, match="is empty"):
        segkit.clean_data(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(codecs.BOM_UTF8 + b"a,b\n1,2,3\n")
    with pytest.raises(SourceError, match="line 2 has 3 cells, the header 2"):
        segkit.clean_data(tmp_path / "a.csv")
    with pytest.raises(SourceError, match="cannot be read as no-such-code"):
        segkit.clean_data(tmp_path / "a.csv", {"encoding": "no-such-code"})


def test_the_delimiter_is_seen_through_decimal_commas():
    assert seen_delimiter("a;b\n1,5;2,5\n3,5;4,5\n") == ";"
    assert seen_delimiter('a,b\n"x;y;z",2\n') == ","
    assert seen_delimiter("only\n1\n") == ","
