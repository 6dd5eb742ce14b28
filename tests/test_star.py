"""Star for BI: keys unique and met, no person named, yesterday's figures in yesterday's segment."""

import json
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl
import pytest

from segkit.cli import invoke
from segkit.errors import DataError, ParameterError, SourceError
from segkit.intake import Mapping, ProfileStore, clean_data
from segkit.star import KEYS, Star, build_star, read_run_star

MARCH = date(2026, 3, 1)
DAY = (MARCH - date(1970, 1, 1)).days


def raw():
    orders = pl.DataFrame(
        {
            "customer_id": ["a", "b", "a", "c", "b"],
            "order_id": ["1", "2", "3", "4", "5"],
            "order_date": [MARCH + timedelta(days=d) for d in (0, 1, 31, 32, 34)],
            "amount": [10.0, 20.0, 30.0, 40.0, 50.0],
            "gift_note": ["for Ann"] * 5,  # no role: never mapped
        }
    )
    customers = pl.DataFrame(
        {
            "customer_id": ["a", "b", "d"],
            "email": ["a@x.org", "b@x.org", "d@x.org"],
            "birth_date": ["1980-01-01"] * 3,
            "region": ["North", "South", "North"],
            "marketing_consent": [True, False, True],
        }
    )
    return {"orders": orders, "customers": customers}


def save_run(folder, taken):
    """Write what the notebooks of a run leave behind."""
    taken.save(folder / "01_data_audit" / "data" / "clean")
    ids = sorted(set(taken.orders["customer_id"]))
    made = pl.DataFrame({"customer_id": ids}).with_columns(
        segment=pl.lit("S1"), segment_name=pl.lit("Loyal")
    )
    outcomes = made.with_columns(
        campaign_id=pl.lit("spring"),
        arm=pl.lit("mail"),
        offer=pl.lit("sale"),
        assigned_at=pl.lit(datetime(2026, 3, 20, tzinfo=UTC)),
        converted=1,
        recency_days=3,
    )
    for stem, frame in (
        ("05_segments/data/segments", made),
        ("10_campaign_lift/data/outcomes", outcomes),
    ):
        path = folder / f"{stem}.parquet"
        path.parent.mkdir(parents=True)
        frame.write_parquet(path)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("runs") / "shop", clean_data(raw()))


@pytest.fixture(scope="module")
def star(run):
    return read_run_star(run)


def test_keys_are_declared_unique_and_met_in_duckdb(star, tmp_path):
    assert list(star.tables) == list(KEYS)
    path = star.write(tmp_path / "shop.duckdb")
    assert path.stat().st_mode & 0o077 == 0
    with duckdb.connect(str(path)) as link:
        for name, (primary, others) in KEYS.items():
            count, keys = link.execute(
                f'SELECT count(*), count(DISTINCT ({", ".join(primary)})) FROM "{name}"'
            ).fetchone()
            assert count == keys == star.tables[name].height > 0
            for column, table in others.items():
                lost = link.execute(
                    f'SELECT count(*) FROM "{name}" ANTI JOIN "{table}" '
                    f'ON "{name}"."{column}" = "{table}"."{KEYS[table][0][0]}"'
                ).fetchone()
                assert lost == (0,)
            with pytest.raises(duckdb.ConstraintException):
                link.execute(f'INSERT INTO "{name}" SELECT * FROM "{name}" LIMIT 1')
        told = link.execute(
            "SELECT comment FROM duckdb_tables() WHERE table_name = 'days'"
        ).fetchone()
        assert told == ("one row per day, without gaps",)


def test_parquet_holds_the_same_with_its_keys_described(star, tmp_path):
    folder = star.write(tmp_path / "star")
    described = json.loads((folder / "star.json").read_text())
    assert described["orders"]["foreign_keys"] == {
        "customer_id": "customer_id",
        "order_date": "date",
    }
    for name, frame in star.tables.items():
        assert pl.read_parquet(folder / f"{name}.parquet").equals(frame)
        assert list(described[name]["columns"]) == frame.columns
    assert star.to_frame().filter(pl.col("key") == "primary").height == 9


def test_figures_add_up_to_the_orders(star):
    assert star.tables["customers"]["customer_id"].to_list() == ["a", "b", "c", "d"]
    assert star.tables["customers"]["segment_name"].to_list() == ["Loyal"] * 3 + [None]
    revenue = star.tables["kpis_by_day"].filter(kpi="revenue")
    sums = dict(revenue.group_by("segment_name").agg(pl.col("value").sum()).rows())
    assert sums == {"all": 150.0, "Loyal": 150.0}
    days = star.tables["days"]["date"]
    assert (days[0], days[-1], len(days)) == (MARCH, MARCH + timedelta(days=34), 35)


def test_nobody_is_named_and_what_was_not_mapped_stays_out(star):
    columns = {name: set(frame.columns) for name, frame in star.tables.items()}
    assert columns["customers"] == {
        "customer_id",
        "region",
        "marketing_consent",
        "segment",
        "segment_name",
    }
    assert "gift_note" not in columns["orders"]
    assert "recency_days" not in columns["campaign_outcomes"]


def test_ids_are_pseudonyms_where_the_run_has_them(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "secret")
    tables = raw()
    taken = clean_data(tables, Mapping(options={"pseudonymise": "SHOP_KEY"}))
    star = read_run_star(save_run(tmp_path / "shop", taken))
    ids = star.tables["customers"]["customer_id"]
    assert not set(ids) & set("abcd")
    assert set(ids) == set(taken.customers["customer_id"]) | set(taken.orders["customer_id"])
    plain = ProfileStore(tmp_path / "store")
    plain.record_snapshot(assigned("a", "b"), MARCH, recorded_at=MARCH)
    with pytest.raises(DataError, match="as the ids of the data are pseudonyms"):
        read_run_star(tmp_path / "shop", store=tmp_path / "store")


def assigned(*ids, name="Loyal"):
    return pl.DataFrame({"customer_id": ids}).with_columns(
        segment=pl.lit("S1"), segment_name=pl.lit(name)
    )


def test_a_days_figures_count_for_the_segment_of_that_day(run, tmp_path):
    store = ProfileStore(tmp_path / "segments", deletes="invalidate")
    april = date(2026, 4, 1)
    first = pl.concat([assigned("a"), assigned("b", "gone", name="New")])
    store.record_snapshot(first, MARCH, recorded_at=MARCH)
    store.record_snapshot(assigned("a", name="New"), april, recorded_at=april)
    star = read_run_star(run, store=tmp_path)
    versions = star.tables["segment_assignments"]
    assert versions.height == 3
    assert "of 3 ids in the assignments 1 is not among the data" in star.text
    revenue = star.tables["kpis_by_day"].filter(pl.col("value") > 0, kpi="revenue")
    by_segment = revenue.filter(pl.col("segment_name") != "all")
    assert set(by_segment.select("date", "segment_name", "value").rows()) == {
        (MARCH, "Loyal", 10.0),  # a, before the refresh
        (MARCH + timedelta(days=1), "New", 20.0),
        (april, "New", 30.0),  # a, since the refresh
        (april + timedelta(days=1), "no segment", 40.0),  # c was never assigned
        (april + timedelta(days=3), "no segment", 50.0),  # b left on April 1
    }  # fmt: skip
    current = dict(star.tables["customers"].select("customer_id", "segment_name").rows())
    assert current == {"a": "New", "b": None, "c": None, "d": None}


def test_segkit_star_names_what_it_wrote(run, tmp_path, capsys):
    assert invoke(["star", str(run), str(tmp_path / "shop.duckdb")]) == 0
    assert "orders (5 rows)" in capsys.readouterr().out
    assert invoke(["star", str(run), str(tmp_path / "shop.duckdb")]) == 2
    assert "is not overwritten" in capsys.readouterr().err


def test_wrong_input_is_refused_in_words(run, star, tmp_path):
    with pytest.raises(SourceError, match="run notebook 01 first"):
        read_run_star(tmp_path)
    with pytest.raises(SourceError, match="no store of versions"):
        read_run_star(run, store=tmp_path / "none")
    (tmp_path / "there").mkdir()
    with pytest.raises(ParameterError, match="is not overwritten"):
        star.write(tmp_path / "there")
    with pytest.raises(ParameterError, match="there is no folder"):
        star.write(tmp_path / "none" / "shop.duckdb")
    orders = star.tables["orders"]
    with pytest.raises(DataError, match=r"1 row repeats a key \(order_line\)"):
        Star({**star.tables, "orders": pl.concat([orders, orders.head(1)])})
    one = star.tables["customers"].filter(customer_id="a")
    with pytest.raises(DataError, match="orders: 3 rows with a customer_id that customers lacks"):
        Star({"days": star.tables["days"], "customers": one, "orders": orders})
    twice = pl.read_parquet(run / "10_campaign_lift/data/outcomes.parquet")
    lines = orders.drop("order_line").with_columns(order_day=DAY)
    with pytest.raises(DataError, match="campaign_outcomes: 3 rows repeat a key"):
        build_star(lines, outcomes=pl.concat([twice, twice]))


def test_todays_segment_is_the_assigned_one_whatever_the_source_calls_its_columns(run):
    taken = clean_data(raw())
    own = taken.customers.with_columns(segment=pl.lit("VIP"), segment_name=pl.lit("Own"))
    people = build_star(taken.orders, customers=own, assignments=assigned("a", "b")).tables
    assert dict(people["customers"].select("customer_id", "segment").rows()) == {
        "a": "S1", "b": "S1", "c": None, "d": None,
    }  # fmt: skip
    assert people["customers"].columns.count("segment_name") == 1
    bare = build_star(taken.orders, customers=own).tables["customers"]
    assert "segment" not in bare.columns


def test_of_two_segments_on_one_day_the_later_stands_in_any_order_of_rows(tmp_path):
    store = ProfileStore(tmp_path / "segments")
    for month, hour, name in ((2, 0, "Old"), (3, 9, "Morning"), (3, 15, "Evening")):
        at = datetime(2026, month, 1, hour, tzinfo=UTC)
        store.record_snapshot(assigned("a", name=name), at, recorded_at=at)
    versions = store.versions()
    for rows in (versions, versions.reverse(), versions.sort("segment_name")):
        kpis = build_star(clean_data(raw()).orders, assignments=rows).tables["kpis_by_day"]
        sold = kpis.filter(pl.col("value") > 0, kpi="revenue", date=MARCH)
        assert set(sold["segment_name"]) == {"all", "Evening"}
