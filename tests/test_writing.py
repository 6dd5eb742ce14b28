"""Files stand whole or not at all, also when the disk is full or the writer is killed."""

import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from segkit import cli, scoring
from segkit.errors import ParameterError, WriteError
from segkit.intake import Mapping
from segkit.plot.figure import Figure, canvas
from segkit.report.index import write_index
from segkit.rfm.cuts import Cuts
from segkit.rules import Rule, RuleSet
from segkit.runner.manifest import write_json
from segkit.runner.workspace import lay_out
from segkit.writing import temporary_name, whole_folder, write_frame, write_whole

LONG = "x" * 10_000
ROWS = pl.DataFrame({"a": [f"{i:050d}" for i in range(500)]})


@contextmanager
def full_disk(bytes_left=100):
    """Let no file grow beyond a few bytes: the system refuses as it does where a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def figure():
    with canvas() as (drawing, (axes,)):
        _ = axes.bar(["low", "high"], [1, 2])
    return Figure(drawing, "Bars", ROWS)


WRITERS = {
    "text": lambda place: write_whole(place / "a.txt", LONG),
    "csv": lambda place: write_frame(ROWS, place / "a.csv"),
    "parquet": lambda place: write_frame(ROWS, place / "a.parquet", compression="uncompressed"),
    "json": lambda place: write_json(place / "a.json", {"a": LONG}),
    "index": write_index,
    "list": lambda place: write_frame(ROWS, place / "a.csv", private=True),
    "mapping": lambda place: Mapping.from_dict(
        {"orders": {"columns": {"amount": LONG, "customer_id": "b"}}}
    ).save(place / "a.toml"),
    "rules": lambda place: RuleSet([Rule("one", f"name = '{LONG}'", 1)]).save(place / "a.json"),
    "cuts": lambda place: Cuts([1.0, 2.0], [1.0, 2.0], [1.0, 2.0], method=LONG, ties="down").save(
        place / "a.json"
    ),
    "figure": lambda place: figure().save(place / "a.png"),
    "folder": lambda place: lay_out(place / "new"),
    "folder there": lambda place: lay_out(place),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_nothing_and_says_so(name, tmp_path):
    with full_disk(), pytest.raises(WriteError, match=r"^cannot write .*: File too large"):
        WRITERS[name](tmp_path)
    assert list(tmp_path.iterdir()) == []
    WRITERS[name](tmp_path)
    assert any(tmp_path.iterdir())
    assert not list(tmp_path.glob(".*"))


def test_what_there_was_stands_when_its_replacement_fails(tmp_path):
    target = write_whole(tmp_path / "a.txt", "old")
    with full_disk(), pytest.raises(OSError, match="cannot write") as raised:
        write_whole(target, LONG)
    assert raised.value.filename == str(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_kept_also_if_it_comes_late(tmp_path, monkeypatch):
    target = tmp_path / "a.txt"
    seen = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    target.write_text("somebody else's")
    with pytest.raises(ParameterError, match="exists; it is not overwritten"):
        write_whole(target, "mine", overwrite=False)
    monkeypatch.setattr(os.path, "lexists", seen)
    assert target.read_text() == "somebody else's"
    assert list(tmp_path.iterdir()) == [target]
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "no links here")))
    assert write_whole(tmp_path / "b.txt", "mine", overwrite=False).read_text() == "mine"


def test_a_folder_that_is_not_there_or_a_file_in_its_place_is_said(tmp_path):
    with pytest.raises(WriteError, match=r"cannot write .*a\.txt: No such file or directory"):
        write_whole(tmp_path / "nowhere" / "a.txt", "text")
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"Not a directory|File exists"):
        lay_out(tmp_path / "file" / "shop")
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(WriteError, match="Is a directory"):
        write_whole(tmp_path / "a.txt", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "file"]


def test_a_killed_writers_leftover_goes_with_the_next_writing(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from segkit import writing
writing.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
writing.write_whole({str(tmp_path / "a.txt")!r}, "half")
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".a.txt.*.new"))) == 1
    other = temporary_name(tmp_path / "a.txt")  # a living process is writing the same file
    other.write_text("busy")
    write_whole(tmp_path / "a.txt", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", other.name}


def test_a_folder_that_stands_stays_the_same_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with whole_folder(Path()) as aside:
        (aside / "a").write_text("1")
    assert [path.name for path in Path.cwd().iterdir()] == ["a"]
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "b") as aside:
        (aside / "a").write_text(str(1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_score_that_could_not_be_written_does_not_block_the_next(tmp_path, monkeypatch, capsys):
    rows = pl.DataFrame({"segment": ["S1"] * 90, "unlike_any": [False] * 90})
    rows = rows.with_columns(reason=pl.lit(None, pl.String))
    sizes = pl.DataFrame(
        {"segment": ["S1"], "segment_name": ["All"], "customers": [90], "customer_share": [1.0]}
    )
    scored = scoring.Scored(rows, sizes, "A model.", "a customer table")
    monkeypatch.setattr(scoring, "score_file", lambda *_, **__: scored)
    out = tmp_path / "out.csv"
    words = ["score", "model.json", "table.csv", "--out", str(out)]
    with full_disk():
        assert cli.invoke(words) == 1
    assert capsys.readouterr().err == f"segkit: cannot write {out}: File too large\n"
    assert list(tmp_path.iterdir()) == []
    assert cli.invoke(words) == 0
    assert pl.read_csv(out).height == 90
    assert cli.invoke(words) == 2
