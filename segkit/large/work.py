"""Work folder of a long computation: stages, each with its parts, that survive a killed process."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from segkit import __version__
from segkit.errors import SourceError
from segkit.writing import private_folder, write_frame, write_whole

STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """Folder of one stage's parts; a part is done when its record is there.

    Attributes
    ----------
    folder : pathlib.Path
    key : str
        Hash of everything that the stage was made from.
    """

    folder: Path
    key: str

    def path(self, name: str, part: int | str, ending: str = "parquet") -> Path:
        """Return the path of a part's file."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        return place / (f"{part:05}.{ending}" if isinstance(part, int) else f"{part}.{ending}")

    def write(self, frame: pl.DataFrame, name: str, part: int | str, **options: Any) -> None:
        """Write one frame of a part whole."""
        write_frame(frame, self.path(name, part), private=True, compression="lz4", **options)

    def paths(self, name: str) -> list[Path]:
        """List a name's files, in the order of the parts."""
        return sorted((self.folder / name).glob("*.parquet"))

    def record(self, part: int | str, data: dict[str, Any]) -> dict[str, Any]:
        """Record that a part is done, with what later stages need to know of it."""
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
        write_whole(self.path("done", part, "json"), text, private=True)
        return self.done(part) or {}

    def done(self, part: int | str) -> dict[str, Any] | None:
        """Return a part's record; None where the part is not done."""
        path = self.path("done", part, "json")
        if not path.is_file():
            return None
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record


@dataclass(frozen=True, slots=True)
class Work:
    """Work folder, in which each stage's folder is named by a hash of what it was made from.

    Other inputs or options make another folder; the old one of the stage is removed, so that the
    disk holds each stage once.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path | str) -> Work:
        """Open a work folder, or make one.

        Raises
        ------
        SourceError
            If the folder holds something else.
        """
        path = Path(folder)
        if path.is_dir() and any(path.iterdir()) and not (path / STATE).is_file():
            raise SourceError(f"{path.name}/ is not empty and no work folder; choose another")
        private_folder(path)
        if not (path / STATE).is_file():
            write_whole(path / STATE, "{}", private=True)
        return cls(path)

    def stage(self, name: str, **inputs: Any) -> Stage:
        """Open the stage for these inputs (JSON); remove its folder for any other inputs."""
        inputs |= {"segkit": __version__, "polars": pl.__version__}
        text = json.dumps(inputs, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = self.folder / f"{name}-{key}"
        state = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
        old = state.get(name, {}).get("folder")
        if old not in (None, folder.name):
            shutil.rmtree(self.folder / old, ignore_errors=True)
        state[name] = {"folder": folder.name, "inputs": json.loads(text)}
        write_whole(self.folder / STATE, json.dumps(state, indent=1), private=True)
        private_folder(folder)
        return Stage(folder, key)


def fingerprint(path: Path) -> list[Any]:
    """Return what tells one version of a file from another: name, size and time of change."""
    stat = path.stat()
    return [path.name, stat.st_size, stat.st_mtime_ns]
