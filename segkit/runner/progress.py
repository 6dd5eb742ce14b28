"""How far is the run? Told on the terminal, live where there is one, line by line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TextIO

CLEAR = "\r\x1b[2K"


class Progress:
    """Writes how a run goes.

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
        self._label = ""
        self._started = time.monotonic()

    def begin(self, number: int, total: int, stem: str) -> None:
        """Announce the notebook whose turn has come."""
        self._started = time.monotonic()
        self._label = f"[{number}/{total}] {stem}"
        if self._announce:
            self._write(f"{self._label}  running …\n")
        self._redraw("starting")

    def cell(self, event: Mapping[str, int]) -> None:
        """Announce the cell that has begun."""
        self._redraw(f"cell {event['cell']} of {event['cells']}")

    def step(self, what: str) -> None:
        """Announce what has begun beside the cells."""
        self._redraw(what)

    def end(self, status: str, detail: str = "") -> None:
        """Tell how the notebook ended."""
        seconds = time.monotonic() - self._started
        first = detail.strip().splitlines()[0] if detail.strip() else ""
        start = CLEAR if self._live else ""
        rest = f": {first}" if first else ""
        self._write(f"{start}{self._label}  {status} ({seconds:.1f} s){rest}\n")

    def note(self, sentence: str) -> None:
        """Write a sentence of its own line."""
        self._write(f"{sentence}\n")

    def _redraw(self, what: str) -> None:
        if self._live:
            seconds = time.monotonic() - self._started
            self._write(f"{CLEAR}{self._label}  {what}, {seconds:.0f} s")

    def _write(self, text: str) -> None:
        if not self._quiet:
            self._stream.write(text)
            self._stream.flush()
