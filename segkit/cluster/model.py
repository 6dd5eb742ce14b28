"""Segment models: fitted once, stored as readable JSON, applied to any customers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import inf, sqrt
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from segkit.cluster.kmeans import squared_distances
from segkit.cluster.matrix import Floats, Ints
from segkit.cluster.segments import Segmentation
from segkit.display import counted, number, percent
from segkit.errors import DataError, ModelError, require_choice
from segkit.frames import takes_frames
from segkit.result import (
    StoredModel,
    check_customers,
    check_names,
    check_number,
    check_numbers,
    read_fields,
    read_json,
)
from segkit.stored import type_of
from segkit.transform import CENTRES, RowTransform, Transform

# Share of each segment's customers at the fit that are not flagged as unlike any segment.
ALIKE = 0.995
SURE = 0.9  # probability from which a customer counts as surely in the segment
# What a model's file says it is -> its stored type.
KINDS = {
    "segments": "segment_model",
    "mixture": "mixture_model",
    "latent": "latent_model",
    "mixed": "mixed_model",
}


class SegmentScorer(StoredModel):
    """Base of the models that assign customers to segments.

    Each segment's representative (a ``PART``, in the field named by ``PARTS``) has an ``id``, a
    ``name``, a ``size`` (customers at the fit) and a ``reach`` (distance beyond which a customer
    counts as unlike any segment).
    """

    __slots__ = ()
    PARTS: ClassVar[str]
    PART: ClassVar[type[Any]]
    transform: Transform  # of the features, where the model has one
    KEYS: ClassVar[Mapping[str, str]] = {
        "rows": "customers",
        "fitted_rows": "fitted_customers",
        "version": "segkit_version",
        "components": "segments",
        "classes": "segments",
        "examples": "segments",
        "space": "columns",
        "size": "customers",
        "reach": "unlike_beyond",
    }
    rows: int  # customers of the fit

    def __post_init__(self) -> None:
        """Check the model, whether fitted, renamed or read from a file.

        Raises
        ------
        ModelError
            If it cannot score: no columns, a list of the wrong length, a number that is not
            finite, two segments of one id.
        """
        check_names("features", self.features)
        check_names("segments", (part.id for part in self.parts))
        check_names("segments", (part.name for part in self.parts))
        check_number("the customers of the stored model", self.rows, least=1)
        for part in self.parts:
            check_number(f"the customers of {part.id}", part.size, least=0)
            check_number(f"the reach of {part.id}", part.reach)
            self.check_part(part)

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that the segments were made from."""
        return self.transform.names

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored: the features, and the exposures of rates.

        A rate is shrunk towards the average by its exposure: the count that it rests on, such as
        the number of orders for the share of returns.
        """
        transform = getattr(self, "transform", None)
        more = () if transform is None else transform.needed
        return tuple(dict.fromkeys([*self.features, *more]))

    @property
    @abstractmethod
    def wording(self) -> tuple[str, str, str]:
        """Three phrases that `text` puts into its sentences.

        What the segments are ("segments by ward from 5 features"), where new customers go
        ("nearest centre"), and what sets apart a customer unlike any ("farther from it").
        """

    @abstractmethod
    def check_part(self, one: Any) -> None:
        """Raise ``ModelError`` if the numbers of this segment do not fit the model's columns."""

    def _find_unfit(self, frame: pl.DataFrame) -> pl.Series:
        """Return for each row which value cannot be read; null if all can."""
        return self.transform.find_unfit(frame)

    @abstractmethod
    def _distances(self, frame: pl.DataFrame) -> Floats:
        """Return each row's distance to each segment, in the model's own unit, shape (n, k)."""

    @abstractmethod
    def describe(self, one: Any) -> dict[str, Any]:
        """Return the characteristics of a segment, as further columns of `to_frame`."""

    @property
    def parts(self) -> tuple[Any, ...]:
        """Each segment's representative: a centre, medoid, prototype, component or class."""
        return tuple(getattr(self, self.PARTS))

    @property
    def names(self) -> dict[str, str]:
        """Each id's name."""
        return {part.id: part.name for part in self.parts}

    @property
    def descriptions(self) -> dict[str, str]:
        """What marks each segment, by id, in words; empty where the model keeps no description."""
        return {part.id: getattr(part, "description", "") for part in self.parts}

    @property
    def ids(self) -> tuple[str, ...]:
        """The segments' ids."""
        return tuple(self.names)

    @takes_frames
    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Assign every customer of a frame to the nearest or most probable segment.

        A row gets exactly the same result alone and in a batch.

        Parameters
        ----------
        frame : polars.DataFrame
            With the model's features; ``customer_id`` is carried over if there.

        Returns
        -------
        polars.DataFrame
            Rows in the frame's order: customer_id, segment, segment_name, distance (in the
            model's own unit), second_segment, margin (how much farther the second nearest is),
            unlike_any (farther from its segment than 99.5% of the segment's customers at the fit),
            what the model adds (probability, or unseen categories), and reason (why a customer has
            no segment and nulls elsewhere: a value that the transform cannot take, such as
            negative money under a logarithm, an infinite one, or a missing one with no treatment
            stated). Where a mixture or latent classes gave the segments, the distance is
            -2 log(weight x density), the margin thus twice the log of the odds against the second
            segment, and the probability that of the own segment.

        Raises
        ------
        ColumnError
            If a feature is missing or of the wrong type.
        DataError
            If a customer comes twice or has no id.
        """
        check_customers(frame)
        reasons = self._find_unfit(frame)
        apart = reasons.is_not_null()
        if not apart.any():
            return self._score(frame).with_columns(reasons.alias("reason"))
        place = pl.int_range(frame.height, dtype=pl.Int64, eager=True).alias("_row")
        scores = self._score(frame.filter(~apart)).with_columns(place.filter(~apart))
        whole = place.to_frame().join(scores, on="_row", how="left", maintain_order="left")
        ids = [frame.get_column(name) for name in ("customer_id",) if name in frame.columns]
        return whole.drop("_row").with_columns(*ids, reasons.alias("reason"))

    def _score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Score rows that can be read."""
        return scored(
            frame, self.names, self._distances(frame), [part.reach for part in self.parts]
        )

    def segment(self, table: pl.DataFrame, **described: Any) -> Segmentation:
        """Return the segmentation of the customers of the fit.

        Parameters
        ----------
        table : polars.DataFrame
            These customers, in the order of their ids.
        **described
            Further fields of the `Segmentation`: method, notes, how it was found.
        """
        scores = self.score(table)
        columns = ("customer_id", "segment", "segment_name", "probability")
        return Segmentation(
            assignments=scores.select(name for name in columns if name in scores.columns),
            model=self,
            segments=self.to_frame(),
            k=len(self.parts),
            **described,
        )

    @classmethod
    def _rebuild(cls, data: Mapping[str, Any], **ready: Any) -> Self:
        """Read the fields and the segments; ``ready`` holds what has a reader of its own."""
        # Models of earlier versions have no descriptions.
        listed = [{"description": "", **fields} for fields in data["segments"]]
        parts = tuple(read_fields(cls.PART, fields, cls.KEYS) for fields in listed)
        return read_fields(cls, data, cls.KEYS, **{cls.PARTS: parts}, **ready)

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy with other names for some ids.

        Raises
        ------
        ModelError
            If an id is unknown or two segments would bear one name.
        """
        for key in names:
            require_choice("segment", key, self.names, ModelError)
        new = {key: names.get(key, old) for key, old in self.names.items()}
        if len(set(new.values())) < len(new):
            raise ModelError(f"segment names must differ; got {list(new.values())}")
        parts = tuple(replace(part, name=new[part.id]) for part in self.parts)
        return replace(self, **{self.PARTS: parts})  # type: ignore[type-var]

    @property
    def text(self) -> str:
        """What the model was fitted on, and what its flag means."""
        segments, nearest, unlike = self.wording
        as_of = getattr(self, "as_of", None)
        when = f" as of {as_of.isoformat()}" if as_of else ""
        return (
            f"{number(len(self.parts))} {segments} of {counted(self.rows, 'customer')}{when}. New "
            f"customers go to the {nearest}; one {unlike} than {percent(ALIKE)} of the segment's "
            "own customers were at the fit is flagged as unlike any."
        )

    def to_frame(self) -> pl.DataFrame:
        """Return one row per segment: id, name, size, share, and its characteristics."""
        return pl.DataFrame(
            [
                {
                    "segment": part.id,
                    "segment_name": part.name,
                    "customers": part.size,
                    "customer_share": part.size / self.rows,
                    **self.describe(part),
                }
                for part in self.parts
            ]
        )


class ProbabilityScorer(SegmentScorer):
    """Base of the models whose distances are -2 log(weight x density)."""

    __slots__ = ()

    def _score(self, frame: pl.DataFrame) -> pl.DataFrame:
        best = probabilities(self._distances(frame)).max(axis=1)
        return super()._score(frame).with_columns(probability=pl.Series(best, dtype=pl.Float64))

    @takes_frames
    def posterior(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return every customer's probability of each segment, one column per segment.

        Raises
        ------
        DataError
            If a customer has a value that cannot be read.
        """
        shares = probabilities(self._distances(frame))
        ids = frame.select("customer_id") if "customer_id" in frame.columns else pl.DataFrame()
        return ids.hstack([pl.Series(n, shares[:, j]) for j, n in enumerate(self.ids)])

    def segment(self, table: pl.DataFrame, **described: Any) -> Segmentation:
        """Return the segmentation of the customers of the fit, with their probabilities."""
        segmentation = super().segment(table, posterior=self.posterior(table), **described)
        sure = (segmentation.assignments["probability"].to_numpy() >= SURE).mean()
        note = (
            f"{percent(float(sure))} of customers are in their segment with a probability of "
            f"{percent(SURE, places=0)} or more."
        )
        return replace(segmentation, notes=(note, *segmentation.notes))


def finish_parts(
    parts: list[Any], distances: Floats, keys: Floats, name: Callable[[list[Any], Ints], list[str]]
) -> tuple[Any, ...]:
    """Order fitted segments by decreasing size; give each its id, name, size and reach.

    Parameters
    ----------
    parts : list of k representatives
        One per segment, without id, name, size and reach.
    distances : array (n, k)
        From every customer of the fit to every segment.
    keys : array (k, d)
        Values that order segments of equal size.
    name : callable
        Gives the segments' names. It is called with the segments in their new order, and with an
        array that holds for each customer the index of the own segment in that order.

    Raises
    ------
    DataError
        If a segment is empty.
    """
    counts = np.bincount(distances.argmin(axis=1), minlength=len(parts))
    if not counts.all():
        raise DataError(
            f"{int((counts == 0).sum())} of "
            f"{counted(len(counts), 'segment holds', 'segments hold')} no customer; ask for fewer "
            "segments"
        )
    order = np.lexsort((*keys.T[::-1], -counts))
    distances = distances[:, order]
    groups = distances.argmin(axis=1)
    ordered = [parts[place] for place in order]
    names, sizes = name(ordered, groups), np.bincount(groups, minlength=len(parts)).tolist()
    reach = reaches(distances.min(axis=1), groups)
    return tuple(
        replace(part, id=f"S{g + 1}", name=names[g], size=sizes[g], reach=reach[g])
        for g, part in enumerate(ordered)
    )


def probabilities(deviance: Floats) -> Floats:
    """Return each row's posterior probabilities from its deviances, shape (n, k).

    Examples
    --------
    >>> probabilities(np.array([[0.0, 2 * np.log(3)]])).round(6).tolist()
    [[0.75, 0.25]]
    """
    share = np.exp((deviance.min(axis=1, keepdims=True) - deviance) / 2)
    total = np.zeros(len(share))
    for column in share.T:  # column by column: a row's sum does not depend on the other rows
        total += column
    return np.asarray(share / total[:, None])


def scored(
    frame: pl.DataFrame, names: Mapping[str, str], distances: Floats, reach: Sequence[float]
) -> pl.DataFrame:
    """Turn distances to every segment into the frame that `score` returns.

    Parameters
    ----------
    frame : polars.DataFrame
        The rows scored; ``customer_id`` is carried over if there.
    names : mapping of str to str
        Each segment's id and name, in the order of the columns of ``distances``.
    distances : array (n, k)
        In the model's own unit; overwritten. The lowest column wins an exact tie.
    reach : sequence of k floats
        Distance beyond which a customer counts as unlike any segment.

    Returns
    -------
    polars.DataFrame
        customer_id, segment, segment_name, distance, second_segment, margin (the second nearest
        distance less the own), unlike_any.

    Examples
    --------
    >>> names = {"S1": "a", "S2": "b"}
    >>> scored(pl.DataFrame({"x": [1]}), names, np.array([[1.0, 3.0]]), [2, 2]).row(0)
    ('S1', 'a', 1.0, 'S2', 2.0, False)
    """
    index = np.arange(frame.height)
    best = distances.argmin(axis=1)
    distance = distances[index, best]
    distances[index, best] = np.inf
    second = distances.argmin(axis=1)
    margin = distances[index, second] - distance
    alone = len(names) < 2  # no second segment
    ids, called = pl.Series(names.keys()), pl.Series(names.values())
    return frame.select(
        pl.col("^customer_id$"),
        segment=ids.gather(best),
        segment_name=called.gather(best),
        distance=pl.Series(distance),
        second_segment=pl.lit(None, pl.String) if alone else ids.gather(second),
        margin=pl.lit(None, pl.Float64) if alone else pl.Series(margin),
        unlike_any=pl.Series(distance > np.asarray(reach, dtype=np.float64)[best]),
    )


def reaches(distances: Floats, segments: Ints) -> list[float]:
    """Return, for each segment, the distance within which 99.5% of its customers lie.

    Parameters
    ----------
    distances : array (n,)
        Of every customer to the own segment.
    segments : array (n,)
        Place of the own segment, each with a customer.

    Examples
    --------
    >>> reaches(np.array([1.0, 3.0, 2.0]), np.array([0, 0, 1]))
    [2.99, 2.0]
    """
    count = int(segments.max()) + 1
    return [float(np.quantile(distances[segments == g], ALIKE)) for g in range(count)]


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
