"""Persona pages: each line with its column and n; what is not known is printed as not known."""

import numpy as np
import polars as pl
import pytest

from segkit.profile import profile_segments, write_persona_pages
from segkit.profile.persona_pages import BRIEFS, HEADINGS, HYPOTHESIS, UNKNOWN

N = 200
RNG = np.random.default_rng(0)
IDS = [f"c{i:03}" for i in range(N)]
FIRST = np.arange(N) < N // 2
TABLE = pl.DataFrame(
    {
        "customer_id": IDS,
        "frequency": np.where(FIRST, 9, 2),
        "monetary": np.where(FIRST, 400.0, 50.0) + RNG.normal(size=N),
        "abandonment_rate": np.where(FIRST, 0.1, 0.8) + RNG.normal(0, 0.02, N),
        "open_rate": np.where(FIRST, 0.5, 0.25),
        "favourite_category": np.where(FIRST, "Tea", "Cups"),
    }
)
MEMBERS = pl.DataFrame(
    {
        "customer_id": IDS,
        "segment": np.where(FIRST, "S1", "S2"),
        "segment_name": np.where(FIRST, "Loyalists", "Browsers & Co"),
    }
)
PEOPLE = pl.DataFrame(
    {
        "customer_id": IDS,
        "preferred_channel": np.where(FIRST, "app", "web"),
        "marketing_consent": [True, True, False, True] * (N // 4),
    }
)
STEPS = pl.DataFrame(
    {
        "segment": ["S1", "S2"],
        "decision": ["roll out", "keep testing"],
        "offer": ["early_access", "generic"],
        "basis": ["campaign", "campaign"],
        "reach": [70, 80],
        "monthly": [700.4, 10.0],
        "monthly_low": [100.0, -5.0],
        "monthly_high": [1300.0, 25.0],
        "test_offer": [None, "style_guide"],
        "test_against": [None, "generic"],
        "why": ["early access is shown to earn more", "it is open"],
    }
)
TRIED = pl.DataFrame(
    {
        "segment": ["Loyalists", "Browsers & Co", "all customers"],
        "offer": ["early_access", "style_guide", "generic"],
        "against": ["generic", "none", "none"],
        "profit": [2.0, 0.5, 1.0],
        "profit_low": [1.0, None, 0.5],
        "profit_high": [3.0, None, 1.5],
        "customers_offer": [30, 20, 90],
        "customers_against": [40, 20, 90],
        "shown": ["gain", "", "gain"],
    }
)


def profiled(table=TABLE, **given):
    return profile_segments(table, MEMBERS, currency="GBP", **given)


@pytest.fixture(scope="module")
def pages():
    attitudes = pl.DataFrame(
        {
            "customer_id": IDS[60:140],
            "attitude_price_consciousness": np.where(FIRST[60:140], -0.5, 0.5),
            "attitude_loyalty": np.resize([0.1, -0.1], 80),
        }
    )
    survey = pl.DataFrame({"customer_id": IDS[:150], "csat": np.where(FIRST[:150], 4.8, 2.5)})
    hours = pl.Series([8] * N).cast(pl.Int32)
    events = pl.DataFrame({"customer_id": IDS, "event_type": ["email_open"] * N}).with_columns(
        event_time=pl.datetime(2024, 5, 1, hours)
    )
    return write_persona_pages(
        profiled(customers=PEOPLE), steps=STEPS, tried=TRIED, members=MEMBERS,
        attitudes=attitudes, survey=survey, events=events,
        descriptions={"S1": "order often", "S2": "Browsers & Co"},
    )  # fmt: skip


def said(pages, segment, heading):
    rows = pages.facts.filter(segment=segment, heading=heading)
    return rows.select("fact", "column", "n").rows()


def test_each_line_names_its_column_and_of_how_many_it_is_known(pages):
    assert said(pages, "S1", "Size and worth")[0] == ("100 customers, 50.0% of all", "segment", 100)
    assert ("orders: 9 (all customers: 5.50)", "frequency", 100) in said(pages, "S1", "Habits")
    (motive,) = said(pages, "S2", "Motives")  # loyalty is as everybody's
    assert motive[0].startswith(
        "price consciousness: 0.50 standard deviations above all who answered"
    )
    assert motive[1:] == ("attitude_price_consciousness", 40)
    channel = said(pages, "S1", "Channels and when reachable")
    assert ("preferred channel, app: 100.0% (all customers: 50.0%)", "preferred_channel", 100) in (
        channel
    )
    assert ("opens e-mails most from 6 to 12 o'clock UTC (100%)", "event_time", 100) in channel
    assert ("marketing consent, yes: 75.0% (all customers: 75.0%)", "marketing_consent", 100) in (
        channel
    )
    pains = [line[0] for line in said(pages, "S2", "Pain points")]
    assert pains[0].startswith("abandons carts")
    assert any(line.startswith("low satisfaction: 2.50") for line in pains)
    assert not any("satisfaction" in line[0] for line in said(pages, "S1", "Pain points"))
    usual = ("no more than others: cart abandonment rate", "abandonment_rate", 100)
    assert usual in said(pages, "S1", "Pain points")
    assert not any(line[0].startswith("no more") for line in said(pages, "S2", "Pain points"))
    assert said(pages, "S1", "Favourite categories")[0][0] == "Tea: 100.0% (all customers: 50.0%)"


def test_what_was_tried_and_what_comes_next_are_those_of_the_decision(pages):
    assert said(pages, "S1", "What was tried, and what it did") == [
        ("early access against generic: 2 GBP profit per customer (95% CI 1 to 3), a gain",
         "revenue", 70)
    ]  # fmt: skip
    (tried,) = said(pages, "S2", "What was tried, and what it did")
    assert tried[0] == "style guide against no contact: 0.50 GBP profit per customer, undecided"
    assert said(pages, "S1", "Next action")[0][0] == (
        "Roll out early access; 700 GBP a month (95% CI 100 to 1,300)"
    )
    assert said(pages, "S2", "Next action")[0][0] == "Keep testing: style guide against generic"
    brief = [line[0] for line in said(pages, "S1", "Content brief")]
    assert "Offer: early access [measured in the campaign]" in brief
    assert "Frequency cap: at most 4 e-mails a month [hypothesis until tested]" in brief
    other = [line[0] for line in said(pages, "S2", "Content brief")]
    assert f"Subject line: help to choose [{HYPOTHESIS}]" in other
    assert f"Offer: style guide [{HYPOTHESIS}]" in other
    assert "Frequency cap: at most 2 e-mails a month [hypothesis until tested]" in other


def test_comparisons_that_show_something_come_first_and_a_page_names_few():
    few = pl.concat([TRIED.head(1)] * 9).with_columns(
        offer=pl.Series([f"offer_{k}" for k in range(9)]),
        shown=pl.Series(["", "gain", *[""] * 6, "loss"]),
        against=pl.Series(["none"] * 4 + ["generic"] * 5),
    )
    tried = said(write_persona_pages(profiled(), tried=few), "S1", HEADINGS[7])
    assert [line[0].partition(" against")[0] for line in tried] == [
        "offer 8", "offer 1", "offer 4", "offer 5", "offer 6", "offer 7",
        "3 more comparisons in the reports",
    ]  # fmt: skip


def test_what_is_not_known_is_printed_as_not_known():
    bare = write_persona_pages(profiled(TABLE.select("customer_id", "frequency")))
    for heading in HEADINGS:
        assert bare.facts.filter(segment="S1", heading=heading).height, heading
    for heading in ("Motives", "Favourite categories", "Channels and when reachable"):
        assert said(bare, "S1", heading) == [(UNKNOWN, "", None)]
    assert said(bare, "S1", "Next action") == [(UNKNOWN, "", None)]
    assert ("Satisfaction: not known", "csat", None) in said(bare, "S1", "Pain points")
    assert "Motives".lower() in bare.text.lower()
    assert "Frequency cap: not known" in [line[0] for line in said(bare, "S1", "Content brief")]
    assert bare.render("S1").count(UNKNOWN) >= 6


def test_a_page_is_one_document_to_be_printed(pages, tmp_path):
    first, second = pages.save(tmp_path / "pages")
    assert (first.name, second.name) == ("s1-loyalists.html", "s2-browsers-co.html")
    text = second.read_text(encoding="utf-8")
    assert "<h1>Browsers &amp; Co</h1>" in text
    assert "class='beneath'" not in text  # the name says it itself
    assert "order often" in first.read_text(encoding="utf-8")
    assert "@page{size:A4" in text
    assert "(abandonment_rate, n = 100)" in text
    assert text.count(HYPOTHESIS) == 1  # the heading says it for all of its lines
    assert "[measured in the campaign]" in first.read_text(encoding="utf-8")
    assert not any(where in text for where in ("http://", "https://", "<script"))
    at = [text.index(f"<h2>{heading}") for heading in HEADINGS]
    assert at == sorted(at)
    assert type(pages).from_dict(pages.to_dict()).facts.equals(pages.facts)


def test_every_segment_has_a_brief():
    assert BRIEFS[-1][:2] == ("", "")
    assert len({rule[:2] for rule in BRIEFS}) == len(BRIEFS)
