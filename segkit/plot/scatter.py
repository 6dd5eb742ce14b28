"""Distributions and scatter plots: one column's values, or two of each row.

Options are those of `segkit.plot.bars`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import counted, is_share, number
from segkit.errors import DataError, require_columns
from segkit.plot import figure as draw
from segkit.plot.describe import MOST_NAMED, describe_mark, drawn, finish, floats, names_of
from segkit.plot.figure import Figure, narrows
from segkit.plot.vector import MANY, mark_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HALF = 1.3863  # median of chi-square with 2 degrees of freedom: the ellipse holds half of a normal


@narrows
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
    """Draw two values of each row as points.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per point.
    x, y : str
        Numeric columns.
    group : str, optional
        Column distinguished by colour and shape, up to 12 groups, in its order (`names_of`).
    label : str, optional
        Column written beside each point (for a few points).
    sample : int or None
        Maximum number of points, chosen at random; the figure says so. ``None`` draws all.
    seed : int
        Of the sample.
    log_x, log_y : bool
        Logarithmic axes; rows that are not positive there are left out and counted.
    percent, title, x_label, y_label, alt
        See `segkit.plot.bars`; ``percent`` holds for ``y``, ``x`` goes by its name.

    Raises
    ------
    DataError
        If there is nothing to draw, or groups are more than 12.

    Examples
    --------
    >>> frame = pl.DataFrame({"visits": [1, 2, 4], "orders": [0, 1, 3]})
    >>> points(frame, "visits", "orders").alt
    'Scatter plot of orders against visits to the site, 3 points: visits to the site from 1 ...'
    """
    data = drawn(frame, [x, y, group, label], [x, y, *([group] if group else [])])
    for column, log in ((x, log_x), (y, log_y)):
        data = drawn(data.filter(pl.col(column) > 0), data.columns, [x, y]) if log else data
    left_out = frame.height - data.height
    complete = data.height
    if sample is not None and complete > sample:
        data = data.sample(sample, seed=seed)
    names, in_percent = names_of(data, group), draw.as_percent(percent, y)
    with draw.canvas(7.2, 4.4, title=title) as (figure, (axes,)):
        _draw_points(axes, data, (x, y), group, names)
        _mark_points(axes, data, (x, y), [label, group], in_percent)
        if log_x:
            axes.set_xscale("log")
        if log_y:
            axes.set_yscale("log")
        draw.number_axis(axes.xaxis, x_label or draw.words(x), in_percent=draw.as_percent(None, x))
        draw.number_axis(axes.yaxis, y_label or draw.words(y), in_percent=in_percent)
        if label:
            _label_points(axes, data, (x, y), label)
        if group:
            handles, labels = axes.get_legend_handles_labels()
            axes.legend_ = None  # seaborn's
            draw.legend(axes, handles, labels, draw.words(group))
    spans = ", ".join(_span(data, c, draw.as_percent(p, c)) for c, p in ((x, None), (y, percent)))
    drawn_of = f", a sample of {complete:,}" if complete > data.height else ""
    named = ""
    if label and data.height <= MOST_NAMED:
        values = (
            f"{row[label]} {draw.write(float(row[y]), in_percent)}" for row in data.to_dicts()
        )
        named = f"; {draw.words(y)} of {', '.join(values)}"
    sentence = (
        f"Scatter plot of {y_label or draw.words(y)} against {x_label or draw.words(x)}, "
        f"{data.height:,} points{drawn_of}: {spans}{named}."
    )
    return Figure(figure, alt or finish(sentence, title=title, left_out=left_out), data)


def _draw_points(
    axes: Axes, data: pl.DataFrame, at: tuple[str, str], group: str | None, names: list[Any]
) -> None:
    """Draw the points of each group in its own colour and shape, in the order of ``names``."""
    import seaborn as sns

    looks, few = draw.styles(len(names)), data.height <= 200
    order = list(map(str, names))
    # Without a column all rows are of one group, that has the name "None".
    named = data.get_column(group).cast(pl.String).to_list() if group else order * data.height
    sns.scatterplot(
        x=data.get_column(at[0]).to_numpy(),
        y=data.get_column(at[1]).to_numpy(),
        hue=named,
        style=named,
        hue_order=order,
        style_order=order,
        palette=[look.colour for look in looks],
        markers=[look.marker for look in looks],
        s=34 if few else 10,
        alpha=0.85,
        linewidth=0,
        legend=bool(group),
        ax=axes,
    )
    axes.collections[-1].set_rasterized(data.height > MANY)


def _label_points(axes: Axes, data: pl.DataFrame, at: tuple[str, str], label: str) -> None:
    """Write a name beside each point; on a phone moved apart where they would overlap."""
    heights = floats(data, at[1]).tolist()
    if draw.is_narrow() and axes.get_yscale() == "linear":
        low, high = axes.get_ylim()
        heights = draw.spread(heights, (high - low) * 0.16)
    for row, height in zip(data.iter_rows(named=True), heights, strict=True):
        name = draw.wrap(row[label], 14 if draw.is_narrow() else 32)
        draw.note(axes, name, (row[at[0]], height), (6, 4), va="baseline")
    axes.margins(0.12)


def _mark_points(
    axes: Axes, data: pl.DataFrame, at: tuple[str, str], names: list[str | None], in_percent: bool
) -> None:
    """Give every point its names and its value, unless they are very many."""
    x, y = at
    for row in data.iter_rows(named=True) if data.height <= MANY else ():
        keys = [row[name] for name in names if name]
        mark_point(axes, row[x], row[y], describe_mark(row, keys, y, None, in_percent), keys)


def _span(data: pl.DataFrame, column: str, in_percent: bool) -> str:
    values = floats(data, column)
    low, high = (draw.write(float(v), in_percent) for v in (values.min(), values.max()))
    return f"{draw.words(column)} from {low} to {high}"


@narrows
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
    """Draw groups as points, each group with its centre and an ellipse around half of it.

    Parameters
    ----------
    points : polars.DataFrame
        One row per point: ``x``, ``y``, ``group``.
    centres : polars.DataFrame
        One row per group: the group, ``x``, ``y``, ``<x>_variance``, ``<y>_variance``,
        ``covariance``. The ellipse holds half of a normal cloud.
    x, y, group : str
        Columns.
    title, x_label, y_label, alt
        See `segkit.plot.bars`.

    Raises
    ------
    DataError
        If there is nothing to draw or groups are more than 12.
    """
    need = [x, y, group]
    data = drawn(points, need, need)
    middle = drawn(centres, [*need, f"{x}_variance", f"{y}_variance", "covariance"], need)
    names = names_of(middle, group)
    rows, looks = middle.to_dicts(), draw.styles(len(names))
    with draw.canvas(7.2, 4.8, title=title) as (figure, (axes,)):
        for row, style in zip(rows, looks, strict=True):
            part = data.filter(pl.col(group) == row[group])
            axes.scatter(
                part.get_column(x),
                part.get_column(y),
                s=7,
                color=style.colour,
                marker=style.marker,
                alpha=0.75,
                linewidths=0,
                rasterized=data.height > MANY,
            )
            across, up = _ellipse(row, x, y)
            axes.plot(across, up, color=style.ink, linestyle=style.dash, linewidth=2.0)
        low, high = axes.get_ylim()
        heights = draw.spread(middle.get_column(y).to_list(), (high - low) * 0.065)
        for row, style, height in zip(rows, looks, heights, strict=True):
            name, place = draw.wrap(row[group], 20 if draw.is_narrow() else 40), (row[x], height)
            box = {"facecolor": "white", "edgecolor": style.colour, "pad": 2, "alpha": 0.9}
            draw.note(axes, name, place, ha="center", color=style.ink, fontweight="bold", bbox=box)
        draw.number_axis(axes.xaxis, draw.wrap(x_label or draw.words(x), 80))
        draw.number_axis(axes.yaxis, draw.wrap(y_label or draw.words(y), 52))
    at = "; ".join(f"{row[group]} at {number(row[x])}, {number(row[y])}" for row in rows)
    sentence = (
        f"Scatter plot of {number(data.height)} points with the centres of {number(len(names))} "
        f"groups on {x_label or draw.words(x)} and {y_label or draw.words(y)}: {at}."
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


@narrows
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
    """Draw how each column's values are distributed, one panel for each column.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per customer, say; nulls are left out and counted in the panel.
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
        See `segkit.plot.bars`.

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
    panels_of = {name: _count(frame.get_column(name), name in log, bins) for name in columns}
    if all(panel is None for panel in panels_of.values()):
        raise DataError(f"nothing to draw: no finite value in {', '.join(columns)}")
    wide = 1 if draw.is_narrow() else min(across, len(columns))
    deep = math.ceil(len(columns) / wide)
    size = (max(4.0, 2.7 * wide), 2.1 * deep + 0.3)
    tables, findings = [], []
    with draw.canvas(*size, rows=deep, columns=wide, title=title) as (figure, panels):
        for axes in panels[len(columns) :]:
            axes.set_visible(False)
        for axes, name in zip(panels, columns, strict=False):
            panel = panels_of[name]
            axes.set_title(draw.wrap(draw.words(name), 30), fontsize=9.5)
            if panel is None:
                axes.text(0.5, 0.5, "no value", ha="center", transform=axes.transAxes)
                axes.set_axis_off()
                continue
            shown, table, median, note = panel
            tables.append(table.select(pl.lit(name).alias("column"), pl.all()))
            _draw_histogram(axes, shown, bins, median, name in log)
            unit = (units or {}).get(name, "")
            label = " · ".join(text for text in (unit, note) if text)
            draw.number_axis(
                axes.xaxis, draw.wrap(label, 34) if label else "", in_percent=is_share(name)
            )
            if name not in log:
                axes.locator_params(axis="x", nbins=4)
            middle = draw.write(median, is_share(name))
            findings.append(f"{draw.words(name)} median {middle}, {_range(table, name)}")
        figure.supylabel("rows", fontsize=9.5)
        figure.supxlabel("dashed line: median", fontsize=9, x=0.99, ha="right")
    more = f"; and {len(findings) - MOST_NAMED} more" if len(findings) > MOST_NAMED else ""
    sentence = (
        f"Histograms of {counted(frame.height, 'row')}: {'; '.join(findings[:MOST_NAMED])}{more}."
    )
    return Figure(figure, alt or finish(sentence, title=title), pl.concat(tables))


def _count(
    values: pl.Series, log: bool, bins: int
) -> tuple[np.ndarray, pl.DataFrame, float, str] | None:
    """Count a column into bins.

    Returns
    -------
    tuple or None
        The values drawn, the table of bins, the median and a note of what is left out.
    """
    every = floats(values.to_frame(), values.name)
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
    return shown, table, float(np.median(finite)), ", ".join(notes)


def _draw_histogram(axes: Axes, shown: np.ndarray, bins: int, median: float, log: bool) -> None:
    import seaborn as sns

    sns.histplot(
        x=shown, bins=bins, log_scale=log, color=draw.COLOURS[0], alpha=1, linewidth=0, ax=axes
    )
    if median > 0 or not log:
        draw.mark_reference(axes, median, vertical=True)
    draw.number_axis(axes.yaxis, "")
    axes.locator_params(axis="y", nbins=4)


def _range(table: pl.DataFrame, name: str) -> str:
    low, high = float(table.get_column("low")[0]), float(table.get_column("high")[-1])
    return f"drawn from {draw.write(low, is_share(name))} to {draw.write(high, is_share(name))}"
