"""The attitudes behind a survey, as a readable file: who scores how, today and next year."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from segkit.errors import DataError, ModelError, unknown
from segkit.factor.answers import Floats
from segkit.factor.coding import ScoreSide
from segkit.factor.indices import FitIndices
from segkit.factor.naming import Marker, markers, slug
from segkit.factor.rotation import variance
from segkit.factor.scores import Scores, score_frame
from segkit.factor.stored import check_model, read_data, write_data
from segkit.factor.weights import ScoreModel, determinacy, score_weights
from segkit.factor.wording import describe_model
from segkit.frames import takes_frames
from segkit.result import Result, read_json
from segkit.writing import write_whole

if TYPE_CHECKING:
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel(Result):
    """Common factors of items, and what is needed to score a person on them.

    Attributes
    ----------
    items : tuple of str
    labels : dict of str to str
        Item to its statement, where known.
    names : tuple of str
        The factors' names, from what marks each unless renamed; the ids are F1, F2, …
    loadings : ndarray of shape (items, factors)
        Pattern; factors by variance explained, each with a positive sum of cubed loadings.
    phi : ndarray of shape (factors, factors)
        Correlations of the factors.
    uniquenesses : ndarray of shape (items,)
    correlation : ndarray of shape (items, items)
        The matrix that was fitted.
    side : ScoreSide or None
        How answers become numbers; None where the model rests on a matrix alone.
    n : int
        People.
    extraction, rotation, method, missing : str
        How it was fitted, and the kind of correlation.
    fit : FitIndices
    converged : bool
    notes : tuple of str
        What should be known, in sentences.
    seed : int
    version : str
        segkit's version at the fit.
    """

    items: tuple[str, ...]
    labels: dict[str, str]
    names: tuple[str, ...]
    loadings: Floats
    phi: Floats
    uniquenesses: Floats
    correlation: Floats
    side: ScoreSide | None
    n: int
    extraction: str
    rotation: str
    method: str
    missing: str
    fit: FitIndices
    converged: bool
    notes: tuple[str, ...]
    seed: int
    version: str

    def __post_init__(self) -> None:
        """Check the model, however it came about: fitted, renamed or read.

        Raises
        ------
        ModelError
            If it has no items or factors, an array of the wrong shape, or a number that is not
            finite.
        """
        check_model(self)

    @property
    def n_factors(self) -> int:
        """Number of factors."""
        return int(self.loadings.shape[1])

    @property
    def ids(self) -> tuple[str, ...]:
        """The factors' ids, F1 and so on."""
        return tuple(f"F{j + 1}" for j in range(self.n_factors))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that `score` writes: ``attitude_`` and the factor's name."""
        made = [f"attitude_{slug(name) or id_.lower()}"
                for name, id_ in zip(self.names, self.ids, strict=True)]  # fmt: skip
        return tuple(
            name if made.count(name) == 1 else f"{name}_{i + 1}" for i, name in enumerate(made)
        )

    @property
    def structure(self) -> Floats:
        """Correlations of items with factors, ``loadings @ phi``."""
        return np.asarray(self.loadings @ self.phi)

    @property
    def communalities(self) -> Floats:
        """Share of each item's variance that the factors explain: the diagonal of L Phi L'."""
        return np.asarray((self.structure * self.loadings).sum(axis=1))

    @property
    def heywood(self) -> tuple[str, ...]:
        """Items whose uniqueness lies at the border: an improper (Heywood) solution."""
        return tuple(
            item for item, left in zip(self.items, self.uniquenesses, strict=True) if left < 0.0051
        )

    @property
    def implied(self) -> Floats:
        """The correlations that the model implies."""
        made = self.structure @ self.loadings.T
        np.fill_diagonal(made, 1.0)
        return np.asarray(made)

    @property
    def residuals(self) -> Floats:
        """What the model leaves of the correlations."""
        return np.asarray(self.correlation - self.implied)

    def variance(self) -> pl.DataFrame:
        """How much does each factor explain, and how well do answers determine it?

        Returns
        -------
        polars.DataFrame
            One row a factor: ``factor``, ``name``, ``ss_loadings``, ``variance_share`` (of all
            items' variance), ``common_share`` (of what the factors explain), ``determinacy``
            (correlation of the regression score with the factor; null for a given matrix).
        """
        explained = variance(self.loadings, self.phi)
        known = determinacy(self.score_model()).tolist() if self.side else None
        return pl.DataFrame(
            {
                "factor": self.ids,
                "name": self.names,
                "ss_loadings": explained,
                "variance_share": explained / len(self.items),
                "common_share": explained / explained.sum(),
                "determinacy": known or [None] * self.n_factors,
            },
            schema_overrides={"determinacy": pl.Float64},
        )

    def markers(self, factor: int) -> list[Marker]:
        """Which items mark a factor (counted from 0)?"""
        return markers(self.items, self.labels, self.loadings, factor)

    def to_frame(self) -> pl.DataFrame:
        """One row an item: ``item``, ``label``, a loading a factor, communality, uniqueness.

        Items are grouped by the factor that they load on most. ``marks`` names that factor where
        the loading reaches 0.4, and ``complexity`` is Hofmann's (1978) number of factors that an
        item draws on.
        """
        main = np.abs(self.loadings).argmax(axis=1)
        own = self.loadings[np.arange(len(self.items)), main]
        squares = self.loadings**2
        sums = np.maximum((squares**2).sum(axis=1), 1e-300)
        frame = pl.DataFrame(
            {
                "item": self.items,
                "label": [self.labels.get(item, item) for item in self.items],
                **dict(zip(self.ids, self.loadings.T, strict=True)),
                "communality": self.communalities,
                "uniqueness": self.uniquenesses,
                "complexity": squares.sum(axis=1) ** 2 / sums,
                "marks": [
                    self.names[j] if abs(a) >= 0.4 else None for j, a in zip(main, own, strict=True)
                ],
            }
        )
        by = pl.DataFrame({"main": main, "reach": -np.abs(own)})
        return pl.concat([frame, by], how="horizontal").sort("main", "reach").drop("main", "reach")

    @property
    def text(self) -> str:
        """Say what the factors are, how well they fit, and what spoils the solution."""
        return describe_model(self)

    def plot(self) -> Figure:
        """Draw the loadings as a heatmap."""
        from segkit.factor.pictures import draw_loadings

        return draw_loadings(self)

    def diagram(self, *, least: float = 0.3) -> Figure:
        """Draw factors, items, and the paths between them from a loading of ``least`` on."""
        from segkit.factor.pictures import draw_paths

        return draw_paths(self, least)

    # Scoring -------------------------------------------------------------------------------

    def score_model(self) -> ScoreModel:
        """Return what weights follow from."""
        if self.side is None:
            raise DataError(
                "this model was fitted to a given matrix: without means and spreads of the answers "
                "there are no scores; fit it to a frame"
            )
        return ScoreModel(self.loadings, self.phi, self.side.correlation, self.side.attenuation)

    def weights(self, method: str = "regression") -> Floats:
        """Return the weight of each standardised answer in each factor's score.

        Raises
        ------
        DataError
            If the answers do not determine the scores, or the model rests on a matrix alone.
        """
        found = score_weights(self.score_model(), method)
        if found is None:
            raise DataError(f"the items do not determine {method} scores: two factors coincide")
        return found

    @takes_frames
    def score(
        self, frame: pl.DataFrame, *, method: str = "regression", least: int | None = None
    ) -> Scores:
        """How does each respondent stand on each factor?

        Missing answers: a person's score rests on the answers that are there, with the weights
        that the model gives to those items alone; nothing is filled in. Who answered fewer than
        ``least`` items gets null. A row alone gets what it gets in a batch.

        Parameters
        ----------
        frame : polars.DataFrame
            With the model's items; ``customer_id`` is carried over if there.
        method : str
            "regression" (best guess; the spread shrinks with what is known), "bartlett"
            (unbiased) or "tenberge" (correlate as the factors do).
        least : int, optional
            Answers needed; by default half of the items.

        Raises
        ------
        ColumnError, DataError, ParameterError
            For missing or non-numeric items, a model without answers, an unknown method, a
            customer who comes twice or has no id.
        """
        return score_frame(self, frame, method, least)

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy with other names for some ids (F1, …).

        Raises
        ------
        ModelError
            If an id is unknown or two factors would bear one name.
        """
        for key in names:
            if key not in self.ids:
                raise ModelError(unknown("factor", key, self.ids))
        new = tuple(names.get(i, n) for i, n in zip(self.ids, self.names, strict=True))
        if len(set(new)) < len(new):
            raise ModelError(f"factor names must differ; got {list(new)}")
        return replace(self, names=new)

    # Storing -------------------------------------------------------------------------------

    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""
        return write_data(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from `to_data`'s data.

        Raises
        ------
        ModelError
            If this is no factor model, is of a later format, or lacks a field.
        """
        return cls(**read_data(data))

    def save(self, path: Path | str) -> Path:
        """Write the model as JSON and return the path."""
        target = Path(path)
        text = json.dumps(self.to_data(), indent=1, ensure_ascii=False, allow_nan=False)
        write_whole(target, text + "\n")
        return target

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model that `save` wrote.

        Raises
        ------
        ModelError
            If the file is absent, is no JSON, or is no factor model.
        """
        return cls.from_data(read_json(path, "model file"))
