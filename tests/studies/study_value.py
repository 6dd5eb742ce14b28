"""Do the intervals of forecast orders and value cover what comes, where the model holds?

Shops are simulated under the BG/NBD and gamma-gamma models, observed for a year and followed for
the horizon. Counted: segments' and totals' 90% intervals that hold the true future, and the share
of customers within the central 90% of their predictive distribution (randomised, as orders are
counts), with the interval that `estimate_value` prints beside it.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from segkit.predict import count_purchases, estimate_value
from tests.studies._study import arguments, over_seeds, publish, rate

START, OBSERVED = date(2023, 1, 1), 365
DRAWS = 400
SETTINGS = {
    # customers, r, alpha, a, b, horizon
    "as CDNOW, 2,000 customers": (2_000, 0.243, 30.9, 0.793, 2.426, 180),
    "few repeats, 400 customers": (400, 0.15, 45.0, 0.8, 2.0, 180),
    "faithful, 1,000 customers": (1_000, 1.2, 90.0, 0.2, 2.5, 365),
}


def simulate_shop(setting: str, seed: int) -> tuple[pl.DataFrame, int]:
    """Draw every purchase of a shop's customers until the end of the horizon."""
    customers, r, alpha, a, b, horizon = SETTINGS[setting]
    rng = np.random.default_rng([seed, len(setting)])
    born = rng.uniform(0, OBSERVED * 0.8, customers)
    rate_ = rng.gamma(r, 1 / alpha, customers)
    leaves = rng.beta(a, b, customers)
    level = rng.gamma(3.74, size=customers)
    buyer, day = [np.arange(customers)], [born]
    now, active = born.copy(), np.ones(customers, dtype=bool)
    while active.any():
        now = now + np.where(active, rng.exponential(size=customers) / rate_.clip(1e-12), 0.0)
        active &= now < OBSERVED + horizon
        buyer.append(np.flatnonzero(active))
        day.append(now[active])
        active &= rng.random(customers) >= leaves
    who, when = np.concatenate(buyer), np.concatenate(day)
    spend = rng.gamma(6.25, size=len(who)) * 15.44 / level[who]
    return pl.DataFrame(
        {
            "customer_id": who.astype(str),
            "order_day": (START - date(1970, 1, 1)).days + when.astype(int),
            "amount": spend,
        }
    ), horizon


def task(setting: str, seed: int) -> dict[str, object]:
    """Forecast one shop and see what its intervals hold."""
    orders, horizon = simulate_shop(setting, seed)
    end = START + timedelta(days=OBSERVED - 1)
    last = (end - date(1970, 1, 1)).days
    segments = (
        orders.select("customer_id")
        .unique()
        .with_columns(segment=pl.col("customer_id").cast(pl.Int64) % 4)
    )
    value = estimate_value(
        orders,
        as_of=end,
        horizon_days=horizon,
        segments=segments,
        discount_rate=0.0,
        draws=DRAWS,
        seed=seed,
    )
    future = (
        orders.filter(pl.col("order_day") > last)
        .group_by("customer_id")
        .agg(
            pl.col("order_day").n_unique().alias("came"),
            pl.col("amount").sum().alias("spent"),
        )
    )
    came = (
        value.customers.select("customer_id", "segment", "orders_low", "orders_high")
        .join(future, on="customer_id", how="left", maintain_order="left")
        .with_columns(pl.col("came", "spent").fill_null(0))
    )
    sums = came.group_by("segment").agg(pl.col("came", "spent").sum())
    total = came.select(
        segment=pl.lit("all"), came=pl.col("came").sum(), spent=pl.col("spent").sum()
    )
    judged = value.segments.join(
        pl.concat([sums, total.cast(dict(sums.schema))]), on="segment", how="inner"
    ).with_columns(
        orders=pl.col("came").is_between("orders_low", "orders_high"),
        value=pl.col("spent").is_between("value_low", "value_high"),
    )
    part, whole = (
        judged.filter(pl.col("segment") != "all"),
        judged.filter(pl.col("segment") == "all"),
    )
    return {
        "setting": setting,
        "segments": part.height,
        "segment_orders": int(part["orders"].sum()),
        "segment_value": int(part["value"].sum()),
        "total_orders": int(whole["orders"].sum()),
        "total_value": int(whole["value"].sum()),
        "bias": float(whole["expected_value"][0] / whole["spent"][0] - 1),
        "customers": randomised(value, orders, end, horizon, came["came"].to_numpy(), seed),
        "printed": float(
            came["came"].is_between(came["orders_low"], came["orders_high"]).mean()  # type: ignore[arg-type]
        ),
        "converged": value.purchases.converged,
    }


def randomised(value, orders, end, horizon, came, seed) -> float:
    """Return the share of customers within the central 90% of their predictive distribution."""
    rng = np.random.default_rng([seed, 7])
    history = count_purchases(orders, as_of=end)
    below, until = np.zeros(len(came)), np.zeros(len(came))
    draw_orders = value.purchases.prepare_simulation(history, horizon)
    for point in value.purchases.draw_points(DRAWS, rng):
        drawn = draw_orders(rng, point)
        below += drawn < came
        until += drawn <= came
    place = (below + rng.random(len(came)) * (until - below + 1)) / (DRAWS + 1)
    return float(((place > 0.05) & (place < 0.95)).mean())


def main() -> None:
    """Run the study and publish its table."""
    options = arguments(__doc__, seeds=1_000, thin=2)
    cells = [(setting, seed) for seed in range(options.seeds) for setting in SETTINGS]
    runs = over_seeds(task, cells, jobs=options.jobs, keep=options.keep)
    rows = []
    for setting in SETTINGS:
        part = runs.filter(pl.col("setting") == setting)
        row: dict[str, object] = {"setting": setting, "seeds": part.height}
        for name in ("segment_orders", "segment_value", "total_orders", "total_value"):
            n = int(part["segments"].sum()) if name.startswith("segment") else part.height
            covered = rate(int(part[name].sum()), n)
            row |= {name: covered["rate"], f"{name}_low": covered["low"]}
            row[f"{name}_high"] = covered["high"]
        row |= {
            "customers_randomised": part["customers"].mean(),
            "customers_printed": part["printed"].mean(),
            "value_bias": part["bias"].mean(),
            "converged": part["converged"].mean(),
        }
        rows.append(row)
    note = (
        "Coverage of nominal 90% intervals under the model, 365 days observed; segments: four "
        "random groups;\ncustomers_randomised: share within the central 90% of the predictive "
        "distribution, randomised over ties;\ncustomers_printed: share within orders_low and "
        "orders_high; value_bias: expected over actual total, minus 1."
    )
    publish(pl.DataFrame(rows), "value", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
