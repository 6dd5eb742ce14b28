"""Figure with its alternative text and data, and the style that all pictures share."""

from __future__ import annotations

import math
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial, wraps
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from segkit.display import is_share, label, number, percent
from segkit.errors import DataError
from segkit.plot.vector import luminance, to_element, to_file, to_svg
from segkit.writing import write_whole

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as MatplotlibFigure
    from matplotlib.legend import Legend

# Okabe and Ito (2008), "Color Universal Design": distinguishable by colour-blind readers.
# Black comes last: it is kept for text and reference lines.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
GREY = "#6b6b6b"
PALE = "#c9ced3"
# matplotlib's settings are global to the process: two drawing threads would change each other's.
_DRAWING = threading.RLock()
INK = "#1b2126"
P = ParamSpec("P")
PHONE = 3.3  # inches of a figure that fits a phone without scrolling, texts as large as ever
LINE = 38  # characters that fit beside one another in it
SIDE = 24  # characters that fit along its vertical axis
HEAD = 1.2  # inches of its title and axis
TEXT = 0.155  # inches of a line of its text
WIDEST = 8.8  # inches that a page shows at full size
_NARROW: ContextVar[bool] = ContextVar("narrow", default=False)
STYLE: dict[Any, Any] = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "grid.linewidth": 0.8,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "svg.hashsalt": "segkit",
}


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """Figure with its alternative text and the data drawn.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The drawing, free to be changed further.
    alt : str
        Alternative text: what is drawn and what it shows.
    data : polars.DataFrame
        The drawn values, one row per mark.
    again : callable, optional
        Draws the same figure once more, for a phone.
    """

    figure: MatplotlibFigure
    alt: str
    data: pl.DataFrame
    again: Callable[[], Figure] | None = None

    def png(self, *, dpi: int = 130) -> bytes:
        """Return the figure as PNG bytes; the same figure gives the same bytes."""
        self._settle()
        buffer = BytesIO()
        self.figure.savefig(
            buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None}
        )
        return buffer.getvalue()

    def _settle(self) -> None:
        """Fix the layout at the first drawing, because each further pass would move it a little.

        The engine makes two passes itself; more move nothing by half a pixel.
        """
        import matplotlib as mpl

        engine = self.figure.get_layout_engine()
        if engine is None:
            return
        engine.execute(self.figure)
        # Without any engine, saving need not draw the figure once more for its layout alone.
        with mpl.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
            self.figure.set_layout_engine(None)

    def svg(self) -> str:
        """Return the figure as an SVG element; the same figure gives the same text."""
        self._settle()
        return to_svg(self.figure, self.alt)

    def narrow_svg(self) -> str:
        """Return the figure as an SVG element that fits a phone; empty if it has no such form."""
        if self.again is None:
            return ""
        with draw_narrow(), warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            try:
                return self.again().svg()
            except UserWarning:  # names too long for it to be laid out
                return ""

    def save(self, path: Path | str) -> Path:
        """Write the figure, as SVG where the file's name ends so, else as PNG; return the path."""
        return write_whole(path, to_file(self.svg()) if str(path).endswith(".svg") else self.png())

    def _repr_html_(self) -> str:
        return to_element(self.svg())


def narrows(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a function's figures redraw themselves for a phone; `is_narrow` tells it when."""

    @wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> Figure:
        return replace(draw(*args, **options), again=partial(draw, *args, **options))

    return drawn


@contextmanager
def draw_narrow() -> Iterator[None]:
    """Draw figures in it for a phone, or for a column of a page."""
    token = _NARROW.set(True)
    try:
        yield
    finally:
        _NARROW.reset(token)


def is_narrow() -> bool:
    """Return whether a figure is being drawn for a phone."""
    return _NARROW.get()


@contextmanager
def canvas(
    width: float = 7.2, height: float = 3.8, *, rows: int = 1, columns: int = 1, title: str = ""
) -> Iterator[tuple[MatplotlibFigure, list[Axes]]]:
    """Yield a styled figure and its axes (row by row), outside pyplot's global state.

    Parameters
    ----------
    width, height : float
        Size in inches.
    rows, columns : int
        Grid of axes.
    title : str
        Written over the figure's full width; it may be a whole sentence.

    Examples
    --------
    >>> with canvas() as (figure, (axes,)):
    ...     line = axes.plot([0, 1], [0, 1])
    """
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure

    if is_narrow():  # panels stand below one another
        width, height = min(width, PHONE), height * (columns if columns > 1 else 1)
        rows, columns = rows * columns, 1
    style: dict[Any, Any] = {**STYLE, "axes.prop_cycle": cycler(color=OKABE_ITO)}
    with _DRAWING, mpl.rc_context(style):
        figure = MatplotlibFigure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False)
        yield figure, [axes for row in grid for axes in row]
        if is_narrow():
            _fit_phone(figure)
        if title:
            broken = wrap(title, int(width * 11.5))
            figure.suptitle(broken, x=0.0, ha="left", fontsize=11, fontweight="bold")


def _fit_phone(figure: MatplotlibFigure) -> None:
    """Break long names of axes, thin out ticks, and make room for rows' names of several lines."""
    from matplotlib.dates import AutoDateLocator
    from matplotlib.ticker import FixedLocator, LogLocator

    high = 0.0
    for axes in figure.axes:
        for text, width in ((axes.xaxis.label, LINE), (axes.yaxis.label, SIDE)):
            text.set_text(textwrap.fill(text.get_text().replace("\n", " "), width))
        if len(axes.get_xlabel()) > LINE // 2:  # longer than the axis: it ends where that does
            axes.xaxis.label.set(x=1.0, ha="right")
        if axes.get_xscale() == "log":
            axes.xaxis.set_major_locator(LogLocator(numticks=4))
        days = axes.xaxis.get_major_locator()
        if isinstance(days, AutoDateLocator):
            days.minticks, days.maxticks = 2, dict.fromkeys(days.maxticks, 4)
        if len(axes.get_title(loc="left")) > LINE - 8:
            axes.set_title(textwrap.fill(axes.get_title(loc="left"), LINE - 14), loc="left")
        if isinstance(axes.yaxis.get_major_locator(), FixedLocator):
            names = [label.get_text() for label in axes.get_yticklabels()]
            lines = [1 + name.count("\n") for name in names]
            tallest = max((one + other for one, other in pairwise(lines)), default=2) / 2
            high += (
                (0.05 + TEXT * tallest) * len(names) + HEAD + TEXT * axes.get_xlabel().count("\n")
            )
    below = sum(_count_lines(legend) for legend in figure.legends)
    figure.set_figheight(max(figure.get_figheight(), high) + TEXT * below)


def _count_lines(legend: Legend) -> int:
    """Return how many lines of text a legend takes below a figure."""
    lines = sum(1 + text.get_text().count("\n") for text in legend.get_texts())
    columns: int = getattr(legend, "_ncols", 1)
    return math.ceil(lines / columns) + bool(legend.get_title().get_text())


# Yellow is too pale for a line on white; black is for text and reference lines.
COLOURS = OKABE_ITO[:6]
MAX_GROUPS = 12
SCREEN = 7.0  # inches of height that fit a screen, for a figure of the usual width
_DASHES = ("-", (0, (4, 2)))
_HATCHES = ("", "///")
_MARKERS = "osD^vPX*<>ph"
EDGE = "#4d4d4d"
DASHED = (0, (4, 3))
Look = dict[str, Any]  # further arguments of one of matplotlib's functions
CLEAR: Look = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.75}


@dataclass(frozen=True, slots=True)
class Style:
    """Appearance of one group, the same in every figure.

    Attributes
    ----------
    colour, ink : str
        Fill, and a darker tone of it that is legible as text on white.
    dash, hatch, marker : object, str, str
        Line style, bar hatching and point shape: they tell groups apart where colours repeat.
    """

    colour: str
    ink: str
    dash: Any
    hatch: str
    marker: str


def styles(count: int) -> list[Style]:
    """Choose colours, dashes, hatches and markers that tell ``count`` groups apart.

    Raises
    ------
    DataError
        For more than 12 groups: no reader tells them apart.

    Examples
    --------
    >>> [style.colour for style in styles(2)]
    ['#0072B2', '#E69F00']
    """
    if count > MAX_GROUPS:
        raise DataError(
            f"a picture tells at most {MAX_GROUPS} groups apart, got {count}; "
            "keep the largest, or draw small multiples"
        )
    return [
        Style(
            colour=COLOURS[i % len(COLOURS)],
            ink=dark(COLOURS[i % len(COLOURS)]),
            dash=_DASHES[i // len(COLOURS)],
            hatch=_HATCHES[i // len(COLOURS)],
            marker=_MARKERS[i],
        )
        for i in range(count)
    ]


def shades(count: int) -> list[str]:
    """Return ``count`` tones of one colour, from pale to dark, for the steps of a scale.

    Examples
    --------
    >>> shades(3)
    ['#b8d6ea', '#3f8fc2', '#00304d']
    """
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("shades", ["#b8d6ea", "#3f8fc2", "#00304d"])
    return [to_hex(scale(place / max(count - 1, 1))) for place in range(count)]


def dark(colour: str, *, contrast: float = 4.5) -> str:
    """Darken a colour until text in it stands out from white (WCAG contrast, 4.5 to 1).

    Examples
    --------
    >>> dark("#000000"), dark("#E69F00") != "#E69F00"
    ('#000000', True)
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    while 1.05 / (luminance(red, green, blue) + 0.05) < contrast:
        red, green, blue = (int(part * 0.95) for part in (red, green, blue))
    return f"#{red:02x}{green:02x}{blue:02x}"


def ink_on(colour: Sequence[float]) -> str:
    """Return black or white, whichever stands out more from a colour (red, green, blue; 0 to 1).

    Examples
    --------
    >>> ink_on((1.0, 0.9, 0.5)), ink_on((0.0, 0.1, 0.3))
    ('black', 'white')
    """
    # At this luminance black and white have the same WCAG contrast: sqrt(1.05 * 0.05) - 0.05.
    return "black" if luminance(*(255 * part for part in colour[:3])) > 0.179 else "white"


def words(column: str) -> str:
    """Return a column's label.

    Examples
    --------
    >>> words("order_value_mean"), words("shoe_size")
    ('average order value', 'shoe size')
    """
    return label(column)


def wrap(text: object, width: int = 26) -> str:
    """Break a long name over lines, so that it is never clipped; dollar signs stay as they are."""
    broken = "\n".join(textwrap.wrap(str(text), width)) or str(text)
    return broken.replace("$", r"\$")


def as_percent(percent_: bool | None, column: str) -> bool:
    """Return whether a column is written in percent: as given, or by its name."""
    return is_share(column) if percent_ is None else percent_


def write(value: float | None, in_percent: bool) -> str:
    """Write a value as the picture's labels and alt text do."""
    return percent(value) if in_percent else number(value)


LONG = 10_000  # from here on ticks side by side have no room for as many numbers


def number_axis(axis: Axis, label: str, *, in_percent: bool = False) -> None:
    """Label a numeric axis; write its ticks with separators, in millions, or in percent."""
    from matplotlib.axis import XAxis
    from matplotlib.ticker import AutoLocator, FuncFormatter

    def tick(value: float, _position: object = None) -> str:
        if in_percent:
            return f"{value * 100:,.10g}%"
        in_millions = value and max(map(abs, axis.get_view_interval())) >= 1e6
        return f"{value / 1e6:,.10g}m" if in_millions else f"{value:,.10g}"

    axis.set_major_formatter(FuncFormatter(tick))
    axis.set_label_text(label)
    locator = axis.get_major_locator()
    long = isinstance(axis, XAxis) and max(map(abs, axis.get_view_interval())) >= LONG
    if isinstance(locator, AutoLocator) and (is_narrow() or long):
        locator.set_params(nbins=4 if is_narrow() else 5)


def name_axis(axis: Axis, places: Iterable[float], names: Iterable[object], width: int) -> None:
    """Write names, wrapped, at their places on an axis."""
    width = min(width, 17) if is_narrow() else width
    axis.set_ticks(list(places), labels=[wrap(name, width) for name in names])
    axis.set_tick_params(length=0)


def row_height(names: Iterable[object], width: int, least: float) -> float:
    """Return the inches of a row whose name, wrapped, does not touch the next one's."""
    width = min(width, 17) if is_narrow() else width
    lines = max((wrap(name, width).count("\n") + 1 for name in names), default=1)
    return max(least, TEXT * lines + 0.04)


def name_rows(axes: Axes, names: Sequence[object], label: str, width: int, room: float) -> None:
    """Name the rows of a horizontal picture from top to bottom, with so much room at its ends."""
    name_axis(axes.yaxis, range(len(names)), names, width)
    axes.set_ylim(len(names) - 1 + room, -room)
    axes.set_ylabel(label)


def mark_reference(
    axes: Axes, value: float | Sequence[float] | None, *, vertical: bool = False
) -> None:
    """Draw a dashed line at a value, or at several; the axis reaches as far as they do."""
    values = () if value is None else value if isinstance(value, Sequence) else (value,)
    for one in values:
        line = axes.axvline if vertical else axes.axhline
        line(one, color="black", linewidth=1.0, linestyle=DASHED)


def legend(axes: Axes, handles: Sequence[Any], names: Sequence[object], title: str = "") -> None:
    """Put the legend beside the axes, where it covers no data; below them on a phone."""
    beside: Look = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    one_column = max(len(str(name)) for name in names) > LINE // 2 - 2
    below: Look = {"loc": "outside lower left", "ncols": 1 if one_column else 2}
    where: Any = axes.figure if is_narrow() else axes
    where.legend(
        handles,
        [wrap(name, LINE - 6 if is_narrow() else 22) for name in names],
        title=title or None,
        alignment="left",
        markerscale=1.6,
        **(below if is_narrow() else beside),
    )


def note(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    shift: tuple[float, float] = (0, 0),
    *,
    edge: str = "",
    **look: Any,
) -> None:
    """Write a text beside a place on the axes.

    Parameters
    ----------
    axes : Axes
    text : str
    at : (float, float)
        The place, in the units of the data.
    shift : (float, float)
        Distance of the text from it, in points.
    edge : {"", "x", "y", "xy"}
        Coordinates of the place that count from 0 to 1 along the axes instead.
    **look
        Of matplotlib's text; by default size 9, centred vertically.
    """
    x, y = ("axes fraction" if name in edge else "data" for name in "xy")
    style: dict[str, Any] = {"fontsize": 9, "va": "center"} | look
    axes.annotate(text, at, shift, xycoords=(x, y), textcoords="offset points", **style)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move labels apart until none is nearer than ``gap`` to its neighbour, keeping their order.

    Examples
    --------
    >>> spread([0.0, 0.1, 5.0], 1.0)
    [-0.45, 0.55, 5.0]
    """
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    blocks: list[list[float]] = []  # [centre, count]
    for i in order:
        blocks.append([places[i], 1])
        while len(blocks) > 1 and (
            blocks[-1][0] - blocks[-2][0] < gap * (blocks[-1][1] + blocks[-2][1]) / 2
        ):
            centre, count = blocks.pop()
            before, members = blocks.pop()
            total = members + count
            blocks.append([(before * members + centre * count) / total, total])
    moved = [
        centre + gap * (j - (count - 1) / 2) for centre, count in blocks for j in range(int(count))
    ]
    placed = [0.0] * len(places)
    for i, place in zip(order, moved, strict=True):
        placed[i] = place
    return placed
