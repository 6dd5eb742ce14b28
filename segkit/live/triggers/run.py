"""The run of triggers: messages in, state and outputs once, whatever stops it in between."""

from __future__ import annotations

import gc
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import ParameterError, SourceError, require_least
from segkit.frames import takes_frames
from segkit.live.triggers.engine import NEVER, Engine, Event, State, as_moment, write_time
from segkit.live.triggers.reading import Message, Reader, Reading, read_customers
from segkit.live.triggers.rules import UNITS, TriggerRules
from segkit.live.triggers.sinks import JsonLinesSink, ParquetSink, Sink
from segkit.live.triggers.sources import JsonLinesSource, Source
from segkit.live.triggers.state import Store
from segkit.result import Result

__all__ = ["TriggerRun", "run_triggers"]

CHUNK = 20_000  # timers and waiting events that are in memory at once
SHOWN = 1_000  # characters of a rejected message that are kept
PAUSE = 0.5  # seconds between two looks at a log that is followed


@dataclass(frozen=True, slots=True, eq=False)
class TriggerRun(Result):
    """State of triggers after a run, over all runs in the same folder.

    Attributes
    ----------
    outputs : polars.DataFrame
        One row per rule and kind (segment, action, withheld): rule, kind, count.
    segments : polars.DataFrame
        One row per segment: segment, customers.
    counts : dict of str to int
        Messages, events used and not used by any rule, repeated ones, rejected ones by reason, and
        customers with events who are not in the list of customers (unlisted).
    clock : str
        Time up to which events and timers have had their effect; empty before the first.
    waiting : int
        Events that wait until the clock has passed them.
    troubles : tuple of str
        Sinks that did not accept all outputs, and why; the remaining outputs are kept for them.
    """

    outputs: pl.DataFrame
    segments: pl.DataFrame
    counts: dict[str, int]
    clock: str
    waiting: int
    troubles: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Outputs by kind, events by what became of them."""
        kinds = dict(self.outputs.group_by("kind").agg(pl.col("count").sum()).iter_rows())
        rejected = [
            f"{name.removeprefix('rejected_')} {number(count)}"
            for name, count in sorted(self.counts.items())
            if name.startswith("rejected_")
        ]
        effects = (
            f"{counted(kinds.get('segment', 0), 'segment change')}, "
            f"{counted(kinds.get('action', 0), 'action')}, "
            f"{number(kinds.get('withheld', 0))} withheld."
        )
        messages, clock = self.counts.get("messages", 0), self.clock or "no time yet"
        read = f"{counted(messages, 'message')} read, events up to {clock} have had their effect"
        parts = [f"{read}: {effects}"]
        if self.waiting:
            parts.append(
                f"{counted(self.waiting, 'event waits', 'events wait')} until later ones arrive."
            )
        if rejected:
            parts.append(f"Rejected: {', '.join(rejected)}.")
        if repeated := self.counts.get("repeated", 0):
            parts.append(f"{counted(repeated, 'event')} came again and counted once.")
        if unlisted := self.counts.get("unlisted", 0):
            parts.append(
                f"{counted(unlisted, 'customer')} with events not in the list of customers: no "
                "consent is recorded."
            )
        parts += [f"Not delivered yet: {one}." for one in self.troubles]
        return " ".join(parts)


@dataclass(slots=True)
class Lane:
    """Clock of one part of a log.

    Attributes
    ----------
    newest : int or None
        The latest event time that two customers confirm.
    mark : int
        Events before it are too late: what follows from them is out.
    ahead : list or None
        Time and customer of an event that is far ahead, until another customer confirms it.
    """

    newest: int | None = None
    mark: int = -NEVER
    ahead: list[Any] | None = None

    def see(self, event: Event, lateness: int, jump: int) -> bool:
        """Move the clock by an event; tell whether it is in time."""
        if event.time < self.mark:
            return False
        if self.newest is None or event.time > self.newest + jump:
            if self.ahead is None or self.ahead[1] == event.customer:
                self.ahead = [event.time, event.customer]
                return True
            # Two customers are that far ahead: time has passed, up to the earlier of both.
            earlier = min([self.ahead[0], self.ahead[1]], [event.time, event.customer])
            later = max([self.ahead[0], self.ahead[1]], [event.time, event.customer])
            self.newest = earlier[0]
            self.ahead = later if later[0] > self.newest + jump else None
            if self.ahead is None:
                self.newest = later[0]
        else:
            self.newest = max(self.newest, event.time)
        self.mark = max(self.mark, self.newest - lateness)
        return True


@takes_frames
def run_triggers(
    rules: TriggerRules | Path | str,
    source: Source,
    *,
    out: Path | str,
    sinks: Sequence[Sink] | None = None,
    as_of: datetime | date | None = None,
    follow: bool = False,
    batch: int = 5_000,
    customers: pl.DataFrame | Path | str | None = None,
) -> TriggerRun:
    """Run triggers over a log of events, from where the last run in the same folder stopped.

    State, positions in the log and outputs are written in one transaction for every batch; only
    then are outputs handed to the sinks, and positions committed to the log. A process that is
    killed at any point continues without loss: files hold every output exactly once; a webhook or a
    topic gets it at least once, under the same key.

    Events have their effect in the order of their own times, once the clock (the latest time seen,
    less the rules' ``lateness``) has passed them; those that come later than that are rejected and
    counted. So the same events give the same state and the same bytes, in whatever batches and
    (within the lateness) whatever order they arrive, and however often.

    Parameters
    ----------
    rules : TriggerRules or path
    source : JsonLinesSource or KafkaSource
    out : path
        Folder of the state, of rejected messages, and of ``outputs.jsonl``.
    sinks : sequence, optional
        `JsonLinesSink`, `ParquetSink`, `WebhookSink`, `KafkaSink`; by default ``outputs.jsonl``.
        Each is known by its path or address: another path is another sink.
    as_of : datetime.datetime or datetime.date, optional
        At the end of the log, move the clock to this time (a date: to its end in UTC), so that
        timers fire and no event waits. Earlier events that arrive after that are rejected as late.
    follow : bool
        Go on waiting for events at the end of the log.
    batch : int
        Messages in one transaction.
    customers : polars.DataFrame or path, optional
        One row per customer with consents and preferences, for the contact policy in the rules. A
        file (CSV or Parquet) is read again, before the next messages, whenever it has changed.

    Returns
    -------
    TriggerRun

    Raises
    ------
    RuleError
        If the rules cannot be used.
    ModelError
        If the folder's state was made by other rules.
    SourceError
        If the log cannot be read, was cut, or is not the one that was read earlier.
    ParameterError
        If a sink is given twice.
    DataError
        If a customer's consent is neither yes nor no.
    WriteError
        If the state or a file cannot be written, or a new sink's file is there already and holds
        something; what was read before is kept.
    """
    require_least(batch=(batch, 1))
    folder = Path(out)
    loaded = rules if isinstance(rules, TriggerRules) else TriggerRules.load(rules)
    runner = Runner(loaded, folder, sinks, customers)
    try:
        file = source if isinstance(source, JsonLinesSource) else None
        if file is not None:
            file.head = runner.head or (0, "")
        source.seek(runner.positions)
        runner.deliver()
        while messages := source.poll(batch) or follow:
            if messages is True:
                time.sleep(PAUSE)
                runner.deliver()
                continue
            runner.read_customers()
            runner.head = file.head if file is not None else None
            runner.step(messages)
            runner.deliver()
            source.commit(runner.positions)
        if as_of is not None:
            runner.step([], _end_of(as_of) + 1)
            runner.deliver()
        runner.finish()
        return runner.result()
    finally:
        runner.store.close()


def _end_of(as_of: datetime | date) -> int:
    if isinstance(as_of, datetime):
        return as_moment(as_of)
    return as_moment(datetime(as_of.year, as_of.month, as_of.day)) + UNITS["day"] - 1


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let no search for cycles run: a batch makes none, and it takes a third of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _name_in(folder: Path, sink: Sink) -> str:
    """Name a sink, by its place in the run's folder where it is inside: the folder may be moved."""
    kind, _, place = sink.name.partition(":")
    home, path = folder.resolve(), Path(place)
    inside = isinstance(sink, JsonLinesSink | ParquetSink) and path.is_relative_to(home)
    return f"{kind}:{path.relative_to(home).as_posix()}" if inside else sink.name


class Runner:
    """Moves the state by one batch of messages after the other, and hands outputs to sinks."""

    def __init__(
        self,
        rules: TriggerRules,
        folder: Path,
        sinks: Sequence[Sink] | None = None,
        customers: pl.DataFrame | Path | str | None = None,
    ) -> None:
        self.rules = rules
        self.engine = Engine(rules, {})
        self.customers = Path(customers) if isinstance(customers, str) else customers
        self.changed: tuple[int, int] | None = None  # time and size of the customers' file
        self.read_customers()
        self.reader = Reader(rules)
        chosen = [JsonLinesSink(folder / "outputs.jsonl")] if sinks is None else sinks
        rejected: Sink = JsonLinesSink(folder / "rejected.jsonl")
        self.sinks = [
            *((_name_in(folder, sink), sink, "outputs") for sink in chosen),
            (_name_in(folder, rejected), rejected, "rejected"),
        ]
        self.rejected = self.sinks[-1][0]
        names = Counter(name for name, *_ in self.sinks)
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise ParameterError(f"expected each sink once, got several times: {', '.join(twice)}")
        self.store = Store(folder, rules)
        about = self.store.about
        self.positions = {int(lane): at for lane, at in about.get("positions", {}).items()}
        self.lanes = {int(lane): Lane(*parts) for lane, parts in about.get("lanes", {}).items()}
        self.counts = Counter(about.get("counts", {}))
        self.made = Counter(about.get("made", {}))  # outputs by stream
        self.by_rule = Counter(about.get("by_rule", {}))
        self.cursors = dict(about.get("cursors", {}))
        self.head: tuple[int, str] | None = about.get("head")
        self.troubles: dict[str, str] = {}
        try:
            for name, sink, stream in self.sinks:  # a new sink gets what comes from now on
                if name not in self.cursors:
                    first = self.made[stream]
                    mark = None
                    if isinstance(sink, JsonLinesSink | ParquetSink):
                        mark = sink.begin(first)
                    self.cursors[name] = [first, mark]
        except BaseException:
            self.store.close()
            raise

    def read_customers(self) -> None:
        """Read the customers; again only where their file has changed."""
        if self.customers is None:
            return
        changed = (0, 0)
        if isinstance(self.customers, Path):
            try:
                about = self.customers.stat()
            except OSError as error:
                words = f"{self.customers.name} cannot be read: {error.strerror}"
                raise SourceError(words) from None
            changed = (about.st_mtime_ns, about.st_size)
        if changed != self.changed:
            purposes = self.rules.contacts.purposes.values() if self.rules.contacts else ()
            self.engine.customers = read_customers(self.customers, purposes)
            self.changed = changed

    @_uncollected()
    def step(self, messages: Sequence[Message], as_of: int | None = None) -> None:
        """Take messages, or move the clock, in one transaction."""
        readings: dict[int, list[Reading]] = defaultdict(list)
        for reading in self.reader.read(messages) if messages else ():
            readings[reading.message.lane].append(reading)
        rejected: list[dict[str, Any]] = []
        outputs: list[dict[str, Any]] = []
        self.counts["messages"] += len(messages)
        with self.store.transaction():
            for number_ in sorted(readings if as_of is None else {0, *self.lanes}):
                lane = self.lanes.setdefault(number_, Lane())
                fresh = self._sort(lane, readings[number_], rejected)
                if as_of is not None:
                    lane.mark = max(lane.mark, as_of)
                outputs += self._release(number_, lane.mark, fresh, rejected)
            for message in messages:
                self.positions[message.lane] = message.after
            self._save({"outputs": outputs, "rejected": rejected})

    def _sort(
        self, lane: Lane, readings: Sequence[Reading], rejected: list[dict[str, Any]]
    ) -> list[Event]:
        """Sort the events of a lane into those in time and those rejected; move its clock."""
        fresh = []
        for message, event, reason in readings:
            why = reason
            if event is not None:
                if not lane.see(event, self.rules.lateness, self.rules.jump):
                    why = "late"
                elif self.engine.uses[event.kind]:
                    fresh.append(event)
                else:
                    self.counts["unused"] += 1
            if why:
                self.counts[f"rejected_{why}"] += 1
                body = message.body[:SHOWN].decode(errors="replace")
                record = {"reason": why, "lane": message.lane, "after": message.after}
                rejected.append({**record, "message": body})
        return fresh

    def _release(
        self, lane: int, until: int, fresh: list[Event], rejected: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Let events and timers before a time have their effect, and store the events after it."""
        outputs: list[tuple[int, str, int, dict[str, Any]]] = []
        now = [event for event in fresh if event.time < until]
        later = [event for event in fresh if event.time >= until]
        moment = -NEVER
        while moment < until:
            cut = self.store.cut(lane, until, CHUNK)
            moment = until if cut is None else min(until, cut + 1)
            events = {event[:4]: event for event in self.store.waiting(lane, moment)}
            waited = len(events)
            ready = [event for event in now if event.time < moment]
            events.update((event[:4], event) for event in ready)
            self.counts["repeated"] += waited + len(ready) - len(events)
            now = [event for event in now if event.time >= moment]
            by_customer: dict[str, list[Event]] = {
                name: [] for name in self.store.due(lane, moment)
            }
            for event in sorted(events.values(), key=lambda one: one[:3]):
                by_customer.setdefault(event.customer, []).append(event)
            outputs += self._advance(lane, by_customer, moment, rejected)
            self.store.drop_waiting(lane, moment)
        self.counts["repeated"] += self.store.save_waiting(lane, later)
        outputs.sort(key=lambda one: one[:3])
        return [record for *_, record in outputs]

    def _advance(
        self,
        lane: int,
        by_customer: Mapping[str, list[Event]],
        until: int,
        rejected: list[dict[str, Any]],
    ) -> list[tuple[int, str, int, dict[str, Any]]]:
        states = self.store.customers(by_customer)
        outputs = []
        for customer, events in by_customer.items():
            state = states.get(customer)
            if state is None:
                state = states[customer] = State.begin(self.rules)
            if events and events[0].time < state.last:
                # Only where a customer's events come in several lanes: their order is lost.
                for event in [event for event in events if event.time < state.last]:
                    self.counts["rejected_other_lane"] += 1
                    record = {"reason": "other_lane", "lane": lane, "after": None}
                    rejected.append({**record, "message": event.ident[:SHOWN]})
                events = [event for event in events if event.time >= state.last]
            self.counts["events"] += len(events)
            outputs += self.engine.advance(customer, state, events, until)
        self.store.save_customers(lane, states)
        return outputs

    def _save(self, streams: Mapping[str, list[dict[str, Any]]]) -> None:
        for record in streams["outputs"]:
            self.by_rule[f"{record['kind']}:{record['rule']}"] += 1
        first = {stream: self.made[stream] for stream in streams}
        self.made.update({stream: len(records) for stream, records in streams.items()})
        for stream in streams:
            # A sink that is left out of a run gets the outputs when it is there again.
            have = [place for name, (place, _) in self.cursors.items()
                    if (name == self.rejected) == (stream == "rejected")]  # fmt: skip
            self.store.forget_outputs(stream, min(have, default=first[stream]))
        about = {
            "positions": self.positions,
            "head": self.head,
            "lanes": {n: [one.newest, one.mark, one.ahead] for n, one in self.lanes.items()},
            "counts": self.counts,
            "made": self.made,
            "by_rule": self.by_rule,
            "cursors": self.cursors,
        }
        with_places = {stream: (first[stream], rows) for stream, rows in streams.items()}
        self.store.save(about, with_places)

    def deliver(self) -> None:
        """Hand to each sink what it does not have yet."""
        for name, sink, stream in self.sinks:
            self.troubles.pop(name, None)
            while True:
                place, mark = self.cursors[name]
                bodies = self.store.outputs(stream, place)
                if not bodies:
                    break
                delivery = sink.deliver(place, bodies, mark)
                self.cursors[name] = [place + delivery.taken, delivery.mark]
                if delivery.trouble:
                    self.troubles[name] = delivery.trouble
                    break

    def finish(self) -> None:
        """Write where the sinks stand."""
        with self.store.transaction():
            self._save({"outputs": [], "rejected": []})

    def result(self) -> TriggerRun:
        """Return the counts over all runs."""
        rows = [(*reversed(name.split(":", 1)), n) for name, n in sorted(self.by_rule.items())]
        schema = {"rule": pl.String, "kind": pl.String, "count": pl.Int64}
        clock = min((lane.mark for lane in self.lanes.values()), default=-NEVER)
        if self.customers is not None and self.rules.contacts is not None:
            self.counts["unlisted"] = self.store.unlisted(self.engine.customers)
        given = {name for name, *_ in self.sinks}
        for name, (place, _) in self.cursors.items():
            if name not in given and (count := self.made["outputs"] - place):
                self.troubles[name] = f"{name} is left out; {counted(count, 'output')} wait for it"
        return TriggerRun(
            pl.DataFrame(rows, schema=schema, orient="row"),
            self.store.sizes(),
            {name: count for name, count in sorted(self.counts.items()) if count},
            "" if clock <= -NEVER + self.rules.lateness else write_time(clock),
            self.store.count("waiting"),
            tuple(self.troubles.values()),
        )
