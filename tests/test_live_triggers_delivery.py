"""Triggers' logs and sinks where things go wrong: full disks, killed processes, brokers away."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from segkit.errors import ParameterError, SourceError, WriteError
from segkit.live import (
    JsonLinesSink,
    JsonLinesSource,
    KafkaSink,
    KafkaSource,
    ParquetSink,
    TriggerRules,
    WebhookSink,
    run_triggers,
)
from tests.studies.study_trigger_kills import RULES, kill_and_compare, made_log

try:
    import confluent_kafka
except ImportError:  # the extra is missing; everywhere else the tests run
    confluent_kafka = None
needs_kafka = pytest.mark.skipif(
    confluent_kafka is None, reason="the extra kafka is not installed (pip install segkit[kafka])"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Log of 60 customers, and the outputs of an undisturbed run."""
    folder = tmp_path_factory.mktemp("made")
    path = made_log(folder / "events.jsonl", customers=60)
    run_triggers(TriggerRules.parse(RULES), JsonLinesSource(path), out=folder / "out")
    return path, (folder / "out" / "outputs.jsonl").read_bytes()


def keys_of(lines):
    return [json.loads(line)["key"] for line in lines]


@contextmanager
def full_disk(size):
    """Let no file grow beyond some bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [20_000, 70_000, 150_000])
def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, made, size):
    path, expected = made
    rules, out = TriggerRules.parse(RULES), tmp_path / "out"
    sinks = [JsonLinesSink(out / "outputs.jsonl"), ParquetSink(out / "parts", rows=50)]
    options = {"out": out, "sinks": sinks, "batch": 100}
    with full_disk(size), pytest.raises(WriteError, match=r"cannot write .*\.(sqlite|jsonl)"):
        run_triggers(rules, JsonLinesSource(path), **options)
    run_triggers(rules, JsonLinesSource(path), **options)
    assert (out / "outputs.jsonl").read_bytes() == expected


def test_a_file_that_was_cut_is_not_written_on(tmp_path, made):
    path, _ = made
    rules = TriggerRules.parse(RULES)
    source = JsonLinesSource(path)
    run_triggers(rules, source, out=tmp_path)
    (tmp_path / "outputs.jsonl").write_text("")
    with pytest.raises(WriteError, match="put it back"):
        run_triggers(rules, source, out=tmp_path, as_of=date(2026, 1, 1))


def test_a_sink_that_was_left_out_gets_all_when_it_is_back(tmp_path, made):
    path, expected = made
    log = tmp_path / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    rules = TriggerRules.parse(RULES)
    sinks = [JsonLinesSink(tmp_path / f"{name}.jsonl") for name in "ab"]
    for given, part in ((2, 500), (1, 1000), (2, len(lines))):
        log.write_bytes(b"".join(lines[:part]))
        result = run_triggers(rules, JsonLinesSource(log), out=tmp_path, sinks=sinks[:given])
        assert ("b.jsonl is left out" in result.text) == (given == 1)
    assert [(tmp_path / f"{name}.jsonl").read_bytes() for name in "ab"] == [expected] * 2


class Hook(BaseHTTPRequestHandler):
    """Web address that refuses the first requests, and loses the answer to one it has taken."""

    taken: list[tuple[str, str]] = []  # noqa: RUF012
    refuse = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if Hook.refuse > 0:
            Hook.refuse -= 1
            self.send_error(503)
            return
        Hook.taken.append((self.headers["Idempotency-Key"], json.loads(body)["key"]))
        lost = len(Hook.taken) == 5
        self.send_error(500) if lost else self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Write nothing."""


def test_a_webhook_gets_everything_under_the_same_keys(tmp_path, made):
    path, expected = made
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        Hook.refuse = 1
        sink = WebhookSink(f"http://127.0.0.1:{server.server_port}/hook", tries=1)
        rules = TriggerRules.parse(RULES)
        away = WebhookSink("http://127.0.0.1:9", tries=1)
        result = run_triggers(rules, JsonLinesSource(path), out=tmp_path, sinks=[sink, away])
        assert "Not delivered yet: 127.0.0.1:9 is not reached" in result.text
        while result.troubles[:-1]:
            result = run_triggers(rules, JsonLinesSource(path), out=tmp_path, sinks=[sink, away])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    sent = [key for header, key in Hook.taken if header == key]
    wanted = [
        record["key"] for record in map(json.loads, expected.splitlines())
        if record["kind"] in ("segment", "action")
    ]  # fmt: skip
    assert list(dict.fromkeys(sent)) == wanted
    assert len(Hook.taken) == len(wanted) + 1


class Elsewhere(BaseHTTPRequestHandler):
    """Web address that sends on to another, answers what is no HTTP, or refuses one for ever."""

    got: list[tuple[str, str]] = []  # noqa: RUF012

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        Elsewhere.got.append(("POST", self.path))
        if self.path == "/no-http":
            self.wfile.write(b"hello\r\n\r\n")
            return
        self.send_response(422 if self.path == "/never" else 302)
        self.send_header("Location", "/landing")
        self.end_headers()

    def do_GET(self):
        Elsewhere.got.append(("GET", self.path))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Write nothing."""


def test_an_answer_other_than_success_delivers_nothing_and_is_said():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    body = json.dumps({"key": "k1", "kind": "action"})
    try:
        for path, words in (
            ("/sent-on", "answers 302 Found"),
            ("/no-http", "answers what is no HTTP (BadStatusLine)"),
            ("/never", "answers 422 Unprocessable"),
        ):
            sink = WebhookSink(f"http://127.0.0.1:{server.server_port}{path}", tries=1)
            taken, _, trouble = sink.deliver(0, [body, body], None)
            assert taken == 0
            assert words in trouble
            assert "output k1 and all after it wait until it is taken" in trouble
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert Elsewhere.got == [("POST", "/sent-on"), ("POST", "/no-http"), ("POST", "/never")]


def test_sinks_of_one_name_in_two_folders_are_two(tmp_path, made):
    path, expected = made
    rules, source = TriggerRules.parse(RULES), JsonLinesSource(path)
    files = [tmp_path / name / "out.jsonl" for name in "ab"]
    parts = [tmp_path / name / "parts" for name in "ab"]
    sinks = [*map(JsonLinesSink, files), *map(ParquetSink, parts)]
    run_triggers(rules, source, out=tmp_path / "a", sinks=sinks)
    assert [file.read_bytes() for file in files] == [expected] * 2
    assert [(part / "part-000000.parquet").is_file() for part in parts] == [True] * 2
    with pytest.raises(ParameterError, match="expected each sink once"):
        run_triggers(rules, source, out=tmp_path / "a", sinks=[sinks[0], JsonLinesSink(files[0])])
    # The state of a folder that is moved knows the files in it.
    (tmp_path / "a").rename(tmp_path / "moved")
    sinks = [JsonLinesSink(tmp_path / "moved" / "out.jsonl")]
    run_triggers(rules, source, out=tmp_path / "moved", sinks=sinks, as_of=date(2026, 1, 1))
    assert sinks[0].path.read_bytes().startswith(expected)


def test_a_file_of_something_else_is_not_written_over(tmp_path, made):
    path, _ = made
    rules, parts = TriggerRules.parse(RULES), tmp_path / "parts"
    precious, part = tmp_path / "notes.jsonl", parts / "part-000000.parquet"
    parts.mkdir()
    for file in (precious, part):
        file.write_text("precious")
    for sink in (JsonLinesSink(precious), ParquetSink(parts)):
        with pytest.raises(WriteError, match="it is there already"):
            run_triggers(rules, JsonLinesSource(path), out=tmp_path / "out", sinks=[sink])
    assert [file.read_text() for file in (precious, part)] == ["precious"] * 2


def test_killed_runs_end_as_an_undisturbed_one(tmp_path):
    rows = kill_and_compare(tmp_path, kills=5, seed=1, customers=12)
    assert [row["killed"] for row in rows] == [True] * 5
    same = ("state", "jsonl", "parquet", "webhook_keys")
    assert [[row[name] for name in same] for row in rows] == [[True] * 4] * 5


BROKER = """
import confluent_kafka, sys, time
cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "x"})
broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
print(f"{broker.host}:{broker.port}", flush=True)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def broker():
    """Broker in a process of its own, which can be stopped and continued."""
    command = [sys.executable, "-c", BROKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def fill(servers, topic, lines):
    """Send lines to the one partition of a topic."""
    producer = confluent_kafka.Producer({"bootstrap.servers": servers})
    for line in lines:
        producer.produce(topic, line, partition=0)
    assert producer.flush(30) == 0


@needs_kafka
def test_kafka_gives_the_same_as_a_file_and_goes_on_where_it_was(tmp_path, made, broker):
    path, expected = made
    process, servers = broker
    lines = path.read_bytes().splitlines()
    half = len(lines) // 2
    fill(servers, "events", lines[:half])
    sink = KafkaSink(servers, "outputs")
    rules = TriggerRules.parse(RULES)
    sinks = [JsonLinesSink(tmp_path / "outputs.jsonl"), sink]
    source = KafkaSource(servers, "events", socket_timeout_ms=1000)
    run_triggers(rules, source, out=tmp_path, sinks=sinks, batch=100)
    committed = source.consumer.committed([confluent_kafka.TopicPartition("events", 0)], timeout=10)
    source.close()
    assert committed[0].offset == half
    # The broker goes away in the middle of the second half, and comes back.
    fill(servers, "events", lines[half:])
    source = KafkaSource(servers, "events", socket_timeout_ms=1000)
    polled = []

    def poll(limit):
        polled.append(limit)
        if len(polled) == 2:
            os.kill(process.pid, signal.SIGSTOP)
            threading.Timer(1.5, os.kill, (process.pid, signal.SIGCONT)).start()
        return KafkaSource.poll(source, limit)

    source.poll = poll
    result = run_triggers(rules, source, out=tmp_path, sinks=sinks, batch=100)
    source.close()
    assert (tmp_path / "outputs.jsonl").read_bytes() == expected
    assert result.counts["messages"] == len(lines)
    assert not result.troubles
    reader = confluent_kafka.Consumer({
        "bootstrap.servers": servers, "group.id": "check", "auto.offset.reset": "earliest",
    })  # fmt: skip
    reader.subscribe(["outputs"])
    got = []
    while len(got) < len(expected.splitlines()):
        got += reader.consume(1000, timeout=5)
    reader.close()
    assert {dict(one.headers())["idempotency-key"].decode() for one in got} == set(
        keys_of(expected.splitlines())
    )
    one = json.loads(got[0].value())
    assert got[0].key().decode() == one["customer_id"]


@needs_kafka
def test_a_broker_or_topic_that_is_not_there_is_said(broker):
    _, servers = broker
    with pytest.raises(SourceError, match=r"no broker answers at 127\.0\.0\.1:9"):
        KafkaSource("127.0.0.1:9", "events", patience=0.5)
    fill(servers, "short", [b'{"customer_id": "a"}'])
    source = KafkaSource(servers, "short")
    source.seek({0: 7})
    with pytest.raises(SourceError, match="no longer holds the messages that come next"):
        source.poll(10)
    source.close()


@needs_kafka
def test_partitions_keep_clocks_of_their_own(tmp_path, made, broker):
    path, _ = made
    _, servers = broker
    producer = confluent_kafka.Producer({"bootstrap.servers": servers})
    lines = [line for line in path.read_bytes().splitlines() if line.endswith(b"}")]
    for line in lines:
        producer.produce("spread", line, json.loads(line)["customer_id"])
    assert producer.flush(30) == 0
    rules, outputs = TriggerRules.parse(RULES), []
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    source = KafkaSource(servers, "spread")
    for name, one in (("file", JsonLinesSource(log)), ("topic", source)):
        run_triggers(rules, one, out=tmp_path / name, as_of=date(2025, 4, 1), batch=100)
        outputs.append((tmp_path / name / "outputs.jsonl").read_text().splitlines())
    source.close()
    assert len(source.partitions) == 4
    assert sorted(outputs[0]) == sorted(outputs[1])
    assert outputs[0] != outputs[1]
