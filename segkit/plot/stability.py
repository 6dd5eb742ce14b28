"""Figures over the number of segments: criteria, agreement, stability, flow and structure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.plot import figure as draw
from segkit.plot.describe import Floats, drawn, floats
from segkit.plot.figure import Figure, Look, narrows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BANDS = ((0.5, "dissolved"), (0.6, "doubtful"), (0.75, "pattern"), (0.85, "stable"))
BLUE, ORANGE = draw.OKABE_ITO[0], draw.OKABE_ITO[3]


def _k_axis(axes: Axes, label: str) -> None:
    """Label the axes of a figure over the number of segments."""
    axes.locator_params(axis="x", integer=True)
    draw.number_axis(axes.xaxis, "Segments (k)")
    draw.number_axis(axes.yaxis, label)
    axes.grid(axis="y")


def _draw_line(axes: Axes, ks: Floats, values: Floats, low: Floats, high: Floats) -> None:
    """Draw a line in its band."""
    axes.fill_between(ks, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(ks, values, color=BLUE, marker="o", linewidth=1.8)


def _draw_errors(axes: Axes, ks: Floats, values: Floats, se: Floats, dash: object = "-") -> None:
    """Draw a line with 95% intervals."""
    axes.errorbar(
        ks,
        values,
        yerr=1.96 * se,
        color=ORANGE,
        marker="s",
        markersize=4.5,
        linewidth=1.5,
        linestyle=dash,
        capsize=2,
    )


@narrows
def agreement_over_k(frame: pl.DataFrame) -> Figure:
    """Draw over k how far two refits agree, and how well one half predicts the other.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per k: ``k``, ``rand``, ``rand_low``, ``rand_high``, ``replication``,
        ``replication_se``.

    Examples
    --------
    >>> frame = pl.DataFrame({"k": [2, 3], "rand": [0.9, 0.8], "rand_low": [0.8, 0.7],
    ...     "rand_high": [1.0, 0.9], "replication": [0.9, 0.7], "replication_se": [0.01, 0.02]})
    >>> agreement_over_k(frame).alt
    'Agreement over the number of segments: adjusted Rand index of two refits 0.900 at k = 2, ...
    """
    need = ["k", "rand", "rand_low", "rand_high", "replication", "replication_se"]
    data = drawn(frame, need, ["k"]).sort("k")
    ks, rand, low, high, halves, se = (floats(data, column) for column in need)
    title = "How far do solutions agree that rest on different customers?"
    with draw.canvas(7.2, 3.6, title=title) as (figure, (axes,)):
        _draw_line(axes, ks, rand, low, high)
        _draw_errors(axes, ks, halves, se, (0, (4, 2)))
        _direct_labels(axes, ks[-1], rand[-1], halves[-1])
        axes.set_ylim(min(0.0, float(low.min())), 1.03)
        _k_axis(axes, "Adjusted Rand index (1: the same)")
    values = "; ".join(
        f"{number(r['rand'])} at k = {r['k']}, split halves {number(r['replication'])}"
        for r in data.to_dicts()
    )
    text = f"Agreement over the number of segments: adjusted Rand index of two refits {values}."
    return Figure(figure, text, data)


def _direct_labels(axes: Axes, k: float, rand: float, halves: float) -> None:
    """Name both lines: beside their ends, on a phone above the axes."""
    if draw.is_narrow():
        draw.note(axes, "two refits (band: 10 to 90%)", (0, 1), (0, 18), edge="xy", color=BLUE)
        text = "split halves (bars: 95% interval)"
        draw.note(axes, text, (0, 1), (0, 6), edge="xy", color=ORANGE)
        return
    gap = 0.06 if abs(rand - halves) < 0.12 else 0.0
    gap = gap if rand >= halves else -gap
    for value, words, colour in (
        (rand + gap, "two refits\n(band: 10 to 90%)", BLUE),
        (halves - gap, "split halves\n(bars: 95% interval)", ORANGE),
    ):
        draw.note(axes, words, (k, value), (8, 0), color=colour)


@narrows
def segment_stability(frame: pl.DataFrame) -> Figure:
    """Draw each segment's Jaccard coefficient over refits, with Hennig's bands.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per segment: ``segment``, ``jaccard``, ``jaccard_low``, ``jaccard_high`` (null where
        it is too small to be judged), ``share``, ``band``.

    Examples
    --------
    >>> frame = pl.DataFrame({"segment": [1], "jaccard": [0.9], "jaccard_low": [0.8],
    ...                       "jaccard_high": [1.0], "share": [1.0], "band": ["highly stable"]})
    >>> segment_stability(frame).alt
    'Stability of 1 segment over bootstrap refits, mean Jaccard coefficient: segment 1 0.900 ...
    """
    need = ["segment", "jaccard", "jaccard_low", "jaccard_high", "share", "band"]
    data = drawn(frame, need, [])
    rows, at = data.to_dicts(), np.arange(data.height)[::-1]
    mean, low, high = (floats(data, column) for column in need[1:4])
    title = "Does each segment come out again?"
    pitch = 0.52 if draw.is_narrow() else 0.36
    with draw.canvas(7.2, 1.3 + pitch * data.height, title=title) as (figure, (axes,)):
        _draw_bands(axes)
        axes.hlines(at, low, high, color=BLUE, linewidth=2.2)
        axes.plot(mean, at, linestyle="", marker="o", markersize=7, color=BLUE)
        for place, row in zip(at, rows, strict=True):
            if row["jaccard"] is None:
                draw.note(axes, row["band"], (0.02, place), color=draw.EDGE)
        names = [row["segment"] for row in rows]
        draw.name_axis(axes.yaxis, at, names, 40)
        axes.set_ylim(-0.6, data.height - 0.4)
        axes.set_xlim(0.0, 1.01)
        draw.number_axis(axes.xaxis, "Jaccard coefficient: dot mean, line 10 to 90% of refits")
    values = "; ".join(
        f"segment {r['segment']} {r['band']}"
        if r["jaccard"] is None
        else f"segment {r['segment']} {number(r['jaccard'])} ({r['band']})"
        for r in rows
    )
    text = (
        f"Stability of {counted(data.height, 'segment')} over bootstrap refits, mean Jaccard "
        f"coefficient: {values}."
    )
    return Figure(figure, text, data)


def _draw_bands(axes: Axes) -> None:
    edges = [0.0, *(edge for edge, _ in _BANDS), 1.0]
    words = [*(word for _, word in _BANDS), "highly stable"]
    levels = 4 if draw.is_narrow() else 2
    for i, ((start, end), word) in enumerate(zip(pairwise(edges), words, strict=True)):
        axes.axvspan(start, end, color=draw.GREY, alpha=0.22 - 0.055 * i, linewidth=0)
        look: Look = {"ha": "center", "va": "baseline", "color": draw.EDGE}
        draw.note(
            axes, word, ((start + end) / 2, 1.0), (0, 3 + 12 * (i % levels)), edge="y", **look
        )


@narrows
def flow_over_k(segments: pl.DataFrame, flow: pl.DataFrame) -> Figure:
    """Draw how segments split and join as their number grows.

    Parameters
    ----------
    segments : polars.DataFrame
        One row per k and segment: ``k``, ``segment``, ``share``, ``slsa``.
    flow : polars.DataFrame
        ``k_from``, ``segment_from``, ``k_to``, ``segment_to``, ``customers``, ``share``.

    Examples
    --------
    >>> segments = pl.DataFrame({"k": [2, 2, 3, 3, 3], "segment": [1, 2, 1, 2, 3],
    ...     "share": [0.5, 0.5, 0.5, 0.3, 0.2], "slsa": [None, None, 1.0, 1.0, 1.0]})
    >>> flow = pl.DataFrame({"k_from": 2, "segment_from": [1, 2, 2], "k_to": 3,
    ...     "segment_to": [1, 2, 3], "customers": [5, 3, 2], "share": [1.0, 1.0, 1.0]})
    >>> flow_over_k(segments, flow).alt
    'Flow of customers between solutions with 2 to 3 segments; the segment of the ...
    """
    segments = drawn(segments, ["k", "segment", "share", "slsa"], [])
    ks, numbers = (segments[name].unique().sort().to_list() for name in ("k", "segment"))
    # Each segment's height, the same for every k.
    places = {number: 1.0 - (i + 0.5) / len(numbers) for i, number in enumerate(numbers)}
    total = flow.filter(pl.col("k_from") == ks[0])["customers"].sum() or 1
    title = "Where do segments come from as k grows? Pale: from several segments at once"
    with draw.canvas(max(4.0, 1.15 * len(ks) + 0.8), 4.6, title=title) as (figure, (axes,)):
        for row in flow.iter_rows(named=True):
            width = 34.0 * row["customers"] / total
            if width < 0.25:
                continue
            axes.plot(
                [row["k_from"], row["k_to"]],
                [places[row["segment_from"]], places[row["segment_to"]]],
                color=BLUE,
                alpha=0.18 + 0.5 * row["share"],
                linewidth=width,
                solid_capstyle="butt",
                zorder=1,
            )
        for row in segments.iter_rows(named=True):
            _draw_node(axes, row, places[row["segment"]])
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlim(ks[0] - 0.4, ks[-1] + 0.4)
        draw.number_axis(axes.xaxis, "Segments (k)")
        axes.set_xticks(ks)
    return Figure(figure, _describe_flow(segments, ks), flow)


def _draw_node(axes: Axes, row: dict[str, float], place: float) -> None:
    sure = 1.0 if row["slsa"] is None else float(row["slsa"])
    shade = 0.35 + 0.65 * sure
    colour = tuple(1 - shade * (1 - part) for part in (0.0, 0.447, 0.698))
    axes.plot(
        row["k"], place, marker="o", markersize=17, color=colour, markeredgecolor="white", zorder=2
    )
    ink = "white" if shade > 0.7 else "black"
    draw.note(axes, str(row["segment"]), (row["k"], place), ha="center", color=ink, zorder=3)


def _describe_flow(segments: pl.DataFrame, ks: list[int]) -> str:
    stable = segments.filter(pl.col("slsa").is_not_null()).sort("slsa", maintain_order=True)
    start = f"Flow of customers between solutions with {ks[0]} to {counted(ks[-1], 'segment')}"
    if stable.is_empty():
        return f"{start}."
    low = stable.row(0, named=True)
    pure = stable.filter(pl.col("slsa") > 0.95).height
    return (
        f"{start}; the segment of the most mixed origin is segment {low['segment']} at k = "
        f"{low['k']} (stability across solutions {number(low['slsa'])}); {pure} of "
        f"{stable.height} come almost wholly from one segment."
    )


@narrows
def structure_over_k(
    frame: pl.DataFrame, *, verdict: str, threshold: float, alpha: float = 0.05
) -> Figure:
    """Draw the depth of the valleys between segments, and the stability of solutions, over k.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per k: ``k``, ``valley_z``, ``null_95``, ``stability``, ``stability_se``.
    verdict : str
        Written as the title.
    threshold : float
        Depth that data without groups exceed at some k in a share ``alpha`` of cases.
    alpha : float
        Level of the threshold; ``null_95`` is exceeded in this share of cases at each k.

    Examples
    --------
    >>> frame = pl.DataFrame({"k": [2, 3], "valley_z": [5.0, 0.2], "null_95": [1.0, 0.8],
    ...                       "stability": [0.9, 0.7], "stability_se": [0.01, 0.02]})
    >>> structure_over_k(frame, verdict="natural", threshold=1.2).alt
    'Verdict: natural segments. Shallowest valley between neighbours, in standard errors, ...
    """
    need = ["k", "valley_z", "null_95", "stability", "stability_se"]
    data = drawn(frame, need, ["k"]).sort("k")
    ks, valley, null, stability, se = (floats(data, column) for column in need)
    title = f"Verdict: {verdict} segments"
    with draw.canvas(7.6, 3.5, columns=2, title=title) as (figure, (left, right)):
        draw.mark_reference(left, threshold)
        left.fill_between(ks, 0, null, color=draw.GREY, alpha=0.25, linewidth=0)
        left.plot(ks, valley, color=BLUE, marker="o", linewidth=1.8)
        left.set_ylim(0.0, 1.12 * max(threshold, float(valley.max()), 1.0))
        left.set_title("Empty ground between segments?", fontsize=10, pad=30)
        above, below = (f"{100 * share:g}%" for share in (alpha, 1 - alpha))
        text = (
            f"dashed: {above} of data without groups\nlie above it at some k; grey: {below} per k"
        )
        look: Look = {"va": "bottom", "color": draw.EDGE}
        draw.note(left, text, (0.0, 1.0), (0, 3), edge="xy", **look)
        _k_axis(left, "Shallowest valley (standard errors)")
        _draw_errors(right, ks, stability, se)
        draw.mark_reference(right, 0.8)
        right.set_ylim(min(0.0, float((stability - 1.96 * se).min())), 1.04)
        right.set_title("Do the same segments come again?", fontsize=10)
        _k_axis(right, "Adjusted Rand index of refits")
    values = "; ".join(
        f"{number(r['valley_z'])} at k = {r['k']} (stability {number(r['stability'])})"
        for r in data.to_dicts()
    )
    text = (
        f"Verdict: {verdict} segments. Shallowest valley between neighbours, in standard errors, "
        f"against a threshold of {number(threshold)}: {values}."
    )
    return Figure(figure, text, data)


@narrows
def criteria_over_k(frame: pl.DataFrame, *, chosen: int) -> Figure:
    """Draw each criterion over k in its own panel, and mark the k that it votes for.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per criterion and k: ``criterion``, ``k``, ``value``, ``se`` (may be null),
        ``voted`` (Boolean), ``rule`` (how it votes, in words).
    chosen : int
        The number of segments used, drawn as a dashed line.

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
    drawn(frame, ["criterion", "k", "value", "se", "voted", "rule"], [])
    names = frame["criterion"].unique(maintain_order=True).to_list()
    columns = 1 if draw.is_narrow() else min(3, len(names))
    rows = -(-len(names) // columns)
    ks = floats(frame, "k")
    size = (2.75 * columns + 0.6, 2.25 * rows + 0.5)
    title = f"Dot: where each criterion votes. Dashed: {chosen} segments, in force"
    with draw.canvas(*size, rows=rows, columns=columns, title=title) as (figure, panels):
        for axes, name in zip(panels, names, strict=False):
            _draw_panel(axes, frame.filter(pl.col("criterion") == name).sort("k"), name, chosen)
            axes.set_xlim(ks.min() - 0.4, ks.max() + 0.4)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
    sentences = "; ".join(
        f"{r['criterion']} votes for {r['k']} ({number(r['value'])})"
        for r in frame.filter("voted").to_dicts()
    )
    text = f"Criteria over the number of segments, {chosen} in force: {sentences}."
    return Figure(figure, text, frame)


def _draw_panel(axes: Axes, part: pl.DataFrame, name: str, chosen: int) -> None:
    ks, values, errors = (floats(part, column) for column in ("k", "value", "se"))
    axes.axvline(chosen, color=draw.GREY, linewidth=1.0, linestyle=draw.DASHED, zorder=0)
    errors = np.nan_to_num(errors)
    _draw_line(axes, ks, values, values - errors, values + errors)
    voted = part["voted"].to_numpy()
    rule = draw.wrap(part["rule"][0], 34)
    axes.plot(ks[voted], values[voted], "o", markersize=9, color=ORANGE)
    axes.set_title(
        draw.wrap(f"{name[:1].upper()}{name[1:]}", 30), fontsize=9.5, pad=16 + 12 * rule.count("\n")
    )
    look: Look = {"va": "bottom", "color": draw.EDGE}
    draw.note(axes, rule, (0.0, 1.0), (0, 3), edge="xy", **look)
    axes.locator_params(axis="y", nbins=5)
    _k_axis(axes, "")
