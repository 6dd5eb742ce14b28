"""A shop's own export runs without a mapping; one call finds the same segments in it."""

import polars as pl
import pytest

import segkit
from tests.notebooks.runs import LACKS, Ran, check_pages, ledger
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
def ran(shop, tmp_path_factory):
    """Run the notebooks on an export: semicolons, a BOM, days first, decimal commas."""
    place = tmp_path_factory.mktemp("export")
    style = {"include_bom": True, "separator": ";", "decimal_comma": True, "float_precision": 2}
    shop.write_csv(place / "verkauf.csv", **style)
    settings = ("-p", "repeats=3", "-p", "references=19")
    return Ran(place, "05", "--data", "verkauf.csv", *settings)


def test_an_export_of_ones_own_runs_without_a_mapping(shop, ran):
    assert ran.code == 0, ran.err
    done = ran.statuses()
    assert set(done.values()) == {"done"}
    found = ledger(ran)
    for kind, lines in (("sale", pl.col("Betrag") > 0), ("return", pl.col("Betrag") < 0)):
        part = shop.filter(lines)["Betrag"]
        assert found["of which", kind] == (part.len(), pytest.approx(part.sum()))
    assert {stem: ran.skips(stem) for stem in done} == {stem: LACKS[stem] for stem in done}
    check_pages(ran, set(shop["Kunde"]))


def test_one_call_and_notebook_05_give_the_same_segments(ran):
    theirs = pl.read_parquet(ran.folder / "05_segments/data/segments.parquet")
    found = segkit.segment(ran.place / "verkauf.csv")
    assert found.assignments.sort("customer_id").equals(theirs.sort("customer_id"))
    assert theirs.height == 110
    assert not set(theirs["customer_id"]) & {f"Kd{one}" for one in RETURNERS}
