"""Processes that execute notebooks, kept for the next notebook once they are there."""

from __future__ import annotations

import threading
from pathlib import Path

from segkit.runner.process import Worker
from segkit.runner.warm import POSSIBLE, Nursery


class Pool:
    """Worker processes of a run, or of several runs that follow one another.

    What they import takes longer than many a notebook; kept, they import it once.

    Parameters
    ----------
    place : pathlib.Path
        Where relative paths start.
    warm : bool
        Whether kernels are forked from a process that has imported what they need, where the
        system allows it; that process takes some seconds to come.
    """

    def __init__(self, place: Path, *, warm: bool = False) -> None:
        self._place = place
        self._nursery = Nursery(place) if warm and POSSIBLE else None
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._active: list[Worker] = []

    def take(self) -> Worker:
        """Return a process for a notebook."""
        with self._lock:
            worker = self._idle.pop() if self._idle else self._new()
            self._active.append(worker)
            return worker

    def _new(self) -> Worker:
        return Worker(self._place, self._nursery.address if self._nursery else "")

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
        if self._nursery:
            self._nursery.close()
