"""Files that segkit writes: formulas defused and read back, personal data its owner's alone."""

import ast
import os
from pathlib import Path

import fastexcel
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.intake import clean_data
from segkit.spreadsheets import as_csv, defuse, restore
from segkit.writing import close_to_others, write_frame

PACKAGE = Path(__file__).parents[1] / "segkit"
# Writers of text tables; what calls them elsewhere would leave formulas live.
WRITERS = {"write_csv", "sink_csv", "to_csv", "write_excel", "to_excel", "Workbook", "writerow"}


def test_every_table_of_text_is_written_by_the_one_writer():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "spreadsheets.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = getattr(node, "attr", getattr(node, "id", None))
            assert named not in WRITERS, f"{path.name}, line {node.lineno}: {named}"


def test_the_search_for_writers_finds_the_one_there_is():
    tree = ast.parse((PACKAGE / "spreadsheets.py").read_text(encoding="utf-8"))
    named = {getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(tree)}
    assert {"write_csv", "Workbook"} <= named


@pytest.mark.parametrize("number", ["-1", "+1", "-12.50", "-1,234.50", "+44", "-1e-5", " -3", "5%"])
def test_numbers_written_as_text_are_left(number):
    assert defuse(pl.DataFrame({"x": [number]}))["x"][0] == number


@pytest.mark.parametrize(
    "text", ["-1+1", "+1-800-555", "-@", "--1", "=-1", "-1|cmd", "'=1", "''-x"]
)
def test_what_only_looks_like_a_number_is_defused(text):
    assert defuse(pl.DataFrame({"x": [text]}))["x"][0] == f"'{text}"


def test_categories_and_names_of_columns_are_defused_too():
    frame = pl.DataFrame({"=1+1": ["@x"]}, schema={"=1+1": pl.Categorical})
    assert defuse(frame).to_dict(as_series=False) == {"'=1+1": ["'@x"]}
    assert restore(defuse(frame)).to_dict(as_series=False) == {"=1+1": ["@x"]}


@pytest.mark.parametrize("names", [["'=a", "=a"], ["-5", "'-5", "x"], ["''@b", "'@b", "@b"]])
def test_names_of_a_stranger_s_file_that_would_clash_are_left(names):
    frame = pl.DataFrame({name: ["'=1"] for name in names})
    assert restore(frame).columns == names
    assert set(restore(frame).row(0)) == {"=1"}
    assert restore(defuse(frame)).equals(frame)


@settings(max_examples=200)
@given(st.lists(st.text(alphabet="=+-@'\t\r\n 1aé＝", max_size=6), min_size=1, max_size=4))
def test_what_was_defused_is_read_back(texts):
    frame = pl.DataFrame({"x": texts})
    assert restore(defuse(frame)).equals(frame)
    named = pl.DataFrame({name: [1] for name in texts})
    assert restore(defuse(named)).equals(named)


def test_a_table_read_back_is_the_table_written(tmp_path):
    frame = pl.DataFrame({"id": ["=1", "-5", "'tis", "007", "@a"], "gain": [-1.5, 2.0, 0.0, 1, -3]})
    path = write_frame(frame, tmp_path / "t.csv")
    assert restore(pl.read_csv(path, schema_overrides={"id": pl.String})).equals(frame)
    assert as_csv(frame) == path.read_bytes()
    book = write_frame(frame, tmp_path / "t.xlsx")
    sheet = fastexcel.read_excel(book).load_sheet(0, dtypes={"id": "string"}).to_polars()
    assert restore(sheet).equals(frame)
    assert pl.read_parquet(write_frame(frame, tmp_path / "t.parquet")).equals(frame)


def test_intake_reads_ids_that_were_defused(tmp_path):
    lines = pl.DataFrame(
        {
            "customer_id": ["=7", "-x-", "@z"],
            "order_time": ["2024-05-01"] * 3,
            "amount": ["5.00", "-2.00", "3.50"],
        }
    )
    taken = clean_data(write_frame(lines, tmp_path / "orders.csv"))
    assert taken.orders["customer_id"].to_list() == ["=7", "-x-", "@z"]
    assert taken.orders["amount"].to_list() == [5.0, -2.0, 3.5]


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes")
def test_private_files_are_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_frame(pl.DataFrame({"x": [1]}), tmp_path / "t.csv", private=True)
        (tmp_path / "folder" / "inner").mkdir(parents=True)
        (tmp_path / "folder" / "inner" / "file").write_text("x", encoding="utf-8")
        close_to_others(tmp_path / "folder")
    finally:
        os.umask(before)
    assert (tmp_path / "t.csv").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "folder/inner").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "folder/inner/file").stat().st_mode & 0o777 == 0o600


def test_a_system_without_modes_is_no_hindrance(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr(Path, "chmod", refused)
    write_frame(pl.DataFrame({"x": [1]}), tmp_path / "t.csv", private=True)
    close_to_others(tmp_path)
    assert (tmp_path / "t.csv").exists()
