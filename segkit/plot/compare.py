"""Estimates with intervals, shares of a whole, steps that add up, and rating scales.

Options are those of `segkit.plot.bars`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import percent
from segkit.errors import DataError, require_columns
from segkit.plot.bar_charts import CLEAR
from segkit.plot.describe import MOST_NAMED, Interval, describe, drawn, finish, names_of, one_each
from segkit.plot.figure import (
    GREY,
    OKABE_ITO,
    Figure,
    as_percent,
    canvas,
    head,
    legend,
    name_axis,
    note,
    number_axis,
    styles,
    words,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RISE, FALL, TOTAL = "#009E73", "#D55E00", "#0072B2"


def intervals(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    interval: Interval,
    group: str | None = None,
    percent: bool | None = None,
    reference: float | None = 0.0,
    annotate: bool = True,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Draw estimates with their intervals, one below the other (a forest plot).

    Parameters
    ----------
    frame : polars.DataFrame
        One row per estimate, in the order to be drawn.
    x, y : str
        The column that names an estimate, and the estimate.
    interval : (str, str)
        Columns with the lower and upper limit; a null limit draws the point alone.
    group : str, optional
        Column distinguished by colour and shape, up to 12 groups.
    reference : float, optional
        Value of no effect, drawn as a dashed line.
    annotate : bool
        Write estimate and limits on the right.
    percent, title, x_label, y_label, alt
        See `segkit.plot.bars`.

    Raises
    ------
    DataError
        If there is nothing to draw, an estimate comes twice, or groups are more than 12.

    Examples
    --------
    >>> frame = pl.DataFrame({"segment": ["A"], "lift": [2.0], "low": [1.5], "high": [3.0]})
    >>> intervals(frame, "segment", "lift", interval=("low", "high")).alt
    'Estimates with intervals of lift by segment: A 2 (1.50 to 3).'
    """
    data = drawn(frame, [x, group, y, *interval], [x, y])
    one_each(data, [x, group] if group else [x])
    in_percent = as_percent(percent, y)
    groups, names = names_of(data, group), names_of(data, x)
    place = {name: i for i, name in enumerate(names)}
    rows = len(names) * (1 if len(groups) == 1 else 0.55 * len(groups) + 0.3)
    with canvas(7.2, max(1.7, 0.36 * rows + 1.0)) as (figure, (axes,)):
        handles = []
        for i, (name, style) in enumerate(zip(groups, styles(len(groups)), strict=True)):
            part = data.filter(pl.col(group) == name) if group else data
            shift = (i - (len(groups) - 1) / 2) * 0.8 / len(groups)
            at = np.array([place[v] for v in part.get_column(x)]) + shift
            handles.append(_draw_intervals(axes, part, (y, *interval), at, style))
            if annotate:
                _write_intervals(axes, part, (y, *interval), at, in_percent)
        if reference is not None:
            axes.axvline(reference, color="black", linewidth=1.0, linestyle=(0, (4, 3)))
        name_axis(axes.yaxis, range(len(names)), names, 34)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_ylabel(x_label)
        number_axis(axes.xaxis, y_label or words(y), in_percent=in_percent)
        axes.grid(axis="x", color="#e5e5e5", linewidth=0.8)
        if group:
            figure.legend(
                handles, [str(name) for name in groups], loc="outside lower left", ncols=4
            )
        head(figure, title)
    text = alt or _describe_intervals(
        data, (x, group), (y, *interval), in_percent, y_label, title, frame.height - data.height
    )
    return Figure(figure, text, data)


def _draw_intervals(
    axes: Axes, part: pl.DataFrame, columns: tuple[str, str, str], at: np.ndarray, style: Any
) -> Any:
    value, low, high = (part.get_column(c).cast(pl.Float64).to_numpy() for c in columns)
    reach = np.nan_to_num(np.clip(np.vstack([value - low, high - value]), 0.0, None))
    return axes.errorbar(
        value,
        at,
        xerr=reach,
        fmt=style.marker,
        color=style.colour,
        markersize=6,
        elinewidth=1.8,
        capsize=3,
    )


def _told(row: tuple[float | None, ...], in_percent: bool) -> str:
    value, low, high = (None if v is None else write(float(v), in_percent) for v in row)
    limits = f" ({low} to {high})" if low is not None and high is not None else ""
    return f"{value}{limits}"


def _write_intervals(
    axes: Axes, part: pl.DataFrame, columns: tuple[str, str, str], at: np.ndarray, in_percent: bool
) -> None:
    for row, y in zip(part.select(columns).iter_rows(), at, strict=True):
        note(axes, _told(row, in_percent), (1.0, y), (6, 0), edge="x")


def _describe_intervals(
    data: pl.DataFrame,
    by: tuple[str, str | None],
    columns: tuple[str, str, str],
    in_percent: bool,
    label: str,
    title: str,
    left_out: int,
) -> str:
    keys = [key for key in by if key]
    if data.height > 2 * MOST_NAMED:
        return describe(
            "Estimates with intervals",
            data,
            columns[0],
            by=keys,
            title=title,
            percent=in_percent,
            label=label,
            left_out=left_out,
        )
    estimates = "; ".join(
        f"{', '.join(str(row[k]) for k in keys)} "
        f"{_told(tuple(row[c] for c in columns), in_percent)}"
        for row in data.iter_rows(named=True)
    )
    what = f"{label or words(columns[0])} by {' and '.join(words(k) for k in keys)}"
    return finish(
        f"Estimates with intervals of {what}: {estimates}.", title=title, left_out=left_out
    )


def stacked(
    frame: pl.DataFrame,
    x: str,
    part: str,
    value: str,
    *,
    normalise: bool = True,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Draw the parts of each category's whole as stacked bars.

    Parameters
    ----------
    frame : polars.DataFrame
        Long: one row per category and part, in the order to be drawn; missing pairs are zero.
    x, part, value : str
        The category, the part (up to 12 in all), and its amount, none negative.
    normalise : bool
        Divide by the category's sum, so that every bar is as long; else amounts are stacked.
    title, x_label, y_label, alt
        See `segkit.plot.bars`.

    Raises
    ------
    DataError
        If there is nothing to draw, an amount is negative, a whole is zero, a pair comes twice,
        or parts are more than 12.

    Examples
    --------
    >>> frame = pl.DataFrame({"segment": ["A", "A"], "channel": ["web", "shop"], "n": [1, 3]})
    >>> stacked(frame, "segment", "channel", "n").data.get_column("share").to_list()
    [0.25, 0.75]
    """
    data = drawn(frame, [x, part, value], [x, part, value])
    one_each(data, [x, part])
    wholes = data.group_by(x).agg(pl.col(value).sum(), low=pl.col(value).min())
    if (wholes.get_column("low") < 0).any() or (wholes.get_column(value) <= 0).any():
        raise DataError(f"stacked bars need {value} >= 0 with a positive sum in every {x}")
    column = "share" if normalise else value
    if normalise:
        data = data.with_columns(share=pl.col(value) / pl.col(value).sum().over(x))
    names, parts = names_of(data, x), names_of(data, part)
    place = {name: i for i, name in enumerate(names)}
    start = np.zeros(len(names))
    with canvas(7.2, max(1.9, 0.44 * len(names) + 1.1)) as (figure, (axes,)):
        handles = []
        for name, style in zip(parts, styles(len(parts)), strict=True):
            rows = data.filter(pl.col(part) == name)
            width = np.zeros(len(names))
            width[[place[v] for v in rows.get_column(x)]] = rows.get_column(column).to_numpy()
            handle = axes.barh(
                range(len(names)),
                width,
                0.74,
                left=start,
                color=style.colour,
                hatch=style.hatch,
                edgecolor="white",
                linewidth=0.8,
            )
            _write_parts(axes, start, width, float(wholes.get_column(value).max()), normalise)  # type: ignore[arg-type]
            handles.append(handle)
            start = start + width
        name_axis(axes.yaxis, range(len(names)), names, 30)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_ylabel(x_label)
        default = f"share of {words(value)}" if normalise else words(value)
        number_axis(axes.xaxis, y_label or default, in_percent=normalise)
        axes.margins(x=0)
        legend(axes, handles, parts, words(part))
        head(figure, title)
    text = alt or describe(
        "Stacked bars",
        data,
        column,
        by=[x, part],
        title=title,
        percent=normalise,
        label=y_label or default,
        left_out=frame.height - data.height,
    )
    return Figure(figure, text, data)


def _write_parts(
    axes: Axes, start: np.ndarray, width: np.ndarray, longest: float, normalise: bool
) -> None:
    """Write each part's share inside it, where there is room."""
    for i, (left, size) in enumerate(zip(start, width, strict=True)):
        if size / (1.0 if normalise else longest) < 0.09:
            continue
        axes.text(
            left + size / 2,
            i,
            f"{size:.0%}" if normalise else write(float(size), False),
            ha="center",
            va="center",
            fontsize=9,
            bbox={**CLEAR, "alpha": 0.85, "pad": 1.2},
        )


def waterfall(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    total: str = "total",
    percent: bool | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Draw a waterfall: steps up and down that lead to a total.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per step, in order; the first is the start.
    x, y : str
        The step's name and its signed amount.
    total : str
        The name of the last bar, the sum of all steps.
    percent, title, x_label, y_label, alt
        See `segkit.plot.bars`.

    Raises
    ------
    DataError
        If there is nothing to draw or a step comes twice.

    Examples
    --------
    >>> frame = pl.DataFrame({"step": ["rows in", "no customer"], "rows": [10, -3]})
    >>> waterfall(frame, "step", "rows", total="rows kept").alt
    'Waterfall of rows by step: rows in 10; no customer -3; rows kept 7.'
    """
    steps = drawn(frame, [x, y], [x, y]).cast({x: pl.String})
    one_each(steps, [x])
    last = pl.DataFrame({x: [total], y: [steps.get_column(y).sum()]}, schema=steps.schema)
    data = pl.concat([steps, last])
    values = data.get_column(y).cast(pl.Float64).to_numpy()
    left = np.concatenate([[0.0], np.cumsum(values[:-2]), [0.0]])
    colours = [TOTAL, *(RISE if v >= 0 else FALL for v in values[1:-1]), TOTAL]
    in_percent = as_percent(percent, y)
    with canvas(7.2, max(1.8, 0.36 * data.height + 1.0)) as (figure, (axes,)):
        places = np.arange(data.height)
        axes.barh(places, values, 0.7, left=left, color=colours)
        ends = np.append(np.cumsum(values[:-1]), values[-1])
        for i in range(data.height - 1):
            axes.plot([ends[i], ends[i]], [i - 0.35, i + 1.35], color=GREY, linewidth=0.8)
        for i, value in enumerate(values):
            sign = "+" if 0 < i < data.height - 1 and value > 0 else ""
            note(
                axes,
                sign + write(float(value), in_percent),
                (max(left[i], left[i] + value), i),
                (4, 0),
                bbox=CLEAR,
            )
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.margins(x=0.14)
        name_axis(axes.yaxis, places.tolist(), data.get_column(x).to_list(), 34)
        axes.set_ylim(data.height - 0.45, -0.55)
        axes.set_ylabel(x_label)
        number_axis(axes.xaxis, y_label or words(y), in_percent=in_percent)
        head(figure, title)
    text = alt or describe(
        "Waterfall",
        data,
        y,
        by=[x],
        title=title,
        percent=percent,
        label=y_label,
        left_out=frame.height - steps.height,
    )
    return Figure(figure, text, data)


_LOW, _MIDDLE, _HIGH = OKABE_ITO[3], "#d9d9d9", OKABE_ITO[0]


def likert(
    frame: pl.DataFrame,
    item: str = "item",
    answer: str = "answer",
    share: str = "share",
    *,
    answers: tuple[int, int] | None = None,
    low: str = "disagree",
    high: str = "agree",
    title: str = "",
    alt: str | None = None,
) -> Figure:
    """Draw the distribution of answers, each item's bar centred on the scale's middle.

    Shares of answers below the scale's middle run to the left of zero, those above to the right;
    the share of the middle answer is split equally between both sides.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per item and answer; items are drawn in order of first appearance.
    item, answer, share : str
        Columns: the item, its answer (a number, ascending from ``low`` to ``high``), the share of
        people who gave it.
    answers : (int, int), optional
        Lowest and highest answer that was offered; they give the scale's middle. By default the
        lowest and highest answers that occur are used, and the description says so: the middle
        shifts if nobody gave the highest or the lowest answer.
    low, high : str
        Words for the ends of the scale.
    title, alt : str
        See `segkit.plot.bars`.

    Raises
    ------
    ColumnError, DataError
        If a column is missing, a cell comes twice, there are fewer than two answers, or one lies
        outside those offered.

    Examples
    --------
    >>> frame = pl.DataFrame({"item": ["q"] * 3, "answer": [1, 2, 3], "share": [0.2, 0.3, 0.5]})
    >>> likert(frame, answers=(1, 5)).alt
    'Answers around the middle of the scale from 1 to 5: q 50.0% disagree, 0.0% agree.'
    >>> likert(frame).alt
    'Answers around the middle of those given (1 to 3): q 20.0% disagree, 50.0% agree.'
    """
    require_columns(frame.columns, [item, answer, share], "the frame to draw")
    data = frame.select(item, answer, share).drop_nulls()
    one_each(data, [item, answer])
    items, steps = names_of(data, item), sorted(data[answer].unique().to_list())
    if answers is not None:
        offered = list(range(answers[0], answers[1] + 1))
        outside = [value for value in steps if value not in offered]
        if outside:
            raise DataError(
                f"expected answers from {answers[0]} to {answers[1]}, got {outside[0]:g}"
            )
        steps = offered
    if len(steps) < 2:
        raise DataError("nothing to draw: a scale has at least two answers")
    grid = np.zeros((len(items), len(steps)))
    for name, value, part in data.iter_rows():
        grid[items.index(name), steps.index(value)] = part
    middle = len(steps) // 2 if len(steps) % 2 else None
    half = len(steps) // 2
    with canvas(8.4, max(2.2, 0.32 * len(items) + 1.2)) as (figure, (axes,)):
        _draw(axes, grid, steps, middle, (low, high))
        name_axis(axes.yaxis, range(len(items)), items, 44)
        axes.set_ylim(len(items) - 0.4, -0.6)
        number_axis(axes.xaxis, f"Share of answers (left: {low}, right: {high})", in_percent=True)
        ticks = axes.get_xticks()
        axes.set_xticks(ticks, [f"{abs(tick) * 100:.0f}%" for tick in ticks])
        head(figure, title)
    below, above = grid[:, :half].sum(axis=1), grid[:, -half:].sum(axis=1)
    shares = [
        f"{name} {percent(a)} {low}, {percent(b)} {high}"
        for name, a, b in zip(items, below, above, strict=True)
    ]
    start = f"{title.rstrip('.')}. " if title else ""
    ends = f"{steps[0]:g} to {steps[-1]:g}"
    scale = f"those given ({ends})" if answers is None else f"the scale from {ends}"
    text = f"{start}Answers around the middle of {scale}: {'; '.join(shares)}."
    return Figure(figure, alt or text, data)


def _colours(count: int) -> list[str]:
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    half = count // 2
    ends = []
    for end in (_LOW, _HIGH):
        fade = LinearSegmentedColormap.from_list("fade", [end, "#ffffff"])
        ends.append([to_hex(fade(0.55 * i / max(half, 1))) for i in range(half)])
    return [*ends[0], *([_MIDDLE] if count % 2 else []), *ends[1][::-1]]


def _draw(
    axes: Axes, grid: np.ndarray, answers: list[float], middle: int | None, ends: tuple[str, str]
) -> None:
    half = len(answers) // 2
    start = -grid[:, :half].sum(axis=1)
    if middle is not None:
        start = start - grid[:, middle] / 2
    places = np.arange(len(grid))
    for j, (value, colour) in enumerate(zip(answers, _colours(len(answers)), strict=True)):
        word = f"{value:g}"
        if j in (0, len(answers) - 1):
            word += f" {ends[0] if j == 0 else ends[1]}"
        axes.barh(places, grid[:, j], 0.78, left=start, color=colour, label=word)
        start = start + grid[:, j]
    axes.axvline(0, color=GREY, linewidth=0.9)
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=len(answers),
        columnspacing=1.2,
        handlelength=1.2,
    )
