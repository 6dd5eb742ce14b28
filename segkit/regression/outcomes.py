"""Table of drivers: features as of a day beside the outcomes after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl

from segkit.display import counted, is_share, percent
from segkit.errors import DataError, require_choice, require_columns, require_least
from segkit.features import CustomerTable, build_features
from segkit.features.build import compute_later_spend
from segkit.features.calendar import Calendar
from segkit.frames import is_sold, takes_frames
from segkit.result import Result

EPOCH = date(1970, 1, 1)
LABELS = {
    "later_orders": "orders in the period after",
    "later_spend": "spend in the period after",
    "later_buyer": "a purchase in the period after",
    "churned": "no purchase in the period after",
    "recency_days": "days since the last order",
    "frequency": "orders so far",
    "orders_per_year": "orders per year",
    "tenure_days": "days since the first order",
    "order_value_mean": "mean order value",
    "return_share": "share of value sent back",
    "discount_share": "share of value discounted",
    "category_breadth": "categories bought",
    "product_breadth": "products bought",
    "gift_share": "share of orders in gift seasons",
    "weekend_share": "share of orders at weekends",
    "channel_share_store": "share of orders in stores",
    "visits": "site visits",
    "carts_abandoned": "abandoned carts",
    "emails_opened": "e-mails opened",
    "emails_sent": "e-mails sent",
}
# Default predictors, where a source has them; none is a function of the others by definition.
USUAL = (
    *("recency_days", "frequency", "tenure_days", "order_value_mean", "return_share"),
    *("discount_share", "gift_share", "weekend_share", "channel_share_store", "visits"),
    *("carts_abandoned", "emails_opened"),
)
_MOST_MISSING, _SKEWED = 0.2, 2.0


@dataclass(frozen=True, slots=True, eq=False)
class DriverTable(Result):
    """Customers' features as of a cut date, with their later outcomes.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per customer known on the cut date: the features, then later_orders (orders with a
        sale), later_spend (net of returns), later_buyer and churned (1 or 0).
    features : tuple of str
        The features' names.
    cut : datetime.date
        The last day that features use.
    days : int
        Length of the period of outcomes, which begins the day after.
    definitions : polars.DataFrame
        What each feature means.
    """

    frame: pl.DataFrame
    features: tuple[str, ...]
    cut: date
    days: int
    definitions: pl.DataFrame

    @property
    def timing(self) -> str:
        """When predictors and outcomes were measured."""
        return (
            f"Predictors are as of {self.cut}; outcomes are of the {counted(self.days, 'day')} "
            "after it."
        )

    def where(self, condition: pl.Expr) -> DriverTable:
        """Return the table of the customers that meet a condition."""
        return replace(self, frame=self.frame.filter(condition))

    def predictors(self, wanted: Sequence[str] = ()) -> list[str]:
        """Return the predictors asked for; by default the usual ones in the table that vary.

        Raises
        ------
        ParameterError
            If a wanted predictor is not a feature.
        """
        for name in wanted:
            require_choice("feature", name, self.features)
        if wanted:
            return list(wanted)
        usual = self.frame.select(name for name in USUAL if name in self.features)
        return [
            column.name
            for column in usual.iter_columns()
            if column.null_count() <= _MOST_MISSING * len(column)
            and column.drop_nulls().n_unique() > 1
        ]

    def skewed(self, names: Sequence[str]) -> list[str]:
        """Return the columns to be used as log(1 + x): right-skewed and never negative."""
        skewed = []
        for name in names:
            if self.frame.schema[name].is_numeric():
                values = self.frame.get_column(name).drop_nulls().cast(pl.Float64)
                share = is_share(name) and (values <= 1).all()
                if not share and (values >= 0).all() and (values.skew() or 0.0) > _SKEWED:
                    skewed.append(name)
        return skewed

    @property
    def text(self) -> str:
        """Number of customers who ordered again after the cut date."""
        share = float(self.frame.get_column("later_buyer").mean() or 0.0)  # type: ignore[arg-type]
        return (
            f"Of {counted(self.frame.height, 'customer')} known on {self.cut}, {percent(share)} "
            f"bought in the {counted(self.days, 'day')} after it. {self.timing}"
        )


@takes_frames
def build_driver_table(
    orders: pl.DataFrame,
    events: pl.DataFrame | None = None,
    *,
    days: int = 90,
    cut: date | None = None,
    calendar: Calendar | str = "north",
    features: Sequence[str] | None = None,
    customers: pl.DataFrame | None = None,
    traits: Sequence[str] = (),
) -> DriverTable:
    """Combine each customer's features as of a cut date with the outcomes after it.

    Parameters
    ----------
    orders, events : polars.DataFrame
        Clean order lines and events; features use those up to the cut date alone.
    days : int
        Length of the period of outcomes.
    cut : datetime.date, optional
        Last day of the features; by default so that the period ends with the data.
    calendar, features
        As in `segkit.build_features`.
    customers : polars.DataFrame, optional
        Table of customers whose ``traits`` are added (region, gender ...).
    traits : sequence of str

    Returns
    -------
    DriverTable

    Raises
    ------
    DataError
        If no customer is known on the cut date, or the data end before the period does.
    ParameterError
        If ``days`` is not positive.

    Examples
    --------
    >>> lines = pl.DataFrame({
    ...     "customer_id": ["a", "a", "b", "a"], "order_id": ["1", "2", "3", "4"],
    ...     "order_day": [19_000, 19_050, 19_020, 19_100], "amount": [5.0, 6.0, 7.0, 8.0]})
    >>> table = build_driver_table(lines, days=30, features=["core"])
    >>> table.frame.select("customer_id", "later_orders", "churned").rows()
    [('a', 1, 0), ('b', 0, 1)]
    """
    require_columns(orders.columns, ["customer_id", "order_day", "amount"], "orders")
    require_least(days=(days, 1))
    last = orders.get_column("order_day").max()
    if not isinstance(last, int):
        raise DataError("there are no orders")
    at = cut or EPOCH + timedelta(days=last - days)
    table: CustomerTable = build_features(
        orders, events, as_of=at, calendar=calendar, features=features
    )
    names = tuple(name for name in table.frame.columns if name != "customer_id")
    spend = compute_later_spend(orders, after=at, days=days)
    later_orders = _later_orders(orders, at, days)
    frame = (
        table.frame.join(spend, on="customer_id", how="left")
        .join(later_orders, on="customer_id", how="left")
        .with_columns(pl.col("later_spend", "later_buyer", "later_orders").fill_null(0))
        .with_columns(churned=1 - pl.col("later_buyer"))
    )
    if traits and customers is not None:
        require_columns(customers.columns, ["customer_id", *traits], "customers")
        frame = frame.join(customers.select("customer_id", *traits), on="customer_id", how="left")
        names = (*names, *traits)
    return DriverTable(frame, names, at, days, table.definitions)


def _later_orders(orders: pl.DataFrame, cut: date, days: int) -> pl.DataFrame:
    first = (cut - EPOCH).days + 1
    order = "order_id" if "order_id" in orders.columns else "order_day"
    return (
        orders.filter(
            pl.col("order_day").is_between(first, first + days - 1) & is_sold(orders.columns)
        )
        .group_by("customer_id")
        .agg(later_orders=pl.col(order).n_unique().cast(pl.Int64))
    )
