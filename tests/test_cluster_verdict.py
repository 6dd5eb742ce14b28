"""Tests of `segkit.cluster.grade`: the verdict on the structure beside the truth."""

import numpy as np
import polars as pl
import pytest

from segkit.cluster.grade import grade_structure
from segkit.cluster.structure import assess_structure
from segkit.errors import ColumnError

QUICK = {"k_range": [2, 3], "n_null": 19, "n_refits": 4}


def two_clouds(apart):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(m, 1.0, (60, 2)) for m in (0, apart)])


@pytest.mark.parametrize(
    ("apart", "archetypes", "right", "words"),
    [
        (8.0, ["a", "b"], True, "Simulated with 2 groups, and the test sees natural groups: right"),
        (0.0, ["a", "b"], False, "overlap so far"),
        (0.0, [None, None], True, "sees no natural groups: right"),
        (8.0, [None, None], False, "a false alarm"),
    ],
)
def test_verdict_beside_the_truth(apart, archetypes, right, words):
    found = assess_structure(two_clouds(apart), **QUICK)
    truth = pl.DataFrame({"archetype": archetypes * 60}, schema={"archetype": pl.String})
    grade = grade_structure(found, truth)
    assert grade.right is right
    assert words in grade.text
    assert grade.to_frame().height == 1
    assert len(grade.answer.split()) <= 25


def test_the_grade_is_that_of_the_verdict_at_k_not_of_another_number():
    """Groups that are natural at 2, cut into 3, are not called natural, and the grade agrees."""
    found = assess_structure(two_clouds(8.0), k=3, **QUICK)
    assert found.natural_k == 2
    assert found.verdict != "natural"
    grade = grade_structure(found, pl.DataFrame({"archetype": ["a", "b", "c"] * 40}))
    assert not grade.right
    assert grade.p_value == found.table.filter(pl.col("k") == 3)["p_value"][0] > found.p_value


def test_truth_needs_archetypes():
    found = assess_structure(two_clouds(8.0), **QUICK)
    with pytest.raises(ColumnError, match="archetype"):
        grade_structure(found, pl.DataFrame({"kind": ["a"]}))
