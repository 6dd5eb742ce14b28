"""Pictures of offers by segment: a heat map whose cells tell their interval."""

from __future__ import annotations

import numpy as np
import polars as pl

from segkit.plot.basic import Interval, names_of, one_each
from segkit.plot.cells import _draw_cells
from segkit.plot.describe import describe, drawn
from segkit.plot.figure import Figure, canvas
from segkit.plot.style import as_percent, head, name_axis, number_axis, words, wrap, write

FRAME = "#D55E00"


def offer_map(
    frame: pl.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    interval: Interval,
    mark: str | None = None,
    percent: bool | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    value_label: str = "",
    mark_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Show a value over two categories with each cell's interval, some cells framed.

    Parameters
    ----------
    frame : polars.DataFrame
        Long: one row a cell, in the order to be drawn.
    x, y, value : str
        Columns across, down, and the number.
    interval : (str, str)
        Columns with the limits, written below the value.
    mark : str, optional
        Boolean column: cells drawn in a frame.
    mark_label : str
        What the frame stands for.
    value_label, percent, title, x_label, y_label, alt
        See `segkit.plot.basic`.

    Raises
    ------
    DataError
        If there is nothing to draw, or a cell comes twice.

    Examples
    --------
    >>> frame = pl.DataFrame({"o": ["a", "b"], "s": ["r", "r"], "mean": [1.0, 2.0],
    ...     "low": [0.5, 1.5], "high": [1.5, 2.5], "best": [False, True]})
    >>> offer_map(frame, "o", "s", "mean", interval=("low", "high"), mark="best").alt
    'Heatmap of mean by s and o: r, a 1; r, b 2. Framed: r, b.'
    """
    data = drawn(frame, [x, y, value, *interval, mark], [x, y, value])
    one_each(data, [x, y])
    across, down = names_of(data, x), names_of(data, y)
    in_percent = as_percent(percent, value)
    grid = np.full((len(down), len(across)), np.nan)
    width = min(14.0, 2.6 + 1.25 * len(across))
    with canvas(width, max(2.4, 1.5 + 0.55 * len(down))) as (figure, (axes,)):
        for row in data.iter_rows(named=True):
            grid[down.index(row[y]), across.index(row[x])] = row[value]
        image = _draw_cells(axes, grid, diverging=False)
        for row in data.iter_rows(named=True):
            i, j = down.index(row[y]), across.index(row[x])
            red, green, blue, _ = image.cmap(image.norm(row[value]))
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"
            axes.text(j, i - 0.12, write(float(row[value]), in_percent), ha="center", va="center",
                      fontsize=9.5, color=ink)  # fmt: skip
            limits = [row[limit] for limit in interval]
            if None not in limits:
                told = " to ".join(write(float(limit), in_percent) for limit in limits)
                axes.text(j, i + 0.22, told, ha="center", va="center", fontsize=7, color=ink)
            if mark and row[mark]:
                from matplotlib.patches import Rectangle

                corner = (j - 0.48, i - 0.46)
                axes.add_patch(
                    Rectangle(corner, 0.96, 0.92, fill=False, edgecolor=FRAME, linewidth=2.4)
                )
        name_axis(axes.xaxis, range(len(across)), across, 14)
        name_axis(axes.yaxis, range(len(down)), down, 28)
        framed = f" (framed: {mark_label})" if mark_label else ""
        axes.set_xlabel(wrap(f"{x_label or words(x)}{framed}", int(11 * width)))
        axes.set_ylabel(y_label or words(y))
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
        number_axis(bar.ax.yaxis, value_label or words(value), in_percent=in_percent)
        head(figure, title)
    text = alt or describe(
        "Heatmap", data, value, by=[y, x], title=title, percent=percent, label=value_label,
        left_out=frame.height - data.height,
    )  # fmt: skip
    if mark and alt is None:
        chosen = [f"{row[y]}, {row[x]}" for row in data.filter(pl.col(mark)).iter_rows(named=True)]
        text += f" Framed: {'; '.join(chosen)}."
    return Figure(figure, text, data)
