"""A pytest plugin that keeps the smallest result of every class that the tests build.

It is loaded by ``python -m tests.golden.make`` (``-p tests.golden.capture``) and by nothing else.
"""

import dataclasses
import importlib
import json
import os
import pkgutil
import re
from pathlib import Path

import polars as pl

import segkit
from segkit.errors import ModelError
from segkit.result import Result, encode

ENOUGH = 60  # results of one class that are looked at
FOLDER_OF_A_PATH = re.compile(r'("\$type": "Path", "value": ")/[^"]*/')
LARGEST = 400_000  # characters of one result's JSON


def classes():
    """Return every class of results, and every other dataclass that has its own ``to_dict``."""
    for module in pkgutil.walk_packages(segkit.__path__, "segkit."):
        importlib.import_module(module.name)

    def below(kind):
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    return {kind for kind in below(Result) if dataclasses.is_dataclass(kind)}


def size(value):
    """Return a cheap upper guess of the characters that a value takes as JSON."""
    if isinstance(value, pl.DataFrame | pl.Series):
        return 12 * max(len(value), 1) * (value.width if isinstance(value, pl.DataFrame) else 1)
    if dataclasses.is_dataclass(value):
        return sum(size(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, dict):
        return sum(size(item) for item in value.values())
    if isinstance(value, list | tuple | set):
        return sum(map(size, value))
    return 12 * getattr(value, "size", 1)


def pytest_configure():
    """Look over the shoulder of every class's ``__init__``."""
    folder = Path(os.environ["SEGKIT_GOLDEN"])
    folder.mkdir(parents=True, exist_ok=True)
    seen = {}
    for kind in classes():
        watch(kind, folder, seen)


def watch(kind, folder, seen):
    made = kind.__init__
    name = f"{kind.__module__}:{kind.__qualname__}"

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        if type(self) is kind and len(seen.setdefault(name, [])) < ENOUGH:
            keep(self, name, folder, seen[name])

    kind.__init__ = init


def keep(result, name, folder, sizes):
    guess = size(result)
    sizes.append(guess)
    if guess > LARGEST or guess > min(sizes):
        return
    file = folder / f"{name.replace(':', '.')}.json"
    try:
        frame = result.to_frame()
        data = {
            "stored": encode(result),
            "columns": frame.columns,
            "rows": frame.height,
        }
    except (ModelError, TypeError, AttributeError, ValueError):
        return  # half a result, made by a test on purpose
    text = FOLDER_OF_A_PATH.sub(r"\1", json.dumps(data))
    if (
        frame.height
        and len(text) < LARGEST
        and (not file.exists() or len(text) < file.stat().st_size)
    ):
        file.write_text(text)
