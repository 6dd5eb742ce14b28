"""Next purchase: when a customer buys next, and from which category."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_columns, require_least, require_range
from segkit.features.calendar import check_days
from segkit.frames import is_returned, takes_frames
from segkit.ids import require_unique
from segkit.predict.futures import FAMILIES
from segkit.predict.histories import (
    EPOCH,
    SHORTEST,
    check_as_of,
    count_purchases,
    customer_days,
    find_origins,
    in_season,
)
from segkit.predict.purchases import PurchaseModel, PurchaseModelName, fit_purchases
from segkit.predict.value import find_season
from segkit.result import Result
from segkit.stats.intervals import wilson

WEIGHTS = (0.01, 1.0, 5.0, 10.0, 20.0, 1e6)  # of popularity, in purchase days; the first: ties
PARTS = 60  # of the horizon, between which the time of the next purchase is interpolated
NAIVE = "usual gap, most popular category"


@dataclass(frozen=True, slots=True, eq=False)
class NextPurchase(Result):
    """When each customer buys next, if within the horizon, and from which category.

    Attributes
    ----------
    customers : polars.DataFrame
        One row per customer: customer_id, p_order (probability of an order within the horizon, from
        the model of repeat buying), next_days_low, next_days, next_days_high (days after ``as_of``
        until the next purchase, given that one comes within the horizon: median, and limits of the
        interval), next_date (the median as a date), and where the orders or products have
        categories next_category, category_share (share of the customer's purchase days with that
        category, 0 for the most popular of all that the customer has not bought; null where no
        category of the customer's is known).
    purchases : PurchaseModel
    as_of : date
    horizon_days : int
    level : float
    notes : tuple of str
    """

    customers: pl.DataFrame
    purchases: PurchaseModel
    as_of: date
    horizon_days: int
    level: float
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """State how many will buy within the horizon, and how soon."""
        chance = self.customers["p_order"]
        soon = self.customers.filter(pl.col("next_days") <= 30).height
        expected = counted(round(float(chance.sum())), "customer")
        sentence = (
            f"{expected} of {number(self.customers.height)} are expected to buy in the "
            f"{counted(self.horizon_days, 'day')} after {self.as_of.isoformat()}, by the model of "
            "repeat buying. If they do, "
            f"{counted(soon, 'customer')} will sooner than not have done so within 30 days."
        )
        return " ".join([sentence, *self.notes])


@takes_frames
def predict_next_purchase(
    orders: pl.DataFrame,
    *,
    products: pl.DataFrame | None = None,
    as_of: date | None = None,
    horizon_days: int = 180,
    model: PurchaseModelName = "bg_nbd",
    season: bool = True,
    level: float = 0.8,
) -> NextPurchase:
    """Predict when each customer buys next, and from which category.

    The time comes from the model of repeat buying of `segkit.predict.estimate_value`, the category
    from the customer's own purchases: the one bought on most days; in a tie, the most popular one.
    Popularity among all customers is added with the weight, from 0 to 20 purchase days or alone,
    that predicts the customers' last purchases best.

    Parameters
    ----------
    orders : polars or pandas frame
        Order lines, as `count_purchases` takes them; category where they have it.
    products : polars or pandas frame, optional
        product_id and category, for lines without a category.
    as_of : date, optional
        Last day known; by default the last day with an order line.
    horizon_days : int
        How far to look.
    model, season
        As in `estimate_value`.
    level : float
        Nominal coverage of the interval of the days.

    Returns
    -------
    NextPurchase

    Raises
    ------
    DataError
        With under 90 days of history, 100 customers or 20 repeat customers.
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> often = rng.gamma(2.0, 0.01, 300)
    >>> customer, day = np.nonzero(rng.random((300, 400)) < often[:, None])
    >>> orders = pl.DataFrame({
    ...     "customer_id": customer.astype(str), "order_day": day, "amount": 20.0,
    ...     "category": rng.choice(["shoes", "tops"], len(day), p=[0.8, 0.2])})
    >>> predict_next_purchase(orders).customers["next_category"].value_counts(sort=True)[0, 0]
    'shoes'
    """
    check_days((horizon_days,), "horizon_days")
    orders = orders.lazy().collect()
    if model == "bg_bb":
        raise ParameterError("bg_bb counts occasions, not days; use bg_nbd")
    require_range("[0.5, 0.999]", level=level)
    end = check_as_of(orders, as_of)
    history = count_purchases(orders, as_of=end)
    span = int(history["age_days"].max())  # type: ignore[arg-type]
    if span < SHORTEST:
        raise DataError(
            f"a forecast needs a history of at least {SHORTEST} days; purchases span "
            f"{counted(span, 'day')}"
        )
    intensity, notes = find_season(orders, history, end, season)
    timed, passed = in_season(history, intensity, end, horizon_days, PARTS)
    fitted = fit_purchases(timed, model=model)
    tails = ((1 - level) / 2, 0.5, (1 + level) / 2)
    whole, times = fitted.predict_times(timed, passed, tails)
    low, middle, high = (time * horizon_days for time in times)
    if not fitted.converged:
        notes.append("The data do not determine all parameters of the model; see its text.")
    customers = history.select(
        "customer_id",
        p_order=pl.Series(whole),
        next_days_low=pl.Series(low),
        next_days=pl.Series(middle),
        next_days_high=pl.Series(high),
    ).with_columns(next_date=pl.lit(end) + pl.duration(days=pl.col("next_days").ceil()))
    bought = _categories(orders, products, end)
    if bought is not None:
        weight = _choose_weight(bought)
        customers = customers.join(
            _favourites(bought, weight), on="customer_id", how="left", maintain_order="left"
        ).with_columns(pl.col("next_category").fill_null(_popularity(bought)["category"][0]))
    return NextPurchase(customers, fitted, end, horizon_days, level, tuple(notes))


def _categories(
    orders: pl.DataFrame, products: pl.DataFrame | None, end: date
) -> pl.DataFrame | None:
    """Return customer_id, category and day of the purchases; None where no category is known."""
    lines = orders.filter(~is_returned(orders.columns)).filter(
        pl.col("order_day") <= (end - EPOCH).days
    )
    if products is not None:
        require_columns(products.columns, ["product_id", "category"], "products")
        require_columns(lines.columns, ["product_id"], "orders")
        require_unique(products, "products", "product_id")
        own = products.select("product_id", listed=pl.col("category").cast(pl.String))
        lines = lines.join(own, on="product_id", how="left", maintain_order="left")
        stated = [pl.col("category").cast(pl.String)] if "category" in orders.columns else []
        lines = lines.with_columns(category=pl.coalesce(*stated, "listed"))
    elif "category" not in lines.columns:
        return None
    bought = lines.select(
        "customer_id", pl.col("category").cast(pl.String), pl.col("order_day").cast(pl.Int64)
    )
    bought = bought.drop_nulls().unique()
    return None if bought.is_empty() else bought


def _favourites(bought: pl.DataFrame, weight: float) -> pl.DataFrame:
    """Return each customer's category of most purchase days, popularity counting as some days.

    A category that a customer has not bought can win by its popularity alone, so that of those only
    the most popular one is looked at.
    """
    days = bought.group_by("customer_id").agg(days=pl.col("order_day").n_unique())
    popularity = _popularity(bought)
    own = bought.group_by("customer_id", "category").agg(own=pl.len().cast(pl.Int64))
    popular = days.select("customer_id", category=pl.lit(popularity["category"][0]))
    others = popular.join(own, on=["customer_id", "category"], how="anti")
    return (
        pl.concat([own, others.with_columns(own=pl.lit(0, pl.Int64))])
        .join(popularity, on="category", how="left")
        .with_columns(score=pl.col("own") + weight * pl.col("share"))
        .sort(["customer_id", "score", "category"], descending=[False, True, False])
        .unique("customer_id", keep="first", maintain_order=True)
        .join(days, on="customer_id", how="left", maintain_order="left")
        .select(
            "customer_id", next_category="category", category_share=pl.col("own") / pl.col("days")
        )
    )


def _popularity(bought: pl.DataFrame) -> pl.DataFrame:
    """Return category and share of all purchase days with it, the most popular first."""
    whole = bought.select(pl.struct("customer_id", "order_day").n_unique()).item()
    return (
        bought.group_by("category")
        .agg(share=pl.len() / whole)
        .sort(["share", "category"], descending=[True, False])
    )


def _choose_weight(bought: pl.DataFrame) -> float:
    """Choose how many purchase days popularity counts as: what best tells each one's last day.

    Of equal weights the smallest: the customer's own purchases first.
    """
    last = pl.col("order_day").max().over("customer_id")
    past = bought.filter(pl.col("order_day") < last)
    if past.is_empty():
        return WEIGHTS[0]
    baskets = bought.filter(pl.col("order_day") == last).group_by("customer_id").agg("category")

    def count_hits(weight: float) -> int:
        table = _favourites(past, weight).join(baskets, on="customer_id")
        hit = pl.col("category").list.contains(pl.col("next_category"))
        return int(table.select(hit.sum()).item())

    return max(WEIGHTS, key=count_hits)


@dataclass(frozen=True, slots=True, eq=False)
class NextPurchaseBacktest(Result):
    """Next purchases predicted at past dates, compared with actual ones and naive predictions.

    Attributes
    ----------
    table : polars.DataFrame
        One row per origin and prediction, of the customers who bought within the horizon: origin,
        prediction, customers, days_error (mean absolute error of the days until the next purchase),
        days_within (share in the interval; null for the naive prediction), category_hit (share
        whose next purchase day had the category predicted; null without categories) with
        category_hit_low and category_hit_high (Wilson).
    horizon_days : int
    level : float
        Nominal coverage of the days' interval.
    model : str
    """

    table: pl.DataFrame
    horizon_days: int
    level: float
    model: str

    @property
    def text(self) -> str:
        """Compare dates and categories with those predicted, and with the naive prediction."""
        means = self.table.group_by("prediction").agg(
            pl.col("days_error", "days_within", "category_hit").mean()
        )
        rows = {row["prediction"]: row for row in means.iter_rows(named=True)}
        own = next(row for name, row in rows.items() if name != NAIVE)
        naive = rows[NAIVE]
        dates = counted(self.table["origin"].n_unique(), "past date")
        when = (
            f"Over {dates}, customers who bought within {counted(self.horizon_days, 'day')} did so "
            f"{own['days_error']:.0f} days off the date predicted (mean absolute error; "
            f"{naive['days_error']:.0f} by their usual gap); {percent(own['days_within'])} within "
            f"the interval of {percent(self.level, places=0)}."
        )
        if own["category_hit"] is None:
            return when
        return (
            f"{when} {percent(own['category_hit'])} then bought from the category predicted, "
            f"against {percent(naive['category_hit'])} for the most popular one."
        )


@takes_frames
def backtest_next_purchase(
    orders: pl.DataFrame,
    *,
    products: pl.DataFrame | None = None,
    as_of: date | None = None,
    horizon_days: int = 90,
    origins: int = 3,
    model: PurchaseModelName = "bg_nbd",
    season: bool = True,
    level: float = 0.8,
) -> NextPurchaseBacktest:
    """Predict next purchases at past dates, and compare with the actual ones.

    The naive prediction is the last purchase plus the customer's mean inter-purchase time (for a
    customer with one purchase, the median of the others), at least one day ahead, and the most
    popular category.

    Parameters
    ----------
    orders, products, model, season, level
        As in `predict_next_purchase`.
    as_of : date, optional
        Last day of the last horizon; by default the last day with an order line.
    horizon_days, origins : int
        Length and number of the horizons; those with under 90 days of history are left out.

    Returns
    -------
    NextPurchaseBacktest

    Raises
    ------
    DataError
        If no origin has enough history.
    """
    check_days((horizon_days,), "horizon_days")
    require_least(origins=(origins, 1))
    orders = orders.lazy().collect()
    end = check_as_of(orders, as_of)
    days = customer_days(orders, end).filter("purchase")
    rows: list[dict[str, object]] = []
    for origin in find_origins(days, end, horizon_days, origins):
        predicted = predict_next_purchase(
            orders,
            products=products,
            as_of=origin,
            horizon_days=horizon_days,
            model=model,
            season=season,
            level=level,
        )
        rows += _judge(predicted, days, _categories(orders, products, end))
    if not rows:
        raise DataError(f"nobody bought within {horizon_days} days of a past date")
    return NextPurchaseBacktest(pl.DataFrame(rows), horizon_days, level, model)


def _judge(
    predicted: NextPurchase, days: pl.DataFrame, bought: pl.DataFrame | None
) -> list[dict[str, object]]:
    """Compare the predictions made at one origin with the next purchase of those who bought."""
    at = (predicted.as_of - EPOCH).days
    later = days.filter(
        (pl.col("order_day") > at) & (pl.col("order_day") <= at + predicted.horizon_days)
    )
    next_purchase = later.group_by("customer_id").agg(next_day=pl.col("order_day").min())
    gaps = (
        days.filter(pl.col("order_day") <= at)
        .group_by("customer_id")
        .agg(
            last=pl.col("order_day").max(),
            gap=(pl.col("order_day").max() - pl.col("order_day").min()) / (pl.len() - 1),
        )
    )
    usual = pl.col("gap").fill_nan(None)
    gaps = gaps.with_columns(gap=usual.fill_null(usual.median()))
    table = predicted.customers.join(next_purchase, on="customer_id").join(gaps, on="customer_id")
    if table.is_empty():
        return []
    actual = pl.col("next_day") - at
    naive = (pl.col("last") + pl.col("gap") - at).clip(1, predicted.horizon_days)
    own = FAMILIES[predicted.purchases.model].title + ", own category"
    within = actual.is_between(pl.col("next_days_low").floor(), pl.col("next_days_high").ceil())
    popular = None
    if bought is not None and "next_category" in table.columns:
        popular = _popularity(bought.filter(pl.col("order_day") <= at))["category"][0]
        baskets = bought.group_by("customer_id", next_day="order_day").agg("category")
        table = table.join(baskets, on=["customer_id", "next_day"], how="left")
    rows = []
    for name, error, inside in (
        (own, (actual - pl.col("next_days")).abs(), within),
        (NAIVE, (actual - naive).abs(), None),
    ):
        row: dict[str, object] = {
            "origin": predicted.as_of,
            "prediction": name,
            "customers": table.height,
            "days_error": table.select(error.mean()).item(),
            "days_within": None if inside is None else table.select(inside.mean()).item(),
            **dict.fromkeys(("category_hit", "category_hit_low", "category_hit_high")),
        }
        if popular is not None:
            guess = pl.col("next_category") if name == own else pl.lit(popular)
            bought_later = table.filter(pl.col("category").is_not_null())
            hits = int(bought_later.select(pl.col("category").list.contains(guess).sum()).item())
            if bought_later.height:
                share = wilson(hits, bought_later.height)
                ends = {"": share.value, "_low": share.low, "_high": share.high}
                row |= {f"category_hit{end}": float(value) for end, value in ends.items()}
        rows.append(row)
    return rows
