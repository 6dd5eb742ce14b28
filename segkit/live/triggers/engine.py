"""State of one customer under triggers, moved from event to event and from timer to timer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from segkit.errors import ParameterError
from segkit.live.triggers.rules import MICRO, UNITS, TriggerRule, TriggerRules, Value, scaled
from segkit.rules import All, Between, Comparison, Condition, Either, IsNull, Membership, Negation
from segkit.rules.conditions import columns, write

Test = Callable[[Any], bool]
# Moment, customer, place among the outputs of that moment, and the output itself.
Output = tuple[int, str, int, dict[str, Any]]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = 2**62
IDLE: list[Any] = [0, None, None, None, []]  # of a rule that a customer has never entered
# Made once: making them takes longer than a small state.
DECODE = json.JSONDecoder().raw_decode
ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


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
        Of each rule: 1 inside or 0; since when a change is pending, when it was entered and when
        a postponed action is due (or None); times of its actions.
    segment : str
    contacts : list of list
        Time and channel of the actions that the contact policy counts.
    last : int
        The latest moment looked at.
    due : int or None
        When the customer is looked at next though nothing happens.
    """

    __slots__ = ("amounts", "contacts", "due", "last", "partial", "rules", "segment", "times")

    def __init__(self, parts: list[Any], due: int | None = None) -> None:
        self.times, self.amounts, self.partial, slots, self.segment, self.contacts, self.last = (
            parts
        )
        self.rules: list[list[Any]] = [slot or [0, None, None, None, []] for slot in slots]
        self.due = due

    @classmethod
    def read(cls, text: str, due: int | None) -> State:
        """Read what `write` wrote."""
        return cls(DECODE(text)[0], due)

    @classmethod
    def begin(cls, rules: TriggerRules) -> State:
        """Return the state of a customer of whom nothing is known."""
        lists: list[list[Any]] = [[[] for _ in rules.values] for _ in range(2)]
        partial = [[None] * (len(value.steps) - 1) for value in rules.values]
        return cls([*lists, partial, [0] * len(rules.rules), rules.outside, [], -NEVER])

    def write(self) -> str:
        """Return the state as JSON, without `due`."""
        slots = [slot if slot != IDLE else 0 for slot in self.rules]
        parts = [self.times, self.amounts, self.partial, slots, self.segment, self.contacts]
        return ENCODE([*parts, self.last])


class Watched:
    """A rule with its conditions ready to be tried, and in words."""

    def __init__(self, rule: TriggerRule, values: Sequence[Value]) -> None:
        places = {value.name: place for place, value in enumerate(values)}
        scales = {value.name: value.scale for value in values}
        self.rule = rule
        self.enter = enter = make_test(rule.enter, places, scales)
        self.leave: Test = lambda values: not enter(values)
        self.words = (f"not ({write(rule.enter)})", write(rule.enter))
        if rule.leave is not None:
            self.leave = make_test(rule.leave, places, scales)
            self.words = (write(rule.leave), self.words[1])
        both = All((rule.enter, *([] if rule.leave is None else [rule.leave])))
        self.reads = [places[name] for name in columns(both)]


class Engine:
    """Triggers ready to run: moves the state of one customer and gives what follows from it.

    Parameters
    ----------
    rules : TriggerRules
    customers : mapping of str to dict
        Consents and preferences by customer, for the contact policy.
    """

    def __init__(self, rules: TriggerRules, customers: Mapping[str, dict[str, Any]]) -> None:
        self.rules, self.customers = rules, customers
        self.watched = [Watched(rule, rules.values) for rule in rules.rules]
        names, ones = {name: name for name in rules.fields}, dict.fromkeys(rules.fields, 1)
        self.uses: dict[str, list[tuple[int, Value, Test | None]]] = {k: [] for k in rules.kinds}
        for place, value in enumerate(rules.values):
            fits = None if value.where is None else make_test(value.where, names, ones)
            for kind in {*value.steps, *value.unless}:
                self.uses[kind].append((place, value, fits))

    def advance(
        self, customer: str, state: State, events: Sequence[Event], until: int
    ) -> list[Output]:
        """Apply a customer's events in order, with the timers due before ``until``.

        Events of one moment are applied together, so that their order does not matter.
        """
        outputs: list[Output] = []
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
        for place, value, fits in self.uses[event.kind]:
            times, amounts = state.times[place], state.amounts[place]
            if event.kind in value.unless:
                times.clear()
                amounts.clear()
                state.partial[place] = [None] * (len(value.steps) - 1)
            elif (fits is None or fits(event.fields)) and (
                len(value.steps) == 1 or _complete(state.partial[place], value, event)
            ):
                times.append(event.time)
                if value.field:
                    amounts.append(round((event.fields[value.field] or 0) * MICRO))
                elif value.keep is not None and len(times) > value.keep:
                    del times[0]

    def _values(self, state: State, moment: int) -> list[int | None]:
        """Return each value at a moment; occurrences out of their window are forgotten."""
        values: list[int | None] = []
        for value, times, amounts in zip(
            self.rules.values, state.times, state.amounts, strict=True
        ):
            if value.window is None:
                values.append(moment - times[-1] if times else None)
                continue
            while times and times[0] <= moment - value.window:
                del times[0], amounts[:1]
            values.append(sum(amounts) if value.field else len(times))
        return values

    def _evaluate(self, customer: str, state: State, moment: int, outputs: list[Output]) -> None:
        values, due = self._values(state, moment), NEVER
        changed: list[Watched] = []
        acting: list[tuple[Watched, list[Any]]] = []
        for watched, slot in zip(self.watched, state.rules, strict=True):
            inside, rule = slot[0], watched.rule
            if not (watched.leave if inside else watched.enter)(values):
                slot[1] = None
            else:
                slot[1] = moment if slot[1] is None else slot[1]
                ready = slot[1] + (rule.leave_dwell if inside else rule.dwell)
                if ready > moment:
                    due = min(due, ready)
                else:
                    slot[:4] = [0, None, None, None] if inside else [1, None, moment, moment]
                    changed.append(watched)
            if slot[3] is not None and slot[3] <= moment:
                slot[3] = None
                if rule.action:
                    acting.append((watched, slot))
        state.last = moment
        if changed or acting:
            words = _Words(self.rules, customer, moment, values, outputs)
            self._move(state, changed, words)
            for watched, slot in acting:
                self._act(state, watched, slot, words)
        for slot in state.rules:
            if slot[3] is not None and slot[3] < due:
                due = slot[3]
        state.due = self._next(state, moment, due)

    def _next(self, state: State, moment: int, due: int) -> int | None:
        """Return the next moment at which a condition can change without an event."""
        for value, times in zip(self.rules.values, state.times, strict=True):
            if not times:
                continue
            if value.window is None:
                moments = [times[-1] + edge for edge in value.edges]
            elif value.field:
                moments = [times[0] + value.window]
            else:
                last = len(times)
                moments = [times[-edge] + value.window for edge in value.edges if edge <= last]
            for one in moments:
                if moment < one < due:
                    due = one
        return None if due == NEVER else due

    def _move(self, state: State, changed: Sequence[Watched], words: _Words) -> None:
        """Put a customer in the segment of the first rule that holds them."""
        segments = [
            (watched.rule.segment, watched)
            for watched, slot in zip(self.watched, state.rules, strict=True)
            if slot[0] and watched.rule.segment
        ]
        segment = segments[0][0] if segments else self.rules.outside
        if segment != state.segment:
            previous, state.segment = state.segment, segment
            entered = segments[0][1] if segments and segments[0][1] in changed else None
            deciding = entered or next(one for one in changed if one.rule.segment)
            words.put("segment", deciding, segment, f"{'entered' if entered else 'left'}",
                      previous_segment=previous)  # fmt: skip

    def _act(self, state: State, watched: Watched, slot: list[Any], words: _Words) -> None:
        """Send an action, withhold it, or postpone it to the end of a quiet time."""
        rule, moment, acted = watched.rule, words.moment, slot[4]
        why = ""
        acted[:] = [one for one in acted if one > moment - max(rule.cool_down, rule.within)]
        policy = self.rules.contacts
        if rule.cool_down and acted and acted[-1] > moment - rule.cool_down:
            why = f"the last was at {write_time(acted[-1])}, within the cool-down"
        elif rule.most and sum(one > moment - rule.within for one in acted) >= rule.most:
            why = f"{rule.most} within the time of the rule's limit"
        elif policy is not None:
            at, about = as_datetime(moment), self.customers.get(words.customer, {})
            start = moment - round(
                max((cap.days for cap in policy.caps), default=0) * policy.fewer * UNITS["day"]
            )
            state.contacts[:] = [one for one in state.contacts if one[0] > start]
            earlier = [(as_datetime(time), channel) for time, channel in state.contacts]
            who = {**about, "customer_id": words.customer}
            try:
                why = policy.why_held(at, rule.channel, purpose=rule.purpose, customer=who,
                                      earlier=earlier) or ""  # fmt: skip
            except ParameterError as error:  # one customer's preference stops nobody else's
                why = str(error)
            zone = about.get(policy.preferences["zone"])
            opens = policy.next_open(at, rule.channel, zone=zone) if why == "quiet_time" else None
            if opens is not None:
                slot[3] = as_moment(opens)
                return
            if not why and policy.consent_column(rule.purpose):
                state.contacts.append([moment, rule.channel])
        record = words.put(
            "withheld" if why else "action",
            watched,
            state.segment,
            "entered",
            slot[2],
            action=rule.action,
            channel=rule.channel or None,
        )
        if why:
            record["reason"] += f"; withheld: {why}"
        else:
            acted.append(moment)


class _Words(NamedTuple):
    """Outputs of one customer at one moment."""

    rules: TriggerRules
    customer: str
    moment: int
    values: list[Any]
    outputs: list[Output]

    def put(
        self,
        kind: str,
        watched: Watched,
        segment: str,
        change: str,
        since: int | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Add an output, with the condition that holds and the values that it reads."""
        rule, version = watched.rule.name, self.rules.version
        occasion = f"{change} {write_time(self.moment if since is None else since)}"
        named = ", ".join(self._word(place) for place in watched.reads)
        record = {
            "key": make_key(self.customer, rule, self.rules.edition, f"{kind} {occasion}"),
            "kind": kind, "customer_id": self.customer, "rule": rule, "version": version,
            "occasion": occasion, "time": write_time(self.moment), "segment": segment,
            "previous_segment": None, "action": None, "channel": None,
            "reason": f"{watched.words[change == 'entered']} ({named})", **more,
        }  # fmt: skip
        self.outputs.append((self.moment, self.customer, len(self.outputs), record))
        return record

    def _word(self, place: int) -> str:
        value, number = self.rules.values[place], self.values[place]
        if number is None:
            return f"{value.name} none"
        more = " or more" if value.kind == "count" and number == value.keep else ""
        return f"{value.name} {number / value.scale:.10g}{more}"


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


def make_key(customer: str, rule: str, version: str, occasion: str) -> str:
    """Return the idempotency key of an output: the same for the same customer and occasion.

    ``version`` is the rules' number and what identifies their file, so that other rules of the
    same name and number have other keys.

    Examples
    --------
    >>> make_key("7", "Lapsed", "1:0123456789abcdef", "action entered 2025-01-01T00:00:00Z")[:12]
    '7bba63cb3d8a'
    """
    parts = json.dumps([customer, rule, version, occasion], ensure_ascii=False)
    return sha256(parts.encode()).hexdigest()[:32]


def as_datetime(moment: int) -> datetime:
    """Return microseconds since 1970 as a time in UTC."""
    return EPOCH + timedelta(microseconds=moment)


def as_moment(time: datetime) -> int:
    """Return a time as microseconds since 1970; without a zone it is in UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def write_time(moment: int) -> str:
    """Write microseconds since 1970 as an ISO time in UTC.

    Examples
    --------
    >>> write_time(1_700_000_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    return as_datetime(moment).isoformat().replace("+00:00", "Z")


def make_test(
    condition: Condition, places: dict[str, Any], scales: dict[str, int], no: bool = False
) -> Test:
    """Turn a condition into a function that tells whether it is known to hold.

    Negations are moved to the single comparisons, where an unknown value meets neither side, as
    in SQL.
    """
    match condition:
        case Negation(part):
            return make_test(part, places, scales, not no)
        case All(parts) | Either(parts):
            tests = [make_test(part, places, scales, no) for part in parts]
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
