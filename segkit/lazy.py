"""Names of a package that are imported from their modules on first use.

They stand in the package's stub, ``__init__.pyi``, as ``from module import name as name``: type
checkers and completion read the same list as Python does.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from segkit.errors import unknown

PACKAGE = Path(__file__).parent


def attach_stub(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package that has a stub.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    file : str
        ``__file__`` of the package; its stub lies beside it.

    Examples
    --------
    >>> import segkit.rfm
    >>> getter, lister, names = attach_stub("segkit", segkit.__file__)
    >>> getter("score_rfm") is segkit.rfm.score_rfm
    True
    """
    modules = read_stub(Path(file).with_suffix(".pyi"))
    names = sorted(name for name, module in modules.items() if module != package)

    def get(name: str) -> Any:
        if name not in modules:
            if name.startswith("__"):  # Python's own question whether there is such a thing
                raise AttributeError(name)
            raise AttributeError(_unknown_name(package, name, names))
        if modules[name] == package:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(modules), names


def read_stub(path: Path) -> dict[str, str]:
    """Return each name that a stub imports, with the module that it comes from."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {
        alias.name: str(node.module) for node in imports for alias in node.names if alias.asname
    }


def _unknown_name(package: str, name: str, listed: list[str]) -> str:
    """Word the error for a name that is not there; from the top level, say which package has it."""
    if package == "segkit" and not name.startswith("_"):
        for home in read_stub(PACKAGE / "__init__.pyi"):
            if name in public_names(home):
                return f"segkit has no name {name!r}; it is segkit.{home}.{name}"
    return unknown(f"{package} name", name, listed)


@cache
def public_names(home: str) -> tuple[str, ...]:
    """Return the public names of a package or module of segkit without importing it."""
    stub = PACKAGE / home / "__init__.pyi"
    if stub.is_file():
        return tuple(read_stub(stub))
    file = PACKAGE / home / "__init__.py" if (PACKAGE / home).is_dir() else PACKAGE / f"{home}.py"
    if not file.is_file():  # a name of a function, not of a package
        return ()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return tuple(str(name) for name in ast.literal_eval(node.value))
    return ()
