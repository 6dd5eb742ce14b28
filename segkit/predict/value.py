"""Customer value over a future horizon, with intervals for customers, segments and the firm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, money, number, percent
from segkit.errors import (
    DataError,
    ModelError,
    ParameterError,
    require_columns,
    require_least,
    require_range,
)
from segkit.features.calendar import check_days
from segkit.frames import takes_frames
from segkit.ids import require_unique
from segkit.predict.histories import (
    MONTHS_NEEDED,
    SHORTEST,
    Season,
    check_as_of,
    count_purchases,
    customer_days,
    estimate_season,
    in_season,
)
from segkit.predict.likelihood import Array
from segkit.predict.purchases import CHUNK, PurchaseModel, PurchaseModelName, fit_purchases
from segkit.predict.spend import SpendModel, fit_spend
from segkit.result import Figure, Result, StoredModel, read_fields
from segkit.stats.intervals import ci_words

STEPS = 6  # parts of the horizon between which discounting is interpolated
PARTS = 60  # of the horizon, between which the time of the next purchase is interpolated


@dataclass(frozen=True, slots=True, eq=False)
class ValueModel(StoredModel):
    """The models fitted by `estimate_value`, to be stored and applied to other or later orders.

    Attributes
    ----------
    purchases : PurchaseModel
    spend : SpendModel
    season : tuple of float
        Purchase intensity of January to December, 1 on average.
    horizon_days : int
    discount_rate : float
        Per year.
    margin : float
        Share of revenue counted as value.
    """

    KIND: ClassVar[str] = "value"

    purchases: PurchaseModel
    spend: SpendModel
    season: tuple[float, ...]
    horizon_days: int
    discount_rate: float
    margin: float

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        season = tuple(float(month) for month in data["season"])
        if len(season) != 12 or not np.isfinite(season).all() or min(season) <= 0:
            raise ModelError("the season of the stored value model is not one of twelve months")
        parts = {
            "purchases": PurchaseModel.from_data(data["purchases"]),
            "spend": SpendModel.from_data(data["spend"]),
            "season": season,
        }
        return read_fields(cls, data, {}, **parts)

    def to_frame(self) -> pl.DataFrame:
        """Return the parameters of both models."""
        parts = {"orders": self.purchases.to_frame(), "spend": self.spend.to_frame()}
        return pl.concat(
            [
                frame.select(pl.lit(name).alias("model"), "parameter", "estimate", "standard_error")
                for name, frame in parts.items()
            ]
        )

    @property
    def text(self) -> str:
        """State what was fitted."""
        return f"{self.purchases.text} {self.spend.text}"

    @takes_frames
    def predict(
        self, orders: pl.DataFrame | pl.LazyFrame, *, as_of: date | None = None
    ) -> pl.DataFrame:
        """Compute the expectations of each customer with a purchase.

        Parameters
        ----------
        orders : polars or pandas frame
            As `count_purchases` takes them; other customers than those fitted, or later orders.
        as_of : date, optional
            Last day of the observation, inclusive; by default the last day in the data.

        Returns
        -------
        polars.DataFrame
            customer_id, p_alive, p_order, expected_orders, spend_per_order, expected_value (see
            `Value`), next_date: the day by which half of those like the customer who order within
            the horizon will have ordered.
        """
        end = check_as_of(orders, as_of)
        history = count_purchases(orders, as_of=end)
        timed, passed = self.count_time(history, end, PARTS)
        _, (middle,) = self.purchases.predict_times(timed, passed, [0.5])
        days = pl.Series("days", middle * self.horizon_days).ceil()
        return self.expect(history, end).with_columns(
            next_date=pl.lit(end) + pl.duration(days=pl.lit(days))
        )

    @takes_frames
    def count_time(
        self, history: pl.DataFrame, end: date, parts: int
    ) -> tuple[pl.DataFrame, Array]:
        """Return the history, and equal parts of the horizon, in seasonal days."""
        season = Season(np.array(self.season), MONTHS_NEEDED)
        return in_season(history, season, end, self.horizon_days, parts)

    @takes_frames
    def expect(self, history: pl.DataFrame, end: date) -> pl.DataFrame:
        """Return the expectations of customers with a history up to ``end``."""
        timed, passed = self.count_time(history, end, STEPS)
        value = pl.col("expected_orders") * pl.col("spend_per_order")
        return (
            self.purchases.predict(timed, passed[-1])
            .with_columns(spend_per_order=pl.Series(self.spend.predict(history)))
            .with_columns(expected_value=value * pl.Series(self.weigh(timed, passed)))
        )

    @takes_frames
    def weigh(self, timed: pl.DataFrame, passed: Array) -> Array:
        """Compute each customer's mean discount factor of the orders to come, times the margin.

        ``passed`` are the seasonal days at the horizon's `STEPS` parts.
        """
        if self.discount_rate == 0:
            return np.full(timed.height, self.margin)
        orders = np.stack([self.purchases.predict(timed, one)["expected_orders"] for one in passed])
        added = np.diff(orders, axis=0, prepend=0.0)
        middle = (np.arange(STEPS) + 0.5) / STEPS * self.horizon_days / 365.25
        factors = (1 + self.discount_rate) ** -middle
        return np.asarray((factors @ added) / orders[-1].clip(1e-300) * self.margin)


Places = npt.NDArray[np.int64]
TOP = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Value(Result):
    """Expected orders and value of each customer, segment and all, within a horizon.

    Attributes
    ----------
    customers : polars.DataFrame
        One row per customer: customer_id, segment (where given), p_alive (has not become
        inactive), p_order (at least one order within the horizon), expected_orders,
        spend_per_order, expected_value (discounted, times the margin), orders_low, orders_high,
        value_low, value_high (limits of the prediction interval), p_top (probability of being among
        the 20% of highest value).
    segments : polars.DataFrame
        One row per segment and one for all customers ("all"): segment, customers, active (expected
        number), expected_orders, orders_low, orders_high, expected_value, value_low, value_high,
        value_per_customer, share_of_value.
    purchases : PurchaseModel
    spend : SpendModel
    season : tuple of float
        Purchase intensity of January to December, 1 on average; all 1 where no season was used.
    as_of : date
        Last day of the observation, inclusive.
    horizon_days : int
    discount_rate : float
        Per year.
    margin : float
        Share of revenue counted as value.
    level : float
        Nominal coverage of the intervals.
    notes : tuple of str
        Caveats.
    currency : str or None
        Of the amounts, written behind them.
    """

    customers: pl.DataFrame
    segments: pl.DataFrame
    purchases: PurchaseModel
    spend: SpendModel
    season: tuple[float, ...]
    as_of: date
    horizon_days: int
    discount_rate: float
    margin: float
    level: float
    notes: tuple[str, ...]
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return the segments and the total."""
        return self.segments

    @property
    def model(self) -> ValueModel:
        """The fitted models as one, to be stored and applied to other orders."""
        return ValueModel(
            self.purchases,
            self.spend,
            self.season,
            self.horizon_days,
            self.discount_rate,
            self.margin,
        )

    @property
    def words(self) -> dict[str, str]:
        """Each segment's expected value per customer, in words, as `write_personas` takes them."""
        return {
            row["segment"]: f"{money(row['value_per_customer'], self.currency)} per customer "
            f"expected in the next {counted(self.horizon_days, 'day')}"
            for row in self.segments.iter_rows(named=True)
        }

    @property
    def text(self) -> str:
        """State the total with its interval."""
        total = self.segments.row(-1, named=True)
        sentence = (
            f"{counted(total['customers'], 'customer is', 'customers are')} expected to be worth "
            f"{money(total['expected_value'], self.currency)} in the "
            f"{counted(self.horizon_days, 'day')} after {self.as_of.isoformat()} "
            f"({percent(self.level, places=0)} CI {money(total['value_low'])} to "
            f"{money(total['value_high'])}). "
            f"{number(round(total['active']))} of them are expected to be still active. The "
            "interval takes the model as right; backtest_value shows how far it was off before."
        )
        return " ".join([sentence, *self.notes])

    @property
    def answer(self) -> str:
        """State the total with its interval."""
        total = self.segments.row(-1, named=True)
        limits = ci_words(total["value_low"], total["value_high"], self.level, money)
        return (
            f"{money(total['expected_value'], self.currency)} in the "
            f"{counted(self.horizon_days, 'day')} after {self.as_of.isoformat()} ({limits}), "
            f"from {counted(total['customers'], 'customer')}."
        )

    def plot(self) -> Figure:
        """Draw the expected value of each segment with its interval."""
        from segkit.plot import intervals

        shown = self.segments.filter(pl.col("segment") != "all")
        if shown.is_empty():
            shown = self.segments
        return intervals(
            shown,
            "segment",
            "expected_value",
            interval=("value_low", "value_high"),
            reference=None,
            title=f"Expected value in the next {counted(self.horizon_days, 'day')}",
            y_label="expected value",
        )


@takes_frames
def estimate_value(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | None = None,
    horizon_days: int = 365,
    segments: pl.DataFrame | None = None,
    model: PurchaseModelName = "bg_nbd",
    season: bool = True,
    discount_rate: float = 0.1,
    margin: float = 1.0,
    level: float = 0.9,
    draws: int = 400,
    seed: int = 1,
    currency: str | None = None,
) -> Value:
    """Estimate what each customer, each segment and all are worth within a horizon.

    Orders come from a model of repeat buying, spend per order from the gamma-gamma model. Intervals
    include the uncertainty of the parameters and of customers' behaviour: parameters are drawn from
    the distribution of their estimate, then activity, orders and spend of every customer.

    Parameters
    ----------
    orders : polars or pandas frame
        Order lines, as `count_purchases` takes them.
    as_of : date, optional
        Last day of the observation, inclusive; by default the last day in the data.
    horizon_days : int
        Length of the future looked at.
    segments : polars or pandas frame, optional
        customer_id and segment.
    model : str
        See `fit_purchases`; "bg_bb" is not for dated orders.
    season : bool
        With two years of data and more, count days by the season's purchase intensity.
    discount_rate : float
        Per year; value is discounted to ``as_of``.
    margin : float
        Share of revenue that counts as value, above 0 and up to 1.
    level : float
        Nominal coverage of the intervals.
    draws : int
        Simulated futures.
    seed : int
        The same seed gives the same intervals.
    currency : str, optional
        Of the amounts, written behind them.

    Returns
    -------
    Value

    Raises
    ------
    DataError
        With under 90 days of history, under 100 customers, under 20 repeat customers of positive
        spend, or a horizon of more than twice the history.
    ParameterError
        If an option is out of range.

    Notes
    -----
    Fader, Hardie and Lee (2005), "Counting your customers the easy way"; Fader and Hardie (2013)
    for spend. A customer's orders and spend are taken to be unrelated; returns reduce mean spend.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> often = rng.gamma(2.0, 0.01, 300)
    >>> bought = rng.random((300, 400)) < often[:, None]
    >>> customer, day = np.nonzero(bought)
    >>> orders = pl.DataFrame(
    ...     {
    ...         "customer_id": customer.astype(str),
    ...         "order_day": day,
    ...         "amount": rng.gamma(4.0, 10.0, len(day)),
    ...     }
    ... )
    >>> value = estimate_value(orders, horizon_days=90)
    >>> value.segments["customers"].item()
    292
    """
    _check_options(horizon_days, discount_rate, margin, level, draws)
    if model == "bg_bb":
        raise ParameterError("bg_bb counts occasions, not days; use fit_purchases for it")
    end = check_as_of(orders, as_of)
    history = count_purchases(orders, as_of=end)
    span = int(history["age_days"].max())  # type: ignore[arg-type]
    if span < SHORTEST or horizon_days > 2 * span:
        raise DataError(
            f"a forecast of {counted(horizon_days, 'day')} needs a history of at least {SHORTEST} "
            f"days and of half the horizon; purchases span {counted(span, 'day')}"
        )
    intensity, notes = find_season(orders, history, end, season)
    timed, passed = in_season(history, intensity, end, horizon_days, STEPS)
    months = tuple(intensity.months.tolist())
    purchases, spend = fit_purchases(timed, model=model), fit_spend(history)
    fitted = ValueModel(purchases, spend, months, horizon_days, discount_rate, margin)
    if not purchases.converged or not spend.converged:
        notes.append("The data do not determine all parameters of the model; see its text.")
    names, place = _places(history, segments)
    weight = fitted.weigh(timed, passed)
    parts = purchases, spend
    future = _simulate(timed, passed[-1], weight, place, len(names), parts, draws, level, seed)
    customers = fitted.expect(history, end).with_columns(
        **{name: pl.Series(values) for name, values in future.customers.items()}
    )
    if segments is not None:
        group = pl.Series("segment", [names[one] for one in place])
        customers = customers.insert_column(1, group)
    return Value(
        customers,
        _by_segment(customers, names, place, future, segments is not None),
        purchases,
        spend,
        months,
        end,
        horizon_days,
        discount_rate,
        margin,
        level,
        tuple(notes),
        currency,
    )


def _check_options(
    horizon_days: int, discount_rate: float, margin: float, level: float, draws: int
) -> None:
    check_days((horizon_days,), "horizon_days")
    require_range("[0, 10]", discount_rate=discount_rate)
    require_range("(0, 1]", margin=margin)
    require_range("[0.5, 0.999]", level=level)
    require_least(draws=(draws, 100))


def find_season(
    orders: pl.DataFrame | pl.LazyFrame, history: pl.DataFrame, end: date, wanted: bool
) -> tuple[Season, list[str]]:
    """Return the season to count days by, and what is to be said of it."""
    first = end - timedelta(days=int(history["age_days"].max()))  # type: ignore[arg-type]
    season = estimate_season(customer_days(orders, end).filter("purchase")["order_day"], first, end)
    if not wanted:
        return Season(np.ones(12), season.seen), []
    if season.empty_month:
        return season, ["A month without a purchase hides the season; none is forecast."]
    note = (
        f"With {counted(season.seen, 'whole month')} of data, under {MONTHS_NEEDED}, a season can "
        "neither be seen nor forecast."
    )
    return season, [] if season.is_estimated else [note]


def _places(history: pl.DataFrame, segments: pl.DataFrame | None) -> tuple[list[str], Places]:
    """Return the segments' names, and each customer's place among them."""
    if segments is None:
        return ["all"], np.zeros(history.height, dtype=int)
    require_columns(segments.columns, ["customer_id", "segment"], "segments")
    require_unique(segments, "segments")
    joined = history.join(segments, on="customer_id", how="left", maintain_order="left")
    label = joined["segment"].cast(pl.String).fill_null("no segment")
    names = sorted(label.unique())
    if names == ["no segment"]:
        raise DataError("segments name none of the customers with a purchase")
    return names, np.searchsorted(names, label.to_numpy())


@dataclass(frozen=True, slots=True)
class _Future:
    """Simulated futures: per customer the limits, per segment and draw the sums."""

    customers: dict[str, Array]
    orders: Array
    values: Array
    level: float


def _simulate(
    timed: pl.DataFrame,
    horizon: float,
    weight: Array,
    place: Places,
    groups: int,
    models: tuple[PurchaseModel, SpendModel],
    draws: int,
    level: float,
    seed: int,
) -> _Future:
    """Draw futures in chunks of customers, every chunk under the same drawn parameters."""
    purchases, spend = models
    rng = np.random.default_rng(seed)
    points = purchases.draw_points(draws, rng), spend.draw_points(draws, rng)
    chunks = [slice(start, start + CHUNK) for start in range(0, timed.height, CHUNK)]
    order = np.arange(timed.height)
    if len(chunks) > 1:
        rng.shuffle(order)  # so that the first chunk may stand for all
    limits = {
        name: np.empty(timed.height)
        for name in ("orders_low", "orders_high", "value_low", "value_high", "p_top")
    }
    sums = np.zeros((2, groups, draws))
    edges = [(1 - level) / 2, (1 + level) / 2]
    top = np.empty(draws)
    for chunk, part in enumerate(chunks):
        rows = order[part]
        draw_orders = purchases.prepare_simulation(timed[rows], horizon)
        draw_spend = spend.prepare_simulation(timed[rows])
        orders, values = np.empty((draws, len(rows))), np.empty((draws, len(rows)))
        for draw in range(draws):
            orders[draw] = draw_orders(rng, points[0][draw])
            values[draw] = draw_spend(orders[draw], rng, points[1][draw])
        values *= weight[rows]
        if chunk == 0:
            top = np.quantile(values, 1 - TOP, axis=1)
        low, high = np.quantile(orders, edges, axis=0, method="inverted_cdf")
        limits["orders_low"][rows], limits["orders_high"][rows] = low, high
        limits["value_low"][rows], limits["value_high"][rows] = np.quantile(values, edges, axis=0)
        limits["p_top"][rows] = ((values >= top[:, None]) & (values > 0)).mean(axis=0)
        member = np.eye(groups)[place[rows]]
        sums[0] += (orders @ member).T
        sums[1] += (values @ member).T
    return _Future(limits, sums[0], sums[1], level)


def _by_segment(
    customers: pl.DataFrame, names: list[str], place: Places, future: _Future, grouped: bool
) -> pl.DataFrame:
    """Sum up customers by segment and over all, with the limits of the simulated sums."""
    table = (
        customers.select("p_alive", "expected_orders", "expected_value", place=pl.Series(place))
        .group_by("place")
        .agg(
            customers=pl.len().cast(pl.Int64),
            active=pl.col("p_alive").sum(),
            expected_orders=pl.col("expected_orders").sum(),
            expected_value=pl.col("expected_value").sum(),
        )
        .sort("place")
        .with_columns(segment=pl.Series(names))
        .drop("place")
    )
    orders, values = future.orders, future.values
    if grouped:
        total = table.select(
            segment=pl.lit("all"),
            **{name: pl.col(name).sum() for name in table.columns if name != "segment"},
        )
        table = pl.concat([table, total.select(table.columns)])
        orders = np.vstack([orders, orders.sum(axis=0)])
        values = np.vstack([values, values.sum(axis=0)])
    edges = [(1 - future.level) / 2, (1 + future.level) / 2]
    for name, sums in (("orders", orders), ("value", values)):
        low, high = np.quantile(sums, edges, axis=1)
        table = table.with_columns(pl.Series(f"{name}_low", low), pl.Series(f"{name}_high", high))
    if grouped:  # the most valuable first, and all of them last
        own = table.head(-1).sort("expected_value", descending=True, maintain_order=True)
        table = pl.concat([own, table.tail(1)])
    return table.select(
        "segment",
        "customers",
        "active",
        "expected_orders",
        "orders_low",
        "orders_high",
        "expected_value",
        "value_low",
        "value_high",
        value_per_customer=pl.col("expected_value") / pl.col("customers"),
        share_of_value=pl.col("expected_value") / pl.col("expected_value").last(),
    )
