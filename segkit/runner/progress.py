"""Progress of a run: live on a terminal or in a notebook's cell, line by line elsewhere."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from segkit.progress import Line, live_line

CLEAR = "\r\x1b[2K"


@dataclass(slots=True)
class Turn:
    """A notebook under way: its label, its start, and its current step."""

    label: str
    started: float
    what: str = "starting"


class Progress:
    """Writes the progress of a run; several notebooks may run at the same time.

    Parameters
    ----------
    stream : text file, optional
        Standard output by default.
    quiet : bool
        Write nothing.
    announce : bool
        Write a line as a notebook begins too, where the stream is no terminal: in JupyterLab.
    """

    def __init__(
        self, stream: TextIO | None = None, *, quiet: bool = False, announce: bool = False
    ) -> None:
        self._stream = stream or sys.stdout
        self._quiet = quiet
        self._live = not quiet and self._stream.isatty()
        self._announce = announce and not self._live
        self._turns: dict[str, Turn] = {}
        self._lock = threading.RLock()

    def begin(self, number: int, total: int, stem: str) -> None:
        """Announce the start of a notebook."""
        with self._lock:
            turn = Turn(f"[{number}/{total}] {stem}", time.monotonic())
            self._turns[stem] = turn
            if self._announce:
                self._write(f"{turn.label}  running …\n")
            self._redraw()

    def cell(self, stem: str, event: Mapping[str, int]) -> None:
        """Announce the cell of a notebook that has begun."""
        self.step(stem, f"cell {event['cell']} of {event['cells']}")

    def step(self, stem: str, what: str) -> None:
        """Announce a step of a notebook."""
        with self._lock:
            self._turns[stem].what = what
            self._redraw()

    def end(self, stem: str, status: str, detail: str = "") -> None:
        """Write how a notebook ended."""
        with self._lock:
            turn = self._turns.pop(stem)
            seconds = time.monotonic() - turn.started
            first = detail.strip().splitlines()[0] if detail.strip() else ""
            rest = f": {first}" if first else ""
            self._line(f"{turn.label}  {status} ({seconds:.1f} s){rest}")

    def note(self, sentence: str) -> None:
        """Write a sentence of its own line."""
        with self._lock:
            self._line(sentence)

    def _line(self, text: str) -> None:
        self._write(f"{CLEAR if self._live else ''}{text}\n")
        self._redraw()

    def _redraw(self) -> None:
        if self._live and self._turns:
            now = time.monotonic()
            labels = [f"{t.label}  {t.what}, {now - t.started:.0f} s" for t in self._turns.values()]
            self._write(CLEAR + " · ".join(labels))

    def _write(self, text: str) -> None:
        if not self._quiet:
            self._stream.write(text)
            self._stream.flush()


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
        """Return True: text can be redrawn."""
        return True

    def write(self, text: str) -> int:
        """Print a complete line for good, and other text until the next."""
        words = text.replace(CLEAR, "")
        if words.endswith("\n"):
            sys.stdout.write(words)
        elif words:
            self._told.tell(words)
        return len(text)

    def flush(self) -> None:
        """Flush the complete lines."""
        sys.stdout.flush()


def progress_here() -> Progress:
    """Return the progress display for this cell: live for a person, lines in batch."""
    line = live_line()
    return Progress(announce=True) if line is None else Progress(CellTerminal(line))
