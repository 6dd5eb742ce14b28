"""What differs on Windows: signals, locks, drives, encodings; tried on whatever system this is."""

import importlib.util
import io
import os
import signal
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest

from segkit import cli, writing
from segkit.cli import terminal
from segkit.errors import WriteError
from segkit.report import pdf
from segkit.runner import manifest, stopping, workspace
from tests.test_campaign_outlook import lines

ROOT = Path(__file__).parents[1]
# Takes away from Python what it lacks on Windows, before anything of segkit is imported.
STRIPPED = """
import asyncio, fcntl, multiprocessing.util, os, signal, socket, subprocess, sys, types

flock, flags, kill = fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB, os.kill
msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK = 2
msvcrt.locking = lambda handle, mode, size: flock(handle, flags)
sys.modules["msvcrt"] = msvcrt
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None
for home, names in {
    signal: ("SIGHUP", "SIGKILL", "SIGSTOP", "SIGCHLD", "SIGUSR1"),
    os: ("fork", "forkpty", "killpg", "setsid", "getpgid", "wait4"),
}.items():
    for name in names:
        delattr(home, name)

import segkit.writing

segkit.writing.WINDOWS = True
from segkit import cli

cli.print_anything()
for words in (
    ["start", "käufe.csv", "--out", "look"],
    ["check", "käufe.csv"],
    ["new", "shop", "--data", "käufe.csv"],
):
    code = cli.invoke(words)
    if code:
        sys.exit(code)
print("\\N{RIGHTWARDS ARROW} all done")
"""


@pytest.mark.skipif(os.name == "nt", reason="this is Windows itself")
def test_the_commands_work_without_what_windows_lacks(tmp_path):
    lines().write_csv(tmp_path / "käufe.csv")
    end = subprocess.run(
        [sys.executable, "-c", STRIPPED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert end.returncode == 0, end.stderr.decode("cp1252")
    shown = end.stdout.decode("cp1252")
    assert "? all done" in shown  # no arrow in cp1252, and no error either
    assert "käufe.csv" in (tmp_path / "look" / "customers.html").read_text(encoding="utf-8")
    assert (tmp_path / "shop" / "parameters.toml").exists()
    assert "cd shop" in shown


def test_the_module_is_a_command_too():
    end = subprocess.run(
        [sys.executable, "-m", "segkit", "--version"], capture_output=True, check=True, text=True
    )
    assert end.stdout.startswith("segkit ")


def test_signals_that_a_system_lacks_are_passed_over(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR2, raising=False)
    spec = importlib.util.spec_from_file_location("stopping_elsewhere", stopping.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.ASKED == (signal.SIGTERM, signal.SIGBREAK)
    with module.stopped_by_signals():
        pass


def test_on_windows_a_process_ends_by_its_number_and_one_that_has_ended_is_no_error(monkeypatch):
    asked = []

    def kill(pid, number):
        asked.append((pid, number))
        raise OSError(22, "The parameter is incorrect")

    monkeypatch.setattr(stopping, "WINDOWS", True)
    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.delattr(os, "killpg", raising=False)
    stopping.end_group(4711)
    stopping.end_family(4712)
    assert asked == [(4711, signal.SIGTERM), (4712, signal.SIGTERM)]


def test_on_windows_no_process_is_asked_whether_it_lives(monkeypatch):
    monkeypatch.setattr(writing, "WINDOWS", True)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal 0 is Ctrl-C on Windows"))
    assert writing.is_alive(4711)


def test_a_process_is_started_apart_in_the_words_of_the_system(monkeypatch):
    assert stopping.detached_options() == {"start_new_session": True}
    monkeypatch.setattr(stopping, "WINDOWS", True)
    assert stopping.detached_options() == {"creationflags": 0x200}


def test_a_lock_file_is_closed_before_it_is_removed(tmp_path, monkeypatch):
    aside = manifest.StagedFolder(tmp_path, "01_data_audit")
    handle, unlink = aside._handle, Path.unlink

    def only_closed(path, **options):
        if path.suffix == ".lock":
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(handle)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", only_closed)
    aside.discard()
    assert not list((tmp_path / manifest.WORK).iterdir())


def two_drives(path, start):
    raise ValueError(f"path is on mount 'D:', start on mount 'C:': {path}, {start}")


def test_a_path_on_another_drive_stays_absolute(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "relpath", two_drives)
    there = tmp_path / "orders.csv"
    assert writing.relative_path(there, "/elsewhere") == there.as_posix()
    assert workspace.paths_from({"data": "orders.csv"}, tmp_path, Path("/shop")) == {
        "data": there.as_posix()
    }


def test_a_working_folder_may_lie_on_another_drive_than_the_data(tmp_path, monkeypatch):
    lines().write_csv(tmp_path / "orders.csv")
    monkeypatch.setattr(os.path, "relpath", two_drives)
    workspace.lay_out(tmp_path / "shop", tmp_path / "orders.csv")
    data = workspace.read_parameters(tmp_path / "shop")["data"]
    assert data == (tmp_path / "orders.csv").as_posix()


def test_a_file_that_another_program_has_open_is_named_with_the_remedy(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(writing, "WINDOWS", True)
    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(WriteError, match="Access is denied; close it if another program"):
        writing.write_whole(tmp_path / "segments.xlsx", b"x")


def test_paths_are_quoted_as_the_shell_wants_them(monkeypatch):
    monkeypatch.setattr(terminal, "WINDOWS", True)
    assert terminal.quoted(PureWindowsPath(r"C:\My shop\orders.csv")) == r'"C:\My shop\orders.csv"'
    assert terminal.quoted(PureWindowsPath(r"C:\shop\orders.csv")) == r"C:\shop\orders.csv"
    monkeypatch.setattr(terminal, "WINDOWS", False)
    assert terminal.quoted(Path("my shop/orders.csv")) == "'my shop/orders.csv'"


def test_output_holds_signs_that_the_encoding_lacks(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252"))
    with pytest.raises(UnicodeEncodeError):
        print("顧客")
    cli.print_anything()
    print("顧客 für 5 €")
    sys.stdout.flush()
    assert raw.getvalue().decode("cp1252").strip() == "?? für 5 €"


def test_the_browser_that_every_windows_has_prints_pages(tmp_path, monkeypatch):
    edge = tmp_path / "Microsoft" / "Edge" / "Application" / "msedge.exe"
    edge.parent.mkdir(parents=True)
    edge.touch()
    monkeypatch.setattr(pdf.shutil, "which", lambda _: None)
    monkeypatch.setattr(pdf, "PLACES", ())
    monkeypatch.setenv("ProgramFiles(x86)", str(tmp_path))
    assert Path(pdf.find_browser()) == edge
