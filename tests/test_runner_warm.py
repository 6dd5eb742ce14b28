"""Kernels forked from one process: safe, told of truly, and the same to the byte as cold ones."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import pytest

from segkit import report as reports
from segkit.runner import warm
from segkit.runner.manifest import read_json
from segkit.runner.progress import Progress
from segkit.runner.run import run
from segkit.runner.warm import WarmKernel, ask_for_kernel, threads
from tests.tools.twice import digests
from tests.toy_notebooks import FIGURE, write_notebook

pytestmark = pytest.mark.skipif(not warm.POSSIBLE, reason="kernels are forked on Linux alone")
running = import_module("segkit.runner.run")  # the package's own `run` is its function
QUIET = Progress(quiet=True)
COMMAND = [sys.executable, "-m", "ipykernel_launcher", "-f", "connection.json"]
# What is forked does, instead of being a kernel, what its words say.
FORKS = """
import os, socket, sys, time
from segkit.runner.warm import Forks
asked = Forks(socket.socket(fileno=int(sys.argv[1]))).serve()
if asked is not None:
    assert asked["words"] == ["-f", "connection.json"]
    exec(asked["environment"]["DO"])
"""


@pytest.fixture
def nursery(tmp_path):
    """A process that forks, and its address; without a kernel's imports."""
    address = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", FORKS, str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    yield process, address
    process.stdin.close()
    process.wait(timeout=20)


def gone(pid):
    """Tell whether a process has ended, if only nobody has asked how."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " in stat.read_text()


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ask(address, do):
    return ask_for_kernel(address, COMMAND, {"DO": do}, None)


def test_a_forked_process_leads_its_own_group_and_its_end_is_told(nursery):
    kernel = ask(nursery[1], "time.sleep(60)")
    assert os.getpgid(kernel.pid) == kernel.pid
    assert kernel.poll() is None
    kernel.send_signal(signal.SIGTERM)
    assert kernel.wait(20) == -signal.SIGTERM
    assert kernel.peak > 2**20
    assert ask(nursery[1], "sys.exit(3)").wait(20) == 3


def test_what_is_forked_ends_when_its_asker_goes_or_the_nursery_does(nursery):
    process, address = nursery
    first, second, third = (ask(address, "time.sleep(60)") for _ in range(3))
    first._line.close()
    wait_until(lambda: gone(first.pid))
    assert second.poll() is None
    process.kill()
    wait_until(lambda: second.poll() == -signal.SIGKILL)
    wait_until(lambda: gone(second.pid))
    assert third.wait(20) == -signal.SIGKILL
    assert ask(address, "pass") is None  # the next is started cold


def test_the_end_of_the_run_ends_what_was_forked(nursery):
    process, address = nursery
    kernel = ask(address, "time.sleep(60)")
    process.stdin.close()
    assert process.wait(timeout=20) == 0
    wait_until(lambda: gone(kernel.pid))
    assert kernel.wait(20) == -signal.SIGKILL


def test_a_process_with_another_thread_is_not_forked(tmp_path):
    rival = "import threading; threading.Thread(target=time.sleep, args=(60,)).start()"
    script = FORKS.replace("asked =", f"{rival}\nasked =", 1)
    before = len(threads())
    rest = threading.Event()
    other = threading.Thread(target=rest.wait)
    other.start()
    assert len(threads()) == before + 1
    rest.set()
    other.join()
    address = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        words = [sys.executable, "-c", script, str(listener.fileno())]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
    assert ask(address, "pass") is None
    process.kill()
    process.communicate()


def test_what_cannot_be_forked_is_started_cold(tmp_path):
    assert ask_for_kernel("", COMMAND, {}, None) is None
    assert ask_for_kernel(str(tmp_path / "nobody"), COMMAND, {}, None) is None
    assert ask_for_kernel(str(tmp_path), ["R", "--kernel"], {}, None) is None


def test_an_end_is_read_once_and_stays():
    ours, theirs = socket.socketpair()
    kernel = WarmKernel(ours, 2**22 - 1)
    assert kernel.poll() is None
    theirs.sendall(b'{"code": 7, "peak": 4096}')
    assert (kernel.poll(), kernel.wait(), kernel.peak) == (7, 7, 4096)
    theirs.close()
    assert kernel.poll() == 7


HOW = """import os, pathlib, sys
parent = pathlib.Path(f"/proc/{os.getppid()}/cmdline").read_text()
run.write_json("how", {"forked": "segkit.runner.warm" in parent, "folder": os.getcwd(),
    "imported": "seaborn" in sys.modules, "argv": os.path.basename(sys.argv[0]),
    "path": sys.path[0],
    "backend": os.environ["MPLBACKEND"], "main": __name__})"""
DRAWN = """import numpy as np
x = np.random.default_rng(seed).normal(size=500)
frame = pl.DataFrame({"x": x, "half": np.where(x > 0, "up", "down")})
run.write("fit", frame.group_by("half").agg(pl.col("x").mean()).sort("half"))
run.write("solved", pl.DataFrame(np.linalg.svd(x.reshape(50, 10))[2]))"""


@pytest.mark.slow
def test_warm_kernels_give_the_bytes_of_cold_ones(tmp_path, monkeypatch):
    files, hows = [], []
    for many in (1, 99):
        place = tmp_path / str(many)
        made = {"writes": ["how", "fit", "solved"], "cells": [HOW, DRAWN]}
        write_notebook(place / "notebooks", "07_how", **made)
        write_notebook(place / "notebooks", "08_picture", cells=[FIGURE])  # beside it
        monkeypatch.setattr(running, "MANY", many)
        end = run(folder=place, texts={"seed": "3"}, progress=QUIET, report=reports, jobs=2)
        assert end.exit_code == 0
        hows.append(read_json(place / "reports/toy/07_how/data/how.json"))
        assert Path(hows[-1].pop("folder")).samefile(place)
        (place / "reports/toy/07_how/data/how.json").unlink()
        files.append(digests(place / "reports/toy"))
    warmly, cold = hows
    assert warmly.pop("forked")
    assert warmly.pop("imported")
    assert not cold.pop("forked")
    assert not cold.pop("imported")
    assert warmly == cold
    assert files[0] == files[1]
    assert len(files[0]) == 4
