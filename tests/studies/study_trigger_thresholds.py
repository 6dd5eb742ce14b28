"""How often do customers flip between segments, and how late is a true change seen?

Customers view products as a Poisson process; the rule enters at 5 views within 14 days. Noise: 300
customers whose rate stays where they have 4 views in 14 days on average, for a year. True change:
300 customers who go from 12 views in 14 days to 1 at a known moment. Settings: no hysteresis,
leave thresholds below 4, 3, 2 and 1 views, each without dwell time and with one of 1 and 3 days.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from segkit.live import TriggerRules, compare_thresholds
from tests.studies._study import arguments, publish

RULES = """
version = 1
[values]
views = { count = "product_view", within = "14 days" }
[[rules]]
name = "Browsing"
enter = "views >= 5"
segment = "Browsing"
"""
LEAVE = ("", "views < 4", "views < 3", "views < 2", "views < 1")
DWELL = ("0 seconds", "1 day", "3 days")
START, DAYS, CHANGE = datetime(2025, 1, 1, tzinfo=UTC), 365, 180
FORTNIGHT = 14.0
PICTURE = Path("docs/_static/trigger_thresholds.svg")


def views(customers: int, *, changing: bool, seed: int) -> pl.DataFrame:
    """Draw product views; those who change go from 12 to 1 view in 14 days at a known day."""
    rng = np.random.default_rng([seed, changing])
    rows = []
    for customer in range(customers):
        spans = [(0, CHANGE, 12.0), (CHANGE, DAYS, 1.0)] if changing else [(0, DAYS, 4.0)]
        for first, last, rate in spans:
            days = rng.uniform(first, last, rng.poisson(rate * (last - first) / FORTNIGHT))
            rows += [(f"C{customer}", START + timedelta(days=float(day))) for day in days]
    frame = pl.DataFrame(rows, schema=["customer_id", "event_time"], orient="row")
    return frame.with_columns(
        pl.col("event_time").cast(pl.Datetime("us", "UTC")), event_type=pl.lit("product_view")
    )


def main() -> None:
    """Run the study, publish its table and draw the trade-off."""
    options = arguments(__doc__, seeds=300, thin=20)
    rules = TriggerRules.parse(RULES)
    noise, change = (
        compare_thresholds(
            rules,
            events=views(options.seeds, changing=changing, seed=1),
            rule="Browsing",
            leave=LEAVE,
            dwell=DWELL,
            as_of=date(2025, 12, 31),
        )
        for changing in (False, True)
    )
    each = noise.changes.group_by("leave", "dwell", "customer_id").len()
    flips = each.group_by("leave", "dwell").agg(
        flips_per_customer_year=pl.col("len").sum() / options.seeds,
        squares=(pl.col("len").cast(pl.Float64) ** 2).sum() / options.seeds,
    )
    error = (pl.col("squares") - pl.col("flips_per_customer_year") ** 2).sqrt()
    flips = flips.with_columns(half=1.96 * error / options.seeds**0.5)
    moment = START + timedelta(days=CHANGE)
    left = change.changes.filter(~pl.col("inside") & (pl.col("time") > moment))
    days = (pl.col("time").min() - moment).dt.total_seconds() / 86_400
    delays = (
        left.group_by("leave", "dwell", "customer_id")
        .agg(days=days)
        .group_by("leave", "dwell")
        .agg(
            seen=pl.len() / options.seeds,
            median_days=pl.col("days").median(),
            days_90th=pl.col("days").quantile(0.9),
        )
    )
    order = [(leave, dwell) for dwell in DWELL for leave in LEAVE]
    table = (
        pl.DataFrame(order, schema=["leave", "dwell"], orient="row")
        .join(flips, on=["leave", "dwell"], how="left", maintain_order="left")
        .join(delays, on=["leave", "dwell"], how="left", maintain_order="left")
        .with_columns(
            low=pl.col("flips_per_customer_year") - pl.col("half"),
            high=pl.col("flips_per_customer_year") + pl.col("half"),
            leave=pl.col("leave").replace("", "views < 5 (no hysteresis)"),
        )
        .select("leave", "dwell", "flips_per_customer_year", "low", "high", "seen",
                "median_days", "days_90th")
    )  # fmt: skip
    note = "enter: views >= 5 within 14 days; flips on noise at 4 views in 14 days; true change"
    publish(table, "trigger_thresholds", thin=options.thin, note=note + " from 12 to 1")
    if not options.thin:
        from segkit import plot

        dwell = pl.when(pl.col("dwell") == "0 seconds").then(pl.lit("no dwell time"))
        figure = plot.lines(
            table.with_columns(dwell.otherwise(pl.col("dwell") + " dwell").alias("dwell")),
            "median_days", "flips_per_customer_year", group="dwell",
            title="Lower leave thresholds: fewer flips, later exits",
            x_label="Median days until a true change is seen",
            y_label="Flips per customer and year on noise",
        )  # fmt: skip
        figure.save(PICTURE)


if __name__ == "__main__":
    main()
