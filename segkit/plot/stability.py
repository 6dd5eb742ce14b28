"""Figures over the number of segments: criteria, agreement, stability, flow and structure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, require_columns
from segkit.plot.figure import GREY, OKABE_ITO, Figure, canvas, head, note, number_axis, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BANDS = ((0.5, "dissolved"), (0.6, "doubtful"), (0.75, "pattern"), (0.85, "stable"))


def agreement_over_k(frame: pl.DataFrame, *, title: str = "") -> Figure:
    """Draw over k how far two refits agree, and how well one half predicts the other.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per k: ``k``, ``rand``, ``rand_low``, ``rand_high``, ``replication``,
        ``replication_se``.
    title : str

    Examples
    --------
    >>> frame = pl.DataFrame({"k": [2, 3], "rand": [0.9, 0.8], "rand_low": [0.8, 0.7],
    ...     "rand_high": [1.0, 0.9], "replication": [0.9, 0.7], "replication_se": [0.01, 0.02]})
    >>> agreement_over_k(frame).alt
    'Agreement over the number of segments: adjusted Rand index of two refits 0.900 at k = 2, ...
    """
    need = ["k", "rand", "rand_low", "rand_high", "replication", "replication_se"]
    require_columns(frame.columns, need, "the frame to draw")
    if frame.is_empty():
        raise DataError("nothing to draw: no number of segments")
    data = frame.select(need).sort("k")
    ks = data["k"].to_numpy()
    with canvas(7.2, 3.6) as (figure, (axes,)):
        low, high = data["rand_low"].to_numpy(), data["rand_high"].to_numpy()
        axes.fill_between(ks, low, high, color=OKABE_ITO[0], alpha=0.18, linewidth=0)
        axes.plot(ks, data["rand"].to_numpy(), color=OKABE_ITO[0], marker="o", linewidth=1.8)
        axes.errorbar(
            ks,
            data["replication"].to_numpy(),
            yerr=1.96 * data["replication_se"].to_numpy(),
            color=OKABE_ITO[3],
            marker="s",
            markersize=4.5,
            linewidth=1.4,
            linestyle=(0, (4, 2)),
            capsize=2,
        )
        _direct_labels(axes, data)
        axes.set_ylim(min(0.0, float(low.min())), 1.03)
        axes.locator_params(axis="x", integer=True)
        number_axis(axes.xaxis, "Segments (k)")
        number_axis(axes.yaxis, "Adjusted Rand index (1: the same)")
        axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
        head(figure, title or "How far do solutions agree that rest on different customers?")
    values = "; ".join(
        f"{number(r['rand'])} at k = {r['k']}, split halves {number(r['replication'])}"
        for r in data.to_dicts()
    )
    text = f"Agreement over the number of segments: adjusted Rand index of two refits {values}."
    return Figure(figure, text, data)


def _direct_labels(axes: Axes, data: pl.DataFrame) -> None:
    rand, halves = float(data["rand"][-1]), float(data["replication"][-1])
    gap = 0.06 if abs(rand - halves) < 0.12 else 0.0
    sign = 1 if rand >= halves else -1
    for value, shift, words, colour in (
        (rand, sign * gap, "two refits\n(band: 10 to 90%)", OKABE_ITO[0]),
        (halves, -sign * gap, "split halves\n(bars: 95% interval)", OKABE_ITO[3]),
    ):
        note(axes, words, (float(data["k"][-1]), value + shift), (8, 0), fontsize=8.5, color=colour)


def segment_stability(frame: pl.DataFrame, *, title: str = "") -> Figure:
    """Draw each segment's Jaccard coefficient over refits, with Hennig's bands.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per segment: ``segment``, ``jaccard``, ``jaccard_low``, ``jaccard_high`` (null where
        it is too small to be judged), ``share``, ``band``.
    title : str

    Examples
    --------
    >>> frame = pl.DataFrame({"segment": [1], "jaccard": [0.9], "jaccard_low": [0.8],
    ...                       "jaccard_high": [1.0], "share": [1.0], "band": ["highly stable"]})
    >>> segment_stability(frame).alt
    'Stability of 1 segments over bootstrap refits, mean Jaccard coefficient: segment 1 0.900 ...
    """
    need = ["segment", "jaccard", "jaccard_low", "jaccard_high", "share", "band"]
    require_columns(frame.columns, need, "the frame to draw")
    data = frame.select(need)
    at = np.arange(data.height)[::-1]
    with canvas(7.2, 1.3 + 0.36 * data.height) as (figure, (axes,)):
        _draw_bands(axes)
        judged = data["jaccard"].is_not_null().to_numpy()
        mean = data["jaccard"].to_numpy()[judged]
        low, high = (data[f"jaccard_{end}"].to_numpy()[judged] for end in ("low", "high"))
        axes.hlines(at[judged], low, high, color=OKABE_ITO[0], linewidth=2.2)
        axes.plot(mean, at[judged], linestyle="", marker="o", markersize=7, color=OKABE_ITO[0])
        for place, row in zip(at[~judged], data.filter(~pl.Series(judged)).to_dicts(), strict=True):
            note(axes, row["band"], (0.02, place), fontsize=8, color="#4d4d4d")
        names = [f"segment {r['segment']} ({percent(r['share'])})" for r in data.to_dicts()]
        axes.set_yticks(at, labels=names)
        axes.set_ylim(-0.6, data.height - 0.4)
        axes.set_xlim(0.0, 1.01)
        number_axis(axes.xaxis, "Jaccard coefficient: dot mean, line 10 to 90% of refits")
        head(figure, title or "Does each segment come out again?")
    values = "; ".join(
        f"segment {r['segment']} {r['band']}"
        if r["jaccard"] is None
        else f"segment {r['segment']} {number(r['jaccard'])} ({r['band']})"
        for r in data.to_dicts()
    )
    text = (
        f"Stability of {data.height} segments over bootstrap refits, mean Jaccard coefficient: "
        f"{values}."
    )
    return Figure(figure, text, data)


def _draw_bands(axes: Axes) -> None:
    edges = [0.0, *(edge for edge, _ in _BANDS), 1.0]
    words = [*(word for _, word in _BANDS), "highly stable"]
    for i, ((start, end), word) in enumerate(zip(pairwise(edges), words, strict=True)):
        axes.axvspan(start, end, color=GREY, alpha=0.22 - 0.055 * i, linewidth=0)
        note(
            axes,
            word,
            ((start + end) / 2, 1.0),
            (0, 3),
            edge="y",
            ha="center",
            fontsize=7.5,
            color="#4d4d4d",
            va="baseline",
        )


def flow_over_k(segments: pl.DataFrame, flow: pl.DataFrame, *, title: str = "") -> Figure:
    """Draw how segments split and join as their number grows.

    Parameters
    ----------
    segments : polars.DataFrame
        One row per k and segment: ``k``, ``segment``, ``share``, ``slsa``.
    flow : polars.DataFrame
        ``k_from``, ``segment_from``, ``k_to``, ``segment_to``, ``customers``, ``share``.
    title : str

    Examples
    --------
    >>> segments = pl.DataFrame({"k": [2, 2, 3, 3, 3], "segment": [1, 2, 1, 2, 3],
    ...     "share": [0.5, 0.5, 0.5, 0.3, 0.2], "slsa": [None, None, 1.0, 1.0, 1.0]})
    >>> flow = pl.DataFrame({"k_from": 2, "segment_from": [1, 2, 2], "k_to": 3,
    ...     "segment_to": [1, 2, 3], "customers": [5, 3, 2], "share": [1.0, 1.0, 1.0]})
    >>> flow_over_k(segments, flow).alt
    'Flow of customers between solutions with 2 to 3 segments; the segment of the ...
    """
    require_columns(segments.columns, ["k", "segment", "share", "slsa"], "the segments to draw")
    if segments.is_empty():
        raise DataError("nothing to draw: no segments")
    ks = segments["k"].unique().sort().to_list()
    places = _places(segments, ks)
    total = flow.filter(pl.col("k_from") == ks[0])["customers"].sum() or 1
    with canvas(max(4.0, 1.15 * len(ks) + 0.8), 4.6) as (figure, (axes,)):
        for row in flow.iter_rows(named=True):
            width = 34.0 * row["customers"] / total
            if width < 0.25:
                continue
            left = places[row["k_from"], row["segment_from"]]
            right = places[row["k_to"], row["segment_to"]]
            axes.plot(
                [row["k_from"], row["k_to"]],
                [left, right],
                color=OKABE_ITO[0],
                alpha=0.18 + 0.5 * row["share"],
                linewidth=width,
                solid_capstyle="butt",
                zorder=1,
            )
        for row in segments.iter_rows(named=True):
            _node(axes, row, places[row["k"], row["segment"]])
        axes.set_xticks(ks)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlim(ks[0] - 0.4, ks[-1] + 0.4)
        number_axis(axes.xaxis, "Segments (k)")
        axes.set_xticks(ks)
        head(
            figure,
            title or "Where do segments come from as k grows? Pale: from several segments at once",
        )
    return Figure(figure, _told(segments, ks), flow)


def _places(segments: pl.DataFrame, ks: list[int]) -> dict[tuple[int, int], float]:
    """Return each segment's height by its number, the same for every k."""
    numbers = segments["segment"].unique().sort().to_list()
    places: dict[tuple[int, int], float] = {}
    for k in ks:
        present = segments.filter(pl.col("k") == k)["segment"].sort().to_list()
        for segment in present:
            places[k, segment] = 1.0 - (numbers.index(segment) + 0.5) / len(numbers)
    return places


def _node(axes: Axes, row: dict[str, float], place: float) -> None:
    sure = 1.0 if row["slsa"] is None else float(row["slsa"])
    shade = 0.35 + 0.65 * sure
    colour = tuple(1 - shade * (1 - part) for part in (0.0, 0.447, 0.698))
    axes.plot(
        row["k"], place, marker="o", markersize=17, color=colour, markeredgecolor="white", zorder=2
    )
    note(
        axes,
        str(row["segment"]),
        (row["k"], place),
        ha="center",
        color="white" if shade > 0.7 else "black",
        zorder=3,
    )


def _told(segments: pl.DataFrame, ks: list[int]) -> str:
    stable = segments.filter(pl.col("slsa").is_not_null()).sort("slsa", maintain_order=True)
    start = f"Flow of customers between solutions with {ks[0]} to {ks[-1]} segments"
    if stable.is_empty():
        return f"{start}."
    low = stable.row(0, named=True)
    pure = stable.filter(pl.col("slsa") > 0.95).height
    return (
        f"{start}; the segment of the most mixed origin is segment {low['segment']} at k = "
        f"{low['k']} (stability across solutions {number(low['slsa'])}); {pure} of "
        f"{stable.height} come almost wholly from one segment."
    )


def structure_over_k(
    frame: pl.DataFrame, *, verdict: str, threshold: float, title: str = ""
) -> Figure:
    """Draw the depth of the valleys between segments, and the stability of solutions, over k.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per k: ``k``, ``valley_z``, ``null_95``, ``stability``, ``stability_se``.
    verdict : str
        Written as the title unless ``title`` is given.
    threshold : float
        Depth that data without groups exceed at some k in 5% of cases.
    title : str

    Examples
    --------
    >>> frame = pl.DataFrame({"k": [2, 3], "valley_z": [5.0, 0.2], "null_95": [1.0, 0.8],
    ...                       "stability": [0.9, 0.7], "stability_se": [0.01, 0.02]})
    >>> structure_over_k(frame, verdict="natural", threshold=1.2).alt
    'Verdict: natural segments. Shallowest valley between neighbours, in standard errors, ...
    """
    need = ["k", "valley_z", "null_95", "stability", "stability_se"]
    require_columns(frame.columns, need, "the frame to draw")
    if frame.is_empty():
        raise DataError("nothing to draw: no number of segments")
    data = frame.select(need).sort("k")
    ks = data["k"].to_numpy()
    with canvas(7.6, 3.5, columns=2) as (figure, (left, right)):
        left.axhline(threshold, color="black", linewidth=1.0, linestyle=(0, (4, 3)))
        left.fill_between(ks, 0, data["null_95"].to_numpy(), color=GREY, alpha=0.25, linewidth=0)
        left.plot(ks, data["valley_z"].to_numpy(), color=OKABE_ITO[0], marker="o", linewidth=1.8)
        left.set_ylim(0.0, 1.12 * max(threshold, float(data["valley_z"].to_numpy().max()), 1.0))
        left.set_title("Empty ground between segments?", fontsize=10)
        note(
            left,
            "dashed: 5% of data without groups\nlie above it at some k; grey: 95% per k",
            (1.0, 0.98),
            edge="xy",
            ha="right",
            va="top",
            fontsize=8,
            color="#4d4d4d",
        )
        number_axis(left.yaxis, "Shallowest valley (standard errors)")
        error = 1.96 * data["stability_se"].to_numpy()
        right.errorbar(
            ks,
            data["stability"].to_numpy(),
            yerr=error,
            color=OKABE_ITO[3],
            marker="s",
            markersize=4.5,
            linewidth=1.6,
            capsize=2,
        )
        right.axhline(0.8, color="black", linewidth=1.0, linestyle=(0, (4, 3)))
        right.set_ylim(min(0.0, float((data["stability"].to_numpy() - error).min())), 1.04)
        right.set_title("Do the same segments come again?", fontsize=10)
        number_axis(right.yaxis, "Adjusted Rand index of refits")
        for axes in (left, right):
            axes.locator_params(axis="x", integer=True)
            number_axis(axes.xaxis, "Segments (k)")
            axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
        head(figure, title or f"Verdict: {verdict} segments")
    values = "; ".join(
        f"{number(r['valley_z'])} at k = {r['k']} (stability {number(r['stability'])})"
        for r in data.to_dicts()
    )
    text = (
        f"Verdict: {verdict} segments. Shallowest valley between neighbours, in standard errors, "
        f"against a threshold of {number(threshold)}: {values}."
    )
    return Figure(figure, text, data)


def criteria_over_k(frame: pl.DataFrame, *, chosen: int, title: str = "") -> Figure:
    """Draw each criterion over k in its own panel, and mark the k that it votes for.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per criterion and k: ``criterion``, ``k``, ``value``, ``se`` (may be null),
        ``voted`` (Boolean), ``rule`` (how it votes, in words).
    chosen : int
        The number of segments used, drawn as a dashed line.
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
    sentences = [
        f"{r['criterion']} votes for {r['k']} ({number(r['value'])})" for r in votes.to_dicts()
    ]
    text = f"Criteria over the number of segments, {chosen} in force: {'; '.join(sentences)}."
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
        voted["k"].to_numpy(),
        voted["value"].to_numpy(),
        linestyle="",
        marker="o",
        markersize=9,
        color=OKABE_ITO[3],
    )
    label = f"{name[:1].upper()}{name[1:]}"
    axes.set_title(wrap(label, 30), fontsize=9.5, pad=24)
    note(
        axes,
        wrap(part["rule"][0], 50),
        (0.0, 1.0),
        (0, 3),
        edge="xy",
        fontsize=7,
        color="#4d4d4d",
        va="bottom",
    )
    axes.locator_params(axis="x", integer=True)
    axes.locator_params(axis="y", nbins=5)
    number_axis(axes.xaxis, "Segments (k)")
    number_axis(axes.yaxis, "")
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_xlabel("Segments (k)", fontsize=8.5)
