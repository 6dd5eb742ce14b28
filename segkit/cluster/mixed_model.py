"""Segments of mixed columns as a readable file: whom is a customer most like?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from segkit.cluster.division import size_table
from segkit.cluster.gower import MISSING, Encoded, Space, gower
from segkit.cluster.prototypes import costs, joined_codes
from segkit.cluster.scoring import (
    ALIKE,
    check_kind,
    check_renaming,
    score_rows,
    scored,
)
from segkit.cluster.stored import StoredModel
from segkit.display import number, percent
from segkit.errors import ModelError, unknown
from segkit.frames import takes_frames
from segkit.result import check_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMAT = 1
WAYS = {
    "medoids": "k-medoids by Gower's distance",
    "hierarchical": "average linkage by Gower's distance",
    "prototypes": "k-prototypes",
}


@dataclass(frozen=True, slots=True)
class Example:
    """One segment: the medoid or prototype that stands for it.

    Attributes
    ----------
    id, name : str
    size : int
        Customers at the fit.
    centre : dict
        Column to value: the medoid's own, or the prototype's (means turned back into original
        units, the most frequent category).
    numbers, codes, marks : tuple
        The same as it is compared: `segkit.cluster.gower.Encoded`, None where missing. A
        prototype's marks stand among the codes.
    reach : float
        Distance beyond which a customer is unlike any.
    """

    id: str
    name: str
    size: int
    centre: dict[str, Any]
    numbers: tuple[float | None, ...]
    codes: tuple[int, ...]
    marks: tuple[float | None, ...]
    reach: float


def distances_to(
    found: Encoded, examples: tuple[Example, ...] | list[Example], method: str, gamma: float | None
) -> Floats:
    """Return each row's distance to each example, shape (n, k).

    Gower's, or for prototypes the root of the squared distance plus gamma times the mismatches; a
    missing number lies at the mean of all customers there, a missing category is one of its own.
    """
    if method == "prototypes":
        points, modes = _stack(examples, "numbers"), np.array([e.codes for e in examples])
        cost = costs(np.nan_to_num(found.numbers), joined_codes(found), points, modes, gamma or 0)
        return np.sqrt(cost, out=cost)
    other = Encoded(
        _stack(examples, "numbers"),
        np.array([e.codes for e in examples], dtype=np.int64),
        _stack(examples, "marks"),
        np.zeros(len(examples), dtype=np.int64),
    )
    return gower(found, other)


def _stack(examples: tuple[Example, ...] | list[Example], what: str) -> Floats:
    rows = [[np.nan if v is None else v for v in getattr(e, what)] for e in examples]
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1)


@dataclass(frozen=True, slots=True, eq=False)
class MixedModel(StoredModel):
    """What is needed to assign a customer by numbers, categories, ranks and yes/no marks.

    Attributes
    ----------
    space : Space
        How the columns are read and scaled.
    examples : tuple of Example
    method : str
        "medoids", "hierarchical" or "prototypes".
    gamma : float or None
        Weight of a mismatch, for prototypes.
    rows, fitted_rows : int
        Customers of the fit, and those that the segments were found on.
    seed : int
    version : str
        segkit's version at the fit.
    """

    space: Space
    examples: tuple[Example, ...]
    method: str
    gamma: float | None
    rows: int
    fitted_rows: int
    seed: int
    version: str

    @property
    def names(self) -> dict[str, str]:
        """Each id's name."""
        return {one.id: one.name for one in self.examples}

    @property
    def parts(self) -> tuple[Example, ...]:
        """What stands for each segment."""
        return self.examples

    def check_part(self, one: Example) -> None:
        """Raise ``ModelError`` unless one segment's example has a place for every column."""
        if self.method not in WAYS:
            raise ModelError(unknown("method of a stored model", str(self.method), WAYS))
        space, joined = self.space, self.method == "prototypes"
        levels = [len(known) for known in space.categorical.values()]
        if joined:
            check_number("the weight of a mismatch", self.gamma, least=0)
            levels += [2] * len(space.asymmetric)
        marks = () if joined else space.asymmetric
        wanted = {"numbers": len(space.number_names), "codes": len(levels), "marks": len(marks)}
        for what, length in wanted.items():
            got = len(getattr(one, what))
            if got != length:
                raise ModelError(f"{what} of {one.id} must be {length}, one a column; got {got}")
        for value in (*one.numbers, *one.marks):
            if value is not None:
                check_number(f"a number of {one.id}", value)
        for code, count in zip(one.codes, levels, strict=True):
            if not isinstance(code, int) or not MISSING <= code < count:
                raise ModelError(f"a category of {one.id} must be below {count}; got {code!r}")

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored."""
        return self.space.features

    @takes_frames
    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Assign every customer of a frame to the segment whose example is nearest.

        Parameters
        ----------
        frame : polars.DataFrame
            With the model's columns; ``customer_id`` is carried over if there.

        Returns
        -------
        polars.DataFrame
            As `segkit.cluster.scoring.scored`, ``unseen``: how many of the row's categories and
            ranks were not there at the fit (such a category differs from all that were, such a
            rank counts as missing), and ``reason`` as in `SegmentModel.score`.

        Raises
        ------
        ColumnError, DataError
            As `segkit.cluster.gower.Space.encode`; DataError too if a customer comes twice or has
            no id.
        """
        return score_rows(frame, self.space.find_unfit(frame), self._score)

    def _score(self, frame: pl.DataFrame) -> pl.DataFrame:
        found = self.space.encode(frame)
        distances = distances_to(found, self.examples, self.method, self.gamma)
        result = scored(frame, self.names, distances, [one.reach for one in self.examples])
        return result.with_columns(unseen=pl.Series(found.unseen, dtype=pl.Int64))

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy with other names for some ids.

        Raises
        ------
        ModelError
            If an id is unknown or two segments would bear one name.
        """
        found = check_renaming(self.names, names)
        return replace(self, examples=tuple(replace(e, name=found[e.id]) for e in self.examples))

    def to_frame(self) -> pl.DataFrame:
        """One row a segment: id, name, size, share, and what its example is like."""
        sizes = size_table(self.names, [one.size for one in self.examples])
        return sizes.hstack(pl.DataFrame([one.centre for one in self.examples]))

    @property
    def text(self) -> str:
        """What the model was fitted on, and what its flag means."""
        return (
            f"{number(len(self.examples))} segments by {WAYS[self.method]} from "
            f"{number(len(self.features))} columns of {number(self.rows)} customers. New "
            f"customers go to the nearest; one farther from it than {percent(ALIKE)} of the "
            "segment's own customers were at the fit is flagged as unlike any. A category that "
            "was not there at the fit differs from all that were."
        )

    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""
        return {
            "segkit_model": "mixed",
            "format": FORMAT,
            "segkit_version": self.version,
            "method": self.method,
            "gamma": self.gamma,
            "customers": self.rows,
            "fitted_customers": self.fitted_rows,
            "seed": self.seed,
            "columns": self.space.to_data(),
            "segments": [
                {
                    "id": e.id, "name": e.name, "customers": e.size, "centre": e.centre,
                    "numbers": list(e.numbers), "codes": list(e.codes), "marks": list(e.marks),
                    "unlike_beyond": e.reach,
                }
                for e in self.examples
            ],
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from `to_data`'s data.

        Raises
        ------
        ModelError
            If this is no model of mixed columns, is of a later format, or lacks a field.
        """
        check_kind(data, "mixed", FORMAT)
        try:
            examples = tuple(
                Example(
                    e["id"], e["name"], e["customers"], dict(e["centre"]), tuple(e["numbers"]),
                    tuple(e["codes"]), tuple(e["marks"]), e["unlike_beyond"],
                )
                for e in data["segments"]
            )  # fmt: skip
            return cls(
                Space.from_data(data["columns"]), examples, data["method"], data["gamma"],
                data["customers"], data["fitted_customers"], data["seed"],
                data["segkit_version"],
            )  # fmt: skip
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model of mixed columns cannot be read: {error!r}") from error
