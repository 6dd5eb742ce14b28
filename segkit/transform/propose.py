"""Which steps does a column call for? A stated rule on its name and shape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from segkit.display import is_share, number
from segkit.transform.column import Column
from segkit.transform.shapes import shape_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SKEWED = 1.0
HEAVY_TAILED = 3.0
TAILS = (0.001, 0.999)


def family(name: str) -> str | None:
    """Return the whole that a column is one part of, by its name, or None.

    Examples
    --------
    >>> family("season_share_winter_365d"), family("return_share"), family("time_seconds_home")
    ('season_share', None, 'time_seconds')
    """
    for stem in ("_share_", "_seconds_"):
        if stem in name:
            tail = name.split(stem, 1)[1]
            window = tail[:-1].isdigit() and tail.endswith("d")
            return None if window else name.split(stem, 1)[0] + stem.rstrip("_")
    return None


def _skewness(values: Floats) -> tuple[float, float]:
    """Return skewness and excess kurtosis (population moments); zeros for constant values."""
    gap = values - values.mean() if values.size else values
    variance = float(np.mean(gap * gap)) if values.size else 0.0
    if variance <= 1e-300:
        return 0.0, 0.0
    return float(np.mean(gap**3)) / variance**1.5, float(np.mean(gap**4)) / variance**2 - 3.0


def propose_column(name: str, raw: Floats, families: bool) -> Column:
    """Propose one column's steps and say why; see `Transform.propose` for the rule."""
    missing = np.isnan(raw)
    values = np.sort(raw[~missing])
    shape, why = _proposed_shape(name, values)
    column = Column(name, shape, why=why, group=family(name) if families else None)
    if missing.any():
        off = any(word in name for word in ("recency", "gap_days"))
        fill = "worst" if off and not name.endswith("_cv") else "median"
        column = replace(column, fill=fill, why=f"{why}; {int(missing.sum())} missing")
    if (
        shape not in ("none", "log1p", "signed_log")
        or values.size == 0
        or len(np.unique(values)) < 3
    ):
        return column
    kurtosis = _skewness(shape_values(column, values))[1]
    if kurtosis <= HEAVY_TAILED:
        return column
    return replace(
        column, winsor=TAILS, why=f"{column.why}; heavy tails left (kurtosis {number(kurtosis)})"
    )


def _proposed_shape(name: str, values: Floats) -> tuple[str, str]:
    if values.size == 0:
        return "none", "no values"
    if len(np.unique(values[:: max(1, values.size // 1000)])) <= 2 and len(np.unique(values)) <= 2:
        return "none", "two values only"
    if (is_share(name) or "_share" in name) and values[0] >= 0 and values[-1] <= 1:
        return "arcsine", "a share of one"
    skewness = _skewness(values)[0]
    if values[0] >= 0 and skewness > SKEWED:
        return "log1p", f"never negative, skewness {number(skewness)} is above {number(SKEWED)}"
    if values[0] < 0 and abs(skewness) > SKEWED:
        return "signed_log", f"has negative values, skewness {number(skewness)}"
    return "none", f"skewness {number(skewness)} is slight"
