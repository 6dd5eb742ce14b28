"""A drawn figure that carries its alternative text and the data behind it."""

from __future__ import annotations

import base64
import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.writing import write_whole

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

# Okabe and Ito (2008), "Color Universal Design": distinguishable by colour-blind readers.
# Black comes last: it is kept for text and reference lines.
OKABE_ITO = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#000000",
)
GREY = "#6b6b6b"
# matplotlib's settings are the process's: two threads that draw would leave each other's behind.
_DRAWING = threading.RLock()
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
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
    """A figure with what a reader needs who cannot see it, or who doubts it.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The drawing, free to be changed further.
    alt : str
        Alternative text: what is drawn and what it shows.
    data : polars.DataFrame
        The drawn values, one row per mark.
    """

    figure: MatplotlibFigure
    alt: str
    data: pl.DataFrame

    def png(self, *, dpi: int = 130) -> bytes:
        """Return the figure as PNG bytes; the same figure gives the same bytes."""
        self._settle()
        buffer = BytesIO()
        self.figure.savefig(
            buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None}
        )
        return buffer.getvalue()

    def _settle(self) -> None:
        """Fix the layout at its first drawing: each further pass would move it a little."""
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        engine = self.figure.get_layout_engine()
        if isinstance(engine, ConstrainedLayoutEngine):
            for _ in range(2):
                engine.execute(self.figure)
            self.figure.set_layout_engine("none")

    def save(self, path: Path | str) -> Path:
        """Write the figure as PNG and return the path."""
        return write_whole(path, self.png())

    def _repr_html_(self) -> str:
        return self.html(self.png())

    def html(self, png: bytes) -> str:
        """Return the element that shows an image of this figure drawn before, with its text."""
        image = base64.b64encode(png).decode("ascii")
        return (
            f'<figure style="margin:0"><img style="max-width:100%;height:auto" '
            f'alt="{html.escape(self.alt, quote=True)}" '
            f'src="data:image/png;base64,{image}"></figure>'
        )


@contextmanager
def canvas(
    width: float = 7.2, height: float = 3.8, *, rows: int = 1, columns: int = 1
) -> Iterator[tuple[MatplotlibFigure, list[Axes]]]:
    """Yield a styled figure and its axes (row by row), outside pyplot's global state.

    Parameters
    ----------
    width, height : float
        Size in inches.
    rows, columns : int
        Grid of axes.

    Examples
    --------
    >>> with canvas() as (figure, (axes,)):
    ...     line = axes.plot([0, 1], [0, 1])
    """
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure

    style: dict[Any, Any] = {**STYLE, "axes.prop_cycle": cycler(color=OKABE_ITO)}
    with _DRAWING, mpl.rc_context(style):
        figure = MatplotlibFigure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False)
        yield figure, [axes for row in grid for axes in row]
