"""Rules of triggers: values over windows and sequences of events, and conditions on them."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from segkit.errors import ParameterError, RuleError, require_choice, unknown
from segkit.rules import (
    Between,
    Comparison,
    Condition,
    ContactPolicy,
    Domain,
    IsNull,
    Membership,
    Rule,
    RuleSet,
    parse_condition,
)
from segkit.rules.conditions import atoms, constants
from segkit.rules.contact import CHANNELS
from segkit.schema import EVENT_TYPES

__all__ = ["TriggerRules"]

MICRO = 1_000_000
UNITS = {"second": MICRO, "minute": 60 * MICRO, "hour": 3600 * MICRO, "day": 86_400 * MICRO,
         "week": 7 * 86_400 * MICRO}  # fmt: skip
DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(UNITS)})s?")
# Beside what a shop's site and mails report: purchases.
KINDS = (*EVENT_TYPES, "order", "return")
FIELDS = ("campaign_id", "session_id", "product_id", "page", "channel", "duration_seconds",
          "amount")  # fmt: skip
NUMERIC = ("duration_seconds", "amount")


def read_duration(text: Any, what: str) -> int:
    """Read a length of time in microseconds.

    A day has 24 hours and a week seven days, whatever the clocks do.

    Raises
    ------
    RuleError
        If it is not a number and a unit from seconds to weeks.

    Examples
    --------
    >>> read_duration("2 hours", "dwell")
    7200000000
    """
    match = DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise RuleError(
            f"{what}: expected a length of time such as '2 hours' (seconds, minutes, hours, days "
            f"or weeks), got {text!r}"
        )
    return round(float(match[1]) * UNITS[match[2]])


@dataclass(frozen=True, slots=True)
class Value:
    """A number that is kept for each customer while events arrive.

    Attributes
    ----------
    name : str
        What conditions call it.
    kind : {"count", "since", "sum"}
    steps : tuple of str
        Event types that make one occurrence, in this order; one type, or a sequence.
    window : int or None
        Occurrences count for so many microseconds; None for a time since.
    span : int or None
        Longest time from the first to the last step of a sequence; None for any.
    unless : tuple of str
        Event types after which earlier occurrences no longer count.
    where : Condition or None
        What the fields of an event must meet.
    field : str
        Summed field of a sum; else empty.
    scale : int
        Microseconds, or millionths of money, in the unit that conditions use.
    edges : tuple of int
        Where a condition can change: as a number of occurrences of a count, as microseconds
        after the occurrence of a time since.
    keep : int or None
        Latest occurrences that decide every condition; None for all in the window.
    """

    name: str
    kind: str
    steps: tuple[str, ...]
    window: int | None
    span: int | None
    unless: tuple[str, ...]
    where: Condition | None
    field: str
    scale: int
    edges: tuple[int, ...] = ()
    keep: int | None = None

    @property
    def domain(self) -> Domain:
        """Possible values, for the check of conditions."""
        if self.kind == "count":
            return Domain("integer", low=0, nullable=False)
        return Domain("number", low=0) if self.kind == "since" else Domain(nullable=False)


@dataclass(frozen=True, slots=True)
class TriggerRule:
    """One trigger: when a customer enters it and leaves it, and what follows.

    Attributes
    ----------
    name : str
    enter : Condition
        Enters when this has held for ``dwell``.
    leave : Condition or None
        Leaves when this has held for ``leave_dwell``; None: when ``enter`` no longer holds.
    segment, action, channel, purpose : str
        The segment of who is inside, the action on entering with its channel and purpose; empty
        for none.
    priority : int
        Smaller goes first: for the segment, and for contacts that are limited.
    dwell, leave_dwell, cool_down : int
        Microseconds; after an action none follows within ``cool_down``.
    most, within : int
        At most so many actions of this rule to a customer within so many microseconds; 0 for
        any number.
    """

    name: str
    enter: Condition
    leave: Condition | None = None
    segment: str = ""
    action: str = ""
    channel: str = ""
    purpose: str = "marketing"
    priority: int = 0
    dwell: int = 0
    leave_dwell: int = 0
    cool_down: int = 0
    most: int = 0
    within: int = 0


TOP = ("version", "zone", "lateness", "jump", "events", "outside", "contacts", "values", "rules")
VALUE_KEYS = ("count", "since", "sum", "of", "within", "span", "unless", "where", "unit")
RULE_KEYS = ("name", "enter", "leave", "segment", "action", "channel", "purpose", "priority",
             "dwell", "leave_dwell", "cool_down", "most", "within")  # fmt: skip


@dataclass(frozen=True, slots=True)
class TriggerRules:
    """A file of triggers: values, rules, and how the log is read.

    Attributes
    ----------
    values : tuple of Value
    rules : tuple of TriggerRule
        By priority.
    version : int
        Part of every idempotency key; a changed file needs a higher one.
    zone : str
        IANA zone of times that carry no offset.
    lateness : int
        Microseconds that an event may arrive after later ones.
    jump : int
        Microseconds. An event that is ahead of all earlier ones by more than this moves the clock
        only after an event of another customer confirms the time.
    kinds : tuple of str
        Event types that are read.
    outside : str
        Segment of customers to whom no rule gives one.
    contacts : ContactPolicy or None
        What holds for the actions of all rules.
    digest : str
        Hash of the file's content.

    Examples
    --------
    >>> rules = TriggerRules.parse('''
    ... version = 1
    ... [values]
    ... views_7d = { count = "product_view", within = "7 days" }
    ... [[rules]]
    ... name = "Interested"
    ... enter = "views_7d >= 3"
    ... leave = "views_7d <= 1"
    ... segment = "Interested"
    ... ''')
    >>> rules.values[0].edges, rules.values[0].keep
    ((2, 3), 3)
    """

    values: tuple[Value, ...]
    rules: tuple[TriggerRule, ...]
    version: int = 1
    zone: str = "UTC"
    lateness: int = UNITS["hour"]
    jump: int = 30 * UNITS["day"]
    kinds: tuple[str, ...] = KINDS
    outside: str = "none"
    contacts: ContactPolicy | None = None
    digest: str = ""

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a TOML file of triggers.

        Raises
        ------
        RuleError
            If the file is absent, a key is unknown, or a condition cannot be used.
        """
        source = Path(path)
        if not source.is_file():
            raise RuleError(f"no rule file {source}")
        try:
            return cls.parse(source.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError(f"{source.name} cannot be read: {error}") from None
        except RuleError as error:
            raise RuleError(f"{source.name}: {error}") from None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read triggers from the text of a TOML file.

        Raises
        ------
        RuleError
            As for `load`.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RuleError(f"expected TOML: {error}") from None
        _check_keys(data, TOP, "key of a trigger file")
        kinds = (*KINDS, *_types(data.get("events", []), None, "events"))
        entries = _entries(data, "rules", list)
        if not entries:
            raise RuleError("expected [[rules]] with name, enter, and segment or action")
        defined = _entries(data, "values", dict)
        values = [_read_value(name, entry, kinds) for name, entry in defined.items()]
        rules = [_read_rule(entry) for entry in entries]
        names = [rule.name for rule in rules]
        if len(set(names)) < len(names):
            raise RuleError(f"rules need names of their own, got {', '.join(names)}")
        policy = _entries(data, "contacts", dict) if "contacts" in data else None
        contacts = _read_contacts(policy, rules)
        zone = str(data.get("zone", "UTC"))
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise RuleError(f"zone: expected an IANA zone (Europe/London), got {zone!r}") from None
        canonical = json.dumps(data, sort_keys=True, default=str)
        whole = cls(
            tuple(values),
            (),
            version=_whole(data.get("version"), "version", 1),
            zone=zone,
            lateness=read_duration(data.get("lateness", "1 hour"), "lateness"),
            jump=read_duration(data.get("jump", "30 days"), "jump"),
            kinds=kinds,
            outside=str(data.get("outside", "none")),
            contacts=contacts,
            digest=sha256(canonical.encode()).hexdigest()[:16],
        )
        return whole.with_rules(rules)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of events that the values read, apart from customer, time and type."""
        used = {atom.column for value in self.values if value.where for atom in atoms(value.where)}
        return tuple(sorted(used | {value.field for value in self.values if value.field}))

    @property
    def edition(self) -> str:
        """Version and digest, in the keys of outputs."""
        return f"{self.version}:{self.digest}"

    def with_rules(self, rules: Sequence[TriggerRule]) -> Self:
        """Return the same values with other rules, checked as those of a file are.

        Raises
        ------
        RuleError
            If a condition cannot be used.
        """
        used = {condition for rule in rules for condition in (rule.enter, rule.leave) if condition}
        values = tuple(_with_edges(value, used) for value in self.values)
        for rule in rules:
            _check_rule(rule, values)
        ordered = tuple(sorted(rules, key=lambda rule: rule.priority))
        return replace(self, values=values, rules=ordered)

    def to_rule_set(self) -> RuleSet:
        """Return the rules with a segment as rules on a customer table, for batches.

        The columns are the values' names. Hysteresis and dwell time need the past and are left out:
        a customer is inside if it meets ``enter``.
        """
        own = [rule for rule in self.rules if rule.segment]
        named = tuple(Rule(rule.name, rule.enter, rule.priority) for rule in own)
        return RuleSet(named, "first", {value.name: value.domain for value in self.values})


def _read_value(name: str, entry: Any, kinds: Sequence[str]) -> Value:
    what = f"value {name}"
    if not isinstance(entry, Mapping):
        raise RuleError(f'{what}: expected {{ count = "order", within = "7 days" }} or alike')
    _check_keys(entry, VALUE_KEYS, f"key of {what}")
    kind = [key for key in ("count", "since", "sum") if key in entry]
    if len(kind) != 1:
        raise RuleError(f"{what}: expected one of count, since or sum, got {list(entry)}")
    steps = _types(entry.get("of") if kind[0] == "sum" else entry[kind[0]], kinds, what)
    unless = _types(entry.get("unless", []), kinds, f"{what}, unless")
    if not steps or set(steps) & set(unless):
        raise RuleError(f"{what}: expected event types that are not among unless, got {steps}")
    windowed = kind[0] != "since"
    if windowed != ("within" in entry) or ("unit" in entry and windowed):
        raise RuleError(f"{what}: a count or sum needs within, a time since may have a unit")
    field = str(entry["sum"]) if kind[0] == "sum" else ""
    if field:
        require_choice("field to sum", field, NUMERIC, RuleError)
    if "span" in entry and len(steps) < 2:
        raise RuleError(f"{what}: span is the longest time of a sequence; {steps[0]} is one event")
    if len(steps) > 1 and field:
        raise RuleError(f"{what}: a sum is taken over one event type, got a sequence")
    unit = str(entry.get("unit", "days")).removesuffix("s")
    require_choice("unit", unit, UNITS, RuleError)
    where = parse_condition(entry["where"]) if "where" in entry else None
    for atom in atoms(where) if where else ():
        require_choice(f"field in where of {what}", atom.column, FIELDS, RuleError)
        if any(isinstance(c, str) == (atom.column in NUMERIC) for c in constants(atom)):
            raise RuleError(f"{what}: {atom.column} is compared with a constant of another kind")
    return Value(
        name,
        kind[0],
        steps,
        read_duration(entry["within"], what) if windowed else None,
        read_duration(entry["span"], what) if "span" in entry else None,
        unless,
        where,
        field,
        {"count": 1, "since": UNITS[unit], "sum": MICRO}[kind[0]],
    )


def _types(given: Any, kinds: Sequence[str] | None, what: str) -> tuple[str, ...]:
    """Read one event type, or several."""
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise RuleError(f"{what}: expected an event type or a list of them, got {given!r}")
    for one in listed if kinds else ():
        require_choice(f"event type in {what}", one, kinds or (), RuleError)
    return tuple(listed)


def _read_rule(entry: Any) -> TriggerRule:
    if not isinstance(entry, Mapping) or not {"name", "enter"} <= set(entry):
        raise RuleError(f"a rule needs a name and a condition enter, got {entry!r}")
    what = f"rule {entry['name']!r}"
    _check_keys(entry, RULE_KEYS, f"key of {what}")
    texts = {key: entry[key] for key in ("segment", "action", "channel", "purpose") if key in entry}
    if not {"segment", "action"} & set(texts):
        raise RuleError(f"{what}: expected a segment or an action")
    if not all(isinstance(text, str) and text for text in texts.values()):
        raise RuleError(f"{what}: segment, action, channel and purpose are texts, got {texts}")
    most, within = _limit(entry, what)
    name = Rule(entry["name"], entry["enter"]).name
    times = {
        key: read_duration(entry[key], f"{what}, {key}") if key in entry else 0
        for key in ("dwell", "leave_dwell", "cool_down")
    }
    conditions = {
        key: Rule(name, entry[key]).condition for key in ("enter", "leave") if key in entry
    }
    priority = _whole(entry.get("priority", 0), f"{what}, priority", None)
    rest: dict[str, Any] = {**conditions, **texts, **times}
    return TriggerRule(name, **rest, priority=priority, most=most, within=within)


def _read_contacts(entry: Any, rules: Sequence[TriggerRule]) -> ContactPolicy | None:
    """Read the contact policy, and check the channels and purposes that rules name."""
    if entry is None:
        return None
    try:
        policy = ContactPolicy.from_dict(entry)
        for rule in rules:
            if rule.action:
                policy.consent_column(rule.purpose)
                require_choice(f"channel of rule {rule.name!r}", rule.channel, CHANNELS)
    except (ParameterError, TypeError, AttributeError) as error:
        raise RuleError(f"[contacts]: {error}") from None
    return policy


def _limit(entry: Mapping[str, Any], what: str) -> tuple[int, int]:
    if ("most" in entry) != ("within" in entry):
        raise RuleError(f"{what}: most and within limit contacts together: give both or none")
    if "most" not in entry:
        return 0, 0
    return _whole(entry["most"], f"{what}, most", 1), read_duration(entry["within"], what)


def _whole(value: Any, what: str, least: int | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or (least and value < least):
        limit = f" from {least}" if least else ""
        raise RuleError(f"{what}: expected a whole number{limit}, got {value!r}")
    return value


def _entries(data: Mapping[str, Any], key: str, kind: type) -> Any:
    given = data.get(key, kind())
    if not isinstance(given, kind):
        raise RuleError(f"{key}: expected {'[[rules]]' if kind is list else f'a table [{key}]'}")
    return given


def _check_keys(data: Mapping[str, Any], keys: Sequence[str], kind: str) -> None:
    for key in data:
        require_choice(kind, key, keys, RuleError)


def _check_rule(rule: TriggerRule, values: Sequence[Value]) -> None:
    """Refuse conditions on unknown values, and an enter and a leave that hold at once."""
    by_name = {value.name: value for value in values}
    for condition in (rule.enter, rule.leave):
        for atom in atoms(condition) if condition else ():
            if atom.column not in by_name:
                raise RuleError(f"rule {rule.name!r}: {unknown('value', atom.column, by_name)}")
            exact = isinstance(atom, Membership) or getattr(atom, "operator", "") in ("=", "!=")
            if exact and by_name[atom.column].kind != "count":
                raise RuleError(
                    f"rule {rule.name!r}: {atom.column} takes any value between two numbers; "
                    "compare it by <, <=, >, >= or between"
                )
    named = {"enter": rule.enter} | ({} if rule.leave is None else {"leave": rule.leave})
    pair = tuple(Rule(name, condition) for name, condition in named.items())
    domains = {value.name: value.domain for value in values}
    try:
        both = RuleSet(pair, "many", domains).check().overlaps
    except RuleError as error:
        raise RuleError(f"rule {rule.name!r}: {error}") from None
    if both.height:
        raise RuleError(
            f"rule {rule.name!r}: enter and leave both hold where {both['where'][0]}; a customer "
            "there would flip at every event: move the thresholds apart"
        )


def _with_edges(value: Value, conditions: set[Condition]) -> Value:
    """Find where conditions on a value can change, and so what has to be kept of it."""
    own = [atom for one in conditions for atom in atoms(one) if atom.column == value.name]
    edges: set[int] = set()
    for atom in own:
        if value.kind == "sum" or isinstance(atom, IsNull):
            continue
        for sign, constant in _signs(atom):
            if isinstance(constant, str | bool) or not isinstance(constant, int | float):
                continue  # refused with the rule
            edge = scaled(constant, value.scale)
            if sign in ("<", ">=", "="):
                edges.add(math.ceil(edge))
            if sign in ("<=", ">", "="):
                edges.add(math.floor(edge) + 1)
    inside = tuple(sorted(edge for edge in edges if edge > 0))
    keep = {"count": max(inside, default=1), "since": 1, "sum": None}[value.kind]
    return replace(value, edges=inside, keep=keep)


def scaled(constant: Any, scale: int) -> Any:
    """Return a constant in the whole units that are counted."""
    return constant if scale == 1 else round(constant * scale)


def _signs(atom: Condition) -> list[tuple[str, Any]]:
    """Return an atom as comparisons with a sign each."""
    match atom:
        case Comparison(_, operator, constant):
            return [("=" if operator == "!=" else operator, constant)]
        case Membership(_, listed, _):
            return [("=", constant) for constant in listed]
        case Between(_, low, high, _):
            return [(">=", low), ("<=", high)]
    return []
