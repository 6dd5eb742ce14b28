"""Drivers of purchase frequency, spend, conversion and churn, with the size of their effects."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_range
from segkit.frames import takes_frames
from segkit.plot import Figure, intervals
from segkit.plot.response import response, rootogram
from segkit.regression import checks
from segkit.regression.design import HIGH_VIF, Design, Floats, make_design, of_design
from segkit.regression.families import COUNTS, Family, Fit, standardise
from segkit.regression.outcomes import LABELS, DriverTable
from segkit.result import Result
from segkit.stats.hypotheses import adjust
from segkit.stats.threads import single_thread

_NAMED = 4


def effects_of(fit: Fit, design: Design, vif: pl.DataFrame, level: float) -> pl.DataFrame:
    """Return one row per column of the matrix, the strongest first (see `Drivers.effects`)."""
    from scipy import stats

    sd = design.X.std(axis=0)
    beta = fit.params[1:]
    error = np.sqrt(np.diagonal(fit.covariance)[1:])
    spread = stats.norm() if np.isinf(fit.dof) else stats.t(fit.dof)
    reach = float(spread.ppf((1 + level) / 2)) * error
    score = np.abs(beta / error)
    p = 2 * spread.sf(score)
    ends = {"": beta, "_low": beta - reach, "_high": beta + reach}
    # A yes or a level is shown per unit, all else per standard deviation.
    per_unit = np.array([term.kind in ("yes or no", "level") for term in design.terms])
    scales = {"ratio": 1 / sd, "ratio_sd": np.ones_like(sd), "shown": np.where(per_unit, 1 / sd, 1)}
    ratios = {
        f"{name}{end}": np.exp(np.clip(value * scale, -700, 700))
        for name, scale in scales.items()
        for end, value in ends.items()
    }
    frame = pl.DataFrame(
        {
            "term": design.names,
            **{
                name: [getattr(term, name) for term in design.terms]
                for name in ("predictor", "label", "kind", "contrast")
            },
            "estimate": beta / sd,
            "std_error": error / sd,
            "low": ends["_low"] / sd,
            "high": ends["_high"] / sd,
            "p_value": p,
            "p_holm": adjust(p),
            **ratios,
            "sd": sd,
        }
    )
    named = vif.select("predictor", "vif")
    strongest = pl.Series(np.argsort(-score, kind="stable"))
    return frame.join(named, on="predictor", how="left", maintain_order="left").select(
        pl.all().gather(strongest)
    )


def sentence(row: dict[str, Any], *, odds: bool, interval: str = "") -> str:
    """Word one effect: its size, its interval, and what is compared.

    Examples
    --------
    >>> row = {"label": "visits", "kind": "number", "contrast": "one more", "sd": 3.2,
    ...        "shown": 1.25, "shown_low": 1.1, "shown_high": 1.42}
    >>> sentence(row, odds=False)
    '25% more (10% to 42%) per standard deviation of visits (3.20)'
    """
    if row["kind"] == "yes or no":
        what = f"with {row['label']} than without"
    elif row["kind"] == "level":
        what = f"for {row['label']} ({row['contrast']})"
    elif row["kind"] == "log":
        what = f"per standard deviation of the log of {row['label']}"
    else:
        what = f"per standard deviation of {row['label']} ({number(row['sd'])})"
    value, low, high = row["shown"], row["shown_low"], row["shown_high"]
    if odds:
        size, ends = f"odds {number(value)} times as high", (number(low), number(high))
    elif max(value, 1 / value) >= 2:
        size, ends = f"{number(value)} times as much", (number(low), number(high))
    elif value >= 1:
        size, ends = f"{_share(value - 1)} more", (_share(low - 1), _share(high - 1))
    else:
        size, ends = f"{_share(1 - value)} less", (_share(1 - high), _share(1 - low))
    return f"{size} ({interval}{ends[0]} to {ends[1]}) {what}"


def _share(value: float) -> str:
    return percent(value, places=0 if abs(value) >= 0.1 else 1)


@dataclass(frozen=True, slots=True, eq=False)
class Drivers(Result):
    """Regression of customer behaviour on possible drivers.

    Attributes
    ----------
    effects : polars.DataFrame
        One row per column of the matrix, the strongest first: term, predictor, label, kind (number,
        log, yes or no, level), contrast (what is compared), estimate (on the scale of logs or log
        odds, per unit), std_error, low, high, p_value, p_holm (over all columns), ratio, ratio_low,
        ratio_high (by which the mean outcome, or the odds, multiply per unit), ratio_sd,
        ratio_sd_low, ratio_sd_high (per standard deviation), shown, shown_low, shown_high (the
        ratio that text and figure report: ``ratio`` for yes/no predictors and levels, ``ratio_sd``
        for numbers), sd (in the column's unit), vif.
    measures : polars.DataFrame
        measure, fitted, held_out (on rows that took no part in the fit; null where not asked). The
        correlation is Spearman's.
    tests : polars.DataFrame
        Of dispersion and zeros, for counts: test, statistic, p_value, verdict.
    counts : polars.DataFrame
        For counts: count, observed, expected (rows).
    calibration : polars.DataFrame
        Tenths by predicted value (held out where there is one): predicted, observed, low, high
        (of observed, at ``level``), rows.
    residuals : polars.DataFrame
        Quantiles of randomised quantile residuals beside normal ones: normal, residual.
    family : str
    outcome : str
        Name for people.
    intercept : float
        Log (odds) of the mean outcome where every column is zero.
    extra : dict of str to float
        Further parameters of the family: alpha, share_of_zeros, scale.
    errors : str
        Kind of the standard errors.
    condition_number : float
    n_rows, n_given : int
        Rows used, and given.
    folds : int
    level : float
    timing : str
        When predictors and outcome were measured; empty if not said.
    randomised : tuple of str
        Predictors that were assigned at random.
    notes : tuple of str
        Coding, rows left out, what could not be done.
    """

    effects: pl.DataFrame
    measures: pl.DataFrame
    tests: pl.DataFrame
    counts: pl.DataFrame
    calibration: pl.DataFrame
    residuals: pl.DataFrame
    family: str
    outcome: str
    intercept: float
    extra: dict[str, float]
    errors: str
    condition_number: float
    n_rows: int
    n_given: int
    folds: int
    level: float
    timing: str
    randomised: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def answer(self) -> str:
        """The clearest effect with its interval, or that none is clear."""
        clear = self.effects.filter(pl.col("p_holm") < 1 - self.level)
        if clear.is_empty():
            return (
                f"Nothing shown: none of {counted(self.effects.height, 'effect')} on "
                f"{self.outcome} is statistically clear."
            )
        interval = f"{percent(self.level, places=0)} CI "
        row = clear.row(0, named=True)
        association = sentence(row, odds=self.family == "logistic", interval=interval)
        return f"Most clearly {association}."

    @property
    def text(self) -> str:
        """The strongest effects with intervals, the fit on held-out rows, and the caveat."""
        clear = self.effects.filter(pl.col("p_holm") < 1 - self.level).head(_NAMED).to_dicts()
        odds = self.family == "logistic"
        if clear:
            interval = f"{percent(self.level, places=0)} CI "
            first = sentence(clear[0], odds=odds, interval=interval)
            others = [sentence(row, odds=odds) for row in clear[1:]]
            head = f"The clearest association with {self.outcome}: {first}, other predictors equal."
            head += f" Also clear: {'; '.join(others)}." if others else ""
        else:
            n = number(self.effects.height)
            head = f"None of {n} effects on {self.outcome} is statistically clear."
        parts = (head, self._fit(), self.timing, self._caveat(), self._tangled())
        return " ".join(part for part in parts if part)

    def _fit(self) -> str:
        row = self.measures.row(0, named=True)
        regression = f"A {self.family} regression on {counted(self.n_rows, 'row')}"
        if row["held_out"] is None:
            return f"{regression} explains {percent(row['fitted'])} of the deviance."
        if row["held_out"] <= 0:
            return f"{regression} predicts held-out rows no better than their mean does."
        return (
            f"{regression} explains {percent(row['fitted'])} of the deviance, and "
            f"{percent(row['held_out'])} on held-out rows."
        )

    def _caveat(self) -> str:
        if not self.randomised:
            return "This is association, not cause: no predictor was assigned at random."
        named = ", ".join(self.randomised)
        return (
            f"Only {named} was assigned at random and may be read as cause; all else is "
            f"association."
        )

    def _tangled(self) -> str:
        high = self.effects.filter(pl.col("vif") > HIGH_VIF)["label"].to_list()
        if not high:
            return ""
        named = ", ".join(high[:4])
        return f"Effects of collinear predictors are uncertain (VIF above {HIGH_VIF:.0f}): {named}."

    def plot(self) -> Figure:
        """Draw the effects of one standard deviation (or of yes, or of a level)."""
        per_sd = pl.col("kind").is_in(["number", "log", "formula"])
        what = "odds of " if self.family == "logistic" else ""
        return intervals(
            self.effects.head(25).with_columns(
                name=pl.when(per_sd)
                .then(pl.format("{} (+1 sd)", "label"))
                .otherwise(pl.format("{} ({})", "label", "contrast")),
                value=pl.col("shown"),
            ),
            "name",
            "value",
            interval=("shown_low", "shown_high"),
            reference=1.0,
            percent=False,
            title=f"Drivers of {self.outcome}",
            y_label=f"factor on the {what}{self.outcome}",
        )

    def plot_rootogram(self) -> Figure:
        """Draw observed and expected counts.

        Raises
        ------
        DataError
            If the outcome is not a count.
        """
        if not self.counts.height:
            raise DataError(f"a rootogram needs counts; {self.outcome} was fitted as {self.family}")
        return rootogram(
            self.counts,
            "count",
            "observed",
            "expected",
            x_label=self.outcome,
            title=f"How the {self.family} fits the counts",
        )

    def plot_calibration(self) -> Figure:
        """Draw observed against predicted outcomes, by tenths of the prediction."""
        kind = "on held-out rows" if self.folds else "on the rows fitted"
        shares = self.family == "logistic"
        return response(
            self.calibration,
            "predicted",
            "observed",
            interval=("low", "high"),
            diagonal=True,
            percent=shares,
            title=f"Predicted and observed {self.outcome}, {kind}",
            x_label=f"predicted {self.outcome}",
            y_label=f"observed {self.outcome}",
        )

    def plot_residuals(self) -> Figure:
        """Draw the quantile residuals against normal ones."""
        return response(
            self.residuals,
            "normal",
            "residual",
            diagonal=True,
            percent=False,
            title="Residuals: on the line where the model's distribution is right",
            x_label="normal quantile",
            y_label="quantile residual",
        )


@takes_frames
@single_thread()
def fit_drivers(
    table: pl.DataFrame | DriverTable,
    outcome: str,
    predictors: Sequence[str] | str,
    *,
    family: Family = "auto",
    log: Collection[str] = (),
    baselines: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    exposure: str | None = None,
    clusters: str | None = None,
    randomised: Sequence[str] = (),
    folds: int = 5,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> Drivers:
    """Estimate how predictors are associated with orders, spend, purchase or churn.

    Parameters
    ----------
    table : polars.DataFrame or DriverTable
        One row per customer. A `DriverTable` says when predictors and outcome were measured.
    outcome : str
        Column of counts, positive amounts, or yes/no.
    predictors : sequence of str, or str
        Columns, or the right side of a formula ("visits + C(region)"). Text is coded against its
        commonest level.
    family : str
        "auto", "counts", or one of poisson, negative binomial, zero-inflated poisson, zero-inflated
        negative binomial, gamma, log-linear, logistic. "auto" chooses by the outcome's values:
        spend in whole pounds counts as counts, so name "gamma" or "log-linear" for it.
    log : collection of str
        Columns that enter as log(1 + x).
    baselines : mapping of str to str, optional
        Text column to the level that the others are compared with.
    labels : mapping of str to str, optional
        Column to its name for people.
    exposure : str, optional
        Column with the time over which counts were gathered.
    clusters : str, optional
        Column whose equal values mark rows that belong together: errors are then clustered
        (CR1); else they are HC3 (HC1 for zero-inflated fits).
    randomised : sequence of str
        Predictors that were assigned at random: their effects may be read as causes.
    folds : int
        Folds of the cross-validation; 0 for none.
    level : float
    seed : int or numpy Generator
        Of folds and of residuals' random points.

    Returns
    -------
    Drivers

    Raises
    ------
    ColumnError
        If a column is missing or of the wrong type.
    DataError
        If values are infinite, a predictor does not vary or follows from others, predictors
        predict the outcome perfectly (separation), or the outcome does not suit the family.
    ParameterError
        If an option is unknown.

    Examples
    --------
    >>> rows = pl.DataFrame({"orders": [0, 1, 1, 2, 3, 5, 4, 8], "visits": [*range(8)]})
    >>> found = fit_drivers(rows, "orders", ["visits"], folds=0)
    >>> found.family, round(found.effects["ratio"][0], 2)
    ('poisson', 1.47)
    """
    if folds and folds < 2:
        raise ParameterError(f"folds must be 0 or at least 2, got {folds}")
    require_range("(0, 1)", level=level)
    labels = labels or {}
    if isinstance(table, DriverTable):
        frame, timing, labels = table.frame, table.timing, {**LABELS, **labels}
    else:
        frame, timing = table, ""
    design = make_design(
        frame,
        outcome,
        predictors,
        log=log,
        baselines=baselines,
        labels=labels,
        exposure=exposure,
        clusters=clusters,
    )
    collinear = of_design(design)
    Z, centre, sd = standardise(design)
    fit, tests = checks.choose(family, Z, design)
    random = np.random.default_rng(seed)
    fitted = fit.mean(Z, design.exposure)
    predicted, flat, notes = _held_out(fit, design, folds, random)
    shown = fitted if predicted is None else predicted
    return Drivers(
        effects=effects_of(fit, design, collinear.predictors, level),
        measures=checks.fit_measures(fit.family, design.y, fitted, predicted, flat),
        tests=tests,
        counts=checks.rootogram(fit, design, fitted) if fit.family in COUNTS else pl.DataFrame(),
        calibration=checks.calibration(design.y, shown, level=level),
        residuals=checks.residual_quantiles(
            checks.quantile_residuals(fit, design.y, fitted, random)
        ),
        family=fit.family,
        outcome=labels.get(outcome, outcome.replace("_", " ")),
        intercept=float(fit.params[0] - fit.params[1:] @ (centre / sd)),
        extra=fit.extra,
        errors=fit.errors,
        condition_number=collinear.condition_number,
        n_rows=len(design.y),
        n_given=design.n_given,
        folds=0 if predicted is None else folds,
        level=level,
        timing=timing,
        randomised=tuple(labels.get(name, name) for name in randomised),
        notes=(*design.notes, *notes),
    )


def _held_out(
    fit: Fit, design: Design, folds: int, random: np.random.Generator
) -> tuple[Floats | None, Floats | None, list[str]]:
    if not folds or len(design.y) < 10 * folds:
        return None, None, ["too few rows to hold some out"] if folds else []
    try:
        predicted, flat = checks.held_out(fit, design, folds, random)
    except DataError as error:
        return None, None, [f"no fit on held-out rows: {error}"]
    return predicted, flat, []
