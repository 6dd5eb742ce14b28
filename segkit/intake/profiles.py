"""Versions of customers, segments, scores and consents: what was true when, and known when."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from segkit.display import counted
from segkit.errors import (
    ColumnError,
    DataError,
    ParameterError,
    SourceError,
    require_columns,
    unknown,
)
from segkit.frames import takes_frames
from segkit.ids import ids_of, read_ids
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.spellings import require_met, spell_list
from segkit.intake.versions import (
    FACT,
    TIME,
    Moment,
    Recorded,
    Snapshot,
    as_utc,
    compare_dump,
    digest_of,
    fold_versions,
    latest_facts,
    read_meta,
    repeat_dumps,
    show_time,
    state_at,
    write_facts,
)
from segkit.writing import OWNER_FILE, lock, private_folder, write_whole

__all__ = ["DBT_NAMES", "ProfileStore", "Recorded"]

Deletes = Literal["ignore", "invalidate", "new_record"]
STORE_VERSION = 1
#: What this module calls a column, and what dbt's snapshots call it.
DBT_NAMES = {
    "version_id": "dbt_scd_id",
    "updated_at": "dbt_updated_at",
    "valid_from": "dbt_valid_from",
    "valid_to": "dbt_valid_to",
    "is_deleted": "dbt_is_deleted",
    "recorded_from": "recorded_from",
    "recorded_to": "recorded_to",
}


@dataclass(slots=True)
class ProfileStore:
    """Table of which every version is kept, with the time it was true and the time it was learnt.

    Each version holds from ``valid_from`` up to, not including, ``valid_to`` (a half-open
    interval), and was believed from ``recorded_from`` up to, not including, ``recorded_to``. Late
    knowledge adds versions; it never alters what was known before. Customers, segment
    assignments, scores and consents are stored alike, a store each, so that "what did we know
    when we assigned?" is `as_of` with the same two times for all.

    A recording is one Parquet file, written whole. The folder is readable by its owner alone.

    Parameters
    ----------
    folder : path
        Of the store; made if it is not there.
    key : str
        Column of the id, ``customer_id`` by default.
    deletes : {"ignore", "invalidate", "new_record"}
        What a customer's absence from a dump means, in dbt's words: nothing has changed; the end
        of the last version; or a version that is marked as deleted.
    names : mapping of str to str, optional
        Names of the added columns: `DBT_NAMES` (those of dbt's snapshots) changed by this.

    Raises
    ------
    ParameterError
        If a setting is unknown, or differs from the one the folder was made with.
    SourceError
        If the folder holds something else, or was written by a later version.

    See Also
    --------
    segkit.monitor : Refreshes that read and write these versions.

    References
    ----------
    R. T. Snodgrass, Developing Time-Oriented Database Applications in SQL (1999), chapter 10
    (bitemporal tables); dbt documentation, "Snapshots".

    Examples
    --------
    >>> import tempfile
    >>> from datetime import date
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = ProfileStore(folder.name)
    >>> january, march = date(2026, 1, 1), date(2026, 3, 1)
    >>> one = pl.DataFrame({"customer_id": ["a", "b"], "tier": ["gold", "none"]})
    >>> print(store.record_snapshot(one, january, recorded_at=january).text)
    2 rows: 2 new, 0 changed, 0 unchanged, 0 gone.
    >>> two = one.with_columns(tier=pl.lit("gold"))
    >>> print(store.record_snapshot(two, march, recorded_at=march).text)
    2 rows: 0 new, 1 changed, 1 unchanged, 0 gone.
    >>> store.as_of(date(2026, 2, 1))["tier"].to_list()
    ['gold', 'none']
    >>> store.as_of(march)["tier"].to_list()
    ['gold', 'gold']
    >>> folder.cleanup()
    """

    folder: Path
    key: str = "customer_id"
    deletes: Deletes = "ignore"
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        if self.deletes not in get_args(Deletes):
            raise ParameterError(unknown("policy of deletes", self.deletes, get_args(Deletes)))
        strange = sorted(set(self.names) - set(DBT_NAMES))
        if strange:
            raise ParameterError(unknown("column of a version", strange[0], DBT_NAMES))
        self.names = {**DBT_NAMES, **self.names}
        if len({*self.names.values(), self.key}) <= len(DBT_NAMES):
            raise ParameterError("two columns of a version have the same name")
        settings = {"version": STORE_VERSION, "key": self.key, "deletes": self.deletes}
        path = self.folder / "store.json"
        if not path.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise SourceError(f"{self.folder.name} holds other files and no store of versions")
            private_folder(self.folder)
            stored = {**settings, "salt": secrets.token_hex(16)}
            write_whole(path, json.dumps(stored, indent=1), private=True)
        stored = json.loads(path.read_text())
        if stored["version"] > STORE_VERSION:
            raise SourceError(
                f"{self.folder.name} was written by a later segkit (store {stored['version']}); "
                f"this one reads up to {STORE_VERSION}"
            )
        for name in ("key", "deletes"):
            if stored[name] != settings[name]:
                raise ParameterError(
                    f"{self.folder.name} was made with {name}={stored[name]!r}, "
                    f"got {settings[name]!r}"
                )

    @classmethod
    def open(cls, folder: Path | str) -> ProfileStore:
        """Open a store that is there, with the settings it was made with.

        Raises
        ------
        SourceError
            If the folder holds no store of versions.
        """
        path = Path(folder) / "store.json"
        if not path.is_file():
            raise SourceError(f"there is no store of versions at {folder}")
        stored = json.loads(path.read_text())
        return cls(Path(folder), key=stored["key"], deletes=stored["deletes"])

    @property
    def recordings(self) -> list[Snapshot]:
        """The recordings in their order."""
        return [read_meta(path) for path in self._files()]

    @property
    def columns(self) -> list[str]:
        """The attributes, in the order in which they came."""
        return [c for c in self._facts().columns if c not in (self.key, *FACT)]

    @takes_frames
    def record_snapshot(
        self,
        frame: pl.DataFrame,
        valid_at: Moment,
        *,
        recorded_at: Moment | None = None,
        late: bool = False,
    ) -> Recorded:
        """Record a dump of all rows as they were at one moment.

        Parameters
        ----------
        frame : polars.DataFrame
            One row per customer: the key and the attributes. A new attribute is null before.
        valid_at : datetime or date
            When it was true; a date is its first moment, in UTC.
        recorded_at : datetime or date, optional
            When it was learnt; now by default. Never before an earlier recording.
        late : bool
            The dump corrects the past: it is of a time up to that of a dump that is there (late
            orders were added, say). Later dumps keep what they said.

        Returns
        -------
        Recorded

        Raises
        ------
        DataError
            If a customer occurs twice or has no id, an attribute is missing or has changed its
            type, the dump is of the future, or out of order without ``late``.
        """
        valid = as_utc(valid_at)
        with self._locked():
            recorded = self._next(recorded_at, valid)
            rows = self._checked(frame)
            doubled = rows.filter(pl.col(self.key).is_duplicated())
            if doubled.height:
                raise DataError(
                    f"{counted(doubled[self.key].n_unique(), 'customer')} of the dump of "
                    f"{show_time(valid)} have more than one row; a dump has one row each"
                )
            digest = digest_of(rows.sort(self.key))
            dumps = [one for one in self.recordings if one.kind == "snapshot"]
            same = [one for one in dumps if one.valid_at == valid]
            if same and same[-1].digest == digest:
                return Recorded(rows.height, repeated=True)
            last = max((one.valid_at for one in dumps), default=None)
            if last is not None and valid <= last and not late:
                what = "differs from" if same else "comes after"
                raise DataError(
                    f"the dump of {show_time(valid)} {what} that of {show_time(last)}, which is "
                    "recorded: "
                    "record dumps in the order of their times, or give late=True where it "
                    "corrects the past"
                )
            rows, refused, returned = self._without_erased(rows, pl.lit(valid, TIME), recorded)
            facts = self._facts()
            before = state_at(facts, self.key, valid)
            facts_now, account = compare_dump(
                before, rows, self.key, self.deletes, valid=valid, recorded=recorded
            )
            anchors = repeat_dumps(
                facts, facts_now, self.key, self.deletes, dumps=dumps, recorded=recorded
            )
            self._write(
                pl.concat([facts_now, anchors], how="diagonal_relaxed"),
                Snapshot(len(self._files()) + 1, "snapshot", valid, recorded, digest),
            )
        return replace(account, rows=frame.height, refused=refused, returned=returned)

    @takes_frames
    def record_changes(
        self,
        frame: pl.DataFrame,
        *,
        changed_at: str = "changed_at",
        deleted: str | None = None,
        recorded_at: Moment | None = None,
    ) -> Recorded:
        """Record change events: all attributes of a customer as they are from a moment on.

        Events may come late and in any order; one that is there already is counted as unchanged.
        A dump that was recorded keeps what it said about its own moment.

        Parameters
        ----------
        frame : polars.DataFrame
            One row per event: the key, its time and all attributes.
        changed_at : str
            Column of the time from which the values hold.
        deleted : str, optional
            Boolean column: the customer ceased to exist at that time; the attributes do not count.
        recorded_at : datetime or date, optional
            When it was learnt; now by default. Never before an earlier recording.

        Returns
        -------
        Recorded

        Raises
        ------
        DataError
            If two events of a customer at one time differ, a time is missing or lies in the
            future, or an attribute is missing or has changed its type.
        """
        require_columns(frame.columns, [self.key, changed_at], "change events")
        if not frame.height:
            return Recorded(0)
        with self._locked():
            rows = self._events(frame, changed_at, deleted)
            latest: Any = rows["_valid"].max()
            recorded = self._next(recorded_at, latest)
            rows, refused, returned = self._without_erased(rows, pl.col("_valid"), recorded)
            facts = self._facts()
            new = self._unknown(rows, latest_facts(facts, self.key))
            new = new.with_columns(_recorded=pl.lit(recorded, TIME))
            first = new.join(facts.select(self.key).unique(), on=self.key, how="anti")
            dumps = [one for one in self.recordings if one.kind == "snapshot"]
            if new.height:
                anchors = repeat_dumps(
                    facts, new, self.key, self.deletes, dumps=dumps, recorded=recorded
                )
                self._write(
                    pl.concat([new, anchors], how="diagonal_relaxed"),
                    Snapshot(
                        len(self._files()) + 1,
                        "changes",
                        latest,
                        recorded,
                        digest_of(new),
                    ),
                )
        added = first[self.key].n_unique()
        ended = int(new["_deleted"].sum())
        return Recorded(
            frame.height,
            added=added,
            changed=new.height - added - ended if new.height > added + ended else 0,
            deleted=ended,
            unchanged=frame.height - refused - new.height,
            refused=refused,
            returned=returned,
            repeated=not new.height and not refused,
        )

    def _events(self, frame: pl.DataFrame, changed_at: str, deleted: str | None) -> pl.DataFrame:
        """Return change events as rows with ``_valid`` and ``_deleted``; refuse contradictions."""
        try:
            times = frame[changed_at].cast(TIME)
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"{changed_at} must hold times, got {frame[changed_at].dtype}"
            ) from error
        if times.null_count():
            raise DataError(f"{counted(times.null_count(), 'event')} without {changed_at}")
        ends = pl.lit(frame[deleted].fill_null(value=False)) if deleted else pl.lit(value=False)
        rows = self._checked(frame.drop([changed_at, *([deleted] if deleted else [])]))
        rows = rows.with_columns(_valid=times, _deleted=ends).unique(maintain_order=True)
        doubled = rows.filter(rows.select(self.key, "_valid").is_duplicated())
        if doubled.height:
            raise DataError(
                f"{counted(doubled[self.key].n_unique(), 'customer')} have events at the same "
                "time that differ; which one holds?"
            )
        return rows

    def _unknown(self, rows: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
        """Return the events that say other than what is known of the same customer and time."""
        names = [c for c in rows.columns if c != self.key and not c.startswith("_")]
        stored = stored.with_columns(
            pl.lit(None, rows.schema[c]).alias(c) for c in names if c not in stored.columns
        )
        met = rows.join(
            stored.with_columns(_there=pl.lit(value=True)).drop("_recorded"),
            on=[self.key, "_valid"],
            how="left",
            suffix="_was",
        )
        same = pl.col("_there").fill_null(value=False) & pl.all_horizontal(
            pl.col("_deleted") == pl.col("_deleted_was"),
            *(pl.col(c).eq_missing(pl.col(f"{c}_was")) for c in names),
        )
        return met.filter(~same).select(rows.columns)

    def as_of(self, valid_at: Moment, recorded_at: Moment | None = None) -> pl.DataFrame:
        """Return the rows as they were at a moment, by what was known at another.

        Parameters
        ----------
        valid_at : datetime or date
            The moment that is asked about.
        recorded_at : datetime or date, optional
            Only what was recorded up to then counts; everything by default.

        Returns
        -------
        polars.DataFrame
            One row per customer of that moment: the key and the attributes, sorted by the key.
        """
        state = state_at(self._facts(recorded_at), self.key, as_utc(valid_at))
        return state.filter(~pl.col("_deleted")).drop(FACT).sort(self.key)

    def versions(self, recorded_at: Moment | None = None) -> pl.DataFrame:
        """Return all versions by what was known at a moment, in the columns of dbt's snapshots.

        Returns
        -------
        polars.DataFrame
            The key, the attributes, and (by `names`) a version's id, when it was recorded, and the
            half-open interval in which it holds; ``valid_to`` is null for the version in force.
            With ``deletes="new_record"`` deletions are rows too.
        """
        return self._named(self._fold(self._facts(recorded_at)))

    def history(self) -> pl.DataFrame:
        """Return every version that was ever believed, with the interval in which it was believed.

        Returns
        -------
        polars.DataFrame
            As `versions`, and ``recorded_from``, ``recorded_to`` (null: still believed).
        """
        facts = self._facts()
        believed = self._fold(facts.clear()).with_columns(
            recorded_from=pl.lit(None, TIME), recorded_to=pl.lit(None, TIME)
        )
        content = [
            c for c in believed.columns if c not in ("recorded_from", "recorded_to", "_recorded")
        ]
        for moment in facts["_recorded"].unique().sort():
            fresh = facts.filter(pl.col("_recorded") == moment)[self.key].unique()
            concerned = pl.col(self.key).is_in(fresh.implode())
            now = self._fold(facts.filter(concerned & (pl.col("_recorded") <= moment)))
            held = pl.col("recorded_to").is_null() & concerned
            held_rows, rest = believed.filter(held), believed.filter(~held)
            kept = held_rows.join(now, on=content, how="semi", nulls_equal=True)
            ended = held_rows.join(now, on=content, how="anti", nulls_equal=True)
            begun = now.join(held_rows, on=content, how="anti", nulls_equal=True)
            believed = pl.concat(
                [
                    rest,
                    kept,
                    ended.with_columns(recorded_to=pl.lit(moment, TIME)),
                    begun.with_columns(
                        recorded_from=pl.lit(moment, TIME), recorded_to=pl.lit(None, TIME)
                    ),
                ]
            )
        return self._named(believed)

    def erase(
        self, customers: Any, *, at: Moment | None = None, mapping: ColumnMapping | None = None
    ) -> int:
        """Erase every version of the given customers.

        What remains is a salted fingerprint of the id with the time, so that an older dump does
        not bring the customer back. Somebody who buys again later begins a new history.

        Parameters
        ----------
        customers : iterable, frame or path
            Ids, as everywhere in segkit.
        at : datetime or date, optional
            Time of the erasure; now by default.
        mapping : Mapping, optional
            The data's (`segkit.clean_data`), by which the ids are written.

        Returns
        -------
        int
            Customers who had versions.

        Raises
        ------
        DataError
            Without ``mapping``, if ids would be held but for their spelling.
        """
        what = "the customers to erase"
        ids = spell_list(ids_of(customers, what), mapping, what, []).unique()
        moment = datetime.now(UTC) if at is None else as_utc(at)
        with self._locked():
            held = self._facts()[self.key].unique()
            if mapping is None:
                require_met(ids, held, what)
            count = int(held.is_in(ids.implode()).sum())
            for path in self._files():
                frame, meta = pl.read_parquet(path), read_meta(path)
                left = frame.filter(~pl.col(self.key).is_in(ids.implode()))
                if left.height < frame.height:
                    write_facts(left, path, meta)
            marks = pl.DataFrame(
                {"mark": [self._mark(one) for one in ids]}, schema={"mark": pl.String}
            ).with_columns(erased_at=pl.lit(moment, TIME))
            buffer = BytesIO()
            pl.concat([self._erased(), marks]).write_parquet(buffer)
            write_whole(self.folder / "erased.parquet", buffer.getvalue(), private=True)
        return count

    # what follows is not for users

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.parquet"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process write at a time."""
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, OWNER_FILE)
        try:
            if not lock(handle):
                raise SourceError(f"another process is writing to {self.folder.name}; try again")
            yield
        finally:
            os.close(handle)

    def _facts(self, recorded_at: Moment | None = None) -> pl.DataFrame:
        """Read what was recorded: one row per customer, valid time and recording."""
        empty = pl.DataFrame(
            schema={self.key: pl.String, "_valid": TIME, "_recorded": TIME, "_deleted": pl.Boolean}
        )
        frames = [empty, *(pl.read_parquet(path) for path in self._files())]
        facts = pl.concat(frames, how="diagonal")
        if recorded_at is not None:
            facts = facts.filter(pl.col("_recorded") <= as_utc(recorded_at))
        return facts

    def _next(self, recorded_at: Moment | None, valid: datetime) -> datetime:
        """Return the time of this recording, checked against those that are there."""
        recorded = datetime.now(UTC) if recorded_at is None else as_utc(recorded_at)
        last = max((one.recorded_at for one in self.recordings), default=None)
        if last is not None and recorded < last:
            raise DataError(
                f"recorded_at must not be before the last recording, {show_time(last)}; got "
                f"{show_time(recorded)}"
            )
        if valid > recorded:
            raise DataError(f"{show_time(valid)} lies after the recording of {show_time(recorded)}")
        return recorded

    def _checked(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Check key and attributes of a recording against those before."""
        require_columns(frame.columns, [self.key], "a recording of versions")
        reserved = sorted({*self.names.values(), *FACT} & set(frame.columns))
        if reserved:
            raise ColumnError(f"{reserved[0]} is a name of the versions' own columns; rename it")
        rows = frame.with_columns(read_ids(frame[self.key]).alias(self.key))
        empty = rows[self.key].null_count()
        if empty:
            raise DataError(f"{counted(empty, 'row')} without {self.key}")
        stored = {c: kind for c, kind in self._facts().schema.items() if c not in FACT}
        lacking = [c for c in stored if c not in rows.columns]
        if lacking:
            raise ColumnError(
                f"{lacking[0]} is missing; every recording holds all attributes so far "
                f"({', '.join(c for c in stored if c != self.key)})"
            )
        for name, kind in stored.items():
            if rows.schema[name] == kind:
                continue
            if rows.schema[name] != pl.Null and kind != pl.Null:
                raise DataError(
                    f"{name} was {kind} in earlier recordings and is {rows.schema[name]} now; "
                    "convert it first"
                )
            if rows.schema[name] == pl.Null:
                rows = rows.with_columns(pl.col(name).cast(kind))
        return rows

    def _fold(self, facts: pl.DataFrame) -> pl.DataFrame:
        return fold_versions(facts, self.key, self.deletes)

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Give versions their id and the names of their columns."""
        start = pl.col("_valid").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        texts = rows.select(pl.concat_str([pl.col(self.key), start], separator="|")).to_series()
        ids = [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts]
        names = self.names
        attributes = [
            c for c in rows.columns if c not in (self.key, *FACT) and not c.startswith("_")
        ]
        own = [c for c in attributes if c in ("recorded_from", "recorded_to")]
        order = [self.key, *([names["recorded_from"]] if own else []), names["valid_from"]]
        return rows.select(
            self.key,
            *(c for c in attributes if c not in own),
            pl.Series(names["version_id"], ids, dtype=pl.String),
            pl.col("_recorded").alias(names["updated_at"]),
            pl.col("_valid").alias(names["valid_from"]),
            pl.col("_valid_to").alias(names["valid_to"]),
            pl.col("_deleted").alias(names["is_deleted"]),
            *(pl.col(c).alias(names[c]) for c in own),
        ).sort(order)

    def _mark(self, customer: str) -> str:
        salt = json.loads((self.folder / "store.json").read_text())["salt"]
        return hashlib.sha256(f"{salt}|{customer}".encode()).hexdigest()

    def _erased(self) -> pl.DataFrame:
        path = self.folder / "erased.parquet"
        if path.exists():
            return pl.read_parquet(path)
        return pl.DataFrame(schema={"mark": pl.String, "erased_at": TIME})

    def _without_erased(
        self, rows: pl.DataFrame, valid: pl.Expr, recorded: datetime
    ) -> tuple[pl.DataFrame, int, int]:
        """Refuse rows of erased customers from before their erasure; count who came back."""
        erased = self._erased().filter(pl.col("erased_at") <= recorded)
        if not erased.height:
            return rows, 0, 0
        last = erased.group_by("mark").agg(pl.col("erased_at").max())
        marks = pl.Series("mark", [self._mark(one) for one in rows[self.key]], dtype=pl.String)
        met = rows.with_columns(marks).join(last, on="mark", how="left", maintain_order="left")
        old = (valid < pl.col("erased_at")).fill_null(value=False)
        refused = met.filter(old).height
        kept = met.filter(~old)
        present = self._facts()[self.key].unique()
        back = kept.filter(
            pl.col("erased_at").is_not_null() & ~pl.col(self.key).is_in(present.implode())
        )
        return kept.select(rows.columns), refused, back[self.key].n_unique()

    def _write(self, facts: pl.DataFrame, meta: Snapshot) -> None:
        write_facts(facts, self.folder / f"{meta.number:06d}.parquet", meta)
