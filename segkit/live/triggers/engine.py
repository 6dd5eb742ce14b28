"""State of one customer under triggers, moved from event to event and from timer to timer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from segkit.live.triggers.rules import MICRO, UNITS, TriggerRule, TriggerRules, Value, scaled
from segkit.rules import (
    All,
    Between,
    Comparison,
    Condition,
    Either,
    IsNull,
    Membership,
    Negation,
)
from segkit.rules.conditions import columns, write

Test = Callable[[Any], bool]
# Says why a contact is not allowed, or nothing: (customer, action's record, times of contacts).
Policy = Callable[[str, "dict[str, Any]", "list[int]"], str]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = 2**62
YEAR = 365 * UNITS["day"]  # contacts that a policy is told of where the file sets no limit


class Event(NamedTuple):
    """An event as triggers read it; sorted by time, place in the funnel and identity."""

    time: int
    rank: int
    ident: str
    customer: str
    kind: str
    fields: dict[str, Any]


class State:
    """What is kept of one customer.

    Attributes
    ----------
    times : list of list of int
        Of each value: the occurrences that may still count, oldest first.
    amounts : list of list of int
        Of each sum: millionths for each of those; else empty.
    partial : list of list
        Of each sequence: when the occurrence that has reached a step began, or None.
    rules : list of list
        Of each rule: 1 inside or 0, since when a change is pending or None, when it entered or
        None, and times of its actions.
    segment : str
    contacts : list of int
        Times of actions that the shared limit counts.
    last : int
        The latest moment looked at.
    due : int or None
        When the customer is looked at next though nothing happens.
    """

    __slots__ = ("amounts", "contacts", "due", "last", "partial", "rules", "segment", "times")

    def __init__(self, rules: TriggerRules) -> None:
        self.times: list[list[int]] = [[] for _ in rules.values]
        self.amounts: list[list[int]] = [[] for _ in rules.values]
        self.partial: list[list[int | None]] = [[None] * (len(v.steps) - 1) for v in rules.values]
        self.rules: list[list[Any]] = [[0, None, None, []] for _ in rules.rules]
        self.segment = rules.outside
        self.contacts: list[int] = []
        self.last = -NEVER
        self.due: int | None = None

    def write(self) -> str:
        """Return the state as JSON, without `due`."""
        parts = [self.times, self.amounts, self.partial, self.rules, self.segment, self.contacts]
        return json.dumps([*parts, self.last], separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def read(cls, text: str, due: int | None) -> State:
        """Read what `write` wrote."""
        state = object.__new__(cls)
        parts = json.loads(text)
        state.times, state.amounts, state.partial, state.rules, state.segment = parts[:5]
        state.contacts, state.last = parts[5:]
        state.due = due
        return state


@dataclass(frozen=True, slots=True)
class Watched:
    """A rule with its conditions ready to be tried, and the places of the values it reads."""

    rule: TriggerRule
    enter: Test
    leave: Test
    entered: str
    left: str
    reads: tuple[int, ...]


class Engine:
    """Triggers ready to run: moves the state of one customer and gives what follows from it.

    Parameters
    ----------
    rules : TriggerRules
    policy : callable, optional
        Asked before an action, after the file's own limits; its answer is the reason to withhold.
    """

    def __init__(self, rules: TriggerRules, policy: Policy | None = None) -> None:
        self.rules = rules
        self.policy = policy
        self.ranks = {kind: place for place, kind in enumerate(rules.kinds)}
        places = {value.name: place for place, value in enumerate(rules.values)}
        scales = {value.name: value.scale for value in rules.values}
        self.watched = tuple(_watch(rule, places, scales) for rule in rules.rules)
        ones = dict.fromkeys(rules.fields, 1)
        self.filters = [
            None if value.where is None else _test(value.where, {n: n for n in ones}, ones)
            for value in rules.values
        ]
        self.uses = {
            kind: tuple(
                (place, value)
                for place, value in enumerate(rules.values)
                if kind in value.steps or kind in value.unless
            )
            for kind in rules.kinds
        }
        self.windows = [value.window or 0 for value in rules.values]
        self.timers = [
            (place, value.window or 0, value.kind, value.edges)
            for place, value in enumerate(rules.values)
        ]

    def begin(self) -> State:
        """Return the state of a customer of whom nothing is known."""
        return State(self.rules)

    def advance(
        self, customer: str, state: State, events: list[Event], until: int
    ) -> list[tuple[int, str, int, dict[str, Any]]]:
        """Apply a customer's events in order, with the timers due before ``until``.

        Events of one moment are applied together, so that their order does not matter.

        Returns
        -------
        list of tuple
            Time, customer, place among the outputs of the moment, and the output.
        """
        outputs: list[tuple[int, str, int, dict[str, Any]]] = []
        place, count = 0, len(events)
        while True:
            moment = NEVER if state.due is None else state.due
            if place < count and events[place].time <= moment:
                moment = events[place].time
                while place < count and events[place].time == moment:
                    self._apply(state, events[place])
                    place += 1
            elif moment >= until:
                return outputs
            self._evaluate(customer, state, moment, outputs)

    def _apply(self, state: State, event: Event) -> None:
        for place, value in self.uses[event.kind]:
            times = state.times[place]
            if event.kind in value.unless:
                times.clear()
                state.amounts[place].clear()
                state.partial[place] = [None] * (len(value.steps) - 1)
                continue
            tried = self.filters[place]
            if tried is not None and not tried(event.fields):
                continue
            if len(value.steps) > 1 and not _complete(state.partial[place], value, event):
                continue
            times.append(event.time)
            if value.field:
                state.amounts[place].append(round((event.fields[value.field] or 0) * MICRO))
            elif value.keep is not None and len(times) > value.keep:
                del times[0]

    def _values(self, state: State, moment: int) -> list[int | None]:
        """Return each value at a moment; occurrences out of their window are forgotten."""
        values: list[int | None] = []
        for place, window in enumerate(self.windows):
            times = state.times[place]
            if not window:
                values.append(moment - times[-1] if times else None)
                continue
            amounts = state.amounts[place]
            start = moment - window
            while times and times[0] <= start:
                del times[0]
                del amounts[:1]
            values.append(sum(amounts) if self.rules.values[place].field else len(times))
        return values

    def _evaluate(self, customer: str, state: State, moment: int, outputs: list[Any]) -> None:
        values = self._values(state, moment)
        pending = NEVER
        changed: list[tuple[Watched, bool]] = []
        for watched, slot in zip(self.watched, state.rules, strict=True):
            inside = slot[0]
            if not (watched.leave(values) if inside else watched.enter(values)):
                slot[1] = None
                continue
            rule = watched.rule
            dwell = rule.leave_dwell if inside else rule.dwell
            if slot[1] is None:
                slot[1] = moment
            if moment - slot[1] < dwell:
                pending = min(pending, slot[1] + dwell)
                continue
            slot[0], slot[1], slot[2] = 1 - inside, None, None if inside else moment
            changed.append((watched, not inside))
        if changed:
            self._follow(customer, state, moment, values, changed, outputs)
        state.last = moment
        state.due = self._next(state, moment, pending)

    def _next(self, state: State, moment: int, due: int) -> int | None:
        """Return the next moment at which a condition can change without an event."""
        for place, window, kind, edges in self.timers:
            times = state.times[place]
            if not times:
                continue
            if kind == "since":
                for edge in edges:
                    if moment < times[-1] + edge < due:
                        due = times[-1] + edge
                        break
            elif kind == "sum":
                due = min(due, times[0] + window)
            else:
                for edge in edges:
                    if edge <= len(times) and moment < times[-edge] + window < due:
                        due = times[-edge] + window
        return None if due == NEVER else due

    def _follow(
        self,
        customer: str,
        state: State,
        moment: int,
        values: list[int | None],
        changed: list[tuple[Watched, bool]],
        outputs: list[Any],
    ) -> None:
        """Word what follows from rules entered and left: a segment, and actions."""

        def put(kind: str, watched: Watched, entered: bool, **more: Any) -> dict[str, Any]:
            rule, time = watched.rule, write_time(moment)
            occasion = f"{'entered' if entered else 'left'} {time}"
            condition = watched.entered if entered else watched.left
            named = ", ".join(self._word(place, values[place]) for place in watched.reads)
            record = {
                "key": make_key(customer, rule.name, self.rules.version, f"{kind} {occasion}"),
                "kind": kind,
                "customer_id": customer,
                "rule": rule.name,
                "version": self.rules.version,
                "occasion": occasion,
                "time": time,
                "segment": state.segment,
                "previous_segment": None,
                "action": None,
                "channel": None,
                "reason": f"{condition} ({named})",
                **more,
            }
            outputs.append((moment, customer, len(outputs), record))
            return record

        segments = (
            watched.rule.segment
            for watched, slot in zip(self.watched, state.rules, strict=True)
            if slot[0] and watched.rule.segment
        )
        segment = next(segments, self.rules.outside)
        if segment != state.segment:
            previous, state.segment = state.segment, segment
            deciding = [pair for pair in changed if pair[0].rule.segment]
            entered = (one for one in deciding if one[1] and one[0].rule.segment == segment)
            put("segment", *next(entered, deciding[0]), previous_segment=previous)
        for watched, inside in changed:
            rule = watched.rule
            if not (inside and rule.action):
                continue
            acted = state.rules[self.watched.index(watched)][3]
            more = {"action": rule.action, "channel": rule.channel or None}
            record = put("action", watched, entered=True, **more)
            why = self._withhold(customer, state, rule, acted, moment, record)
            if why:
                outputs.pop()
                put("withheld", watched, entered=True, **more)["reason"] += f"; withheld: {why}"
                continue
            acted.append(moment)
            if self.rules.most or self.policy is not None:
                state.contacts.append(moment)

    def _withhold(
        self,
        customer: str,
        state: State,
        rule: TriggerRule,
        acted: list[int],
        moment: int,
        record: dict[str, Any],
    ) -> str:
        """Say why an action is withheld; nothing where it may go out."""
        _forget(acted, moment - max(rule.cool_down, rule.within))
        if rule.cool_down and acted and acted[-1] > moment - rule.cool_down:
            return f"the last was at {write_time(acted[-1])}, within the cool-down"
        if rule.most and sum(one > moment - rule.within for one in acted) >= rule.most:
            return f"{rule.most} within the time of the rule's limit"
        _forget(state.contacts, moment - (self.rules.within or YEAR))
        if self.rules.most and len(state.contacts) >= self.rules.most:
            return f"{self.rules.most} contacts within the time of the shared limit"
        return "" if self.policy is None else self.policy(customer, record, state.contacts)

    def _word(self, place: int, number: int | None) -> str:
        value = self.rules.values[place]
        if number is None:
            return f"{value.name} none"
        more = " or more" if value.kind == "count" and number == value.keep else ""
        return f"{value.name} {number / value.scale:.10g}{more}"


def _forget(times: list[int], start: int) -> None:
    while times and times[0] <= start:
        del times[0]


def _complete(partial: list[int | None], value: Value, event: Event) -> bool:
    """Move a sequence by one event, latest step first; tell whether it is complete."""
    complete = False
    for step in range(len(value.steps) - 1, -1, -1):
        if value.steps[step] != event.kind:
            continue
        began = event.time if step == 0 else partial[step - 1]
        if began is None or (value.span is not None and event.time - began > value.span):
            continue
        if step == len(value.steps) - 1:
            complete = True
            partial[:] = [None] * len(partial)
            break
        partial[step] = began
    return complete


def make_key(customer: str, rule: str, version: int, occasion: str) -> str:
    """Return the idempotency key of an output: the same for the same customer and occasion.

    Examples
    --------
    >>> make_key("7", "Lapsed", 1, "action entered 2025-01-01T00:00:00Z")[:12]
    '4a1a1c4ff8a1'
    """
    parts = json.dumps([customer, rule, version, occasion], ensure_ascii=False)
    return sha256(parts.encode()).hexdigest()[:32]


def write_time(moment: int) -> str:
    """Write microseconds since 1970 as an ISO time in UTC.

    Examples
    --------
    >>> write_time(1_700_000_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    return (EPOCH + timedelta(microseconds=moment)).isoformat().replace("+00:00", "Z")


def _watch(rule: TriggerRule, places: dict[str, int], scales: dict[str, int]) -> Watched:
    enter = _test(rule.enter, places, scales)
    leave = (
        (lambda values: not enter(values))
        if rule.leave is None
        else _test(rule.leave, places, scales)
    )
    reads = columns(All((rule.enter, *([] if rule.leave is None else [rule.leave]))))
    left = f"not ({write(rule.enter)})" if rule.leave is None else write(rule.leave)
    return Watched(rule, enter, leave, write(rule.enter), left, tuple(places[n] for n in reads))


def _test(
    condition: Condition, places: dict[str, Any], scales: dict[str, int], no: bool = False
) -> Test:
    """Turn a condition into a function that tells whether it is known to hold.

    Negations are moved to the single comparisons, where an unknown value meets neither side, as
    in SQL.
    """
    match condition:
        case Negation(part):
            return _test(part, places, scales, not no)
        case All(parts) | Either(parts):
            tests = [_test(part, places, scales, no) for part in parts]
            every = isinstance(condition, All) is not no
            return _all(tests) if every else _any(tests)
        case IsNull(column, negated):
            place, null = places[column], negated is no
            return lambda values: (values[place] is None) is null
        case Membership(column, listed, negated):
            place, wanted = places[column], negated is no
            items = {scaled(one, scales[column]) for one in listed}
            return lambda values: values[place] is not None and (values[place] in items) is wanted
        case Between(column, low, high, negated):
            place, wanted = places[column], negated is no
            least, most = scaled(low, scales[column]), scaled(high, scales[column])
            return lambda values: (
                values[place] is not None and (least <= values[place] <= most) is wanted
            )
        case Comparison(column, operator, constant):
            sign = NEGATED[operator] if no else operator
            return _compare(places[column], sign, scaled(constant, scales[column]))
    raise AssertionError(condition)


NEGATED = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "=": "!=", "!=": "="}


def _compare(place: Any, sign: str, constant: Any) -> Test:
    tests: dict[str, Test] = {
        "<": lambda values: values[place] is not None and values[place] < constant,
        "<=": lambda values: values[place] is not None and values[place] <= constant,
        ">": lambda values: values[place] is not None and values[place] > constant,
        ">=": lambda values: values[place] is not None and values[place] >= constant,
        "=": lambda values: values[place] is not None and values[place] == constant,
        "!=": lambda values: values[place] is not None and values[place] != constant,
    }
    return tests[sign]


def _all(tests: Iterable[Test]) -> Test:
    several = tuple(tests)
    if len(several) == 2:
        first, second = several
        return lambda values: first(values) and second(values)
    return lambda values: all(test(values) for test in several)


def _any(tests: Iterable[Test]) -> Test:
    several = tuple(tests)
    return lambda values: any(test(values) for test in several)
