"""Figures from data frames, with alternative text and data; no fitted model is needed."""

from segkit.plot.bar_charts import bars, panel_bars
from segkit.plot.compare import intervals, stacked, waterfall
from segkit.plot.describe import describe
from segkit.plot.figure import GREY, OKABE_ITO, Figure, canvas
from segkit.plot.flows import flow_bands
from segkit.plot.heatmaps import heatmap
from segkit.plot.line_charts import lines, watched_line
from segkit.plot.scatter import clouds, histograms, points

__all__ = [
    "GREY",
    "OKABE_ITO",
    "Figure",
    "bars",
    "canvas",
    "clouds",
    "describe",
    "flow_bands",
    "heatmap",
    "histograms",
    "intervals",
    "lines",
    "panel_bars",
    "points",
    "stacked",
    "watched_line",
    "waterfall",
]
