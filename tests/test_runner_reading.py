"""What readers get of a run: short numbers in CSVs, a line as each notebook begins."""

import io

import polars as pl

from segkit.runner.notebook import save_table
from segkit.runner.progress import Progress


def test_csvs_for_readers_have_six_figures_and_whole_numbers_stay_whole(tmp_path):
    (tmp_path / "tables").mkdir()
    frame = pl.DataFrame(
        {"x": [34958.571895999936, 1 / 3], "n": [123456789, 2], "y": [0.0, None], "z": [[1.5], [2]]}
    )
    path = tmp_path / save_table(tmp_path, frame, "t")
    head, first, second = path.read_text().splitlines()
    assert head == "x,n,y,z"
    assert first == "34958.6,123456789,0.0,[1.5]"
    assert second == "0.333333,2,,[2.0]"
    assert frame["x"][0] == 34958.571895999936  # what is written for later notebooks stays exact


def test_a_line_is_written_as_a_notebook_begins_where_nothing_can_be_redrawn():
    stream = io.StringIO()
    told = Progress(stream, announce=True)
    told.begin(1, 2, "01_orders")
    told.cell("01_orders", {"cell": 1, "cells": 3})
    assert stream.getvalue() == "[1/2] 01_orders  running …\n"
    told.end("01_orders", "done")
    assert stream.getvalue().splitlines()[1].startswith("[1/2] 01_orders  done (")
    plain = io.StringIO()
    Progress(plain).begin(1, 2, "01_orders")
    assert plain.getvalue() == ""
