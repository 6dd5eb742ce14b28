"""How does the work go, for a scheduler: ``status.json``, and a log of one event a line."""

from __future__ import annotations

import json
import os
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segkit.runner.manifest import write_json

STATUS, LOG = "status.json", "log.jsonl"
LONGEST_LOG = 2**22  # bytes; a longer log is put aside as log.1.jsonl, the older one goes
SCHEMA = 2


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Journal:
    """Keeps a run's or a batch's state, and appends what happens to its log.

    Both are for whoever watches. Should the disk be full or the folder not writable, the work
    goes on without them: what counts is in ``manifest.json`` and ``run.json``.

    Parameters
    ----------
    folder : pathlib.Path
        Where both files are written.
    name : str
        The run's or the batch's name.
    parts : str
        What the work is made of: "notebooks" or "markets".
    total : int
        How many of them there are.
    """

    def __init__(self, folder: Path, name: str, parts: str, total: int) -> None:
        self._folder = folder
        self._parts = parts
        self._lock = threading.Lock()
        self.state: dict[str, Any] = {
            "schema": SCHEMA,
            "run": name,
            "state": "running",
            "exit_code": None,
            "message": "",
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": now(),
            "updated": "",
            "finished": None,
            "done": 0,
            "total": total,
            "now": [],
            parts: {},
        }
        self._keep_short()
        self.log("start", total=total, pid=os.getpid())

    def begin(self, part: str) -> None:
        """Record that a notebook or market has begun."""
        with self._lock:
            self.state["now"] = [*self.state["now"], part]
        self.log("begin", part=part)

    def end(self, part: str, status: str, **detail: Any) -> None:
        """Record how a notebook or market ended; what is empty is left out."""
        with self._lock:
            self.state["now"] = [other for other in self.state["now"] if other != part]
            self.state[self._parts][part] = status
            self.state["done"] = len(self.state[self._parts])
        self.log("end", part=part, status=status, **detail)

    def close(self, state: str, exit_code: int, message: str = "") -> None:
        """Record how the whole ended."""
        with self._lock:
            self.state |= {"state": state, "exit_code": exit_code, "message": message}
            self.state |= {"finished": now(), "now": []}
        self.log("finish", state=state, exit_code=exit_code, message=message)

    def log(self, event: str, **detail: Any) -> None:
        """Append one event to the log, and bring the state up to date."""
        known = {name: value for name, value in detail.items() if value not in ("", None)}
        row = {"time": now(), "run": self.state["run"], "event": event, **known}
        with self._lock:
            self.state["updated"] = row["time"]
            try:
                # One write to a file opened for appending: lines of two processes never mix.
                with (self._folder / LOG).open("ab") as log:
                    log.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                write_json(self._folder / STATUS, self.state)
            except OSError:
                return

    def _keep_short(self) -> None:
        log = self._folder / LOG
        try:
            if log.stat().st_size > LONGEST_LOG:
                log.replace(log.with_name("log.1.jsonl"))
        except OSError:
            return
