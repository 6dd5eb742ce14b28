"""What is known before a campaign, and the lists of a finished run, from the command line."""

import json
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from types import SimpleNamespace

import polars as pl
import pytest

import segkit
from segkit.campaign.prelude import _first_day, collect_campaign_data, read_given_campaign
from segkit.cli import invoke
from segkit.errors import DataError, RuleError, SourceError
from segkit.rules import ContactPolicy

RULES = (
    "Bought men's: mens = 1 and womens = 0",
    "Bought women's: mens = 0 and womens = 1",
    "Bought both: mens = 1 and womens = 1",
)


@cache
def shop():
    source = segkit.load_source("simulated", n_customers=500, seed=2)
    taken = segkit.clean_data(source, identities=segkit.pipeline.link_source(source))
    table = segkit.build_features(taken.orders, taken.events, calendar="uk")
    features = ["recency_days", "order_value_mean", "discount_share"]
    found = segkit.cluster_customers(table.frame, features=features, k=3)
    known = collect_campaign_data(
        taken, table.frame, found.assignments, found.model, as_of=table.as_of
    )
    return taken, table, found, known


def test_segments_of_the_pilot_know_nothing_of_its_answers():
    taken, _, found, known = shop()
    day = known.day_before_pilot
    assert day < known.pilot["assigned_at"].min().date()
    cut = taken.orders.filter(pl.col("order_time").dt.date() <= day)
    seen = taken.events.filter(pl.col("event_time").dt.date() <= day)
    past = segkit.build_features(cut, seen, as_of=day, calendar="uk").frame
    expected = found.model.score(past).select("customer_id", own="segment")
    both = known.pilot.join(expected, on="customer_id")
    assert both.height == known.pilot.height
    assert (both["segment"] == both["own"]).all()


def test_customers_come_in_one_order():
    taken, table, found, known = shop()
    again = collect_campaign_data(
        taken, table.frame, found.assignments, found.model, as_of=table.as_of
    )
    assert known.customers.height > table.frame.height  # customers without orders follow
    assert known.customers.equals(again.customers)
    assert known.customers["customer_id"][: table.frame.height].equals(table.frame["customer_id"])


def test_outcomes_and_money_are_those_of_the_orders():
    taken, _, _, known = shop()
    window = timedelta(days=known.window_days)
    lines = known.pilot.select("customer_id", "assigned_at").join(taken.orders, on="customer_id")
    inside = lines.filter(
        (pl.col("order_time") >= pl.col("assigned_at"))
        & (pl.col("order_time") < pl.col("assigned_at") + window)
    )
    spent = dict(inside.group_by("customer_id").agg(pl.sum("amount")).iter_rows())
    for row in known.pilot.iter_rows(named=True):
        assert row["revenue"] == pytest.approx(spent.get(row["customer_id"], 0.0), abs=1e-6)
        cost = 0.0 if row["offer"] == "none" else known.cost
        assert row["profit"] == pytest.approx(row["revenue"] * known.margin - cost)
    assert known.pilot["expected_profit"].mean() == pytest.approx(
        known.pilot["profit"].mean(), rel=0.25
    )
    assert (known.cost, known.margin, known.consent) == (0.05, 0.45, "marketing_consent")


def test_a_source_without_a_test_says_so():
    _, table, found, _ = shop()
    bare = segkit.clean_data({"orders": segkit.load_source("simulated", n_customers=500, seed=2)
                          .tables["orders"]}, shop()[0].mapping)  # fmt: skip
    known = collect_campaign_data(
        bare, table.frame, found.assignments, found.model, as_of=table.as_of
    )
    assert known.pilot is None
    assert known.consent is None
    assert "No earlier test" in known.text


def test_measured_before_are_the_columns_that_the_past_holds_in_full():
    known = shop()[3]
    assert known.measured == ("pre_revenue", "pre_orders")
    assert set(known.measured) <= set(known.past.columns)
    assert replace(known, past=known.past.drop("pre_orders")).measured == ()
    assert replace(known, past=None).measured == ()


def test_hillstrom_is_a_campaign_already(shared_data):
    source = segkit.load_source("hillstrom", shared_data("hillstrom_email.csv"))
    known = read_given_campaign(source, RULES)
    assert known.arms == pytest.approx(
        {"No E-Mail": 21306 / 64000, "Mens E-Mail": 21307 / 64000, "Womens E-Mail": 21387 / 64000}
    )
    sums = known.pilot.group_by("offer").agg(
        pl.sum("visited", "converted"), pl.sum("revenue").round(2)
    )
    assert {row[0]: row[1:] for row in sums.iter_rows()} == {
        "Mens E-Mail": (3894, 267, 30311.69),
        "Womens E-Mail": (3238, 189, 23038.11),
        "none": (2262, 122, 13908.33),
    }
    with pytest.raises(RuleError, match="meet none of the rules"):
        read_given_campaign(source, RULES[:2])
    with pytest.raises(RuleError, match="matched by several"):
        read_given_campaign(source, [*RULES, "Again: mens = 1"])
    made = segkit.campaign.read_assignment(
        known.tested, shares=dict.fromkeys(known.arms, 1 / 3), covariates=known.covariates
    )
    ratio = made.balance.filter(covariate="sample ratio", level="all")
    assert ratio["p_value"][0] == pytest.approx(0.903693, abs=5e-7)  # REFERENCES.md
    assert made.verdict == "balanced"


def test_a_source_without_outcomes_is_no_campaign():
    with pytest.raises(DataError, match="holds no campaign with outcomes"):
        read_given_campaign(segkit.load_source("simulated", n_customers=50), RULES)


@pytest.fixture
def run_folder(tmp_path):
    """Leave what notebooks 01, 05 and 09 leave that lists are made of."""
    taken, table, found, known = shop()
    data = {name: tmp_path / "run" / name / "data" for name in
            ("01_data_audit", "05_segments", "09_campaign_design")}  # fmt: skip
    for place in data.values():
        place.mkdir(parents=True)
    taken.save(data["01_data_audit"] / "clean")
    model = json.dumps(found.model.to_data())
    (data["05_segments"] / "segment_model.json").write_text(model, encoding="utf-8")
    free = segkit.check_eligibility(
        known.customers, at=table.as_of + timedelta(days=1), segment="segment"
    )
    made = segkit.assign_arms(
        known.customers, campaign_id="spring", arms={"holdout": 0.2, "generic": 0.8},
        at=table.as_of + timedelta(days=1), eligibility=free,
    )  # fmt: skip
    made.frame.write_parquet(data["09_campaign_design"] / "assignments.parquet")
    policy = json.dumps({"policy": {"S1": "generic"}})
    (data["09_campaign_design"] / "offer_policy.json").write_text(policy, encoding="utf-8")
    return tmp_path / "run"


def test_segkit_audience_writes_lists_from_a_run(run_folder, tmp_path, capsys):
    words = ["audience", str(run_folder), str(tmp_path / "lists"), "--formats", "csv,parquet"]
    assert invoke([*words, "--columns", "region", "--min-cell", "5"]) == 0
    out = capsys.readouterr().out
    assert "customers" in out.splitlines()[-1]
    frame = pl.read_parquet(tmp_path / "lists" / "spring-generic-crm.parquet")
    drawn = pl.read_parquet(run_folder / "09_campaign_design" / "data" / "assignments.parquet")
    arms = frame.join(drawn, on="customer_id")["arm"].unique().to_list()
    assert arms == ["generic"]
    assert frame.columns == ["customer_id", "offer", "segment", "region"]
    assert invoke(["audience", str(run_folder), str(tmp_path / "up"), "--kind", "upload"]) == 0
    assert "@" not in (tmp_path / "up" / "spring-generic-upload.csv").read_text(encoding="utf-8")


def test_segkit_audience_obeys_a_policy_and_says_who_left(run_folder, tmp_path, capsys):
    words = ["audience", str(run_folder), "--for", "klaviyo", "--min-cell", "1"]
    assert invoke([*words, str(tmp_path / "may")]) == 0
    before = pl.read_csv(tmp_path / "may" / "spring-generic-upload.csv")
    assert before.columns[:2] == ["Email Address", "Segment"]
    drawn = pl.read_parquet(run_folder / "09_campaign_design" / "data" / "assignments.parquet")
    gone = drawn.filter(offer="generic")["customer_id"][0]
    (tmp_path / "erased.csv").write_text(f"customer_id\n{gone}\n")
    policy = tmp_path / "contacts.toml"
    policy.write_text("[holdout]\nshare = 0.5\n[[quiet]]\nfrom = '21:00'\nto = '08:00'\n")
    more = [
        "--policy",
        str(policy),
        "--at",
        "2030-03-04T12:00",
        "--erased",
        str(tmp_path / "erased.csv"),
    ]
    assert invoke([*words, str(tmp_path / "june"), *more, "--since", str(tmp_path / "may")]) == 0
    now = pl.read_csv(tmp_path / "june" / "spring-generic-upload.csv")
    removed = pl.read_csv(tmp_path / "june" / "spring-generic-upload-removed.csv")
    assert now.height + removed.height == before.height
    counts = dict(
        pl.read_csv(tmp_path / "june" / "left_out.csv").select("reason", "customers").rows()
    )
    held = ContactPolicy.load(policy).in_holdout(drawn["customer_id"])
    out = drawn.filter(held, pl.col("offer") != "none", pl.col("customer_id") != gone)
    assert counts["universal_holdout"] == out.height > 0
    assert counts["erased"] == 1
    capsys.readouterr()
    night = [*more[:3], "2030-03-04T23:00"]
    assert invoke([*words, str(tmp_path / "night"), *night]) == 0
    assert "in a quiet time" in capsys.readouterr().out
    assert invoke([*words, str(tmp_path / "x"), "--policy", "none.toml"]) == 2
    assert "there is no contact policy none.toml" in capsys.readouterr().err
    assert invoke([*words, str(tmp_path / "x"), "--at", "tomorrow noon"]) == 2
    assert "expects an ISO date or time, got tomorrow noon" in capsys.readouterr().err


def test_segkit_audience_says_what_is_missing(run_folder, tmp_path, capsys):
    assert invoke(["audience", str(tmp_path / "none"), str(tmp_path / "x")]) == 3
    assert "run notebook 09 first" in capsys.readouterr().err
    assert invoke(["audience", str(run_folder), str(tmp_path / "x"), "--kind", "fax"]) == 2
    with pytest.raises(SourceError):
        segkit.campaign.prelude.build_run_audience(tmp_path / "none")


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [(date(2024, 3, 5), date(2024, 3, 8)), (date(2024, 3, 1), date(2024, 3, 2))],
)
def test_a_campaign_begins_after_all_that_is_known(as_of, expected):
    """Events go on after the last order; an earlier as-of date hides later orders."""
    first = (date(2024, 3, 5) - date(1970, 1, 1)).days
    taken = SimpleNamespace(
        orders=pl.DataFrame({"order_day": [first - 9, first]}),
        events=pl.DataFrame({"event_day": [first + 2]}),
    )
    assert _first_day(taken, as_of) == expected
