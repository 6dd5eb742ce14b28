"""Tests of models of repeat buying and spend, of value and of its backtest."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import gammaln

from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.predict import (
    ValueModel,
    backtest_value,
    count_purchases,
    estimate_value,
    fit_purchases,
    fit_spend,
    group_by_value,
    list_retention,
    predict_next_purchase,
)
from segkit.predict.futures import FAMILIES
from segkit.predict.histories import estimate_season
from segkit.predict.likelihood import Histories
from segkit.predict.purchases import PurchaseModel
from segkit.predict.spend import SpendModel, _log_likelihood
from segkit.result import Result
from tests.conftest import SHARED
from tests.reference.cdnow import SAMPLE, load_donations, load_log

CDNOW = SHARED / "cdnow_master.txt"
START = date(2023, 1, 1)


@pytest.fixture(scope="module")
def cdnow():
    """CDNOW's purchases, one row per line of the published log."""
    if not CDNOW.exists():
        pytest.skip("CDNOW's log is not beside the project")
    return load_log(CDNOW)


@pytest.fixture(scope="module")
def sample(cdnow):
    """The 2,357 customers of the published sample, to 1997-09-30, in days."""
    sample = cdnow.filter(pl.col("customer_id").is_in(SAMPLE))
    return count_purchases(sample, as_of=date(1997, 9, 30))


def in_weeks(history):
    return history.with_columns(pl.col("last_purchase_day", "age_days") / 7)


def shop(customers=600, *, seed=0, days=500):
    """Simulated purchases under the BG/NBD and gamma-gamma models."""
    rng = np.random.default_rng(seed)
    born = rng.uniform(0, 300, customers)
    rate = rng.gamma(0.8, 1 / 60, customers)
    leaves = rng.beta(0.8, 2.5, customers)
    level = rng.gamma(3.7, size=customers)
    who, when, now = [np.arange(customers)], [born], born.copy()
    active = np.ones(customers, dtype=bool)
    while active.any():
        now = now + np.where(active, rng.exponential(size=customers) / rate, 0)
        active &= now < days
        who.append(np.flatnonzero(active))
        when.append(now[active])
        active &= rng.random(customers) >= leaves
    who, when = np.concatenate(who), np.concatenate(when)
    return pl.DataFrame(
        {
            "customer_id": who.astype(str),
            "order_day": (START - date(1970, 1, 1)).days + when.astype(int),
            "amount": rng.gamma(6.0, size=len(who)) * 15 / level[who],
        }
    )


# Published figures.


@pytest.mark.parametrize(
    ("model", "parameters", "log_likelihood"),
    [
        ("bg_nbd", (0.24259452, 4.41360202, 0.79292202, 2.42590678), -9582.429207),
        # Published on rounded weeks: .55315 10.57633 .60625 11.67150, -9594.976.
        ("pareto_nbd", (0.5532770, 10.5776835, 0.6062400, 11.6687353), -9594.976179),
    ],
)
def test_models_of_repeat_buying_reproduce_cdnow(sample, model, parameters, log_likelihood):
    fitted = fit_purchases(in_weeks(sample), model=model)
    assert tuple(fitted.parameters.values()) == pytest.approx(parameters, rel=1e-6)
    assert fitted.log_likelihood == pytest.approx(log_likelihood, abs=1e-5)
    assert fitted.converged
    assert fitted.gradient < 1e-8


def test_the_unit_of_time_changes_nothing_but_the_unit(sample):
    weeks, days = fit_purchases(in_weeks(sample)), fit_purchases(sample)
    for name, factor in (("r", 1), ("alpha", 7), ("a", 1), ("b", 1)):
        assert days.parameters[name] == pytest.approx(factor * weeks.parameters[name], rel=1e-6)
    orders = sample["repeat_purchases"].sum()
    assert orders == 2_457
    assert days.log_likelihood == pytest.approx(weeks.log_likelihood - orders * np.log(7))


def test_conditional_expectation_and_probability_active_are_the_published_ones(sample):
    one = pl.DataFrame({"repeat_purchases": [2], "last_purchase_day": [30.43], "age_days": [38.86]})
    published = {"r": 0.2425945, "alpha": 4.4136019, "a": 0.7929199, "b": 2.4258881}
    fitted = fit_purchases(in_weeks(sample)).to_data() | {"parameters": published}
    row = PurchaseModel.from_data(fitted).predict(one, 39).row(0, named=True)
    assert row["expected_orders"] == pytest.approx(1.226, abs=5e-4)
    assert row["p_alive"] == pytest.approx(0.7266, abs=5e-5)


def test_spend_reproduces_cdnow(sample):
    fitted = fit_spend(sample)
    assert list(fitted.parameters.values()) == pytest.approx([6.24959, 3.74422, 15.44346], abs=1e-4)
    assert fitted.log_likelihood == pytest.approx(-4055.917695, abs=1e-6)
    assert fitted.customers == 946
    by_id = sample.with_columns(number=pl.col("customer_id").cast(pl.Int64)).sort("number")
    assert sorted(fitted.predict(by_id.head(3))) == pytest.approx([18.91, 24.65, 35.17], abs=5e-3)


def test_donations_reproduce_bg_bb():
    fitted = fit_purchases(load_donations(), model="bg_bb")
    assert list(fitted.parameters.values()) == pytest.approx(
        [1.20352, 0.74972, 0.65672, 2.78344], abs=1e-5
    )
    assert fitted.log_likelihood == pytest.approx(-33225.5813, abs=1e-4)
    assert fitted.customers == 11_104


# The arithmetic.

ROWS = Histories(
    np.array([0.0, 0, 1, 3, 40, 200]),
    np.array([0.0, 0, 5, 20, 99, 60]),
    np.array([0.0, 30, 6, 90, 100, 400]),
    np.ones(6),
)
COUNTS = Histories(
    np.array([0.0, 0, 1, 3, 6]),
    np.array([0.0, 0, 2, 5, 6]),
    np.array([1.0, 6, 6, 6, 6]),
    np.ones(5),
)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"])
def test_gradients_and_hessians_are_those_of_finite_differences(name):
    compute, histories = FAMILIES[name].likelihood, COUNTS if name == "bg_bb" else ROWS
    point = np.log([0.7, 9.0, 0.9, 3.0])

    def at(logs):
        return compute(tuple(np.array([value]) for value in np.exp(logs)), histories, True)

    here, step = at(point), 1e-5
    for place in range(4):
        aside = np.eye(4)[place] * step
        high, low = at(point + aside), at(point - aside)
        slope = (high.value - low.value) / (2 * step)
        assert here.gradient[place] == pytest.approx(slope, rel=1e-6, abs=1e-6)
        curve = (high.gradient - low.gradient) / (2 * step)
        assert here.hessian[place] == pytest.approx(curve, rel=1e-6, abs=1e-6)


def test_the_spend_likelihoods_derivatives_are_those_of_finite_differences():
    x, mean = np.array([1.0, 2, 50]), np.array([1.0, 2, 0.5])
    point, step = np.log([2.0, 3.0, 4.0]), 1e-5
    here = _log_likelihood(np.exp(point), x, mean)
    for place in range(3):
        aside = np.eye(3)[place] * step
        high = _log_likelihood(np.exp(point + aside), x, mean)
        low = _log_likelihood(np.exp(point - aside), x, mean)
        assert here[1][place] == pytest.approx((high[0] - low[0]) / (2 * step), abs=1e-7)
        assert here[2][place] == pytest.approx((high[1] - low[1]) / (2 * step), abs=1e-7)


def test_the_pareto_nbd_integral_is_that_of_adaptive_quadrature():
    r, alpha, s, beta = 0.6, 10.0, 0.7, 12.0
    parameters = tuple(np.array([one]) for one in (r, alpha, s, beta))
    value = FAMILIES["pareto_nbd"].likelihood(parameters, ROWS, True).value
    for place, (x, last, age) in enumerate(zip(ROWS.x, ROWS.last, ROWS.age, strict=True)):
        top = -(r + x) * np.log(alpha + last)

        def density(moment, x=x, top=top):
            power = -(r + x) * np.log(alpha + moment) - top
            return s * np.exp(power - (s + 1) * np.log(beta + moment))

        left = quad(density, last, age, epsabs=0, epsrel=1e-12, limit=200)[0] if age > last else 0
        stays = np.exp(-(r + x) * np.log(alpha + age) - top - s * np.log(beta + age))
        wanted = (
            gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + top
        ) + np.log(stays + left)
        assert value[place] == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_a_customer_who_is_surely_gone_overflows_nothing(name):
    row = Histories(np.array([9e3]), np.array([100.0]), np.array([4e3]), np.ones(1))
    r, alpha, a, b = 0.7, 9.0, 0.9, 3.0
    parameters = tuple(np.array([one]) for one in (r, alpha, a, b))
    result = FAMILIES[name].likelihood(parameters, row, True)
    (x,), (last,), (age,) = row.x, row.last, row.age
    leaving = b + x - 1 + (name == "mbg_nbd")
    ends = (-(r + x) * np.log(alpha + age), np.log(a / leaving) - (r + x) * np.log(alpha + last))
    wanted = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + np.logaddexp(*ends)
    wanted += gammaln(a + b) + gammaln(leaving + 1) - gammaln(b) - gammaln(a + leaving + 1)
    assert result.value[0] == pytest.approx(wanted, rel=1e-12)
    assert 0 <= result.active[0] < 1e-300
    assert np.isfinite(result.gradient).all()
    assert np.isfinite(result.hessian).all()


def test_equal_histories_are_counted_alike_in_any_unit_and_in_blocks(sample, monkeypatch):
    whole = fit_purchases(sample)
    parts = sample.with_columns(pl.col("last_purchase_day", "age_days").cast(pl.Float64))
    monkeypatch.setattr("segkit.predict.purchases.BLOCK", 100)
    monkeypatch.setattr("segkit.predict.purchases.PILOT", 200)
    again = fit_purchases(parts)
    assert list(again.parameters.values()) == pytest.approx(
        list(whole.parameters.values()), rel=1e-8
    )
    assert again.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-8)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"])
def test_expectations_are_the_means_of_simulated_futures(name):
    history = count_purchases(shop())
    if name == "bg_bb":
        history = pl.DataFrame(
            {
                "repeat_purchases": [0, 1, 3, 6] * 50,
                "last_purchase_day": [0, 2, 5, 6] * 50,
                "age_days": [6] * 200,
            }
        )
    fitted = fit_purchases(history, model=name)
    few = history.unique(["repeat_purchases"]).sort("repeat_purchases")[[0, 1, -1]]
    horizon = 8 if name == "bg_bb" else 400
    many = pl.concat([few] * 20_000)
    draw = fitted.prepare_simulation(many, horizon)
    drawn = draw(np.random.default_rng(0), fitted.point).reshape(-1, 3)
    told = fitted.predict(few, horizon)
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(told["expected_orders"].to_numpy() - drawn.mean(axis=0)) < 4.5 * error).all()
    share = (drawn > 0).mean(axis=0)
    error = np.sqrt(share * (1 - share) / len(drawn)) + 1e-9
    assert (np.abs(told["p_order"].to_numpy() - share) < 4.5 * error).all()


def test_covariates_are_found_where_they_were_planted():
    rng = np.random.default_rng(4)
    n = 4_000
    z = rng.integers(0, 2, n)
    age = rng.uniform(100, 500, n)
    rate = rng.gamma(0.8, 1 / 60, n) * np.exp(0.7 * z)
    leaves = rng.beta(0.8 * np.exp(-0.6 * z), 2.5 * np.exp(-0.6 * z))
    x, last, now, active = np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n, dtype=bool)
    while active.any():
        now = now + np.where(active, rng.exponential(size=n) / rate, 0)
        active &= now < age
        x[active], last[active] = x[active] + 1, now[active]
        active &= rng.random(n) >= leaves
    history = pl.DataFrame(
        {"repeat_purchases": x, "last_purchase_day": last, "age_days": age, "z": z}
    )
    fitted = fit_purchases(history, purchase_covariates=["z"], dropout_covariates=["z"])
    error = dict(fitted.to_frame().select("parameter", "standard_error").iter_rows())
    assert abs(fitted.effects["purchase"]["z"] - 0.7) < 3 * error["purchase: z"]
    assert abs(fitted.effects["dropout"]["z"] + 0.6) < 3 * error["dropout: z"]
    assert error["purchase: z"] < 0.1
    plain = fit_purchases(history)
    assert fitted.log_likelihood > plain.log_likelihood + 20


# The customer's history.


def test_purchases_of_a_day_are_one_and_returns_reduce_spend():
    orders = pl.DataFrame(
        {
            "customer_id": ["a", "a", "a", "a", "b", "c"],
            "order_day": [0, 10, 10, 30, 5, 7],
            "amount": [50.0, 20.0, 20.0, -30.0, 9.0, -9.0],
        }
    )
    history = count_purchases(orders, as_of=date(1970, 2, 10))
    assert history["customer_id"].to_list() == ["a", "b"]
    assert history.row(0)[1:4] == (1, 10, 40)
    # 90 bought, 30 returned: two thirds of the repeat purchase of 40 are kept.
    assert history["mean_spend"].to_list() == [pytest.approx(40 * 60 / 90), None]


def test_nothing_after_the_last_day_counts():
    orders = shop()
    end = START + timedelta(days=200)
    until = orders.filter(pl.col("order_day") <= (end - date(1970, 1, 1)).days)
    assert count_purchases(orders, as_of=end).equals(count_purchases(until, as_of=end))


# Value.


@pytest.fixture(scope="module")
def value():
    orders = shop()
    segments = orders.select("customer_id").unique().sort("customer_id")
    segments = segments.with_columns(
        segment=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("A")).otherwise(pl.lit("B"))
    )
    return estimate_value(orders, horizon_days=180, segments=segments, draws=200)


def test_segments_add_up_to_the_total(value):
    parts, total = value.segments[:-1], value.segments.row(-1, named=True)
    for name in ("customers", "active", "expected_orders", "expected_value", "share_of_value"):
        assert parts[name].sum() == pytest.approx(total[name])
    assert value.customers["expected_value"].sum() == pytest.approx(total["expected_value"])
    assert (value.segments["value_low"] < value.segments["expected_value"]).all()
    assert (value.segments["value_high"] > value.segments["expected_value"]).all()
    assert value.customers["p_top"].mean() == pytest.approx(0.2, abs=0.02)
    assert (value.customers["p_order"] <= value.customers["p_alive"]).all()


def test_the_same_seed_gives_the_same_result_and_it_can_be_stored(value):
    again = Result.from_dict(value.to_dict())
    assert again.customers.equals(value.customers)
    assert again.text == value.text
    assert "180 days" in value.text
    twice = estimate_value(shop(), horizon_days=180, draws=100)
    assert twice.customers.equals(estimate_value(shop(), horizon_days=180, draws=100).customers)


def test_discounting_and_margin_reduce_value_alone(value):
    orders = shop()
    full = estimate_value(orders, horizon_days=180, discount_rate=0, draws=100)
    half = estimate_value(orders, horizon_days=180, discount_rate=0, margin=0.5, draws=100)
    less = estimate_value(orders, horizon_days=180, discount_rate=0.2, draws=100)
    assert half.customers["expected_value"].sum() == pytest.approx(
        full.customers["expected_value"].sum() / 2
    )
    ratio = less.customers["expected_value"].sum() / full.customers["expected_value"].sum()
    assert 1.2 ** -(180 / 365.25) < ratio < 1  # the middle of the horizon, or a little before
    assert ratio == pytest.approx(1.2 ** -(85 / 365.25), abs=0.01)
    assert less.customers["expected_orders"].equals(full.customers["expected_orders"])


def test_chunks_of_customers_change_nothing_but_the_draws(monkeypatch):
    orders = shop()
    whole = estimate_value(orders, horizon_days=180, draws=200)
    monkeypatch.setattr("segkit.predict.value.CHUNK", 100)
    parts = estimate_value(orders, horizon_days=180, draws=200)
    assert parts.customers["expected_value"].equals(whole.customers["expected_value"])
    for name in ("value_low", "value_high"):
        got, wanted = parts.segments[name][0], whole.segments[name][0]
        assert got == pytest.approx(wanted, rel=0.05)


def test_a_planted_season_moves_the_forecast():
    rng = np.random.default_rng(2)
    first = (date(2021, 1, 1) - date(1970, 1, 1)).days
    month = (np.datetime64("2021-01-01") + np.arange(1_095)).astype("datetime64[M]").astype(
        int
    ) % 12
    strength = np.where(month >= 10, 2.5, 0.7)
    rows = []
    for customer in range(400):
        bought = rng.random(1_095) < 0.012 * strength
        bought[rng.integers(0, 60)] = True
        rows += [(str(customer), first + int(day)) for day in np.flatnonzero(bought)]
    orders = pl.DataFrame(rows, schema=["customer_id", "order_day"], orient="row")
    orders = orders.with_columns(amount=pl.Series(rng.gamma(4.0, 5.0, len(rows))))
    end = date(2023, 10, 31)
    last = (end - date(1970, 1, 1)).days
    past, later = (
        orders.filter(pl.col("order_day") <= last),
        orders.filter(pl.col("order_day") > last),
    )
    options = {"as_of": end, "horizon_days": 61, "draws": 100}
    seasonal = estimate_value(past, **options)
    flat = estimate_value(past, season=False, **options)
    assert max(seasonal.season) == pytest.approx(2.5, abs=0.35)
    assert seasonal.customers["expected_orders"].sum() == pytest.approx(later.height, rel=0.1)
    assert flat.customers["expected_orders"].sum() < 0.6 * later.height
    assert not any("season" in note for note in seasonal.notes)


def test_under_two_years_no_season_is_claimed(value):
    assert set(value.season) == {1.0}
    assert any("season" in note for note in value.notes)
    days = pl.Series([0, 40, 80])
    assert estimate_season(days, date(1970, 1, 1), date(1970, 12, 31)).seen == 12


def test_a_month_without_a_purchase_hides_the_season_and_that_is_said():
    orders = shop(days=900)
    month = pl.from_epoch("order_day", time_unit="d").dt.strftime("%Y-%m")
    value = estimate_value(orders.filter(month != "2023-11"), horizon_days=90, draws=100)
    assert set(value.season) == {1.0}
    assert any("without a purchase hides the season" in note for note in value.notes)


def test_segments_by_value_rank_everybody_and_say_how_sure_that_is(value):
    groups = group_by_value(value)
    assert groups.table["value_segment"].to_list() == ["Top 20%", "Next 30%", "Last 50%"]
    assert groups.table["customers"].to_list() == [120, 180, 300]
    total = value.segments.row(-1, named=True)["expected_value"]
    assert groups.table["expected_value"].sum() == pytest.approx(total)
    assert groups.table["least_value"].is_sorted(descending=True)
    top, *_, last = groups.table["p_top"]
    assert 0.3 < top < 1
    assert last < 0.1
    assert groups.customers["customer_id"].equals(value.customers["customer_id"])
    member = groups.customers.filter(pl.col("value_segment") == "Top 20%")
    lowest = groups.table["least_value"][0]
    assert member["expected_value"].min() == lowest
    others = groups.customers.filter(pl.col("value_segment") != "Top 20%")["expected_value"]
    assert others.max() <= lowest
    assert len(groups.plot().data) == 10
    assert Result.from_dict(groups.to_dict()).text == groups.text
    for shares in ([], [0.5, 0.5], [0.0, 0.2]):
        with pytest.raises(ParameterError, match="leave a last group"):
            group_by_value(value, shares)


def test_who_may_be_leaving_is_listed_with_the_break_even_of_a_contact(value):
    groups = group_by_value(value)
    kept = list_retention(groups, "p_alive < 0.6", cost=2.0, margin=0.4)
    assert (kept.customers["p_alive"] < 0.6).all()
    assert kept.customers["value_at_risk"].is_sorted(descending=True)
    for row in kept.customers[[0, -1]].iter_rows(named=True):
        active = row["expected_value"] / row["p_alive"]
        assert row["value_at_risk"] == pytest.approx(active - row["expected_value"])
    assert kept.table["customers"].sum() == kept.customers.height
    last = kept.table.row(-1, named=True)
    mean = last["value_at_risk"] / last["customers"]
    assert last["break_even"] == pytest.approx(2.0 / (0.4 * mean))
    assert kept.plot().data.height == 3
    scores = value.customers.select("customer_id", churn_probability=1 - pl.col("p_order"))
    both = list_retention(groups, "churn_probability > 0.5 and p_alive > 0.2", churn=scores)
    assert (both.customers["churn_probability"] > 0.5).all()
    nobody = list_retention(groups, "p_alive > 2")
    assert (
        nobody.text == "No customer meets the rule for leaving (probability of being active > 2)."
    )
    assert nobody.table["break_even"].null_count() == 3
    with pytest.raises(ColumnError, match="churn_probability"):
        list_retention(groups, "churn_probability > 0.5")
    with pytest.raises(DataError, match="more than once"):
        list_retention(groups, churn=pl.concat([scores, scores]))
    with pytest.raises(ParameterError, match="margin"):
        list_retention(groups, margin=0.0)


def test_a_model_of_value_is_stored_and_scores_others_alike(value, tmp_path):
    model = ValueModel.load(value.model.save(tmp_path / "value.json"))
    assert model.to_data() == value.model.to_data()
    scored = model.predict(shop())
    for name in ("p_alive", "expected_orders", "expected_value"):
        assert scored[name].to_numpy() == pytest.approx(value.customers[name].to_numpy())
    few = shop().filter(pl.col("customer_id").str.ends_with("7"))
    alone = model.predict(few, as_of=value.as_of)
    same = scored.filter(pl.col("customer_id").str.ends_with("7"))
    assert alone["expected_value"].to_numpy() == pytest.approx(same["expected_value"].to_numpy())
    upcoming = predict_next_purchase(shop(), horizon_days=180)
    assert scored["next_date"].equals(upcoming.customers["next_date"])
    broken = value.model.to_data() | {"season": [1.0]}
    with pytest.raises(ModelError, match="twelve months"):
        ValueModel.from_data(broken)


# The backtest.


def test_a_period_in_which_nobody_spends_is_said_in_a_sentence():
    end = START + timedelta(days=499)
    orders = shop(200).filter(pl.col("order_day") <= (end - date(1970, 1, 1)).days)
    options = {"horizon_days": 90, "draws": 100}
    found = backtest_value(orders, as_of=end + timedelta(days=90), origins=2, **options)
    assert found.table["actual"].sum() > 0
    assert "(without 1 date after which nothing was spent)" in found.text
    empty = replace(found, table=found.table.filter(pl.col("origin") == end))
    assert empty.table["actual"].sum() == 0
    assert empty.text.startswith(
        "Over 1 past date, total spend of 90 days was never above zero, so that no forecast's miss "
        "is a share of it. Per customer the model was "
    )
    assert "–" not in found.text + empty.text


def test_backtests_know_nothing_that_comes_later():
    orders = shop()
    end = START + timedelta(days=499)
    one = backtest_value(orders, as_of=end, horizon_days=90, origins=1, draws=100)
    last = (end - timedelta(days=90) - date(1970, 1, 1)).days
    changed = orders.with_columns(
        amount=pl.when(pl.col("order_day") > last).then(1_000.0).otherwise("amount")
    )
    other = backtest_value(changed, as_of=end, horizon_days=90, origins=1, draws=100)
    assert one.table["predicted"].equals(other.table["predicted"])
    assert other.table["actual"][0] > one.table["actual"][0]
    assert set(one.table["forecast"]) == {"BG/NBD", "last period again", "same days a year before"}


def test_the_backtest_of_cdnow_is_the_reference(cdnow):
    result = backtest_value(cdnow, as_of=date(1998, 4, 1), horizon_days=90, origins=1, draws=100)
    own, naive, _ = result.table.iter_rows(named=True)
    assert own["bias"] == pytest.approx(-0.09, abs=0.005)
    assert own["mean_absolute_error"] == pytest.approx(12.70, abs=0.005)
    assert naive["bias"] == pytest.approx(0.13, abs=0.005)
    assert naive["mean_absolute_error"] == pytest.approx(13.73, abs=0.01)
    assert own["top_share"] > naive["top_share"]


# What cannot be.


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"repeat_purchases": pl.lit(-1)}, "whole numbers of 0 or more"),
        ({"repeat_purchases": pl.lit(1.5)}, "whole numbers of 0 or more"),
        ({"last_purchase_day": pl.lit(1e6)}, "between 0 and age_days"),
        ({"repeat_purchases": pl.lit(0)}, "exactly where there is no repeat purchase"),
        ({"age_days": pl.lit(None, pl.Float64)}, "must be given"),
    ],
)
def test_histories_that_cannot_be_are_refused(change, sentence):
    history = count_purchases(shop(200)).with_columns(**change)
    with pytest.raises(ParameterError, match=sentence):
        fit_purchases(history)


def test_too_little_is_refused_in_a_sentence():
    orders = shop(200)
    with pytest.raises(DataError, match="at least 100 customers and 20 who bought again"):
        estimate_value(orders.filter(pl.col("customer_id") == "1"), horizon_days=90)
    first = orders.group_by("customer_id").first()
    with pytest.raises(DataError, match="there are 200 and 0"):
        estimate_value(first, horizon_days=90)
    same = orders.with_columns(order_day=pl.lit(19_000))
    with pytest.raises(DataError, match="purchases span 0 days"):
        estimate_value(same)
    with pytest.raises(DataError, match="hold no purchase"):
        estimate_value(orders.with_columns(amount=-pl.col("amount")))
    with pytest.raises(DataError, match="of half the horizon"):
        estimate_value(orders, horizon_days=3_000)
    with pytest.raises(DataError, match="no past date"):
        backtest_value(orders, horizon_days=400, origins=1)
    with pytest.raises(ColumnError, match="order_day"):
        estimate_value(orders.drop("order_day"))
    wrong = pl.DataFrame({"customer_id": ["x"], "segment": ["A"]})
    with pytest.raises(DataError, match="none of the customers"):
        estimate_value(orders, horizon_days=90, segments=wrong)


@pytest.mark.parametrize(
    "option",
    [{"margin": 0}, {"level": 1.2}, {"discount_rate": -1}, {"horizon_days": 0}, {"draws": 1}],
)
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ParameterError, match=next(iter(option)).split("_")[0]):
        estimate_value(shop(200), **option)


def test_a_model_that_the_data_do_not_determine_says_so():
    history = pl.DataFrame(
        {
            "repeat_purchases": [3] * 150,
            "last_purchase_day": [90] * 150,
            "age_days": [100] * 150,
        }
    )
    fitted = fit_purchases(history)
    assert not fitted.converged
    assert "do not determine" in fitted.text


def test_models_are_stored_as_legible_json(tmp_path):
    history = count_purchases(shop())
    for model in (fit_purchases(history), fit_spend(history)):
        kind = type(model)
        again = kind.load(model.save(tmp_path / "model.json"))
        assert again.to_data() == model.to_data()
    with pytest.raises(ModelError, match="not a segkit"):
        PurchaseModel.load(fit_spend(history).save(tmp_path / "model.json"))
    broken = fit_spend(history).to_data() | {"covariance": [[1]]}
    with pytest.raises(ModelError):
        SpendModel.from_data(broken)


@pytest.mark.parametrize("seed", [3, 7])
def test_where_nobody_leaves_the_limit_is_as_likely_as_the_model_without_leaving(seed):
    """The NBD (Ehrenberg 1959) is the BG/NBD without dropout; its maximum by another optimiser."""
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 60, 300).astype(float)
    bought = rng.poisson(rng.gamma(0.8, 1 / 6, 300) * age)
    last = np.where(bought > 0, age * rng.beta(np.maximum(bought, 1), 1), 0.0)
    rows = {"repeat_purchases": bought, "last_purchase_day": last, "age_days": age}
    history = pl.DataFrame({"customer_id": [str(i) for i in range(300)], **rows})

    def unlikely(point):
        r, alpha = np.exp(point)
        logs = gammaln(r + bought) - gammaln(r) + r * np.log(alpha)
        return -float((logs - (r + bought) * np.log(alpha + age)).sum())

    limit = -minimize(unlikely, [0.0, 0.0]).fun
    for model in ("bg_nbd", "mbg_nbd"):
        assert fit_purchases(history, model=model).log_likelihood > limit - 0.01
