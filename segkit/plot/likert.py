"""What did people answer? Diverging stacked bars for rating scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import percent
from segkit.errors import DataError, require_columns
from segkit.plot.basic import names_of, one_each
from segkit.plot.figure import GREY, OKABE_ITO, Figure, canvas
from segkit.plot.style import head, name_axis, number_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    """Show how answers spread, each item's bar laid out around its neutral middle.

    Shares of answers below the scale's middle run to the left of zero, those above to the right;
    a middle answer is halved over zero.

    Parameters
    ----------
    frame : polars.DataFrame
        One row an item and answer; items are drawn in order of first appearance.
    item, answer, share : str
        Columns: the item, its answer (a number, ascending from ``low`` to ``high``), the share of
        people who gave it.
    answers : (int, int), optional
        Lowest and highest answer that was offered; its middle is the bars'. Without it the middle
        is that of the answers given, and the description says so: where nobody ticked the highest
        answer, that is another one.
    low, high : str
        Words for the ends of the scale.
    title, alt : str
        See `segkit.plot.basic`.

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
    told = [f"{name} {percent(a)} {low}, {percent(b)} {high}"
            for name, a, b in zip(items, below, above, strict=True)]  # fmt: skip
    start = f"{title.rstrip('.')}. " if title else ""
    ends = f"{steps[0]:g} to {steps[-1]:g}"
    scale = f"those given ({ends})" if answers is None else f"the scale from {ends}"
    text = f"{start}Answers around the middle of {scale}: {'; '.join(told)}."
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
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(answers),
                columnspacing=1.2, handlelength=1.2)  # fmt: skip
