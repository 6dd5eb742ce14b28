"""How often are segments fitted anew for nothing, and how soon when customers have changed?

A retailer with season, clean order lines, and customers of the last two years. Segments are fitted
after four years; each month of the fifth is compared with the same month of the year up to the
fit. Stationary: whatever fits anew is false. Planted: from the third month on every order's value
rises by 30%, discounts are doubled, or every second order is left out (a quarter of the seeds).
"""

import warnings
from datetime import date, timedelta

import polars as pl

import segkit
from segkit.monitor import decide_refresh, find_comparable_day
from segkit.simulate.catalogue import month_after
from segkit.simulate.world import START
from tests.studies._retail import shop
from tests.studies._study import arguments, over_seeds, publish, rate

SETTINGS = ("stationary", "order values +30%", "discounts doubled", "half of the orders")
PEOPLE = 1500
FIT, MONTHS, CHANGED = 48, 60, 51
DAYS = 730  # of history that a customer table is built from
VARIABLES = ["recency_days", "orders_per_year", "order_value_mean", "discount_share"]


def month_end(month: int) -> date:
    """Return the last day of a month of the history."""
    return month_after(START, month) - timedelta(days=1)


def number_of(day: date) -> int:
    """Return a day as the number that order lines have."""
    return (day - date(1970, 1, 1)).days


def changed(orders: pl.DataFrame, setting: str) -> pl.DataFrame:
    """Plant a change in the lines after the month of change."""
    late = pl.col("order_day") > number_of(month_end(CHANGED))
    if setting == SETTINGS[1]:
        factor = pl.when(late).then(1.3).otherwise(1.0)
        return orders.with_columns(pl.col("amount", "unit_price", "discount") * factor)
    if setting == SETTINGS[2]:
        most = pl.col("unit_price") * pl.col("quantity") * 0.9
        double = pl.min_horizontal(2 * pl.col("discount"), most)
        gross = pl.col("amount") + pl.col("discount")
        fresh = pl.when(late).then(double).otherwise(pl.col("discount"))
        return orders.with_columns(discount=fresh, amount=gross - fresh)
    if setting == SETTINGS[3]:
        return orders.filter(~late | (pl.col("order_id").hash(7) % 2 == 0))
    return orders


def customer_table(orders: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Return the customers of the last two years."""
    last = number_of(as_of)
    some = orders.filter(pl.col("order_day").is_between(last - DAYS + 1, last))
    return segkit.build_features(some, as_of=as_of, calendar="uk").frame


def task(setting: str, seed: int) -> dict[str, object]:
    """Follow one retailer for a year after the fit."""
    warnings.simplefilter("error")
    _, _, stationary = shop(seed, PEOPLE, months=MONTHS)
    orders = changed(stationary, setting)
    fitted = month_end(FIT)
    at_fit = customer_table(orders, fitted)
    model = segkit.cluster_customers(at_fit, features=VARIABLES, k=4, as_of=fitted).model
    decisions = []
    for month in range(FIT + 1, MONTHS + 1):
        as_of = month_end(month)
        reference = customer_table(orders, find_comparable_day(as_of, fitted))
        now = customer_table(orders, as_of)
        decisions.append(
            decide_refresh(
                model,
                at_fit,
                now,
                as_of=as_of,
                compared=(reference, now),
                earlier=decisions,
                seed=seed,
            )
        )
    actions = [one.action for one in decisions]
    first = actions.index("refit") + 1 if "refit" in actions else None
    return {
        "setting": setting,
        "seed": seed,
        "refit": first is not None,
        "months": None if first is None else first - (CHANGED - FIT),
        "alarms": sum(action != "keep" for action in actions),
    }


def main() -> None:
    """Run the study and publish its table."""
    options = arguments(__doc__, seeds=200, thin=1)
    cells = [(SETTINGS[0], seed) for seed in range(options.seeds)]
    planted = max(options.seeds // 4, 1)
    cells += [(setting, seed) for setting in SETTINGS[1:] for seed in range(planted)]
    results = over_seeds(task, cells, jobs=options.jobs, keep=options.keep)
    rows = []
    for (setting,), part in results.group_by("setting", maintain_order=True):
        share = rate(int(part["refit"].sum()), part.height)
        rows.append(
            {
                "setting": setting,
                "retailer_years": share["n"],
                "refit_rate": share["rate"],
                "low": share["low"],
                "high": share["high"],
                # without a change there is nothing to count from
                "median_months_to_refit": None
                if setting == SETTINGS[0]
                else part["months"].median(),
                "alarms_per_year": part["alarms"].mean(),
            }
        )
    note = (
        f"{PEOPLE} people, about 1,100 customers of the last two years; fitted after {FIT} months, "
        f"refreshed in the {MONTHS - FIT} after; changes begin {CHANGED - FIT} months after the "
        "fit and the months are counted from there; Wilson 95% intervals"
    )
    publish(pl.DataFrame(rows, infer_schema_length=None), "refresh", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
