"""Scatter plots: two values of each row (options as in `basic`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from segkit.plot.basic import names_of
from segkit.plot.describe import MOST_NAMED, drawn, finish
from segkit.plot.figure import Figure, canvas
from segkit.plot.style import (
    as_percent,
    head,
    legend,
    number_axis,
    styles,
    words,
    wrap,
    write,
)

if TYPE_CHECKING:
    pass


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
        See `segkit.plot.basic`; ``percent`` holds for ``y``, ``x`` goes by its name.

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
