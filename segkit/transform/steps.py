"""Steps of one column: proposed, learnt, applied and undone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.display import counted, is_share, number
from segkit.errors import ColumnError, DataError, ParameterError, require_choice, unknown

Floats = NDArray[np.float64]
Shape = Literal["none", "log1p", "signed_log", "arcsine"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
Scale = Literal["standard", "none"]
SCALES: tuple[Scale, ...] = get_args(Scale)
NEVER_NEGATIVE = ("log1p", "arcsine")
FILLS = ("median", "mean", "min", "max", "worst")
# What the mean of transformed values is, once turned back into the column's own units.
CENTRES = {
    "none": "mean",
    "log1p": "geometric mean of 1 + value, less 1",
    "signed_log": "mean of signed logs, turned back",
    "arcsine": "mean of arcsine roots, turned back",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column's steps, in their order: shrink, fill, winsorise, shape, scale.

    Attributes
    ----------
    name : str
    shape : str
        One of none, log1p, signed_log (sign times log1p of the absolute value), arcsine (arcsine of
        the root, for shares of one).
    winsor : tuple of two floats or None
        Quantiles beyond which values are pulled in.
    fill : str, float or None
        What stands for a missing value: median, mean, min, max, worst (the largest for recency,
        gaps, returns and the like, else the smallest) or a value; None: a missing value is an
        error.
    scale : str
        standard (mean, standard deviation) or none.
    group : str or None
        Topic; the columns of one topic together weigh as much as one column alone.
    weight : float
        Factor after scaling, on top of the topic's.
    why : str
        The reason for these steps.
    exposure : str or None
        For a rate: the column with its denominator (orders, e-mails, carts). The less exposure a
        customer has, the more its rate is shrunk to the average, see `shrink_rates`; without
        exposure it is the average.
    average, average_weight : float or None
        Fitted: the average rate, and its weight in units of the exposure.
    filled, fill_value, lower, upper, centre, spread, factor
        Fitted: missing values filled in the fitted data, by what; winsorising limits in original
        units; location and scale of the shaped values; final factor.
    """

    name: str
    shape: str = "none"
    winsor: tuple[float, float] | None = None
    fill: str | float | None = None
    scale: str = "standard"
    group: str | None = None
    weight: float = 1.0
    why: str = "stated by the user"
    exposure: str | None = None
    average: float | None = None
    average_weight: float | None = None
    filled: int | None = None
    fill_value: float | None = None
    lower: float | None = None
    upper: float | None = None
    centre: float = 0.0
    spread: float = 1.0
    factor: float = 1.0

    def __post_init__(self) -> None:
        require_choice("shape", self.shape, SHAPES)
        require_choice("scale", self.scale, SCALES)
        if isinstance(self.fill, str) and self.fill not in FILLS:
            raise ParameterError(unknown("fill", self.fill, FILLS) + ", or a number")
        if self.winsor is not None and not 0 <= self.winsor[0] < self.winsor[1] <= 1:
            raise ParameterError(
                f"winsor needs two rising quantiles between 0 and 1; got {self.winsor}"
            )
        if not self.weight > 0:
            raise ParameterError(f"a weight must be positive; {self.name} has {self.weight}")

    @property
    def total(self) -> float:
        """Factor after scaling: the topic's times the column's own."""
        return self.factor * self.weight

    @property
    def floor(self) -> float:
        """Lowest value that the column's shape can take."""
        return 0.0 if self.lower is None and self.shape in NEVER_NEGATIVE else -np.inf

    @property
    def needs_value(self) -> bool:
        """Whether a missing value is an error, because no fill is stated."""
        return (self.fill is None or self.fill_value is None) and self.exposure is None

    @property
    def top(self) -> float | None:
        """Upper limit of values: a share above 1 (more returned than bought) counts as 1."""
        return 1.0 if self.shape == "arcsine" and self.upper is None else self.upper

    @property
    def steps(self) -> str:
        """The steps in words."""
        parts = []
        if self.exposure is not None:
            value, weight = "", "one"
            if self.average is not None and self.average_weight is not None:
                value = f" ({number(self.average)})"
                weight = number(self.average_weight)
            parts.append(
                f"shrunk to the average{value}, which counts as {weight} of {self.exposure}"
            )
        if self.fill is not None:
            with_value = isinstance(self.fill, str) and self.fill_value is not None
            value = f" ({number(self.fill_value)})" if with_value else ""
            parts.append(f"missing as {self.fill}{value}")
        if self.winsor is not None:
            low, high = self.winsor
            parts.append(f"winsorised at {low:g} and {high:g}")
        if self.shape != "none":
            parts.append(self.shape.replace("_", " "))
        if self.scale != "none":
            parts.append(f"{self.scale} scale")
        if self.group is not None or self.weight != 1:
            parts.append(f"times {number(self.total)}")
        return ", ".join(parts) or "as it is"


def shape_values(column: Column, values: Floats) -> Floats:
    """Transform values by the column's shape, elementwise.

    Raises
    ------
    DataError
        If the shape cannot take a value: negative ones, or above 1 for arcsine.
    """
    limits = []
    if column.shape in NEVER_NEGATIVE:
        limits.append((("negative value", "negative values"), values < 0))
    if column.shape == "arcsine":
        limits.append((("value above 1", "values above 1"), values > 1))
    for names, beyond in limits:
        if beyond.any():
            what = counted(int(beyond.sum()), *names)
            raise DataError(f"{column.name} has {what}, which {column.shape} cannot take")
    return np.asarray(WAYS[column.shape][0](values))


def shape_alone(column: Column, value: float) -> float:
    """Transform one value that the column's shape can take."""
    return float(WAYS[column.shape][0](value))


def unshape(column: Column, shaped: Floats) -> Floats:
    """Transform values back into the column's own units."""
    return np.asarray(WAYS[column.shape][1](shaped))


# Shape -> how values are transformed, and back. A root's end stays at its end.
WAYS: dict[str, tuple[Callable[[Any], Any], Callable[[Floats], Any]]] = {
    "none": (lambda values: values, lambda shaped: shaped),
    "log1p": (np.log1p, np.expm1),
    "signed_log": (
        lambda values: np.sign(values) * np.log1p(np.abs(values)),
        lambda shaped: np.sign(shaped) * np.expm1(np.abs(shaped)),
    ),
    "arcsine": (
        lambda values: np.arcsin(np.sqrt(values)),
        lambda shaped: np.square(np.sin(np.clip(shaped, 0.0, np.pi / 2))),
    ),
}


# Columns whose worst value is the largest; of all others it is the smallest.
WORSE_WHEN_HIGH = ("recency", "gap_days", "return", "abandon", "complaint", "unsubscribe")


def numbers(frame: pl.DataFrame, name: str, *, infinite: bool = False) -> Floats:
    """Return a column as contiguous floats, missing values as NaN.

    Infinite ones are an error unless the caller deals with them.
    """
    series = frame.get_column(name)
    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        raise ColumnError(f"{name} must be numeric to be transformed; it is {series.dtype}")
    values = np.array(series.cast(pl.Float64).to_numpy(), dtype=np.float64)
    count = 0 if infinite else int(np.isinf(values).sum())
    if count:
        raise DataError(
            f"{name} holds {counted(count, 'infinite value')}; mend them before transforming"
        )
    return values


def fill_missing(column: Column, values: Floats, fill_value: float | None) -> Floats:
    """Put the fill in place of missing values.

    Raises
    ------
    DataError
        If values are missing and no fill is stated, or none could be learnt.
    """
    missing = np.isnan(values)
    if not missing.any():
        return values
    if column.fill is None or fill_value is None:
        stated = "" if column.fill is None else " (all values were missing at fitting)"
        raise DataError(
            f"{column.name} has {counted(int(missing.sum()), 'missing value')} (null or NaN) and "
            f"no fill is stated{stated}; state one of {', '.join(FILLS)} or a number"
        )
    return np.where(missing, fill_value, values)


def _fill_value(column: Column, values: Floats) -> float | None:
    """Return what stands for a missing value, also where the fitted data have none missing."""
    if not isinstance(column.fill, str):
        return column.fill
    present = values[~np.isnan(values)]
    if present.size == 0:
        return None
    rule = column.fill
    if rule == "worst":
        rule = "max" if any(word in column.name for word in WORSE_WHEN_HIGH) else "min"
    return float(getattr(np, rule)(np.sort(present)))


MOST_WEIGHT = 1.0  # of the average, in units of exposure


def exposure_of(name: str) -> str | None:
    """Return the column with a rate's denominator (orders, e-mails, carts), or None.

    Examples
    --------
    >>> exposure_of("open_rate_30d"), exposure_of("channel_share_web"), exposure_of("monetary")
    ('emails_sent_30d', 'frequency', None)
    """
    window = re.search(r"(_\d+d)?$", name)
    ending = window[0] if window else ""
    bare = name.removesuffix(ending)
    if bare in RATES:
        return RATES[bare] + ending
    return f"frequency{ending}" if bare.startswith(ORDER_SHARES) else None


# Rates of the customer table, and the column that counts what each rests on.
RATES = {
    **dict.fromkeys(
        ("discount_share", "discounted_order_share", "return_share", "return_order_share",
         "gift_share", "weekend_share"),
        "frequency",
    ),
    "open_rate": "emails_sent",
    "click_rate": "emails_sent",
    "abandonment_rate": "carts",
}  # fmt: skip
ORDER_SHARES = tuple(
    f"{part}_share_" for part in ("season", "occasion", "channel", "category", "brand")
)


def learn_average(rates: Floats, exposure: Floats) -> tuple[float, float]:
    """Return the average rate and its weight, for shrinkage by exposure.

    The weight is ``(1 - theta) / theta``, theta being the intraclass correlation of a
    beta-binomial by the method of moments: with mean squares S between customers and G within
    (`p (1 - p)`), ``theta = (S - G) / (S + (c - 1) G)`` and ``c`` the mean exposure, corrected.
    It is held to one unit of exposure: the average then says as much as one order (a unit
    information prior). The moments alone give weights of 3 to 600 on simulated retailers, and pull
    small groups with few orders (buyers of gifts) into the middle.

    Sources: B. S. Weir and W. G. Hill (2002), Annual Review of Genetics 36; R. E. Kass and
    L. Wasserman (1995), "A reference Bayesian test for nested hypotheses and its relationship to
    the Schwarz criterion", JASA 90.

    Parameters
    ----------
    rates, exposure : ndarray, shape (n,)
        Rates without exposure are not used.

    Returns
    -------
    (float, float)
        NaN and the weight 1 where no customer has a rate.

    Examples
    --------
    >>> learn_average(np.array([0.0, 1.0, 0.5]), np.array([1.0, 1.0, 2.0]))
    (0.5, 1.0)
    """
    observed = ~np.isnan(rates) & (exposure > 0)
    p, n = np.clip(rates[observed], 0.0, 1.0), exposure[observed]
    total, customers = float(np.sort(n).sum()), n.size
    if not customers:
        return float("nan"), MOST_WEIGHT
    average = float(np.sort(n * p).sum()) / total
    if customers < 2 or total <= customers:
        return average, MOST_WEIGHT
    between = float(np.sort(n * (p - average) ** 2).sum()) / (customers - 1)
    within = float(np.sort(n * p * (1 - p)).sum()) / (total - customers)
    size = (total - float(np.sort(n * n).sum()) / total) / (customers - 1)
    bottom = between + (size - 1) * within
    theta = (between - within) / bottom if bottom > 0 else 0.0
    return average, MOST_WEIGHT if theta <= 0 else min((1 - theta) / theta, MOST_WEIGHT)


def shrink_rates(column: Column, rates: Floats, exposure: Floats) -> Floats:
    """Return rates shrunk to the average: ``(n rate + weight average) / (n + weight)``.

    Without exposure (or a rate) it is the average itself.

    Examples
    --------
    >>> column = Column("open_rate", exposure="emails_sent", average=0.2, average_weight=1.0)
    >>> shrink_rates(column, np.array([1.0, 1.0, np.nan]), np.array([1.0, 9.0, 0.0])).tolist()
    [0.6, 0.92, 0.2]
    """
    if column.average is None or column.average_weight is None:
        return rates
    observed = ~np.isnan(rates) & (exposure > 0)
    n = np.where(observed, exposure, 0.0)
    total = n + column.average_weight
    own = np.where(observed, rates, column.average)
    # Where customers differ so much that the average has no weight, it stands for the unknown.
    weight = np.divide(n, total, out=np.zeros_like(n), where=total > 0)
    return np.asarray(weight * own + (1 - weight) * column.average)


def fit_column(column: Column, raw: Floats, exposure: Floats | None = None) -> Column:
    """Learn a column's average, fill, limits, centre and spread; a constant has spread 0."""
    missing = int(np.isnan(raw).sum())
    if exposure is not None:
        average, weight = learn_average(raw, exposure)
        if np.isnan(average):
            average = 0.0
        column = replace(column, average=average, average_weight=weight)
        raw = shrink_rates(column, raw, exposure)
    fill = _fill_value(column, raw)
    values = fill_missing(column, raw, fill)
    lower = upper = None
    if column.winsor is not None:
        lower, upper = (float(q) for q in np.quantile(values, column.winsor))
        values = np.clip(values, lower, upper)
    learnt = replace(
        column,
        filled=missing,
        fill_value=fill,
        lower=lower,
        upper=upper,
    )
    # Sorted, so that the sums do not depend on the order of the rows.
    shaped = np.sort(shape_values(learnt, values))
    is_scaled = column.scale != "none"
    centre, spread = (float(shaped.mean()), float(shaped.std())) if is_scaled else (0.0, 1.0)
    if values.min() == values.max():
        spread = 0.0
    return replace(learnt, centre=centre, spread=spread)


def share_topic_weights(columns: list[Column]) -> list[Column]:
    """Return the columns of a topic the factor 1 / sqrt(how many there are)."""
    counts = Counter(column.group for column in columns if column.group is not None)
    return [replace(c, factor=counts.get(c.group or "", 1) ** -0.5) for c in columns]


SKEWED = 1.0
HEAVY_TAILED = 3.0
TAILS = (0.001, 0.999)


def family(name: str) -> str | None:
    """Return the name prefix of a column that is one part of a whole, or None.

    Examples
    --------
    >>> family("season_share_winter_365d"), family("return_share"), family("time_seconds_home")
    ('season_share', None, 'time_seconds')
    """
    for stem in ("_share_", "_seconds_", "_affinity_", "_recency_days_"):
        if stem in name:
            tail = name.split(stem, 1)[1]
            window = tail[:-1].isdigit() and tail.endswith("d")
            return None if window else name.split(stem, 1)[0] + stem.rstrip("_")
    return None


def _skewness(values: Floats) -> tuple[float, float]:
    """Return skewness and excess kurtosis (population moments); zeros for constant values."""
    gap = values - values.mean() if values.size else values
    variance = float(np.mean(gap * gap)) if values.size else 0.0
    if variance <= 1e-300:
        return 0.0, 0.0
    return float(np.mean(gap**3)) / variance**1.5, float(np.mean(gap**4)) / variance**2 - 3.0


def propose_column(
    name: str, raw: Floats, families: bool, exposure: Floats | None = None
) -> Column:
    """Propose one column's steps and say why; see `Transform.propose` for the rule."""
    if exposure is not None:
        average, weight = learn_average(raw, exposure)
        if np.isnan(average):
            exposure = None
        else:
            averaged = Column(name, exposure="", average=average, average_weight=weight)
            raw = shrink_rates(averaged, raw, exposure)
    column = _propose_steps(name, raw, families)
    if exposure is None:
        return column
    why = f"{column.why}; a rate of few cases is not sure"
    return replace(column, exposure=exposure_of(name), why=why)


def _propose_steps(name: str, raw: Floats, families: bool) -> Column:
    missing = np.isnan(raw)
    values = np.sort(raw[~missing])
    shape, why = _proposed_shape(name, values)
    column = Column(name, shape, why=why, group=family(name) if families else None)
    if missing.any():
        off = any(word in name for word in ("recency", "gap_days"))
        fill = "worst" if off and not name.endswith("_cv") else "median"
        column = replace(column, fill=fill, why=f"{why}; {int(missing.sum())} missing")
    if (
        shape not in ("none", "log1p", "signed_log")
        or values.size == 0
        or len(np.unique(values)) < 3
    ):
        return column
    kurtosis = _skewness(shape_values(column, values))[1]
    if kurtosis <= HEAVY_TAILED:
        return column
    return replace(
        column, winsor=TAILS, why=f"{column.why}; heavy tails left (kurtosis {number(kurtosis)})"
    )


def _proposed_shape(name: str, values: Floats) -> tuple[str, str]:
    if values.size == 0:
        return "none", "no values"
    if len(np.unique(values[:: max(1, values.size // 1000)])) <= 2 and len(np.unique(values)) <= 2:
        return "none", "two values only"
    if (is_share(name) or "_share" in name) and values[0] >= 0 and values[-1] <= 1:
        return "arcsine", "a share of one"
    skewness = _skewness(values)[0]
    if values[0] >= 0 and skewness > SKEWED:
        return "log1p", f"never negative, skewness {number(skewness)} is above {number(SKEWED)}"
    if values[0] < 0 and abs(skewness) > SKEWED:
        return "signed_log", f"has negative values, skewness {number(skewness)}"
    return "none", f"skewness {number(skewness)} is slight"
