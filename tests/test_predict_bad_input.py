"""What cannot be predicted is refused in a sentence, whichever prediction is asked for."""

import numpy as np
import polars as pl
import pytest

from segkit.errors import DataError
from segkit.predict import (
    backtest_churn,
    backtest_next_purchase,
    backtest_recommendations,
    backtest_value,
    estimate_value,
    fit_churn,
    fit_recommender,
    predict_next_purchase,
    recommend_products,
    score_propensity,
)

RNG = np.random.default_rng(0)
ORDERS = pl.DataFrame(
    {
        "customer_id": RNG.integers(0, 150, 1500).astype(str),
        "order_day": 19_000 + RNG.integers(0, 400, 1500),
        "amount": RNG.gamma(4.0, 10.0, 1500),
        "product_id": RNG.integers(0, 30, 1500).astype(str),
    }
)
INPUTS = {
    "no repeaters": ORDERS.sort("order_day").unique(
        "customer_id", keep="first", maintain_order=True
    ),
    "one customer": ORDERS.with_columns(customer_id=pl.lit("a")),
    "one day": ORDERS.with_columns(order_day=pl.lit(19_000)),
    "negative values": ORDERS.with_columns(amount=-pl.col("amount")),
    "no rows": ORDERS.head(0),
    "infinite values": ORDERS.with_columns(amount=pl.lit(float("inf"))),
}
ASKED = {
    "value": lambda orders: estimate_value(orders, horizon_days=90, draws=100),
    "churn": fit_churn,
    "next purchase": predict_next_purchase,
    "lists": recommend_products,
    "backtest of value": lambda orders: backtest_value(orders, draws=100),
    "backtest of churn": lambda orders: backtest_churn(orders, resamples=20),
    "backtest of next purchase": backtest_next_purchase,
    "backtest of lists": lambda orders: backtest_recommendations(orders, draws=100),
}
FEW = "at least 100 customers and 20 who bought again; there are "
SHORT = "no past date has 90 days of purchases before it and 90 days after it: purchases span 2022"
EMPTY = "orders hold no purchase on or before 2023-02-11"
UNDATED = "orders hold no dated line"
INFINITE = "orders hold 1500 infinite and 0 missing amounts; segkit.clean_data rejects such lines"
UNNAMED = "orders hold no purchase of a known customer and product by 2023-02-11"
SENTENCES = {
    "no repeaters": (
        FEW + "150 and 0", SHORT, FEW + "150 and 0", None,
        SHORT, SHORT, SHORT, "no customer known by 2022-04-07 bought a product known then",
    ),
    "one customer": (
        FEW + "1 and 1", "20 customers who ordered within the horizon and 20 who did not",
        FEW + "1 and 1", "at least 20 customers and 2 products .* got 1 customer",
        FEW + "1 and 1", "20 customers who ordered within the horizon and 20 who did not",
        FEW + "1 and 1", "at least 20 customers and 2 products .* got 1 customer",
    ),
    "one day": (
        "at least 90 days and of half the horizon; purchases span 0 days", SHORT,
        "at least 90 days; purchases span 0 days", None,
        SHORT, SHORT, SHORT, "no purchase on or before 2021-10-10",
    ),
    "negative values": (EMPTY, EMPTY, EMPTY, UNNAMED, EMPTY, EMPTY, EMPTY, UNNAMED),
    "no rows": (UNDATED,) * 8,
    "infinite values": (INFINITE, INFINITE, INFINITE, None, INFINITE, INFINITE, INFINITE, None),
}  # fmt: skip
CASES = [
    (given, asked, sentence)
    for given, sentences in SENTENCES.items()
    for asked, sentence in zip(ASKED, sentences, strict=True)
    if sentence  # lists need neither repeats, nor time, nor money
]


@pytest.mark.parametrize(("given", "asked", "sentence"), CASES)
def test_a_sentence_says_what_is_missing(given, asked, sentence):
    with pytest.raises(DataError, match=sentence):
        ASKED[asked](INPUTS[given])


def test_a_few_negative_values_are_returns():
    every_third = pl.int_range(pl.len()) % 3 == 0
    mixed = ORDERS.with_columns(
        amount=pl.when(every_third).then(-1).otherwise(1) * pl.col("amount")
    )
    less = estimate_value(mixed, horizon_days=90, draws=100).customers["spend_per_order"]
    whole = estimate_value(ORDERS, horizon_days=90, draws=100).customers["spend_per_order"]
    assert 0 < less.mean() < whole.mean()


def test_products_that_vanished_and_customers_who_are_unknown():
    model = fit_recommender(ORDERS)
    elsewhere = ORDERS.with_columns(product_id="x" + pl.col("product_id"))
    with pytest.raises(DataError, match="none of the products bought is known to the model"):
        recommend_products(elsewhere, model=model)
    with pytest.raises(DataError, match="of 30 products that the model knows, 0 are in products"):
        recommend_products(ORDERS, model=model, products=pl.DataFrame({"product_id": ["new"]}))
    nobody = pl.DataFrame({"customer_id": ["nobody"]})
    lists = recommend_products(ORDERS, model=model, customers=nobody)
    assert set(lists.lists["basis"]) == {"popular"}
    assert lists.text.startswith("0 of 1 customer has a 'buy again' list")
    churn = fit_churn(ORDERS)
    with pytest.raises(DataError, match="1 customer without a score, such as 'nobody'"):
        score_propensity(churn, ORDERS).explain(["nobody"])
    strangers = ORDERS.with_columns(customer_id="z" + pl.col("customer_id"))
    scored = score_propensity(churn, strangers).customers["churn_probability"]
    assert (
        scored.to_list() == score_propensity(churn, ORDERS).customers["churn_probability"].to_list()
    )
