"""How large each segment is, and what it is worth: shares of customers and of revenue."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from segkit.errors import require_columns
from segkit.profile.members import Floats, Members
from segkit.stats.intervals import mean_skewed, wilson, z_value

EPOCH = date(1970, 1, 1)


def revenue_of(
    members: Members, orders: pl.DataFrame | None, as_of: date | None
) -> tuple[Floats | None, str]:
    """Return each customer's net revenue and where it comes from.

    From the order lines up to ``as_of``; without orders, from the table's ``monetary``; without
    that, ``None``. Customers without an order line have zero.
    """
    if orders is not None:
        require_columns(orders.columns, ["customer_id", "amount", "order_day"], "orders")
        kept = orders
        if as_of is not None:
            kept = orders.filter(pl.col("order_day") <= (as_of - EPOCH).days)
        sums = kept.group_by("customer_id").agg(pl.col("amount").sum())
        joined = members.frame.select("customer_id").join(
            sums, on="customer_id", how="left", maintain_order="left"
        )
        return joined.get_column("amount").fill_null(0.0).cast(pl.Float64).to_numpy(), (
            "net order lines up to the as-of date"
        )
    if "monetary" in members.frame.columns:
        column = members.frame.get_column("monetary").cast(pl.Float64).fill_null(0.0).fill_nan(0.0)
        return column.to_numpy(), "the column monetary"
    return None, "neither orders nor a column monetary"


def last_day(orders: pl.DataFrame | None) -> date | None:
    """Return the last order day, or ``None`` without orders."""
    if orders is None or "order_day" not in orders.columns or orders.height == 0:
        return None
    return date.fromordinal(EPOCH.toordinal() + int(orders.get_column("order_day").max()))  # type: ignore[arg-type]


def weigh(
    members: Members, revenue: Floats | None, kpi: Floats | None, *, level: float
) -> pl.DataFrame:
    """Return one row a segment: see `segkit.profile.Profile`'s ``segments``.

    The share of revenue is a ratio of sums; its interval is the linearised one of Cochran (1977,
    Sampling Techniques, section 6.4), revenue of customers being skewed: read it as rough for
    segments of a few dozen.
    """
    within = members.within
    n = within.shape[1]
    size = within.sum(axis=1)
    share = wilson(size, n, level=level)
    columns: dict[str, object] = {
        "customers": size,
        "customer_share": share.value,
        "customer_share_low": share.low,
        "customer_share_high": share.high,
        **_revenue(within.astype(np.float64), revenue, level),
    }
    if revenue is not None:
        columns |= _per_customer("revenue_per_customer", revenue, members, level)
    if kpi is not None:
        columns |= _per_customer("kpi", kpi, members, level)
    return pl.concat([members.keys(), pl.DataFrame(columns)], how="horizontal").fill_nan(None)


def _revenue(within: Floats, revenue: Floats | None, level: float) -> dict[str, object]:
    names = ("revenue_share", "revenue_share_low", "revenue_share_high")
    blank = np.full(within.shape[0], np.nan)
    if revenue is None:
        return {"revenue": blank, **dict.fromkeys(names, blank)}
    sums, total, n = within @ revenue, revenue.sum(), revenue.size
    if total <= 0 or n < 2:
        return {"revenue": sums, **dict.fromkeys(names, blank)}
    share = sums / total
    residual = within * revenue - share[:, None] * revenue
    reach = z_value(level) * np.sqrt(n * residual.var(axis=1, ddof=1)) / total
    return {"revenue": sums, **dict(zip(names, (share, share - reach, share + reach), strict=True))}


def _per_customer(name: str, values: Floats, members: Members, level: float) -> dict[str, object]:
    found = []
    for inside in members.within:
        own = values[inside]
        own = own[np.isfinite(own)]
        if own.size < 2:
            found.append((own.mean() if own.size else np.nan, np.nan, np.nan))
            continue
        mean, sd = own.mean(), own.std(ddof=1)
        skewness = ((own - mean) ** 3).mean() / own.std() ** 3 if sd > 0 else 0.0
        interval = mean_skewed(mean, sd, own.size, skewness, level=level)
        found.append((mean, interval.low, interval.high))
    columns = np.array(found).reshape(-1, 3).T
    return dict(zip((name, f"{name}_low", f"{name}_high"), columns, strict=True))
