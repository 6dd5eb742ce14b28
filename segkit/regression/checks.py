"""Does the regression fit? Distribution of counts, residuals, calibration, fit on held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from segkit.errors import DataError
from segkit.regression.columns import Design, Floats
from segkit.regression.families import COUNTS, Fit, fit_family, standardise

_MOST_COUNT = 60
_QUANTILES = 99


def probability(fit: Fit, mean: Floats, k: int) -> Floats:
    """Return each row's probability of the count k; ``mean`` is that of the whole distribution."""
    from scipy import stats

    inflation = fit.extra.get("share_of_zeros", 0.0)
    mu = mean / (1 - inflation)
    if "alpha" in fit.extra:
        size = 1 / max(fit.extra["alpha"], 1e-9)
        found = stats.nbinom.pmf(k, size, size / (size + mu))
    else:
        found = stats.poisson.pmf(k, mu)
    return np.asarray((1 - inflation) * found + inflation * (k == 0))


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
    from scipy import stats

    if fit.family == "logistic":
        return np.where(y > 0, 1 - mean, 0.0), np.where(y > 0, mean, 1 - mean)
    inflation = fit.extra.get("share_of_zeros", 0.0)
    mu = mean / (1 - inflation)
    if "alpha" in fit.extra:
        size = 1 / max(fit.extra["alpha"], 1e-9)
        below, at = (
            f(k, size, size / (size + mu))
            for f, k in ((stats.nbinom.cdf, y - 1), (stats.nbinom.pmf, y))
        )
    else:
        below, at = stats.poisson.cdf(y - 1, mu), stats.poisson.pmf(y, mu)
    below = np.where(y > 0, inflation + (1 - inflation) * below, 0.0)
    return below, (1 - inflation) * at + inflation * (y == 0)


def residual_quantiles(residuals: Floats) -> pl.DataFrame:
    """Set the residuals' quantiles beside those of a normal variable: normal, residual."""
    from scipy import stats

    share = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return pl.DataFrame(
        {"normal": stats.norm.ppf(share), "residual": np.quantile(residuals, share)}
    )


def calibration(y: Floats, predicted: Floats, groups: int = 10) -> pl.DataFrame:
    """Bundle rows by prediction: predicted (mean), observed (mean), low, high (95%), rows."""
    from segkit.stats.intervals import wilson

    # Equal rows have equal predictions but for rounding, which must not order them.
    order = np.argsort(pl.Series(predicted).round_sig_figs(10).to_numpy(), kind="stable")
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    rows = []
    for part in np.array_split(order, min(groups, len(order))):
        n, mean = len(part), float(y[part].mean())
        if binary:
            limits = wilson(float(y[part].sum()), n)
            low, high = limits.low, limits.high
        else:
            reach = 1.96 * float(y[part].std()) / np.sqrt(n)
            low, high = mean - reach, mean + reach
        rows.append((float(predicted[part].mean()), mean, float(low), float(high), n))
    return pl.DataFrame(rows, schema=["predicted", "observed", "low", "high", "rows"], orient="row")


def held_out(
    fit: Fit, design: Design, folds: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Predict each row from a fit of the same family on the others; also from their mean alone.

    Rows of one cluster go into one fold. A value beyond those of the rows fitted counts as the
    nearest of them: one odd customer is not extrapolated on a logarithmic scale.

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
    for k in range(folds):
        train, test = fold != k, fold == k
        if not test.any() or not train.any():
            continue
        part = _rows(design, train)
        Z, mean, sd = standardise(part)
        if (sd <= 1e-12).any():
            raise DataError("a predictor does not vary in a fold")
        exposure = None if design.exposure is None else design.exposure[test]
        known = np.clip(design.X[test], part.X.min(axis=0), part.X.max(axis=0))
        part_fit = fit_family(fit.family, Z, part, start=fit if fit.family in COUNTS else None)
        predicted[test] = part_fit.mean((known - mean) / sd, exposure)
        rate = part.y.sum() / (len(part.y) if part.exposure is None else part.exposure.sum())
        flat[test] = rate * (1.0 if exposure is None else exposure)
    return predicted, flat


def _rows(design: Design, keep: np.ndarray) -> Design:
    return Design(
        design.X[keep],
        design.y[keep],
        design.terms,
        None if design.exposure is None else design.exposure[keep],
        None,
        design.n_given,
        (),
    )


def deviance(family: str, y: Floats, mean: Floats) -> float:
    """Return the deviance of predictions: Poisson for counts, gamma for spend, log loss x 2."""
    mu = np.clip(mean, 1e-12, None)
    if family in COUNTS:
        part = np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mu), 0.0) - (y - mu)
    elif family == "logistic":
        p = np.clip(mean, 1e-12, 1 - 1e-12)
        part = -(y * np.log(p) + (1 - y) * np.log1p(-p))
    else:
        part = -np.log(y / mu) + (y - mu) / mu
    return float(2 * part.sum())


def fit_measures(
    family: str, y: Floats, fitted: Floats, predicted: Floats | None, flat: Floats | None
) -> pl.DataFrame:
    """Measure the fit on the rows fitted, and on rows held out: measure, fitted, held_out."""
    mean = np.full(len(y), y.mean())
    rows: list[tuple[str, float | None, float | None]] = [
        (
            "deviance explained",
            1 - deviance(family, y, fitted) / deviance(family, y, mean),
            None
            if predicted is None or flat is None
            else 1 - deviance(family, y, predicted) / deviance(family, y, flat),
        )
    ]
    measures: list[tuple[str, Any]] = [("mean absolute error", _mae), ("correlation", _correlation)]
    if family == "logistic":
        measures = [("AUC", _auc), ("Brier score", _brier)]
    rows += [
        (name, f(y, fitted), None if predicted is None else f(y, predicted)) for name, f in measures
    ]
    schema = {"measure": pl.String, "fitted": pl.Float64, "held_out": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _mae(y: Floats, mean: Floats) -> float:
    return float(np.abs(y - mean).mean())


def _brier(y: Floats, mean: Floats) -> float:
    return float(((y - mean) ** 2).mean())


def _correlation(y: Floats, mean: Floats) -> float | None:
    from scipy.stats import spearmanr

    return float(spearmanr(y, mean).statistic) if np.ptp(mean) > 0 else None


def _auc(y: Floats, mean: Floats) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, mean))
