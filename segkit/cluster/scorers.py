"""Bases of the models that assign customers to segments, and what they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

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
    read_fields,
)
from segkit.transform import Transform

# Share of each segment's customers at the fit that are not flagged as unlike any segment.
ALIKE = 0.995
SURE = 0.9  # probability from which a customer counts as surely in the segment


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
