"""Bar charts: values of categories, or one panel of bars for each segment.

All figures share these options. ``title`` may be a sentence that states the finding.
``x_label`` and ``y_label`` are the labels of the columns ``x`` and ``y`` with their units, also
if bars are horizontal. ``percent`` writes values in percent (by default if the column's name
indicates a share). ``alt`` replaces the alternative text that is otherwise built from the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.plot import figure as draw
from segkit.plot.describe import (
    Floats,
    Interval,
    describe,
    describe_mark,
    describe_rows,
    drawn,
    floats,
    names_of,
    one_each,
    reach,
    write_values,
)
from segkit.plot.figure import Figure, Look, Style, narrows
from segkit.plot.vector import mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 3
PANEL_BAR, PANEL_HEAD = 0.2, 0.65  # inches: of one bar, and of a panel's title and axis
MOST_OVER = 2.5  # times the longest bar that the interval of a panel may reach
TALLEST = 9.4  # inches: a wide picture is scaled down to the page's width


@narrows
def bars(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    group: str | None = None,
    interval: Interval | None = None,
    horizontal: bool = True,
    percent: bool | None = None,
    reference: float | Sequence[float] | None = None,
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
        Whether values are written in percent (by default as the column's name says); the title;
        axis labels with units; alternative text instead of that built from the data.
    reference : float or sequence of float, optional
        Value at which a dashed line is drawn (the average of all, say), or several.
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
    looks = draw.styles(len(groups))
    in_percent = draw.as_percent(percent, y)
    values = ends = floats(data, y)
    category = np.array([categories.index(name) for name in data.get_column(x)])
    member = np.array([groups.index(name) for name in data.get_column(group)] if group else 0)
    height = _height(len(categories), len(groups)) if horizontal else 3.8
    if horizontal:
        height = max(height, 1.0 + len(categories) * draw.row_height(categories, 30, 0.0))
    with draw.canvas(7.2, height, title=title) as (figure, (axes,)):
        _draw_bars(axes, category, member + 0 * category, values, looks, horizontal)
        # Bars stand side by side only where a category has several.
        beside = 0.8 / len(groups) if data.height > len(categories) else 0.0
        at = category + (member - (len(groups) - 1) / 2) * beside
        if interval:
            below, above = error = reach(data, y, interval)
            places = (values, at) if horizontal else (at, values)
            errors: Look = {"xerr" if horizontal else "yerr": error}
            axes.errorbar(
                *places, **errors, fmt="none", ecolor=draw.EDGE, elinewidth=1.2, capsize=2.5
            )
            ends = np.where(values < 0, values - below, values + above)
        if annotate and not (draw.is_narrow() and len(groups) > 2):
            texts = write_values(values.tolist(), y, in_percent)
            _annotate_bars(axes, at, values, ends, horizontal, texts)
        for row, bar in zip(
            data.iter_rows(named=True), _in_order(axes, at, horizontal), strict=True
        ):
            keys = [row[x], row[group]] if group else [row[x]]
            mark(bar, describe_mark(row, keys, y, interval, in_percent), keys)
        if horizontal:
            draw.name_rows(axes, categories, x_label, 30, 0.55)
        else:
            draw.name_axis(
                axes.xaxis, range(len(categories)), categories, max(6, 84 // len(categories))
            )
            axes.set_xlabel(x_label)
        value_axis = axes.xaxis if horizontal else axes.yaxis
        draw.number_axis(value_axis, y_label or draw.words(y), in_percent=in_percent)
        (axes.axvline if horizontal else axes.axhline)(0, color=draw.GREY, linewidth=0.8)
        draw.mark_reference(axes, reference, vertical=horizontal)
        if group:
            draw.legend(axes, axes.containers[: len(groups)], groups, draw.words(group))
    text = alt or describe_rows("Bar chart", (frame, data), y, [x, group], title, percent, y_label)
    return Figure(figure, text, data)


def _in_order(axes: Axes, at: np.ndarray, horizontal: bool) -> list[Any]:
    """Return the drawn bars in the order of their rows, found by their places."""
    bars_ = [bar for container in axes.containers if _is_bars(container) for bar in container]
    middles = np.array(
        [
            bar.get_y() + bar.get_height() / 2 if horizontal else bar.get_x() + bar.get_width() / 2
            for bar in bars_
        ]
    )
    return [bars_[int(np.abs(middles - place).argmin())] for place in at]


def _is_bars(container: Any) -> bool:
    return hasattr(container, "patches")


def _height(categories: int, groups: int) -> float:
    """Return a bar chart's height: generous if that fits a screen, else the minimum."""
    bars_ = categories * groups
    close = 0.19 * bars_ + 0.08 * categories + 1.0
    airy = max(1.9, 0.3 * bars_ + 0.2 * categories + 1.0)
    return airy if airy <= draw.SCREEN else max(draw.SCREEN, close)


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


def _annotate_bars(
    axes: Axes, at: Floats, values: Floats, ends: Floats, horizontal: bool, texts: list[str]
) -> None:
    """Write each value beyond its bar's end."""
    for place, value, end, text in zip(at, values, ends, texts, strict=True):
        away = 4 if value >= 0 else -4
        if horizontal:
            side = "left" if value >= 0 else "right"
            draw.note(axes, text, (end, place), (away, 0), ha=side, bbox=draw.CLEAR)
        else:
            side = "bottom" if value >= 0 else "top"
            draw.note(axes, text, (place, end), (0, away), ha="center", va=side, bbox=draw.CLEAR)
    room = 0.3 if draw.is_narrow() and horizontal else 0.14
    axes.margins(x=room if horizontal else None, y=None if horizontal else room)


@narrows
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
    wide = 1 if draw.is_narrow() else min(across, len(panels))
    deep = math.ceil(len(panels) / wide)
    labels = [draw.wrap(draw.words(str(name)), 24 if draw.is_narrow() else 66) for name in names]
    lines = max(label.count("\n") + 1 for label in labels)
    longest = max(len(line) for label in labels for line in label.split("\n"))
    thick = max(PANEL_BAR, 0.16 * lines) if draw.is_narrow() else PANEL_BAR
    tall = max(1.5, thick * len(names) + PANEL_HEAD) * deep + 0.5
    size = (min(max(3.1, 0.3 + 0.068 * longest) + 2.1 * wide, draw.WIDEST), tall)
    with draw.canvas(*size, rows=deep, columns=wide, title=title) as (figure, grid):
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for i, (axes, name) in enumerate(zip(grid, panels, strict=False)):
            if i:
                axes.sharex(grid[0])
            part = data.filter(pl.col(panel) == name)
            _panel(axes, part, names, (x, y, highlight), interval)
            for row, bar in zip(part.iter_rows(named=True), axes.patches, strict=True):
                text = describe_mark(row, [name, row[x]], y, interval, draw.as_percent(percent, y))
                mark(bar, text, [name, row[x]])
            axes.set_title(draw.wrap(name, 23), fontsize=9.5)
            axes.set_yticks(range(len(names)), labels=labels)
            axes.tick_params(axis="y", length=0, labelleft=i % wide == 0)
            axes.set_ylim(len(names) - 0.4, -0.6)
            draw.number_axis(axes.xaxis, "", in_percent=draw.as_percent(percent, y))
            axes.locator_params(axis="x", nbins=5)
        cut = _cut_intervals(grid[0], data, y, interval)
        foot = ". ".join(part for part in (y_label or draw.words(y), highlight_label, cut) if part)
        figure.supxlabel(draw.wrap(foot, 42 * wide), fontsize=9.5)
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
        text += (
            f" {number(shown.height)} of {counted(data.height, 'bar is', 'bars are')} highlighted."
        )
    return Figure(figure, text, data)


def _cut_intervals(axes: Axes, data: pl.DataFrame, y: str, interval: Interval | None) -> str:
    """Cut off intervals that would leave the bars no room; return what to say of it."""
    if interval is None:
        return ""
    bars = float(np.abs(floats(data, y)).max())
    ends = np.abs(np.concatenate([floats(data, end) for end in interval]))
    if not bars or float(np.nan_to_num(ends).max()) <= MOST_OVER * bars:
        return ""
    axes.set_xlim(-1.5 * bars, 1.5 * bars)
    return "Intervals that run to the edge are longer"


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
    values = floats(part, y)
    full = part.get_column(highlight).to_list() if highlight else [True] * part.height
    colours = [
        draw.PALE if not bright else draw.OKABE_ITO[0] if value >= 0 else draw.OKABE_ITO[3]
        for bright, value in zip(full, values, strict=True)
    ]
    axes.barh(at, values, 0.72, color=colours)
    if interval:
        error = reach(part, y, interval)
        axes.errorbar(values, at, xerr=error, fmt="none", ecolor=draw.EDGE, elinewidth=1.0)
    axes.axvline(0, color=draw.GREY, linewidth=0.8)
    axes.grid(axis="x")
