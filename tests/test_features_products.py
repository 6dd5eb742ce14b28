"""Products joined to order lines, features by category and brand, visits step by step, one rule."""

import re
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from segkit.display import in_words, label
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.features import build_features
from segkit.features.build import plan_features
from segkit.rules import RuleSet

DAY = date(2024, 6, 30)
LAST = (DAY - date(1970, 1, 1)).days


def lines(*rows):
    """Make purchase lines from (customer, days ago, product, amount)."""
    made = pl.DataFrame(rows, schema=["customer_id", "ago", "product_id", "amount"], orient="row")
    return made.with_columns(
        order_id=pl.int_range(pl.len()).cast(pl.String),
        order_day=(LAST - pl.col("ago")).cast(pl.Int32),
    ).drop("ago")


PRODUCTS = pl.DataFrame(
    {
        "product_id": ["soap", "tea", "lamp"],
        "category": ["Eco", "Food", "Home"],
        "brand": ["Green", "Leaf", "Leaf"],
    }
)


@pytest.fixture
def orders():
    return lines(
        ("a", 90, "soap", 30.0), ("a", 40, "soap", 30.0), ("a", 5, "tea", 20.0),
        ("b", 70, "lamp", 9.0), ("b", 60, "mug", 1.0), ("b", 0, "lamp", 9.0),
    )  # fmt: skip


def values(table, name):
    return dict(table.frame.select("customer_id", name).iter_rows())


def test_category_and_brand_are_joined_by_product(orders):
    table = build_features(orders, products=PRODUCTS)
    assert values(table, "category_share_eco") == {"a": 0.75, "b": 0.0}
    assert values(table, "category_share_home") == {"a": 0.0, "b": 1.0}
    assert values(table, "category_recency_days_eco") == {"a": 40, "b": None}
    assert values(table, "favourite_category") == {"a": "Eco", "b": "Home"}
    assert values(table, "first_category") == {"a": "Eco", "b": "Home"}
    assert values(table, "favourite_brand") == {"a": "Green", "b": "Leaf"}
    assert values(table, "category_breadth") == {"a": 2, "b": 1}
    # Of a's two later orders one brings a new category; b's mug has none.
    assert values(table, "category_new_rate") == {"a": 0.5, "b": 0.0}


def test_lines_whose_product_is_not_listed_are_counted(orders):
    nobody = orders.with_columns(
        product_id=pl.when(pl.col("amount") == 20).then(None).otherwise("product_id")
    )
    (note,) = [n for n in build_features(nobody, products=PRODUCTS).notes if "product table" in n]
    assert note == (
        "2 of 6 order lines (33.3%) have no row in the product table (1 product id, such as mug; "
        "1 line without a product id); they keep what the line states itself"
    )
    assert not any("product table" in n for n in build_features(orders).notes)
    core = build_features(nobody, products=PRODUCTS, features=["core"])
    assert not any("product table" in n for n in core.notes), "not joined where nothing asks for it"


def test_what_a_line_states_itself_stands(orders):
    own = orders.with_columns(category=pl.Series(["Gift", None, None, None, "Mugs", None]))
    table = build_features(own, products=PRODUCTS)
    assert values(table, "category_share_gift") == {"a": 0.375, "b": 0.0}
    assert values(table, "category_share_mugs") == {"a": 0.0, "b": 1 / 19}


def test_shares_of_few_lines_are_shrunk_to_the_average():
    rows = [("many", k, "soap" if k % 4 else "tea", 1.0) for k in range(40)]
    rows += [("few", 1, "soap", 1.0), ("other", 1, "tea", 1.0), ("third", 3, "tea", 1.0)]
    rows += [("tea", k, "tea", 1.0) for k in range(20)]
    table = build_features(lines(*rows), products=PRODUCTS, features=["categories"])
    affinity = values(table, "category_affinity_eco")
    average = 31 / 63
    # Weir and Hill's moments: Q, the sum of y^2 / n, S and G between and within.
    q = (30**2 + 10**2) / 40 + 1 + 1 + 1 + 20
    between = (q - (31**2 + 32**2) / 63) / 4
    within = (63 - q) / (63 - 5)
    size = (63 - (40**2 + 3 + 20**2) / 63) / 4
    theta = (between - within) / (between + (size - 1) * within)
    weight = (1 - theta) / theta
    assert affinity["few"] == pytest.approx((1 + weight * average) / (1 + weight) / average)
    assert affinity["many"] == pytest.approx((30 + weight * average) / (40 + weight) / average)
    assert 1 < affinity["few"] < 1 / average, "one line says less than forty"


def test_customers_who_do_not_differ_have_no_affinity():
    rows = [(f"c{k}", j, ("soap", "tea")[j % 2], 1.0) for k in range(9) for j in range(6)]
    table = build_features(lines(*rows), products=PRODUCTS, features=["categories"])
    assert set(table.frame["category_affinity_eco"]) == {1.0}
    once = [(f"c{k}", 1, ("soap", "tea")[k % 2], 1.0) for k in range(9)]
    table = build_features(lines(*once), products=PRODUCTS, features=["categories"])
    assert set(table.frame["category_affinity_eco"]) == {1.0}, "one line each tells nothing apart"


def test_parts_of_the_customers_are_compared_with_all_in_every_window():
    bought = lines(*[(f"c{k % 12}", 7 * k % 90, ("soap", "tea")[k * k % 11 < k % 12], 5.0 + k)
                     for k in range(120)])  # fmt: skip
    bought = bought.with_columns(category=pl.col("product_id"))
    plan = plan_features(bought, features=["category_affinity_tea", "category_affinity_tea_30d"])
    whole, _ = plan.compute(plan.tables)
    assert whole["category_affinity_tea_30d"].n_unique() > 2
    early = pl.col("customer_id") < "c2"
    parts = [plan.of_part(bought.filter(part), None) for part in (early, ~early)]
    first, second = (plan.add_level_totals(part) for part in parts)
    both = {window: [a + b for a, b in zip(first[window], second[window], strict=True)]
            for window in first}  # fmt: skip
    frames = [plan.compute(part, both)[0] for part in parts]
    assert_frame_equal(pl.concat(frames), whole, check_exact=True)


def test_nothing_bought_after_as_of_is_known(orders):
    table = build_features(orders, products=PRODUCTS, as_of=DAY - timedelta(days=50))
    assert values(table, "favourite_category") == {"a": "Eco", "b": "Home"}
    assert "category_share_food" not in table.names, "tea was bought later"


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_paths_are_joined_in_their_engine(orders, engine, tmp_path):
    orders.write_parquet(tmp_path / "orders.parquet")
    PRODUCTS.write_parquet(tmp_path / "products.parquet")
    paths = {"orders": tmp_path / "orders.parquet", "products": tmp_path / "products.parquet"}
    scanned = build_features(**paths, engine=engine, windows=[60])
    table = build_features(orders, products=PRODUCTS, windows=[60])
    assert_frame_equal(scanned.frame, table.frame, rel_tol=1e-12)
    assert scanned.notes == table.notes


def test_ids_of_products_meet_however_they_are_written(orders):
    numbers = {"soap": 7, "tea": 8, "lamp": 9, "mug": 10}
    given = orders.with_columns(pl.col("product_id").replace_strict(numbers).cast(pl.Float64))
    listed = PRODUCTS.with_columns(pl.col("product_id").replace_strict(numbers, default=None))
    table = build_features(given, products=listed.cast({"product_id": pl.String}))
    assert values(table, "favourite_category") == {"a": "Eco", "b": "Home"}


@pytest.mark.parametrize(
    ("products", "error", "words"),
    [
        (pl.concat([PRODUCTS, PRODUCTS.head(1)]), DataError, "'soap': expected one row per"),
        (PRODUCTS.drop("product_id"), ColumnError, "products lacks product_id"),
        (PRODUCTS.drop("category", "brand"), ColumnError, "products lacks category"),
    ],
)
def test_wrong_product_tables_are_refused(orders, products, error, words):
    with pytest.raises(error, match=words):
        build_features(orders, products=products)


def test_lines_without_a_product_cannot_be_joined(orders):
    with pytest.raises(ColumnError, match="orders lacks product_id"):
        build_features(orders.drop("product_id"), products=PRODUCTS)


def test_the_commonest_of_many_categories_have_features():
    rows = [(f"c{k}", k, f"p{j}", 1.0 + j) for k in range(2) for j in range(20)]
    listed = pl.DataFrame({
        "product_id": [f"p{j}" for j in range(20)], "category": [f"kind {j:02}" for j in range(20)],
    })  # fmt: skip
    table = build_features(lines(*rows), products=listed, features=["categories"])
    shares = [name for name in table.names if name.startswith("category_share_")]
    assert len(shares) == 12
    assert any("of 20 values of category the 12 commonest" in note for note in table.notes)
    total = sum(1.0 + j for j in range(20))
    assert table.frame[shares[3]].to_list() == pytest.approx([4.0 / total] * 2)
    assert set(table.frame["favourite_category"]) == {"kind 11"}


def test_a_rule_of_category_and_pages_reads_as_it_is_said(orders):
    events = pl.DataFrame(
        {"customer_id": ["a"] * 5 + ["b"] * 3, "event_type": "page_view",
         "event_day": [LAST - ago for ago in (0, 1, 2, 6, 9, 0, 0, 0)]}
    )  # fmt: skip
    rules = RuleSet.parse(
        "Eco now: category_recency_days_eco < 60 and page_views_7d > 3\nOthers: otherwise",
        policy="first",
    )
    table = build_features(orders, events, products=PRODUCTS, features=rules.columns)
    assert table.names == ["category_recency_days_eco", "page_views_7d"]
    found = rules.apply(table.frame)
    assert dict(found.select("customer_id", "segment").iter_rows()) == {
        "a": "Eco now",
        "b": "Others",
    }
    words = in_words("category_recency_days_eco < 60 and page_views_7d > 3")
    assert words == "days since the last purchase of eco < 60 and pages seen (last 7 days) > 3"


def test_windows_in_names_are_checked(orders):
    table = build_features(orders, features=["frequency_45d", "monetary"], windows=[30])
    assert table.names == ["monetary", "monetary_30d", "frequency_45d"]
    assert values(table, "frequency_45d") == {"a": 2, "b": 1}
    for name, words in (
        ("orders_per_year_30d", "made for the whole history alone"),
        ("frequency_0d", "unknown feature"),
        ("category_share_eco_30d", "unknown feature"),
        ("discount_share_30d", "orders have no column discount"),
    ):
        with pytest.raises(ParameterError, match=re.escape(words)):
            build_features(orders, features=[name])


def test_steps_of_a_visit_are_counted_in_their_order(orders):
    noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
    visits = [
        ("s1", 0, "product_view"), ("s1", 5, "cart_add"), ("s1", 9, "checkout"),
        ("s2", 0, "cart_add"), ("s2", 3, "product_view"),
        ("s3", 0, "product_view"), ("s3", 1, "checkout"),
        (None, 0, "product_view"),
    ]  # fmt: skip
    events = pl.DataFrame({
        "customer_id": "a", "session_id": [s for s, *_ in visits],
        "event_type": [kind for *_, kind in visits],
        "event_time": [noon + timedelta(minutes=m) for _, m, _ in visits],
    })  # fmt: skip
    table = build_features(orders, events, features=["sequences"])
    assert values(table, "view_to_cart_rate") == {"a": 1 / 3, "b": None}
    assert values(table, "cart_to_order_rate") == {"a": 1 / 2, "b": None}
    assert values(table, "view_to_order_rate") == {"a": 2 / 3, "b": None}
    without = build_features(orders, events.drop("session_id"))
    assert (
        dict(without.skipped.iter_rows())["view_to_cart_rate"] == "events have no column session_id"
    )


def test_features_by_category_are_named_in_words():
    assert label("category_share_eco") == "share of spend on eco"
    assert label("category_affinity_home_60d") == "affinity for home (1 = average) (last 60 days)"
    assert label("brand_recency_days_leaf") == "days since the last purchase of the brand leaf"
