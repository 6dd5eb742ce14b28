"""Bars, lines, points and heatmaps: a frame in, a figure with alt text out.

All functions share their options: ``title`` may be a whole sentence stating the finding;
``x_label`` and ``y_label`` name the columns with their units (they follow the column, wherever
it is drawn); ``percent`` writes values in percent (by default if the column's name says that it
holds a share); ``alt`` replaces the alternative text that is else built from the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.errors import DataError
from segkit.plot.describe import MOST_NAMED, describe, describe_lines, drawn, finish
from segkit.plot.figure import GREY, Figure, canvas
from segkit.plot.style import (
    EDGE,
    as_percent,
    head,
    legend,
    name_axis,
    number_axis,
    spread,
    styles,
    words,
    wrap,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Interval = tuple[str, str]
CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.75}


def names_of(frame: pl.DataFrame, column: str | None) -> list[Any]:
    """Return a column's values in order of first appearance (one ``None`` without a column)."""
    if column is None:
        return [None]
    return frame.get_column(column).unique(maintain_order=True).to_list()


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
    count = len(categories) * len(groups)
    size = (7.2, max(1.9, 0.3 * count + 0.2 * len(categories) + 1.0)) if horizontal else (7.2, 3.8)
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


def lines(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    group: str | None = None,
    band: Interval | None = None,
    percent: bool | None = None,
    reference: float | None = None,
    markers: bool | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Show how a value goes along an ordered axis (time, k, rank).

    Parameters
    ----------
    frame : polars.DataFrame
        One row a point; ``x`` is numeric, a date, or text in the order of the rows.
    x, y : str
        The ordered column and the value column. A row without a value breaks the line.
    group : str, optional
        One line a group, up to 12, named at the line's end.
    band : (str, str), optional
        Columns with lower and upper limit, drawn as a shaded band.
    reference : float, optional
        Value at which a dashed horizontal line is drawn.
    markers : bool, optional
        Mark the points; by default where a line has at most 25.
    percent, title, x_label, y_label, alt
        See the module.

    Raises
    ------
    DataError
        If there is nothing to draw, a point comes twice, or groups are more than 12.

    Examples
    --------
    >>> frame = pl.DataFrame({"month": [1, 2], "orders": [3, 5]})
    >>> lines(frame, "month", "orders").data.height
    2
    """
    data = drawn(frame, [x, group, y, *(band or ())], [x, y])
    one_each(data, [x, group] if group else [x])
    if data.schema[x] not in (pl.String, pl.Categorical):
        data = data.sort(x, maintain_order=True)
    whole = frame.filter(pl.col(x).is_not_null())
    with canvas(7.2, 3.6) as (figure, (axes,)):
        draw_lines(axes, whole, x, y, group=group, band=band, markers=markers)
        line_axes(axes, data, x, (x_label or words(x), y_label or words(y)), percent, y)
        if reference is not None:
            axes.axhline(reference, color="black", linewidth=1.0, linestyle=(0, (4, 3)))
        if group:
            _name_lines(axes, data, y, group)
        head(figure, title)
    text = alt or describe_lines(
        data, x, y, group=group, title=title, percent=percent, label=y_label,
        left_out=frame.height - data.height,
    )  # fmt: skip
    return Figure(figure, text, data)


def draw_lines(
    axes: Axes,
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    group: str | None,
    band: Interval | None,
    markers: bool | None,
) -> None:
    """Draw a frame's lines (and bands) on axes that exist already."""
    groups = names_of(frame.drop_nulls(y), group)
    text = frame.schema[x] in (pl.String, pl.Categorical)
    order = {name: i for i, name in enumerate(names_of(frame, x))}
    for name, style in zip(groups, styles(len(groups)), strict=True):
        part = frame.filter(pl.col(group) == name) if group else frame
        if not text:
            part = part.sort(x, maintain_order=True)
        at = [order[v] for v in part.get_column(x)] if text else part.get_column(x).to_list()
        values = part.get_column(y).cast(pl.Float64).fill_null(float("nan")).to_numpy()
        mark = style.marker if (part.height <= 25 if markers is None else markers) else ""
        axes.plot(
            at, values, color=style.colour, linestyle=style.dash, linewidth=1.8, marker=mark,
            markersize=4.5, label=str(name),
        )  # fmt: skip
        if band:
            low, high = (
                part.get_column(c).cast(pl.Float64).fill_null(float("nan")).to_numpy() for c in band
            )
            axes.fill_between(at, low, high, color=style.colour, alpha=0.18, linewidth=0)


def line_axes(
    axes: Axes,
    data: pl.DataFrame,
    x: str,
    labels: tuple[str, str],
    percent: bool | None,
    y: str,
) -> None:
    """Label the axes of a line chart by the type of its ordered column."""
    kind = data.schema[x]
    if kind in (pl.String, pl.Categorical):
        names = names_of(data, x)
        step = max(1, len(names) // 16)
        name_axis(axes.xaxis, list(range(len(names)))[::step], names[::step], 12)
        axes.set_xlabel(labels[0])
    elif kind.is_temporal():
        _date_axis(axes)
        axes.set_xlabel(labels[0])
    else:
        if kind.is_integer():
            axes.locator_params(axis="x", integer=True)
        number_axis(axes.xaxis, labels[0])
    number_axis(axes.yaxis, labels[1], in_percent=as_percent(percent, y))
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)


def _date_axis(axes: Axes) -> None:
    from matplotlib import dates

    kinds: Any = dates  # matplotlib's stubs leave these two untyped
    locator = kinds.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(kinds.ConciseDateFormatter(locator))


def _name_lines(axes: Axes, data: pl.DataFrame, y: str, group: str) -> None:
    """Write each group's name at its line's end, moved apart where they would overlap."""
    groups = names_of(data, group)
    low, high = axes.get_ylim()
    gap = (high - low) * 0.065
    lasts = [float(data.filter(pl.col(group) == name).get_column(y)[-1]) for name in groups]
    for name, style, at in zip(groups, styles(len(groups)), spread(lasts, gap), strict=True):
        axes.annotate(
            wrap(name, 40), (1.0, at), (6, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=9, color=style.ink,
        )  # fmt: skip


def points(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    group: str | None = None,
    label: str | None = None,
    sample: int | None = 5000,
    seed: int = 0,
    log_x: bool = False,
    log_y: bool = False,
    percent: bool | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Show how two values of each row go together.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a point.
    x, y : str
        Numeric columns.
    group : str, optional
        Column told apart by colour and shape, up to 12 groups.
    label : str, optional
        Column written beside each point (for a few points).
    sample : int or None
        Points drawn at most, chosen at random (``seed``) and stated; ``None`` draws all.
    log_x, log_y : bool
        Logarithmic axes; rows that are not positive there are left out and counted.
    percent, title, x_label, y_label, alt
        See the module; ``percent`` holds for ``y``, ``x`` goes by its name.

    Raises
    ------
    DataError
        If there is nothing to draw, or groups are more than 12.

    Examples
    --------
    >>> frame = pl.DataFrame({"visits": [1, 2, 4], "orders": [0, 1, 3]})
    >>> points(frame, "visits", "orders").alt
    'Scatter plot of orders against visits, 3 points: visits from 1 to 4, orders from 0 to 3.'
    """
    data = drawn(frame, [x, y, group, label], [x, y, *([group] if group else [])])
    for column, log in ((x, log_x), (y, log_y)):
        data = drawn(data.filter(pl.col(column) > 0), data.columns, [x, y]) if log else data
    left_out = frame.height - data.height
    complete = data.height
    if sample is not None and complete > sample:
        data = data.sample(sample, seed=seed)
    with canvas(7.2, 4.4) as (figure, (axes,)):
        groups = sorted(names_of(data, group), key=str)
        for name, style in zip(groups, styles(len(groups)), strict=True):
            part = data.filter(pl.col(group) == name) if group else data
            axes.scatter(
                part.get_column(x), part.get_column(y), color=style.colour, marker=style.marker,
                s=34 if data.height <= 200 else 10, alpha=0.85 if data.height <= 200 else 0.5,
                linewidths=0, label=str(name),
            )  # fmt: skip
        if log_x:
            axes.set_xscale("log")
        if log_y:
            axes.set_yscale("log")
        number_axis(axes.xaxis, x_label or words(x), in_percent=as_percent(None, x))
        number_axis(axes.yaxis, y_label or words(y), in_percent=as_percent(percent, y))
        if label:
            for row in data.iter_rows(named=True):
                axes.annotate(
                    wrap(row[label], 32), (row[x], row[y]), (6, 4), textcoords="offset points",
                    fontsize=9,
                )  # fmt: skip
            axes.margins(0.12)
        if group:
            handles, found = axes.get_legend_handles_labels()
            legend(axes, handles, found, words(group))
        head(figure, title)
    spans = ", ".join(_span(data, c, as_percent(p, c)) for c, p in ((x, None), (y, percent)))
    drawn_of = f", a sample of {complete:,}" if complete > data.height else ""
    names = ""
    if label and data.height <= MOST_NAMED:
        y_percent = as_percent(percent, y)
        told = (f"{row[label]} {write(float(row[y]), y_percent)}" for row in data.to_dicts())
        names = f"; {words(y)} of {', '.join(told)}"
    sentence = (
        f"Scatter plot of {y_label or words(y)} against {x_label or words(x)}, "
        f"{data.height:,} points{drawn_of}: {spans}{names}."
    )
    text = alt or finish(sentence, title=title, left_out=left_out)
    return Figure(figure, text, data)


def _span(data: pl.DataFrame, column: str, in_percent: bool) -> str:
    values = data.get_column(column).cast(pl.Float64).to_numpy()
    low, high = (write(float(v), in_percent) for v in (values.min(), values.max()))
    return f"{words(column)} from {low} to {high}"


def heatmap(
    frame: pl.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    diverging: bool = False,
    annotate: bool = True,
    percent: bool | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    value_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Show where, over two categories, a value is high and where low.

    Parameters
    ----------
    frame : polars.DataFrame
        Long: one row a cell, categories in the order to be drawn; cells that are missing or
        without a value stay blank.
    x, y : str
        The columns of categories across and down.
    value : str
        The numeric column.
    diverging : bool
        Blue below zero, orange above, white at zero; else pale to dark blue.
    annotate : bool
        Write the value in each cell (left out where the cells are too small).
    value_label : str
        The value's name in words, with its unit.
    percent, title, x_label, y_label, alt
        See the module.

    Raises
    ------
    DataError
        If there is nothing to draw, or a cell comes twice.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": ["p", "q"], "b": ["r", "r"], "mean": [1.5, -2.0]})
    >>> heatmap(frame, "a", "b", "mean", diverging=True).alt
    'Heatmap of mean by b and a: r, p 1.50; r, q -2.'
    """
    data = drawn(frame, [x, y, value], [x, y, value])
    one_each(data, [x, y])
    across, down = names_of(frame.drop_nulls([x, y]), x), names_of(frame.drop_nulls([x, y]), y)
    grid = np.full((len(down), len(across)), np.nan)
    column = {name: i for i, name in enumerate(across)}
    row = {name: i for i, name in enumerate(down)}
    for a, b, v in data.iter_rows():
        grid[row[b], column[a]] = v
    in_percent = as_percent(percent, value)
    longest = max(len(part) for name in across for part in wrap(name, 14).split("\n"))
    width = min(14.0, max(4.5, 2.4 + len(across) * max(0.55, 0.085 * longest)))
    with canvas(width, max(2.2, 1.2 + 0.36 * len(down))) as (figure, (axes,)):
        image = _draw_cells(axes, grid, diverging)
        name_axis(axes.xaxis, range(len(across)), across, 14)
        name_axis(axes.yaxis, range(len(down)), down, 30)
        axes.set_xlabel(x_label or words(x))
        axes.set_ylabel(y_label or words(y))
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
        number_axis(bar.ax.yaxis, value_label or words(value), in_percent=in_percent)
        if annotate and (width - 2.4) / len(across) >= 0.5:
            _write_cells(axes, grid, image, in_percent)
        head(figure, title)
    text = alt or describe(
        "Heatmap", data, value, by=[y, x], title=title, percent=percent, label=value_label,
        left_out=frame.height - data.height,
    )  # fmt: skip
    return Figure(figure, text, data)


def _draw_cells(axes: Axes, grid: np.ndarray, diverging: bool) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    if diverging:
        ends = ["#0072B2", "#ffffff", "#D55E00"]
        reach = float(np.nanmax(np.abs(grid))) or 1.0
        limits = (-reach, reach)
    else:
        ends = ["#f2f7fb", "#0072B2", "#00304d"]
        limits = (float(np.nanmin(grid)), float(np.nanmax(grid)))
        limits = limits if limits[1] > limits[0] else (limits[0] - 1.0, limits[1] + 1.0)
    colours = LinearSegmentedColormap.from_list("segkit", ends, bad="#ffffff")
    image = axes.imshow(grid, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    for side in axes.spines.values():
        side.set_visible(False)
    return image


def _write_cells(axes: Axes, grid: np.ndarray, image: Any, in_percent: bool) -> None:
    for (i, j), value in np.ndenumerate(grid):
        if np.isnan(value):
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
        axes.text(
            j, i, write(float(value), in_percent), ha="center", va="center", fontsize=9,
            color="black" if light else "white",
        )  # fmt: skip
