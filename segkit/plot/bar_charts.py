"""Bar charts: values of categories, or one panel of bars for each segment.

All figures share these options. ``title`` may be a sentence that states the finding.
``x_label`` and ``y_label`` are the labels of the columns ``x`` and ``y`` with their units, also
if bars are horizontal. ``percent`` writes values in percent (by default if the column's name
indicates a share). ``alt`` replaces the alternative text that is otherwise built from the data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number
from segkit.plot.describe import Interval, describe, drawn, names_of, one_each
from segkit.plot.figure import (
    EDGE,
    GREY,
    OKABE_ITO,
    SCREEN,
    Figure,
    Style,
    as_percent,
    canvas,
    head,
    legend,
    name_axis,
    note,
    number_axis,
    styles,
    words,
    wrap,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALE = "#c9ced3"
ACROSS = 3
PANEL_BAR, PANEL_HEAD = 0.2, 0.65  # inches: of one bar, and of a panel's title and axis
TALLEST = 9.4  # inches: a wide picture is scaled down to the page's width
CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.75}


def bars(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    group: str | None = None,
    interval: Interval | None = None,
    horizontal: bool = True,
    percent: bool | None = None,
    reference: float | None = None,
    annotate: bool = True,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Draw each category's value as a bar.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per category (and group), in the order to be drawn.
    x, y : str
        The category column and the value column, whichever way the bars run.
    group : str, optional
        Column that splits each category into up to 12 bars.
    interval : (str, str), optional
        Columns with the lower and upper limit of the value.
    horizontal : bool
        Bars run from left to right, so that long names stay legible.
    percent, title, x_label, y_label, alt
        See the module.
    reference : float, optional
        Value at which a dashed line is drawn (the average of all, say).
    annotate : bool
        Write each value at its bar's end.

    Raises
    ------
    DataError
        If there is nothing to draw, a category comes twice, or groups are more than 12.

    Examples
    --------
    >>> frame = pl.DataFrame({"segment": ["A", "B"], "orders": [3, 5]})
    >>> bars(frame, "segment", "orders").alt
    'Bar chart of orders by segment: A 3; B 5.'
    """
    data = drawn(frame, [x, group, y, *(interval or ())], [x, y])
    one_each(data, [x, group] if group else [x])
    categories, groups = names_of(data, x), names_of(data, group)
    looks = styles(len(groups))
    in_percent = as_percent(percent, y)
    values = data.get_column(y).cast(pl.Float64).to_numpy()
    category = np.array([categories.index(name) for name in data.get_column(x)])
    member = np.array([groups.index(name) for name in data.get_column(group)] if group else 0)
    size = (7.2, _height(len(categories), len(groups)) if horizontal else 3.8)
    with canvas(*size) as (figure, (axes,)):
        _draw_bars(axes, category, member + 0 * category, values, looks, horizontal)
        at = category + (member - (len(groups) - 1) / 2) * 0.8 / len(groups)
        ends = values
        if interval:
            reach = _reach(data, values, interval)
            axes.errorbar(
                values if horizontal else at,
                at if horizontal else values,
                xerr=reach if horizontal else None,
                yerr=None if horizontal else reach,
                fmt="none",
                ecolor=EDGE,
                elinewidth=1.2,
                capsize=2.5,
            )
            ends = np.where(values < 0, values - reach[0], values + reach[1])
        if annotate:
            _annotate_bars(axes, at, values, ends, horizontal, in_percent)
        value_axis, category_axis = (
            (axes.xaxis, axes.yaxis) if horizontal else (axes.yaxis, axes.xaxis)
        )
        width = 30 if horizontal else max(6, 84 // len(categories))
        name_axis(category_axis, range(len(categories)), categories, width)
        category_axis.set_label_text(x_label)
        number_axis(value_axis, y_label or words(y), in_percent=in_percent)
        if horizontal:
            axes.set_ylim(len(categories) - 0.45, -0.55)
        line = axes.axvline if horizontal else axes.axhline
        line(0, color=GREY, linewidth=0.8)
        if reference is not None:
            line(reference, color="black", linewidth=1.0, linestyle=(0, (4, 3)))
        if group:
            legend(axes, axes.containers[: len(groups)], groups, words(group))
        head(figure, title)
    text = alt or describe(
        "Bar chart",
        data,
        y,
        by=[x, group],
        title=title,
        percent=percent,
        label=y_label,
        left_out=frame.height - data.height,
    )
    return Figure(figure, text, data)


def _height(categories: int, groups: int) -> float:
    """Return a bar chart's height: generous if that fits a screen, else the minimum."""
    bars_ = categories * groups
    close = 0.19 * bars_ + 0.08 * categories + 1.0
    airy = max(1.9, 0.3 * bars_ + 0.2 * categories + 1.0)
    return airy if airy <= SCREEN else max(SCREEN, close)


def _draw_bars(
    axes: Axes,
    category: np.ndarray,
    member: np.ndarray,
    values: np.ndarray,
    looks: list[Style],
    horizontal: bool,
) -> None:
    """Draw the bars of categories and groups, both given as numbers."""
    import seaborn as sns

    sns.barplot(
        x=values if horizontal else category,
        y=category if horizontal else values,
        hue=member,
        order=range(int(category.max()) + 1),
        hue_order=range(len(looks)),
        palette=[look.colour for look in looks],
        saturation=1,
        gap=0.08,
        orient="h" if horizontal else "v",
        errorbar=None,
        legend=False,
        ax=axes,
    )
    for bars_, look in zip(axes.containers, looks, strict=True):
        for bar in bars_:
            bar.set(hatch=look.hatch, edgecolor="white" if look.hatch else look.colour)
            bar.set_linewidth(0.4)


def _reach(data: pl.DataFrame, values: np.ndarray, interval: Interval) -> np.ndarray:
    """Return how far an interval reaches below and above its values; 0 where it is not known."""
    low, high = (data.get_column(column).cast(pl.Float64).to_numpy() for column in interval)
    reach: np.ndarray = np.clip(np.vstack([values - low, high - values]), 0.0, None)
    reach[np.isnan(reach)] = 0.0
    return reach


def _annotate_bars(
    axes: Axes,
    at: np.ndarray,
    values: np.ndarray,
    ends: np.ndarray,
    horizontal: bool,
    in_percent: bool,
) -> None:
    """Write each value beyond its bar's end."""
    for place, value, end in zip(at, values, ends, strict=True):
        away = 4 if value >= 0 else -4
        across, up = "left" if value >= 0 else "right", "bottom" if value >= 0 else "top"
        note(
            axes,
            write(float(value), in_percent),
            (end, place) if horizontal else (place, end),
            (away, 0) if horizontal else (0, away),
            ha=across if horizontal else "center",
            va="center" if horizontal else up,
            bbox=CLEAR,
        )
    if horizontal:
        axes.margins(x=0.14)
    else:
        axes.margins(y=0.14)


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
    """Draw each segment's value on every variable against zero, the marks highlighted.

    Parameters
    ----------
    frame : polars.DataFrame
        Long: one row per panel and variable.
    panel, x, y : str
        The panel's name, the variable, and its value (a difference from all, say).
    highlight : str, optional
        Boolean column: bars in full colour, the others pale.
    interval : (str, str), optional
        Columns with the limits of the value.
    across : int
        Panels in a row.
    highlight_label : str
        Meaning of the full colour, written below the figure.
    percent, title, y_label, alt
        See `segkit.plot.bars`.

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
        "Panels of bars",
        shown if shown.height else data,
        y,
        by=[panel, x],
        title=title,
        percent=percent,
        label=y_label,
        left_out=frame.height - data.height,
    )
    if highlight and alt is None:
        text += f" {number(shown.height)} of {number(data.height)} bars are highlighted."
    return Figure(figure, text, data)


def bars_that_fit(panels: int, most: int) -> int:
    """Return how many bars a panel may have, so that all panels fit a screen together.

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
        reach = _reach(part, values, interval)
        axes.errorbar(values, at, xerr=reach, fmt="none", ecolor=EDGE, elinewidth=1.0)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.8)
