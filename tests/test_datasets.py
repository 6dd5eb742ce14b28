"""The data sets load with their mapping, and pass intake to their published counts."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest

import segkit
from segkit.datasets import LOADERS
from segkit.errors import DataError, ParameterError, SourceError
from segkit.intake import Mapping

MAPPINGS = Path(__file__).parents[1] / "data" / "mappings"
FILES = {
    "online-retail": "online_retail_2010_2011.parquet",
    "cdnow": "cdnow_master.txt",
    "rfm-demo": "rfm_orders.csv",
    "hillstrom": "hillstrom_email.csv",
    "fast-food": "mcdonalds.csv",
}


@pytest.mark.parametrize("name", FILES)
def test_mappings_name_columns_that_are_there(name, shared_data):
    source = segkit.load_source(name, shared_data(FILES[name]))
    for table, part in source.mapping.tables.items():
        assert set(part.columns.values()) <= set(source.tables[table].columns)
    assert source.name == name
    assert source.notes


def test_mappings_are_installed_too(tmp_path, monkeypatch):
    project = tomllib.loads((MAPPINGS.parents[1] / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["data/mappings"] == "segkit/_mappings"
    shutil.copytree(MAPPINGS, tmp_path / "segkit" / "_mappings")
    there = Mapping.of_source("cdnow")
    monkeypatch.setattr("segkit.intake.mapping.__file__", tmp_path / "segkit/intake/mapping.py")
    assert Mapping.of_source("cdnow") == there


def test_cdnow(shared_data):
    taken = segkit.clean_data(segkit.load_source("cdnow", shared_data("cdnow_master.txt")))
    assert taken.orders.height == 69_659
    assert taken.orders["customer_id"].n_unique() == 23_570
    assert (taken.orders["amount"] == 0).sum() == 80
    assert taken.orders["customer_id"][0] == "00001"
    days = taken.orders["order_day"].cast(pl.Date)
    assert (str(days.min()), str(days.max())) == ("1997-01-01", "1998-06-30")
    by_file = segkit.clean_data(shared_data("cdnow_master.txt"), MAPPINGS / "cdnow.toml")
    assert by_file.orders.equals(taken.orders)


def test_cdnow_from_the_wheel_without_importing_it(shared_data):
    pytest.importorskip("importlib.metadata").distribution("Lifetimes")
    code = (
        "import sys, segkit; s = segkit.load_source('cdnow'); "
        "assert 'lifetimes' not in sys.modules; print(s.tables['orders'].height)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "69659"


def test_cdnow_without_file_or_wheel(monkeypatch):
    monkeypatch.setattr("segkit.datasets._find_installed", lambda *_: None)
    with pytest.raises(SourceError, match="installed Lifetimes wheel"):
        segkit.load_source("cdnow")


def test_rfm_demo_takes_each_line_as_an_order(shared_data):
    taken = segkit.clean_data(segkit.load_source("rfm-demo", shared_data("rfm_orders.csv")))
    assert taken.orders.height == taken.orders["order_id"].n_unique() == 4_906
    abbey = taken.orders.filter(customer_id="Abbey O'Reilly")
    assert (abbey.height, abbey["amount"].sum()) == (6, 472.0)


def test_hillstrom_arms_and_outcomes(shared_data):
    source = segkit.load_source("hillstrom", shared_data("hillstrom_email.csv"))
    taken = segkit.clean_data(source)
    joined = taken.assignments.join(source.truth["outcomes"], on="customer_id")
    by_arm = joined.group_by("arm").agg(
        pl.len(), pl.col("visit", "conversion").sum(), pl.col("spend").sum().round(2)
    )
    assert sorted(by_arm.rows()) == [
        ("Mens E-Mail", 21_307, 3_894, 267, 30_311.69),
        ("No E-Mail", 21_306, 2_262, 122, 13_908.33),
        ("Womens E-Mail", 21_387, 3_238, 189, 23_038.11),
    ]
    assert taken.orders is None
    assert taken.customers["history"].dtype == pl.Float64
    assert taken.customers["customer_id"][0] == "00001"


@pytest.mark.parametrize("linked", [False, True])
def test_simulated_defects_are_found_exactly(linked):
    source = segkit.load_source("simulated", n_customers=600, seed=3)
    links = source.truth["identities"] if linked else None
    taken = segkit.clean_data(source, identities=links)
    planted = source.truth["defects"].filter(pl.col("reason").is_not_null())
    # Visits by e-mail address or device alone are known only through identities; customers who
    # lost their id are found again by them.
    tables = ["events", "orders"] if linked else ["orders", "customers", "survey"]
    for table in tables:
        found = taken.rejects[table].select("source_row", "reason")
        found = found.filter(pl.col("reason") != "no_profiling_consent")
        here = planted.filter(pl.col("table") == table)
        expected = here.select(pl.col("row").alias("source_row"), "reason")
        assert expected.height
        assert found.sort("source_row").equals(expected.sort("source_row")), table


def test_simulated_mapping_file_is_current():
    source = segkit.load_source("simulated", n_customers=20)
    for table, part in source.mapping.tables.items():
        assert set(part.columns.values()) <= set(source.tables[table].columns)
    with pytest.raises(ParameterError, match="did you mean 'n_customers'"):
        segkit.load_source("simulated", n_customer=3)
    with pytest.raises(ParameterError, match="takes no path"):
        segkit.load_source("simulated", "somewhere")


def test_a_survey_of_yes_and_no_becomes_a_table_of_people(shared_data):
    source = segkit.load_source("fast-food", shared_data("mcdonalds.csv"))
    table, items = segkit.pipeline.build_answer_table(source)
    assert (table.height, len(items)) == (1453, 11)
    # Dolnicar, Grün and Leisch (2018): the share of each item, table A.1's column means.
    assert table.select(pl.col("yummy", "convenient", "spicy").mean().round(4)).row(0) == (
        0.5526, 0.9078, 0.0936
    )  # fmt: skip
    assert table["liking"].min() == -5
    assert table["customer_id"].n_unique() == 1453
    bare = segkit.datasets.Source("mine", {"survey": table.select("customer_id", "age")}, Mapping())
    with pytest.raises(DataError, match="no yes/no items"):
        segkit.pipeline.build_answer_table(bare)
    with pytest.raises(DataError, match="neither purchases nor a survey"):
        segkit.pipeline.build_answer_table(segkit.datasets.Source("mine", {}, Mapping()))


def test_unknown_names_missing_files_and_other_files(tmp_path):
    with pytest.raises(SourceError, match=r"did you mean 'hillstrom'.*online-retail"):
        segkit.load_source("hilstrom")
    for name in FILES:
        with pytest.raises(SourceError, match=r"expected"):
            segkit.load_source(name, tmp_path / "none.csv")
    for name in ("online-retail", "rfm-demo", "hillstrom", "fast-food"):
        with pytest.raises(SourceError, match="none was given"):
            segkit.load_source(name)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    for name in ("online-retail", "rfm-demo", "hillstrom", "fast-food"):
        with pytest.raises(SourceError, match="expected the columns"):
            segkit.load_source(name, tmp_path / "x.csv")
    with pytest.raises(ParameterError, match="takes no options"):
        segkit.load_source("rfm-demo", tmp_path / "x.csv", seed=1)
    assert set(LOADERS) == {*FILES, "simulated", "complete-journey"}


def test_every_mapping_file_is_toml_with_a_word_about_its_data():
    for file in MAPPINGS.glob("*.toml"):
        text = file.read_text(encoding="utf-8")
        assert text.startswith("# Mapping of the data set")
        tomllib.loads(text)
