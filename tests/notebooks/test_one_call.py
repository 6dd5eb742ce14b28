"""One call and the notebooks give one file the same segments; who only returned is in none."""

import polars as pl
import pytest

import segkit
from tests.notebooks.runs import Ran
from tests.test_pipeline import RETURNERS, shop_with_returns

pytestmark = pytest.mark.slow


def test_one_call_and_notebook_05_give_the_same_segments(tmp_path):
    file = tmp_path / "lines.csv"
    shop_with_returns().write_csv(file)
    words = ["source=file", f"data={file}", "repeats=3", "references=19"]
    ran = Ran(tmp_path, "05", *(word for value in words for word in ("-p", value)))
    assert ran.code == 0, ran.err
    theirs = pl.read_parquet(ran.folder / "05_segments/data/segments.parquet")
    found = segkit.segment(file)
    assert found.assignments.sort("customer_id").equals(theirs.sort("customer_id"))
    assert not set(theirs["customer_id"]) & set(RETURNERS)
