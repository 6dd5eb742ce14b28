"""Build of the course: every session's notebooks and pages, from one notebook each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segkit.course.matrix import CheckMatrix, Tell, check_course, write_parameters
from segkit.course.pages import lesson_page, notes_page, slides_page, syllabus_page
from segkit.course.session import Session, read_sessions
from segkit.course.variants import SAMPLE_SEED, variant, write_notebook
from segkit.errors import ParameterError, RunError, require_choice
from segkit.runner.workspace import PARAMETERS
from segkit.writing import write_whole

TEACHER = "teacher.html"
KEPT = ("solution", "notes", "nbgrader")  # not handed out: no page of the students' links to them
VARIANTS = ("lesson", "exercise", "slides", "solution", "notes", "nbgrader")
RUN = Path("reports") / "simulated"


@dataclass(frozen=True, slots=True)
class Built:
    """A course as built.

    Attributes
    ----------
    place : pathlib.Path
        Its folder; ``index.html`` is the syllabus.
    paths : tuple of pathlib.Path
        What was written.
    matrix : CheckMatrix
        Results of every check on solutions, untouched exercises and common mistakes.
    """

    place: Path
    paths: tuple[Path, ...]
    matrix: CheckMatrix


def build_course(
    place: Path,
    *,
    variants: Iterable[str] = VARIANTS,
    seed: int = SAMPLE_SEED,
    tell: Tell | None = None,
) -> Built:
    """Build the course into a folder: execute every lesson, try every check, write every variant.

    Parameters
    ----------
    place : pathlib.Path
        New, empty, or a course built earlier.
    variants : iterable of str
        Which of `VARIANTS` to write.
    seed : int
        Of the customers: a student's own; the default gives the committed sample.
    tell : callable, optional
        Told of each session before it is executed.

    Returns
    -------
    Built

    Raises
    ------
    ParameterError
        If a variant is unknown, or the folder holds something else.
    RunError
        If a lesson fails, or a check accepts a wrong answer or rejects a right one; no variant is
        written then.
    """
    wanted = tuple(variants)
    for name in wanted:
        require_choice("variant", name, VARIANTS)
    place = place.absolute()  # lessons are executed from folders of their own
    if place.exists() and not place.is_dir():
        raise ParameterError(f"{place} is a file; a course is built into a folder")
    if place.exists() and any(place.iterdir()) and not (place / PARAMETERS).is_file():
        raise ParameterError(f"{place} holds something else; nothing is overwritten")
    course = read_sessions()
    matrix = check_course(course, seed=seed, place=place, tell=tell)
    if not matrix.good:
        raise RunError(f"some checks are no good:\n{matrix.text}")
    paths = [path for one in course for path in _write(place, one, wanted, seed, matrix)]
    front = place / "index.html"
    handed = tuple(name for name in wanted if name not in KEPT)
    write_whole(front, syllabus_page(course, seed=seed, variants=handed))
    if set(wanted) & set(KEPT):
        paths.append(
            write_whole(place / TEACHER, syllabus_page(course, seed=seed, variants=wanted))
        )
    return Built(place, (front, *paths), matrix)


def _write(
    place: Path, session: Session, wanted: tuple[str, ...], seed: int, matrix: CheckMatrix
) -> list[Path]:
    paths = []
    for name in ("lesson", "exercise", "solution"):
        if name in wanted:
            content = variant(session, name, seed=seed)
            paths.append(write_notebook(place / name / f"{session.stem}.ipynb", content))
    if "nbgrader" in wanted:
        folder = place / "nbgrader" / "source" / session.stem
        content = variant(session, "nbgrader", seed=seed)
        paths.append(write_notebook(folder / f"{session.stem}.ipynb", content))
        paths.append(write_parameters(folder, seed))
    rows = [row for row in matrix.rows if row.session == session.number]
    pages = {
        "lesson": partial(lesson_page, session, matrix.executed[session.stem]),
        "slides": partial(slides_page, session, place / RUN),
        "notes": partial(notes_page, session, rows),
    }
    wanted_pages = {name: page for name, page in pages.items() if name in wanted}
    if "notes" in wanted and "slides" in wanted:
        wanted_pages["notes/slides"] = partial(slides_page, session, place / RUN, spoken=True)
    for name, page in sorted(wanted_pages.items()):
        path = place / name / f"{session.stem}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        paths.append(write_whole(path, page()))
    return paths
