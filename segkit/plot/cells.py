"""Heatmaps: a value over two categories (options as in `basic`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.plot.basic import names_of, one_each
from segkit.plot.describe import describe, drawn
from segkit.plot.figure import Figure, canvas
from segkit.plot.style import (
    as_percent,
    head,
    name_axis,
    number_axis,
    words,
    wrap,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        See `segkit.plot.basic`.

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
