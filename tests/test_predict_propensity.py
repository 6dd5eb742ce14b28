"""Tests of churn and lead scores: windows, models, measures, backtests, decision curves."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from segkit.campaign import SegmentContract, build_audience
from segkit.cluster import assign_by_rules, validate_segments
from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.features import build_features
from segkit.predict import (
    PropensityModel,
    backtest_churn,
    backtest_leads,
    compute_decision_curve,
    count_purchases,
    fit_churn,
    fit_leads,
    score_propensity,
)
from segkit.predict.measures import METRICS, Ranked, limits, measure, reliability, resample
from segkit.predict.propensity import fit_logistic, logit
from segkit.predict.windows import Tables, Window, roll
from segkit.profile import profile_segments
from segkit.result import Result
from segkit.rules import Domain, RuleSet
from tests.conftest import SHARED
from tests.reference.cdnow import load_log

START = date(2023, 1, 1)
FIRST = (START - date(1970, 1, 1)).days
DAYS = 480
END = START + timedelta(days=DAYS - 1)


def make_shop(customers=500, *, seed=0):
    """Order lines of customers who buy at rates of their own until they leave."""
    rng = np.random.default_rng(seed)
    born, rate = rng.uniform(0, 200, customers), rng.gamma(0.8, 1 / 50, customers)
    leaves = born + rng.exponential(250, customers)
    bought = rng.random((customers, DAYS)) < rate[:, None]
    day = np.arange(DAYS)
    bought &= (day >= born[:, None]) & (day < leaves[:, None])
    bought[np.arange(customers), born.astype(int)] = True
    who, when = np.nonzero(bought)
    return pl.DataFrame(
        {
            "customer_id": who.astype(str),
            "order_id": np.arange(len(who)).astype(str),
            "order_day": FIRST + when,
            "amount": rng.gamma(4.0, 10.0, len(who)),
            "category": rng.choice(["shoes", "tops"], len(who)),
        }
    )


def make_contacts(contacts=700, *, seed=0):
    """Contacts who sign up, visit as they are keen, and perhaps order; companies buy more."""
    rng = np.random.default_rng(seed)
    signed, keen = rng.integers(0, DAYS - 60, contacts), rng.random(contacts)
    size = rng.choice(["large", "small"], contacts, p=[0.3, 0.7])
    visitor = np.repeat(np.arange(contacts), rng.poisson(10 * keen))
    events = pl.DataFrame(
        {
            "customer_id": visitor.astype(str),
            "event_type": "site_visit",
            "event_day": FIRST + signed[visitor] + rng.integers(0, 120, len(visitor)),
        }
    ).filter(pl.col("event_day") < FIRST + DAYS)
    chance = 0.15 + 0.5 * keen + 0.3 * (size == "large")
    buyer = np.flatnonzero(rng.random(contacts) < chance)
    orders = pl.DataFrame(
        {
            "customer_id": buyer.astype(str),
            "order_day": FIRST + signed[buyer] + rng.integers(20, 300, len(buyer)),
            "amount": 50.0,
        }
    )
    late = [str(FIRST + DAYS - 1)]
    orders = pl.concat(
        [
            orders.filter(pl.col("order_day") < FIRST + DAYS),
            pl.DataFrame({"customer_id": ["last"], "order_day": [int(late[0])], "amount": [1.0]}),
        ]
    )
    people = pl.DataFrame(
        {
            "customer_id": np.arange(contacts).astype(str),
            "company_size": size,
            "signed_up": [START + timedelta(days=int(day)) for day in signed],
        }
    )
    return orders, events, people


@pytest.fixture(scope="module")
def orders():
    return make_shop()


@pytest.fixture(scope="module")
def scores(orders):
    return score_propensity(fit_churn(orders), orders)


@pytest.fixture(scope="module")
def judged(orders):
    return backtest_churn(orders, origins=2, resamples=40)


# Measures.


def test_measures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    probability = rng.random(400).round(2)  # with ties
    event = (rng.random(400) < probability).astype(float)
    ranked = Ranked.of(probability, event)
    values = dict(zip(METRICS, measure(ranked.values, *ranked.count()), strict=True))
    assert values["auc"] == pytest.approx(roc_auc_score(event, probability), abs=1e-12)
    assert values["brier"] == pytest.approx(brier_score_loss(event, probability), abs=1e-12)
    assert values["pr_auc"] == pytest.approx(average_precision_score(event, probability), abs=1e-12)


def test_ece_and_gain_are_those_of_ten_bins_by_hand():
    probability = np.linspace(0.01, 0.99, 50)
    event = (np.arange(50) % 3 == 0).astype(float)
    ranked = Ranked.of(probability, event)
    values = dict(zip(METRICS, measure(ranked.values, *ranked.count()), strict=True))
    bins = event.reshape(10, 5).mean(axis=1), probability.reshape(10, 5).mean(axis=1)
    assert values["ece"] == pytest.approx(np.abs(bins[0] - bins[1]).mean())
    assert values["gain_top_2_deciles"] == pytest.approx(event[-10:].mean() / event.mean() - 1)
    curve = reliability(ranked, 0.95)
    assert curve["decile"].to_list() == list(range(1, 11))
    assert curve["observed"].to_list() == pytest.approx(bins[0][::-1].tolist())
    assert (curve["low"] <= curve["observed"]).all()
    assert (curve["high"] >= curve["observed"]).all()


def test_a_constant_score_tells_nothing_whatever_the_order_of_the_rows():
    event = np.r_[np.zeros(60), np.ones(40)]
    ranked = Ranked.of(np.full(100, 0.3), event)
    values = dict(zip(METRICS, measure(ranked.values, *ranked.count()), strict=True))
    assert values["auc"] == 0.5
    assert values["ece"] == pytest.approx(0.1)
    assert values["gain_top_decile"] == pytest.approx(0, abs=1e-12)


def test_intervals_cover_the_measure_of_the_population():
    """Of 40 samples of 300 customers, the 90% intervals hold the true AUC and Brier score."""
    rng = np.random.default_rng(3)
    probability = rng.beta(1, 3, 100_000)
    event = (rng.random(100_000) < probability).astype(float)
    whole = Ranked.of(probability, event)
    true = measure(whole.values, *whole.count())
    inside = []
    for sample in range(40):
        rows = slice(300 * sample, 300 * sample + 300)
        ids = pl.Series([str(k) for k in range(300)])
        ranked = {"own": Ranked.of(probability[rows], event[rows])}
        values, drawn = resample([(ids, ranked)], ["own"], 50, sample)
        low, high = limits(values, drawn, 0.9)
        inside.append((low[0, 0] <= true) & (true <= high[0, 0]))
    share = dict(zip(METRICS, np.mean(inside, axis=0), strict=True))
    assert 0.75 < share["auc"] < 1
    assert 0.75 < share["brier"] < 1


# Time.


def _at(orders, origin, change):
    """Return the scores at an origin, fitted and made on orders changed after it."""
    return score_propensity(fit_churn(change(orders), as_of=origin), change(orders), as_of=origin)


def _disturb(orders, after):
    """Multiply all that is known after a day, and let everybody buy then."""
    day = (after - date(1970, 1, 1)).days
    past = orders.filter(pl.col("order_day") <= day)
    late = past.unique("customer_id", maintain_order=True).with_columns(
        order_day=pl.lit(day + 1).cast(pl.Int64), amount=pl.lit(1e4), order_id=pl.lit("x")
    )
    return pl.concat([past, late])


ORIGIN = END - timedelta(days=90)


def test_scores_know_nothing_that_comes_after_the_origin(orders):
    own = _at(orders, ORIGIN, lambda lines: lines)
    disturbed = _at(orders, ORIGIN, lambda lines: _disturb(lines, ORIGIN))
    assert own.customers.equals(disturbed.customers)
    assert own.model.to_data() == disturbed.model.to_data()


def test_a_planted_leak_is_noticed(orders, monkeypatch):
    """Customers described a day after the origin: the test above would fail."""
    describe = Tables.describe
    monkeypatch.setattr(
        Tables, "describe", lambda self, origin: describe(self, origin + timedelta(days=1))
    )
    own = _at(orders, ORIGIN, lambda lines: lines)
    disturbed = _at(orders, ORIGIN, lambda lines: _disturb(lines, ORIGIN))
    assert not own.customers.equals(disturbed.customers)


def test_labels_end_on_or_before_the_next_origin(orders):
    rolling = roll(Tables(orders), None, 90, 4)
    origins = [window.origin for window in rolling.windows]
    assert origins == [END - timedelta(days=90 * back) for back in (4, 3, 2, 1)]
    fit, calibration = rolling.before(END - timedelta(days=90), 4)
    assert [one.origin for one in fit] == origins[:2]
    assert calibration.origin == origins[2]
    fit, calibration = rolling.before(END - timedelta(days=91), 4)
    assert [one.origin for one in [*fit, calibration]] == origins[:2]
    last = rolling.windows[-1]
    day = (last.origin - date(1970, 1, 1)).days
    after = orders.filter((pl.col("order_day") > day) & (pl.col("order_day") <= day + 90))
    ordered = set(after["customer_id"])
    churned = dict(zip(last.frame["customer_id"], last.event, strict=True))
    assert all(churned[who] == (who not in ordered) for who in churned)


def test_the_horizon_begins_after_the_origin_and_ends_with_its_last_day(orders):
    window = Window(START, pl.DataFrame({"customer_id": ["at", "first", "last", "later"]}))
    days = pl.DataFrame({"customer_id": window.frame["customer_id"], "order_day": [0, 1, 30, 31]})
    days = days.with_columns(pl.col("order_day") + FIRST)
    churned = Tables(orders).label(window, days, 30).event
    assert churned.tolist() == [True, False, False, True]


# Models.


def test_scores_are_the_stored_models(scores, orders, tmp_path):
    again = PropensityModel.load(scores.model.save(tmp_path / "model.json"))
    assert again.to_data() == scores.model.to_data()
    assert score_propensity(again, orders).customers.equals(scores.customers)
    stored = Result.from_dict(scores.to_dict())
    assert stored.customers.equals(scores.customers)
    with pytest.raises(DataError, match="score again"):
        stored.explain()
    broken = scores.model.to_data() | {"coefficients": [1.0]}
    with pytest.raises(ModelError, match="coefficients"):
        PropensityModel.from_data(broken)


def test_the_last_earlier_window_calibrates(orders):
    tables = Tables(orders)
    rolling = roll(tables, None, 90, 4)
    fit, calibration = rolling.before(rolling.end, 4)
    model = fit_logistic(fit, calibration, tables, rolling, rolling.end)
    assert model.calibrated_on == calibration.origin
    assert model.origins == tuple(window.origin for window in fit)
    bare = replace(model, slope=1.0, shift=0.0)
    odds = logit(bare.predict(calibration.frame, calibration.origin))
    whole = LogisticRegression(C=1e6, tol=1e-8).fit(odds[:, None], calibration.event)
    assert model.slope == pytest.approx((1 + whole.coef_[0, 0]) / 2)  # half of Platt's change
    assert model.shift == pytest.approx(whole.intercept_[0] / 2)
    assert abs(model.shift) > 0.01
    alone = fit_logistic([calibration], None, tables, rolling, rolling.end)
    assert (alone.slope, alone.shift, alone.calibrated_on) == (1.0, 0.0, None)
    assert "not calibrated" in alone.text


def test_a_planted_season_moves_the_scores():
    """Three years of shops with a strong winter: scores of autumn expect the winter's orders."""
    rng = np.random.default_rng(5)
    first = (date(2021, 1, 1) - date(1970, 1, 1)).days
    calendar = np.datetime64("2021-01-01") + np.arange(1_095)
    winter = np.isin(calendar.astype("datetime64[M]").astype(int) % 12, (9, 10, 11))
    rate = rng.gamma(1.0, 0.006, 500)
    bought = rng.random((500, 1_095)) < rate[:, None] * np.where(winter, 2.5, 0.7)
    who, day = np.nonzero(bought)
    orders = pl.DataFrame({"customer_id": who.astype(str), "order_day": first + day, "amount": 9.0})
    tables = Tables(orders)
    rolling = roll(tables, None, 92, 6)
    last = rolling.windows[-1]
    assert last.origin == date(2023, 9, 30)
    model = fit_logistic(*rolling.before(last.origin, 5), tables, rolling, last.origin)
    assert model.season[10] / model.season[6] == pytest.approx(2.5 / 0.7, rel=0.15)
    flat = replace(model, season_effect=0.0)
    miss, flat_miss = (
        abs(one.predict(last.frame, last.origin).mean() - last.event.mean())
        for one in (model, flat)
    )
    assert miss < 0.03 < 0.15 < flat_miss
    assert "season" in model.text
    assert PropensityModel.from_data(model.to_data()).season == model.season


def test_drivers_add_up_to_the_score(scores):
    everything = scores.explain(top=99)
    model = scores.model
    sums = everything.group_by("customer_id", maintain_order=True).agg(pl.col("contribution").sum())
    wanted = logit(scores.customers["churn_probability"].to_numpy())
    got = sums["contribution"].to_numpy() + model.shift + model.slope * model.intercept
    assert got == pytest.approx(wanted)
    one = scores.explain(["7"], top=2)
    assert one["rank"].to_list() == [1, 2]
    assert one["contribution"].abs().is_sorted(descending=True)
    assert one["words"].str.contains("goes with a (higher|lower) churn probability").all()
    with pytest.raises(DataError, match="1 customer without a score, such as 'nobody'"):
        scores.explain(["nobody"])


def test_drivers_of_segments_are_deviations_from_all(scores):
    halves = scores.customers.select(
        "customer_id",
        segment=pl.when(pl.col("decile") <= 5).then(pl.lit("leaving")).otherwise(pl.lit("staying")),
    )
    drivers = scores.explain_segments(halves, top=99)
    sizes = halves.group_by("segment").len()
    weighted = (
        drivers.join(sizes, on="segment")
        .group_by("driver")
        .agg((pl.col("contribution") * pl.col("len")).sum())
    )
    assert weighted["contribution"].to_numpy() == pytest.approx(0, abs=1e-9)
    top = drivers.filter(pl.col("segment") == "leaving").row(0, named=True)
    assert top["contribution"] > 0
    with pytest.raises(DataError, match="none of the scored customers"):
        scores.explain_segments(pl.DataFrame({"customer_id": ["x"], "segment": ["A"]}))


def test_returns_and_negative_money_can_be_scored(orders):
    model = fit_churn(orders)
    back = orders.head(1).with_columns(
        order_day=pl.lit(FIRST + DAYS - 1).cast(pl.Int64), amount=pl.lit(-1e6)
    )
    probability = score_propensity(model, pl.concat([orders, back])).customers
    assert probability["churn_probability"].is_between(0, 1).all()


# The backtest.


def test_the_backtest_stands_beside_naive_scores(judged):
    table = judged.compare()
    assert table["score"].to_list() == [
        "logistic", "gradient boosting", "BG/NBD", "recency alone", "base rate",
    ]  # fmt: skip
    rows = {row["score"]: row for row in table.iter_rows(named=True)}
    assert rows["base rate"]["auc"] == 0.5
    assert rows["logistic"]["auc"] > 0.7
    assert rows["logistic"]["brier"] < rows["base rate"]["brier"]
    whole = judged.table
    assert (whole["low"] <= whole["high"]).all()
    differences = whole.filter(pl.col("score") == "base rate", measure="brier")
    assert (differences["difference_low"] > 0).all()
    assert "BG/NBD came" in judged.text


def test_the_backtest_predicts_what_a_model_fitted_then_predicts(judged, orders):
    origin = judged.predictions["origin"].max()
    own = score_propensity(fit_churn(orders, as_of=origin), orders, as_of=origin).customers
    part = judged.predictions.filter(pl.col("origin") == origin)
    assert part["logistic"].to_list() == own["churn_probability"].to_list()


def test_the_backtest_can_be_stored_and_drawn(judged):
    again = Result.from_dict(judged.to_dict())
    assert again.text == judged.text
    assert "exactly right" in judged.plot(("logistic", "BG/NBD")).alt


def test_churn_on_cdnow_is_the_reference():
    path = SHARED / "cdnow_master.txt"
    if not path.exists():
        pytest.skip("CDNOW's log is not beside the project")
    tables = Tables(load_log(path))
    rolling = roll(tables, date(1998, 4, 1), 90, 3)
    last = rolling.windows[-1]
    model = fit_logistic(*rolling.before(last.origin, 3), tables, rolling, last.origin)
    probability = model.predict(last.frame, last.origin)
    assert roc_auc_score(last.event, probability) == pytest.approx(0.808, abs=0.003)
    assert brier_score_loss(last.event, probability) == pytest.approx(0.104, abs=0.001)


# Decisions.


def test_decision_curves_are_the_profit_counted_by_hand(judged):
    curve = compute_decision_curve(judged, cost=2, margin=50, response=0.1)
    assert curve.threshold == pytest.approx(0.4)
    frame = judged.predictions
    contacted = frame.filter(pl.col("logistic") >= 0.4)
    profit = (contacted["event"].sum() * 5 - 2 * contacted.height) / frame.height
    row = curve.table.filter(score="logistic", cost=2.0).row(0, named=True)
    assert row["profit"] == pytest.approx(profit)
    assert row["contacted"] == pytest.approx(contacted.height / frame.height)
    assert row["low"] < profit < row["high"]
    every = curve.table.filter(score="everybody", cost=2.0).row(0, named=True)
    assert every["profit"] == pytest.approx(frame["event"].mean() * 5 - 2)
    assert "only a randomised test can tell" in curve.text
    assert Result.from_dict(curve.to_dict()).table.equals(curve.table)
    with pytest.raises(ParameterError, match="never pays"):
        compute_decision_curve(judged, cost=6, margin=50, response=0.1)
    with pytest.raises(ParameterError, match="response"):
        compute_decision_curve(judged, cost=1, margin=50, response=1.5)


# Leads.


@pytest.fixture(scope="module")
def contacts():
    return make_contacts()


def test_leads_are_contacts_who_have_not_bought(contacts):
    orders, events, people = contacts
    tables = Tables(
        orders, events, people, outcome="first_order",
        attributes=("company_size",), known_date="signed_up",
    )  # fmt: skip
    origin = START + timedelta(days=200)
    window = tables.describe(origin)
    day = FIRST + 200
    bought = set(orders.filter(pl.col("order_day") <= day)["customer_id"])
    signed = people.filter(pl.col("signed_up") <= origin)["customer_id"]
    assert set(window.frame["customer_id"]) == set(signed) - bought
    known = window.frame.join(people, on="customer_id")
    assert (known["known_days"] == (origin - known["signed_up"]).dt.total_days()).all()
    later = orders.filter(pl.col("order_day").is_between(day + 1, day + 60))["customer_id"]
    labelled = tables.label(window, orders, 60)
    assert set(window.frame["customer_id"].filter(labelled.event)) == set(later) & set(
        window.frame["customer_id"]
    )


def test_lead_scores_find_the_keen(contacts):
    orders, events, people = contacts
    options = {"events": events, "customers": people, "horizon_days": 60}
    model = fit_leads(orders, **options, attributes=["company_size"], known_date="signed_up")
    assert model.levels == {"company_size": ("small", "large")}
    effects = dict(model.to_frame().iter_rows())
    assert effects["company_size=large"] > 0 > effects["company_size=small"]
    options.pop("horizon_days")
    scores = score_propensity(model, orders, **options)
    bought = orders["customer_id"].unique()
    assert not scores.customers["customer_id"].is_in(bought.implode()).any()
    words = scores.explain(top=20)["words"]
    assert words.str.contains("company size large: goes with a higher").any()
    assert words.str.contains("first order probability").all()


def test_lead_backtests_have_no_model_of_repeat_buying(contacts):
    orders, events, people = contacts
    judged = backtest_leads(
        orders, events=events, customers=people, horizon_days=60, origins=1, resamples=20,
        attributes=["company_size"], known_date="signed_up",
    )  # fmt: skip
    assert judged.compare()["score"].to_list() == [
        "logistic", "gradient boosting", "recency alone", "base rate",
    ]  # fmt: skip
    assert judged.compare()["auc"][0] > 0.55
    assert "ranked contacts by a first order within 60 days" in judged.text


# What cannot be.


def test_too_little_is_refused_in_a_sentence(orders):
    often = pl.DataFrame({"customer_id": "1", "order_day": range(0, 400, 20), "amount": 9.0})
    with pytest.raises(DataError, match="20 customers who ordered within the horizon"):
        fit_churn(often)
    first = orders.sort("order_day").group_by("customer_id", maintain_order=True).first()
    late = first.head(1).with_columns(order_day=pl.lit(FIRST + DAYS - 1).cast(pl.Int64))
    with pytest.raises(DataError, match="at the past dates there are 1 and"):
        fit_churn(pl.concat([first, late]), windows=1)
    with pytest.raises(DataError, match="90 days of purchases before it"):
        fit_churn(orders.with_columns(order_day=pl.lit(19_000)))
    with pytest.raises(DataError, match="hold no purchase"):
        fit_churn(orders.with_columns(amount=-pl.col("amount")))
    with pytest.raises(DataError, match="but the orders end on"):
        fit_churn(orders, as_of=END + timedelta(days=8))
    assert fit_churn(orders, as_of=END + timedelta(days=1)).as_of == END + timedelta(days=1)
    with pytest.raises(DataError, match="no past date has an earlier one"):
        backtest_churn(orders.filter(pl.col("order_day") < FIRST + 200))
    with pytest.raises(ColumnError, match="order_day"):
        fit_churn(orders.drop("order_day"))
    for days in (0, 30.5):
        with pytest.raises(ParameterError, match="horizon_days"):
            fit_churn(orders, horizon_days=days)
    with pytest.raises(ParameterError, match=r"as_of is a datetime\.date"):
        fit_churn(orders, as_of="2024-01-01")
    with pytest.raises(DataError, match="1779 infinite and 0 missing amounts"):
        fit_churn(orders.with_columns(amount=pl.lit(float("inf"))))
    with pytest.raises(ParameterError, match="need customers"):
        fit_churn(orders, attributes=["region"])
    with pytest.raises(ParameterError, match="they tell who was a lead at a past date"):
        fit_leads(orders)
    people = pl.DataFrame({"customer_id": ["1", "1"], "region": ["N", "S"]})
    with pytest.raises(DataError, match="1 customer comes more than once"):
        fit_churn(orders, customers=people, attributes=["region"])


def test_a_model_refuses_tables_that_lack_its_features(scores, orders):
    with pytest.raises(ParameterError, match="category"):
        score_propensity(scores.model, orders.drop("category"))


def test_ids_of_any_type_and_lazy_tables_are_read(scores, orders):
    numbers = orders.with_columns(pl.col("customer_id").cast(pl.Int64)).lazy()
    again = score_propensity(fit_churn(numbers), numbers).customers
    assert again.equals(scores.customers)


def test_probabilities_follow_the_formula_in_the_docstring(scores):
    model = scores.model
    numeric = scores.frame.select(model.features)
    history = count_purchases(make_shop(), as_of=END)
    order = model.purchases.predict(history, 90)["p_order"]
    z = model.transform.apply(numeric.with_columns(p_order=order))
    raw = model.intercept + z @ np.array(model.coefficients)
    wanted = expit(model.shift + model.slope * raw)
    assert scores.customers["churn_probability"].to_numpy() == pytest.approx(wanted)
    deciles = scores.customers.group_by("decile").len()["len"]
    assert deciles.max() - deciles.min() <= 1


# What scores are for.


def test_scores_do_not_depend_on_who_else_is_scored(scores, orders):
    few = ["1", "2", "3"]
    alone = score_propensity(
        scores.model, orders.filter(pl.col("customer_id").is_in(few)), as_of=scores.as_of
    ).customers
    together = scores.customers.filter(pl.col("customer_id").is_in(few))
    assert alone["churn_probability"].to_list() == together["churn_probability"].to_list()


def test_scores_make_segments_lists_and_outcomes(scores, orders):
    rules = RuleSet.parse(
        "leaving: churn_probability >= 0.6\nstaying: churn_probability < 0.6",
        domains={"churn_probability": Domain(low=0, high=1, nullable=False)},
    )
    rules.check(scores.customers).require()
    segments = rules.apply(scores.customers).select("customer_id", "segment")
    leaving = segments.filter(pl.col("segment") == "leaving")
    assert 0 < leaving.height < segments.height
    terms = SegmentContract("keep", END.isoformat(), "1", "", "rules", {"leaving": "score"})
    people = segments.select("customer_id", marketing_consent=pl.lit(value=True)).with_columns(
        email=pl.col("customer_id") + "@example.org"
    )
    offers = leaving.with_columns(offer=pl.lit("voucher"))
    audience = build_audience(offers, people, contract=terms, min_cell=5)
    assert set(audience.frame["customer_id"]) == set(leaving["customer_id"])
    validity = validate_segments(scores.customers, segments, variables=["churn_probability"])
    assert validity.segments["separation"].min() > 1
    table = build_features(orders, as_of=END, features=["core"]).frame
    table = table.join(scores.customers, on="customer_id")
    by_orders = {"often": "frequency > 4", "seldom": "frequency <= 4"}
    profile = profile_segments(
        table,
        assign_by_rules(table, by_orders),
        kpi="churn_probability",
        clustering_variables=["frequency"],
    )
    kpi = dict(profile.segments.select("segment", "kpi").iter_rows())
    assert kpi["often"] < kpi["seldom"]
