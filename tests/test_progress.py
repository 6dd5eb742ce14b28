"""Work tells how far it is, stops when asked and leaves nothing behind; errors are short."""

import inspect
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import fields
from functools import cache
from itertools import cycle, pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import segkit
from segkit import progress
from segkit.errors import ParameterError
from segkit.progress import Line, Stopped, is_watched, steps, watched_by
from segkit.result import Result
from segkit.runner.manifest import read_json
from tests import public
from tests.toy_notebooks import write_chain

CLOUDS = np.concatenate([np.random.default_rng(0).normal(m, 1.0, (40, 2)) for m in (0, 8, 16)])
TABLE = pl.DataFrame(
    {
        "customer_id": [f"C{i:03}" for i in range(120)],
        "frequency": CLOUDS[:, 0] + 20,
        "monetary": CLOUDS[:, 1] + 20,
    }
)
WORK = {
    "choose_k": lambda: (
        segkit.choose_k(
            CLOUDS, k_range=[2, 3], n_draws=4, criteria=["stability", "prediction_strength", "gap"]
        ).table
    ),
    "assess_stability": lambda: (
        segkit.assess_stability(CLOUDS, k_range=[3], n_refits=6, n_splits=4, n_starts=1).segments
    ),
    "assess_stability, two threads": lambda: (
        segkit.assess_stability(
            CLOUDS, k_range=[3], n_refits=6, n_splits=4, n_starts=1, n_jobs=2
        ).segments
    ),
    "assess_structure": lambda: segkit.assess_structure(CLOUDS, k_range=[2, 3], n_null=19).table,
    "compare_methods": lambda: segkit.compare_methods(
        TABLE, features=["frequency", "monetary"], k=3, methods=["kmeans"], refits=4
    ).methods.drop("seconds"),
    "cluster_mixture": lambda: (
        segkit.cluster.cluster_mixture(
            TABLE, features=["frequency", "monetary"], k=3, shapes=["diag", "tied"], starts=1
        ).compared
    ),
    "simulate_retailer": lambda: (
        segkit.simulate_retailer(2100, months=3, difficulty="easy").tables["orders"].head(50)
    ),
}


@cache
def undisturbed(name):
    return WORK[name]()


@pytest.mark.parametrize("name", WORK)
def test_long_work_tells_how_far_it_is(name):
    seen = []
    with watched_by(lambda *event: seen.append(event)):
        watched = WORK[name]()
    assert watched.equals(undisturbed(name)), "watching changes the result"
    whats = {what for what, _, _ in seen}
    for what in whats:
        done = [d for w, d, _ in seen if w == what]
        (total,) = {t for w, _, t in seen if w == what}
        assert done[0] == 0
        assert done[-1] == total > 0
        assert all(b - a in (1, -total) for a, b in pairwise(done))


@pytest.mark.parametrize(
    ("name", "error"), list(zip(WORK, cycle([KeyboardInterrupt, Stopped]), strict=False))
)
def test_interrupted_work_leaves_a_clean_state(name, error):
    import threading

    from threadpoolctl import threadpool_info

    from segkit.stats import threads

    before = undisturbed(name)
    limits, alive = threadpool_info(), threading.active_count()
    told = []

    def interrupt(what, done, total):
        told.append(done)
        if done == 1:
            raise error

    with pytest.raises(error), watched_by(interrupt):
        WORK[name]()
    assert told[-1] == 1
    assert not threads._held
    assert threadpool_info() == limits
    assert threading.active_count() == alive
    assert progress._watcher.get() is None
    assert WORK[name]().equals(before), "an interruption changes what comes after it"


def test_an_interrupted_simulation_leaves_nothing_that_looks_like_one(tmp_path):
    def interrupt(what, done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), watched_by(interrupt):
        segkit.simulate.simulate_to_parquet(tmp_path / "a", 4100, months=2, batch=2000)
    assert list(tmp_path.iterdir()) == []
    segkit.simulate.simulate_to_parquet(tmp_path / "a", 4100, months=2, batch=2000)
    assert len(list((tmp_path / "a" / "orders").iterdir())) == 3


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found under /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_its_kernels_and_keeps_what_was_done(tmp_path, number):
    write_chain(tmp_path / "notebooks")
    code = "from segkit.cli import main; main()"
    command = [sys.executable, "-c", code, "run"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said = process.stdout.readline()  # the first notebook has ended, the second is under way
        assert "01_orders  done" in said
        for _ in range(40):  # a scheduler, or a hasty user, repeats itself: the end stays clean
            process.send_signal(number)
            time.sleep(0.01)
        said += process.stdout.read()
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    how = "stopped by hand" if number == signal.SIGINT else f"stopped by {number.name}"
    assert said.splitlines()[-1] == f"segkit: {how}"
    record = read_json(tmp_path / "reports/toy/run.json")
    assert (record["status"], record["exit_code"]) == ("stopped", 128 + number)
    assert record["message"] == how
    assert read_json(tmp_path / "reports/toy/status.json")["state"] == "stopped"
    until = time.monotonic() + 20
    while left := at_work_in(tmp_path):
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.2)
    assert [path.name for path in (tmp_path / "reports/toy/.segkit").iterdir()] == ["lock"]
    folders = {path.name for path in (tmp_path / "reports" / "toy").iterdir() if path.is_dir()}
    # On a busy machine the second may have ended before the signal came.
    done = {line.split()[1] for line in said.splitlines() if "  done" in line}
    assert "01_orders" in done & folders
    assert done < {path.stem for path in (tmp_path / "notebooks").glob("*.ipynb")}
    for name in folders - done:
        assert not (tmp_path / "reports" / "toy" / name / "report.html").exists(), name


def at_work_in(folder):
    """Return the processes whose working folder is this one: the run's, and its kernels."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "cwd").resolve() == folder.resolve():
                found.append(place.name)
    return found


def test_nobody_watches_outside_a_notebook():
    assert not is_watched()
    assert list(steps([1, 2], "things")) == [1, 2]


# In a kernel -------------------------------------------------------------------------------


@pytest.fixture
def kernel(monkeypatch):
    """Stand in for a kernel whose cell was sent by a person; hands over what is displayed."""
    sent = {"header": {"msg_id": "1"}, "content": {"allow_stdin": True}}
    hooks = []
    shell = SimpleNamespace(
        kernel=SimpleNamespace(get_parent=lambda channel: sent),
        events=SimpleNamespace(
            register=lambda name, hook: hooks.append(hook),
            unregister=lambda name, hook: hooks.remove(hook),
        ),
        InteractiveTB=InteractiveShell.instance().InteractiveTB,
    )
    shown = []
    monkeypatch.setattr(progress, "_shell", lambda: shell)
    monkeypatch.setattr(progress, "_display", lambda first: shown.append(first) or shown.append)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    monkeypatch.setattr(progress, "_line", None)
    return SimpleNamespace(sent=sent, shown=shown, hooks=hooks)


def test_a_person_sees_one_line_that_goes_when_the_work_is_done(kernel):
    assert list(steps(["a", "b"], "letters & more")) == ["a", "b"]
    assert "letters &amp; more: 0 of 2" in kernel.shown[0]
    assert 'max="2" value="1"' in kernel.shown[1]
    assert kernel.shown[2:] == [""]


def test_the_line_goes_with_its_cell_when_the_work_is_interrupted(kernel):
    def fail():
        for _ in steps(range(3), "things"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    (hook,) = kernel.hooks
    hook(None)
    assert kernel.shown[-1] == ""
    assert kernel.hooks == []
    assert progress._line is None


def test_a_run_started_in_a_cell_is_told_live_and_its_ends_stay(kernel, capsys):
    from segkit.runner.progress import progress_here

    progress = progress_here()
    progress.begin(1, 2, "01_orders")
    progress.cell("01_orders", {"cell": 3, "cells": 9})
    progress.end("01_orders", "done", "report 0.1 s")
    assert "[1/2] 01_orders  cell 3 of 9, 0 s" in kernel.shown[1]
    assert capsys.readouterr().out == "[1/2] 01_orders  done (0.0 s): report 0.1 s\n"
    kernel.sent["content"]["allow_stdin"] = False
    progress_here().begin(1, 2, "01_orders")
    assert capsys.readouterr().out == "[1/2] 01_orders  running …\n"


def test_batch_sees_no_line(kernel):
    kernel.sent["content"]["allow_stdin"] = False
    assert list(steps(range(3), "things")) == [0, 1, 2]
    assert kernel.shown == []


def test_a_quick_line_is_never_shown(monkeypatch):
    shown = []
    line = Line(lambda first: shown.append(first) or shown.append)
    line.count("things", 0, 5)
    line.count("things", 5, 5)
    assert shown == []


def raised():
    try:
        segkit.choose_k([[1.0], [2.0], [4.0]], method="wrad")
    except ParameterError as error:
        return error


def test_an_error_is_short_for_a_person_and_whole_in_batch(kernel):
    written = raised()._render_traceback_()
    assert written == [
        "ParameterError: unknown method 'wrad'; did you mean 'ward'? Available: ward, kmeans",
        f'  in line {written[1].split()[2]} segkit.choose_k([[1.0], [2.0], [4.0]], method="wrad")',
        "  (%tb Plain shows the whole traceback)",
    ]
    kernel.sent["content"]["allow_stdin"] = False
    assert "require_choice" in "\n".join(raised()._render_traceback_())


def test_the_whole_traceback_is_a_command_away(capsys):
    shell = InteractiveShell.instance()
    ran = shell.run_cell("import segkit\nsegkit.choose_k([[1.0], [2.0], [4.0]], method='wrad')")
    assert isinstance(ran.error_in_exec, ParameterError)
    capsys.readouterr()
    shell.run_line_magic("tb", "Plain")
    assert "require_choice" in capsys.readouterr().out


# Completion and signatures -----------------------------------------------------------------


def test_completion_lists_the_public_names_before_they_are_imported():
    shell = InteractiveShell.instance()
    shell.run_cell("import segkit")
    for start, name in (("segkit.choo", "choose_k"), ("segkit.assess_st", "assess_stability")):
        with provisionalcompleter():
            found = {
                c.text.rpartition(".")[2] for c in shell.Completer.completions(start, len(start))
            }
        assert name in found


def test_signatures_name_their_arguments():
    for name, function in public.routines():
        parameters = inspect.signature(function).parameters.values()
        assert all(p.kind is not p.VAR_POSITIONAL for p in parameters), name
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:  # handed on: the docstring says where
                assert f"**{parameter.name}" in function.__doc__, name
            assert parameter.annotation is not parameter.empty, f"{name}: {parameter.name}"


def test_every_result_documents_its_attributes():
    def kinds(cls):
        for kind in cls.__subclasses__():
            yield kind
            yield from kinds(kind)

    for path in public.all_names():
        public.find(path)
    found = [
        k
        for k in kinds(Result)
        if k.__module__.startswith("segkit.") and "__dataclass_fields__" in vars(k)
    ]
    assert len(found) > 40
    for kind in found:
        document = inspect.getdoc(kind)
        missing = [f.name for f in fields(kind) if f.name not in document]
        assert not missing, f"{kind.__module__}.{kind.__name__}: {missing}"
