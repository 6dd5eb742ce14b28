"""The oracle beside the grade: as good as a random forest, and no better than can be."""

import numpy as np
import polars as pl
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from segkit.cluster.grade import compare_assignments, grade_segments

N, SEEDS = 900, 3


def groups(seed, skewed):
    """Three overlapping groups in four variables: normal, or skewed with gaps as customers have."""
    rng = np.random.default_rng(seed)
    group = rng.integers(3, size=N)
    X = rng.normal(size=(N, 4)) + 1.3 * np.eye(3, 4)[group]
    if skewed:
        X = np.exp(X)
        X[rng.random((N, 4)) < 0.1] = np.nan
    return X, group


def frames(X, group):
    ids = [f"c{i:04}" for i in range(len(X))]
    table = pl.DataFrame(X, schema=["a", "b", "c", "d"]).with_columns(
        pl.all().fill_nan(None), customer_id=pl.Series(ids)
    )
    truth = pl.DataFrame({"customer_id": ids, "archetype": [f"g{g}" for g in group]})
    return table, truth


def agreement(truth, guessed):
    one = truth.select("customer_id", segment="archetype")
    return compare_assignments(one, one.with_columns(segment=pl.Series(guessed))).adjusted_rand


def rival(model, X, truth, seed):
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return agreement(truth, cross_val_predict(model, X, truth["archetype"].to_numpy(), cv=folds))


def oracle(table, truth, seed):
    own = truth.select("customer_id", segment="archetype")
    return grade_segments(own, truth, table, ["a", "b", "c", "d"], seed=seed).oracle


def test_the_oracle_is_as_good_as_a_random_forest_on_skewed_variables_with_gaps():
    gains = []
    for seed in range(SEEDS):
        X, group = groups(seed, skewed=True)
        table, truth = frames(X, group)
        forest = RandomForestClassifier(60, min_samples_leaf=3, random_state=seed)
        gains.append(oracle(table, truth, seed) - rival(forest, X, truth, seed))
    assert np.mean(gains) > 0


def test_the_oracle_stays_below_what_can_be_known_and_comes_near_it():
    short = []
    for seed in range(SEEDS):
        X, group = groups(seed, skewed=False)
        table, truth = frames(X, group)
        # For normal groups of one covariance no classifier is better than the linear one.
        short.append(
            rival(LinearDiscriminantAnalysis(), X, truth, seed) - oracle(table, truth, seed)
        )
    assert -0.01 < np.mean(short) < 0.06


def test_without_information_the_oracle_does_no_better_than_chance():
    rng = np.random.default_rng(0)
    table, truth = frames(rng.normal(size=(300, 4)), rng.integers(3, size=300))
    found = oracle(table, truth, 0)
    assert found == pytest.approx(0, abs=0.02)
    assert found == oracle(table.sample(fraction=1, shuffle=True, seed=1), truth, 0)
