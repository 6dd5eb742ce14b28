"""Makes a notebook's folder appear whole or not at all, and never by two runs at once."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segkit.errors import RunError
from segkit.writing import close_to_others, is_abandoned, lock, private_folder

WORK = ".segkit"  # holds folders being written, and locks; in a run's folder
PARTS = ("data", "tables", "figures")


@contextmanager
def locked(run_folder: Path, *, patience: float = 0.5) -> Iterator[None]:
    """Hold a run's folder for one process.

    Parameters
    ----------
    run_folder : pathlib.Path
        The folder; it is made if it is not there.
    patience : float
        Seconds to wait for a process that holds it: one whose parent was killed is leaving.

    Raises
    ------
    RunError
        If another process holds it, or the folder cannot be written.
    """
    work = run_folder / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        handle = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"cannot write to {run_folder}: {error.strerror}") from error
    deadline = time.monotonic() + patience
    try:
        while not lock(handle):
            if time.monotonic() >= deadline:
                raise RunError(
                    f"another run is writing to {run_folder}; wait for it, or choose another --name"
                )
            time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def held(run_folder: Path) -> bool:
    """Tell whether a process is writing to a run's folder now."""
    try:
        handle = os.open(run_folder / WORK / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not lock(handle)
    finally:
        os.close(handle)


class Aside:
    """A folder written aside, on the file system of its target, and swapped in when whole.

    Parameters
    ----------
    run_folder : pathlib.Path
        The run's folder.
    stem : str
        The notebook whose folder it becomes.
    """

    def __init__(self, run_folder: Path, stem: str) -> None:
        self.target = run_folder / stem
        self.path = run_folder / WORK / f"{stem}.new.{uuid.uuid4().hex[:8]}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The lock tells a later run that this folder is not a leftover: it comes first.
        self._handle = os.open(_lock_file(self.path), os.O_RDWR | os.O_CREAT, 0o644)
        lock(self._handle)
        for part in PARTS:
            (self.path / part).mkdir(parents=True)
        private_folder(self.path / "data")

    def commit(self) -> Path:
        """Put the folder in its place; an older one goes only once this one stands there.

        What it holds of single customers, its ``data``, is readable by its owner alone.
        """
        close_to_others(self.path / "data")
        for part in PARTS:
            if not any((self.path / part).iterdir()):
                (self.path / part).rmdir()
        old = self.path.with_name(f"{self.target.name}.old.{uuid.uuid4().hex[:8]}")
        if self.target.exists():
            self.target.rename(old)
        self.path.rename(self.target)
        shutil.rmtree(old, ignore_errors=True)
        self.discard()
        return self.target

    def discard(self) -> None:
        """Remove what was written aside, if it was not committed."""
        shutil.rmtree(self.path, ignore_errors=True)
        _lock_file(self.path).unlink(missing_ok=True)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def clean(run_folder: Path) -> list[str]:
    """Remove what killed runs left behind; put back a folder that was being replaced.

    Returns
    -------
    list of str
        One sentence for each thing done.
    """
    said = []
    for path in sorted((run_folder / WORK).glob("*.old.*")):
        target = run_folder / path.name.split(".old.")[0]
        if not target.exists():
            path.rename(target)
            said.append(f"put back {target.name}, which a killed run was replacing")
        else:
            shutil.rmtree(path, ignore_errors=True)
    for path in sorted((run_folder / WORK).glob("*.new.*")):
        if path.is_dir() and _abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
            _lock_file(path).unlink(missing_ok=True)
            said.append(f"removed a half-written {path.name.split('.new.')[0]} of a killed run")
    for file in sorted((run_folder / WORK).glob("*.new.*.lock")):  # killed before its folder was
        path = file.with_suffix("")
        if not path.exists() and _abandoned(path):
            file.unlink(missing_ok=True)
    for left in (*run_folder.glob(".*.new"), *run_folder.glob("[!.]*/.*.new")):
        left.unlink(missing_ok=True)  # JSON or a page, killed before it stood in its place
    return said


def _abandoned(path: Path) -> bool:
    handle = os.open(_lock_file(path), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        return lock(handle)
    finally:
        os.close(handle)


SCRATCH = re.compile(r"segkit-(\d+)-\w+")
_SCRATCH_LOCKS: dict[Path, int] = {}


def make_scratch() -> Path:
    """Make a folder for a process's own files, and remove those that killed processes left.

    Its name holds the number of this process, and its lock is held until `remove_scratch` or the
    end of this process: by both a later run tells a leftover.
    """
    place = Path(tempfile.gettempdir())
    for left in place.glob("segkit-*"):
        match = SCRATCH.fullmatch(left.name)
        if match and is_abandoned(left, int(match[1])):
            shutil.rmtree(left, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=f"segkit-{os.getpid()}-"))
    if os.name == "posix":
        _SCRATCH_LOCKS[path] = os.open(path, os.O_RDONLY)
        lock(_SCRATCH_LOCKS[path])
    return path


def remove_scratch(path: Path) -> None:
    """Remove a folder of `make_scratch`."""
    shutil.rmtree(path, ignore_errors=True)
    handle = _SCRATCH_LOCKS.pop(path, -1)
    if handle >= 0:
        os.close(handle)
