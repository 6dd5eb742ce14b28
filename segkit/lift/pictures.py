"""Pictures of a campaign's lift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.lift.verdicts import ALL

if TYPE_CHECKING:
    from segkit.lift.result import Lift
    from segkit.plot import Figure


def forest(lift: Lift, metric: str, arm: str | None, scale: str) -> Figure:
    """Draw effects by segment with their intervals, all customers first."""
    from segkit.plot import intervals

    some = lift.effects.filter(pl.col("metric") == metric)
    if arm is not None:
        some = some.filter(pl.col("arm") == arm)
    label, kind = some["label"][0], some["kind"][0]
    share = kind == "share"
    several = some["arm"].n_unique() > 1
    if scale == "shrunk":
        data = _both(some)
        group: str | None = "estimate"
        if several:
            data = data.with_columns(segment=pl.col("segment") + ", " + pl.col("arm"))
    else:
        columns = [scale, f"{scale}_low", f"{scale}_high"]
        data = some.select("segment", "arm", *(pl.col(c).alias(n) for c, n in zip(
            columns, ("effect", "low", "high"), strict=True)))  # fmt: skip
        group = "arm" if several else None
    factor = 100 if share and scale != "relative" else 1
    finite = [
        pl.when(pl.col(name).is_finite()).then(factor * pl.col(name)).alias(name)
        for name in ("effect", "low", "high")
    ]
    against = some["control"][0]
    who = "" if several else f" of {some['arm'][0]}"
    unit = f"difference, {'percentage points' if share else 'per customer'}"
    if scale == "relative":
        unit = f"relative lift over {against}"
    options: dict[str, Any] = {
        "interval": ("low", "high"),
        "group": group,
        "percent": scale == "relative",
        "title": f"{label[0].upper()}{label[1:]}{who} against {against}, "
        f"with {lift.level:.0%} intervals",
        "x_label": "",
        "y_label": unit,
    }
    return intervals(data.with_columns(finite), "segment", "effect", **options)


def _both(some: pl.DataFrame) -> pl.DataFrame:
    own = some.select(
        "segment", "arm", effect="difference", low="difference_low", high="difference_high",
        estimate=pl.lit("own data alone"),
    )  # fmt: skip
    moved = some.filter(pl.col("segment") != ALL).select(
        "segment", "arm", effect="shrunk", low="shrunk_low", high="shrunk_high",
        estimate=pl.lit("with strength from the others"),
    )  # fmt: skip
    return pl.concat([own, moved])
