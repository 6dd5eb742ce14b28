"""Start of the scoring service: its socket, its time limits and its log."""

from __future__ import annotations

import logging
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from segkit.errors import ParameterError
from segkit.live.serve.app import Service, build_app
from segkit.live.serve.models import read_places
from segkit.writing import WINDOWS

LOOPBACK = ("127.0.0.1", "::1", "localhost")
REQUEST_SECONDS = 20.0  # in which a client has to send a request
TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
IDLE_SECONDS = 30  # after which a connection without a request is closed
STOP_SECONDS = 10  # that requests under way have to end in when the service is stopped
CONNECTIONS = 1000  # at once; more are answered with 503


class TimedProtocol(H11Protocol):
    """HTTP/1.1 that gives a client limited time to send a request, head and body."""

    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start the time for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Stop the time when a request is whole, start it when one has begun."""
        super().data_received(data)
        if self._awaits_more():
            if self._timer is None:
                self._timer = self.loop.call_later(REQUEST_SECONDS, self._give_up)
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _awaits_more(self) -> bool:
        """Whether the client still has to send a part of its request."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body

    def _give_up(self) -> None:
        self._timer = None
        if self._awaits_more() and not self.transport.is_closing():
            if self.cycle is None or not self.cycle.response_started:
                self.transport.write(TIMED_OUT)
            self.transport.close()


def run_server(
    models: list[str],
    *,
    host: str,
    port: int,
    keys: Path | None,
    kpi_page: Path | None,
    say: Callable[[str], Any],
) -> None:
    """Serve models until the process is told to stop.

    Parameters
    ----------
    models : list of str
        Model files or folders of runs, each with a name where wanted: NAME=PATH.
    host, port : str, int
        Address; port 0 takes a free one.
    keys, kpi_page : path, optional
        As for `Service`.
    say : callable
        Takes the line that says where the service is.

    Raises
    ------
    SegkitError
        If a model, the keys or the address cannot be served.
    """
    if keys is None and host not in LOOPBACK:
        raise ParameterError(
            f"without keys the service answers this machine alone, not {host}: make a keys file "
            "with segkit serve-key, and give it as --keys"
        )
    service = Service(read_places(models), keys=keys, kpi_page=kpi_page)
    bound = listen(host, port)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("segkit.serve").setLevel(logging.INFO)
    config = uvicorn.Config(
        build_app(service), http=TimedProtocol, ws="none", lifespan="off", access_log=False,
        log_config=None, server_header=False, limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=STOP_SECONDS,
    )  # fmt: skip
    shown = f"[{host}]" if ":" in host else host
    for model in service.models.values():
        say(f"{model.name} {model.version['model_version']}: {model.scorer.text}")
    say(f"http://{shown}:{bound.getsockname()[1]}/docs (Ctrl-C stops it)")
    uvicorn.Server(config).run(sockets=[bound])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one.

    Raises
    ------
    ParameterError
        If the address is in use, or is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the socket says that it is TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if not WINDOWS:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen()  # who reads the address may call at once
    except OSError as error:
        bound.close()
        raise ParameterError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return bound
