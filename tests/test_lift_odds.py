"""Odds ratios and score intervals against statsmodels; aggregates and traces against the rows."""

import math
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binom
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2
from statsmodels.stats.proportion import confint_proportions_2indep

import segkit
from segkit.errors import DataError, ParameterError
from segkit.lift import (
    aggregate_outcomes,
    estimate_odds_ratios,
    measure_daily_lift,
    read_aggregates,
    trace_segment,
)
from segkit.lift.effects import SHARE_INTERVALS, SHARE_RATIOS
from segkit.stats.shares import (
    agresti_caffo,
    agresti_caffo_ratio,
    combine_odds,
    odds_ratio,
    score_difference,
    score_ratio,
)

PAIRS = [(56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20), (5, 56, 0, 29), (1, 400, 7, 300),
         (30, 4000, 12, 500), (7, 9, 9, 9)]  # fmt: skip


def score_square(counts, second_of, own):
    """Return the squared score statistic, with shares of greatest likelihood found by search."""
    x1, n1, x2, n2 = counts

    def unlikely(p1):
        p2 = second_of(p1)
        if not (0 <= p2 <= 1):
            return np.inf
        return -(xlogy(x1, p1) + xlogy(n1 - x1, 1 - p1) + xlogy(x2, p2) + xlogy(n2 - x2, 1 - p2))

    grid = np.linspace(0, 1, 2_001)[1:-1]
    values = [unlikely(p) for p in grid]
    k = int(np.argmin(values))
    best = minimize_scalar(
        unlikely, bounds=(max(grid[k] - 1e-3, 0), min(grid[k] + 1e-3, 1)), method="bounded",
        options={"xatol": 1e-12},
    ).x  # fmt: skip
    p2, total = second_of(best), n1 + n2
    gap, slope = own(x1 / n1, x2 / n2)
    variance = (best * (1 - best) / n1 + slope**2 * p2 * (1 - p2) / n2) * total / (total - 1)
    return gap**2 / variance


@pytest.mark.parametrize("counts", [(56, 70, 48, 80), (9, 10, 3, 10), (5, 56, 1, 29)])
def test_score_limits_are_where_the_score_test_turns(counts):
    """At each limit the statistic, with a likelihood maximised by search, is the quantile."""
    gap, lift = score_difference(*counts), score_ratio(*counts)
    for limit in (gap.low, gap.high):
        square = score_square(
            counts, lambda p, d=limit: p - d, lambda a, b, d=limit: (a - b - d, 1)
        )
        assert square == pytest.approx(1.959964**2, rel=2e-3)
    for limit in (lift.low + 1, lift.high + 1):
        square = score_square(
            counts, lambda p, r=limit: p / r, lambda a, b, r=limit: (a - r * b, r)
        )
        assert square == pytest.approx(1.959964**2, rel=2e-3)


@pytest.mark.parametrize("counts", PAIRS)
def test_ratio_and_agresti_caffo_limits_are_those_of_statsmodels(counts):
    wanted = confint_proportions_2indep(*counts, compare="diff", method="agresti-caffo")
    found = agresti_caffo(*counts)
    assert (found.low, found.high) == pytest.approx((max(wanted[0], -1), min(wanted[1], 1)))
    if 0 < counts[0] < counts[1] and 0 < counts[2] < counts[3]:
        wanted = confint_proportions_2indep(*counts, compare="ratio", method="score")
        found = score_ratio(*counts)
        assert (found.low + 1, found.high + 1) == pytest.approx(wanted, rel=2e-5)


def test_score_intervals_of_difference_and_ratio_never_contradict_each_other():
    rng = np.random.default_rng(5)
    both = 0
    for _ in range(120):
        n1, n2 = rng.integers(5, 200, 2)
        x1, x2 = rng.binomial([n1, n2], rng.random(2) * 0.4)
        if x1 + x2 == 0:
            continue
        gap, lift = score_difference(x1, n1, x2, n2), score_ratio(x1, n1, x2, n2)
        assert (gap.low > 0, gap.high < 0) == (lift.low > 0, lift.high < 0)
        assert gap.low <= gap.value <= gap.high
        both += gap.low > 0 or gap.high < 0
    assert 12 < both < 108


def test_limits_where_nobody_converts():
    nobody = score_ratio(0, 10, 0, 20)
    assert np.isnan(nobody.value)
    assert (nobody.low, nobody.high) == (-1.0, np.inf)
    assert score_ratio(5, 10, 0, 20).high == np.inf
    assert score_ratio(0, 10, 5, 20).low == -1.0
    assert score_difference(0, 10, 0, 20).low < 0 < score_difference(0, 10, 0, 20).high
    with pytest.raises(DataError, match="expected cases among customers, at least one, got 3 of 2"):
        score_ratio(3, 2, 1, 2)


@pytest.mark.parametrize("counts", PAIRS)
def test_odds_ratio_of_one_table(counts):
    x1, n1, x2, n2 = counts
    table = np.array([[x1, n1 - x1], [x2, n2 - x2]], dtype=float)
    shifted = (table == 0).any()
    oracle = Table2x2(table + 0.5 if shifted else table, shift_zeros=False)
    found = odds_ratio(*counts)
    assert (found.low, found.high) == pytest.approx(oracle.oddsratio_confint())
    if not shifted:
        assert found.value == pytest.approx(oracle.oddsratio)


def test_combined_odds_are_those_of_statsmodels():
    rng = np.random.default_rng(3)
    for strata in (2, 5, 9):
        n1, n2 = rng.integers(20, 200, (2, strata))
        x1, x2 = rng.binomial(n1, 0.3), rng.binomial(n2, 0.2)
        tables = [
            np.array([[a, m - a], [c, n - c]]) for a, m, c, n in zip(x1, n1, x2, n2, strict=True)
        ]
        oracle, found = StratifiedTable(tables), combine_odds(x1, n1, x2, n2)
        assert found.pooled.value == pytest.approx(oracle.oddsratio_pooled)
        limits = oracle.oddsratio_pooled_confint()
        assert (found.pooled.low, found.pooled.high) == pytest.approx(limits)
        null = oracle.test_null_odds(correction=False)
        assert (found.statistic, found.p_value) == pytest.approx((null.statistic, null.pvalue))
        equal = oracle.test_equal_odds(adjust=True)
        assert (found.q, found.q_p_value) == pytest.approx((equal.statistic, equal.pvalue))
    # Nothing to learn from: one table tells of no ratio, an empty one changes nothing.
    assert np.isnan(combine_odds([0, 3], [5, 3], [0, 2], [5, 2]).pooled.value)
    more = combine_odds([*x1, 0], [*n1, 0], [*x2, 4], [*n2, 9])
    assert (more.pooled.value, more.q, more.tables) == (found.pooled.value, found.q, 9)


@pytest.fixture(scope="module")
def outcomes():
    rng = np.random.default_rng(8)
    n = 3000
    arm = rng.choice(["holdout", "mail", "text"], n, p=[0.2, 0.4, 0.4])
    segment = rng.choice(["S1", "S2", "S3"], n)
    converted = rng.random(n) < 0.1 + 0.12 * (arm != "holdout") * (segment == "S1")
    amount = np.where(converted, rng.integers(1, 400, n) / 4, 0.0)
    return pl.DataFrame(
        {"customer_id": [f"{k:05d}" for k in range(n)], "arm": arm, "segment": segment,
         "converted": converted.astype(int), "revenue": amount, "orders": converted.astype(int)}
    )  # fmt: skip


def test_aggregates_give_exactly_what_the_rows_give(outcomes):
    metrics = ["conversion", "revenue", "orders"]
    options = {"control": "holdout", "metrics": metrics}
    whole = segkit.measure_lift(outcomes, **options)
    aggregates = aggregate_outcomes(outcomes, metrics)
    read = read_aggregates(aggregates.table.sample(fraction=1.0, shuffle=True, seed=1))
    assert aggregates.table.height == 9
    summed = segkit.measure_lift(read, **options)
    assert summed.effects.equals(whole.effects)
    assert summed.heterogeneity.equals(whole.heterogeneity)
    assert summed.guardrails.equals(whole.guardrails)
    one = segkit.measure_lift(read, segment=None, control="holdout")
    assert one.effects.equals(segkit.measure_lift(outcomes, segment=None, **options).effects)


def test_shares_alone_need_cases_and_customers_only(outcomes):
    counts = outcomes.group_by("segment", "arm").agg(
        customers=pl.len(), converted=pl.col("converted").sum(), revenue=pl.col("revenue").sum()
    )
    found = segkit.measure_lift(read_aggregates(counts), control="holdout")
    assert found.effects["metric"].unique().to_list() == ["conversion"]
    with pytest.raises(DataError, match="lack revenue_nonzero, revenue_squares, revenue_cubes"):
        segkit.measure_lift(read_aggregates(counts), control="holdout", metrics=["revenue"])
    with pytest.raises(ParameterError, match=r"covariates .age. need one row per customer"):
        segkit.measure_lift(read_aggregates(counts), control="holdout", covariates=["age"])
    with pytest.raises(DataError, match="come twice"):
        read_aggregates(pl.concat([counts, counts]))
    wrong = read_aggregates(counts.with_columns(converted=pl.col("customers") + 1))
    with pytest.raises(DataError, match="at most"):
        segkit.measure_lift(wrong, control="holdout")


@pytest.mark.parametrize("shares", sorted(SHARE_RATIOS))
def test_intervals_of_small_counts_agree_with_each_other_in_every_row(shares):
    """All tables of two small tests: 302."""
    clear = 0
    for n1, n2 in ((12, 12), (18, 6)):
        for x1, x2 in product(range(n1 + 1), range(n2 + 1)):
            both = [
                make(x1, n1, x2, n2) for make in (SHARE_INTERVALS[shares], SHARE_RATIOS[shares])
            ]
            signs = [(one.low > 0, one.high < 0) for one in both]
            assert signs[0] == signs[1], (x1, n1, x2, n2)
            clear += any(signs[0])
    assert clear > 80


def test_agresti_caffo_ratio_covers_and_its_limits_satisfy_their_equation():
    z, (x1, n1, x2, n2) = 1.959963985, (7, 40, 12, 30)
    found = agresti_caffo_ratio(x1, n1, x2, n2)
    p1, p2 = (x1 + 1) / (n1 + 2), (x2 + 1) / (n2 + 2)
    for r in (found.low + 1, found.high + 1):
        variance = p1 * (1 - p1) / (n1 + 2) + r**2 * p2 * (1 - p2) / (n2 + 2)
        assert (p1 - r * p2) ** 2 == pytest.approx(z**2 * variance, rel=1e-6)
    assert found.value == pytest.approx(x1 / n1 / (x2 / n2) - 1)
    assert agresti_caffo_ratio(3, 30, 0, 30).high == math.inf
    assert math.isnan(agresti_caffo_ratio(0, 30, 0, 30).value)
    # Exact coverage where it is least on a grid of small arms: 94.6%.
    rates, chance = (0.52, 0.4), 0.0
    for x1, x2 in product(range(31), range(11)):
        one = agresti_caffo_ratio(x1, 30, x2, 10)
        inside = one.low <= rates[0] / rates[1] - 1 <= one.high
        chance += inside * binom.pmf(x1, 30, rates[0]) * binom.pmf(x2, 10, rates[1])
    assert 0.945 < chance < 0.96


def test_shares_are_compared_by_the_interval_that_is_asked_for(outcomes):
    options = {"control": "holdout", "metrics": ["conversion"]}
    scored = segkit.measure_lift(outcomes, shares="score", **options).effects
    usual = segkit.measure_lift(outcomes, **options).effects
    assert scored["difference"].equals(usual["difference"])
    assert scored["method"].unique().to_list() == ["score (Miettinen-Nurminen)"]
    with pytest.raises(ParameterError, match="unknown value of shares"):
        segkit.measure_lift(outcomes, shares="wald", **options)


def test_odds_ratios_by_segment(outcomes):
    found = estimate_odds_ratios(outcomes, control="holdout", arm="mail")
    assert found.table["segment"].to_list() == ["all customers", "S1", "S2", "S3"]
    summed = estimate_odds_ratios(aggregate_outcomes(outcomes), control="holdout", arm="mail")
    assert summed.table.equals(found.table)
    first = found.table.row(1, named=True)
    own = outcomes.filter(segment="S1", arm="mail")
    assert (first["customers_arm"], first["cases_arm"]) == (own.height, own["converted"].sum())
    assert first["low"] > 1
    assert found.p_value < 0.01
    assert found.freedom == 2
    assert "odds of conversion under mail" in found.text
    with pytest.raises(ParameterError, match="give arm, one of mail, text"):
        estimate_odds_ratios(outcomes, control="holdout")
    with pytest.raises(DataError, match="an odds ratio needs a share"):
        estimate_odds_ratios(outcomes, control="holdout", arm="mail", metric="revenue")


def test_daily_lift_from_counts_is_that_from_rows():
    rng = np.random.default_rng(2)
    day = [int(d) if d < 15 else None for d in rng.integers(1, 50, 500)]
    rows = pl.DataFrame({"arm": ["mail"] * 300 + ["holdout"] * 200, "conversion_day": day})
    sizes = dict(rows.group_by("arm").len().iter_rows())
    counts = (
        rows.drop_nulls().group_by("arm", day="conversion_day").agg(converted=pl.len())
    ).with_columns(customers=pl.col("arm").replace_strict(sizes, return_dtype=pl.Int64))
    options = {"arm": "mail", "control": "holdout", "planned_rate": 0.2, "days": 14}
    found = measure_daily_lift(counts, **options)
    assert found.table.equals(measure_daily_lift(rows, **options).table)
    with pytest.raises(DataError, match="come twice"):
        measure_daily_lift(pl.concat([counts, counts]), **options)
    with pytest.raises(DataError, match="must be the same on each day"):
        measure_daily_lift(counts.with_columns(customers="day"), **options)


@pytest.fixture(scope="module")
def traced():
    drawn = datetime(2024, 3, 1, tzinfo=UTC)
    days = {"a": [1, 3, 40], "b": [2], "c": [-3], "d": [5]}
    lines = [
        (who, f"{who}{k}", 10.0 + k, (drawn + timedelta(days=day)).strftime("%Y-%m-%d 12:00:00"))
        for who, all_days in days.items()
        for k, day in enumerate(all_days)
    ]
    names = ["customer_id", "order_id", "amount", "order_time"]
    taken = segkit.clean_data({"orders": pl.DataFrame(lines, schema=names, orient="row")})
    who = pl.DataFrame(
        {"customer_id": list("abcd"), "arm": ["mail", "mail", "mail", "holdout"],
         "segment": ["S1", "S2", "S1", "S1"], "assigned_at": [drawn] * 4}
    )  # fmt: skip
    done = segkit.derive_outcomes(who, taken.orders, data_until=drawn + timedelta(days=60))
    return taken, done


def test_a_segment_s_number_leads_to_its_raw_rows(traced):
    taken, done = traced
    found = trace_segment(taken, done, segment="S1", arm="mail", metric="revenue")
    assert found.value == found.rebuilt == (10.0 + 11.0) / 2
    assert found.lines["order_id"].to_list() == ["a0", "a1"]
    assert found.raw["order_id"].to_list() == ["a0", "a1"]
    assert found.customers["customer_id"].sort().to_list() == ["a", "c"]
    assert "2 customers, of whom 1 (50.0%) have 2 order lines" in found.text
    every = trace_segment(taken, done, segment="all customers", arm="mail")
    assert every.value == pytest.approx(2 / 3)
    lift = segkit.measure_lift(done, control="holdout").row(metric="conversion")
    assert every.value == lift["value_arm"]


def test_a_trace_refuses_tables_that_do_not_add_up(traced):
    taken, done = traced
    other = segkit.clean_data({"orders": taken.raw["orders"].head(1)})
    with pytest.raises(DataError, match="do not add up to revenue of 1 customer"):
        trace_segment(other, done, segment="S1", arm="mail", metric="revenue")
    with pytest.raises(ParameterError, match="unknown segment 'S9'"):
        trace_segment(taken, done, segment="S9", arm="mail")
    with pytest.raises(ParameterError, match="unknown figure that rests on orders"):
        trace_segment(taken, done, segment="S1", arm="mail", metric="visit_rate")
