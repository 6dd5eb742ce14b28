"""Work folder of a long computation: stages, each with its parts, that survive a killed process."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from segkit import __version__
from segkit.errors import SourceError, WriteError
from segkit.writing import OWNER_FILE, lock, private_folder, write_frame, write_whole

STATE, LOCK = "state.json", ".lock"
OURS = re.compile(r"\.lock|\.state\.json\..+\.new")  # what a killed first call leaves
PIECES, PIECE = 16, 64 << 10  # of a file that its fingerprint reads, with the first and the last


@dataclass(frozen=True, slots=True)
class Stage:
    """Folder of one stage's parts; a part is done when its record and all its files are there.

    Attributes
    ----------
    folder : pathlib.Path
    key : str
        Hash of everything that the stage was made from.
    written : list of pathlib.Path
        Files since the last record, which the next one names.
    """

    folder: Path
    key: str
    written: list[Path] = field(default_factory=list)

    def path(self, name: str, part: int | str, ending: str = "parquet") -> Path:
        """Return the path of a part's file."""
        file = f"{part:05}.{ending}" if isinstance(part, int) else f"{part}.{ending}"
        return self.folder / name / file

    def write(self, frame: pl.DataFrame, name: str, part: int | str, **options: Any) -> None:
        """Write one frame of a part whole."""
        path = self.path(name, part)
        private_folder(path.parent)
        write_frame(frame, path, private=True, compression="lz4", **options)
        self.written.append(path)

    def paths(self, name: str) -> list[Path]:
        """List a name's files by the records, in the order of the parts.

        Raises
        ------
        SourceError
            If a record is damaged, or a file that one names is lost or cut short.
        """
        files: set[Path] = set()
        for path in (self.folder / "done").glob("*.json"):
            record = self._read(path)
            if record is None:
                raise SourceError(
                    f"{self.folder.name}: files of {path.stem} are lost or damaged; call again "
                    "to make them anew"
                )
            files |= {self.folder / file for file in record["files"]}
        return sorted(path for path in files if path.parent.name == name)

    def record(self, part: int | str, data: dict[str, Any]) -> dict[str, Any]:
        """Record that a part is done, with its files and what later stages need to know of it."""
        files = {path.relative_to(self.folder).as_posix(): path.stat().st_size
                 for path in self.written}  # fmt: skip
        self.written.clear()
        text = json.dumps({"files": files, "data": data}, ensure_ascii=False, allow_nan=False)
        path = self.path("done", part, "json")
        private_folder(path.parent)
        write_whole(path, text, private=True)
        return self.done(part) or {}

    def done(self, part: int | str) -> dict[str, Any] | None:
        """Return what a part's record says; None where it or a file of it is lost or cut short."""
        record = self._read(self.path("done", part, "json"))
        return None if record is None else record["data"]

    def _read(self, path: Path) -> dict[str, dict[str, Any]] | None:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            files, _ = record["files"], record["data"]
            whole = all((self.folder / f).stat().st_size == size for f, size in files.items())
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return record if whole else None


@dataclass(frozen=True, slots=True)
class Work:
    """Work folder, in which each stage's folder is named by a hash of what it was made from.

    Other inputs or options make another folder; the old one of the stage is removed with all that
    was made from it, so that the disk holds each stage once, and nothing of who is to be erased.
    """

    folder: Path

    @classmethod
    @contextmanager
    def open(cls, folder: Path | str) -> Iterator[Work]:
        """Open a work folder, or make one, for one call at a time.

        Raises
        ------
        SourceError
            If the folder holds something else, is a file, or another call works in it.
        WriteError
            If it cannot be made.
        """
        path = Path(folder)
        if path.exists() and not path.is_dir():
            raise SourceError(f"{path.name} is a file; expected a folder to work in")
        with write_errors(path):
            names = {each.name for each in path.iterdir()} if path.is_dir() else set()
            if STATE not in names and not all(map(OURS.fullmatch, names)):
                raise SourceError(f"{path.name}/ is not empty and no work folder; choose another")
            private_folder(path)
        handle = _lock(path)
        try:
            if not (path / STATE).is_file():
                write_whole(path / STATE, "{}", private=True)
            yield cls(path)
        finally:
            if handle is not None:
                os.close(handle)

    def stage(self, name: str, **inputs: Any) -> Stage:
        """Open the stage for these inputs (JSON); for any others, remove it and what it led to."""
        key, kept = stage_key(**inputs)
        folder = self.folder / f"{name}-{key}"
        state = self._state()
        entry = {"folder": folder.name, "inputs": kept}
        if state.get(name) != entry:
            self._drop(state, name)
            state[name] = entry
            self._write(state)
        with write_errors(folder):
            private_folder(folder)
        return Stage(folder, key)

    def remove(self, name: str) -> None:
        """Remove a stage's folder, and keep what was made from it."""
        state = self._state()
        if name in state:
            self._drop({name: state.pop(name)}, name)
            self._write(state)

    def _drop(self, state: dict[str, dict[str, Any]], name: str) -> None:
        """Remove a stage, and those whose inputs name its key, from the disk and the state."""
        folder = str(state.pop(name, {}).get("folder"))
        if not re.fullmatch(rf"{name}-[0-9a-f]{{16}}", folder):
            return
        for other in [n for n, e in state.items() if folder[-16:] in e.get("inputs", {}).values()]:
            self._drop(state, other)
        with write_errors(self.folder / folder):
            if (self.folder / folder).exists():
                shutil.rmtree(self.folder / folder)

    def _write(self, state: dict[str, dict[str, Any]]) -> None:
        write_whole(self.folder / STATE, json.dumps(state, indent=1), private=True)

    def _state(self) -> dict[str, dict[str, Any]]:
        try:
            state = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
        except ValueError:
            state = None
        if not isinstance(state, dict) or not all(isinstance(e, dict) for e in state.values()):
            raise SourceError(
                f"{STATE} in {self.folder.name}/ is damaged: remove that folder, or choose another"
            )
        return state


def stage_key(**inputs: Any) -> tuple[str, dict[str, Any]]:
    """Return the key of a stage made from these inputs (JSON), and the inputs as they are kept."""
    inputs |= {"segkit": __version__, "polars": pl.__version__}
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16], json.loads(text)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raise ``WriteError`` in place of what the operating system raises about a path."""
    try:
        yield
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error), str(path)) from error


def _lock(folder: Path) -> int | None:
    """Lock a folder until the handle is closed; None on a disk that nobody can write."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, OWNER_FILE)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES):
            return None
        raise WriteError(error.errno, error.strerror or str(error), str(folder)) from error
    if not lock(handle):
        os.close(handle)
        raise SourceError(
            f"another call works in {folder.name}/: wait until it ends, or choose another folder"
        )
    return handle


def fingerprint(path: Path) -> list[Any]:
    """Return what tells one version of a file from another.

    These are its absolute path, size, time of change, and a hash of its first and last 64 KiB with
    fourteen more pieces of that size between them.
    """
    stat, hashed = path.stat(), hashlib.sha256()
    with path.open("rb") as handle:
        for k in range(PIECES):
            handle.seek(max(0, stat.st_size - PIECE) * k // (PIECES - 1))
            hashed.update(handle.read(PIECE))
    return [str(path.absolute()), stat.st_size, stat.st_mtime_ns, hashed.hexdigest()]


def frame_hash(frame: pl.DataFrame) -> str:
    """Return a hash of a frame's columns, types, rows and their order."""
    hashed = hashlib.sha256(str(frame.schema).encode())
    hashed.update(frame.hash_rows().to_numpy().tobytes())
    return hashed.hexdigest()
