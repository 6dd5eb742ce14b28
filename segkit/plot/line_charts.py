"""Line charts: a value along an ordered axis.

Options are those of `segkit.plot.bars`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import cell, is_share
from segkit.plot import figure as draw
from segkit.plot.describe import (
    Interval,
    describe_lines,
    describe_mark,
    drawn,
    finish,
    floats,
    names_of,
    one_each,
)
from segkit.plot.figure import Figure, Look, narrows
from segkit.plot.vector import mark_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@narrows
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
    """Draw a value along an ordered axis (time, k, rank) as lines.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per point; ``x`` is numeric, a date, or text in the order of the rows.
    x, y : str
        The ordered column and the value column. A row without a value breaks the line.
    group : str, optional
        One line per group, up to 12, named at the line's end.
    band : (str, str), optional
        Columns with lower and upper limit, drawn as a shaded band.
    reference : float, optional
        Value at which a dashed horizontal line is drawn.
    markers : bool, optional
        Mark the points; by default where a line has at most 25.
    percent, title, x_label, y_label, alt
        See `segkit.plot.bars`.

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
    with draw.canvas(7.2, 3.6, title=title) as (figure, (axes,)):
        _draw_lines(axes, whole, x, y, group, band, markers, draw.as_percent(percent, y))
        _order_axis(axes, data, x, x_label or draw.words(x))
        draw.number_axis(
            axes.yaxis, y_label or draw.words(y), in_percent=draw.as_percent(percent, y)
        )
        axes.grid(axis="y")
        draw.mark_reference(axes, reference)
        if group:
            _name_lines(axes, data, y, group, names_of(whole.drop_nulls(y), group))
    text = describe_lines(
        data,
        x,
        y,
        group=group,
        title=title,
        percent=percent,
        label=y_label,
        left_out=frame.height - data.height,
    )
    return Figure(figure, alt or text, data)


def watched_line(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    band: Interval,
    outside: str,
    targets: Sequence[float] = (),
    marks: Sequence[date] = (),
    percent: bool | None = None,
    title: str = "",
    y_label: str = "",
) -> Figure:
    """Draw a key figure over time with its band, targets and campaigns; mark periods outside.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per period.
    x, y : str
        Columns of the period (a date) and the value.
    band : (str, str)
        Columns of the limits; null where there is no band.
    outside : str
        Boolean column: periods to be marked by a ring.
    targets : sequence of float
        Drawn as dashed lines.
    marks : sequence of date
        Days of campaigns, ticked along the lower edge.
    percent, title, y_label
        See `segkit.plot.bars`.

    Raises
    ------
    DataError
        If there is nothing to draw, or a period comes twice.

    Examples
    --------
    >>> frame = pl.DataFrame({"week": [date(2026, 1, 5), date(2026, 1, 12)], "orders": [7, 2],
    ...     "low": [None, 4.0], "high": [None, 9.0], "out": [False, True]})
    >>> watched_line(frame, "week", "orders", band=("low", "high"), outside="out").data.height
    2
    """
    data = drawn(frame, [x, y, *band, outside], [x, y]).sort(x)
    one_each(data, [x])
    in_percent = draw.as_percent(percent, y)
    with draw.canvas(7.2, 2.7, title=title) as (figure, (axes,)):
        places = data[x].to_numpy()
        values = floats(data, y)
        axes.fill_between(
            places, floats(data, band[0]), floats(data, band[1]), color=draw.GREY, alpha=0.25, lw=0
        )
        axes.plot(places, values, color=draw.OKABE_ITO[0], linewidth=1.6)
        for row in data.iter_rows(named=True):
            limits = (
                f"{draw.write(row[band[0]], in_percent)} to {draw.write(row[band[1]], in_percent)}"
            )
            band_words = f"; band {limits}" if row[band[0]] is not None else ""
            text = f"{row[x]:%Y-%m-%d}: {draw.write(row[y], in_percent)}{band_words}"
            mark_point(axes, row[x], row[y], text, [y])
        some = data.filter(outside)
        look: Look = {"facecolors": "none", "edgecolors": draw.OKABE_ITO[3], "linewidths": 1.8}
        axes.scatter(some[x].to_numpy(), floats(some, y), s=70, zorder=4, **look)
        for target in targets:
            axes.axhline(target, color=draw.EDGE, linestyle=draw.DASHED, linewidth=1.0)
        axes.margins(x=0.02)
        if marks:
            low = axes.get_ylim()[0]
            ticks: Any = list(marks)
            axes.plot(ticks, [low] * len(marks), "^", color=draw.GREY, markersize=4, clip_on=False)
            axes.set_ylim(bottom=low)
        _order_axis(axes, data, x, "")
        draw.number_axis(axes.yaxis, y_label or draw.words(y), in_percent=in_percent)
        axes.grid(axis="y")
    last = data.row(-1, named=True)
    alt = (
        f"{y_label or draw.words(y)} in {data.height} periods to {last[x]:%Y-%m-%d}, where it is "
        f"{draw.write(last[y], in_percent)}; {some.height} periods lie outside their band or target"
    )
    return Figure(figure, finish(alt, title=title), data)


def _draw_lines(
    axes: Axes,
    frame: pl.DataFrame,
    x: str,
    y: str,
    group: str | None,
    band: Interval | None,
    markers: bool | None,
    in_percent: bool,
) -> None:
    groups = names_of(frame.drop_nulls(y), group)
    text = frame.schema[x] in (pl.String, pl.Categorical)
    order = {name: i for i, name in enumerate(names_of(frame, x))}
    for name, style in zip(groups, draw.styles(len(groups)), strict=True):
        part = frame.filter(pl.col(group) == name) if group else frame
        if not text:
            part = part.sort(x, maintain_order=True)
        at = [order[v] for v in part.get_column(x)] if text else part.get_column(x).to_list()
        marked = part.height <= 25 if markers is None else markers
        axes.plot(
            at,
            floats(part, y),
            color=style.colour,
            linestyle=style.dash,
            linewidth=1.8,
            marker=style.marker if marked else "",
            markersize=4.5,
            label=str(name),
        )
        for row, place in zip(part.iter_rows(named=True), at, strict=True):
            if row[y] is not None and marked:
                mark_text = describe_mark(row, [name, cell(row[x], x)], y, band, in_percent)
                mark_point(axes, place, row[y], mark_text, [name])
        if band:
            low, high = (floats(part, limit) for limit in band)
            axes.fill_between(at, low, high, color=style.colour, alpha=0.18, linewidth=0)


def _order_axis(axes: Axes, data: pl.DataFrame, x: str, label: str) -> None:
    """Label the horizontal axis by the type of its column."""
    from matplotlib import dates

    kind = data.schema[x]
    axes.set_xlabel(label)
    if kind in (pl.String, pl.Categorical):
        names = names_of(data, x)
        step = max(1, len(names) // (5 if draw.is_narrow() else 16))
        draw.name_axis(axes.xaxis, range(0, len(names), step), names[::step], 12)
    elif kind.is_temporal():
        untyped: Any = dates  # in matplotlib's stubs
        locator = untyped.AutoDateLocator(maxticks=5 if draw.is_narrow() else None)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(untyped.ConciseDateFormatter(locator))
    else:
        axes.locator_params(axis="x", integer=kind.is_integer())
        draw.number_axis(axes.xaxis, label, in_percent=is_share(x))


def _name_lines(axes: Axes, data: pl.DataFrame, y: str, group: str, groups: list[Any]) -> None:
    """Write each group's name at its line's end, moved apart where they would overlap."""
    from matplotlib.lines import Line2D

    if draw.is_narrow():
        dashes = [
            Line2D([], [], color=style.colour, linestyle=style.dash)
            for style in draw.styles(len(groups))
        ]
        draw.legend(axes, dashes, groups)
        return
    low, high = axes.get_ylim()
    gap = (high - low) * 0.065
    lasts = [float(data.filter(pl.col(group) == name).get_column(y)[-1]) for name in groups]
    for name, style, at in zip(
        groups, draw.styles(len(groups)), draw.spread(lasts, gap), strict=True
    ):
        draw.note(axes, draw.wrap(name, 40), (1.0, at), (6, 0), edge="x", color=style.ink)
