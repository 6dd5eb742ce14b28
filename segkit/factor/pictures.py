"""The pictures of a factor analysis, from its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.factor.answers import read_answers
from segkit.plot import heatmap
from segkit.plot.factors import paths
from segkit.plot.figure import Figure
from segkit.plot.likert import likert

if TYPE_CHECKING:
    from segkit.factor.model import FactorModel


def draw_loadings(model: FactorModel) -> Figure:
    """Draw loadings as a heatmap, items grouped by the factor that they mark."""
    rows = model.to_frame()
    long = rows.select("label", *model.ids).unpivot(
        index="label", variable_name="factor", value_name="loading"
    )
    names = dict(zip(model.ids, model.names, strict=True))
    named = long.with_columns(pl.col("factor").replace_strict(names))
    order = {label: i for i, label in enumerate(rows["label"])}
    frame = (
        named.with_columns(row=pl.col("label").replace_strict(order))
        .sort("row", maintain_order=True)
        .drop("row")
    )
    return heatmap(
        frame, "factor", "label", "loading", diverging=True, x_label="Factor", y_label="Item",
        title="What each factor weighs in each item", value_label="Loading",
    )  # fmt: skip


def draw_paths(model: FactorModel, least: float) -> Figure:
    """Draw factors, items and the loadings between them as a path diagram."""
    rows = model.to_frame()
    long = rows.select("label", *model.ids).unpivot(
        index="label", variable_name="factor", value_name="loading"
    )
    names = dict(zip(model.ids, model.names, strict=True))
    first, second = np.triu_indices(model.n_factors, 1)
    links = pl.DataFrame(
        {
            "factor": [model.names[i] for i in first],
            "other": [model.names[j] for j in second],
            "correlation": model.phi[first, second],
        }
    )
    frame = long.select(
        pl.col("label").alias("item"), pl.col("factor").replace_strict(names), "loading"
    )
    order = {label: i for i, label in enumerate(rows["label"])}
    frame = frame.with_columns(row=pl.col("item").replace_strict(order))
    return paths(frame.sort("row", maintain_order=True).drop("row"), links, least=least)


def draw_answers(
    frame: pl.DataFrame,
    items: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
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
    title : str

    Examples
    --------
    >>> draw_answers(pl.DataFrame({"q": [1, 2, 2, None]}), ["q"]).data["share"].to_list()
    [0.3333333333333333, 0.6666666666666666]
    """
    answers = read_answers(frame, items, check=False)
    known = labels or {}
    rows = []
    for name, column in zip(answers.items, answers.values.T, strict=True):
        values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        label = known.get(name, name)
        rows += [(label, v, c / counts.sum()) for v, c in zip(values, counts, strict=True)]
    kinds = {"item": pl.String, "answer": pl.Float64, "share": pl.Float64}
    return likert(pl.DataFrame(rows, schema=kinds, orient="row"), title=title)
