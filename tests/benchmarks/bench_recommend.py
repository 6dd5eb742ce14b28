"""Lists for 100,000 customers among 10,000 products, beside a plain EASE in NumPy.

``python -m tests.benchmarks.bench_recommend``; ``--quick``: 10,000 customers and 2,000 products.
Each customer bought nearly 100 different products, commoner ones more often. The plain EASE is the
one that papers print: a dense inverse, dense rows of customers times dense weights, a partition of
all columns. It scores a part of the customers, in turns with segkit's on the same ones; both find
the same products.
"""

import argparse
import time

import numpy as np
import polars as pl

from segkit.predict import RecommendSettings, fit_recommender, recommend_products
from segkit.predict.ranking import bought_matrix, rank_discover
from tests.benchmarks._common import interleaved, peak_gib, report

K = 10
DAYS = 365


def made_orders(customers, products, seed=0):
    """Draw who bought what and when; popularity falls with the power .7 of its rank."""
    rng = np.random.default_rng(seed)
    weight = np.cumsum((np.arange(products) + 20.0) ** -0.7)
    customer = np.repeat(np.arange(customers, dtype=np.int32), 100)
    product = np.searchsorted(weight, rng.random(len(customer)) * weight[-1]).astype(np.int32)
    day = rng.integers(0, DAYS, len(customer)).astype(np.int32)
    again = rng.random(len(customer)) < 0.2  # some are bought on a second day
    return pl.DataFrame(
        {
            "customer_id": np.concatenate([customer, customer[again]]),
            "product_id": np.concatenate([product, product[again]]),
            "order_day": np.concatenate([day, rng.integers(0, DAYS, again.sum())]).astype(np.int32),
        }
    ).with_columns(pl.col("customer_id", "product_id").cast(pl.String))


def plain_fit(matrix, ridge):
    """Fit EASE as its paper prints it."""
    gram = (matrix.T @ matrix).toarray()
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    weights[np.diag_indices_from(weights)] = 0
    return weights


def plain_lists(matrix, weights, block=1000):
    """Score dense rows by dense weights and partition all columns."""
    lists = []
    for start in range(0, matrix.shape[0], block):
        rows = matrix[start : start + block].toarray()
        scores = rows @ weights
        scores[rows > 0] = -np.inf
        top = np.argpartition(-scores, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
        lists.append(np.take_along_axis(top, order, axis=1))
    return np.concatenate(lists)


def timed(what, task):
    started, worked = time.perf_counter(), time.process_time()
    result = task()
    print(
        f"{what}: {time.perf_counter() - started:.1f} s, processor "
        f"{time.process_time() - worked:.1f} s, peak so far {peak_gib():.1f} GiB",
        flush=True,
    )
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    customers, products, part = (
        (10_000, 2_000, 2_000) if options.quick else (100_000, 10_000, 2_000)
    )
    orders = made_orders(customers, products)
    print(f"{customers:,} customers, {products:,} products, {orders.height:,} lines")
    settings = RecommendSettings(recent_weight=0.0)
    model = timed("fit", lambda: fit_recommender(orders, settings=settings))
    pairs = orders.select("customer_id", "product_id").unique()
    _, matrix = bought_matrix(pairs, model.products)
    weights = timed("fit, plain", lambda: plain_fit(matrix, settings.ridge))
    np.testing.assert_allclose(model.weights, weights, atol=2e-5)
    timed("score all customers", lambda: rank_discover(model, matrix, K))
    result = timed("both lists with reasons", lambda: recommend_products(orders, model=model, n=K))
    print(result.text)
    some = matrix[:part]
    found, expected = rank_discover(model, some, K)[0], plain_lists(some, weights)
    same = (found == expected)[found >= 0].mean()
    assert same > 0.99, f"only {same:.2%} of the products agree"  # the rest: ties in float32
    report(
        interleaved(
            {
                "segkit": lambda: rank_discover(model, some, K),
                "plain EASE": lambda: plain_lists(some, weights),
            },
            rounds=3,
        ),
        "segkit",
    )


if __name__ == "__main__":
    main()
