"""Working folder of a user: its layout, its parameters file, and its data."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.errors import ParameterError, SourceError
from segkit.runner.accepts import OWN_DATA, SIMULATION
from segkit.runner.catalog import run_name, shipped_notebooks, source_of
from segkit.runner.manifest import PATHS
from segkit.runner.parameters import literal, set_parameters
from segkit.writing import relative_path, whole_folder, write_whole

if TYPE_CHECKING:
    from segkit.intake import Audit

PARAMETERS = "parameters.toml"
README = """\
# {title}

A working folder of segkit. What lies here:

- `mapping.toml`: which of your columns is which, and how dates, money and returns are written.
  {mapping}
- `parameters.toml`: what `segkit run` uses unless told otherwise.
- `notebooks/`: the analysis, one notebook per question; yours to change. Opened in JupyterLab,
  a notebook uses the parameters of its own first cell.
- `reports/`: comes with the first run; start at `reports/index.html`.

Next:

1. {first}
2. `segkit run`
3. Open `reports/index.html`; begin with the data audit.

`segkit params` lists what can be set; `segkit run 05 -p seed=7` runs one notebook and what it
needs.
"""
EMPTY_MAPPING = """\
# Which of your columns is which. Propose it from your data:
#   segkit check DATA --save mapping.toml
"""


def read_parameters(folder: Path) -> dict[str, Any]:
    """Return the values of a folder's ``parameters.toml``; empty if it has none.

    Raises
    ------
    ParameterError
        If the file is not TOML.
    """
    path = folder / PARAMETERS
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path.name} cannot be read: {error}") from error


def paths_from(texts: Mapping[str, str], start: Path, place: Path) -> dict[str, str]:
    """Return parameters as text, with paths relative to another folder.

    Examples
    --------
    >>> paths_from({"data": "a.csv", "k": "4"}, Path("/shop/exports"), Path("/shop"))
    {'data': 'exports/a.csv', 'k': '4'}
    """
    paths = dict(texts)
    for name in {"out", *PATHS} & paths.keys():
        value = paths[name]
        if value and "://" not in value and not Path(value).is_absolute() and start != place:
            paths[name] = relative_path(start / value, place)
    return paths


def audit_files(
    data: Path,
    mapping: Path | None = None,
    preset: str | None = None,
    answers: Sequence[str] = (),
) -> Audit:
    """Audit data by a mapping and answers, or by the mapping that is proposed for them.

    Raises
    ------
    SourceError
        If the data or the mapping file is not there.
    """
    for path in (data, mapping):
        if path is not None and not path.exists():
            raise SourceError(f"there is no file {path}")
    from segkit.intake import Mapping, audit_data
    from segkit.intake.answers import mapping_of

    given = Mapping.load(mapping) if mapping else None
    if answers:
        given = mapping_of(answers).over(given or Mapping())
    return audit_data(data, given, preset=preset)


def lay_out(folder: Path, data: Path | None = None) -> list[Path]:
    """Lay out a working folder.

    Parameters
    ----------
    folder : pathlib.Path
        New, or empty.
    data : pathlib.Path, optional
        The user's data, from which the mapping is proposed; they stay where they are.

    Returns
    -------
    list of pathlib.Path
        What was made.

    Raises
    ------
    ParameterError
        If the folder holds anything already.
    WriteError
        If it cannot be written; nothing is left of it then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ParameterError(f"{folder} holds something already; nothing is overwritten")
    notebooks = shipped_notebooks()
    audit = audit_files(data) if data else None
    values: dict[str, Any] = {"source": "simulated"}
    if data:
        near = relative_path(data.resolve(), folder.resolve())
        values = {"source": OWN_DATA, "data": near, "mapping": "mapping.toml"}
        values["name"] = run_name({"data": near})
    with whole_folder(folder) as aside:
        if audit is not None:
            audit.save_mapping(aside / "mapping.toml")
        else:
            write_whole(aside / "mapping.toml", EMPTY_MAPPING)
        lines = [f"{name} = {literal(value)}" for name, value in values.items()]
        write_whole(aside / PARAMETERS, "\n".join(lines) + "\n")
        (aside / "notebooks").mkdir()
        for path in sorted(notebooks.glob("*.ipynb")):
            _copy(path, aside / "notebooks" / path.name, values)
        write_whole(aside / "README.md", _readme(folder, audit))
    return [folder / name for name in ("README.md", "mapping.toml", PARAMETERS, "notebooks")]


def _readme(folder: Path, audit: Audit | None) -> str:
    if audit is None:
        mapping = "Empty until you have data of your own."
        first = "`segkit run` shows the simulated retailer; for your own data see `mapping.toml`."
    else:
        mapping = "It was proposed from your data: look it over."
        first = f"Read `mapping.toml`. The audit says: {audit.text}"
    return README.format(title=folder.resolve().name, mapping=mapping, first=first)


def _copy(source: Path, target: Path, values: dict[str, Any]) -> None:
    """Copy a notebook, and set the defaults of its parameters cell for JupyterLab."""
    content = json.loads(source.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            text = set_parameters(source_of(cell), values)
            cell["source"] = text.splitlines(keepends=True)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_whole(target, text + "\n")


def load_raw(source: str, data: Path | None, settings: Mapping[str, Any]) -> Any:
    """Return what `segkit.clean_data` takes: the named source, or the path of the user's data.

    It is None where the mapping itself names files or a database.
    """
    if source == OWN_DATA:
        return data
    from segkit.datasets import load_source

    options: dict[str, Any] = {}
    if source == "simulated":
        options = {name: settings[name] for name in SIMULATION if name in settings}
        options["n_customers"] = options.pop("customers")
    return load_source(source, data, **options)
