"""Parameters of notebooks: their declarations, and the check of given values."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from segkit.display import join_words
from segkit.errors import ParameterError, require_choice
from segkit.runner.accepts import BRACKETS, Accepts

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
        The comment above or behind it, without its brackets: unit and meaning.
    accepts : Accepts or None
        What the comment's brackets say: which values of this type are accepted.
    """

    name: str
    kind: str
    default: Any
    help: str
    accepts: Accepts | None = None

    def read(self, text: str) -> Any:
        """Convert text (from a command line) to this parameter's type, without guessing.

        A list is written with commas (``30,365``) or as JSON (``["a, b", "c"]``).

        Raises
        ------
        ParameterError
            If the text does not denote a value of the declared type, or one that is accepted.

        Examples
        --------
        >>> Parameter("code", "str", "", "").read("007")
        '007'
        >>> Parameter("windows", "list[int]", [], "").read("30,365")
        [30, 365]
        """
        if not self.kind.startswith("list["):
            return self.check(self._read_scalar(text, self.kind))
        if text.lstrip().startswith("["):
            try:
                return self.check(json.loads(text))
            except json.JSONDecodeError as error:
                raise ParameterError(self._message(repr(text))) from error
        item = self.kind[5:-1]
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        return self.check([self._read_scalar(part, item) for part in parts])

    def check(self, value: Any) -> Any:
        """Return a value of this parameter's type that is accepted.

        A whole number may stand for a float, and a date (as TOML has them) for its text.

        Raises
        ------
        ParameterError
            The error gives the expected and the actual value.

        Examples
        --------
        >>> Parameter("alpha", "float", 0.05, "").check(1)
        1.0
        >>> Parameter("k", "int", 0, "", Accepts.read("0 | 2 or more")).check(1)
        Traceback (most recent call last):
        segkit.errors.ParameterError: parameter 'k' expects 0, or 2 or more, got 1
        """
        typed = self._typed(value)
        if self.accepts is not None:
            for item in typed if isinstance(typed, list) else [typed]:
                why = self.accepts.refuse(item)
                if why is not None:
                    each = "each " if isinstance(typed, list) else ""
                    raise ParameterError(
                        f"parameter {self.name!r} expects {each}{self.accepts.words}, got {item!r}"
                        + (f": {why}" if why else "")
                    )
        return typed

    def _typed(self, value: Any) -> Any:
        if self.kind.startswith("list["):
            if not isinstance(value, list):
                raise ParameterError(self._message(_shown(value)))
            return [self._check_scalar(item, self.kind[5:-1], value) for item in value]
        return self._check_scalar(value, self.kind, value)

    def _check_scalar(self, value: Any, kind: str, whole: Any) -> Any:
        if kind == "float" and type(value) is int:
            return float(value)
        if type(value) is date and self.accepts and "date" in self.accepts.alternatives:
            return value.isoformat()
        if type(value) is not SCALARS[kind] or (
            isinstance(value, float) and not math.isfinite(value)
        ):
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
    """Read the lines ``name: type = literal  # meaning [what is accepted]`` of a parameters cell.

    A long comment may stand above its line; so may a value be spread over several lines.

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
    parameters: dict[str, Parameter] = {}
    before = 0
    for node in tree.body:
        last = node.end_lineno or 0
        within = _joined(comments, node.lineno, last)
        above = _joined(comments, before + 1, node.lineno - 1)
        comment = (
            above if BRACKETS.search(above) and not BRACKETS.search(within) else within or above
        )
        parameter, before = _parameter(node, comment, where), last
        if parameter.name in parameters:
            raise ParameterError(f"{where}: parameter {parameter.name!r} is declared twice")
        parameters[parameter.name] = parameter
    return parameters


def _joined(comments: Mapping[int, str], first: int, last: int) -> str:
    return " ".join(comments[line] for line in range(first, last + 1) if line in comments)


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
    brackets = BRACKETS.search(comment)
    try:
        accepts = Accepts.read(brackets[1]) if brackets else None
    except ParameterError as error:
        raise ParameterError(f"{where}: {text!r}: {error}") from error
    comment = BRACKETS.sub("", comment)
    parameter = Parameter(node.target.id, kind, default, comment, accepts)
    try:
        return replace(parameter, default=parameter._typed(default))
    except ParameterError as error:
        raise ParameterError(f"{where}: the default of {error}") from error


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def check_parameters(
    declared: Mapping[str, Mapping[str, Parameter]],
    given: Mapping[str, Any],
    texts: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Check given values, and the remaining defaults, against the notebooks' declarations.

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
        If no notebook declares a name, or a value has the wrong type or is not accepted.
    """
    words = dict(texts or {})
    names = sorted({name for parameters in declared.values() for name in parameters})
    for name in [*given, *words]:
        require_choice("parameter", name, names)
    settled: dict[str, dict[str, Any]] = {}
    for notebook, parameters in declared.items():
        mine = {name: parameters[name].check(given[name]) for name in given if name in parameters}
        mine |= {name: parameters[name].read(words[name]) for name in words if name in parameters}
        _check_others(parameters, mine)
        settled[notebook] = mine
    return settled


def _check_others(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    """Check defaults that an analyst may have changed, and parameters that belong together."""
    values = {name: one.default for name, one in parameters.items()} | dict(given)
    for name, one in parameters.items():
        if name not in given and not (one.accepts and one.accepts.is_slow):
            one.check(one.default)
        others, limit = (one.accepts and one.accepts.together) or ((), 0.0)
        summed = [name, *others]
        if others and set(others) <= set(values) and not sum(values[n] for n in summed) < limit:
            raise ParameterError(
                f"parameters {join_words([repr(n) for n in summed])} together must stay below "
                f"{limit:g}, got {join_words([str(values[n]) for n in summed])}"
            )


def set_parameters(source: str, values: Mapping[str, Any]) -> str:
    """Replace the defaults of a parameters cell; names that it does not declare are ignored.

    The cell is read as Python, so that it does not matter how it is laid out; all but the
    values stays as it is.

    Raises
    ------
    ParameterError
        If the cell is no parameters cell, or a value has the wrong type.

    Examples
    --------
    >>> set_parameters('seed: int = 0  # of everything random', {"seed": 7, "other": 1})
    'seed: int = 7  # of everything random'
    """
    declared = parse_parameters(source)
    lines = source.encode().splitlines(keepends=True)  # as Python counts them; columns are bytes
    for node in reversed(ast.parse(source).body):
        assert isinstance(node, ast.AnnAssign)  # noqa: S101 - parse_parameters has seen to it
        name, value = ast.unparse(node.target), node.value
        if name not in values or value is None or value.end_lineno is None:
            continue
        before = lines[value.lineno - 1][: value.col_offset]
        after = lines[value.end_lineno - 1][value.end_col_offset :]
        written = literal(declared[name].check(values[name])).encode()
        lines[value.lineno - 1 : value.end_lineno] = [before + written + after]
    return b"".join(lines).decode()


def literal(value: Any) -> str:
    r"""Write a parameter's value as Python, texts in double quotes.

    Examples
    --------
    >>> literal(["it's", "7"]), literal(0.5)
    ('["it\'s", "7"]', '0.5')
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    return repr(value)


def split_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Split ``key=value`` words; the value may hold further equals signs.

    Examples
    --------
    >>> split_pairs(["seed=7", "name=a=b"])
    {'seed': '7', 'name': 'a=b'}
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ParameterError(f"expected key=value, got {pair!r}")
        if name.strip() in values:
            raise ParameterError(f"parameter {name.strip()!r} is given twice")
        values[name.strip()] = value
    return values
