"""The look of every picture: colours, wrapping, axes that write numbers as the house does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segkit.display import is_share, number, percent
from segkit.errors import DataError
from segkit.labels import label
from segkit.plot.figure import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as MatplotlibFigure

# Yellow is too pale for a line on white; black is for text and reference lines.
COLOURS = OKABE_ITO[:6]
MAX_GROUPS = 12
SCREEN = 7.0  # inches of height that a screen shows at once, of a picture of the usual width
_DASHES = ("-", (0, (4, 2)))
_HATCHES = ("", "///")
_MARKERS = "osD^vPX*<>ph"
EDGE = "#4d4d4d"


@dataclass(frozen=True, slots=True)
class Style:
    """How one group is drawn, the same in every picture.

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


def dark(colour: str, *, contrast: float = 4.5) -> str:
    """Darken a colour until text in it stands out from white (WCAG contrast, 4.5 to 1).

    Examples
    --------
    >>> dark("#000000"), dark("#E69F00") != "#E69F00"
    ('#000000', True)
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    while 1.05 / (_luminance(red, green, blue) + 0.05) < contrast:
        red, green, blue = (int(part * 0.95) for part in (red, green, blue))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _luminance(*rgb: int) -> float:
    linear = [
        (v / 255 / 12.92) if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def words(column: str) -> str:
    """Write a column's name as people say it.

    Examples
    --------
    >>> words("order_value_mean"), words("shoe_size")
    ('spend an order', 'shoe size')
    """
    return label(column)


def wrap(text: object, width: int = 26) -> str:
    """Break a long name over lines, so that it is never clipped; dollar signs stay as they are."""
    broken = "\n".join(textwrap.wrap(str(text), width)) or str(text)
    return broken.replace("$", r"\$")


def as_percent(percent_: bool | None, column: str) -> bool:
    """Tell whether a column is written in percent: as told, or by its name."""
    return is_share(column) if percent_ is None else percent_


def write(value: float | None, in_percent: bool) -> str:
    """Write a value as the picture's labels and alt text do."""
    return percent(value) if in_percent else number(value)


def number_axis(axis: Axis, label: str, *, in_percent: bool = False) -> None:
    """Label a numeric axis and write its ticks with thousands separators or in percent."""
    from matplotlib.ticker import FuncFormatter

    def tick(value: float, _position: object = None) -> str:
        return f"{value * 100:,.10g}%" if in_percent else f"{value:,.10g}"

    axis.set_major_formatter(FuncFormatter(tick))
    axis.set_label_text(label)


def name_axis(axis: Axis, places: Sequence[float], names: Sequence[object], width: int) -> None:
    """Write names, wrapped, at their places on an axis."""
    axis.set_ticks(list(places), labels=[wrap(name, width) for name in names])
    axis.set_tick_params(length=0)


def head(figure: MatplotlibFigure, title: str) -> None:
    """Write the title, which may be a whole sentence, over the figure's full width."""
    if title:
        width = int(figure.get_figwidth() * 11.5)
        figure.suptitle(wrap(title, width), x=0.0, ha="left", fontsize=11, fontweight="bold")


def legend(axes: Axes, handles: Sequence[Any], names: Sequence[object], title: str = "") -> None:
    """Put the legend beside the axes, where it covers no data."""
    axes.legend(
        handles,
        [wrap(name, 22) for name in names],
        title=title or None,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        alignment="left",
        markerscale=1.6,
    )


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
