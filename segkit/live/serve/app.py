"""Scoring service over HTTP: routes, roles, limits, metrics and logs, and its start."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from segkit import __version__
from segkit.errors import ParameterError, SegkitError
from segkit.live.serve.bodies import FieldError, Loc, read_customer, read_json_body
from segkit.live.serve.keys import Keys, Role
from segkit.live.serve.models import ServedModel, load_models, read_places, reload_models
from segkit.live.serve.openapi import DESCRIPTION, OPERATIONS
from segkit.writing import WINDOWS

KPI_PAGE = "kpis.html"  # what a run writes it as
MAX_BODY = 8 * 2**20  # bytes
MAX_CUSTOMERS = 10_000  # of one batch
MAX_ROWS = 20_000  # orders and events of all its customers
MAX_DAYS = 31  # different as_of of its customers, each of which costs a table of features
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# Names under which this machine is asked for, where there are no keys: a web page that a browser
# on it has open cannot pretend to be one.
LOCAL = frozenset({b"127.0.0.1", b"localhost", b"[::1]"})
PAGE = Path(__file__).with_name("docs.html")
POLICY = "default-src 'self' data: 'unsafe-inline'; frame-ancestors 'none'"
log = logging.getLogger("segkit.serve")

Handler = Callable[[Request], Awaitable[Response]]


class Refusal(Exception):  # noqa: N818 - an answer, not an error of the service
    """A request that is answered with a status of its own."""

    def __init__(
        self, status: int, message: str, headers: dict[str, str] | None = None, loc: Loc = ()
    ) -> None:
        super().__init__(message)
        self.status, self.headers, self.loc = status, headers or {}, loc


class Service:
    """Models in memory, the keys, and what is counted.

    Parameters
    ----------
    places : dict of str to Path
        Each model's file or folder.
    keys : path, optional
        Keys file; without one, only requests to this machine's own names are answered.
    kpi_page : path, optional
        HTML page of the last batch, served as it is; by default the newest ``kpis.html`` in the
        runs' folders.
    max_body : int
        Bytes of a body.
    max_rows : int
        Orders and events of all customers of a request.
    """

    def __init__(
        self,
        places: dict[str, Path],
        *,
        keys: Path | None = None,
        kpi_page: Path | None = None,
        max_body: int = MAX_BODY,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self.places, self.keys_file, self.kpi_page = places, keys, kpi_page
        self.max_body, self.max_rows = max_body, max_rows
        self.keys = None if keys is None else Keys.load(keys)
        self.models = load_models(places)
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        self.requests = counter(
            "segkit_requests", "Requests by route and status", ("route", "status")
        )
        self.assigned = counter(
            "segkit_assigned_customers", "Customers assigned", ("model", "segment")
        )
        self.unlike = counter("segkit_unlike_customers", "Customers unlike any segment", ("model",))
        self.reloads = counter("segkit_reloads", "Models read again", ("outcome",))
        about = "Seconds from the request to its answer"
        self.seconds = Histogram(
            "segkit_request_seconds", about, ("route",), buckets=BUCKETS, registry=self.registry
        )
        labels = ("model", "model_version", "data_hash")
        self.loaded = Gauge("segkit_model", "Models in service", labels, registry=self.registry)
        self._children: dict[Any, Any] = {}
        self._reloading = asyncio.Lock()
        self._show_models()

    def _show_models(self) -> None:
        self.loaded.clear()
        for model in self.models.values():
            labels = (model.name, model.version["model_version"], model.version["data_hash"] or "")
            self.loaded.labels(*labels).set(1)

    def count(self, metric: Any, *labels: str) -> Any:
        """Return a metric's child for these labels; looked up once."""
        key = (metric, labels)
        if key not in self._children:
            self._children[key] = metric.labels(*labels)
        return self._children[key]

    def check(self, role: Role | None, request: Request) -> None:
        """Refuse a request without a key of the role, or that another site's page sends.

        Raises
        ------
        Refusal
        """
        headers = dict(request.scope["headers"])
        if self.keys is None:
            host = headers.get(b"host", b"")
            name = host if host.endswith(b"]") else host.rpartition(b":")[0] or host
            if name not in LOCAL:
                raise Refusal(403, "without keys only this machine is served; see segkit serve-key")
        if request.scope["method"] == "POST" and _is_foreign(headers):
            raise Refusal(403, "a page of another site sent this; only the service's own may")
        if self.keys is None or role is None:
            return
        key = self.keys.find(headers.get(b"authorization"))
        if key is None:
            # A browser asks for the key of a page that it opens, not of a request from a page.
            page = request.scope["path"] == "/kpi"
            ask = {"WWW-Authenticate": 'Basic realm="segkit"' if page else "Bearer"}
            raise Refusal(401, "an API key is needed: Authorization: Bearer KEY", ask)
        if role not in key.roles:
            raise Refusal(403, f"the key {key.name!r} lacks the role {role!r}")

    def find_model(self, request: Request) -> ServedModel:
        """Return the model that the query names; without one the first."""
        query = request.scope["query_string"]
        if not query:
            return next(iter(self.models.values()))
        names = parse_qs(query.decode("latin-1")).get("model", [next(iter(self.models))])
        if names[0] not in self.models:
            listed = ", ".join(self.models)
            raise Refusal(404, f"no such model. Available: {listed}", loc=("query", "model"))
        return self.models[names[0]]

    async def read_body(self, request: Request) -> bytes:
        """Read the body, up to the limit of its size.

        Raises
        ------
        Refusal
            413, as soon as the size is known to be too much.
        """
        size = next((v for k, v in request.scope["headers"] if k == b"content-length"), b"0")
        if int(size) > self.max_body:
            raise self._too_large()
        parts, length, more = [], 0, True
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            length += len(parts[-1])
            if length > self.max_body:
                raise self._too_large()
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> Refusal:
        message = f"the body is larger than {self.max_body:,} bytes"
        return Refusal(413, message, {"Connection": "close"})

    async def assign(self, request: Request) -> Response:
        """Assign one customer."""
        model = self.find_model(request)
        customer = read_customer(read_json_body(await self.read_body(request)))
        if customer.features is not None and model.row is not None:
            answer = model.assign(customer)
        else:
            answer = await run_in_threadpool(model.assign, customer)
        self._count_segment(model, answer)
        return _json(answer)

    async def assign_batch(self, request: Request) -> Response:
        """Assign several customers; one wrong field refuses them all."""
        model = self.find_model(request)
        data = read_json_body(await self.read_body(request))
        for name in data:
            if name != "customers":
                raise FieldError((name,), "unknown; expected customers")
        listed = data.get("customers")
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_CUSTOMERS:
            message = f"expected a list of 1 to {MAX_CUSTOMERS:,} customers"
            raise FieldError(("customers",), message)

        def work() -> list[dict[str, Any]]:
            read = [read_customer(one, ("customers", place)) for place, one in enumerate(listed)]
            if sum(len(one.orders or ()) + len(one.events or ()) for one in read) > self.max_rows:
                message = f"orders and events of a request are at most {self.max_rows:,}, got more"
                raise FieldError(("customers",), message)
            if len({one.as_of for one in read if one.as_of is not None}) > MAX_DAYS:
                raise FieldError(("customers",), f"expected up to {MAX_DAYS} different as_of")
            return model.assign_all(read)

        answers = await run_in_threadpool(work)
        for answer in answers:
            self._count_segment(model, answer)
        return _json(model.version | {"customers": answers})

    def _count_segment(self, model: ServedModel, answer: dict[str, Any]) -> None:
        self.count(self.assigned, model.name, answer["segment"] or "none").inc()
        if answer["unlike_any"]:
            self.count(self.unlike, model.name).inc()

    async def list_segments(self, request: Request) -> Response:
        """Return a model's segments."""
        model = self.find_model(request)
        return _json(model.version | {"segments": model.list_segments()})

    async def describe_model(self, request: Request) -> Response:
        """Return what a model is and needs."""
        return _json(self.find_model(request).describe() | {"models": list(self.models)})

    async def health(self, _: Request) -> Response:
        """Say that the service answers."""
        return _json({"status": "ok", "segkit_version": __version__, "models": len(self.models)})

    async def metrics(self, _: Request) -> Response:
        """Return what was counted, as Prometheus reads it."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    async def show_kpis(self, _: Request) -> Response:
        """Return the page of the last batch."""
        content = await run_in_threadpool(self._read_kpis)
        if content is None:
            raise Refusal(404, f"no run has written {KPI_PAGE} yet; a page elsewhere: --kpi FILE")
        return _html(content)

    def _read_kpis(self) -> bytes | None:
        runs = [place for place in self.places.values() if place.is_dir()]
        pages = [page for run in runs for page in run.rglob(KPI_PAGE)]
        pages = pages if self.kpi_page is None else [self.kpi_page]
        present = [page for page in pages if page.is_file()]
        newest = max(present, key=lambda page: page.stat().st_mtime, default=None)
        return None if newest is None else newest.read_bytes()

    async def reload(self, _: Request) -> Response:
        """Read models and keys again; what cannot be read stays as it was, and the answer says why.

        Requests under way keep the model that they began with.
        """
        async with self._reloading:
            refused = {}
            # Keys come first: one that was taken back is refused whatever befalls the models.
            if self.keys_file is not None:
                try:
                    self.keys = Keys.load(self.keys_file)
                except SegkitError as error:
                    refused[self.keys_file.name] = str(error)
            models, kept = await run_in_threadpool(reload_models, self.places, self.models)
            kept |= refused
            self.models = models
            self._show_models()
        for name in self.places:
            self.count(self.reloads, "kept" if name in kept else "replaced").inc()
        log.info("reload: %d of %d read", len(self.places) - len(kept), len(self.places))
        for name, why in kept.items():
            log.warning("reload: %s stays as it was: %s", name, why)
        answer = {"models": [model.version for model in models.values()], "kept": kept}
        return _json(answer, 409 if kept else 200)

    def wrap(self, route: str, role: Role | None, handler: Handler) -> Handler:
        """Return a handler that checks the key, answers errors in words, counts and logs.

        Nothing that a client sent is logged: not the address, the query, the body or an error's
        words, which may quote it.
        """
        timed = self.count(self.seconds, route)

        async def endpoint(request: Request) -> Response:
            started = perf_counter()
            try:
                self.check(role, request)
                response = await handler(request)
            except FieldError as error:
                response = _refuse(422, str(error), ("body", *error.loc))
            except Refusal as error:
                log.warning("%s refused with %d", route, error.status)
                response = _refuse(error.status, str(error), error.loc, error.headers)
            except SegkitError as error:
                response = _refuse(422, str(error), ("body",))
            except ClientDisconnect:
                response = Response(status_code=499)
            except Exception as error:  # noqa: BLE001 - the traceback may quote personal data
                log.error("%s failed: %s", route, _place(error))  # noqa: TRY400
                response = _refuse(500, "an error that was not foreseen; the log says where", ())
            timed.observe(perf_counter() - started)
            self.count(self.requests, route, str(response.status_code)).inc()
            return response

        return endpoint


def build_app(service: Service) -> FastAPI:
    """Return the FastAPI application of a service."""
    app = FastAPI(
        title="segkit", version=__version__, description=DESCRIPTION, openapi_url=None
    )  # without its address FastAPI serves neither description nor pages of its own
    handlers: dict[str, tuple[Role | None, Handler]] = {
        "/assign": ("assign", service.assign),
        "/assign/batch": ("assign", service.assign_batch),
        "/segments": ("read", service.list_segments),
        "/model": ("read", service.describe_model),
        "/kpi": ("read", service.show_kpis),
        "/metrics": ("read", service.metrics),
        "/health": (None, service.health),
        "/reload": ("reload", service.reload),
    }
    plain = []
    for route, (role, handler) in handlers.items():
        operation, endpoint = OPERATIONS[route], service.wrap(route, role, handler)
        app.add_api_route(
            route,
            endpoint,
            methods=[operation["method"]],
            name=handler.__name__,
            summary=operation["summary"],
            description=operation["description"],
            openapi_extra=operation["extra"],
            responses=operation["responses"],
            response_model=None,
        )
        plain.append(Route(route, endpoint, methods=[operation["method"]]))
    # FastAPI describes the routes; as plain ones of Starlette they are answered in a third less
    # time, since bodies are read and checked here.
    app.router.routes[:0] = plain

    async def show_docs(_: Request) -> Response:
        return _html(PAGE.read_bytes())

    async def show_description(_: Request) -> Response:
        return _json(app.openapi())

    pages = {"/": show_docs, "/docs": show_docs, "/openapi.json": show_description}
    for route, show in pages.items():
        endpoint = service.wrap(route if route != "/" else "/docs", None, show)
        app.router.routes.append(Route(route, endpoint, methods=["GET"]))
    return app


def _is_foreign(headers: dict[bytes, bytes]) -> bool:
    """Whether a browser says that another site's page sent the request; programs say nothing."""
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        return site not in (b"same-origin", b"none")
    return origin is not None and origin.partition(b"://")[2] != headers.get(b"host")


def _json(data: Any, status: int = 200) -> Response:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def _html(content: bytes) -> Response:
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(content, headers=headers, media_type="text/html")


def _refuse(status: int, message: str, loc: Loc, headers: dict[str, str] | None = None) -> Response:
    """Answer as FastAPI does for an invalid request: where, and what is wrong there.

    In ASCII, which any text of a client can be written in.
    """
    text = json.dumps({"detail": [{"loc": list(loc), "msg": message}]})
    response = Response(text, status, media_type="application/json")
    response.headers.update(headers or {})
    return response


def _place(error: Exception) -> str:
    """Return an error's type and where it was raised, without its words."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = (
        "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    )
    return f"{type(error).__name__} at {where}"


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
