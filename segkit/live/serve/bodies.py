"""Bodies of the scoring service's requests, read so that an error names its field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from segkit.errors import SegkitError
from segkit.schema import CONTRACTS, EVENT_TYPES, Field

Loc = tuple[str | int, ...]
EPOCH = date(1970, 1, 1)
# Days that are taken: features are built over every day between a row's and the last one.
FIRST_DAY = date(1990, 1, 1)
DAYS_AHEAD = 366  # of today
MAX_ROWS = 5_000  # orders and events of one customer
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# Columns of a customer's raw rows that features are made from.
ORDER_COLUMNS = ("order_id", "order_day", "amount", "is_return", "discount", "category", "brand",
                 "product_id", "channel")  # fmt: skip
EVENT_COLUMNS = ("event_type", "event_day", "event_time", "session_id", "campaign_id", "page",
                 "duration_seconds")  # fmt: skip
REQUIRED = {"orders": ("order_id", "order_day", "amount"), "events": ("event_type", "event_day")}
ROWS: dict[str, dict[str, Field]] = {
    table: {field.name: field for field in CONTRACTS[table] if field.name in columns}
    for table, columns in (("orders", ORDER_COLUMNS), ("events", EVENT_COLUMNS))
}
CUSTOMER_KEYS = ("customer_id", "consent", "features", "orders", "events", "as_of", "attributes")


class FieldError(SegkitError):
    """A field of a request is missing, unknown, or holds what it cannot.

    Attributes
    ----------
    loc : tuple of str and int
        The way to the field from the body's top.
    """

    def __init__(self, loc: Loc, message: str) -> None:
        super().__init__(message)
        self.loc = loc


@dataclass(frozen=True, slots=True)
class CustomerData:
    """What a request says of one customer.

    Attributes
    ----------
    loc : tuple
        Where in the body it stands.
    customer_id : str or None
        Handed back with the answer, used for nothing else.
    consent : bool or None
        Whether the customer agreed to be contacted with offers; None where that is not recorded.
    features : dict or None
        Column to value, as in a customer table.
    orders, events : list or None
        Raw rows, not read yet, where there are no features.
    as_of : date or None
        Last day that is used of the raw rows.
    attributes : mapping
        Columns of the customers table that a model of churn reads.
    """

    loc: Loc
    customer_id: str | None
    consent: bool | None
    features: dict[str, Any] | None
    orders: list[Any] | None = None
    events: list[Any] | None = None
    as_of: date | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def read_json_body(body: bytes) -> dict[str, Any]:
    """Read a JSON object, in UTF-8.

    Raises
    ------
    FieldError
        If the body is no JSON or no object, or holds half a character (a lone surrogate).
    """
    try:
        text = body.decode("utf-8-sig")
        data = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise FieldError((), "holds half a character, such as \\ud83d alone") from None
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise FieldError((), message) from None
    except (ValueError, RecursionError) as error:
        raise FieldError((), f"not JSON: {type(error).__name__}") from None
    if not isinstance(data, dict):
        raise FieldError((), f"expected a JSON object, got {_kind(data)}")
    return data


def read_customer(data: Any, loc: Loc = ()) -> CustomerData:
    """Read one customer: who it is, the consent, and either features or raw rows.

    Raises
    ------
    FieldError
        If a key is unknown or mistyped, or there are neither features nor orders.
    """
    if not isinstance(data, dict):
        raise FieldError(loc, f"expected an object, got {_kind(data)}")
    _refuse_unknown(data, CUSTOMER_KEYS, loc)
    who, consent, features = data.get("customer_id"), data.get("consent"), data.get("features")
    if who is not None and (type(who) not in (str, int) or who == ""):
        raise FieldError((*loc, "customer_id"), f"expected text, got {_kind(who)}")
    if consent is not None and type(consent) is not bool:
        raise FieldError((*loc, "consent"), f"expected true, false or null, got {_kind(consent)}")
    who = None if who is None else str(who)
    if features is None:
        return _read_histories(data, loc, who, consent)
    if not isinstance(features, dict):
        raise FieldError((*loc, "features"), f"expected an object, got {_kind(features)}")
    for key in ("orders", "events", "as_of", "attributes"):
        if data.get(key) is not None:
            raise FieldError((*loc, key), "goes with raw rows, not with features")
    return CustomerData(loc, who, consent, features)


def _read_histories(
    data: Mapping[str, Any], loc: Loc, who: str | None, consent: bool | None
) -> CustomerData:
    orders = _rows(data, "orders", loc)
    if orders is None:
        raise FieldError((*loc, "features"), "missing: give features, or orders with as_of")
    as_of = _read("date", data.get("as_of"), (*loc, "as_of"))
    if as_of is None:
        raise FieldError((*loc, "as_of"), "missing; the last day that the orders are used to")
    attributes = data.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise FieldError((*loc, "attributes"), f"expected an object, got {_kind(attributes)}")
    events = _rows(data, "events", loc)
    if len(orders) + len(events or ()) > MAX_ROWS:
        table = "orders" if len(orders) > MAX_ROWS else "events"
        message = f"a customer has up to {MAX_ROWS:,} orders and events, got more"
        raise FieldError((*loc, table), message)
    return CustomerData(loc, who, consent, None, orders, events, as_of, attributes)


def read_numbers(features: Mapping[str, Any], names: Sequence[str], loc: Loc) -> list[float]:
    """Read a row of numbers in the order of the names; null is NaN, true 1 and false 0.

    Raises
    ------
    FieldError
        If a name is missing or unknown, or a value is no finite number.
    """
    row = []
    for name in names:
        value = features.get(name, features)
        if type(value) is float and -math.inf < value < math.inf:
            row.append(value)
        elif value is None:
            row.append(math.nan)
        elif type(value) is int or type(value) is bool:
            row.append(_finite(value, (*loc, name)))
        elif value is features:
            raise FieldError((*loc, name), "missing; null where it is not known")
        elif type(value) is float:
            raise FieldError((*loc, name), "expected a finite number")
        else:
            raise FieldError((*loc, name), f"expected a number or null, got {_kind(value)}")
    if len(features) != len(names):
        _refuse_unknown(features, names, loc)
    return row


def read_values(features: Mapping[str, Any], names: Sequence[str], loc: Loc) -> dict[str, Any]:
    """Read numbers, texts and yes/no values in the order of the names.

    Raises
    ------
    FieldError
        If a name is missing or unknown, or a value is a list, an object or not finite.
    """
    _refuse_unknown(features, names, loc)
    row = {}
    for name in names:
        if name not in features:
            raise FieldError((*loc, name), "missing; null where it is not known")
        value = features[name]
        if isinstance(value, list | dict):
            raise FieldError((*loc, name), f"expected one value, got {_kind(value)}")
        row[name] = _finite(value, (*loc, name)) if type(value) is float else value
    return row


def read_rows(
    rows: Sequence[Any], table: str, loc: Loc, needed: Collection[str]
) -> list[dict[str, Any]]:
    """Read raw rows of "orders" or "events"; a row has every column that the models need.

    Raises
    ------
    FieldError
        If a column is missing, unknown, or holds what it cannot.
    """
    fields = ROWS[table]
    listed = []
    for place, row in enumerate(rows):
        here = (*loc, table, place)
        if not isinstance(row, dict):
            raise FieldError(here, f"expected an object, got {_kind(row)}")
        _refuse_unknown(row, fields, here)
        values = {name: _read(fields[name].kind, row[name], (*here, name)) for name in row}
        for name in REQUIRED[table]:
            if values.get(name) is None:
                raise FieldError((*here, name), f"missing; {fields[name].about}")
        for name in needed:
            if name not in values:
                raise FieldError(
                    (*here, name), "missing, and the model needs it; null where there is none"
                )
        if (values.get("discount") or 0) < 0:
            raise FieldError((*here, "discount"), "expected money off, 0 or more")
        if table == "events" and values["event_type"] not in EVENT_TYPES:
            raise FieldError((*here, "event_type"), f"expected one of {', '.join(EVENT_TYPES)}")
        listed.append(values)
    return listed


def _rows(data: Mapping[str, Any], table: str, loc: Loc) -> list[Any] | None:
    rows = data.get(table)
    if rows is not None and not isinstance(rows, list):
        raise FieldError((*loc, table), f"expected a list of objects, got {_kind(rows)}")
    return rows


def _refuse_unknown(data: Mapping[str, Any], allowed: Collection[str], loc: Loc) -> None:
    for name in data:
        if name not in allowed:
            shown = [*allowed][:20]
            more = f" and {len(allowed) - 20} more" if len(allowed) > 20 else ""
            raise FieldError((*loc, name), f"unknown; expected {', '.join(shown)}{more}")


def _read(kind: str, value: Any, loc: Loc) -> Any:
    return None if value is None else READERS[kind](value, loc)


def _finite(value: Any, loc: Loc) -> float:
    if type(value) not in (int, float, bool):
        raise FieldError(loc, f"expected a number, got {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FieldError(loc, "expected a finite number")
    return number


def _number(value: Any, loc: Loc) -> float:
    return _finite(None if type(value) is bool else value, loc)


def _flag(value: Any, loc: Loc) -> bool:
    if type(value) is not bool:
        raise FieldError(loc, f"expected true or false, got {_kind(value)}")
    return value


def _text(value: Any, loc: Loc) -> str:
    if type(value) is not str:
        raise FieldError(loc, f"expected text, got {_kind(value)}")
    return value


def _id(value: Any, loc: Loc) -> str:
    if type(value) is int:
        return str(value)
    if not _text(value, loc).strip():
        raise FieldError(loc, "expected an id, got blank text")
    return str(value)


def _bounded(day: int, loc: Loc) -> int:
    last = datetime.now(UTC).date() + timedelta(days=DAYS_AHEAD)
    if not (FIRST_DAY - EPOCH).days <= day <= (last - EPOCH).days:
        raise FieldError(loc, f"expected a day from {FIRST_DAY} to {last}")
    return day


def _date(value: Any, loc: Loc) -> date:
    try:
        day = date.fromisoformat(_text(value, loc))
    except ValueError as error:
        if isinstance(error, FieldError):
            raise
        raise FieldError(loc, "expected a day such as 2025-02-28") from None
    return EPOCH + timedelta(days=_bounded((day - EPOCH).days, loc))


def _day(value: Any, loc: Loc) -> int:
    if type(value) is int:
        return _bounded(value, loc)
    return (_date(value, loc) - EPOCH).days


def _time(value: Any, loc: Loc) -> datetime:
    try:
        time = datetime.fromisoformat(_text(value, loc))
        if time.tzinfo is None:
            raise FieldError(loc, "expected a time with its offset, such as 2025-02-28T09:30:00Z")
        time = time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, FieldError):
            raise
        raise FieldError(loc, "expected a time such as 2025-02-28T09:30:00Z") from None
    _bounded((time.date() - EPOCH).days, loc)
    return time


READERS: dict[str, Callable[[Any, Loc], Any]] = {
    "id": _id,
    "text": _text,
    "money": _number,
    "number": _number,
    "flag": _flag,
    "day": _day,
    "date": _date,
    "time": _time,
}
_WORDS = {str: "text", list: "a list", dict: "an object", type(None): "null"}
_WORDS |= {int: "a number", float: "a number", bool: "true or false"}


def _kind(value: Any) -> str:
    return _WORDS.get(type(value), "something else")
