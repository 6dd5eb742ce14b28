"""Record and folder of a notebook's outputs: key, manifest, atomic replacement."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import tempfile
import time
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import segkit
from segkit.errors import MappingError, RunError, SourceError
from segkit.writing import (
    WINDOWS,
    close_to_others,
    is_abandoned,
    is_free,
    lock,
    private_folder,
    write_whole,
)

NAME = "manifest.json"
LIBRARIES = (
    "polars",
    "numpy",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "narwhals",
    "seaborn",
    "matplotlib",
    "factor-analyzer",
)
# Parameters for the place and name of the outputs do not affect their content.
NOT_IN_KEY = ("out", "name")
# Parameters that name files: what is in the files counts, and what they are called.
PATHS = ("data", "mapping", "survey", "survey_mapping", "codebook")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's files with their names."""
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(item for item in path.rglob("*") if item.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{file_digest(file)}\0".encode())
        return digest.hexdigest()
    status = path.stat()
    return _digest_of(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest_of(path: Path, *_: int) -> str:
    """Hash a file once per process, unless it was written since: it is checked, then read."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@cache
def versions() -> dict[str, str]:
    """Return the versions that a result depends on, segkit's own source included."""
    numbers = {"segkit": segkit.__version__, "segkit source": _source_digest()[:12]}
    numbers["python"] = platform.python_version()
    for library in LIBRARIES:
        try:
            numbers[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return numbers


def _source_digest() -> str:
    from segkit.intake.mapping import known_mappings

    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    files = {file.relative_to(root).parts: file for file in root.rglob("*")}
    files |= {("_mappings", file.name): file for file in known_mappings().glob("*.toml")}
    for inside, file in sorted(files.items()):
        if file.is_file() and inside[0] != "_notebooks" and "__pycache__" not in inside:
            digest.update(f"{'/'.join(inside)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def key_of(notebook_digest: str, parameters: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the key under which a notebook's outputs may be reused.

    Parameters
    ----------
    notebook_digest : str
        Digest of the notebook's source.
    parameters : mapping
        All its parameters, defaults included; but not those that name files, since the same file
        may be spelled in many ways.
    inputs : mapping of str to str
        What it reads: name to digest.
    """
    left_out = {*NOT_IN_KEY, *PATHS}
    used = {name: value for name, value in parameters.items() if name not in left_out}
    parts = [notebook_digest, used, dict(inputs), versions()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def data_inputs(parameters: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Hash the files that parameters name (see `PATHS`), and those that mappings name.

    Each counts with its own name (reports show it), wherever it is looked for from and whatever
    links lead to it.

    Raises
    ------
    MappingError
        If a mapping is not TOML.
    SourceError
        If a file is not there. An address such as ``sqlite:///shop.db`` cannot be hashed and
        counts as always new.
    """
    digests = {}
    for name in PATHS:
        value = str(parameters.get(name, ""))
        if not value:
            continue
        path = folder / value
        if path.exists():
            digests[f"{name} file"] = f"{file_digest(path)} {path.resolve().name}"
            if name.endswith("mapping"):
                digests |= _files_of_mapping(path)
        elif "://" in value:
            digests[f"{name} address"] = "not hashed"
        else:
            raise SourceError(f"the {name} file {value!r} is not there (looked in {folder})")
    return digests


def _files_of_mapping(path: Path) -> dict[str, str]:
    """Hash the files and databases that a mapping names, the erasure list too."""
    try:
        waiting: list[Any] = [tomllib.loads(path.read_text(encoding="utf-8-sig"))]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path.name} is not a valid TOML file: {error}") from error
    except IsADirectoryError as error:
        raise MappingError(f"expected a mapping file (TOML), got the folder {path}") from error
    digests = {}
    while waiting:
        table = waiting.pop()
        waiting += [value for value in table.values() if isinstance(value, dict)]
        for name in ("file", "database", "erase_file"):
            value = table.get(name)
            if isinstance(value, str) and (path.parent / value).exists():
                digests[f"{name} {value}"] = file_digest(path.parent / value)
    return digests


def list_outputs(folder: Path) -> list[dict[str, Any]]:
    """List a folder's files, but its manifest, with size and SHA-256."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != NAME)
    return [
        {
            "path": file.relative_to(folder).as_posix(),
            "bytes": file.stat().st_size,
            "sha256": file_digest(file),
        }
        for file in files
    ]


def intact(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether every output that a manifest lists is there, unchanged."""
    for output in manifest.get("outputs", []):
        file = folder / output["path"]
        if not file.is_file() or file.stat().st_size != output["bytes"]:
            return False
        if file_digest(file) != output["sha256"]:
            return False
    return True


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent or broken file counts as empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically: a reader sees the old file or the new one."""
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False, sort_keys=False) + "\n")


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


def is_locked(run_folder: Path) -> bool:
    """Return whether a process is writing to a run's folder now."""
    file = run_folder / WORK / "lock"
    return file.exists() and not is_free(file, os.O_RDWR)


class StagedFolder:
    """A temporary folder on the file system of its target, which it replaces when complete.

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
        # The lock is taken first: it shows a later run that this folder is in use.
        self._handle = os.open(_lock_file(self.path), os.O_RDWR | os.O_CREAT, 0o644)
        lock(self._handle)
        for part in PARTS:
            (self.path / part).mkdir(parents=True)
        private_folder(self.path / "data")

    def commit(self) -> Path:
        """Move the folder to its target; an older one is removed afterwards.

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
        """Remove the folder if it was not committed."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._handle >= 0:  # Windows removes no file that is open
            os.close(self._handle)
            self._handle = -1
        _lock_file(self.path).unlink(missing_ok=True)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def clean(run_folder: Path) -> list[str]:
    """Remove what killed runs left behind; put back a folder that was being replaced.

    Returns
    -------
    list of str
        One sentence for each thing done.
    """
    sentences = []
    for path in sorted((run_folder / WORK).glob("*.old.*")):
        target = run_folder / path.name.split(".old.")[0]
        if not target.exists():
            path.rename(target)
            sentences.append(f"put back {target.name}, which a killed run was replacing")
        else:
            shutil.rmtree(path, ignore_errors=True)
    for path in sorted((run_folder / WORK).glob("*.new.*")):
        if path.is_dir() and _abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
            _lock_file(path).unlink(missing_ok=True)
            sentences.append(
                f"removed a half-written {path.name.split('.new.')[0]} of a killed run"
            )
    for file in sorted((run_folder / WORK).glob("*.new.*.lock")):  # killed before its folder was
        path = file.with_suffix("")
        if not path.exists() and _abandoned(path):
            file.unlink(missing_ok=True)
    for leftover in (*run_folder.glob(".*.new"), *run_folder.glob("[!.]*/.*.new")):
        leftover.unlink(missing_ok=True)  # JSON or a page, killed before it stood in its place
    return sentences


def _abandoned(path: Path) -> bool:
    return is_free(_lock_file(path), os.O_RDWR | os.O_CREAT)


SCRATCH = re.compile(r"segkit-(\d+)-\w+")
_SCRATCH_LOCKS: dict[Path, int] = {}


def make_scratch() -> Path:
    """Make a folder for a process's own files, and remove those that killed processes left.

    Its name holds the number of this process, and its lock is held until `remove_scratch` or the
    end of this process: by both a later run tells a leftover.
    """
    place = Path(tempfile.gettempdir())
    for leftover in place.glob("segkit-*"):
        match = SCRATCH.fullmatch(leftover.name)
        if match and is_abandoned(leftover, int(match[1])):
            shutil.rmtree(leftover, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=f"segkit-{os.getpid()}-"))
    if not WINDOWS:
        _SCRATCH_LOCKS[path] = os.open(path, os.O_RDONLY)
        lock(_SCRATCH_LOCKS[path])
    return path


def remove_scratch(path: Path) -> None:
    """Remove a folder of `make_scratch`."""
    shutil.rmtree(path, ignore_errors=True)
    handle = _SCRATCH_LOCKS.pop(path, -1)
    if handle >= 0:
        os.close(handle)
