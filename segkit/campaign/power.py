"""Power of a comparison of arms, sample size, smallest detectable effect."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import polars as pl

from segkit.campaign.metrics import Metric
from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_choice, require_range
from segkit.result import Figure, Result

Sides = Literal["two-sided", "one-sided"]
SIDES: tuple[Sides, ...] = get_args(Sides)
MOST = 1e12  # largest number of customers; above it no test counts as possible


def power_of_comparison(
    metric: Metric, effect: float, n_control: float, n_arm: float, alpha: float, sides: str
) -> float:
    """Return the chance to find a true difference between two arms.

    Proportions: the pooled-variance z test under the null, own variances under the alternative
    (Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, eq. 4.14, without
    continuity correction); means: the noncentral t (Cohen 1988, section 2.3); ratios: normal
    with the delta method's variance. Only the tail in the effect's direction is counted, as R's
    ``power.prop.test`` and ``power.t.test`` do.

    Parameters
    ----------
    metric : Metric
    effect : float
        True difference, arm less control, in the metric's unit.
    n_control, n_arm : float
        Customers, not necessarily whole.
    alpha : float
        Level of this comparison.
    sides : {"two-sided", "one-sided"}
    """
    from scipy.special import ndtr, ndtri

    tail = alpha / 2 if sides == "two-sided" else alpha
    size = abs(effect)
    if metric.kind == "mean":
        return _t_power(size, metric.variance, n_control, n_arm, tail)
    keep = 1 - metric.r2
    if metric.kind == "proportion":
        p, q = metric.base, metric.base + effect
        pooled = (n_control * p + n_arm * q) / (n_control + n_arm)
        null = keep * pooled * (1 - pooled) * (1 / n_control + 1 / n_arm)
        own = keep * (p * (1 - p) / n_control + q * (1 - q) / n_arm)
    else:
        null = own = metric.variance * (1 / n_control + 1 / n_arm)
    reach = -ndtri(tail) * np.sqrt(null)
    if own <= 0:
        return float(size > reach)
    return float(ndtr((size - reach) / np.sqrt(own)))


def _t_power(size: float, variance: float, a: float, b: float, tail: float) -> float:
    from scipy.special import nctdtr, ndtr, stdtrit

    freedom = a + b - 2
    if freedom <= 0:
        return 0.0
    shift = size / np.sqrt(variance * (1 / a + 1 / b))
    cut = -stdtrit(freedom, tail)
    if freedom > 1e5 or shift > 30:  # noncentral t: nearly normal here, slow or not finite
        return float(ndtr(shift - cut))
    return float(1 - nctdtr(freedom, shift, cut))


def solve(function: Callable[[float], float], low: float, high: float, what: str) -> float:
    """Find the zero of an increasing function, raising the upper bound up to its maximum."""
    from scipy.optimize import brentq

    if function(low) >= 0:
        return low
    while function(high) < 0:
        high *= 4
        if high > MOST:
            raise ParameterError(f"{what}: cannot be reached with any number of customers")
    return float(brentq(function, low, high, xtol=1e-9, rtol=1e-12, maxiter=500))


SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Power(Result):
    """Power of a test: sizes of its arms, smallest detectable effects, curve.

    Attributes
    ----------
    metric : Metric
    effect : float
        The smallest true difference (every arm against the control) in the metric's unit.
    power : float
        Power for the smallest difference, for the arm with the lowest power.
    n : dict of str to float
        Customers per arm, the control first; not rounded.
    alpha, comparison_alpha : float
        Level of the family, and of each comparison with the control (Bonferroni).
    comparisons : int
        Comparisons in the family.
    sides : str
    solved : str
        Which of "size", "power", "effect" was computed.
    """

    metric: Metric
    effect: float
    power: float
    n: dict[str, float]
    alpha: float
    comparison_alpha: float
    comparisons: int
    sides: str
    solved: str

    @property
    def n_whole(self) -> dict[str, int]:
        """Customers per arm, rounded up."""
        return {arm: math.ceil(n - 1e-9) for arm, n in self.n.items()}

    @property
    def total(self) -> int:
        """Customers in all arms."""
        return sum(self.n_whole.values())

    @property
    def relative_effect(self) -> float:
        """The effect over the base; NaN where the base is not above 0 (its sign would turn)."""
        return self.effect / self.metric.base if self.metric.base > 0 else math.nan

    def to_frame(self) -> pl.DataFrame:
        """Return one row per arm: arm, customers, and the effect that the design detects."""
        sizes = {"arm": list(self.n), "customers": list(self.n_whole.values())}
        return pl.DataFrame(sizes | {"customers_exact": list(self.n.values())}).with_columns(
            base=self.metric.base,
            effect=self.effect,
            relative_effect=pl.lit(self.relative_effect, pl.Float64).fill_nan(None),
            power=self.power,
            comparison_alpha=self.comparison_alpha,
            r2=self.metric.r2,
        )

    @property
    def text(self) -> str:
        """The finding in words."""
        m = self.metric
        sizes = ", ".join(f"{arm} {number(n)}" for arm, n in self.n_whole.items())
        relative = f" ({percent(self.relative_effect)} of the base)" if m.base > 0 else ""
        change = f"from {m.words(m.base)} to {m.words(m.base + self.effect)}{relative}"
        chance = f"{_chance(self.power)} power"
        finding = {
            "size": f"To find a change of {m.name} {change} with {chance} takes "
            f"{counted(self.total, 'customer')}: {sizes}.",
            "power": f"With {sizes} customers a change of {m.name} {change} is found with "
            f"{chance}.",
            "effect": f"With {sizes} customers and {chance}, the smallest change of {m.name} that "
            f"can be found is {change}.",
        }[self.solved]
        shared = f", shared by {counted(self.comparisons, 'comparison')} (Bonferroni)"
        level = f"At a level of {percent(self.alpha, places=0)}, {self.sides}"
        level += f"{shared if self.comparisons > 1 else ''}."
        if m.r2 > 0:
            level += f" CUPED on what is known before saves {percent(m.r2)} of the customers."
        return f"{finding} {level} A smaller true effect is found less often."

    def curve(self, *, points: int = 41) -> pl.DataFrame:
        """Return power over the size of the effect, with CUPED and without it.

        Returns
        -------
        DataFrame
            effect, relative_effect, power, design ("plain", "with CUPED").
        """
        base = self.metric.base
        designs = {"plain": replace(self.metric, r2=0.0)}
        if self.metric.r2 > 0:
            designs["with CUPED"] = self.metric
        top = 2.0 * self.effect
        if self.metric.kind == "proportion":
            top = min(top, 1 - base) if top > 0 else max(top, -base)
        rows = [
            (
                effect,
                effect / base if base > 0 else math.nan,
                least_power(metric, effect, self.n, self.comparison_alpha, self.sides),
                design,
            )
            for design, metric in designs.items()
            for effect in np.linspace(0.0, top, points).tolist()
        ]
        schema = ["effect", "relative_effect", "power", "design"]
        return pl.DataFrame(rows, schema=schema, orient="row")

    def plot(self) -> Figure:
        """Draw the power curve."""
        from segkit.plot import lines

        data, relative = self.curve(), self.metric.base > 0
        effect = percent(self.relative_effect) if relative else number(self.effect)
        x = "relative_effect" if relative else "effect"
        return lines(
            data.with_columns(pl.col(x) * (100 if relative else 1)),
            x,
            "power",
            group="design" if data["design"].n_unique() > 1 else None,
            reference=self.power,
            percent=True,
            markers=False,
            title=f"{_chance(self.power)} power reaches down to a change of {effect}",
            x_label=f"True change of {self.metric.name}{', % of the base' if relative else ''}",
            y_label="Chance to find it, in its direction",
        )


def _chance(power: float) -> str:
    """Write a power; only exact values are written as 0% or 100%."""
    if 0.005 < power < 0.995:
        return percent(power, places=0)
    return "more than 99%" if power > 0.5 else "less than 1%"


def compute_sample_size(
    metric: Metric,
    *,
    effect: float | None = None,
    relative_effect: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    shares: Mapping[str, float] | None = None,
    comparisons: int | None = None,
    sides: Sides = "two-sided",
) -> Power:
    """Compute how many customers a test needs.

    Parameters
    ----------
    metric : Metric
        From `proportion`, `mean`, `ratio` or `measure_metric`.
    effect, relative_effect : float
        The difference to be found, in the metric's unit or as a share of its base; give one.
    power : float
        Chance to find it in each comparison with the control.
    alpha : float
        Level over all comparisons.
    shares : mapping of str to float, optional
        Arm to share of the customers, the control first; half and half by default.
    comparisons : int, optional
        Comparisons that share ``alpha`` (Bonferroni); by default one for each arm except the
        control.
    sides : {"two-sided", "one-sided"}

    Returns
    -------
    Power

    Raises
    ------
    ParameterError
        If a number is out of range, shares do not sum to 1, or the effect leads out of [0, 1].
    DataError
        If a relative effect leads the base out of [0, 1].

    Examples
    --------
    >>> from segkit.campaign.metrics import proportion
    >>> round(compute_sample_size(proportion(0.5), effect=0.25, power=0.9).n["control"], 4)
    76.7069
    """
    arms = check_shares(shares if shares is not None else {"control": 0.5, "campaign": 0.5})
    family = _count_comparisons(arms, alpha, comparisons, sides)
    require_range("(0, 1)", power=power)
    size = _effect(metric, effect, relative_effect)
    if size == 0:
        raise ParameterError("an effect of zero cannot be detected with any number of customers")
    least = 2 / min(arms.values()) if metric.kind == "mean" else 1e-3

    def lacking(total: float) -> float:
        n = {arm: share * total for arm, share in arms.items()}
        return least_power(metric, size, n, alpha / family, sides) - power

    total = solve(lacking, least, 100.0 + least, f"{percent(power)} power")
    n = {arm: share * total for arm, share in arms.items()}
    attained = lacking(total) + power
    return Power(metric, size, attained, n, alpha, alpha / family, family, sides, "size")


def compute_power(
    metric: Metric,
    n: Mapping[str, float],
    *,
    effect: float | None = None,
    relative_effect: float | None = None,
    alpha: float = 0.05,
    comparisons: int | None = None,
    sides: Sides = "two-sided",
) -> Power:
    """Compute the power of a test of given size for a given effect.

    Parameters
    ----------
    metric : Metric
    n : mapping of str to float
        Customers per arm, the control first.
    effect, relative_effect, alpha, comparisons, sides
        As in `compute_sample_size`.

    Examples
    --------
    >>> from segkit.campaign.metrics import mean
    >>> found = compute_power(mean(0, 1), {"control": 20, "mail": 20}, effect=1)
    >>> round(found.power, 6)
    0.868953
    """
    arms = _sizes(n)
    family = _count_comparisons(arms, alpha, comparisons, sides)
    size = _effect(metric, effect, relative_effect)
    attained = least_power(metric, size, arms, alpha / family, sides)
    return Power(metric, size, attained, arms, alpha, alpha / family, family, sides, "power")


def find_smallest_effect(
    metric: Metric,
    n: Mapping[str, float],
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int | None = None,
    sides: Sides = "two-sided",
) -> Power:
    """Compute the smallest increase that a test of given size detects with the given power.

    Parameters
    ----------
    metric : Metric
    n : mapping of str to float
        Customers per arm, the control first.
    power, alpha, comparisons, sides
        As in `compute_sample_size`.

    Raises
    ------
    ParameterError
        If a number is out of range.
    DataError
        If the arms are so small that no increase could be found.

    Examples
    --------
    >>> from segkit.campaign.metrics import proportion
    >>> found = find_smallest_effect(proportion(0.1), {"control": 3840.85, "mail": 3840.85})
    >>> round(found.effect, 4)
    0.02
    """
    arms = _sizes(n)
    family = _count_comparisons(arms, alpha, comparisons, sides)
    require_range("(0, 1)", power=power)

    def lacking(effect: float) -> float:
        return least_power(metric, effect, arms, alpha / family, sides) - power

    share = metric.kind == "proportion"
    top = 1 - metric.base - 1e-12 if share else max(metric.sd, 1e-12)
    if min(arms.values()) < 2 or (share and lacking(top) < 0):
        small = ", ".join(f"{arm} {number(size)}" for arm, size in arms.items())
        raise DataError(f"arms of {small} customers are too small to find any increase")
    size = solve(lacking, 0.0, top, "the effect")
    attained = lacking(size) + power
    return Power(metric, size, attained, arms, alpha, alpha / family, family, sides, "effect")


def least_power(
    metric: Metric, effect: float, n: Mapping[str, float], alpha: float, sides: str
) -> float:
    """Return the power of the comparison with the control, the first arm, that has the least."""
    control, *others = n.values()
    return min(power_of_comparison(metric, effect, control, m, alpha, sides) for m in others)


def _count_comparisons(
    arms: Mapping[str, float], alpha: float, comparisons: int | None, sides: str
) -> int:
    require_range("(0, 1)", alpha=alpha)
    require_choice("value of sides", sides, SIDES)
    family = len(arms) - 1 if comparisons is None else comparisons
    require_range("[1, inf)", comparisons=family)
    return family


def _sizes(n: Mapping[str, float]) -> dict[str, float]:
    arms = {str(arm): float(size) for arm, size in n.items()}
    if len(arms) < 2:
        raise ParameterError(f"expected a control and at least one arm, got {list(arms)}")
    bad = {arm: size for arm, size in arms.items() if not size > 0}
    if bad:
        raise ParameterError(f"every arm needs customers, got {bad}")
    return arms


def check_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """Return arms and shares as given, or raise an error if they are not valid.

    Raises
    ------
    ParameterError
        If there is one arm only, a share is not above 0, or they do not sum to 1.

    Examples
    --------
    >>> check_shares({"holdout": 0.2, "mail": 0.7})
    Traceback (most recent call last):
    ...
    segkit.errors.ParameterError: shares of the arms sum to 0.900, not to 1: holdout 0.2, mail 0.7
    """
    arms = {str(arm): float(share) for arm, share in shares.items()}
    listing = ", ".join(f"{arm} {share:g}" for arm, share in arms.items())
    if len(arms) < 2:
        raise ParameterError(f"expected at least two arms or levels, got {listing or 'none'}")
    if any(not share > 0 for share in arms.values()):
        raise ParameterError(f"every arm needs a share above 0, got {listing}")
    total = sum(arms.values())
    if abs(total - 1) > SUM_TOLERANCE:
        raise ParameterError(f"shares of the arms sum to {number(total)}, not to 1: {listing}")
    return arms


def _effect(metric: Metric, effect: float | None, relative: float | None) -> float:
    if (effect is None) == (relative is None):
        raise ParameterError("give either effect or relative_effect")
    if effect is not None:
        size = float(effect)
    elif metric.base <= 0:
        raise ParameterError(
            f"a relative effect is not defined on a base of {number(metric.base)}, for it must be "
            "above 0; give effect"
        )
    else:
        size = float(relative or 0.0) * metric.base
    if not math.isfinite(size):
        raise ParameterError(f"an effect must be a finite number, got {size}")
    if metric.kind == "proportion" and not 0 <= metric.base + size <= 1:
        message = (
            f"a change of {number(size)} leads {metric.name} from {percent(metric.base)} out of "
            "0 to 100%"
        )
        # A relative effect fits or not by what the customers did before.
        raise DataError(message) if effect is None else ParameterError(message)
    return size
