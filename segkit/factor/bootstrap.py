"""Intervals of loadings, from refits to resampled people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, ParameterError
from segkit.factor.answers import Floats, join
from segkit.factor.correlation import correlate
from segkit.factor.extraction import extract
from segkit.factor.model import FactorModel
from segkit.factor.rotation import ORTHOGONAL, procrustes
from segkit.frames import takes_frames
from segkit.live import steps
from segkit.result import Result
from segkit.stats.threads import single_thread

if TYPE_CHECKING:
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class LoadingIntervals(Result):
    """Loadings with bootstrap intervals.

    Attributes
    ----------
    table : polars.DataFrame
        One row an item and factor: ``item``, ``factor``, ``name``, ``loading``, ``low``, ``high``
        (percentiles), ``se``, ``marks`` (whether the item marks the factor).
    repeats, failed : int
        Resamples asked for, and those that could not be fitted (left out).
    level : float
    seed : int
        -1 where a Generator was handed in.
    """

    table: pl.DataFrame
    repeats: int
    failed: int
    level: float
    seed: int

    def to_frame(self) -> pl.DataFrame:
        """Return the table of loadings."""
        return self.table

    @property
    def text(self) -> str:
        """Say which markers are sure to mark their factor."""
        marks = self.table.filter("marks")
        sure = marks.filter((pl.col("low") > 0) | (pl.col("high") < 0))
        parts = [
            (
                f"{number(sure.height)} of {number(marks.height)} markers keep their sign in the "
                f"{percent(self.level, places=0)} interval of {number(self.repeats - self.failed)} "
                "resamples, each turned onto the fitted loadings (Procrustes)."
            )
        ]
        widest = marks.with_columns(width=pl.col("high") - pl.col("low")).sort("width").tail(1)
        parts += [
            f"The least sure marker is {row['item']} on {row['name']}: {number(row['loading'])}"
            f" ({number(row['low'])} to {number(row['high'])})."
            for row in widest.iter_rows(named=True)
        ]
        shaky = marks.filter((pl.col("low") <= 0) & (pl.col("high") >= 0))["item"].to_list()
        if shaky:
            parts.append(f"Not to be relied on: {join(shaky)}.")
        if self.failed:
            parts.append(f"{number(self.failed)} resamples could not be fitted and are left out.")
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the markers' loadings with their intervals."""
        from segkit.plot import intervals

        marks = self.table.filter("marks").with_columns(
            marker=pl.format("{} on {}", "item", "name")
        )
        return intervals(
            marks, "marker", "loading", interval=("low", "high"), reference=0.0,
            title="How sure each marker's loading is", y_label="Loading",
        )  # fmt: skip


@single_thread()
@takes_frames
def loading_intervals(
    frame: pl.DataFrame,
    model: FactorModel,
    *,
    repeats: int = 200,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> LoadingIntervals:
    """Estimate percentile intervals of loadings by refits to resampled people.

    Every refit's unrotated loadings are turned onto the model's pattern by Procrustes rotation
    (orthogonal, or oblique with unit variances), so that order, sign and the freedom of rotation
    do not count as uncertainty. Source: Zhang (2014), "Estimating standard errors in exploratory
    factor analysis", Multivariate Behavioral Research 49; Lambert et al. (1991).

    Parameters
    ----------
    frame : polars.DataFrame
        The answers that the model was fitted to.
    model : FactorModel
    repeats : int
        Resamples; a refit to polychoric correlations takes some tenths of a second.
    level : float
    seed : int or Generator

    Raises
    ------
    DataError
        If fewer than half of the resamples can be fitted.
    ParameterError
        If ``repeats`` is below 2 or ``level`` no share.
    """
    if repeats < 2 or not 0 < level < 1:
        raise ParameterError(f"expected repeats >= 2 and 0 < level < 1, got {repeats} and {level}")
    if model.side is None:
        raise DataError("a model of a given matrix has no people to resample")
    random = np.random.default_rng(seed)
    chosen = frame.select(model.items)
    oblique = model.rotation not in (*ORTHOGONAL, "none")
    made: list[Floats] = []
    for _ in steps(range(repeats), "refits to resampled people"):
        rows = random.integers(0, chosen.height, chosen.height)
        try:
            found = correlate(chosen[rows], model.items, method=model.method, missing=model.missing)
        except DataError:
            continue
        fitted = extract(found.matrix, model.n_factors, model.extraction)
        made.append(procrustes(fitted.loadings, model.loadings, oblique=oblique).loadings)
    if len(made) < repeats / 2:
        raise DataError(
            f"only {len(made)} of {repeats} resamples could be fitted: too few people answered"
        )
    draws = np.stack(made)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    kept = seed if isinstance(seed, int) else -1
    table = _table(model, low, high, draws.std(axis=0, ddof=1))
    return LoadingIntervals(table, repeats, repeats - len(made), level, kept)


def _table(model: FactorModel, low: Floats, high: Floats, se: Floats) -> pl.DataFrame:
    p, k = model.loadings.shape
    marking = {(m.item, j) for j in range(k) for m in model.markers(j)}
    cells = [(i, j) for j in range(k) for i in range(p)]
    return pl.DataFrame(
        {
            "item": [model.items[i] for i, _ in cells],
            "factor": [model.ids[j] for _, j in cells],
            "name": [model.names[j] for _, j in cells],
            "loading": [float(model.loadings[c]) for c in cells],
            "low": [float(low[c]) for c in cells],
            "high": [float(high[c]) for c in cells],
            "se": [float(se[c]) for c in cells],
            "marks": [(model.items[i], j) in marking for i, j in cells],
        }
    )
