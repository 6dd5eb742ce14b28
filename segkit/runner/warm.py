"""Kernels forked from a process that has imported all libraries, so that they start fast.

``python -m segkit.runner.warm FD`` imports, then waits on a listening socket. A client sends a
kernel's command, and gets its process id and, at the end, its exit status. A kernel ends when its
client disconnects; the nursery and its kernels end when the process that started it ends.

A fork takes over the thread that forks and no other: it is safe as long as no pool of threads has
started. So nothing is computed here, BLAS is held to one thread, and before each fork the threads
are counted: with one too many the asker is refused, and starts its kernel cold.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.runner.manifest import make_scratch, remove_scratch
from segkit.runner.stopping import end_family, end_group

ADDRESS = "SEGKIT_NURSERY"
POSSIBLE = sys.platform == "linux"  # elsewhere a fork without a new program is not safe
PATIENCE = 120.0  # seconds that a kernel is waited for, the nursery's own imports included
PARENT = "JPY_PARENT_PID"  # a kernel ends when this process is no longer its parent
LAUNCHER = "ipykernel_launcher"
HEADER = 12
# These live from polars' import on, sleep, and hold nothing that a forked kernel would wait for:
# jemalloc looks after its own at a fork, the other one removes spilled files.
HARMLESS = {"jemalloc_bg_thd", "polars-ooc-clea"}
LIBRARIES = (
    *("ipykernel.kernelapp", "ipykernel.zmqshell", "matplotlib_inline.backend_inline"),
    *("polars", "narwhals", "threadpoolctl", "tqdm", "pandas"),
    *("scipy.stats", "scipy.optimize", "scipy.special", "scipy.cluster.hierarchy"),
    *("scipy.sparse.csgraph", "scipy.spatial.distance"),
    *("sklearn.cluster", "sklearn.mixture", "sklearn.ensemble", "sklearn.model_selection"),
    *("sklearn.linear_model", "sklearn.metrics", "sklearn.tree"),
    *("matplotlib.figure", "matplotlib.patches", "matplotlib.backends.backend_agg", "seaborn"),
    *("statsmodels.api", "statsmodels.discrete.count_model", "factor_analyzer.rotator"),
)
# Faces that no notebook's analysis imports.
FACES = ("explorer", "course", "cli", "report", "runner")


class Nursery:
    """The process that kernels are forked from, as used by the run that starts it.

    Parameters
    ----------
    place : pathlib.Path
        Its working folder.
    """

    def __init__(self, place: Path) -> None:
        self._folder = make_scratch()
        self.address = str(self._folder / "nursery")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen()
            self._process = subprocess.Popen(
                # The flag is the one that a kernel has, for debuggers.
                [sys.executable, "-Xfrozen_modules=off", "-m", __name__, str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=place,
                env=kernel_environment(),
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C reaches the run alone, which then ends it
            )

    def close(self) -> None:
        """End the process and its kernels."""
        if self._process.poll() is None:
            end_family(self._process.pid)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        remove_scratch(self._folder)


def kernel_environment(**more: str) -> dict[str, str]:
    """Return the environment of what runs notebooks, forked or not.

    BLAS gets one thread unless the user says otherwise: where notebooks run side by side more of
    them wait for one another, and sums would depend on how many processors there are.
    """
    return {"OPENBLAS_NUM_THREADS": "1", **os.environ, **more}


class WarmKernel:
    """A forked kernel, with the part of `subprocess.Popen`'s interface that is used.

    Attributes
    ----------
    pid : int
        Of the process, which leads a group of its own.
    returncode : int or None
        How it ended, as `subprocess.Popen` writes it.
    peak : int
        The largest resident size that it has had, in bytes; 0 until it ends.
    """

    stdin = stdout = stderr = None

    def __init__(self, line: socket.socket, pid: int) -> None:
        self._line, self.pid = line, pid
        self.returncode: int | None = None
        self.peak = 0

    def poll(self) -> int | None:
        """Return how the kernel ended, or None while it runs."""
        self._listen(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the kernel has ended."""
        self._listen(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(LAUNCHER, timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the kernel."""
        self.send_signal(signal.SIGKILL)

    def _listen(self, timeout: float | None) -> None:
        if self.returncode is not None:
            return
        self._line.settimeout(timeout)
        try:
            answer = self._line.recv(4096)
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            answer = b""
        if answer:
            end = json.loads(answer)
            self.returncode, self.peak = end["code"], end["peak"]
        else:  # the nursery was killed, so that the kernel's exit status is unknown
            end_group(self.pid)
            self.returncode = -int(signal.SIGKILL)
        self._line.close()


def ask_for_kernel(
    address: str, command: Sequence[str], environment: Mapping[str, str], folder: str | None
) -> WarmKernel | None:
    """Request a forked kernel; None if that is not possible and it must be started normally.

    Parameters
    ----------
    address : str
        Path of the nursery's socket; empty if there is none.
    command : sequence of str
        As it would be started cold; of ipykernel's launcher.
    environment : mapping of str to str
        All its variables.
    folder : str or None
        Where it starts; None leaves it where the nursery is.
    """
    if not address or LAUNCHER not in command:
        return None
    words = list(command[list(command).index(LAUNCHER) + 1 :])
    request = {"words": words, "environment": dict(environment), "folder": folder}
    text = json.dumps(request).encode()
    line = socket.socket(socket.AF_UNIX)
    try:
        line.settimeout(PATIENCE)
        line.connect(address)
        socket.send_fds(line, [f"{len(text):{HEADER}}".encode()], [2])
        line.sendall(text)
        answer = line.recv(4096)
    except OSError:
        answer = b""
    pid = json.loads(answer)["pid"] if answer else None
    if pid is None:
        line.close()
        return None
    return WarmKernel(line, pid)


def main(handle: int) -> None:
    """Import, then fork kernels until the process that started this one goes."""
    listener = socket.socket(fileno=handle)
    os.environ[PARENT] = str(os.getpid())  # ipykernel reads it when it is imported
    import_all()
    gc.collect()
    gc.freeze()  # keeps memory shared: garbage collection does not write to it
    request = Forks(listener).serve()
    if request is not None:  # this is the kernel
        _become_kernel(request)


def import_all() -> None:
    """Import what notebooks use: segkit's analyses, and the libraries that these load if called."""
    import pkgutil

    # As a kernel does before matplotlib is imported.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    import segkit

    names = [module.name for module in pkgutil.walk_packages(segkit.__path__, "segkit.")]
    mine = [name for name in names if name.split(".")[1] not in FACES]
    for name in (*LIBRARIES, *mine, "segkit.runner.notebook", "segkit.runner.opening"):
        with contextlib.suppress(Exception):  # an extra that is not installed is not needed here
            importlib.import_module(name)


def threads() -> list[str]:
    """List the threads of this process that make a fork unsafe."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) != os.getpid():
            with contextlib.suppress(OSError):  # it has just ended
                names.append((task / "comm").read_text(encoding="ascii").strip())
    return [name for name in names if name not in HARMLESS]


class Forks:
    """Server that forks a kernel for each connection, and reports how it ended.

    Parameters
    ----------
    listener : socket.socket
        Where those who want a kernel connect.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._kernels: dict[int, socket.socket] = {}
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector = selectors.DefaultSelector()
        for source in (sys.stdin, listener, self._wake):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any] | None:
        """Serve requests; return the request in a new kernel, None when standard input closes."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    for pid in self._kernels:
                        end_group(pid)
                    return None
                if key.fileobj is self._listener:
                    request = self._fork(self._listener.accept()[0])
                    if request is not None:
                        return request
                elif key.fileobj is self._wake:
                    self._wake.recv(4096)
                    self._report_ends()
                elif key.data in self._kernels:  # whoever asked for it has gone
                    end_group(key.data)
                    self._selector.unregister(key.fileobj)

    def _fork(self, line: socket.socket) -> dict[str, Any] | None:
        """Fork a kernel if that is safe; return the request in the kernel, None in this process."""
        request, errors = _read(line)
        if request is None or threads():
            line.close()
            if errors:
                os.close(errors)
            return None
        nursery = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid:
            os.close(errors)
            self._kernels[pid] = line
            self._selector.register(line, selectors.EVENT_READ, pid)
            return None
        self._forget()
        os.setsid()
        request["parent"] = nursery
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        for place in (1, 2):
            os.dup2(errors, place)
        os.close(errors)
        line.sendall(json.dumps({"pid": os.getpid()}).encode())
        line.close()
        return request

    def _forget(self) -> None:
        """Close, in a kernel, handles of the process that it was forked from."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for other in (self._listener, self._wake, self._waker, *self._kernels.values()):
            other.close()

    def _report_ends(self) -> None:
        while self._kernels:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            end = {"code": os.waitstatus_to_exitcode(status), "peak": used.ru_maxrss * 1024}
            line = self._kernels.pop(pid)
            with contextlib.suppress(KeyError):  # whoever asked for it had gone
                self._selector.unregister(line)
            with contextlib.suppress(OSError):
                line.sendall(json.dumps(end).encode())
            line.close()


def _read(line: socket.socket) -> tuple[dict[str, Any] | None, int]:
    """Read a request and the handle for the kernel's output; None where the connection breaks."""
    handles: list[int] = []
    try:
        line.settimeout(10)
        header, handles, _, _ = socket.recv_fds(line, HEADER, 1)
        missing, text = int(header), b""
        while part := line.recv(missing - len(text)):
            text += part
        return json.loads(text), handles[0]
    except (OSError, ValueError, IndexError):
        return None, handles[0] if handles else 0


def _become_kernel(request: Mapping[str, Any]) -> None:
    import numpy as np

    os.environ.clear()
    os.environ.update({**request["environment"], PARENT: str(request["parent"])})
    if sys.path and sys.path[0] in ("", str(Path.cwd())):
        del sys.path[0]  # as ipykernel's launcher does
    if request["folder"]:
        os.chdir(request["folder"])
    np.random.seed(None)  # noqa: NPY002 - else every kernel would draw the same
    spec = importlib.util.find_spec(LAUNCHER)
    sys.argv = [str(spec and spec.origin), *request["words"]]
    from ipykernel.kernelapp import launch_new_instance

    if os.getppid() != request["parent"]:  # it was ended before this kernel could watch it
        os._exit(1)
    launch_new_instance()


if __name__ == "__main__":
    main(int(sys.argv[1]))
