"""Intake, features and segments joined up: numbers re-add, defects are found, errors are clear."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

import segkit
from segkit.cluster.segments import CAVEAT
from segkit.errors import DataError, MappingError, SourceError
from segkit.intake.people import links_from
from segkit.simulate.retailer import sample_retailer

DATA = Path(__file__).parents[1] / "data"
MAPPING = DATA / "mappings" / "simulated.toml"
# What the intake sets apart for other reasons than a planted defect.
UNPLANTED = ["no_profiling_consent", "unlinked_identifier"]


@pytest.fixture(scope="module")
def truth():
    return sample_retailer().truth


@pytest.fixture(scope="module")
def taken():
    """Read the committed sample; its customer records say which identifiers are one person."""
    mapping = segkit.Mapping.load(MAPPING)
    records = segkit.clean_data(DATA / "sample", mapping).raw["customers"]
    linked = segkit.pipeline.link_source(
        segkit.datasets.Source("sample", {"customers": records}, mapping)
    )
    return segkit.clean_data(DATA / "sample", mapping, identities=linked)


@pytest.fixture(scope="module")
def features(taken):
    """Net and gross, of everyone who has an order line, were it a return alone."""
    asked = {"features": ["frequency", "monetary", "return_share"], "population": "all"}
    net, gross = (
        segkit.build_features(taken.orders, monetary=policy, **asked).frame
        for policy in ("net", "gross")
    )
    lines = taken.orders.group_by("customer_id").agg(
        pl.len().alias("lines"), pl.col("is_return").sum().alias("returns")
    )
    paid = gross.select("customer_id", gross="monetary")
    return net.join(paid, on="customer_id").join(lines, on="customer_id", validate="1:1")


def test_every_customers_trace_adds_up_to_its_features(taken, features):
    assert features.height == taken.orders["customer_id"].n_unique() > 300
    totals = {"lines": 0, "amount": 0}
    for row in features.iter_rows(named=True):
        trace = taken.trace(row["customer_id"])
        assert (trace.lines, trace.returns, trace.orders) == (
            row["lines"],
            row["returns"],
            row["frequency"],
        )
        assert float(trace.amount) == pytest.approx(row["monetary"], abs=1e-6)
        assert float(trace.sales) == pytest.approx(row["gross"], abs=1e-6)
        back = float(trace.sales - trace.amount)
        assert back == pytest.approx((row["return_share"] or 0) * row["gross"], abs=1e-6)
        fates = trace.raw["orders"]["reason"]
        assert fates.null_count() == trace.lines
        totals = {name: total + getattr(trace, name) for name, total in totals.items()}
    kept = [taken.ledger.part(kind) for kind in ("sale", "return")]
    assert totals["lines"] == sum(part.rows for part in kept)
    assert totals["amount"] == sum(part.money for part in kept)


def fates_of_planted(taken, truth):
    """Put beside each planted defect that is to be set apart the reason found for its row."""
    planted = truth["defects"].filter(pl.col("reason").is_not_null())
    found = pl.concat(
        frame.select(pl.lit(table).alias("table"), pl.col("source_row").alias("row"), "reason")
        for table, frame in taken.rejects.items()
    )
    return planted.join(found, on=["table", "row"], how="full", coalesce=True, suffix="_found")


def test_every_planted_defect_of_the_sample_is_found_under_its_reason(taken, truth):
    beside = fates_of_planted(taken, truth)
    planted = beside.drop_nulls("reason")
    other = planted.filter(pl.col("reason_found").ne_missing(pl.col("reason")))
    # A visit by a device that no customer record names is nobody's before it is a repeat.
    assert set(other["reason_found"]) <= {"unlinked_identifier"}
    assert set(other["table"]) <= {"events"}
    assert other.height <= 0.01 * planted.height
    unplanted = beside.filter(pl.col("reason").is_null())
    assert set(unplanted["reason_found"]) == set(UNPLANTED)
    counts = planted.group_by("table", "reason").len()
    assert counts.height == truth["defects"].drop_nulls("reason").n_unique(["table", "reason"])
    assert planted.filter(table="orders")["reason"].n_unique() == 9


def test_with_true_identities_the_counts_are_the_planted_ones_in_every_table(truth):
    taken = segkit.clean_data(DATA / "sample", MAPPING, identities=truth["identities"])
    beside = fates_of_planted(taken, truth).remove(pl.col("reason_found").is_in(UNPLANTED))
    planted, found = (
        beside.drop_nulls(name).group_by("table", name).len().sort("table", name).rows()
        for name in ("reason", "reason_found")
    )
    assert found == planted
    assert {table for table, _, _ in planted} >= {"orders", "events"}


def test_data_without_groups_are_segmented_with_the_caveat():
    source = segkit.load_source("simulated", n_customers=120, seed=2, structure="none", months=12)
    assert source.truth["customers"]["archetype"].null_count() == 120
    found = segkit.segment(source)
    assert CAVEAT in found.text
    assert CAVEAT in found.segmentation.text
    assert found.segmentation.choice is not None
    assert "a choice more than a finding" in found.segmentation.text
    assert found.assignments.height == found.table.frame.height


HEADER = "customer_id,order_date,amount\n"
EIGHT = "".join(f"{'abcdefgh'[day % 8]},2024-01-{day:02},{day}.5\n" for day in range(1, 30))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.csv").write_text(HEADER + EIGHT, encoding="utf-8")
    alone = "".join(f"a,2024-01-{day:02},{day}.5\n" for day in range(1, 20))
    (tmp_path / "one.csv").write_text(HEADER + alone, encoding="utf-8")
    (tmp_path / "header.csv").write_text(HEADER, encoding="utf-8")
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    mapping = '[orders.columns]\ncustomer_id = "customer_id"\norder_time = "order_dat"\n'
    (tmp_path / "mapping.toml").write_text(mapping + 'amount = "amount"\n', encoding="utf-8")
    return tmp_path


def take_in(path, mapping=None):
    return segkit.clean_data(path, mapping)


def cut_up(path, mapping=None):
    return segkit.segment(path, mapping=mapping)


@pytest.mark.parametrize("call", [take_in, cut_up])
@pytest.mark.parametrize(
    ("name", "mapping", "kind", "message"),
    [
        ("empty.csv", None, SourceError, r"^empty\.csv is empty; expected a header and rows$"),
        ("header.csv", None, DataError, "orders holds no rows; expected at least one order line"),
        ("goood.csv", None, SourceError, r"unknown file 'goood\.csv'; did you mean 'good\.csv'"),
        ("good.csv", "mapping.toml", MappingError, "'order_dat'; did you mean 'order_date'"),
        ("good.csv", "none.toml", SourceError, r"expected a mapping file \(TOML\) at .*none\.toml"),
    ],
)
def test_what_cannot_be_read_is_told_clearly(folder, call, name, mapping, kind, message):
    with pytest.raises(kind, match=message):
        call(folder / name, mapping and folder / mapping)


EARLY = "as_of 2020-01-01 lies before the first of the orders, 2024-01-01"


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (
            lambda f: segkit.segment(f / "one.csv"),
            DataError,
            "at least 50 customers, .* are 1$",
        ),
        (lambda f: segkit.segment(f / "good.csv", as_of=date(2020, 1, 1)), DataError, EARLY),
        (lambda f: described(f, as_of=date(2020, 1, 1)), DataError, EARLY),
        (lambda f: described(f, rows=0), DataError, "orders hold no rows"),
        (lambda f: segkit.build_features(f / "none.parquet"), SourceError, "no such Parquet file"),
    ],
)
def test_what_cannot_be_computed_is_told_clearly(folder, act, kind, message):
    with pytest.raises(kind, match=message):
        act(folder)


def described(folder, rows=None, **options):
    lines = segkit.clean_data(folder / "good.csv").orders
    return segkit.build_features(lines if rows is None else lines.head(rows), **options)


def test_one_customer_can_be_described(folder):
    table = segkit.build_features(segkit.clean_data(folder / "one.csv").orders)
    assert table.frame.select("frequency", "monetary").rows() == [(19, 199.5)]


def test_own_tables_are_linked_as_a_sources_are(tmp_path):
    people = pl.DataFrame(
        {"N° client": ["7", "9", "4"], "e-mail": ["ann@x.org", "Ann@x.org ", "bo@x.org"]}
    )
    orders = pl.DataFrame(
        {"N° client": ["7", "9", "4"], "date": ["2024-05-01"] * 3, "montant": [1.0, 2.0, 3.0]}
    )
    linked = segkit.pipeline.link_source({"customers": people, "orders": orders})
    assert linked.customers.height == 2
    taken = segkit.clean_data({"customers": people, "orders": orders}, identities=linked)
    assert sorted(taken.orders["customer_id"]) == ["4", "7", "7"]
    people.write_csv(tmp_path / "customers.csv")
    orders.write_parquet(tmp_path / "orders.parquet")
    assert segkit.pipeline.link_source(tmp_path).customers.height == 2
    named = {"customers": {"columns": {"customer_id": "N° client", "loyalty_id": "e-mail"}}}
    kinds = segkit.pipeline.link_source({"customers": people}, named).mapping["identifier_type"]
    assert set(kinds) == {"customer_id", "loyalty_id"}
    for other in (orders, tmp_path / "orders.parquet", {"orders": orders}, None):
        assert segkit.pipeline.link_source(other) is None


def test_identities_keep_the_kind_of_each_identifier():
    people = pl.DataFrame({"customer_id": ["7", "9"], "loyalty_id": ["9", "x"]})
    linked = segkit.intake.link_identifiers(people)
    kinds = dict(links_from(linked).select("identifier", "kind").filter(identifier="x").iter_rows())
    assert kinds == {"x": "loyalty_id"}
    # The card 9 is not the customer 9, though both are written alike.
    orders = pl.DataFrame({"customer_id": ["9"], "date": ["2024-05-01"], "amount": [1.0]})
    assert segkit.clean_data(orders, identities=linked).orders["customer_id"].to_list() == ["9"]
