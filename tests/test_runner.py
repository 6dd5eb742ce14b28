import html
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import nbformat
import polars as pl
import pytest

from segkit import report as reports
from segkit.errors import ParameterError, RunError, SourceError
from segkit.runner import manifest
from segkit.runner.manifest import StagedFolder, clean, file_digest, key_of, locked, read_json
from segkit.runner.notebook import as_html
from segkit.runner.progress import Progress
from segkit.runner.run import run
from segkit.runner.stopping import children_of, end_family, end_group
from tests.toy_notebooks import write_chain, write_notebook

slow = pytest.mark.slow
QUIET = Progress(quiet=True)


def statuses(end):
    return {each.stem: each.status for each in end.notebooks}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A folder in which the three notebooks that feed one another have run."""
    place = tmp_path_factory.mktemp("chain")
    write_chain(place / "notebooks")
    told = StringIO()
    end = run(folder=place, texts={"seed": "0"}, progress=Progress(told), report=reports)
    return place, end, told.getvalue()


@pytest.fixture
def copied(chain, tmp_path):
    shutil.copytree(chain[0], tmp_path / "work")
    return tmp_path / "work"


# A worker's folder is among its words; the parent of a kernel may be what it was forked from.
KILL_WORKER = """
import os, pathlib, time
folder = os.path.dirname(os.environ["SEGKIT_CONTEXT"]).encode()
for words in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if folder in words.read_bytes().split(bytes(1)):
        os.kill(int(words.parent.name), 9)
time.sleep(600)
open("slept", "w").close()"""
# Leaves a file if nobody ends the kernel: the run must notice that its worker has gone.
SLEEP = "import time; time.sleep(600); open('slept', 'w').close()"
PLANTED = ("ann.lee@shop.example", "+44 20 7946 0958", "Wilhelmina Oxenstierna")
TELLS = """
import pathlib, warnings
told = pathlib.Path("told.txt").read_text()
print(told[:40])
warnings.warn(f"could not read {told!r}")
try:
    float(told)
except ValueError:
    raise RuntimeError(f"{told} is no number")"""
FAILING = {
    "10_raises": {"cells": ["1 / 0"], "writes": ["never"]},
    "11_killed": {"cells": ["import os, signal", "os.kill(os.getpid(), signal.SIGKILL)"]},
    "12_gate": {"cells": ["import segkit.errors", "raise segkit.errors.ColumnError('no amount')"]},
    "13_unfinished": {"cells": ["x = 1"], "end": False},
    "14_promises": {"writes": ["more"]},
    "15_needs": {"reads": ["never"]},
    "16_alone": {"cells": ["run.say('Still here.')"]},
    "17_worker": {"cells": [KILL_WORKER]},
    "18_parent": {"cells": ["import os; os.kill(os.getppid(), 9); " + SLEEP]},
    "19_after": {"cells": ["run.say('Here too.')"]},
    "20_tells": {"cells": [TELLS]},
}


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """A folder in which notebooks have failed in every way."""
    place = tmp_path_factory.mktemp("failing")
    for stem, parts in FAILING.items():
        write_notebook(place / "notebooks", stem, **parts)
    (place / "told.txt").write_text(" and ".join(PLANTED), encoding="utf-8")
    end = run(folder=place, progress=QUIET, report=reports)
    assert not (place / "slept").exists()
    return place, end


@slow
def test_a_chain_runs_in_order_and_says_so(chain):
    place, end, told = chain
    assert statuses(end) == dict.fromkeys(["01_orders", "02_segments", "03_summary"], "done")
    assert end.exit_code == 0
    assert end.index == place / "reports" / "index.html"
    assert "[2/3] 02_segments  done" in told
    segments = pl.read_parquet(place / "reports/toy/02_segments/data/segments.parquet")
    assert segments["segment"].value_counts(sort=True)["count"].to_list() == [10, 10]


@slow
def test_the_manifest_holds_what_went_in_and_what_came_out(chain):
    folder = chain[0] / "reports/toy/02_segments"
    manifest = read_json(folder / "manifest.json")
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    listed = {output["path"]: output for output in manifest["outputs"]}
    assert listed.keys() == on_disk - {"manifest.json"}
    for path, output in listed.items():
        assert output["sha256"] == file_digest(folder / path)
        assert output["bytes"] == (folder / path).stat().st_size
    assert manifest["inputs"]["orders"] == file_digest(
        chain[0] / "reports/toy/01_orders/data/orders.parquet"
    )
    assert manifest["parameters"]["cut"] == 9.5
    assert manifest["versions"]["polars"] == pl.__version__
    assert manifest["peak_memory_bytes"] > 20 * 2**20
    assert manifest["started"] <= manifest["finished"]
    assert manifest["seconds"].keys() == {"cells", "execution", "rendering"}


def test_the_key_hangs_on_the_notebook_each_parameter_and_each_input():
    key = key_of("notebook", {"cut": 5, "out": "reports"}, {"orders": "1"})
    assert key == key_of("notebook", {"cut": 5, "out": "elsewhere"}, {"orders": "1"})
    others = [
        key_of("another", {"cut": 5}, {"orders": "1"}),
        key_of("notebook", {"cut": 6}, {"orders": "1"}),
        key_of("notebook", {"cut": 5}, {"orders": "2"}),
        key_of("notebook", {"cut": 5}, {"orders": "1", "survey": "1"}),
    ]
    assert len({key, *others}) == 5


@slow
def test_the_summary_holds_answers_skips_and_what_it_inherits(chain):
    summary = read_json(chain[0] / "reports/toy/02_segments/summary.json")
    assert summary["headline"] == "2 segments."
    assert summary["answers"][0]["evidence"] == "table sizes"
    assert summary["skips"] == [{"what": "survey", "why": "The source has no survey."}]
    assert summary["quality"]["level"] == "attention"
    assert summary["period"] == ["2024-01-01", "2024-12-31"]
    assert summary["rows"] == {"orders": 20}


@slow
def test_ids_stay_out_of_tables_unless_asked_for(chain):
    folder = chain[0] / "reports/toy/02_segments"
    assert (folder / "tables/customers.csv").read_text().startswith("amount,segment")
    assert (folder / "report.html").read_text().count("Left out as personal") == 2
    for file in (*folder.rglob("*.csv"), folder / "02_segments.ipynb", folder / "report.html"):
        assert "cust-" not in file.read_text()


@slow
def test_the_kernel_is_this_interpreter_whatever_is_installed(tmp_path, monkeypatch):
    spec = tmp_path / "kernels/python3/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    cell = "import sys; run.write_json('python', {'path': sys.executable, 'seed': seed})"
    write_notebook(tmp_path / "notebooks", "01_which", writes=["python"], cells=[cell])
    end = run(folder=tmp_path, texts={"seed": "7"}, progress=QUIET, report=reports)
    assert end.exit_code == 0
    found = read_json(tmp_path / "reports/toy/01_which/data/python.json")
    assert Path(found["path"]).samefile(sys.executable)
    assert found["seed"] == 7


@slow
def test_nothing_is_run_again_that_has_not_changed(copied):
    end = run(folder=copied, progress=QUIET, report=reports)
    assert set(statuses(end).values()) == {"reused"}


@slow
def test_a_parameter_reruns_only_what_it_touches_and_the_change_is_kept(copied):
    end = run(["02"], folder=copied, texts={"cut": "50"}, progress=QUIET, report=reports)
    assert statuses(end) == {"01_orders": "reused", "02_segments": "done"}
    manifest = read_json(copied / "reports/toy/02_segments/manifest.json")
    assert manifest["previous"]["headline"] == "2 segments."
    index = (copied / "reports/index.html").read_text()
    assert "<del>2 segments.</del><br><ins>1 segments.</ins>" in index
    assert "Cause: parameters (cut 9.50 → 50)." in index
    tampered = copied / "reports/toy/02_segments/tables/sizes.csv"
    tampered.write_text(tampered.read_text().replace("low", "hgh"))  # as long as before
    again = run(["02"], folder=copied, texts={"cut": "50"}, progress=QUIET, report=reports)
    assert statuses(again) == {"01_orders": "reused", "02_segments": "done"}
    assert "low" in tampered.read_text()
    assert "hgh" not in tampered.read_text()


@slow
def test_each_failure_is_told_as_what_it_was(failing):
    _, end = failing
    assert statuses(end) == {
        "10_raises": "failed",
        "11_killed": "killed",
        "12_gate": "gate",
        "13_unfinished": "failed",
        "14_promises": "failed",
        "15_needs": "not run",
        "16_alone": "done",
        "17_worker": "killed",
        "18_parent": "killed",
        "19_after": "done",
        "20_tells": "failed",
    }
    messages = {each.stem: each.message for each in end.notebooks}
    assert messages["10_raises"] == "division by zero"
    assert "SIGKILL" in messages["11_killed"]
    assert messages["12_gate"] == "no amount"
    assert "run.finish()" in messages["13_unfinished"]
    assert "promised more" in messages["14_promises"]
    assert messages["15_needs"] == "needs 10_raises"
    assert "notebook's process was ended by signal SIGKILL" in messages["17_worker"]
    assert end.exit_code == 1


@slow
def test_what_an_error_or_a_print_tells_of_a_person_is_nowhere_in_the_run(failing):
    place, end = failing
    message = {each.stem: each.message for each in end.notebooks}["20_tells"]
    assert message == ("an…@… and phone number of 12 digits and text of 22 characters is no number")
    files = [path for path in (place / "reports").rglob("*") if path.is_file()]
    texts = {path: html.unescape(path.read_bytes().decode(errors="replace")) for path in files}
    for secret in (*PLANTED, "Oxenstierna"):
        assert [path for path, text in texts.items() if secret in text] == []
    for name in ("manifest.json", "20_tells.ipynb", "report.html"):
        assert "is no number" in texts[place / "reports/toy/20_tells" / name]


@slow
def test_a_failed_report_shows_the_error_and_the_index_its_message(failing):
    place, end = failing
    report = (place / "reports/toy/10_raises/report.html").read_text()
    assert "This notebook failed, in cell 4." in report
    assert "ZeroDivisionError: division by zero" in report
    assert "papermill" not in report
    index = end.index.read_text()
    assert "division by zero" in index
    assert "needs 10_raises" in index
    assert read_json(place / "reports/toy/11_killed/manifest.json")["error"]["kind"] == "KernelDied"


@slow
def test_the_data_gate_alone_ends_with_3(failing, tmp_path):
    shutil.copytree(failing[0], tmp_path / "work")
    end = run(
        ["12"], folder=tmp_path / "work", progress=QUIET, report=reports
    )  # a refusal is not run again
    assert statuses(end) == {"12_gate": "gate"}
    assert end.exit_code == 3


@slow
def test_a_notebook_that_takes_too_long_is_ended_with_what_it_started(tmp_path):
    start = "child = subprocess.Popen(['sleep', '600']); open('child', 'w').write(str(child.pid))"
    cells = [f"import subprocess, time; {start}", "time.sleep(600)"]
    write_notebook(tmp_path / "notebooks", "01_slow", cells=cells)
    end = run(folder=tmp_path, timeout=8, progress=QUIET, report=reports)
    assert statuses(end) == {"01_slow": "killed"}
    assert "longer than 8 seconds" in end.notebooks[0].message
    if (tmp_path / "child").exists():  # on a busy machine it may not have got so far
        assert gone(int((tmp_path / "child").read_text()))


HALTED = """\
import os, signal, sys
if "ipykernel_launcher" in sys.orig_argv:
    open("kernel", "w").write(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found under /proc")
def test_a_kernel_that_is_halted_while_it_starts_is_ended_when_time_is_up(tmp_path, monkeypatch):
    (tmp_path / "path").mkdir()
    (tmp_path / "path/sitecustomize.py").write_text(HALTED)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'path'}{os.pathsep}{Path(__file__).parents[1]}")
    write_notebook(tmp_path / "notebooks", "01_slow")
    end = run(folder=tmp_path, timeout=6, progress=QUIET, report=reports)
    assert statuses(end) == {"01_slow": "killed"}
    kernel = int((tmp_path / "kernel").read_text())
    deadline = time.monotonic() + 10
    while not gone(kernel):
        assert time.monotonic() < deadline, "the kernel is still there"
        time.sleep(0.05)


def test_a_family_ends_to_the_last_whatever_group_its_members_lead():
    halted = "import os, signal; print(os.getpid(), flush=True); os.kill(os.getpid(), 19)"
    code = f"""
import subprocess, sys
words = [sys.executable, "-c", {halted!r}]
for apart in (True, False):
    child = subprocess.Popen(words, stdout=-1, text=True, start_new_session=apart)
    print(child.stdout.readline(), end="", flush=True)
input()
"""
    for leads in (True, False):
        parent = subprocess.Popen(
            [sys.executable, "-c", code], stdin=-1, stdout=-1, text=True, start_new_session=leads
        )
        children = [int(parent.stdout.readline()) for _ in range(2)]
        assert sorted(children_of(parent.pid)) == sorted(children)
        end_family(parent.pid)
        parent.communicate(timeout=10)
        deadline = time.monotonic() + 10
        while not all(gone(child) for child in children):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_signals_stop_what_runs_and_an_ignored_one_stays_ignored():
    code = """
import os, signal, sys
from segkit.runner.stopping import STOPS, stop_words, stopped_by_signals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with stopped_by_signals():
    os.kill(os.getpid(), signal.SIGHUP)
    print("goes on")
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
number = int(sys.argv[1])
try:
    with stopped_by_signals():
        os.kill(os.getpid(), number)
except STOPS as stop:
    print(stop_words(stop))
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    os.kill(os.getpid(), number)
print("not broken off")
"""
    words = {signal.SIGINT: "by hand", signal.SIGTERM: "by SIGTERM", signal.SIGHUP: "by SIGHUP"}
    for number, by in words.items():
        command = [sys.executable, "-c", code, str(int(number))]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said.splitlines() == ["goes on", "True", f"stopped {by}", "not broken off"]


def gone(pid):
    """Tell whether a process has ended, if only nobody has asked how."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " in stat.read_text()


def test_a_kernel_is_ended_with_what_it_started():
    code = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); input()"
    leader = subprocess.Popen(
        [sys.executable, "-c", code], stdin=-1, stdout=-1, text=True, start_new_session=True
    )
    child = int(leader.stdout.readline())
    assert not gone(child)
    end_group(leader.pid)
    leader.communicate()
    deadline = time.monotonic() + 10
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    end_group(leader.pid)  # there is nobody any more


@slow
def test_a_run_killed_midway_leaves_no_report_and_is_cleaned_up(tmp_path):
    cells = ["open('started', 'w').close()", "import time; time.sleep(300 * (seed == 0))"]
    write_notebook(tmp_path / "notebooks", "01_slow", cells=cells)
    code = "from segkit.runner.run import run; run()"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=-3)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(RunError, match="another run is writing to"):
        run(folder=tmp_path, progress=QUIET, report=reports)
    process.kill()
    process.wait()
    assert not (tmp_path / "reports/toy/01_slow").exists()
    assert list((tmp_path / "reports/toy/.segkit").glob("*.new.*"))
    told = StringIO()
    end = run(folder=tmp_path, texts={"seed": "1"}, progress=Progress(told), report=reports)
    assert statuses(end) == {"01_slow": "done"}
    assert "removed a half-written 01_slow of a killed run" in told.getvalue()
    assert [p.name for p in (tmp_path / "reports/toy/.segkit").iterdir()] == ["lock"]


@slow
def test_a_notebook_alone_runs_what_it_needs_and_writes_its_folder(tmp_path):
    write_chain(tmp_path / "notebooks")
    notebook = nbformat.read(tmp_path / "notebooks/02_segments.ipynb", as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    script = tmp_path / "notebooks" / "script.py"
    script.write_text("\n".join(cells).replace("seed: int = 0", "seed: int = 5"))
    environment = {k: v for k, v in os.environ.items() if k != "SEGKIT_CONTEXT"}

    def execute():
        return subprocess.run(
            [sys.executable, "script.py"],
            cwd=script.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "First running what this notebook needs: 01_orders" in execute()
    done = tmp_path / "reports/toy/02_segments"
    assert read_json(done / "manifest.json")["status"] == "interactive"
    assert pl.read_parquet(done / "data/segments.parquet")["amount"].min() == 5
    assert "First running" not in execute()


def test_what_is_wrong_is_said_before_a_kernel_starts(tmp_path):
    write_chain(tmp_path / "notebooks")
    wrong = [
        ({"texts": {"sede": "1"}}, ParameterError, "did you mean 'seed'"),
        ({"texts": {"seed": "yes"}}, ParameterError, "expects int, got 'yes'"),
        ({"parameters": {"seed": 1.5}}, ParameterError, "expects int, got 1.5"),
        ({"texts": {"name": "../x"}}, ParameterError, "cannot be a folder's"),
        ({"texts": {"data": "absent.csv"}}, SourceError, "'absent.csv' is not there"),
        ({"notebooks": ["09"]}, ParameterError, "unknown notebook '09'"),
    ]
    for arguments, kind, message in wrong:
        with pytest.raises(kind, match=message):
            run(folder=tmp_path, progress=QUIET, report=reports, **arguments)
    assert not (tmp_path / "reports").exists()


def test_results_and_frames_are_shown_without_personal_columns():
    frame = pl.DataFrame({"customer_id": ["cust-1"], "orders": [3]})
    shown = as_html(frame)
    assert "cust-1" not in shown
    assert "Left out as personal: customer_id" in shown
    assert "cust-1" in as_html(frame, personal=True)
    with pytest.raises(RunError, match="nothing but personal columns: customer_id"):
        as_html(frame.select("customer_id"))
    with pytest.raises(ParameterError, match="expects a result or a polars frame, got a dict"):
        as_html({})


def test_one_folder_is_held_by_one_run(tmp_path):
    code = (
        "import sys, pathlib; from segkit.runner.manifest import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=-1, stdout=-1, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another run"), locked(tmp_path):
            pass
        other.stdin.close()
        other.wait()
    with locked(tmp_path):
        pass


def test_a_folder_is_swapped_in_whole_and_an_interrupted_swap_is_put_back(tmp_path):
    for text in ("first", "second"):
        aside = StagedFolder(tmp_path, "01")
        (aside.path / "data/x").write_text(text)
        assert clean(tmp_path) == []  # one that is being written is no leftover
        aside.commit()
    assert (tmp_path / "01/data/x").read_text() == "second"
    (tmp_path / "01").rename(tmp_path / ".segkit/01.old.12345678")
    assert clean(tmp_path) == ["put back 01, which a killed run was replacing"]
    assert (tmp_path / "01/data/x").read_text() == "second"


def test_an_edited_mapping_of_a_known_data_set_changes_the_key_of_runs(tmp_path, monkeypatch):
    before = manifest._source_digest()
    (tmp_path / "online-retail.toml").write_text("currency = 'EUR'", encoding="utf-8")
    monkeypatch.setattr("segkit.intake.mapping.known_mappings", lambda: tmp_path)
    assert manifest._source_digest() != before
