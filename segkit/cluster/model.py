"""A segmentation as a readable file: who is assigned where, today and next year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Self

import numpy as np
import polars as pl

from segkit.cluster.kmeans import squared_distances
from segkit.cluster.scoring import ALIKE, check_renaming, score_rows, scored
from segkit.cluster.stored import StoredModel
from segkit.display import number, percent
from segkit.errors import ModelError
from segkit.frames import takes_frames
from segkit.result import check_number, check_numbers
from segkit.transform import CENTRES, Transform

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a model.

    Attributes
    ----------
    id : str
        Stable: "S1", "S2", …; a refit aligned to this model keeps it.
    name : str
        Editable; from what marks the segment unless renamed.
    size : int
        Customers at the fit.
    centre : dict of str to float
        Location in original units (see the transform for what kind of mean it is).
    point : tuple of float
        The same centre in the transformed matrix: what customers are compared with.
    reach : float
        Distance to the centre within which 99.5% of the segment's customers lay at the fit.
    """

    id: str
    name: str
    size: int
    centre: dict[str, float]
    point: tuple[float, ...]
    reach: float


@dataclass(frozen=True, slots=True, eq=False)
class SegmentModel(StoredModel):
    """What is needed to assign a customer to a segment, and to know what that rests on.

    Attributes
    ----------
    transform : Transform
        Fitted steps from the customer table's columns to the matrix.
    segments : tuple of Segment
    definitions : dict of str to str
        Feature to its definition, where the customer table gave one.
    method : str
        "ward" or "kmeans".
    route : str
        "exact" or "two-step" for Ward, "restarts" for k-means.
    as_of : date or None
        Day up to which the features of the fit look.
    rows : int
        Customers at the fit.
    data_hash : str
        SHA-256 of the fitted customers' ids and features, whatever the row order.
    seed : int
    version : str
        segkit's version at the fit.
    """

    transform: Transform
    segments: tuple[Segment, ...]
    definitions: dict[str, str]
    method: str
    route: str
    as_of: date | None
    rows: int
    data_hash: str
    seed: int
    version: str

    @property
    def names(self) -> dict[str, str]:
        """Each id's name."""
        return {segment.id: segment.name for segment in self.segments}

    @property
    def parts(self) -> tuple[Segment, ...]:
        """What stands for each segment."""
        return self.segments

    def check_part(self, one: Segment) -> None:
        """Raise ``ModelError`` unless one segment's centre has a number for each column."""
        check_numbers(f"the point of {one.id}", one.point, len(self.features))
        check_number(f"the reach of {one.id}", one.reach, least=0)
        for name, value in one.centre.items():
            check_number(f"{name} at the centre of {one.id}", value)

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored."""
        return self.transform.names

    @takes_frames
    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Assign every customer of a frame to the nearest segment.

        A row alone gets what it gets in a batch, to the last bit: transform and distances are
        elementwise.

        Parameters
        ----------
        frame : polars.DataFrame
            With the model's features; ``customer_id`` is carried over if there.

        Returns
        -------
        polars.DataFrame
            Rows in the frame's order: customer_id, segment, segment_name, distance (to the own
            centre, in units of the matrix), second_segment, margin (how much farther the second
            nearest centre is), unlike_any (farther from its segment's centre than 99.5% of the
            segment's customers at the fit), reason (why a customer has no segment and nulls
            elsewhere: a value that the transform cannot take, such as negative money under a
            logarithm, an infinite one, or a missing one with no treatment stated).

        Raises
        ------
        ColumnError
            If a feature is missing or not numeric.
        DataError
            If a customer comes twice or has no id.
        """
        return score_rows(frame, self.transform.find_unfit(frame), self._score)

    def _score(self, frame: pl.DataFrame) -> pl.DataFrame:
        squared = squared_distances(self.transform.apply(frame), self._points())
        reach = [segment.reach for segment in self.segments]
        return scored(frame, self.names, np.sqrt(squared, out=squared), reach)

    def _points(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([segment.point for segment in self.segments])

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy with other names for some ids.

        Raises
        ------
        ModelError
            If an id is unknown or two segments would bear one name.
        """
        found = check_renaming(self.names, names)
        segments = tuple(replace(s, name=found[s.id]) for s in self.segments)
        return replace(self, segments=segments)

    def to_frame(self) -> pl.DataFrame:
        """One row a segment: id, name, size, share, reach, centre in original units."""
        return pl.DataFrame(
            [
                {
                    "segment": s.id,
                    "segment_name": s.name,
                    "customers": s.size,
                    "customer_share": s.size / self.rows,
                    "reach": s.reach,
                    **s.centre,
                }
                for s in self.segments
            ]
        )

    @property
    def text(self) -> str:
        """What the model was fitted on, and what its flag means."""
        when = f" as of {self.as_of.isoformat()}" if self.as_of else ""
        return (
            f"{number(len(self.segments))} segments by {self.method} ({self.route}) from "
            f"{number(len(self.features))} features of {number(self.rows)} customers{when}. New "
            f"customers go to the nearest centre; one farther from it than {percent(ALIKE)} of "
            "the segment's own customers were at the fit is flagged as unlike any."
        )

    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""
        return {
            "segkit_model": "segments",
            "format": FORMAT,
            "segkit_version": self.version,
            "method": self.method,
            "route": self.route,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "customers": self.rows,
            "data_hash": self.data_hash,
            "seed": self.seed,
            "features": [
                {
                    "name": column.name,
                    "definition": self.definitions.get(column.name),
                    "steps": column.steps,
                    "centre_is": CENTRES[column.shape],
                }
                for column in self.transform.columns
            ],
            "segments": [
                {
                    "id": s.id,
                    "name": s.name,
                    "customers": s.size,
                    "centre": s.centre,
                    "point": list(s.point),
                    "unlike_beyond": s.reach,
                }
                for s in self.segments
            ],
            "transform": self.transform.to_data(),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from `to_data`'s data.

        Raises
        ------
        ModelError
            If this is no segment model, is of a later format, or lacks a field.
        """
        if not isinstance(data, Mapping) or data.get("segkit_model") != "segments":
            raise ModelError("this is not a segkit segment model (no 'segkit_model': 'segments')")
        if data.get("format") != FORMAT:
            raise ModelError(
                f"the model is of format {data.get('format')}; this segkit reads format {FORMAT}"
            )
        try:
            listed = tuple(feature["name"] for feature in data["features"])
            transform = Transform.from_data(data["transform"])
            if listed != transform.names:
                raise ModelError(
                    f"the model's features ({', '.join(map(str, listed)) or 'none'}) are not its "
                    f"transform's ({', '.join(transform.names)})"
                )
            segments = tuple(
                Segment(
                    s["id"], s["name"], s["customers"], dict(s["centre"]),
                    tuple(s["point"]), s["unlike_beyond"],
                )
                for s in data["segments"]
            )  # fmt: skip
            return cls(
                transform,
                segments,
                {f["name"]: f["definition"] for f in data["features"] if f["definition"]},
                data["method"],
                data["route"],
                date.fromisoformat(data["as_of"]) if data["as_of"] else None,
                data["customers"],
                data["data_hash"],
                data["seed"],
                data["segkit_version"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the segment model cannot be read: {error!r}") from error
