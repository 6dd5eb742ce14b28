"""Which raw data does a run work on?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.runner.accepts import OWN_DATA

SIMULATED = ("seed", "difficulty", "structure", "lift")


def load_raw(source: str, data: Path | None, settings: Mapping[str, Any]) -> Any:
    """Return what `segkit.intake` takes: the named source, or the path of the user's data.

    It is None where the mapping itself names files or a database.
    """
    if source == OWN_DATA:
        return data
    from segkit.datasets import load_source

    options: dict[str, Any] = {}
    if source == "simulated":
        options = {"n_customers": settings["customers"]}
        options |= {name: settings[name] for name in SIMULATED if name in settings}
    return load_source(source, data, **options)
