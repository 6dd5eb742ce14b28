"""Segment models: fitted once, stored as readable JSON, applied to any customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import inf, sqrt
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from segkit.cluster.kmeans import squared_distances
from segkit.cluster.matrix import Floats
from segkit.cluster.scorers import SegmentScorer
from segkit.display import counted
from segkit.errors import ModelError
from segkit.result import (
    StoredModel,
    check_number,
    check_numbers,
    read_json,
)
from segkit.stored import type_of
from segkit.transform import CENTRES, RowTransform, Transform

# What a model's file says it is -> its stored type.
KINDS = {
    "segments": "segment_model",
    "mixture": "mixture_model",
    "latent": "latent_model",
    "mixed": "mixed_model",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a model.

    Attributes
    ----------
    id : str
        Stable: "S1", "S2", …; a refit aligned to this model keeps it.
    name : str
        Editable; an alias that the trade uses (`segkit.cluster.aliases`), or the description.
    size : int
        Customers at the fit.
    centre : dict of str to float
        Location in original units (see the transform for what kind of mean it is).
    point : tuple of float
        The same centre in the transformed matrix: what customers are compared with.
    reach : float
        Distance to the centre within which 99.5% of the segment's customers lay at the fit.
    description : str
        What marks the segment, in words; empty in models of earlier versions.
    """

    id: str
    name: str
    size: int
    centre: dict[str, float]
    point: tuple[float, ...]
    reach: float
    description: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentModel(SegmentScorer):
    """Model that assigns customers to the segment with the nearest centre.

    Attributes
    ----------
    method : str
        "ward" or "kmeans".
    route : str
        "exact", "two-step" or "compressed" for Ward, "restarts" for k-means.
    as_of : date or None
        Day up to which the features of the fit look.
    rows : int
        Customers at the fit.
    data_hash : str
        SHA-256 of the fitted customers' ids and features, whatever the row order.
    seed : int
    version : str
        segkit's version at the fit.
    definitions : dict of str to str
        Feature to its definition, where the customer table gave one.
    segments : tuple of Segment
    transform : Transform
        Fitted steps from the customer table's columns to the matrix.
    """

    KIND: ClassVar[str] = "segments"
    PARTS: ClassVar[str] = "segments"
    PART: ClassVar[type[Any]] = Segment

    method: str
    route: str
    as_of: date | None
    rows: int
    data_hash: str
    seed: int
    version: str
    definitions: dict[str, str]
    segments: tuple[Segment, ...]
    transform: Transform

    def check_part(self, one: Segment) -> None:
        """Raise ``ModelError`` if this segment's centre lacks a number for one of the columns."""
        check_numbers(f"the point of {one.id}", one.point, len(self.features))
        check_number(f"the reach of {one.id}", one.reach, least=0)
        for name, value in one.centre.items():
            check_number(f"{name} at the centre of {one.id}", value)

    def _distances(self, frame: pl.DataFrame) -> Floats:
        """Return each row's distance to each centre, in units of the matrix, shape (n, k)."""
        points = np.array([segment.point for segment in self.segments])
        squared = squared_distances(self.transform.apply(frame), points)
        return np.sqrt(squared, out=squared)

    def describe(self, one: Segment) -> dict[str, Any]:
        """Return a segment's description, reach (a distance) and centre in original units."""
        beneath = {"segment_description": one.description} if one.description else {}
        return {**beneath, "reach": one.reach, **one.centre}

    @property
    def wording(self) -> tuple[str, str, str]:
        """Phrases for `text`: the segments, the assignment rule, and who is unlike any segment."""
        features = counted(len(self.features), "feature")
        segments = f"segments by {self.method} ({self.route}) from {features}"
        return segments, "nearest centre", "farther from it"

    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""
        data = StoredModel.to_data(self)
        definitions = data.pop("definitions")
        features = [
            {
                "name": column.name,
                "definition": definitions.get(column.name),
                "steps": column.steps,
                "centre_is": CENTRES[column.shape],
            }
            for column in self.transform.columns
        ]
        return {"segkit_model": self.KIND, "features": features, **data}

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        listed = tuple(feature["name"] for feature in data["features"])
        transform = Transform.from_data(data["transform"])
        if listed != transform.names:
            raise ModelError(
                f"the model's features ({', '.join(map(str, listed)) or 'none'}) are not its "
                f"transform's ({', '.join(transform.names)})"
            )
        definitions = {f["name"]: f["definition"] for f in data["features"] if f["definition"]}
        return cls._rebuild(data, transform=transform, definitions=definitions)


class RowScorer:
    """Assigns one customer at a time to the nearest centre, in plain numbers, where speed counts.

    Labels, distances and margins are those of `SegmentModel.score`, bit for bit.

    Attributes
    ----------
    needed : tuple of str
        The values that a row holds, in order (``model.columns``).

    Examples
    --------
    >>> from segkit.cluster import cluster_customers
    >>> table = pl.DataFrame({"customer_id": list("abcd"), "x": [1.0, 2.0, 8.0, 9.0]})
    >>> model = cluster_customers(table, features=["x"], k=2).model
    >>> RowScorer(model).score([8.0]) == model.score(table).drop("customer_id").row(2, named=True)
    True
    """

    __slots__ = ("_model", "_transform", "needed")

    def __init__(self, model: SegmentModel) -> None:
        self._transform = RowTransform(model.transform)
        self._model = model
        self.needed = self._transform.needed

    def score(self, row: Sequence[float]) -> dict[str, Any]:
        """Score a row of finite values (NaN where missing); return the columns of `score`."""
        values = self._transform.apply(row)
        if values is None:
            frame = pl.DataFrame([dict(zip(self.needed, row, strict=True))])
            return self._model.score(frame).row(0, named=True)
        distances = []
        for segment in self._model.segments:
            squared = 0.0
            for value, middle in zip(values, segment.point, strict=True):
                gap = value - middle
                squared += gap * gap
            distances.append(sqrt(squared))
        distance = min(distances)
        best = distances.index(distance)
        own = self._model.segments[best]
        distances[best] = inf
        second = min(distances)
        alone = len(distances) < 2  # no second segment
        return {
            "segment": own.id,
            "segment_name": own.name,
            "distance": distance,
            "second_segment": (None if alone else self._model.segments[distances.index(second)].id),
            "margin": None if alone else second - distance,
            "unlike_any": distance > own.reach,
            "reason": None,
        }


def load_model(path: Path | str) -> SegmentScorer:
    """Read a segment model from its file, whatever method made it.

    Parameters
    ----------
    path : path
        JSON that a model's ``save`` wrote.

    Returns
    -------
    SegmentModel, MixtureModel, LatentModel or MixedModel

    Raises
    ------
    ModelError
        If the file is absent, is no JSON, or holds no model that this segkit reads.
    """
    return read_model(read_json(path, "model file"), Path(path).name)


def read_model(data: Any, name: str) -> SegmentScorer:
    """Read a segment model from the data of a file of that name, whatever method made it.

    Raises
    ------
    ModelError
        If the data hold no model that this segkit reads.
    """
    kind = data.get("segkit_model") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(
            f"{name} is not a segkit segment model ('segkit_model' is {kind!r}; "
            f"known: {', '.join(KINDS)})"
        )
    model: SegmentScorer = type_of(KINDS[kind]).from_data(data)
    return model
