"""The tests of a usable segment: passed where they should be, and not by chance."""

import numpy as np
import polars as pl
import pytest

from segkit.errors import ColumnError
from segkit.profile import Thresholds, Usability, assess_usability, profile_segments
from segkit.profile.composition import held_out_skill, predictability
from segkit.profile.members import match_members
from tests.test_profile import CHOSEN, FRAME, PEOPLE, customers_of

KPI = FRAME.with_columns(
    later=pl.Series(np.random.default_rng(9).normal(size=600)) + pl.col("frequency") / 4
)
FOUND = profile_segments(KPI, CHOSEN, kpi="later", clustering_variables=["frequency"])
STABLE = pl.DataFrame({"segment": ["S1", "S2", "S3"], "jaccard": [0.9, 0.7, 0.76]})
RESULT = assess_usability(FOUND, KPI, CHOSEN, customers=PEOPLE, stability=STABLE)


def trial(result, segment, measure):
    rows = result.trials.filter(pl.col("segment") == segment, pl.col("measure") == measure)
    return rows.row(0, named=True)


def test_what_is_planted_passes():
    row = RESULT.scores.filter(pl.col("segment") == "S3").row(0, named=True)
    assert row["measurable"]
    assert row["substantial"]
    assert row["relevant"]
    assert row["differentiated"]
    assert trial(RESULT, "S3", "predictable_auc")["value"] > 0.95  # income tells it
    assert (row["passed"], row["made"]) == (6, 6)
    assert row["verdict"] == "usable"


def test_reach_is_the_share_with_consent():
    joined = PEOPLE.join(CHOSEN, on="customer_id").filter(pl.col("segment") == "S2")
    found = trial(RESULT, "S2", "reachable_share")
    assert found["value"] == pytest.approx(joined["marketing_consent"].mean())
    assert found["low"] < found["value"]


def test_stability_is_taken_as_given():
    assert RESULT.scores["stable"].to_list() == [True, False, True]
    without = assess_usability(FOUND, KPI, CHOSEN, customers=PEOPLE)
    assert without.scores["stable"].to_list() == [None] * 3
    assert "Not tested for want of data: stable." in without.text
    with pytest.raises(ColumnError, match="lacks jaccard"):
        assess_usability(FOUND, KPI, CHOSEN, stability=STABLE.drop("jaccard"))


def test_thresholds_are_data():
    strict = assess_usability(
        FOUND, KPI, CHOSEN, customers=PEOPLE, thresholds=Thresholds(customers=10_000, apart=50.0)
    )
    assert strict.scores["substantial"].to_list() == [False] * 3
    assert strict.scores["differentiated"].to_list() == [False] * 3
    assert set(strict.scores["verdict"]) == {"not shown usable"}
    assert trial(strict, "S1", "customers")["threshold"] == 10_000


def test_a_pass_needs_the_lower_limit():
    found = trial(RESULT, "S1", "customer_share")
    between = (found["low"] + found["value"]) / 2
    tight = assess_usability(FOUND, KPI, CHOSEN, thresholds=Thresholds(customer_share=between))
    assert trial(tight, "S1", "customer_share")["passed"] is False


def test_a_kpi_that_built_the_segments_is_circular():
    built = profile_segments(KPI, CHOSEN, kpi="later", clustering_variables=["later"])
    result = assess_usability(built, KPI, CHOSEN)
    assert result.scores["relevant"].to_list() == [None] * 3
    assert "circular" in trial(result, "S1", "kpi_difference")["why"]
    assert "circular" in result.text
    none = assess_usability(profile_segments(FRAME, CHOSEN), FRAME, CHOSEN)
    assert "No KPI was named" in none.text


def test_random_segments_are_neither_relevant_nor_predictable():
    """40 tables, 3 random segments each: passes on chance alone in under 3% of the tests."""
    relevant = accessible = tests = 0
    scores = []
    for seed in range(40):
        frame, _, people = customers_of(400, seed)
        random = np.random.default_rng(seed + 77).choice(["A", "B", "C"], 400)
        chosen = frame.select("customer_id", segment=pl.Series(random))
        found = profile_segments(frame, chosen, kpi="monetary")
        result = assess_usability(found, frame, chosen, customers=people, seed=seed)
        made = result.trials.filter(pl.col("measure").is_in(["kpi_difference", "predictable_auc"]))
        relevant += int(made.filter(pl.col("test") == "relevant")["passed"].sum())
        accessible += int(made.filter(pl.col("test") == "accessible")["passed"].sum())
        scores += made.filter(pl.col("test") == "accessible")["value"].to_list()
        tests += 3
    assert relevant / tests < 0.03
    assert accessible / tests < 0.03
    assert 0.46 < np.mean(scores) < 0.51  # held-out ranking by chance


def test_held_out_skill_by_hand_and_over_seeds():
    value = np.tile([0.0, 10.0], 50)
    within = np.stack([value == 0, value == 10])
    assert held_out_skill(value, within, folds=5, seed=1) == pytest.approx([1.0, 1.0])
    rng = np.random.default_rng(3)
    gains = []
    for seed in range(200):
        noise, random = rng.normal(size=300), rng.random(300) < 0.3
        gains.append(held_out_skill(noise, random[None], folds=5, seed=seed)[0])
    assert -0.03 < np.mean(gains) < 0.0  # a mean of fewer foretells noise worse
    few = held_out_skill(np.arange(10.0), (np.arange(10) < 3)[None], folds=5, seed=0)
    assert np.isnan(few[0])


def test_auc_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    from segkit.profile.composition import folds_of, held_out_scores, one_hot

    members = match_members(FRAME, CHOSEN)
    described = PEOPLE.select("gender", "region", "income_band")
    found = predictability(members, described, folds=5, seed=0, level=0.95)
    scores = held_out_scores(one_hot(described), members.within, folds_of(600, 5, 0)).round(12)
    for i in range(3):
        expected = roc_auc_score(members.within[i], scores[:, i])
        assert found["auc"][i] == pytest.approx(expected)


def test_empty_segment_and_no_customers_table():
    kind = pl.Enum(["S1", "S2", "S3", "S4"])
    chosen = CHOSEN.with_columns(pl.col("segment").cast(kind)).drop("segment_name")
    found = profile_segments(FRAME, chosen)
    result = assess_usability(found, FRAME, chosen)
    last = result.scores.row(3, named=True)
    assert (last["verdict"], last["substantial"]) == ("empty", False)
    assert result.scores["accessible"].to_list() == [None] * 4
    assert result.plot().png()


def test_text_table_picture_and_storage():
    assert RESULT.text.startswith("2 of 3 segments pass every test made: Few, Many.")
    assert "Some fails: " in RESULT.text
    page = RESULT._repr_html_()
    assert page.count("✗ no") == sum(
        RESULT.scores[t].eq(False).sum()
        for t in ("measurable", "substantial", "accessible", "relevant", "differentiated", "stable")
    )
    assert "Many" in RESULT.plot().alt
    again = Usability.from_dict(RESULT.to_dict())
    assert again.text == RESULT.text
    assert again.thresholds == RESULT.thresholds
