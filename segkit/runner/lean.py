"""Import nbformat in half the time."""

from __future__ import annotations

import sys


def import_nbformat() -> None:
    """Import nbformat without the grammar of web addresses that jsonschema would compile with it.

    That grammar checks formats that no notebook has, and costs about a second of each process;
    jsonschema does without it where it is not installed. Later imports of it work as ever.
    """
    name = "rfc3987_syntax"
    if name in sys.modules:
        return
    # None is Python's way to say "not installed".
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import nbformat  # noqa: F401
    finally:
        del sys.modules[name]
