"""Frame in, figure out: every picture of the house, none of which knows a model."""

from segkit.plot.basic import bars
from segkit.plot.cells import heatmap
from segkit.plot.compare import intervals, stacked, waterfall
from segkit.plot.describe import describe
from segkit.plot.figure import GREY, OKABE_ITO, Figure, canvas
from segkit.plot.ordered import lines
from segkit.plot.panels import histograms, small_lines
from segkit.plot.scatter import points
from segkit.plot.segments import clouds, panel_bars

__all__ = [
    "GREY",
    "OKABE_ITO",
    "Figure",
    "bars",
    "canvas",
    "clouds",
    "describe",
    "heatmap",
    "histograms",
    "intervals",
    "lines",
    "panel_bars",
    "points",
    "small_lines",
    "stacked",
    "waterfall",
]
