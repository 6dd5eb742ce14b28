"""A survey of yes/no items as a whole case: Dolnicar, Grün and Leisch (2018), appendix A.

The figures of k-means (sums of squares, sizes) are in test_cluster_kmeans.py, those of the latent
classes in test_cluster_latent.py. The file has no id of respondents, which a mapping file would
have to name; the row number stands in, so this is a call and not a mapping.
"""

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.cluster.latent import read_answers
from segkit.transform import Transform


@pytest.fixture(scope="module")
def survey(shared_data):
    data = pl.read_csv(shared_data("mcdonalds.csv")).with_row_index("customer_id")
    return data.with_columns(pl.col("customer_id").cast(pl.String))


@pytest.fixture(scope="module")
def items(survey):
    return survey.columns[1:12]


@pytest.fixture(scope="module")
def table(survey, items):
    """Give the items as 1 and 0, and the descriptors as they stand."""
    read = pl.DataFrame(read_answers(survey, items), schema=items)
    liking = pl.col("Like").str.extract(r"([+-]?\d+)$").cast(pl.Int64)
    return survey.select("customer_id", "Age", "VisitFrequency", "Gender", liking).hstack(read)


@pytest.fixture(scope="module")
def four(table, items):
    plain = Transform.of(items, scale="none")
    return segkit.cluster_customers(table, features=items, k=4, method="kmeans", transform=plain)


def test_four_segments_by_k_means_are_the_published_ones(four):
    # The published optimum is 1602.930 with 580/324/309/240.
    assert four.within_ss < 1603.1  # ten starts; sixty reach it (test_cluster_kmeans)
    sizes = sorted(four.segments["customers"].to_list())
    assert sizes[0] == pytest.approx(240, abs=6)
    assert sizes[-1] == pytest.approx(580, abs=6)


def test_markers_follow_dolnicars_rule(table, items, four):
    rule = segkit.profile.MarkerRule()
    assert (rule.share_absolute, rule.share_relative) == (0.25, 0.5)
    profile = segkit.profile_segments(table, four.assignments, clustering_variables=items)
    both = table.join(four.assignments, on="customer_id")
    expected = set()
    for item in items:
        whole = both[item].mean()
        for (segment,), part in both.group_by("segment"):
            gap = abs(part[item].mean() - whole)
            if gap >= 0.25 or gap >= 0.5 * whole:
                expected.add((segment, item))
    marked = set(profile.markers.select("segment", "variable").iter_rows()) & {
        (s, i) for s in four.model.ids for i in items
    }
    assert marked == expected
    assert len(marked) > 10
    assert profile.plot().data.height
    assert profile.plot_separation().data.height == 1453


def test_descriptors_differ_and_items_are_not_tested(table, items, four):
    profile = segkit.profile_segments(
        table, four.assignments, clustering_variables=items, kpi="Like"
    )
    tests = {row["variable"]: row for row in profile.tests.iter_rows(named=True)}
    assert all(tests[item]["p_value"] is None for item in items)
    # Appendix A.7: visits, liking, gender and age all differ between the segments.
    for name in ("VisitFrequency", "Gender", "Age", "Like"):
        assert tests[name]["p_holm"] < 0.01, name


def test_latent_classes_of_the_same_survey_score_one_respondent(survey, items):
    found = segkit.cluster.cluster_latent(survey, items=items, k=4, starts=6)
    row = found.compared.filter("chosen").row(0, named=True)
    assert row["log_likelihood"] == pytest.approx(-7111.11, abs=0.01)
    alone = found.model.score(survey[7])
    assert alone.equals(found.model.score(survey)[7])
    assert found.posterior.select(found.model.ids).sum_horizontal().to_numpy() == pytest.approx(1.0)


def test_a_survey_of_yes_and_no_comes_through_the_intake(survey, items):
    taken = segkit.clean_data({"survey": survey})
    assert taken.survey.height == 1453
    read = taken.survey.sort(pl.col("customer_id").cast(pl.Int64)).select(items)
    assert np.array_equal(read.to_numpy(), read_answers(survey, items))
