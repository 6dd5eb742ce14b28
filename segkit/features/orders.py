"""Features from order lines: sums per customer in the engine, ratios in polars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from segkit.features.calendar import Calendar
from segkit.features.definitions import Catalogue, Feature, Pick, as_count, per_year, ratio
from segkit.features.products import PLURAL, Levels, add_products, listed_columns, product_features
from segkit.features.sources import (
    CUSTOMER,
    MICRO,
    TWO_PARTS,
    micro,
    spread,
    square_names,
    squares,
    within,
)

# A purchase line is one that is not a return; "gross" is what purchase lines add up to.
GROSS = "spend on purchase lines (returns not deducted)"


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """Facts about the order lines that planning the features needs.

    Attributes
    ----------
    columns : tuple of str
    first, as_of : int
        Day numbers of the first line and of the last day used.
    monetary : {"net", "gross"}
    channels : mapping of str to list of str
        Feature ending to the channel's names in the data.
    calendar : Calendar
    kinds : tuple of Levels
        The categories and brands that have features of their own.
    products : narwhals.LazyFrame or None
        Product table to be joined, as `read_products` returns it.
    customers : polars.Series or None
        The ids of all customers, once they are known from sums over the whole history.
    size : float
        Sum of the absolute amounts.
    """

    columns: tuple[str, ...]
    first: int
    as_of: int
    monetary: str
    channels: Mapping[str, list[str]]
    calendar: Calendar
    kinds: tuple[Levels, ...] = ()
    products: Any = None
    customers: pl.Series | None = None
    size: float = 0.0

    @property
    def parts(self) -> int:
        """Into how many parts order values are split before they are squared."""
        return 2 if self.size <= TWO_PARTS else 3

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Columns of the lines and of the products joined to them."""
        return (
            self.columns
            if self.products is None
            else (*self.columns, *listed_columns(self.products))
        )


def order_sums(lines: Any, facts: OrderFacts) -> Any:
    """Sum lines to orders and orders to customers: no distinct count is needed."""
    amount = micro(nw.col("amount"), lines)
    columns = {
        "amount": amount,
        "buy_day": nw.when(~nw.col("is_return")).then(nw.col("day")),
        "gross": nw.when(~nw.col("is_return")).then(amount).otherwise(0),
        "returned": nw.when(nw.col("is_return")).then(-amount).otherwise(0),
        "sent_back": nw.when(nw.col("is_return")).then(1).otherwise(0),
    }
    money = ["amount", "gross", "returned"]
    if "discount" in facts.columns:
        off = nw.when(~nw.col("is_return")).then(micro(nw.col("discount"), lines)).otherwise(0)
        columns |= {"discount": off, "cheaper": nw.when(off > 0).then(1).otherwise(0)}
        money.append("discount")
    else:
        columns["cheaper"] = nw.lit(0)
    orders = (
        lines.with_columns(**columns)
        .group_by(CUSTOMER, "order_id")
        .agg(
            nw.col("sent_back", "cheaper").max(),
            nw.col(*money).sum(),
            nw.col("buy_day").min().alias("first_day"),
            nw.col("buy_day").max().alias("last_day"),
        )
    )
    value = nw.col("amount" if facts.monetary == "net" else "gross").cast(nw.Int64)
    bought = ~nw.col("first_day").is_null()
    products = square_names("value", facts.parts)
    return (
        orders.with_columns(value=nw.when(bought).then(value))
        .with_columns(**squares("value", facts.parts))
        .group_by(CUSTOMER)
        .agg(
            nw.col("value").count().alias("n_orders"),
            nw.len().alias("n_any"),
            nw.col("sent_back").sum().alias("n_sent_back"),
            nw.col("cheaper").sum().alias("n_cheaper"),
            nw.col(*money).sum(),
            nw.col("first_day").min(),
            nw.col("last_day").max(),
            nw.col("value").sum().alias("value_sum"),
            nw.col(*products).sum(),
        )
        .with_columns(nw.col(*money, "value_sum", *products).cast(nw.Int64))
    )


def day_sums(lines: Any, facts: OrderFacts) -> Any:  # noqa: ARG001 - one signature for all blocks
    """Sum the gaps between a customer's days with a purchase."""
    days = lines.filter(~nw.col("is_return")).group_by(CUSTOMER, "day").agg(nw.len().alias("n"))
    earlier = nw.col("day").shift(1).over(CUSTOMER, order_by="day")
    return (
        days.with_columns(gap=(nw.col("day") - earlier).cast(nw.Float64))
        .with_columns(gap_squared=nw.col("gap") * nw.col("gap"))
        .group_by(CUSTOMER)
        .agg(
            nw.len().alias("n_days"),
            nw.col("gap").sum().alias("gap_sum"),
            nw.col("gap_squared").sum().alias("gap_squares"),
        )
    )


def spend_sums(lines: Any, facts: OrderFacts) -> Any:
    """Sum the spend on purchase lines by season, occasion, weekend and channel."""
    amount = micro(nw.col("amount"), lines)
    parts = {"spend": amount}
    span = (facts.first, facts.as_of)
    conditions = {
        **{f"season_{n}": within("day", r) for n, r in facts.calendar.season_days(*span).items()},
        **{
            f"occasion_{n}": within("day", r)
            for n, r in facts.calendar.occasion_days(*span).items()
        },
        "gift": within("day", facts.calendar.gift_days(*span)),
        "weekend": ((nw.col("day") + 3) % 7).is_in(list(facts.calendar.weekend)),
    }
    if "channel" in facts.columns:
        conditions["channel_known"] = ~nw.col("channel").is_null()
        for slug, names in facts.channels.items():
            conditions[f"channel_{slug}"] = nw.col("channel").is_in(names)
    for name, condition in conditions.items():
        parts[name] = nw.when(condition).then(amount).otherwise(0)
    return (
        lines.filter(~nw.col("is_return"))
        .with_columns(**parts)
        .group_by(CUSTOMER)
        .agg(nw.col(*parts).sum())
        .with_columns(nw.col(*parts).cast(nw.Int64))
    )


def _breadth(column: str) -> Callable[[Any, OrderFacts], Any]:
    def sums(lines: Any, facts: OrderFacts) -> Any:
        lines = lines if column == "product_id" else add_products(lines, facts.products)
        bought = lines.filter(~nw.col("is_return") & ~nw.col(column).is_null())
        pairs = bought.group_by(CUSTOMER, column).agg(nw.len().alias("n"))
        return pairs.group_by(CUSTOMER).agg(nw.len().alias("n"))

    return sums


# Each block and the columns beyond customer_id, order_id, day, amount and is_return it reads.
BLOCKS: dict[str, Callable[[Any, OrderFacts], Any]] = {
    "orders": order_sums,
    "days": day_sums,
    "spend": spend_sums,
    "category": _breadth("category"),
    "product_id": _breadth("product_id"),
}
# Sums that are unknown, not zero, for a customer without lines in the window.
NO_ZERO = frozenset({"first_day", "last_day"})


def order_catalogue(facts: OrderFacts) -> Catalogue:
    """List the features that these order lines allow."""
    calendar = facts.calendar
    skipped: list[tuple[str, str]] = []
    rate = per_year("orders_per_year", "orders", "frequency", "orders.n_orders", facts.as_of)
    features = [*_core(facts), rate, *_rhythm(), *_returns()]
    if "discount" in facts.columns:
        features += _discounts()
    else:
        reason = "orders have no column discount"
        skipped += [("discount_share", reason), ("discounted_order_share", reason)]
    for name, column, what in (
        ("category_breadth", "category", "categories"),
        ("product_breadth", "product_id", "products"),
    ):
        if column in facts.all_columns:
            features.append(_breadth_feature(name, column, what))
        else:
            skipped.append((name, f"orders have no column {column}"))
    for season in calendar.seasons:
        features.append(_share(f"season_share_{season}", "seasons", f"season_{season}", "season"))
    for occasion in calendar.occasions:
        sums, words = f"occasion_{occasion.name}", f"occasion, calendar {calendar.name!r}"
        features.append(_share(f"occasion_share_{occasion.name}", "occasions", sums, words))
    if any(occasion.gift for occasion in calendar.occasions):
        words = f"gift occasion, calendar {calendar.name!r}"
        features.append(_share("gift_share", "occasions", "gift", words))
    features.append(_share("weekend_share", "weekend", "weekend", "weekend"))
    if "channel" in facts.columns:
        features += [
            _share(f"channel_share_{slug}", "channels", f"channel_{slug}", "channel")
            for slug in facts.channels
        ]
    else:
        skipped.append(("channel_share", "orders have no column channel"))
    for levels in facts.kinds:
        features += product_features(levels, facts.as_of)
    skipped += [
        (group, f"orders have no column {column}")
        for column, group in PLURAL.items()
        if column not in facts.all_columns
    ]
    features.append(trend("orders_trend", "trends", "orders", "orders", "orders.n_orders"))
    return Catalogue(tuple(features), tuple(skipped))


def _order(
    name: str, group: str, unit: str, formula: str, empty: str, value: Callable[[Pick], pl.Expr]
) -> Feature:
    return Feature(name, group, unit, "orders", formula, empty, value)


def _core(facts: OrderFacts) -> list[Feature]:
    net = facts.monetary == "net"
    policy = "net of returns" if net else "gross, returns not deducted"
    lines = "all lines" if net else "purchase lines"
    none = "null without a purchase"
    return [
        _order("recency_days", "core", "days", "as_of minus the day of the last purchase line",
               none, lambda c: as_count(facts.as_of - c("orders.last_day"))),
        _order("frequency", "core", "orders", "orders with at least one purchase line (an order "
               "of returns alone is not counted)", "zero without a purchase",
               lambda c: as_count(c("orders.n_orders"))),
        _order("monetary", "core", "money", f"sum of the amounts of {lines} ({policy})",
               "zero without a line", lambda c: c("orders.amount" if net else "orders.gross")),
        _order("tenure_days", "core", "days", "as_of minus the day of the first purchase line",
               none, lambda c: as_count(facts.as_of - c("orders.first_day"))),
        _order("order_value_mean", "core", "money", "mean, over the orders counted by frequency, "
               f"of the sum of the order's lines ({policy} within the order)", none,
               lambda c: ratio(c("orders.value_sum").cast(pl.Float64),
                               c("orders.n_orders") * float(MICRO))),
        _order("order_value_std", "core", "money", "standard deviation (n - 1) of the same order "
               "values", "null below two orders",
               lambda c: _value_std(c, facts.parts)),
    ]  # fmt: skip


def _value_std(c: Pick, parts: int) -> pl.Expr:
    products = [c(f"orders.{name}") for name in square_names("value", parts)]
    return spread(c("orders.n_orders"), c("orders.value_sum"), products, parts)


def _rhythm() -> list[Feature]:
    def mean(c: Pick) -> pl.Expr:
        return ratio(c("days.gap_sum"), c("days.n_days") - 1)

    def cv(c: Pick) -> pl.Expr:
        n = c("days.n_days") - 1
        squares = c("days.gap_squares") - c("days.gap_sum") * c("days.gap_sum") / n
        spread = (pl.max_horizontal(squares, pl.lit(0.0)) / (n - 1)).sqrt()
        return pl.when(n > 1).then(spread / mean(c))

    return [
        _order("gap_days_mean", "rhythm", "days", "mean number of days from one day with a "
               "purchase to the next", "null below two purchase days", mean),
        _order("gap_days_cv", "rhythm", "ratio", "standard deviation (n - 1) of these gaps over "
               "their mean: 0 is clockwork, about 1 is chance", "null below three purchase days",
               cv),
    ]  # fmt: skip


def _returns() -> list[Feature]:
    return [
        _order("return_share", "returns", "share", "value of return lines over the spend on "
               "purchase lines; above 1 where what is returned was bought before the window",
               "null without spend", lambda c: ratio(c("orders.returned"), c("orders.gross"))),
        _order("return_order_share", "returns", "share", "orders with a return line over all "
               "orders", "null without an order",
               lambda c: ratio(c("orders.n_sent_back"), c("orders.n_any"))),
    ]  # fmt: skip


def _discounts() -> list[Feature]:
    return [
        _order("discount_share", "discounts", "share", "money off on purchase lines over spend "
               "plus money off (the list value)", "null without spend",
               lambda c: ratio(c("orders.discount"), c("orders.gross") + c("orders.discount"))),
        _order("discounted_order_share", "discounts", "share", "orders with money off on a "
               "purchase line over the orders counted by frequency", "null without a purchase",
               lambda c: ratio(c("orders.n_cheaper"), c("orders.n_orders"))),
    ]  # fmt: skip


def _breadth_feature(name: str, column: str, what: str) -> Feature:
    formula = f"number of different {what} among the purchase lines (unknown {what} not counted)"
    none = "zero without one"
    return _order(name, "breadth", "count", formula, none, lambda c: as_count(c(f"{column}.n")))


def _share(name: str, group: str, part: str, words: str) -> Feature:
    channel = group == "channels"
    base = "spend.channel_known" if channel else "spend.spend"
    of = f"{GROSS} of a known channel" if channel else GROSS
    formula = f"share of the {of} that falls into the {words}"
    return _order(name, group, "share", formula, "null without spend",
                  lambda c: ratio(c(f"spend.{part}"), c(base)))  # fmt: skip


def trend(name: str, group: str, source: str, words: str, total: str) -> Feature:
    """Define the trend of a count: the last period against the one before, from -1 to 1."""

    def value(c: Pick) -> pl.Expr:
        now, then = c(total), c(f"{total}_before")
        return ratio(now - then, now + then)

    formula = (
        f"(last - before) / (last + before) of the number of {words} in the last period and in "
        "the one of the same length before it; 1 where the earlier period has none"
    )
    empty = "null where both periods have none"
    return Feature(name, group, "ratio", source, formula, empty, value, trend=True)
