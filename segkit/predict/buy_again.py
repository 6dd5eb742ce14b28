"""Products bought again: how often, at which usual interval, and which of a customer's are next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[np.float64]

SHRINK = 10.0  # buyers that the average repeat share, or interval, weighs as much as
RARE = 5.0  # buyers that are added to a product's own before its recent share is taken
HALF_LIFE = 180.0  # days after which a purchase counts half
WHOLE = 1_000_000_000  # decayed purchases are summed in whole parts: in any order, the same sum
MOST_PAIRS = 300_000  # from which weights are learned; of more, every second, third, ...
LEAST_REPEATS = 200  # products bought again, and not, below which no weights are learned
# Where nothing can be learned: frequency with decay, damped where a purchase is overdue.
DEFAULT = {"decayed": 1.0, "repeat_share": 0.5, "recent_share": 0.25, "late": -0.2}
FEATURES = {
    "times": pl.col("times").log(),
    "decayed": (pl.col("decayed") / WHOLE).log(),
    "days_since": (pl.col("days_since") + 1).log(),
    "late": (pl.col("days_since").clip(1) / pl.col("expected")).log().clip(0),
    "early": (pl.col("days_since").clip(1) / pl.col("expected")).log().clip(None, 0),
    "repeat_share": (pl.col("repeat_share") + 1e-3).log(),
    "recent_share": pl.col("recent_share").log(),
    "recent_customers": (pl.col("recent_customers") + 1).log(),
    "customer_days": pl.col("customer_days").log(),
}


def describe_products(days: pl.DataFrame, end: int, recent_days: int) -> pl.DataFrame:
    """Count each product's customers, recent customers and repeats, and its usual interval.

    Returns
    -------
    polars.DataFrame
        One row per product, as `Recommender.products` has it.
    """
    pairs = days.group_by("customer_id", "product_id").agg(
        times=pl.len(), first=pl.col("order_day").min(), last=pl.col("order_day").max()
    )
    again = pl.col("times") > 1
    own = ((pl.col("last") - pl.col("first")) / (pl.col("times") - 1)).filter(again)
    share, usual = pairs.select(again.mean(), own.median().alias("usual")).row(0)
    recent = pl.col("last") > end - recent_days
    return (
        pairs.group_by("product_id")
        .agg(
            customers=pl.len(),
            recent_customers=recent.sum(),
            repeats=again.sum(),
            interval=own.median(),
            days_since_sold=end - pl.col("last").max(),
        )
        .select(
            "product_id",
            pl.col("customers", "recent_customers").cast(pl.Int64),
            repeat_share=(pl.col("repeats") + SHRINK * share) / (pl.col("customers") + SHRINK),
            interval_days=(
                pl.col("interval").fill_null(0.0) * pl.col("repeats")
                + SHRINK * pl.lit(usual, pl.Float64)
            )
            / (pl.col("repeats") + SHRINK),
            days_since_sold=pl.col("days_since_sold").cast(pl.Int64),
        )
        .sort("product_id")
    )


def recent_shares(products: pl.DataFrame) -> Array:
    """Return which share of each product's customers bought it recently, small ones shrunk."""
    return products.select(_recent_share()).to_series().to_numpy()


def _recent_share() -> pl.Expr:
    return (pl.col("recent_customers") + 1) / (pl.col("customers") + RARE)


def describe_pairs(days: pl.DataFrame, products: pl.DataFrame, end: int) -> pl.DataFrame:
    """Describe what each customer bought, as `FEATURES` read it, one row per own product.

    ``expected`` is the customer's usual interval, shrunk to the product's.
    """
    since = end - pl.col("order_day")
    pairs = days.group_by("customer_id", "product_id").agg(
        times=pl.len().cast(pl.Int64),
        span=pl.col("order_day").max() - pl.col("order_day").min(),
        days_since=since.min().cast(pl.Int64),
        decayed=(0.5 ** (since / HALF_LIFE) * WHOLE).round().cast(pl.Int64).sum().clip(1),
    )
    active = days.group_by("customer_id").agg(customer_days=pl.col("order_day").n_unique())
    about = products.select(
        "product_id",
        "customers",
        "recent_customers",
        "repeat_share",
        recent_share=_recent_share(),
        usual_days="interval_days",
    )
    return (
        pairs.join(about, on="product_id")
        .join(active, on="customer_id")
        .with_columns(
            expected=((pl.col("span") + pl.col("usual_days")) / pl.col("times")).clip(1.0),
            interval_days=pl.when(pl.col("times") > 1).then(pl.col("span") / (pl.col("times") - 1)),
        )
    )


def fit_again(days: pl.DataFrame, end: int, recent_days: int, again_days: int) -> dict[str, float]:
    """Learn the weights of what makes customers buy a product again, on the last days.

    A logistic regression of "bought again within the last ``again_days``" on `FEATURES` as they
    were before. `DEFAULT` where there are too few purchases for that.
    """
    before = days.filter(pl.col("order_day") <= end - again_days)
    after = days.filter(pl.col("order_day") > end - again_days)
    if before.is_empty() or after.is_empty():
        return DEFAULT
    pairs = describe_pairs(
        before, describe_products(before, end - again_days, recent_days), end - again_days
    ).sort("customer_id", "product_id")
    # Who has left altogether does not tell which product is next.
    pairs = pairs.join(after, on="customer_id", how="semi", maintain_order="left")
    pairs = pairs.gather_every(pairs.height // MOST_PAIRS + 1)
    bought = after.select("customer_id", "product_id").unique().with_columns(again=pl.lit(1))
    labels = pairs.join(
        bought, on=["customer_id", "product_id"], how="left", maintain_order="left"
    )["again"].fill_null(0)
    if min(labels.sum(), len(labels) - labels.sum()) < LEAST_REPEATS:
        return DEFAULT
    if pairs["expected"].null_count():
        return DEFAULT
    from sklearn.linear_model import LogisticRegression

    features = pairs.select(**FEATURES).to_numpy()
    fitted = LogisticRegression(max_iter=1000).fit(features, labels.to_numpy())
    weights = dict(zip(FEATURES, fitted.coef_[0].tolist(), strict=True))
    return {"intercept": float(fitted.intercept_[0]), **weights}


def rank_again(
    days: pl.DataFrame, products: pl.DataFrame, end: int, weights: dict[str, float]
) -> pl.DataFrame:
    """Rank each customer's own products by their chance to be bought again.

    Returns
    -------
    polars.DataFrame
        customer_id, product_id, times, days_since (the last purchase), interval_days (own, null
        below two purchases), usual_days (the product's), due_date (last purchase plus the
        customer's interval shrunk to the product's), score (between 0 and 1; with learned weights
        the chance of a purchase within their days, of customers who buy at all); best first
        within a customer.
    """
    sums = pl.lit(weights.get("intercept", 0.0))
    for name, weight in weights.items():
        if name != "intercept":
            sums = sums + weight * FEATURES[name].fill_null(0.0)
    due = (end - pl.col("days_since") + pl.col("expected")).round().cast(pl.Int32).cast(pl.Date)
    return (
        describe_pairs(days, products, end)
        .with_columns(due_date=due, score=1 / (1 + (-sums).exp()))
        .sort(
            "customer_id", "score", "customers", "product_id", descending=[False, True, True, False]
        )
        .select(
            "customer_id",
            "product_id",
            "times",
            "days_since",
            "interval_days",
            "usual_days",
            "due_date",
            "score",
        )
    )
