"""Bars, and what all pictures share: a frame in, a figure with alt text out.

All pictures share their options: ``title`` may be a whole sentence stating the finding;
``x_label`` and ``y_label`` name the columns with their units (they follow the column, wherever
it is drawn); ``percent`` writes values in percent (by default if the column's name says that it
holds a share); ``alt`` replaces the alternative text that is else built from the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.errors import DataError
from segkit.plot.describe import describe, drawn
from segkit.plot.figure import GREY, Figure, canvas
from segkit.plot.style import (
    EDGE,
    SCREEN,
    as_percent,
    head,
    legend,
    name_axis,
    number_axis,
    styles,
    words,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Interval = tuple[str, str]
CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.75}


def names_of(frame: pl.DataFrame, column: str | None) -> list[Any]:
    """Return a column's values: an Enum's in its order, others as they first appear.

    Without a column, one ``None``.
    """
    if column is None:
        return [None]
    found = frame.get_column(column).unique(maintain_order=True)
    return (found.sort() if isinstance(found.dtype, pl.Enum) else found).to_list()


def one_each(frame: pl.DataFrame, keys: list[str]) -> None:
    """Raise ``DataError`` where two rows would be drawn on one spot."""
    twice = frame.height - frame.select(keys).unique().height
    if twice:
        raise DataError(
            f"expected one row for each {' and '.join(keys)}, got {twice} more; aggregate first"
        )


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
    """Show how large each category's value is.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a category (and group), in the order to be drawn.
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
    in_percent = as_percent(percent, y)
    size = (7.2, _tall(len(categories), len(groups)) if horizontal else 3.8)
    with canvas(*size) as (figure, (axes,)):
        handles = [
            _bar_group(axes, data, (x, y, group), name, (i, len(groups)), interval, horizontal)
            for i, name in enumerate(groups)
        ]
        if annotate:
            _annotate_bars(axes, handles, horizontal, in_percent)
        places = list(range(len(categories)))
        value_axis, category_axis = (
            (axes.xaxis, axes.yaxis) if horizontal else (axes.yaxis, axes.xaxis)
        )
        width = 30 if horizontal else max(6, 84 // len(categories))
        name_axis(category_axis, places, categories, width)
        category_axis.set_label_text(x_label)
        number_axis(value_axis, y_label or words(y), in_percent=in_percent)
        if horizontal:
            axes.set_ylim(len(categories) - 0.45, -0.55)
        _zero_and_reference(axes, horizontal, reference)
        if group:
            legend(axes, [handle for handle, _, _ in handles], groups, words(group))
        head(figure, title)
    by = [x, group]
    text = alt or describe(
        "Bar chart", data, y, by=by, title=title, percent=percent, label=y_label,
        left_out=frame.height - data.height,
    )  # fmt: skip
    return Figure(figure, text, data)


def _tall(categories: int, groups: int) -> float:
    """Give a bar chart's height: airy while that fits a screen, else as close as labels allow."""
    drawn_ = categories * groups
    close = 0.19 * drawn_ + 0.08 * categories + 1.0
    airy = max(1.9, 0.3 * drawn_ + 0.2 * categories + 1.0)
    return airy if airy <= SCREEN else max(SCREEN, close)


def _bar_group(
    axes: Axes,
    data: pl.DataFrame,
    columns: tuple[str, str, str | None],
    name: object,
    which: tuple[int, int],
    interval: Interval | None,
    horizontal: bool,
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Draw one group's bars; return its artist, values, and where its labels go."""
    x, y, group = columns
    index, of = which
    part = data.filter(pl.col(group) == name) if group else data
    place = {category: i for i, category in enumerate(names_of(data, x))}
    thickness = 0.8 / of
    at = np.array([place[c] for c in part.get_column(x)]) + (index - (of - 1) / 2) * thickness
    values = part.get_column(y).cast(pl.Float64).to_numpy()
    style = styles(of)[index]
    draw = axes.barh if horizontal else axes.bar
    artist = draw(
        at, values, thickness * 0.92, color=style.colour, hatch=style.hatch,
        edgecolor="white" if style.hatch else style.colour, linewidth=0.4,
    )  # fmt: skip
    ends = values
    if interval:
        low, high = (part.get_column(column).cast(pl.Float64).to_numpy() for column in interval)
        reach = np.nan_to_num(np.clip(np.vstack([values - low, high - values]), 0.0, None))
        across, up = (values, at) if horizontal else (at, values)
        axes.errorbar(
            across, up, xerr=reach if horizontal else None, yerr=None if horizontal else reach,
            fmt="none", ecolor=EDGE, elinewidth=1.2, capsize=2.5,
        )  # fmt: skip
        ends = np.where(values < 0, values - reach[0], values + reach[1])
    return artist, values, ends


def _annotate_bars(
    axes: Axes,
    drawn_bars: list[tuple[Any, np.ndarray, np.ndarray]],
    horizontal: bool,
    in_percent: bool,
) -> None:
    for artist, values, ends in drawn_bars:
        for bar, value, end in zip(artist, values, ends, strict=True):
            away = 4 if value >= 0 else -4
            if horizontal:
                at, offset = (end, bar.get_y() + bar.get_height() / 2), (away, 0)
                across, up = "left" if value >= 0 else "right", "center"
            else:
                at, offset = (bar.get_x() + bar.get_width() / 2, end), (0, away)
                across, up = "center", "bottom" if value >= 0 else "top"
            axes.annotate(
                write(float(value), in_percent), at, offset, textcoords="offset points",
                fontsize=9, ha=across, va=up, bbox=CLEAR,
            )  # fmt: skip
    if horizontal:
        axes.margins(x=0.14)
    else:
        axes.margins(y=0.14)


def _zero_and_reference(axes: Axes, horizontal: bool, reference: float | None) -> None:
    line = axes.axvline if horizontal else axes.axhline
    line(0, color=GREY, linewidth=0.8)
    if reference is not None:
        line(reference, color="black", linewidth=1.0, linestyle=(0, (4, 3)))
