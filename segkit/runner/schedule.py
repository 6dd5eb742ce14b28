"""In which order do notebooks take their turns? As soon as what they read is there."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from segkit.runner.execute import run_one
from segkit.runner.record import write_record
from segkit.runner.state import NotebookEnd, State


def go_through(this: State, jobs: int) -> None:
    """Give every notebook of a run its turn, at most ``jobs`` at once.

    A notebook's result depends on what it reads, never on what runs beside it; where one fails,
    those that need it are told so and the others go on.

    Parameters
    ----------
    this : State
        The run.
    jobs : int
        Notebooks at once; each is a process of its own.
    """
    numbers = {stem: number for number, stem in enumerate(this.order, 1)}
    waiting = list(this.order)
    running: dict[Future[NotebookEnd], str] = {}
    pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="notebook")
    try:
        while waiting or running:
            for stem in [s for s in waiting if _ready(this, s)]:
                if len(running) == jobs:
                    break
                waiting.remove(stem)
                turn = pool.submit(run_one, this, numbers[stem], this.catalog.notebooks[stem])
                running[turn] = stem
            for turn in wait(running, return_when=FIRST_COMPLETED).done:
                this.ends[running.pop(turn)] = turn.result()
            write_record(this, "running")
    finally:
        if running:  # Ctrl-C, or an error: processes end, and their threads with them
            this.stopping = True
            if this.pool:
                this.pool.stop()
        pool.shutdown(cancel_futures=True)


def _ready(this: State, stem: str) -> bool:
    return all(other in this.ends for other in this.catalog.upstream(stem))
