"""Heatmaps: a value over two categories, also with intervals or as loadings of factors.

Options are those of `segkit.plot.bars`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import number
from segkit.plot import figure as draw
from segkit.plot.describe import (
    Interval,
    describe_mark,
    describe_rows,
    drawn,
    names_of,
    one_each,
    write_values,
)
from segkit.plot.figure import Figure, Look, narrows
from segkit.plot.vector import mark_box, mark_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE = draw.OKABE_ITO[0], draw.OKABE_ITO[3]
SHADES = 101
PHONE_ROOM = 1.9  # inches of the cells on a phone
UPRIGHT = 34  # characters of a name that stands upright, before it is broken
RISING = ("#f2f7fb", BLUE, "#00304d")
BLUE_BELOW = (BLUE, "#ffffff", ORANGE)
ORANGE_BELOW = (ORANGE, "#ffffff", BLUE)
Three = tuple[str, str, str]  # colours of a scale, or columns: across, down, value


@narrows
def heatmap(
    frame: pl.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    diverging: bool = False,
    annotate: bool = True,
    percent: bool | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    value_label: str = "",
    hatched: str = "",
    alt: str | None = None,
) -> Figure:
    """Draw a value over two categories as coloured cells.

    Parameters
    ----------
    frame : polars.DataFrame
        Long: one row per cell, categories in the order to be drawn; cells that are missing or
        without a value stay blank.
    x, y : str
        The columns of categories across and down.
    value : str
        The numeric column.
    diverging : bool
        Blue below zero, orange above, white at zero; else pale to dark blue.
    annotate : bool
        Write the value in each cell (left out where the cells are too small).
    value_label : str
        The value's name in words, with its unit.
    hatched : str
        Hatch the cells that are listed without a value, and write this below the picture.
    percent, title, x_label, y_label, alt
        See `segkit.plot.bars`.

    Raises
    ------
    DataError
        If there is nothing to draw, or a cell comes twice.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": ["p", "q"], "b": ["r", "r"], "mean": [1.5, -2.0]})
    >>> heatmap(frame, "a", "b", "mean", diverging=True).alt
    'Heatmap of mean by b and a: r, p 1.50; r, q -2.'
    """
    named = frame.drop_nulls([x, y])
    if draw.is_narrow() and len(names_of(named, x)) > len(names_of(named, y)):
        x, y, x_label, y_label = y, x, y_label, x_label  # a phone is higher than wide
    data = drawn(frame, [x, y, value], [x, y, value])
    one_each(data, [x, y])
    across, down = names_of(named, x), names_of(named, y)
    grid = _cells(data, across, down)
    in_percent = draw.as_percent(percent, value)
    longest, longest_upright = (
        max(len(part) for name in across for part in draw.wrap(name, width).split("\n"))
        for width in (14, UPRIGHT)
    )
    least = 0.36 if draw.is_narrow() else 0.55  # inches of a column
    lying = 2.4 + len(across) * max(least, 0.085 * longest)
    upright = lying > (2.4 + PHONE_ROOM if draw.is_narrow() else draw.WIDEST)
    upright = upright and 0.085 * longest > least  # short names lie in however narrow a cell
    width = _page_width(max(4.5, 2.4 + 0.55 * len(across) if upright else lying))
    room, least = (PHONE_ROOM, 0.36) if draw.is_narrow() else (width - 2.4, 0.5)
    written = annotate and room / len(across) >= least
    texts = np.full(grid.shape, "", dtype=object)
    if written:
        texts = np.array(write_values(grid.ravel().tolist(), value, in_percent), dtype=object)
        texts = np.where(np.isnan(grid), "", texts.reshape(grid.shape))
    height = max(2.2, 1.2 + 0.36 * len(down)) + (0.075 * longest_upright if upright else 0.0)
    with draw.canvas(width, height, title=title) as (figure, (axes,)):
        colours = BLUE_BELOW if diverging else RISING
        _draw_cells(axes, grid, texts, colours, _limits(grid, diverging))
        _mark_cells(axes, data, (x, y, value), None, in_percent)
        _colour_bar(axes, value_label or draw.words(value), in_percent)
        _name_cells(axes, across, down, 30, upright=upright)
        axes.set_xlabel(x_label or draw.words(x))
        axes.set_ylabel(y_label or draw.words(y))
        if hatched:
            _hatch_cells(axes, named.filter(pl.col(value).is_null()), (x, y), (across, down))
            axes.text(1.0, 1.01, hatched, transform=axes.transAxes, ha="right", color=draw.GREY)
    text = describe_rows("Heatmap", (frame, data), value, [y, x], title, percent, value_label)
    return Figure(figure, alt or text, data)


@narrows
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
) -> Figure:
    """Draw a value over two categories with each cell's interval; marked cells get a frame.

    Parameters
    ----------
    frame : polars.DataFrame
        Long: one row per cell, in the order to be drawn.
    x, y, value : str
        Columns across, down, and the number.
    interval : (str, str)
        Columns with the limits, written below the value.
    mark : str, optional
        Boolean column: cells drawn in a frame.
    mark_label : str
        What the frame stands for.
    value_label, percent, title, x_label, y_label
        See `segkit.plot.bars`.

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
    from matplotlib.patches import Rectangle

    data = drawn(frame, [x, y, value, *interval, mark], [x, y, value])
    one_each(data, [x, y])
    across, down = names_of(data, x), names_of(data, y)
    width = _page_width(2.6 + 1.35 * len(across))
    room = (PHONE_ROOM if draw.is_narrow() else width - 2.6) / len(across)
    stacked = draw.is_narrow() and room < 0.45  # no room for a value: one column, a row per pair
    if stacked:
        room = PHONE_ROOM
        pairs = [(name, other) for name in down for other in (None, *across)]
        places = {pair: (i, 0) for i, pair in enumerate(pairs)}
        across, down = [""], [name if other is None else other for name, other in pairs]
    else:
        places = {(i, j): (down.index(i), across.index(j)) for j in across for i in down}
    in_percent = draw.as_percent(percent, value)
    grid = np.full((len(down), len(across)), np.nan)
    for row in data.iter_rows(named=True):
        grid[places[row[y], row[x]]] = row[value]
    numbers = [v for name in (value, *interval) for v in data[name].to_list()]
    written = dict(zip(numbers, write_values(numbers, value, in_percent), strict=True))
    texts = _texts(grid, lambda cell: written.get(cell, ""))
    framed = data.filter(pl.col(mark)) if mark else data.clear()
    limits = {
        (row[y], row[x]): [written[row[limit]] for limit in interval]
        for row in data.drop_nulls(interval).iter_rows(named=True)
    }
    longest = max((len(" to ".join(both)) for both in limits.values()), default=0)
    broken = not stacked and 0.063 * longest + 0.06 > room  # inches: too long for a line of a cell
    for pair, both in limits.items():
        low, high = both
        low = low.removesuffix("%") if high.endswith("%") and low != "< 0.01%" else low
        between = ("\nto\n" if broken else " to ").join((low, high))
        texts[places[pair]] += f" ({between})" if stacked else f"\n{between}"
    tall = 0.26 if stacked else 0.75 if broken else 0.55
    with draw.canvas(width, max(2.4, 1.5 + tall * len(down)), title=title) as (figure, (axes,)):
        _draw_cells(axes, grid, texts, RISING, _limits(grid, False))
        _mark_cells(axes, data, (x, y, value), interval, in_percent, places)
        _colour_bar(axes, value_label or draw.words(value), in_percent)
        for pair in framed.select(y, x).iter_rows():
            i, j = places[pair]
            look: Look = {"edgecolor": ORANGE, "linewidth": 2.4}
            axes.add_patch(Rectangle((j + 0.02, i + 0.04), 0.96, 0.92, fill=False, **look))
        _name_cells(axes, across, down, 28, upright=draw.is_narrow())
        if stacked:
            for name, (_, other) in zip(axes.get_yticklabels(), pairs, strict=True):
                name.set_fontweight("normal" if other else "bold")
        meaning = f" (framed: {mark_label})" if mark_label else ""
        axes.set_xlabel(draw.wrap(f"{x_label or draw.words(x)}{meaning}", int(11 * width)))
        axes.set_ylabel(y_label or draw.words(y))
    text = describe_rows("Heatmap", (frame, data), value, [y, x], title, percent, value_label)
    if mark:
        named = "; ".join(f"{i}, {j}" for i, j in framed.select(y, x).iter_rows())
        text += f" Framed: {named}."
    return Figure(figure, text, data)


@narrows
def loading_map(
    frame: pl.DataFrame, *, least: float = 0.1, title: str = "", strong: float = 0.4
) -> Figure:
    """Draw every item's loading on every factor as a coloured cell.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per item and factor: ``item``, ``factor``, ``loading``; drawn in order of first
        appearance.
    least : float
        Smaller loadings are coloured without a number.
    title : str
    strong : float
        Loadings from here on are written in bold and named in the alternative text.

    Raises
    ------
    ColumnError, DataError
        If a column is missing, a cell comes twice, or there is nothing to draw.

    Examples
    --------
    >>> frame = pl.DataFrame({"item": ["a", "b"], "factor": ["F", "F"], "loading": [0.8, -0.2]})
    >>> loading_map(frame).alt
    'Heatmap of loadings, blue where people agree, orange where they disagree: F a 0.800.'
    """
    columns = ["factor", "item", "loading"]
    loadings = drawn(frame, columns, [])
    one_each(loadings, ["item", "factor"])
    items, factors = names_of(frame, "item"), names_of(frame, "factor")
    grid = np.nan_to_num(_cells(loadings, factors, items))
    texts = _texts(grid, lambda loading: f"{loading:.2f}" if abs(loading) >= least else "")
    row, head = (0.46, 2.6) if draw.is_narrow() else (0.31, 1.0)
    size = (_page_width(3.6 + 1.1 * len(factors)), max(2.2, row * len(items) + head))
    with draw.canvas(*size, title=title) as (figure, (axes,)):
        _draw_cells(axes, grid, texts, ORANGE_BELOW, (-1.0, 1.0))
        _colour_bar(axes, f"Loading (unwritten: below {least})", in_percent=False)
        for text, loading in zip(axes.texts, grid.flat, strict=True):
            text.set_fontweight("bold" if abs(loading) >= strong else "normal")
        _name_cells(axes, factors, items, 46, upright=draw.is_narrow())
        axes.xaxis.tick_top()
    strongest = "; ".join(
        f"{factor} {item} {number(loading)}"
        for factor, item, loading in loadings.iter_rows()
        if loading is not None and abs(loading) >= strong
    )
    alt = "Heatmap of loadings, blue where people agree, orange where they disagree"
    return Figure(figure, f"{alt}: {strongest}.", frame)


def _page_width(width: float) -> float:
    """Return a figure's width: what a page shows, unless that is much too little."""
    return min(width, draw.WIDEST) if width < 1.25 * draw.WIDEST else min(width, 14.0)


def _cells(data: pl.DataFrame, across: list[Any], down: list[Any]) -> np.ndarray:
    """Return a grid of a long frame's values (x, y, value)."""
    grid = np.full((len(down), len(across)), np.nan)
    column = {name: j for j, name in enumerate(across)}
    row = {name: i for i, name in enumerate(down)}
    for x, y, value in data.iter_rows():
        grid[row[y], column[x]] = value
    return grid


def _texts(grid: np.ndarray, written: Callable[[float], str]) -> np.ndarray:
    texts = np.full(grid.shape, "", dtype=object)
    for place, value in np.ndenumerate(grid):
        texts[place] = written(float(value))
    return texts


def _limits(grid: np.ndarray, diverging: bool) -> tuple[float, float]:
    if diverging:
        reach = float(np.nanmax(np.abs(grid))) or 1.0
        return -reach, reach
    low, high = float(np.nanmin(grid)), float(np.nanmax(grid))
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _draw_cells(
    axes: Axes, grid: np.ndarray, texts: np.ndarray, colours: Three, limits: tuple[float, float]
) -> None:
    """Draw coloured cells with their texts."""
    import seaborn as sns
    from matplotlib.colors import LinearSegmentedColormap

    sns.heatmap(
        grid,
        ax=axes,
        cmap=LinearSegmentedColormap.from_list("segkit", colours, N=SHADES),
        vmin=limits[0],
        vmax=limits[1],
        annot=texts,
        fmt="",
        annot_kws={"fontsize": 9},
        cbar=False,
        xticklabels=False,
        yticklabels=False,
    )
    mesh: Any = axes.collections[0]
    mark_cells(mesh)
    filled = ~np.ma.getmaskarray(mesh.get_array()).ravel()
    for text, colour in zip(axes.texts, mesh.get_facecolor()[filled], strict=True):
        text.set_color(draw.ink_on(colour))
        mark_cells(text)


def _mark_cells(
    axes: Axes,
    data: pl.DataFrame,
    columns: Three,
    interval: Interval | None,
    in_percent: bool,
    places: Mapping[tuple[Any, Any], tuple[int, int]] | None = None,
) -> None:
    """Give every cell its names and its value; a pair's place is its own row and column."""
    x, y, value = columns
    across, down = names_of(data, x), names_of(data, y)
    for row in data.iter_rows(named=True):
        pair = row[y], row[x]
        i, j = places[pair] if places else (down.index(pair[0]), across.index(pair[1]))
        text = describe_mark(row, [row[y], row[x]], value, interval, in_percent)
        mark_box(axes, (j, j + 1), (i, i + 1), text, [row[y], row[x]])


def _hatch_cells(
    axes: Axes, missing: pl.DataFrame, columns: tuple[str, str], names: tuple[list[Any], list[Any]]
) -> None:
    """Hatch the cells of some rows."""
    from matplotlib.patches import Rectangle

    for across, down in missing.select(columns).iter_rows():
        corner = names[0].index(across), names[1].index(down)
        look: Any = {"fill": False, "hatch": "////", "edgecolor": draw.GREY, "linewidth": 0.0}
        axes.add_patch(Rectangle(corner, 1, 1, **look))


def _colour_bar(axes: Axes, label: str, in_percent: bool) -> None:
    """Draw the bar that gives the colours' meaning."""
    from matplotlib.ticker import MaxNLocator

    look: Look = (
        {"location": "bottom", "fraction": 0.04} if draw.is_narrow() else {"fraction": 0.04}
    )
    bar: Any = axes.figure.colorbar(axes.collections[0], ax=axes, pad=0.02, **look)
    bar.outline.set_visible(False)
    bar.solids.set(rasterized=False, edgecolor="face")  # an image would keep its light colours
    mark_cells(bar.solids)
    axis = bar.ax.xaxis if draw.is_narrow() else bar.ax.yaxis
    draw.number_axis(axis, label, in_percent=in_percent)
    if draw.is_narrow():
        axis.set_major_locator(MaxNLocator(3))


def _name_cells(
    axes: Axes, across: list[Any], down: list[Any], width: int, *, upright: bool = False
) -> None:
    """Write the categories beside the middle of their cells."""
    places = [j + 0.5 for j in range(len(across))]
    draw.name_axis(axes.xaxis, places, across, 14)
    if upright:  # in as few lines on a phone as elsewhere: a column is narrow there
        labels = [draw.wrap(name, UPRIGHT) for name in across]
        axes.set_xticks(places, labels=labels, rotation=90)
    draw.name_axis(axes.yaxis, [i + 0.5 for i in range(len(down))], down, width)
