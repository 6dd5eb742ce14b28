"""Estimates with intervals, shares of a whole, steps that add up, and rating scales.

Options are those of `segkit.plot.bars`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import percent
from segkit.errors import DataError
from segkit.plot import figure as draw
from segkit.plot.describe import (
    MOST_NAMED,
    Interval,
    describe,
    describe_mark,
    describe_rows,
    drawn,
    finish,
    floats,
    names_of,
    one_each,
    reach,
    write_values,
)
from segkit.plot.figure import Figure, Look, Style, narrows
from segkit.plot.vector import mark, mark_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RISE, FALL, TOTAL = "#009E73", "#D55E00", "#0072B2"


@narrows
def intervals(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    interval: Interval = ("low", "high"),
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
    in_percent = draw.as_percent(percent, y)
    groups, names = names_of(data, group), names_of(data, x)
    place = {name: i for i, name in enumerate(names)}
    rows = len(names) * (1 if len(groups) == 1 else 0.55 * len(groups) + 0.3)
    rows *= 1.35 if draw.is_narrow() else 1
    tall = max(0.36 * rows, len(names) * draw.row_height(names, 34, 0.36))
    with draw.canvas(7.2, max(1.7, tall + 1.0), title=title) as (figure, (axes,)):
        handles = []
        written = _write_all(data, y, interval, in_percent)
        for i, (name, style) in enumerate(zip(groups, draw.styles(len(groups)), strict=True)):
            part = data.filter(pl.col(group) == name) if group else data
            shift = (i - (len(groups) - 1) / 2) * 0.8 / len(groups)
            at = np.array([place[v] for v in part.get_column(x)]) + shift
            handles.append(_draw_intervals(axes, part, y, interval, at, style))
            for row, height in zip(part.iter_rows(named=True), at, strict=True):
                keys = [row[x], name]
                text = describe_mark(row, keys, y, interval, in_percent)
                mark_point(axes, row[y], height, text, keys)
                if annotate and not draw.is_narrow():
                    limits = [written[row[end]] for end in interval if row[end] is not None]
                    estimate = f"{written[row[y]]} ({' to '.join(limits)})"
                    estimate = estimate if len(limits) == 2 else written[row[y]]
                    draw.note(axes, estimate, (1.0, height), (6, 0), edge="x")
        draw.mark_reference(axes, reference, vertical=True)
        draw.name_rows(axes, names, x_label, 34, 0.6)
        draw.number_axis(axes.xaxis, y_label or draw.words(y), in_percent=in_percent)
        axes.grid(axis="x")
        if group and draw.is_narrow():
            draw.legend(axes, handles, groups)
        elif group:
            figure.legend(handles, list(map(str, groups)), loc="outside lower left", ncols=4)
    kind, keys = "Estimates with intervals", [key for key in (x, group) if key]
    if data.height > 2 * MOST_NAMED:
        text = describe_rows(kind, (frame, data), y, keys, title, in_percent, y_label)
        return Figure(figure, alt or text, data)
    estimates = "; ".join(
        f"{', '.join(map(str, name))} {_estimate(row, in_percent)}"
        for name, row in zip(
            data.select(keys).rows(), data.select(y, *interval).rows(), strict=True
        )
    )
    what = f"{y_label or draw.words(y)} by {' and '.join(draw.words(key) for key in keys)}"
    left_out = frame.height - data.height
    text = finish(f"{kind} of {what}: {estimates}.", title=title, left_out=left_out)
    return Figure(figure, alt or text, data)


def _write_all(
    data: pl.DataFrame, y: str, interval: Interval, in_percent: bool
) -> dict[float | None, str]:
    """Write the estimates and limits of a picture in as many decimals."""
    values = [value for name in (y, *interval) for value in data[name].to_list()]
    return dict(zip(values, write_values(values, y, in_percent), strict=True))


def _draw_intervals(
    axes: Axes, part: pl.DataFrame, y: str, interval: Interval, at: np.ndarray, style: Style
) -> Any:
    look: Look = {"markersize": 6, "elinewidth": 1.8, "capsize": 3}
    error = reach(part, y, interval)
    value = floats(part, y)
    return axes.errorbar(value, at, xerr=error, fmt=style.marker, color=style.colour, **look)


def _estimate(row: tuple[float | None, ...], in_percent: bool) -> str:
    value, low, high = (None if v is None else draw.write(float(v), in_percent) for v in row)
    limits = f" ({low} to {high})" if low is not None and high is not None else ""
    return f"{value}{limits}"


@narrows
def stacked(
    frame: pl.DataFrame,
    x: str,
    part: str,
    value: str,
    *,
    normalise: bool = True,
    ordered: bool = False,
    rest: str = "",
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
    ordered : bool
        The parts are steps of a scale, in their order: from pale to dark of one colour.
    rest : str
        The part that stands for no value of its own, drawn grey and hatched.
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
    longest = 1.0 if normalise else float(floats(wholes, value).max())
    label = y_label or (f"share of {draw.words(value)}" if normalise else draw.words(value))
    legend_lines = 1 + sum(draw.wrap(name, 22).count("\n") + 1 for name in parts)
    height = max(1.9, 0.44 * len(names) + 1.1, 0.21 * legend_lines + 0.9)
    with draw.canvas(7.2, height, title=title) as (figure, (axes,)):
        handles = []
        own = [name for name in parts if name != rest]
        looks = draw.styles(max(len(own), 1))
        colours = draw.shades(len(own)) if ordered else [look.colour for look in looks]
        hatches = [""] * len(own) if ordered else [look.hatch for look in looks]
        styled = dict(zip(own, zip(colours, hatches, strict=True), strict=False))
        for name in parts:
            colour, hatch = styled.get(name, (draw.PALE, "////"))
            rows = data.filter(pl.col(part) == name)
            width = np.zeros(len(names))
            width[[place[v] for v in rows.get_column(x)]] = rows.get_column(column).to_numpy()
            look: Look = {"color": colour, "hatch": hatch, "linewidth": 0.8}
            places = range(len(names))
            bars = axes.barh(places, width, 0.74, left=start, edgecolor="white", **look)
            for bar, whole, size in zip(bars, names, width, strict=True):
                mark(bar, f"{whole}, {name}: {draw.write(float(size), normalise)}", [whole, name])
            handles.append(bars)
            _write_parts(axes, start, width, longest, normalise)
            start = start + width
        draw.name_rows(axes, names, x_label, 30, 0.5)
        draw.number_axis(axes.xaxis, label, in_percent=normalise)
        axes.margins(x=0)
        draw.legend(axes, handles, parts, "" if part == "level" else draw.words(part))
    drawn_rows = (frame, data)
    text = describe_rows("Stacked bars", drawn_rows, column, [x, part], title, normalise, label)
    return Figure(figure, alt or text, data)


def _write_parts(
    axes: Axes, start: np.ndarray, width: np.ndarray, longest: float, normalise: bool
) -> None:
    """Write each part's share inside it, where there is room."""
    for i, (left, size) in enumerate(zip(start, width, strict=True)):
        if size / longest >= (0.2 if draw.is_narrow() else 0.09):
            text = f"{size:.0%}" if normalise else draw.write(float(size), False)
            box = {**draw.CLEAR, "alpha": 0.85, "pad": 1.2}
            draw.note(axes, text, (left + size / 2, i), ha="center", bbox=box)


@narrows
def waterfall(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    total: str = "total",
    interval: tuple[float, float] | None = None,
    reference: float | None = None,
    reference_label: str = "",
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
    interval : (float, float), optional
        Limits of the total, drawn over its bar.
    reference : float, optional
        A value to compare the total with, drawn as a dashed line and named ``reference_label``.
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
    values = floats(data, y)
    starts = np.concatenate([[0.0], np.cumsum(values[:-2]), [0.0]])
    colours = [TOTAL, *(RISE if v >= 0 else FALL for v in values[1:-1]), TOTAL]
    in_percent = draw.as_percent(percent, y)
    with draw.canvas(7.2, max(1.8, 0.36 * data.height + 1.0), title=title) as (figure, (axes,)):
        bars = axes.barh(range(data.height), values, 0.7, left=starts, color=colours)
        for bar, row in zip(bars, data.iter_rows(named=True), strict=True):
            mark(bar, describe_mark(row, [row[x]], y, None, in_percent), [row[x]])
        for i, end in enumerate(np.cumsum(values[:-1])):
            axes.plot([end, end], [i - 0.35, i + 1.35], color=draw.GREY, linewidth=0.8)
        for i, value in enumerate(values):
            sign = "+" if 0 < i < data.height - 1 and value > 0 else ""
            text = sign + draw.write(float(value), in_percent)
            if in_percent and 0 < i < data.height - 1:
                text = f"{sign}{100 * value:.1f} points"
            end = max(starts[i], starts[i] + value)
            if interval is not None and i == data.height - 1:
                end = max(end, *interval)
            draw.note(axes, text, (end, i), (4, 0), bbox=draw.CLEAR)
        axes.axvline(0, color=draw.GREY, linewidth=0.8)
        if interval is not None:
            axes.plot(interval, [data.height - 1] * 2, color=draw.INK, linewidth=2.2, marker="|")
        if reference is not None:
            axes.axvline(reference, color=draw.INK, linewidth=1.0, linestyle="--")
            named = f"{reference_label} {draw.write(reference, in_percent)}".strip()
            draw.note(axes, named, (reference, -0.5), (4, 2), bbox=draw.CLEAR)
        axes.margins(x=0.3 if draw.is_narrow() else 0.14)
        draw.name_rows(axes, data.get_column(x).to_list(), x_label, 34, 0.55)
        draw.number_axis(axes.xaxis, y_label or draw.words(y), in_percent=in_percent)
    left_out = frame.height - steps.height
    text = describe(
        "Waterfall", data, y, by=[x], title=title, percent=percent, label=y_label, left_out=left_out
    )
    return Figure(figure, alt or text, data)


_LOW, _MIDDLE, _HIGH = draw.OKABE_ITO[3], "#d9d9d9", draw.OKABE_ITO[0]


@narrows
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
    columns = [item, answer, share]
    data = drawn(frame, columns, columns)
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
    row, head = (0.5, 2.0) if draw.is_narrow() else (0.32, 1.2)
    with draw.canvas(8.4, max(2.2, row * len(items) + head), title=title) as (figure, (axes,)):
        _draw(axes, grid, steps, middle, (low, high))
        draw.name_rows(axes, items, "", 44, 0.6)
        draw.number_axis(
            axes.xaxis, f"Share of answers (left: {low}, right: {high})", in_percent=True
        )
        ticks = axes.get_xticks()
        axes.set_xticks(ticks, [f"{abs(tick) * 100:.0f}%" for tick in ticks])
    below, above = grid[:, :half].sum(axis=1), grid[:, -half:].sum(axis=1)
    shares = [
        f"{name} {percent(a)} {low}, {percent(b)} {high}"
        for name, a, b in zip(items, below, above, strict=True)
    ]
    ends = f"{steps[0]:g} to {steps[-1]:g}"
    scale = f"those given ({ends})" if answers is None else f"the scale from {ends}"
    text = f"Answers around the middle of {scale}: {'; '.join(shares)}."
    return Figure(figure, alt or finish(text, title=title), data)


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
    axes.axvline(0, color=draw.GREY, linewidth=0.9)
    place: Look = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    columns = 2 if draw.is_narrow() else len(answers)
    axes.legend(ncols=columns, columnspacing=1.2, handlelength=1.2, **place)
