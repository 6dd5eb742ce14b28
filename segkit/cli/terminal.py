"""What all commands share at the terminal: paths, questions, progress, exit codes."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote as shell_quote

import typer

from segkit.writing import WINDOWS

FAILED, USAGE, GATE, ALERT = 1, 2, 3, 5
PATIENCE = 5.0  # seconds between two lines of progress


def short_path(path: Path) -> str:
    """Write a path from the current folder where it lies below it."""
    full = path.resolve()
    working = Path.cwd()
    return str(full.relative_to(working)) if full.is_relative_to(working) else str(full)


def quoted(path: Path) -> str:
    """Write a path for a command line: PowerShell and cmd know double quotes, other shells both."""
    if not WINDOWS:
        return shell_quote(str(path))
    return f'"{path}"' if " " in str(path) else str(path)


def split_words(text: str) -> list[str]:
    """Return the words that commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]


def ask_at_terminal(question: str, offered: Sequence[str]) -> str:
    """Ask one question at the terminal."""
    typer.echo(f"\n{question}")
    for place, answer in enumerate(offered, start=1):
        typer.echo(f"  {place}. {answer}")
    hint = "a number, a value or an answer of your own; Enter takes the first"
    return str(typer.prompt(f"Your answer ({hint})", default="", show_default=False))


@contextmanager
def watched() -> Iterator[None]:
    """Show the progress of long steps on the error stream, a line each few seconds."""
    from segkit.progress import watched_by

    shown = {"at": time.monotonic()}

    def watch(what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - shown["at"] > PATIENCE:
            shown["at"] = now
            typer.echo(f"{what}: {done:,}{'' if total is None else f' of {total:,}'}", err=True)

    with watched_by(watch):
        yield


def print_anything() -> None:
    """Let output hold signs that the terminal's encoding lacks, such as cp1252 an arrow.

    They are written as question marks.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
