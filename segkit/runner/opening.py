"""The first call of a notebook: which run does it stand in, and what must be run before."""

from __future__ import annotations

from typing import Any

from segkit.errors import RunError
from segkit.runner.alone import prepare_alone
from segkit.runner.context import Context
from segkit.runner.notebook import NotebookRun
from segkit.runner.tables import guard_displays


def open_notebook(
    stem: str,
    *,
    source: str = "simulated",
    data: str = "",
    mapping: str = "",
    out: str = "reports",
    name: str = "",
    as_of: str = "",
    seed: int = 0,
    customers: int = 20_000,
    personal: bool = False,
    **settings: Any,
) -> NotebookRun:
    """Where does this notebook read and write? Its first call, with its parameters.

    Within ``segkit run`` the runner has prepared all. Opened alone in JupyterLab, the notebooks
    upstream that have not run with these parameters are run first, and the notebook's own folder
    is written by `NotebookRun.finish`.

    Parameters
    ----------
    stem : str
        The notebook's file name without its ending.
    source, data, mapping, out, name, as_of, seed, customers
        The parameters that all notebooks share.
    personal : bool
        Whether customer ids and personal data may be shown.
    **settings
        The notebook's other parameters, kept for the record.

    Raises
    ------
    RunError
        If the runner executes another notebook than the one named.
    """
    known = {
        "source": source,
        "data": data,
        "mapping": mapping,
        "out": out,
        "name": name,
        "as_of": as_of,
        "seed": seed,
        "customers": customers,
    }
    given = {**known, **settings}
    if personal:
        given["personal"] = True
    context = Context.given()
    alone = context is None
    if context is None:
        context = prepare_alone(stem, given)
    elif context.stem != stem:
        raise RunError(f"{context.stem} opens itself as {stem!r}; give it its own name")
    context.settings.update(given)
    guard_displays(personal=personal)
    return NotebookRun(context, personal=personal, alone=alone)
