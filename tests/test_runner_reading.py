"""What readers get of a run: short numbers in CSVs, a line as each notebook begins."""

import html
import io
import json

import polars as pl
import pytest

import segkit
from segkit.datasets import Source
from segkit.errors import DataError, ParameterError, RunError
from segkit.intake import Mapping
from segkit.runner.catalog import Context
from segkit.runner.notebook import NotebookRun, save_table
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


@pytest.fixture
def opened(tmp_path):
    """Return what opens a notebook's run by hand, after one notebook upstream."""
    upstream = {
        "notebook": "01_orders",
        "answers": [
            {"question": "Who?", "answer": "Everybody.", "evidence": "who", "link": ""},
            {"question": "When?", "answer": "In May.", "evidence": "days", "link": ""},
        ],
        "quality": {"level": "attention", "text": "3% of the rows are rejected."},
    }
    (tmp_path / "01_orders" / "tables").mkdir(parents=True)
    (tmp_path / "01_orders" / "tables" / "who.csv").write_text("n\n1\n")
    (tmp_path / "02_next").mkdir()
    file = tmp_path / "01_orders" / "summary.json"
    file.write_text(json.dumps(upstream), encoding="utf-8")

    def open_run(**more):
        folders = {"run_folder": str(tmp_path), "folder": str(tmp_path / "02_next")}
        context = Context(
            "02_next", "Next", "What next?", home=str(tmp_path), summaries=[str(file)],
            **folders, **more,
        )  # fmt: skip
        return NotebookRun(context)

    return open_run


def test_answers_are_repeated_with_their_evidence_once_each(opened):
    run = opened()
    for _ in range(2):
        run.repeat_answers({"01_orders": ["Who?", "Why?"], "09_other": ["When?"]})
    (row,) = run._summary["answers"]
    assert (row["question"], row["answer"]) == ("Who?", "Everybody.")
    assert (row["evidence"], row["link"]) == ("01_orders/who", "01_orders/tables/who.csv")
    run._open = False
    with pytest.raises(RunError, match="is finished"):
        run.repeat_answers({"01_orders": ["Who?"]})


def test_a_finding_stands_once_above_the_first_of_its_tables_and_figures(
    opened, tmp_path, monkeypatch
):
    run, shown = opened(), []
    for part in ("tables", "figures"):
        (tmp_path / "02_next" / part).mkdir()
    monkeypatch.setattr(run, "_show", lambda text: shown.append(html.unescape(text)))
    spend = pl.DataFrame({"customer_id": ["a", "b", "c"], "monetary": [1.0, 2.0, 7.0]})
    share = segkit.rfm.measure_concentration(spend)
    run.figure(share, "curve")
    run.table(share, "shares")
    run.table(share.to_frame(), "again")
    assert [share.text in text for text in shown] == [True, False, False, False]
    run.say(share)
    assert share.text in shown[-1]


def test_segments_and_items_are_named_once_a_table_has_named_them(opened, tmp_path, monkeypatch):
    run, shown = opened(), []
    (tmp_path / "02_next" / "tables").mkdir()
    monkeypatch.setattr(run, "_show", shown.append)
    run.table(pl.DataFrame({"segment": ["S1"], "arm": ["mail"]}), "before")
    run.table(pl.DataFrame({"segment": ["S1"], "segment_name": ["Loyalists"]}), "profile")
    run.table(pl.DataFrame({"segment": ["S1"], "arm": ["mail"]}), "after")
    assert ["S1" in text.partition("<p>")[0] for text in shown] == [True, False, False]
    assert ">Loyalists<" in shown[2]
    assert (
        (tmp_path / "02_next" / "tables" / "after.csv").read_text().startswith("segment,arm\nS1,")
    )


def test_what_a_parameter_switches_off_is_told_from_what_is_missing(opened):
    run = opened(absent={"tastes": "The parameter tastes is false."}, unwanted=["tastes"])
    run.leave_out("tastes", "The parameter tastes is false.")
    run.leave_out("events", "The source has no events.")
    assert {one["what"]: one.get("wanted", True) for one in run._summary["skips"]} == {
        "tastes": False, "events": True
    }  # fmt: skip


def test_only_a_poor_verdict_takes_the_place_of_the_audits(opened):
    run = opened()
    for level in ("good", "attention"):
        run.worsen_quality(level, "The sample ratio is as planned.")
        assert run._summary["quality"]["text"] == "3% of the rows are rejected."
    run.worsen_quality("poor", "The sample ratio is off.")
    assert run._summary["quality"] == {"level": "poor", "text": "The sample ratio is off."}
    with pytest.raises(ParameterError, match="'bad'"):
        run.worsen_quality("bad", "…")


def test_customers_are_read_or_made_of_the_answers_of_a_survey(opened, tmp_path):
    table = pl.DataFrame({"customer_id": ["a"], "frequency": [2]})
    table.write_parquet(tmp_path / "customer_table.parquet")
    run = opened(reads={"customer_table": str(tmp_path / "customer_table.parquet")})
    frame, items = run.read_customers("customer_table")
    assert frame.equals(table)
    assert items == []
    with pytest.raises(RunError, match="did you mean 'customer_table'"):
        run.read_customers("customer_tabel")
    run = opened(absent={"customer_table": "There are no orders."})
    answers = pl.DataFrame({"customer_id": ["a", "b"], "cheap": ["Yes", "No"], "age": [31, 54]})
    run.load = lambda: Source("mine", {"survey": answers}, Mapping())
    frame, items = run.read_customers("customer_table")
    assert items == ["cheap"]
    assert frame.sort("customer_id").select("customer_id", "age", "cheap").rows() == [
        ("a", 31, 1), ("b", 54, 0)
    ]  # fmt: skip
    run.load = lambda: Source("mine", {}, Mapping())
    with pytest.raises(DataError, match="mine holds neither purchases nor a survey"):
        run.read_customers("customer_table")
