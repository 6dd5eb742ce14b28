"""The first call of a notebook: which run does it stand in, and what must be run before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.errors import RunError
from segkit.runner.alone import declared_parameters, prepare_alone
from segkit.runner.catalog import home
from segkit.runner.context import Context
from segkit.runner.notebook import NotebookRun
from segkit.runner.tables import guard_displays
from segkit.runner.workspace import read_parameters

DEFAULTS: dict[str, Any] = {
    "source": "simulated",
    "data": "",
    "mapping": "",
    "out": "reports",
    "name": "",
    "as_of": "",
    "seed": 0,
    "customers": 20_000,
    "difficulty": "medium",
    "structure": "archetypes",
    "lift": "planted",
}


def open_notebook(
    stem: str, namespace: Mapping[str, Any] | None = None, **settings: Any
) -> NotebookRun:
    """Where does this notebook read and write? Its first call, with its parameters.

    Within ``segkit run`` the runner has prepared all. Opened alone in JupyterLab, the notebooks
    upstream that have not run with these parameters are run first, and the notebook's own folder
    is written by `NotebookRun.finish`.

    Parameters
    ----------
    stem : str
        The notebook's file name without its ending.
    namespace : mapping, optional
        The notebook's ``globals()``, of which the parameters that its own cell declares are taken.
    **settings
        Parameters by name instead; ``personal=True`` lets customer ids and personal data be shown.
        A shared parameter (those of `DEFAULTS`) that is not given takes the value in the working
        folder's ``parameters.toml``, else its default.

    Raises
    ------
    RunError
        If the runner executes another notebook than the one named, or one upstream fails.
    ParameterError
        If there is no such notebook, or a parameter's value is not accepted.
    """
    context = Context.given()
    alone = context is None
    if context is not None and context.stem != stem:
        raise RunError(f"{context.stem} opens itself as {stem!r}; give it its own name")
    kept = read_parameters(home()) if alone else {}
    taken: dict[str, Any] = {}
    if namespace is not None and context is None:
        declared = declared_parameters(stem)
        taken = {n: one.check(namespace[n]) for n, one in declared.items() if n in namespace}
    elif namespace is not None and context is not None:
        taken = {name: namespace[name] for name in context.settings if name in namespace}
    shared = {name: kept[name] for name in DEFAULTS if name in kept}
    given = {**DEFAULTS, **shared, **taken, **settings}
    if context is None:
        context = prepare_alone(stem, given)
    context.settings.update(given)
    personal = bool(given.get("personal", False))
    guard_displays(personal=personal)
    return NotebookRun(context, personal=personal, alone=alone)
