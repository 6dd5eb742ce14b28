"""Tests of every check on the solution, the untouched exercise and common mistakes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segkit.course.kernel import Kernel, open_kernel
from segkit.course.session import (
    CHECK,
    REGION,
    SOLUTION,
    Exercise,
    Session,
    exercise_of,
    kind,
    read_sessions,
)
from segkit.course.variants import SAMPLE, SAMPLE_SEED, variant
from segkit.display import counted
from segkit.runner.catalog import source_of
from segkit.runner.workspace import PARAMETERS
from segkit.writing import write_whole

REFUSED = "CheckError: "
LESSONS = "lesson"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CheckRow:
    """Results of one check.

    Attributes
    ----------
    session : int
        Number of the session.
    exercise : str
        Its id.
    points : int
        What it counts.
    solution : str
        What the check objected to in the solution; empty when it passed.
    untouched : str
        What it said of the untouched exercise; empty if it passed, which is a fault.
    mistakes : tuple of (str, str)
        Each common mistake, and what the check said of it.
    """

    session: int
    exercise: str
    points: int
    solution: str
    untouched: str
    mistakes: tuple[tuple[str, str], ...]

    @property
    def good(self) -> bool:
        """Whether it accepts the solution and rejects everything else with its own message."""
        others = [self.untouched, *(message for _, message in self.mistakes)]
        return not self.solution and all(message.startswith(REFUSED) for message in others)

    @property
    def line(self) -> str:
        """The row as a line of the printed table."""
        caught = sum(message.startswith(REFUSED) for _, message in self.mistakes)
        passes = "passes" if not self.solution else "FAILS"
        fails = "fails" if self.untouched.startswith(REFUSED) else "PASSES OR BREAKS"
        mistakes = f"{caught} of {len(self.mistakes)} refused"
        return f"{self.session:>7}  {self.exercise:<22} {passes:<9} {fails:<17} {mistakes}"


@dataclass(frozen=True, slots=True)
class CheckMatrix:
    """Results of every check of the course.

    Attributes
    ----------
    rows : tuple of CheckRow
        In order.
    seconds : dict of str to float
        Notebook to the seconds of processor that its lesson and solutions take, data at hand.
    executed : dict of str to list
        Notebook to its executed cells (variant "solution").
    """

    rows: tuple[CheckRow, ...]
    seconds: dict[str, float]
    executed: dict[str, list[dict[str, Any]]]

    @property
    def good(self) -> bool:
        """Whether there are checks, and every one is good."""
        return bool(self.rows) and all(row.good for row in self.rows)

    @property
    def text(self) -> str:
        """The matrix as a table, and what is wrong."""
        lines = [f"session  {'exercise':<22} {'solution':<9} {'untouched':<17} common mistakes"]
        lines += [row.line for row in self.rows]
        for row in self.rows:
            if row.solution:
                lines.append(f"{row.exercise}: its solution is refused: {row.solution}")
            others = [("untouched", row.untouched), *row.mistakes]
            for words, message in others:
                if not message.startswith(REFUSED):
                    outcome = f"broke: {message}" if message else "passed"
                    lines.append(f"{row.exercise}: {words!r} {outcome}")
        took = ", ".join(f"{stem} {seconds:.1f} s" for stem, seconds in self.seconds.items())
        good = sum(row.good for row in self.rows)
        return "\n".join(
            [*lines, f"{good} of {counted(len(self.rows), 'check is', 'checks are')} good. {took}."]
        )


def check_course(
    sessions: Iterable[Session] | None = None,
    *,
    seed: int = SAMPLE_SEED,
    place: Path | None = None,
    tell: Tell | None = None,
) -> CheckMatrix:
    """Execute each session's lesson and solutions, and test every check on right and wrong answers.

    Parameters
    ----------
    sessions : iterable of Session, optional
        In order, each after those whose data it reads; by default the whole course.
    seed : int
        Of the students' customers.
    place : pathlib.Path, optional
        The course's folder, which keeps the data; by default a temporary one.
    tell : callable, optional
        Told of each session before it is executed.

    Returns
    -------
    CheckMatrix

    Raises
    ------
    RunError
        If a lesson itself fails.
    """
    if place is None:
        with tempfile.TemporaryDirectory(prefix="segkit-course-") as folder:
            return check_course(sessions, seed=seed, place=Path(folder), tell=tell)
    place = place.absolute()  # the kernel goes from folder to folder
    write_parameters(place, seed)
    (place / LESSONS).mkdir(exist_ok=True)
    matrix = CheckMatrix((), {}, {})
    with open_kernel() as kernel:
        for session in read_sessions() if sessions is None else sessions:
            if tell:
                tell(f"session {session.number}: {session.stem}")
            kernel.forget(place / LESSONS)  # where links to data start from
            cells, rows, seconds = _try_session(kernel, session, seed)
            matrix = replace(
                matrix,
                rows=(*matrix.rows, *rows),
                seconds={**matrix.seconds, session.stem: seconds},
                executed={**matrix.executed, session.stem: cells},
            )
    return matrix


def write_parameters(place: Path, seed: int) -> Path:
    """Write what the course's notebooks share: which customers they are about."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / PARAMETERS
    lines = [
        "# The course's customers: simulated, few, and each student's own by the seed.",
        'source = "simulated"',
        *(f"{name} = {json.dumps(value)}" for name, value in SAMPLE.items()),
        f"seed = {seed}",
    ]
    write_whole(path, "\n".join(lines) + "\n")
    return path


def _try_session(
    kernel: Kernel, session: Session, seed: int
) -> tuple[list[dict[str, Any]], list[CheckRow], float]:
    exercises = {one.name: one for one in session.exercises}
    executed: list[dict[str, Any]] = []
    rows: list[CheckRow] = []
    begun, tried = kernel.busy, 0.0
    cells = variant(session, "solution", seed=seed)["cells"]
    for cell in cells:
        plain = {**cell, "source": source_of(cell)}
        if kind(cell) == SOLUTION:
            before = kernel.busy
            rows.append(_try_answers(kernel, session.number, exercises[exercise_of(cell)]))
            tried += kernel.busy - before
        # A check that objects to the solution stands in the matrix; anything else ends it here.
        strict = kind(cell) != CHECK
        executed += kernel.run([plain], stop=strict) if cell["cell_type"] == "code" else [plain]
    return executed, rows, kernel.busy - begun - tried


def _try_answers(kernel: Kernel, number: int, exercise: Exercise) -> CheckRow:
    """Run a check on answers, and delete these variables afterwards."""
    check, solved = source_of(exercise.check), source_of(exercise.solution)
    wrong = [
        (words, REGION.sub(code.replace("\\", r"\\"), solved)) for words, code in exercise.mistakes
    ]
    return CheckRow(
        session=number,
        exercise=exercise.name,
        points=exercise.points,
        solution=kernel.try_code(f"{solved}\n{check}"),
        untouched=kernel.try_code(f"{exercise.stub}\n{check}"),
        mistakes=tuple((words, kernel.try_code(f"{code}\n{check}")) for words, code in wrong),
    )
