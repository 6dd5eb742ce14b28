"""A run started from a notebook's cell: what a terminal would redraw goes to the cell's line."""

from __future__ import annotations

import io
import sys

from segkit.live import Line, live_line
from segkit.runner.progress import CLEAR, Progress


class CellTerminal(io.StringIO):
    """A terminal made of the running cell.

    Parameters
    ----------
    line : Line
        Takes what is redrawn; what stays is printed.

    Examples
    --------
    >>> terminal = CellTerminal(Line())
    >>> written = terminal.write(CLEAR + "01  done" + chr(10))
    01  done
    """

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._told = line

    def isatty(self) -> bool:
        """Say that what is written can be redrawn."""
        return True

    def write(self, text: str) -> int:
        """Write what ends in a line's end for good, anything else until the next."""
        words = text.replace(CLEAR, "")
        if words.endswith("\n"):
            sys.stdout.write(words)
        elif words:
            self._told.tell(words)
        return len(text)

    def flush(self) -> None:
        """Hand on what stays."""
        sys.stdout.flush()


def progress_here() -> Progress:
    """Return what tells of a run where this cell is read: live for a person, lines in batch."""
    line = live_line()
    return Progress(announce=True) if line is None else Progress(CellTerminal(line))
