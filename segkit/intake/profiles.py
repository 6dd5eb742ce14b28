"""Versions of customers, segments, scores and consents: what was true when, and known when."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from segkit.display import counted
from segkit.errors import DataError, ParameterError, SourceError, require_columns, unknown
from segkit.frames import takes_frames
from segkit.ids import ids_of
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.spellings import require_met, spell_list
from segkit.intake.versions import (
    FACT,
    TIME,
    Moment,
    Recorded,
    Snapshot,
    as_utc,
    check_rows,
    compare_dump,
    digest_of,
    drop_known,
    event_times,
    fold_versions,
    latest_facts,
    name_versions,
    read_meta,
    recording_time,
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
            recorded = recording_time(recorded_at, valid, self.recordings)
            rows = self._checked(frame)
            doubled = rows.filter(pl.col(self.key).is_duplicated())
            if doubled.height:
                raise DataError(
                    f"{counted(doubled[self.key].n_unique(), 'customer')} of the dump of "
                    f"{show_time(valid)} have more than one row; a dump has one row each"
                )
            digest = digest_of(rows.sort(self.key))
            dumps = self._dumps()
            same = [one for one in dumps if one.valid_at == valid]
            if same and same[-1].digest == digest:
                return Recorded(rows.height, repeated=True)
            last = max((one.valid_at for one in dumps), default=None)
            if last is not None and valid <= last and not late:
                what = "differs from" if same else "comes after"
                raise DataError(
                    f"the dump of {show_time(valid)} {what} that of {show_time(last)}, which is "
                    "recorded: record dumps in the order of their times, or give late=True where "
                    "it corrects the past"
                )
            rows, refused, returned = self._without_erased(rows, pl.lit(valid, TIME), recorded)
            facts = self._facts()
            before = state_at(facts, self.key, valid)
            facts_now, account = compare_dump(
                before, rows, self.key, self.deletes, valid=valid, recorded=recorded
            )
            number = len(self._files()) + 1
            self._write(facts, facts_now, Snapshot(number, "snapshot", valid, recorded, digest))
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
            recorded = recording_time(recorded_at, latest, self.recordings)
            rows, refused, returned = self._without_erased(rows, pl.col("_valid"), recorded)
            facts = self._facts()
            new = drop_known(rows, latest_facts(facts, self.key), self.key)
            new = new.with_columns(_recorded=pl.lit(recorded, TIME))
            if new.height:
                number = len(self._files()) + 1
                meta = Snapshot(number, "changes", latest, recorded, digest_of(new))
                self._write(facts, new, meta)
        added = new.join(facts, on=self.key, how="anti")[self.key].n_unique()
        ended = int(new["_deleted"].sum())
        return Recorded(
            frame.height,
            added=added,
            changed=max(0, new.height - added - ended),
            deleted=ended,
            unchanged=frame.height - refused - new.height,
            refused=refused,
            returned=returned,
            repeated=not new.height and not refused,
        )

    def _events(self, frame: pl.DataFrame, changed_at: str, deleted: str | None) -> pl.DataFrame:
        """Return change events as rows with ``_valid`` and ``_deleted``; refuse contradictions."""
        times = event_times(frame[changed_at])
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
        return name_versions(self._fold(self._facts(recorded_at)), self.key, self.names)

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
        own = {"recorded_from", "recorded_to", "_recorded"}
        content = [c for c in believed.columns if c not in own]
        for moment in facts["_recorded"].unique().sort():
            fresh = facts.filter(pl.col("_recorded") == moment)[self.key].unique()
            concerned = pl.col(self.key).is_in(fresh.implode())
            now = self._fold(facts.filter(concerned & (pl.col("_recorded") <= moment)))
            is_held = pl.col("recorded_to").is_null() & concerned
            held, rest = believed.filter(is_held), believed.filter(~is_held)
            kept = held.join(now, on=content, how="semi", nulls_equal=True)
            ended = held.join(now, on=content, how="anti", nulls_equal=True)
            begun = now.join(held, on=content, how="anti", nulls_equal=True)
            ended = ended.with_columns(recorded_to=pl.lit(moment, TIME))
            begun = begun.with_columns(
                recorded_from=pl.lit(moment, TIME), recorded_to=pl.lit(None, TIME)
            )
            believed = pl.concat([rest, kept, ended, begun])
        return name_versions(believed, self.key, self.names)

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
            marks = self._marks(ids).to_frame().with_columns(erased_at=pl.lit(as_utc(at), TIME))
            buffer = BytesIO()
            pl.concat([self._erased(), marks]).write_parquet(buffer)
            write_whole(self.folder / "erased.parquet", buffer.getvalue(), private=True)
        return count

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.parquet"))

    def _dumps(self) -> list[Snapshot]:
        return [one for one in self.recordings if one.kind == "snapshot"]

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
        is_known = recorded_at is None or pl.col("_recorded") <= as_utc(recorded_at)
        return pl.concat(frames, how="diagonal").filter(is_known)

    def _checked(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Check key and attributes of a recording against those before."""
        return check_rows(frame, self.key, self.names.values(), self._facts().schema)

    def _fold(self, facts: pl.DataFrame) -> pl.DataFrame:
        return fold_versions(facts, self.key, self.deletes)

    def _marks(self, ids: pl.Series) -> pl.Series:
        """Return the salted fingerprints of ids."""
        salt = json.loads((self.folder / "store.json").read_text())["salt"]
        marks = [hashlib.sha256(f"{salt}|{one}".encode()).hexdigest() for one in ids]
        return pl.Series("mark", marks, dtype=pl.String)

    def _erased(self) -> pl.DataFrame:
        path = self.folder / "erased.parquet"
        empty = pl.DataFrame(schema={"mark": pl.String, "erased_at": TIME})
        return pl.read_parquet(path) if path.exists() else empty

    def _without_erased(
        self, rows: pl.DataFrame, valid: pl.Expr, recorded: datetime
    ) -> tuple[pl.DataFrame, int, int]:
        """Refuse rows of erased customers from before their erasure; count who came back."""
        erased = self._erased().filter(pl.col("erased_at") <= recorded)
        if not erased.height:
            return rows, 0, 0
        last = erased.group_by("mark").agg(pl.col("erased_at").max())
        marked = rows.with_columns(self._marks(rows[self.key]))
        met = marked.join(last, on="mark", how="left", maintain_order="left")
        old = (valid < pl.col("erased_at")).fill_null(value=False)
        kept = met.filter(~old)
        back = kept.filter(pl.col("erased_at").is_not_null())
        back = back.join(self._facts(), on=self.key, how="anti")
        return kept.select(rows.columns), met.height - kept.height, back[self.key].n_unique()

    def _write(self, facts: pl.DataFrame, new: pl.DataFrame, meta: Snapshot) -> None:
        """Write a recording, with what later dumps said where it slips in before them."""
        dumps, recorded = self._dumps(), meta.recorded_at
        anchors = repeat_dumps(facts, new, self.key, self.deletes, dumps=dumps, recorded=recorded)
        whole = pl.concat([new, anchors], how="diagonal_relaxed")
        write_facts(whole, self.folder / f"{meta.number:06d}.parquet", meta)
