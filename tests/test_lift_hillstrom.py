"""Every published lift figure of Hillstrom's test, to the printed digits."""

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri

import segkit
from segkit.lift.sums import sum_up
from segkit.stats.hypotheses import count_table, mean_t_test, planned_split, share_z
from tests.reference import hillstrom

COLUMN = {"visit_rate": "visited", "conversion": "converted"}


@pytest.fixture(scope="module")
def counted():
    """Customers made from the published counts; spend is not needed here."""
    parts = []
    for arm, (n, visits, conversions, _) in hillstrom.ARMS.items():
        order = np.arange(n)
        columns = {"visited": order < visits, "converted": order < conversions}
        parts.append(pl.DataFrame(columns).with_columns(arm=pl.lit(arm)))
    return pl.concat(parts)


@pytest.fixture(scope="module")
def real(shared_data):
    source = segkit.load_source("hillstrom", shared_data("hillstrom_email.csv"))
    who = source.tables["assignments"].rename({"segment": "arm"})
    history = source.tables["customers"].select(
        "customer_id", "history", "recency", segment="history_segment"
    )
    names = {"visit": "visited", "conversion": "converted", "spend": "revenue"}
    return segkit.lift.read_outcomes(
        who.join(history, on="customer_id"), source.truth["outcomes"], names=names
    )


def check(found, method, places):
    for (metric, arm), figures in hillstrom.EFFECTS.items():
        row = found.row(metric=metric, arm=arm)
        difference = [row[f"difference{end}"] for end in ("", "_low", "_high")]
        assert np.round(difference, 6).tolist() == list(figures[:3]), (metric, arm)
        relative = [row[f"relative{end}"] for end in ("", "_low", "_high")]
        printed = [figures[4], *figures[places : places + 2]]
        assert np.round(relative, 6).tolist() == printed, (metric, arm, method)
        z = -ndtri(row["p_value"] / 2)
        assert round(float(z), 5 if figures[3] < 8 else 3) == pytest.approx(figures[3], abs=6e-4)


METHODS = {"log": 5, "fieller": 7, "delta": 9}


@pytest.mark.parametrize(("method", "places"), METHODS.items())
def test_shares_from_the_counts(counted, method, places):
    found = segkit.measure_lift(counted, control=hillstrom.CONTROL, relative=method)
    check(found, method, places)


def test_z_and_chi_squares_from_the_counts():
    control = hillstrom.ARMS[hillstrom.CONTROL]
    for k, metric in enumerate(COLUMN, start=1):
        for arm in ("Mens E-Mail", "Womens E-Mail"):
            own = hillstrom.ARMS[arm]
            z = share_z(own[k], own[0], control[k], control[0]).statistic
            assert round(z, 6) == hillstrom.EFFECTS[metric, arm][3]
        table = [[row[k], row[0] - row[k]] for row in hillstrom.ARMS.values()]
        assert round(count_table(table).statistic, 6) == hillstrom.THREE_ARMS[metric]
    tested = planned_split([row[0] for row in hillstrom.ARMS.values()])
    assert (round(tested.statistic, 6), round(tested.p_value, 6)) == hillstrom.SAMPLE_RATIO


def test_the_real_file_gives_them_too(real):
    found = segkit.measure_lift(real, control=hillstrom.CONTROL, relative="log")
    check(found, "log", 5)
    assert real.frame.height == 64_000
    assert found.effects["segment"].n_unique() == 8
    assert segkit.lift.check_sample_ratio(real).table["chi_square"][0] == pytest.approx(
        0.202531, abs=5e-7
    )


def test_spend_differs_as_published(real):
    sums = sum_up(real.frame, ["revenue"], segment=None)
    mens, none = (
        sums.moments(None, sums.arms.index(arm), ["revenue"])
        for arm in ("Mens E-Mail", hillstrom.CONTROL)
    )
    pieces = [
        value
        for group in (mens, none)
        for value in (group.mean[0], np.sqrt(group.covariance[0, 0]), group.n)
    ]
    tested = mean_t_test(*pieces, pooled=True)
    assert round(pieces[0] - pieces[3], 6) == hillstrom.SPEND_DIFFERENCE
    assert round(tested.statistic, 9) == hillstrom.SPEND_POOLED_T
    found = segkit.measure_lift(real, control=hillstrom.CONTROL)
    row = found.row(metric="revenue", arm="Mens E-Mail")
    assert round(row["difference"], 6) == hillstrom.SPEND_DIFFERENCE
    for arm, (_, _, _, spend) in hillstrom.ARMS.items():
        assert real.frame.filter(arm=arm)["revenue"].sum() == pytest.approx(spend, abs=0.005)


def test_among_purchasers_womens_mail_looks_better_and_per_customer_it_is_not(real):
    bought = segkit.lift.Kpi(
        "per_buyer", "spend per buyer", "ratio", "revenue", "converted", "customers who bought"
    )
    options = {"control": hillstrom.CONTROL, "segment": None}
    found = segkit.measure_lift(real, metrics=["revenue", bought], **options)
    value = {arm: found.row(metric="per_buyer", arm=arm) for arm in hillstrom.PER_PURCHASER}
    for arm, printed in hillstrom.PER_PURCHASER.items():
        assert round(value[arm]["value_arm"], 2) == printed
        assert (value[arm]["use"], value[arm]["verdict"]) == ("descriptive", "descriptive")
    women, men = (
        found.row(metric="revenue", arm=arm)["value_arm"]
        for arm in ("Womens E-Mail", "Mens E-Mail")
    )
    assert men > women
    money = segkit.measure_profit(real, control=hillstrom.CONTROL, margin=1.0, cost_per_contact=0.1)
    row = money.table.filter(arm="Mens E-Mail", segment="all customers").row(0, named=True)
    assert row["added_profit"] == pytest.approx(row["added_revenue"] - 0.1)
    assert row["roi"] == pytest.approx(row["added_profit"] / 0.1)
    over = segkit.measure_profit(  # both mails cost the same
        real, control="Womens E-Mail", arms=["Mens E-Mail"], margin=1.0, cost_per_contact=0.0
    ).table.filter(segment="all customers")
    assert money.over_next["added_profit_low"][0] == pytest.approx(over["added_profit_low"][0])
    assert money.advice.startswith(
        "Roll out Mens E-Mail: it added 0.67 of profit per customer (95% CI"
    )
    assert money.advice.endswith("), more than Womens E-Mail.")
    dear = segkit.measure_profit(real, control=hillstrom.CONTROL, margin=0.1, cost_per_contact=1.0)
    assert dear.advice.startswith(
        "Stop Mens E-Mail: it changed profit by -0.92 per customer (95% CI"
    )
    vague = segkit.measure_profit(
        real, control=hillstrom.CONTROL, margin=0.1, cost_per_contact=0.08
    )
    assert vague.advice.startswith("Keep testing Mens E-Mail: whether it pays is not shown")


def test_covariates_and_strata_move_little_in_a_randomised_test(real):
    plain = segkit.measure_lift(real, control=hillstrom.CONTROL, metrics=["revenue"])
    finer = segkit.measure_lift(
        real, control=hillstrom.CONTROL, metrics=["revenue"], covariates=["history", "recency"],
        overall="stratified",
    )  # fmt: skip
    one, two = plain.row(arm="Mens E-Mail"), finer.row(arm="Mens E-Mail")
    assert two["method"] == "CUPED, post-stratified, two-part"
    assert abs(one["difference"] - two["difference"]) < 0.2 * one["error"]
    assert two["error"] == pytest.approx(one["error"], rel=0.01)  # history hardly foretells it
