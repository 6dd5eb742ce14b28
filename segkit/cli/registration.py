"""Registration of commands: the docstring is the help of a command and of its options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer import Argument, Option

from segkit.errors import ParameterError


def add_command(
    parent: typer.Typer,
    function: Callable[..., None],
    name: str | None = None,
    *,
    callback: bool = False,
) -> None:
    """Add a command, or the options of all commands, with help from its docstring."""
    text, _, examples = str(inspect.getdoc(function)).partition("\n\nExamples\n--------\n")
    about, _, listed = text.partition("\n\nParameters\n----------\n")
    helps = dict(re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", listed, re.MULTILINE))
    hints = get_type_hints(function, include_extras=True)
    for key, parameter in inspect.signature(function).parameters.items():
        function.__annotations__[key] = _describe(parameter, hints[key], helps[key])
    lines = "\n".join(f"  {line}" for line in examples.splitlines())
    texts = {"help": about, "epilog": f"\b\nExamples:\n{lines}"}
    (parent.callback(**texts) if callback else parent.command(name, **texts))(function)  # type: ignore[arg-type]


def _describe(parameter: inspect.Parameter, hint: Any, about: str) -> Any:
    """Return a parameter's type with its help; switches have one name, and dates are read."""
    kind, *given = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    required = parameter.default is inspect.Parameter.empty
    info = given[0] if given else Argument() if required else Option()
    info.help = " ".join(about.split())
    if parameter.default is False and not info.param_decls:
        info.param_decls = (f"--{parameter.name.replace('_', '-')}",)
    if kind in (date | None, datetime | None, list[date] | None):
        info.parser, info.callback = str, _read_dates
        info.metavar = "TIME" if kind == datetime | None else "DATE"
    return Annotated[kind, info]


def _read_dates(param: typer.CallbackParam, value: Any) -> Any:
    """Read the ISO dates, or times, of an option."""
    read = datetime.fromisoformat if param.metavar == "TIME" else date.fromisoformat
    try:
        if not isinstance(value, str):
            return value and [read(text) for text in value]
        return date.fromisoformat(value) if len(value) == len("2026-01-31") else read(value)
    except ValueError:
        given = value if isinstance(value, str) else ", ".join(value)
        what = "date or time" if param.metavar == "TIME" else "date"
        raise ParameterError(f"{param.opts[0]} expects an ISO {what}, got {given}") from None
