"""The studies' committed tables, and numbers from them, as the documentation shows them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "studies" / "results"
# A cell: a column, in per cent where a % follows, with its limits where [low, high] follow.
CELL = re.compile(r"(\w+)(%?)(?: \[(\w+), (\w+)\])?")


class StudyError(ValueError):
    """A page asks a study's table for what it does not hold."""


@cache
def read_study(name: str) -> tuple[pl.DataFrame, str, str]:
    """Read a study's table, the command that made it, and its notes."""
    path = RESULTS / f"{name}.csv"
    if not path.is_file():
        available = ", ".join(sorted(one.stem for one in RESULTS.glob("*.csv")))
        raise StudyError(f"no study {name!r}; there are {available}")
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    return pl.read_csv(path, comment_prefix="#"), head[0], "\n".join(head[1:])


def rows_where(name: str, condition: str) -> pl.DataFrame:
    """Return the rows of a study's table that meet an SQL condition; at least one."""
    table = read_study(name)[0]
    if condition:
        table = table.filter(pl.sql_expr(condition))
    if table.is_empty():
        raise StudyError(f"no row of the study {name!r} meets: {condition}")
    return table


def number(value: Any, percent: str) -> str:
    """Write one value of a table; shares with a % in per cent with one decimal."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if percent:
        return f"{100 * value:.1f}%"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}".rstrip("0").rstrip(".")


def write_cell(row: dict[str, Any], cell: str) -> str:
    """Write a cell such as ``rate% [low, high]`` of one row."""
    match = CELL.fullmatch(cell)
    if not match:
        raise StudyError(f"expected a cell such as 'rate% [low, high]', got {cell!r}")
    column, percent, low, high = match.groups()
    for name in filter(None, (column, low, high)):
        if name not in row:
            raise StudyError(f"no column {name!r}; there are {', '.join(row)}")
    text = number(row[column], percent)
    if low and row[low] is not None:
        limits = [number(row[end], percent).removesuffix("%") for end in (low, high)]
        text += f" [{limits[0]}, {limits[1]}]"
    return text


def write_table(table: pl.DataFrame, columns: str) -> str:
    """Write a Markdown table; each line of ``columns`` is ``heading = cell``, or a cell alone."""
    pairs = [line.rpartition(" = ") for line in columns.splitlines() if line.strip()]
    headings = [heading or cell for heading, _, cell in pairs]
    matches = [CELL.match(cell) for *_, cell in pairs]
    words = [match is None or table.schema.get(match[1]) == pl.String for match in matches]
    lines = [headings, ["---" if word else "---:" for word in words]]
    lines += [[write_cell(row, cell) for *_, cell in pairs] for row in table.to_dicts()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_number(name: str, cell: str, condition: str) -> str:
    """Write the cell of the one row that is meant: it alone meets the condition, or is extreme."""
    table = rows_where(name, condition)
    which, _, rest = cell.partition(" ")
    if which in {"least", "most"}:
        cell = rest
        column = re.split(r"[% ]", cell)[0]
        table = table.drop_nulls(column).sort(column, descending=which == "most").head(1)
    if table.height != 1:
        raise StudyError(f"{table.height} rows of {name!r} meet: {condition}")
    return write_cell(table.to_dicts()[0], cell)


class StudyTable(SphinxDirective):
    """A part of a study's table, with the command that made it and the whole table to download."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"where": directives.unchanged}
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table and its source; what the table lacks fails the build."""
        name = self.arguments[0]
        self.env.note_dependency(str(RESULTS / f"{name}.csv"))
        try:
            table = rows_where(name, self.options.get("where", ""))
            text = write_table(table, "\n".join(self.content))
            whole, command, notes = read_study(name)
        except (StudyError, pl.exceptions.PolarsError) as error:
            raise self.error(str(error)) from error
        file = f"{{download}}`{name}.csv </../{RESULTS.relative_to(ROOT)}/{name}.csv>`"
        rows = f"{table.height} of {whole.height} rows"
        text += f"\n\n{{.study-source}}\n{rows} of {file}, made by `{command}`.\n"
        made = self.parse_text_to_nodes(text)
        if notes:
            note = nodes.literal_block(notes, notes, classes=["study-notes"], language="text")
            opening = "<details><summary>The study's own notes</summary>"
            made += [nodes.raw("", opening, format="html"), note]
            made.append(nodes.raw("", "</details>", format="html"))
        return made


class StudyNumber(SphinxRole):
    """A number of a study: ``study; cell; condition``, or ``least cell``, ``most cell``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number as text; where rows differ it must be said which is meant."""
        name, cell, condition = (part.strip() for part in f"{self.text};;".split(";")[:3])
        try:
            text = write_number(name, cell, condition)
        except (StudyError, pl.exceptions.PolarsError) as error:
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]
        self.env.note_dependency(str(RESULTS / f"{name}.csv"))
        return [nodes.Text(text)], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the role."""
    app.add_directive("study", StudyTable)
    app.add_role("study", StudyNumber())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
