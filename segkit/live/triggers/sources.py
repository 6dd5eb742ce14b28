"""Sources of events: a log in JSON Lines, a topic in Kafka, and a log written from clean tables."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import polars as pl

from segkit.display import number
from segkit.errors import ParameterError, SourceError
from segkit.frames import takes_frames
from segkit.live.triggers.reading import Message
from segkit.live.triggers.rules import FIELDS
from segkit.writing import private_folder, write_whole

if TYPE_CHECKING:
    from confluent_kafka import Consumer

__all__ = ["JsonLinesSource", "KafkaSource", "write_event_log"]

HEAD = 4096  # bytes of a log by which it is known again


class Source(Protocol):
    """A log of events in one or more lanes, each read in order.

    A customer's events must all be in one lane: in Kafka, customer_id is the message's key.
    """

    def poll(self, limit: int) -> list[Message]:
        """Return the next messages, at most ``limit``; none at the end of the log."""

    def commit(self, positions: Mapping[int, int]) -> None:
        """Tell the log up to where each lane's messages have had their effect."""

    def seek(self, positions: Mapping[int, int]) -> None:
        """Go on from these positions; lanes that are not named begin at their start."""


class JsonLinesSource:
    r"""A log in a file, one JSON object per line, that another process may append to.

    A last line without its end is left until it is complete. Positions are bytes.

    Parameters
    ----------
    path : path

    Raises
    ------
    SourceError
        If there is no such file, or it was replaced: it is shorter than what was read of it, or
        begins differently.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "events.jsonl"
    ...     _ = path.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    ...     [message.body for message in JsonLinesSource(path).poll(10)]
    [b'{"a": 1}', b'{"a": 2}']
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise SourceError(f"there is no log {self.path}")
        self.position = 0
        # Bytes and digest of the beginning that was read, by which a replaced log is known.
        self.head: tuple[int, str] = (0, "")

    def seek(self, positions: Mapping[int, int]) -> None:
        """Go on from a byte of the file."""
        self.position = positions.get(0, 0)
        with self.path.open("rb") as handle:
            self._check(handle)

    def _check(self, handle: BinaryIO) -> None:
        """Refuse a log that is not the one that was read, as far as its beginning shows."""
        size, (length, digest) = os.fstat(handle.fileno()).st_size, self.head
        if self.position > size:
            raise SourceError(
                f"{self.path.name} has {number(size)} bytes, but {number(self.position)} were read "
                "earlier: it is another log, or was cut; give it another folder (--out)"
            )
        if length and _digest(handle, length) != digest:
            raise SourceError(
                f"{self.path.name} does not begin as the log that was read earlier: it is another "
                "log; give it another folder (--out)"
            )

    def poll(self, limit: int) -> list[Message]:
        """Return the next whole lines."""
        messages: list[Message] = []
        try:
            with self.path.open("rb") as handle:
                self._check(handle)
                handle.seek(self.position)
                while len(messages) < limit and (line := handle.readline()).endswith(b"\n"):
                    self.position += len(line)
                    if line.strip():
                        messages.append(Message(0, self.position, line.strip()))
                if self.head[0] < min(self.position, HEAD):
                    length = min(self.position, HEAD)
                    self.head = (length, _digest(handle, length))
        except OSError as error:
            raise SourceError(f"{self.path.name} cannot be read: {error.strerror}") from error
        return messages

    def commit(self, positions: Mapping[int, int]) -> None:
        """Do nothing: a file keeps no positions."""


def _digest(handle: BinaryIO, length: int) -> str:
    handle.seek(0)
    return sha256(handle.read(length)).hexdigest()[:16]


class KafkaSource:
    """A topic in Kafka; every partition is a lane.

    Positions are kept with the state, and committed to the group for others to see.

    Parameters
    ----------
    servers : str
        ``host:port``, several separated by commas.
    topic : str
    group : str
        The consumer group whose offsets are committed.
    patience : float
        Seconds without an answer from any broker after which the run stops; the next one goes on
        where it was.
    **options
        Further options of librdkafka, with underscores for dots.

    Raises
    ------
    SourceError
        If the extra ``kafka`` is not installed, or there is no such topic or broker.
    """

    def __init__(
        self,
        servers: str,
        topic: str,
        *,
        group: str = "segkit",
        patience: float = 60.0,
        **options: Any,
    ) -> None:
        kafka = load_kafka()
        self.topic, self.patience = topic, patience
        settings = {
            "bootstrap.servers": servers,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "logger": _silent(),
            **{name.replace("_", "."): value for name, value in options.items()},
        }
        self.consumer: Consumer = kafka.Consumer(settings)
        self.ends: set[int] = set()
        try:
            metadata = self.consumer.list_topics(topic, timeout=min(patience, 10.0))
        except kafka.KafkaException as error:
            raise SourceError(f"no broker answers at {servers}: {_words(error)}") from None
        self.partitions = sorted(metadata.topics[topic].partitions)
        if metadata.topics[topic].error or not self.partitions:
            names = ", ".join(sorted(metadata.topics)) or "none"
            raise SourceError(f"there is no topic {topic!r} at {servers}; there is: {names}")

    def seek(self, positions: Mapping[int, int]) -> None:
        """Go on from these offsets; other partitions begin at their oldest message."""
        kafka = load_kafka()
        start = []
        for lane in self.partitions:
            # An offset and no "beginning", which is looked up later and then undoes a second seek.
            one = kafka.TopicPartition(self.topic, lane, positions.get(lane, 0))
            try:
                oldest, _ = self.consumer.get_watermark_offsets(one, timeout=self.patience)
            except kafka.KafkaException as error:
                raise SourceError(f"{self.topic} cannot be read: {_words(error)}") from None
            start.append(
                one if lane in positions else kafka.TopicPartition(self.topic, lane, oldest)
            )
        self.ends.clear()
        self.consumer.assign(start)

    def poll(self, limit: int) -> list[Message]:
        """Return the next messages; none once every partition is at its end."""
        kafka = load_kafka()
        silent_since = time.monotonic()
        while True:
            messages = []
            for message in self.consumer.consume(limit, timeout=0.2):
                error = message.error()
                lane = int(message.partition() or 0)
                if error is None:
                    self.ends.discard(lane)
                    after = int(message.offset() or 0) + 1
                    messages.append(Message(lane, after, bytes(message.value() or b"")))
                elif error.code() == kafka.KafkaError._PARTITION_EOF:
                    self.ends.add(lane)
                elif error.code() == kafka.KafkaError._AUTO_OFFSET_RESET:
                    raise SourceError(
                        f"partition {lane} of {self.topic} no longer holds the "
                        "messages that come next: the broker has dropped them before they were "
                        "read. Begin anew in another folder (--out)"
                    )
                elif error.fatal():
                    raise SourceError(f"{self.topic} cannot be read: {error.str()}")
            if messages or self.ends.issuperset(self.partitions):
                return messages
            if time.monotonic() - silent_since > self.patience:
                raise SourceError(
                    f"no broker of {self.topic} has answered for {number(self.patience)} seconds; "
                    "what was read is kept, and the next run goes on from there"
                )

    def commit(self, positions: Mapping[int, int]) -> None:
        """Commit offsets to the group; a broker that is away is told at the next commit."""
        kafka = load_kafka()
        offsets = [kafka.TopicPartition(self.topic, lane, at) for lane, at in positions.items()]
        if offsets:
            self.consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Leave the group."""
        self.consumer.close()


def load_kafka() -> Any:
    """Import confluent-kafka.

    Raises
    ------
    SourceError
        If the extra is not installed.
    """
    try:
        import confluent_kafka
    except ImportError:
        raise SourceError("Kafka needs the extra: pip install 'segkit[kafka]'") from None
    return confluent_kafka


def _silent() -> Any:
    """Return a logger for librdkafka's notes on brokers, which come with every reconnection."""
    import logging

    logger = logging.getLogger("segkit.kafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _words(error: Exception) -> str:
    return str(error.args[0].str()) if error.args and hasattr(error.args[0], "str") else str(error)


def open_events(
    events: Path | str, *, out: Path | str, mapping: Any = None
) -> tuple[JsonLinesSource | KafkaSource, pl.DataFrame | None]:
    """Open the events that a command names; return them, and the customers of raw data.

    Parameters
    ----------
    events : path or str
        A log in JSON Lines (``.jsonl``, ``.ndjson``) without a mapping; a topic as
        ``kafka://host:port/topic``; or raw data, which go through `segkit.clean_data` and are
        written to ``events.jsonl`` in ``out``. Data that have grown since go on where they were.
    out : path
        Folder of the run.
    mapping : Mapping, path or None
        For raw data.

    Raises
    ------
    SourceError
        If there are no such events, or earlier ones have changed since the last run.
    """
    if str(events).startswith("kafka://"):
        servers, _, topic = str(events).removeprefix("kafka://").partition("/")
        if not servers or not topic:
            raise SourceError(f"expected kafka://host:port/topic, got {events}")
        return KafkaSource(servers, topic), None
    path = Path(events)
    if path.is_file() and path.suffix in (".jsonl", ".ndjson") and mapping is None:
        return JsonLinesSource(path), None
    if not path.exists():
        raise SourceError(f"there is no file or folder {path}")
    from segkit.intake import clean_data

    taken = clean_data(path, mapping)
    log = private_folder(Path(out)) / "events.jsonl"
    earlier = log.read_bytes() if log.is_file() else b""
    body = event_lines(taken.tables.get("orders"), taken.tables.get("events")).encode()
    if not body.startswith(earlier):
        raise SourceError(
            f"the events of {path.name} before the end of the last run have changed; give them "
            "another folder (--out)"
        )
    return JsonLinesSource(write_whole(log, body, private=True)), taken.customers


@takes_frames
def write_event_log(
    path: Path | str, orders: pl.DataFrame | None = None, events: pl.DataFrame | None = None
) -> Path:
    """Write clean tables as a log of events in JSON Lines, in order of time.

    An order is one event ``order`` with its amount, returned lines one event ``return`` per order
    number. Every event has an id of its own from its table and row, so that equal rows stay two.
    The file is readable by its owner alone.

    Parameters
    ----------
    path : path
    orders, events : polars.DataFrame, optional
        Clean tables, as `segkit.clean_data` gives them; at least one.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ParameterError
        If neither table is given.
    WriteError
        If the file cannot be written.
    """
    return write_whole(path, event_lines(orders, events), private=True)


def event_lines(orders: pl.DataFrame | None, events: pl.DataFrame | None) -> str:
    """Return the text of a log; see `write_event_log`."""
    tables = (_order_events(orders), _with_id(events, "event"))
    parts = [frame for frame in tables if frame is not None]
    if not parts:
        raise ParameterError("expected orders or events to write a log of, got neither")
    names = ["event_id", "customer_id", "event_time", "event_type", *FIELDS]
    log = pl.concat(parts, how="diagonal").sort("event_time", "event_id")
    log = log.select(name for name in names if name in log.columns).with_columns(
        pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    )
    records = (
        {key: value for key, value in row.items() if value is not None}
        for row in log.iter_rows(named=True)
    )
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)


def _order_events(orders: pl.DataFrame | None) -> pl.DataFrame | None:
    if orders is None:
        return None
    kind = pl.when("is_return").then(pl.lit("return")).otherwise(pl.lit("order"))
    by = ["customer_id", "order_id", "event_type"]
    whole = (
        orders.with_columns(event_type=kind)
        .group_by(by)
        .agg(pl.col("order_time").min().alias("event_time"), pl.col("amount").sum())
    )
    return whole.with_columns(event_id=pl.concat_str("event_type", "order_id", separator=":"))


def _with_id(events: pl.DataFrame | None, name: str) -> pl.DataFrame | None:
    if events is None:
        return None
    row = pl.col("source_row") if "source_row" in events.columns else pl.int_range(pl.len())
    return events.with_columns(event_id=pl.format(name + ":{}", row))
