import json
from functools import partial

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import silhouette_samples

from segkit.cluster import cluster_customers
from segkit.cluster.given_segments import assign_by_rules, validate_segments
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.profile import assess_usability, profile_segments
from segkit.result import decode, encode
from segkit.rules import Rule, RuleSet
from segkit.transform import Transform

PLAIN = Transform.of(["visits", "spend"])


def people(n=300, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.choice(2, n, p=[0.6, 0.4])
    return pl.DataFrame(
        {
            "customer_id": [f"{i:04}" for i in range(n)],
            "visits": rng.normal(np.array([2.0, 20.0])[kind], 1.0),
            "spend": rng.normal(np.array([30.0, 90.0])[kind], 5.0),
            "age": rng.integers(20, 80, n),
            "region": rng.choice(["north", "south"], n),
        }
    )


RULES = RuleSet((Rule("seldom", "visits < 10"), Rule("often", "visits >= 10")))


def by_median(table):
    """Part customers at the median of visits: a cut that is learnt from the data."""
    cut = table["visits"].median()
    half = pl.when(pl.col("visits") > cut).then(pl.lit("upper")).otherwise(pl.lit("lower"))
    return table.select("customer_id", segment=half)


def test_rules_are_judged_as_clusters_are():
    frame = people()
    found = validate_segments(frame, RULES, variables=["visits", "spend"], transform=PLAIN)
    given = assign_by_rules(frame, RULES).sort("customer_id")
    X = PLAIN.fit(frame).apply(frame)
    values = silhouette_samples(X, given["segment"].to_list())
    for row in found.segments.iter_rows(named=True):
        mine = (given["segment"] == row["segment"]).to_numpy()
        assert row["silhouette"] == pytest.approx(values[mine].mean())
        assert row["customers"] == mine.sum()
        a, b = X[mine], X[~mine]
        width = sum(np.linalg.norm(p - p.mean(axis=0), axis=1).mean() for p in (a, b))
        apart = np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)) / width
        assert row["separation"] == pytest.approx(apart)
    assert "often, seldom" in found.text
    assert "stability is not tested" in found.text
    assert found.segments["jaccard"].null_count() == 2


def test_a_cut_through_a_cloud_is_neither_apart_nor_natural():
    rng = np.random.default_rng(2)
    frame = people().with_columns(
        visits=pl.Series(rng.normal(size=300)), spend=pl.Series(rng.normal(size=300))
    )
    found = validate_segments(
        frame, by_median(frame), variables=["visits", "spend"], refit=by_median, refits=20
    )
    assert found.segments["separation"].max() < 1
    assert "than both are wide: none" in found.text
    assert found.segments["jaccard"].min() > 0.8  # stable, though no group: the text says so
    assert "constructive" in found.text


def test_rules_learnt_from_few_customers_are_unstable():
    frame = people(n=300)

    def top_twelve(table, size=12):
        best = table.top_k(size, by="spend")["customer_id"].implode()
        return table.select(
            "customer_id",
            segment=pl.when(pl.col("customer_id").is_in(best))
            .then(pl.lit("top"))
            .otherwise(pl.lit("rest")),
        )

    found = validate_segments(frame, top_twelve(frame), variables=["spend"], refit=top_twelve)
    stable = dict(found.segments.select("segment", "jaccard").iter_rows())
    assert stable["top"] < 0.75 < stable["rest"]
    bands = dict(found.segments.select("segment", "band").iter_rows())
    assert bands["rest"] == "highly stable"
    few = partial(top_twelve, size=3)
    found = validate_segments(frame, few(frame), variables=["spend"], refit=few)
    row = found.segments.filter(segment="top").row(0, named=True)
    assert (row["jaccard"], row["band"]) == (None, "too few to judge")


def test_a_clusters_stability_by_refit_is_high_where_it_is_real():
    frame = people()

    def clustered(table):
        return cluster_customers(table, features=["visits", "spend"], k=2).assignments

    found = validate_segments(
        frame, clustered(frame), variables=["visits", "spend"], refit=clustered, refits=5
    )
    assert found.segments["jaccard"].min() > 0.97


def test_micro_segments_may_overlap_and_leave_customers_out():
    frame = people()
    rules = {"keen": "visits >= 10", "rich": "spend > 90", "old": "age > 100"}
    found = validate_segments(frame, rules, variables=["visits", "spend"], transform=PLAIN)
    assert found.overlapping
    assert found.outside == frame.filter(pl.col("visits") < 10, pl.col("spend") <= 90).height
    rows = {row["segment"]: row for row in found.segments.iter_rows(named=True)}
    assert set(rows) == {"keen", "rich"}  # nobody is older than 100
    X = PLAIN.fit(frame).apply(frame)
    rich = (frame["spend"] > 90).to_numpy()
    assert rows["rich"]["silhouette"] == pytest.approx(silhouette_samples(X, rich)[rich].mean())
    assert rows["keen"]["separation"] > rows["rich"]["separation"] > 1
    assert "all customers outside it" in found.text


def test_rule_segments_are_profiled_and_tested_for_use():
    frame = people()
    given = assign_by_rules(frame, RULES)
    profile = profile_segments(frame, given, clustering_variables=["visits"], kpi="spend")
    assert profile.tests.filter(variable="visits")["p_value"][0] is None
    assert "circular" in profile.text
    assert profile.plot().data.height
    assert profile.plot_separation().data.height
    checked = validate_segments(
        frame, by_median(frame), variables=["visits"], refit=by_median, refits=10
    )
    halves = profile_segments(frame, by_median(frame), clustering_variables=["visits"], kpi="spend")
    judged = assess_usability(halves, frame, by_median(frame), stability=checked.to_frame())
    assert judged.scores["stable"].to_list() == [True, True]
    assert judged.scores["relevant"].to_list() == [True, True]
    assert judged.plot().data.height == 2


def test_the_result_is_stored_and_drawn():
    found = validate_segments(people(), RULES, variables=["visits"])
    back = decode(json.loads(json.dumps(encode(found))))
    assert back.text == found.text
    assert found.plot().data["segment_name"].to_list() == ["often", "seldom"]


def test_row_order_does_not_matter():
    frame = people()
    options = {"variables": ["visits"], "refit": by_median, "refits": 5}
    one = validate_segments(frame, by_median(frame), **options)
    other = frame.reverse()
    assert validate_segments(other, by_median(other), **options).segments.equals(one.segments)


def test_wrong_use_is_named():
    frame = people(20)
    with pytest.raises(DataError, match="no segment has two members"):
        validate_segments(frame, {"none": "visits > 1000"}, variables=["visits"])
    with pytest.raises(ParameterError, match="refits >= 1"):
        validate_segments(frame, RULES, variables=["visits"], refits=0)
    with pytest.raises(ColumnError, match="lacks segment"):
        validate_segments(frame, frame, variables=["visits"])
    with pytest.raises(ColumnError, match="lacks customer_id"):
        assign_by_rules(frame.drop("customer_id"), RULES)
