"""Which parameters does a notebook take, and are those given right? Answered without a kernel."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from segkit.errors import ParameterError, unknown

SCALARS: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
INTEGER = re.compile(r"[+-]?\d+")
FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of a notebook's parameters cell.

    Attributes
    ----------
    name : str
        The variable's name.
    kind : str
        ``bool``, ``int``, ``float``, ``str``, or ``list[...]`` of one of them.
    default : bool, int, float, str or list
        The literal in the notebook.
    help : str
        The comment behind it: unit and meaning.
    """

    name: str
    kind: str
    default: Any
    help: str

    def read(self, text: str) -> Any:
        """Turn text (from a command line) into this parameter's type, guessing nothing.

        A list is written with commas (``30,365``) or as JSON (``["a, b", "c"]``).

        Raises
        ------
        ParameterError
            If the text does not denote a value of the declared type.

        Examples
        --------
        >>> Parameter("code", "str", "", "").read("007")
        '007'
        >>> Parameter("windows", "list[int]", [], "").read("30,365")
        [30, 365]
        """
        if not self.kind.startswith("list["):
            return self._read_scalar(text, self.kind)
        if text.lstrip().startswith("["):
            try:
                return self.check(json.loads(text))
            except json.JSONDecodeError as error:
                raise ParameterError(self._message(repr(text))) from error
        item = self.kind[5:-1]
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        return [self._read_scalar(part, item) for part in parts]

    def check(self, value: Any) -> Any:
        """Return a value that has this parameter's type; a whole number may stand for a float.

        Raises
        ------
        ParameterError
            Naming the type that was expected and what was got.

        Examples
        --------
        >>> Parameter("alpha", "float", 0.05, "").check(1)
        1.0
        """
        if self.kind.startswith("list["):
            if not isinstance(value, list):
                raise ParameterError(self._message(_shown(value)))
            return [self._check_scalar(item, self.kind[5:-1], value) for item in value]
        return self._check_scalar(value, self.kind, value)

    def _check_scalar(self, value: Any, kind: str, whole: Any) -> Any:
        if kind == "float" and type(value) is int:
            return float(value)
        if type(value) is not SCALARS[kind]:
            raise ParameterError(self._message(_shown(whole)))
        return value

    def _read_scalar(self, text: str, kind: str) -> Any:
        if kind == "str":
            return text
        if kind == "bool" and text in ("true", "false", "True", "False"):
            return text.lower() == "true"
        if kind == "int" and INTEGER.fullmatch(text):
            return int(text)
        if kind == "float" and FLOAT.fullmatch(text):
            return float(text)
        hint = " (write true or false)" if kind == "bool" else ""
        raise ParameterError(self._message(repr(text)) + hint)

    def _message(self, got: str) -> str:
        return f"parameter {self.name!r} expects {self.kind}, got {got}"


def _shown(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"


def parse_parameters(source: str, where: str = "parameters cell") -> dict[str, Parameter]:
    """Read the lines ``name: type = literal  # meaning`` of a parameters cell.

    Parameters
    ----------
    source : str
        The cell's code.
    where : str
        The notebook's name, for messages.

    Raises
    ------
    ParameterError
        If a line is anything else, a name comes twice, or a default has not its declared type.

    Examples
    --------
    >>> parse_parameters("seed: int = 0  # starts the random numbers")["seed"].help
    'starts the random numbers'
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ParameterError(f"{where}: line {error.lineno} is not Python: {error.msg}") from error
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for node in tree.body:
        made = _parameter(node, comments.get(node.end_lineno or 0, ""), where)
        if made.name in found:
            raise ParameterError(f"{where}: parameter {made.name!r} is declared twice")
        found[made.name] = made
    return found


def _parameter(node: ast.stmt, comment: str, where: str) -> Parameter:
    text = ast.unparse(node)
    if (
        not isinstance(node, ast.AnnAssign)
        or not isinstance(node.target, ast.Name)
        or node.value is None
    ):
        raise ParameterError(
            f"{where}: expected 'name: type = literal  # meaning', got {text!r} "
            f"(line {node.lineno})"
        )
    kind = ast.unparse(node.annotation)
    if kind not in SCALARS and not re.fullmatch(r"list\[(bool|int|float|str)\]", kind):
        kinds = f"{', '.join(SCALARS)} or list[...] of one of them"
        raise ParameterError(f"{where}: {text!r} declares {kind}; expected {kinds}")
    try:
        default = ast.literal_eval(node.value)
    except ValueError as error:
        raise ParameterError(f"{where}: {text!r} has a computed default, not a literal") from error
    parameter = Parameter(node.target.id, kind, default, comment)
    try:
        return Parameter(parameter.name, kind, parameter.check(default), comment)
    except ParameterError as error:
        raise ParameterError(f"{where}: the default of {error}") from error


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def settle(
    declared: Mapping[str, Mapping[str, Parameter]],
    given: Mapping[str, Any],
    texts: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Check what was given against what each notebook declares.

    Parameters
    ----------
    declared : mapping
        Notebook to its parameters.
    given : mapping
        Typed values (from a file or a call).
    texts : mapping of str to str, optional
        Values as text (from a command line); they go before ``given``.

    Returns
    -------
    dict
        Notebook to the values that it is to get; its defaults are not repeated.

    Raises
    ------
    ParameterError
        If no notebook declares a name, or a value has the wrong type.
    """
    words = dict(texts or {})
    known = sorted({name for parameters in declared.values() for name in parameters})
    for name in [*given, *words]:
        if name not in known:
            raise ParameterError(unknown("parameter", name, known))
    settled: dict[str, dict[str, Any]] = {}
    for notebook, parameters in declared.items():
        mine = {name: parameters[name].check(given[name]) for name in given if name in parameters}
        mine |= {name: parameters[name].read(words[name]) for name in words if name in parameters}
        settled[notebook] = mine
    return settled


def split_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Split ``key=value`` words; the value may hold further equals signs.

    Examples
    --------
    >>> split_pairs(["seed=7", "name=a=b"])
    {'seed': '7', 'name': 'a=b'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ParameterError(f"expected key=value, got {pair!r}")
        if name.strip() in found:
            raise ParameterError(f"parameter {name.strip()!r} is given twice")
        found[name.strip()] = value
    return found
