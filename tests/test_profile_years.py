"""A year beside the year before: by hand, and by how often its limits hold."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from segkit.profile import compare_years


def test_a_year_is_compared_with_the_year_before_by_customers():
    """Change and limits as by hand: totals 50 and 40, influence of each of three customers."""
    rows = [("a", 0, 10.0), ("b", 1, 30.0), ("a", 366, 20.0), ("c", 367, 30.0), ("a", 700, 0.0)]
    orders = pl.DataFrame(rows, schema=["customer_id", "order_day", "amount"], orient="row")
    change = compare_years(orders, as_of=date(1971, 12, 31))
    row = change.row("revenue")
    assert (row["value"], row["before"], row["change_rate"]) == (50.0, 40.0, pytest.approx(0.25))
    error = np.sqrt((20 / 50 - 10 / 40) ** 2 + (30 / 40) ** 2 + (30 / 50) ** 2)
    low, high = (1.25 * np.exp(sign * 1.959964 * error) - 1 for sign in (-1, 1))
    assert (row["change_rate_low"], row["change_rate_high"]) == pytest.approx((low, high), rel=1e-6)
    assert change.row("orders")["value"] == 3
    assert change.row("average order value")["change_rate"] == pytest.approx(50 / 3 / 20 - 1)
    alike = pl.DataFrame({"customer_id": ["a", "b"] * 2, "order_day": [0, 1, 365, 366]})
    same = compare_years(alike.with_columns(amount=5.0), as_of=date(1971, 12, 31)).row("revenue")
    assert same["change_rate"] == same["change_rate_low"] == same["change_rate_high"] == 0.0
    young = compare_years(orders.filter(pl.col("order_day") > 9), as_of=date(1971, 12, 31))
    assert young.row("revenue")["change_rate"] is None
    assert "do not reach back far enough" in young.text


def test_the_limits_of_a_year_hold_the_change_as_often_as_they_say():
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(150):
        rates = rng.gamma(1.0, 2.0, rng.poisson(300))
        counts = [rng.poisson(rates * change) for change in (1.0, 1.2)]
        who = np.concatenate([np.repeat(np.arange(len(rates)), count) for count in counts])
        days = [365 * year + rng.integers(0, 365, each.sum()) for year, each in enumerate(counts)]
        orders = pl.DataFrame(
            {
                "customer_id": [f"c{i}" for i in who],
                "order_day": np.concatenate(days),
                "amount": rng.gamma(2.0, 10.0, len(who)),
            }
        )
        row = compare_years(orders, as_of=date(1971, 12, 31)).row("revenue")
        held += row["change_rate_low"] <= 0.2 <= row["change_rate_high"]
    assert 135 <= held <= 149  # 95% of 150, three standard errors
