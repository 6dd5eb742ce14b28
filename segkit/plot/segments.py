"""Pictures of segments: one panel of bars each, or clouds of points with ellipses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number
from segkit.plot.basic import Interval, names_of, one_each
from segkit.plot.describe import describe, drawn, finish
from segkit.plot.figure import GREY, OKABE_ITO, Figure, canvas
from segkit.plot.style import EDGE, as_percent, head, number_axis, spread, styles, words, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALE = "#c9ced3"
ACROSS = 3
PANEL_BAR, PANEL_HEAD = 0.2, 0.65  # inches: of one bar, and of a panel's title and axis
TALLEST = 9.4  # inches: a wide picture is scaled down to the page's width
HALF = 1.3863  # chi-square with two degrees of freedom: the median, so half of a normal cloud


def panel_bars(
    frame: pl.DataFrame,
    panel: str,
    x: str,
    y: str,
    *,
    highlight: str | None = None,
    interval: Interval | None = None,
    percent: bool | None = None,
    across: int = ACROSS,
    title: str = "",
    y_label: str = "",
    highlight_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Show each segment's value on every variable against zero, the marks highlighted.

    Parameters
    ----------
    frame : polars.DataFrame
        Long: one row a panel and variable.
    panel, x, y : str
        The panel's name, the variable, and its value (a difference from all, say).
    highlight : str, optional
        Boolean column: bars in full colour, the others pale.
    interval : (str, str), optional
        Columns with the limits of the value.
    across : int
        Panels in a row.
    highlight_label : str
        What a full colour stands for, written below.
    percent, title, y_label, alt
        See `segkit.plot.basic`.

    Raises
    ------
    DataError
        If there is nothing to draw or a bar comes twice.

    Examples
    --------
    >>> frame = pl.DataFrame({"segment": ["A", "B"], "of": ["visits"] * 2, "z": [0.5, -0.5]})
    >>> panel_bars(frame, "segment", "of", "z").alt
    'Panels of bars of z by segment and of: A, visits 0.500; B, visits -0.500.'
    """
    data = drawn(frame, [panel, x, y, highlight, *(interval or ())], [panel, x, y])
    one_each(data, [panel, x])
    panels, names = names_of(data, panel), names_of(data, x)
    wide = min(across, len(panels))
    deep = math.ceil(len(panels) / wide)
    tall = max(1.5, PANEL_BAR * len(names) + PANEL_HEAD) * deep + 0.5
    with canvas(3.1 + 2.1 * wide, tall, rows=deep, columns=wide) as (figure, grid):
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for i, (axes, name) in enumerate(zip(grid, panels, strict=False)):
            if i:
                axes.sharex(grid[0])
            part = data.filter(pl.col(panel) == name)
            _panel(axes, part, names, (x, y, highlight), interval)
            axes.set_title(wrap(name, 30), fontsize=9.5)
            axes.set_yticks(range(len(names)), labels=[wrap(words(str(n)), 46) for n in names])
            axes.tick_params(axis="y", length=0, labelleft=i % wide == 0)
            axes.set_ylim(len(names) - 0.4, -0.6)
            number_axis(axes.xaxis, "", in_percent=as_percent(percent, y))
            axes.locator_params(axis="x", nbins=5)
        foot = y_label or words(y)
        figure.supxlabel(
            wrap(f"{foot}. {highlight_label}" if highlight_label else foot, 42 * wide), fontsize=9.5
        )
        head(figure, title)
    shown = data.filter(pl.col(highlight)) if highlight else data
    text = alt or describe(
        "Panels of bars", shown if shown.height else data, y, by=[panel, x], title=title,
        percent=percent, label=y_label, left_out=frame.height - data.height,
    )  # fmt: skip
    if highlight and alt is None:
        text += f" {number(shown.height)} of {number(data.height)} bars are highlighted."
    return Figure(figure, text, data)


def bars_that_fit(panels: int, most: int) -> int:
    """Say how many bars a panel may have, so that all panels fit a screen together.

    Examples
    --------
    >>> bars_that_fit(5, 15), bars_that_fit(11, 15)
    (15, 7)
    """
    room = (TALLEST - 0.5) / math.ceil(panels / ACROSS) - PANEL_HEAD
    return max(5, min(most, int(room / PANEL_BAR)))


def _panel(
    axes: Axes,
    part: pl.DataFrame,
    names: list[str],
    columns: tuple[str, str, str | None],
    interval: Interval | None,
) -> None:
    x, y, highlight = columns
    at = [names.index(name) for name in part.get_column(x)]
    values = part.get_column(y).cast(pl.Float64).to_numpy()
    full = part.get_column(highlight).to_list() if highlight else [True] * part.height
    colours = [
        PALE if not bright else OKABE_ITO[0] if value >= 0 else OKABE_ITO[3]
        for bright, value in zip(full, values, strict=True)
    ]
    axes.barh(at, values, 0.72, color=colours)
    if interval:
        low, high = (part.get_column(c).cast(pl.Float64).to_numpy() for c in interval)
        reach = np.nan_to_num(np.clip(np.vstack([values - low, high - values]), 0, None))
        axes.errorbar(values, at, xerr=reach, fmt="none", ecolor=EDGE, elinewidth=1.0)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.8)


def clouds(
    points: pl.DataFrame,
    centres: pl.DataFrame,
    x: str,
    y: str,
    group: str,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Show groups as clouds of points, each with its centre and an ellipse around half of it.

    Parameters
    ----------
    points : polars.DataFrame
        One row a point: ``x``, ``y``, ``group``.
    centres : polars.DataFrame
        One row a group: the group, ``x``, ``y``, ``<x>_variance``, ``<y>_variance``,
        ``covariance``. The ellipse holds half of a normal cloud.
    x, y, group : str
        Columns.
    title, x_label, y_label, alt
        See `segkit.plot.basic`.

    Raises
    ------
    DataError
        If there is nothing to draw or groups are more than 12.
    """
    need = [x, y, group]
    data = drawn(points, need, need)
    middle = drawn(centres, [*need, f"{x}_variance", f"{y}_variance", "covariance"], need)
    names = names_of(middle, group)
    with canvas(7.2, 4.8) as (figure, (axes,)):
        for row, style in zip(middle.iter_rows(named=True), styles(len(names)), strict=True):
            part = data.filter(pl.col(group) == row[group])
            axes.scatter(
                part.get_column(x), part.get_column(y), s=7, color=style.colour,
                marker=style.marker, alpha=0.35, linewidths=0,
            )  # fmt: skip
            across, up = _ellipse(row, x, y)
            axes.plot(across, up, color=style.ink, linestyle=style.dash, linewidth=2.0)
        low, high = axes.get_ylim()
        heights = spread(middle.get_column(y).to_list(), (high - low) * 0.065)
        rows = zip(middle.iter_rows(named=True), styles(len(names)), heights, strict=True)
        for row, style, height in rows:
            axes.annotate(
                wrap(row[group], 40), (row[x], height), ha="center", va="center", fontsize=9,
                color=style.ink, fontweight="bold",
                bbox={"facecolor": "white", "edgecolor": style.colour, "pad": 2, "alpha": 0.9},
            )  # fmt: skip
        number_axis(axes.xaxis, wrap(x_label or words(x), 80))
        number_axis(axes.yaxis, wrap(y_label or words(y), 52))
        head(figure, title)
    at = "; ".join(
        f"{row[group]} at {number(row[x])}, {number(row[y])}"
        for row in middle.iter_rows(named=True)
    )
    sentence = (
        f"Scatter plot of {number(data.height)} points with the centres of {number(len(names))} "
        f"groups on {x_label or words(x)} and {y_label or words(y)}: {at}."
    )
    return Figure(figure, alt or finish(sentence, title=title), data)


def _ellipse(row: dict[str, float], x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    covariance = np.array(
        [[row[f"{x}_variance"], row["covariance"]], [row["covariance"], row[f"{y}_variance"]]]
    )
    values, vectors = np.linalg.eigh(covariance)
    turn = np.linspace(0, 2 * np.pi, 100)
    circle = np.vstack([np.cos(turn), np.sin(turn)]) * np.sqrt(HALF)
    path = vectors @ (np.sqrt(np.clip(values, 0, None))[:, None] * circle)
    return row[x] + path[0], row[y] + path[1]
