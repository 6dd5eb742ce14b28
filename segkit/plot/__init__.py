"""Frame in, figure out: every picture of the house, none of which knows a model."""

from segkit.plot.basic import bars, heatmap, lines, points
from segkit.plot.describe import describe
from segkit.plot.figure import GREY, OKABE_ITO, Figure, canvas

__all__ = [
    "GREY",
    "OKABE_ITO",
    "Figure",
    "bars",
    "canvas",
    "describe",
    "heatmap",
    "lines",
    "points",
]
