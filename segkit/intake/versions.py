"""Facts with the time they were true and the time they were learnt, and the versions they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from io import BytesIO
from pathlib import Path

import polars as pl

from segkit.display import counted, number
from segkit.errors import ColumnError, DataError, SourceError, require_columns
from segkit.ids import read_ids
from segkit.writing import write_whole

Moment = datetime | date
META = "segkit_recording"

TIME = pl.Datetime("us", "UTC")
FACT = ("_valid", "_recorded", "_deleted")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One recording: a dump of all rows, or a set of changes."""

    number: int  # place in the order of recordings, from 1
    kind: str  # "snapshot", of everybody, or "changes"
    valid_at: datetime  # when the dump was true; for changes the latest of their times
    recorded_at: datetime  # when this store learnt it
    digest: str  # of the rows: the same dump twice is recorded once


@dataclass(frozen=True, slots=True)
class Recorded:
    """Account of one recording: nothing is dropped without being counted.

    Attributes
    ----------
    rows : int
        Rows given.
    added, changed, deleted, unchanged : int
        Customers who are new, whose values changed, who are gone, who are as before. For change
        events: rows of that kind.
    refused : int
        Rows of erased customers that describe a time before their erasure.
    returned : int
        Customers who were erased and came back afterwards: a new history begins.
    repeated : bool
        The same recording was there already; nothing was written.
    """

    rows: int
    added: int = 0
    changed: int = 0
    deleted: int = 0
    unchanged: int = 0
    refused: int = 0
    returned: int = 0
    repeated: bool = False

    @property
    def text(self) -> str:
        """State the account in words."""
        if self.repeated:
            return f"{counted(self.rows, 'row')}: recorded before, nothing was written."
        parts = [
            f"{number(self.added)} new",
            f"{number(self.changed)} changed",
            f"{number(self.unchanged)} unchanged",
            f"{number(self.deleted)} gone",
        ]
        text = f"{counted(self.rows, 'row')}: {', '.join(parts)}."
        if self.refused:
            text += (
                f" {counted(self.refused, 'row')} refused: from before the erasure of the customer."
            )
        if self.returned:
            text += (
                f" {counted(self.returned, 'customer')} came back after an erasure: "
                "a new history begins, the old one is gone."
            )
        return text

    def __str__(self) -> str:
        return self.text


def latest_facts(facts: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the last recorded fact of each customer and valid time, in order of both."""
    ordered = facts.sort(key, "_valid", "_recorded", maintain_order=True)
    return ordered.unique([key, "_valid"], keep="last", maintain_order=True)


def state_at(facts: pl.DataFrame, key: str, valid: datetime) -> pl.DataFrame:
    """Return each customer's latest fact up to a moment, deletions included."""
    upto = latest_facts(facts.filter(pl.col("_valid") <= valid), key)
    return upto.unique(key, keep="last", maintain_order=True)


def compare_dump(
    before: pl.DataFrame,
    rows: pl.DataFrame,
    key: str,
    deletes: str,
    *,
    valid: datetime,
    recorded: datetime,
) -> tuple[pl.DataFrame, Recorded]:
    """Return what a dump changes in the state before it, and how many customers it concerns."""
    names = [c for c in rows.columns if c != key]
    stored = [c for c in names if c in before.columns]
    was = before.select(
        key, *(pl.col(c).alias(f"{c}_was") for c in stored), _was=~pl.col("_deleted")
    )
    both = rows.join(was, on=key, how="left").with_columns(pl.col("_was").fill_null(value=False))
    differs = pl.any_horizontal(
        ~pl.col("_was"),
        *(pl.col(c).ne_missing(pl.col(f"{c}_was")) for c in stored),
        *(pl.col(c).is_not_null() for c in names if c not in stored),
    )
    marked = both.with_columns(_differs=differs)
    times = {"_valid": pl.lit(valid, TIME), "_recorded": pl.lit(recorded, TIME)}
    fresh = marked.filter("_differs")
    changes = fresh.select(key, *names).with_columns(**times, _deleted=pl.lit(value=False))
    absent = before.filter(~pl.col("_deleted")).join(rows, on=key, how="anti")
    absent = absent.clear() if deletes == "ignore" else absent
    ended = absent.drop(FACT).with_columns(**times, _deleted=pl.lit(value=True))
    account = Recorded(
        rows.height,
        added=fresh.filter(~pl.col("_was")).height,
        changed=fresh.filter(pl.col("_was")).height,
        deleted=absent.height,
        unchanged=rows.height - fresh.height,
    )
    return pl.concat([changes, ended], how="diagonal"), account


def repeat_dumps(
    facts: pl.DataFrame,
    changes: pl.DataFrame,
    key: str,
    deletes: str,
    *,
    dumps: Sequence[Snapshot],
    recorded: datetime,
) -> pl.DataFrame:
    """Repeat what later dumps said, at their moment, where a change slips in before them.

    A dump stores only what it changed, so a fact that slips in before it would otherwise run
    through it.
    """
    if not changes.height:
        return changes
    repeated = [changes.clear()]
    moments = sorted({one.valid_at for one in dumps})
    for start, moment in zip([None, *moments], moments, strict=False):
        within = pl.col("_valid") < moment
        if start is not None:
            within &= pl.col("_valid") >= start
        slipped = changes.filter(within).sort("_valid")
        slipped = slipped.unique(key, keep="last", maintain_order=True)
        own = changes.filter(pl.col("_valid") == moment)
        slipped = slipped.join(own, on=key, how="anti")
        state = state_at(facts, key, moment)
        restated = state.join(slipped.select(key, _slipped="_valid"), on=key)
        hidden = restated.filter(pl.col("_valid") <= pl.col("_slipped")).drop("_slipped")
        if deletes == "ignore":  # a dump says nothing of whom it could not know
            dumped = max(one.recorded_at for one in dumps if one.valid_at == moment)
            then = state_at(facts.filter(pl.col("_recorded") <= dumped), key, moment)
            hidden = hidden.join(then, on=key, how="semi")
        else:
            absent = slipped.filter(~pl.col("_deleted")).join(state, on=key, how="anti")
            repeated.append(
                absent.with_columns(_valid=pl.lit(moment, TIME), _deleted=pl.lit(value=True))
            )
        repeated.append(hidden.with_columns(_valid=pl.lit(moment, TIME)))
    anchors = pl.concat(repeated, how="diagonal_relaxed")
    return anchors.with_columns(_recorded=pl.lit(recorded, TIME))


def fold_versions(facts: pl.DataFrame, key: str, deletes: str) -> pl.DataFrame:
    """Turn facts into versions: equal neighbours merged, each up to the next one's start."""
    rows = latest_facts(facts, key)
    names = [c for c in rows.columns if c not in (key, *FACT)]
    same = pl.all_horizontal(
        pl.col("_deleted") == pl.col("_deleted").shift(1).over(key),
        *(pl.col(c).eq_missing(pl.col(c).shift(1).over(key)) | pl.col("_deleted") for c in names),
    ).fill_null(value=False)
    first = pl.col(key).is_first_distinct()
    rows = rows.filter(first | ~same)
    rows = rows.with_columns(_valid_to=pl.col("_valid").shift(-1).over(key))
    return rows if deletes == "new_record" else rows.filter(~pl.col("_deleted"))


def drop_known(rows: pl.DataFrame, stored: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the events that say other than what is known of the same customer and time."""
    names = [c for c in rows.columns if c != key and not c.startswith("_")]
    stored = stored.with_columns(
        pl.lit(None, rows.schema[c]).alias(c) for c in names if c not in stored.columns
    )
    there = stored.with_columns(_there=pl.lit(value=True)).drop("_recorded")
    met = rows.join(there, on=[key, "_valid"], how="left", suffix="_was")
    same = pl.col("_there").fill_null(value=False) & pl.all_horizontal(
        pl.col("_deleted") == pl.col("_deleted_was"),
        *(pl.col(c).eq_missing(pl.col(f"{c}_was")) for c in names),
    )
    return met.filter(~same).select(rows.columns)


def name_versions(rows: pl.DataFrame, key: str, names: Mapping[str, str]) -> pl.DataFrame:
    """Give versions their id and the names of their columns."""
    start = pl.col("_valid").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    texts = rows.select(pl.concat_str([pl.col(key), start], separator="|")).to_series()
    ids = [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts]
    own = [c for c in ("recorded_from", "recorded_to") if c in rows.columns]
    attributes = [c for c in rows.columns if c not in (key, *own) and not c.startswith("_")]
    order = [key, *(names[c] for c in own[:1]), names["valid_from"]]
    return rows.select(
        key,
        *attributes,
        pl.Series(names["version_id"], ids, dtype=pl.String),
        pl.col("_recorded").alias(names["updated_at"]),
        pl.col("_valid").alias(names["valid_from"]),
        pl.col("_valid_to").alias(names["valid_to"]),
        pl.col("_deleted").alias(names["is_deleted"]),
        *(pl.col(c).alias(names[c]) for c in own),
    ).sort(order)


def recording_time(
    recorded_at: Moment | None, valid: datetime, recordings: Sequence[Snapshot]
) -> datetime:
    """Return the time of this recording, checked against those that are there."""
    recorded = as_utc(recorded_at)
    last = max((one.recorded_at for one in recordings), default=None)
    if last is not None and recorded < last:
        raise DataError(
            f"recorded_at must not be before the last recording, {show_time(last)}; got "
            f"{show_time(recorded)}"
        )
    if valid > recorded:
        raise DataError(f"{show_time(valid)} lies after the recording of {show_time(recorded)}")
    return recorded


def check_rows(
    frame: pl.DataFrame, key: str, reserved_names: Iterable[str], schema: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """Check key and attributes of a recording against those before."""
    require_columns(frame.columns, [key], "a recording of versions")
    reserved = sorted({*reserved_names, *FACT} & set(frame.columns))
    if reserved:
        raise ColumnError(f"{reserved[0]} is a name of the versions' own columns; rename it")
    rows = frame.with_columns(read_ids(frame[key]).alias(key))
    empty = rows[key].null_count()
    if empty:
        raise DataError(f"{counted(empty, 'row')} without {key}")
    stored = {c: kind for c, kind in schema.items() if c not in FACT}
    lacking = [c for c in stored if c not in rows.columns]
    if lacking:
        raise ColumnError(
            f"{lacking[0]} is missing; every recording holds all attributes so far "
            f"({', '.join(c for c in stored if c != key)})"
        )
    for name, kind in stored.items():
        now = rows.schema[name]
        if pl.Null not in (now, kind) and now != kind:
            raise DataError(
                f"{name} was {kind} in earlier recordings and is {now} now; convert it first"
            )
        if now == pl.Null:
            rows = rows.with_columns(pl.col(name).cast(kind))
    return rows


def write_facts(facts: pl.DataFrame, path: Path, meta: Snapshot) -> None:
    """Write the facts of one recording whole, with what it is in the file's metadata."""
    buffer = BytesIO()
    stored = json.dumps(asdict(meta), default=datetime.isoformat)
    facts.write_parquet(buffer, metadata={META: stored})
    write_whole(path, buffer.getvalue(), private=True)


def read_meta(path: Path) -> Snapshot:
    """Read what a recording is from its file's metadata."""
    try:
        stored = json.loads(pl.read_parquet_metadata(path)[META])
    except (KeyError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path.name} is no recording of a store of versions") from error
    moments = {c: datetime.fromisoformat(stored[c]) for c in ("valid_at", "recorded_at")}
    return Snapshot(**{**stored, **moments})


def event_times(cells: pl.Series) -> pl.Series:
    """Return the times of change events in UTC."""
    try:
        times = cells.cast(TIME)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{cells.name} must hold times, got {cells.dtype}") from error
    if times.null_count():
        raise DataError(f"{counted(times.null_count(), 'event')} without {cells.name}")
    return times


def digest_of(rows: pl.DataFrame) -> str:
    """Hash rows, whatever the order of their columns."""
    buffer = BytesIO()
    rows.select(sorted(rows.columns)).write_ipc(buffer)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def as_utc(value: Moment | None) -> datetime:
    """Return a time in UTC: a date is its first moment, a time without a zone is UTC, None now."""
    if value is None:
        return datetime.now(UTC)
    if not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def show_time(value: datetime) -> str:
    """Write a moment: the day alone where it is the day's first."""
    return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
