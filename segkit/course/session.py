"""What does a notebook teach? Its course cells, read into a session."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.errors import ParameterError
from segkit.runner.catalog import COURSE, Catalog, notebook_folder

LESSON, SLIDE, NOTES = "course-lesson", "course-slide", "course-notes"
TASK, SOLUTION, CHECK, MISTAKE = (
    *("course-task", "course-solution"),
    *("course-check", "course-mistake"),
)
TAGS = {LESSON, SLIDE, NOTES, TASK, SOLUTION, CHECK, MISTAKE}
REGION = re.compile(r"^[ ]*### BEGIN SOLUTION\n.*?^[ ]*### END SOLUTION$", re.DOTALL | re.MULTILINE)
Cell = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise.

    Attributes
    ----------
    name : str
        Its id, unique in the course.
    title : str
        What the task's heading asks.
    points : int
        What it counts.
    task, solution, check : dict
        Its cells.
    mistakes : tuple of (str, str)
        Common mistakes: in words, and as code that makes them.
    """

    name: str
    title: str
    points: int
    task: Cell
    solution: Cell
    check: Cell
    mistakes: tuple[tuple[str, str], ...]

    @property
    def answers(self) -> list[str]:
        """The names that the student has to fill in."""
        asked = read(source(self.check))
        solved = [name for part in _regions(self.solution) for name in assigned(part)]
        return [name for name in dict.fromkeys(solved) if name in asked]

    @property
    def stub(self) -> str:
        """The solution's cell with the answers taken out."""
        open_ends = "\n".join(f"{name} = ...  # your answer" for name in self.answers)
        left = iter([f"# YOUR CODE HERE\n{open_ends}"])
        return REGION.sub(lambda _: next(left, "# YOUR CODE HERE"), source(self.solution))


@dataclass(frozen=True, slots=True)
class Session:
    """One session of the course: what a notebook teaches.

    Attributes
    ----------
    number : int
        Its place in the course.
    stem, title, question : str
        The notebook.
    minutes : int
        How long it takes in class.
    goals : tuple of str
        What a student can do afterwards.
    reading : tuple of str
        References.
    settings : dict
        Parameters that the course sets otherwise than the notebook.
    content : dict
        The whole notebook.
    exercises : tuple of Exercise
        In order.
    """

    number: int
    stem: str
    title: str
    question: str
    minutes: int
    goals: tuple[str, ...]
    reading: tuple[str, ...]
    settings: dict[str, Any]
    content: dict[str, Any]
    exercises: tuple[Exercise, ...]

    @property
    def cells(self) -> list[Cell]:
        """All cells of the notebook."""
        return list(self.content["cells"])

    def of(self, tag: str) -> list[Cell]:
        """Return the cells with a tag."""
        return [cell for cell in self.cells if kind(cell) == tag]


def read_sessions(folder: Path | None = None) -> list[Session]:
    """Read the course from the notebooks of a folder, in order.

    Raises
    ------
    ParameterError
        If a course cell has an unknown tag, or an exercise lacks a part.
    """
    catalog = Catalog.open(folder or notebook_folder())
    found = [
        _session(notebook.path, notebook.title, notebook.question)
        for notebook in catalog.notebooks.values()
    ]
    return sorted((one for one in found if one), key=lambda one: one.number)


def _session(path: Path, title: str, question: str) -> Session | None:
    content = json.loads(path.read_text(encoding="utf-8"))
    about = content["metadata"].get("segkit", {}).get("course")
    if about is None:
        return None
    for cell in content["cells"]:
        tag = kind(cell)
        if tag and tag not in TAGS:
            known = ", ".join(sorted(TAGS))
            raise ParameterError(f"{path.stem}: unknown course tag {tag!r}; known are {known}")
    return Session(
        number=int(about["session"]),
        stem=path.stem,
        title=title,
        question=question,
        minutes=int(about["minutes"]),
        goals=tuple(about["goals"]),
        reading=tuple(about["reading"]),
        settings=dict(about.get("settings", {})),
        content=content,
        exercises=tuple(_exercises(path.stem, content["cells"])),
    )


def _exercises(stem: str, cells: list[Cell]) -> list[Exercise]:
    by_name: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        name = exercise_of(cell)
        if name:
            by_name.setdefault(name, {}).setdefault(kind(cell), []).append(cell)
    made = []
    for name, parts in by_name.items():
        for tag in (TASK, SOLUTION, CHECK):
            if len(parts.get(tag, [])) != 1:
                raise ParameterError(f"{stem}: exercise {name!r} needs exactly one cell {tag!r}")
        (task,), (solution,), (check,) = parts[TASK], parts[SOLUTION], parts[CHECK]
        first = source(task).splitlines()[0]
        made.append(
            Exercise(
                name=name,
                title=first.lstrip("# ").removeprefix("Exercise: "),
                points=int(check["metadata"]["segkit"].get("points", 1)),
                task=task,
                solution=solution,
                check=check,
                mistakes=tuple(_mistake(source(one)) for one in parts.get(MISTAKE, [])),
            )
        )
    return made


def _mistake(text: str) -> tuple[str, str]:
    words, _, code = text.partition("\n")
    return words.lstrip("# "), code


def kind(cell: Cell) -> str:
    """Return a cell's course tag; empty for an ordinary cell."""
    tags = cell["metadata"].get("tags", [])
    return next((tag for tag in tags if tag.startswith(COURSE)), "")


def exercise_of(cell: Cell) -> str:
    """Return the id of the exercise that a cell belongs to; empty for none."""
    return str(cell["metadata"].get("segkit", {}).get("exercise", ""))


def source(cell: Cell) -> str:
    """Return a cell's text."""
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def assigned(code: str) -> list[str]:
    r"""Return the names that code assigns, in order.

    Examples
    --------
    >>> assigned("a, b = 1, 2\nfor c in (3,):\n    d = c")
    ['a', 'b', 'c', 'd']
    """
    names = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    names.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(node.id for node in names))


def read(code: str) -> set[str]:
    """Return the names that code reads.

    Examples
    --------
    >>> sorted(read("a = b + c"))
    ['b', 'c']
    """
    return {
        node.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _regions(cell: Cell) -> list[str]:
    return REGION.findall(source(cell))
