"""Tests of the next purchase: its time, its category, and their backtest."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from segkit.errors import ColumnError, DataError, ParameterError
from segkit.predict import backtest_next_purchase, count_purchases, predict_next_purchase
from segkit.predict.next_purchase import NAIVE
from segkit.result import Result

FIRST, DAYS = 19_000, 500
EPOCH = date(1970, 1, 1)


@pytest.fixture(scope="module")
def orders():
    """Purchases under the BG/NBD model; each customer prefers one category."""
    rng = np.random.default_rng(1)
    n = 600
    born, rate, leaves = rng.uniform(0, 200, n), rng.gamma(1.2, 1 / 40, n), rng.beta(0.6, 3.0, n)
    who, when, now, active = [np.arange(n)], [born], born.copy(), np.ones(n, dtype=bool)
    while active.any():
        now = now + rng.exponential(size=n) / rate
        active &= now < DAYS
        who.append(np.flatnonzero(active))
        when.append(now[active])
        active &= rng.random(n) >= leaves
    who, when = np.concatenate(who), np.concatenate(when).astype(int)
    own = np.where(rng.random(len(who)) < 0.7, who % 5, rng.integers(0, 5, len(who)))
    return pl.DataFrame(
        {
            "customer_id": who.astype(str),
            "order_day": FIRST + when,
            "amount": 20.0,
            "product_id": own.astype(str),
        }
    )


PRODUCTS = pl.DataFrame({"product_id": [*"01234"], "category": [*"abcde"]})
END = EPOCH + timedelta(days=FIRST + DAYS - 1)


@pytest.fixture(scope="module")
def predicted(orders):
    return predict_next_purchase(orders, products=PRODUCTS, as_of=END, horizon_days=120)


def test_the_times_are_quantiles_of_the_models_next_order(predicted, orders):
    customers = predicted.customers
    history = count_purchases(orders, as_of=END)
    assert customers["customer_id"].equals(history["customer_id"])
    whole = predicted.purchases.predict(history, 120)["p_order"]
    assert customers["p_order"].to_numpy() == pytest.approx(whole.to_numpy())
    for name, share in (("next_days_low", 0.1), ("next_days", 0.5), ("next_days_high", 0.9)):
        for row in (0, 17, 300):
            chance = predicted.purchases.predict(history[[row]], customers[name][row])["p_order"]
            assert chance.item() == pytest.approx(share * whole[row], rel=2e-2)
    ordered = customers.select(
        (pl.col("next_days_low") < pl.col("next_days"))
        & (pl.col("next_days") < pl.col("next_days_high"))
        & (pl.col("next_days_high") < 120)
    )
    assert ordered.to_series().all()
    days = (customers["next_date"] - END).dt.total_days()
    assert (days == customers["next_days"].ceil()).all()


def test_the_category_is_the_one_bought_on_most_days_then_the_most_popular(orders):
    extra = pl.DataFrame(
        {
            "customer_id": ["x", "x", "x", "y", "y", "z", "w"],
            "order_day": [FIRST + k for k in (300, 301, 302, 310, 311, 310, 312)],
            "amount": [5.0, 5.0, 500.0, 5.0, 5.0, 5.0, 5.0],
            "product_id": ["3", "3", "0", "2", "1", "unlisted", "4"],
        }
    )
    lines = pl.concat([orders, extra])
    result = predict_next_purchase(lines, products=PRODUCTS).customers
    rows = {row["customer_id"]: row for row in result.iter_rows(named=True)}
    assert (rows["x"]["next_category"], rows["x"]["category_share"]) == ("d", 2 / 3)
    days = lines.join(PRODUCTS, on="product_id").unique(["customer_id", "order_day", "category"])
    popular = days.group_by("category").len().sort("len", descending=True)["category"].to_list()
    first = min(("b", "c"), key=popular.index)
    assert (rows["y"]["next_category"], rows["y"]["category_share"]) == (first, 0.5)
    assert (rows["z"]["next_category"], rows["z"]["category_share"]) == (popular[0], None)
    assert rows["w"]["next_category"] == "e"
    assert "next_category" not in predict_next_purchase(orders).customers.columns


def test_popularity_wins_where_customers_have_no_taste_of_their_own(orders):
    rng = np.random.default_rng(0)
    chance = rng.choice([*"01234"], orders.height, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    without = orders.with_columns(product_id=pl.Series(chance))
    result = predict_next_purchase(without, products=PRODUCTS).customers
    assert (result["next_category"] == "a").mean() > 0.9
    judged = backtest_next_purchase(without, products=PRODUCTS, horizon_days=100, origins=1)
    own, naive = judged.table["category_hit"]
    assert own == pytest.approx(naive, abs=0.02)


def test_nothing_after_the_date_is_known(orders, predicted):
    later = orders.with_columns(order_day=pl.lit(FIRST + DAYS + 5).cast(pl.Int64))
    again = predict_next_purchase(
        pl.concat([orders, later]), products=PRODUCTS, as_of=END, horizon_days=120
    )
    assert again.customers.equals(predicted.customers)


def test_the_backtest_covers_and_beats_the_naive_prediction(orders):
    judged = backtest_next_purchase(orders, products=PRODUCTS, horizon_days=100, origins=2)
    own = judged.table.filter(pl.col("prediction") != NAIVE)
    naive = judged.table.filter(pl.col("prediction") == NAIVE)
    customers = own["customers"].sum()
    covered = (own["days_within"] * own["customers"]).sum() / customers
    assert abs(covered - 0.8) < 3 * (0.16 / customers) ** 0.5 + 0.02  # whole days widen it a little
    assert (own["days_error"] < naive["days_error"]).all()
    assert (own["category_hit_low"] > naive["category_hit_high"]).all()
    assert "then bought from the category predicted" in judged.text
    assert Result.from_dict(judged.to_dict()).text == judged.text


def test_a_prediction_is_stored(predicted):
    again = Result.from_dict(predicted.to_dict())
    assert again.customers.equals(predicted.customers)
    assert again.text == predicted.text


def test_what_cannot_be_is_refused(orders):
    with pytest.raises(DataError, match="at least 90 days"):
        predict_next_purchase(orders.with_columns(order_day=pl.lit(5)))
    with pytest.raises(DataError, match="20 who bought again"):
        predict_next_purchase(orders.sort("order_day").unique("customer_id", keep="first"))
    with pytest.raises(DataError, match="hold no purchase"):
        predict_next_purchase(orders.with_columns(amount=-pl.col("amount")))
    with pytest.raises(DataError, match=r"products: . product.* more than once"):
        predict_next_purchase(orders, products=pl.concat([PRODUCTS, PRODUCTS]))
    with pytest.raises(ColumnError, match="product_id"):
        predict_next_purchase(orders.drop("product_id"), products=PRODUCTS)
    with pytest.raises(ParameterError, match="level"):
        predict_next_purchase(orders, level=2)
    with pytest.raises(DataError, match="no past date"):
        backtest_next_purchase(orders, horizon_days=450, origins=1)
