"""Sinks of triggers: files exactly once; webhooks and Kafka at least once, under the same key."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import polars as pl

from segkit.errors import RunError, WriteError
from segkit.live.triggers.sources import load_kafka
from segkit.webhook import Webhook
from segkit.writing import private_folder, write_frame

__all__ = ["JsonLinesSink", "KafkaSink", "ParquetSink", "WebhookSink"]

SCHEMA: dict[str, Any] = {
    "key": pl.String, "kind": pl.String, "customer_id": pl.String, "rule": pl.String,
    "version": pl.Int64, "occasion": pl.String, "time": pl.String, "segment": pl.String,
    "previous_segment": pl.String, "action": pl.String, "channel": pl.String, "reason": pl.String,
}  # fmt: skip


class Delivery(NamedTuple):
    """How many outputs a sink took, where it stands now, and why it took no more."""

    taken: int
    mark: Any
    trouble: str = ""


class Sink(Protocol):
    """Takes outputs in their order; they are handed again unless it says that it has them."""

    name: str

    def deliver(self, first: int, bodies: Sequence[str], mark: Any) -> Delivery:
        """Take outputs as JSON; ``first`` is the place of the first, ``mark`` the sink's own."""


FOREIGN = (
    "it is there already, and these triggers' state knows nothing of it; move it away, or write "
    "elsewhere"
)


class JsonLinesSink:
    """A file with one output per line, each exactly once.

    The state keeps how long the file is; what a killed process wrote beyond is cut off and
    written again. A file that holds something before the first output is refused.

    Parameters
    ----------
    path : path
        Readable by its owner alone.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.name = f"jsonl:{self.path.resolve()}"

    def begin(self, first: int) -> int:  # noqa: ARG002
        """Return the mark of a new file; refuse one that holds what is not of these triggers."""
        if self.path.is_file() and self.path.stat().st_size:
            raise WriteError(None, FOREIGN, str(self.path))
        return 0

    def deliver(self, first: int, bodies: Sequence[str], mark: Any) -> Delivery:
        """Append lines after the known end, and wait until the disk has them."""
        length = self.begin(first) if mark is None else mark
        try:
            private_folder(self.path.parent)
            self.path.touch(0o600)
            _check_length(self.path, length)
            with self.path.open("r+b") as handle:
                handle.truncate(length)
                handle.seek(length)
                handle.write("".join(f"{body}\n" for body in bodies).encode())
                handle.flush()
                os.fsync(handle.fileno())
                return Delivery(len(bodies), handle.tell())
        except WriteError:
            raise
        except OSError as error:
            why = f"{error.strerror or error}; nothing is lost, the next run writes it"
            raise WriteError(error.errno, why, str(self.path)) from error


def _check_length(path: Path, length: int) -> None:
    if (size := path.stat().st_size) < length:
        why = f"it has {size} bytes, of the {length} written; put it back, or begin another folder"
        raise WriteError(None, why, str(path))


class ParquetSink:
    """A folder of Parquet files, with ``rows`` outputs per file and every output exactly once.

    Which file an output is in follows from its place, so that a file written again is the same.

    Parameters
    ----------
    folder : path
    rows : int
        Outputs in one file.
    """

    def __init__(self, folder: Path | str, *, rows: int = 10_000) -> None:
        self.folder, self.rows = Path(folder), rows
        self.name = f"parquet:{self.folder.resolve()}"

    def begin(self, first: int) -> int:
        """Return the mark of a new folder; refuse one with parts that are not of these triggers."""
        if earlier := sorted(self.folder.glob("part-*.parquet")):
            raise WriteError(None, FOREIGN, str(earlier[0]))
        return first

    def deliver(self, first: int, bodies: Sequence[str], mark: Any) -> Delivery:
        """Write the files that these outputs are in, each whole or not at all."""
        begun = self.begin(first) if mark is None else mark  # later, where it was added later
        place = first - begun
        frame = pl.DataFrame([json.loads(body) for body in bodies], schema=SCHEMA)
        private_folder(self.folder)
        if rest := place % self.rows:
            path = self._path(place)
            earlier = pl.read_parquet(path) if path.is_file() else pl.DataFrame(schema=SCHEMA)
            if earlier.height < rest:
                why = "it lacks outputs that were written to it; put it back"
                raise WriteError(None, why, str(path))
            frame = pl.concat([earlier.head(rest), frame])
        for start in range(0, frame.height, self.rows):
            path = self._path(place + start)
            write_frame(frame.slice(start, self.rows), path, private=True)
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
        return Delivery(len(bodies), begun)

    def _path(self, place: int) -> Path:
        return self.folder / f"part-{place // self.rows:06d}.parquet"


class WebhookSink:
    """A web address that gets each output as a POST of JSON, at least once.

    The header ``Idempotency-Key`` holds the output's key: a receiver that has seen it does nothing.
    While the address fails, or its answer is not a success (redirects included), outputs wait in
    the state in their order. One output that is never accepted holds back all later ones.

    Parameters
    ----------
    url : str
    kinds : sequence of str
        Kinds of outputs that are sent.
    headers : mapping of str to str, optional
    timeout : float
        Seconds for one answer.
    tries : int
        Attempts on one output before the rest waits for the next batch.
    """

    def __init__(
        self,
        url: str,
        *,
        kinds: Sequence[str] = ("action", "segment"),
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        tries: int = 3,
    ) -> None:
        self.hook = Webhook(url, headers=headers, timeout=timeout)
        self.kinds, self.tries = tuple(kinds), tries
        self.name = f"webhook:{self.hook.host}:{sha256(url.encode()).hexdigest()[:8]}"

    def deliver(self, first: int, bodies: Sequence[str], mark: Any) -> Delivery:  # noqa: ARG002
        """Send outputs one after the other, up to the first that is not taken."""
        for place, body in enumerate(bodies):
            record = json.loads(body)
            key = record["key"]
            if record["kind"] in self.kinds and (trouble := self._send(body, key)):
                waiting = f"output {key} and all after it wait until it is taken"
                return Delivery(place, None, f"{trouble}; {waiting}")
        return Delivery(len(bodies), None)

    def _send(self, body: str, key: str) -> str:
        trouble = ""
        for attempt in range(self.tries):
            if attempt:
                time.sleep(min(0.2 * 2**attempt, 5.0))
            try:
                self.hook.post(body, **{"Idempotency-Key": key})
            except RunError as error:
                trouble = str(error)
            else:
                return ""
        return trouble


class KafkaSink:
    """A topic that gets each output at least once; the message's key is the customer.

    The header ``idempotency-key`` holds the output's key.

    Parameters
    ----------
    servers, topic : str
    timeout : float
        Seconds to wait for the broker's confirmation; unconfirmed outputs wait for the next batch.
    **options
        Further options of librdkafka, with underscores for dots.
    """

    def __init__(self, servers: str, topic: str, *, timeout: float = 30.0, **options: Any) -> None:
        settings = {name.replace("_", "."): value for name, value in options.items()}
        settings = {"bootstrap.servers": servers, "enable.idempotence": True, **settings}
        self.producer = load_kafka().Producer(
            {"message.timeout.ms": round(timeout * 1000), **settings}
        )
        self.topic, self.timeout = topic, timeout
        self.name = f"kafka:{','.join(sorted(servers.split(',')))}/{topic}"

    def deliver(self, first: int, bodies: Sequence[str], mark: Any) -> Delivery:  # noqa: ARG002
        """Produce outputs, and wait for the broker's confirmation of each."""
        failed: dict[int, str] = {}

        def confirm(place: int) -> Any:
            def note(error: Any, message: Any) -> None:  # noqa: ARG001
                if error is not None:
                    failed[place] = error.str()

            return note

        for place, body in enumerate(bodies):
            record = json.loads(body)
            headers = {"idempotency-key": record["key"]}
            customer = record["customer_id"]
            while True:
                try:
                    self.producer.produce(
                        self.topic, body, customer, headers=headers, on_delivery=confirm(place)
                    )
                    break
                except BufferError:  # the queue is full: wait for confirmations
                    self.producer.poll(0.1)
        if self.producer.flush(self.timeout + 1.0):
            return Delivery(0, None, f"{self.topic}: the broker confirms nothing")
        taken = min(failed, default=len(bodies))
        return Delivery(taken, None, f"{self.topic}: {failed[taken]}" if failed else "")
