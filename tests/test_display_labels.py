"""Every feature has a label for people, and a label never leaks an underscore."""

import polars as pl

import segkit
from segkit.display import in_words, is_known, label, stem, table_html
from segkit.features import build_features
from tests.features_by_hand import random_tables


def test_every_feature_of_the_customer_table_has_a_label():
    orders, events = random_tables(0)[:2]
    table = build_features(orders, events, windows=(30,))
    for name in table.names:
        assert is_known(name), name
        assert "_" not in label(name)
    assert len({label(name) for name in table.names}) == len(table.names)


def test_tables_show_labels_and_keep_the_names_of_a_sources_own_columns():
    shown = table_html(pl.DataFrame({"variable": ["visits_7d"], "recency_days": [3]}))
    assert "visits to the site (last 7 days)" in shown
    assert ">days since the last order<" in shown
    own = table_html(pl.DataFrame({"column": ["order_no", "frequency"]}))
    assert "order_no" in own
    assert ">orders<" in own


def test_conditions_in_words():
    assert in_words("frequency > 2 and shoe_size = 4") == "orders > 2 and shoe_size = 4"
    assert stem("a_7d") == "a"
    assert label("a__b") == "a  b"


def test_money_is_written_with_its_currency():
    orders = pl.DataFrame(
        {
            "customer_id": ["a", "b"],
            "order_date": ["2024-01-31"] * 2,
            "amount": [10.0, 30.0],
        }
    )
    lines = segkit.clean_data(orders).orders
    known = build_features(lines, currency="GBP")
    assert "has spent 20 GBP" in known.text
    assert "Money is in GBP, net of returns." in known.text
    assert "Money is in the currency of the data" in build_features(lines).text
    rfm = segkit.score_rfm(lines, bins=2, currency="GBP")
    assert ", in GBP." in rfm.text
    assert "Monetary value is net of returns." in rfm.text
    assert rfm.score(lines).currency == "GBP"
    assert "as given" not in segkit.score_rfm(known.frame, bins=2).text
    chosen = lines.select("customer_id", segment=pl.Series(["S1", "S2"]))
    profile = segkit.profile_segments(known.frame, chosen, currency="GBP")
    assert "30 GBP" in profile.text
    assert "30 GBP per customer" in segkit.write_personas(profile).cards[1].value
