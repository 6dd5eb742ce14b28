"""Processes that execute notebooks, kept for the next notebook once they are there."""

from __future__ import annotations

import threading
from pathlib import Path

from segkit.runner.process import Worker


class Pool:
    """Worker processes of a run, or of several runs that follow one another.

    What they import takes longer than many a notebook; kept, they import it once.

    Parameters
    ----------
    place : pathlib.Path
        Where relative paths start.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._active: list[Worker] = []

    def take(self) -> Worker:
        """Return a process for a notebook."""
        with self._lock:
            worker = self._idle.pop() if self._idle else Worker(self._place)
            self._active.append(worker)
            return worker

    def give_back(self, worker: Worker) -> None:
        """Keep a process for the next notebook, or close it if it can take none."""
        with self._lock:
            self._active.remove(worker)
            if worker.usable:
                self._idle.append(worker)
                return
        worker.close()

    def stop(self) -> None:
        """End the processes that are at work; who waits for them is told that they were killed."""
        with self._lock:
            for worker in self._active:
                worker.end()

    def close(self) -> None:
        """End every process."""
        self.stop()
        with self._lock:
            while self._idle:
                self._idle.pop().close()
