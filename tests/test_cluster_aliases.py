"""Aliases are given where absolute and relative marks are proved, once each, and kept."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.cluster import choose_aliases
from segkit.cluster.aliases import RULES, AliasRule, Mark
from segkit.cluster.model import SegmentModel

DOCS = Path(__file__).parents[1] / "docs"


def customers(**features):
    """Three segments of 100 customers; each feature as three lists that are repeated."""
    columns = {
        name: np.concatenate([np.resize(values, 100) for values in lists]).astype(float)
        for name, lists in features.items()
    }
    ids = pl.Series([f"c{i}" for i in range(300)])
    table = pl.DataFrame({"customer_id": ids, **columns})
    return table, table.select("customer_id", segment=pl.Series(np.repeat(["S1", "S2", "S3"], 100)))


@pytest.mark.parametrize(
    ("features", "aliases"),
    [
        ({"recency_days": ([10], [40], [400])}, {"S3": "Lapsing customers"}),
        # Far from the others, and yet not gone: 30% bought last month.
        ({"recency_days": ([1], [1], [5] * 3 + [400] * 7)}, {}),
        ({"recency_days": ([95], [100], [400])}, {}),  # gone, as all others are
        ({"tenure_days": ([900], [30, 60], [800])}, {"S2": "New customers"}),
        ({"tenure_days": ([900], [130], [800])}, {}),  # newer, not new
        ({"frequency": ([1] * 19 + [2], [4], [9])}, {"S1": "One-time buyers"}),
        ({"frequency": ([1] * 8 + [2] * 2, [4], [9])}, {}),  # 80%, and not proved to be
        ({"gift_share": ([0.5, 0.9], [0.1], [0.0])}, {"S1": "Gift buyers"}),
        ({"gift_share": ([0.5], [0.5], [0.45])}, {}),
        ({"discount_share": ([0.05], [0.02], [0.3, 0.2])}, {"S3": "Budget shoppers"}),
        ({"discount_share": ([0.01], [0.02], [0.1])}, {}),
        (
            {"visits_per_year": ([60], [5], [6]), "abandonment_rate": ([0.8], [0.2], [0.1])},
            {"S1": "Browsers"},
        ),
        ({"visits_per_year": ([60], [5], [6])}, {}),  # the carts are not known
        ({"return_share": ([0.5], [0.1], [0.1])}, {"S1": "Frequent returners"}),
        (
            {"orders_per_year": ([1], [9], [2]), "recency_days": ([50], [20], [50])},
            {"S2": "Loyalists"},
        ),
        (  # many orders once: no loyalty now
            {"orders_per_year": ([1], [9], [2]), "recency_days": ([5], [300], [5])},
            {"S2": "Lapsing customers"},
        ),
        ({"monetary": ([10, 20], [900, 1000], [30])}, {"S2": "Big spenders"}),
        ({"monetary": ([10, 11], [12, 12], [12])}, {}),
    ],
)
def test_an_alias_needs_absolute_and_relative_marks(features, aliases):
    assert choose_aliases(*customers(**features)) == aliases


def test_an_alias_is_given_once_to_the_segment_that_has_it_most():
    table, chosen = customers(gift_share=([0.7], [0.0], [0.9]), discount_share=([0.3], [0.1], [0]))
    assert choose_aliases(table, chosen) == {"S1": "Budget shoppers", "S3": "Gift buyers"}
    few = pl.concat([chosen.head(20), chosen.tail(200)])  # 20 customers prove nothing
    assert "S1" not in choose_aliases(table, few)
    own = [AliasRule("Givers", (Mark("gift_share", "mean", "at least", 0.5, 1.0),))]
    assert choose_aliases(table, chosen, rules=own) == {"S3": "Givers"}
    assert choose_aliases(table, chosen, rules=()) == {}


def test_missing_values_count_for_nothing():
    table, chosen = customers(gift_share=([0.9], [0.1], [0.1]))
    sparse = table.with_columns(
        gift_share=pl.when(pl.int_range(pl.len()) >= 20).then("gift_share")  # 80 are known
    )
    assert choose_aliases(sparse, chosen) == {"S1": "Gift buyers"}
    none = table.with_columns(gift_share=pl.lit(None, pl.Float64))
    assert choose_aliases(none, chosen) == {}


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(3)
    gift = np.concatenate([rng.uniform(0.7, 1, 80), rng.uniform(0, 0.1, 160)])
    recency = np.concatenate([np.full(160, 20.0), np.full(80, 60.0)]) + rng.uniform(0, 5, 240)
    table = pl.DataFrame(
        {
            "customer_id": [f"c{i:03}" for i in range(240)],
            "gift_share": gift,
            "recency_days": recency,
            "tenure_days": np.full(240, 500.0),
        }
    )
    return table, segkit.cluster_customers(table, features=["gift_share", "recency_days"], k=3)


def test_a_segmentation_bears_aliases_with_the_description_beneath_and_keeps_them(found):
    table, segmentation = found
    names = segmentation.model.names
    assert "Gift buyers" in names.values()
    assert len(set(names.values())) == 3
    (gift,) = [one for one, name in names.items() if name == "Gift buyers"]
    assert segmentation.model.descriptions[gift].endswith("customers")
    assert segmentation.segments.filter(segment=gift)["segment_description"].item()
    assert "Gift buyers: gift-buying" in segmentation.text
    assert " S1 " not in segmentation.text
    data = segmentation.model.to_data()
    again = SegmentModel.from_data(data)
    assert (again.names, again.descriptions) == (names, segmentation.model.descriptions)
    renamed = segmentation.rename({gift: "Present hunters"})
    assert renamed.model.names[gift] == "Present hunters"
    assert renamed.model.descriptions == segmentation.model.descriptions
    assert renamed.model.score(table)["segment_name"].to_list().count("Present hunters") == 80
    # A model of an earlier version has no descriptions.
    for one in data["segments"]:
        del one["description"]
    assert set(SegmentModel.from_data(data).descriptions.values()) == {""}


def test_without_rules_segments_are_named_by_what_marks_them(found):
    table, segmentation = found
    plain = segkit.cluster_customers(
        table, features=["gift_share", "recency_days"], k=3, aliases=()
    )
    assert list(plain.model.names.values()) == list(segmentation.model.descriptions.values())
    assert "What marks them" not in plain.text


def test_the_documented_table_is_that_of_the_rules():
    text = (DOCS / "methods.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| {rule.alias} | {'; '.join(mark.text for mark in rule.marks)} |" in text
