"""Metrics for test planning: mean and variance per customer before the test."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, ParameterError, require_columns, require_range
from segkit.frames import takes_frames
from segkit.lift.requirements import finite_values

KINDS = ("proportion", "mean", "ratio")


@dataclass(frozen=True, slots=True)
class Metric:
    """Metric of a power calculation; made by `proportion`, `mean`, `ratio` or `measure_metric`.

    Attributes
    ----------
    kind : {"proportion", "mean", "ratio"}
    base : float
        Its value without the campaign.
    sd : float
        Standard deviation of one customer's contribution. For a ratio, of the linearised
        contribution ``(numerator - base x denominator) / mean denominator``.
    r2 : float
        Share of the variance that pre-period covariates explain: CUPED leaves ``1 - r2`` of it.
    name : str
        In words, for sentences and axes.
    """

    kind: str
    base: float
    sd: float
    r2: float = 0.0
    name: str = "the metric"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParameterError(f"kind of metric must be one of {', '.join(KINDS)}")
        if not np.isfinite(self.base) or not np.isfinite(self.sd) or self.sd < 0:
            raise ParameterError(
                f"{self.name}: expected a finite base and a standard deviation of at least 0, got "
                f"{self.base} and {self.sd}"
            )
        if self.kind == "proportion" and not 0 < self.base < 1:
            raise ParameterError(
                f"{self.name}: a proportion lies between 0 and 1, got a base of {self.base}"
            )
        if self.kind != "proportion" and self.sd == 0:
            raise ParameterError(f"{self.name}: does not vary, so that no sample size is defined")
        require_range("[0, 1)", r2=self.r2)

    @property
    def variance(self) -> float:
        """Variance of one customer's contribution after CUPED."""
        return self.sd**2 * (1 - self.r2)

    @property
    def is_share(self) -> bool:
        """Whether values are written in percent."""
        return self.kind == "proportion"

    def words(self, value: float) -> str:
        """Write a value of the metric."""
        return percent(value) if self.is_share else number(value)


def proportion(base: float, *, name: str = "the conversion rate") -> Metric:
    """Describe a share of customers: its value without the campaign.

    Examples
    --------
    >>> round(proportion(0.1).sd, 3)
    0.3
    """
    inside = 0 < base < 1
    return Metric("proportion", base, float(np.sqrt(base * (1 - base))) if inside else 0.0, 0, name)


def mean(base: float, sd: float, *, name: str = "the mean") -> Metric:
    """Describe a mean per customer: its value without the campaign and its standard deviation."""
    return Metric("mean", base, sd, 0, name)


def ratio(
    numerator: float,
    denominator: float,
    sd_numerator: float,
    sd_denominator: float,
    correlation: float,
    *,
    name: str = "the ratio",
) -> Metric:
    """Describe a ratio of two sums (clicks per visit): the delta method's variance per customer.

    ``(s_n^2 - 2 R rho s_n s_d + R^2 s_d^2) / m_d^2`` with ``R = m_n / m_d``. Source: Deng,
    Knoblich & Lu (2018), "Applying the delta method in metric analytics", KDD, equation (4).

    Parameters
    ----------
    numerator, denominator : float
        Means per customer.
    sd_numerator, sd_denominator, correlation : float
        Their standard deviations over customers, and their correlation.
    name : str
        Name of the metric in sentences.

    Examples
    --------
    >>> made = ratio(1.0, 2.0, 1.0, 1.0, 0.5)
    >>> made.base, round(made.sd, 6)
    (0.5, 0.433013)
    """
    require_range("(0, inf)", denominator=denominator)
    require_range("[-1, 1]", correlation=correlation)
    value = numerator / denominator
    square = sd_numerator**2 + (value * sd_denominator) ** 2
    square -= 2 * value * correlation * sd_numerator * sd_denominator
    return Metric("ratio", value, float(np.sqrt(max(square, 0.0))) / denominator, 0, name)


@takes_frames
def measure_metric(
    frame: pl.DataFrame,
    outcome: str,
    *,
    denominator: str | None = None,
    covariates: tuple[str, ...] = (),
    name: str = "",
) -> Metric:
    """Measure a metric on past data: base, variance, and the share that CUPED removes.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per customer.
    outcome : str
        A 0/1 or Boolean column gives a proportion, another number a mean.
    denominator : str, optional
        A second sum: the metric is then a ratio.
    covariates : tuple of str
        Columns known before the test; their multiple R-squared with the (linearised) outcome is
        kept. Missing values are replaced by the mean.
    name : str
        In words; by default the column's.

    Returns
    -------
    Metric

    Raises
    ------
    ColumnError, DataError
        If a column is missing, a value missing or infinite, fewer than two rows are there, or a
        0/1 outcome is the same for all.

    Examples
    --------
    >>> past = pl.DataFrame({"bought": [0, 1, 0, 1], "before": [0.0, 2.0, 1.0, 3.0]})
    >>> round(measure_metric(past, "bought", covariates=("before",)).r2, 3)
    0.7
    """
    need = [outcome, *([denominator] if denominator else []), *covariates]
    require_columns(frame.columns, need, "the frame of past outcomes")
    y, label = finite_values(frame, outcome), name or outcome.replace("_", " ")
    if len(y) < 2:
        raise DataError(f"expected past outcomes of at least 2 customers, got {len(y)}")
    base, centred = float(y.mean()), y - y.mean()
    if denominator is not None:
        d = finite_values(frame, denominator)
        if d.mean() <= 0:
            total = number(float(d.sum()))
            raise DataError(f"{denominator!r} sums to {total}: no ratio is defined")
        base = float(y.mean() / d.mean())
        centred = (y - base * d) / d.mean()
        metric = Metric("ratio", base, float(centred.std(ddof=1)), 0, label)
    elif np.isin(y, (0.0, 1.0)).all():
        if base in (0.0, 1.0):
            share = percent(base, places=0)
            raise DataError(f"{label} is {share} among past customers: no change can be planned")
        metric = proportion(base, name=label)
    else:
        metric = mean(base, float(y.std(ddof=1)), name=label)
    return replace(metric, r2=_r_squared(frame, covariates, centred))


def _r_squared(frame: pl.DataFrame, covariates: tuple[str, ...], y: np.ndarray) -> float:
    if not covariates or not y.any():
        return 0.0
    some = frame.select(pl.col(covariates).cast(pl.Float64)).with_columns(
        pl.all().fill_nan(None).fill_null(strategy="mean").fill_null(0.0)
    )
    X = np.column_stack([np.ones(len(y)), some.to_numpy()])
    residuals = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    freedom = max(1, len(y) - X.shape[1])
    # Adjusted R-squared: covariates without information give 0 on average.
    adjusted = 1 - (residuals @ residuals / freedom) / (y @ y / (len(y) - 1))
    return float(np.clip(adjusted, 0.0, 0.999))
