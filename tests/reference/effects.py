"""Cliff's delta of two samples, pair by pair: what profiles compute over distinct values."""

import numpy as np

from segkit.errors import DataError
from segkit.stats.effects import delta_limits
from segkit.stats.intervals import estimate, floats


def cliffs_delta(one, two, *, level=0.95):
    """Measure by ranks how far one group's values lie above another's, from -1 to 1.

    ``delta = P(x > y) - P(x < y)``; its variance is that of the placements (DeLong, DeLong &
    Clarke-Pearson 1988), its limits are Feng & Cliff's (2004).
    """
    x, y = floats(one, two)
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    if x.size == 0 or y.size == 0:
        raise DataError(f"Cliff's delta needs values in both groups, got {x.size} and {y.size}")
    placed = [_dominance(x, np.sort(y)), _dominance(y, np.sort(x))]
    delta = float(placed[0].mean())
    spreads = [part.var(ddof=1) / part.size if part.size > 1 else np.nan for part in placed]
    low, high = delta_limits(delta, sum(spreads), level=level)
    return estimate(delta, float(low), float(high), level, "Cliff's delta (Feng & Cliff)")


def _dominance(values, other):
    """Return, for each value, the share of the others below it less that above it."""
    below = np.searchsorted(other, values, side="left")
    above = other.size - np.searchsorted(other, values, side="right")
    return (below - above) / other.size
