"""Progress of long computations, and a way to stop them."""

from __future__ import annotations

import html
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Watcher = Callable[[str, int, int | None], None]

PATIENCE = 1.0  # seconds of work before anything is shown
PAUSE = 0.2  # seconds between two updates


class Stopped(KeyboardInterrupt):
    """The computation was stopped by its observer; there is no result."""


_watcher: ContextVar[Watcher | None] = ContextVar("segkit_watcher", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Have every step within told to ``watcher(what, done, total)``, which may raise `Stopped`.

    Holds for the thread in which it is called.

    Examples
    --------
    >>> seen = []
    >>> with watched_by(lambda what, done, total: seen.append((what, done, total))):
    ...     sum(steps([5, 6], "sums"))
    11
    >>> seen
    [('sums', 0, 2), ('sums', 1, 2), ('sums', 2, 2)]
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def steps(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield items and tell, before each and after the last, how many are done.

    Progress is reported only inside `watched_by`, or to a person in JupyterLab.

    Parameters
    ----------
    items : iterable
        One a unit of work.
    what : str
        What the units are, in words and in the plural.
    total : int, optional
        How many there will be; by default their number, where they have one.
    """
    watcher = _watcher.get()
    if watcher is None:
        line = live_line()
        if line is None:
            yield from items
            return
        watcher = line.count
    if total is None and isinstance(items, Sized):
        total = len(items)
    done = 0
    watcher(what, done, total)
    for item in items:
        yield item
        done += 1
        watcher(what, done, total)


def is_watched() -> bool:
    """Return whether the running cell was sent by a person: JupyterLab, not papermill or nbconvert.

    Clients that execute notebooks in batch say that nobody can answer a question; people's can.

    Examples
    --------
    >>> is_watched()
    False
    """
    kernel = getattr(_shell(), "kernel", None)
    if kernel is None:
        return False
    try:
        content = kernel.get_parent("shell")["content"]
    except (LookupError, TypeError):
        return False
    return bool(content.get("allow_stdin", False))


def _shell() -> Any:
    if "IPython" not in sys.modules:  # whoever runs under IPython has it loaded
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()


def written_error(error: BaseException) -> list[str]:
    """Write an error as IPython shows it: short for a person, with its traceback in batch.

    ``%tb Plain`` (or any mode but the usual) shows a person the traceback too.
    """
    shell = _shell()
    styled = getattr(shell, "InteractiveTB", None)
    short = is_watched() and getattr(styled, "mode", "") == "Context"
    if short or styled is None:
        return [f"{type(error).__name__}: {error}", *_fault(error)]
    trace: list[str] = styled.structured_traceback(
        type(error), error, error.__traceback__, tb_offset=1
    )
    return trace


def _fault(error: BaseException) -> list[str]:
    """Show the user's own line from which segkit was called."""
    here = str(Path(__file__).parent)
    own = None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(here):
            break
        if "site-packages" not in frame.filename:
            own = frame
    if own is None:
        return []
    return [f"  in line {own.lineno}: {own.line}", "  (%tb Plain shows the whole traceback)"]


class Line:
    """One line below the running cell that says how far the work is, and is gone when it ends.

    Parameters
    ----------
    show : callable
        Displays HTML and returns a handle whose ``update`` replaces it; `IPython`'s by default.
    """

    def __init__(self, show: Callable[[str], Callable[[str], None]] | None = None) -> None:
        self._show = show or _display
        self._update: Callable[[str], None] | None = None
        self._began = time.monotonic()
        self._told = self._began

    def count(self, what: str, done: int, total: int | None) -> None:
        """Tell how many units are done; the line goes when all are."""
        if total is not None and done >= total:
            self.clear()
            return
        of = f" of {total:,}" if total is not None else ""
        bar = f'<progress max="{total}" value="{done}"></progress> ' if total is not None else ""
        seconds = f"{time.monotonic() - self._began:.0f} s"
        self.tell(f"{what}: {done:,}{of}, {seconds}", bar=bar)

    def tell(self, words: str, *, bar: str = "") -> None:
        """Write a sentence, unless the last one is recent or the work has just begun."""
        now = time.monotonic()
        if now - self._began < PATIENCE or now - self._told < PAUSE:
            return
        self._told = now
        shown = f"<p><small>{bar}{html.escape(words)}</small></p>"
        if self._update is None:
            self._update = self._show(shown)
        else:
            self._update(shown)

    def clear(self) -> None:
        """Empty the line."""
        if self._update is not None:
            self._update("")


_line: tuple[str, Line] | None = None


def live_line() -> Line | None:
    """Return the running cell's line, the same for all of its work; None where nobody watches."""
    global _line
    if not is_watched():
        return None
    shell = _shell()
    cell = str(shell.kernel.get_parent("shell")["header"]["msg_id"])
    if _line is None or _line[0] != cell:
        _line = (cell, Line())
        shell.events.register("post_run_cell", _leave)
    return _line[1]


def _leave(*_: Any) -> None:
    """Empty the line when its cell ends, however it ends."""
    global _line
    _shell().events.unregister("post_run_cell", _leave)
    if _line is not None:
        _line[1].clear()
    _line = None


def _display(shown: str) -> Callable[[str], None]:
    from IPython.display import HTML, display

    handle = display(HTML(shown), display_id=True)  # type: ignore[no-untyped-call]

    def update(changed: str) -> None:
        handle.update(HTML(changed))  # type: ignore[no-untyped-call]

    return update
