"""Dendrogram of the last merges of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.display import counted, number
from segkit.errors import DataError
from segkit.plot import figure as draw
from segkit.plot.figure import Figure, Look, narrows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Node:
    """Lowest drawn node of a branch: position, height, number of leaves, group (or -1)."""

    x: float
    height: float
    leaves: int
    group: int


@narrows
def dendrogram(
    linkage: Floats, groups: Ints, names: Sequence[str], *, leaves: int = 40, unit: str = "rows"
) -> Figure:
    """Draw the last merges of a tree, branches coloured by the groups that a cut makes.

    Parameters
    ----------
    linkage : array (n - 1, 4)
        In scipy's format, heights ascending.
    groups : array (n,)
        Group number of each leaf, a cut of this tree.
    names : sequence of str
        Name of each group.
    leaves : int
        Number of branches drawn; at least as many as groups.
    unit : str
        What a leaf is, in the plural.

    Raises
    ------
    DataError
        If the groups are not one for each leaf.

    Examples
    --------
    >>> tree = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]])
    >>> dendrogram(tree, np.array([0, 0, 1]), ["A", "B"]).data.height
    2
    """
    n = linkage.shape[0] + 1
    if len(groups) != n:
        raise DataError(f"expected one group for each of {n} leaves, got {len(groups)}")
    k = len(set(np.asarray(groups).tolist()))
    shown = min(n, max(min(leaves, 16) if draw.is_narrow() else leaves, k, 2))
    feet, merges = _top(linkage, np.asarray(groups), shown)
    cut = _cut_height(linkage, k)
    data = pl.DataFrame(merges)
    with draw.canvas(7.6, 4.6) as (figure, (axes,)):
        colours = [s.colour for s in draw.styles(min(len(names), draw.MAX_GROUPS))]
        _draw(axes, merges, colours)
        draw.mark_reference(axes, cut)
        if cut is not None:
            text = f"cut into {k}"
            draw.note(axes, text, (1, cut), (-2, 3), edge="x", ha="right", va="baseline")
        _label_feet(axes, feet, n, unit)
        _label_groups(axes, feet, names, colours)
        axes.set_ylabel("height of the merge (Ward's distance)")
        axes.set_ylim(0, float(linkage[-1, 2]) * 1.05 or 1.0)
        axes.set_xlim(-0.7, shown - 0.3)
        axes.set_title(f"Ward's tree, its last {counted(shown - 1, 'merge')}")
    top = ", ".join(number(float(h)) for h in linkage[::-1, 2][:3])
    alt = (
        f"Dendrogram of {number(n)} {unit}, the last {counted(shown - 1, 'merge')} drawn, branches "
        f"coloured by {counted(k, 'group')} ({', '.join(names)}); the highest merges are at {top}."
    )
    return Figure(figure, alt, data)


def _top(
    linkage: Floats, groups: Ints, shown: int
) -> tuple[list[_Node], list[dict[str, float | int]]]:
    """Return the lowest drawn nodes from left to right, and the merges above them, lowest first."""
    n = linkage.shape[0] + 1
    first = n - shown
    children = linkage[:, :2].astype(np.int64)
    leaf = np.arange(2 * n - 1)  # any one leaf below each node
    for row in range(first):
        leaf[n + row] = leaf[children[row, 0]]
    order: list[int] = []
    stack = [2 * n - 2]
    while stack:
        node = stack.pop()
        if node >= n + first:
            stack += [int(children[node - n, 1]), int(children[node - n, 0])]
        else:
            order.append(node)
    nodes: dict[int, _Node] = {}
    for x, node in enumerate(order):
        merged = node >= n
        height = float(linkage[node - n, 2]) if merged else 0.0
        size = int(linkage[node - n, 3]) if merged else 1
        nodes[node] = _Node(float(x), height, size, int(groups[leaf[node]]))
    feet = [nodes[node] for node in order]
    merges: list[dict[str, float | int]] = []
    for row in range(first, n - 1):
        a, b = nodes[int(children[row, 0])], nodes[int(children[row, 1])]
        group = a.group if a.group == b.group else -1
        height = float(linkage[row, 2])
        nodes[n + row] = _Node((a.x + b.x) / 2, height, a.leaves + b.leaves, group)
        merges.append(
            {
                "left": a.x,
                "right": b.x,
                "left_height": a.height,
                "right_height": b.height,
                "height": height,
                "leaves": a.leaves + b.leaves,
                "group": group,
                "left_group": a.group,
                "right_group": b.group,
            }
        )
    return feet, merges


def _cut_height(linkage: Floats, k: int) -> float | None:
    if k < 2:
        return None
    above = float(linkage[-(k - 1), 2])
    below = float(linkage[-k, 2]) if k <= linkage.shape[0] else 0.0
    return (above + below) / 2


def _draw(axes: Axes, merges: list[dict[str, float | int]], colours: list[str]) -> None:
    def colour(group: float) -> str:
        return colours[int(group) % len(colours)] if group >= 0 else draw.GREY

    for m in merges:
        for side in ("left", "right"):
            axes.plot(
                [m[side]] * 2,
                [m[f"{side}_height"], m["height"]],
                color=colour(m[f"{side}_group"]),
                linewidth=1.4,
            )
        axes.plot(
            [m["left"], m["right"]], [m["height"]] * 2, color=colour(m["group"]), linewidth=1.4
        )


def _label_feet(axes: Axes, feet: list[_Node], n: int, unit: str) -> None:
    """Write the number of leaves under each branch, unless every branch is a single leaf."""
    axes.set_xticks([])
    if len(feet) < n:
        axes.set_xlabel(f"{unit} in each branch", labelpad=34)
        look: Look = {"ha": "center", "va": "top", "rotation": 90, "color": draw.GREY}
        for foot in feet:
            draw.note(axes, f"{foot.leaves:,}", (foot.x, 0), (0, -3), **look)


def _label_groups(axes: Axes, feet: list[_Node], names: Sequence[str], colours: list[str]) -> None:
    from matplotlib.lines import Line2D

    shown = list(dict.fromkeys(foot.group for foot in feet))
    handles = [
        Line2D([], [], color=colours[g % len(colours)], linewidth=2.2, label=names[g])
        for g in shown
    ]
    draw.legend(axes, handles, [names[g] for g in shown], "from left to right")
