"""Flows between the groups of two moments, as bands between two columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import DataError
from segkit.plot import figure as draw
from segkit.plot.describe import describe_rows, drawn, one_each
from segkit.plot.figure import Figure, narrows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["flow_bands"]

GAP = 0.02  # between two groups of a column, as a share of its height
WIDTH = 0.04  # of a column
STEPS = 40  # points of a band's edge


@narrows
def flow_bands(
    frame: pl.DataFrame,
    start: str,
    end: str,
    value: str,
    *,
    labels: tuple[str, str] = ("then", "now"),
    aside: Sequence[str] = (),
    title: str = "",
    alt: str | None = None,
) -> Figure:
    """Draw flows between groups as bands whose thickness shows the number.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per pair of groups, in the order to be drawn from the top.
    start, end : str
        Columns of the groups before and after.
    value : str
        How many, none negative.
    labels : (str, str)
        Written over the two columns.
    aside : sequence of str
        Groups that are drawn last and in grey, such as those who are no customers.
    title, alt
        See `segkit.plot.bars`.

    Raises
    ------
    DataError
        If there is nothing to draw, an amount is negative, or a pair comes twice.

    Examples
    --------
    >>> frame = pl.DataFrame({"then": ["A", "A", "B"], "now": ["A", "B", "B"], "n": [7, 3, 5]})
    >>> flow_bands(frame, "then", "now", "n").data.height
    3
    """
    data = drawn(frame, [start, end, value], [start, end, value])
    one_each(data, [start, end])
    if (data[value] < 0).any():
        raise DataError(f"flows need {value} >= 0")
    data = data.filter(pl.col(value) > 0)
    if not data.height:
        raise DataError(f"flows need a {value} above zero")
    names = [data[c].unique(maintain_order=True).to_list() for c in (start, end)]
    every = list(dict.fromkeys([*names[0], *names[1]]))
    every.sort(key=lambda name: name in aside)
    order = {name: place for place, name in enumerate(every)}
    names = [sorted(one, key=order.__getitem__) for one in names]
    colours = {
        name: style.colour for name, style in zip(every, draw.styles(len(every)), strict=True)
    }
    colours |= dict.fromkeys(aside, draw.GREY)
    total = float(data[value].sum())
    sides = list(zip((start, end), names, strict=True))
    tops = [_tops(data, column, value, one, total) for column, one in sides]
    with draw.canvas(7.2, max(2.6, 0.5 * len(every) + 1.2), title=title) as (figure, (axes,)):
        axes.set_axis_off()
        axes.set_xlim(-0.62, 1.62)
        head = 0.12 if draw.is_narrow() else 0.03
        axes.set_ylim(-1.0 - GAP * len(every), head + 0.05)
        below = [dict(tops[0]), dict(tops[1])]
        ranked = data.sort(pl.col(start).replace_strict(order), pl.col(end).replace_strict(order))
        for row in ranked.iter_rows(named=True):
            size = row[value] / total
            y0, y1 = below[0][row[start]], below[1][row[end]]
            same = row[start] == row[end]
            _band(axes, y0, y1, size, color=colours[row[start]], alpha=0.65 if same else 0.35)
            below[0][row[start]] -= size
            below[1][row[end]] -= size
        for side, (column, one) in enumerate(sides):
            sums = dict(data.group_by(column).agg(pl.col(value).sum()).iter_rows())
            for name in one:
                size = sums[name] / total
                top = tops[side][name]
                x = -WIDTH if side == 0 else 1.0
                axes.add_patch(_box(x, top - size, WIDTH, size, colours[name]))
                place = (x - 0.02 if side == 0 else x + WIDTH + 0.02, top - size / 2)
                text = f"{draw.wrap(name, 12 if draw.is_narrow() else 24)}\n{number(sums[name])}"
                draw.note(axes, text, place, ha="right" if side == 0 else "left", va="center")
            axes.text(0 if side == 0 else 1, head, labels[side], ha="center", color=draw.GREY)
    text = describe_rows("Bands", (frame, data), value, [start, end], title, False, value)
    return Figure(figure, alt or text, data)


def _tops(
    data: pl.DataFrame, column: str, value: str, names: list[Any], total: float
) -> dict[Any, float]:
    """Return where each group of a column begins, from the top."""
    sums = dict(data.group_by(column).agg(pl.col(value).sum()).iter_rows())
    tops, place = {}, 0.0
    for name in names:
        tops[name] = place
        place -= sums[name] / total + GAP
    return tops


def _band(axes: Axes, y0: float, y1: float, size: float, **look: Any) -> None:
    """Draw a band whose middle line is an S from one column to the other."""
    x = np.linspace(0, 1, STEPS)
    rise = x * x * (3 - 2 * x)
    upper = y0 + (y1 - y0) * rise
    axes.fill_between(x, upper - size, upper, linewidth=0, **look)


def _box(x: float, y: float, width: float, height: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=colour, edgecolor="white", linewidth=0.6)
