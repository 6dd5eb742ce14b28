"""Versions of customers, segments, scores and consents in one place, with the same two times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import DataError, SourceError, require_choice, require_columns
from segkit.frames import take_frame, takes_frames
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.profiles import ProfileStore
from segkit.intake.versions import Moment, Recorded, as_utc, show_time
from segkit.writing import private_folder

__all__ = ["KINDS", "ProfileArchive"]

KINDS = ("customers", "segments", "scores", "consents")


@dataclass(slots=True)
class ProfileArchive:
    """Four stores of versions, so that "what did we know when we assigned?" has one answer.

    Each kind is a `segkit.intake.ProfileStore` in a folder of its name. A customer missing from a
    recording counts as deleted from then on.

    Parameters
    ----------
    folder : path
        Made if it is not there; readable by its owner alone.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import date
    >>> folder = tempfile.TemporaryDirectory()
    >>> archive = ProfileArchive(folder.name)
    >>> people = pl.DataFrame({"customer_id": ["a"], "region": ["N"], "marketing_consent": [True]})
    >>> placed = pl.DataFrame({"customer_id": ["a"], "segment": ["S1"]})
    >>> may = date(2026, 5, 1)
    >>> made = archive.record(may, recorded_at=may, customers=people, segments=placed)
    >>> sorted(made), archive.as_of(may)["consents"].row(0)
    (['consents', 'customers', 'segments'], ('a', True))
    >>> folder.cleanup()
    """

    folder: Path
    stores: dict[str, ProfileStore] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = private_folder(Path(self.folder))
        for kind in KINDS:
            if (self.folder / kind).is_dir():
                self._store(kind)

    @classmethod
    def open(cls, folder: Path | str) -> ProfileArchive:
        """Open an archive that is there.

        Raises
        ------
        SourceError
            If the folder holds none of the stores.
        """
        place = Path(folder)
        if not any((place / kind / "store.json").is_file() for kind in KINDS):
            raise SourceError(f"{place} holds no versions of {', '.join(KINDS)}")
        return cls(place)

    def record(
        self, valid_at: Moment, *, recorded_at: Moment | None = None, **frames: Any
    ) -> dict[str, Recorded]:
        """Record what was true at a moment, kind by kind.

        Parameters
        ----------
        valid_at : datetime or date
        recorded_at : datetime or date, optional
            When it was learnt; now by default.
        **frames : DataFrame
            customers, segments, scores, consents: one row per customer each. Consents among the
            customers' columns (``…_consent``) are stored as such. An attribute that is stored and
            not among the columns stays as it is.

        Returns
        -------
        dict of str to Recorded

        Raises
        ------
        DataError
            As for `ProfileStore.record_snapshot`; nothing is recorded then for that kind and those
            after it.
        """
        for kind in frames:
            require_choice("kind of versions", kind, KINDS)
        ready = {k: take_frame(v, k) for k, v in frames.items() if v is not None}
        people = ready.get("customers")
        if people is not None and "consents" not in ready:
            agreed = [name for name in people.columns if name.endswith("_consent")]
            if agreed:
                ready["consents"] = people.select("customer_id", *agreed)
                ready["customers"] = people.drop(agreed)
        made = {}
        for kind in KINDS:
            if kind in ready:
                store = self._store(kind)
                frame = self._carried(store, ready[kind], valid_at)
                made[kind] = store.record_snapshot(frame, valid_at, recorded_at=recorded_at)
        return made

    def recorded_upto(self, kind: str) -> Any:
        """Return the moment of a kind's last dump (None without one)."""
        store = self.stores.get(kind)
        dumps = [] if store is None else store.recordings
        return max((one.valid_at for one in dumps), default=None)

    def as_of(self, valid_at: Moment, recorded_at: Moment | None = None) -> dict[str, pl.DataFrame]:
        """Return every kind's rows as they were at a moment, by what was known at another."""
        return {kind: store.as_of(valid_at, recorded_at) for kind, store in self.stores.items()}

    @takes_frames
    def known_when_assigned(
        self, assignments: pl.DataFrame, kind: str = "segments", *, at: str = "assigned_at"
    ) -> pl.DataFrame:
        """Add what was known of each customer at the time of its assignment.

        What was recorded later is ignored, even if it concerns an earlier time.

        Parameters
        ----------
        assignments : DataFrame
            customer_id and the time ``at``.
        kind : {"customers", "segments", "scores", "consents"}
        at : str
            Column of the time.

        Returns
        -------
        polars.DataFrame
            customer_id, ``at`` and the attributes, null for customers who were not known; rows as
            in ``assignments``.

        Raises
        ------
        DataError
            If nothing was known yet at one of the times.
        """
        require_choice("kind of versions", kind, KINDS)
        require_columns(assignments.columns, ["customer_id", at], "assignments")
        if kind not in self.stores:
            raise SourceError(f"{self.folder.name} holds no versions of {kind}")
        store = self.stores[kind]
        parts = []
        for moment in assignments[at].unique().drop_nulls().sort():
            state = store.as_of(moment, moment)
            if not state.height:
                raise DataError(f"nothing was known of {kind} at {show_time(as_utc(moment))}")
            parts.append(state.with_columns(pl.lit(moment).cast(assignments.schema[at]).alias(at)))
        rows = assignments.select("customer_id", at).with_columns(
            pl.col("customer_id").cast(pl.String)
        )
        attributes = pl.concat(parts, how="diagonal") if parts else rows.head(0)
        return rows.join(attributes, on=["customer_id", at], how="left", maintain_order="left")

    def erase(
        self, customers: Any, *, at: Moment | None = None, mapping: ColumnMapping | None = None
    ) -> Mapping[str, int]:
        """Erase customers from every store; return how many each one held."""
        stores = self.stores.items()
        return {kind: store.erase(customers, at=at, mapping=mapping) for kind, store in stores}

    def _store(self, kind: str) -> ProfileStore:
        if kind not in self.stores:
            self.stores[kind] = ProfileStore(self.folder / kind, deletes="invalidate")
        return self.stores[kind]

    def _carried(self, store: ProfileStore, frame: pl.DataFrame, valid_at: Moment) -> pl.DataFrame:
        """Add the stored attributes that a recording does not tell."""
        missing = [name for name in store.columns if name not in frame.columns]
        if not missing:
            return frame
        before = store.as_of(valid_at).select(store.key, *missing)
        return frame.join(before, on=store.key, how="left", maintain_order="left")
