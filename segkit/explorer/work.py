"""Background work, one job at a time: the newest replaces the others, and all can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from segkit.progress import Stopped, Watcher, watched_by


@dataclass(slots=True, eq=False)
class Job:
    """A requested computation.

    Attributes
    ----------
    task : callable
        Called with the job; calls `check` between its steps.
    due : float
        Earliest time at which it starts; a newer request may replace it until then.
    """

    task: Callable[[Job], None]
    due: float
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def stopped(self) -> bool:
        """Whether the job was asked to stop."""
        return self._ended.is_set()

    def check(self) -> None:
        """Raise `Stopped` if the job was asked to stop."""
        if self.stopped:
            raise Stopped

    def stop(self) -> None:
        """Ask the job to end at its next step."""
        self._ended.set()


Report = Callable[[Job, str, int, int | None], None]


class Worker:
    """Run the newest job in a separate thread; an older one is stopped and dropped.

    Parameters
    ----------
    on_progress : callable
        Called with a job, the name of its steps, the number of steps finished, and the total.
    """

    def __init__(self, on_progress: Report) -> None:
        self._on_progress = on_progress
        self._wake = threading.Condition()
        self._next: Job | None = None
        self._now: Job | None = None
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        return self._now is not None or self._next is not None

    def submit(self, task: Callable[[Job], None], *, delay: float = 0.0) -> Job:
        """Run a task after a delay; it replaces any running or waiting job."""
        job = Job(task, time.monotonic() + delay)
        with self._wake:
            self.stop()
            self._next = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="segkit")
                self._thread.start()
            self._wake.notify_all()
        return job

    def stop(self) -> bool:
        """Stop the running and the waiting job; return whether there was one."""
        with self._wake:
            jobs = [job for job in (self._now, self._next) if job is not None]
            for job in jobs:
                job.stop()
            self._next = None
            self._wake.notify_all()
        return bool(jobs)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no job runs or waits; return whether that happened in time."""
        with self._wake:
            return self._wake.wait_for(lambda: not self.busy, timeout)

    def _run(self) -> None:
        while True:
            job = self._take()
            if job is None:
                return
            try:
                with watched_by(self._report(job)):
                    job.check()
                    job.task(job)
            except Stopped:
                pass
            finally:
                with self._wake:
                    self._now = None
                    self._wake.notify_all()

    def _take(self) -> Job | None:
        """Return the next job once it is due; None, and the thread ends, when there is none."""
        with self._wake:
            while self._next is not None:
                left = self._next.due - time.monotonic()
                if left <= 0:
                    self._now, self._next = self._next, None
                    return self._now
                self._wake.wait(left)
            self._thread = None
            return None

    def _report(self, job: Job) -> Watcher:
        def report(what: str, done: int, total: int | None) -> None:
            job.check()
            self._on_progress(job, what, done, total)

        return report
