"""Stopping of processes, by signals and with their children, and their exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from segkit.writing import WINDOWS

# SIGBREAK is Windows' word for a console that is closed.
_NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")
ASKED = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


def detached_options() -> dict[str, Any]:
    """Return what `subprocess.Popen` takes to start a process that Ctrl-C does not reach."""
    if WINDOWS:
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200)}
    return {"start_new_session": True}


class StopSignal(BaseException):
    """A signal asks this process to stop; like ``KeyboardInterrupt``, it is no error.

    Attributes
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


STOPS = (KeyboardInterrupt, StopSignal)  # what stops a run: Ctrl-C, or a signal


def stop_code(error: BaseException) -> int:
    """Return the exit code of a process that was stopped: 128 and the signal's number.

    Examples
    --------
    >>> stop_code(KeyboardInterrupt()), stop_code(StopSignal(signal.SIGTERM))
    (130, 143)
    """
    return 128 + (error.number if isinstance(error, StopSignal) else signal.SIGINT)


def stop_words(error: BaseException) -> str:
    """Say in words what stopped a run.

    Examples
    --------
    >>> stop_words(StopSignal(signal.SIGTERM))
    'stopped by SIGTERM'
    """
    return str(error) if isinstance(error, StopSignal) else "stopped by hand"


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop what runs within, as Ctrl-C does; only the first signal counts.

    From the first on all three are ignored until the process has ended: a clean end that is broken
    off would leave processes behind.
    A signal that was being ignored (as `nohup` ignores SIGHUP) stays ignored. Outside the main
    thread nothing is changed, since Python hands signals to the main thread alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        for other in before:  # a scheduler that repeats itself must not break off the clean end
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else StopSignal(number)

    numbers = [number for number in ASKED if signal.getsignal(number) is not signal.SIG_IGN]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


def end_group(pid: int) -> None:
    """End a kernel and the processes that it started: they share the group that it leads."""
    if WINDOWS:  # there are no groups; a process that has ended is any error of the system
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_family(pid: int) -> None:
    """End a process that leads a group, that group, and the groups that its children lead.

    It is halted first, so that it starts nobody while its children are looked for. A child counts
    from its birth: a kernel that has not told of itself yet, or that is halted, ends as well.
    Where the system does not tell of children (there is no ``/proc``), the group alone ends.
    """
    if WINDOWS:
        end_group(pid)
        return
    try:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGSTOP)
        for child in children_of(pid):
            end_family(child)
    finally:  # no process stays halted, even if this is interrupted
        end_group(pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)  # it may lead no group


def children_of(pid: int) -> list[int]:
    """List the processes that a process has started, as Linux tells it; empty elsewhere."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in brackets may hold blanks and brackets; the parent comes second after it.
            if int(stat.read_text(errors="replace").rpartition(")")[2].split()[1]) == pid:
                children.append(int(stat.parent.name))
    return children


def died(what: str, code: int | None) -> str:
    """Say in words how a process ended.

    Examples
    --------
    >>> died("kernel", -15)
    'the kernel was ended by signal SIGTERM'
    >>> died("kernel", 3)
    'the kernel ended by itself with exit code 3'
    """
    if code is None:
        return f"the {what} stopped answering"
    if code >= 0:
        return f"the {what} ended by itself with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (often the system, when memory runs out)" if name == "SIGKILL" else ""
    return f"the {what} was ended by signal {name}{hint}"


def peak_of(pid: int) -> int:
    """Return the largest resident size that a living process has had, as Linux tells it, or 0."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) * 1024 for row in lines if row.startswith("VmHWM:")), 0)


def peak_of_children() -> int:
    """Return the largest resident size of this process's ended children.

    Of the kernel, if it is the first; else it may be an earlier one's, and is an upper bound.
    """
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
