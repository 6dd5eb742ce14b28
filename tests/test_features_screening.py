"""Screening names the noise at its stated rate, keeps what tells, and knows repeats."""

import json
import re

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import binom, spearmanr
from sklearn.metrics import mutual_info_score

from segkit.display import label
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.features import Screening, build_features, screen_variables
from segkit.features.screening import bins, spearman
from tests.features_by_hand import random_tables

NOISE = [f"noise_{k}" for k in range(8)]


def planted(seed, n=400, binary=False):
    """Two variables that tell (one of them not monotonically) beside eight that do not."""
    draw = np.random.default_rng(seed)
    up, bent = draw.gamma(2.0, size=n), draw.normal(size=n)
    kpi = 0.7 * up + bent**2 + draw.normal(size=n)
    columns = {"up": up, "bent": bent}
    for k, name in enumerate(NOISE):
        value = draw.normal(size=n) if k % 2 else draw.poisson(0.5, n).astype(float)
        value[draw.random(n) < 0.1 * (k % 3)] = np.nan
        columns[name] = value
    return pl.DataFrame({**columns, "kpi": kpi > np.median(kpi) if binary else kpi})


@pytest.fixture(scope="module")
def runs():
    return [screen_variables(planted(seed), "kpi", seed=seed) for seed in range(60)]


def test_noise_passes_at_the_stated_rate(runs):
    passed = sum(v not in run.names("noise") for run in runs for v in NOISE)
    low, high = binom.ppf([0.0005, 0.9995], len(runs) * len(NOISE), 0.05)
    assert low <= passed <= high, f"{passed} of {len(runs) * len(NOISE)} noise variables passed"


def test_what_tells_is_kept_and_comes_first(runs):
    hits = [{"up", "bent"} <= set(run.names("keep")) for run in runs]
    assert np.mean(hits) >= 0.95
    first = [set(run.variables["variable"].head(2)) == {"up", "bent"} for run in runs]
    assert np.mean(first) >= 0.95


def test_held_out_score_of_noise_is_not_above_nothing(runs):
    scores = np.array([
        run.variables.filter(pl.col("variable").is_in(NOISE))["score"].mean() for run in runs
    ])  # fmt: skip
    assert scores.max() < 0.02, "a score on the rows it was fitted to would be well above zero"
    assert scores.mean() < 0


def test_a_kpi_of_two_values_is_scored_by_auc():
    runs = [screen_variables(planted(seed, binary=True), "kpi", seed=seed) for seed in range(25)]
    kept = [run.names("keep") for run in runs]
    assert np.mean(["up" in names for names in kept]) >= 0.9
    passed = sum(v not in run.names("noise") for run in runs for v in NOISE)
    low, high = binom.ppf([0.0005, 0.9995], len(runs) * len(NOISE), 0.05)
    assert low <= passed <= high
    assert runs[0].metric == "AUC"
    noise = [run.variables.filter(pl.col("variable").is_in(NOISE))["score"].mean() for run in runs]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.03)


def test_mutual_information_equals_scikit_learns():
    frame = planted(3)
    run = screen_variables(frame, "kpi")
    codes = bins(frame["kpi"].rank("average").to_numpy())
    for row in run.variables.iter_rows(named=True):
        expected = mutual_info_score(bins(frame[row["variable"]].to_numpy()), codes)
        assert row["mutual_information"] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_value_that_many_share_has_its_own_bin():
    zeros = np.array([0.0] * 900 + list(range(1, 101)))
    assert set(bins(zeros)[:900]).isdisjoint(bins(zeros)[900:])
    ones = np.array([1.0] * 900 + list(np.linspace(0, 0.9, 100)))
    assert set(bins(ones)[:900]).isdisjoint(bins(ones)[900:])
    gaps = np.array([np.nan] * 500 + list(range(500)))
    assert len(set(bins(gaps)[:500])) == 1
    assert set(bins(gaps)[:500]).isdisjoint(bins(gaps)[500:])


def test_spearman_equals_scipys_where_nothing_is_missing():
    draw = np.random.default_rng(0)
    x = draw.normal(size=200)
    columns = {"x": x, "y": np.exp(x) + draw.normal(size=200), "z": draw.integers(0, 3, 200) * 1.0}
    expected = spearmanr(np.column_stack(list(columns.values()))).statistic
    np.testing.assert_allclose(spearman(columns), expected, atol=1e-12)


def test_repeats_are_named_with_who_stands_for_them():
    draw = np.random.default_rng(4)
    told = draw.normal(size=500)
    holes = told.copy()
    holes[:100] = np.nan
    frame = pl.DataFrame({
        "holes": holes, "told": told, "mirror": -np.exp(told), "other": draw.normal(size=500),
        "kpi": told + draw.normal(size=500),
    })  # fmt: skip
    run = screen_variables(frame.with_columns(kpi=pl.col("kpi") + pl.col("other")), "kpi")
    assert set(run.names("redundant")) == {"holes", "mirror"}
    assert set(run.names("keep")) == {"told", "other"}
    mirror = run.variables.filter(variable="mirror")
    assert mirror["representative"].item() == "told"
    assert mirror["spearman"].item() == pytest.approx(-1.0)
    assert "repeats told (Spearman -1)" in mirror["reason"].item()


def test_constants_and_the_missing_are_set_apart():
    frame = planted(1).with_columns(
        one=pl.lit(1.0), none=pl.lit(None, pl.Float64),
        rare=pl.when(pl.int_range(pl.len()) < 5).then(1.0).otherwise(0.0),
    )  # fmt: skip
    run = screen_variables(frame, "kpi")
    assert set(run.names("constant")) == {"one", "none", "rare"}
    row = run.variables.filter(variable="rare")
    assert row["commonest_share"].item() == pytest.approx(395 / 400)
    assert row["p_value"].item() is None
    only = screen_variables(frame.select("one", "kpi"), "kpi")
    assert only.names("constant") == ["one"]


def test_text_and_truth_values_are_screened_and_ids_are_not():
    draw = np.random.default_rng(2)
    group = draw.choice(["a", "b", "c"], 300)
    frame = pl.DataFrame({
        "customer_id": [f"c{k}" for k in range(300)], "group": group, "flag": group == "b",
        "kpi": (group == "b") + 0.3 * draw.normal(size=300),
    })  # fmt: skip
    run = screen_variables(frame, "kpi")
    assert set(run.variables["variable"]) == {"group", "flag"}
    assert "noise" not in run.variables["verdict"].to_list()
    with pytest.raises(ColumnError, match=r"customer_id .* cannot be screened"):
        screen_variables(frame, "kpi", candidates=["customer_id"])


def test_a_kpi_from_the_same_rows_is_warned_of():
    table = build_features(*random_tables(3, customers=80), features=["core", "visits"])
    run = screen_variables(table, "monetary")
    shared = run.variables.filter("shares_rows")["variable"].to_list()
    assert "frequency" in shared
    assert "visits" not in shared
    assert "computed from the same rows as" in run.text
    later = pl.Series("spent_later", np.random.default_rng(0).gamma(1, 9, table.frame.height))
    assert "same rows" not in screen_variables(table, later).text


def test_a_copy_of_the_kpi_is_warned_of():
    frame = planted(5).with_columns(copy=pl.col("kpi") * 2)
    assert "copy nearly is kpi itself" in screen_variables(frame, "kpi").text


def test_same_seed_same_result_and_large_tables_are_sampled():
    frame = planted(6, n=3000)
    one, two = (screen_variables(frame, "kpi", max_rows=500, seed=9) for _ in range(2))
    assert_frame_equal(one.variables, two.variables)
    assert (one.n_rows, one.n_used) == (3000, 500)


def test_the_order_of_the_candidates_does_not_change_the_findings():
    frame = planted(8)
    names = ["up", "bent", *NOISE]
    one = screen_variables(frame, "kpi", candidates=names)
    two = screen_variables(frame, "kpi", candidates=names[::-1])
    left, right = (r.variables.drop("cluster").sort("variable") for r in (one, two))
    assert_frame_equal(left, right)


def test_rows_without_a_kpi_are_left_out():
    frame = planted(7).with_columns(
        kpi=pl.when(pl.int_range(pl.len()) < 50).then(None).otherwise(pl.col("kpi"))
    )
    assert screen_variables(frame, "kpi").n_rows == 350


@pytest.mark.parametrize(
    ("kpi", "options", "error", "words"),
    [
        ("kpj", {}, ColumnError, "did you mean 'kpi'"),
        ("kpi", {"candidates": ["upp"]}, ColumnError, "did you mean 'up'"),
        ("kpi", {"candidates": ["kpi"]}, ColumnError, "cannot be screened"),
        ("kpi", {"level": 0.0}, ParameterError, "level is a share"),
        ("kpi", {"level": 0.001}, ParameterError, "take at least 999"),
        (pl.Series([1.0, 2.0]), {}, DataError, "2 values for 400 customers"),
        (pl.Series([1.0] * 400), {}, DataError, "one value alone"),
        (pl.Series([None] * 390 + [1.0, 2.0] * 5), {}, DataError, "10 customers have"),
        (pl.Series([np.inf, *range(399)]), {}, DataError, "infinite"),
        (pl.Series(["a", "b", "c", "d"] * 100), {}, ColumnError, "neither numeric"),
    ],
)  # fmt: skip
def test_wrong_input_says_what_is_right(kpi, options, error, words):
    with pytest.raises(error, match=re.escape(words)):
        screen_variables(planted(0), kpi, **options)


def test_no_variable_beside_the_kpi():
    with pytest.raises(DataError, match="no variable to screen"):
        screen_variables(planted(0).select("kpi"), "kpi")


def test_words_picture_and_storage(runs):
    run = runs[0]
    assert "an unrelated variable passes with a chance of 5%" in run.text.lower()
    assert all(label(name) in run.text for name in run.names("noise"))
    with pytest.raises(ParameterError, match="did you mean 'keep'"):
        run.names("kept")
    figure = run.plot()
    assert "bent (keep)" in figure.alt
    again = Screening.from_dict(json.loads(json.dumps(run.to_dict())))
    assert_frame_equal(again.variables, run.variables)
