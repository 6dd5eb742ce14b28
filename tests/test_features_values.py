"""Features equal a computation by hand, on every engine, in any order of rows."""

import math
import statistics
from datetime import date, timedelta
from fractions import Fraction
from functools import partial

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from polars.testing import assert_frame_equal

from segkit.errors import ColumnError, DataError
from segkit.features import build_features as build
from segkit.features.calendar import whole
from segkit.features.definitions import pieces
from segkit.features.sources import collect, open_lazy, order_rows
from tests.features_by_hand import (
    EPOCH,
    EVENT_SCHEMA,
    ORDER_SCHEMA,
    TYPES,
    by_hand,
    frame,
    random_tables,
)

build_features = partial(build, calendar="us")  # the yardstick's occasions
WINDOWS = (30, 200)
AS_OF = 18_600


def day(number):
    return EPOCH + timedelta(days=number)


def same(table, expected):
    """Compare the table with the values by hand, every column of it and every customer."""
    assert table.frame["customer_id"].to_list() == sorted(expected)
    for row in table.frame.iter_rows(named=True):
        by = expected[row.pop("customer_id")]
        for name, value in row.items():
            where = f"{name}: {value} in the table, {by[name]} by hand"
            if by[name] is None or value is None or isinstance(value, str):
                assert value == by[name], where
            else:
                assert math.isclose(value, by[name], rel_tol=1e-9, abs_tol=1e-9), where


@pytest.mark.parametrize("monetary", ["net", "gross"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_feature_equals_the_computation_by_hand(seed, monetary):
    orders, events = random_tables(seed)
    table = build_features(
        orders, events, as_of=day(AS_OF), windows=WINDOWS, monetary=monetary, trend_days=60
    )
    expected = by_hand(
        orders.to_dicts(), events.to_dicts(), as_of=AS_OF, windows=WINDOWS, monetary=monetary,
        trend_days=60,
    )  # fmt: skip
    same(table, expected)
    names = {name for row in expected.values() for name in row}
    assert names == set(table.names), "each feature has a computation by hand, and the reverse"
    assert table.skipped["feature"].to_list() == ["brands"], "the lines have no column brand"


NUMBERS = st.integers(-300, 300).map(lambda cents: cents / 100)
LINES = st.tuples(
    st.sampled_from("ab"), st.sampled_from(["1", "2", "3"]), st.integers(18_000, 18_012), NUMBERS,
    st.sampled_from([True, False, None]), st.sampled_from([0.0, 0.5]),
    st.sampled_from(["x", "y", None]), st.sampled_from(["p", "q", None]),
    st.sampled_from(["web", None]),
)  # fmt: skip
EVENTS = st.tuples(
    st.sampled_from("abz"), st.integers(18_000, 18_012), st.sampled_from(TYPES),
    st.sampled_from(["m", "n", None]), st.sampled_from(["s", "t", None]),
    st.sampled_from(["home", None]), st.sampled_from([None, 1.5]),
)  # fmt: skip


@given(st.lists(LINES, min_size=1, max_size=8), st.lists(EVENTS, max_size=8))
@settings(max_examples=25)
def test_small_cases_equal_the_computation_by_hand(lines, acts):
    # A spread of spend around zero would make ratios of rounding errors: keep purchases positive.
    lines = [(*x[:3], abs(x[3]) + 0.01 if x[4] is False else x[3], *x[4:]) for x in lines]
    orders, events = frame(lines, ORDER_SCHEMA), frame(acts, EVENT_SCHEMA)
    as_of = 18_009
    if orders["order_day"].min() > as_of:
        return
    table = build_features(orders, events, as_of=day(as_of), windows=(4,), trend_days=3)
    expected = by_hand(
        orders.to_dicts(), events.to_dicts(), as_of=as_of, windows=(4,), trend_days=3
    )
    same(table, expected)


def pandas_of(table):
    return pd.DataFrame(table.to_dict(as_series=False))


@pytest.fixture(scope="module")
def tables():
    return random_tables(7)


@pytest.fixture(scope="module")
def eager(tables):
    return build_features(*tables, as_of=day(AS_OF), windows=WINDOWS)


@pytest.mark.parametrize(
    "engine", ["polars lazy", "polars scan", "duckdb scan", "duckdb", "pandas"]
)
def test_engines_give_equal_values(tables, eager, engine, tmp_path):
    name, _, way = engine.partition(" ")
    given_, options = tables, {}
    if way == "lazy":
        given_ = [table.lazy() for table in tables]
    elif name == "pandas":
        given_ = [pandas_of(table) for table in tables]
    else:
        paths = [tmp_path / "orders.parquet", tmp_path / "events.parquet"]
        for table, path in zip(tables, paths, strict=True):
            table.write_parquet(path)
        given_, options = paths, {"engine": name}
        if engine == "duckdb":
            duckdb = pytest.importorskip("duckdb")
            given_, options = [duckdb.read_parquet(str(path)) for path in paths], {}
    other = build_features(*given_, as_of=day(AS_OF), windows=WINDOWS, **options)
    assert_frame_equal(other.frame, eager.frame, rel_tol=1e-9, abs_tol=1e-9)
    assert_frame_equal(other.definitions, eager.definitions)
    assert other.notes == eager.notes


def test_the_order_of_rows_does_not_matter(tables, eager):
    mixed = [table.sample(fraction=1, shuffle=True, seed=5) for table in tables]
    other = build_features(*mixed, as_of=day(AS_OF), windows=WINDOWS)
    assert_frame_equal(other.frame, eager.frame, check_exact=True)


def test_sums_of_money_and_seconds_are_exact():
    # A last bit that differs between two runs turns ties later on; floats added in any order do.
    random = np.random.default_rng(3)
    lines = pl.DataFrame(
        {"customer_id": ["a"] * 3_000, "order_id": [str(k % 700) for k in range(3_000)],
         "order_day": random.integers(0, 900, 3_000).astype(np.int32),
         "amount": random.integers(1, 10**9, 3_000) / 10**4, "is_return": [False] * 3_000}
    )  # fmt: skip
    frame = build_features(lines).frame
    exact = lines.select((pl.col("amount") * 10_000).round().cast(pl.Int64))["amount"]
    by_order = lines.with_columns(whole=exact).group_by("order_id").agg(pl.col("whole").sum())
    values = [int(value) for value in by_order["whole"]]
    assert frame["monetary"].item() == sum(values) / 10_000
    assert frame["order_value_mean"].item() == pytest.approx(sum(values) / 700 / 10_000, rel=1e-15)
    spread = statistics.stdev(Fraction(value, 10_000) for value in values)
    assert frame["order_value_std"].item() == pytest.approx(float(spread), rel=1e-14)
    same = lines.with_columns(amount=pl.lit(19.99), order_id=pl.int_range(3_000).cast(pl.String))
    assert build_features(same).frame["order_value_std"].item() == 0.0


@pytest.mark.parametrize("amounts", [[1e13, 1.0], [5e12, 5e12], [-9e12, 1e12]])
def test_amounts_whose_sum_would_not_fit_are_refused(amounts):
    lines = pl.DataFrame({"customer_id": "a", "order_day": [1, 2], "amount": amounts})
    with pytest.raises(DataError, match=r"column amount of orders adds up to .* thousands"):
        build_features(lines)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_pieces_of_customers_add_up_to_the_whole(tables, eager, engine, tmp_path, monkeypatch):
    monkeypatch.setattr("segkit.features.definitions.ROWS_A_PIECE", 400)
    paths = [tmp_path / "orders.parquet", tmp_path / "events.parquet"]
    for table, path in zip(tables, paths, strict=True):
        table.write_parquet(path)
    other = build_features(*paths, as_of=day(AS_OF), windows=WINDOWS, engine=engine)
    assert_frame_equal(other.frame, eager.frame, rel_tol=1e-9, abs_tol=1e-9)
    cut = order_rows(open_lazy(tables[0], "polars", "orders"), AS_OF)
    parts = [collect(part)["customer_id"] for part in pieces(cut, whole(AS_OF))]
    assert len(parts) >= 2
    assert sum(len(part) for part in parts) == cut.n_used
    assert sum(part.n_unique() for part in parts) == pl.concat(parts).n_unique()


def test_nothing_after_as_of_is_used(tables, eager):
    orders, events = tables
    cut = build_features(
        orders.filter(pl.col("order_day") <= AS_OF),
        events.filter(pl.col("event_day") <= AS_OF),
        as_of=day(AS_OF), windows=WINDOWS,
    )  # fmt: skip
    assert_frame_equal(cut.frame, eager.frame, rel_tol=1e-12)
    later = orders.tail(50).with_columns(
        order_day=pl.lit(AS_OF + 1, pl.Int32), channel=pl.lit("telex"), amount=pl.lit(1e6)
    )
    act = events.tail(50).with_columns(event_day=pl.lit(AS_OF + 9, pl.Int32), page=pl.lit("new"))
    more = build_features(
        pl.concat([orders, later]), pl.concat([events, act]), as_of=day(AS_OF), windows=WINDOWS
    )
    assert_frame_equal(more.frame, eager.frame, rel_tol=1e-12)


def test_a_window_is_the_same_feature_on_the_windows_rows(tables, eager):
    orders, events = tables
    low = AS_OF - 200
    near = build_features(
        orders.filter(pl.col("order_day") > low), events.filter(pl.col("event_day") > low),
        as_of=day(AS_OF),
    ).frame  # fmt: skip
    names = [n for n in near.columns[1:] if f"{n}_200d" in eager.frame.columns and "trend" not in n]
    assert len(names) > 40
    window = eager.frame.join(near.select("customer_id"), on="customer_id", how="semi")
    left = window.select("customer_id", *(pl.col(f"{n}_200d").alias(n) for n in names))
    assert_frame_equal(left, near.select("customer_id", *names), rel_tol=1e-9, abs_tol=1e-9)


def test_a_window_of_the_categories_is_had_by_asking(tables):
    orders, events = tables
    near = build_features(
        orders.filter(pl.col("order_day") > AS_OF - 200), as_of=day(AS_OF), features=["categories"]
    ).frame
    asked = build_features(
        orders, events, as_of=day(AS_OF), features=["categories"], windows=[200]
    ).frame.join(near.select("customer_id"), on="customer_id", how="semi")
    names = [n for n in near.columns[1:] if n != "category_new_rate"]
    assert len(names) == 11
    left = asked.select("customer_id", *(pl.col(f"{n}_200d").alias(n) for n in names))
    assert_frame_equal(left, near.select("customer_id", *names), rel_tol=1e-9, abs_tol=1e-9)
    one = build_features(orders, as_of=day(AS_OF), features=["category_share_x_200d"]).frame
    assert one.columns == ["customer_id", "category_share_x_200d"]
    assert_frame_equal(one.join(asked, on="customer_id", how="semi"), asked.select(one.columns))


def test_as_of_is_the_last_order_day_by_default(tables):
    table = build_features(tables[0])
    assert table.as_of == day(tables[0]["order_day"].max())
    assert table.frame["recency_days"].min() == 0
    assert isinstance(table.as_of, date)


def test_buyers_who_returned_more_than_they_bought_are_counted_and_said():
    lines = pl.DataFrame(
        {
            "customer_id": ["a", "a", "b", "c", "c"],
            "order_id": ["1", "2", "3", "4", "5"],
            "order_day": [19000, 19005, 19001, 19002, 19009],
            "amount": [20.0, -50.0, 30.0, 10.0, -10.0],
        }
    )
    notes = build_features(lines, features=["frequency", "monetary"]).notes
    assert (
        sum("2 of 3 buyers have net revenue of zero or less (-30 in all)" in n for n in notes) == 1
    )
    bought = lines.filter(pl.col("amount") > 0)
    again = build_features(bought, features=["frequency", "monetary"]).notes
    assert not any("net revenue of zero" in note for note in again)


ENGINES = ["polars", "duckdb"]


def built(lines, engine, tmp_path, features, events=None, **options):
    """Build features of tables written to disk, as an engine reads them."""
    paths = [tmp_path / "lines.parquet", tmp_path / "acts.parquet"]
    lines.write_parquet(paths[0])
    if events is not None:
        events.write_parquet(paths[1])
    acts = None if events is None else paths[1]
    return build(paths[0], acts, features=features, engine=engine, **options).frame


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("base", [0, 5_000_000, 1_000_000_000, 2_000_000_000_000])
def test_the_spread_of_large_order_values_is_exact(base, engine, tmp_path):
    cents = [7, 1_200, 1_900_001, 3]
    lines = pl.DataFrame(
        {"customer_id": ["a"] * 4, "order_id": ["1", "2", "3", "4"], "order_day": [1, 2, 3, 4],
         "amount": [base + cent / 100 for cent in cents]}
    )  # fmt: skip
    exact = [Fraction(round(x * 1e6), 10**6) for x in lines["amount"]]
    for k in range(3):
        mixed = lines.sample(fraction=1, shuffle=True, seed=k)
        value = built(mixed, engine, tmp_path, ["order_value_std"])["order_value_std"].item()
        assert value == pytest.approx(float(statistics.stdev(exact)), rel=1e-15)
    level = built(lines.with_columns(amount=base + 0.1), engine, tmp_path, ["order_value_std"])
    assert str(level["order_value_std"].item()) == "0.0"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("monetary", ["net", "gross"])
@pytest.mark.parametrize("customers", [1, 2, 3])
def test_money_is_the_true_quotient_of_whole_millionths(monetary, customers, engine, tmp_path):
    amounts = [0.05, 0.07, 0.1][:customers]
    lines = pl.DataFrame(
        {"customer_id": ["a", "b", "c"][:customers], "order_day": 1, "amount": amounts}
    )
    names = ["monetary", "order_value_mean"]
    frame = built(lines, engine, tmp_path, names, monetary=monetary)
    assert frame["monetary"].to_list() == amounts
    assert frame["order_value_mean"].to_list() == amounts


@pytest.mark.parametrize("engine", ENGINES)
def test_sums_beyond_what_a_float_holds_are_rounded_once(engine, tmp_path):
    amounts = [9007199254.740993, 9007199254.740995, -9007199254.740997]
    lines = pl.DataFrame({"customer_id": ["a", "a", "b"], "order_day": 1, "amount": amounts})
    frame = built(lines, engine, tmp_path, ["monetary"], population="all")
    whole_ = [int(x * 10**6) for x in amounts]
    assert frame["monetary"].to_list() == [float(whole_[0] + whole_[1]) / 1e6, whole_[2] / 1e6]


def test_categories_before_1970_have_their_recency():
    lines = pl.DataFrame(
        {"customer_id": ["a", "a", "b"], "order_day": [-400, -390, -100], "amount": 1.0,
         "category": "x"}
    )  # fmt: skip
    frame = build(lines, features=["category_recency_days_x"]).frame
    assert frame["category_recency_days_x"].to_list() == [290, 0]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_unknown_duration_does_not_hide_that_the_others_are_too_large(engine, tmp_path):
    lines = pl.DataFrame({"customer_id": ["a"], "order_day": [12], "amount": [1.0]})
    acts = pl.DataFrame(
        {"customer_id": "a", "event_type": "page_view", "event_day": 12,
         "duration_seconds": [8e12, 8e12, math.nan]}
    )  # fmt: skip
    with pytest.raises(DataError, match="duration_seconds of events adds up to"):
        built(lines, engine, tmp_path, ["time_seconds"], acts)
    some = acts.with_columns(pl.col("duration_seconds") / 8e12)
    assert built(lines, engine, tmp_path, ["time_seconds"], some)["time_seconds"].item() == 2.0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_piece_without_a_known_category_joins_the_others(engine, tmp_path, monkeypatch):
    number = pl.int_range(40)
    lines = pl.DataFrame({"order_day": [18_000 + k % 8 for k in range(40)]}).with_columns(
        customer_id="c" + (number + 10).cast(pl.String), amount=1.0,
        category=pl.when(number > 30).then("k" + (number % 14).cast(pl.String)),
    )  # fmt: skip
    lines = pl.concat([lines, lines.with_columns(pl.col("category").str.replace("k", "z"))])
    whole_ = built(lines, engine, tmp_path, ["categories"])
    monkeypatch.setattr("segkit.features.definitions.ROWS_A_PIECE", 20)
    names = [name for name in whole_.columns if "affinity" not in name]
    assert_frame_equal(built(lines, engine, tmp_path, ["categories"])[names], whole_[names])


@pytest.mark.parametrize("engine", ENGINES)
def test_columns_of_another_kind_are_read_alike_or_refused(engine, tmp_path):
    lines = pl.DataFrame(
        {"customer_id": ["5", "5", "7"], "order_day": [10, 20, 15], "amount": [5.0, 7.0, 9.0],
         "discount": 0.0, "is_return": False}
    )  # fmt: skip
    names = ["recency_days"]
    expected = built(lines, engine, tmp_path, names)
    days = lines.with_columns(pl.col("order_day").cast(pl.Int32).cast(pl.Date))
    assert_frame_equal(built(days, engine, tmp_path, names), expected)
    decimal = lines.with_columns(pl.col("customer_id").cast(pl.Decimal(9, 1)))
    assert_frame_equal(built(decimal, engine, tmp_path, names), expected)
    for error, words, column in (
        (ColumnError, "whole day numbers or dates", pl.col("order_day") + 0.5),
        (ColumnError, "expected amount as numbers", pl.lit("7,5").alias("amount")),
        (ColumnError, "true and false", pl.lit("no").alias("is_return")),
        (DataError, "no number", pl.lit(math.nan).alias("discount")),
        (DataError, "3 order lines without a day", pl.lit(None, pl.Int32).alias("order_day")),
    ):
        with pytest.raises(error, match=words):
            built(lines.with_columns(column), engine, tmp_path, names)


@pytest.mark.parametrize("column", ["amount", "discount"])
def test_a_single_nan_in_a_parquet_file_is_refused_by_every_engine(tmp_path, column):
    lines = {"customer_id": ["a", "b", "c"], "order_day": [1, 2, 3], "amount": [5.0, 7.0, 9.0]}
    lines |= {"discount": [0.0, 1.0, 0.0], column: [1.0, float("nan"), 2.0]}
    pl.DataFrame(lines).write_parquet(tmp_path / "orders.parquet")
    for engine in ("polars", "duckdb"):
        with pytest.raises(DataError, match=r"missing amount|NaN"):
            build_features(tmp_path / "orders.parquet", features=["core"], engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_half_millionths_and_times_with_a_zone_are_read_alike_or_refused(engine, tmp_path):
    halves = [0.0000005, 1.0000015, 2.0000025, -2.0000025, -0.0000015, 3.0000005000001]
    evening = pl.datetime(2024, 3, 1, 23, 30, time_zone="Asia/Tokyo")
    lines = pl.DataFrame({"customer_id": list("abcdef"), "order_day": 1, "amount": halves})
    whole = [round(value * 1e6) / 1e6 for value in halves]  # Python too rounds halves to even
    spent = built(lines.with_columns(is_return=False), engine, tmp_path, ["monetary"])
    assert spent["monetary"].to_list() == whole
    zoned = lines.drop("order_day").with_columns(order_time=evening, is_return=False)
    acts = lines.select("customer_id", event_type=pl.lit("site_visit"), event_time=evening)
    zoned.write_parquet(tmp_path / "zoned.parquet")
    acts.write_parquet(tmp_path / "acts.parquet")
    lines.write_parquet(tmp_path / "lines.parquet")
    if engine == "duckdb":
        for orders, events in (("zoned", None), ("lines", "acts")):
            with pytest.raises(ColumnError, match=r"time has a time zone.*order_day|event_day"):
                build_features(
                    tmp_path / f"{orders}.parquet",
                    events and tmp_path / f"{events}.parquet",
                    engine=engine,
                )
    else:  # the day of the column's own zone
        table = build_features(tmp_path / "zoned.parquet", features=["core"])
        assert table.as_of == date(2024, 3, 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_events_without_a_day_are_refused(engine, tmp_path):
    lines = pl.DataFrame({"customer_id": ["a"], "order_day": [1], "amount": [5.0]})
    acts = pl.DataFrame({"customer_id": "a", "event_day": [1, None], "event_type": "site_visit"})
    for name, table in (("lines", lines), ("acts", acts)):
        table.write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match="1 event without a day"):
        build_features(tmp_path / "lines.parquet", tmp_path / "acts.parquet", engine=engine)


def test_white_space_around_ids_is_that_of_unicode_on_every_engine(tmp_path):
    ids = ["\u00a0a", "\x0ba\u3000", "a", "\u2028b\x85", "\u200bb"]  # the last is no white space
    lines = pl.DataFrame({"customer_id": ids, "order_day": 1, "amount": [1.0, 2.0, 4.0, 8.0, 16.0]})
    lines.write_parquet(tmp_path / "orders.parquet")
    for engine in ("polars", "duckdb"):
        table = build_features(tmp_path / "orders.parquet", features=["monetary"], engine=engine)
        assert table.frame.rows() == [("a", 7.0), ("b", 8.0), ("\u200bb", 16.0)]


def test_whole_numbers_are_names_of_categories_and_other_numbers_are_not():
    lines = {"customer_id": ["a", "b", "a"], "order_day": [1, 2, 3], "amount": [5.0, 7.0, 9.0]}
    numbers, texts = ({**lines, "category": c} for c in ([7, 8, 7], ["7", "8", "7"]))
    tables = [build_features(pl.DataFrame(each), engine=engine).frame
              for each in (numbers, texts) for engine in ("polars", "duckdb")]  # fmt: skip
    assert any("category" in name for name in tables[0].columns)
    for other in tables[1:]:
        assert_frame_equal(tables[0], other)
    for column in ([True, False, True], [0.5, 1.0, 2.0]):
        with pytest.raises(ColumnError, match="category as text"):
            build_features(pl.DataFrame({**lines, "category": column}))
