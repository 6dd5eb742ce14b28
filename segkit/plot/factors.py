"""Figures of factors: scree plot with parallel analysis, and path diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, require_columns
from segkit.plot import figure as draw
from segkit.plot.describe import drawn, names_of
from segkit.plot.figure import Figure, Look, narrows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KINDS = {"component": "Components (correlations)", "factor": "Factors (what items share)"}
_AGREE, _REFUSE = draw.OKABE_ITO[0], draw.OKABE_ITO[3]


@narrows
def scree(frame: pl.DataFrame, *, n_factors: int, percentile: float = 0.95) -> Figure:
    """Draw eigenvalues by rank, with those of random data.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per rank: ``rank``, ``component``, ``component_chance``, ``factor``,
        ``factor_chance``.
    n_factors : int
        The number recommended, stated in the title.
    percentile : float
        Percentile of the random data in the chance columns, as a share.

    Raises
    ------
    ColumnError, DataError
        If a column is missing or there is nothing to draw.

    Examples
    --------
    >>> frame = pl.DataFrame({"rank": [1, 2], "component": [1.6, 0.4],
    ...     "component_chance": [1.2, 1.0], "factor": [1.1, 0.0], "factor_chance": [0.3, 0.1]})
    >>> scree(frame, n_factors=1).alt[:60]
    'Scree plot: of the components, 1 lies above the 95th percent'
    """
    need = ["rank", *(name for kind in _KINDS for name in (kind, f"{kind}_chance"))]
    data = drawn(frame, need, [])
    advice = f"{counted(n_factors, 'factor')} recommended: eigenvalues against chance"
    title = advice if n_factors else "No common factor stands out from chance"
    findings = []
    with draw.canvas(8.4, 3.5, columns=2, title=title) as (figure, panels):
        for axes, (kind, name) in zip(panels, _KINDS.items(), strict=True):
            above = _scree_panel(axes, frame, kind, percentile)
            axes.set_title(name, fontsize=10)
            findings.append(f"of the {kind}s, {above} {'lies' if above == 1 else 'lie'} above")
    nth = f"{percentile * 100:g}th percentile of chance"
    alt = f"Scree plot: {f' the {nth}; '.join(findings)} it."
    return Figure(figure, alt, data)


def _scree_panel(axes: Axes, frame: pl.DataFrame, kind: str, percentile: float) -> int:
    rank = frame["rank"].to_numpy()
    values, chance = frame[kind].to_numpy(), frame[f"{kind}_chance"].to_numpy()
    over = values > chance
    above = int(over.argmin()) if not over.all() else len(over)
    axes.plot(rank, values, color=_AGREE, linewidth=1.6)
    axes.plot(rank, chance, color=draw.GREY, linewidth=1.4, linestyle=draw.DASHED)
    hollow: Look = {"markersize": 4.5, "markerfacecolor": "white"}
    axes.plot(rank[above:], values[above:], "o", color=_AGREE, **hollow)
    axes.plot(rank[:above], values[:above], "o", markersize=6.5, color=_REFUSE)
    at = min(len(rank) - 1, max(above + 1, len(rank) // 2))
    text, place = f"{percent(percentile, places=0)} of chance", (rank[at], chance[at])
    text += "\nlies below this line"
    draw.note(axes, text, place, (0, 14), color=draw.GREY, va="baseline")
    if above:
        text, place = f"{above} above chance", (rank[above - 1], values[above - 1])
        draw.note(axes, text, place, (8, 6), color="#a34a00", va="bottom")
    draw.number_axis(axes.xaxis, "Rank")
    draw.number_axis(axes.yaxis, "Eigenvalue")
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y")
    return above


@narrows
def paths(
    loadings: pl.DataFrame,
    links: pl.DataFrame | None = None,
    *,
    least: float = 0.3,
    title: str = "",
) -> Figure:
    """Draw the loadings of items on factors as a path diagram.

    Parameters
    ----------
    loadings : polars.DataFrame
        One row per item and factor: ``item``, ``factor``, ``loading``; items and factors are drawn
        in order of first appearance.
    links : polars.DataFrame, optional
        One row per pair of factors: ``factor``, ``other``, ``correlation``.
    least : float
        Loadings and correlations below are not drawn.
    title : str

    Raises
    ------
    ColumnError, DataError
        If a column is missing, or no loading reaches ``least``.

    Examples
    --------
    >>> frame = pl.DataFrame({"item": ["a", "b"], "factor": ["F", "F"], "loading": [0.8, -0.5]})
    >>> paths(frame).alt
    'Path diagram of loadings from 0.300 on: F to a 0.800, b -0.500.'
    """
    require_columns(loadings.columns, ["item", "factor", "loading"], "the frame to draw")
    shown = loadings.filter(pl.col("loading").abs() >= least)
    if shown.is_empty():
        raise DataError(f"nothing to draw: no loading reaches {least}")
    items, factors = names_of(loadings, "item"), names_of(loadings, "factor")
    title = title or "Which items hang on which factor (blue: agree, orange: disagree)"
    rows = {item: -float(i) for i, item in enumerate(items)}
    wanted = [_middle(shown.filter(pl.col("factor") == f), rows) for f in factors]
    gap = max(1.6, len(items) / max(len(factors), 1) * 0.6)
    height = dict(zip(factors, draw.spread(wanted, gap), strict=True))
    item_width, row = (18, 0.52) if draw.is_narrow() else (52, 0.31)
    with draw.canvas(8.4, max(2.6, row * len(items) + 0.9), title=title) as (figure, (axes,)):
        for item, factor, loading in shown.select("item", "factor", "loading").iter_rows():
            _path(axes, height[factor], rows[item], loading)
        for factor in factors:
            box: Look = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": draw.EDGE}
            look: Look = {"fontsize": 9.5, "fontweight": "bold", "zorder": 4, "bbox": box}
            draw.note(
                axes,
                draw.wrap(factor, 14 if draw.is_narrow() else 20),
                (0.0, height[factor]),
                ha="center",
                **look,
            )
        for item in items:
            axes.text(1.04, rows[item], draw.wrap(item, item_width), va="center", fontsize=9)
        linked = _links(axes, links, height, least)
        axes.set_xlim(-_beside(len(linked) + 2) if linked else -0.3, 2.1)
        axes.set_ylim(-len(items) + 0.3, 0.7)
        axes.set_axis_off()
    return Figure(figure, _describe_paths(shown, linked, least), shown)


def _middle(part: pl.DataFrame, rows: dict[str, float]) -> float:
    if part.is_empty():
        return 0.0
    weights = part["loading"].abs().to_list()
    places = [rows[item] for item in part["item"]]
    return float(np.average(places, weights=weights))


def _path(axes: Axes, start: float, end: float, loading: float) -> None:
    colour = _AGREE if loading > 0 else _REFUSE
    axes.plot(
        [0.0, 1.0],
        [start, end],
        color=colour,
        linewidth=0.6 + 3.2 * abs(loading),
        alpha=0.75,
        linestyle="-" if loading > 0 else (0, (3, 1.2)),
        zorder=1,
    )
    along = 0.74 if draw.is_narrow() else 0.86
    place = (along, start + along * (end - start))
    box: Look = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    draw.note(axes, f"{loading:.2f}", place, ha="center", bbox=box, zorder=3)


def _beside(link: int) -> float:
    """Return how far left of the factors' middle a link runs: clear of their names."""
    return (0.62 if draw.is_narrow() else 0.34) + 0.09 * link


def _links(
    axes: Axes, links: pl.DataFrame | None, height: dict[str, float], least: float
) -> list[str]:
    linked: list[str] = []
    if links is None:
        return linked
    require_columns(links.columns, ["factor", "other", "correlation"], "the links")
    for one, other, r in links.select("factor", "other", "correlation").iter_rows():
        if abs(r) < least:
            continue
        top, bottom = sorted((height[one], height[other]), reverse=True)
        side = -_beside(len(linked))
        places = ([0.0, side, side, 0.0], [top, top, bottom, bottom])
        axes.plot(*places, color=draw.GREY, linewidth=1.0, zorder=0)
        middle = (side, (top + bottom) / 2)
        draw.note(axes, f"{r:.2f}", middle, (-3, 0), color=draw.GREY, ha="right")
        linked.append(f"{one} with {other} {number(r)}")
    return linked


def _describe_paths(shown: pl.DataFrame, linked: list[str], least: float) -> str:
    parts = []
    for factor in names_of(shown, "factor"):
        own = shown.filter(pl.col("factor") == factor).select("item", "loading").iter_rows()
        parts.append(f"{factor} to {', '.join(f'{item} {number(v)}' for item, v in own)}")
    text = f"Path diagram of loadings from {number(least)} on: {'; '.join(parts)}."
    return f"{text} Correlated factors: {'; '.join(linked)}." if linked else text
