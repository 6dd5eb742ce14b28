"""Latent classes as a readable file: which class do a customer's yes/no answers point to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from segkit.cluster.mixture_model import probabilities
from segkit.cluster.scoring import (
    ALIKE,
    check_kind,
    check_renaming,
    score_rows,
    scored,
)
from segkit.cluster.stored import StoredModel
from segkit.display import number, percent
from segkit.errors import ColumnError, DataError, ModelError, require_columns
from segkit.frames import takes_frames
from segkit.result import check_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMAT = 1
ANSWERS = {"yes": 1.0, "y": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "n": 0.0, "false": 0.0, "0": 0.0}


def read_answers(frame: pl.DataFrame, items: Sequence[str]) -> Floats:
    """Return yes/no answers as 1 and 0, a missing one as NaN.

    Booleans, the numbers 0 and 1, and the words yes, no, true, false, y, n (in any case) are read.

    Parameters
    ----------
    frame : polars.DataFrame
    items : sequence of str

    Returns
    -------
    array (n, items)

    Raises
    ------
    ColumnError
        If an item is absent.
    DataError
        If an answer is none of these (which, in which item).

    Examples
    --------
    >>> read_answers(pl.DataFrame({"cheap": ["Yes", "no", None]}), ["cheap"]).ravel().tolist()
    [1.0, 0.0, nan]
    """
    require_columns(frame.columns, items, "the survey")
    columns = []
    for name in items:
        series = frame.get_column(name)
        kind = series.dtype
        if kind.is_numeric() or kind == pl.Boolean:
            values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            odd = series.filter(pl.Series(~(np.isnan(values) | np.isin(values, (0.0, 1.0)))))
        elif kind == pl.String or isinstance(kind, pl.Enum | pl.Categorical):
            tidy = series.cast(pl.String).str.strip_chars().str.to_lowercase()
            read = tidy.replace_strict(ANSWERS, default=None, return_dtype=pl.Float64)
            odd = series.filter(read.is_null() & series.is_not_null())
            values = read.fill_null(float("nan")).to_numpy()
        else:
            raise ColumnError(f"{name} must hold yes/no answers; it is {kind}")
        if len(odd):
            raise DataError(
                f"{name} holds {odd[0]!r} ({len(odd)} such rows); latent classes take yes/no "
                f"answers: {', '.join(ANSWERS)}"
            )
        columns.append(values)
    return np.column_stack(columns)


def answer_deviances(answers: Floats, weights: Floats, yes: Floats) -> Floats:
    """Return -2 log(weight x probability of the answers) of every row under every class.

    A missing answer says nothing. Elementwise, so that a row has the same bits in any company.

    Parameters
    ----------
    answers : array (n, items)
    weights : array (k,)
    yes : array (k, items)
        Probability of a yes in each class, strictly between 0 and 1.

    Returns
    -------
    array (n, k)
    """
    total = np.tile(-2 * np.log(weights), (len(answers), 1))
    said, unsaid = -2 * np.log(yes), -2 * np.log1p(-yes)
    for item, column in enumerate(np.ascontiguousarray(answers.T)):
        for group in range(len(weights)):
            total[:, group] += np.where(
                column == 1, said[group, item], np.where(column == 0, unsaid[group, item], 0.0)
            )
    return total


@dataclass(frozen=True, slots=True)
class LatentClass:
    """One class: how often its members say yes to each item.

    Attributes
    ----------
    id, name : str
    size : int
        Customers whose most probable class it was at the fit.
    weight : float
        Its share of the mixture.
    yes : dict of str to float
        Item to the probability of a yes.
    reach : float
        Distance beyond which a customer is unlike any.
    """

    id: str
    name: str
    size: int
    weight: float
    yes: dict[str, float]
    reach: float


@dataclass(frozen=True, slots=True, eq=False)
class LatentModel(StoredModel):
    """What is needed to say how probable each latent class is for a customer's answers.

    Attributes
    ----------
    items : tuple of str
    classes : tuple of LatentClass
    rows : int
        Customers at the fit.
    seed : int
    version : str
        segkit's version at the fit.
    """

    items: tuple[str, ...]
    classes: tuple[LatentClass, ...]
    rows: int
    seed: int
    version: str

    @property
    def names(self) -> dict[str, str]:
        """Each id's name."""
        return {one.id: one.name for one in self.classes}

    @property
    def parts(self) -> tuple[LatentClass, ...]:
        """What stands for each class."""
        return self.classes

    def check_part(self, one: LatentClass) -> None:
        """Raise ``ModelError`` unless one class has a probability of a yes to every item."""
        check_number(f"the weight of {one.id}", one.weight, above=0, most=1)
        if set(one.yes) != set(self.items):
            raise ModelError(
                f"class {one.id} must have one probability for each of {', '.join(self.items)}; "
                f"got {', '.join(map(str, one.yes)) or 'none'}"
            )
        for item, share in one.yes.items():
            check_number(f"the probability of {item} in {one.id}", share, above=0, below=1)

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored."""
        return self.items

    def _deviances(self, frame: pl.DataFrame) -> Floats:
        weights = np.array([one.weight for one in self.classes])
        yes = np.array([[one.yes[item] for item in self.items] for one in self.classes])
        return answer_deviances(read_answers(frame, self.items), weights, yes)

    @takes_frames
    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Assign every customer of a frame to the most probable class.

        Parameters
        ----------
        frame : polars.DataFrame
            With the model's items; ``customer_id`` is carried over if there. A missing answer
            says nothing; without any answer the largest class is the most probable.

        Returns
        -------
        polars.DataFrame
            As `segkit.cluster.scoring.scored`, ``probability``, and ``reason`` (null: an answer
            that is missing leaves nobody out). The distance is
            -2 log(weight x probability of the answers), the margin twice the log of the odds
            against the second class.

        Raises
        ------
        ColumnError, DataError
            As `read_answers`; DataError too if a customer comes twice or has no id.
        """
        nobody = pl.Series("reason", [None] * frame.height, dtype=pl.String)
        return score_rows(frame, nobody, self._score)

    def _score(self, frame: pl.DataFrame) -> pl.DataFrame:
        deviance = self._deviances(frame)
        best = probabilities(deviance).max(axis=1)
        return scored(
            frame, self.names, deviance, [one.reach for one in self.classes]
        ).with_columns(probability=pl.Series(best, dtype=pl.Float64))

    @takes_frames
    def posterior(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return every customer's probability of each class, one column a class."""
        found = probabilities(self._deviances(frame))
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
        return replace(self, classes=tuple(replace(c, name=found[c.id]) for c in self.classes))

    def to_frame(self) -> pl.DataFrame:
        """One row a class: id, name, size, share, weight, probability of a yes to each item."""
        return pl.DataFrame(
            [
                {
                    "segment": c.id,
                    "segment_name": c.name,
                    "customers": c.size,
                    "customer_share": c.size / self.rows,
                    "weight": c.weight,
                    **c.yes,
                }
                for c in self.classes
            ]
        )

    @property
    def text(self) -> str:
        """What the model was fitted on, and what its flag means."""
        return (
            f"{number(len(self.classes))} latent classes from {number(len(self.items))} yes/no "
            f"items of {number(self.rows)} customers. New customers go to the most probable "
            f"class; one whose answers are rarer in it than those of {percent(ALIKE)} of its own "
            "customers at the fit is flagged as unlike any."
        )

    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""
        return {
            "segkit_model": "latent",
            "format": FORMAT,
            "segkit_version": self.version,
            "customers": self.rows,
            "seed": self.seed,
            "items": list(self.items),
            "segments": [
                {
                    "id": c.id, "name": c.name, "customers": c.size, "weight": c.weight,
                    "yes": c.yes, "unlike_beyond": c.reach,
                }
                for c in self.classes
            ],
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from `to_data`'s data.

        Raises
        ------
        ModelError
            If these are no latent classes, are of a later format, or lack a field.
        """
        check_kind(data, "latent", FORMAT)
        try:
            classes = tuple(
                LatentClass(
                    c["id"], c["name"], c["customers"], c["weight"], dict(c["yes"]),
                    c["unlike_beyond"],
                )
                for c in data["segments"]
            )  # fmt: skip
            items = tuple(data["items"])
            return cls(items, classes, data["customers"], data["seed"], data["segkit_version"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the latent classes cannot be read: {error!r}") from error
