"""Large tables in pieces of customers, so that memory stays bounded whatever their number.

Lines to orders needs room for every order at once. Customers never meet in a sum, so a table can
be added up in ranges of customer ids, one after the other; comparing ids is what every engine can
do alike. Each piece costs another scan of the columns needed.
"""

from __future__ import annotations

import math
from typing import Any

import narwhals as nw

from segkit.features.engines import collect
from segkit.features.sources import CUSTOMER, Rows
from segkit.features.windows import Window

ROWS_A_PIECE = 20_000_000
SAMPLED_DAYS = 8


def pieces(rows: Rows, window: Window) -> list[Any]:
    """Give the window's rows as lazy frames of disjoint customers; one frame where few rows."""
    frame = rows.window(window)
    first = rows.first if window.after is None else max(rows.first, window.after + 1)
    share = max(0, min(window.until, rows.final) - first + 1) / (rows.final - rows.first + 1)
    count = math.ceil(rows.n_used * share / ROWS_A_PIECE)
    bounds = _bounds(rows, count) if count > 1 else []
    if not bounds:
        return [frame]
    customer = nw.col(CUSTOMER)
    lower = [None, *bounds]
    upper = [*bounds, None]
    ranges = []
    for start, end in zip(lower, upper, strict=True):
        part = frame if start is None else frame.filter(customer >= start)
        ranges.append(part if end is None else part.filter(customer < end))
    return ranges


def _bounds(rows: Rows, count: int) -> list[str]:
    """Choose ids that part the customers evenly, from those seen on a few days."""
    step = (rows.final - rows.first) / (SAMPLED_DAYS - 1)
    days = sorted({rows.first + round(k * step) for k in range(SAMPLED_DAYS)})
    some = rows.frame.filter(nw.col("day").is_in(days)).group_by(CUSTOMER)
    seen = collect(some.agg(nw.len().alias("n")))[CUSTOMER].drop_nulls().sort()
    at = [seen.len() * k // count for k in range(1, count)]
    return sorted({str(seen[k]) for k in at}) if seen.len() else []
