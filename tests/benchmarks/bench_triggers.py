"""Events a second on one core, bytes per customer and peak memory of triggers.

Every event is one that the rules of ``data/triggers.toml`` use. First each customer visits once (a
state for everybody), then visits of five events by random customers, mixed with one another, are
timed. Processor time counts, that of the log and of the sinks included; beside it the time of a
loop of ten million additions, for how busy the machine is.

Run it as ``python -m tests.benchmarks.bench_triggers [customers] [events] [--quick]``.
"""

import json
import random
import sys
import tempfile
import time
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from segkit.live import JsonLinesSource, run_triggers
from segkit.live.triggers.reading import Message
from tests.benchmarks._common import peak_gib

VISIT = ("site_visit", "product_view", "product_view", "cart_add", "order")
WEEK = 7 * 86_400


def write_log(path: Path, customers: int, events: int) -> None:
    """Write a log in which every customer visits within a week, and some more in the next one."""
    draw = random.Random(0)  # noqa: S311 - a log of a benchmark
    rows = [(WEEK * number / customers, number, "site_visit") for number in range(customers)]
    for _ in range(events // len(VISIT)):
        second, customer = draw.uniform(WEEK, 2 * WEEK), draw.randrange(customers)
        rows += [(second + 40 * step, customer, kind) for step, kind in enumerate(VISIT)]
    rows.sort()
    start = datetime(2025, 1, 1)
    with path.open("w", encoding="utf-8") as file:
        for number, (second, customer, kind) in enumerate(rows):
            record = {
                "event_id": f"e{number}",
                "customer_id": f"C{customer:07d}",
                "event_time": (start + timedelta(seconds=second)).isoformat() + "Z",
                "event_type": kind,
                "product_id": f"p{number % 5000}",
                "channel": "web",
                "amount": 49.9,
            }
            file.write(json.dumps(record) + "\n")


class Timed(JsonLinesSource):
    """A log that notes processor time and memory when the first part of it has been read."""

    def __init__(self, path: Path, messages: int) -> None:
        super().__init__(path)
        self.left, self.began = messages, 0.0

    def poll(self, limit: int) -> list[Message]:
        """Return the next messages."""
        if self.left <= 0 and not self.began:
            self.began = time.process_time()
        messages = super().poll(limit)
        self.left -= len(messages)
        return messages


def loop_seconds() -> float:
    """Return the processor time of ten million additions."""
    started, total = time.process_time(), 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - started


def main() -> None:
    """Time a run and print three lines."""
    given = [int(word) for word in sys.argv[1:] if word.isdigit()]
    usual = [20_000, 20_000] if "--quick" in sys.argv else [1_000_000, 500_000]
    customers, events = (given + usual[len(given) :])[:2]
    with tempfile.TemporaryDirectory() as folder:
        log, out = Path(folder) / "events.jsonl", Path(folder) / "out"
        # In a process of its own: its memory is not that of the triggers.
        writer = get_context("spawn").Process(target=write_log, args=(log, customers, events))
        writer.start()
        writer.join()
        source = Timed(log, customers)
        started = time.process_time()
        result = run_triggers("data/triggers.toml", source, out=out)
        ended = time.process_time()
        size = sum(path.stat().st_size for path in out.glob("state.sqlite*"))
    first, rest = source.began - started, ended - source.began
    print(
        f"{customers:,} customers with a state: {size / customers:.0f} bytes each on disk, "
        f"peak memory {peak_gib() * 1024:.0f} MiB; {customers / first:,.0f} new ones a second"
    )
    print(f"ten million additions: {loop_seconds():.2f} s")
    print(f"{events:,} events: {events / rest:,.0f} a second of one core; {result.headline}")


if __name__ == "__main__":
    main()
