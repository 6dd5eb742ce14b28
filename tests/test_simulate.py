"""The simulated retailer: same seed same bytes, any batch, every defect written down, frozen."""

import gzip
import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.errors import ParameterError
from segkit.simulate import GENERATOR_VERSION, simulate_retailer, simulate_to_parquet
from segkit.simulate.block import RATES, REASONS, clock_changes
from segkit.simulate.catalogue import easter, make_calendar, month_after
from segkit.simulate.draws import Draws, mix, spread_out
from segkit.simulate.retailer import as_csv, sample_retailer, sample_tables

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


@pytest.fixture(scope="module")
def shop():
    return simulate_retailer(1500, seed=4)


def same(first, second):
    assert first.keys() == second.keys()
    for name, frame in first.items():
        assert frame.equals(second[name]), name


def test_same_seed_same_rows_and_another_seed_others(shop):
    again = simulate_retailer(1500, seed=4)
    same(shop.tables, again.tables)
    same(shop.extras, again.extras)
    same(shop.truth, again.truth)
    other = simulate_retailer(1500, seed=5)
    assert not other.tables["orders"].equals(shop.tables["orders"])


def test_a_generator_serves_as_seed():
    one, two = (simulate_retailer(20, seed=np.random.default_rng(3), months=6) for _ in range(2))
    same(one.tables, two.tables)


@pytest.mark.parametrize("batch", [1, 4000])
def test_parquet_holds_the_same_rows_whatever_the_batch(tmp_path, batch):
    whole = simulate_retailer(4300, seed=2, months=4)
    folder = simulate_to_parquet(tmp_path / "shop", 4300, seed=2, months=4, batch=batch)
    parts = 3 if batch == 1 else 2
    assert len(list((folder / "orders").iterdir())) == parts
    for name, frame in (whole.tables | whole.extras).items():
        assert pl.read_parquet(folder / name / "*.parquet").equals(frame), name
    for name, frame in whole.truth.items():
        assert pl.read_parquet(folder / "truth" / name / "*.parquet").equals(frame), name
    with pytest.raises(ParameterError, match="without a simulation"):
        simulate_to_parquet(folder, 10)


def test_fewer_customers_are_the_first_of_more(shop):
    few = simulate_retailer(700, seed=4, dirty=False)
    many = simulate_retailer(1500, seed=4, dirty=False)
    for name, who in (("orders", "account_id"), ("survey", "account_id")):
        mine = many.tables[name].filter(pl.col(who).is_in(few.tables[name][who].implode()))
        assert mine.sort(mine.columns).equals(few.tables[name].sort(mine.columns)), name
    assert many.truth["customers"].head(700).equals(few.truth["customers"])


@pytest.mark.parametrize("months", [1, 36])
def test_one_customer_works(months):
    shop = simulate_retailer(1, months=months)
    assert shop.truth["customers"].height == 1
    assert shop.campaign_date == month_after(date(2022, 3, 1), months)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"n_customers": 0}, "n_customers must be 1 to"),
        ({"n_customers": -3}, "n_customers must be 1 to"),
        ({"difficulty": "eazy"}, "unknown difficulty 'eazy'; did you mean 'easy'"),
        ({"structure": "groups"}, "unknown structure 'groups'"),
        ({"lift": "plant"}, "unknown lift 'plant'; did you mean 'planted'"),
        ({"months": 0}, "months must be 1 to 60, got 0"),
        ({"pilot_share": 1.5}, "pilot_share must be 0 to 1"),
    ],
)
def test_wrong_settings_are_named(option, message):
    with pytest.raises(ParameterError, match=message):
        simulate_retailer(**{"n_customers": 10, **option})


def test_wrong_batch_is_named(tmp_path):
    with pytest.raises(ParameterError, match="batch must be at least 1"):
        simulate_to_parquet(tmp_path, 10, batch=0)


# Defects


def broken_by_eye(table, frame, calendar):
    """Find the defects of each kind without knowing where they were planted."""
    row = pl.int_range(pl.len(), dtype=pl.Int64).alias("row")
    found = {"duplicate": frame.select(row, again=~pl.struct(frame.columns).is_first_distinct())}
    if table == "survey":
        return {"duplicate": found["duplicate"].filter("again")["row"]}
    forward, back = clock_changes(calendar)
    ids = [name for name in ("account_id", "email", "device_id") if name in frame.columns]
    rules = {"missing_customer": pl.all_horizontal(pl.col(ids).is_null())}
    if table == "orders":
        price, day = pl.col("unit_price"), pl.col("ordered_at").str.slice(0, 10)
        read = pl.col("ordered_at").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
        number = price.cast(pl.Float64, strict=False)
        rules |= {
            "cancelled": pl.col("status") == "cancelled",
            "price_zero": number == 0,
            "price_negative": number < 0,
            "price_text": number.is_null(),
            "quantity_zero": pl.col("quantity") == 0,
            "currency_unknown": ~pl.col("currency").is_in(["GBP", "EUR"]),
            "time_impossible": read.is_null(),
            "time_future": day > calendar.campaign_date.isoformat(),
            "time_nonexistent": day.is_in([str(d) for d in forward]) & (read.dt.hour() == 1),
            "time_ambiguous": day.is_in([str(d) for d in back]) & (read.dt.hour() == 1),
        }
        rules["time_future"] &= read.is_not_null()
    if table == "events":
        rules |= {
            "type_unknown": pl.col("event_type").is_in(["heartbeat", "push_received"]),
            "time_future": pl.col("event_time").dt.year() == 2099,
        }
    made = {"duplicate": found["duplicate"].filter("again")["row"]}
    return made | {k: frame.select(row, hit=rule).filter("hit")["row"] for k, rule in rules.items()}


@pytest.mark.parametrize("table", list(RATES))
def test_every_defect_is_where_the_truth_says_and_nowhere_else(shop, table):
    planted = shop.truth["defects"].filter(table=table)
    found = broken_by_eye(table, shop.tables[table], shop.world.calendar)
    assert set(planted["kind"]) <= set(RATES[table]) == set(found)
    for kind, rows in found.items():
        assert rows.to_list() == planted.filter(kind=kind)["row"].to_list(), kind
    assert planted["row"].is_unique().all()
    if table != "survey":
        assert planted.height > 0


def test_original_values_mend_the_rows(shop):
    clean = simulate_retailer(1500, seed=4, dirty=False).tables["orders"]
    planted = shop.truth["defects"].filter(table="orders")
    dirty = shop.tables["orders"].with_row_index("row")
    kept = dirty.filter(
        ~pl.col("row").is_in(planted.filter(kind="duplicate")["row"].cast(pl.UInt32).implode())
    ).drop("row")
    assert kept.height == clean.height
    wrong = planted.filter(kind="price_text").row(0, named=True)
    line = dirty.row(wrong["row"], named=True)
    mended = clean.filter(order_no=line["order_no"], line_no=line["line_no"], status="completed")
    assert mended["unit_price"].to_list() == [wrong["original"]]


def test_defects_come_at_their_rates():
    shop = simulate_retailer(4000, seed=8, months=12)
    for table in ("orders", "events"):
        rows = shop.tables[table].height
        counts = dict(shop.truth["defects"].filter(table=table)["kind"].value_counts().iter_rows())
        for kind, rate in RATES[table].items():
            of_sales = ("cancelled", "quantity_zero", "currency_unknown")
            if kind in of_sales or kind.startswith("price"):
                rate *= (shop.tables[table]["status"] != "returned").mean()
            expected = rate * rows
            assert abs(counts[kind] - expected) < 5 * np.sqrt(expected) + 1, kind


def test_reasons_are_given_for_kinds_that_exist():
    assert {(table, kind) for table, kinds in RATES.items() for kind in kinds} >= set(REASONS)


def test_clean_tables_have_no_defect():
    shop = simulate_retailer(300, seed=1, dirty=False)
    assert shop.truth["defects"].is_empty()
    for table in RATES:
        found = broken_by_eye(table, shop.tables[table], shop.world.calendar)
        assert {kind: rows.len() for kind, rows in found.items() if rows.len()} == {}
    mains = (
        shop.extras["links"]
        .drop_nulls("device_id")
        .filter(pl.col("customer_id").str.starts_with("C"))
    )
    assert (
        mains.group_by("device_id").agg(pl.col("customer_id").n_unique())["customer_id"].max() == 1
    )


# Identifiers


def test_links_lead_to_the_true_owner_but_for_shared_devices(shop):
    links = shop.extras["links"].with_row_index("row")
    owners = shop.truth["identities"].select("identifier", "customer_id")
    assert (
        owners.filter(~pl.col("identifier").str.starts_with("d-"))["identifier"].is_unique().all()
    )
    pairs = links.unpivot(
        ["email", "device_id", "loyalty_id"], index=["row", "customer_id"], value_name="other"
    ).drop_nulls("other")
    left = owners.rename({"identifier": "customer_id", "customer_id": "one"})
    right = owners.rename({"identifier": "other", "customer_id": "two"})
    joined = pairs.join(left, on="customer_id").join(right, on="other")
    # A shared device has two true owners, so its two links each match one of them and miss one.
    devices = joined.filter(pl.col("one") != pl.col("two"))["other"].unique()
    planted = shop.truth["defects"].filter(kind="shared_device")["row"]
    assert planted.len() > 0
    shared = links.filter(pl.col("row").is_in(planted.cast(pl.UInt32).implode()))
    assert set(shared["device_id"]) == set(devices)


def test_some_events_carry_only_a_device_or_an_email(shop):
    events = shop.tables["events"]
    anonymous = events.filter(pl.col("account_id").is_null())
    assert 0.10 < anonymous.height / events.height < 0.40
    assert set(anonymous["device_id"].drop_nulls()) <= set(shop.truth["identities"]["identifier"])
    assert set(anonymous["email"].drop_nulls()) <= set(shop.truth["identities"]["identifier"])


# Frozen


def digest(frame):
    return hashlib.sha256(frame.write_csv(float_precision=4).encode()).hexdigest()[:16]


def test_generator_is_frozen():
    """A change of the simulated rows is a new GENERATOR_VERSION: studies rest on them."""
    assert GENERATOR_VERSION == 2
    made = simulate_retailer(60, seed=7)
    assert {name: digest(frame) for name, frame in made.tables.items()} == FROZEN
    assert dict(made.truth["settings"].iter_rows())["planted_lift"] == "0.4"


FROZEN = {
    "orders": "d864b8a6fbac7842",
    "events": "1cfede270b280dcc",
    "customers": "03822979f78e6033",
    "survey": "a583f46855e60b1d",
    "assignments": "95ee3b8acd8f8015",
    "products": "3c52d2354140348f",
    "prices": "2a444ec0bf2c33d7",
    "fx": "774af23c5f9b2587",
    "campaigns": "fc9e03fc974ac803",
}


def test_committed_sample_is_what_the_generator_makes():
    tables = sample_tables(sample_retailer())
    assert {path.name for path in SAMPLE.glob("*.csv.gz")} == {f"{n}.csv.gz" for n in tables}
    for name, frame in tables.items():
        committed = gzip.decompress((SAMPLE / f"{name}.csv.gz").read_bytes())
        assert committed == as_csv(frame), name
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 2_000_000


# Draws and calendar


def test_splitmix_first_values():
    """Vigna's splitmix64.c from the state 0 gives these two numbers first."""
    golden = np.array([0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A], dtype=np.uint64)
    assert [int(x) for x in mix(golden)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_draws_have_the_laws_they_claim():
    draws = Draws.of(np.uint64(9), np.arange(200_000))
    n = len(draws.keys)
    uniform, normal = draws.uniform("u"), draws.normal("n")
    assert abs(uniform.mean() - 0.5) < 5 * np.sqrt(1 / 12 / n)
    assert abs(np.corrcoef(uniform, draws.uniform("v"))[0, 1]) < 5 / np.sqrt(n)
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 5 / np.sqrt(n)
    assert abs(normal.var() - 1) < 5 * np.sqrt(2 / n)
    gamma = draws.gamma("g", 4.0)
    assert abs(gamma.mean() - 1) < 5 * np.sqrt(0.25 / n)
    assert abs(gamma.var() - 0.25) < 0.01
    for mean in (0.3, 4.0, 90.0):
        counts = draws.poisson(f"p{mean}", np.full(n, mean))
        assert abs(counts.mean() - mean) < 5 * np.sqrt(mean / n)
        assert abs(counts.var() / mean - 1) < 0.03
    share = np.bincount(draws.choice("c", np.array([1.0, 2.0, 1.0])), minlength=3) / n
    assert np.allclose(share, [0.25, 0.5, 0.25], atol=0.006)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), max_size=20), st.integers(0, 2**31), st.floats(0.01, 30))
def test_streams_belong_to_their_owner(counts, root, mean):
    parents, numbers = spread_out(np.array(counts, dtype=np.int64))
    assert len(parents) == sum(counts)
    draws = Draws.of(np.uint64(root), np.arange(len(counts)))
    children = draws.child(parents, numbers, "child")
    alone = [
        draws.rows(np.array([p])).child(np.array([0]), np.array([k]), "child").keys[0]
        for p, k in zip(parents, numbers, strict=True)
    ]
    assert children.keys.tolist() == alone
    less = draws.poisson("n", np.full(len(counts), mean))
    more = draws.poisson("n", np.full(len(counts), mean * 1.5))
    assert (more >= less).all()


def test_calendar_years_weigh_one_and_easter_is_right():
    assert [easter(year) for year in (2019, 2024, 2025, 2038)] == [
        date(2019, 4, 21),
        date(2024, 3, 31),
        date(2025, 4, 20),
        date(2038, 4, 25),
    ]
    calendar = make_calendar(date(2022, 3, 1), 36)
    whole = [calendar.sums[kind][calendar.days] for kind in range(3)]
    assert np.allclose(whole, 3, atol=0.06)
    days = (date(2024, 12, 1) - calendar.start).days
    gift = np.diff(calendar.sums[2])
    assert gift[days] > 3 * gift.mean()
    assert calendar.depth[(date(2024, 7, 1) - calendar.start).days] == 0.35
