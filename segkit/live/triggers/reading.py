"""Messages read as events, with why one is rejected; customers read with their consents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from segkit.errors import DataError, SourceError, require_columns
from segkit.ids import is_no_customer, mangled_ids, read_ids, with_ids
from segkit.intake.cells import flag
from segkit.intake.dates import Clock
from segkit.intake.mapping import NULLS
from segkit.live.triggers.engine import DECODE, ENCODE, Event, as_moment
from segkit.live.triggers.rules import NUMERIC, TriggerRules
from segkit.writing import PARQUET

# Each message by the first of these that reads it, whatever its neighbours look like.
FORMATS = (
    *(f"%Y-%m-%d{gap}%H:%M:%S%.f{zone}" for gap in "T " for zone in ("Z", "%z", "")),
    *("%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"),
)
# Numbers and times beyond these are misreadings, and what is reckoned from them would not fit.
MOST = 10**12
TIMES = (as_moment(datetime(1900, 1, 1)), as_moment(datetime(2200, 1, 1)))
EPOCHS = {"epoch_s": r"^\d{10}(\.\d+)?$", "epoch_ms": r"^\d{13}$", "epoch_us": r"^\d{16}$"}


class Message(NamedTuple):
    """One message of a log: its part of the log, the position after it, and its bytes."""

    lane: int
    after: int
    body: bytes


class Reading(NamedTuple):
    """What a message was read as: an event, or the reason why it is rejected."""

    message: Message
    event: Event | None
    reason: str


class Reader:
    """Reads messages as events, by the rules' zone, event types and fields."""

    def __init__(self, rules: TriggerRules) -> None:
        self.ranks = {kind: place for place, kind in enumerate(rules.kinds)}
        self.fields = rules.fields
        self.zone = rules.zone

    def read(self, messages: Sequence[Message]) -> list[Reading]:
        """Read messages, in their order."""
        records = [_record(message.body) for message in messages]
        ids = [_text(record.get("customer_id")) for record in records]
        raw = pl.Series("customer_id", ids, dtype=pl.String)
        customers = read_ids(raw)
        nobody = (customers.is_null() | is_no_customer(customers)).to_list()
        mangled = mangled_ids(raw).to_list()
        times = self._times([_text(record.get("event_time")) for record in records])
        readings = []
        rows = zip(messages, records, customers.to_list(), nobody, mangled, times, strict=True)
        for message, record, customer, is_nobody, is_mangled, time in rows:
            kind = record.get("event_type")
            rank = self.ranks.get(kind) if isinstance(kind, str) else None
            reason = ""
            if is_nobody or is_mangled or time is None or rank is None:
                reason = _why(record, is_nobody, is_mangled, time)
            fields: dict[str, Any] = {}
            if not reason and self.fields:
                fields, reason = self._fields(record)
            event = None
            if not reason:
                ident = record.get("event_id")
                # Without an id of its own, an event is the same as one that says the same.
                text = repr(sorted(record.items())) if ident is None else str(ident)
                event = Event(time or 0, rank or 0, text, customer, str(kind), fields)
            readings.append(Reading(message, event, reason))
        return readings

    def _fields(self, record: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Read the fields that the rules use; return them, and why the event is rejected."""
        fields = {name: record.get(name) for name in self.fields}
        for name, value in fields.items():
            if name not in NUMERIC:
                fields[name] = _text(value)
            elif not _is_number(value):
                return fields, f"bad_{name}"
        return fields, ""

    def _times(self, texts: list[str | None]) -> list[int | None]:
        """Read times as microseconds since 1970, each by its own spelling."""
        column, string = pl.col("time"), pl.String()
        cells = pl.Series("time", texts, dtype=pl.String).str.strip_chars().to_frame()
        times = pl.Series("read", [None] * len(texts), dtype=pl.Datetime("us", "UTC"))
        for form in (*FORMATS, *EPOCHS):
            fits = column.str.contains(EPOCHS.get(form, ""))
            clock = Clock(zone=self.zone, formats=(form,))
            read = cells.select(clock.utc(pl.when(fits).then(column), string)).to_series()
            times = times.zip_with(times.is_not_null(), read)
            if not times.null_count():  # most logs have one format: the rest is not tried
                break
        moments = times.to_physical()
        return moments.set(~moments.is_between(*TIMES), None).to_list()


def _why(record: dict[str, Any], is_nobody: bool, is_mangled: bool, time: int | None) -> str:
    """Say why a message is no event."""
    if not record:
        return "malformed"
    if is_nobody or is_mangled:
        return "no_customer" if is_nobody else "mangled_id"
    return "no_time" if time is None else "unknown_event_type"


def _record(body: bytes) -> dict[str, Any]:
    """Parse one object; empty if it is none, or holds text that no file can (half a character)."""
    try:
        text = body.decode()
        record, end = DECODE(text)
        if b"\\u" in body:
            ENCODE(record).encode()
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) and end == len(text) else {}


def _text(value: Any) -> str | None:
    if isinstance(value, str) or value is None:
        return value
    return None if isinstance(value, bool | list | dict) else str(value)


def _is_number(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def read_customers(
    customers: pl.DataFrame | Path, consents: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """Read what is known of customers, a frame or file, by id; a refusal goes before a grant.

    Consents (the columns named so, and those whose names end so) are yes or no, in the words that
    the intake reads.

    Raises
    ------
    SourceError
        If the file, CSV or Parquet, cannot be read.
    DataError
        If a consent is neither yes nor no.

    Examples
    --------
    >>> frame = pl.DataFrame({"customer_id": [" 7", "7"], "marketing_consent": ["yes", "0"]})
    >>> read_customers(frame)
    {'7': {'customer_id': '7', 'marketing_consent': False}}
    """
    frame = customers if isinstance(customers, pl.DataFrame) else _frame(customers)
    require_columns(frame.columns, ["customer_id"], "customers")
    frame = with_ids(frame, "customers")
    text = pl.col(pl.String).exclude("customer_id").str.strip_chars()
    frame = frame.with_columns(pl.when(~text.is_in(NULLS)).then(text))
    named = {*consents}
    consents = [name for name in frame.columns if name.endswith("_consent") or name in named]
    read = frame.with_columns(
        flag(pl.col(name).cast(pl.String), pl.String(), NULLS, {}).alias(name) for name in consents
    )
    for name in consents:
        unread = frame[name].filter(read[name].is_null() & frame[name].is_not_null())
        if unread.len():
            raise DataError(
                f"customers: {name} is neither yes nor no: {unread[0]!r}. Expected true or false, "
                "yes or no, 1 or 0, or nothing where it is not recorded"
            )
    read = read.with_columns(pl.col(consents).min().over("customer_id")) if consents else read
    return read.rows_by_key("customer_id", named=True, unique=True, include_key=True)


def _frame(path: Path) -> pl.DataFrame:
    try:
        if path.name.lower().endswith(PARQUET):
            return pl.read_parquet(path)
        # As text: numbers would lose an id's leading zeros.
        return pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path.name} cannot be read: {error}") from None
