"""Personal data planted in a shop's raw files are nowhere in what its run publishes.

Nor are there segments among its customers, which is told.
"""

import os
import re

import polars as pl
import pytest

import segkit
from segkit.errors import DataError
from tests.notebooks.planted import SECRETS, find_secrets, plant
from tests.notebooks.runs import DRAWN, SKETCHED, STEMS, Ran, check_answers, write_sketching


def test_the_search_sees_a_secret_in_every_encoding(tmp_path):
    texts = {
        "plain.html": SECRETS["text"].upper(),
        "escaped.html": SECRETS["email"].replace("@", "&#64;"),
        "json.json": '"' + SECRETS["email"].replace("@", "\\u0040") + '"',
        "phone.csv": "447700900123",
        "card.svg": "<text>4111-1111-1111-1111</text>",
        "name.ipynb": "oxenstierna",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "clean.csv").write_text("customers,3\n", encoding="utf-8")
    assert set(find_secrets(tmp_path)) == set(texts)


def test_what_could_not_be_read_is_told_without_a_secret(tmp_path):
    mapping = plant(tmp_path / "shop", 80)
    audit = segkit.audit_data(tmp_path / "shop", mapping)
    taken = segkit.clean_data(tmp_path / "shop", mapping)
    (tmp_path / "told").mkdir()
    for name, text in (("audit", str(audit)), ("ledger", str(taken.ledger.to_dict()))):
        (tmp_path / "told" / name).write_text(text, encoding="utf-8")
    assert "bad_date" in taken.ledger.reasons("orders")  # there was something to hide
    assert find_secrets(tmp_path / "told") == {}


def test_what_is_no_word_for_a_status_is_asked_about_without_a_secret(tmp_path):
    mapping = plant(tmp_path / "shop", 80, statuses=True)
    with pytest.raises(DataError, match="phone number of 12 digits") as refused:
        segkit.clean_data(tmp_path / "shop", mapping)
    (tmp_path / "told").mkdir()
    audit = segkit.audit_data(tmp_path / "shop", mapping)
    for name, text in (("audit", str(audit)), ("error", str(refused.value))):
        (tmp_path / "told" / name).write_text(text, encoding="utf-8")
    assert find_secrets(tmp_path / "told") == {}


def test_a_sketch_holds_every_word_of_its_picture():
    rows = [(a, b, 0.1 * len(a + b)) for a in ("Loyalists", "Browsers") for b in ("mail", "shop")]
    frame = pl.DataFrame(rows, schema=["segment", "channel", "share"], orient="row")

    def draw():
        drawn = segkit.plot.bars(frame, "segment", "share", group="channel", title="Who buys")
        return segkit.plot.heatmap(frame, "channel", "segment", "share").svg() + drawn.svg()

    whole = draw()
    exec(SKETCHED)  # noqa: S102 - as a kernel does
    try:
        sketched = draw()
    finally:
        exec(DRAWN)  # noqa: S102
    shown = " ".join(map("".join, re.findall(r">([^<]+)<|data-names=\"([^\"]*)", whole)))
    assert {"Loyalists", "mail", "Who", "share"} <= set(re.findall(r"\w+", shown))
    assert set(re.findall(r"\w+", shown)) <= set(re.findall(r"\w+", sketched))
    assert len(sketched) < len(whole) / 4
    assert draw() == whole


@pytest.mark.slow
def test_no_secret_gets_into_what_a_run_publishes_and_missing_segments_are_told(tmp_path):
    """Pictures are sketched: all their words are there, and half of the run's time is not."""
    plant(tmp_path / "shop", 400, structure="none")
    write_sketching(tmp_path)
    before = os.umask(0)
    try:
        settings = ["repeats=5", "references=19", "draws=20", "resamples=20"]
        words = [word for value in settings for word in ("-p", value)]
        ran = Ran(tmp_path, "--data", "shop", "--mapping", "mapping.toml", *words)
    finally:
        os.umask(before)
    assert ran.code == 0, ran.err
    assert set(ran.statuses()) == set(STEMS)
    assert find_secrets(tmp_path / "reports") == {}
    graded = {row["question"]: row["answer"] for row in ran.summary("12_summary")["answers"]}
    assert graded["How right was it?"].startswith("Simulated without segments")
    check_answers(ran)
    assert ran.skips("12_summary") == {
        *("planted", "lift", "next round", "offer profits", "tailoring")
    }
    if os.name == "posix":
        for data in (tmp_path / "private", *ran.folder.glob("*/data")):
            for path in (data, *data.rglob("*")):
                if path.name != ".gitignore":
                    assert path.stat().st_mode & 0o077 == 0, path
    taken = segkit.intake.Intake.open(ran.folder / "01_data_audit" / "data" / "clean")
    assert "remark" not in taken.rejects["orders"].columns
    someone = taken.rejects["orders"].filter(pl.col("reason") == "bad_date")["resolved_customer_id"]
    assert taken.trace(someone.drop_nulls()[0]).to_frame()["fate"].str.contains("bad_date").any()
