"""Fixtures for every test, and the order in which files of tests are handed out."""

import atexit
import contextlib
import gc
import importlib
import os
import sys
from pathlib import Path

import hypothesis
import pytest

# Processes that run tests side by side share the cores (make test): pools of BLAS and OpenMP
# threads would wait for each other at every small product. Kernels that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests start a hundred processes that import the same libraries: from bytecode that takes a third
# of the time, so it is written even where the environment asks for none.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

if "PYTEST_XDIST_WORKER" in os.environ:  # taking apart what a tester has imported takes seconds
    atexit.register(os._exit, 0)  # the first that is registered is the last that is called
# What is imported and collected stays: looking for garbage meanwhile finds none.
gc.disable()

# How long an example takes says how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile("segkit", deadline=None)
hypothesis.settings.load_profile("segkit")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
# Files of tests that take long, the longest first, as measured: handed out first, they leave short
# ones to even out the processes' ends.
LONGEST = (
    "tests/notebooks/test_real_sources.py",
    "tests/notebooks/test_simulated.py",
    "tests/browser/test_lab.py",
    "tests/test_course.py",
    "tests/notebooks/test_secrets.py",
    "tests/browser/test_reports.py",
    "tests/test_intake_exclusions.py",
    "tests/test_runner.py",
    "tests/test_intake_answers.py",
    "tests/test_intake_optional_columns.py",
    "tests/browser/test_accessibility.py",
    "tests/test_large.py",
    "tests/test_plot.py",
    "tests/test_runner_batch.py",
    "tests/test_features_values.py",
    "tests/test_types.py",
    "tests/test_intake_proposal.py",
    "tests/test_intake.py",
    "tests/test_cluster_null.py",
    "tests/test_live_serve.py",
    "tests/test_explorer.py",
    "tests/test_profile.py",
    "tests/test_intake_shapes.py",
    "tests/test_intake_fuzz.py",
    "tests/test_intake_consents.py",
    "tests/test_runner_warm.py",
    "tests/test_intake_presets.py",
    "tests/test_chain.py",
    "tests/test_rfm.py",
    "tests/test_start.py",
    "tests/test_cluster_choose.py",
    "tests/test_progress.py",
    "tests/test_simulate_respond.py",
    "tests/test_cluster_stability.py",
    "tests/test_features_screening.py",
    "tests/test_ids.py",
)


def pytest_collection(session):
    """Import nbformat without a grammar that takes seconds to compile, then all tests.

    Of testers side by side each begins at another file: what one has compiled, with assertions
    rewritten, the others need not. What cannot be imported is told by pytest itself, later.
    """
    from segkit.runner.process import import_nbformat

    import_nbformat()
    tester = getattr(session.config, "workerinput", None)
    if tester is None or "tests" not in {Path(word).name for word in session.config.args}:
        return
    names = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("test_*.py"))
    first = len(names) * int(tester["workerid"][2:]) // tester["workercount"]
    for name in names[first:] + names[:first]:
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def pytest_collection_modifyitems(items):
    """Put the files that take longest first, and otherwise leave the order as it is."""
    place = {name: number for number, name in enumerate(LONGEST)}
    root = Path(__file__).parents[1]
    items.sort(key=lambda item: place.get(item.path.relative_to(root).as_posix(), len(place)))


def pytest_collection_finish():
    """Keep what was imported for good out of every garbage collection, and collect seldom.

    It is given back when Python ends, after pytest has looked for garbage several times.
    """
    gc.freeze()
    atexit.register(gc.unfreeze)
    gc.enable()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def kernel():
    """Return one kernel for all cells that a process's tests run by hand; start with `forget`."""
    from segkit.course.kernel import open_kernel

    with open_kernel() as started:
        yield started


@pytest.fixture(scope="session")
def shared_data():
    """Return a function from a real data file's name to its path; skips where it is absent."""

    def path(name: str) -> Path:
        file = SHARED / name
        if not file.exists():
            pytest.skip(f"the real data file {name} is not beside this checkout")
        return file

    return path
