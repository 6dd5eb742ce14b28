"""Spark gives the customer table and the assignments that Polars gives: `make test-spark`."""

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from segkit.cluster import cluster_customers, cluster_mixture, fit_two_step
from segkit.cluster.batches import draw_customers
from segkit.cluster.compressed import Compressed, move_centres
from segkit.cluster.matrix import feature_rows
from segkit.errors import ColumnError, DataError, ParameterError, SourceError
from segkit.features import build_features
from segkit.pipeline import choose_variables
from tests.features_by_hand import random_tables

pytest.importorskip("pyspark", reason="needs the extra spark: make test-spark")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17 or later", allow_module_level=True)

from segkit import spark

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
SETTINGS = {
    "spark__ui__enabled": "false",
    "spark__sql__shuffle__partitions": "2",
    "spark__driver__host": "127.0.0.1",
    "spark__sql__autoBroadcastJoinThreshold": "-1",  # joins as large tables are joined
    "spark__ui__showConsoleProgress": "false",
    "spark__sql__execution__arrow__maxRecordsPerBatch": "50",  # several in each partition
    "spark__log__level": "ERROR",
    # Queries on a few lines: nothing is compiled for them that would take longer than they do.
    "spark__sql__codegen__wholeStage": "false",
    "spark__sql__codegen__factoryMode": "NO_CODEGEN",
    "spark__sql__adaptive__enabled": "false",
    "spark__driver__extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="session")
def session():
    opened = spark.open_session("local[2]", **SETTINGS)
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def tables():
    orders, events = random_tables(4, customers=120, lines=1500, events=1500)
    return orders.with_columns(brand=pl.col("channel")), events


def in_spark(session, frame, parts=2):
    return session.createDataFrame(frame.to_arrow()).repartition(parts)


def collected(frame):
    return pl.DataFrame(pl.from_arrow(frame.toArrow())).sort("customer_id")


def test_every_feature_is_that_of_polars(session, tables):
    options = {"as_of": date(1970, 1, 1) + timedelta(days=18_600), "calendar": "us"}
    expected = build_features(*tables, **options)
    table = spark.build_table(session, *(in_spark(session, one) for one in tables), **options)
    assert_frame_equal(collected(table.frame), expected.frame, rel_tol=1e-9, abs_tol=1e-9)
    assert len(expected.names) > 60, "every group of features is there"
    for name in ("definitions", "skipped", "notes", "as_of"):
        own, theirs = getattr(table.about, name), getattr(expected, name)
        assert own.equals(theirs) if isinstance(own, pl.DataFrame) else own == theirs, name


def test_times_ids_products_and_everybody_are_read_as_in_polars(session):
    late = datetime(2024, 2, 29, 23, 30, tzinfo=UTC)
    orders = pl.DataFrame(
        {
            "customer_id": ["\u00a07 ", "7.0", "Ann@Shop.org", "\x0bb\u2028", None, "c"],
            "order_id": ["1", "2", "3", "4", "5", "6"],
            "order_time": [late, late + timedelta(hours=1), late, late, late, late],
            "amount": [1e6 + 0.01, 0.1, 0.0000025, -3.0, 9.0, 2**33 + 0.5],
            "product_id": ["p", "q", None, "p", "p", "z"],
        }
    )
    products = pl.DataFrame({"product_id": ["p", "q"], "category": ["tea", "mugs"]})
    people = pl.DataFrame({"customer_id": ["new", "7"]})
    options = {"population": "all", "windows": (1,), "features": ["core", "categories"]}
    expected = build_features(orders, customers=people, products=products, **options)
    table = spark.build_table(
        session,
        in_spark(session, orders),
        customers=in_spark(session, people),
        products=in_spark(session, products),
        **options,
    )
    own = collected(table.frame)
    assert own["customer_id"].to_list() == ["7", "ann@shop.org", "b", "c", "new"]
    assert table.rows == own.height
    assert_frame_equal(own, expected.frame, rel_tol=1e-9, abs_tol=1e-9)
    assert table.about.notes == expected.notes


FEATURES = {"features": ["core", "rates", "discounts", "returns", "email", "orders_trend"]}


def segmented_by_polars(table, k, sample):
    """Make the same segments of the same statistics in memory."""
    chosen = draw_customers([table], sample, 0)
    model = cluster_customers(chosen, features=choose_variables(chosen), k=k).model
    X = model.transform.apply(feature_rows(chosen, model.features))
    seeds = fit_two_step(X, micro=len(X), sample=len(X)).centres
    X = model.transform.apply(table)
    whole = Compressed.of(X, seeds)
    centres = whole.find_centres(k)
    total = np.square(X - X.mean(axis=0)).sum()
    return move_centres(model, chosen, centres), 1 - whole.within_ss(centres) / total


def test_written_assignments_are_those_of_polars(session, tables, tmp_path):
    folder = tmp_path / "parquet"
    folder.mkdir()
    addresses = [str(folder / name) for name in ("orders.parquet", "events.parquet")]
    for table, address in zip(tables, addresses, strict=True):
        table.write_parquet(address)
    made = spark.segment_lines(session, *addresses, out=str(tmp_path), k=3, sample=90, **FEATURES)
    table = build_features(*tables, **FEATURES).frame
    model, explained = segmented_by_polars(table, 3, 90)
    expected = model.score(table)
    own = pl.read_parquet(f"{made.assignments}/*.parquet").sort("customer_id")
    exact = ["customer_id", "segment", "segment_name", "second_segment", "unlike_any", "reason"]
    assert_frame_equal(own.select(exact), expected.select(exact))
    assert_frame_equal(own, expected, rel_tol=1e-9, abs_tol=1e-9)
    sizes = dict(own["segment"].value_counts().iter_rows())
    assert {one.id: one.size for one in made.model.segments} == sizes
    assert (made.rows, made.sample, made.unassigned) == (table.height, 90, 0)
    assert made.explained == pytest.approx(explained, rel=1e-4)
    assert "120 customers as of" in made.text
    assert made.to_frame()["customers"].sum() == made.rows
    with pytest.raises(ParameterError, match="customers is there already"):
        spark.segment_lines(session, *addresses, out=str(tmp_path))


def test_other_models_and_customers_without_a_segment(session):
    draw = np.random.default_rng(0)
    ids, spent = [f"c{k:03}" for k in range(90)], draw.lognormal(3, 1, 90)
    table = pl.DataFrame({"customer_id": ids, "monetary": spent, "visits": draw.poisson(4, 90)})
    model = cluster_mixture(table, features=["monetary", "visits"], k=2).model
    strange = table.with_columns(pl.when(pl.int_range(90) % 9 > 0).then("monetary").otherwise(-5.0))
    own = collected(spark.score_table(model, in_spark(session, strange, 3)))
    expected = model.score(strange)
    assert_frame_equal(own, expected)
    assert own["reason"].count() == 10
    with pytest.raises(ColumnError, match="visits"):
        spark.score_table(model, in_spark(session, table.drop("visits")))


def test_other_time_zones_and_sources_are_refused(session, tables, tmp_path):
    with pytest.raises(SourceError, match="orders should be a Spark frame"):
        spark.build_table(session, tables[0])
    with pytest.raises(SourceError, match="orders: Spark reads no Parquet from"):
        spark.build_table(session, tmp_path / "none.parquet")
    bad = tables[0].head(3).with_columns(amount=pl.Series([1.0, float("inf"), None]))
    with pytest.raises(DataError, match="1 infinite and 1 missing amount"):
        spark.build_table(session, in_spark(session, bad))
    for key, value, words in (
        ("spark.sql.session.timeZone", "Europe/Berlin", "time zone is Europe/Berlin"),
        ("spark.sql.ansi.enabled", "false", "what it cannot read into nulls"),
    ):
        before = session.conf.get(key)
        session.conf.set(key, value)
        try:
            with pytest.raises(ParameterError, match=words):
                spark.build_table(session, in_spark(session, tables[0]))
            with pytest.raises(ParameterError, match=words):
                spark.cluster_table(in_spark(session, tables[0]), features=["amount"])
        finally:
            session.conf.set(key, before)


LINES = pl.DataFrame(
    {"customer_id": ["a", "b"], "order_day": [10, 20], "amount": [5.0, 7.0], "discount": [0.0, 1.0]}
)


@pytest.mark.parametrize(
    ("column", "values", "error", "words"),
    [
        ("order_day", ["10", "x"], ColumnError, "order_day should be whole numbers .* got string"),
        ("order_day", [10.0, 20.5], ColumnError, "order_day should be whole numbers .* got double"),
        ("amount", ["5", "7"], ColumnError, "amount should be numbers .* got string"),
        ("is_return", ["no", "yes"], ColumnError, "is_return should be true or false"),
        ("order_time", ["2024-01-01", "x"], ColumnError, "order_time should be times"),
        ("order_day", [10, 2**32 + 20], DataError, "^orders hold a day beyond 32 bits"),
        ("discount", [float("nan"), 0.0], DataError, "^orders hold NaN in discount$"),
    ],
)
def test_columns_of_another_kind_are_refused(session, column, values, error, words):
    lines = in_spark(session, LINES.with_columns(pl.Series(column, values)), 1)
    with pytest.raises(error, match=words):
        spark.build_table(session, lines, features=["monetary"])


def test_dates_are_days(session):
    dates = LINES.with_columns(pl.col("order_day").cast(pl.Int32).cast(pl.Date))
    made = spark.build_table(session, in_spark(session, dates, 1), features=["recency_days"])
    assert collected(made.frame).rows() == [("a", 10), ("b", 0)]


def test_parameters_and_folders_are_checked_before_anything_is_written(session, tmp_path):
    lines = in_spark(session, LINES, 1)
    for options, words in (
        ({"k": 1}, "expected k >= 2"),
        ({"k": 2.5}, "k should be a whole number, got 2.5"),
        ({"seed": -1}, "expected seed >= 0"),
        ({"sample": 0}, "sample must be at least 2"),
        ({"sample": 49}, "sample must be at least 50 customers; got 49"),
        ({"sample": 60, "k": 61}, "sample must be at least k = 61"),
        ({"variables": ["none"]}, "unknown column of the customer table 'none'"),
    ):
        with pytest.raises(ParameterError, match=words):
            spark.segment_lines(
                session, lines, out=str(tmp_path / "out"), features=["monetary"], **options
            )
    many = pl.DataFrame(
        {"customer_id": [f"c{k}" for k in range(60)], "order_day": 1, "amount": 2.0}
    )
    for orders, k, words in (
        (lines, None, "at least 50 customers.*there are 2"),
        (in_spark(session, many, 1), 61, "61 segments need as many different customers"),
    ):
        with pytest.raises(DataError, match=words):
            spark.segment_lines(
                session, orders, out=str(tmp_path / "out"), features=["monetary"], k=k, sample=70
            )
    assert not (tmp_path / "out").exists()
    (tmp_path / "assignments").mkdir()
    with pytest.raises(ParameterError, match="assignments is there already"):
        spark.segment_lines(session, lines, out=str(tmp_path))
    (tmp_path / "assignments" / "notes.txt").write_text("mine")
    with pytest.raises(ParameterError, match="assignments is there already"):
        spark.segment_lines(session, lines, out=str(tmp_path))
    assert [one.name for one in tmp_path.iterdir()] == ["assignments"]


def test_ids_and_values_of_customers_are_checked(session):
    table = pl.DataFrame(
        {"customer_id": [f"c{k}" for k in range(20)], "monetary": np.arange(20.0), "visits": 1}
    ).with_columns(visits=pl.int_range(20) % 3)
    model = cluster_customers(table, features=["monetary", "visits"], k=2).model
    row = pl.int_range(20) == 3
    nobody = table.with_columns(customer_id=pl.when(~row).then("customer_id"))
    endless = table.with_columns(monetary=pl.when(row).then(float("inf")).otherwise("monetary"))
    apart = in_spark(session, table, 2).union(in_spark(session, table.head(1), 1))
    for frame, words in (
        (in_spark(session, nobody, 1), "1 are missing, 0 are repeats"),
        (apart, "0 are missing, 1 are repeats"),  # in two partitions
        (in_spark(session, endless, 1), "monetary holds 1 infinite value"),
    ):
        with pytest.raises(DataError, match=words):
            spark.cluster_table(frame, features=["monetary", "visits"])
    with pytest.raises(DataError, match="1 are repeats"):
        spark.score_table(model, apart)
    for options in ({"sample": 2}, {"micro": 2}):
        with pytest.raises(ParameterError, match="must be at least k = 3"):
            spark.cluster_table(in_spark(session, table), features=["monetary"], k=3, **options)


def test_executors_import_a_segkit_that_is_not_installed(session):
    home = str(Path(spark.__file__).parents[2])
    assert session.sparkContext.environment["PYTHONPATH"].split(os.pathsep)[0] == home
