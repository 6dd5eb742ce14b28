"""The customer table's options, refusals, words and picture."""

import json
import math
import re
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import segkit.features
from segkit.errors import ColumnError, DataError, ParameterError, SourceError
from segkit.features import CustomerTable, build_features
from segkit.features.sources import day_of, open_lazy
from tests.features_by_hand import EVENT_SCHEMA, frame, random_tables

DAY = date(2024, 6, 30)
LAST = (DAY - date(1970, 1, 1)).days


def orders(*rows, **columns):
    """Make order lines from (customer, order, days ago, amount)."""
    made = pl.DataFrame(
        rows, schema=["customer_id", "order_id", "ago", "amount"], orient="row", strict=False
    )
    return made.with_columns(order_day=(LAST - pl.col("ago")).cast(pl.Int32), **columns)


@pytest.fixture(scope="module")
def lines():
    return orders(("a", "1", 40, 10.0), ("a", "2", 0, 20.0), ("b", "3", 5, 8.0))


def values(table, name):
    return dict(table.frame.select("customer_id", name).iter_rows())


def test_two_orders_on_one_day_are_two_orders_and_no_gap():
    table = build_features(orders(("a", "1", 3, 5.0), ("a", "2", 3, 7.0), ("b", "3", 3, 1.0)))
    assert values(table, "frequency") == {"a": 2, "b": 1}
    assert values(table, "gap_days_mean") == {"a": None, "b": None}
    assert values(table, "recency_days") == {"a": 0, "b": 0}, "ties in recency are ties"


def test_returns_lower_net_money_and_are_no_orders():
    rows = orders(("a", "1", 9, 100.0), ("a", "1", 9, -30.0), ("a", "2", 1, -20.0))
    net, gross = (build_features(rows, monetary=policy) for policy in ("net", "gross"))
    assert values(net, "monetary") == {"a": 50.0}
    assert values(gross, "monetary") == {"a": 100.0}
    assert values(net, "frequency") == values(gross, "frequency") == {"a": 1}
    assert values(net, "recency_days") == {"a": 8}, (
        "a return is no purchase; the last line is day 1"
    )
    assert values(net, "order_value_mean") == {"a": 70.0}, "the same order's return is deducted"
    assert values(net, "return_share") == {"a": 0.5}
    assert "net of returns" in net.definitions.filter(name="monetary")["description"].item()
    assert "net of returns" in net.text
    assert "gross" in gross.text


def test_customers_with_returns_alone_are_counted_and_left_out():
    rows = orders(("a", "1", 9, 100.0), ("b", "2", 1, -20.0))
    table = build_features(rows)
    assert table.frame["customer_id"].to_list() == ["a"]
    assert "returns alone are left out: 1 (-20)" in table.text
    everyone = build_features(rows, population="all")
    assert values(everyone, "frequency") == {"a": 1, "b": 0}
    assert values(everyone, "monetary") == {"a": 100.0, "b": -20.0}
    assert values(everyone, "recency_days") == {"a": 8, "b": None}


def test_nothing_but_returns_is_an_empty_table_that_says_so():
    table = build_features(orders(("a", "1", 9, -1.0), ("b", "2", 1, -20.0)))
    assert table.frame.height == 0
    assert "returns alone are left out: 2" in table.text
    assert table.describe().height == len(table.names)


def test_population_all_takes_in_events_and_the_customers_table(lines):
    events = frame([("c", LAST, "site_visit", None, None, None, None)], EVENT_SCHEMA)
    people = pl.DataFrame({"customer_id": ["a", "d"]})
    table = build_features(lines, events, people, population="all")
    assert values(table, "visits") == {"a": 0, "b": 0, "c": 1, "d": 0}
    assert values(table, "frequency") == {"a": 2, "b": 1, "c": 0, "d": 0}
    assert values(table, "tenure_days")["d"] is None
    assert build_features(lines, events, people).frame["customer_id"].to_list() == ["a", "b"]


def test_rates_are_null_not_zero_for_who_was_sent_nothing(lines):
    rows = [("a", LAST, "email_sent"), ("a", LAST, "email_open"), ("a", LAST, "email_open")]
    events = frame([(*row, "m", None, None, None) for row in rows], EVENT_SCHEMA)
    table = build_features(lines, events)
    assert values(table, "open_rate") == {"a": 1.0, "b": None}, "a mail opened twice is opened"
    assert values(table, "emails_opened") == {"a": 1, "b": 0}
    reasons = dict(table.skipped.iter_rows())
    assert reasons["click_rate"] == "no event of type email_click"
    assert "visits_trend" in reasons


def test_a_checkout_after_as_of_does_not_rescue_a_cart(lines):
    rows = [
        ("a", LAST - 2, "cart_add", None, "s", None, None),
        ("a", LAST - 1, "checkout", None, "s", None, None),
    ]
    events = frame(rows, EVENT_SCHEMA)
    before = build_features(lines, events, as_of=date(2024, 6, 28))
    assert values(before, "abandonment_rate")["a"] == 1.0
    assert values(build_features(lines, events), "abandonment_rate")["a"] == 0.0
    assert values(build_features(lines, events), "abandonment_rate")["b"] is None


def test_lines_after_as_of_are_counted_in_words(lines):
    table = build_features(lines, as_of=date(2024, 6, 27))
    assert "Not used: 1 order line after 2024-06-27" in table.text
    assert values(table, "recency_days") == {"a": 37, "b": 2}


def test_as_of_after_the_last_line_ages_everyone(lines):
    later = build_features(lines, as_of=date(2024, 7, 10))
    assert values(later, "recency_days") == {"a": 10, "b": 15}


def test_missing_columns_cost_their_features_alone(lines):
    table = build_features(lines, windows=(30,))
    reasons = dict(table.skipped.iter_rows())
    assert reasons["discount_share"] == "orders have no column discount"
    assert reasons["category_breadth"] == "orders have no column category"
    assert reasons["channel_share"] == "orders have no column channel"
    assert reasons["orders_trend"].startswith("orders begin on 2024-05-21, less than 2 x 90 days")
    assert "monetary_30d" in table.names


def test_without_order_ids_a_day_is_an_order(lines):
    table = build_features(lines.drop("order_id"))
    assert values(table, "frequency") == {"a": 2, "b": 1}
    assert "one day are one order" in table.text


def test_days_are_taken_from_times_where_there_is_no_day():
    times = [datetime(2024, 2, 29, 23, 59), datetime(2024, 3, 1), datetime(1999, 12, 31)]
    rows = pl.DataFrame({
        "customer_id": ["a", "b", "c"], "order_id": ["1", "2", "3"],
        "order_time": times, "amount": [1.0, 2.0, 3.0],
    })  # fmt: skip
    table = build_features(rows)
    assert table.as_of == date(2024, 3, 1)
    assert values(table, "recency_days") == {"a": 1, "b": 0, "c": 8827}


def test_day_numbers_of_every_day_of_four_centuries():
    days = pl.DataFrame({"t": pl.date_range(date(1800, 1, 1), date(2200, 12, 31), eager=True)})
    lazy = open_lazy(days, "polars", "days")
    made = lazy.select(day_of("t").alias("n")).to_native().collect()["n"]
    assert made.equals(days["t"].cast(pl.Int32).cast(pl.Int64).rename("n"))


def test_customer_ids_of_numbers_become_strings(lines):
    numbers = lines.with_columns(customer_id=pl.Series([12, 12, 7]))
    assert build_features(numbers).frame["customer_id"].to_list() == ["12", "7"]


def test_lines_without_a_customer_belong_to_nobody(lines):
    more = pl.concat([lines, lines.head(1).with_columns(customer_id=pl.lit(None, pl.String))])
    assert_frame_equal(build_features(more).frame, build_features(lines).frame)


def test_features_are_chosen_by_name_or_group(lines):
    table = build_features(lines, features=["recency_days", "returns"], windows=(30,))
    assert table.names == [
        "recency_days", "return_share", "return_order_share",
        "recency_days_30d", "return_share_30d", "return_order_share_30d",
    ]  # fmt: skip
    full = build_features(lines, windows=(30,)).frame
    assert_frame_equal(table.frame, full.select(table.frame.columns))


def test_unneeded_columns_are_not_read(lines, tmp_path):
    path = tmp_path / "orders.parquet"
    lines.with_columns(category=pl.lit("x")).write_parquet(path)
    broken = pl.scan_parquet(path).with_columns(
        category=pl.col("category").map_elements(_refuse, return_dtype=pl.String)
    )
    assert build_features(broken, features=["core"]).frame.height == 2
    with pytest.raises(RuntimeError, match="read"):
        build_features(broken, features=["breadth"])


def _refuse(_):
    raise RuntimeError("read")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"as_of": date(2024, 1, 1)}, DataError, "as_of 2024-01-01 lies before the first"),
        ({"as_of": "2024-01-01"}, ParameterError, "as_of is a datetime.date"),
        ({"as_of": datetime(2024, 6, 30)}, ParameterError, "as_of is a datetime.date"),
        ({"windows": (0,)}, ParameterError, "1 or more; got 0"),
        ({"windows": (7.5,)}, ParameterError, "whole numbers of days"),
        ({"trend_days": -3}, ParameterError, "trend_days"),
        ({"monetary": "nett"}, ParameterError, "did you mean 'net'"),
        ({"population": "buyer"}, ParameterError, "did you mean 'buyers'"),
        ({"calendar": "ukk"}, ParameterError, "did you mean 'uk'"),
        ({"engine": "spark"}, ParameterError, "unknown engine"),
        ({"features": ["recencydays"]}, ParameterError, "did you mean 'recency_days'"),
        ({"features": ["discount_share"]}, ParameterError, "orders have no column discount"),
        ({"customers": pl.DataFrame({"id": [1]}), "population": "all"}, ColumnError, "customer_id"),
        (
            {"events": pl.DataFrame({"customer_id": ["a"], "event_day": [1]})},
            ColumnError,
            "event_t",
        ),
    ],
)
def test_wrong_options_say_what_is_right(lines, change, error, words):
    with pytest.raises(error, match=re.escape(words)):
        build_features(lines, **change)


def test_bad_orders_are_refused(lines, tmp_path):
    with pytest.raises(DataError, match="orders hold no rows"):
        build_features(lines.clear())
    with pytest.raises(ColumnError, match="orders lacks amount"):
        build_features(lines.drop("amount"))
    for bad, words in ((math.inf, "1 infinite"), (-math.inf, "1 infinite"), (None, "1 missing")):
        rows = lines.with_columns(
            amount=pl.when(pl.col("customer_id") == "b")
            .then(pl.lit(bad))
            .otherwise(pl.col("amount"))
        )
        with pytest.raises(DataError, match=words):
            build_features(rows)
    with pytest.raises(SourceError, match="no such Parquet file"):
        build_features(tmp_path / "none.parquet")
    with pytest.raises(SourceError, match=r"holds no \*.parquet"):
        build_features(tmp_path)
    with pytest.raises(SourceError, match="got int"):
        build_features(3)


def test_a_folder_of_parquet_files_is_one_table(lines, tmp_path):
    lines.head(1).write_parquet(tmp_path / "1.parquet")
    lines.tail(2).write_parquet(tmp_path / "2.parquet")
    for engine in ("polars", "duckdb"):
        table = build_features(tmp_path, engine=engine)
        assert_frame_equal(table.frame, build_features(lines).frame)


def test_one_customer_with_one_line_has_a_row():
    table = build_features(orders(("a", "1", 0, 12.5)), windows=(30,))
    row = table.frame.row(0, named=True)
    assert (row["recency_days"], row["frequency"], row["monetary"]) == (0, 1, 12.5)
    assert row["order_value_std"] is None
    assert row["season_share_summer"] == 1.0
    assert table.text.startswith("1 customer as of")


def test_many_channels_get_a_feature_for_the_commonest(lines):
    many = pl.concat([lines.head(1)] * 60).with_columns(
        order_id=pl.Series([str(k) for k in range(60)]),
        channel=pl.Series([f"way {k % 20}" for k in range(60)]),
    )
    table = build_features(many)
    assert sum(name.startswith("channel_share_way_") for name in table.names) == 12
    assert "f 20 values of channel the 12 commonest" in table.text


def test_channels_that_differ_in_writing_fall_together(lines):
    rows = lines.with_columns(channel=pl.Series(["Web Shop", "web-shop", "store"]))
    table = build_features(rows, features=["channels"])
    assert table.names == ["channel_share_store", "channel_share_web_shop"]
    assert values(table, "channel_share_web_shop") == {"a": 1.0, "b": 0.0}


def test_events_before_the_orders_and_none_at_all(lines):
    empty = frame([], EVENT_SCHEMA)
    table = build_features(lines, empty)
    assert dict(table.skipped.iter_rows())["visits"] == "no event of type site_visit"
    late = frame([("a", LAST + 9, "site_visit", None, None, None, None)], EVENT_SCHEMA)
    assert "Not used: 1 event after 2024-06-30" in build_features(lines, late).text


@pytest.fixture(scope="module")
def table():
    return build_features(*random_tables(3), windows=(30,))


def test_every_column_is_defined_once_in_order(table):
    assert table.frame.columns == ["customer_id", *table.names]
    assert len(set(table.names)) == len(table.names)
    assert table.definitions.null_count().sum_horizontal().item() == 0
    assert set(table.definitions["window"]) >= {"whole history", "last 30 days"}


def test_the_table_survives_json(table):
    again = CustomerTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert_frame_equal(again.frame, table.frame)
    assert again.calendar == table.calendar
    assert again.text == table.text


def test_describe_and_picture(table):
    rows = table.describe()
    assert rows["feature"].to_list() == table.names
    spent = rows.filter(feature="monetary")
    assert spent["median"].item() == pytest.approx(table.frame["monetary"].median())
    assert rows.filter(feature="gap_days_cv")["missing_share"].item() == pytest.approx(
        table.frame["gap_days_cv"].null_count() / table.frame.height
    )
    figure = table.plot()
    assert "days since the last order" in figure.alt
    assert figure.data.height > 0
    assert "customers" in table.text


FORBIDDEN = {
    r"\.n_unique\(": "count by grouping twice",
    r"\.dt\.total_": "durations differ between engines",
    r"\.pivot\(": "no lazy pivot",
    r"\.rank\(": "no ordered rank on DuckDB",
    r"\.unpivot\(": "not needed",
    r"order_by=(?!\"day\"\))": "one ordered operation alone is known to be portable",
    r"nw\.col\([^)]*\)\.(first|last)\(": "no ordered first or last on Spark",
    r"\.(median|quantile|mode)\(": "no exact quantile in every engine",
}


@pytest.mark.parametrize("name", ["orders.py", "events.py", "sources.py", "definitions.py"])
def test_only_portable_constructs_reach_the_engines(name):
    text = (Path(segkit.features.__file__).parent / name).read_text(encoding="utf-8")
    for pattern, why in FORBIDDEN.items():
        assert not re.search(pattern, text), f"{name}: {pattern}: {why}"
