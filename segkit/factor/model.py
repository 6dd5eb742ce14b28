"""Factor model: loadings, fit, scores, and its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from segkit.display import counted, join_words, number, percent
from segkit.errors import DataError, ModelError, ParameterError, require_choice
from segkit.factor.answers import Floats, read_answers
from segkit.factor.correlation import Coding, ScoreSide
from segkit.factor.extraction import IMPROPER, FitIndices
from segkit.factor.rotation import Marker, markers, slug, variance
from segkit.factor.scores import (
    SCORES,
    ScoreMethod,
    ScoreModel,
    Scores,
    apply_weights,
    determinacy,
)
from segkit.frames import takes_frames
from segkit.plot import Figure
from segkit.plot.factors import paths
from segkit.plot.heatmaps import loading_map
from segkit.result import (
    StoredModel,
    check_customers,
    check_names,
    check_number,
    check_numbers,
    read_fields,
)

SCORING = ("means", "sds", "correlation", "attenuation")  # arrays of `ScoreSide`
# Browne & Cudeck (1993), MacCallum et al. (1996).
_RMSEA_WORDS = ((0.05, "close"), (0.08, "fair"), (0.10, "mediocre"), (math.inf, "poor"))


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel(StoredModel):
    """Common factors of items, and what is needed to score a person on them.

    Attributes
    ----------
    items : tuple of str
    labels : dict of str to str
        Item to its statement, where known.
    names : tuple of str
        The factors' names, derived from their marker items unless renamed; the ids are F1, F2, …
    loadings : ndarray of shape (items, factors)
        Pattern loadings. Factors are sorted by the variance they explain, and signed so that the
        sum of their cubed loadings is positive.
    phi : ndarray of shape (factors, factors)
        Correlations of the factors.
    uniquenesses : ndarray of shape (items,)
    correlation : ndarray of shape (items, items)
        The matrix that was fitted.
    side : ScoreSide or None
        Codes of the answers, and their means, spreads and correlations, from which scores are
        computed; None if the model was fitted to a correlation matrix alone.
    n : int
        People.
    extraction, rotation, method, missing : str
        How it was fitted, and the kind of correlation.
    fit : FitIndices
    converged : bool
    notes : tuple of str
        Caveats, in sentences.
    seed : int
    version : str
        segkit's version at the fit.
    """

    KIND: ClassVar[str] = "factors"
    KEYS: ClassVar[Mapping[str, str]] = {"version": "segkit_version"}

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
        """Validate the model, whether it was fitted, renamed or read from a file.

        One finite number for each item and factor; spreads that are not negative; per coded item
        as many codes as answers, the answers ascending.

        Raises
        ------
        ModelError
            If it has no items or factors, an array of the wrong shape, or a number that is not
            finite.
        """
        check_names("items", self.items)
        check_names("factors", self.names)
        check_number("the people of the stored model", self.n, least=1)
        p, k = len(self.items), len(self.names)
        shapes = {"loadings": (p, k), "phi": (k, k), "uniquenesses": (p,), "correlation": (p, p)}
        for name, shape in shapes.items():
            _check_array(name, getattr(self, name), shape)
        side = self.side
        if side is None:
            return
        for name in SCORING:
            shape = (p, p) if name == "correlation" else (p,)
            _check_array(f"scoring {name}", getattr(side, name), shape)
        for item, (answers, codes) in side.coding.tables.items():
            require_choice("coded item", item, self.items, ModelError)
            check_numbers(f"the answers to {item}", answers, len(answers))
            check_numbers(f"the codes of {item}", codes, len(answers))
            if list(answers) != sorted(set(answers)) or not answers:
                raise ModelError(f"the answers to {item} must ascend; got {list(answers)}")

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
        slugs = [slug(name) or id_.lower() for name, id_ in zip(self.names, self.ids, strict=True)]
        return tuple(
            f"attitude_{one}" + (f"_{i + 1}" if slugs.count(one) > 1 else "")
            for i, one in enumerate(slugs)
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
        """Items whose uniqueness lies at its lower bound: an improper (Heywood) solution."""
        return tuple(np.array(self.items)[self.uniquenesses < IMPROPER].tolist())

    def variance(self) -> pl.DataFrame:
        """Compute how much each factor explains, and how well answers determine it.

        Returns
        -------
        polars.DataFrame
            One row per factor: ``factor``, ``name``, ``ss_loadings``, ``variance_share`` (of all
            items' variance), ``common_share`` (of what the factors explain), ``determinacy``
            (correlation of the regression score with the factor; null for a given matrix).
        """
        explained = variance(self.loadings, self.phi)
        determinacies = determinacy(self.score_model()) if self.side else [None] * self.n_factors
        return pl.DataFrame(
            {
                "factor": self.ids,
                "name": self.names,
                "ss_loadings": explained,
                "variance_share": explained / len(self.items),
                "common_share": explained / explained.sum(),
                "determinacy": pl.Series(determinacies, dtype=pl.Float64),
            }
        )

    def markers(self, factor: int) -> list[Marker]:
        """List the items that load most on a factor, and there with 0.4 or more.

        Without such an item, the one with the largest loading on it.

        Parameters
        ----------
        factor : int
            Place of the factor, from 0.
        """
        return markers(self.items, self.labels, self.loadings, factor)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per item: item, label, a loading per factor, communality, uniqueness.

        Items are grouped by the factor that they load on most. ``marks`` names that factor where
        the loading reaches 0.4, and ``complexity`` is Hofmann's (1978) number of factors that an
        item draws on.
        """
        main = np.abs(self.loadings).argmax(axis=1)
        own = np.abs(self.loadings).max(axis=1)
        squares = self.loadings**2
        sums = np.maximum((squares**2).sum(axis=1), 1e-300)
        names = [self.names[j] if a >= 0.4 else None for j, a in zip(main, own, strict=True)]
        frame = pl.DataFrame(
            {
                "item": self.items,
                "label": [self.labels.get(item, item) for item in self.items],
                **dict(zip(self.ids, self.loadings.T, strict=True)),
                "communality": self.communalities,
                "uniqueness": self.uniquenesses,
                "complexity": squares.sum(axis=1) ** 2 / sums,
                "marks": pl.Series(names, dtype=pl.String),
            }
        )
        return frame[np.lexsort((-own, main))]

    @property
    def text(self) -> str:
        """Name the factors, and state how well they fit and which problems the solution has."""
        share = float(variance(self.loadings, self.phi).sum()) / len(self.items)
        k = self.n_factors
        explained = f"{counted(k, 'factor explains', 'factors explain')} {percent(share)}"
        items = counted(len(self.items), "item")
        parts = [f"{explained} of the variance of {items}: {join_words(self.names)}."]
        parts += [self._described(j) for j in range(k)]
        parts.append(_fit_words(self.fit, f"{self.extraction}, {self.rotation}", self.n))
        if k > 1 and not np.allclose(self.phi, np.eye(k)):
            i, j = np.unravel_index(np.abs(np.triu(self.phi, 1)).argmax(), self.phi.shape)
            parts.append(
                f"The closest factors, {self.names[i]} and {self.names[j]}, correlate at "
                f"{number(float(self.phi[i, j]))}."
            )
        return " ".join([*parts, *self.notes])

    def _described(self, factor: int) -> str:
        marked = self.markers(factor)
        agree = [f"“{m.label}”" for m in marked if m.loading > 0][:3]
        refuse = [f"“{m.label}”" for m in marked if m.loading < 0][:2]
        words = f"agree with {join_words(agree)}" if agree else ""
        if refuse:
            words += f"{' and ' if agree else ''}disagree with {join_words(refuse)}"
        name = self.names[factor]
        return f"{name[:1].upper()}{name[1:]}: who scores high tends to {words}."

    def plot(self) -> Figure:
        """Draw the loadings as a heatmap."""
        return loading_map(self._long(), title="What each factor weighs in each item")

    def diagram(self, *, least: float = 0.3) -> Figure:
        """Draw factors, items, and the paths between them from a loading of ``least`` on."""
        first, second = np.triu_indices(self.n_factors, 1)
        links = pl.DataFrame(
            {
                "factor": [self.names[i] for i in first],
                "other": [self.names[j] for j in second],
                "correlation": self.phi[first, second],
            }
        )
        return paths(self._long(), links, least=least)

    def _long(self) -> pl.DataFrame:
        """Return one row per item and factor, items by their labels unless two share one."""
        rows = self.to_frame()
        name = "label" if rows["label"].n_unique() == rows.height else "item"
        long = rows.with_row_index().unpivot(
            self.ids, index=["index", name], variable_name="factor", value_name="loading"
        )
        names = dict(zip(self.ids, self.names, strict=True))
        return long.sort("index", maintain_order=True).select(
            pl.col("factor").replace(names), "loading", item=name
        )

    # Scoring -------------------------------------------------------------------------------

    def score_model(self) -> ScoreModel:
        """Return the matrices from which score weights are computed."""
        side = self._side()
        return ScoreModel(self.loadings, self.phi, side.correlation, side.attenuation)

    def _side(self) -> ScoreSide:
        if self.side is None:
            raise DataError(
                "this model was fitted to a given matrix: without means and spreads of the answers "
                "there are no scores; fit it to a frame"
            )
        return self.side

    @takes_frames
    def score(
        self, frame: pl.DataFrame, *, method: ScoreMethod = "regression", least: int | None = None
    ) -> Scores:
        """Score each respondent on each factor.

        Missing answers are not imputed: the weights are computed for the items that the person
        answered. A person with fewer than ``least`` answers gets null. A score does not depend on
        the other rows.

        Parameters
        ----------
        frame : polars.DataFrame
            With the model's items; ``customer_id`` is carried over if there.
        method : str
            "regression" (best linear prediction, shrunk to the mean), "bartlett"
            (unbiased) or "tenberge" (correlate as the factors do).
        least : int, optional
            Answers needed; by default half of the items.

        Raises
        ------
        ColumnError, DataError, ParameterError
            For missing or non-numeric items, a model without answers, an unknown method, a
            customer who comes twice or has no id.
        """
        require_choice("kind of scores", method, SCORES)
        check_customers(frame)
        inner, side = self.score_model(), self._side()
        p = len(self.items)
        needed = (p + 1) // 2 if least is None else least
        if not 1 <= needed <= p:
            raise ParameterError(f"least must lie between 1 and {counted(p, 'item')}, got {needed}")
        values = side.coding.apply(read_answers(frame, self.items, check=False).values)
        scores, partial, without = apply_weights(
            values, (side.means, side.sds), inner, method, least=needed
        )
        columns = [
            pl.Series(name, column, dtype=pl.Float64, nan_to_null=True)
            for name, column in zip(self.columns, scores.T, strict=True)
        ]
        return Scores(
            frame=pl.DataFrame([*frame.select("^customer_id$").get_columns(), *columns]),
            names=self.names,
            method=method,
            least=needed,
            items=p,
            people=len(values),
            partial=partial,
            without=without,
            determinacy=tuple(determinacy(inner).tolist()),
        )

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy with other names for some ids (F1, …).

        Raises
        ------
        ModelError
            If an id is unknown or two factors would bear one name.
        """
        for key in names:
            require_choice("factor", key, self.ids, ModelError)
        new = tuple(names.get(i, n) for i, n in zip(self.ids, self.names, strict=True))
        if len(set(new)) < len(new):
            raise ModelError(f"factor names must differ; got {list(new)}")
        return replace(self, names=new)

    # Storing -------------------------------------------------------------------------------

    def to_data(self) -> dict[str, Any]:
        """Return the model as JSON data, legible to people; an undefined figure of fit is null."""
        data = StoredModel.to_data(self)
        del data["names"]
        factors = zip(self.ids, self.names, self.columns, strict=True)
        scoring = data.pop("side")
        if scoring:
            scoring["codes"] = scoring.pop("coding")["tables"]
        return {
            **data,
            "fit": {k: v if math.isfinite(v) else None for k, v in asdict(self.fit).items()},
            "factors": [{"id": i, "name": name, "column": column} for i, name, column in factors],
            "scoring": scoring,
        }

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        side, scoring = None, data["scoring"]
        if scoring:
            tables = {k: (tuple(a), tuple(b)) for k, (a, b) in scoring["codes"].items()}
            side = ScoreSide(Coding(tuple(data["items"]), tables), **_arrays(scoring, SCORING))
        fit: dict[str, Any] = {k: math.nan if v is None else v for k, v in data["fit"].items()}
        return read_fields(
            cls,
            data,
            cls.KEYS,
            names=tuple(factor["name"] for factor in data["factors"]),
            side=side,
            fit=FitIndices(**fit),
            **_arrays(data, ("loadings", "phi", "uniquenesses", "correlation")),
        )


def _arrays(data: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Floats]:
    return {name: np.asarray(data[name], dtype=np.float64) for name in names}


def _fit_words(fit: FitIndices, how: str, n: int) -> str:
    if fit.degrees == 0:
        return "There are as many parameters as correlations: the fit cannot be tested."
    word = next(word for most, word in _RMSEA_WORDS if fit.rmsea <= most)
    return (
        f"The fit is {word}: RMSEA {number(fit.rmsea)} (90% CI {number(fit.rmsea_low)} to "
        f"{number(fit.rmsea_high)}), TLI {number(fit.tli)}, CFI {number(fit.cfi)}, SRMR "
        f"{number(fit.srmr)} ({how}, {counted(n, 'person', 'people')})."
    )


def _check_array(name: str, values: np.ndarray[Any, Any], shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ModelError(f"the model's {name} must be of shape {shape}; got {values.shape}")
    if not np.isfinite(values).all():
        raise ModelError(f"the model's {name} hold a number that is not finite")
    if name == "scoring sds" and (values < 0).any():
        raise ModelError(f"the model's {name} must not be negative")
