"""Where does each criterion vote? Criteria over the number of segments, in small multiples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from segkit.display import number
from segkit.errors import DataError, require_columns
from segkit.plot.figure import GREY, OKABE_ITO, Figure, canvas
from segkit.plot.style import head, number_axis, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def criteria_over_k(frame: pl.DataFrame, *, chosen: int, title: str = "") -> Figure:
    """Show each criterion over k in a panel of its own, the k it votes for marked.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a criterion and k: ``criterion``, ``k``, ``value``, ``se`` (may be null),
        ``voted`` (Boolean), ``rule`` (how it votes, in words).
    chosen : int
        The number of segments in force, drawn as a dashed line.
    title : str

    Raises
    ------
    DataError
        If there is nothing to draw.

    Examples
    --------
    >>> frame = pl.DataFrame({"criterion": "silhouette", "k": [2, 3], "value": [0.4, 0.6],
    ...                       "se": [None, None], "voted": [False, True], "rule": "highest"})
    >>> criteria_over_k(frame, chosen=3).alt
    'Criteria over the number of segments, 3 in force: silhouette votes for 3 (0.600).'
    """
    need = ["criterion", "k", "value", "se", "voted", "rule"]
    require_columns(frame.columns, need, "the frame to draw")
    if frame.is_empty():
        raise DataError("nothing to draw: no criterion has a value")
    names = frame["criterion"].unique(maintain_order=True).to_list()
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    ks = frame["k"].to_numpy()
    with canvas(2.75 * columns + 0.6, 2.45 * rows + 0.5, rows=rows, columns=columns) as (fig, all_):
        for axes, name in zip(all_, names, strict=False):
            _panel(axes, frame.filter(pl.col("criterion") == name), name, chosen)
            axes.set_xlim(ks.min() - 0.4, ks.max() + 0.4)
        for axes in all_[len(names) :]:
            axes.set_visible(False)
        head(fig, title or f"Dot: where each criterion votes. Dashed: {chosen} segments, in force")
    votes = frame.filter("voted")
    told = [f"{r['criterion']} votes for {r['k']} ({number(r['value'])})" for r in votes.to_dicts()]
    text = f"Criteria over the number of segments, {chosen} in force: {'; '.join(told)}."
    return Figure(fig, text, frame)


def _panel(axes: Axes, part: pl.DataFrame, name: str, chosen: int) -> None:
    part = part.sort("k")
    ks, values = part["k"].to_numpy(), part["value"].to_numpy()
    axes.axvline(chosen, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0)
    errors = part["se"].fill_null(0.0).to_numpy()
    if errors.any():
        axes.fill_between(
            ks, values - errors, values + errors, color=OKABE_ITO[0], alpha=0.18, linewidth=0
        )
    axes.plot(ks, values, color=OKABE_ITO[0], linewidth=1.6, marker="o", markersize=3)
    voted = part.filter("voted")
    axes.plot(
        voted["k"].to_numpy(), voted["value"].to_numpy(), linestyle="", marker="o", markersize=9,
        color=OKABE_ITO[3],
    )  # fmt: skip
    label = f"{name[:1].upper()}{name[1:]}"
    axes.set_title(wrap(label, 30), fontsize=9.5, pad=24)
    axes.annotate(
        wrap(part["rule"][0], 50), (0.0, 1.0), (0, 3), xycoords="axes fraction",
        textcoords="offset points", fontsize=7, color="#4d4d4d", va="bottom",
    )  # fmt: skip
    axes.locator_params(axis="x", integer=True)
    axes.locator_params(axis="y", nbins=5)
    number_axis(axes.xaxis, "Segments (k)")
    number_axis(axes.yaxis, "")
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_xlabel("Segments (k)", fontsize=8.5)
