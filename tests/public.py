"""The public names of segkit: those of the top level, and those of each public package."""

import importlib
import inspect

import segkit
from segkit.lazy import PACKAGE, public_names, read_stub

PACKAGES = sorted(
    name for name, home in read_stub(PACKAGE / "__init__.pyi").items() if home == "segkit"
)


def all_names():
    """Return the path of every public name, shortest first: ``segkit.segment``."""
    top = {name: f"segkit.{name}" for name in segkit.__all__}
    rest = {name: f"segkit.{home}.{name}" for home in PACKAGES for name in public_names(home)}
    return sorted((rest | top).values())


def find(path):
    """Return what a path leads to."""
    home, _, name = path.rpartition(".")
    return getattr(importlib.import_module(home), name)


def routines():
    """Yield the path and the function of every public function."""
    for path in all_names():
        if inspect.isroutine(value := find(path)):
            yield path, value


def exists(path):
    """Tell whether a path such as ``segkit.Mapping.load`` leads to a module or to what it holds."""
    value = segkit
    for name in path.split(".")[1:]:
        if inspect.ismodule(value) and not hasattr(value, name):
            try:
                value = importlib.import_module(f"{value.__name__}.{name}")
            except ModuleNotFoundError:
                return False
        elif not hasattr(value, name):
            return False
        else:
            value = getattr(value, name)
    return True
