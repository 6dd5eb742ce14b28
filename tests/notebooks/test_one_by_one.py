"""Notebooks executed by hand: an export without a mapping, a retailer without segments."""

import polars as pl
import pytest

import segkit
from tests.notebooks.runs import LACKS, STEMS, OneByOne, check_answers, check_nobody_named, ledger
from tests.test_pipeline import RETURNERS, shop_with_returns

pytestmark = pytest.mark.slow


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
    """Execute notebooks on an export: semicolons, a BOM, days first, decimal commas."""
    place = tmp_path_factory.mktemp("export")
    style = {"include_bom": True, "separator": ";", "decimal_comma": True, "float_precision": 2}
    shop.write_csv(place / "verkauf.csv", **style)
    few = {"repeats": 3, "references": 19}
    return OneByOne(
        place, kernel, last="05", pictures=False, source="file", data="verkauf.csv", **few
    )


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


def test_a_retailer_without_segments_is_told_so(tmp_path, kernel):
    """The first notebook by papermill: later ones find what it kept."""
    settings = {"customers": 300, "structure": "none", "repeats": 5, "references": 19}
    settings |= {"draws": 20, "resamples": 20}
    done = OneByOne(
        tmp_path, kernel, by_papermill=1, pictures=False, source="simulated", **settings
    )
    assert done.stems == STEMS
    graded = {row["question"]: row["answer"] for row in done.summary("12_summary")["answers"]}
    assert graded["How right was it?"].startswith("Simulated without segments")
    check_answers(done)
    assert done.skips("12_summary") == {"planted"}
