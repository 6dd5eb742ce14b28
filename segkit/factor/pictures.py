"""The pictures of a factor analysis, from its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.factor.answers import read_answers, refuse_outside
from segkit.frames import takes_frames
from segkit.plot.factors import loading_map, paths
from segkit.plot.figure import Figure
from segkit.plot.likert import likert

if TYPE_CHECKING:
    from segkit.factor.model import FactorModel


def draw_loadings(model: FactorModel) -> Figure:
    """Draw loadings as a heatmap, items grouped by the factor that they mark."""
    return loading_map(_long(model), title="What each factor weighs in each item")


def draw_paths(model: FactorModel, least: float) -> Figure:
    """Draw factors, items and the loadings between them as a path diagram."""
    first, second = np.triu_indices(model.n_factors, 1)
    links = pl.DataFrame(
        {
            "factor": [model.names[i] for i in first],
            "other": [model.names[j] for j in second],
            "correlation": model.phi[first, second],
        }
    )
    return paths(_long(model), links, least=least)


def _long(model: FactorModel) -> pl.DataFrame:
    """Return one row an item and factor, items by their labels unless two share one."""
    rows = model.to_frame()
    name = "label" if rows["label"].n_unique() == rows.height else "item"
    names = dict(zip(model.ids, model.names, strict=True))
    return pl.DataFrame(
        [
            (row[name], names[id_], row[id_])
            for row in rows.iter_rows(named=True)
            for id_ in model.ids
        ],
        schema={"item": pl.String, "factor": pl.String, "loading": pl.Float64},
        orient="row",
    )


@takes_frames
def draw_answers(
    frame: pl.DataFrame,
    items: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    answers: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
    title: str = "What people answered",
) -> Figure:
    """What did people answer? Diverging stacked bars, one an item.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a respondent.
    items : sequence of str, optional
        By default the frame's rating scales.
    labels : mapping of str to str, optional
        Item to its statement.
    answers : (float, float) or mapping of str to (float, float), optional
        Lowest and highest answer that was offered, of all items or of each (see
        `read_answer_ranges`). The bars' middle is the scale's where all items have one range.
    title : str

    Raises
    ------
    DataError
        If an answer lies outside the range that was offered.

    Examples
    --------
    >>> draw_answers(pl.DataFrame({"q": [1, 2, 2, None]}), ["q"]).data["share"].to_list()
    [0.3333333333333333, 0.6666666666666666]
    """
    given = read_answers(frame, items, check=False)
    known = labels or {}
    ranges = answers if isinstance(answers, Mapping) else dict.fromkeys(given.items, answers)
    rows = []
    for name, column in zip(given.items, given.values.T, strict=True):
        if ends := ranges.get(name):
            refuse_outside(name, column, ends)
        values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        label = known.get(name, name)
        rows += [(label, v, c / counts.sum()) for v, c in zip(values, counts, strict=True)]
    kinds = {"item": pl.String, "answer": pl.Float64, "share": pl.Float64}
    shown = pl.DataFrame(rows, schema=kinds, orient="row")
    offered = {ranges.get(name) for name in given.items}
    ends = offered.pop() if len(offered) == 1 else None
    whole = (int(ends[0]), int(ends[1])) if ends else None
    return likert(shown, answers=whole, title=title)
