"""Figures as SVG for pages: text as text, colours for light and dark, values of marks.

A mark is a part of a figure that stands for one row of its data. It carries a sentence, shown when
the pointer is over it, and its names (a segment, an offer), by which a page finds it in all of its
figures and tables.
"""

from __future__ import annotations

import colorsys
import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

# Colour on a light page -> on a dark one; other colours of shapes serve on both.
DARK = {
    "#ffffff": "#15191d",
    "#000000": "#e4e8eb",
    "#1b2126": "#e4e8eb",
    "#6b6b6b": "#a7b1ba",
    "#4d4d4d": "#b9c2ca",
    "#e5e5e5": "#2d343b",
    "#c9ced3": "#48525b",
    "#d9d9d9": "#59636c",
    "#0072b2": "#3d9bd4",
    "#00304d": "#8fd0f5",
}
DARK_PAGE = "#15191d"
# Sans-serif fonts from the widest on: the figure's own font is the widest, so that texts laid out
# with it do not meet in another.
FONTS = "'DejaVu Sans', Verdana, 'Segoe UI', system-ui, Helvetica, Arial, sans-serif"
# JupyterLab's dark theme is told by an attribute, not by the scheme of its page.
LAB = '<style>[data-jp-theme-light="false"] .segkit-figure{color-scheme:dark}</style>'
NARROW = "_narrow"  # at the end of the name of a figure's file for phones
ON_PHONES = (
    "<style>.segkit-figure>.on-narrow{display:none}@media screen and (max-width:480px)"
    "{.segkit-figure>.on-narrow{display:block;max-width:100%;height:auto}"
    ".segkit-figure>.on-wide{display:none}}</style>"
)
PAPER = 532.0  # points between the margins of a sheet (A4)
MANY = 400  # points of a scatter plot that are drawn as an image within the figure
_LETTERS = str.maketrans("0123456789", "ghijklmnop")  # an id is never taken for a phone number
_MARK, _CELL = "mark-", "cell"
_TAG = re.compile(r"<[^>]+>")
_LONG = re.compile(r"(?<=\d\.\d\d)\d+")
_COLOUR = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")
_ID = re.compile(r' id="([^"]+)"')
_MARKED = re.compile(rf'<g id="{_MARK}([0-9a-f]+)">')
_CELLS = re.compile(rf'<g class="{_CELL}">.*?</g>', re.DOTALL)


def mark(artist: Artist, text: str, names: Iterable[object]) -> None:
    """Make a shape of a figure a mark.

    Parameters
    ----------
    artist : matplotlib.artist.Artist
    text : str
        What it stands for, with its value.
    names : iterable
        The categories that it belongs to; None is passed over.
    """
    content = json.dumps([text, [str(name) for name in names if name is not None]])
    artist.set_gid(_MARK + content.encode().hex())


def mark_box(
    axes: Axes, across: tuple[float, float], up: tuple[float, float], text: str, names: list[Any]
) -> None:
    """Make a rectangle, in the units of the data, a mark that is not drawn."""
    from matplotlib.patches import Rectangle

    box = Rectangle(
        (across[0], up[0]), across[1] - across[0], up[1] - up[0], fill=False, edgecolor="none"
    )
    mark(box, text, names)
    axes.add_artist(box)


def mark_point(axes: Axes, x: Any, y: Any, text: str, names: Sequence[Any]) -> None:
    """Make the surroundings of a point, in the units of the data, a mark that is not drawn."""
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": "none"}
    spot = Line2D([x], [y], linestyle="", marker="s", markersize=11, clip_on=False, **look)
    mark(spot, text, names)
    axes.add_artist(spot)


def mark_cells(artist: Artist) -> None:
    """Make coloured cells, or a text in one of them, change their lightness on a dark page."""
    artist.set_gid(_CELL)


def to_svg(figure: MatplotlibFigure, alt: str) -> str:
    """Return a figure as an SVG element in its own colours; `add_theme` gives it a page's.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        With its layout settled.
    alt : str
        Alternative text.

    Returns
    -------
    str
        The same figure gives the same text.
    """
    import matplotlib as mpl

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "segkit", "figure.facecolor": "none"}
    buffer = StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context(settings):
        # As "tight" does, but measured with what the layout has measured: no drawing for it alone.
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        box = figure.get_tightbbox(renderer).padded(mpl.rcParams["savefig.pad_inches"])
        figure.savefig(buffer, format="svg", bbox_inches=box, dpi=150, metadata=empty)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*\n\s*", " ", text).replace("> <", "><").replace("base64, ", "base64,")
    text = _TAG.sub(lambda tag: _LONG.sub("", tag[0]), text)
    text = re.sub(r"<defs><style.*?</style></defs>", "", text, count=1)
    text = text.replace("font-family: 'DejaVu Sans'", f"font-family: {FONTS}")
    text = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", text)
    text = text.replace(f'<g id="{_CELL}">', f'<g class="{_CELL}">')
    return _finish(_MARKED.sub(_named, text), alt)


def add_theme(svg: str) -> str:
    """Give every colour of a figure (`to_svg`) its counterpart on a dark page.

    Examples
    --------
    >>> add_theme('<text style="fill: #1b2126">A</text>')
    '<text style="fill: #1b2126; fill: light-dark(#1b2126, #e4e8eb)">A</text>'
    """
    text = _CELLS.sub(lambda cells: _COLOUR.sub(_inverted, _with_ink(cells[0])), svg)
    return _TAG.sub(lambda tag: _COLOUR.sub(_themed(tag[0]), tag[0]), text)


def to_file(svg: str) -> str:
    """Return a figure (`to_svg`) as the content of a file."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg}\n'


def from_file(text: str) -> str:
    """Return the figure in a file's content (`to_file`)."""
    return text.partition("?>")[2].strip()


def to_element(svg: str, narrow: str = "") -> str:
    """Return the element of a page that shows a figure, in the page's theme.

    A figure that is wider than a sheet of paper has the class ``broad``.
    """
    look = "margin:0;overflow-x:auto"
    width = re.search(r'<svg [^>]*?width="([\d.]+)pt"', svg)
    kind = "segkit-figure broad" if width and float(width[1]) > PAPER else "segkit-figure"
    return f'<figure class="{kind}" style="{look}">{LAB}{of_page(svg, narrow)}</figure>'


def of_page(svg: str, narrow: str = "") -> str:
    """Return a figure in the page's theme, and its narrow form, which phones show instead."""
    if not narrow:
        return add_theme(svg)
    both = ((svg, "on-wide"), (narrow, "on-narrow"))
    parts = [add_theme(one).replace("<svg ", f'<svg class="{name}" ', 1) for one, name in both]
    return f"{ON_PHONES}{''.join(parts)}"


def _themed(tag: str) -> Any:
    """Return what replaces a colour within a tag: text is lightened on dark until legible."""
    is_text = tag.startswith("<text")

    def replace(match: re.Match[str]) -> str:
        what, light = match.groups()
        if is_text and light == "#ffffff":  # on a coloured ground
            return match[0]
        dark = DARK.get(light, light)
        if is_text:
            dark = lighten(dark)
        return match[0] if dark == light else f"{match[0]}; {what}: light-dark({light}, {dark})"

    return replace


def lighten(colour: str, *, contrast: float = 4.5) -> str:
    """Lighten a colour until text in it stands out from a dark page (WCAG contrast).

    Examples
    --------
    >>> lighten("#e4e8eb"), lighten("#00486f") != "#00486f"
    ('#e4e8eb', True)
    """
    parts = _rgb(colour)
    least = contrast * (luminance(*_rgb(DARK_PAGE)) + 0.05) - 0.05
    while luminance(*parts) < least:
        parts = [min(255, part + 6) for part in parts]
    return f"#{parts[0]:02x}{parts[1]:02x}{parts[2]:02x}"


def luminance(red: float, green: float, blue: float) -> float:
    """Return the relative luminance of a colour (WCAG), 0 to 1, from its parts of 0 to 255."""
    linear = [
        (v / 255 / 12.92) if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4
        for v in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _with_ink(cells: str) -> str:
    """Write out the colour of black text, which SVG leaves out."""
    return re.sub(r'<text style="(?![^"]*fill:)', '<text style="fill: #000000; ', cells)


def _inverted(match: re.Match[str]) -> str:
    """Write a cell's colour, and on a dark page its counterpart: dark where it was light."""
    what, light = match.groups()
    if light in ("#ffffff", "#000000") and what == "fill":
        dark = {"#ffffff": "#0b0e10", "#000000": "#f4f6f8"}[light]
    else:
        hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in _rgb(light)))
        rgb = colorsys.hls_to_rgb(hue, 0.12 + 0.78 * (1 - lightness), saturation * 0.85)
        dark = "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
    return f"{what}:{light}; {what}: light-dark({light}, {dark})"


def _named(match: re.Match[str]) -> str:
    text, names = json.loads(bytes.fromhex(match[1]))
    listed = html.escape("|".join(names), quote=True)
    return f'<g class="mark" data-names="{listed}"><title>{html.escape(text)}</title>'


def _finish(text: str, alt: str) -> str:
    """Keep only ids that are referred to, apart from other figures', and describe the whole."""
    used = sorted(set(re.findall(r"#([\w.-]+)[\")]", text)))
    key = hashlib.sha256(text.encode()).hexdigest()[:8].translate(_LETTERS)
    short = {name: f"{key}-{place}" for place, name in enumerate(used)}
    text = _ID.sub(lambda one: f' id="{short[one[1]]}"' if one[1] in short else "", text)
    text = re.sub(r"(href=\"|url\()#([\w.-]+)", lambda one: f"{one[1]}#{short[one[2]]}", text)
    described = f'role="img" aria-label="{html.escape(alt, quote=True)}"'
    look = "stroke-linejoin: round; stroke-linecap: butt"
    return text.replace("<svg ", f'<svg {described} style="{look}" ', 1)
