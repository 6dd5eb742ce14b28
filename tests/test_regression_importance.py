"""Shapley shares against brute force and R's relaimpo; collinearity against its definition."""

import itertools
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.errors import ColumnError, DataError, ParameterError
from segkit.regression import Importance, measure_collinearity, measure_importance
from segkit.regression.importance import draw_orders, exact_shares, sampled_shares, subset_r2

SWISS = Path(__file__).parent / "reference" / "swiss.csv"
# Grömping (2006), Journal of Statistical Software 17(1), and the help page of R relaimpo's
# calc.relimp(swiss): lmg, and R squared 70.67%.
LMG = {
    "Agriculture": 0.0571,
    "Examination": 0.1712,
    "Education": 0.2601,
    "Catholic": 0.1056,
    "Infant.Mortality": 0.1128,
}


def covariance(seed, p):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(200, p + 1)) @ random.normal(size=(p + 1, p + 1))
    return np.cov(rows.T)


def brute_r2(S, columns):
    columns = list(columns)
    if not columns:
        return 0.0
    cross = S[columns, -1]
    return cross @ np.linalg.solve(S[np.ix_(columns, columns)], cross) / S[-1, -1]


def brute_shares(S, groups):
    p, found = len(groups), []
    for g in range(p):
        others = [k for k in range(p) if k != g]
        total = 0.0
        for size in range(p):
            weight = math.factorial(size) * math.factorial(p - 1 - size) / math.factorial(p)
            for subset in itertools.combinations(others, size):
                before = [k for s in subset for k in groups[s]]
                total += weight * (brute_r2(S, before + groups[g]) - brute_r2(S, before))
        found.append(total)
    return found


@pytest.mark.parametrize(
    "groups", [[[0], [1], [2], [3], [4]], [[0, 1], [2], [3, 4]], [[4, 2], [0, 1, 3]]]
)
def test_shares_are_those_of_brute_force(groups):
    S = covariance(1, 5)
    assert exact_shares(S[None], groups)[0] == pytest.approx(brute_shares(S, groups), abs=1e-10)


def test_every_subset_has_its_r2():
    S = covariance(2, 4)
    found = subset_r2(S[None], [[0], [1], [2], [3]])[0]
    for chosen in itertools.product([0, 1], repeat=4):
        assert found[chosen] == pytest.approx(brute_r2(S, np.flatnonzero(chosen)), abs=1e-10)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_shares_sum_to_r2_and_follow_the_predictors_when_they_change_places(seed):
    S = covariance(seed, 4)
    found = exact_shares(S[None], [[0], [1], [2], [3]])[0]
    assert found.sum() == pytest.approx(brute_r2(S, range(4)), abs=1e-9)
    turned = exact_shares(S[None], [[2], [0], [3], [1]])[0]
    assert turned == pytest.approx(found[[2, 0, 3, 1]], abs=1e-9)


def test_all_orders_sampled_are_the_exact_shares():
    S = covariance(3, 4)[None]
    groups = [[0], [1], [2], [3]]
    orders = list(itertools.permutations(range(4)))
    assert sampled_shares(S, groups, orders).mean(axis=0) == pytest.approx(
        exact_shares(S, groups), abs=1e-10
    )
    pairs = draw_orders(7, 10, np.random.default_rng(0))
    assert all(pairs[k] == pairs[k + 1][::-1] for k in range(0, 10, 2))


def test_the_swiss_example_of_relaimpo():
    frame = pl.read_csv(SWISS)
    found = measure_importance(frame, "Fertility", list(LMG), repeats=200, seed=1)
    assert found.r2 == pytest.approx(0.7067, abs=5e-5)
    shares = dict(found.shares.select("predictor", "r2").iter_rows())
    assert shares == pytest.approx(LMG, abs=5e-5)
    assert found.shares["predictor"][0] == "Education"
    assert (found.shares["r2_low"] < found.shares["r2"]).all()
    assert (found.shares["r2_high"] > found.shares["r2"]).all()
    assert "first rank is not statistically clear" in found.text
    assert "Education" in found.plot().alt


def rows(n=600, p=3, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, p))
    y = X @ np.linspace(1.0, 0.2, p) + random.normal(size=n)
    return pl.DataFrame({f"x{j}": X[:, j] for j in range(p)} | {"y": y})


def test_beyond_twelve_orders_are_sampled_near_the_truth():
    frame = rows(n=3000, p=14)
    names = [f"x{j}" for j in range(14)]
    found = measure_importance(frame, "y", names, repeats=20, orders=100)
    # nearly independent predictors: a share is nearly what each explains alone
    assert found.orders == 100
    shares = found.shares
    assert np.abs(shares["r2"] - shares["alone"]).max() < 0.02
    assert found.order_error < 0.01
    assert "random orders" in found.text


def test_bundles_of_rows_give_the_interval_that_rows_give(monkeypatch):
    frame = rows(n=2000)
    names = ["x0", "x1", "x2"]
    each = measure_importance(frame, "y", names, repeats=1500, seed=1).shares
    monkeypatch.setattr("segkit.regression.importance._BLOCKS", 200)
    bundled = measure_importance(frame, "y", names, repeats=1500, seed=1).shares
    width = (each["r2_high"] - each["r2_low"]).to_numpy()
    assert (bundled["r2_high"] - bundled["r2_low"]).to_numpy() == pytest.approx(width, rel=0.15)
    assert bundled["r2"].to_list() == pytest.approx(each["r2"].to_list())


def test_levels_of_text_enter_together_and_are_stated():
    frame = rows().with_columns(city=pl.Series(["a", "b", "b", "c"] * 150))
    found = measure_importance(frame, "y", ["x0", "city"], repeats=50)
    assert found.shares["predictor"].to_list() == ["x0", "city"]
    assert "city is compared with its level b" in found.notes


def test_same_seed_same_bytes_and_back_from_json():
    first, again = (measure_importance(rows(), "y", ["x0", "x1"], repeats=50) for _ in range(2))
    assert first.shares.equals(again.shares)
    assert Importance.from_dict(first.to_dict()).text == first.text


def test_scales_and_clusters():
    frame = rows().with_columns(pl.col("y").abs(), group=pl.int_range(600) // 20)
    plain, log, rank = (
        measure_importance(frame, "y", ["x0", "x1"], scale=scale, repeats=30, clusters="group")
        for scale in ("as it is", "log", "rank")
    )
    assert len({round(found.r2, 6) for found in (plain, log, rank)}) == 3
    assert log.outcome == "log(1 + y)"
    with pytest.raises(ParameterError, match="unknown scale 'sqrt'"):
        measure_importance(frame, "y", ["x0"], scale="sqrt")
    with pytest.raises(DataError, match="above -1"):
        measure_importance(rows(), "y", ["x0"], scale="log")
    with pytest.raises(ParameterError, match="repeats >= 20"):
        measure_importance(frame, "y", ["x0"], repeats=3)
    one = frame.with_columns(group=pl.lit(1))
    with pytest.raises(DataError, match="at least two"):
        measure_importance(one, "y", ["x0"], clusters="group")


# Collinearity -------------------------------------------------------------------------------


def test_vif_is_that_of_statsmodels():
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    frame = rows(p=4).with_columns(x3=pl.col("x3") * 0.3 + pl.col("x0"))
    names = ["x0", "x1", "x2", "x3"]
    found = measure_collinearity(frame, names).predictors["vif"].to_list()
    X = np.column_stack([np.ones(600), frame.select(names).to_numpy()])
    expected = [variance_inflation_factor(X, k) for k in range(1, 5)]
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_text_column_has_one_generalised_vif():
    city = ["a", "b", "b", "c"] * 150
    frame = rows().with_columns(city=pl.Series(city))
    found = measure_collinearity(frame, ["x0", "city"]).predictors
    assert found["columns"].to_list() == [1, 2]
    assert found["vif"].to_list() == pytest.approx([1, 1], abs=0.05)
    alone = measure_collinearity(frame, ["city"])
    assert alone.predictors["vif"].item() == 1.0


def test_the_condition_number_is_that_of_belsley():
    frame = rows()
    X = np.column_stack([np.ones(600), frame.select("x0", "x1", "x2").to_numpy()])
    scaled = X / np.linalg.norm(X, axis=0)
    assert measure_collinearity(frame, ["x0", "x1", "x2"]).condition_number == pytest.approx(
        np.linalg.cond(scaled)
    )


def test_near_repeats_are_named_and_exact_ones_refused():
    frame = rows().with_columns(near=pl.col("x0") + 0.01 * pl.col("x1"))
    told = measure_collinearity(frame, ["x0", "near", "x2"], labels={"near": "a near repeat"})
    assert "can hardly be separated" in told.text
    assert "a near repeat" in told.text
    assert "near repeat" in told.plot().alt
    exact = frame.with_columns(total=pl.col("x0") + 2 * pl.col("x1"))
    with pytest.raises(DataError, match="'total' follows exactly from x0, x1"):
        measure_collinearity(exact, ["x0", "x1", "total", "x2"])
    with pytest.raises(DataError, match="follows exactly"):
        measure_importance(exact, "y", ["x0", "x1", "total"])


def test_bad_columns_say_what_is_wrong():
    frame = rows().with_columns(
        flat=pl.lit(1.0), inf=pl.when(pl.col("x0") > 2).then(np.inf).otherwise(0.0), one=pl.lit("a")
    )
    with pytest.raises(DataError, match="no variation in flat"):
        measure_importance(frame, "y", ["x0", "flat"])
    with pytest.raises(DataError, match="'inf' is infinite in"):
        measure_importance(frame, "y", ["x0", "inf"])
    with pytest.raises(DataError, match="single level"):
        measure_importance(frame, "y", ["x0", "one"])
    with pytest.raises(ColumnError, match="lacks nope"):
        measure_importance(frame, "y", ["nope"])
    with pytest.raises(ParameterError, match="at least one predictor"):
        measure_importance(frame, "y", [])
    with pytest.raises(DataError, match="need at least 5 complete rows"):
        measure_importance(frame.head(4), "y", ["x0", "x1", "x2"])
