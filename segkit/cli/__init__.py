"""Command line: run notebooks, check data, score customers, write lists, build the course."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Annotated, NoReturn

import typer
from typer import Option

import segkit
from segkit.cli import course, exports, first_look, live, runs, segments
from segkit.cli.registration import add_command
from segkit.cli.terminal import FAILED, GATE, USAGE, print_anything
from segkit.errors import DataError, MappingError, ParameterError, SegkitError, SourceError

COMMANDS = (  # in the order of the help
    *(first_look.start, first_look.new, first_look.check),
    *(runs.run, runs.params, runs.index, runs.pdf, runs.prune),
    *(segments.segment, segments.score, segments.refresh),
    *(exports.audience, exports.star, exports.sql),
    *(live.triggers, live.serve, live.serve_key),
    runs.version,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segkit {segkit.__version__}")
        raise typer.Exit


def _main_options(
    debug: bool = False,
    version: Annotated[bool, Option(callback=_print_version, is_eager=True)] = False,
) -> None:
    """From raw purchase history to customer segments, and on to campaign lift.

    Parameters
    ----------
    debug : bool
        Show the traceback of an error
    version : bool
        Show segkit's version

    Examples
    --------
    segkit new shop --data orders.csv
    segkit run
    segkit run --help
    """
    del debug, version  # the first is taken out by main, which is where errors arrive


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
add_command(app, _main_options, callback=True)
for function in COMMANDS:
    add_command(app, function)

_course = typer.Typer(help="Teach from the notebooks: lessons, exercises with checks, slides.")
app.add_typer(_course, name="course")
add_command(_course, course.course_build, "build")
add_command(_course, course.course_check, "check")


@cache  # a process that runs several commands reads their functions once
def _command() -> Callable[..., object]:
    return typer.main.get_command(app)


def main() -> NoReturn:
    """Run the command line; errors of segkit's own are one line and an exit code."""
    from segkit.runner.stopping import stopped_by_signals

    print_anything()

    words = sys.argv[1:]
    with stopped_by_signals():
        sys.exit(invoke([w for w in words if w != "--debug"], debug="--debug" in words))


def invoke(words: list[str], *, debug: bool = False) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    words : list of str
        The command line without the program's name.
    debug : bool
        Let errors through, with their traceback.
    """
    from segkit.runner.stopping import STOPS, stop_code, stop_words

    try:
        _command()(args=words, prog_name="segkit")
    except SystemExit as end:  # typer makes 130 of Ctrl-C
        if end.code == stop_code(KeyboardInterrupt()):
            typer.echo("segkit: stopped by hand", err=True)
        return int(end.code or 0)
    except STOPS as error:
        typer.echo(f"segkit: {stop_words(error)}", err=True)
        return stop_code(error)
    except Exception as error:
        if debug:
            raise
        message, code = explain(error)
        typer.echo(f"segkit: {message}", err=True)
        return code
    return 0


def explain(error: Exception) -> tuple[str, int]:
    """Say in words what went wrong, and with which exit code the command ends.

    Examples
    --------
    >>> explain(FileNotFoundError(2, "No such file or directory", "a.csv"))
    ('No such file or directory: a.csv', 1)
    """
    if isinstance(error, ParameterError):
        return str(error), USAGE
    if isinstance(error, DataError | SourceError | MappingError):
        return str(error), GATE
    if isinstance(error, SegkitError):
        return str(error), FAILED
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}", FAILED
    first = (str(error).strip().splitlines() or ["no message"])[0]
    kind = type(error).__name__
    return f"an error that was not foreseen: {kind}: {first} (--debug shows where)", FAILED
