"""Drivers: equal to statsmodels, the family chosen by the data, bad input told in words."""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from polars.testing import assert_frame_equal
from scipy import stats
from statsmodels.discrete.count_model import ZeroInflatedPoisson
from statsmodels.discrete.discrete_model import NegativeBinomial
from statsmodels.tools.numdiff import approx_fprime, approx_hess

from segkit.errors import ColumnError, DataError, ParameterError
from segkit.regression import Drivers, DriverTable, build_driver_table, fit_drivers
from segkit.regression.checks import calibration, dispersion, quantile_residuals, zeros_gradient
from segkit.regression.design import make_design
from segkit.regression.families import fit_family, sandwich, separating, standardise

N = 1200
BETA = np.array([0.4, -0.3])


def rows(kind="poisson", n=N, seed=0):
    """Two predictors on odd scales, a city, a cluster, and an outcome of one kind."""
    random = np.random.default_rng(seed)
    Z = random.normal(size=(n, 2))
    eta = 0.3 + Z @ BETA
    mu, over = np.exp(eta), random.gamma(1.5, 1 / 1.5, n)
    y = {
        "poisson": lambda: random.poisson(mu),
        "negative binomial": lambda: random.poisson(mu * over),
        "zero-inflated poisson": lambda: random.poisson(2 * mu) * (random.random(n) > 0.35),
        "gamma": lambda: mu * over,
        "log-linear": lambda: np.exp(eta + 0.5 * random.normal(size=n)),
        "logistic": lambda: (random.random(n) < 1 / (1 + np.exp(-eta))).astype(float),
    }[kind]()
    return pl.DataFrame(
        {
            "y": y.astype(float),
            "visits": 100 + 20 * Z[:, 0],
            "share": 0.5 + 0.01 * Z[:, 1],
            "city": random.choice(["York", "Bath", "Ayr"], n, p=[0.5, 0.3, 0.2]),
            "shop": np.arange(n) % 40,
            "years": random.uniform(0.5, 3, n),
        }
    )


def matrix(frame):
    return sm.add_constant(frame.select("visits", "share").to_numpy())


def by_term(found, column="estimate"):
    return dict(found.effects.select("term", column).iter_rows())


FAMILY = {
    "poisson": sm.families.Poisson(),
    "gamma": sm.families.Gamma(sm.families.links.Log()),
    "logistic": sm.families.Binomial(),
}


@pytest.mark.parametrize("kind", FAMILY)
def test_generalised_linear_models_are_those_of_statsmodels(kind):
    frame = rows(kind)
    found = fit_drivers(frame, "y", ["visits", "share"], family=kind, folds=0)
    X = matrix(frame)
    fitted = sm.GLM(frame["y"].to_numpy(), X, family=FAMILY[kind]).fit(tol=1e-12)
    assert [by_term(found)[n] for n in ("visits", "share")] == pytest.approx(
        fitted.params[1:], rel=1e-5
    )
    assert found.intercept == pytest.approx(fitted.params[0], rel=1e-4)
    # HC3 by its definition: statsmodels silently gives HC0 here
    mu = fitted.fittedvalues
    w = {"poisson": mu, "gamma": np.ones(N), "logistic": mu * (1 - mu)}[kind]
    gap = (frame["y"].to_numpy() - mu) / (mu if kind == "gamma" else 1)
    h = np.einsum("ij,jk,ik->i", X, np.linalg.inv(X.T @ (X * w[:, None])), X) * w
    seen = frame["y"].to_numpy() / mu if kind == "gamma" else w
    bread = np.linalg.inv(X.T @ (X * seen[:, None]))
    meat = X.T @ (X * ((gap / (1 - h)) ** 2)[:, None])
    error = np.sqrt(np.diagonal(bread @ meat @ bread))[1:]
    assert [by_term(found, "std_error")[n] for n in ("visits", "share")] == pytest.approx(
        error, rel=1e-4
    )
    assert found.errors == "robust (HC3)"


@pytest.mark.parametrize("kind", FAMILY)
def test_clustered_errors_are_those_of_statsmodels(kind):
    frame = rows(kind)
    found = fit_drivers(frame, "y", ["visits", "share"], family=kind, clusters="shop", folds=0)
    fitted = sm.GLM(frame["y"].to_numpy(), matrix(frame), family=FAMILY[kind]).fit(
        tol=1e-12, cov_type="cluster", cov_kwds={"groups": frame["shop"].to_numpy()}
    )
    errors = by_term(found, "std_error")
    assert [errors[n] for n in ("visits", "share")] == pytest.approx(fitted.bse[1:], rel=1e-4)
    row = found.effects.row(0, named=True)
    reach = stats.t.ppf(0.975, 39) * row["std_error"]
    assert row["high"] - row["estimate"] == pytest.approx(reach)


def test_log_linear_is_ordinary_least_squares_with_hc3():
    frame = rows("log-linear")
    found = fit_drivers(frame, "y", ["visits", "share"], family="log-linear", folds=0)
    fitted = sm.OLS(np.log(frame["y"].to_numpy()), matrix(frame)).fit(cov_type="HC3")
    assert [by_term(found)[n] for n in ("visits", "share")] == pytest.approx(fitted.params[1:])
    errors = by_term(found, "std_error")
    assert [errors[n] for n in ("visits", "share")] == pytest.approx(fitted.bse[1:], rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "model", "last"),
    [("negative binomial", NegativeBinomial, 3), ("zero-inflated poisson", ZeroInflatedPoisson, 4)],
)
def test_count_models_are_those_of_statsmodels(kind, model, last):
    frame = rows(kind)
    found = fit_drivers(frame, "y", ["visits", "share"], family="counts", folds=0)
    assert found.family == kind
    design = make_design(frame, "y", ["visits", "share"])
    Z, _, sd = standardise(design)
    fitted = model(design.y, sm.add_constant(Z)).fit(disp=0, maxiter=500, method="bfgs")
    slopes = fitted.params[last - 2 : last] / sd
    assert [by_term(found)[n] for n in ("visits", "share")] == pytest.approx(slopes, rel=2e-3)
    extra = found.extra["alpha"] if kind == "negative binomial" else None
    if extra is not None:
        assert extra == pytest.approx(fitted.params[-1], rel=5e-3)
        assert extra == pytest.approx(1 / 1.5, abs=0.2)
    else:
        assert found.extra["share_of_zeros"] == pytest.approx(0.35, abs=0.05)


def test_errors_of_zero_inflated_models_use_the_whole_hessian():
    # statsmodels 0.15 leaves the mixed derivatives of zeros and mean at zero
    frame = rows("zero-inflated poisson")
    design = make_design(frame, "y", ["visits", "share"])
    Z, _, _ = standardise(design)
    X, y = sm.add_constant(Z), design.y

    def each(params):
        share, mu = 1 / (1 + np.exp(-params[0])), np.exp(X @ params[1:])
        return np.log((y == 0) * share + (1 - share) * stats.poisson.pmf(y, mu))

    fit = fit_family("zero-inflated poisson", Z, design)
    share = fit.extra["share_of_zeros"]
    params = np.array([np.log(share / (1 - share)), *fit.params])
    scores = approx_fprime(params, each, centered=True)
    assert scores.sum(axis=0) == pytest.approx(np.zeros(4), abs=1e-3)
    bread = np.linalg.inv(-approx_hess(params, lambda p: each(p).sum()))
    expected = sandwich(scores, bread)[1:, 1:]
    assert fit.covariance == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_extra_zeros_are_fitted_only_where_the_likelihood_rises_with_them(monkeypatch):
    frame = rows("negative binomial", seed=2)
    design = make_design(frame, "y", ["visits", "share"])
    Z, _, _ = standardise(design)
    fit = fit_family("negative binomial", Z, design)
    mean, alpha, share = fit.mean(Z, None), fit.extra["alpha"], 1e-7
    size = 1 / alpha
    p = stats.nbinom.pmf(design.y, size, size / (size + mean))
    rise = (np.log(share * (design.y == 0) + (1 - share) * p) - np.log(p)).sum()
    assert zeros_gradient(fit, design, mean) == pytest.approx(rise / share, rel=1e-3)
    assert rise < 0
    monkeypatch.setattr("segkit.regression.checks._MANY", -np.inf)  # zeros always seem too many
    found = fit_drivers(frame, "y", ["visits", "share"], family="counts", folds=0)
    row = found.tests.filter(pl.col("test").str.ends_with("zero-inflated negative binomial"))
    assert row["statistic"][0] == pytest.approx(-np.log(N))
    assert "do not raise the likelihood" in row["verdict"][0]
    assert found.family == "negative binomial"


def test_counts_converge_wherever_they_start():
    frame = rows("negative binomial")
    design = make_design(frame, "y", ["visits", "share"])
    Z, _, _ = standardise(design)
    plain = fit_family("negative binomial", Z, design)
    far = replace(plain, params=plain.params + 0.5, extra={"alpha": 3.0})
    again = fit_family("negative binomial", Z, design, start=far)
    assert again.params == pytest.approx(plain.params, abs=1e-6)
    assert again.extra["alpha"] == pytest.approx(plain.extra["alpha"], abs=1e-6)


def test_the_data_choose_the_family_and_the_tests_are_shown():
    kinds = ("poisson", "negative binomial", "zero-inflated poisson", "gamma", "logistic")
    told = {kind: fit_drivers(rows(kind), "y", ["visits", "share"]) for kind in kinds}
    assert {kind: found.family for kind, found in told.items()} == {kind: kind for kind in told}
    assert told["poisson"].tests["p_value"][0] > 0.05
    assert told["negative binomial"].tests["p_value"][0] < 0.001
    assert "extra" not in told["poisson"].family
    table = told["zero-inflated poisson"].counts
    assert table["expected"].sum() == pytest.approx(N)
    assert table["expected"][0] == pytest.approx(table["observed"][0], rel=0.05)
    poisson = fit_drivers(rows("zero-inflated poisson"), "y", ["visits"], family="poisson", folds=0)
    assert poisson.counts["expected"][0] < 0.7 * poisson.counts["observed"][0]
    assert "Hanging rootogram" in poisson.plot_rootogram().alt
    with pytest.raises(DataError, match="needs counts"):
        told["gamma"].plot_rootogram()


def test_dispersion_is_cameron_and_trivedis_regression():
    frame = rows("negative binomial")
    y = frame["y"].to_numpy()
    mu = sm.GLM(y, matrix(frame), family=sm.families.Poisson()).fit().fittedvalues
    alpha, t, p = dispersion(y, mu)
    auxiliary = sm.OLS(((y - mu) ** 2 - y) / mu, mu).fit(cov_type="HC0")
    assert alpha == pytest.approx(auxiliary.params[0])
    assert t == pytest.approx(auxiliary.tvalues[0])
    assert p == pytest.approx(stats.norm.sf(t))


def test_units_do_not_change_what_a_standard_deviation_does():
    frame = rows()
    found = fit_drivers(frame, "y", ["visits", "share"], folds=0)
    scaled = frame.with_columns(pl.col("visits") / 60)
    other = fit_drivers(scaled, "y", ["visits", "share"], folds=0)
    a, b = (f.effects.filter(pl.col("term") == "visits").row(0, named=True) for f in (found, other))
    assert b["estimate"] == pytest.approx(60 * a["estimate"], rel=1e-5)
    assert b["ratio_sd"] == pytest.approx(a["ratio_sd"], rel=1e-6)
    assert a["ratio_sd"] == pytest.approx(np.exp(a["estimate"] * a["sd"]))
    assert a["ratio_sd"] == pytest.approx(np.exp(0.4), rel=0.1)


def test_a_formula_gives_what_columns_give():
    frame = rows()
    columns = fit_drivers(frame, "y", ["visits", "city"], baselines={"city": "Ayr"}, folds=0)
    formula = fit_drivers(frame, "y", "visits + C(city, Treatment('Ayr'))", folds=0)
    first = sorted(columns.effects["estimate"].to_list())
    assert sorted(formula.effects["estimate"].to_list()) == pytest.approx(first, rel=1e-6)
    assert "city is compared with its level Ayr" in columns.notes
    crossed = fit_drivers(frame, "y", "visits * share", folds=0)
    assert "visits:share" in crossed.effects["term"].to_list()
    with pytest.raises(ParameterError, match="right side"):
        fit_drivers(frame, "y", "y ~ visits")
    with pytest.raises(ParameterError, match="cannot be read"):
        fit_drivers(frame, "y", "visits + (")


def test_exposure_enters_as_an_offset():
    frame = rows().with_columns(y=pl.Series(np.random.default_rng(5).poisson(2 * rows()["years"])))
    found = fit_drivers(frame, "y", ["visits"], family="poisson", exposure="years", folds=0)
    X = sm.add_constant(frame["visits"].to_numpy())
    fitted = sm.GLM(
        frame["y"].to_numpy(), X, family=sm.families.Poisson(), exposure=frame["years"].to_numpy()
    ).fit()
    assert found.effects["estimate"].item() == pytest.approx(fitted.params[1], rel=1e-4)
    with pytest.raises(DataError, match="must be positive"):
        fit_drivers(frame.with_columns(years=pl.lit(0.0)), "y", ["visits"], exposure="years")


def test_text_says_association_unless_assigned_at_random():
    frame = rows().with_columns(offer=pl.Series(np.arange(N) % 2 == 0))
    found = fit_drivers(frame, "y", ["visits", "share", "offer"], labels={"visits": "site visits"})
    assert "site visits" in found.text
    assert "association, not cause" in found.text
    assert "on held-out rows" in found.text
    told = fit_drivers(frame, "y", ["visits", "offer"], randomised=["offer"], folds=0)
    assert "Only offer was assigned at random" in told.text
    nothing = rows().with_columns(y=pl.Series(np.random.default_rng(9).poisson(1, N)))
    assert "statistically clear" in fit_drivers(nothing, "y", ["visits", "share"], folds=0).text


def test_held_out_rows_tell_a_real_effect_from_none():
    real = fit_drivers(rows(), "y", ["visits", "share"])
    measure = real.measures.filter(pl.col("measure") == "deviance explained").row(0, named=True)
    assert 0.1 < measure["held_out"] < measure["fitted"] < 0.4
    random = np.random.default_rng(1)
    names = [f"n{k}" for k in range(10)]
    noise = pl.DataFrame({n: random.normal(size=150) for n in names})
    idle = fit_drivers(noise.with_columns(y=pl.Series(random.poisson(2, 150))), "y", names)
    assert idle.measures["fitted"][0] > 0
    assert idle.measures["held_out"][0] < 0
    assert "no better than their mean" in idle.text
    yes = fit_drivers(rows("logistic"), "y", ["visits", "share"])
    assert yes.measures["measure"].to_list() == ["deviance explained", "AUC", "Brier score"]
    assert 0.6 < yes.measures["held_out"][1] < 0.75


@pytest.mark.parametrize(
    "kind",
    ["poisson", "negative binomial", "zero-inflated poisson", "gamma", "log-linear", "logistic"],
)
def test_quantile_residuals_of_the_right_model_are_normal(kind):
    frame = rows(kind, n=4000)
    design = make_design(frame, "y", ["visits", "share"])
    Z, _, _ = standardise(design)
    fit = fit_family(kind, Z, design)
    residuals = quantile_residuals(fit, design.y, fit.mean(Z, None), np.random.default_rng(0))
    assert stats.kstest(residuals, "norm").statistic < 0.025


def test_calibration_bundles_by_prediction():
    y, p = np.repeat([0.0, 1.0], 50), np.repeat([0.2, 0.8], 50)
    table = calibration(y, p, groups=2)
    assert table["predicted"].to_list() == pytest.approx([0.2, 0.8])
    assert table["observed"].to_list() == [0.0, 1.0]
    assert table["rows"].sum() == 100
    found = fit_drivers(rows("logistic"), "y", ["visits"], folds=0)
    narrow = fit_drivers(rows("logistic"), "y", ["visits"], folds=0, level=0.5).calibration
    assert narrow.drop("low", "high").equals(found.calibration.drop("low", "high"))
    assert (narrow["low"] > found.calibration["low"]).all()
    assert (narrow["high"] < found.calibration["high"]).all()
    assert "both equal" in found.plot_calibration().alt
    assert "quantile residual" in found.plot_residuals().alt
    assert "visits (+1 sd)" in found.plot().alt


def test_limits_of_calibrated_means_follow_the_level():
    y, p = np.arange(50.0), np.repeat(0.5, 50)
    for level, z in ((0.95, 1.959964), (0.5, 0.674490)):
        row = calibration(y, p, groups=1, level=level).row(0, named=True)
        reach = z * y.std() / np.sqrt(50)
        assert row["low"] == pytest.approx(y.mean() - reach)
        assert row["high"] == pytest.approx(y.mean() + reach)


def test_stored_and_same_seed():
    first, again = (fit_drivers(rows(), "y", ["visits", "city"], seed=4) for _ in range(2))
    assert first.measures.equals(again.measures)
    assert Drivers.from_dict(first.to_dict()).text == first.text
    shuffled = fit_drivers(
        rows().sample(fraction=1.0, shuffle=True, seed=1), "y", ["visits"], folds=0
    )
    plain = fit_drivers(rows(), "y", ["visits"], folds=0)
    assert shuffled.effects["estimate"].item() == pytest.approx(plain.effects["estimate"].item())


# Bad input ----------------------------------------------------------------------------------


def test_separation_is_named():
    frame = rows("logistic").with_columns(told=pl.col("y") * 3 + 0.1 * pl.col("share"))
    with pytest.raises(DataError, match="told predicts the outcome perfectly"):
        fit_drivers(frame, "y", ["visits", "told"])
    quasi = rows("logistic").with_columns(
        vip=(pl.col("y") == 1) & (pl.int_range(pl.len()) % 9 == 0)
    )
    with pytest.raises(DataError, match="vip predicts the outcome perfectly"):
        fit_drivers(quasi, "y", ["visits", "vip"])
    counts = rows().with_columns(y=pl.when(pl.col("city") == "Ayr").then(0).otherwise(pl.col("y")))
    with pytest.raises(DataError, match="city: Ayr predicts zeros perfectly"):
        fit_drivers(counts, "y", ["visits", "city"])


def test_strong_effects_are_not_taken_for_separation():
    random = np.random.default_rng(0)
    x = random.normal(size=3000)
    y = random.random(3000) < 1 / (1 + np.exp(-6 * x))
    found = fit_drivers(pl.DataFrame({"x": x, "y": y}), "y", ["x"], folds=0)
    assert found.effects["estimate"].item() == pytest.approx(6, rel=0.15)
    assert separating(x[:, None], y.astype(float), binary=True) == []


def test_what_cannot_be_fitted_is_refused_in_words():
    frame = rows()
    with pytest.raises(DataError, match="'y' is 0 in all"):
        fit_drivers(frame.with_columns(y=pl.lit(0.0)), "y", ["visits"])
    with pytest.raises(DataError, match="no variation in flat"):
        fit_drivers(frame.with_columns(flat=pl.lit(2)), "y", ["visits", "flat"])
    with pytest.raises(DataError, match="follows exactly from visits"):
        fit_drivers(frame.with_columns(twice=pl.col("visits") * 2), "y", ["visits", "twice"])
    third = pl.int_range(pl.len()) == 3
    odd = frame.with_columns(visits=pl.when(third).then(np.inf).otherwise("visits"))
    with pytest.raises(DataError, match="infinite in 1 row;"):
        fit_drivers(odd, "y", ["visits"])
    with pytest.raises(DataError, match="single level"):
        fit_drivers(frame.with_columns(city=pl.lit("York")), "y", ["visits", "city"])
    with pytest.raises(DataError, match="complete rows, got 3"):
        fit_drivers(frame.head(3), "y", ["visits", "share"])
    with pytest.raises(DataError, match="needs amounts above zero"):
        fit_drivers(frame, "y", ["visits"], family="gamma")
    with pytest.raises(DataError, match="whole numbers"):
        fit_drivers(rows("gamma"), "y", ["visits"], family="counts")
    with pytest.raises(DataError, match="outcome of 0 and 1"):
        fit_drivers(frame, "y", ["visits"], family="logistic")
    with pytest.raises(DataError, match="neither yes/no"):
        fit_drivers(frame.with_columns(pl.col("y") - 0.5), "y", ["visits"])
    with pytest.raises(ParameterError, match="unknown family 'poison'; did you mean 'poisson'"):
        fit_drivers(frame, "y", ["visits"], family="poison")
    with pytest.raises(ParameterError, match="among its own predictors"):
        fit_drivers(frame, "y", ["visits", "y"])
    with pytest.raises(ColumnError, match="must hold numbers"):
        fit_drivers(frame.with_columns(city=pl.lit(date(2024, 1, 1))), "y", ["city"])
    with pytest.raises(ParameterError, match="no level of city"):
        fit_drivers(frame, "y", ["city"], baselines={"city": "Rome"})
    many = frame.with_columns(name=pl.int_range(pl.len()).cast(pl.String))
    with pytest.raises(ColumnError, match="levels; at most 30"):
        fit_drivers(many, "y", ["name"])


def test_rows_with_gaps_are_left_out_and_counted():
    gap = pl.int_range(pl.len())
    frame = rows().with_columns(
        visits=pl.when(gap < 10).then(None).otherwise("visits"),
        share=pl.when(gap.is_between(5, 19)).then(float("nan")).otherwise("share"),
    )
    found = fit_drivers(frame, "y", ["visits", "share"], folds=0)
    assert (found.n_given, found.n_rows) == (N, N - 20)
    assert "left out: 20 rows with gaps (share 15, visits 10)" in found.notes
    with pytest.raises(DataError, match="none of 1,200 rows is complete"):
        fit_drivers(frame.with_columns(visits=pl.lit(None, pl.Float64)), "y", ["visits"])


def test_gamma_stands_amounts_that_lie_far_apart():
    """Where iterated least squares overshoots, the line search finds the peak."""
    random = np.random.default_rng(0)
    x = random.exponential(1, 400)
    y = np.exp(0.2 * x) * random.gamma(0.3, 1, 400)
    x[0], y[0] = 60.0, 5e4
    found = fit_drivers(pl.DataFrame({"x": x, "y": y}), "y", ["x"], family="gamma", folds=0)
    b, a = found.effects["estimate"].item(), found.intercept
    mu = np.exp(a + b * x)
    assert abs(((y - mu) / mu).sum()) < 0.05
    assert abs(((y - mu) / mu * (x - x.mean())).sum() / x.std()) < 0.05


def test_too_few_clusters_and_rows_for_folds():
    with pytest.raises(DataError, match="at least two clusters"):
        sandwich(np.ones((5, 1)), np.ones((1, 1)), clusters=np.zeros(5, dtype=np.int64))
    few = fit_drivers(rows(n=40), "y", ["visits"])
    assert "too few rows to hold some out" in few.notes
    with pytest.raises(ParameterError, match="folds"):
        fit_drivers(rows(), "y", ["visits"], folds=1)


# Features before, outcomes after ------------------------------------------------------------


def orders():
    random = np.random.default_rng(0)
    n = 3000
    day = random.integers(19_000, 19_400, n)
    return pl.DataFrame(
        {
            "customer_id": pl.Series(random.integers(150, size=n)).cast(pl.String),
            "order_id": pl.Series(np.arange(n) // 2).cast(pl.String),
            "order_day": pl.Series(day).cast(pl.Int32),
            "amount": random.choice([20.0, 35.0, -20.0], n, p=[0.5, 0.4, 0.1]),
        }
    )


def test_features_see_nothing_after_the_cut_and_outcomes_nothing_before():
    lines = orders()
    table = build_driver_table(lines, days=60, features=["core"])
    cut = int((table.cut - date(1970, 1, 1)).days)
    assert cut == lines["order_day"].max() - 60
    last = pl.col("order_day").max()
    fewer = lines.filter((pl.col("order_day") <= cut) | (pl.col("order_day") == last))
    past = build_driver_table(fewer, days=60, features=["core"])
    names = ["customer_id", *table.features]
    assert_frame_equal(past.frame.select(names), table.frame.select(names), rel_tol=1e-12)
    after = lines.filter((pl.col("order_day") > cut) & (pl.col("amount") > 0))
    counted = dict(after.group_by("customer_id").agg(pl.col("order_id").n_unique()).iter_rows())
    for customer, found in table.frame.select("customer_id", "later_orders").iter_rows():
        assert counted.get(customer, 0) == found
    assert table.frame["churned"].to_list() == [1 - b for b in table.frame["later_buyer"]]
    found = fit_drivers(table, "later_orders", ["frequency"], folds=0)
    assert f"Predictors are as of {table.cut}" in found.text
    assert DriverTable.from_dict(table.to_dict()).text == table.text


def test_a_line_marked_as_a_return_is_no_order_whatever_its_amount():
    """And a mark tells more than the sign: a line below zero that is none stays in the sum."""
    days = [19_000, 19_000, 19_050, 19_051, 19_050, 19_060]
    lines = pl.DataFrame(
        {
            "customer_id": ["a", "b", "a", "a", "b", "b"],
            "order_id": ["1", "2", "3", "4", "5", "5"],
            "order_day": pl.Series(days, dtype=pl.Int32),
            "amount": [9.0, 9.0, 5.0, 0.0, 8.0, -2.0],
            "is_return": [False, False, True, False, None, False],
        }
    )
    table = build_driver_table(lines, days=60, features=["core"]).frame.sort("customer_id")
    found = table.select("later_orders", "later_buyer", "churned", "later_spend").rows()
    assert found == [(0, 0, 1, 5.0), (1, 1, 0, 6.0)]


def test_traits_of_customers_join_the_features():
    lines = orders()
    people = lines.select("customer_id").unique().with_columns(region=pl.lit("North"))
    table = build_driver_table(
        lines, days=60, features=["core"], customers=people, traits=["region"]
    )
    assert table.features[-1] == "region"
    with pytest.raises(ColumnError, match="customers lacks age"):
        build_driver_table(lines, days=60, features=["core"], customers=people, traits=["age"])
    with pytest.raises(ParameterError, match="days"):
        build_driver_table(lines, days=0)
    with pytest.raises(DataError, match="no orders"):
        build_driver_table(lines.head(0), days=60)
