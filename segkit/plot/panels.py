"""Small multiples: many columns' distributions, or one line chart for each group."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import is_share, number
from segkit.errors import DataError, require_columns
from segkit.plot.basic import Interval, names_of, one_each
from segkit.plot.describe import MOST_NAMED, describe_lines, drawn, finish
from segkit.plot.figure import Figure, canvas
from segkit.plot.ordered import draw_lines, line_axes
from segkit.plot.style import COLOURS, head, number_axis, words, wrap, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def histograms(
    frame: pl.DataFrame,
    columns: Sequence[str],
    *,
    log: Collection[str] = (),
    bins: int = 30,
    units: dict[str, str] | None = None,
    across: int = 3,
    title: str = "",
    alt: str | None = None,
) -> Figure:
    """Show how each column's values are distributed, one panel a column.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a customer, say; nulls are left out and counted in the panel.
    columns : sequence of str
        Numeric columns, one panel each.
    log : collection of str
        Columns drawn on a logarithmic axis; their values <= 0 are counted, not drawn.
    bins : int
        Number of equally wide bins (equally wide in the logarithm, where that is drawn).
    units : dict of str to str, optional
        Column to unit, written on its axis.
    across : int
        Panels in a row.
    title, alt
        See `segkit.plot.basic`.

    Raises
    ------
    ColumnError
        If a column is not there.
    DataError
        If no column has a finite value.

    Examples
    --------
    >>> figure = histograms(pl.DataFrame({"orders": [1, 2, 2, 5]}), ["orders"], bins=4)
    >>> figure.data.get_column("rows").to_list()
    [1, 2, 0, 1]
    """
    require_columns(frame.columns, columns, "the frame to draw")
    counted = {name: _count(frame.get_column(name), name in log, bins) for name in columns}
    if all(panel is None for panel in counted.values()):
        raise DataError(f"nothing to draw: no finite value in {', '.join(columns)}")
    wide = min(across, len(columns))
    deep = math.ceil(len(columns) / wide)
    size = (max(4.0, 2.7 * wide), 2.1 * deep + 0.3)
    tables, told = [], []
    with canvas(*size, rows=deep, columns=wide) as (figure, panels):
        for axes in panels[len(columns) :]:
            axes.set_visible(False)
        for axes, name in zip(panels, columns, strict=False):
            panel = counted[name]
            axes.set_title(wrap(words(name), 30), fontsize=9.5)
            if panel is None:
                axes.text(0.5, 0.5, "no value", ha="center", transform=axes.transAxes)
                axes.set_axis_off()
                continue
            table, median, note = panel
            tables.append(table.select(pl.lit(name).alias("column"), pl.all()))
            _draw_panel(axes, table, median, name in log)
            unit = (units or {}).get(name, "")
            label = " · ".join(text for text in (unit, note) if text)
            number_axis(axes.xaxis, wrap(label, 34) if label else "", in_percent=is_share(name))
            if name not in log:
                axes.locator_params(axis="x", nbins=4)
            told.append(
                f"{words(name)} median {write(median, is_share(name))}, {_range(table, name)}"
            )
        figure.supylabel("rows", fontsize=9.5)
        figure.supxlabel("dashed line: median", fontsize=9, x=0.99, ha="right")
        head(figure, title)
    more = f"; and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    sentence = f"Histograms of {number(frame.height)} rows: {'; '.join(told[:MOST_NAMED])}{more}."
    return Figure(figure, alt or finish(sentence, title=title), pl.concat(tables))


def _count(values: pl.Series, log: bool, bins: int) -> tuple[pl.DataFrame, float, str] | None:
    """Count a column into bins; return the table, the median and a note of what is left out."""
    every = values.cast(pl.Float64).to_numpy()
    finite = every[np.isfinite(every)]
    shown = finite[finite > 0] if log else finite
    if shown.size == 0:
        return None
    scaled = np.log10(shown) if log else shown
    counts, edges = np.histogram(scaled, bins=bins)
    edges = 10**edges if log else edges
    notes = []
    if log and shown.size < finite.size:
        notes.append(f"{finite.size - shown.size:,} not above 0")
    if finite.size < every.size:
        notes.append(f"{every.size - finite.size:,} without value")
    table = pl.DataFrame({"low": edges[:-1], "high": edges[1:], "rows": counts})
    return table, float(np.median(finite)), ", ".join(notes)


def _draw_panel(axes: Axes, table: pl.DataFrame, median: float, log: bool) -> None:
    low, high, rows = (table.get_column(c).to_numpy() for c in ("low", "high", "rows"))
    axes.bar(low, rows, high - low, align="edge", color=COLOURS[0], linewidth=0)
    if log:
        axes.set_xscale("log")
    if median > 0 or not log:
        axes.axvline(median, color="black", linewidth=1.0, linestyle=(0, (4, 3)))
    number_axis(axes.yaxis, "")
    axes.locator_params(axis="y", nbins=4)


def _range(table: pl.DataFrame, name: str) -> str:
    low, high = float(table.get_column("low")[0]), float(table.get_column("high")[-1])
    return f"drawn from {write(low, is_share(name))} to {write(high, is_share(name))}"


def small_lines(
    frame: pl.DataFrame,
    x: str,
    y: str,
    panel: str,
    *,
    group: str | None = None,
    band: Interval | None = None,
    percent: bool | None = None,
    across: int = 3,
    same_scale: bool = True,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Show how a value goes along an ordered axis, one panel for each group.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a point.
    x, y : str
        The ordered column and the value column.
    panel : str
        Column with one panel a value, in order of appearance.
    group, band
        As in `segkit.plot.lines`, within a panel.
    across : int
        Panels in a row.
    same_scale : bool
        Share both axes between panels, so that heights compare.
    percent, title, x_label, y_label, alt
        See `segkit.plot.basic`.

    Raises
    ------
    DataError
        If there is nothing to draw or a point comes twice.

    Examples
    --------
    >>> frame = pl.DataFrame({"month": [1, 2, 1, 2], "orders": [3, 5, 1, 0], "by": [*"aabb"]})
    >>> small_lines(frame, "month", "orders", "by").data.height
    4
    """
    data = drawn(frame, [x, panel, group, y, *(band or ())], [x, y, panel])
    one_each(data, [x, panel, group] if group else [x, panel])
    names = names_of(data, panel)
    wide = min(across, len(names))
    deep = math.ceil(len(names) / wide)
    with canvas(max(4.0, 2.7 * wide), 2.1 * deep + 0.4, rows=deep, columns=wide) as (
        figure,
        panels,
    ):
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        for axes, name in zip(panels, names, strict=False):
            rows = frame.filter((pl.col(panel) == name) & pl.col(x).is_not_null())
            if same_scale and axes is not panels[0]:
                axes.sharex(panels[0])
                axes.sharey(panels[0])
            draw_lines(axes, rows, x, y, group=group, band=band, markers=None)
            line_axes(axes, data, x, ("", ""), percent, y)
            axes.set_title(wrap(name, 30), fontsize=9.5)
            if data.schema[x].is_numeric():
                axes.locator_params(axis="x", nbins=5)
        figure.supxlabel(x_label or words(x), fontsize=9.5)
        figure.supylabel(y_label or words(y), fontsize=9.5)
        if group:
            handles, found = panels[0].get_legend_handles_labels()
            figure.legend(handles, found, loc="outside lower left", ncols=4)
        head(figure, title)
    text = alt or describe_lines(
        data, x, y, group=panel, title=title, percent=percent, label=y_label,
        left_out=frame.height - data.height,
    )  # fmt: skip
    return Figure(figure, text, data)
