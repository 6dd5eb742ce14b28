"""A hanging rootogram: expected counts as a curve, observed ones hanging from it."""

from __future__ import annotations

import numpy as np
import polars as pl

from segkit.display import number
from segkit.plot.describe import drawn, finish
from segkit.plot.figure import OKABE_ITO, Figure, canvas
from segkit.plot.style import head, words


def rootogram(
    frame: pl.DataFrame,
    x: str,
    observed: str,
    expected: str,
    *,
    title: str = "",
    x_label: str = "",
    alt: str | None = None,
) -> Figure:
    """Show where a distribution of counts departs from the one expected.

    Square roots of the expected frequencies are a curve from which bars of the square roots of
    the observed ones hang; a bar that ends above zero means too few rows, one that ends below
    zero too many (Tukey 1977; Kleiber & Zeileis 2016, The American Statistician 70).

    Parameters
    ----------
    frame : polars.DataFrame
        One row a count.
    x, observed, expected : str
        The count, and the numbers of rows.
    title, x_label, alt
        See `segkit.plot.basic`.

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
    at, seen, due = (
        data.get_column(c).cast(pl.Float64).to_numpy() for c in (x, observed, expected)
    )
    root, length = np.sqrt(due), np.sqrt(seen)
    with canvas(7.2, 3.8) as (figure, (axes,)):
        axes.bar(at, length, 0.85, root - length, color=OKABE_ITO[5], label="observed, hanging")
        axes.plot(at, root, "o-", color=OKABE_ITO[3], markersize=4, label="expected")
        lowest = min(0.0, float((root - length).min()))
        axes.set_ylim(bottom=lowest - 0.04 * float(root.max() or 1.0))
        axes.axhline(0, color="black", linewidth=1.0)
        axes.set_xlabel(x_label or words(x))
        axes.set_ylabel("square root of the number of rows")
        axes.legend(loc="upper right")
        head(figure, title)
    gap = np.abs(root - length)
    worst = int(gap.argmax())
    told = "; ".join(
        f"{number(at[k])}: {number(seen[k])} observed, {number(due[k])} expected"
        for k in range(min(5, len(at)))
    )
    sentence = (
        f"Hanging rootogram of {x_label or words(x)}, {number(len(at))} values. {told}; "
        f"largest departure at {number(at[worst])}: {number(seen[worst])} observed, "
        f"{number(due[worst])} expected."
    )
    return Figure(figure, alt or finish(sentence, title=title), data)
