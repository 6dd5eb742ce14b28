"""A notebook opened alone in JupyterLab: what is missing upstream is run first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segkit.errors import ParameterError, unknown
from segkit.runner.catalog import Catalog, home, notebook_folder
from segkit.runner.context import Context, build_context, run_name
from segkit.runner.manifest import NAME, PATHS, data_inputs, intact, read_json
from segkit.runner.parameters import Parameter

SIMULATION = ("seed", "customers", "difficulty", "structure", "lift")
FILES = {"data file", "data address", "mapping file", "mapping address"}
SHARED = ("source", "data", "mapping", "as_of", *SIMULATION)


def declared_parameters(stem: str) -> dict[str, Parameter]:
    """Return the parameters that a notebook's own cell declares.

    Raises
    ------
    ParameterError
        If there is no such notebook.
    """
    catalog = Catalog.open(notebook_folder())
    if stem not in catalog.notebooks:
        raise ParameterError(unknown("notebook", stem, catalog.notebooks))
    return catalog.notebooks[stem].parameters


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
    whole = Catalog.open(notebook_folder()).for_source(str(settings["source"]))
    if stem not in whole.notebooks:
        raise ParameterError(unknown("notebook", stem, whole.notebooks))
    catalog = whole.for_settings({stem: settings})
    shared = (*SHARED, *catalog.notebooks[stem].reads_if.values())
    place = home()
    run_folder = place / str(settings["out"]) / run_name(settings)
    upstream = catalog.upstream(stem)
    inputs = data_inputs(settings, place)
    same = {name: settings[name] for name in shared if name in settings}
    missing = [other for other in upstream if not _usable(run_folder / other, same, inputs)]
    if missing:
        where = {name: settings[name] for name in ("out", "name") if name in settings}
        _run_upstream(missing, whole, same | where, place)
    return build_context(catalog, catalog.notebooks[stem], run_folder, "", place, settings)


def _usable(folder: Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> bool:
    """Tell whether what lies there was made with these parameters, from these files as they are."""
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
    from segkit.errors import RunError
    from segkit.runner.cell import progress_here
    from segkit.runner.run import run

    switched = catalog.for_settings(dict.fromkeys(catalog.notebooks, settings))
    wanted = switched.closure(missing)
    print(f"First running what this notebook needs: {', '.join(wanted)}", flush=True)  # noqa: T201
    declared = {name for stem in wanted for name in catalog.notebooks[stem].parameters}
    shared = {name: value for name, value in settings.items() if name in declared}
    told = progress_here()
    done = run(missing, catalog=catalog, parameters=shared, folder=place, progress=told)
    failed = [f"{each.stem}: {each.message}" for each in done.notebooks if not each.good]
    if failed:
        raise RunError(f"what this notebook needs did not run through: {'; '.join(failed)}")


def interactive_manifest(context: Context, started: datetime) -> dict[str, Any]:
    """Return the manifest of a notebook run by hand: without a key, so never mistaken for a run."""
    finished = datetime.now(UTC)
    before = read_json(Path(context.run_folder) / context.stem / NAME)
    return {
        "notebook": context.stem,
        "title": context.title,
        "question": context.question,
        "status": "interactive",
        "error": None,
        "key": "",
        "parameters": context.settings,
        "inputs": data_inputs(context.settings, Path(context.home)),
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "previous": before.get("previous"),
    }
