"""Real sources run, reproduce what was published, and say what they lack; so do one's own files."""

import polars as pl
import pytest

import segkit
from tests.golden import ASKED
from tests.golden.compare import compare_run
from tests.made_journey import make_files
from tests.notebooks.runs import (
    LACKS,
    STEMS,
    OneByOne,
    check_answers,
    check_nobody_named,
    ledger,
)
from tests.test_pipeline import RETURNERS, shop_with_returns

pytestmark = pytest.mark.slow
# Online Retail names products and prices, but no discounts.
PRICED = {"07_drivers": {"events", "promotion days"}, "08_value_and_churn": set()}
# Raw lines and money as published; sale lines of known customers (Chen et al., UCI 352).
PUBLISHED = {
    ("read", ""): (541_909, 9_747_747.934),
    ("of which", "sale"): (397_884, 8_911_407.904),
}


def test_online_retail_reproduces_what_is_published_and_says_what_it_lacks(
    shared_data, tmp_path, kernel
):
    """Fewer refits than by default: what stability says of real data is not asked here."""
    path = str(shared_data("online_retail_2010_2011.parquet"))
    few = {name: int(value) for name, value in (one.split("=") for one in ASKED["online-retail"])}
    done = OneByOne(tmp_path, kernel, pictures=False, source="online-retail", data=path, **few)
    assert done.stems == STEMS
    assert {stem: done.skips(stem) for stem in STEMS} == {
        stem: (LACKS | PRICED)[stem] for stem in STEMS
    }
    check_nobody_named(done.shown, done.customers())
    check_answers(done)
    found = ledger(done)
    assert {entry: found[entry] for entry in PUBLISHED} == PUBLISHED
    apart = [lines for (step, kind), (lines, _) in found.items() if kind and step != "of which"]
    assert PUBLISHED["read", ""][0] - sum(apart) == found["kept", ""][0]
    assert compare_run(done.folder, "online-retail") == []


def test_ids_with_blanks_are_scored_and_nowhere_shown(shared_data, tmp_path, kernel):
    path = str(shared_data("rfm_orders.csv"))  # each line an order
    done = OneByOne(tmp_path, kernel, last="03", pictures=False, source="rfm-demo", data=path)
    assert done.stems[-1] == "03_rfm_segments"
    assert {stem: done.skips(stem) for stem in done.stems} == {
        stem: LACKS[stem] for stem in done.stems
    }
    names = done.customers()
    assert len(names) > 900
    assert all(" " in name for name in names)
    check_nobody_named(done.shown, names)


def test_five_times_the_customers_without_order_ids_say_what_they_lack(
    shared_data, tmp_path, kernel
):
    path = str(shared_data("cdnow_master.txt"))  # zero amounts too
    few = {"repeats": 3, "references": 19}
    done = OneByOne(tmp_path, kernel, last="05", pictures=False, source="cdnow", data=path, **few)
    assert done.stems[-1] == "05_segments"
    assert {stem: done.skips(stem) for stem in done.stems} == {
        stem: LACKS[stem] for stem in done.stems
    }


def test_a_survey_without_purchases_is_divided_and_described(shared_data, tmp_path, kernel):
    path = str(shared_data("mcdonalds.csv"))
    few = {"repeats": 3, "references": 19}
    done = OneByOne(tmp_path, kernel, pictures=False, source="fast-food", data=path, k=4, **few)
    assert done.stems == ["05_segments", "06_profiles"]
    lacks = {"clean", "segment_outlook"}
    assert done.skips("06_profiles") == lacks
    check_answers(done)
    answers = {row["question"]: row["answer"] for row in done.summary("05_segments")["answers"]}
    assert answers["Are there natural groups?"].startswith("Not shown at k = 4 (p = 1)")


# In made-up files of 60 households, laid out as Complete Journey's: the real ones are beside no
# checkout. Demographics are known, products have prices, and every campaign was sent to some.
JOURNEY = LACKS | {
    "01_data_audit": {"linked", "truth"},
    "03_rfm_segments": LACKS["03_rfm_segments"] | {"ahead"},
    "06_profiles": {"answers", "marketing consent", "segment_outlook"},
    # With 60 households all but a few of whom buy in any 90 days, nothing goes with staying away,
    # and no lift could be shown.
    "07_drivers": {"events", "staying away"},
    # A forecast needs 100 customers, and a score of churn 20 who stay away.
    "08_value_and_churn": {
        *("backtest", "value", "customer_value", "value_model", "retention"),
        *("judged", "churn", "churn_model", "next_purchase", "offers"),
    },
    "09_campaign_design": LACKS["09_campaign_design"] | {"detectable", "base", "retention"},
    "10_campaign_lift": LACKS["10_campaign_lift"] - {"contacts"},
    "12_summary": LACKS["12_summary"] | {"segment outlook"},
}


def test_campaigns_that_were_not_randomised_are_compared_and_show_no_lift(tmp_path, kernel):
    make_files(tmp_path / "journey")
    few = {"repeats": 3, "references": 19}
    path = str(tmp_path / "journey")
    done = OneByOne(tmp_path, kernel, pictures=False, source="complete-journey", data=path, **few)
    assert done.stems == STEMS
    assert {stem: done.skips(stem) for stem in done.stems} == JOURNEY
    check_answers(done)
    headline = done.summary("10_campaign_lift")["headline"]
    assert headline.startswith("Observational: campaigns were chosen, not randomised. Per 28 days")
    assert not (done.folder / "10_campaign_lift/data/lift.json").exists()
    table = pl.read_csv(done.folder / "10_campaign_lift/tables/spend_after_contact.csv")
    assert table["window"].to_list() == [-3, -2, 0, 1, 2]
    assert table["customers"].to_list() == [40] * 5


@pytest.fixture(scope="module")
def shop():
    """Return order lines of 110 customers, and of twelve who only send things back."""
    return shop_with_returns().select(
        Kunde=pl.format("Kd{}", "CustomerID"),
        Bestellnr="InvoiceNo",
        Bestelldatum=pl.col("InvoiceDate").dt.strftime("%d.%m.%Y"),
        Betrag=(pl.col("Quantity") * pl.col("UnitPrice")).round(2),
    )


@pytest.fixture(scope="module")
def exported(shop, kernel, tmp_path_factory):
    """Execute notebooks on an export: semicolons, a BOM, days first, decimal commas.

    The first notebook by papermill: later ones find what it kept.
    """
    place = tmp_path_factory.mktemp("export")
    style = {"include_bom": True, "separator": ";", "decimal_comma": True, "float_precision": 2}
    shop.write_csv(place / "verkauf.csv", **style)
    given = {"source": "file", "data": "verkauf.csv", "repeats": 3, "references": 19}
    return OneByOne(place, kernel, last="05", by_papermill=1, pictures=False, **given)


def test_an_export_of_ones_own_is_read_without_a_mapping(shop, exported):
    assert exported.stems[-1] == "05_segments"
    found = ledger(exported)
    for kind, lines in (("sale", pl.col("Betrag") > 0), ("return", pl.col("Betrag") < 0)):
        part = shop.filter(lines)["Betrag"]
        assert found["of which", kind] == (part.len(), pytest.approx(part.sum()))
    assert {stem: exported.skips(stem) for stem in exported.stems} == {
        stem: LACKS[stem] for stem in exported.stems
    }
    check_nobody_named(exported.shown, set(shop["Kunde"]))


def test_one_call_and_notebook_05_give_the_same_segments(exported):
    theirs = pl.read_parquet(exported.folder / "05_segments/data/segments.parquet")
    found = segkit.segment(exported.place / "verkauf.csv")
    assert found.assignments.sort("customer_id").equals(theirs.sort("customer_id"))
    assert theirs.height == 110
    assert not set(theirs["customer_id"]) & {f"Kd{one}" for one in RETURNERS}
