"""Choice of a regression family, and checks of its fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, require_choice
from segkit.regression.design import Design, Floats
from segkit.regression.families import (
    COUNTS,
    Family,
    Fit,
    fit_family,
    standardise,
    zero_probability,
)
from segkit.stats.intervals import wilson, z_value

_MOST_COUNT = 60
_QUANTILES = 99
_LEVEL = 0.05
_MANY = 2.0  # zeros are in excess if this many standard errors above the expected number
_CLEARLY = 6.0  # a BIC lower by so much counts as clear (Kass & Raftery 1995: "strong")
_TESTS = {"test": pl.String, "statistic": pl.Float64, "p_value": pl.Float64, "verdict": pl.String}
Row = tuple[str, float, float | None, str]


def probability(fit: Fit, mean: Floats, k: int | Floats) -> Floats:
    """Return each row's probability of the count k under a fitted count model.

    Parameters
    ----------
    fit : Fit
    mean : ndarray of shape (rows,)
        Each row's expected count, with extra zeros included.
    k : int or ndarray of shape (rows,)
        One count for all rows, or one for each.
    """
    inflation, plain = _count_distribution(fit, mean)
    return np.asarray((1 - inflation) * plain.pmf(k) + inflation * (k == 0))


def _count_distribution(fit: Fit, mean: Floats) -> tuple[float, Any]:
    """Return the share of extra zeros, and the distribution of all other counts."""
    from scipy import stats

    inflation = fit.extra.get("share_of_zeros", 0.0)
    mu = mean / (1 - inflation)
    if "alpha" not in fit.extra:
        return inflation, stats.poisson(mu)
    size = 1 / max(fit.extra["alpha"], 1e-9)
    return inflation, stats.nbinom(size, size / (size + mu))


def rootogram(fit: Fit, design: Design, mean: Floats) -> pl.DataFrame:
    """Count rows by outcome, observed and expected: count, observed, expected.

    The last row gathers that count and all above it where the counts go on.
    """
    top = int(min(design.y.max(), max(np.quantile(design.y, 0.995) + 2, 5), _MOST_COUNT))
    observed = np.bincount(np.minimum(design.y, top).astype(np.int64), minlength=top + 1)
    expected = np.array([float(probability(fit, mean, k).sum()) for k in range(top)])
    expected = np.append(expected, len(mean) - expected.sum())
    return pl.DataFrame(
        {"count": np.arange(top + 1), "observed": observed, "expected": np.maximum(expected, 0.0)}
    )


def quantile_residuals(fit: Fit, y: Floats, mean: Floats, random: np.random.Generator) -> Floats:
    """Return residuals that are standard normal if the model is right (Dunn & Smyth 1996).

    For counts and yes/no outcomes a random point between the two steps of the distribution.
    """
    from scipy import stats

    if fit.family == "gamma":
        shape = 1 / fit.extra["scale"]
        u = stats.gamma.cdf(y, shape, scale=mean / shape)
    elif fit.family == "log-linear":
        log_mean = np.log(mean / fit.extra["smearing"])
        u = stats.norm.cdf((np.log(y) - log_mean) / fit.extra["sigma"])
    else:
        below, at = _steps(fit, y, mean)
        u = below + random.random(len(y)) * at
    return np.asarray(stats.norm.ppf(np.clip(u, 1e-9, 1 - 1e-9)))


def _steps(fit: Fit, y: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Return the probabilities of less than each outcome, and of it."""
    if fit.family == "logistic":
        return np.where(y > 0, 1 - mean, 0.0), np.where(y > 0, mean, 1 - mean)
    inflation, plain = _count_distribution(fit, mean)
    below = np.where(y > 0, inflation + (1 - inflation) * plain.cdf(y - 1), 0.0)
    return below, probability(fit, mean, y)


def residual_quantiles(residuals: Floats) -> pl.DataFrame:
    """Compare the residuals' quantiles with normal ones: normal, residual."""
    from scipy import stats

    share = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return pl.DataFrame(
        {"normal": stats.norm.ppf(share), "residual": np.quantile(residuals, share)}
    )


def calibration(
    y: Floats, predicted: Floats, groups: int = 10, *, level: float = 0.95
) -> pl.DataFrame:
    """Group rows by prediction: predicted and observed (means), low, high (at level), rows."""
    # Equal rows have equal predictions but for rounding, which must not order them.
    order = np.argsort(pl.Series(predicted).round_sig_figs(10).to_numpy(), kind="stable")
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    rows = []
    for part in np.array_split(order, min(groups, len(order))):
        n, mean = len(part), float(y[part].mean())
        if binary:
            limits = wilson(float(y[part].sum()), n, level=level)
            low, high = limits.low, limits.high
        else:
            reach = z_value(level) * float(y[part].std()) / np.sqrt(n)
            low, high = mean - reach, mean + reach
        rows.append((float(predicted[part].mean()), mean, float(low), float(high), n))
    return pl.DataFrame(rows, schema=["predicted", "observed", "low", "high", "rows"], orient="row")


def held_out(
    fit: Fit, design: Design, folds: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Predict each row from the rows of the other folds (cross-validation).

    Rows of one cluster go into one fold. A predictor's value outside the range of the rows fitted
    is replaced by the nearest end of that range, since with a logarithmic link one unusual customer
    could otherwise get an absurd prediction.

    Returns
    -------
    predicted : ndarray of shape (rows,)
        From a regression of the same family, fitted to the other folds.
    flat : ndarray of shape (rows,)
        From the mean of the other folds alone (per unit of exposure, where there is one).

    Raises
    ------
    DataError
        If a fold's fit fails.
    """
    n = len(design.y)
    if design.clusters is None:
        fold = random.permutation(n) % folds
    else:
        clusters = int(design.clusters.max()) + 1
        fold = (random.permutation(clusters) % folds)[design.clusters]
    predicted, flat = np.empty(n), np.empty(n)
    exposure = np.ones(n) if design.exposure is None else design.exposure
    for k in range(folds):
        train, test = fold != k, fold == k
        if not test.any() or not train.any():
            continue
        part = replace(
            design,
            X=design.X[train],
            y=design.y[train],
            exposure=None if design.exposure is None else exposure[train],
            clusters=None,
        )
        Z, mean, sd = standardise(part)
        if (sd <= 1e-12).any():
            raise DataError("a predictor does not vary in a fold")
        clipped = np.clip(design.X[test], part.X.min(axis=0), part.X.max(axis=0))
        part_fit = fit_family(fit.family, Z, part, start=fit if fit.family in COUNTS else None)
        predicted[test] = part_fit.mean((clipped - mean) / sd, exposure[test])
        flat[test] = part.y.sum() / exposure[train].sum() * exposure[test]
    return predicted, flat


def deviance(family: str, y: Floats, mean: Floats) -> float:
    """Return the deviance of predictions: Poisson for counts, gamma for spend, log loss x 2."""
    from scipy.special import kl_div, rel_entr

    mu = np.clip(mean, 1e-12, None)
    if family in COUNTS:
        part = kl_div(y, mu)
    elif family == "logistic":
        part = rel_entr(y, mu) + rel_entr(1 - y, np.clip(1 - mean, 1e-12, None))
    else:
        part = -np.log(y / mu) + (y - mu) / mu
    return float(2 * part.sum())


def fit_measures(
    family: str, y: Floats, fitted: Floats, predicted: Floats | None, flat: Floats | None
) -> pl.DataFrame:
    """Measure the fit on the rows fitted, and on rows held out: measure, fitted, held_out.

    The correlation is Spearman's.
    """

    def explained(mean: Floats, plain: Floats) -> float:
        return 1 - deviance(family, y, mean) / deviance(family, y, plain)

    from sklearn import metrics

    measures: dict[str, Any] = {
        "mean absolute error": metrics.mean_absolute_error,
        "correlation": _correlation,
    }
    if family == "logistic":
        measures = {"AUC": metrics.roc_auc_score, "Brier score": metrics.mean_squared_error}
    flat_fitted = np.full(len(y), y.mean())
    rows = [("deviance explained", explained(fitted, flat_fitted), None)]
    rows += [(name, measure(y, fitted), None) for name, measure in measures.items()]
    if predicted is not None and flat is not None:
        held = [explained(predicted, flat), *(f(y, predicted) for f in measures.values())]
        rows = [(*row[:2], value) for row, value in zip(rows, held, strict=True)]
    kinds = {"measure": pl.String, "fitted": pl.Float64, "held_out": pl.Float64}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def _correlation(y: Floats, mean: Floats) -> float | None:
    """Return Spearman's rank correlation, or None for a constant prediction."""
    from scipy.stats import spearmanr

    return float(spearmanr(y, mean).statistic) if np.ptp(mean) > 0 else None


def choose(family: str, Z: Floats, design: Design) -> tuple[Fit, pl.DataFrame]:
    """Fit the given family, or choose one that suits the outcome.

    "auto": yes/no outcomes are logistic, whole numbers from zero counts, positive amounts gamma.
    Amounts in whole pounds are whole numbers too, so "auto" treats them as counts.

    "counts" starts with Poisson. If the test of overdispersion is significant, the negative
    binomial replaces it whatever its BIC: the test has already decided, and for alpha near 0 the
    two families agree. A zero-inflated fit must meet three conditions: the observed
    zeros exceed those that the same family without extra zeros expects, the likelihood rises with a
    share of extra zeros, and BIC is clearly lower. So the Poisson's zeros are tested for the
    zero-inflated Poisson, and the negative binomial's for the zero-inflated negative binomial.

    Returns
    -------
    (Fit, polars.DataFrame)
        The fit chosen, and the tests that led to it: test, statistic, p_value (null where there
        is none), verdict.

    Raises
    ------
    ParameterError
        If the family is unknown.
    DataError
        If no family suits the outcome.
    """
    require_choice("family", family, get_args(Family))
    kind = suited(design.y) if family == "auto" else family
    if kind == "counts":
        return _choose_counts(Z, design)
    fit = fit_family(kind, Z, design)
    rows: list[Row] = []
    if kind in COUNTS:
        mean = fit.mean(Z, design.exposure)
        if kind == "poisson":
            rows.append(_dispersion_row(design.y, mean))
        rows.append(_zeros_row(fit, design, mean))
    return fit, pl.DataFrame(rows, schema=_TESTS, orient="row")


def suited(y: Floats) -> str:
    """Name the kind of regression that suits an outcome.

    Examples
    --------
    >>> suited(np.array([0.0, 1.0])), suited(np.array([0.0, 4.0])), suited(np.array([0.5, 2.0]))
    ('logistic', 'counts', 'gamma')
    """
    if np.isin(y, (0.0, 1.0)).all():
        return "logistic"
    if (y >= 0).all() and (y == np.round(y)).all():
        return "counts"
    if (y > 0).all():
        return "gamma"
    raise DataError(
        "the outcome is neither yes/no, nor counts, nor amounts above zero, so give the family; "
        "for amounts with zeros, fit two models: above zero or not (logistic), and how much (gamma)"
    )


def dispersion(y: Floats, mean: Floats) -> tuple[float, float, float]:
    """Test that the variance equals the mean (Cameron & Trivedi 1990, J. Econometrics 46, 347).

    Returns
    -------
    (float, float, float)
        alpha of variance = mean + alpha x mean^2, its robust t value, and the one-sided p-value
        against overdispersion.

    Examples
    --------
    >>> y = np.array([0.0, 0, 0, 0, 0, 0, 9, 12, 0, 8])
    >>> alpha, t, p = dispersion(y, np.full(10, 2.9))
    >>> alpha > 0, p < 0.05
    (True, True)
    """
    from scipy.stats import norm

    excess = ((y - mean) ** 2 - y) / mean
    weight = float((mean**2).sum())
    alpha = float((mean * excess).sum()) / weight
    error = float(np.sqrt((mean**2 * (excess - alpha * mean) ** 2).sum())) / weight
    t = alpha / error if error > 0 else 0.0
    return alpha, t, float(norm.sf(t))


def _dispersion_row(y: Floats, mean: Floats) -> Row:
    alpha, t, p = dispersion(y, mean)
    verdict = "no sign that the variance outgrows the mean"
    if p < _LEVEL:
        verdict = f"the variance outgrows the mean (excess {number(alpha)} times the squared mean)"
    return ("dispersion (Cameron-Trivedi)", t, p, verdict)


def _zeros_row(fit: Fit, design: Design, mean: Floats) -> Row:
    """Compare observed zeros with those that the fit expects; z assumes independent rows."""
    p = probability(fit, mean, 0)
    observed, expected = float((design.y == 0).sum()), float(p.sum())
    z = (observed - expected) / float(np.sqrt((p * (1 - p)).sum()) + 1e-12)
    verdict = f"{counted(observed, 'zero')}, {number(round(expected))} expected by the {fit.family}"
    return "zeros", z, None, verdict


def _choose_counts(Z: Floats, design: Design) -> tuple[Fit, pl.DataFrame]:
    if not (design.y > 0).any():
        raise DataError("all counts are zero")
    poisson = fit = fit_family("poisson", Z, design)
    mean = fit.mean(Z, design.exposure)
    rows = [_dispersion_row(design.y, mean)]
    _, _, p, _ = rows[0]
    overdispersed = p is not None and p < _LEVEL
    _, zeros_z, *_ = _zeros_row(fit, design, mean)
    if overdispersed:
        fit = _better("negative binomial", fit, fit, Z, design, rows, by=-np.inf)
    plain = fit
    rows.append(_zeros_row(plain, design, plain.mean(Z, design.exposure)))
    _, plain_zeros_z, *_ = rows[-1]
    if zeros_z > _MANY:
        fit = _better("zero-inflated poisson", fit, poisson, Z, design, rows)
    if plain_zeros_z > _MANY and overdispersed:
        fit = _better("zero-inflated negative binomial", fit, plain, Z, design, rows)
    return fit, pl.DataFrame(rows, schema=_TESTS, orient="row")


def zeros_gradient(fit: Fit, design: Design, mean: Floats) -> float:
    """Return the derivative of the log-likelihood by the share of extra zeros, at a share of 0.

    The other parameters stay as fitted. Where the derivative is not positive, adding extra zeros
    would not raise the likelihood: a zero-inflated regression would have one parameter more and
    fit no better. It is the score of the test by van den Broek (1995), Biometrics 51, 738.

    Examples
    --------
    >>> from segkit.regression.design import make_design
    >>> rows = pl.DataFrame({"y": [0.0, 1, 1, 2, 2, 3], "x": [0.0, 1, 0, 1, 0, 1]})
    >>> design = make_design(rows, "y", ["x"])
    >>> Z = (design.X - 0.5) / 0.5
    >>> fit = fit_family("poisson", Z, design)
    >>> round(zeros_gradient(fit, design, fit.mean(Z, None)), 2)
    -3.28
    """
    none = design.y == 0
    with np.errstate(over="ignore", divide="ignore"):
        odds = 1 / zero_probability(mean[none], fit.extra.get("alpha", 0.0))
    return float(odds.sum()) - len(design.y)


def _better(
    name: str,
    best: Fit,
    start: Fit,
    Z: Floats,
    design: Design,
    rows: list[Row],
    by: float = _CLEARLY,
) -> Fit:
    """Return the named fit if its BIC is lower by more than so much, and note the comparison."""
    test, n = f"BIC gained by the {name}", len(design.y)
    if name.startswith("zero") and (
        zeros_gradient(start, design, start.mean(Z, design.exposure)) <= 0
    ):
        verdict = f"extra zeros do not raise the likelihood; the {best.family} is kept"
        rows.append((test, best.bic(n) - start.bic(n) - float(np.log(n)), None, verdict))
        return best
    try:
        other = fit_family(name, Z, design, start=start)
    except DataError as error:
        rows.append((test, float("nan"), None, f"{error}"))
        return best
    gain = best.bic(n) - other.bic(n)
    better = gain > by
    verdict = f"the {name} is taken" if better else f"not clearly better; the {best.family} is kept"
    rows.append((test, gain, None, verdict))
    return other if better else best
