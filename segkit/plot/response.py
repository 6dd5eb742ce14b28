"""Observed against modelled values: points along a line, and hanging rootograms.

Options are those of `segkit.plot.bars`.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.plot import figure as draw
from segkit.plot.describe import Interval, drawn, finish, floats, reach
from segkit.plot.figure import Figure, narrows


@narrows
def response(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    interval: Interval | None = None,
    line: str | None = None,
    diagonal: bool = False,
    percent: bool | None = None,
    line_label: str = "model",
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Draw observed values against another column, beside what a model predicts.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per point.
    x, y : str
        Numeric columns.
    interval : (str, str), optional
        Columns with the lower and upper limit of ``y``.
    line : str, optional
        Column with the model's value at ``x``, drawn as a line.
    diagonal : bool
        Draw the line on which both are equal (calibration, quantiles).
    line_label : str
        Name of the line.
    percent, title, x_label, y_label, alt
        See `segkit.plot.bars`; ``percent`` holds for both axes.

    Raises
    ------
    DataError
        If there is nothing to draw.

    Examples
    --------
    >>> frame = pl.DataFrame({"said": [0.1, 0.5], "seen": [0.2, 0.4]})
    >>> response(frame, "said", "seen", diagonal=True, percent=True).alt
    'Points of seen against said, 2: (10.0%, 20.0%), (50.0%, 40.0%); dashed line: both equal.'
    """
    data = drawn(frame, [x, y, *(interval or ()), line], [x, y]).sort(x)
    in_percent = draw.as_percent(percent, y)
    across, up = floats(data, x), floats(data, y)
    with draw.canvas(6.4, 4.2, title=title) as (figure, (axes,)):
        if diagonal:
            ends = [min(across.min(), up.min()), max(across.max(), up.max())]
            axes.plot(
                ends, ends, color=draw.GREY, linestyle=draw.DASHED, linewidth=1.0, label="equal"
            )
        if line:
            axes.plot(across, data.get_column(line), color=draw.OKABE_ITO[3], label=line_label)
        few = data.height <= 40
        axes.errorbar(
            across,
            up,
            yerr=reach(data, y, interval) if interval else None,
            fmt="o",
            color=draw.OKABE_ITO[0],
            markersize=6 if few else 3,
            elinewidth=1.4,
            capsize=2.5 if few else 0,
            label="observed",
        )
        draw.number_axis(axes.xaxis, x_label or draw.words(x), in_percent=in_percent)
        draw.number_axis(axes.yaxis, y_label or draw.words(y), in_percent=in_percent)
        axes.legend(loc="best")
    shown = data if data.height <= 12 else data[:: max(1, data.height // 8)]
    places = ", ".join(
        f"({draw.write(float(a), in_percent)}, {draw.write(float(b), in_percent)})"
        for a, b in shown.select(x, y).iter_rows()
    )
    some = "" if shown.height == data.height else f", of which {shown.height} are"
    lines = "; dashed line: both equal" if diagonal else ""
    lines += "; line: the model" if line else ""
    what = f"Points of {y_label or draw.words(y)} against {x_label or draw.words(x)}"
    text = f"{what}, {data.height}{some}: {places}{lines}."
    return Figure(figure, alt or finish(text, title=title), data)


@narrows
def rootogram(
    frame: pl.DataFrame, x: str, observed: str, expected: str, *, title: str = "", x_label: str = ""
) -> Figure:
    """Draw where a distribution of counts departs from the one expected.

    The square roots of the expected frequencies form a curve. Bars of the square roots of the
    observed frequencies hang from it: a bar that ends above zero means fewer rows than expected,
    one that ends below zero more (Tukey 1977; Kleiber & Zeileis 2016, The American Statistician
    70).

    Parameters
    ----------
    frame : polars.DataFrame
        One row per count.
    x, observed, expected : str
        The count, and the numbers of rows.
    title, x_label
        See `segkit.plot.bars`.

    Raises
    ------
    DataError
        If there is nothing to draw.

    Examples
    --------
    >>> frame = pl.DataFrame({"orders": [0, 1], "seen": [9, 4], "due": [16.0, 4.0]})
    >>> rootogram(frame, "orders", "seen", "due").data.height
    2
    """
    data = drawn(frame, [x, observed, expected], [x, observed, expected]).sort(x)
    at, counts, due = (floats(data, column) for column in (x, observed, expected))
    root, length = np.sqrt(due), np.sqrt(counts)
    with draw.canvas(7.2, 3.8, title=title) as (figure, (axes,)):
        axes.bar(
            at, length, 0.85, root - length, color=draw.OKABE_ITO[5], label="observed, hanging"
        )
        axes.plot(at, root, "o-", color=draw.OKABE_ITO[3], markersize=4, label="expected")
        lowest = min(0.0, float((root - length).min()))
        axes.set_ylim(bottom=lowest - 0.04 * float(root.max() or 1.0))
        axes.axhline(0, color="black", linewidth=1.0)
        axes.set_xlabel(x_label or draw.words(x))
        axes.set_ylabel("square root of the number of rows")
        axes.legend(loc="upper right")
    gap = np.abs(root - length)
    worst = int(gap.argmax())
    first_counts = "; ".join(
        f"{number(at[k])}: {number(counts[k])} observed, {number(due[k])} expected"
        for k in range(min(5, len(at)))
    )
    sentence = (
        f"Hanging rootogram of {x_label or draw.words(x)}, {counted(len(at), 'value')}. "
        f"{first_counts}; largest departure at {number(at[worst])}: {number(counts[worst])} "
        f"observed, {number(due[worst])} expected."
    )
    return Figure(figure, finish(sentence, title=title), data)
