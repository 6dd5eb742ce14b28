"""What went into a notebook's folder and what came out: the key, and the manifest that holds it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import segkit
from segkit.errors import MappingError, SourceError
from segkit.writing import write_whole

NAME = "manifest.json"
LIBRARIES = (
    "polars",
    "numpy",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "narwhals",
    "dataframely",
    "seaborn",
    "matplotlib",
    "factor-analyzer",
)
# Where a result is put, and what it is called there, changes nothing in it.
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
    known = path.stat()
    return _digest_of(path, known.st_ino, known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest_of(path: Path, *_: int) -> str:
    """Hash a file once a process, unless it was written since: it is checked, then read."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@cache
def versions() -> dict[str, str]:
    """Return the versions that a result depends on, segkit's own source included."""
    found = {"segkit": segkit.__version__, "segkit source": _source_digest()[:12]}
    found["python"] = platform.python_version()
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _source_digest() -> str:
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        inside = file.relative_to(root).parts
        if file.is_file() and inside[0] != "_notebooks" and "__pycache__" not in inside:
            digest.update(f"{'/'.join(inside)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def key_of(notebook_digest: str, parameters: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the key under which a notebook's outputs may be used again.

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
    found = {}
    for name in PATHS:
        value = str(parameters.get(name, ""))
        if not value:
            continue
        path = folder / value
        if path.exists():
            found[f"{name} file"] = f"{file_digest(path)} {path.resolve().name}"
            if name.endswith("mapping"):
                found |= _files_of_mapping(path)
        elif "://" in value:
            found[f"{name} address"] = "not hashed"
        else:
            raise SourceError(f"the {name} file {value!r} is not there (looked in {folder})")
    return found


def _files_of_mapping(path: Path) -> dict[str, str]:
    """Hash the files and databases that a mapping names, the erasure list too."""
    try:
        waiting: list[Any] = [tomllib.loads(path.read_text(encoding="utf-8"))]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path.name} is not a valid TOML file: {error}") from error
    except IsADirectoryError as error:
        raise MappingError(f"expected a mapping file (TOML), got the folder {path}") from error
    found = {}
    while waiting:
        table = waiting.pop()
        waiting += [value for value in table.values() if isinstance(value, dict)]
        for name in ("file", "database", "erase_file"):
            value = table.get(name)
            if isinstance(value, str) and (path.parent / value).exists():
                found[f"{name} {value}"] = file_digest(path.parent / value)
    return found


def list_outputs(folder: Path, skip: Iterable[str] = (NAME,)) -> list[dict[str, Any]]:
    """List a folder's files with size and SHA-256."""
    left_out = set(skip)
    return [
        {
            "path": file.relative_to(folder).as_posix(),
            "bytes": file.stat().st_size,
            "sha256": file_digest(file),
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in left_out
    ]


def intact(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Tell whether every output that a manifest lists is there, unchanged."""
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
    """Write a JSON object so that a reader sees the old file or the new one, never half."""
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False, sort_keys=False) + "\n")
