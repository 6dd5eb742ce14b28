"""One call from order lines to segments: who is in one, who is not, and how many that takes."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.errors import DataError
from segkit.pipeline import LEAST_CUSTOMERS

RETURNERS = [f"r{i:02}" for i in range(12)]


def shop_with_returns(n=110, seed=0):
    """Return a retailer's lines as Online Retail has them: two kinds of buyers, and returners."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        often = i % 2 == 0
        for j in range(int(rng.integers(9, 15) if often else rng.integers(1, 4))):
            day = date(2024, 1, 1) + timedelta(days=int(rng.integers(0, 360 if often else 120)))
            price = float(np.round(rng.gamma(4, 4 if often else 20), 2)) + 1
            rows.append((f"{i:03}", f"{i}-{j}", day, 1 + j % 3, price))
            if j == 3 and i % 5 == 0:
                rows.append((f"{i:03}", f"C{i}-{j}", day, -1, price))
    rows += [(one, f"C{one}", date(2024, 2, 3), -2, 15.0 + k) for k, one in enumerate(RETURNERS)]
    names = ["CustomerID", "InvoiceNo", "InvoiceDate", "Quantity", "UnitPrice"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_customers_with_returns_alone_are_in_no_segment_and_it_is_said():
    found = segkit.segment(shop_with_returns(), k=2)
    assert found.assignments.height == 110
    assert not set(found.assignments["customer_id"]) & set(RETURNERS)
    assert "Customers with returns alone are left out: 12 (-492)." in found.text


def test_the_choice_of_k_is_that_of_the_matrix_whatever_the_order_of_rows():
    table = segkit.build_features(segkit.clean_data(shop_with_returns()).orders).frame
    chosen = segkit.pipeline.choose_variables(table)
    found = segkit.cluster_customers(table, features=chosen, k_range=[2, 3])
    turned = table.sample(fraction=1, shuffle=True, seed=1)
    X = segkit.transform.Transform.propose(turned, chosen).fit(turned).apply(turned)
    alone = segkit.choose_k(X, k_range=[2, 3], seed=0)
    assert found.choice.table.equals(alone.table)
    assert found.k == alone.k


@pytest.mark.parametrize("n", [2, 30, LEAST_CUSTOMERS - 1])
def test_too_few_customers_are_not_clustered(n):
    lines = shop_with_returns(n)
    with pytest.raises(DataError, match=f"at least 50 customers.*there are {n}"):
        segkit.segment(lines, k=2)
