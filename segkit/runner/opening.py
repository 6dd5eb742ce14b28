"""Opening of a notebook within a run; missing earlier notebooks are run first."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from segkit.errors import RunError, require_choice
from segkit.runner.accepts import SIMULATION
from segkit.runner.catalog import (
    Catalog,
    Context,
    Notebook,
    build_context,
    home,
    notebook_folder,
    run_name,
)
from segkit.runner.manifest import NAME, PATHS, data_inputs, intact, read_json
from segkit.runner.needs import Needs
from segkit.runner.notebook import NotebookRun, guard_displays
from segkit.runner.progress import progress_here
from segkit.runner.run import run
from segkit.runner.workspace import read_parameters

# Imported by name, because without the command line nothing passes it to the run.
REPORT = "segkit.report"
FILES = {"data file", "data address", "mapping file", "mapping address"}
SHARED = ("source", "data", "mapping", "as_of", *SIMULATION)
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
    """Open a notebook within a run, with its parameters; the first call of every notebook.

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
        raise RunError(
            f"{context.stem} calls open_notebook({stem!r}); expected its own name, {context.stem!r}"
        )
    cell = namespace or {}
    if context is None:
        declared = _notebook(Catalog.open(notebook_folder()), stem).parameters
        values = {name: one.check(cell[name]) for name, one in declared.items() if name in cell}
        file_values = read_parameters(home())
        shared = {name: file_values[name] for name in DEFAULTS if name in file_values}
        given = {**DEFAULTS, **shared, **values, **settings}
        context = prepare_alone(stem, given)
    else:
        values = {name: cell[name] for name in context.settings if name in cell}
        given = {**DEFAULTS, **values, **settings}
    context.settings.update(given)
    personal = bool(given.get("personal", False))
    guard_displays(personal=personal)
    opened = NotebookRun(context, personal=personal, alone=alone)
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None:
        Needs(shell, opened).register()
    return opened


def _notebook(catalog: Catalog, stem: str) -> Notebook:
    require_choice("notebook", stem, catalog.notebooks)
    return catalog.notebooks[stem]


def prepare_alone(stem: str, settings: Mapping[str, Any]) -> Context:
    """Prepare the context of a notebook that no runner executes.

    Parameters
    ----------
    stem : str
        The notebook.
    settings : mapping
        Its parameters with their values.

    Raises
    ------
    ParameterError
        If there is no such notebook.
    RunError
        If a notebook upstream fails.
    """
    every = Catalog.open(notebook_folder())
    whole = every.for_source(str(settings["source"]))
    if stem in every.notebooks:
        whole.check(stem, settings["source"])
    shared = (*SHARED, *_notebook(whole, stem).reads_if.values())
    own = whole.for_settings({stem: settings})
    place = home()
    run_folder = place / str(settings["out"]) / run_name(settings)
    inputs = data_inputs(settings, place)
    same = {name: settings[name] for name in shared if name in settings}
    upstream = own.upstream(stem)
    missing = [other for other in upstream if not _usable(run_folder / other, same, inputs)]
    if missing:
        where = {name: settings[name] for name in ("out", "name") if name in settings}
        _run_upstream(missing, whole, same | where, place)
    return build_context(own, own.notebooks[stem], run_folder, "", place, settings)


def _usable(folder: Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> bool:
    """Return whether a folder was made with these parameters, from these files as they are."""
    manifest = read_json(folder / NAME)
    used, read = manifest.get("parameters", {}), manifest.get("inputs", {})
    values = (name for name in settings if name in used and name not in PATHS)
    same = all(used[name] == settings[name] for name in values)
    files = {name for name in (*read, *inputs) if name in FILES}
    same = same and all(read.get(name) == inputs.get(name) for name in files)
    return manifest.get("status") in ("done", "interactive") and same and intact(folder, manifest)


def _run_upstream(
    missing: list[str], catalog: Catalog, settings: Mapping[str, Any], place: Path
) -> None:
    switched = catalog.for_settings(dict.fromkeys(catalog.notebooks, settings))
    wanted = switched.closure(missing)
    print(f"First running what this notebook needs: {', '.join(wanted)}", flush=True)  # noqa: T201
    declared = {name for stem in wanted for name in catalog.notebooks[stem].parameters}
    shared = {name: value for name, value in settings.items() if name in declared}
    report = import_module(REPORT)
    end = run(
        missing,
        catalog=catalog,
        parameters=shared,
        folder=place,
        progress=progress_here(),
        report=report,
    )
    failed = [f"{each.stem}: {each.message}" for each in end.notebooks if not each.good]
    if failed:
        raise RunError(f"what this notebook needs did not run through: {'; '.join(failed)}")
