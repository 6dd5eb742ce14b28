"""The cell magic ``%%needs``: it skips a cell, with one sentence, if its input is missing.

Its first line names what the cell needs, and may say what its absence means::

    %%needs survey
    %%needs taken.events answers.nps: Nobody was asked whether they would recommend the shop.
    %%needs pilot enough-data

In the sentence braces stand for variables, as in ``{came.why}``.
A word is a name that the notebook reads from those before it, or one of its variables; after a dot
stands an attribute, a key or a column. It is absent where it was left out before, is None, False,
zero or empty. ``enough-data`` leaves the cell out where the analysis refuses the data (DataError).

What a cell that was left out would have assigned is absent too, for the same reason, and what it
would have written for later notebooks counts as skipped. `open_notebook` registers the magic, so
that it works wherever IPython runs the notebook. Where nothing is absent the cell is executed as
if its first line were a comment: line numbers, displays and errors are those of any cell.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segkit.errors import ColumnError, DataError, RunError, unknown

if TYPE_CHECKING:
    from segkit.runner.notebook import NotebookRun

MAGIC = "needs"
FIRST = f"%%{MAGIC}"
ENOUGH_DATA = "enough-data"
GUARD = f"""
try:
    pass
except __import__("segkit").errors.DataError as _refusal:
    get_ipython().find_cell_magic("{MAGIC}").refuse(_refusal)
"""
DISPLAY = "get_ipython().displayhook(None)"


class Needs:
    """Run a cell only if its inputs exist.

    ``%%needs NAME [NAME ...] [: sentence said in its absence]``

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        Executes the cells.
    run : NotebookRun
        Knows what the notebook reads and has promised to write, and keeps what is left out.
    """

    def __init__(self, shell: Any, run: NotebookRun) -> None:
        self._shell, self._run = shell, run
        self._left_out: dict[str, str] = {}  # variable -> why the cell that makes it was left out
        self._made: dict[str, str] = {}  # variable -> first line of the cell that has made it
        self._sentences: dict[str, str] = {}  # word -> first sentence about its absence
        self._guarded: tuple[str, str] | None = None  # line and cell that may be refused

    def register(self) -> None:
        """Register the magic, in place of the one of a notebook opened before in this kernel."""
        lines, trees = self._shell.input_transformers_cleanup, self._shell.ast_transformers
        lines[:] = [one for one in lines if not isinstance(getattr(one, "__self__", None), Needs)]
        trees[:] = [one for one in trees if not isinstance(one, Needs)]
        lines.append(self.prepare)
        trees.append(self)
        self._shell.register_magic_function(self, "cell", MAGIC)

    def __call__(self, line: str, cell: str) -> None:
        """Skip a cell and show one sentence."""
        absent = self.find_absent(line)
        if absent is None:  # called by its name and not by a first line
            self._shell.run_cell(cell).raise_error()
        else:
            self._leave_out(line, cell, *absent)

    def prepare(self, lines: list[str]) -> list[str]:
        """Turn the first line into a comment if all inputs exist; else leave it to the magic.

        IPython calls it with each cell's lines before they are compiled.
        """
        self._guarded = None
        comment = as_python("".join(lines[:1]))
        if lines[:1] in ([], [comment]):
            return lines
        line = lines[0].removeprefix(FIRST)
        try:
            absent = self.find_absent(line)
        except RunError:
            return lines  # the magic raises it, where errors are shown
        if absent is not None:
            return lines
        body = "".join(lines[1:])
        new = (name for name in assigned_names(body) if name not in self._shell.user_ns)
        self._made |= dict.fromkeys(new, line.strip())
        if ENOUGH_DATA in _words(line):
            self._guarded = (line, body)
        return [comment, *lines[1:]]

    def visit(self, tree: ast.Module) -> ast.Module:
        """Return the syntax tree to execute: with ``enough-data`` it handles a DataError.

        IPython calls it with each cell's tree.
        """
        if self._guarded is None or not tree.body:
            return tree
        last = tree.body[-1]
        if isinstance(last, ast.Expr):  # shown by IPython only where it stands alone
            shown = ast.parse(DISPLAY, mode="eval").body
            assert isinstance(shown, ast.Call)  # noqa: S101
            shown.args = [last.value]
            last.value = shown
        attempt = ast.parse(GUARD).body[0]
        assert isinstance(attempt, ast.Try)  # noqa: S101
        attempt.body = tree.body
        tree.body = [ast.copy_location(attempt, tree.body[0])]
        return ast.fix_missing_locations(tree)

    def refuse(self, error: DataError) -> None:
        """Skip a cell whose analysis raised a DataError; a missing column remains an error."""
        if isinstance(error, ColumnError) or self._guarded is None:
            raise error
        line, cell = self._guarded
        names = assigned_names(cell)
        what = names[0].replace("_", " ") if names else "analysis"
        self._leave_out(line, cell, what, f"{str(error).removesuffix('.')}.")

    def find_absent(self, line: str) -> tuple[str, str] | None:
        """Return the first missing input and the reason; None if nothing is missing.

        What is absent has no name where an earlier cell was left out for it, which named it.
        """
        sentence = line.partition(":")[2].strip()
        words = _words(line)
        if not words:
            raise RunError(f"{FIRST} expects the names of what the cell needs")
        for word in words:
            if word == ENOUGH_DATA:
                continue
            reason = self._why_absent(word)
            if reason is None:
                continue
            label = word.rpartition(".")[2].replace("_", " ")
            if "{" in sentence:
                sentence = sentence.format_map(self._shell.user_ns)
            reason = reason or sentence or self._sentences.get(word, f"There is no {label}.")
            self._sentences.setdefault(word, reason)
            return ("" if word.partition(".")[0] in self._left_out else label), reason
        return None

    def _why_absent(self, word: str) -> str | None:
        """Return the reason for a missing input ("" if unknown); None if it exists."""
        name, *parts = word.split(".")
        variables, reads = self._shell.user_ns, self._run.declared_reads()
        if name in reads and (reads[name] is not None or name not in variables):
            return reads[name]
        if name not in variables:
            if name in self._left_out:
                return self._left_out[name]
            names = [*reads, *self._left_out, *(n for n in variables if not n.startswith("_"))]
            raise RunError(f"{FIRST}: {unknown('variable or name to read', name, names)}")
        value = variables[name]
        for part in parts:
            value = _part_of(value, part)
        return None if _is_there(value) else self._left_out.get(name, "")

    def _leave_out(self, line: str, cell: str, what: str, why: str) -> None:
        names = set(assigned_names(cell))
        for name in names:
            if self._made.get(name) == line.strip():  # by an earlier execution of this cell
                self._shell.user_ns.pop(name, None)
        have = self._shell.user_ns
        self._left_out |= {name: why for name in names if have.get(name) is None}
        self._run.leave_out(what, why, written=_texts(cell))


def as_python(text: str) -> str:
    r"""Return a cell's text with its first line as a comment, if that is the magic's.

    Examples
    --------
    >>> as_python("%%needs survey\nx = 1")
    '# %%needs survey\nx = 1'
    """
    return f"# {text}" if text.split(maxsplit=1)[:1] == [FIRST] else text


def _words(line: str) -> list[str]:
    return line.partition(":")[0].split()


def _part_of(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if part in getattr(value, "columns", ()):
        return True
    return getattr(value, part, None)


def _is_there(value: Any) -> bool:
    if value is None:
        return False
    if hasattr(value, "__len__"):
        return len(value) > 0
    return not isinstance(value, bool | int | float) or bool(value)


def _nodes(cell: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(cell)))
    except SyntaxError:  # it holds other magics
        return []


def assigned_names(code: str) -> list[str]:
    r"""Return the names that code assigns, in order; none where it is not plain Python.

    Examples
    --------
    >>> assigned_names("a, b = 1, 2\nfor c in (3,):\n    d = c")
    ['a', 'b', 'c', 'd']
    """
    names = [
        node
        for node in _nodes(code)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    names.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(node.id for node in names))


def _texts(cell: str) -> set[str]:
    return {
        node.value
        for node in _nodes(cell)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
