"""A Gaussian mixture as a readable file: how likely is each segment for a customer?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from segkit.cluster.scoring import (
    ALIKE,
    check_kind,
    check_renaming,
    score_rows,
    scored,
)
from segkit.cluster.stored import StoredModel
from segkit.display import number, percent
from segkit.errors import ModelError
from segkit.frames import takes_frames
from segkit.result import check_number, check_numbers
from segkit.transform import Transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Component:
    """One segment of a mixture.

    Attributes
    ----------
    id, name : str
    size : int
        Customers whose most probable segment it was at the fit.
    weight : float
        Its share of the mixture.
    centre : dict of str to float
        Location in original units (see the transform for what kind of mean it is).
    mean : tuple of d floats
        The same in the transformed matrix.
    factor : tuple of d tuples of d floats
        Upper triangular F with F Fᵀ the inverse covariance: ``(x - mean) F`` has unit variance.
    reach : float
        Distance beyond which a customer is unlike any.
    """

    id: str
    name: str
    size: int
    weight: float
    centre: dict[str, float]
    mean: tuple[float, ...]
    factor: tuple[tuple[float, ...], ...]
    reach: float


def deviances(X: Floats, components: tuple[Component, ...] | list[Component]) -> Floats:
    """Return -2 log(weight x density) of every row under every component.

    Summed column after column with elementwise operations alone, so that a row has the same bits
    alone and in a batch.

    Parameters
    ----------
    X : array (n, d)
    components : sequence of k Component

    Returns
    -------
    array (n, k)

    Examples
    --------
    >>> one = Component("S1", "", 1, 1.0, {}, (0.0,), ((1.0,),), 9.0)
    >>> deviances(np.array([[0.0], [2.0]]), [one]).round(3).tolist()
    [[1.838], [5.838]]
    """
    total = np.empty((X.shape[0], len(components)))
    columns = np.ascontiguousarray(X.T)
    for place, component in enumerate(components):
        factor = np.array(component.factor)
        gaps = [column - middle for column, middle in zip(columns, component.mean, strict=True)]
        flat = X.shape[1] * np.log(2 * np.pi) - 2 * np.log(np.diag(factor)).sum()
        value = np.full(X.shape[0], flat - 2 * np.log(component.weight))
        for j in range(X.shape[1]):
            part = np.zeros(X.shape[0])
            for i in np.flatnonzero(factor[:, j]):
                part += gaps[i] * factor[i, j]
            value += part * part
        total[:, place] = value
    return total


def probabilities(deviance: Floats) -> Floats:
    """Return each row's posterior probabilities from its deviances, shape (n, k).

    Examples
    --------
    >>> probabilities(np.array([[0.0, 2 * np.log(3)]])).round(6).tolist()
    [[0.75, 0.25]]
    """
    share = np.exp((deviance.min(axis=1, keepdims=True) - deviance) / 2)
    total = np.zeros(len(share))
    for column in share.T:  # column after column: the same bits in every company
        total += column
    return np.asarray(share / total[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class MixtureModel(StoredModel):
    """What is needed to say how probable each segment of a Gaussian mixture is for a customer.

    Attributes
    ----------
    transform : Transform
        Fitted steps from the customer table's columns to the matrix.
    components : tuple of Component
    shape : str
        Of the covariances: "full", "tied", "diag" or "spherical".
    definitions : dict of str to str
        Feature to its definition, where the customer table gave one.
    as_of : date or None
    rows, fitted_rows : int
        Customers of the fit, and those that EM ran on.
    seed : int
    version : str
        segkit's version at the fit.
    """

    transform: Transform
    components: tuple[Component, ...]
    shape: str
    definitions: dict[str, str]
    as_of: date | None
    rows: int
    fitted_rows: int
    seed: int
    version: str

    @property
    def names(self) -> dict[str, str]:
        """Each id's name."""
        return {component.id: component.name for component in self.components}

    @property
    def parts(self) -> tuple[Component, ...]:
        """What stands for each segment."""
        return self.components

    def check_part(self, one: Component) -> None:
        """Raise ``ModelError`` unless one segment has a mean and a covariance of all columns."""
        d = len(self.features)
        check_number(f"the weight of {one.id}", one.weight, above=0, most=1)
        check_numbers(f"the mean of {one.id}", one.mean, d)
        if len(one.factor) != d:
            raise ModelError(f"the factor of {one.id} must have {d} rows; got {len(one.factor)}")
        for place, row in enumerate(one.factor):
            check_numbers(f"row {place} of the factor of {one.id}", row, d)
            check_number(f"the diagonal of the factor of {one.id}", row[place], above=0)

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored."""
        return self.transform.names

    @takes_frames
    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Assign every customer of a frame to the most probable segment.

        Parameters
        ----------
        frame : polars.DataFrame
            With the model's features; ``customer_id`` is carried over if there.

        Returns
        -------
        polars.DataFrame
            As `segkit.cluster.scoring.scored`, ``probability``, and ``reason`` as in
            `SegmentModel.score`. The distance is -2 log(weight x density), the margin thus twice
            the log of the odds against the second segment.

        Raises
        ------
        ColumnError
            If a feature is missing or not numeric.
        DataError
            If a customer comes twice or has no id.
        """
        return score_rows(frame, self.transform.find_unfit(frame), self._score)

    def _score(self, frame: pl.DataFrame) -> pl.DataFrame:
        deviance = deviances(self.transform.apply(frame), self.components)
        best = probabilities(deviance).max(axis=1)
        reach = [component.reach for component in self.components]
        return scored(frame, self.names, deviance, reach).with_columns(
            probability=pl.Series(best, dtype=pl.Float64)
        )

    @takes_frames
    def posterior(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return every customer's probability of each segment, one column a segment.

        Raises
        ------
        DataError
            If a customer has a value that the transform cannot take.
        """
        found = probabilities(deviances(self.transform.apply(frame), self.components))
        kept = frame.select("customer_id") if "customer_id" in frame.columns else pl.DataFrame()
        return kept.hstack([pl.Series(n, found[:, j]) for j, n in enumerate(self.ids)])

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy with other names for some ids.

        Raises
        ------
        ModelError
            If an id is unknown or two segments would bear one name.
        """
        found = check_renaming(self.names, names)
        return replace(
            self, components=tuple(replace(c, name=found[c.id]) for c in self.components)
        )

    def to_frame(self) -> pl.DataFrame:
        """One row a segment: id, name, size, share, weight, centre in original units."""
        return pl.DataFrame(
            [
                {
                    "segment": c.id,
                    "segment_name": c.name,
                    "customers": c.size,
                    "customer_share": c.size / self.rows,
                    "weight": c.weight,
                    **c.centre,
                }
                for c in self.components
            ]
        )

    @property
    def text(self) -> str:
        """What the model was fitted on, and what its flag means."""
        when = f" as of {self.as_of.isoformat()}" if self.as_of else ""
        return (
            f"{number(len(self.components))} segments by a Gaussian mixture ({self.shape} "
            f"covariances) from {number(len(self.features))} features of {number(self.rows)} "
            f"customers{when}. New customers go to the most probable segment; one less likely "
            f"under it than {percent(ALIKE)} of its own customers were at the fit is flagged as "
            "unlike any."
        )

    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""
        return {
            "segkit_model": "mixture",
            "format": FORMAT,
            "segkit_version": self.version,
            "shape": self.shape,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "customers": self.rows,
            "fitted_customers": self.fitted_rows,
            "seed": self.seed,
            "definitions": self.definitions,
            "segments": [
                {
                    "id": c.id, "name": c.name, "customers": c.size, "weight": c.weight,
                    "centre": c.centre, "mean": list(c.mean),
                    "factor": [list(row) for row in c.factor], "unlike_beyond": c.reach,
                }
                for c in self.components
            ],
            "transform": self.transform.to_data(),
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from `to_data`'s data.

        Raises
        ------
        ModelError
            If this is no mixture model, is of a later format, or lacks a field.
        """
        check_kind(data, "mixture", FORMAT)
        try:
            components = tuple(
                Component(
                    c["id"], c["name"], c["customers"], c["weight"], dict(c["centre"]),
                    tuple(c["mean"]), tuple(tuple(row) for row in c["factor"]),
                    c["unlike_beyond"],
                )
                for c in data["segments"]
            )  # fmt: skip
            return cls(
                Transform.from_data(data["transform"]),
                components,
                data["shape"],
                dict(data["definitions"]),
                date.fromisoformat(data["as_of"]) if data["as_of"] else None,
                data["customers"],
                data["fitted_customers"],
                data["seed"],
                data["segkit_version"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the mixture model cannot be read: {error!r}") from error
