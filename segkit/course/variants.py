"""Variants of a session's notebook for students, teachers and nbgrader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from segkit.course.session import (
    CHECK,
    LESSON,
    SOLUTION,
    TASK,
    Cell,
    Exercise,
    Session,
    exercise_of,
    kind,
)
from segkit.runner.catalog import source_of
from segkit.runner.parameters import set_parameters
from segkit.writing import write_whole

WITH_EXERCISES = {"", LESSON, TASK, SOLUTION, CHECK}
PARTS = {"lesson": {"", LESSON}} | dict.fromkeys(
    ("exercise", "solution", "nbgrader"), WITH_EXERCISES
)
SAMPLE: dict[str, Any] = {"customers": 400, "difficulty": "easy"}  # of data/sample, with its seed
SAMPLE_SEED = 11


def variant(session: Session, name: str, *, seed: int = SAMPLE_SEED) -> dict[str, Any]:
    """Return a session's notebook for one kind of reader, without outputs.

    Parameters
    ----------
    session : Session
        The session.
    name : str
        "lesson" (theory beside the analysis), "exercise" (tasks with open answers, and checks),
        "solution" (the same, answered), or "nbgrader" (the solution as nbgrader's source).
    seed : int
        The student's own: of the simulated customers.

    Returns
    -------
    dict
        The notebook's JSON.
    """
    exercises = {one.name: one for one in session.exercises}
    numbers = {one.name: place for place, one in enumerate(session.exercises, 1)}
    cells: list[Cell] = []
    for original in session.cells:
        if kind(original) not in PARTS[name]:
            continue
        cell = deepcopy(original)
        text = source_of(cell)
        exercise = exercises.get(exercise_of(cell))
        if "parameters" in cell["metadata"].get("tags", []):
            text = set_parameters(text, {**SAMPLE, "seed": seed, **session.settings})
        if kind(cell) == TASK and exercise:
            text = _numbered(text, f"{session.number}.{numbers[exercise.name]}", exercise.points)
        if kind(cell) == SOLUTION and exercise and name == "exercise":
            text = exercise.stub
        if name == "nbgrader" and exercise:
            cell["metadata"]["nbgrader"] = nbgrader_metadata(cell, exercise)
        cell["source"] = text.splitlines(keepends=True)
        cells.append(cell)
    cells[1:1] = [_markdown("course-goals", _goals(session))]
    reading = "\n".join(f"- {one}" for one in session.reading)
    cells.append(_markdown("course-reading", f"## Reading\n\n{reading}"))
    return {**session.content, "cells": cells}


def nbgrader_metadata(cell: Cell, exercise: Exercise) -> dict[str, Any]:
    """Return what nbgrader (metadata schema 3) keeps of a cell."""
    tag = kind(cell)
    about: dict[str, Any] = {
        "schema_version": 3,
        "grade_id": exercise.name + {SOLUTION: "", CHECK: "_check", TASK: "_task"}[tag],
        "grade": tag == CHECK,
        "solution": tag == SOLUTION,
        "locked": tag != SOLUTION,
        "task": False,
        "cell_type": cell["cell_type"],
    }
    return {**about, "points": exercise.points} if tag == CHECK else about


def write_notebook(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a notebook's JSON as JupyterLab does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return write_whole(path, text + "\n")


def _numbered(text: str, number: str, points: int) -> str:
    worth = f"{points} point{'s' * (points != 1)}"
    first, _, rest = text.partition("\n")
    title = first.replace("Exercise:", f"Exercise {number}:", 1)
    return f"{title} ({worth})\n{rest}"


def _goals(session: Session) -> str:
    goals = "\n".join(f"- {goal}" for goal in session.goals)
    return (
        f"**Session {session.number}, {session.minutes} minutes.** "
        f"After it you can:\n\n{goals}\n\nYour own customers: set `seed` in the next cell to the "
        "number that you were given, and run all cells. The checks reckon with your data."
    )


def _markdown(name: str, text: str) -> Cell:
    lines = text.splitlines(keepends=True)
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": lines}
