"""What came of a campaign, by kind of source."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest

import segkit
from segkit.campaign.followup import find_holdout, follow_up
from segkit.errors import DataError, ParameterError
from segkit.runner.catalog import Catalog, notebook_folder

START = datetime(2024, 3, 1, 6, tzinfo=UTC)
WHO = pl.DataFrame(
    {"customer_id": ["a", "b"], "campaign_id": "C", "arm": ["mail", "left alone"],
     "offer": ["sale", "none"], "segment": ["S1", "S1"], "segment_name": ["Keen", None],
     "assigned_at": [START, START]}
)  # fmt: skip


def orders(day):
    return pl.DataFrame(
        {"customer_id": ["a"], "order_id": ["1"], "amount": [5.0],
         "order_time": [START + timedelta(days=day)]}
    )  # fmt: skip


def test_data_of_ones_own_are_measured_once_the_window_is_over():
    clean = SimpleNamespace(orders=orders(30), events=None)
    came = follow_up(None, WHO, settings={}, clean=clean)
    assert (came.why, came.holdout, came.arms) == ("", "left alone", ("mail", "left alone"))
    assert came.outcomes.frame["segment"].to_list() == ["Keen", "S1"]
    early = follow_up(None, WHO, settings={}, clean=SimpleNamespace(orders=orders(1), events=None))
    assert early.outcomes is None
    assert (early.holdout, early.arms, early.beside("generic")) == ("", (), ())
    assert early.why.endswith(".")
    assert "cannot be measured yet" in early.why
    assert follow_up(None, None, settings={}).why == "No campaign was assigned."
    assert "neither orders nor events" in follow_up(None, WHO, settings={}).why


def test_arms_with_one_offer_for_all_are_not_taken_for_tailoring():
    who = pl.DataFrame(
        {"customer_id": list("abcdef"), "campaign_id": "C", "segment": ["S1", "S2"] * 3,
         "arm": ["generic"] * 2 + ["tailored"] * 2 + ["holdout"] * 2,
         "offer": ["sale", "sale", "gift", "sale", "none", "none"],
         "assigned_at": [START] * 6}
    )  # fmt: skip
    clean = SimpleNamespace(orders=orders(30), events=None)
    assert follow_up(None, who, settings={}, clean=clean).tailors("generic")
    same = who.with_columns(offer=pl.col("offer").replace("gift", "sale"))
    assert not follow_up(None, same, settings={}, clean=clean).tailors("generic")


def test_a_tailored_arm_is_compared_with_the_generic_one_else_an_arm_with_the_holdout():
    who = pl.DataFrame(
        {"customer_id": list("abc"), "campaign_id": "C", "segment": "S1",
         "arm": ["generic", "tailored", "holdout"], "offer": ["sale", "gift", "none"],
         "assigned_at": [START] * 3}
    )  # fmt: skip
    clean = SimpleNamespace(orders=orders(30), events=None)
    came = follow_up(None, who, settings={}, clean=clean)
    assert came.compared("generic") == ("tailored", "generic")
    assert came.compared("newsletter") == ("generic", "holdout")
    did_best = SimpleNamespace(best={"arm": "generic"})
    assert came.leading("generic", did_best) == "tailored"
    assert came.leading("newsletter", did_best) == "generic"
    two = follow_up(None, WHO, settings={}, clean=clean)
    assert two.compared("mail") == ("mail", "left alone")
    with pytest.raises(DataError, match=r"no two arms .*: No campaign was assigned\."):
        follow_up(None, None, settings={}).compared("generic")
    with pytest.raises(DataError, match="expected a holdout and another arm, got left alone, mail"):
        replace(two, holdout="").compared("generic")


def test_the_holdout_is_found_by_offer_then_by_name():
    assert find_holdout(WHO) == "left alone"
    assert find_holdout(WHO, "mail") == "mail"
    assert find_holdout(WHO.drop("offer").with_columns(arm=pl.lit("No E-Mail"))) == "No E-Mail"
    assert find_holdout(WHO.drop("offer")) == ""


def test_the_simulated_retailer_answers_with_the_runs_own_settings():
    settings = {"customers": 300, "seed": 4, "difficulty": "easy", "lift": "none"}
    made = segkit.load_source("simulated", n_customers=300, seed=4, difficulty="easy", lift="none")
    clean = segkit.clean_data(made)
    day = datetime(2025, 3, 1, tzinfo=UTC)
    ids = made.truth["customers"].filter("writable")["customer_id"].head(60).to_list()
    arms = ["generic", "tailored", "holdout"] * 20
    offers = {"generic": "generic", "tailored": "flash_sale", "holdout": "none"}
    who = pl.DataFrame({"customer_id": ids, "campaign_id": "C", "arm": arms}).with_columns(
        offer=pl.col("arm").replace_strict(offers), segment=pl.lit("S"),
        assigned_at=pl.lit(day).dt.cast_time_unit("us"),
    )  # fmt: skip
    came = follow_up(made, who, settings=settings, clean=clean)
    assert came.outcomes.frame.height == 60

    def load():
        raise AssertionError("simulated again")

    settings["source"] = "simulated"
    again = follow_up(load, who, settings=settings, clean=clean)
    assert again.outcomes.frame.equals(came.outcomes.frame)
    assert follow_up(lambda: made, who, settings=settings, clean=replace(clean, raw=None)).arms
    assert came.beside("generic") == ("tailored",)
    assert came.plan(holdout=0.2, generic=0.4) == {
        "holdout": 0.2, "generic": 0.4, "tailored": pytest.approx(0.4)
    }  # fmt: skip
    assert came.plan(post=0.5) is None
    assert came.margins(conversion=0.01, unsubscribe_rate=0.0) == {"conversion": 0.01}
    assert "pre_revenue" in came.covariates
    sent = came.outcomes.frame.group_by("arm").agg(pl.col("emails_sent").max()).sort("arm")
    assert sent["emails_sent"].to_list() == [1, 0, 1]


def test_a_source_of_a_campaign_alone_runs_the_campaigns_notebooks():
    whole = Catalog.open(notebook_folder())
    some = whole.for_source("hillstrom")
    assert list(some.notebooks) == ["09_campaign_design", "10_campaign_lift"]
    with pytest.raises(ParameterError, match="08_value_and_churn needs purchases by date, which"):
        some.check("08_value_and_churn", "hillstrom")
    assert some.notebooks["10_campaign_lift"].reads == ("assignments", "pilot_answers")
    assert some.notebooks["10_campaign_lift"].dropped.keys() == {"clean", "customer_value"}
    assert whole.for_source("cdnow") is whole
    asked = whole.for_source("fast-food")
    assert list(asked.notebooks) == ["05_segments", "06_profiles"]
    assert set(asked.notebooks["06_profiles"].dropped) == {"clean", "customer_table"}


def test_segments_and_campaign_wait_for_attitudes_only_where_they_are_asked_for():
    whole = Catalog.open(notebook_folder())
    usual = whole.for_settings({})
    for stem in ("05_segments", "09_campaign_design"):
        asked = whole.for_settings({stem: {"attitudes": True}})
        assert set(asked.upstream(stem)) - set(usual.upstream(stem)) == {"04_attitudes"}
    assert "07_drivers" not in usual.closure(["10_campaign_lift"])
    assert usual.notebooks["12_summary"] == whole.notebooks["12_summary"]
