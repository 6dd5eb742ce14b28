"""Do triggers lose or double anything when their process is killed (kill -9)?

A log of customers over 60 days, with late, repeated and malformed events, is run through triggers
with timers, dwell time and cool-down. At a random one of the calls of Python and C functions that
the undisturbed run makes, the process is killed; a second one goes on. Compared with the
undisturbed run: all rows of the state, the bytes of the JSON Lines and Parquet files, and the set
of keys that a webhook and a Kafka topic got (they may get one twice).
"""

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl

from segkit.live import (
    JsonLinesSink,
    JsonLinesSource,
    KafkaSink,
    ParquetSink,
    TriggerRules,
    WebhookSink,
    run_triggers,
)
from tests.studies._study import arguments, publish

RULES = """
version = 1
lateness = "2 hours"
[values]
views = { count = "product_view", within = "7 days" }
cart = { since = "cart_add", unless = ["checkout"], unit = "hours" }
visit = { since = "site_visit" }
spent = { sum = "amount", of = "order", within = "30 days" }
[[rules]]
name = "Cart left"
enter = "cart >= 2 and cart < 24"
action = "remind"
cool_down = "3 days"
[[rules]]
name = "Browsing"
enter = "views >= 3"
leave = "views <= 1"
dwell = "1 hour"
segment = "Browsing"
action = "offer"
priority = 1
[[rules]]
name = "Quiet"
enter = "visit >= 10"
segment = "Quiet"
priority = 2
[[rules]]
name = "Spender"
enter = "spent >= 100"
leave = "spent < 60"
segment = "Spender"
priority = 3
"""
KINDS = ("product_view", "product_view", "site_visit", "cart_add", "checkout", "order")
BATCH = 50


def made_log(path: Path, *, customers: int, seed: int = 3) -> Path:
    """Write a log with disorder, repeats and lines that cannot be read."""
    draw = random.Random(seed)  # noqa: S311 - a log of a study
    lines: list[tuple[float, str]] = []
    for number in range(customers * 25):
        hours = draw.uniform(0, 24 * 60)
        time = datetime(2025, 1, 1) + timedelta(hours=hours)
        record = {
            "event_id": number,
            "customer_id": f"C{draw.randrange(customers)}",
            "event_time": time.isoformat(),
            "event_type": draw.choice(KINDS),
            "amount": round(draw.uniform(5, 90), 2),
        }
        line = json.dumps(record)
        times = 1 + (draw.random() < 0.1)
        lines.extend((hours + draw.uniform(0, 2.1), line) for _ in range(times))
        if draw.random() < 0.02:
            lines.append((hours, line[:-9]))
    path.write_text("".join(f"{line}\n" for _, line in sorted(lines)), encoding="utf-8")
    return path


class Keys(BaseHTTPRequestHandler):
    """Web address that notes the key of every request under its path."""

    got: dict[str, list[str]] = {}  # noqa: RUF012

    def do_POST(self) -> None:
        """Take one output."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.got.setdefault(self.path, []).append(self.headers["Idempotency-Key"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@contextmanager
def key_server() -> Iterator[str]:
    """Serve `Keys`, and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(log: Path, out: Path, hook: str, servers: str) -> None:
    """Run the triggers with every sink."""
    sinks: list[Any] = [
        JsonLinesSink(out / "outputs.jsonl"),
        ParquetSink(out / "parts", rows=20),
        WebhookSink(f"{hook}/{out.name}"),
    ]
    if servers:
        sinks.append(KafkaSink(servers, out.name, timeout=10.0))
    rules = TriggerRules.parse(RULES)
    run_triggers(rules, JsonLinesSource(log), out=out, sinks=sinks, batch=BATCH)


def run_until(call: int, count: Any, *parts: Any) -> None:
    """Run in this process, and kill it at a call; count the calls otherwise."""
    seen = 0

    def watch(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == call:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    run(*parts)
    sys.setprofile(None)
    count.value = seen


def state_of(out: Path) -> list[Any]:
    """Return all rows of the state, apart from the names of sinks, which hold the folder's."""
    base = sqlite3.connect(out / "state.sqlite")
    rows: list[Any] = [
        base.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
        for table in ("customers", "waiting")
    ]
    about = dict(base.execute("SELECT * FROM about"))
    base.close()
    cursors = list(json.loads(about.pop("cursors")).values())
    return [*rows, about, sorted(place for place, _ in cursors)]


def files_of(folder: Path) -> list[bytes]:
    """Return the bytes of every file of a folder."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def topic_keys(servers: str, topic: str) -> set[str]:
    """Return the keys of all messages in a topic."""
    import confluent_kafka as kafka

    reader = kafka.Consumer({"bootstrap.servers": servers, "group.id": "check",
                             "enable.partition.eof": True})  # fmt: skip
    partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
    reader.assign([kafka.TopicPartition(topic, one, 0) for one in partitions])
    keys, ended = set(), 0
    while ended < len(partitions):
        for message in reader.consume(500, timeout=1.0):
            error = message.error()
            if error is None:
                headers: dict[str, Any] = dict(message.headers() or [])
                keys.add(headers["idempotency-key"].decode())
            elif error.code() == kafka.KafkaError._PARTITION_EOF:
                ended += 1
    reader.close()
    return keys


def kill_and_compare(
    folder: Path, *, kills: int, seed: int, customers: int, servers: str = ""
) -> list[dict[str, Any]]:
    """Kill a run at random calls, let another end it, and compare with an undisturbed one."""
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["tests.studies.study_trigger_kills", "segkit.intake.dates"])
    log = made_log(folder / "events.jsonl", customers=customers)
    draw = random.Random(seed)  # noqa: S311 - places of a study
    rows = []

    def in_child(call: int, out: Path) -> tuple[int, int]:
        count = fork.Value("q", 0)
        child = fork.Process(target=run_until, args=(call, count, log, out, hook, servers))
        child.start()
        child.join()
        return int(child.exitcode or 0), count.value

    with key_server() as hook:
        whole = folder / "whole"
        _, calls = in_child(0, whole)
        state, parts = state_of(whole), files_of(whole / "parts")
        lines = (whole / "outputs.jsonl").read_bytes()
        keys = {json.loads(line)["key"] for line in lines.splitlines()}
        sent = set(Keys.got["/whole"])
        for number in range(kills):
            out = folder / f"kill{number}"
            call = draw.randrange(1, calls)
            code, _ = in_child(call, out)
            run(log, out, hook, servers)
            got = Keys.got[f"/{out.name}"]
            row = {
                "kill": number,
                "call": call,
                "calls": calls,
                "killed": code == -signal.SIGKILL,
                "state": state_of(out) == state,
                "jsonl": (out / "outputs.jsonl").read_bytes() == lines,
                "parquet": files_of(out / "parts") == parts,
                "webhook_keys": set(got) == sent,
                "webhook_twice": len(got) - len(set(got)),
            }
            if servers:
                row["kafka_keys"] = topic_keys(servers, out.name) == keys
            rows.append(row)
    return rows


def summed(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return the kills by the tenth of the run in which they came."""
    frame = pl.DataFrame(rows).with_columns(
        run_tenth=(10 * pl.col("call") // pl.col("calls")) + 1, kills=1
    )
    columns = [name for name in frame.columns if name not in ("kill", "call", "calls")]
    return (
        frame.select(columns)
        .group_by("run_tenth")
        .agg(pl.all().sum())
        .sort("run_tenth")
        .select("run_tenth", "kills", pl.all().exclude("run_tenth", "kills"))
    )


def main() -> None:
    """Run the study and publish its table."""
    options = arguments(__doc__, seeds=200, thin=5)
    import confluent_kafka as kafka

    cluster = kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock"})
    broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    with tempfile.TemporaryDirectory() as folder:
        rows = kill_and_compare(
            Path(folder), kills=options.seeds, seed=0, customers=20,
            servers=f"{broker.host}:{broker.port}",
        )  # fmt: skip
    note = (
        "kills by the tenth of the run in which they came; the columns count the kills after which "
        "each is as in the undisturbed run; webhook_twice: requests under a key that was there"
    )
    publish(summed(rows), "trigger_kills", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
