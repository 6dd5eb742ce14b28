"""Commands of the course: ``course build`` and ``course check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument

from segkit.cli.terminal import FAILED, short_path, split_words


def course_build(
    out: Annotated[Path, Argument()] = Path("course"),
    variant: str = "",
    seed: int = 11,
    check: bool = False,
) -> None:
    """Build the course, or (--check) only try its checks on right and wrong answers.

    Parameters
    ----------
    out : Path
        The folder that receives the course
    variant : str
        lesson, exercise, slides, solution, notes, nbgrader; separated by commas
    seed : int
        Seed of the simulated customers; each student's own
    check : bool
        Write nothing; only try every check

    Examples
    --------
    segkit course build course
    segkit course build course --variant exercise,solution --seed 7
    """
    if check:
        course_check(seed)
        return
    from segkit.course import VARIANTS, build_course

    built = build_course(out, variants=split_words(variant) or VARIANTS, seed=seed, tell=typer.echo)
    typer.echo(built.matrix.text)
    typer.echo(short_path(out / "index.html"))


def course_check(seed: int = 11) -> None:
    """Try every check on its solution, on the untouched exercise, and on common mistakes.

    Parameters
    ----------
    seed : int
        Seed of the simulated customers; each student's own

    Examples
    --------
    segkit course check
    """
    from segkit.course import check_course

    matrix = check_course(seed=seed, tell=typer.echo)
    typer.echo(matrix.text)
    if not matrix.good:
        raise typer.Exit(FAILED)
