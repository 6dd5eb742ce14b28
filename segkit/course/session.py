"""Sessions of the course: a notebook, and the lessons that its course file adds to it.

``notebooks/course/NN_name.md`` holds what is taught from ``notebooks/NN_name.ipynb``. Between two
lines ``+++`` stand number, minutes, goals and reading, as TOML; then come the cells, each under a
comment that says what it is::

    <!-- after how-many-segments -->      the id of the notebook's heading that is followed by:
    <!-- notes minutes=10 -->             for teachers
    <!-- lesson -->                       theory, for students
    <!-- slide figure=k_choice -->        a slide, with a figure that the notebook saved
    <!-- task NAME -->                    an exercise: its text,
    <!-- solution NAME -->                ... what fills the gap, in a block of code,
    <!-- check NAME points=2 -->          ... what judges it,
    <!-- mistake NAME -->                 ... and what it must refuse

It is Markdown because lessons are prose: a change is seen line by line, any viewer shows the page
with its formulas and code, and cells of the notebook can be changed without touching it. What
follows a heading comes at the end of its section, where everything that the section computes is
at hand.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.errors import ParameterError, unknown
from segkit.runner.catalog import load_notebook, notebook_folder, shipped_notebooks, source_of
from segkit.runner.needs import assigned_names

LESSON, SLIDE, NOTES = "course-lesson", "course-slide", "course-notes"
TASK, SOLUTION, CHECK, MISTAKE = "course-task", "course-solution", "course-check", "course-mistake"
COURSE = "course-"
AFTER = "after"
KINDS = tuple(
    tag.removeprefix(COURSE) for tag in (LESSON, SLIDE, NOTES, TASK, SOLUTION, CHECK, MISTAKE)
)
CODE = {SOLUTION, CHECK, MISTAKE}
EXERCISES = {TASK, *CODE}
FRONT = re.compile(r"\A\+\+\+\n(.*?)\n\+\+\+\n", re.DOTALL)
MARK = re.compile(r"^<!-- (\S+)(?: ([^\s=]+))?((?: \w+=\S+)*) -->$", re.MULTILINE)
FENCED = re.compile(r"\A```python\n(.*)\n```\Z", re.DOTALL)
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
        checked = read(source_of(self.check))
        solved = [name for part in _regions(self.solution) for name in assigned_names(part)]
        return [name for name in dict.fromkeys(solved) if name in checked]

    @property
    def stub(self) -> str:
        """The solution's cell with the answers taken out."""
        open_ends = "\n".join(f"{name} = ...  # your answer" for name in self.answers)
        left = iter([f"# YOUR CODE HERE\n{open_ends}"])
        return REGION.sub(lambda _: next(left, "# YOUR CODE HERE"), source_of(self.solution))


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
    """Read the course of a folder of notebooks, in order.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Holds the notebooks, and ``course`` with the files that teach from them. By default the
        working folder's notebooks where they have such files, else those that come with segkit.

    Raises
    ------
    ParameterError
        If a course file cannot be read, follows a heading that its notebook lacks, or an exercise
        lacks a part.
    """
    if folder is None:
        folder = notebook_folder()
        if not any((folder / "course").glob("*.md")):
            folder = shipped_notebooks()
    sessions = [
        _session(folder / f"{path.stem}.ipynb", path)
        for path in sorted((folder / "course").glob("*.md"))
    ]
    return sorted(sessions, key=lambda session: session.number)


def _session(path: Path, course: Path) -> Session:
    notebook = load_notebook(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    text = course.read_text(encoding="utf-8")
    front = FRONT.match(text)
    if front is None:
        raise ParameterError(f"{course.name} does not open with goals and reading between +++")
    try:
        about = tomllib.loads(front[1])
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{course.name}: {error}") from error
    missing = {"session", "minutes", "goals", "reading"} - about.keys()
    if missing:
        raise ParameterError(f"{course.name} does not say {', '.join(sorted(missing))}")
    by_heading = _course_cells(text[front.end() :], course.name)
    cells = _join(content["cells"], by_heading, course.name)
    return Session(
        number=int(about["session"]),
        stem=path.stem,
        title=notebook.title,
        question=notebook.question,
        minutes=int(about["minutes"]),
        goals=tuple(about["goals"]),
        reading=tuple(about["reading"]),
        settings=dict(about.get("settings", {})),
        content={**content, "cells": cells},
        exercises=tuple(_exercises(path.stem, cells)),
    )


def _course_cells(text: str, name: str) -> dict[str, list[Cell]]:
    """Read a course file's cells, by the id of the heading that they follow."""
    marks = list(MARK.finditer(text))
    starts = [mark.start() for mark in marks] + [len(text)]
    if text[: starts[0]].strip():
        raise ParameterError(f"{name}: text before the first comment <!-- after ... -->")
    by_heading: dict[str, list[Cell]] = {}
    counts: dict[str, int] = {}
    cells: list[Cell] | None = None
    for mark, end in zip(marks, starts[1:], strict=True):
        word, body = mark[1], text[mark.end() : end].strip()
        if word == AFTER:
            cells = by_heading.setdefault(str(mark[2]), [])
            continue
        if word not in KINDS:
            raise ParameterError(f"{name}: {unknown('course cell', word, (AFTER, *KINDS))}")
        if cells is None:
            raise ParameterError(f"{name}: say which heading {mark[0]} comes after")
        counts[word] = counts.get(word, 0) + 1
        options = dict(option.split("=", 1) for option in mark[3].split())
        cells.append(_course_cell(mark, body, counts[word], options, name))
    return by_heading


def _course_cell(
    mark: re.Match[str], body: str, number: int, options: dict[str, str], name: str
) -> Cell:
    tag, exercise = COURSE + mark[1], mark[2]
    if (exercise is None) == (tag in EXERCISES):
        raise ParameterError(f"{name}: {mark[0]}: cells of exercises, and no others, have a name")
    about: dict[str, Any] = {
        key: int(value) if value.isdigit() else value for key, value in options.items()
    }
    if exercise:
        about["exercise"] = exercise
    cell: Cell = {
        "cell_type": "markdown",
        "id": f"{tag}-{number if exercise is None or tag == MISTAKE else exercise}",
        "metadata": {"tags": [tag], **({"segkit": about} if about else {})},
    }
    if tag in CODE:
        block = FENCED.match(body)
        if block is None:
            raise ParameterError(f"{name}: {mark[0]} expects one block of code, ```python")
        cell, body = {**cell, "cell_type": "code", "execution_count": None, "outputs": []}, block[1]
    return {**cell, "source": body.splitlines(keepends=True)}


def _join(cells: list[Cell], by_heading: Mapping[str, list[Cell]], name: str) -> list[Cell]:
    """Put course cells at the ends of the sections whose headings they follow."""
    joined: list[Cell] = []
    waiting: list[Cell] = []
    headings = []
    for cell in cells:
        if cell["cell_type"] == "markdown" and source_of(cell).startswith("#"):
            joined += waiting
            waiting = by_heading.get(cell["id"], [])
            headings.append(cell["id"])
        joined.append(cell)
    for heading in by_heading:
        if heading not in headings:
            raise ParameterError(f"{name}: {unknown('heading', heading, headings)}")
    return joined + waiting


def _exercises(stem: str, cells: list[Cell]) -> list[Exercise]:
    by_name: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        name = exercise_of(cell)
        if name:
            by_name.setdefault(name, {}).setdefault(kind(cell), []).append(cell)
    exercises = []
    for name, parts in by_name.items():
        for tag in (TASK, SOLUTION, CHECK):
            if len(parts.get(tag, [])) != 1:
                raise ParameterError(f"{stem}: exercise {name!r} needs exactly one cell {tag!r}")
        (task,), (solution,), (check,) = parts[TASK], parts[SOLUTION], parts[CHECK]
        first = source_of(task).splitlines()[0]
        exercises.append(
            Exercise(
                name=name,
                title=first.lstrip("# ").removeprefix("Exercise: "),
                points=int(check["metadata"]["segkit"].get("points", 1)),
                task=task,
                solution=solution,
                check=check,
                mistakes=tuple(_mistake(source_of(one)) for one in parts.get(MISTAKE, [])),
            )
        )
    return exercises


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
    return REGION.findall(source_of(cell))
