"""One run a market: divided without loss, none stopping another, nothing run twice."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from io import StringIO
from pathlib import Path

import polars as pl
import pytest

from segkit import cli
from segkit import report as reports
from segkit.datasets import LOADERS, load_source
from segkit.errors import DataError, ParameterError
from segkit.intake.privacy import keep_private
from segkit.runner import execute, markets
from segkit.runner.accepts import OWN_DATA, SOURCES
from segkit.runner.batch import run_by
from segkit.runner.catalog import Catalog
from segkit.runner.earlier import prune
from segkit.runner.manifest import file_digest, read_json, write_json
from segkit.runner.markets import divide, slugs
from segkit.runner.progress import Progress
from segkit.runner.run import plan, run
from segkit.runner.state import Journal, NotebookEnd
from tests.tools.kills import TOY, lay_out, try_out
from tests.toy_notebooks import write_chain, write_notebook

slow = pytest.mark.slow
QUIET = Progress(quiet=True)
MARKETS = ("Österreich", "A/B", "a b", "../..", "日本", "Chad", "Peru", "Togo", "Fiji")
READ = """\
orders = pl.read_parquet(run.data / "orders.parquet")
from segkit.errors import DataError
if (orders["amount"] == "0.00").any():
    raise DataError("a line is worth nothing")
run.write("orders", orders)
run.table(orders.group_by("when").len().sort("when"), "days")
run.headline(f"{orders.height} orders.")"""


def write_shop(path, *, bad="Fiji"):
    """Write order lines of nine markets; one too small, two lines of none, and one to fail."""
    lines = [
        f"c{i % 12}{'' if i == 0 else market},2024-{1 + i % 12:02d}-11,{i + 1}.50,{market}"
        for market in MARKETS
        for i in range(30)
    ]
    lines += [f"t{i},2024-05-05,3.00,Tuvalu" for i in range(3)]
    lines += ["n1,2024-05-05,3.00,", "n2,2024-05-05,3.00,  "]
    lines += [f"f1,2024-06-06,0.00,{bad}"] if bad else []
    path.write_text("customer,when,amount,Land\n" + "\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """A place in which a batch of ten markets has run, one of them too small and one failing."""
    place = tmp_path_factory.mktemp("batch")
    write_notebook(place / "notebooks", "01_orders", writes=["orders"], cells=[READ])
    write_shop(place / "shop.csv")
    told = StringIO()
    end = run_by(
        "land",
        parameters={"data": "shop.csv"},
        folder=place,
        jobs=2,
        min_customers=10,
        progress=Progress(told),
        report=reports,
    )
    return place, end, told.getvalue()


# Names --------------------------------------------------------------------------------------


def test_a_market_s_folder_is_its_own_and_leads_nowhere_else():
    names = [*MARKETS, "", "..", ".", "CON/", "markets", "2024-01-01", "x" * 90, "x" * 91, "a  b"]
    made = slugs(names)
    assert len(set(made.values())) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) for slug in made.values())
    assert all(len(slug) < 50 for slug in made.values())
    assert made["Chad"] == "chad"
    assert made["markets"] != "markets"
    assert slugs(["Chad", "日本"])["日本"] == made["日本"]  # does not hang on its neighbours


def test_the_names_of_sources_are_known_without_their_loaders():
    assert (*LOADERS, OWN_DATA) == SOURCES


# Dividing the data --------------------------------------------------------------------------


def test_every_row_goes_to_one_market_or_is_counted_as_without(tmp_path):
    write_shop(tmp_path / "shop.csv")
    whole = pl.read_csv(tmp_path / "shop.csv", infer_schema=False)
    used = {"source": "file", "data": "shop.csv", "mapping": ""}
    division = divide(used, "Land", tmp_path, tmp_path / "b")
    assert (division.read, division.unassigned) == (whole.height, 2)
    assert {market.market for market in division.markets} == {*MARKETS, "Tuvalu"}
    assert division.shared_customers == 1  # c0 buys everywhere
    parts = division.parts
    seen = []
    for slug in (*(market.slug for market in division.markets), "without-market"):
        part = pl.read_parquet(parts / slug / "orders.parquet")
        rows = pl.read_parquet(parts / "rows" / f"{slug}.parquet")["source_row"]
        assert part.equals(whole[rows.to_list()])
        seen += rows.to_list()
    assert sorted(seen) == list(range(whole.height))


def test_only_the_markets_that_are_named_are_laid_out(tmp_path, monkeypatch):
    write_shop(tmp_path / "shop.csv")
    used = {"source": "file", "data": "shop.csv", "mapping": ""}

    def laid_out():  # one store alone: an earlier one goes
        found = {path.parent.name for path in tmp_path.glob("private/*/*/orders.parquet")}
        return found - {"without-market"}

    some = divide(used, "Land", tmp_path, tmp_path / "b", ["Peru"])
    assert laid_out() == {"peru"}
    with pytest.raises(ParameterError, match="unknown market 'Atlantis'"):
        divide(used, "Land", tmp_path, tmp_path / "b", ["Atlantis"])
    assert laid_out() == {"peru"}
    assert divide(used, "Land", tmp_path, tmp_path / "b", ["Chad"]) == some
    assert laid_out() == {"chad"}
    assert divide(used, "Land", tmp_path, tmp_path / "b") == some
    assert len(laid_out()) == len(some.markets) > 2
    monkeypatch.setattr(markets, "_divide", None)  # all are there: nothing is divided again
    assert divide(used, "Land", tmp_path, tmp_path / "b", ["peru"]) == some


def test_data_that_have_not_changed_are_not_divided_again(tmp_path, monkeypatch):
    write_shop(tmp_path / "shop.csv")
    used = {"source": "file", "data": "shop.csv", "mapping": ""}
    first = divide(used, "Land", tmp_path, tmp_path / "b")
    before = {path: file_digest(path) for path in first.parts.rglob("*.parquet")}
    with monkeypatch.context() as patched:
        patched.setattr(markets, "_divide", None)
        assert divide(used, "Land", tmp_path, tmp_path / "b") == first
        with (tmp_path / "shop.csv").open("a", encoding="utf-8") as shop:
            shop.write("new,2024-07-07,1.00,Chad\n")
        with pytest.raises(TypeError):
            divide(used, "Land", tmp_path, tmp_path / "b")
    now = divide(used, "Land", tmp_path, tmp_path / "b").parts
    assert not first.parts.exists()
    after = {path: now / path.relative_to(first.parts) for path in before}
    changed = {p.parent.name for p, digest in before.items() if file_digest(after[p]) != digest}
    assert changed == {"chad", "rows"}  # what other markets' runs read stays as it was


def test_parts_lie_outside_the_reports_and_go_with_their_batch(tmp_path, monkeypatch):
    write_shop(tmp_path / "shop.csv")
    used = {"source": "file", "data": "shop.csv", "mapping": ""}
    batch = tmp_path / "reports" / "shop--markets"
    (batch / "parts" / "chad").mkdir(parents=True)  # as earlier versions left it
    before = os.umask(0)
    try:
        parts = divide(used, "Land", tmp_path, batch).parts
    finally:
        os.umask(before)
    assert [path.name for path in batch.rglob("*")] == ["private.json"]
    assert parts.parent == tmp_path / "private"
    if os.name == "posix":
        for path in (parts.parent, parts, *parts.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
    monkeypatch.setenv("SEGKIT_PRIVATE", str(tmp_path / "safe"))
    assert divide(used, "Land", tmp_path, batch).parts.parent == tmp_path / "safe"
    monkeypatch.delenv("SEGKIT_PRIVATE")
    chosen = divide({**used, "private": "own"}, "Land", tmp_path, batch).parts
    assert chosen.parent == tmp_path / "own"
    monkeypatch.setattr(markets, "_divide", None)  # the batch was moved as a whole: all is there
    shutil.copytree(tmp_path / "own", tmp_path / "moved" / "own")
    shutil.copytree(batch, tmp_path / "moved" / "reports" / "shop--markets")
    shutil.copy(tmp_path / "shop.csv", tmp_path / "moved")
    place = tmp_path / "moved"
    moved = divide({**used, "private": "own"}, "Land", place, place / "reports" / "shop--markets")
    assert moved.parts == place / "own" / chosen.name
    monkeypatch.chdir(place)
    assert prune(place / "reports", 1) == []
    assert moved.parts.is_dir()
    monkeypatch.setenv("SEGKIT_PRIVATE", "own")
    shutil.rmtree(place / "reports" / "shop--markets")
    prune(place / "reports", 1)
    assert not moved.parts.exists()


def test_other_tables_follow_the_customers_or_go_whole(tmp_path):
    used = {"source": "simulated", "customers": 300, "seed": 1}
    division = divide(used, "channel", tmp_path, tmp_path / "b")
    raw = load_source("simulated", n_customers=300, seed=1).tables
    names = {market.market: market.slug for market in division.markets}
    assert set(names) == set(raw["orders"]["channel"].drop_nulls().unique())
    events = 0
    for slug in names.values():
        part = division.parts / slug
        assert pl.read_parquet(part / "products.parquet").equals(raw["products"])
        events += pl.read_parquet(part / "events.parquet").height
    told = " ".join(division.other_tables)
    assert "Events: " in told
    assert "the same for every market" in told
    assert events >= raw["events"].height * 0.9  # a customer of two channels is in both
    settled = (division.parts / "mapping.toml").read_text(encoding="utf-8")
    assert 'customer_id = "account_id"' in settled


def test_a_column_or_data_that_cannot_divide_are_named(tmp_path):
    write_shop(tmp_path / "shop.csv")
    used = {"source": "file", "data": "shop.csv", "mapping": ""}
    with pytest.raises(ParameterError, match=r"unknown column of the orders 'Lande'.*'Land'"):
        divide(used, "Lande", tmp_path, tmp_path / "b")
    pl.read_csv(tmp_path / "shop.csv").with_columns(Land=pl.lit("")).write_csv(
        tmp_path / "shop.csv"
    )
    with pytest.raises(DataError, match="column 'Land' is empty throughout"):
        divide(used, "Land", tmp_path, tmp_path / "b")


# A batch ------------------------------------------------------------------------------------


@slow
def test_a_failing_market_does_not_stop_the_others_and_the_index_says_why(batch):
    _, end, told = batch
    found = {one["market"]: one["status"] for one in end.markets}
    assert found == dict.fromkeys(MARKETS, "done") | {"Fiji": "gate", "Tuvalu": "skipped"}
    assert end.exit_code == 4
    index = end.index.read_text(encoding="utf-8")
    assert "a line is worth nothing" in index
    assert "3 customers, and 10 are asked for" in index
    assert "日本" in index
    assert "Fiji  gate: 01_orders: a line is worth nothing" in told


@slow
def test_records_hold_what_a_market_took_and_where_rows_went(batch):
    place = batch[0]
    record = read_json(place / "reports/shop--markets/batch.json")
    assert record["rows"] == {"read": 276, "in markets": 274, "without a market": 2}
    assert record["without_market"]["rows"] == 2
    assert record["exit_code"] == 4
    chad = read_json(place / "reports/shop--chad/run.json")
    assert (chad["series"], chad["market"], chad["by"]) == ("shop", "Chad", "Land")
    assert (chad["rows"], chad["customers"], chad["status"]) == (
        30,
        13,
        "done",
    )  # c0 and its own c0 to c11
    assert chad["batch"] == "shop--markets"
    assert chad["seconds"] > 0.5
    assert chad["peak_memory_bytes"] > 20 * 2**20
    assert chad["notebooks"][0]["peak_memory_bytes"] == chad["peak_memory_bytes"]
    small = read_json(place / "reports/shop--tuvalu/run.json")
    assert (small["status"], small["exit_code"], small["notebooks"]) == ("skipped", 0, [])


@slow
def test_status_and_log_are_for_schedulers(batch):
    place = batch[0]
    status = read_json(place / "reports/shop--markets/status.json")
    assert (status["state"], status["exit_code"], status["done"]) == ("failed", 4, 10)
    assert "Fiji: 01_orders: a line is worth nothing" in status["message"]
    one = read_json(place / "reports/shop--chad/status.json")
    assert (one["state"], one["notebooks"]) == ("done", {"01_orders": "done"})
    lines = (place / "reports/shop--chad/log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["start", "begin", "end", "finish"]
    assert all(event["time"].endswith("+00:00") for event in events)
    assert events[2]["seconds"]["execution"] > 0


@slow
def test_a_second_batch_runs_nothing_and_is_quick_and_a_change_runs_what_hangs_on_it(
    batch, tmp_path
):
    place = tmp_path / "copy"
    shutil.copytree(batch[0], place)
    write_shop(place / "shop.csv", bad=None)  # mended: one market changes
    asked = {"parameters": {"data": "shop.csv"}, "folder": place, "min_customers": 10, "jobs": 2}
    before = {p: file_digest(p) for p in place.glob("reports/*/01_orders/manifest.json")}
    end = run_by("Land", progress=QUIET, report=reports, **asked)
    assert end.exit_code == 0
    changed = {p.parent.parent.name for p, was in before.items() if file_digest(p) != was}
    assert changed == {"shop--fiji"}
    words = ["run", "--data", "shop.csv", "--by", "Land", "--min-customers", "10", "--jobs", "2"]
    code = f"import sys; from segkit import cli; sys.exit(cli.invoke({words!r}))"
    before = {p: file_digest(p) for p in place.glob("reports/*/01_orders/*.*")}
    clock = os.times()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=True
    )
    used = os.times()
    assert done.stdout.count("nothing has changed") == 9
    assert before == {p: file_digest(p) for p in place.glob("reports/*/01_orders/*.*")}
    # Processor time, imports included: wall time would measure what else the machine does.
    spent = used.children_user + used.children_system
    assert spent - clock.children_user - clock.children_system < 2


def test_wrong_use_of_markets_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    shop = ["run", "--data", "shop.csv"]
    wrong = [
        (["--markets", "Chad"], 2, "give --by too"),
        (["--by", "countri"], 2, "did you mean 'country'"),
        (["--by", "country", "--markets", "Chat"], 2, "did you mean 'Chad'"),
        (["--by", "country", "--min-customers", "500"], 3, "no market has 500 customers or more"),
        (["--date", "tomorrow"], 2, "an ISO date or 'today', got 'tomorrow'"),
        (["--jobs", "0"], 2, ""),
    ]
    for words, code, message in wrong:
        assert cli.invoke([*shop, *words]) == code, words
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("reports/*/01_orders"))


# Order, days, and what is promised ----------------------------------------------------------


def test_notebooks_begin_once_what_they_read_is_there_and_run_side_by_side(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    write_notebook(folder, "01", writes=["a"])
    write_notebook(folder, "02", reads=["a"], writes=["b"])
    write_notebook(folder, "03", reads=["a"], writes=["c"])
    write_notebook(folder, "04", reads=["b"])
    write_notebook(folder, "05", reads=["*"])
    both = threading.Barrier(2)
    began = []

    def turn(this, number, notebook):
        began.append((notebook.stem, set(this.ends)))
        if notebook.stem in ("02", "03"):
            both.wait(10)  # neither ends before the other has begun
        return NotebookEnd(notebook.stem, "failed" if notebook.stem == "03" else "done")

    monkeypatch.setattr(execute, "run_one", turn)
    this = plan(catalog=Catalog.open(folder), folder=tmp_path, progress=QUIET)
    this.folder.mkdir(parents=True)
    execute.go_through(this, 2)
    assert [stem for stem, _ in began] == ["01", "02", "03", "04", "05"]
    for stem, ended in began:
        assert set(this.catalog.upstream(stem)) <= ended
    assert list(read_json(this.folder / "run.json")["notebooks"][2].values())[:2] == [
        "03",
        "failed",
    ]


def test_a_run_that_is_stopped_by_hand_says_so(tmp_path, monkeypatch):
    write_notebook(tmp_path / "notebooks", "01")

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(execute, "run_one", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(folder=tmp_path, progress=QUIET, report=reports)
    assert read_json(tmp_path / "reports/toy/run.json")["status"] == "stopped"
    status = read_json(tmp_path / "reports/toy/status.json")
    assert (status["state"], status["exit_code"], status["now"]) == ("stopped", 130, [])


def test_a_refusal_of_unchanged_data_is_told_again_and_not_run_again(tmp_path):
    write_notebook(tmp_path / "notebooks", "01", writes=["a"])
    write_notebook(tmp_path / "notebooks", "02", reads=["a"])
    this = plan(folder=tmp_path, progress=QUIET)
    inputs, key = execute.key_now(this, this.catalog.notebooks["01"])
    (this.folder / "01").mkdir(parents=True)
    refused = {"status": "gate", "key": key, "inputs": inputs, "error": {"message": "no rows"}}
    write_json(this.folder / "01/manifest.json", refused)
    end = run(folder=tmp_path, progress=QUIET, report=reports)
    assert [(one.status, one.message) for one in end.notebooks] == [
        ("gate", "no rows"),
        ("not run", "needs 01"),
    ]
    assert end.exit_code == 3


def test_a_promise_without_a_file_is_an_error(tmp_path):
    notebook = Catalog.open(write_chain(tmp_path / "n")).notebooks["01_orders"]
    (tmp_path / "data").mkdir()
    write_json(tmp_path / "summary.json", {"skips": []})
    outcome = {"status": "done", "error": None}
    judged = execute._judge(outcome, notebook, tmp_path)
    assert judged["status"] == "failed"
    assert "promised orders, and no such file is there" in judged["error"]["message"]
    (tmp_path / "data/orders.parquet").touch()
    assert execute._judge(outcome, notebook, tmp_path) == outcome


@slow
def test_a_day_s_run_has_its_own_folder_and_takes_over_what_has_not_changed(tmp_path):
    write_chain(tmp_path / "notebooks")
    first = run(folder=tmp_path, day="2024-05-01", jobs=2, progress=QUIET, report=reports)
    assert first.folder.name == "toy--2024-05-01"
    again = run(folder=tmp_path, day="2024-05-02", progress=QUIET, report=reports)
    assert {end.status for end in again.notebooks} == {"reused"}
    assert again.folder.name == "toy--2024-05-02"
    report = (again.folder / "02_segments/report.html").read_text(encoding="utf-8")
    assert "2024-05-02</title>" in report
    assert "toy--2024-05-01" not in report
    data = "02_segments/data/segments.parquet"
    assert (first.folder / data).samefile(again.folder / data)
    manifest = read_json(again.folder / "02_segments/manifest.json")
    assert manifest["reused_from"] == "toy--2024-05-01"
    assert manifest["previous"]["headline"] == "2 segments."
    third = run(
        ["02"],
        folder=tmp_path,
        texts={"cut": "50"},
        day="2024-05-03",
        progress=QUIET,
        report=reports,
    )
    assert [end.status for end in third.notebooks] == ["reused", "done"]
    manifest = read_json(third.folder / "02_segments/manifest.json")
    assert manifest["previous"]["parameters"]["cut"] == 9.5
    shutil.rmtree(first.folder)
    assert pl.read_parquet(again.folder / data).height == 20


@slow
def test_forced_twice_the_files_are_the_same_to_the_byte(batch, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(batch[0], place)
    asked = {"parameters": {"data": "shop.csv"}, "folder": place, "min_customers": 10}
    files = [p for p in place.glob("reports/shop--peru/01_orders/*/*") if p.is_file()]
    before = {p: file_digest(p) for p in files}
    run_by("Land", force=True, markets=["Peru"], progress=QUIET, report=reports, **asked)
    assert len(before) == 2
    assert {p: file_digest(p) for p in files} == before


# What goes wrong ----------------------------------------------------------------------------


@slow
def test_killed_at_random_nothing_half_shows_as_done_and_the_next_batch_completes(tmp_path):
    """A few kills; fifty are `python -m tests.tools.kills` (in tests/tools/kills.py)."""
    lay_out(tmp_path, markets=("Peru", "Chad"))
    seen = try_out(tmp_path, TOY, 2, longest=10.0, seed=int(time.time()))
    assert seen["kills"] == 2
    assert seen["left"] == []
    assert seen["scratch"] == []
    assert len(seen["contents"]) == 8


@slow
def test_a_full_disk_leaves_no_report_and_the_next_run_completes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_notebook(tmp_path / "notebooks", "01_alone", cells=["run.say('here')"])
    whole = execute.disk.write_json

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(execute.disk, "write_json", full)
    assert cli.invoke(["run"]) == 1
    assert "could not be saved: No space left on device (manifest.json)" in capsys.readouterr().err
    assert not (tmp_path / "reports/toy/01_alone").exists()
    assert read_json(tmp_path / "reports/toy/run.json")["status"] == "failed"
    assert [p.name for p in (tmp_path / "reports/toy/.segkit").iterdir()] == ["lock"]
    monkeypatch.setattr(execute.disk, "write_json", whole)
    assert cli.invoke(["run"]) == 0


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    (tmp_path / "reports").write_text("a file, where a folder is needed")
    for words in ([], ["--by", "country", "--min-customers", "1"]):
        assert cli.invoke(["run", "--data", "shop.csv", *words]) == 1
        told = capsys.readouterr().err
        assert "cannot write to " in told
        assert len(told.splitlines()) == 1


def test_the_journal_never_stops_the_work(tmp_path):
    journal = Journal(tmp_path / "nowhere", "x", "notebooks", 1)
    journal.begin("01")
    journal.end("01", "done")
    journal.close("done", 0)
    assert journal.state["state"] == "done"


def test_writing_json_leaves_what_there_was_when_the_disk_is_full(tmp_path, monkeypatch):
    write_json(tmp_path / "a.json", {"a": 1})

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "a.json", {"a": 2})
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


# Pruning ------------------------------------------------------------------------------------


def write_run(out, name, *, series="shop", market=None, day="", status="done"):
    record = {"series": series, "market": market, "date": day, "started": day, "status": status}
    (out / name / "01").mkdir(parents=True)
    (out / name / "01/big").write_text("x" * 1000)
    write_json(out / name / "run.json", record | {"exit_code": 0 if status == "done" else 1})


@pytest.fixture
def many(tmp_path):
    """Runs of five days, of which the last two failed; and one of another market."""
    for day in range(1, 6):
        status = "done" if day < 4 else "failed"
        write_run(tmp_path, f"shop--2024-05-0{day}", day=f"2024-05-0{day}", status=status)
    write_run(tmp_path, "shop--chad", market="Chad", day="2024-01-01", status="failed")
    (tmp_path / "by-hand/01").mkdir(parents=True)
    return tmp_path


def test_pruning_keeps_the_newest_and_the_newest_good_one_of_each_market(many):
    rehearsed = [one.folder.name for one in prune(many, 2, rehearse=True) if one.removed]
    assert len(list(many.iterdir())) == 7
    done = prune(many, 2)
    gone = [one.folder.name for one in done if one.removed]
    assert gone == rehearsed == ["shop--2024-05-02", "shop--2024-05-01"]
    assert all(one.freed > 1000 for one in done if one.removed)
    left = {path.name for path in many.iterdir()} - {".segkit"}
    kept = {"shop--2024-05-03", "shop--2024-05-04", "shop--2024-05-05", "shop--chad", "by-hand"}
    assert left == kept
    assert not any((many / ".segkit").iterdir())
    with pytest.raises(ParameterError, match="at least 1"):
        prune(many, 0)


def test_pruning_never_removes_a_run_that_is_being_written(many):
    code = (
        "import sys, pathlib; from segkit.runner.manifest import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    held = many / "shop--2024-05-01"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(held)], stdin=-1, stdout=-1, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        found = {one.folder.name: one for one in prune(many, 1)}
        other.stdin.close()
    assert found[held.name].why == "is being written"
    assert held.is_dir()
    assert not (many / "shop--2024-05-02").exists()


def test_raw_rows_that_go_with_a_run_are_counted_once(many, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def keep(day, text):
        run, name = many / f"shop--2024-05-0{day}", f"{len(text)}.txt"
        pointer = keep_private(
            tmp_path / "private", run, lambda place: (place / name).write_text(text)
        )
        (run / f"01/data/clean{len(text)}").mkdir(parents=True)
        write_json(run / f"01/data/clean{len(text)}/private.json", pointer)

    keep(1, "x" * 5000)
    keep(2, "x" * 5000)
    keep(2, "x" * 300)
    keep(5, "x" * 300)  # still needed: counted for nobody
    before = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    rehearsed = {one.folder.name: one.freed for one in prune(many, 2, rehearse=True)}
    found = {one.folder.name: one.freed for one in prune(many, 2) if one.removed}
    assert found == {name: rehearsed[name] for name in found}
    assert sorted(found) == ["shop--2024-05-01", "shop--2024-05-02"]
    after = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert [p.name for p in tmp_path.glob("private/*/*.txt")] == ["300.txt"]
    used = len("../shop--2024-05-02")  # a reference to a run that has gone goes too
    assert sum(found.values()) == before - after - used > 5000


def test_pruning_from_the_command_line(many, capsys):
    assert cli.invoke(["prune", str(many), "--keep", "1", "--dry-run"]) == 0
    assert "would remove 3 runs" in capsys.readouterr().out
    assert cli.invoke(["prune", str(many), "--keep", "1"]) == 0
    assert "shop--2024-05-01 is older than the 1 newest" in capsys.readouterr().out
    assert (many / "index.html").is_file()
    assert cli.invoke(["prune", str(many), "--keep", "0"]) == 2
    assert cli.invoke(["prune", "nowhere", "--keep", "1"]) == 3
